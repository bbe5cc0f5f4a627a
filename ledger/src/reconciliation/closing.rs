//! Closing: what is of agreed days that lie far enough back leaves memory, for the archive.
//!
//! Days up to the horizon are gone through whenever it moves, a slice a block. An item closes with all
//! that it is tied to: by findings of any comparison, also those that have ended, and as a duplicate. If
//! any of that is not final, or of a day that is not agreed, all of it stays. Nothing that stays changes.

use std::collections::BTreeSet;

use super::{
    archive,
    effect::{Effect, Kind},
    finding::{Class, Finding},
    record::NAMED_MAX,
    sheet::{Moment, Sheet, ids_of},
    work::WorkState,
};
use crate::{
    agreement::Terms,
    block::Position,
    date::Date,
    matching::{
        desk::Standing,
        item::{Comparison, Id, Source},
    },
    reason::Reason,
};

/// Fewest business days that lie between the horizon and the newest agreed day.
const DAYS_MIN: u32 = 10;

/// Business days in which duplicates and late entries still find what they belong to, beyond the window
/// of value dates and the deadline of what is missing.
const MARGIN_DAYS: u32 = 5;

/// Looking at an item costs as much of a block's budget as so many deadlines. A block that does nothing
/// else looks at 1,024 items, some 20 ms.
const COST: usize = 4;

/// Most items that leave together. A group has at most 4,096 of each source.
const UNIT_MAX: usize = 16_384;

/// Before every item, by date and number.
fn first() -> (Date, u64) {
    (Date::from_day_number(0), 0)
}

const SOURCES: [Source; 3] = [Source::Ledger, Source::OwnerBook, Source::ServicerBook];

/// How far closing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is to be done.
    #[default]
    Idle,
    /// A day was agreed: the horizon may have moved.
    Asked,
    /// Items up to a horizon: the next one is looked for from a source, date and number on.
    Items { horizon: Date, source: Source, from: (Date, u64) },
}

/// What has closed so far, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Closing {
    pub stage: Stage,
    /// When there is something to be done, Unix milliseconds: behind deadlines that were due before.
    pub due_ms: u64,
    /// The last horizon up to which days were gone through.
    pub horizon: Option<Date>,
    /// Items that have closed, by source.
    pub items: [u64; 3],
    /// The highest of their numbers, by source.
    pub last: [u64; 3],
    /// Findings that have closed, by class.
    pub findings: [u64; 3],
    /// Where the first of the items was recorded.
    pub first: Option<Position>,
}

/// What leaves together.
#[derive(Default)]
struct Unit {
    items: BTreeSet<(Source, u64)>,
    findings: BTreeSet<(Class, u64)>,
}

impl Closing {
    /// When it wants a block, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        (self.stage != Stage::Idle).then_some(self.due_ms)
    }
}

impl Sheet {
    /// A day was agreed: the horizon may have moved.
    pub(super) fn ask_to_close(&mut self, now: Moment) {
        if self.closing.stage == Stage::Idle {
            (self.closing.stage, self.closing.due_ms) = (Stage::Asked, now.time_ms);
            self.touched.closing = true;
        }
    }

    /// Whether an item was there and has closed; of the ledger, whether it is not among the open ones
    /// and one with a higher number has closed.
    pub fn is_closed_item(&self, source: Source, number: u64) -> bool {
        number != 0
            && number <= self.closing.last[source as usize]
            && !self.items.contains_key(&(source, number))
    }

    /// Whether a finding was there and has closed.
    pub fn is_closed_finding(&self, class: Class, number: u64) -> bool {
        number != 0
            && number <= self.finding_count(class)
            && !self.findings.contains_key(&(class, number))
    }

    /// How many findings of a class there have been.
    pub fn finding_count(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or(0)
    }

    /// Refuses what names items that have closed.
    pub(super) fn refuse_closed(&self, comparison: Comparison, ids: &[Id]) -> Result<(), Reason> {
        let is_closed = |id: &Id| self.is_closed_item(comparison.source(id.place), id.number);
        if ids.iter().any(is_closed) { Err(Reason::DayClosed) } else { Ok(()) }
    }

    /// Refuses what names a break that has closed.
    pub(super) fn refuse_closed_break(&self, number: u64) -> Result<(), Reason> {
        if self.is_closed_finding(Class::Break, number) { Err(Reason::DayClosed) } else { Ok(()) }
    }

