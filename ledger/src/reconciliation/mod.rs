//! Reconciliation: the entries of each bank's book of an account against the ledger's postings to
//! it. Rule version 1: an entry finds its posting by UETR, or else by end-to-end id; a statement
//! decides what is missing for the dates that it covers.
//!
//! "Here" is the ledger, "there" the book.

mod book;
mod record;
pub mod report;

use std::collections::BTreeMap;

pub use book::{BookState, Entry, StatementRecord, Status};
pub use record::KEY_LENGTH;

use crate::{
    account::AccountId,
    block::{CANDIDATES_MAX, Movement, Position, Side, TransferFact},
    date::Date,
    instruction::{BookEntry, Statement},
    uetr::Uetr,
};

/// Whose book of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Book {
    /// The account owner's.
    Owner = 1,
    /// The account servicer's.
    Servicer = 2,
}

impl Book {
    /// Both.
    pub const ALL: [Book; 2] = [Book::Owner, Book::Servicer];
}

/// How an entry and a posting differ; where several apply, the first is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum BreakKind {
    /// Same reference, other side.
    Direction = 1,
    /// Same reference, other amount.
    Amount = 2,
    /// Same reference, other date.
    Date = 3,
    /// The book has it once more.
    Duplicate = 4,
    /// The book has it, the ledger has not.
    MissingHere = 5,
    /// The ledger has it, the book has not.
    MissingThere = 6,
}

/// One posting to the account, as matching sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerItem {
    /// The transfer's leaf; with the account it names the posting.
    pub position: Position,
    /// As the account sees it.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Settlement date.
    pub date: Date,
}

impl LedgerItem {
    /// A transfer's posting to one of its accounts.
    pub fn of(fact: &TransferFact, side: Side) -> LedgerItem {
        LedgerItem { position: fact.position, side, amount: fact.amount, date: fact.date }
    }

    fn of_movement(movement: &Movement) -> LedgerItem {
        LedgerItem {
            position: movement.position,
            side: movement.side,
            amount: movement.amount,
            date: movement.date,
        }
    }

    /// How it differs from an entry with the same reference.
    fn difference(&self, side: Side, amount: u64, date: Date) -> Option<BreakKind> {
        if self.side != side {
            Some(BreakKind::Direction)
        } else if self.amount != amount {
            Some(BreakKind::Amount)
        } else if self.date != date {
            Some(BreakKind::Date)
        } else {
            None
        }
    }
}

/// A difference, from when it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Number within the account, from 1.
    pub number: u64,
    /// Whose book.
    pub book: Book,
    /// What differs.
    pub kind: BreakKind,
    /// The ledger's side, if it has one.
    pub ledger: Option<LedgerItem>,
    /// Number of the book's entry, if it has one.
    pub entry: Option<u64>,
    /// Where it was found.
    pub opened_at: Position,
    /// Where what was missing came.
    pub healed_at: Option<Position>,
}

/// What an instruction did to a book; part of its leaf's effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An entry and a posting agree.
    Matched {
        /// Whose book.
        book: Book,
        /// The entry.
        entry: u64,
        /// The posting.
        posting: Position,
    },
    /// A break was opened.
    Opened {
        /// Whose book.
        book: Book,
        /// Its number.
        number: u64,
        /// What differs.
        kind: BreakKind,
        /// The entry, if there is one.
        entry: Option<u64>,
        /// The posting, if there is one.
        posting: Option<Position>,
    },
    /// A break was healed.
    Healed {
        /// Whose book.
        book: Book,
        /// Its number.
        number: u64,
    },
}

/// Length of an effect in bytes.
pub const EFFECT_LENGTH: usize = 48;

