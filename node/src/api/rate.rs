//! How often somebody may ask for what costs others work.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// A bound on how many each key may take in an interval.
pub(super) struct Rate<K> {
    max: u32,
    interval: Duration,
    /// When the interval that runs began, and what was taken in it. Who took nothing is forgotten.
    taken: Mutex<(Option<Instant>, BTreeMap<K, u32>)>,
}

impl<K: Ord> Rate<K> {
    /// So many in each interval.
    pub(super) fn new(max: u32, interval: Duration) -> Rate<K> {
        Rate { max, interval, taken: Mutex::default() }
    }

    /// Takes one, unless the key has all of its own.
    pub(super) fn take(&self, key: K, now: Instant) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, counts) = &mut *taken;
        if began.is_none_or(|began| now.saturating_duration_since(began) >= self.interval) {
            *began = Some(now);
            counts.clear();
        }
        let count = counts.entry(key).or_default();
        let has_room = *count < self.max;
        *count += u32::from(has_room);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_and_time_gives_it_back() {
        let rate = Rate::new(2, Duration::from_secs(1));
        let now = Instant::now();
        assert!(rate.take("a", now) && rate.take("a", now));
        assert!(!rate.take("a", now));
        assert!(rate.take("b", now));
        assert!(!rate.take("a", now + Duration::from_millis(999)));
        assert!(rate.take("a", now + Duration::from_secs(1)));
    }
}
