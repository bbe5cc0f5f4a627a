//! Sheets out of their records.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Reconciliation, archive,
    book::{Day, Sides, StatementFault, StatementRecord},
    closed_record::{read_closed_day, read_closing},
    finding::{About, Class, Finding, Says},
    orders::{Resolution, ResolutionKind, View},
    pass::Pass,
    position::DayPosition,
    record::{
        ASIDE, CLOSED_DAY, CLOSING, DAY, DUPLICATE, FINDINGS, FREE, ITEM, NAMED_MAX, PAIRED,
        PINNED, POSITION, PROPOSED, REFUSALS, SHEET, STATEMENT,
    },
    run::read_cursor,
    sheet::{Recorded, Sheet},
    work::{Hand, Offer, STEPS_IN_ALL_MAX, Work, WorkState},
};
use crate::{
    account::{Account, AccountId},
    agreement::Party,
    bic::Bic,
    block::{Position, Side},
    date::Date,
    hash::Hash,
    header::Reader,
    matching::{
        bucket::Refusals,
        desk::{Desk, Standing},
        item::{Comparison, EntryFields, Id, Item, Place, Source, Strength},
        pair::{Category, Defect, Judgement},
    },
    merkle::Frontier,
    purpose::Purpose,
    uetr::Uetr,
};

/// An item's mark on a desk: comparison, standing, whether it is set aside, finding.
pub(super) type Mark = (Comparison, u8, bool, Option<(Class, u64)>);

/// What was read of a sheet, before its desks are set up.
#[derive(Default)]
struct Draft {
    sheet: Option<Sheet>,
    marks: Vec<(Source, u64, Vec<Mark>)>,
    refused: BTreeMap<Comparison, Refusals>,
}

/// Items as they stood on a desk.
type Seats = Vec<(Place, Arc<Item>, Standing, bool)>;

impl Reconciliation {
    /// Rebuilds everything from storage's records, in the order of their keys. Those of the archive are
    /// passed by.
    pub(crate) fn restore(
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        accounts: &[Account],
    ) -> Option<Reconciliation> {
        let mut drafts: BTreeMap<u32, Draft> = BTreeMap::new();
        let open = records.into_iter().filter(|(key, _)| !archive::is_archived(key));
        for (key, value) in open {
            read(&mut drafts, &key, &value)?;
        }
        let mut all = Reconciliation::default();
        for (ordinal, draft) in drafts {
            let account = accounts.get(usize::try_from(ordinal).ok()?)?;
            let sheet = draft.finish().filter(|sheet| sheet.is_whole(account))?;
            all.due.extend(sheet.due_ms().map(|due_ms| (due_ms, ordinal)));
            all.sheets.insert(ordinal, sheet);
        }
        all.find_missing();
        Some(all)
    }
}

fn read(drafts: &mut BTreeMap<u32, Draft>, key: &[u8], value: &[u8]) -> Option<()> {
    let mut reader = Reader(key);
    let [kind] = reader.take()?;
    let account = u32::from_be_bytes(reader.take()?);
    let [part] = reader.take()?;
    let number = u64::from_be_bytes(reader.take()?);
    if !reader.0.is_empty() {
        return None;
    }
    let draft = drafts.entry(account).or_default();
    // What its own record says comes last: its kind is behind those of what it holds.
    let sheet = draft.sheet.get_or_insert_with(|| Sheet::new(account, AccountId::NONE));
    let mut value = Reader(value);
    let value = &mut value;
    match kind {
        ITEM => {
            let source = source(part)?;
            let recorded = read_item(number, value)?;
            draft.marks.push((source, number, read_marks(value)?));
            let book = sheet.books.entry(source).or_default();
            book.restore_item(number, recorded.item.date);
            if sheet.items.insert((source, number), recorded).is_some() {
                return None;
            }
        }
        STATEMENT => {
            let (statement, faults) = read_statement(number, value)?;
            let book = sheet.books.entry(source(part)?).or_default();
            book.restore_statement(statement)?;
            book.faults.extend(faults);
        }
        DAY => {
            let (booked, valued, items) = read_day(value)?;
            let book = sheet.books.entry(source(part)?).or_default();
            book.restore_day(date(number)?, booked, valued, items);
        }
        POSITION => {
            let (day, position) = (date(number)?, read_day_position(value)?);
            let parties = [Party::Servicer, Party::Owner].into_iter();
            let signed = parties.filter(|party| position.view(*party).is_some());
            sheet.signed.extend(signed.map(|party| (party, day)));
            sheet.positions.insert(day, position);
        }
        REFUSALS => {
            let comparison = Comparison::from_number(part)?;
            let refused = draft.refused.entry(comparison).or_default();
            while !value.0.is_empty() {
                let second = u64::from_be_bytes(value.take()?);
                let id = |place, number| Id { place, number };
                refused.insert(id(Place::First, number), id(Place::Second, second));
            }
        }
        SHEET => read_sheet(sheet, value)?,
        CLOSING => sheet.closing = read_closing(value)?,
        CLOSED_DAY => {
            let day = (Comparison::from_number(part)?, date(number)?);
            sheet.closed.days.insert(day, read_closed_day(value)?);
        }
        _ => {
            let (_, class) = FINDINGS.into_iter().find(|(found, _)| *found == kind)?;
            let comparison = Comparison::from_number(part)?;
            sheet.desks.entry(comparison).or_insert_with(|| Desk::new(comparison));
            let mut found = read_finding(number, class, comparison, value)?;
            if class == Class::Break {
                found.about = read_about(value)?;
                found.elsewhere = super::astray::read(value)?;
                sheet.works.insert(number, read_work(value)?);
            }
            if class != Class::Match && found.closed_at.is_none() {
                sheet.open.insert((class, number));
            }
            sheet.findings.insert((class, number), found);
        }
    }
    value.0.is_empty().then_some(())
}

