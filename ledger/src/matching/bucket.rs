//! A bucket: the items of both sources that share a key's value and are still in the game. Pairs
//! are scored and taken, the best first, where there is no doubt.

use std::collections::BTreeSet;

use super::{
    item::{Id, Item, Place, Strength},
    pair::{self, Judgement},
    terms::Terms,
};

/// Pairs of items of which a person said that they do not belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(BTreeSet<(Id, Id)>);

impl Refusals {
    /// Adds a pair; the order of the two does not matter.
    pub fn insert(&mut self, one: Id, two: Id) {
        self.0.insert((one.min(two), one.max(two)));
    }

    /// Takes a pair out.
    pub fn remove(&mut self, one: Id, two: Id) {
        self.0.remove(&(one.min(two), one.max(two)));
    }

    /// Numbers of the second source's items that are kept apart from one of the first source.
    pub fn of(&self, first: u64) -> impl Iterator<Item = u64> + '_ {
        let pair = |number| {
            (Id { place: Place::First, number: first }, Id { place: Place::Second, number })
        };
        self.0.range(pair(0)..=pair(u64::MAX)).map(|(_, two)| two.number)
    }

    /// Forgets the pairs of an item of the first source. Whether there were any.
    pub fn forget(&mut self, first: u64) -> bool {
        let seconds: Vec<u64> = self.of(first).collect();
        let id = |place, number| Id { place, number };
        seconds
            .iter()
            .for_each(|second| self.remove(id(Place::First, first), id(Place::Second, *second)));
        !seconds.is_empty()
    }

    /// Numbers of the first source's items that are kept apart from some.
    pub fn firsts(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|(one, _)| one.number)
    }

    /// Whether a pair is refused.
    pub fn contains(&self, one: Id, two: Id) -> bool {
        !self.0.is_empty() && self.0.contains(&(one.min(two), one.max(two)))
    }

    /// Whether an item of the first source and one of the second are refused.
    pub fn contains_pair(&self, first: &Item, second: &Item) -> bool {
        let id = |place, item: &Item| Id { place, number: item.number };
        self.contains(id(Place::First, first), id(Place::Second, second))
    }

    /// Whether any item of some of the first source and any of some of the second are refused.
    pub fn any_between(&self, first: &[&Item], second: &[&Item]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let second: BTreeSet<u64> = second.iter().map(|item| item.number).collect();
        first.iter().any(|item| self.of(item.number).any(|number| second.contains(&number)))
    }
}

/// An item of the first source and one of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Number of the first.
    pub first: u64,
    /// Number of the second.
    pub second: u64,
    /// How well they go together.
    pub judgement: Judgement,
}

/// What became of a bucket.
#[derive(Clone, Debug, Default)]
pub struct Met {
    /// Pairs that go together, as matches or as breaks.
    pub taken: Vec<Pair>,
    /// Pairs between which a person has to choose.
    pub ambiguous: Vec<Pair>,
}

impl Met {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.taken.clear();
        self.ambiguous.clear();
    }
}

/// Lets the items of a bucket meet. The caller sees to the bound. Adds to `met`, ambiguous pairs in
/// intrinsic order.
pub fn meet(
    strength: Strength,
    first: &mut [&Item],
    second: &mut [&Item],
    refused: &Refusals,
    terms: &Terms<'_>,
    met: &mut Met,
) {
    let judged = |first: &Item, second: &Item| {
        (pair::share(first, second, strength) && !refused.contains_pair(first, second)).then(|| {
            let judgement = pair::judge(first, second, strength, terms);
            Pair { first: first.number, second: second.number, judgement }
        })
    };
    // Nearly every bucket: no list, no sorting.
    if let ([first], [second]) = (&*first, &*second) {
        met.taken.extend(judged(first, second));
        return;
    }
    first.sort_unstable();
    second.sort_unstable();
    let mut scored = Vec::new();
    for (row, first) in first.iter().enumerate() {
        for (column, second) in second.iter().enumerate() {
            if let Some(pair) = judged(first, second) {
                scored.push(Scored { score: pair.judgement.score(), row, column, value: pair });
            }
        }
    }
    settle(scored, first.len(), second.len(), &mut met.taken, &mut met.ambiguous);
}

