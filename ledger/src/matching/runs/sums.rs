//! One item against several of the other source of which it is exactly the sum. If there is one
//! such choice and no other, a person should look at it. An item of which there are two, with the
//! same date, side and amount, is passed by: a sum could not say whose it is.

use super::{Anchor, Finding, Slice, anchor};
use crate::matching::{
    item::{Id, Item, Place},
    pair,
};

/// Goes through the items of a source after one; returns the last if the steps are spent.
pub(super) fn pass(slice: &mut Slice<'_>, place: Place, after: Option<Anchor>) -> Option<Anchor> {
    let items = slice.open.of(place);
    let start = items.partition_point(|item| Some(anchor(item)) <= after);
    for equals in items[start..].chunk_by(|one, two| anchor(one) == anchor(two)) {
        let steps = match slice.free(place, equals)[..] {
            [whole] => one_item(slice, place, whole),
            _ => 0,
        };
        if slice.spend(steps) {
            return Some(anchor(equals[0]));
        }
    }
    None
}

/// Looks for the parts of one item; returns how many steps that took.
fn one_item(slice: &mut Slice<'_>, place: Place, whole: &Item) -> usize {
    let bounds = slice.terms.bounds;
    let near = near(slice, place.opposite(), whole);
    if near.len() > bounds.sum_scan {
        return 1;
    }
    let mut parts: Vec<&Item> =
        near.iter().copied().filter(|part| may_be_part(slice, place, whole, part)).collect();
    let looked_at = near.len();
    if parts.len() > bounds.sum_window {
        return looked_at;
    }
    // Stable: equal amounts stay in intrinsic order.
    parts.sort_by_key(|part| std::cmp::Reverse(part.amount));
    let amounts = parts.iter().map(|part| part.amount).collect();
    let mut search = Search { amounts, chosen: Vec::new(), found: Vec::new(), steps: 0 };
    search.extend(0, whole.amount, bounds.sum_items);
    let steps = looked_at.saturating_add(search.steps);
    if let [only] = &search.found[..] {
        let mut parts: Vec<&Item> = only.iter().map(|index| parts[*index]).collect();
        parts.sort();
        let parts = parts.iter().map(|part| part.number).collect();
        slice.add(Finding::Sum { place, whole: whole.number, parts });
    }
    steps
}

/// The other source's items with value dates within the window.
fn near<'a>(slice: &Slice<'a>, place: Place, whole: &Item) -> &'a [&'a Item] {
    let items = slice.open.of(place);
    let beyond = |item: &Item| slice.terms.distance(item.date, whole.date) > slice.terms.window;
    let from = items.partition_point(|item| item.date < whole.date && beyond(item));
    let to = items.partition_point(|item| item.date <= whole.date || !beyond(item));
    &items[from..to]
}

fn may_be_part(slice: &Slice<'_>, place: Place, whole: &Item, part: &Item) -> bool {
    let id = |place, item: &Item| Id { place, number: item.number };
    part.side == whole.side
        && part.amount < whole.amount
        && part.other_asset() == whole.other_asset()
        && slice.is_free(place.opposite(), part)
        && pair::contradiction(whole, part).is_none()
        && !slice.refused.contains(id(place, whole), id(place.opposite(), part))
}

/// The search for amounts, sorted downwards, that make up a sum.
struct Search {
    amounts: Vec<u64>,
    chosen: Vec<usize>,
    /// Stops at the second.
    found: Vec<Vec<usize>>,
    steps: usize,
}

impl Search {
    /// Tries all amounts from an index on as the next part of what remains.
    fn extend(&mut self, from: usize, remains: u64, places: usize) {
        for index in from..self.amounts.len() {
            self.steps = self.steps.saturating_add(1);
            let amount = self.amounts[index];
            let most = u128::from(amount) * u128::try_from(places).unwrap_or(u128::MAX);
            if most < u128::from(remains) || self.found.len() > 1 {
                return;
            }
            if amount > remains {
                continue;
            }
            self.chosen.push(index);
            if amount == remains {
                self.found.push(self.chosen.clone());
            } else if places > 1 {
                self.extend(index + 1, remains - amount, places - 1);
            }
            self.chosen.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Case, plain},
        *,
    };
    use crate::{block::Side, matching::item::EntryFields, uetr::Uetr};