impl Draft {
    /// Puts the items on their desks, as they stood.
    fn finish(self) -> Option<Sheet> {
        let mut sheet = self.sheet?;
        if sheet.id == AccountId::NONE {
            return None;
        }
        for (source, number, marks) in &self.marks {
            for (comparison, .., finding) in marks {
                let id = Id { place: comparison.place(*source)?, number: *number };
                let Some(key) = finding else { continue };
                sheet.stands.insert((*comparison, id), *key);
                let found = sheet.findings.get_mut(key)?;
                let items = &mut found.items[usize::from(id.place as u8) - 1];
                // A group is not named in its own record; its items come in ascending order.
                if items.last().is_none_or(|last| *last < *number) {
                    items.push(*number);
                }
            }
        }
        sheet.restore_past();
        for (source, book) in &mut sheet.books {
            book.restore_closed(sheet.closing.items[*source as usize])?;
        }
        for found in sheet.findings.values().filter(|it| it.closed_at.is_none()) {
            if found.says.class() == Class::Proposal {
                let ids = super::sheet::ids_of(&found.items).into_iter();
                sheet.proposed.extend(ids.map(|id| (found.comparison, id, found.number)));
            }
        }
        for (date, position) in &sheet.positions {
            if position.is_signed() && position.agreed_at.is_none() {
                sheet.undecided.insert(*date);
            }
            let broken = position.break_number.and_then(|number| sheet.works.get(&number));
            if broken.is_some_and(|work| work.state.is_ended()) {
                sheet.accepted.insert(*date, position.difference);
            }
        }
        let mut seats: BTreeMap<Comparison, Seats> = BTreeMap::new();
        let stated = sheet.desks.keys().chain(self.refused.keys());
        seats.extend(stated.map(|comparison| (*comparison, Seats::new())));
        for (source, number, marks) in self.marks {
            for (comparison, standing, is_aside, _) in marks {
                let id = Id { place: comparison.place(source)?, number };
                let (item, standing) = sheet.seat(comparison, id, standing)?;
                seats.entry(comparison).or_default().push((id.place, item, standing, is_aside));
            }
        }
        let mut refused = self.refused;
        for (comparison, seats) in seats {
            let refused = refused.remove(&comparison).unwrap_or_default();
            sheet.desks.insert(comparison, Desk::restore(comparison, seats, refused)?);
        }
        Some(sheet)
    }
}

