//! What this node holds against leaders, and what it is told that others hold against them. One
//! node's complaint moves nothing: its clock may be the wrong one. What a majority holds against a
//! leader takes its office.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use counterfoil_proto::peer::v1;

use crate::limits;

/// A leader in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its node.
    pub node: u64,
    /// Raft term.
    pub term: u64,
}

/// Why a leader is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// What it was handed is in no block in time.
    Censors,
    /// Its stamps have been behind for long.
    Lags,
}

impl Ground {
    /// Its name, for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Ground::Censors => "censors",
            Ground::Lags => "lags",
        }
    }

    /// As nodes tell it.
    pub fn to_message(self) -> v1::Ground {
        match self {
            Ground::Censors => v1::Ground::Censors,
            Ground::Lags => v1::Ground::Lags,
        }
    }

    /// As nodes tell it.
    pub fn of_message(ground: v1::Ground) -> Option<Ground> {
        match ground {
            v1::Ground::Censors => Some(Ground::Censors),
            v1::Ground::Lags => Some(Ground::Lags),
            v1::Ground::Unspecified => None,
        }
    }
}

/// What is held against whom.
pub struct Distrust {
    /// As many nodes as this are a majority.
    majority: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The leader whose stamp was ahead of this node's clock, and until when it will have been. Its
    /// heartbeats do not count either, or it would stay in office without getting anything done.
    hasty: Option<(Leader, u64)>,
    /// The leader whose stamps lag, and since when all of them have.
    lagging: Option<(Leader, u64)>,
    /// The latest complaint of each node, this one among them, and when it came.
    complaints: BTreeMap<u64, (Leader, Instant)>,
    /// Whom a majority did not believe: the term, and when that was.
    deposed: BTreeMap<u64, (u64, Instant)>,
}

impl Distrust {
    /// Among so many voters.
    pub fn among(voters: usize) -> Distrust {
        Distrust { majority: voters / 2 + 1, held: Mutex::default() }
    }

    /// A leader's stamp is ahead of this node's clock until then.
    pub fn hasten(&self, leader: Leader, until_ms: u64) {
        self.held().hasty = Some((leader, until_ms));
    }

    /// Takes note of a fresh stamp. True if this leader's stamps have been behind for too long.
    pub fn stamped(&self, leader: Leader, stamp_ms: u64, now_ms: u64) -> bool {
        let mut held = self.held();
        if stamp_ms.saturating_add(limits::STAMP_BEHIND_MS_MAX) >= now_ms {
            held.lagging = None;
            return false;
        }
        match held.lagging {
            Some((of, since_ms)) if of == leader => {
                now_ms.saturating_sub(since_ms) >= limits::STAMP_BEHIND_TIME_MS
            }
            _ => {
                held.lagging = Some((leader, now_ms));
                false
            }
        }
    }

    /// Takes down that a node holds something against a leader. True if with it a majority does now,
    /// for the first time. A complaint that is not repeated counts for a while only: a moment of
    /// trouble at one node and another's a day later are no majority.
    pub fn complain(&self, node: u64, leader: Leader, now: Instant) -> bool {
        let mut held = self.held();
        let newer = held.complaints.get(&node).is_none_or(|(other, _)| other.term <= leader.term);
        if !newer || node == leader.node {
            return false;
        }
        held.complaints.insert(node, (leader, now));
        let complains = |(other, at): &&(Leader, Instant)| {
            *other == leader && now.saturating_duration_since(*at) < limits::COMPLAINT_AGE_MAX
        };
        let complaining = held.complaints.values().filter(complains).count();
        let before = held.deposed.get(&leader.node).is_some_and(|(term, _)| *term >= leader.term);
        if complaining < self.majority || before {
            return false;
        }
        held.deposed.insert(leader.node, (leader.term, now));
        true
    }

