//! The records in which storage keeps sheets.
//!
//! Key: kind u8 · account ordinal u32 · part u8 · number u64, so that records of a kind come back
//! account by account, in the order of their numbers. The part is a source, a comparison or zero.

use super::{
    book::{Book, Day, StatementRecord},
    closed_record,
    finding::{About, Class, Finding, Says},
    orders::{Resolution, View},
    position::DayPosition,
    sheet::{Recorded, Sheet},
    work::{Offer, Work},
};
use crate::{
    block::Position,
    matching::{
        desk::Standing,
        item::{Comparison, Id, Item, Source},
        pair::Judgement,
        runs::{Anchor, Cursor},
    },
};

/// Length of a record's key in bytes.
pub const KEY_LENGTH: usize = 14;

/// Most items of a source that a finding's record names; of more, which only groups have, each item's
/// own record says where it stands.
pub(super) const NAMED_MAX: usize = 64;

pub(super) const ITEM: u8 = 1;
pub(super) const STATEMENT: u8 = 2;
pub(super) const FINDINGS: [(u8, Class); 3] =
    [(3, Class::Match), (4, Class::Proposal), (5, Class::Break)];
pub(super) const SHEET: u8 = 6;
pub(super) const DAY: u8 = 7;
pub(super) const POSITION: u8 = 8;
pub(super) const REFUSALS: u8 = 10;
pub(super) const CLOSING: u8 = 11;
pub(super) const CLOSED_DAY: u8 = 12;

/// Added to the kind of what has closed; such records are not read at a start.
pub(super) const ARCHIVED: u8 = 128;

/// Items of a finding that has closed and does not name them.
pub(super) const MEMBERS: u8 = 11 | ARCHIVED;

/// What an item is on a desk, as its record says.
pub(super) const FREE: u8 = 0;
pub(super) const PAIRED: u8 = 1;
pub(super) const PROPOSED: u8 = 2;
pub(super) const DUPLICATE: u8 = 3;
pub(super) const PINNED: u8 = 4;
/// Added to one of these: runs pass the item by.
pub(super) const ASIDE: u8 = 128;

pub(super) fn key(kind: u8, account: u32, part: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(account.to_be_bytes());
    key.push(part);
    key.extend(number.to_be_bytes());
    key
}

/// Writes everything of a sheet that has changed.
pub(super) fn write(sheet: &mut Sheet, records: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let mut touched = std::mem::take(&mut sheet.touched);
    let account = sheet.ordinal;
    for (source, number) in touched.items {
        let Some(recorded) = sheet.items.get(&(source, number)) else { continue };
        let value = item(sheet, source, recorded);
        records.push((key(ITEM, account, source as u8, number), value));
    }
    for (class, number) in touched.findings {
        let Some(found) = sheet.findings.get(&(class, number)) else { continue };
        let kind = FINDINGS[class as usize - 1].0;
        let value = finding(found, sheet.works.get(&number).filter(|_| class == Class::Break));
        records.push((key(kind, account, found.comparison as u8, number), value));
    }
    for (source, date) in touched.days {
        let book = &sheet.books[&source];
        let value = day(book, date);
        records.push((key(DAY, account, source as u8, date.yyyymmdd().into()), value));
    }
    for (source, number) in touched.statements {
        let book = &sheet.books[&source];
        records.push((key(STATEMENT, account, source as u8, number), statement(book, number)));
    }
    for date in touched.positions {
        let value = position(&sheet.positions[&date]);
        records.push((key(POSITION, account, 0, date.yyyymmdd().into()), value));
    }
    for (comparison, first) in touched.refusals {
        let seconds = sheet.desks[&comparison].refused().of(first);
        let value = seconds.flat_map(u64::to_be_bytes).collect();
        records.push((key(REFUSALS, account, comparison as u8, first), value));
    }
    if touched.sheet {
        records.push((key(SHEET, account, 0, 0), sheet_of(sheet)));
    }
    if touched.closing {
        records.push((key(CLOSING, account, 0, 0), closed_record::closing(&sheet.closing)));
    }
    for (comparison, date) in touched.closed_days {
        let value = closed_record::closed_day(&sheet.closed.days[&(comparison, date)]);
        records.push((key(CLOSED_DAY, account, comparison as u8, date.yyyymmdd().into()), value));
    }
    records.append(&mut touched.archived);
}