impl Effect {
    /// 48 bytes: kind u8 (1 matched, 2 opened, 3 healed) · book u8 · break kind u8 · zero u8 ·
    /// account [16] · entry number u64 · posting height u64 · posting leaf u32 · break number u64;
    /// zero where there is none.
    pub fn encode(&self, account: &AccountId) -> [u8; EFFECT_LENGTH] {
        let (kind, book, break_kind, entry, posting, number) = match *self {
            Effect::Matched { book, entry, posting } => (1, book, 0, entry, Some(posting), 0),
            Effect::Opened { book, number, kind, entry, posting } => {
                (2, book, kind as u8, entry.unwrap_or(0), posting, number)
            }
            Effect::Healed { book, number } => (3, book, 0, 0, None, number),
        };
        let posting = posting.unwrap_or(Position { height: 0, leaf: 0 });
        let mut bytes = [0; EFFECT_LENGTH];
        bytes[..4].copy_from_slice(&[kind, book as u8, break_kind, 0]);
        bytes[4..20].copy_from_slice(account.as_bytes());
        bytes[20..28].copy_from_slice(&entry.to_be_bytes());
        bytes[28..36].copy_from_slice(&posting.height.to_be_bytes());
        bytes[36..40].copy_from_slice(&posting.leaf.to_be_bytes());
        bytes[40..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    /// Reads what `encode` wrote, with its account.
    pub fn decode(bytes: &[u8]) -> Option<(AccountId, Effect)> {
        let bytes: &[u8; EFFECT_LENGTH] = bytes.try_into().ok()?;
        let long = |at: usize| Some(u64::from_be_bytes(bytes[at..at + 8].try_into().ok()?));
        let account = AccountId::from_bytes(&bytes[4..20])?;
        let book = record::book(bytes[1])?;
        let (entry, number) = (long(20)?, long(40)?);
        let leaf = u32::from_be_bytes(bytes[36..40].try_into().ok()?);
        let posting = Position { height: long(28)?, leaf };
        let effect = match bytes[0] {
            1 => Effect::Matched { book, entry, posting },
            2 => Effect::Opened {
                book,
                number,
                kind: record::break_kind(bytes[2])?,
                entry: (entry != 0).then_some(entry),
                posting: (posting.height != 0).then_some(posting),
            },
            3 => Effect::Healed { book, number },
            _ => return None,
        };
        (effect.encode(&account) == *bytes).then_some((account, effect))
    }
}

/// All books of all accounts, and the breaks between them and the ledger.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    books: BTreeMap<(u32, Book), BookState>,
    breaks: BTreeMap<u32, Vec<Break>>,
}

/// Changed records for storage: key and value.
pub(crate) type Records = Vec<(Vec<u8>, Vec<u8>)>;

impl Reconciliation {
    /// A book of an account, once it has had an entry or a statement.
    pub fn book(&self, account: u32, book: Book) -> Option<&BookState> {
        self.books.get(&(account, book))
    }

    /// The breaks of an account, by number.
    pub fn breaks(&self, account: u32) -> &[Break] {
        self.breaks.get(&account).map_or(&[], Vec::as_slice)
    }

    /// Takes an entry into a book. `candidates` are the postings to the account with its reference,
    /// in ledger order.
    pub(crate) fn entry(
        &mut self,
        account: u32,
        book: Book,
        entry: &BookEntry,
        candidates: &[LedgerItem],
        at: Position,
        records: &mut Records,
    ) -> Vec<Effect> {
        let state = self.books.entry((account, book)).or_default();
        let number = state.add(entry, at);
        let differences =
            |item: &&LedgerItem| item.difference(entry.side, entry.amount, entry.date);
        let free = candidates.iter().filter(|item| !state.is_taken(&item.position));
        // No difference first, then the smallest one, then the oldest posting.
        let best = free.min_by_key(|item| std::cmp::Reverse(rank(differences(item))));
        let mut work =
            Marks { account, book, at, state, breaks: &mut self.breaks, effects: Vec::new() };
        match (best, candidates.first()) {
            (Some(item), _) => work.pair(number, *item, differences(&item)),
            (None, Some(taken)) => work.open(BreakKind::Duplicate, Some(*taken), Some(number)),
            (None, None) if work.state.covers(entry.date) => {
                work.open(BreakKind::MissingHere, None, Some(number));
            }
            (None, None) => {}
        }
        work.finish(&[number], records)
    }