    /// Why nothing that this leader sends counts, if it does not.
    pub fn refuses_entries(&self, leader: Leader, now_ms: u64) -> Option<&'static str> {
        let mut held = self.held();
        let deposed = held.deposed.get(&leader.node);
        if deposed.is_some_and(|(term, _)| leader.term <= *term) {
            return Some("a majority no longer believes this leader");
        }
        if held.hasty.is_some_and(|(of, until_ms)| of == leader && now_ms < until_ms) {
            return Some("a stamp is ahead of this node's clock");
        }
        held.hasty = None;
        None
    }

    /// Whether a node was deposed so lately that others shall lead first.
    pub fn refuses_candidate(&self, node: u64, now: Instant) -> bool {
        let since = self.held().deposed.get(&node).map(|(_, since)| now.duration_since(*since));
        since.is_some_and(|since: Duration| since < limits::DEPOSED_TIME)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Leader = Leader { node: 2, term: 7 };

    #[test]
    fn a_majority_takes_the_office_and_nobody_less() {
        let (distrust, now) = (Distrust::among(4), Instant::now());
        assert!(!distrust.complain(1, LEADER, now));
        assert!(!distrust.complain(1, LEADER, now), "the same node again");
        assert!(!distrust.complain(2, LEADER, now), "the leader itself");
        assert!(!distrust.complain(3, Leader { node: 2, term: 6 }, now));
        assert!(!distrust.complain(3, LEADER, now));
        assert_eq!(distrust.refuses_entries(LEADER, 0), None);
        assert!(distrust.complain(4, LEADER, now));
        assert!(!distrust.complain(4, LEADER, now), "only once");
        assert!(distrust.refuses_entries(LEADER, 0).is_some());
        // It may lead again, after others had their turn.
        assert_eq!(distrust.refuses_entries(Leader { term: 8, ..LEADER }, 0), None);
        assert!(distrust.refuses_candidate(2, now));
        assert!(!distrust.refuses_candidate(2, now + limits::DEPOSED_TIME));
        assert!(!distrust.refuses_candidate(3, now));
    }

    #[test]
    fn an_old_complaint_does_not_replace_a_newer_one() {
        let (distrust, now) = (Distrust::among(3), Instant::now());
        distrust.complain(1, LEADER, now);
        distrust.complain(1, Leader { node: 3, term: 5 }, now);
        assert!(distrust.complain(3, LEADER, now));
    }

    #[test]
    fn a_complaint_that_is_not_repeated_expires() {
        let (distrust, now) = (Distrust::among(4), Instant::now());
        let later = now + limits::COMPLAINT_AGE_MAX;
        assert!(!distrust.complain(1, LEADER, now));
        assert!(!distrust.complain(3, LEADER, now + limits::REPORT_INTERVAL));
        assert!(!distrust.complain(4, LEADER, later), "the first is too old");
        assert!(distrust.complain(1, LEADER, later), "it was repeated");
    }

    #[test]
    fn stamps_have_to_lag_all_the_time() {
        let distrust = Distrust::among(4);
        let (behind, time) = (limits::STAMP_BEHIND_MS_MAX, limits::STAMP_BEHIND_TIME_MS);
        let start = 1_000_000;
        let late = |now_ms| distrust.stamped(LEADER, now_ms - behind - 1, now_ms);
        assert!(!late(start));
        assert!(!late(start + time - 1));
        assert!(!distrust.stamped(LEADER, start + time - behind, start + time), "within the bound");
        assert!(!late(start + time + 1));
        assert!(!distrust.stamped(Leader { term: 8, ..LEADER }, 1, start + 3 * time), "another");
        assert!(!late(start + 3 * time));
        assert!(late(start + 4 * time));
    }

    #[test]
    fn haste_heals_itself() {
        let distrust = Distrust::among(4);
        distrust.hasten(LEADER, 50);
        assert!(distrust.refuses_entries(LEADER, 49).is_some());
        assert_eq!(distrust.refuses_entries(LEADER, 50), None);
        assert_eq!(distrust.refuses_entries(LEADER, 49), None);
    }
}
