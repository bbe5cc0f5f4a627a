//! Statements that leave the ledger: the postings of one account on one day, as ISO 20022
//! (camt.053 at the end of the day, camt.052 during it, camt.054 posting by posting), CSV or JSON.
//!
//! A file is a function of account, day and height: whoever writes it, whenever, writes the same
//! bytes. Its time of creation is the time of the block at that height. Entries are written one by
//! one and not kept, so that a million of them need no memory; what they come to is announced
//! first and compared at the end.

mod camt;
mod json;
mod table;

use std::io;
use std::io::Write;

use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::asset::format_amount;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::text::is_max35;
use counterfoil_ledger::uetr::Uetr;

use crate::formats::error::FormatError;
use crate::formats::error::quote;
use crate::formats::statement::StatementKind;
use crate::formats::statement::Total;
use crate::watch::Position;

/// Why a statement cannot be written. What was written of it is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What it was written to failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The format has no place for it, or it contradicts itself.
    #[error(transparent)]
    Unwritable(#[from] FormatError),
}

/// How a statement is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ISO 20022: camt.053.001.08, camt.052.001.08 or camt.054.001.08 by the kind.
    Camt,
    /// A table of book entries, as [`crate::formats::csv::read_book`] reads it. It holds the entries
    /// alone: balances have no column.
    Csv,
    /// One object; each entry is on a line of its own.
    Json,
}

/// An account of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerAccount {
    /// Who keeps it.
    pub servicer: Bic,
    /// Whose money it is.
    pub owner: Bic,
    /// In what.
    pub asset: AssetCode,
    /// Digits after the decimal point of one major unit of the asset.
    pub exponent: u8,
    /// As opened.
    pub name: String,
}

impl LedgerAccount {
    /// Its id.
    pub fn id(&self) -> AccountId {
        AccountId::of(&self.servicer, &self.owner, self.asset.as_str(), &self.name)
    }

    fn decimal(&self, units: i128) -> String {
        format_amount(units, self.exponent)
    }
}

/// The moment of the ledger of which a statement is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Height of the last block that it knows.
    pub height: u64,
    /// Hash of that block's header.
    pub header_hash: Hash,
    /// Time of that block, Unix milliseconds.
    pub block_time_ms: u64,
}

/// Booked balances of a day, by settlement date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// What was posted for the days before, in minor units; positive = credit.
    pub opening: i128,
    /// The same with what was posted for the day.
    pub closing: i128,
}

/// What the entries of a statement come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of the credits.
    pub credits: Total,
    /// Of the debits.
    pub debits: Total,
}

impl Totals {
    /// Counts an entry. A sum of 2^64 postings of the largest amount fits.
    pub fn add(&mut self, side: Side, units: u64) {
        let total = match side {
            Side::Credit => &mut self.credits,
            Side::Debit => &mut self.debits,
        };
        total.count += 1;
        total.units += u128::from(units);
    }

    /// How many entries.
    pub fn count(&self) -> u64 {
        self.credits.count.saturating_add(self.debits.count)
    }

    /// Credits less debits.
    pub fn net(&self) -> i128 {
        signed(self.credits.units).saturating_sub(signed(self.debits.units))
    }
}

fn signed(units: u128) -> i128 {
    i128::try_from(units).unwrap_or(i128::MAX)
}

/// All of a statement but its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerStatement {
    /// What it is of.
    pub kind: StatementKind,
    /// Whose postings.
    pub account: LedgerAccount,
    /// The settlement date of its entries: a UTC day.
    pub date: Date,
    /// Its entries stand behind this place in the ledger; none = all of the day.
    pub after: Option<Position>,
    /// Its entries stand at or below this height.
    pub as_of: Moment,
    /// Balances before and after its entries; a notification has none.
    pub balances: Option<Balances>,
    /// What its entries come to.
    pub totals: Totals,
}

impl LedgerStatement {
    /// Its identification, at most 35 characters: kind, day, height, and a part of a hash over
    /// account and beginning.
    pub fn id(&self) -> String {
        let kind = match self.kind {
            StatementKind::EndOfDay => 'S',
            StatementKind::Intraday => 'R',
            StatementKind::Notification => 'N',
        };
        let height = self.as_of.height.to_string();
        let after = self.after.unwrap_or(Position { height: 0, leaf: 0 });
        let tail = Hash::of_parts(&[
            self.account.id().as_bytes(),
            &[u8::from(self.after.is_some())],
            &after.height.to_be_bytes(),
            &after.leaf.to_be_bytes(),
        ]);
        let mut id = format!("{kind}{}-{height}-", self.date.yyyymmdd());
        // 4 digits at least: the largest height has 20.
        let room = counterfoil_ledger::text::TEXT_LENGTH_MAX.saturating_sub(id.len());
        id.extend(tail.to_string().chars().take(room.min(12)));
        id
    }

    /// Its number among the statements of the account. Every day of the calendar has one, whether
    /// anything was posted or not: 1900-01-01 is 1. Reports and notifications have none, because a
    /// day may have any number of them.
    pub fn sequence(&self) -> Option<u64> {
        (self.kind == StatementKind::EndOfDay).then(|| day_number(self.date))
    }

    /// Whether the day had not ended when the statement was true: then more is to be expected.
    /// Earlier days may get postings, too, as their payers choose the settlement date.
    pub fn is_unfinished(&self) -> bool {
        Date::from_unix_ms(self.as_of.block_time_ms) <= self.date
    }

