//! Book entries and statements.

use super::Work;
use crate::{
    account::{Account, AccountId},
    bic::Bic,
    block::{CANDIDATES_MAX, Position, Side, TransferFact, Wants},
    hash::Hash,
    instruction::{BookEntry, Instruction, Statement},
    outcome::{Event, Outcome, State as OutcomeState},
    reason::Reason,
    reconciliation::{Book, LedgerItem},
    text,
};

/// What has to be read before entries can be matched.
pub(super) fn wants_of_entries(account: AccountId, items: &[(Hash, BookEntry)], wants: &mut Wants) {
    for (_, entry) in items {
        match entry.uetr {
            Some(uetr) => wants.uetrs.push(uetr),
            None if text::identifies(&entry.end_to_end_id) => {
                wants.references.push((account, entry.end_to_end_id.clone()));
            }
            None => {}
        }
    }
}

/// Whose book of an account an institution keeps; of an issuance account, the servicer's.
fn book_of(account: &Account, institution: &Bic) -> Option<Book> {
    if account.servicer == *institution {
        Some(Book::Servicer)
    } else if account.owner == *institution {
        Some(Book::Owner)
    } else {
        None
    }
}

impl Work<'_> {
    fn book_signed(&self, account: &AccountId, institution: &Bic) -> Result<(u32, Book), Reason> {
        let account = self.state.account(account).ok_or(Reason::AccountUnknown)?;
        let book = book_of(account, institution).ok_or(Reason::AccountUnknown)?;
        Ok((account.ordinal, book))
    }

    pub(super) fn book_entries(
        &mut self,
        place: u32,
        instruction: &Instruction,
        account: &AccountId,
        items: &[(Hash, BookEntry)],
    ) {
        let book = self.book_signed(account, &instruction.institution);
        for (number, (hash, entry)) in (1..).zip(items) {
            let (ordinal, book) = match book {
                Ok(book) => book,
                Err(reason) => {
                    let outcome = Outcome::rejected(reason);
                    self.push_leaf(place, instruction, number, *hash, outcome, Vec::new());
                    continue;
                }
            };
            self.index_references();
            let candidates = self.candidates(account, entry);
            let at = self.next_position();
            let effects = self.state.reconciliation.entry(
                ordinal,
                book,
                entry,
                &candidates,
                at,
                &mut self.records,
            );
            let effects = effects.iter().flat_map(|effect| effect.encode(account)).collect();
            let outcome = Outcome::of_event(OutcomeState::Recorded, Event::BookEntryRecorded);
            self.push_leaf(place, instruction, number, *hash, outcome, effects);
        }
    }

    /// Brings the index of references up to what this block has settled. Blocks without book
    /// entries do without it.
    fn index_references(&mut self) {
        let indexed = self.referenced..self.transfers.len();
        for (place, settled) in indexed.clone().zip(&self.transfers[indexed]) {
            let reference = settled.fact.end_to_end_id.clone();
            self.by_reference.entry(reference).or_default().push(place);
        }
        self.referenced = self.transfers.len();
    }

    /// The postings to an account with an entry's reference: those of history, then those of this
    /// block.
    fn candidates(&self, account: &AccountId, entry: &BookEntry) -> Vec<LedgerItem> {
        let own = |fact: &TransferFact| {
            if fact.debit == *account {
                Some(LedgerItem::of(fact, Side::Debit))
            } else if fact.credit == *account {
                Some(LedgerItem::of(fact, Side::Credit))
            } else {
                None
            }
        };
        let nothing = Vec::new();
        let candidates: Vec<LedgerItem> = match entry.uetr {
            Some(uetr) => {
                let history = self.facts.uetrs.get(&uetr).unwrap_or(&nothing).iter();
                let here = self.by_uetr.get(&uetr).into_iter().flatten();
                let here = here.map(|place| &self.transfers[*place].fact);
                history.chain(here).filter_map(own).take(CANDIDATES_MAX).collect()
            }
            None if text::identifies(&entry.end_to_end_id) => {
                let key = (*account, entry.end_to_end_id.clone());
                let history = self.facts.references.get(&key).unwrap_or(&nothing).iter();
                let here = self.by_reference.get(&entry.end_to_end_id).into_iter().flatten();
                let here = here.map(|place| &self.transfers[*place].fact);
                history.chain(here).filter_map(own).take(CANDIDATES_MAX).collect()
            }
            None => Vec::new(),
        };
        candidates
    }

    pub(super) fn statement(
        &mut self,
        place: u32,
        instruction: &Instruction,
        statement: &Statement,
    ) {
        let at = self.next_position();
        let (outcome, effects) = match self.try_statement(instruction, statement, at) {
            Ok(effects) => {
                (Outcome::of_event(OutcomeState::Recorded, Event::StatementRecorded), effects)
            }
            Err(reason) => (Outcome::rejected(reason), Vec::new()),
        };
        self.push_leaf(place, instruction, 0, Hash::ZERO, outcome, effects);
    }

    fn try_statement(
        &mut self,
        instruction: &Instruction,
        statement: &Statement,
        at: Position,
    ) -> Result<Vec<u8>, Reason> {
        let (ordinal, book) = self.book_signed(&statement.account, &instruction.institution)?;
        if self.state.reconciliation.has_statement(ordinal, book, &statement.id) {
            return Err(Reason::StatementDuplicate);
        }
        let key = (ordinal, statement.from, statement.to);
        let mut movements = self.facts.periods.get(&key).cloned().unwrap_or_default();
        movements.extend(self.movements.iter().filter(|movement| {
            movement.account == ordinal
                && statement.from <= movement.date
                && movement.date <= statement.to
        }));
        let effects = self.state.reconciliation.statement(
            ordinal,
            book,
            statement,
            &movements,
            at,
            &mut self.records,
        );
        Ok(effects.iter().flat_map(|effect| effect.encode(&statement.account)).collect())
    }
}
