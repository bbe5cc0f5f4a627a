//! What was booked under one key as a whole: the sums agree, so all items match. The group on one
//! side stands against the group of the same key on the other, or else against the one item there
//! that has this key as a reference.

use std::collections::BTreeMap;

use super::{Finding, Pass, Slice, first_units};
use crate::matching::{
    item::{Id, Item, Place},
    pair,
};

/// A group, and the single items that name it.
#[derive(Default)]
struct Members<'a> {
    group: [Vec<&'a Item>; 2],
    naming: [Vec<&'a Item>; 2],
}

/// Goes through the groups after one; returns the last one if there is more to do.
pub(super) fn pass(slice: &mut Slice<'_>, after: Option<&str>) -> Option<Box<str>> {
    let (units, more) = units(slice, after);
    let last = units.last_key_value().map(|(group, _)| *group);
    for (group, members) in units {
        let looked_at = members.group.iter().map(Vec::len).sum();
        one_group(slice, group, members);
        if slice.spend(looked_at) {
            return Some(group.into());
        }
    }
    last.filter(|_| more).map(Box::from)
}

/// The next groups, each with the items that name it; and whether there are more.
fn units<'a>(slice: &Slice<'a>, after: Option<&str>) -> (BTreeMap<&'a str, Members<'a>>, bool) {
    let places = || [(0, slice.open.first), (1, slice.open.second)];
    let all = || {
        places().into_iter().flat_map(|(index, items)| items.iter().map(move |item| (index, *item)))
    };
    let groups = all().map(|(_, item)| item.group_id());
    let (groups, more) =
        first_units(groups.filter(|group| !group.is_empty() && Some(*group) > after));
    let mut units: BTreeMap<&'a str, Members<'a>> =
        groups.into_iter().map(|group| (group, Members::default())).collect();
    if units.is_empty() {
        return (units, false);
    }
    for (index, item) in all() {
        if let Some(members) = units.get_mut(item.group_id()) {
            members.group[index].push(item);
        }
    }
    for (index, item) in all() {
        for reference in references(item) {
            // Who names a group that stands on both sides is not asked.
            if let Some(members) = units.get_mut(reference)
                && members.group.iter().any(Vec::is_empty)
            {
                members.naming[index].push(item);
            }
        }
    }
    (units, more)
}

/// The different texts by which an item may name a group.
fn references(item: &Item) -> impl Iterator<Item = &str> {
    let [transaction, end_to_end, instruction, entry, ..] = item.texts();
    let texts = [transaction, end_to_end, instruction, entry];
    let indexed = texts.into_iter().enumerate();
    let different = indexed.filter(move |(index, text)| !texts[..*index].contains(text));
    different.map(|(_, text)| text).filter(|text| !text.is_empty())
}

fn one_group<'a>(slice: &mut Slice<'a>, group: &str, members: Members<'a>) {
    let [first, second] = members.group;
    let (mut first, mut second) =
        (slice.free(Place::First, &first), slice.free(Place::Second, &second));
    let largest = first.len().max(second.len());
    let examples = [(Place::First, first.first()), (Place::Second, second.first())];
    let example = examples
        .into_iter()
        .find_map(|(place, item)| item.map(|item| Id { place, number: item.number }));
    let Some(example) = example else { return };
    if largest > slice.terms.bounds.group {
        slice.add(Finding::TooMany { pass: Pass::Groups, count: largest, example });
        return;
    }
    if first.is_empty() {
        first = slice.free(Place::First, &members.naming[0]);
        if first.len() != 1 {
            return;
        }
    } else if second.is_empty() {
        second = slice.free(Place::Second, &members.naming[1]);
        if second.len() != 1 {
            return;
        }
    }
    let Some(difference) = agree(slice, &first, &second) else { return };
    let numbers = |items: &[&Item]| items.iter().map(|item| item.number).collect();
    let (first, second) = (numbers(&first), numbers(&second));
    slice.add(Finding::Group { group: group.into(), first, second, difference });
}

/// Whether two sets of items may match as a whole, and the difference of their sums if so.
fn agree(slice: &Slice<'_>, first: &[&Item], second: &[&Item]) -> Option<u128> {
    let asset = first.first()?.other_asset();
    let one_asset = first.iter().chain(second).all(|item| item.other_asset() == asset);
    // A pair obeys its keys, whatever it was booked under.
    let contradicts = match (first, second) {
        ([first], [second]) => pair::contradiction(first, second).is_some(),
        _ => false,
    };
    // 4,096 amounts of 64 bits do not overflow.
    let sum = |items: &[&Item]| items.iter().map(|item| item.side.signed(item.amount)).sum();
    let sums: [i128; 2] = [sum(first), sum(second)];
    let same_side = sums[0].signum() == sums[1].signum();
    let sums = sums.map(i128::unsigned_abs);
    let tolerated = sums[0] == sums[1] || slice.terms.tolerance.covers(sums[0], sums[1]);
    let fits = one_asset
        && !contradicts
        && same_side
        && tolerated
        && within_window(slice, first, second)
        && !slice.refused.any_between(first, second);
    fits.then(|| sums[0].abs_diff(sums[1]))
}

