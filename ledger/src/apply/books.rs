//! What institutions tell of their books, and decide about them.

use super::Work;
use crate::{
    account::{Account, AccountId},
    agreement::Party,
    bic::Bic,
    date::Date,
    hash::Hash,
    instruction::{BookEntry, Instruction, Statement},
    outcome::{Event, Outcome, State as OutcomeState},
    reason::Reason,
    reconciliation::{
        Accounts, Governed, Reconciliation, book_of, compares,
        orders::{DecideMatch, SignPosition},
        sheet::Moment,
    },
    state::State,
};

/// What was done, or why not.
type Done = Result<Vec<u8>, Reason>;

impl Work<'_> {
    /// Where and when the next leaf's effects happen.
    pub(super) fn moment(&self) -> Moment {
        Moment { at: self.next_position(), time_ms: self.block_time_ms }
    }

    pub(super) fn book_entries(
        &mut self,
        place: u32,
        instruction: &Instruction,
        account: &AccountId,
        items: &[(Hash, BookEntry)],
    ) {
        let signer = &instruction.institution;
        for (number, (hash, entry)) in (1..).zip(items) {
            let now = self.moment();
            let done = self.with_governed(account, signer, entry.date, |all, governed, _| {
                let source = book_of(governed.account, signer).ok_or(Reason::AccountUnknown)?;
                if !compares(governed.terms, source) {
                    return Err(Reason::NotReconciled);
                }
                if entry.expected {
                    return Ok(Vec::new());
                }
                Ok(all.entry(governed, source, (entry, *hash), now))
            });
            let event = Event::BookEntryRecorded;
            self.push_done(place, instruction, (number, *hash), event, done);
        }
    }

    pub(super) fn statement(
        &mut self,
        place: u32,
        instruction: &Instruction,
        statement: &Statement,
    ) {
        let (now, signer) = (self.moment(), &instruction.institution);
        let account = &statement.account;
        let done = self.with_governed(account, signer, statement.to, |all, governed, _| {
            let source = book_of(governed.account, signer).ok_or(Reason::AccountUnknown)?;
            if !compares(governed.terms, source) {
                return Err(Reason::NotReconciled);
            }
            all.statement(governed, source, statement, now)
        });
        let event = Event::StatementRecorded;
        self.push_done(place, instruction, (0, Hash::ZERO), event, done);
    }

    pub(super) fn run_matching(
        &mut self,
        place: u32,
        instruction: &Instruction,
        account: &AccountId,
        drawn: &[u8; 16],
    ) {
        let (now, signer) = (self.moment(), &instruction.institution);
        let done = self
            .with_newest(account, signer, |all, governed, _| all.begin_run(governed, drawn, now));
        self.push_done(place, instruction, (0, Hash::ZERO), Event::MatchingRun, done);
    }

    pub(super) fn decide_match(
        &mut self,
        place: u32,
        instruction: &Instruction,
        order: &DecideMatch,
    ) {
        let (now, signer) = (self.moment(), &instruction.institution);
        let done = self.with_newest(&order.account, signer, |all, governed, party| {
            all.decide(governed, order, party, now)
        });
        self.push_done(place, instruction, (0, Hash::ZERO), Event::MatchDecided, done);
    }

    pub(super) fn sign_position(
        &mut self,
        place: u32,
        instruction: &Instruction,
        order: &SignPosition,
    ) {
        let (now, signer) = (self.moment(), &instruction.institution);
        let done =
            self.with_governed(&order.account, signer, order.date, |all, governed, party| {
                all.sign_position(governed, order, party, now)
            });
        self.push_done(place, instruction, (0, Hash::ZERO), Event::PositionSigned, done);
    }

    /// Does something under the agreement that governs an account on a date, for one of its parties.
    pub(super) fn with_governed(
        &mut self,
        account: &AccountId,
        signer: &Bic,
        date: Date,
        act: impl FnOnce(&mut Reconciliation, Governed<'_>, Party) -> Done,
    ) -> Done {
        let State { agreements, accounts, ordinals, reconciliation, .. } = &mut *self.state;
        let accounts = Accounts { all: accounts, ordinals };
        let account = known(accounts, account, signer)?;
        let governed =
            Governed::on(agreements, accounts, account, date).ok_or(Reason::NotReconciled)?;
        let party = governed.terms.party(signer).ok_or(Reason::AccountUnknown)?;
        act(reconciliation, governed, party)
    }

    /// The same under the newest agreement of an account, whatever its dates.
    pub(super) fn with_newest(
        &mut self,
        account: &AccountId,
        signer: &Bic,
        act: impl FnOnce(&mut Reconciliation, Governed<'_>, Party) -> Done,
    ) -> Done {
        let State { agreements, accounts, ordinals, reconciliation, .. } = &mut *self.state;
        let accounts = Accounts { all: accounts, ordinals };
        let account = known(accounts, account, signer)?;
        let newest = agreements.newest(&account.id).ok_or(Reason::NotReconciled)?;
        let governed = Governed { account, terms: &newest.terms, accounts };
        let party = governed.terms.party(signer).ok_or(Reason::AccountUnknown)?;
        act(reconciliation, governed, party)
    }

    pub(super) fn push_done(
        &mut self,
        place: u32,
        instruction: &Instruction,
        (item, item_hash): (u32, Hash),
        event: Event,
        done: Done,
    ) {
        let (outcome, effects) = match done {
            Ok(effects) => (Outcome::of_event(OutcomeState::Recorded, event), effects),
            Err(reason) => (Outcome::rejected(reason), Vec::new()),
        };
        self.push_leaf(place, instruction, item, item_hash, outcome, effects);
    }
}

/// An account of which the signer is a party; to others it is as if it did not exist.
fn known<'a>(accounts: Accounts<'a>, id: &AccountId, signer: &Bic) -> Result<&'a Account, Reason> {
    let account = accounts.get(id).filter(|it| it.servicer == *signer || it.owner == *signer);
    account.ok_or(Reason::AccountUnknown)
}
