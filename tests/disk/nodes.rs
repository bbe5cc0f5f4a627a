//! Real nodes on disks that fail, under load: the one whose disk fails ends with the exit code that
//! says so, the others go on, and once the disk is sound again nothing that was told is lost.

use std::time::{Duration, Instant};

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::kept::{everything_told_stands, histories_are_the_same, money_is_conserved};
use counterfoil_tests::load::Load;

use crate::faults::{Fault, Faults, Times};

const FUNDED: u64 = 1_000_000_000;

const LOG: &str = "*/log/*.log";
const STATE: &str = "*/state/*.log";

/// What is written and synced all the time.
fn while_running() -> Vec<Fault> {
    let mut faults = Vec::new();
    for (error, times) in [("EIO", Times::Once), ("EIO", Times::Ever), ("ENOSPC", Times::Ever)] {
        for (glob, call) in [(LOG, "write"), (LOG, "fsync"), (STATE, "write")] {
            faults.push(Fault { glob, call, error, times });
        }
    }
    faults
}

/// What is written when a node starts: recovery turns the write-ahead logs into tables.
fn at_the_start() -> Vec<Fault> {
    let mut faults = Vec::new();
    for glob in ["*/log/*.sst", "*/log/MANIFEST-*", "*/state/*.sst", "*/state/MANIFEST-*"] {
        for call in ["write", "fsync"] {
            let error = if call == "write" { "ENOSPC" } else { "EIO" };
            faults.push(Fault { glob, call, error, times: Times::Once });
        }
    }
    faults.push(Fault { glob: "*/log/CURRENT", call: "rename", error: "EIO", times: Times::Ever });
    for glob in ["*/log/*.sst", "*/state/*.sst"] {
        faults.push(Fault { glob, call: "read", error: "EIO", times: Times::Once });
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_fails_stops_and_loses_nothing() {
    let consortium = Consortium::found();
    let faults: Vec<Faults> = (0..consortium.node_count())
        .map(|node| Faults::none(&consortium.home(consortium.institution(node))))
        .collect();
    let start = |node: usize| consortium.start_node_under(node, &[], &faults[node].variables());
    (0..consortium.node_count()).for_each(start);
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let load = Load::start(&consortium, 4);
    load.progress(20).await;

    for fault in while_running() {
        let follower = (consortium.leader() + 1) % consortium.node_count();
        fails(&consortium, &faults, follower, fault);
        load.progress(5).await;
        start(follower);
    }
    for fault in while_running().into_iter().filter(|fault| fault.glob == LOG) {
        let leader = consortium.leader();
        fails(&consortium, &faults, leader, fault);
        load.progress(5).await;
        start(leader);
    }
    let node = (consortium.leader() + 1) % consortium.node_count();
    for fault in at_the_start() {
        // Something to recover.
        load.progress(5).await;
        let height = consortium.metric(consortium.leader(), "counterfoil_height").unwrap();
        consortium.await_metric(node, "counterfoil_height", |it| it > height);
        let written = "counterfoil_state_write_duration_seconds_count";
        consortium.await_metric(node, written, |count| count >= 1.0);
        consortium.kill_node(node);
        faults[node].set(&[fault]);
        start(node);
        faults[node].await_hit();
        ends(&consortium, node, fault.exit_code(), &format!("{fault:?}"));
        faults[node].clear();
        start(node);
        consortium.await_metric(node, "counterfoil_ready", |ready| ready == 1.0);
    }
    load.stop().await;
    nothing_is_lost(&consortium, &load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_without_space_goes_on_when_it_has_space_again() {
    let consortium = Consortium::found();
    let faults: Vec<Faults> = (0..consortium.node_count())
        .map(|node| Faults::none(&consortium.home(consortium.institution(node))))
        .collect();
    let start = |node: usize| consortium.start_node_under(node, &[], &faults[node].variables());
    (0..consortium.node_count()).for_each(start);
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let load = Load::start(&consortium, 4);
    load.progress(20).await;
    let full = Fault { glob: "*/data/*", call: "write", error: "ENOSPC", times: Times::Ever };
    let kept = consortium.leader();
    let filled: Vec<usize> = (0..consortium.node_count()).filter(|node| *node != kept).collect();
    for node in &filled {
        faults[*node].set(&[full]);
    }
    for node in &filled {
        ends(&consortium, *node, 74, "no space");
    }
    assert!(consortium.is_running(kept));
    for node in &filled {
        faults[*node].clear();
        start(*node);
    }
    load.progress(20).await;
    load.stop().await;
    nothing_is_lost(&consortium, &load).await;
}

/// A node that runs meets a fault and ends as documented, while another one that leads goes on.
fn fails(consortium: &Consortium, faults: &[Faults], node: usize, fault: Fault) {
    consortium.await_metric(node, "counterfoil_ready", |ready| ready == 1.0);
    faults[node].set(&[fault]);
    faults[node].await_hit();
    ends(consortium, node, fault.exit_code(), &format!("{fault:?}"));
    faults[node].clear();
}

/// A node ends by itself, with this exit code.
pub fn ends(consortium: &Consortium, node: usize, code: i32, why: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while consortium.is_running(node) {
        assert!(Instant::now() < deadline, "node {} goes on after {why}", node + 1);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(consortium.await_exit(node), Some(code), "{why}");
}

async fn nothing_is_lost(consortium: &Consortium, load: &Load) {
    let all: Vec<usize> = (0..consortium.node_count()).collect();
    histories_are_the_same(consortium).await;
    everything_told_stands(consortium, load, &all).await;
    money_is_conserved(consortium).await;
    for node in all {
        assert!(!consortium.log(node).contains("panicked"), "{}", consortium.log(node));
    }
}
