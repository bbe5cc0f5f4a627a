//! How far certificates lag behind execution.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::registry::Policy;

use crate::limits;

/// The blocks that wait for a certificate.
pub struct Lag {
    policy: Policy,
    executed: u64,
    certified: u64,
    /// Heights and when they were executed here, ascending. Bounded: what does not fit waits with
    /// the last that does.
    waiting: VecDeque<(u64, Instant)>,
}

impl Lag {
    /// Nothing waits.
    pub fn new(policy: Policy) -> Lag {
        Lag { policy, executed: 0, certified: 0, waiting: VecDeque::new() }
    }

    /// Takes where execution and certificates stand; returns how long what is certified now has
    /// waited.
    pub fn follow(&mut self, executed: u64, certified: u64, now: Instant) -> Vec<Duration> {
        if executed > self.executed {
            self.executed = executed;
            if self.waiting.len() < limits::LAG_HEIGHTS_MAX {
                self.waiting.push_back((executed, now));
            }
        }
        self.certified = certified;
        let mut waited = Vec::new();
        while let Some((_, since)) = self.waiting.front().filter(|(it, _)| *it <= certified) {
            waited.push(now.saturating_duration_since(*since));
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() && self.executed > certified {
            self.waiting.push_back((self.executed, now));
        }
        waited
    }

    /// How long the oldest block without a certificate has waited for one.
    pub fn longest(&self, now: Instant) -> Option<Duration> {
        let waits = self.executed > self.certified;
        let oldest = self.waiting.front().filter(|_| waits)?;
        Some(now.saturating_duration_since(oldest.1))
    }

    /// Whether admission stops.
    pub fn is_too_long(&self, now: Instant) -> bool {
        self.executed.saturating_sub(self.certified) >= self.policy.certificate_lag_blocks
            || self
                .longest(now)
                .is_some_and(|it| it >= Duration::from_millis(self.policy.certificate_lag_ms))
    }
}
