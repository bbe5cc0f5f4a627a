//! What people order in reconciliation: matching now, decisions on matches, steps of the work on a
//! break, signed positions. Each is an [`Order`] like any other.
//!
//! ```
//! # use counterfoil_client::{orders, v1, AccountId, Bic, Order};
//! # let agent = Bic::parse("AGNTCHZZ")?;
//! # let account = AccountId::of(&agent, &Bic::parse("BANKCHZZ")?, "CHF", "settlement");
//! let why = orders::Committed::to("The fee is what we agreed in March.");
//! let charge = v1::ProposeResolution {
//!     commitment: why.commitment(),
//!     ..orders::resolution(v1::ResolutionKind::ChargeAccepted)
//! };
//! let order = Order::propose_resolution(account, 12, charge);
//! # Ok::<(), counterfoil_ledger::bic::BicError>(())
//! ```

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_proto::v1;
use counterfoil_proto::v1::instruction::Body as Ordered;
use counterfoil_proto::v1::work_break::Action;

use crate::instructions::{Order, salt};
use crate::random;

/// A text that does not go on the ledger, and the salt with which the ledger keeps its hash. Who is
/// given both can compute the hash; who has the hash alone can guess nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Random, and not on the ledger.
    pub salt: [u8; 16],
    /// What is said.
    pub text: String,
}

impl Committed {
    /// Commits to a text with a new salt.
    pub fn to(text: impl Into<String>) -> Committed {
        Committed { salt: random::bytes(), text: text.into() }
    }

    /// What the ledger keeps: SHA-256 over the salt and the text in UTF-8.
    pub fn commitment(&self) -> Bytes {
        bytes_of(&Hash::of_parts(&[&self.salt, self.text.as_bytes()]))
    }
}

/// A way to end a break that moves no money and gives no reason. Fields are set by name; a transfer
/// is named by amount and both accounts: see [`transfer_of`].
pub fn resolution(kind: v1::ResolutionKind) -> v1::ProposeResolution {
    v1::ProposeResolution { kind: kind.into(), ..v1::ProposeResolution::default() }
}

/// The transfer that an offer names, for its payer to sign with [`Order::agree_resolution`]; none if
/// the offer moves no money.
pub fn transfer_of(offer: &v1::ProposeResolution) -> Option<v1::Transfer> {
    use v1::ResolutionKind::{CorrectingTransfer, Return};
    if !matches!(offer.kind(), CorrectingTransfer | Return) {
        return None;
    }
    let account = |bytes: &[u8]| AccountId::from_bytes(bytes);
    let (debit, credit) = (account(&offer.debit_account)?, account(&offer.credit_account)?);
    Some(crate::instructions::transfer(debit, credit, offer.amount))
}

/// What is said in the conversation about a break; at least one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saying {
    /// A code of ISO 20022 ExternalInvestigationExecutionConfirmation1Code, four characters such as
    /// `IPAY`; or empty.
    pub code: String,
    /// A text, of which the ledger keeps a salted hash.
    pub text: Option<Committed>,
    /// SHA-256 of a document.
    pub attachment: Option<Hash>,
}

impl Order {
    /// Lets the passes over all open items of an account run now.
    pub fn run_matching(account: AccountId) -> Order {
        Order::single(Ordered::RunMatching(v1::RunMatching {
            account: id_of(account),
            salt: salt(),
        }))
    }

    /// Decides what belongs together: items of the first and of the second source of a comparison, by
    /// their numbers, at most 64 of each.
    pub fn decide_match(
        account: AccountId,
        comparison: v1::Comparison,
        items: [&[u64]; 2],
        decision: v1::MatchDecision,
        why: Option<&Committed>,
    ) -> Order {
        let [first, second] = items.map(|numbers| {
            let mut numbers = numbers.to_vec();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into_iter().map(|number| v1::ItemNumber { number }).collect()
        });
        Order::single(Ordered::DecideMatch(v1::DecideMatch {
            account: id_of(account),
            comparison: comparison.into(),
            first,
            second,
            decision: decision.into(),
            commitment: reason(why),
            salt: salt(),
        }))
    }

    /// Takes a break over, or gives it to the other party.
    pub fn assign_break(account: AccountId, number: u64, to: Party) -> Order {
        work(account, number, Action::Assign(v1::AssignBreak { owner: to.message().into() }))
    }

    /// Says something about a break to the other party.
    pub fn say_of_break(account: AccountId, number: u64, said: &Saying) -> Order {
        let attachment = said.attachment.as_ref().map(bytes_of).unwrap_or_default();
        let commitment = reason(said.text.as_ref());
        let said = v1::SayOfBreak { code: said.code.clone(), commitment, attachment };
        work(account, number, Action::Say(said))
    }

    /// Offers a way to end a break.
    pub fn propose_resolution(
        account: AccountId,
        number: u64,
        offer: v1::ProposeResolution,
    ) -> Order {
        work(account, number, Action::Propose(offer))
    }