impl Sheet {
    /// An item, and how it stood on a desk.
    fn seat(
        &mut self,
        comparison: Comparison,
        id: Id,
        standing: u8,
    ) -> Option<(Arc<Item>, Standing)> {
        let recorded = self.items.get(&(comparison.source(id.place), id.number))?;
        let (item, deadline_ms) = (recorded.item.clone(), recorded.deadline_ms);
        let stands = self.stands.get(&(comparison, id)).copied();
        let found = stands.and_then(|key| self.findings.get(&key));
        let standing = match standing {
            FREE => Standing::Free,
            DUPLICATE => Standing::Duplicate,
            PINNED => Standing::Pinned,
            PAIRED => {
                let found = found?;
                let other = &found.items[usize::from(id.place.opposite() as u8) - 1];
                Standing::Paired { with: *other.first()?, judgement: found.judgement? }
            }
            PROPOSED => self.proposed_with(comparison, id)?,
            _ => return None,
        };
        let is_timing =
            found.is_some_and(|found| found.says == Says::Break { category: Category::Timing });
        if standing == Standing::Free && (stands.is_none() || is_timing) {
            self.deadlines.insert((deadline_ms, comparison, id));
        }
        if !self.is_clear(comparison, id) {
            self.unclear.insert(comparison, id, &item);
        }
        Some((item, standing))
    }

    /// What keys propose for an item: told with the item of the first source.
    fn proposed_with(&self, comparison: Comparison, id: Id) -> Option<Standing> {
        let named = self.proposed.range((comparison, id, 0)..=(comparison, id, u64::MAX));
        let (mut with, mut strength) = (Vec::new(), None);
        for (.., number) in named {
            let found = self.findings.get(&(Class::Proposal, *number))?;
            let Says::Proposal { pass, .. } = found.says else { return None };
            let Some(by) = pass.strength() else { continue };
            strength = Some(by);
            with.extend(&found.items[usize::from(id.place.opposite() as u8) - 1]);
        }
        // In intrinsic order, as the desk has them.
        let source = comparison.source(id.place.opposite());
        let item = |number: &u64| self.items.get(&(source, *number)).map(|it| it.item.clone());
        with.sort_by_key(item);
        with.dedup();
        Some(Standing::Proposed { strength: strength?, with })
    }
}

pub(super) fn source(number: u8) -> Option<Source> {
    [Source::Ledger, Source::OwnerBook, Source::ServicerBook]
        .into_iter()
        .find(|source| *source as u8 == number)
}

fn date(yyyymmdd: u64) -> Option<Date> {
    Date::from_yyyymmdd(u32::try_from(yyyymmdd).ok()?).ok()
}

pub(super) fn read_date(value: &mut Reader<'_>) -> Option<Date> {
    Date::from_yyyymmdd(u32::from_be_bytes(value.take()?)).ok()
}

fn read_position(value: &mut Reader<'_>) -> Option<Position> {
    let height = u64::from_be_bytes(value.take()?);
    Some(Position { height, leaf: u32::from_be_bytes(value.take()?) })
}

pub(super) fn some_position(value: &mut Reader<'_>) -> Option<Option<Position>> {
    let position = read_position(value)?;
    Some((position.height != 0).then_some(position))
}