/// id [16] · salt [32] · counts u64 ×3 · next run u64, 0 = none · runs: count u8, each comparison u8 and
/// cursor.
fn sheet_of(sheet: &Sheet) -> Vec<u8> {
    let mut value = Vec::with_capacity(96);
    value.extend(sheet.id.as_bytes());
    value.extend(sheet.salt.as_bytes());
    for class in Class::ALL {
        value.extend(sheet.counts.get(&class).copied().unwrap_or(0).to_be_bytes());
    }
    value.extend(sheet.next_run_ms.unwrap_or(0).to_be_bytes());
    value.push(u8::try_from(sheet.runs.len()).expect("there are three comparisons"));
    for (comparison, cursor) in &sheet.runs {
        value.push(*comparison as u8);
        write_cursor(&mut value, cursor);
    }
    value
}

fn write_cursor(value: &mut Vec<u8>, cursor: &Cursor) {
    let anchor = |value: &mut Vec<u8>, anchor: &Option<Anchor>| match anchor {
        None => value.push(0),
        Some((date, side, amount)) => {
            value.push(1);
            value.extend(date.yyyymmdd().to_be_bytes());
            value.push(*side as u8);
            value.extend(amount.to_be_bytes());
        }
    };
    match cursor {
        Cursor::Contra(after) => {
            value.push(1);
            match after {
                None => value.push(0),
                Some((place, amount)) => {
                    value.extend([1, *place as u8]);
                    value.extend(amount.to_be_bytes());
                }
            }
        }
        Cursor::Groups(after) => {
            value.push(2);
            value.push(u8::from(after.is_some()));
            write_text(value, after.as_deref().unwrap_or(""));
        }
        Cursor::Unreferenced(after) => {
            value.push(3);
            anchor(value, after);
        }
        Cursor::Sums(place, after) => {
            value.extend([4, *place as u8]);
            anchor(value, after);
        }
    }
}

/// position · time u64 · deadline u64 · flags u8 (1 late, 2 reversal, 4 returned, 8 exchanged) ·
/// purpose u8, 0 = none · booked u32 · side u8 · amount u64 · date u32 · charges u64 · uetr [16] · counterparty [11] · texts ×6 ·
/// comparisons: count u8, each comparison u8 · mark u8 · class u8 · number u64.
pub(super) fn item(sheet: &Sheet, source: Source, recorded: &Recorded) -> Vec<u8> {
    let Recorded { item, booked, purpose, position, time_ms, deadline_ms, is_late } = recorded;
    let mut value = Vec::with_capacity(192);
    write_position(&mut value, position);
    value.extend(time_ms.to_be_bytes());
    value.extend(deadline_ms.to_be_bytes());
    let flags = [*is_late, item.reversal, item.returned, item.exchanged];
    value.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    value.push(purpose.map_or(0, |purpose| purpose as u8));
    value.extend(booked.yyyymmdd().to_be_bytes());
    value.push(item.side as u8);
    value.extend(item.amount.to_be_bytes());
    value.extend(item.date.yyyymmdd().to_be_bytes());
    value.extend(item.charges.to_be_bytes());
    value.extend(item.uetr.map_or([0; 16], |uetr| *uetr.as_bytes()));
    let mut bic = [0; 11];
    if let Some(counterparty) = &item.counterparty {
        bic.copy_from_slice(counterparty.as_str().as_bytes());
    }
    value.extend(bic);
    item.texts().iter().for_each(|text| write_text(&mut value, text));
    let desks = sheet.desks.iter();
    let marks: Vec<[u8; 11]> =
        desks.filter_map(|(comparison, _)| mark(sheet, *comparison, source, item)).collect();
    value.push(u8::try_from(marks.len()).expect("there are three comparisons"));
    marks.iter().for_each(|mark| value.extend(mark));
    value
}