    fn parts(amounts: &[u64]) -> Vec<EntryFields<'static>> {
        amounts.iter().map(|amount| plain(*amount, 1)).collect()
    }

    fn sum(place: Place, parts: &[u64]) -> Vec<Finding> {
        vec![Finding::Sum { place, whole: 1, parts: parts.to_vec() }]
    }

    #[test]
    fn the_only_sum_is_proposed_both_ways() {
        for (amounts, chosen) in [
            (vec![60, 40], vec![2, 1]),
            (vec![1, 2, 4, 8, 16, 32, 37], vec![]),
            (vec![1, 2, 4, 8, 16, 69, 200, 300], vec![1, 2, 4, 5, 6, 3]),
            (vec![60, 40, 40], vec![]),
            (vec![60, 40, 70, 30], vec![]),
            (vec![99, 98], vec![]),
            (vec![16; 7], vec![]),
        ] {
            let mut expected: Vec<u64> = chosen;
            expected.sort_by_key(|number| amounts[usize::try_from(*number).unwrap() - 1]);
            let expected = |place| if expected.is_empty() { vec![] } else { sum(place, &expected) };
            let found = Case::of(&parts(&[100]), &parts(&amounts)).run();
            assert_eq!(found, expected(Place::First), "{amounts:?}");
            let found = Case::of(&parts(&amounts), &parts(&[100])).run();
            assert_eq!(found, expected(Place::Second), "{amounts:?}");
        }
    }

    #[test]
    fn what_is_no_part() {
        let uetr = |byte| Some(Uetr::from_random([byte; 16]));
        let whole = EntryFields { uetr: uetr(1), ..plain(100, 3) };
        for (part, is_part) in [
            (plain(60, 1), true),
            (plain(60, 5), true),
            (EntryFields { transaction_id: "T", ..plain(60, 1) }, true),
            (plain(60, 8), false),
            (EntryFields { uetr: uetr(2), ..plain(60, 3) }, false),
            (EntryFields { side: Side::Debit, ..plain(60, 3) }, false),
            (EntryFields { other_asset: "EUR", ..plain(60, 3) }, false),
        ] {
            let found = Case::of(&[whole], &[part, plain(40, 9)]).run();
            assert_eq!(found, [], "beyond the window {part:?}");
            let found = Case::of(&[whole], &[part, plain(40, 3)]).run();
            assert_eq!(found.len(), usize::from(is_part), "{part:?}");
        }
    }

    #[test]
    fn two_that_look_alike_are_passed_by() {
        assert_eq!(Case::of(&parts(&[100, 100]), &parts(&[60, 40])).run(), []);
    }

    #[test]
    fn more_than_the_bounds_are_left() {
        let case = |change: fn(&mut Case)| {
            let mut case = Case::of(&parts(&[100]), &parts(&[60, 40, 41]));
            change(&mut case);
            case.run().len()
        };
        assert_eq!(case(|_| {}), 1);
        assert_eq!(case(|case| case.terms.bounds.sum_window = 2), 0);
        assert_eq!(case(|case| case.terms.bounds.sum_scan = 2), 0);
        assert_eq!(case(|case| case.terms.bounds.sum_items = 1), 0);
    }

    #[test]
    fn the_worst_search_is_bounded() {
        let amounts: Vec<u64> = (0..30).map(|index| 1_000_000 + (1 << index)).collect();
        let mut sorted = amounts;
        sorted.reverse();
        let mut search = Search { amounts: sorted, chosen: vec![], found: vec![], steps: 0 };
        search.extend(0, 6_000_001, 6);
        assert!(search.found.is_empty());
        assert!(search.steps <= 770_000, "{}", search.steps);
    }
}
