//! Nodes that come later, come back, or come without what they had.

#![allow(clippy::unwrap_used)]

mod away;
mod crashes;
mod learners;
mod liars;
mod lost;

use std::time::{Duration, Instant};

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::{Consortium, Founding};
use counterfoil_tests::load::Load;

const FUNDED: u64 = 1_000_000_000;

/// Four voters and some learners, the place of the first of which this is; the voters make a snapshot
/// each eight blocks.
const LEARNER: usize = 4;

fn founding(learners: usize) -> Founding<'static> {
    Founding { learners, policy: "snapshot_interval_blocks = 8" }
}

/// The voters run, and the banks have money.
async fn start(founding: &Founding<'_>) -> Consortium {
    let consortium = Consortium::found_with(founding);
    (0..LEARNER).for_each(|voter| consortium.start_node(voter));
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    consortium
}

/// Waits, under a load, until the leader sends nothing any more that a node would need that has so
/// much of the log.
async fn purge_beyond(consortium: &Consortium, load: &Load, last_log_index: f64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let purged = |node| consortium.metric(node, "counterfoil_raft_purged_index");
    while purged(consortium.leader()).is_none_or(|index| index <= last_log_index + 1.0) {
        assert!(Instant::now() < deadline, "nothing is purged up to {last_log_index}");
        load.progress(10).await;
    }
}

/// Waits until a node has logged some words so many times.
async fn await_log(consortium: &Consortium, node: usize, words: &str, times: usize) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while consortium.log(node).matches(words).count() < times {
        assert!(Instant::now() < deadline, "node {} has not logged: {words}", node + 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const CAUGHT_UP: &str = "has caught up; starts again";