fn mark(sheet: &Sheet, comparison: Comparison, source: Source, item: &Item) -> Option<[u8; 11]> {
    let id = Id { place: comparison.place(source)?, number: item.number };
    let desk = &sheet.desks[&comparison];
    let standing = match desk.standing(id)? {
        Standing::Free => FREE,
        Standing::Paired { .. } => PAIRED,
        Standing::Proposed { .. } => PROPOSED,
        Standing::Duplicate => DUPLICATE,
        Standing::Pinned => PINNED,
    };
    let aside = if desk.is_aside(id) { ASIDE } else { 0 };
    let mut mark = [0; 11];
    mark[0] = comparison as u8;
    mark[1] = standing | aside;
    if let Some((class, number)) = sheet.stands.get(&(comparison, id)) {
        mark[2] = *class as u8;
        mark[3..].copy_from_slice(&number.to_be_bytes());
    }
    Some(mark)
}

/// opened at · closed at, height 0 = open · code u8 (pass or category) · by u8 (confirmed, or by whom) ·
/// judgement: has u8, strength u8, defect u8, distance u32, difference u64 · counts u16 ×2 · named u8 ·
/// numbers, if all are named · of a break: about, elsewhere, work.
pub(super) fn finding(found: &Finding, work: Option<&Work>) -> Vec<u8> {
    let mut value = Vec::with_capacity(96);
    write_position(&mut value, &found.opened_at);
    write_position(&mut value, &found.closed_at.unwrap_or(Position { height: 0, leaf: 0 }));
    let (code, by) = match found.says {
        Says::Match { pass, confirmed } => (pass as u8, u8::from(confirmed)),
        Says::Proposal { pass, confirmed_by } => (pass as u8, confirmed_by),
        Says::Break { category } => (category as u8, 0),
    };
    value.extend([code, by]);
    match &found.judgement {
        None => value.push(0),
        Some(Judgement { strength, defect, distance, amount_difference, .. }) => {
            value.extend([1, *strength as u8, *defect as u8]);
            value.extend(distance.to_be_bytes());
            value.extend(amount_difference.to_be_bytes());
        }
    }
    let named = names_items(found);
    for items in &found.items {
        let count = u16::try_from(items.len()).expect("a group is bounded");
        value.extend(count.to_be_bytes());
    }
    value.push(u8::from(named));
    if named {
        let numbers = found.items.iter().flatten();
        numbers.for_each(|number| value.extend(number.to_be_bytes()));
    }
    if let Some(work) = work {
        write_about(&mut value, found.about);
        super::astray::write(&mut value, found.elsewhere);
        write_work(&mut value, work);
    }
    value
}

/// Whether a finding's own record names its items.
pub(super) fn names_items(found: &Finding) -> bool {
    found.items.iter().all(|items| items.len() <= NAMED_MAX)
}

/// kind u8: 0 its items, 1 a statement, 2 a day · source u8 · the statement's number or the date u64.
fn write_about(value: &mut Vec<u8>, about: Option<About>) {
    let (kind, source, number) = match about {
        None => (0, 0, 0),
        Some(About::Statement(source, number)) => (1, source as u8, number),
        Some(About::Day(date)) => (2, 0, date.yyyymmdd().into()),
    };
    value.extend([kind, source]);
    value.extend(number.to_be_bytes());
}

/// state u8 · owner u8 · spoke u8, 0 = nobody · steps of the servicer u16, of the owner u16 · where each
/// was · offer: has u8, party u8, key [32],
/// resolution: kind u8 · transfers u8, amount u64, debit [16], credit [16] · commitment [32].
fn write_work(value: &mut Vec<u8>, work: &Work) {
    let party = |party: Option<crate::agreement::Party>| party.map_or(0, |party| party as u8);
    value.extend([work.state as u8, party(work.owner), party(work.spoke)]);
    work.step_counts.iter().for_each(|count| value.extend(count.to_be_bytes()));
    work.steps.iter().for_each(|at| write_position(value, at));
    let Some(Offer { by, resolution }) = &work.offer else {
        value.push(0);
        return;
    };
    value.extend([1, by.party as u8]);
    value.extend(by.key_id.as_bytes());
    let Resolution { kind, transfer, commitment } = resolution;
    value.extend([*kind as u8, u8::from(transfer.is_some())]);
    if let Some((amount, debit, credit)) = transfer {
        value.extend(amount.to_be_bytes());
        value.extend(debit.as_bytes());
        value.extend(credit.as_bytes());
    }
    value.extend(commitment.as_bytes());
}

