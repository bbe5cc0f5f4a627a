//! A trial of other terms: what they would change of the pairs that keys make. Nothing is recorded.
//!
//! What passes over items without a key have found, and what people have decided, stays as it is and takes no
//! part, and neither do duplicates, which are the same under any terms.

use std::collections::BTreeMap;

use super::{rules, sheet::Sheet};
use crate::{
    account::Account,
    agreement::Terms,
    matching::{
        assign::assign,
        desk::{Desk, Standing},
        item::{Comparison, Item, Place},
        pair::Judgement,
    },
};

/// Most items of a comparison that a trial looks at: with more it would hold up the node, some seconds.
pub const ITEMS_MAX: usize = 200_000;

/// Most pairs that a trial names.
pub const CHANGED_MAX: usize = 100;

/// What a trial has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The comparison has more items than are tried.
    TooMany,
    /// What would change.
    Done(Tried),
}

/// What other terms would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Items that were looked at.
    pub item_count: u64,
    /// Pairs that match now.
    pub matches_now: u64,
    /// Pairs that would match.
    pub matches_then: u64,
    /// Pairs that are breaks now.
    pub breaks_now: u64,
    /// Pairs that would be breaks.
    pub breaks_then: u64,
    /// Pairs of which the finding would change, by number, at most [`CHANGED_MAX`].
    pub changed: Vec<TriedPair>,
    /// How many there are.
    pub changed_count: u64,
}

/// A pair that other terms judge otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriedPair {
    /// Number of the first source's item.
    pub first: u64,
    /// Number of the second source's item.
    pub second: u64,
    /// How it is judged now; none if it is no pair.
    pub now: Option<Judgement>,
    /// How it would be judged; none if it would be no pair.
    pub then: Option<Judgement>,
}

/// Judgements of pairs, by the numbers of their items.
type Pairs = BTreeMap<(u64, u64), Judgement>;

impl Sheet {
    /// Tries other terms on a comparison. `account` is the sheet's own. Takes n·log n for n items, at
    /// most [`ITEMS_MAX`].
    pub fn try_terms(&self, account: &Account, terms: &Terms, comparison: Comparison) -> Trial {
        let Some(desk) = self.desk(comparison) else { return Trial::Done(Tried::default()) };
        let Some([first, second]) = players(desk) else { return Trial::TooMany };
        let rules = rules(terms, &account.asset);
        let assigned = assign(comparison, &first, &second, desk.refused(), &rules);
        let pairs = assigned.matches.into_iter().chain(assigned.breaks);
        let then: Pairs = pairs.map(|pair| ((pair.first, pair.second), pair.judgement)).collect();
        let item_count = first.len() + second.len();
        Trial::Done(compared(item_count, &pairs_now(desk), &then))
    }
}

/// The items that keys decide on, by source; none if there are too many.
fn players(desk: &Desk) -> Option<[Vec<&Item>; 2]> {
    let mut players = [Vec::new(), Vec::new()];
    let mut count = 0;
    for (id, standing) in desk.standings() {
        if matches!(standing, Standing::Pinned | Standing::Duplicate) {
            continue;
        }
        count += 1;
        if count > ITEMS_MAX {
            return None;
        }
        players[usize::from(id.place as u8) - 1].extend(desk.item(id));
    }
    Some(players)
}

fn pairs_now(desk: &Desk) -> Pairs {
    let first = desk.standings().filter(|(id, _)| id.place == Place::First);
    let paired = first.filter_map(|(id, standing)| match standing {
        Standing::Paired { with, judgement } => Some(((id.number, *with), *judgement)),
        _ => None,
    });
    paired.collect()
}

fn compared(item_count: usize, now: &Pairs, then: &Pairs) -> Tried {
    let count = |pairs: &Pairs, broken: bool| {
        let of_kind = pairs.values().filter(|it| it.category.is_some() == broken);
        u64::try_from(of_kind.count()).expect("a count fits 64 bits")
    };
    let mut tried = Tried {
        item_count: u64::try_from(item_count).expect("a count fits 64 bits"),
        matches_now: count(now, false),
        matches_then: count(then, false),
        breaks_now: count(now, true),
        breaks_then: count(then, true),
        ..Tried::default()
    };
    let says = |judgement: Option<&Judgement>| judgement.map(|judgement| judgement.category);
    let mut either: Vec<&(u64, u64)> = now.keys().chain(then.keys()).collect();
    either.sort_unstable();
    either.dedup();
    for pair in either {
        let (was, would) = (now.get(pair), then.get(pair));
        if says(was) == says(would) {
            continue;
        }
        tried.changed_count += 1;
        if tried.changed.len() < CHANGED_MAX {
            let (first, second) = *pair;
            let (now, then) = (was.copied(), would.copied());
            tried.changed.push(TriedPair { first, second, now, then });
        }
    }
    tried
}
