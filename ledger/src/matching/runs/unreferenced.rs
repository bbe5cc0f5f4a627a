//! Items without a key in common that agree in everything else: date, side, amount, asset, and
//! counterparty where both name one. If each is the only such item of the other, a person should
//! look at them. Items that both have a key, and not the same, do not belong together.

use super::{Anchor, Finding, Pass, Slice, anchor};
use crate::matching::{
    bucket::{Scored, settle},
    item::{Id, Item, Place},
    pair,
};

/// Goes through dates, sides and amounts after one; returns the last if the steps are spent.
pub(super) fn pass(slice: &mut Slice<'_>, after: Option<Anchor>) -> Option<Anchor> {
    let (first, second) = (slice.open.first, slice.open.second);
    let start = first.partition_point(|item| Some(anchor(item)) <= after);
    for rows in first[start..].chunk_by(|one, two| anchor(one) == anchor(two)) {
        let unit = anchor(rows[0]);
        let from = second.partition_point(|item| anchor(item) < unit);
        let count = second[from..].partition_point(|item| anchor(item) == unit);
        let pairs = one_unit(slice, rows, &second[from..from + count]);
        if slice.spend(pairs) {
            return Some(unit);
        }
    }
    None
}

/// Compares items of one date, side and amount; returns how many pairs it looked at.
fn one_unit<'a>(slice: &mut Slice<'a>, first: &[&'a Item], second: &[&'a Item]) -> usize {
    let first = slice.free(Place::First, first);
    let second = slice.free(Place::Second, second);
    let count = first.len().max(second.len());
    let Some(example) = first.first().map(|item| Id { place: Place::First, number: item.number })
    else {
        return 0;
    };
    if second.is_empty() {
        return 0;
    }
    if count > slice.terms.bounds.bucket {
        slice.add(Finding::TooMany { pass: Pass::Unreferenced, count, example });
        return count;
    }
    let mut scored = Vec::new();
    for (row, one) in first.iter().enumerate() {
        for (column, two) in second.iter().enumerate() {
            if one.other_asset() == two.other_asset()
                && pair::counterparties_agree(one, two)
                && pair::contradiction(one, two).is_none()
                && !slice.refused.contains_pair(one, two)
            {
                let value = (one.number, two.number);
                scored.push(Scored { score: (), row, column, value });
            }
        }
    }
    let (mut unique, mut ambiguous) = (Vec::new(), Vec::new());
    settle(scored, first.len(), second.len(), &mut unique, &mut ambiguous);
    for (first, second) in unique {
        slice.add(Finding::Unreferenced { first, second });
    }
    first.len() * second.len()
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Case, plain},
        *,
    };
    use crate::{bic::Bic, block::Side, matching::item::EntryFields};

    const PAIR: [Finding; 1] = [Finding::Unreferenced { first: 1, second: 1 }];

    #[test]
    fn what_is_proposed_and_what_is_not() {
        let bic = |text| Some(Bic::parse(text).unwrap());
        let p = EntryFields { counterparty: bic("AAAABB00"), transaction_id: "T", ..plain(5, 1) };
        for (other, proposed) in [
            (plain(5, 1), true),
            (EntryFields { end_to_end_id: "E", ..plain(5, 1) }, true),
            (EntryFields { counterparty: bic("AAAABB00"), ..plain(5, 1) }, true),
            (EntryFields { counterparty: bic("CCCCDD00"), ..plain(5, 1) }, false),
            (EntryFields { transaction_id: "U", ..plain(5, 1) }, false),
            (EntryFields { other_asset: "EUR", ..plain(5, 1) }, false),
            (EntryFields { side: Side::Debit, ..plain(5, 1) }, false),
            (plain(6, 1), false),
            (plain(5, 2), false),
        ] {
            let expected = if proposed { PAIR.to_vec() } else { vec![] };
            assert_eq!(Case::of(&[p], &[other]).run(), expected, "{other:?}");
            assert_eq!(Case::of(&[other], &[p]).run(), expected, "{other:?}");
        }
    }

    #[test]
    fn only_what_is_unique_on_both_sides() {
        assert_eq!(Case::of(&[plain(5, 1); 2], &[plain(5, 1)]).run(), []);
        assert_eq!(Case::of(&[plain(5, 1)], &[plain(5, 1); 2]).run(), []);
        let keyed = |key| EntryFields { transaction_id: key, ..plain(5, 1) };
        let found = Case::of(&[keyed("A"), plain(5, 1)], &[keyed("B")]).run();
        assert_eq!(found, [Finding::Unreferenced { first: 2, second: 1 }]);
        let mut case = Case::of(&[plain(5, 1)], &[plain(5, 1)]);
        let id = |place| Id { place, number: 1 };
        case.refused.insert(id(Place::First), id(Place::Second));
        assert_eq!(case.run(), []);
    }

    #[test]
    fn more_than_the_bound_are_named_and_left() {
        let mut case = Case::of(&[plain(5, 1)], &[plain(5, 1); 3]);
        case.terms.bounds.bucket = 2;
        let example = Id { place: Place::First, number: 1 };
        assert_eq!(case.run(), [Finding::TooMany { pass: Pass::Unreferenced, count: 3, example }]);
    }
}
