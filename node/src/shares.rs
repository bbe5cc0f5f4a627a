//! Room that many share. Each key has some of its own; what is common goes to whoever comes first. A
//! key that takes all that it can fills its own and what is common, and never what is another's.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// How much, in each of the measures that are bounded together.
pub type Amount<const D: usize> = [usize; D];

/// The bounds of what is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds<const D: usize = 1> {
    /// Each key's own: nobody else can take it.
    pub own: Amount<D>,
    /// The most that one key can have, its own included.
    pub most: Amount<D>,
    /// What all keys together can have beyond their own.
    pub common: Amount<D>,
}

impl<const D: usize> Bounds<D> {
    /// What a key that has so much takes of what is common.
    fn beyond(&self, taken: &Amount<D>) -> Amount<D> {
        std::array::from_fn(|at| taken[at].saturating_sub(self.own[at]))
    }
}

/// What each key has taken.
pub struct Shares<K, const D: usize = 1> {
    bounds: Bounds<D>,
    taken: Mutex<Taken<K, D>>,
}

struct Taken<K, const D: usize> {
    by_key: HashMap<K, Amount<D>>,
    common: Amount<D>,
}

/// Some of it, given back when dropped.
pub struct Share<K: Eq + Hash, const D: usize = 1> {
    shares: Arc<Shares<K, D>>,
    key: K,
    amount: Amount<D>,
}

impl<K: Eq + Hash + Clone, const D: usize> Shares<K, D> {
    /// Nothing is taken yet.
    pub fn new(bounds: Bounds<D>) -> Arc<Shares<K, D>> {
        let taken = Taken { by_key: HashMap::new(), common: [0; D] };
        Arc::new(Shares { bounds, taken: Mutex::new(taken) })
    }

    /// Takes some, unless the key would have more than it can.
    pub fn take(self: &Arc<Self>, key: K, amount: Amount<D>) -> Option<Share<K, D>> {
        self.add(&key, amount).then(|| Share { shares: Arc::clone(self), key, amount })
    }

    /// What each key has, for monitoring.
    pub fn taken(&self) -> Vec<(K, Amount<D>)> {
        self.lock().by_key.iter().map(|(key, taken)| (key.clone(), *taken)).collect()
    }

    fn add(&self, key: &K, amount: Amount<D>) -> bool {
        let Bounds { most, common, .. } = self.bounds;
        let mut taken = self.lock();
        let had = taken.by_key.get(key).copied().unwrap_or([0; D]);
        let has: Amount<D> = std::array::from_fn(|at| had[at].saturating_add(amount[at]));
        let (before, after) = (self.bounds.beyond(&had), self.bounds.beyond(&has));
        let of_common: Amount<D> =
            std::array::from_fn(|at| taken.common[at] + (after[at] - before[at]));
        let fits = (0..D).all(|at| {
            has[at] <= most[at] && (after[at] == before[at] || of_common[at] <= common[at])
        });
        if fits {
            taken.common = of_common;
            taken.by_key.insert(key.clone(), has);
        }
        fits
    }
}

impl<K: Eq + Hash, const D: usize> Shares<K, D> {
    fn give_back(&self, key: &K, amount: Amount<D>) {
        let mut taken = self.lock();
        let Some(had) = taken.by_key.get(key).copied() else { return };
        let has: Amount<D> = std::array::from_fn(|at| had[at] - amount[at]);
        let (before, after) = (self.bounds.beyond(&had), self.bounds.beyond(&has));
        taken.common = std::array::from_fn(|at| taken.common[at] - (before[at] - after[at]));
        match taken.by_key.get_mut(key) {
            Some(taken) if has != [0; D] => *taken = has,
            // Keys come from outside; those with nothing taken are forgotten.
            _ => drop(taken.by_key.remove(key)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken<K, D>> {
        // Nothing panics while it is held, so a poisoned map is whole all the same.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone, const D: usize> Share<K, D> {
    /// Takes some more for the same key. False, and nothing taken, if it would have more than it can.
    pub fn grow(&mut self, amount: Amount<D>) -> bool {
        let grows = self.shares.add(&self.key, amount);
        if grows {
            self.amount = std::array::from_fn(|at| self.amount[at] + amount[at]);
        }
        grows
    }
}

impl<K: Eq + Hash, const D: usize> Share<K, D> {
    /// Whose it is.
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash, const D: usize> Drop for Share<K, D> {
    fn drop(&mut self) {
        self.shares.give_back(&self.key, self.amount);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_and_the_rest_is_common() {
        let shares = Shares::new(Bounds { own: [2], most: [5], common: [4] });
        let greedy: Vec<_> = (0..5).map(|_| shares.take("a", [1]).unwrap()).collect();
        assert!(shares.take("a", [1]).is_none(), "the most that one can have");
        let other: Vec<_> = (0..3).map(|_| shares.take("b", [1]).unwrap()).collect();
        assert!(shares.take("b", [1]).is_none(), "what is common is taken");
        let _own = shares.take("c", [2]).unwrap();
        drop(greedy);
        let _more = shares.take("b", [2]).unwrap();
        assert!(shares.take("a", [4]).is_none(), "there is one left of what is common");
        assert!(shares.take("a", [3]).is_some());
        drop(other);
        assert!(shares.take("a", [5]).is_some());
    }

    #[test]
    fn every_measure_counts_and_all_comes_back() {
        let shares = Shares::new(Bounds { own: [1, 10], most: [9, 90], common: [1, 100] });
        let first = shares.take("a", [1, 10]).unwrap();
        assert!(shares.take("a", [2, 1]).is_none());
        assert!(shares.take("a", [0, 81]).is_none());
        let mut second = shares.take("a", [1, 1]).unwrap();
        assert!(second.grow([0, 79]));
        assert!(!second.grow([0, 1]));
        assert!(shares.take("b", [2, 0]).is_none(), "what is common is taken in one measure");
        let third = shares.take("b", [1, 30]).unwrap();
        assert!(shares.take("c", [0, 11]).is_none());
        assert!(shares.take("c", [0, 10]).is_some());
        drop((first, third, second));
        assert!(shares.taken().is_empty());
        assert_eq!(shares.lock().common, [0, 0]);
    }
}
