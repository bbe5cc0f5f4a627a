//! What tests do at a bank's desk.

use std::time::{SystemTime, UNIX_EPOCH};

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::outcome::Outcome;
use counterfoil_client::{Client, v1};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;

use crate::consortium::{AGENT, BANKS, Consortium};

/// The name of every bank's settlement account.
pub const SETTLEMENT: &str = "settlement";

/// The id of an account that the agent services.
pub fn account(owner: &str, asset: &str) -> AccountId {
    let bic = |text| Bic::parse(text).expect("a BIC");
    AccountId::of(&bic(AGENT), &bic(owner), asset, SETTLEMENT)
}

/// Opens the agent's issuance account and an account for each bank, and funds the banks.
pub async fn open_and_fund(consortium: &Consortium, asset: &str, amount: u64) {
    let agent = consortium.client(AGENT);
    let servicer = Bic::parse(AGENT).expect("a BIC");
    let code = AssetCode::parse(asset).expect("a code");
    for owner in std::iter::once(AGENT).chain(BANKS) {
        let owner = Bic::parse(owner).expect("a BIC");
        let order = Order::open_account(&servicer, &owner, &code, SETTLEMENT);
        accepted(&agent, order).await;
    }
    for bank in BANKS {
        let issue = instructions::transfer(account(AGENT, asset), account(bank, asset), amount);
        accepted(&agent, Order::transfer(issue)).await;
    }
}

/// The bank and the agent agree to compare all three sources of an account from a value date on.
pub async fn agree(consortium: &Consortium, owner: &str, asset: &str, from: Date) -> AgreementId {
    let (bank, agent) = (consortium.client(owner), consortium.client(AGENT));
    let bic = |text| Bic::parse(text).expect("a BIC");
    let accounts = [account(owner, asset)];
    let terms = instructions::agreement_terms(&bic(AGENT), &bic(owner), &accounts, from);
    let id = AgreementId::of(&terms);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let until = u64::try_from(now).expect("64 bits are enough") + 3_600_000;
    accepted(&bank, Order::propose_agreement(terms, until)).await;
    accepted(&agent, Order::answer_agreement(id, v1::AgreementAnswer::Accept)).await;
    id
}

/// Submits an order that the ledger must accept.
pub async fn accepted(client: &Client, order: Order) -> Outcome {
    let outcome = client.submit(order).await.expect("the ledger decides");
    assert!(outcome.is_accepted(), "{outcome:?}");
    outcome
}

/// The balance of an account in minor units, as its servicer sees it now.
pub async fn balance(agent: &Client, owner: &str, asset: &str) -> i64 {
    let answer = agent.balance(account(owner, asset), None).await.expect("the balance is told");
    answer.value.balance.expect("an account has a balance").minor_units
}
