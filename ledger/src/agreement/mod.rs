//! Agreements: how two institutions reconcile accounts between them. One offers terms, the other takes
//! them; both instructions stand on the ledger for ever, and the agreement names both.

pub mod calendar;
mod order;
mod record;
pub mod terms;
pub mod tolerance;

use std::collections::BTreeMap;

pub use order::{Answer, AnswerAgreement, OFFER_MS_MAX, ProposeAgreement};
pub use terms::{AgreementId, Party, Terms};

pub(crate) use record::is_agreement;

use crate::{
    account::AccountId, bic::Bic, block::Position, date::Date, id::InstructionId, reason::Reason,
};

/// The rules of matching that this program knows.
pub const RULE_SET: u32 = 1;

/// What a party did, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who signed.
    pub by: Party,
    /// The instruction's leaf.
    pub position: Position,
    /// Its block's time, Unix milliseconds.
    pub time_ms: u64,
    /// The instruction's id.
    pub instruction: InstructionId,
}

/// What has become of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgreementState {
    /// It can be answered.
    Proposed,
    /// It was accepted: it governs value dates from its effective date on.
    Active,
    /// The other party does not want it.
    Rejected,
    /// Who offered it took it back.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
    /// Another agreement has taken its place; it governs the value dates before.
    Superseded,
}

/// The agreement that takes the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Which.
    pub id: AgreementId,
    /// First value date that it governs.
    pub from: Date,
    /// Where it was accepted.
    pub accepted_at: Position,
}

/// Terms that were offered, and what has become of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// In the order of offers, from 1.
    pub number: u64,
    /// Over the terms' bytes.
    pub id: AgreementId,
    /// What was offered.
    pub terms: Terms,
    /// By whom, and where.
    pub proposed: Step,
    /// Block time after which it can no longer be answered, Unix milliseconds.
    pub accept_until_ms: u64,
    /// The answer, if there is one.
    pub answered: Option<(Answer, Step)>,
    /// What takes its place, once that is accepted.
    pub superseded: Option<Successor>,
}

impl Agreement {
    /// Whether both parties have signed.
    pub fn is_accepted(&self) -> bool {
        matches!(self.answered, Some((Answer::Accept, _)))
    }

    /// Whether an answer is one that a party can give: the other one accepts or rejects, the one that
    /// offered withdraws.
    pub fn may_answer(&self, answer: Answer, by: Party) -> bool {
        (by == self.proposed.by) == (answer == Answer::Withdraw)
    }

    /// Its state after a block, by the height and time of that block; none if it was offered later.
    pub fn state_at(&self, height: u64, time_ms: u64) -> Option<AgreementState> {
        if self.proposed.position.height > height {
            return None;
        }
        let answered = self.answered.filter(|(_, step)| step.position.height <= height);
        let (today, _) = self.terms.calendar.local(time_ms);
        let superseded = self
            .superseded
            .is_some_and(|next| next.accepted_at.height <= height && next.from <= today);
        Some(match answered {
            Some((Answer::Accept, _)) if superseded => AgreementState::Superseded,
            Some((Answer::Accept, _)) => AgreementState::Active,
            Some((Answer::Reject, _)) => AgreementState::Rejected,
            Some((Answer::Withdraw, _)) => AgreementState::Withdrawn,
            None if time_ms > self.accept_until_ms => AgreementState::Expired,
            None => AgreementState::Proposed,
        })
    }
}

/// What governs an account from a value date on; none where an agreement ended.
type Reign = (Date, Option<u64>);

/// Every agreement that was ever offered.
#[derive(Clone, Debug, Default)]
pub struct Agreements {
    /// By number.
    all: Vec<Agreement>,
    numbers: BTreeMap<AgreementId, u64>,
    /// Numbers of the agreements of an institution, ascending.
    parties: BTreeMap<Bic, Vec<u64>>,
    /// By the date from which, ascending.
    reigns: BTreeMap<AccountId, Vec<Reign>>,
}

impl Agreements {
    /// An agreement by its id.
    pub fn get(&self, id: &AgreementId) -> Option<&Agreement> {
        self.at(*self.numbers.get(id)?)
    }

    /// An agreement by its number.
    pub fn at(&self, number: u64) -> Option<&Agreement> {
        self.all.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// All, by number.
    pub fn all(&self) -> &[Agreement] {
        &self.all
    }

    /// Those that an institution is a party of, after a number, in their order.
    pub fn of<'a>(
        &'a self,
        institution: &Bic,
        after: u64,
    ) -> impl Iterator<Item = &'a Agreement> + use<'a> {
        let numbers = self.parties.get(institution).map_or(&[][..], Vec::as_slice);
        let start = numbers.partition_point(|number| *number <= after);
        numbers[start..].iter().filter_map(|number| self.at(*number))
    }

    /// The agreement that governs the items of an account with a value date.
    pub fn governing(&self, account: &AccountId, value_date: Date) -> Option<&Agreement> {
        let reigns = self.reigns.get(account)?;
        let next = reigns.partition_point(|(from, _)| *from <= value_date);
        let (_, number) = reigns.get(next.checked_sub(1)?)?;
        self.at((*number)?)
    }

