//! An entry and its reversal in one book cancel each other: same amount and asset, opposite sides,
//! one of them a reversal, and a key in common that no stronger one contradicts. The nearest dates
//! go together; where two are equally near, a person has to choose.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Pass, Slice, first_units};
use crate::{
    block::Side,
    matching::{
        bucket::{Scored, settle},
        item::{Id, Item, Key, Place, Strength},
        pair,
    },
};

/// An amount of a source.
type Unit = (Place, u64);

/// What an entry and its reversal have in common, one of several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    Key(Key),
    Entry(&'a str),
}

fn names(item: &Item) -> impl Iterator<Item = Name<'_>> {
    let keys = Strength::ALL.into_iter().filter_map(|strength| item.key(strength)).map(Name::Key);
    let entry = Some(item.entry_reference()).filter(|reference| !reference.is_empty());
    keys.chain(entry.map(Name::Entry))
}

/// Whether two items name each other.
fn share(one: &Item, two: &Item) -> bool {
    if Strength::ALL.into_iter().any(|strength| pair::share(one, two, strength)) {
        return true;
    }
    let same_entry =
        !one.entry_reference().is_empty() && one.entry_reference() == two.entry_reference();
    same_entry && pair::contradiction(one, two).is_none()
}

/// Entries and reversals of a unit.
#[derive(Default)]
struct Members<'a> {
    entries: Vec<&'a Item>,
    reversals: Vec<&'a Item>,
}

/// Goes through the units after one; returns the last one if there is more to do.
pub(super) fn pass(slice: &mut Slice<'_>, after: Option<Unit>) -> Option<Unit> {
    let (units, more) = units(slice, after);
    let last = units.last_key_value().map(|(unit, _)| *unit);
    for ((place, amount), members) in units {
        let pairs = members.entries.len() * members.reversals.len();
        one_unit(slice, place, members);
        if slice.spend(pairs) {
            return Some((place, amount));
        }
    }
    last.filter(|_| more)
}