pub(super) fn read_text(value: &mut Reader<'_>) -> Option<String> {
    let [length] = value.take()?;
    let (text, rest) = value.0.split_at_checked(usize::from(length))?;
    value.0 = rest;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

pub(super) fn read_item(number: u64, value: &mut Reader<'_>) -> Option<Recorded> {
    let position = read_position(value)?;
    let time_ms = u64::from_be_bytes(value.take()?);
    let deadline_ms = u64::from_be_bytes(value.take()?);
    let [flags, purpose] = value.take()?;
    let booked = read_date(value)?;
    let [side] = value.take()?;
    let amount = u64::from_be_bytes(value.take()?);
    let valued = read_date(value)?;
    let charges = u64::from_be_bytes(value.take()?);
    let uetr: [u8; 16] = value.take()?;
    let uetr = if uetr == [0; 16] { None } else { Some(Uetr::from_bytes(&uetr).ok()?) };
    let bic: [u8; 11] = value.take()?;
    let counterparty = if bic == [0; 11] {
        None
    } else {
        Some(Bic::parse_canonical(std::str::from_utf8(&bic).ok()?).ok()?)
    };
    let texts: Option<Vec<String>> = (0..6).map(|_| read_text(value)).collect();
    let texts = texts?;
    let fields = EntryFields {
        side: Side::from_number(side)?,
        amount,
        date: valued,
        uetr,
        transaction_id: &texts[0],
        end_to_end_id: &texts[1],
        instruction_id: &texts[2],
        entry_reference: &texts[3],
        group_id: &texts[4],
        counterparty,
        reversal: flags & 2 != 0,
        returned: flags & 4 != 0,
        exchanged: flags & 8 != 0,
        charges,
        other_asset: &texts[5],
    };
    let item = Arc::new(Item::of_entry(number, &fields));
    let is_late = flags & 1 != 0;
    let purpose = Purpose::of(purpose.into()).ok()?;
    Some(Recorded { item, booked, purpose, position, time_ms, deadline_ms, is_late })
}

pub(super) fn read_marks(value: &mut Reader<'_>) -> Option<Vec<Mark>> {
    let [count] = value.take()?;
    let read = |_| {
        let [comparison, mark, class] = value.take()?;
        let number = u64::from_be_bytes(value.take()?);
        let finding = match class {
            0 => None,
            class => Some((Class::from_number(class)?, number)),
        };
        let comparison = Comparison::from_number(comparison)?;
        Some((comparison, mark & !ASIDE, mark & ASIDE != 0, finding))
    };
    (0..count).map(read).collect()
}

pub(super) fn read_finding(
    number: u64,
    class: Class,
    comparison: Comparison,
    value: &mut Reader<'_>,
) -> Option<Finding> {
    let opened_at = read_position(value)?;
    let closed_at = some_position(value)?;
    let [code, by] = value.take()?;
    let says = match class {
        Class::Match => Says::Match { pass: Pass::from_number(code)?, confirmed: by != 0 },
        Class::Proposal => Says::Proposal { pass: Pass::from_number(code)?, confirmed_by: by },
        Class::Break => Says::Break { category: Category::from_number(code)? },
    };
    let category = match says {
        Says::Break { category } => Some(category),
        _ => None,
    };
    let judgement = match value.take()? {
        [0] => None,
        [1] => {
            let [strength, defect] = value.take()?;
            let strength = Strength::ALL.into_iter().find(|it| *it as u8 == strength)?;
            let defect = Defect::from_number(defect)?;
            let distance = u32::from_be_bytes(value.take()?);
            let amount_difference = u64::from_be_bytes(value.take()?);
            Some(Judgement { strength, defect, distance, category, amount_difference })
        }
        _ => return None,
    };
    let counts = [u16::from_be_bytes(value.take()?), u16::from_be_bytes(value.take()?)];
    let [named] = value.take()?;
    let mut items = [Vec::new(), Vec::new()];
    if named == 1 {
        for (count, items) in counts.into_iter().zip(&mut items) {
            if usize::from(count) > NAMED_MAX {
                return None;
            }
            for _ in 0..count {
                items.push(u64::from_be_bytes(value.take()?));
            }
        }
    }
    Some(Finding {
        number,
        comparison,
        items,
        says,
        about: None,
        elsewhere: None,
        judgement,
        opened_at,
        closed_at,
    })
}

pub(super) fn read_about(value: &mut Reader<'_>) -> Option<Option<About>> {
    let [kind, part] = value.take()?;
    let number = u64::from_be_bytes(value.take()?);
    Some(match kind {
        0 => None,
        1 => Some(About::Statement(source(part)?, number)),
        2 => Some(About::Day(date(number)?)),
        _ => return None,
    })
}

fn party(number: u8) -> Option<Option<Party>> {
    match number {
        0 => Some(None),
        number => Some(Some(Party::from_number(number)?)),
    }
}

pub(super) fn read_work(value: &mut Reader<'_>) -> Option<Work> {
    let [state, owner, spoke] = value.take()?;
    let step_counts = [u16::from_be_bytes(value.take()?), u16::from_be_bytes(value.take()?)];
    let counted: usize = step_counts.iter().map(|count| usize::from(*count)).sum();
    if counted > STEPS_IN_ALL_MAX {
        return None;
    }
    let steps = (0..counted).map(|_| read_position(value)).collect::<Option<_>>()?;
    let offer = match value.take()? {
        [0] => None,
        [1] => {
            let [by] = value.take()?;
            let by = Hand { party: Party::from_number(by)?, key_id: Hash(value.take()?) };
            let [kind, transfers] = value.take()?;
            let transfer = match transfers {
                0 => None,
                _ => {
                    let amount = u64::from_be_bytes(value.take()?);
                    let (debit, credit): ([u8; 16], [u8; 16]) = (value.take()?, value.take()?);
                    let accounts =
                        (AccountId::from_bytes(&debit)?, AccountId::from_bytes(&credit)?);
                    Some((amount, accounts.0, accounts.1))
                }
            };
            let kind = ResolutionKind::from_number(kind)?;
            let commitment = Hash(value.take()?);
            Some(Offer { by, resolution: Resolution { kind, transfer, commitment } })
        }
        _ => return None,
    };
    let (owner, spoke) = (party(owner)?, party(spoke)?);
    Some(Work { state: WorkState::from_number(state)?, owner, spoke, steps, step_counts, offer })
}

fn read_sides(value: &mut Reader<'_>) -> Option<Sides> {
    let credits = u128::from_be_bytes(value.take()?);
    Some(Sides { credits, debits: u128::from_be_bytes(value.take()?) })
}

fn read_figures(value: &mut Reader<'_>) -> Option<Day> {
    Some(Day {
        credit_count: u64::from_be_bytes(value.take()?),
        credits: u128::from_be_bytes(value.take()?),
        debit_count: u64::from_be_bytes(value.take()?),
        debits: u128::from_be_bytes(value.take()?),
        lent: read_sides(value)?,
        repaid: read_sides(value)?,
    })
}

fn read_day(value: &mut Reader<'_>) -> Option<(Day, Day, Frontier)> {
    let (booked, valued) = (read_figures(value)?, read_figures(value)?);
    let size = u64::from_be_bytes(value.take()?);
    let mut peaks = Vec::new();
    while !value.0.is_empty() {
        peaks.push(Hash(value.take()?));
    }
    Some((booked, valued, Frontier::from_peaks(size, peaks)?))
}

type Faults = Vec<((u64, StatementFault), u64)>;

fn read_statement(number: u64, value: &mut Reader<'_>) -> Option<(StatementRecord, Faults)> {
    let position = read_position(value)?;
    let sequence = u64::from_be_bytes(value.take()?);
    let (from, to) = (read_date(value)?, read_date(value)?);
    let opening = i64::from_be_bytes(value.take()?);
    let closing = i64::from_be_bytes(value.take()?);
    let original = Hash(value.take()?);
    let id = read_text(value)?;
    let mut faults = Vec::new();
    for fault in StatementFault::ALL {
        let opened = u64::from_be_bytes(value.take()?);
        if opened != 0 {
            faults.push(((number, fault), opened));
        }
    }
    let statement =
        StatementRecord { number, id, sequence, from, to, opening, closing, original, position };
    Some((statement, faults))
}

fn read_day_position(value: &mut Reader<'_>) -> Option<DayPosition> {
    let (mut views, mut bases) = ([None, None], [0; 2]);
    for (view, base) in views.iter_mut().zip(&mut bases) {
        *view = match value.take()? {
            [0] => None,
            [1] => {
                let figures = View {
                    opening: i64::from_be_bytes(value.take()?),
                    credit_count: u64::from_be_bytes(value.take()?),
                    credits: u64::from_be_bytes(value.take()?),
                    debit_count: u64::from_be_bytes(value.take()?),
                    debits: u64::from_be_bytes(value.take()?),
                    closing: i64::from_be_bytes(value.take()?),
                    digest: Hash(value.take()?),
                };
                let at = read_position(value)?;
                *base = i128::from_be_bytes(value.take()?);
                Some((figures, at))
            }
            _ => return None,
        };
    }
    let agreed_at = some_position(value)?;
    let number = u64::from_be_bytes(value.take()?);
    let break_number = (number != 0).then_some(number);
    let difference = i128::from_be_bytes(value.take()?);
    let [count] = value.take()?;
    let read = |_| Comparison::from_number(u8::from_be_bytes(value.take()?));
    let compared: Vec<Comparison> = (0..count).map(read).collect::<Option<_>>()?;
    if !compared.is_sorted_by(|one, next| one < next) {
        return None;
    }
    Some(DayPosition { views, agreed_at, break_number, compared, bases, difference })
}

fn read_sheet(sheet: &mut Sheet, value: &mut Reader<'_>) -> Option<()> {
    let id: [u8; 16] = value.take()?;
    sheet.id = AccountId::from_bytes(&id)?;
    sheet.salt = Hash(value.take()?);
    for class in Class::ALL {
        sheet.counts.insert(class, u64::from_be_bytes(value.take()?));
    }
    let next = u64::from_be_bytes(value.take()?);
    sheet.next_run_ms = (next != 0).then_some(next);
    let [count] = value.take()?;
    for _ in 0..count {
        let [comparison] = value.take()?;
        sheet.runs.insert(Comparison::from_number(comparison)?, read_cursor(value)?);
    }
    Some(())
}