    /// Goes on with closing, if that is due, as far as the budget goes.
    pub(super) fn close_some(&mut self, terms: &Terms, budget: &mut usize, now: Moment) {
        if self.closing.due_ms().is_none_or(|due_ms| due_ms > now.time_ms) {
            return;
        }
        self.touched.closing = true;
        if self.closing.stage == Stage::Asked {
            let (today, _) = terms.calendar.local(now.time_ms);
            self.closing.stage = self.first_stage(terms, today);
        }
        let mut looks = (*budget / COST).max(1);
        while let Stage::Items { horizon, source, from } = self.closing.stage
            && looks > 0
        {
            *budget = budget.saturating_sub(COST);
            looks -= 1;
            self.closing.stage = self.close_next(horizon, (source, from), &mut looks);
            if self.closing.stage == Stage::Idle {
                self.closing.horizon = Some(horizon);
                let number = u64::from(horizon.yyyymmdd());
                self.effects.push(Effect::new(Kind::DaysClosed, None, 0, number));
            }
        }
        self.closing.due_ms = match self.closing.stage {
            Stage::Idle => 0,
            // In the next block.
            _ => now.time_ms + 1,
        };
    }

    /// Closing is of no use without terms.
    pub(super) fn give_up_closing(&mut self) {
        self.touched.closing |= self.closing.stage != Stage::Idle;
        (self.closing.stage, self.closing.due_ms) = (Stage::Idle, 0);
    }

    /// Where closing begins; nowhere if there is nothing to be closed.
    fn first_stage(&self, terms: &Terms, today: Date) -> Stage {
        let horizon = self.horizon(terms, today);
        let moved = horizon.filter(|horizon| Some(*horizon) > self.closing.horizon);
        let Some(horizon) = moved else { return Stage::Idle };
        let has_any = self.books.values().any(|book| book.next_item(first(), horizon).is_some());
        if !has_any {
            return Stage::Idle;
        }
        Stage::Items { horizon, source: Source::Ledger, from: first() }
    }

    /// The value date up to which agreed days close; none if no day up to today is agreed.
    fn horizon(&self, terms: &Terms, today: Date) -> Option<Date> {
        let agreed = |(_, it): &(&Date, &super::position::DayPosition)| it.agreed_at.is_some();
        let (newest, _) = self.positions.range(..=today).rev().find(agreed)?;
        let days = terms.value_date_window + terms.missing_after_days + MARGIN_DAYS;
        let back = |date: Date, _| terms.calendar.previous_business_day(date);
        Some((0..days.max(DAYS_MIN)).fold(*newest, back))
    }

    /// Looks at the next item up to a horizon.
    fn close_next(
        &mut self,
        horizon: Date,
        (source, from): (Source, (Date, u64)),
        looks: &mut usize,
    ) -> Stage {
        let book = self.books.get(&source);
        let Some((date, number)) = book.and_then(|book| book.next_item(from, horizon)) else {
            let later = SOURCES.into_iter().find(|other| *other > source);
            return later.map_or(Stage::Idle, |source| Stage::Items {
                horizon,
                source,
                from: first(),
            });
        };
        if !self.is_closing(date, horizon) {
            return Stage::Items { horizon, source, from: (date.next(), 0) };
        }
        if let Some(unit) = self.unit((source, date, number), horizon, looks) {
            self.close_unit(&unit);
        }
        Stage::Items { horizon, source, from: (date, number + 1) }
    }

    /// Whether a day closes.
    fn is_closing(&self, date: Date, horizon: Date) -> bool {
        let position = self.positions.get(&date);
        date <= horizon && position.is_some_and(|position| position.agreed_at.is_some())
    }

    /// Everything that an item leaves with; none if some of it has to stay. Of what leaves together the
    /// first item is asked, source by source and day by day: for the others it was asked before. Takes as
    /// many looks as it follows ties.
    fn unit(&self, first: (Source, Date, u64), horizon: Date, looks: &mut usize) -> Option<Unit> {
        let start = (first.0, first.2);
        let mut unit = Unit::default();
        unit.items.insert(start);
        let mut ahead = vec![start];
        while let Some((source, number)) = ahead.pop() {
            let tied = self.tied_to(source, number, &mut unit.findings)?;
            // A pair's two items name each other, and themselves.
            *looks = looks.saturating_sub(tied.len() / 2);
            for other in tied {
                let date = self.items.get(&other)?.item.date;
                let was_asked = (other.0, date, other.1) < first;
                if was_asked || !self.is_closing(date, horizon) || unit.items.len() == UNIT_MAX {
                    return None;
                }
                if unit.items.insert(other) {
                    ahead.push(other);
                }
            }
        }
        let days = self.days_of(&unit.findings);
        self.closed.has_room(days.iter().map(|(found, days)| (*found, days))).then_some(unit)
    }

    /// What an item is tied to by findings that are not among those yet, which are added, and as a
    /// duplicate; none if it is not final.
    fn tied_to(
        &self,
        source: Source,
        number: u64,
        findings: &mut BTreeSet<(Class, u64)>,
    ) -> Option<Vec<(Source, u64)>> {
        let mut tied = Vec::new();
        for comparison in Comparison::ALL {
            let Some(place) = comparison.place(source) else { continue };
            let id = Id { place, number };
            let Some(desk) = self.desks.get(&comparison) else { continue };
            let Some(standing) = desk.standing(id) else { continue };
            let settled = matches!(standing, Standing::Paired { .. } | Standing::Pinned);
            let proposed = self.proposals_of(comparison, id).next().is_some();
            if !settled || proposed || !self.is_clear(comparison, id) {
                return None;
            }
            let stands_in = self.stands.get(&(comparison, id)).copied();
            for key in stands_in.into_iter().chain(self.past_of(comparison, id)) {
                if findings.insert(key) {
                    let ids = ids_of(&self.findings.get(&key)?.items).into_iter();
                    tied.extend(ids.map(|id| (comparison.source(id.place), id.number)));
                }
            }
            tied.extend(desk.same(id).map(|id| (comparison.source(id.place), id.number)));
        }
        Some(tied)
    }