/// The next units with a reversal, each with the entries that name one of its reversals; and whether
/// there are more.
fn units<'a>(slice: &Slice<'a>, after: Option<Unit>) -> (BTreeMap<Unit, Members<'a>>, bool) {
    let all = || {
        let both = Place::BOTH.into_iter().map(|place| (place, slice.open.of(place)));
        let all = both.flat_map(|(place, items)| items.iter().map(move |item| (place, *item)));
        all.filter(|(place, item)| slice.is_free(*place, item))
    };
    let reversals = || all().filter(|(_, item)| item.reversal);
    let amounts = reversals().map(|(place, item)| (place, item.amount));
    let (units, more) = first_units(amounts.filter(|unit| Some(*unit) > after));
    let mut units: BTreeMap<Unit, Members<'a>> =
        units.into_iter().map(|unit| (unit, Members::default())).collect();
    let mut named: BTreeSet<(Unit, Side, Name<'a>)> = BTreeSet::new();
    for (place, item) in reversals() {
        let unit = (place, item.amount);
        if let Some(members) = units.get_mut(&unit) {
            members.reversals.push(item);
            named.extend(names(item).map(|name| (unit, item.side, name)));
        }
    }
    for (place, item) in all().filter(|(_, item)| !item.reversal) {
        let unit = (place, item.amount);
        if let Some(members) = units.get_mut(&unit)
            && names(item).any(|name| named.contains(&(unit, item.side.opposite(), name)))
        {
            members.entries.push(item);
        }
    }
    (units, more)
}

fn one_unit(slice: &mut Slice<'_>, place: Place, members: Members<'_>) {
    let Members { entries, reversals } = members;
    let count = entries.len().max(reversals.len());
    let Some(example) = reversals.first().map(|item| Id { place, number: item.number }) else {
        return;
    };
    if entries.is_empty() {
        return;
    }
    if count > slice.terms.bounds.bucket {
        slice.add(Finding::TooMany { pass: Pass::Contra, count, example });
        return;
    }
    let id = |item: &Item| Id { place, number: item.number };
    let mut scored = Vec::new();
    for (row, entry) in entries.iter().enumerate() {
        for (column, reversal) in reversals.iter().enumerate() {
            if entry.side != reversal.side
                && entry.other_asset() == reversal.other_asset()
                && share(entry, reversal)
                && !slice.refused.contains(id(entry), id(reversal))
            {
                let score = slice.terms.distance(entry.date, reversal.date);
                let value = (entry.number, reversal.number);
                scored.push(Scored { score, row, column, value });
            }
        }
    }
    let (mut taken, mut ambiguous) = (Vec::new(), Vec::new());
    settle(scored, entries.len(), reversals.len(), &mut taken, &mut ambiguous);
    for (original, reversal) in taken {
        slice.add(Finding::Contra { place, original, reversal });
    }
    if !ambiguous.is_empty() {
        slice.add(Finding::ContraProposed { place, pairs: ambiguous });
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Case, plain},
        *,
    };
    use crate::{matching::item::EntryFields, uetr::Uetr};

    fn entry(day: u32) -> EntryFields<'static> {
        EntryFields { entry_reference: "R", ..plain(5, day) }
    }

    fn back(day: u32) -> EntryFields<'static> {
        EntryFields { side: Side::Debit, reversal: true, ..entry(day) }
    }

    fn contra(original: u64, reversal: u64) -> Finding {
        Finding::Contra { place: Place::Second, original, reversal }
    }

    #[test]
    fn what_cancels_and_what_does_not() {
        let uetr = |byte| Some(Uetr::from_random([byte; 16]));
        for (one, two, cancels) in [
            (entry(1), back(1), true),
            (entry(1), back(20), true),
            (EntryFields { side: Side::Debit, ..entry(1) }, back(1), false),
            (entry(1), EntryFields { reversal: false, ..back(1) }, false),
            (EntryFields { reversal: true, ..entry(1) }, back(1), false),
            (entry(1), EntryFields { amount: 6, ..back(1) }, false),
            (entry(1), EntryFields { other_asset: "EUR", ..back(1) }, false),
            (entry(1), EntryFields { entry_reference: "S", ..back(1) }, false),
            (entry(1), EntryFields { entry_reference: "", ..back(1) }, false),
            (EntryFields { uetr: uetr(1), ..entry(1) }, back(1), true),
            (
                EntryFields { uetr: uetr(1), ..entry(1) },
                EntryFields { uetr: uetr(2), ..back(1) },
                false,
            ),
            (
                EntryFields { uetr: uetr(1), ..entry(1) },
                EntryFields { uetr: uetr(1), entry_reference: "", ..back(1) },
                true,
            ),
        ] {
            let expected = if cancels { vec![contra(1, 2)] } else { vec![] };
            assert_eq!(Case::of(&[], &[one, two]).run(), expected, "{one:?} {two:?}");
        }
        let apart = Case::of(&[entry(1)], &[back(1)]).run();
        assert!(apart.is_empty(), "each book by itself");
    }

    #[test]
    fn the_nearest_goes_first_and_two_equally_near_are_proposed() {
        assert_eq!(Case::of(&[], &[entry(1), entry(4), back(3)]).run(), [contra(2, 3)]);
        let found = Case::of(&[], &[entry(2), entry(4), back(3)]).run();
        let pairs = vec![(1, 3), (2, 3)];
        assert_eq!(found, [Finding::ContraProposed { place: Place::Second, pairs }]);
    }

    #[test]
    fn what_was_refused_stays_apart() {
        let mut case = Case::of(&[], &[entry(1), back(1)]);
        let id = |number| Id { place: Place::Second, number };
        case.refused.insert(id(2), id(1));
        assert_eq!(case.run(), []);
    }

    #[test]
    fn more_than_the_bound_are_named_and_left() {
        let mut all = vec![entry(1); 3];
        all.push(back(2));
        let mut case = Case::of(&[], &all);
        case.terms.bounds.bucket = 2;
        let example = Id { place: Place::Second, number: 4 };
        assert_eq!(case.run(), [Finding::TooMany { pass: Pass::Contra, count: 3, example }]);
    }
}
