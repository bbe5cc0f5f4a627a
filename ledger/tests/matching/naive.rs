//! The rules, said again in the plainest way: every pair is judged, and all scores of all keys are
//! gone through in one list.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_ledger::matching::{
    bucket::{Pair, Refusals},
    item::{Comparison, Id, Item, Place, Source},
    pair,
    terms::Terms,
};

/// What the rules say, without the bound of a bucket.
#[derive(Debug, Default)]
pub struct Naive {
    pub taken: BTreeSet<Pair>,
    pub ambiguous: BTreeSet<Pair>,
    pub duplicates: BTreeSet<Id>,
    pub free: BTreeSet<Id>,
}

fn same_booking(one: &Item, two: &Item) -> bool {
    let named = one.uetr.is_some() && one.uetr == two.uetr
        || !one.entry_reference().is_empty()
            && one.entry_reference() == two.entry_reference()
            && one.date == two.date;
    let equal = |item: &Item| (item.side, item.amount, item.reversal);
    named && equal(one) == equal(two) && one.other_asset() == two.other_asset()
}

pub fn assign(
    comparison: Comparison,
    items: &[(Id, Item)],
    refused: &Refusals,
    terms: &Terms<'_>,
) -> Naive {
    let mut naive = Naive::default();
    for (id, item) in items {
        let earlier = |(other, twin): &(Id, Item)| {
            other.place == id.place && twin < item && same_booking(twin, item)
        };
        if comparison.source(id.place) != Source::Ledger && items.iter().any(earlier) {
            naive.duplicates.insert(*id);
        } else {
            naive.free.insert(*id);
        }
    }
    let mut levels: BTreeMap<_, Vec<Pair>> = BTreeMap::new();
    for (one, first) in items.iter().filter(|(id, _)| id.place == Place::First) {
        for (two, second) in items.iter().filter(|(id, _)| id.place == Place::Second) {
            if naive.free.contains(one)
                && naive.free.contains(two)
                && !refused.contains(*one, *two)
                && let Some(strength) = pair::strongest(first, second)
            {
                let judgement = pair::judge(first, second, strength, terms);
                let pair = Pair { first: one.number, second: two.number, judgement };
                levels.entry(judgement.score()).or_default().push(pair);
            }
        }
    }
    let ids = |pair: &Pair| {
        [
            Id { place: Place::First, number: pair.first },
            Id { place: Place::Second, number: pair.second },
        ]
    };
    for level in levels.values() {
        let open: Vec<&Pair> = level
            .iter()
            .filter(|pair| ids(pair).iter().all(|id| naive.free.contains(id)))
            .collect();
        for pair in &open {
            let rivals =
                open.iter().filter(|other| ids(other).iter().any(|id| ids(pair).contains(id)));
            if rivals.count() == 1 {
                naive.taken.insert(**pair);
            } else {
                naive.ambiguous.insert(**pair);
            }
        }
        for id in open.iter().flat_map(|pair| ids(pair)) {
            naive.free.remove(&id);
        }
    }
    naive
}
