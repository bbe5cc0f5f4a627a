//! What a report says of items and findings that have closed. It does not grow with them, only with
//! their days.
//!
//! A finding counts once in a range, however many of its days are in it. So findings are counted at each
//! of their days, and at each *link* between two of them that follow each other: of a finding the days
//! within a range are one more than its links within it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    figures::{Report, Share, moved},
    finding::{Class, Finding, Says},
};
use crate::{
    date::Date,
    matching::{
        item::{Comparison, Item, Place},
        pair::Category,
    },
};

/// Most links from one day: what a record has room for.
pub(super) const LINKS_MAX: usize = 256;

/// What is counted: matches, or breaks of a category.
pub(super) type Counted = Option<Category>;

/// The closed items of a comparison and a value date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClosedDay {
    /// Those in matches, by place.
    pub matched: [Share; 2],
    /// Those that were never compared.
    pub waiting: [Share; 2],
    /// What those in breaks add to the first source's movements less the second's.
    pub breaks: BTreeMap<Category, i128>,
    /// Findings that have an item of this day.
    pub counts: BTreeMap<Counted, u64>,
    /// Of these, those whose next item is of a later day.
    pub links: BTreeMap<(Counted, Date), u64>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Closed {
    pub days: BTreeMap<(Comparison, Date), ClosedDay>,
}

impl Closed {
    /// Counts an item that stands in a match or break of a comparison, or in nothing.
    pub fn add_item(
        &mut self,
        (comparison, place): (Comparison, Place),
        item: &Item,
        stands_in: Option<&Finding>,
    ) {
        let day = self.days.entry((comparison, item.date)).or_default();
        let at = usize::from(place as u8) - 1;
        let share = match stands_in.map(|finding| &finding.says) {
            Some(Says::Match { .. }) => &mut day.matched[at],
            Some(Says::Break { category }) => {
                *day.breaks.entry(*category).or_default() += super::unclear::effect(place, item);
                return;
            }
            Some(Says::Proposal { .. }) | None => &mut day.waiting[at],
        };
        share.count += 1;
        share.effect += moved(item);
    }

    /// Counts a finding whose items are of these days. What a report does not count is not counted.
    pub fn add_finding(&mut self, finding: &Finding, dates: &BTreeSet<Date>) {
        let Some(counted) = counted(finding) else { return };
        for date in dates {
            let day = self.days.entry((finding.comparison, *date)).or_default();
            *day.counts.entry(counted).or_default() += 1;
        }
        for (date, next) in dates.iter().zip(dates.iter().skip(1)) {
            let day = self.days.entry((finding.comparison, *date)).or_default();
            *day.links.entry((counted, *next)).or_default() += 1;
        }
    }

    /// Whether findings, with the days of their items, can be counted.
    pub fn has_room<'a>(
        &self,
        findings: impl Iterator<Item = (&'a Finding, &'a BTreeSet<Date>)>,
    ) -> bool {
        let mut links: BTreeMap<(Comparison, Date), BTreeSet<(Counted, Date)>> = BTreeMap::new();
        for (finding, dates) in findings {
            let Some(counted) = counted(finding) else { continue };
            for (date, next) in dates.iter().zip(dates.iter().skip(1)) {
                links.entry((finding.comparison, *date)).or_default().insert((counted, *next));
            }
        }
        links.iter().all(|(key, new)| {
            let known = self.days.get(key).map(|day| &day.links);
            let new = new.iter().filter(|link| !known.is_some_and(|it| it.contains_key(link)));
            known.map_or(0, BTreeMap::len) + new.count() <= LINKS_MAX
        })
    }

    /// Adds what has closed to a report of what has not. The sums of the days are there already.
    pub fn add_to(&self, report: &mut Report, comparison: Comparison, (from, to): (Date, Date)) {
        if from > to {
            return;
        }
        for (_, day) in self.days.range((comparison, from)..=(comparison, to)) {
            for (at, figures) in [&mut report.first, &mut report.second].into_iter().enumerate() {
                join(&mut figures.matched, &day.matched[at]);
                join(&mut figures.waiting, &day.waiting[at]);
            }
            for (category, effect) in &day.breaks {
                report.breaks.entry(*category).or_default().ended_effect += effect;
            }
            for (counted, count) in &day.counts {
                *counter(report, *counted) += count;
            }
            for ((counted, next), count) in &day.links {
                if *next <= to {
                    let counter = counter(report, *counted);
                    *counter = counter.saturating_sub(*count);
                }
            }
        }
    }
}

/// As what a report counts a finding that has closed: a match that stands, or a break.
fn counted(finding: &Finding) -> Option<Counted> {
    match (&finding.says, finding.says.class()) {
        (Says::Break { category }, _) => Some(Some(*category)),
        (_, Class::Match) if finding.closed_at.is_none() => Some(None),
        _ => None,
    }
}

fn counter(report: &mut Report, counted: Counted) -> &mut u64 {
    match counted {
        None => &mut report.match_count,
        Some(category) => &mut report.breaks.entry(category).or_default().ended_count,
    }
}

fn join(share: &mut Share, other: &Share) {
    share.count += other.count;
    share.effect += other.effect;
}
