//! One book of one account: its entries, what they are paired with, and its statements.

use std::collections::{BTreeMap, BTreeSet};

use super::{Break, BreakKind, LedgerItem};
use crate::{
    block::{Position, Side},
    date::Date,
    instruction::{BookEntry, Statement},
    text,
    uetr::Uetr,
};

/// A book entry, from when it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number in this book, from 1.
    pub number: u64,
    /// Where it was recorded.
    pub position: Position,
    /// As the account sees it.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Value date, or else the booking date.
    pub date: Date,
    /// The book's own reference.
    pub entry_reference: String,
    /// If the book knows it.
    pub uetr: Option<Uetr>,
    /// May be empty.
    pub end_to_end_id: String,
    /// What has become of it.
    pub status: Status,
}

/// What has become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No counterpart yet, and no statement has decided that it is missing.
    Open,
    /// Agrees with a posting, since a position.
    Matched(LedgerItem, Position),
    /// Stands in the break with this number.
    Broken(u64),
}

/// A statement that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRecord {
    /// Its place in this book, from 1.
    pub number: u64,
    /// Its own identification.
    pub id: String,
    /// First date.
    pub from: Date,
    /// Last date.
    pub to: Date,
    /// Booked balance before the first date, minor units.
    pub opening: i64,
    /// Booked balance after the last date.
    pub closing: i64,
    /// Where it was recorded.
    pub position: Position,
}

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MatchKey {
    Uetr(Uetr),
    Reference(String),
}

impl Entry {
    /// By UETR, or else by end-to-end id, or by nothing.
    fn key(&self) -> Option<MatchKey> {
        match self.uetr {
            Some(uetr) => Some(MatchKey::Uetr(uetr)),
            None => text::identifies(&self.end_to_end_id)
                .then(|| MatchKey::Reference(self.end_to_end_id.clone())),
        }
    }
}

/// A book.
#[derive(Clone, Debug, Default)]
pub struct BookState {
    entries: Vec<Entry>,
    statements: Vec<StatementRecord>,
    /// Entries without a posting, by what they would be found by.
    waiting: BTreeMap<MatchKey, BTreeSet<u64>>,
    /// Entries without a posting that no statement has decided, by date.
    open: BTreeSet<(Date, u64)>,
    /// Postings that an entry is paired with.
    taken: BTreeSet<Position>,
    /// Postings that are missing there, with their open break.
    missing: BTreeMap<Position, u64>,
}

impl BookState {
    /// Entries by number.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Statements in the order of their recording.
    pub fn statements(&self) -> &[StatementRecord] {
        &self.statements
    }

    /// Whether a posting is paired with an entry.
    pub fn is_taken(&self, posting: &Position) -> bool {
        self.taken.contains(posting)
    }

    /// Whether a posting stands in an open break for being missing there.
    pub fn is_missing(&self, posting: &Position) -> bool {
        self.missing.contains_key(posting)
    }

    /// Whether a statement covers a date.
    pub fn covers(&self, date: Date) -> bool {
        self.statements.iter().any(|statement| statement.from <= date && date <= statement.to)
    }

    pub(super) fn entry(&self, number: u64) -> &Entry {
        &self.entries[place(number)]
    }

    pub(super) fn add(&mut self, entry: &BookEntry, position: Position) -> u64 {
        let number = u64::try_from(self.entries.len()).expect("a count fits 64 bits") + 1;
        self.insert(Entry {
            number,
            position,
            side: entry.side,
            amount: entry.amount,
            date: entry.date,
            entry_reference: entry.entry_reference.clone(),
            uetr: entry.uetr,
            end_to_end_id: entry.end_to_end_id.clone(),
            status: Status::Open,
        });
        number
    }

    fn insert(&mut self, entry: Entry) {
        if entry.status == Status::Open {
            self.open.insert((entry.date, entry.number));
            self.wait(&entry);
        }
        self.entries.push(entry);
    }

    fn wait(&mut self, entry: &Entry) {
        if let Some(key) = entry.key() {
            self.waiting.entry(key).or_default().insert(entry.number);
        }
    }

