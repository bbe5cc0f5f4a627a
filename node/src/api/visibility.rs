//! What a caller sees of the ledger: what its institution is party to; everything, if it is an
//! auditor whose scope is the consortium. What it may not see looks exactly like what does not
//! exist.

use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::Agreement;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::registry::Registry;

use crate::identity::Identity;
use crate::identity::Role;

/// What a caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The caller's institution.
    pub(super) institution: Bic,
    /// It sees what others are party to, too.
    pub(super) consortium: bool,
}

impl Scope {
    /// What someone sees.
    pub(super) fn of(identity: &Identity, registry: &Registry) -> Scope {
        let institution = identity.institution;
        let audits = registry.institution(&institution).is_some_and(|it| it.audits_consortium);
        Scope { institution, consortium: audits && identity.role == Role::Auditor }
    }

    /// Whether an account, with its postings and its books, is seen.
    pub(super) fn sees_account(&self, account: &Account) -> bool {
        self.consortium || account.owner == self.institution || account.servicer == self.institution
    }

    /// Whether a transfer is seen. One that settled is its accounts' parties'; one that was refused
    /// is its sender's alone: it says how the sender stands, and did nothing to the others.
    pub(super) fn sees_transfer(
        &self,
        sender: &Bic,
        settled: bool,
        accounts: [Option<&Account>; 2],
    ) -> bool {
        self.consortium
            || self.is(sender)
            || settled && accounts.into_iter().flatten().any(|it| self.sees_account(it))
    }

    /// Whether an agreement, or an offer of one, is seen.
    pub(super) fn sees_agreement(&self, agreement: &Agreement) -> bool {
        self.consortium || agreement.terms.party(&self.institution).is_some()
    }

    /// Whether this is the caller's own institution.
    pub(super) fn is(&self, institution: &Bic) -> bool {
        self.institution == *institution
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::account::AccountId;
    use counterfoil_ledger::asset::AssetCode;
    use counterfoil_ledger::hash::Hash;

    use super::*;

    fn bic(text: &str) -> Bic {
        Bic::parse(text).unwrap()
    }

    fn account(servicer: &str, owner: &str) -> Account {
        let (servicer, owner) = (bic(servicer), bic(owner));
        Account {
            ordinal: 0,
            id: AccountId::of(&servicer, &owner, "CHF", "main"),
            servicer,
            owner,
            asset: AssetCode::parse("CHF").unwrap(),
            name: "main".to_owned(),
            balance: 0,
            posting_count: 0,
            head: Hash::ZERO,
        }
    }

    fn scope(institution: &str) -> Scope {
        Scope { institution: bic(institution), consortium: false }
    }

    #[test]
    fn an_account_is_its_owners_and_its_servicers() {
        let account = account("AGENCHZZ", "BANKCHAA");
        assert!(scope("AGENCHZZ").sees_account(&account));
        assert!(scope("BANKCHAA").sees_account(&account));
        assert!(!scope("BANKCHBB").sees_account(&account));
        let supervisor = Scope { consortium: true, ..scope("SUPECHZZ") };
        assert!(supervisor.sees_account(&account));
    }

    #[test]
    fn a_refusal_is_its_senders_alone() {
        let (from, to) = (account("AGENCHZZ", "BANKCHAA"), account("AGENCHZZ", "BANKCHBB"));
        let accounts = [Some(&from), Some(&to)];
        let sender = bic("BANKCHAA");
        for (institution, settled, refused) in [
            ("BANKCHAA", true, true),
            ("BANKCHBB", true, false),
            ("AGENCHZZ", true, false),
            ("BANKCHCC", false, false),
        ] {
            let scope = scope(institution);
            assert_eq!(scope.sees_transfer(&sender, true, accounts), settled, "{institution}");
            assert_eq!(scope.sees_transfer(&sender, false, accounts), refused, "{institution}");
        }
        assert!(!scope("BANKCHBB").sees_transfer(&sender, true, [None, None]));
    }
}
