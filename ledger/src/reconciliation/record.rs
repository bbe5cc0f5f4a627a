//! The records in which storage keeps the books: entries, breaks and statements.
//!
//! Key: kind u8 · account ordinal u32 · book u8 · number u64, so that records of a kind come back
//! account by account, in the order of their numbers.

use super::{
    Book, BookState, Break, BreakKind, LedgerItem,
    book::{Entry, StatementRecord, Status},
};
use crate::{
    block::{Position, Side},
    date::Date,
    header::Reader,
    uetr::Uetr,
};

/// Length of a record's key in bytes.
pub const KEY_LENGTH: usize = 14;

const ENTRY: u8 = 1;
const STATEMENT: u8 = 2;
const BREAK: u8 = 3;

/// What a record says.
pub(super) enum Record {
    Entry(u32, Book, Entry),
    Statement(u32, Book, StatementRecord),
    Break(u32, Break),
}

pub(super) fn book(number: u8) -> Option<Book> {
    Book::ALL.into_iter().find(|book| *book as u8 == number)
}

pub(super) fn break_kind(number: u8) -> Option<BreakKind> {
    [
        BreakKind::Direction,
        BreakKind::Amount,
        BreakKind::Date,
        BreakKind::Duplicate,
        BreakKind::MissingHere,
        BreakKind::MissingThere,
    ]
    .into_iter()
    .find(|kind| *kind as u8 == number)
}

fn key(kind: u8, account: u32, book: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(account.to_be_bytes());
    key.push(book);
    key.extend(number.to_be_bytes());
    key
}

/// position · side u8 · amount u64 · date u32 · reference · uetr [16], zero = none ·
/// end-to-end id · status u8 (0 open, 1 matched, 2 broken) · matched: item, position; broken: u64.
pub(super) fn entry(account: u32, book: Book, entry: &Entry) -> (Vec<u8>, Vec<u8>) {
    let mut value = Vec::with_capacity(128);
    write_position(&mut value, &entry.position);
    value.push(entry.side as u8);
    value.extend(entry.amount.to_be_bytes());
    value.extend(entry.date.yyyymmdd().to_be_bytes());
    write_text(&mut value, &entry.entry_reference);
    value.extend(entry.uetr.map_or([0; 16], |uetr| *uetr.as_bytes()));
    write_text(&mut value, &entry.end_to_end_id);
    match &entry.status {
        Status::Open => value.push(0),
        Status::Matched(item, at) => {
            value.push(1);
            write_item(&mut value, item);
            write_position(&mut value, at);
        }
        Status::Broken(number) => {
            value.push(2);
            value.extend(number.to_be_bytes());
        }
    }
    (key(ENTRY, account, book as u8, entry.number), value)
}

/// The newest statement of a book: position · from u32 · to u32 · opening i64 · closing i64 · id.
pub(super) fn statement(account: u32, book: Book, state: &BookState) -> (Vec<u8>, Vec<u8>) {
    let statement = state.statements().last().expect("a statement was just added");
    let mut value = Vec::with_capacity(80);
    write_position(&mut value, &statement.position);
    value.extend(statement.from.yyyymmdd().to_be_bytes());
    value.extend(statement.to.yyyymmdd().to_be_bytes());
    value.extend(statement.opening.to_be_bytes());
    value.extend(statement.closing.to_be_bytes());
    write_text(&mut value, &statement.id);
    (key(STATEMENT, account, book as u8, statement.number), value)
}

