//! How high a Raft term can be by now. openraft asks nobody before it stands: a node that is alone
//! raises its term at every election timeout, for as long as it is alone, and is honest all the same.
//! So what bounds a term is the time that there was to raise it.

use crate::clock::Clock;
use crate::limits;

/// The bound, for one consortium.
#[derive(Clone, Debug)]
pub struct TermBound {
    clock: Clock,
    created_ms: u64,
    voters: u64,
}

impl TermBound {
    /// For so many voters since the founding.
    pub fn new(clock: Clock, created_ms: u64, voters: usize) -> TermBound {
        TermBound { clock, created_ms, voters: u64::try_from(voters).unwrap_or(u64::MAX) }
    }

    /// Whether an honest node may be in a term by now.
    pub fn holds(&self, term: u64) -> bool {
        let passed_ms = self.clock.now_ms().saturating_sub(self.created_ms);
        let raised = (passed_ms / limits::TERM_INTERVAL_MS_MIN).saturating_mul(self.voters);
        term <= raised.saturating_add(limits::TERM_SLACK).min(limits::TERM_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED_MS: u64 = 1_700_000_000_000;

    #[test]
    fn a_node_that_was_alone_for_a_weekend_comes_back() {
        // The youngest consortium, and a clock that is a little behind.
        for now_ms in [CREATED_MS, CREATED_MS - 5_000, CREATED_MS + 60_000] {
            let bound = TermBound::new(Clock::manual(now_ms), CREATED_MS, 4);
            for term in [0, 1, 5_000, 3 * 86_400 * 2] {
                assert!(bound.holds(term), "{now_ms} {term}");
            }
        }
    }

    #[test]
    fn it_grows_with_time_and_has_an_end() {
        let clock = Clock::manual(CREATED_MS);
        let bound = TermBound::new(clock.clone(), CREATED_MS, 4);
        let first = limits::TERM_SLACK;
        assert!(bound.holds(first) && !bound.holds(first + 1));
        clock.advance_ms(1_000);
        assert!(bound.holds(first + 40) && !bound.holds(first + 41));
        let late = TermBound::new(Clock::manual(u64::MAX), 1, 4);
        assert!(late.holds(limits::TERM_MAX) && !late.holds(limits::TERM_MAX + 1));
    }
}