    /// Shows a posting to the books of its account.
    pub(crate) fn posting(
        &mut self,
        account: u32,
        item: &LedgerItem,
        uetr: &Uetr,
        end_to_end_id: &str,
        at: Position,
        records: &mut Records,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for book in Book::ALL {
            let Some(state) = self.books.get_mut(&(account, book)) else { continue };
            let waiting = best_first(item, state.waiting(uetr, end_to_end_id));
            let covered = state.covers(item.date);
            let mut work =
                Marks { account, book, at, state, breaks: &mut self.breaks, effects: Vec::new() };
            match waiting.split_first() {
                Some(((number, difference), others)) => {
                    work.pair(*number, *item, *difference);
                    // The same as if they had come after the posting was paired.
                    others.iter().for_each(|(number, _)| work.duplicate(*number, *item));
                }
                None if covered => work.open(BreakKind::MissingThere, Some(*item), None),
                None => {}
            }
            let changed: Vec<u64> = waiting.iter().map(|(number, _)| *number).collect();
            effects.append(&mut work.finish(&changed, records));
        }
        effects
    }

    /// Whether a book has a statement with this identification.
    pub(crate) fn has_statement(&self, account: u32, book: Book, id: &str) -> bool {
        self.books.get(&(account, book)).is_some_and(|state| state.has_statement(id))
    }

    /// Takes a statement: what is without a counterpart on its dates is missing. `movements` are the
    /// account's with a settlement date that it covers.
    pub(crate) fn statement(
        &mut self,
        account: u32,
        book: Book,
        statement: &Statement,
        movements: &[Movement],
        at: Position,
        records: &mut Records,
    ) -> Vec<Effect> {
        let state = self.books.entry((account, book)).or_default();
        state.add_statement(statement, at);
        records.push(record::statement(account, book, state));
        let missing_here = state.undecided(statement.from, statement.to);
        let missing_there: Vec<LedgerItem> = movements
            .iter()
            .map(LedgerItem::of_movement)
            .filter(|item| !state.is_taken(&item.position) && !state.is_missing(&item.position))
            .collect();
        let mut work =
            Marks { account, book, at, state, breaks: &mut self.breaks, effects: Vec::new() };
        for number in &missing_here {
            work.open(BreakKind::MissingHere, None, Some(*number));
        }
        for item in missing_there {
            work.open(BreakKind::MissingThere, Some(item), None);
        }
        work.finish(&missing_here, records)
    }

    /// Rebuilds everything from storage's records.
    pub(crate) fn restore(
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Option<Reconciliation> {
        let mut all = Reconciliation::default();
        for (key, value) in records {
            match record::decode(&key, &value)? {
                record::Record::Entry(account, book, entry) => {
                    all.books.entry((account, book)).or_default().restore_entry(entry)?;
                }
                record::Record::Statement(account, book, statement) => {
                    all.books.entry((account, book)).or_default().restore_statement(statement);
                }
                record::Record::Break(account, found) => {
                    let breaks = all.breaks.entry(account).or_default();
                    breaks.push(found);
                    if breaks.last()?.number != u64::try_from(breaks.len()).ok()? {
                        return None;
                    }
                }
            }
        }
        for (account, breaks) in &all.breaks {
            for found in breaks {
                let state = all.books.entry((*account, found.book)).or_default();
                state.restore_break(found)?;
            }
        }
        all.consistent().then_some(all)
    }

    /// Whether every entry that stands in a break is the one that an open break of its book names.
    fn consistent(&self) -> bool {
        self.books.iter().all(|((account, book), state)| {
            state.entries().iter().all(|entry| {
                let Status::Broken(number) = entry.status else { return true };
                let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
                place.and_then(|place| self.breaks(*account).get(place)).is_some_and(|found| {
                    found.book == *book
                        && found.entry == Some(entry.number)
                        && found.healed_at.is_none()
                })
            })
        })
    }
}

/// The entries that a posting may be paired with, the best first, each with how it differs: those
/// that name its UETR before those that name its reference, then the smallest difference, then the
/// oldest entry.
fn best_first<'a>(
    item: &LedgerItem,
    waiting: impl Iterator<Item = &'a Entry>,
) -> Vec<(u64, Option<BreakKind>)> {
    let difference = |entry: &Entry| item.difference(entry.side, entry.amount, entry.date);
    let mut waiting: Vec<&Entry> = waiting.take(CANDIDATES_MAX).collect();
    waiting.sort_by_key(|entry| {
        (entry.uetr.is_none(), std::cmp::Reverse(rank(difference(entry))), entry.number)
    });
    waiting.into_iter().map(|entry| (entry.number, difference(entry))).collect()
}

/// Smaller differences rank higher.
fn rank(difference: Option<BreakKind>) -> u8 {
    match difference {
        None => 3,
        Some(BreakKind::Date) => 2,
        Some(BreakKind::Amount) => 1,
        Some(_) => 0,
    }
}

/// Marks one book and the breaks of its account.
struct Marks<'a> {
    account: u32,
    book: Book,
    at: Position,
    state: &'a mut BookState,
    breaks: &'a mut BTreeMap<u32, Vec<Break>>,
    effects: Vec<Effect>,
}

