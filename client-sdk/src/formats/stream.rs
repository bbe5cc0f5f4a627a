//! Statements as a stream: what a reader of any format says, one thing after another, so that a
//! statement of a million entries takes no more memory than one entry.

use counterfoil_ledger::date::Date;

use crate::formats::error::FormatError;
use crate::formats::statement::Entry;
use crate::formats::statement::EntryStatus;
use crate::formats::statement::LeftOut;
use crate::formats::statement::Movements;
use crate::formats::statement::Statement;

/// Most entries, transactions of batches among them, that a convenience function keeps. A caller
/// with more of them takes the stream.
pub const ENTRIES_MAX: usize = 200_000;

/// Most statements of one file: a daily statement of each of a bank's accounts.
pub const STATEMENTS_MAX: usize = 10_000;

/// What comes next in a file. After an error nothing comes, and nothing of the file may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A statement begins: what stands before its entries. What it lacks yet: the entries, the
    /// closing balance of an MT statement and, where the period is not stated, the last day.
    Begin(Box<Statement>),
    /// An entry, booked or expected.
    Entry(Box<Entry>),
    /// An entry that takes no part in anything.
    LeftOut(LeftOut),
    /// The statement is complete but for the entries, which were given singly and come to this.
    End(Box<Statement>, Movements),
}

/// Keeps whole statements.
pub fn collect(
    events: impl Iterator<Item = Result<Event, FormatError>>,
) -> Result<Vec<Statement>, FormatError> {
    let mut statements = Vec::new();
    let (mut entries, mut expectations, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let mut kept = 0;
    for event in events {
        match event? {
            Event::Begin(_) => {}
            Event::Entry(entry) => {
                kept += entry.postings().len();
                refuse_more(kept, &entry.place)?;
                match entry.status {
                    EntryStatus::Booked => entries.push(*entry),
                    _ => expectations.push(*entry),
                }
            }
            Event::LeftOut(one) => {
                kept += 1;
                refuse_more(kept, &one.place)?;
                left_out.push(one);
            }
            Event::End(statement, _) => statements.push(Statement {
                entries: std::mem::take(&mut entries),
                expectations: std::mem::take(&mut expectations),
                left_out: std::mem::take(&mut left_out),
                ..*statement
            }),
        }
    }
    Ok(statements)
}

fn refuse_more(kept: usize, place: &str) -> Result<(), FormatError> {
    if kept <= ENTRIES_MAX {
        return Ok(());
    }
    Err(FormatError::new(
        place,
        format!("the file has more than {ENTRIES_MAX} entries"),
        "split it into several files, or read it as a stream",
    ))
}

/// A reader that goes through a file step by step.
pub(crate) trait Steps {
    /// The next event that the steps so far have brought.
    fn ready(&mut self) -> Option<Event>;

    /// Takes the next step. False: the file has ended well.
    fn step(&mut self) -> Result<bool, FormatError>;
}

/// What a reader says, as a stream. After an error nothing comes, not even what was ready.
pub(crate) struct Events<R> {
    /// None after an error.
    reader: Option<R>,
    ended: bool,
}

impl<R> Events<R> {
    pub(crate) fn of(reader: R) -> Events<R> {
        Events { reader: Some(reader), ended: false }
    }
}

impl<R: Steps> Iterator for Events<R> {
    type Item = Result<Event, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let reader = self.reader.as_mut()?;
            if let Some(event) = reader.ready() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            match reader.step() {
                Ok(goes_on) => self.ended = !goes_on,
                Err(error) => {
                    self.reader = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A statement whose entries are being read.
pub(crate) struct OpenStatement {
    pub(crate) statement: Statement,
    pub(crate) movements: Movements,
    /// Whether only the entries say which days it covers.
    days_of_entries: bool,
}

impl OpenStatement {
    pub(crate) fn new(statement: Statement, days_of_entries: bool) -> OpenStatement {
        let movements = Movements::default();
        OpenStatement { statement, movements, days_of_entries }
    }

    /// The statement as far as it is known.
    pub(crate) fn begin(&self) -> Event {
        Event::Begin(Box::new(self.statement.clone()))
    }

    /// First day on which a booked entry was booked.
    pub(crate) fn first_booked(&self) -> Option<Date> {
        self.movements.days.map(|(first, _)| first)
    }

    pub(crate) fn entry(&mut self, entry: Entry) -> Event {
        self.movements.add(&entry);
        Event::Entry(Box::new(entry))
    }

    pub(crate) fn left_out(&mut self, place: String, reason: String) -> Event {
        self.movements.others += 1;
        Event::LeftOut(LeftOut { place, reason })
    }

    pub(crate) fn end(mut self) -> Event {
        if self.days_of_entries
            && let Some((first, last)) = self.movements.days
        {
            (self.statement.from, self.statement.to) = (first, last);
        }
        Event::End(Box::new(self.statement), self.movements)
    }
}