    /// From when to when, as two times of the day in UTC. A report ends with what it knows.
    pub fn period(&self) -> (String, String) {
        let known = date_time(self.as_of.block_time_ms);
        let during = Date::from_unix_ms(self.as_of.block_time_ms) == self.date;
        let end = match self.kind {
            StatementKind::EndOfDay => None,
            StatementKind::Intraday | StatementKind::Notification => Some(known),
        };
        let end = end.filter(|_| during).unwrap_or(format!("{}T23:59:59.999Z", self.date));
        (format!("{}T00:00:00.000Z", self.date), end)
    }

    /// Nothing that a format could not hold, and nothing that contradicts itself.
    fn check(&self) -> Result<(), FormatError> {
        if self.account.name.is_empty() || !is_max35(&self.account.name) {
            let fact = format!("{} is not the name of an account", quote(&self.account.name));
            return Err(FormatError::new("account", fact, "give the account as the ledger has it"));
        }
        let notifies = self.kind == StatementKind::Notification;
        if self.after.is_some() && !notifies {
            return Err(FormatError::new(
                "after",
                "a statement with balances has all entries of its day",
                "ask for a notification to have those behind a place alone",
            ));
        }
        match self.balances {
            None if notifies => Ok(()),
            Some(Balances { opening, closing })
                if !notifies && opening.checked_add(self.totals.net()) == Some(closing) =>
            {
                Ok(())
            }
            balances => Err(FormatError::new(
                "balances",
                format!("{balances:?} do not go with entries that come to {}", self.totals.net()),
                "read the day anew",
            )),
        }
    }
}

/// A posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Where it stands in the ledger: the servicer's reference.
    pub position: Position,
    /// The account's own count of postings, from 1.
    pub sequence: u64,
    /// Which side.
    pub side: Side,
    /// Minor units, not zero.
    pub units: u64,
    /// Of the transfer.
    pub uetr: Uetr,
    /// Of the transfer; may be empty.
    pub end_to_end_id: String,
    /// The owner of the other account.
    pub counterparty: Bic,
    /// The other account.
    pub counterparty_account: AccountId,
    /// Time of the block, Unix milliseconds.
    pub block_time_ms: u64,
}

impl LedgerEntry {
    /// The servicer's reference of the entry: height and leaf.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.position.height, self.position.leaf)
    }
}

/// Writes a statement: what it is at first, then each entry in the order of the ledger.
pub struct StatementWriter<W: Write> {
    body: Body<W>,
    statement: LedgerStatement,
    written: Totals,
    last: Option<Position>,
}

enum Body<W: Write> {
    Camt(camt::CamtWriter<W>),
    Table(Box<table::TableWriter<W>>),
    Json(json::JsonWriter<W>),
}

impl<W: Write> StatementWriter<W> {
    /// Begins a statement. What it is written to should be buffered.
    pub fn begin(
        statement: LedgerStatement,
        format: Format,
        out: W,
    ) -> Result<StatementWriter<W>, WriteError> {
        statement.check()?;
        let body = match format {
            Format::Camt => Body::Camt(camt::CamtWriter::begin(&statement, out)?),
            Format::Csv => Body::Table(Box::new(table::TableWriter::begin(out)?)),
            Format::Json => Body::Json(json::JsonWriter::begin(&statement, out)?),
        };
        Ok(StatementWriter { body, statement, written: Totals::default(), last: None })
    }

    /// Writes the next entry.
    pub fn entry(&mut self, entry: &LedgerEntry) -> Result<(), WriteError> {
        self.check(entry)?;
        self.last = Some(entry.position);
        self.written.add(entry.side, entry.units);
        match &mut self.body {
            Body::Camt(camt) => camt.entry(&self.statement, entry),
            Body::Table(table) => table.entry(&self.statement, entry),
            Body::Json(json) => json.entry(&self.statement, entry),
        }
    }

    /// Ends the statement, and gives back what it was written to, unflushed. Fails if the entries
    /// did not come to what was announced: then they are not those that the balances are of.
    pub fn finish(self) -> Result<W, WriteError> {
        let announced = self.statement.totals;
        if self.written != announced {
            let fact = format!("{announced:?} were announced, {:?} were written", self.written);
            return Err(FormatError::new("entries", fact, "read the day anew").into());
        }
        match self.body {
            Body::Camt(camt) => camt.finish(&self.statement),
            Body::Table(table) => table.finish(),
            Body::Json(json) => json.finish(),
        }
    }

    fn check(&self, entry: &LedgerEntry) -> Result<(), FormatError> {
        let place = || format!("entry {}", entry.reference());
        let begins = self.last.max(self.statement.after);
        let in_order = begins.is_none_or(|last| last < entry.position);
        if !in_order || entry.position.height > self.statement.as_of.height {
            let fact = "it is not between the entry before and the height of the statement";
            return Err(FormatError::new(place(), fact, "write each once, in ledger order"));
        }
        if !is_max35(&entry.end_to_end_id) || entry.units == 0 {
            let fact = format!("{} minor units, {}", entry.units, quote(&entry.end_to_end_id));
            return Err(FormatError::new(place(), fact, "give it as the ledger has it"));
        }
        Ok(())
    }
}

/// ISO 8601 in UTC, of a time in Unix milliseconds: `2026-11-23T08:15:30.123Z`.
pub fn date_time(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        Date::from_unix_ms(unix_ms),
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        unix_ms % 1_000
    )
}

/// Days since 1899-12-31, so that the first date that the ledger knows is 1.
fn day_number(date: Date) -> u64 {
    // Days-from-civil after Howard Hinnant: years begin in March, so that the leap day is the last.
    let (year, month, day) =
        (date.yyyymmdd() / 10_000, date.yyyymmdd() / 100 % 100, date.yyyymmdd() % 100);
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    // The same of 1899-12-31.
    u64::from(days) - 693_900
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