impl Marks<'_> {
    /// An entry and a posting belong together: they match, or differ.
    fn pair(&mut self, entry: u64, item: LedgerItem, difference: Option<BreakKind>) {
        for number in [self.state.break_of_entry(entry), self.state.missing_there(&item.position)] {
            number.into_iter().for_each(|number| self.heal(number));
        }
        match difference {
            None => {
                self.state.matched(entry, item, self.at);
                let (book, posting) = (self.book, item.position);
                self.effects.push(Effect::Matched { book, entry, posting });
            }
            Some(kind) => self.open(kind, Some(item), Some(entry)),
        }
    }

    /// The posting of an entry is paired with another one: the book has it once more.
    fn duplicate(&mut self, entry: u64, item: LedgerItem) {
        if let Some(number) = self.state.break_of_entry(entry) {
            let place = usize::try_from(number - 1).expect("a break's number is its place + 1");
            if self.breaks[&self.account][place].kind == BreakKind::Duplicate {
                return;
            }
            self.heal(number);
        }
        self.open(BreakKind::Duplicate, Some(item), Some(entry));
    }

    fn open(&mut self, kind: BreakKind, ledger: Option<LedgerItem>, entry: Option<u64>) {
        let breaks = self.breaks.entry(self.account).or_default();
        let number = u64::try_from(breaks.len()).expect("a count fits 64 bits") + 1;
        let (book, opened_at) = (self.book, self.at);
        let found = Break { number, book, kind, ledger, entry, opened_at, healed_at: None };
        self.state.broken(&found);
        breaks.push(found);
        let posting = ledger.map(|item| item.position);
        self.effects.push(Effect::Opened { book, number, kind, entry, posting });
    }

    fn heal(&mut self, number: u64) {
        let place = usize::try_from(number - 1).expect("a break's number is its place + 1");
        let breaks = self.breaks.get_mut(&self.account).expect("a break of this account is open");
        breaks[place].healed_at = Some(self.at);
        self.state.healed(&breaks[place]);
        self.effects.push(Effect::Healed { book: self.book, number });
    }

    /// Writes what changed: the given entries, and every break that an effect names.
    fn finish(self, entries: &[u64], records: &mut Records) -> Vec<Effect> {
        for number in entries {
            records.push(record::entry(self.account, self.book, self.state.entry(*number)));
        }
        for effect in &self.effects {
            let (Effect::Opened { number, .. } | Effect::Healed { number, .. }) = effect else {
                continue;
            };
            let place = usize::try_from(number - 1).expect("a break's number is its place + 1");
            records.push(record::broken(self.account, &self.breaks[&self.account][place]));
        }
        self.effects
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
