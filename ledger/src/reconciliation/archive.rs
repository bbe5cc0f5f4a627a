//! The archive: the records of items and findings that have closed. The ledger writes them and reads
//! none of them; questions do, by number.
//!
//! A key is that of the open record, with the first bit of its kind set. An item's value is that of its
//! open record · of each comparison the original that it repeats u64, 0 = none. A finding's is that of
//! its open record; one that does not name its items has them in records of their own, kind 139 · account
//! u32 · class u8 · number u64 · 4,096 + their place, of at most 400 items, each place u8 · number u64.

use super::{
    astray,
    finding::{Class, Finding},
    record::{self, ARCHIVED, FINDINGS, ITEM, MEMBERS, key},
    restore::{self, Mark},
    sheet::{Recorded, Sheet, ids_of},
    unclear::effect,
    work::Work,
};
use crate::{
    header::Reader,
    matching::item::{Comparison, Id, Place, Source},
};

/// Items of a record that has only items.
const MEMBERS_MAX: usize = 400;

/// Records of the items of a finding.
const RECORDS_MAX: u64 = 4_096;

/// Whether a reconciliation record is one of the archive.
pub fn is_archived(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| kind & ARCHIVED != 0)
}

/// Puts an item of a sheet into the archive as it stands.
pub(super) fn put_item(sheet: &mut Sheet, source: Source, number: u64) {
    let Some(recorded) = sheet.items.get(&(source, number)) else { return };
    let mut value = record::item(sheet, source, recorded);
    for (comparison, desk) in &sheet.desks {
        let Some(place) = comparison.place(source) else { continue };
        let id = Id { place, number };
        if desk.standing(id).is_some() {
            value.extend(desk.original(id).unwrap_or(0).to_be_bytes());
        }
    }
    let (account, part) = (sheet.ordinal, source as u8);
    let archived = &mut sheet.touched.archived;
    archived.push((key(ITEM, account, part, number), Vec::new()));
    archived.push((key(ITEM | ARCHIVED, account, part, number), value));
}

/// Puts a finding of a sheet into the archive as it stands.
pub(super) fn put_finding(sheet: &mut Sheet, class: Class, number: u64) {
    let Some(finding) = sheet.findings.get(&(class, number)) else { return };
    let work = sheet.works.get(&number).filter(|_| class == Class::Break);
    let value = record::finding(finding, work);
    let (account, kind) = (sheet.ordinal, kind_of(class));
    let part = finding.comparison as u8;
    let mut records = vec![
        (key(kind, account, part, number), Vec::new()),
        (key(kind | ARCHIVED, account, part, number), value),
    ];
    if !record::names_items(finding) {
        let ids = ids_of(&finding.items);
        for (place, ids) in (0..RECORDS_MAX).zip(ids.chunks(MEMBERS_MAX)) {
            let each = ids
                .iter()
                .flat_map(|id| std::iter::once(id.place as u8).chain(id.number.to_be_bytes()));
            records.push((members_key(account, class, number, place), each.collect()));
        }
    }
    sheet.touched.archived.append(&mut records);
}

fn kind_of(class: Class) -> u8 {
    FINDINGS[class as usize - 1].0
}

fn members_key(account: u32, class: Class, number: u64, place: u64) -> Vec<u8> {
    key(MEMBERS, account, class as u8, number.wrapping_mul(RECORDS_MAX).wrapping_add(place))
}

/// An item that has closed.
#[derive(Clone, Debug)]
pub struct ClosedItem {
    /// As it was recorded.
    pub recorded: Recorded,
    /// In each comparison that it took part in, how it stood when it closed.
    pub stood: Vec<Stood>,
}

/// How an item stood in a comparison when it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// In which comparison.
    pub comparison: Comparison,
    /// The match or the break that it stands in.
    pub finding: Option<(Class, u64)>,
    /// Of a duplicate: the number of the item that it repeats.
    pub original: Option<u64>,
}

/// A finding that has closed.
#[derive(Clone, Debug)]
pub struct ClosedFinding {
    /// The finding itself.
    pub finding: Finding,
    /// Of a break: the work on it.
    pub work: Option<Work>,
}

