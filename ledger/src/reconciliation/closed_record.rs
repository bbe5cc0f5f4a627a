//! The records of what stays in memory of days that have closed, written and read.

use super::{
    closed::{ClosedDay, Counted, LINKS_MAX},
    closing::{Closing, Stage},
    figures::Share,
    record::write_position,
    restore::{read_date, some_position, source},
};
use crate::{block::Position, date::Date, header::Reader, matching::pair::Category};

/// stage u8: 0 idle, 1 asked, 2 items · of items: horizon u32 · source u8 · from: date u32, number u64 ·
/// due u64 · last horizon u32, 0 = none · by source: items u64, highest number u64 · by class: findings
/// u64 · first position. Nothing, if nothing has happened yet.
pub(super) fn closing(closing: &Closing) -> Vec<u8> {
    let mut value = Vec::with_capacity(112);
    if *closing == Closing::default() {
        return value;
    }
    let Closing { stage, due_ms, horizon, items, last, findings, first } = closing;
    match stage {
        Stage::Idle => value.push(0),
        Stage::Asked => value.push(1),
        Stage::Items { horizon, source, from: (date, number) } => {
            value.push(2);
            value.extend(horizon.yyyymmdd().to_be_bytes());
            value.push(*source as u8);
            value.extend(date.yyyymmdd().to_be_bytes());
            value.extend(number.to_be_bytes());
        }
    }
    value.extend(due_ms.to_be_bytes());
    value.extend(horizon.map_or(0, |date| date.yyyymmdd()).to_be_bytes());
    for (items, last) in items.iter().zip(last) {
        value.extend(items.to_be_bytes());
        value.extend(last.to_be_bytes());
    }
    findings.iter().for_each(|count| value.extend(count.to_be_bytes()));
    write_position(&mut value, &first.unwrap_or(Position { height: 0, leaf: 0 }));
    value
}

/// matched ×2, waiting ×2: count u64, effect i128 · breaks: count u8, each category u8, effect i128 ·
/// counts: count u8, each category u8, 0 = match, count u64 · links: count u16, each category u8, date
/// u32, count u64.
pub(super) fn closed_day(day: &ClosedDay) -> Vec<u8> {
    let ClosedDay { matched, waiting, breaks, counts, links } = day;
    let mut value = Vec::with_capacity(128);
    for Share { count, effect } in matched.iter().chain(waiting) {
        value.extend(count.to_be_bytes());
        value.extend(effect.to_be_bytes());
    }
    value.push(u8::try_from(breaks.len()).expect("there are sixteen categories"));
    for (category, effect) in breaks {
        value.push(*category as u8);
        value.extend(effect.to_be_bytes());
    }
    value.push(u8::try_from(counts.len()).expect("there are sixteen categories"));
    for (counted, count) in counts {
        value.push(counted.map_or(0, |category| category as u8));
        value.extend(count.to_be_bytes());
    }
    value.extend(u16::try_from(links.len()).expect("links are bounded").to_be_bytes());
    for ((counted, date), count) in links {
        value.push(counted.map_or(0, |category| category as u8));
        value.extend(date.yyyymmdd().to_be_bytes());
        value.extend(count.to_be_bytes());
    }
    value
}

pub(super) fn read_closing(value: &mut Reader<'_>) -> Option<Closing> {
    let stage = match value.take()? {
        [0] => Stage::Idle,
        [1] => Stage::Asked,
        [2] => {
            let horizon = read_date(value)?;
            let [part] = value.take()?;
            let from = (read_date(value)?, u64::from_be_bytes(value.take()?));
            Stage::Items { horizon, source: source(part)?, from }
        }
        _ => return None,
    };
    let due_ms = u64::from_be_bytes(value.take()?);
    let horizon = match u32::from_be_bytes(value.take()?) {
        0 => None,
        date => Some(Date::from_yyyymmdd(date).ok()?),
    };
    let mut closing = Closing { stage, due_ms, horizon, ..Closing::default() };
    for (items, last) in closing.items.iter_mut().zip(&mut closing.last) {
        *items = u64::from_be_bytes(value.take()?);
        *last = u64::from_be_bytes(value.take()?);
    }
    for count in &mut closing.findings {
        *count = u64::from_be_bytes(value.take()?);
    }
    closing.first = some_position(value)?;
    Some(closing)
}

pub(super) fn read_closed_day(value: &mut Reader<'_>) -> Option<ClosedDay> {
    let mut day = ClosedDay::default();
    for share in day.matched.iter_mut().chain(&mut day.waiting) {
        let count = u64::from_be_bytes(value.take()?);
        *share = Share { count, effect: i128::from_be_bytes(value.take()?) };
    }
    let [breaks] = value.take()?;
    for _ in 0..breaks {
        let category = counted(value)??;
        day.breaks.insert(category, i128::from_be_bytes(value.take()?));
    }
    let [counts] = value.take()?;
    for _ in 0..counts {
        day.counts.insert(counted(value)?, u64::from_be_bytes(value.take()?));
    }
    let links = u16::from_be_bytes(value.take()?);
    if usize::from(links) > LINKS_MAX {
        return None;
    }
    for _ in 0..links {
        let link = (counted(value)?, read_date(value)?);
        day.links.insert(link, u64::from_be_bytes(value.take()?));
    }
    Some(day)
}

fn counted(value: &mut Reader<'_>) -> Option<Counted> {
    match value.take()? {
        [0] => Some(None),
        [number] => Some(Some(Category::from_number(number)?)),
    }
}