/// booked · valued, each credit count u64 · credits u128 · debit count u64 · debits u128 · lent and repaid,
/// each credits u128 · debits u128 · size u64 · peaks.
fn day(book: &Book, date: crate::date::Date) -> Vec<u8> {
    let mut value = Vec::with_capacity(256);
    let (booked, valued, items) = book.parts(date);
    for Day { credit_count, credits, debit_count, debits, lent, repaid } in [booked, valued] {
        value.extend(credit_count.to_be_bytes());
        value.extend(credits.to_be_bytes());
        value.extend(debit_count.to_be_bytes());
        value.extend(debits.to_be_bytes());
        for sum in [lent.credits, lent.debits, repaid.credits, repaid.debits] {
            value.extend(sum.to_be_bytes());
        }
    }
    value.extend(items.size().to_be_bytes());
    items.peaks().iter().for_each(|peak| value.extend(peak.as_bytes()));
    value
}

/// position · sequence u64 · from u32 · to u32 · opening i64 · closing i64 · original [32] · id · breaks
/// about its faults u64 ×2, 0 = none.
fn statement(book: &Book, number: u64) -> Vec<u8> {
    let place = usize::try_from(number - 1).expect("statements are in memory");
    let StatementRecord { id, sequence, from, to, opening, closing, original, position, .. } =
        &book.statements()[place];
    let mut value = Vec::with_capacity(128);
    write_position(&mut value, position);
    value.extend(sequence.to_be_bytes());
    value.extend(from.yyyymmdd().to_be_bytes());
    value.extend(to.yyyymmdd().to_be_bytes());
    value.extend(opening.to_be_bytes());
    value.extend(closing.to_be_bytes());
    value.extend(original.as_bytes());
    write_text(&mut value, id);
    for fault in super::book::StatementFault::ALL {
        let opened = book.faults.get(&(number, fault)).copied().unwrap_or(0);
        value.extend(opened.to_be_bytes());
    }
    value
}

/// views ×2: has u8, opening i64, credit count u64, credits u64, debit count u64, debits u64, closing
/// i64, digest [32], position, base i128 · agreed at · break u64 · difference i128 · comparisons: count
/// u8, each u8.
fn position(position: &DayPosition) -> Vec<u8> {
    let mut value = Vec::with_capacity(224);
    for (view, base) in position.views.iter().zip(position.bases) {
        let Some((view, at)) = view else {
            value.push(0);
            continue;
        };
        let View { opening, credit_count, credits, debit_count, debits, closing, digest } = view;
        value.push(1);
        value.extend(opening.to_be_bytes());
        for figure in [credit_count, credits, debit_count, debits] {
            value.extend(figure.to_be_bytes());
        }
        value.extend(closing.to_be_bytes());
        value.extend(digest.as_bytes());
        write_position(&mut value, at);
        value.extend(base.to_be_bytes());
    }
    write_position(&mut value, &position.agreed_at.unwrap_or(Position { height: 0, leaf: 0 }));
    value.extend(position.break_number.unwrap_or(0).to_be_bytes());
    value.extend(position.difference.to_be_bytes());
    value.push(u8::try_from(position.compared.len()).expect("there are three comparisons"));
    value.extend(position.compared.iter().map(|comparison| *comparison as u8));
    value
}

pub(super) fn write_position(bytes: &mut Vec<u8>, position: &Position) {
    bytes.extend(position.height.to_be_bytes());
    bytes.extend(position.leaf.to_be_bytes());
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("references are at most 35 bytes"));
    bytes.extend(text.as_bytes());
}