/// book u8 · kind u8 · opened at · healed at, height 0 = open · entry u64, 0 = none · has item u8 ·
/// item.
pub(super) fn broken(account: u32, found: &Break) -> (Vec<u8>, Vec<u8>) {
    let mut value = vec![found.book as u8, found.kind as u8];
    write_position(&mut value, &found.opened_at);
    write_position(&mut value, &found.healed_at.unwrap_or(Position { height: 0, leaf: 0 }));
    value.extend(found.entry.unwrap_or(0).to_be_bytes());
    value.push(u8::from(found.ledger.is_some()));
    if let Some(item) = &found.ledger {
        write_item(&mut value, item);
    }
    (key(BREAK, account, 0, found.number), value)
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Record> {
    let mut reader = Reader(key);
    let [kind] = reader.take()?;
    let account = u32::from_be_bytes(reader.take()?);
    let [book_number] = reader.take()?;
    let number = u64::from_be_bytes(reader.take()?);
    if !reader.0.is_empty() || number == 0 {
        return None;
    }
    let mut value = Reader(value);
    let record = match kind {
        ENTRY => Record::Entry(account, book(book_number)?, read_entry(number, &mut value)?),
        STATEMENT => {
            Record::Statement(account, book(book_number)?, read_statement(number, &mut value)?)
        }
        BREAK => Record::Break(account, read_break(number, &mut value)?),
        _ => return None,
    };
    value.0.is_empty().then_some(record)
}

fn read_entry(number: u64, value: &mut Reader<'_>) -> Option<Entry> {
    let position = read_position(value)?;
    let side = Side::from_number(u8::from_be_bytes(value.take()?))?;
    let amount = u64::from_be_bytes(value.take()?);
    let date = read_date(value)?;
    let entry_reference = read_text(value)?;
    let uetr: [u8; 16] = value.take()?;
    let uetr = match uetr {
        [0, ..] if uetr == [0; 16] => None,
        bytes => Some(Uetr::from_bytes(&bytes).ok()?),
    };
    let end_to_end_id = read_text(value)?;
    let status = match u8::from_be_bytes(value.take()?) {
        0 => Status::Open,
        1 => Status::Matched(read_item(value)?, read_position(value)?),
        2 => Status::Broken(u64::from_be_bytes(value.take()?)),
        _ => return None,
    };
    Some(Entry {
        number,
        position,
        side,
        amount,
        date,
        entry_reference,
        uetr,
        end_to_end_id,
        status,
    })
}

fn read_statement(number: u64, value: &mut Reader<'_>) -> Option<StatementRecord> {
    Some(StatementRecord {
        number,
        position: read_position(value)?,
        from: read_date(value)?,
        to: read_date(value)?,
        opening: i64::from_be_bytes(value.take()?),
        closing: i64::from_be_bytes(value.take()?),
        id: read_text(value)?,
    })
}

fn read_break(number: u64, value: &mut Reader<'_>) -> Option<Break> {
    let [book_number, kind] = value.take()?;
    let opened_at = read_position(value)?;
    let healed_at = read_position(value)?;
    let entry = u64::from_be_bytes(value.take()?);
    let ledger = match u8::from_be_bytes(value.take()?) {
        0 => None,
        1 => Some(read_item(value)?),
        _ => return None,
    };
    Some(Break {
        number,
        book: book(book_number)?,
        kind: break_kind(kind)?,
        ledger,
        entry: (entry != 0).then_some(entry),
        opened_at,
        healed_at: (healed_at.height != 0).then_some(healed_at),
    })
}

fn write_position(bytes: &mut Vec<u8>, position: &Position) {
    bytes.extend(position.height.to_be_bytes());
    bytes.extend(position.leaf.to_be_bytes());
}

fn read_position(reader: &mut Reader<'_>) -> Option<Position> {
    let height = u64::from_be_bytes(reader.take()?);
    Some(Position { height, leaf: u32::from_be_bytes(reader.take()?) })
}

fn write_item(bytes: &mut Vec<u8>, item: &LedgerItem) {
    write_position(bytes, &item.position);
    bytes.push(item.side as u8);
    bytes.extend(item.amount.to_be_bytes());
    bytes.extend(item.date.yyyymmdd().to_be_bytes());
}

fn read_item(reader: &mut Reader<'_>) -> Option<LedgerItem> {
    Some(LedgerItem {
        position: read_position(reader)?,
        side: Side::from_number(u8::from_be_bytes(reader.take()?))?,
        amount: u64::from_be_bytes(reader.take()?),
        date: read_date(reader)?,
    })
}

fn read_date(reader: &mut Reader<'_>) -> Option<Date> {
    Date::from_yyyymmdd(u32::from_be_bytes(reader.take()?)).ok()
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("references are at most 35 bytes"));
    bytes.extend(text.as_bytes());
}

fn read_text(reader: &mut Reader<'_>) -> Option<String> {
    let length = usize::from(u8::from_be_bytes(reader.take()?));
    let (text, rest) = reader.0.split_at_checked(length)?;
    reader.0 = rest;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}
