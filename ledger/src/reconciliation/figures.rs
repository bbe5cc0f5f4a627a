//! One source against another over a range of value dates, in figures that add up: what the two have
//! moved apart is what is matched with a difference, proposed, waiting, or broken.
//!
//! Only items whose value date lies in the range count, each once: as the match or the break that it
//! stands in says; else as proposed if an open proposal names it; else as waiting. A match, proposal or
//! break counts if any of its items is in the range, and its effect is that of those which are. So the
//! figures add up over any range, and those of ranges that follow each other add up to those of the whole.

use std::collections::BTreeMap;

use super::{
    book::{Book, Day},
    finding::{About, Class, Finding, Says},
    sheet::{Sheet, ids_of},
    unclear::effect,
};
use crate::{
    account::Account,
    block::Side,
    date::Date,
    matching::{
        item::{Comparison, Id, Item, Place},
        pair::Category,
    },
};

/// Some items, and what they add to the balance of their source, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Credits less debits.
    pub effect: i128,
}

/// The figures of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeFigures {
    /// Balance before the range; none where a book has no statement that tells it.
    pub opening: Option<i128>,
    /// What its items come to.
    pub day: Day,
    /// Items that are matched.
    pub matched: Share,
    /// Items that stand in nothing, and that a proposal names.
    pub proposed: Share,
    /// Items without any of these, and those that came while the two sources were not compared.
    pub waiting: Share,
    /// Statements that cover dates of the range.
    pub statement_count: u32,
}

impl RangeFigures {
    /// Balance after the range, counted from nothing where the opening balance is not known.
    pub fn closing(&self) -> i128 {
        self.opening.unwrap_or(0) + self.day.movement()
    }
}

/// The breaks of one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakFigures {
    /// How many are open.
    pub open_count: u64,
    /// How many have ended.
    pub ended_count: u64,
    /// What the items that stand in the open ones add to the first source's movements less the
    /// second's, minor units.
    pub effect: i128,
    /// What those add that stand in the ones that the parties have ended: what they have accepted.
    pub ended_effect: i128,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first source's figures.
    pub first: RangeFigures,
    /// The second source's.
    pub second: RangeFigures,
    /// Breaks by category, those that there are.
    pub breaks: BTreeMap<Category, BreakFigures>,
    /// Matches that have an item in the range.
    pub match_count: u64,
    /// Open proposals that have an item in the range.
    pub proposal_count: u64,
}

impl Report {
    /// Whether it adds up.
    pub fn adds_up(&self) -> bool {
        let [first, second] = [&self.first, &self.second].map(|it| {
            it.day.movement() - it.matched.effect - it.proposed.effect - it.waiting.effect
        });
        let broken = self.breaks.values().map(|it| it.effect + it.ended_effect);
        first - second == broken.sum::<i128>()
    }
}

/// What the items of a range stand in.
#[derive(Default)]
struct Found {
    /// Numbers of matches, of each as often as it has items.
    matches: Vec<u64>,
    /// Numbers of proposals, likewise.
    proposals: Vec<u64>,
    /// What breaks come to, by number.
    breaks: BTreeMap<u64, i128>,
}

impl Sheet {
    /// Compares the two sources over the value dates from one to another, both included. `account` is
    /// the sheet's own. Takes a step for each item in the range and for each break of the account,
    /// each with log n; and in memory 8 bytes for each item that is matched.
    pub fn report(
        &self,
        account: &Account,
        comparison: Comparison,
        (from, to): (Date, Date),
    ) -> Report {
        let mut found = Found::default();
        let [first, second] = Place::BOTH
            .map(|place| self.range_figures(account, (comparison, place), (from, to), &mut found));
        let mut breaks: BTreeMap<Category, BreakFigures> = BTreeMap::new();
        for finding in self.findings(Class::Break).filter(|it| it.comparison == comparison) {
            let Says::Break { category } = finding.says else { continue };
            let effect = found.breaks.get(&finding.number).copied();
            if effect.is_none() && !self.touches(finding, from, to) {
                continue;
            }
            let figures = breaks.entry(category).or_default();
            let (count, sum) = match finding.closed_at {
                None => (&mut figures.open_count, &mut figures.effect),
                Some(_) => (&mut figures.ended_count, &mut figures.ended_effect),
            };
            *count += 1;
            *sum += effect.unwrap_or(0);
        }
        let (match_count, proposal_count) = (different(found.matches), different(found.proposals));
        let mut report = Report { first, second, breaks, match_count, proposal_count };
        self.closed.add_to(&mut report, comparison, (from, to));
        report
    }

    fn range_figures(
        &self,
        account: &Account,
        (comparison, place): (Comparison, Place),
        (from, to): (Date, Date),
        found: &mut Found,
    ) -> RangeFigures {
        let source = comparison.source(place);
        let nothing = Book::default();
        let book = self.book(source).unwrap_or(&nothing);
        let covers = book.statements().iter().filter(|it| it.from <= to && from <= it.to);
        let mut figures = RangeFigures {
            opening: self.figures(account, source, from).opening,
            day: book.between(from, to),
            statement_count: u32::try_from(covers.count()).unwrap_or(u32::MAX),
            ..RangeFigures::default()
        };
        for number in book.numbers_between(from, to) {
            let Some(recorded) = self.recorded(source, number) else { continue };
            let item = &recorded.item;
            let id = Id { place, number };
            let share = match self.stands.get(&(comparison, id)) {
                Some((Class::Match, number)) => {
                    found.matches.push(*number);
                    Some(&mut figures.matched)
                }
                Some((_, number)) => {
                    *found.breaks.entry(*number).or_default() += effect(place, item);
                    found.proposals.extend(self.proposals_of(comparison, id).map(|it| it.number));
                    None
                }
                None => {
                    let before = found.proposals.len();
                    found.proposals.extend(self.proposals_of(comparison, id).map(|it| it.number));
                    let proposed = found.proposals.len() > before;
                    Some(if proposed { &mut figures.proposed } else { &mut figures.waiting })
                }
            };
            if let Some(share) = share {
                share.count += 1;
                share.effect += moved(item);
            }
        }
        figures
    }

    /// Whether a break that no item of a range stands in is of the range all the same: it names such an
    /// item, or a statement or day of it.
    fn touches(&self, finding: &Finding, from: Date, to: Date) -> bool {
        match finding.about {
            Some(About::Day(date)) => (from..=to).contains(&date),
            Some(About::Statement(source, number)) => {
                let found = self.book(source).and_then(|book| book.statement_at(number));
                found.is_some_and(|it| it.from <= to && from <= it.to)
            }
            None => ids_of(&finding.items).into_iter().any(|id| {
                let item = self.item(finding.comparison.source(id.place), id.number);
                item.is_some_and(|item| (from..=to).contains(&item.date))
            }),
        }
    }
}

/// What an item adds to its source's balance.
pub(super) fn moved(item: &Item) -> i128 {
    match item.side {
        Side::Credit => i128::from(item.counted()),
        Side::Debit => -i128::from(item.counted()),
    }
}

/// How many different numbers there are.
fn different(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers.dedup();
    u64::try_from(numbers.len()).expect("a count fits 64 bits")
}