/// What items of a finding add to the first source's balance minus the second's, minor units.
pub fn effect_of(items: &[Vec<(Source, Recorded)>; 2]) -> i128 {
    let of = |(place, items): (Place, &Vec<(Source, Recorded)>)| -> i128 {
        items.iter().map(|(_, recorded)| effect(place, &recorded.item)).sum()
    };
    Place::BOTH.into_iter().zip(items).map(of).sum()
}

/// Why something of the archive cannot be read.
#[derive(Debug)]
pub enum Unread<E> {
    /// Storage failed.
    Storage(E),
    /// A record does not decode.
    Damaged,
}

/// The archive of one account, read through storage's own way to find a record by its key.
pub struct Archive<G> {
    account: u32,
    get: G,
}

impl<G, E> Archive<G>
where
    G: Fn(&[u8]) -> Result<Option<Vec<u8>>, E>,
{
    /// That of an account, by its ordinal.
    pub fn new(account: u32, get: G) -> Archive<G> {
        Archive { account, get }
    }

    /// An item; none if none with this number has closed.
    pub fn item(&self, source: Source, number: u64) -> Result<Option<ClosedItem>, Unread<E>> {
        let value = self.get(&key(ITEM | ARCHIVED, self.account, source as u8, number))?;
        value.map(|value| read_item(number, &value).ok_or(Unread::Damaged)).transpose()
    }

    /// A finding; none if none with this number has closed. Looks at one key for each comparison.
    pub fn finding(&self, class: Class, number: u64) -> Result<Option<ClosedFinding>, Unread<E>> {
        for comparison in Comparison::ALL {
            let kind = kind_of(class) | ARCHIVED;
            let Some(value) = self.get(&key(kind, self.account, comparison as u8, number))? else {
                continue;
            };
            let found = read_finding((class, number), comparison, &value);
            let mut found = found.ok_or(Unread::Damaged)?;
            if found.finding.items.iter().all(Vec::is_empty) {
                self.members(&mut found.finding, class)?;
            }
            return Ok(Some(found));
        }
        Ok(None)
    }

    fn members(&self, finding: &mut Finding, class: Class) -> Result<(), Unread<E>> {
        for place in 0..RECORDS_MAX {
            let key = members_key(self.account, class, finding.number, place);
            let Some(value) = self.get(&key)? else { break };
            read_members(finding, &value).ok_or(Unread::Damaged)?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unread<E>> {
        (self.get)(key).map_err(Unread::Storage)
    }
}

fn read_item(number: u64, value: &[u8]) -> Option<ClosedItem> {
    let mut value = Reader(value);
    let recorded = restore::read_item(number, &mut value)?;
    let marks = restore::read_marks(&mut value)?;
    let stood = |(comparison, _, _, finding): Mark| {
        let original = u64::from_be_bytes(value.take()?);
        Some(Stood { comparison, finding, original: (original != 0).then_some(original) })
    };
    let stood = marks.into_iter().map(stood).collect::<Option<_>>()?;
    value.0.is_empty().then_some(ClosedItem { recorded, stood })
}

fn read_finding(
    (class, number): (Class, u64),
    comparison: Comparison,
    value: &[u8],
) -> Option<ClosedFinding> {
    let mut value = Reader(value);
    let mut finding = restore::read_finding(number, class, comparison, &mut value)?;
    let work = match class {
        Class::Match | Class::Proposal => None,
        Class::Break => {
            // What is about a statement or a day does not close.
            restore::read_about(&mut value)?.is_none().then_some(())?;
            finding.elsewhere = astray::read(&mut value)?;
            Some(restore::read_work(&mut value)?)
        }
    };
    value.0.is_empty().then_some(ClosedFinding { finding, work })
}

fn read_members(finding: &mut Finding, value: &[u8]) -> Option<()> {
    let mut value = Reader(value);
    while !value.0.is_empty() {
        let [place] = value.take()?;
        let place = Place::BOTH.into_iter().find(|it| *it as u8 == place)?;
        let number = u64::from_be_bytes(value.take()?);
        finding.items[usize::from(place as u8) - 1].push(number);
    }
    Some(())
}