    /// The newest agreement of an account that both parties have signed, whether it governs already or
    /// only from a date to come.
    pub fn newest(&self, account: &AccountId) -> Option<&Agreement> {
        let (_, number) = self.reigns.get(account)?.last()?;
        self.at((*number)?)
    }

    /// Whether terms can take effect beside what has been agreed: reasons 810 to 812.
    pub(crate) fn admit(&self, terms: &Terms) -> Result<(), Reason> {
        let replaced = self.replaced(terms)?;
        let last = |account| self.reigns.get(account).and_then(|reigns| reigns.last());
        let number = replaced.map(|it| it.number);
        let governed = |(_, by): &Reign| by.is_some() && *by != number;
        if terms.accounts.iter().filter_map(last).any(governed) {
            return Err(Reason::AccountGoverned);
        }
        let late = replaced.is_none_or(|it| it.terms.effective_from < terms.effective_from);
        let free = |(from, _): &Reign| *from <= terms.effective_from;
        if !late || !terms.accounts.iter().filter_map(last).all(free) {
            return Err(Reason::EffectiveDateTooEarly);
        }
        Ok(())
    }

    /// The agreement in force that terms take the place of, if they name one.
    fn replaced(&self, terms: &Terms) -> Result<Option<&Agreement>, Reason> {
        let Some(id) = &terms.supersedes else { return Ok(None) };
        let in_force = |it: &&Agreement| {
            (it.terms.servicer, it.terms.owner) == (terms.servicer, terms.owner)
                && it.is_accepted()
                && it.superseded.is_none()
        };
        self.get(id).filter(in_force).map(Some).ok_or(Reason::SupersededNotInForce)
    }

    /// Takes an offer that was found good, and gives its record.
    pub(crate) fn propose(
        &mut self,
        offer: ProposeAgreement,
        proposed: Step,
    ) -> (Vec<u8>, Vec<u8>) {
        let number = u64::try_from(self.all.len()).expect("a count fits 64 bits") + 1;
        let ProposeAgreement { id, terms, accept_until_ms } = offer;
        let agreement = Agreement {
            number,
            id,
            terms,
            proposed,
            accept_until_ms,
            answered: None,
            superseded: None,
        };
        let record = record::encode(&agreement);
        self.insert(agreement);
        record
    }

    /// Takes an answer that was found good, and gives the agreement's record.
    pub(crate) fn answer(&mut self, number: u64, answer: Answer, step: Step) -> (Vec<u8>, Vec<u8>) {
        let agreement = self.at_mut(number);
        agreement.answered = Some((answer, step));
        let record = record::encode(agreement);
        if answer == Answer::Accept {
            self.take_effect(number, step.position);
        }
        record
    }

    /// Lets an accepted agreement govern its accounts from its date on, and ends what it takes the place
    /// of.
    fn take_effect(&mut self, number: u64, accepted_at: Position) {
        let agreement = self.at_mut(number);
        let (id, from) = (agreement.id, agreement.terms.effective_from);
        let (accounts, supersedes) = (agreement.terms.accounts.clone(), agreement.terms.supersedes);
        let replaced = supersedes.and_then(|id| self.numbers.get(&id).copied());
        if let Some(replaced) = replaced {
            let replaced = self.at_mut(replaced);
            replaced.superseded = Some(Successor { id, from, accepted_at });
            let mut dropped = replaced.terms.accounts.clone();
            dropped.retain(|account| !accounts.contains(account));
            for account in dropped {
                self.reigns.entry(account).or_default().push((from, None));
            }
        }
        for account in accounts {
            self.reigns.entry(account).or_default().push((from, Some(number)));
        }
    }

    fn insert(&mut self, agreement: Agreement) {
        self.numbers.insert(agreement.id, agreement.number);
        for party in [agreement.terms.servicer, agreement.terms.owner] {
            self.parties.entry(party).or_default().push(agreement.number);
        }
        self.all.push(agreement);
    }

    fn at_mut(&mut self, number: u64) -> &mut Agreement {
        let place = usize::try_from(number - 1).expect("agreements are in memory");
        &mut self.all[place]
    }

    /// Rebuilds everything from storage's records, in the order of their keys.
    pub(crate) fn restore(
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Option<Agreements> {
        let mut agreements = Agreements::default();
        let mut accepted = Vec::new();
        for (key, value) in records {
            let agreement = record::decode(&key, &value)?;
            let expected = u64::try_from(agreements.all.len()).ok()? + 1;
            if agreement.number != expected || agreements.numbers.contains_key(&agreement.id) {
                return None;
            }
            if let Some((Answer::Accept, step)) = agreement.answered {
                accepted.push((step.position, agreement.number));
            }
            agreements.insert(agreement);
        }
        // They took effect in the order in which they were accepted.
        accepted.sort_unstable();
        for (position, number) in accepted {
            agreements.admit(&agreements.at(number)?.terms).ok()?;
            agreements.take_effect(number, position);
        }
        Some(agreements)
    }
}
#[cfg(test)]
mod tests;