    /// The entry has a posting now: nothing else may find it.
    fn settle(&mut self, number: u64) {
        let entry = &self.entries[place(number)];
        self.open.remove(&(entry.date, number));
        let Some(key) = entry.key() else { return };
        if let Some(numbers) = self.waiting.get_mut(&key) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.waiting.remove(&key);
            }
        }
    }

    /// Entries without a posting that a posting with these references belongs to: by UETR, then by
    /// end-to-end id, each oldest first.
    pub(super) fn waiting(&self, uetr: &Uetr, end_to_end_id: &str) -> impl Iterator<Item = &Entry> {
        let by_uetr = self.waiting.get(&MatchKey::Uetr(*uetr));
        let by_reference = text::identifies(end_to_end_id)
            .then(|| self.waiting.get(&MatchKey::Reference(end_to_end_id.to_owned())))
            .flatten();
        by_uetr.into_iter().chain(by_reference).flatten().map(|number| self.entry(*number))
    }

    pub(super) fn has_statement(&self, id: &str) -> bool {
        self.statements.iter().any(|statement| statement.id == id)
    }

    pub(super) fn add_statement(&mut self, statement: &Statement, position: Position) {
        self.statements.push(StatementRecord {
            number: u64::try_from(self.statements.len()).expect("a count fits 64 bits") + 1,
            id: statement.id.clone(),
            from: statement.from,
            to: statement.to,
            opening: statement.opening,
            closing: statement.closing,
            position,
        });
    }

    /// Entries with a date in the range that have no posting and stand in no break.
    pub(super) fn undecided(&self, from: Date, to: Date) -> Vec<u64> {
        self.open.range((from, 0)..=(to, u64::MAX)).map(|(_, number)| *number).collect()
    }

    /// The open break of an entry that has no posting.
    pub(super) fn break_of_entry(&self, number: u64) -> Option<u64> {
        match self.entry(number).status {
            Status::Broken(number) => Some(number),
            Status::Open | Status::Matched(..) => None,
        }
    }

    /// The open break of a posting that is missing there.
    pub(super) fn missing_there(&self, posting: &Position) -> Option<u64> {
        self.missing.get(posting).copied()
    }

    pub(super) fn matched(&mut self, number: u64, item: LedgerItem, at: Position) {
        self.settle(number);
        self.taken.insert(item.position);
        self.entries[place(number)].status = Status::Matched(item, at);
    }

    pub(super) fn broken(&mut self, found: &Break) {
        if let Some(number) = found.entry {
            match found.kind {
                // It still has no posting of its own: a later one may heal it.
                BreakKind::MissingHere | BreakKind::Duplicate => {
                    let date = self.entry(number).date;
                    self.open.remove(&(date, number));
                }
                _ => self.settle(number),
            }
            self.entries[place(number)].status = Status::Broken(found.number);
        }
        let Some(item) = found.ledger else { return };
        match found.kind {
            BreakKind::MissingThere => {
                self.missing.insert(item.position, found.number);
            }
            BreakKind::Duplicate => {}
            _ => {
                self.taken.insert(item.position);
            }
        }
    }

    pub(super) fn healed(&mut self, found: &Break) {
        if let (BreakKind::MissingThere, Some(item)) = (found.kind, found.ledger) {
            self.missing.remove(&item.position);
        }
    }

    pub(super) fn restore_entry(&mut self, entry: Entry) -> Option<()> {
        if place(entry.number) != self.entries.len() {
            return None;
        }
        if let Status::Matched(item, _) = entry.status {
            self.taken.insert(item.position);
        }
        self.insert(entry);
        Some(())
    }

    pub(super) fn restore_statement(&mut self, statement: StatementRecord) {
        self.statements.push(statement);
    }

    /// Marks what an open break marked when it was found.
    pub(super) fn restore_break(&mut self, found: &Break) -> Option<()> {
        if let Some(number) = found.entry {
            self.entries.get(place(number))?;
        }
        if found.healed_at.is_some() {
            return Some(());
        }
        if let (Some(number), BreakKind::MissingHere | BreakKind::Duplicate) =
            (found.entry, found.kind)
        {
            let entry = self.entry(number).clone();
            self.wait(&entry);
        }
        self.broken(found);
        Some(())
    }
}

/// Entries are numbered from 1.
fn place(number: u64) -> usize {
    usize::try_from(number - 1).expect("entries are in memory")
}
