//! What is compared without keys, or within one book: passes over all items that are still open.
//!
//! The passes come one after the other, each over its *units* in a fixed order: an amount with a
//! reversal, a group, a date with a side and an amount, an item. A unit is done as a whole and sees
//! what the units before it left. So a run may stop after any unit and go on in a later block: if
//! what was found has been set aside by then, the findings are those of a run that did not stop.

mod contra;
mod groups;
mod sums;
mod unreferenced;

use std::collections::BTreeSet;

use super::{
    bucket::Refusals,
    item::{Id, Item, Place},
    terms::Terms,
};
use crate::{block::Side, date::Date};

/// What one slice of a run may do, in steps: an item that is looked at, a pair or a sum that is
/// tried. The last unit of a slice may exceed it by its own bound, some 770,000 steps of a sum.
/// Beyond its steps a slice reads each open item once.
pub const STEPS: u64 = 250_000;

/// Units of reversals or groups that a slice prepares at once: what it holds in memory beside the
/// open items is bounded by these.
const UNITS: usize = 1_024;

/// The items that are open, each list in intrinsic order.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Of the first source.
    pub first: &'a [&'a Item],
    /// Of the second source.
    pub second: &'a [&'a Item],
}

impl<'a> Open<'a> {
    fn of(&self, place: Place) -> &'a [&'a Item] {
        match place {
            Place::First => self.first,
            Place::Second => self.second,
        }
    }
}

/// A place in the order of items: date, side, amount.
pub type Anchor = (Date, Side, u64);

fn anchor(item: &Item) -> Anchor {
    (item.date, item.side, item.amount)
}

/// Where a run goes on: the pass, and its last unit that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Reversals within a book, by source and amount.
    Contra(Option<(Place, u64)>),
    /// Groups, by their key.
    Groups(Option<Box<str>>),
    /// Items without a reference.
    Unreferenced(Option<Anchor>),
    /// Items of this source as sums of several of the other.
    Sums(Place, Option<Anchor>),
}

impl Cursor {
    /// The beginning.
    pub const START: Cursor = Cursor::Contra(None);

    /// Which pass.
    pub fn pass(&self) -> Pass {
        match self {
            Cursor::Contra(_) => Pass::Contra,
            Cursor::Groups(_) => Pass::Groups,
            Cursor::Unreferenced(_) => Pass::Unreferenced,
            Cursor::Sums(..) => Pass::Sums,
        }
    }

    /// The beginning of the next pass.
    fn next_pass(&self) -> Option<Cursor> {
        match self {
            Cursor::Contra(_) => Some(Cursor::Groups(None)),
            Cursor::Groups(_) => Some(Cursor::Unreferenced(None)),
            Cursor::Unreferenced(_) => Some(Cursor::Sums(Place::First, None)),
            Cursor::Sums(Place::First, _) => Some(Cursor::Sums(Place::Second, None)),
            Cursor::Sums(Place::Second, _) => None,
        }
    }
}

/// A pass of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pass {
    /// An entry and its reversal in one book.
    Contra = 1,
    /// Items that were booked under one key.
    Groups = 2,
    /// Items without a key in common.
    Unreferenced = 3,
    /// One item against the sum of several.
    Sums = 4,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An entry and its reversal in one book: a match within it.
    Contra {
        /// Whose.
        place: Place,
        /// Number of the entry.
        original: u64,
        /// Number of its reversal.
        reversal: u64,
    },
    /// Entries and reversals of one book between which a person has to choose.
    ContraProposed {
        /// Whose.
        place: Place,
        /// Numbers of entries, each with that of a reversal that may be its own.
        pairs: Vec<(u64, u64)>,
    },
    /// Items that match as a whole.
    Group {
        /// The key.
        group: Box<str>,
        /// Numbers, in intrinsic order.
        first: Vec<u64>,
        /// Numbers, in intrinsic order.
        second: Vec<u64>,
        /// Minor units between the two sums, within the tolerance.
        difference: u128,
    },
    /// A pair without a key in common that a person should look at.
    Unreferenced {
        /// Number.
        first: u64,
        /// Number.
        second: u64,
    },
    /// An item and several of the other source of which it is the sum, for a person to look at.
    Sum {
        /// Source of the one item.
        place: Place,
        /// Its number.
        whole: u64,
        /// Numbers of the others, in intrinsic order.
        parts: Vec<u64>,
    },
    /// A unit with more items than are compared.
    TooMany {
        /// In which pass.
        pass: Pass,
        /// How many items.
        count: usize,
        /// The first of them.
        example: Id,
    },
}

