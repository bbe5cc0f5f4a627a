//! A budget of time: it fills as time passes, up to a bound, and what is spent is taken from it. Who
//! has spent more than there was rests until that has come back.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// A budget. Spending is one atomic step, whoever else spends of it.
#[derive(Debug)]
pub struct Budget {
    begun: Instant,
    burst_ns: u64,
    /// When everything that was spent has come back, in nanoseconds since the beginning.
    whole_at_ns: AtomicU64,
}

impl Budget {
    /// Full, with so much to spend at once.
    pub fn new(burst: Duration) -> Budget {
        Budget {
            begun: Instant::now(),
            burst_ns: nanoseconds(burst),
            whole_at_ns: AtomicU64::new(0),
        }
    }

    /// Spends, whether it is there or not. Returns how long it takes until there is something again.
    pub fn spend(&self, cost: Duration) -> Duration {
        let (now_ns, cost_ns) = (nanoseconds(self.begun.elapsed()), nanoseconds(cost));
        let spend = |whole_at: u64| Some(whole_at.max(now_ns).saturating_add(cost_ns));
        let before = self.whole_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        let (Ok(before) | Err(before)) = before;
        self.rest(before.max(now_ns).saturating_add(cost_ns), now_ns)
    }

    /// How long it takes until there is something to spend; nothing if there is.
    pub fn lacking(&self) -> Duration {
        let now_ns = nanoseconds(self.begun.elapsed());
        self.rest(self.whole_at_ns.load(Ordering::Relaxed), now_ns)
    }

    fn rest(&self, whole_at_ns: u64, now_ns: u64) -> Duration {
        Duration::from_nanos(whole_at_ns.saturating_sub(now_ns).saturating_sub(self.burst_ns))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_beyond_the_burst_is_rested_for() {
        let budget = Budget::new(Duration::from_secs(100));
        assert_eq!(budget.spend(Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(budget.lacking(), Duration::ZERO);
        let rest = budget.spend(Duration::from_secs(90));
        let about = Duration::from_secs(49)..=Duration::from_secs(50);
        assert!(about.contains(&rest), "{rest:?}");
        assert!(about.contains(&budget.lacking()));
        assert!(budget.spend(Duration::MAX) > Duration::from_secs(1 << 30));
    }

    #[test]
    fn it_fills_as_time_passes() {
        let budget = Budget::new(Duration::from_millis(1));
        assert!(budget.spend(Duration::from_millis(20)) > Duration::from_millis(10));
        std::thread::sleep(Duration::from_millis(25));
        assert_eq!(budget.lacking(), Duration::ZERO);
    }
}
