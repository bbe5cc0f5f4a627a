//! An account that is reconciled: what it is, which party asks, and what is agreed.

use counterfoil_client::agreements::Agreement;
use counterfoil_client::reconciliation;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::asset::format_amount;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::words::{self, Between};
use crate::account_name::{AccountWord, SETTLEMENT};
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{amount, amount_json};
use crate::session::Session;

/// An account, as its parties see it.
pub struct Reconciled {
    /// Its id.
    pub id: AccountId,
    /// What it is.
    pub account: v1::Account,
    /// The party that asks; none if it is neither of the two.
    pub own: Option<Party>,
}

impl Reconciled {
    /// Looks an account up.
    pub async fn find(session: &Session, word: &AccountWord) -> Result<Reconciled, Failure> {
        Reconciled::of(session, word.id(session)?).await
    }

    /// The same, by its id.
    pub async fn of(session: &Session, id: AccountId) -> Result<Reconciled, Failure> {
        let account = session.client.balance(id, None).await?.value;
        let own = session.institution();
        let own = if account.servicer == own.as_str() {
            Some(Party::Servicer)
        } else if account.owner == own.as_str() {
            Some(Party::Owner)
        } else {
            None
        };
        Ok(Reconciled { id, account, own })
    }

    /// The agreement that governs it.
    pub async fn agreement(&self, session: &Session) -> Result<Agreement, Failure> {
        let found = session.client.agreement_of(self.id).await?;
        found.ok_or_else(|| {
            let message = format!("nothing is agreed about {}", self.title());
            Failure::new(Exit::NotFound, "NOTHING_AGREED", message)
                .fact("books are compared once both parties have signed an agreement")
                .fix(
                    "counterfoil recon agreement list shows what was offered; propose offers terms",
                )
        })
    }

    /// The comparison that is chosen, or else every one that is agreed.
    pub async fn comparisons(
        &self,
        session: &Session,
        chosen: Option<Between>,
    ) -> Result<Vec<v1::Comparison>, Failure> {
        match chosen {
            Some(between) => Ok(vec![between.message()]),
            None => {
                let agreement = self.agreement(session).await?;
                Ok(reconciliation::comparisons(&agreement.terms))
            }
        }
    }

    /// The party that asks, which has to be one of the two.
    pub fn party(&self, session: &Session) -> Result<Party, Failure> {
        self.own.ok_or_else(|| {
            let own = session.institution();
            let message = format!("{own} is neither the owner nor the servicer of this account");
            Failure::new(Exit::Permission, "NOT_A_PARTY", message)
                .fix("use a context of one of the two institutions")
        })
    }

    /// Digits after the decimal point.
    pub fn exponent(&self) -> u8 {
        u8::try_from(self.account.exponent).unwrap_or(0)
    }

    /// An amount without its asset.
    pub fn figure(&self, units: i128) -> String {
        format_amount(units, self.exponent())
    }

    /// An amount with its asset.
    pub fn amount(&self, units: i128) -> String {
        amount(units, self.exponent(), &self.account.asset)
    }

    /// An amount for programs.
    pub fn amount_json(&self, units: i128) -> Value {
        amount_json(units, self.exponent(), &self.account.asset)
    }

    /// Which, for people.
    pub fn title(&self) -> String {
        let v1::Account { servicer, owner, asset, name, .. } = &self.account;
        format!("{name} {asset} of {owner} at {servicer}")
    }

    /// How a command names an account of the same owner and asset by its name.
    pub fn sibling(&self, name: &str) -> String {
        let owner = match self.own {
            Some(Party::Owner) => String::new(),
            _ => format!("@{}", self.account.owner),
        };
        let name = if name == SETTLEMENT { String::new() } else { format!(":{name}") };
        format!("{}{owner}{name}", self.account.asset)
    }

    /// Which, for programs.
    pub fn json(&self) -> Value {
        let v1::Account { servicer, owner, asset, name, .. } = &self.account;
        json!({
            "id": self.id.to_string(),
            "servicer": servicer,
            "owner": owner,
            "asset": asset,
            "name": name,
            "party": self.own.map(|party| words::party(party.message())),
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The settlement account of a bank in francs, as its owner sees it.
    pub fn reconciled() -> Reconciled {
        let account = v1::Account {
            servicer: "SNBZCHZZXXX".to_owned(),
            owner: "BANKCHZZXXX".to_owned(),
            asset: "CHF".to_owned(),
            name: "SETTLEMENT".to_owned(),
            exponent: 2,
            ..v1::Account::default()
        };
        let id = AccountId::from_bytes(&[1; 16]).unwrap();
        Reconciled { id, account, own: Some(Party::Owner) }
    }
}