/// Two that could go together, by their places in two lists.
pub(super) struct Scored<S, V> {
    pub score: S,
    pub row: usize,
    pub column: usize,
    pub value: V,
}

/// Takes pairs, the smallest score first. At one score a pair is taken if, among what is still
/// free, neither of the two has another pair of this score. All others of this score are
/// ambiguous, and whom they name leaves: a worse pair of theirs would only look certain.
pub(super) fn settle<S: Ord, V>(
    mut scored: Vec<Scored<S, V>>,
    rows: usize,
    columns: usize,
    taken: &mut Vec<V>,
    ambiguous: &mut Vec<V>,
) {
    scored.sort_unstable_by(|one, two| {
        (&one.score, one.row, one.column).cmp(&(&two.score, two.row, two.column))
    });
    let (mut row_gone, mut column_gone) = (vec![false; rows], vec![false; columns]);
    let (mut row_count, mut column_count) = (vec![0usize; rows], vec![0usize; columns]);
    let mut rest = scored.into_iter().peekable();
    let mut level = Vec::new();
    while let Some(next) = rest.next() {
        level.push(next);
        if rest.peek().is_some_and(|after| after.score == level[0].score) {
            continue;
        }
        level.retain(|pair| !row_gone[pair.row] && !column_gone[pair.column]);
        for pair in &level {
            row_count[pair.row] += 1;
            column_count[pair.column] += 1;
        }
        for pair in &level {
            row_gone[pair.row] = true;
            column_gone[pair.column] = true;
        }
        for pair in level.drain(..) {
            let certain = row_count[pair.row] == 1 && column_count[pair.column] == 1;
            if certain { &mut *taken } else { &mut *ambiguous }.push(pair.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Places = Vec<(usize, usize)>;

    fn outcome(scored: &[(u32, usize, usize)]) -> (Places, Places) {
        let scored = scored.iter().map(|&(score, row, column)| Scored {
            score,
            row,
            column,
            value: (row, column),
        });
        let (mut taken, mut ambiguous) = (Vec::new(), Vec::new());
        settle(scored.collect(), 4, 4, &mut taken, &mut ambiguous);
        (taken, ambiguous)
    }

    #[test]
    fn the_best_pair_is_taken_and_the_rest_goes_on() {
        let both = outcome(&[(2, 0, 0), (1, 0, 1), (2, 1, 1), (3, 1, 0)]);
        assert_eq!(both, (vec![(0, 1), (1, 0)], vec![]));
    }

    #[test]
    fn two_equals_are_ambiguous_and_leave() {
        // 0 could be either's; 1 has a worse place that then is nobody's.
        let both = outcome(&[(1, 0, 0), (1, 1, 0), (2, 1, 1)]);
        assert_eq!(both, (vec![], vec![(0, 0), (1, 0)]));
    }

    #[test]
    fn a_better_pair_ends_a_doubt() {
        let both = outcome(&[(1, 0, 0), (2, 1, 0), (2, 1, 1), (2, 2, 2)]);
        assert_eq!(both, (vec![(0, 0), (1, 1), (2, 2)], vec![]));
    }

    #[test]
    fn refusals_have_no_order() {
        let one = Id { place: Place::First, number: 7 };
        let two = Id { place: Place::Second, number: 3 };
        let mut refused = Refusals::default();
        refused.insert(two, one);
        assert!(refused.contains(one, two) && refused.contains(two, one));
        refused.insert(one, Id { place: Place::First, number: 8 });
        assert_eq!(refused.of(7).collect::<Vec<_>>(), [3]);
        refused.remove(one, two);
        assert!(!refused.contains(two, one));
    }
}