impl Finding {
    /// The items that it concerns, and that no later unit sees. None where there were too many.
    pub fn items(&self) -> Vec<Id> {
        let ids = |place, numbers: &[u64]| -> Vec<Id> {
            numbers.iter().map(|number| Id { place, number: *number }).collect()
        };
        match self {
            Finding::Contra { place, original, reversal } => ids(*place, &[*original, *reversal]),
            Finding::ContraProposed { place, pairs } => {
                let numbers = pairs.iter().flat_map(|(one, two)| [*one, *two]);
                let numbers: BTreeSet<u64> = numbers.collect();
                ids(*place, &numbers.into_iter().collect::<Vec<_>>())
            }
            Finding::Group { first, second, .. } => {
                [ids(Place::First, first), ids(Place::Second, second)].concat()
            }
            Finding::Unreferenced { first, second } => {
                [ids(Place::First, &[*first]), ids(Place::Second, &[*second])].concat()
            }
            Finding::Sum { place, whole, parts } => {
                [ids(*place, &[*whole]), ids(place.opposite(), parts)].concat()
            }
            Finding::TooMany { .. } => Vec::new(),
        }
    }
}

/// The first [`UNITS`] of some units, and whether there are more.
fn first_units<U: Ord>(all: impl Iterator<Item = U>) -> (BTreeSet<U>, bool) {
    let mut units = BTreeSet::new();
    let mut more = false;
    for unit in all {
        // What is beyond all that are kept is not even put in.
        if units.len() == UNITS && units.last().is_some_and(|last| unit > *last) {
            more = true;
            continue;
        }
        units.insert(unit);
        if units.len() > UNITS {
            units.pop_last();
            more = true;
        }
    }
    (units, more)
}

/// A slice of a run.
struct Slice<'a> {
    open: Open<'a>,
    refused: &'a Refusals,
    terms: &'a Terms<'a>,
    steps: u64,
    found: Vec<Finding>,
    claimed: BTreeSet<Id>,
}

impl<'a> Slice<'a> {
    fn add(&mut self, finding: Finding) {
        self.claimed.extend(finding.items());
        self.found.push(finding);
    }

    fn is_free(&self, place: Place, item: &Item) -> bool {
        !self.claimed.contains(&Id { place, number: item.number })
    }

