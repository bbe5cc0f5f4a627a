//! The accounts that the load moves money between.

use std::collections::HashMap;

use counterfoil_client::{Order, instructions};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_proto::v1;

use super::Arguments;
use crate::account_name::{ISSUANCE, account_id, parse_asset};
use crate::context::Settings;
use crate::error::Failure;
use crate::exit::Exit;
use crate::progress::Progress;
use crate::session::Session;

/// Minor units that an account begins with, so that none runs dry while money goes round.
const FUNDS: u64 = 1_000_000_000;

/// An account with less than this is funded again.
const FUNDS_MIN: i64 = 100_000_000;

/// Transfers of one batch that funds accounts.
const BATCH: usize = 1_000;

impl Arguments {
    /// The accounts' ids; opens and funds those that need it.
    pub(super) async fn prepare_accounts(
        &self,
        session: &Session,
    ) -> Result<Vec<AccountId>, Failure> {
        let owner = session.institution();
        let servicer = session.settings.servicer()?;
        let ids = (0..self.accounts)
            .map(|number| account_id(&servicer, &owner, &self.asset, &name(number)))
            .collect::<Result<Vec<_>, _>>()?;
        let known = self.known(session).await?;
        let missing: Vec<u16> = (0..self.accounts)
            .filter(|number| !known.contains_key(&ids[usize::from(*number)]))
            .collect();
        // An issuance account may be negative: it needs no funds.
        let poor: Vec<AccountId> = ids
            .iter()
            .copied()
            .filter(|id| owner != servicer && known.get(id).is_none_or(|funds| *funds < FUNDS_MIN))
            .collect();
        if missing.is_empty() && poor.is_empty() {
            return Ok(ids);
        }
        let Some(context) = &self.servicer_context else {
            let message = "the accounts for the load are not there";
            return Err(Failure::new(Exit::Conflict, "BENCH_UNPREPARED", message)
                .fact(format!("{} to open, {} to fund", missing.len(), poor.len()))
                .fix(format!("give --servicer-context NAME, a context of {servicer}")));
        };
        let settings = Settings::of_context(context, session.settings.timeout)?;
        let agent = Session::signing_with(settings).await?;
        self.open(&agent, &servicer, &owner, &missing).await?;
        self.fund(&agent, &servicer, &poor).await?;
        Ok(ids)
    }

    /// Balances of the accounts that the caller sees.
    async fn known(&self, session: &Session) -> Result<HashMap<AccountId, i64>, Failure> {
        let accounts = session.client.accounts(Some(parse_asset(&self.asset)?)).all().await?;
        let balance =
            |account: &v1::Account| account.balance.as_ref().map(|money| money.minor_units);
        let entry = |account: &v1::Account| {
            Some((AccountId::from_bytes(&account.id)?, balance(account).unwrap_or_default()))
        };
        Ok(accounts.value.iter().filter_map(entry).collect())
    }

    async fn open(
        &self,
        agent: &Session,
        servicer: &Bic,
        owner: &Bic,
        missing: &[u16],
    ) -> Result<(), Failure> {
        let asset = parse_asset(&self.asset)?;
        let mut progress = Progress::new("opened");
        let opened = missing.iter().map(|number| (*owner, name(*number)));
        // The issuance account may be there: then it is refused, and that is well.
        let accounts = std::iter::once((*servicer, ISSUANCE.to_owned())).chain(opened);
        for (done, (owner, name)) in (0..).zip(accounts) {
            agent.submit(Order::open_account(servicer, &owner, &asset, &name)).await?;
            progress.set(done, missing.len().try_into().unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn fund(
        &self,
        agent: &Session,
        servicer: &Bic,
        poor: &[AccountId],
    ) -> Result<(), Failure> {
        let issuance = account_id(servicer, servicer, &self.asset, ISSUANCE)?;
        for accounts in poor.chunks(BATCH) {
            let transfer = |account: &AccountId| instructions::transfer(issuance, *account, FUNDS);
            let order = Order::transfers(accounts.iter().map(transfer).collect(), true);
            let outcome = agent.submit(order).await?;
            if let Some((_, rejection)) = outcome.rejections().next() {
                let message = "the accounts for the load cannot be funded";
                return Err(Failure::new(Exit::Rejected, rejection.name.as_str(), message)
                    .fix(&rejection.remedy));
            }
        }
        Ok(())
    }
}

fn name(number: u16) -> String {
    format!("BENCH-{number:04}")
}
