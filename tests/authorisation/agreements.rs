//! Agreements are their two parties': for everyone else they do not exist.

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::v1;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::{accepted, account};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire;
use prost::Message;
use tonic::Code;

use super::{channel, refusal};

const GET: &str = "/counterfoil.v1.ReconciliationService/GetAgreement";
const LIST: &str = "/counterfoil.v1.ReconciliationService/ListAgreements";

/// Terms between a bank and its agent, far enough ahead.
fn terms(bank: &str) -> v1::AgreementTerms {
    let (agent, bank_bic) = (Bic::parse(AGENT).unwrap(), Bic::parse(bank).unwrap());
    let day = Date::from_yyyymmdd(99_990_101).unwrap();
    instructions::agreement_terms(&agent, &bank_bic, &[account(bank, "CHF")], day)
}

fn in_an_hour() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap() + 3_600_000
}

fn about(id: &[u8]) -> Vec<u8> {
    v1::GetAgreementRequest { id: id.to_vec().into(), read_mode: 0 }.encode_to_vec()
}

/// A bank offers, the agent accepts; nobody else can tell that from nothing.
pub async fn are_their_parties(consortium: &Consortium) {
    let [partner, victim, third] = BANKS;
    let (owner, agent) = (consortium.client(victim), consortium.client(AGENT));
    let offered = terms(victim);
    let id = AgreementId::of(&offered);
    let nothing = AgreementId::from_bytes(&[7; 16]).unwrap();

    // Who is no party offers nothing, be the account there or not.
    for terms in [offered.clone(), terms_of_nothing(&nothing)] {
        let order = Order::propose_agreement(terms, in_an_hour());
        let refused = consortium.client(third).submit(order).await.unwrap();
        assert_eq!(refused.verdict.rejection.unwrap().name, "ACCOUNT_UNKNOWN");
    }
    accepted(&owner, Order::propose_agreement(offered.clone(), in_an_hour())).await;
    for outsider in [partner, third] {
        for asked in [id, nothing] {
            for answer in [v1::AgreementAnswer::Accept, v1::AgreementAnswer::Withdraw] {
                let order = Order::answer_agreement(asked, answer);
                let refused = consortium.client(outsider).submit(order).await.unwrap();
                assert_eq!(refused.verdict.rejection.unwrap().name, "AGREEMENT_UNKNOWN");
            }
        }
    }
    accepted(&agent, Order::answer_agreement(id, v1::AgreementAnswer::Accept)).await;

    let found = agent.agreement(id).await.unwrap().value;
    assert_eq!(found.terms.message(), offered);
    assert_eq!(found.summary.state(), v1::AgreementState::Active);
    assert_eq!(found.summary.proposed.as_ref().unwrap().by(), v1::Party::Owner);
    assert_eq!(found.summary.answered.as_ref().unwrap().by(), v1::Party::Servicer);
    reads(consortium, &id, &nothing).await;
}

/// Terms over an account that nobody has.
fn terms_of_nothing(id: &AgreementId) -> v1::AgreementTerms {
    let account = id.as_bytes().to_vec().into();
    v1::AgreementTerms { accounts: vec![v1::AgreementAccount { account }], ..terms(BANKS[1]) }
}

async fn reads(consortium: &Consortium, id: &AgreementId, nothing: &AgreementId) {
    let [partner, victim, third] = BANKS;
    for outsider in [partner, third] {
        for role in ["client", "auditor"] {
            let channel = channel(consortium, outsider, role).await;
            let told = refusal(&channel, GET, about(id.as_bytes())).await;
            assert_eq!(told, refusal(&channel, GET, about(nothing.as_bytes())).await);
            assert!(told.is(Code::NotFound, "NOT_FOUND"), "{outsider} {role}: {told:?}");
        }
    }
    // The first bank has an agreement of its own with the agent.
    for (institution, role, seen) in [
        (victim, "client", 1),
        (victim, "auditor", 1),
        (AGENT, "client", 2),
        (AGENT, "auditor", 2),
        (partner, "client", 1),
        (third, "auditor", 0),
    ] {
        let channel = channel(consortium, institution, role).await;
        let page = wire::call(&channel, LIST, Vec::new()).await.unwrap().unwrap();
        let page = v1::ListAgreementsResponse::decode(page).unwrap();
        assert_eq!(page.agreements.len(), seen, "{institution} {role}");
        let ids: Vec<_> = page.agreements.iter().map(|it| it.id.clone()).collect();
        if ids.iter().any(|it| *it == id.as_bytes()[..]) {
            assert!(wire::call(&channel, GET, about(id.as_bytes())).await.unwrap().is_some());
        }
    }
}