    /// Those of some items that no finding of this slice has.
    fn free(&self, place: Place, items: &[&'a Item]) -> Vec<&'a Item> {
        items.iter().copied().filter(|item| self.is_free(place, item)).collect()
    }

    /// Counts a unit; says whether the slice ends with it.
    fn spend(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(u64::try_from(steps.max(1)).unwrap_or(u64::MAX));
        self.steps == 0
    }
}

/// Runs from a cursor until the steps are spent. Returns what was found, and where to go on; the
/// caller sets the items of each finding aside before it does. None: the run is complete.
pub fn run(
    open: Open<'_>,
    cursor: Cursor,
    steps: u64,
    refused: &Refusals,
    terms: &Terms<'_>,
) -> (Vec<Finding>, Option<Cursor>) {
    let (found, claimed) = (Vec::new(), BTreeSet::new());
    let mut slice = Slice { open, refused, terms, steps, found, claimed };
    let mut cursor = cursor;
    loop {
        let stopped = match &cursor {
            Cursor::Contra(after) => contra::pass(&mut slice, *after).map(Some).map(Cursor::Contra),
            Cursor::Groups(after) => {
                groups::pass(&mut slice, after.as_deref()).map(Some).map(Cursor::Groups)
            }
            Cursor::Unreferenced(after) => {
                unreferenced::pass(&mut slice, *after).map(Some).map(Cursor::Unreferenced)
            }
            Cursor::Sums(place, after) => {
                let stopped = sums::pass(&mut slice, *place, *after);
                stopped.map(|unit| Cursor::Sums(*place, Some(unit)))
            }
        };
        if stopped.is_some() {
            return (slice.found, stopped);
        }
        match cursor.next_pass() {
            Some(next) => cursor = next,
            None => return (slice.found, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            item::EntryFields,
            terms::{Bounds, Tolerance, tests::Weekdays},
        },
        *,
    };

    /// Window of two business days, tolerance of 2.
    fn terms() -> Terms<'static> {
        let tolerance = Tolerance { absolute: 2, ..Tolerance::default() };
        Terms { tolerance, window: 2, days: &Weekdays, bounds: Bounds::RULE_SET_1 }
    }

    /// A credit; the first of January 2024 was a Monday.
    pub fn plain(amount: u64, day: u32) -> EntryFields<'static> {
        let date = Date::from_yyyymmdd(20_240_100 + day).unwrap();
        EntryFields::plain(Side::Credit, amount, date)
    }

    /// Both sources, each item's number its place in its list, from 1.
    pub struct Case {
        pub refused: Refusals,
        pub terms: Terms<'static>,
        items: [Vec<Item>; 2],
    }

    impl Case {
        pub fn of(first: &[EntryFields<'_>], second: &[EntryFields<'_>]) -> Case {
            let items = [first, second].map(|fields| {
                let numbered = (1..).zip(fields);
                let mut items: Vec<Item> =
                    numbered.map(|(number, fields)| Item::of_entry(number, fields)).collect();
                items.sort();
                items
            });
            Case { refused: Refusals::default(), terms: terms(), items }
        }

        pub fn run(&self) -> Vec<Finding> {
            let [first, second] =
                self.items.each_ref().map(|items| items.iter().collect::<Vec<_>>());
            let open = Open { first: &first, second: &second };
            let (found, next) = run(open, Cursor::START, STEPS, &self.refused, &self.terms);
            assert_eq!(next, None);
            found
        }
    }

    #[test]
    fn passes_follow_each_other() {
        let mut cursor = Cursor::START;
        let mut passes = vec![cursor.pass()];
        while let Some(next) = cursor.next_pass() {
            cursor = next;
            passes.push(cursor.pass());
        }
        use Pass::*;
        assert_eq!(passes, [Contra, Groups, Unreferenced, Sums, Sums]);
    }

    #[test]
    fn an_earlier_pass_takes_what_a_later_one_would() {
        let entry = EntryFields { entry_reference: "R", ..plain(5, 1) };
        let back = EntryFields { side: Side::Debit, reversal: true, ..entry };
        let found = Case::of(&[plain(5, 1)], &[entry, back]).run();
        assert_eq!(found, [Finding::Contra { place: Place::Second, original: 1, reversal: 2 }]);
    }

    #[test]
    fn units_are_prepared_in_order_and_never_too_many() {
        let many = u64::try_from(UNITS).unwrap() + 5;
        let (units, more) = first_units((0..many).rev().chain(0..many));
        assert!(more && units.into_iter().eq(0..many - 5));
        let (units, more) = first_units([3, 1, 3].into_iter());
        assert!(!more && units.into_iter().eq([1, 3]));

        let entry = EntryFields { entry_reference: "R", ..plain(1, 1) };
        let back = EntryFields { side: Side::Debit, reversal: true, ..entry };
        let amounts = || 1..=many;
        let all: Vec<EntryFields<'_>> = amounts()
            .flat_map(|amount| [entry, back].map(|fields| EntryFields { amount, ..fields }))
            .collect();
        let case = Case::of(&[], &all);
        let second: Vec<&Item> = case.items[1].iter().collect();
        let open = Open { first: &[], second: &second };
        let (found, next) = run(open, Cursor::START, STEPS, &case.refused, &case.terms);
        assert_eq!(found.len(), UNITS);
        assert_eq!(next, Some(Cursor::Contra(Some((Place::Second, many - 5)))));
        let (found, next) = run(open, next.unwrap(), STEPS, &case.refused, &case.terms);
        assert_eq!((found.len(), next), (5, None));
    }

    #[test]
    fn nothing_open_finds_nothing() {
        assert_eq!(Case::of(&[], &[]).run(), []);
    }
}
