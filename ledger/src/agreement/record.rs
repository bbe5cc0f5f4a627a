//! The records in which storage keeps agreements, beside those of the books.
//!
//! Key: kind u8 = 9 · zeros [5] · number u64, in the layout of reconciliation keys. The value of the
//! longest terms fits an item of a snapshot.

use bytes::Bytes;
use counterfoil_proto::v1;

use super::{
    Agreement, AgreementId, Answer, Step,
    terms::{Party, Terms},
};
use crate::{block::Position, header::Reader, id::InstructionId, reconciliation::KEY_LENGTH};

/// The kind of an agreement's record among reconciliation records.
const AGREEMENT: u8 = 9;

const LEDGER: u8 = 1;
const OWNER_BOOK: u8 = 2;
const SERVICER_BOOK: u8 = 4;
const KEEP_ORIGINALS: u8 = 8;
const SUPERSEDES: u8 = 16;

/// Whether a reconciliation record is one of an agreement.
pub(crate) fn is_agreement(key: &[u8]) -> bool {
    key.first() == Some(&AGREEMENT)
}

/// accept until u64 · proposal: step · answer u8 (0 none, 1 accept, 2 reject, 3 withdraw) · answered:
/// step · terms. A step: party u8 · position · block time u64 · instruction id [16].
pub(super) fn encode(agreement: &Agreement) -> (Vec<u8>, Vec<u8>) {
    let mut key = vec![AGREEMENT, 0, 0, 0, 0, 0];
    key.extend(agreement.number.to_be_bytes());
    debug_assert_eq!(key.len(), KEY_LENGTH);
    let mut value = Vec::with_capacity(512);
    value.extend(agreement.accept_until_ms.to_be_bytes());
    write_step(&mut value, &agreement.proposed);
    match &agreement.answered {
        None => value.push(0),
        Some((answer, step)) => {
            value.push(*answer as u8);
            write_step(&mut value, step);
        }
    }
    write_terms(&mut value, &agreement.terms);
    (key, value)
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Agreement> {
    let mut key = Reader(key);
    let [AGREEMENT, 0, 0, 0, 0, 0] = key.take()? else { return None };
    let number = u64::from_be_bytes(key.take()?);
    let mut value = Reader(value);
    let accept_until_ms = u64::from_be_bytes(value.take()?);
    let proposed = read_step(&mut value)?;
    let answered = match u8::from_be_bytes(value.take()?) {
        0 => None,
        answer => Some((Answer::from_number(answer)?, read_step(&mut value)?)),
    };
    let message = read_terms(&mut value)?;
    let agreement = Agreement {
        number,
        id: AgreementId::of(&message),
        terms: Terms::of(&message).ok()?,
        proposed,
        accept_until_ms,
        answered,
        superseded: None,
    };
    let may = answered.is_none_or(|(answer, step)| agreement.may_answer(answer, step.by));
    (may && key.0.is_empty() && value.0.is_empty()).then_some(agreement)
}

fn write_step(bytes: &mut Vec<u8>, step: &Step) {
    bytes.push(step.by as u8);
    bytes.extend(step.position.height.to_be_bytes());
    bytes.extend(step.position.leaf.to_be_bytes());
    bytes.extend(step.time_ms.to_be_bytes());
    bytes.extend(step.instruction.as_bytes());
}

fn read_step(reader: &mut Reader<'_>) -> Option<Step> {
    let by = Party::from_number(u8::from_be_bytes(reader.take()?))?;
    let height = u64::from_be_bytes(reader.take()?);
    let leaf = u32::from_be_bytes(reader.take()?);
    let time_ms = u64::from_be_bytes(reader.take()?);
    let id: [u8; 16] = reader.take()?;
    let instruction = InstructionId::from_bytes(&id).ok()?;
    Some(Step { by, position: Position { height, leaf }, time_ms, instruction })
}

/// servicer [11] · owner [11] · flags u8 · rule set u32 · effective u32 · window u8 · missing after u8 ·
/// missing at u16 · salt [16] · superseded id [16], if a flag says so · sealing keys [32] [32], the
/// servicer's first, if a flag says so · then lists, each after its
/// count (u8, of holidays u16): accounts [16] · tolerances (asset's length u8 and text · absolute u64 ·
/// basis points u16 · rounding u64) · duties (category u8 · party u8 · answer days u8 · escalate days
/// u8) · offset i16 · weekend u8 · holidays u32 · run times u16.
fn write_terms(bytes: &mut Vec<u8>, terms: &Terms) {
    let flags = [
        (terms.sources.ledger, LEDGER),
        (terms.sources.owner_book, OWNER_BOOK),
        (terms.sources.servicer_book, SERVICER_BOOK),
        (terms.originals.is_some(), KEEP_ORIGINALS),
        (terms.supersedes.is_some(), SUPERSEDES),
    ];
    let flags = flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
    bytes.extend(terms.servicer.as_str().as_bytes());
    bytes.extend(terms.owner.as_str().as_bytes());
    bytes.push(flags);
    bytes.extend(terms.rule_set.to_be_bytes());
    bytes.extend(terms.effective_from.yyyymmdd().to_be_bytes());
    bytes.push(small(terms.value_date_window));
    bytes.push(small(terms.missing_after_days));
    bytes.extend(minute(terms.missing_at_minute));
    bytes.extend(terms.salt);
    terms.supersedes.iter().for_each(|id| bytes.extend(id.as_bytes()));
    if let Some(keys) = &terms.originals {
        bytes.extend(keys.servicer);
        bytes.extend(keys.owner);
    }
    bytes.push(count(terms.accounts.len()));
    terms.accounts.iter().for_each(|id| bytes.extend(id.as_bytes()));
    bytes.push(count(terms.tolerances.len()));
    for (asset, tolerance) in &terms.tolerances {
        bytes.push(count(asset.as_str().len()));
        bytes.extend(asset.as_str().as_bytes());
        bytes.extend(tolerance.absolute.to_be_bytes());
        bytes.extend(tolerance.basis_points.to_be_bytes());
        bytes.extend(tolerance.exchange_rounding.to_be_bytes());
    }
    bytes.push(count(terms.duties.len()));
    for duty in &terms.duties {
        let category = u8::try_from(i32::from(duty.category)).expect("categories are few");
        let escalate = duty.escalate_days.map_or(0, small);
        bytes.extend([category, duty.answers as u8, small(duty.answer_days), escalate]);
    }
    let calendar = &terms.calendar;
    let offset = i16::try_from(calendar.offset_minutes()).expect("less than a day");
    bytes.extend(offset.to_be_bytes());
    bytes.push(calendar.weekend());
    let holidays = u16::try_from(calendar.holidays().len()).expect("at most 400");
    bytes.extend(holidays.to_be_bytes());
    calendar.holidays().iter().for_each(|date| bytes.extend(date.yyyymmdd().to_be_bytes()));
    bytes.push(count(terms.run_times.len()));
    terms.run_times.iter().for_each(|time| bytes.extend(minute(*time)));
}

/// The message again, which [`Terms::of`] then judges as if it had been offered.
fn read_terms(reader: &mut Reader<'_>) -> Option<v1::AgreementTerms> {
    let bic = |bytes: [u8; 11]| String::from_utf8(bytes.to_vec()).ok();
    let id = |bytes: [u8; 16]| Bytes::copy_from_slice(&bytes);
    let (servicer, owner) = (bic(reader.take()?)?, bic(reader.take()?)?);
    let [flags] = reader.take()?;
    if flags >= SUPERSEDES << 1 {
        return None;
    }
    let has = |flag| flags & flag != 0;
    let rule_set = u32::from_be_bytes(reader.take()?);
    let effective_from = u32::from_be_bytes(reader.take()?);
    let [window, missing_after] = reader.take()?;
    let missing_at_minute = u32::from(u16::from_be_bytes(reader.take()?));
    let salt = id(reader.take()?);
    let supersedes = if has(SUPERSEDES) { id(reader.take()?) } else { Bytes::new() };
    let mut sealing_key = || match has(KEEP_ORIGINALS) {
        true => reader.take().map(|key: [u8; 32]| Bytes::copy_from_slice(&key)),
        false => Some(Bytes::new()),
    };
    let (servicer_sealing_key, owner_sealing_key) = (sealing_key()?, sealing_key()?);
    let accounts = list(reader, |it| Some(v1::AgreementAccount { account: id(it.take()?) }))?;
    Some(v1::AgreementTerms {
        servicer,
        owner,
        accounts,
        ledger: has(LEDGER),
        owner_book: has(OWNER_BOOK),
        servicer_book: has(SERVICER_BOOK),
        rule_set,
        effective_from,
        tolerances: list(reader, read_tolerance)?,
        value_date_window: u32::from(window),
        missing_after_days: u32::from(missing_after),
        missing_at_minute,
        duties: list(reader, read_duty)?,
        calendar: Some(read_calendar(reader)?),
        run_times: list(reader, |it| {
            Some(v1::RunTime { minute: u32::from(u16::from_be_bytes(it.take()?)) })
        })?,
        keep_originals: has(KEEP_ORIGINALS),
        supersedes,
        salt,
        servicer_sealing_key,
        owner_sealing_key,
    })
}

fn read_tolerance(reader: &mut Reader<'_>) -> Option<v1::Tolerance> {
    let length = usize::from(u8::from_be_bytes(reader.take()?));
    let (asset, rest) = reader.0.split_at_checked(length)?;
    reader.0 = rest;
    Some(v1::Tolerance {
        asset: String::from_utf8(asset.to_vec()).ok()?,
        absolute: u64::from_be_bytes(reader.take()?),
        basis_points: u32::from(u16::from_be_bytes(reader.take()?)),
        exchange_rounding: u64::from_be_bytes(reader.take()?),
    })
}

fn read_duty(reader: &mut Reader<'_>) -> Option<v1::Duty> {
    let [category, answers, answer_days, escalate_days] = reader.take()?;
    Some(v1::Duty {
        category: i32::from(category),
        answers: i32::from(answers),
        answer_days: u32::from(answer_days),
        escalate_days: u32::from(escalate_days),
    })
}

fn read_calendar(reader: &mut Reader<'_>) -> Option<v1::Calendar> {
    let utc_offset_minutes = i32::from(i16::from_be_bytes(reader.take()?));
    let [weekend] = reader.take()?;
    let count = u16::from_be_bytes(reader.take()?);
    let holiday = |_| Some(v1::Holiday { date: u32::from_be_bytes(reader.take()?) });
    let holidays = (0..count).map(holiday).collect::<Option<_>>()?;
    Some(v1::Calendar { utc_offset_minutes, weekend: u32::from(weekend), holidays })
}

/// A list after its count.
fn list<T>(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let [count] = reader.take()?;
    (0..count).map(|_| item(reader)).collect()
}

fn count(length: usize) -> u8 {
    u8::try_from(length).expect("a list of terms has at most 64 items, a code 12 characters")
}

fn small(days: u32) -> u8 {
    u8::try_from(days).expect("terms count at most 250 days")
}

fn minute(minute: u32) -> [u8; 2] {
    u16::try_from(minute).expect("a day has 1,440 minutes").to_be_bytes()
}