/// Whether all value dates of one side are within the window of all of the other.
fn within_window(slice: &Slice<'_>, first: &[&Item], second: &[&Item]) -> bool {
    // Both are in intrinsic order, which begins with the date.
    let ends = |items: &[&Item]| Some((items.first()?.date, items.last()?.date));
    let (Some(first), Some(second)) = (ends(first), ends(second)) else { return false };
    let window = slice.terms.window;
    slice.terms.distance(first.0, second.1) <= window
        && slice.terms.distance(first.1, second.0) <= window
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Case, plain},
        *,
    };
    use crate::{block::Side, matching::item::EntryFields, uetr::Uetr};

    fn grouped(amount: u64, day: u32) -> EntryFields<'static> {
        EntryFields { group_id: "G", ..plain(amount, day) }
    }

    fn naming(amount: u64, day: u32) -> EntryFields<'static> {
        EntryFields { end_to_end_id: "g", ..plain(amount, day) }
    }

    fn group(first: &[u64], second: &[u64], difference: u128) -> Vec<Finding> {
        let (first, second) = (first.to_vec(), second.to_vec());
        vec![Finding::Group { group: "G".into(), first, second, difference }]
    }

    #[test]
    fn one_against_several_both_ways_and_several_against_several() {
        let parts = [grouped(10, 1), grouped(20, 1), grouped(40, 2)];
        assert_eq!(Case::of(&[naming(70, 1)], &parts).run(), group(&[1], &[1, 2, 3], 0));
        assert_eq!(Case::of(&parts, &[naming(70, 1)]).run(), group(&[1, 2, 3], &[1], 0));
        let other = [grouped(30, 2), grouped(40, 2)];
        assert_eq!(Case::of(&parts, &other).run(), group(&[1, 2, 3], &[1, 2], 0));
        let named_by_entry = EntryFields { entry_reference: "G", ..plain(70, 1) };
        assert_eq!(Case::of(&[named_by_entry], &parts).run(), group(&[1], &[1, 2, 3], 0));
    }

    #[test]
    fn the_sign_and_the_tolerance_of_the_sum() {
        let back = EntryFields { side: Side::Debit, ..grouped(30, 1) };
        let parts = [grouped(50, 1), back];
        assert_eq!(Case::of(&[naming(20, 1)], &parts).run(), group(&[1], &[2, 1], 0));
        assert_eq!(Case::of(&[naming(22, 1)], &parts).run(), group(&[1], &[2, 1], 2));
        assert_eq!(Case::of(&[naming(23, 1)], &parts).run(), []);
        let debit = EntryFields { side: Side::Debit, ..naming(20, 1) };
        assert_eq!(Case::of(&[debit], &parts).run(), []);
        let huge = [grouped(u64::MAX, 1), grouped(u64::MAX, 1)];
        assert_eq!(Case::of(&huge, &huge).run(), group(&[1, 2], &[1, 2], 0));
    }

    #[test]
    fn what_keeps_a_group_apart() {
        let parts = [grouped(10, 1), grouped(20, 1)];
        for (first, why) in [
            (vec![naming(30, 1), naming(30, 1)], "two that may be meant"),
            (vec![naming(30, 4)], "beyond the window"),
            (vec![EntryFields { other_asset: "EUR", ..naming(30, 1) }], "another asset"),
            (vec![plain(31, 1)], "nobody names it"),
        ] {
            assert_eq!(Case::of(&first, &parts).run(), [], "{why}");
        }
        let mut case = Case::of(&[naming(30, 1)], &parts);
        let id = |place, number| Id { place, number };
        case.refused.insert(id(Place::First, 1), id(Place::Second, 2));
        // Without the second one it is no sum either.
        assert_eq!(case.run(), []);
    }

    #[test]
    fn a_pair_obeys_its_keys() {
        let uetr = |byte| Some(Uetr::from_random([byte; 16]));
        let (one, two) = (grouped(10, 1), grouped(10, 1));
        assert_eq!(Case::of(&[one], &[two]).run(), group(&[1], &[1], 0));
        let one = EntryFields { uetr: uetr(1), ..one };
        let two = EntryFields { uetr: uetr(2), ..two };
        assert_eq!(Case::of(&[one], &[two]).run(), []);
    }

    #[test]
    fn more_than_the_bound_are_named_and_left() {
        let mut case = Case::of(&[naming(50, 1)], &[grouped(10, 1); 5]);
        case.terms.bounds.group = 4;
        let example = Id { place: Place::Second, number: 1 };
        assert_eq!(case.run()[0], Finding::TooMany { pass: Pass::Groups, count: 5, example });
        case.terms.bounds.group = 5;
        assert_eq!(case.run(), group(&[1], &[1, 2, 3, 4, 5], 0));
    }
}
