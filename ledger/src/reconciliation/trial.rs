//! A trial of other terms: what they would change of the pairs that keys make. Nothing is recorded.
//!
//! What passes over items without a key have found, and what people have decided, stays as it is and takes no
//! part, and neither do duplicates, which are the same under any terms. What they have decided and opened
//! again is tried as it was found.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    finding::{Class, Finding},
    rules,
    sheet::{Sheet, ids_of},
};
use crate::{
    account::Account,
    agreement::Terms,
    matching::{
        assign::assign,
        desk::{Desk, Standing},
        item::{Comparison, Id, Item, Place},
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
        let reopened: Vec<&Finding> = self.reopened(comparison).collect();
        let Some([first, second]) = players(desk, &reopened) else { return Trial::TooMany };
        let rules = rules(terms, &account.asset);
        let assigned = assign(comparison, &first, &second, desk.refused(), &rules);
        let pairs = assigned.matches.into_iter().chain(assigned.breaks);
        let then: Pairs = pairs.map(|pair| ((pair.first, pair.second), pair.judgement)).collect();
        let item_count = first.len() + second.len();
        Trial::Done(compared(item_count, &pairs_now(desk, &reopened), &then))
    }

    /// A comparison alone, to try terms on while the sheet itself goes on; none if it has more items than
    /// a trial takes.
    pub fn copied_for_trial(&self, comparison: Comparison) -> Option<Sheet> {
        let mut copy = Sheet::new(self.ordinal, self.id);
        if let Some(desk) = self.desk(comparison) {
            if desk.standings().nth(ITEMS_MAX).is_some() {
                return None;
            }
            copy.desks.insert(comparison, desk.clone());
        }
        for finding in self.reopened(comparison) {
            let key = (Class::Break, finding.number);
            copy.open.insert(key);
            copy.findings.insert(key, finding.clone());
        }
        Some(copy)
    }

    /// Breaks that the parties have ended and opened again: their items are open, though no key touches
    /// them any more.
    fn reopened(&self, comparison: Comparison) -> impl Iterator<Item = &Finding> {
        let desk = self.desk(comparison);
        let open = self.open_findings_from(Class::Break, 0);
        open.filter(move |finding| {
            let is_pinned =
                |id: &Id| desk.and_then(|it| it.standing(*id)) == Some(&Standing::Pinned);
            finding.comparison == comparison
                && finding.about.is_none()
                && ids_of(&finding.items).iter().all(is_pinned)
        })
    }
}

/// The items that keys decide on, and those that were decided on and are open again, by source; none if
/// there are too many.
fn players<'a>(desk: &'a Desk, reopened: &[&Finding]) -> Option<[Vec<&'a Item>; 2]> {
    let reopened: BTreeSet<Id> = reopened.iter().flat_map(|it| ids_of(&it.items)).collect();
    let mut players = [Vec::new(), Vec::new()];
    let mut count = 0;
    for (id, standing) in desk.standings() {
        let is_decided = *standing == Standing::Pinned && !reopened.contains(&id);
        if is_decided || *standing == Standing::Duplicate {
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

fn pairs_now(desk: &Desk, reopened: &[&Finding]) -> Pairs {
    let first = desk.standings().filter(|(id, _)| id.place == Place::First);
    let paired = first.filter_map(|(id, standing)| match standing {
        Standing::Paired { with, judgement } => Some(((id.number, *with), *judgement)),
        _ => None,
    });
    let reopened = reopened.iter().filter_map(|finding| match &finding.items {
        [first, second] if first.len() == 1 && second.len() == 1 => {
            Some(((first[0], second[0]), finding.judgement?))
        }
        _ => None,
    });
    paired.chain(reopened).collect()
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