    /// Findings that have ended and name an item.
    fn past_of(&self, comparison: Comparison, id: Id) -> impl Iterator<Item = (Class, u64)> + '_ {
        let from = (comparison, id, Class::Match, 0);
        let past = self.past.range(from..=(comparison, id, Class::Break, u64::MAX));
        past.map(|(.., class, number)| (*class, *number))
    }

    /// A finding has ended, and nothing stands in it any more. What has more items than its record
    /// names stays as it is.
    pub(super) fn becomes_past(&mut self, key: (Class, u64)) {
        let Some(finding) = self.findings.get(&key) else { return };
        let is_named = finding.items.iter().all(|items| items.len() <= NAMED_MAX);
        if finding.about.is_none() && is_named {
            let comparison = finding.comparison;
            let ids = ids_of(&finding.items).into_iter();
            self.past.extend(ids.map(|id| (comparison, id, key.0, key.1)));
        }
    }

    /// What has ended by itself, or was decided: nothing stands in it.
    pub(super) fn restore_past(&mut self) {
        let is_past = |((class, number), found): (&(Class, u64), &Finding)| {
            let healed = self.works.get(number).is_some_and(|it| it.state == WorkState::Healed);
            found.closed_at.is_some() && (*class != Class::Break || healed)
        };
        let past = self.findings.iter().filter(|it| is_past(*it)).map(|(key, _)| *key);
        let past: Vec<(Class, u64)> = past.collect();
        past.into_iter().for_each(|key| self.becomes_past(key));
    }

    /// Findings with the value dates of their items.
    fn days_of(&self, findings: &BTreeSet<(Class, u64)>) -> Vec<(&Finding, BTreeSet<Date>)> {
        let findings = findings.iter().filter_map(|key| self.findings.get(key));
        findings.map(|finding| (finding, self.dates_of(finding))).collect()
    }

    /// The value dates of a finding's items.
    fn dates_of(&self, finding: &Finding) -> BTreeSet<Date> {
        let ids = ids_of(&finding.items).into_iter();
        let item = |id: Id| self.item(finding.comparison.source(id.place), id.number);
        ids.filter_map(item).map(|item| item.date).collect()
    }

    fn close_unit(&mut self, unit: &Unit) {
        // First everything is written down as it stands.
        unit.items.iter().for_each(|(source, number)| archive::put_item(self, *source, *number));
        unit.findings
            .iter()
            .for_each(|(class, number)| archive::put_finding(self, *class, *number));
        for key in &unit.findings {
            let Some(finding) = self.findings.get(key).cloned() else { continue };
            let days = self.dates_of(&finding);
            self.closed.add_finding(&finding, &days);
            let days = days.into_iter().map(|date| (finding.comparison, date));
            self.touched.closed_days.extend(days);
        }
        unit.items.iter().for_each(|(source, number)| self.close_item(*source, *number));
        unit.findings.iter().for_each(|key| self.close_finding(*key));
    }

    fn close_item(&mut self, source: Source, number: u64) {
        let Some(recorded) = self.items.remove(&(source, number)) else { return };
        let item = &recorded.item;
        for comparison in Comparison::ALL {
            let Some(place) = comparison.place(source) else { continue };
            let id = Id { place, number };
            let stands_in = self.stands.remove(&(comparison, id));
            let stands_in = stands_in.and_then(|key| self.findings.get(&key));
            self.closed.add_item((comparison, place), item, stands_in);
            self.touched.closed_days.insert((comparison, item.date));
            if self.desks.get_mut(&comparison).is_some_and(|desk| desk.forget(id)) {
                self.touched.refusals.insert((comparison, number));
            }
        }
        if let Some(book) = self.books.get_mut(&source) {
            book.close_item(number, item.date);
        }
        let at = source as usize;
        self.closing.items[at] += 1;
        self.closing.last[at] = self.closing.last[at].max(number);
        let first = self.closing.first;
        self.closing.first = Some(first.map_or(recorded.position, |it| it.min(recorded.position)));
    }

    fn close_finding(&mut self, key: (Class, u64)) {
        let Some(finding) = self.findings.remove(&key) else { return };
        for id in ids_of(&finding.items) {
            self.past.remove(&(finding.comparison, id, key.0, key.1));
        }
        if key.0 == Class::Break {
            self.works.remove(&key.1);
        }
        self.closing.findings[key.0 as usize - 1] += 1;
    }
}