    /// Agrees to an offer as it was made. With a transfer its payer pays, and the break ends in the
    /// step in which that settles.
    pub fn agree_resolution(
        account: AccountId,
        number: u64,
        offer: v1::ProposeResolution,
        transfer: Option<v1::Transfer>,
    ) -> Order {
        let agreed = v1::AgreeResolution { offer: Some(offer), transfer };
        work(account, number, Action::Agree(agreed))
    }

    /// Does not take the offer of the other party, or takes the own one back.
    pub fn decline_resolution(account: AccountId, number: u64, why: Option<&Committed>) -> Order {
        let declined = v1::DeclineResolution { commitment: reason(why) };
        work(account, number, Action::Decline(declined))
    }

    /// A resolution was none: the break is open again.
    pub fn reopen_break(account: AccountId, number: u64, why: Option<&Committed>) -> Order {
        work(account, number, Action::Reopen(v1::ReopenBreak { commitment: reason(why) }))
    }

    /// Signs a view of a day: figures that the signer has computed from its own book, or has compared
    /// with it.
    pub fn sign_position(account: AccountId, date: Date, figures: &v1::DayFigures) -> Order {
        Order::single(Ordered::SignPosition(v1::SignPosition {
            account: id_of(account),
            date: date.yyyymmdd(),
            opening_balance: figures.opening_balance,
            credit_count: figures.credit_count,
            credits: figures.credits,
            debit_count: figures.debit_count,
            debits: figures.debits,
            closing_balance: figures.closing_balance,
            digest: figures.digest.clone(),
            salt: salt(),
        }))
    }
}

fn work(account: AccountId, number: u64, action: Action) -> Order {
    let step =
        v1::WorkBreak { account: id_of(account), number, salt: salt(), action: Some(action) };
    Order::single(Ordered::WorkBreak(Box::new(step)))
}

fn id_of(account: AccountId) -> Bytes {
    Bytes::copy_from_slice(account.as_bytes())
}

fn bytes_of(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash.as_bytes())
}

fn reason(why: Option<&Committed>) -> Bytes {
    why.map(Committed::commitment).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::signature::SoftwareSigner;
    use prost::Message;

    use super::*;
    use crate::instructions::Signed;

    fn account(name: &str) -> AccountId {
        let bic = Bic::parse("BANKCHZZ").unwrap();
        AccountId::of(&bic, &bic, "CHF", name)
    }

    fn transferring() -> v1::ProposeResolution {
        v1::ProposeResolution {
            amount: 100,
            debit_account: id_of(account("a")),
            credit_account: id_of(account("b")),
            ..resolution(v1::ResolutionKind::CorrectingTransfer)
        }
    }

    #[test]
    fn every_order_has_a_shape_that_the_ledger_takes() {
        let (id, why) = (account("a"), Committed::to("why"));
        let said = Saying {
            code: "IPAY".to_owned(),
            text: Some(why.clone()),
            attachment: Some(Hash::of(b"document")),
        };
        let transfer = transfer_of(&transferring());
        assert!(transfer.is_some());
        let plain = resolution(v1::ResolutionKind::NoAction);
        assert!(transfer_of(&plain).is_none());
        let date = Date::from_yyyymmdd(20_261_123).unwrap();
        let figures = v1::DayFigures {
            opening_balance: -5,
            closing_balance: -5,
            digest: vec![7; 32].into(),
            ..v1::DayFigures::default()
        };
        let comparison = v1::Comparison::OwnerServicer;
        let orders = [
            Order::run_matching(id),
            Order::decide_match(
                id,
                comparison,
                [&[3, 1, 3], &[2]],
                v1::MatchDecision::Confirm,
                Some(&why),
            ),
            Order::assign_break(id, 1, Party::Owner),
            Order::say_of_break(id, 1, &said),
            Order::propose_resolution(id, 1, plain),
            Order::agree_resolution(id, 1, transferring(), transfer),
            Order::decline_resolution(id, 1, None),
            Order::reopen_break(id, 1, Some(&why)),
            Order::sign_position(id, date, &figures),
        ];
        let signer = SoftwareSigner::from_ed25519_seed(&[7; 32]);
        let bic = Bic::parse("BANKCHZZ").unwrap();
        for order in orders {
            let said = format!("{order:?}");
            let message = order.draft(&bic).sign(&signer, &Hash::of(b"chain")).unwrap();
            let signed = Signed::from_bytes(message.encode_to_vec().into());
            assert!(signed.is_ok(), "{said}: {signed:?}");
        }
    }

    #[test]
    fn a_commitment_is_to_salt_and_text() {
        let said = Committed::to("paid on Monday");
        assert_eq!(said.commitment(), said.clone().commitment());
        assert_ne!(said.commitment(), Committed::to("paid on Monday").commitment());
    }
}
