//! Snapshots in a real consortium, under load: every node makes the same ones, a quorum signs them,
//! older ones go, Raft's log is purged behind them, and a restart changes nothing of it.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::{AGENT, Consortium};
use counterfoil_tests::load::Load;

const INTERVAL: u64 = 16;

/// Heights of the snapshots that a node has on its disk.
fn on_disk(consortium: &Consortium, node: usize) -> BTreeSet<u64> {
    let home = consortium.home(consortium.institution(node));
    let entries = fs::read_dir(home.join("data/snapshots")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The digests that a node has logged as certified, by height.
fn certified(consortium: &Consortium, node: usize) -> BTreeMap<u64, String> {
    let log = consortium.log(node);
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}="))?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    let lines = log.lines().filter(|line| line.contains("a snapshot is certified"));
    lines
        .map(|line| {
            (field(line, "height").unwrap().parse().unwrap(), field(line, "digest").unwrap())
        })
        .collect()
}

fn snapshot_height(consortium: &Consortium, node: usize) -> f64 {
    consortium.metric(node, "counterfoil_snapshot_height").unwrap_or(0.0)
}

/// Waits until every node has a certified snapshot of at least this height.
fn await_height(consortium: &Consortium, least: f64) {
    for node in 0..consortium.node_count() {
        let deadline = Instant::now() + Duration::from_secs(60);
        while snapshot_height(consortium, node) < least {
            assert!(Instant::now() < deadline, "node {} has no snapshot from {least} on", node + 1);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_certify_the_same_snapshots_and_keep_the_newest() {
    let consortium =
        Consortium::found_with_policy(&format!("snapshot_interval_blocks = {INTERVAL}"));
    (0..consortium.node_count()).for_each(|node| consortium.start_node(node));
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", 1_000_000_000).await;
    let load = Load::start(&consortium, 6);

    // One after the other is certified, by everybody, and Raft forgets what lies well before it.
    load.progress(50).await;
    let first = (0..consortium.node_count()).map(|node| snapshot_height(&consortium, node));
    let first = first.fold(0.0, f64::max);
    let interval = 16.0;
    await_height(&consortium, first + 4.0 * interval);
    for node in 0..consortium.node_count() {
        consortium.await_metric(node, "counterfoil_raft_purged_index", |index| index > 0.0);
    }

    // A node that is killed under load comes back with what it had, and goes on.
    let follower = (consortium.leader() + 1) % consortium.node_count();
    consortium.kill_node(follower);
    load.stop().await;
    let kept = on_disk(&consortium, follower);
    assert!(!kept.is_empty(), "a snapshot is on the disk");
    consortium.start_node(follower);
    consortium.await_metric(follower, "counterfoil_snapshot_height", |height| height > 0.0);
    let load = Load::start(&consortium, 6);
    let newest = (0..consortium.node_count()).map(|node| snapshot_height(&consortium, node));
    await_height(&consortium, newest.fold(0.0, f64::max) + 2.0 * interval);
    load.stop().await;

    the_same_digests(&consortium);
    only_the_newest_are_kept(&consortium);

    // In quiet, everybody stops and comes back with the same.
    let before: Vec<f64> =
        (0..consortium.node_count()).map(|node| snapshot_height(&consortium, node)).collect();
    for node in 0..consortium.node_count() {
        assert_eq!(consortium.stop_node(node), Some(0));
    }
    for node in 0..consortium.node_count() {
        consortium.start_node(node);
    }
    consortium.wait_ready();
    for (node, before) in before.into_iter().enumerate() {
        consortium.await_metric(node, "counterfoil_snapshot_height", |height| height >= before);
        assert_eq!(consortium.metrics(node, "counterfoil_snapshot_conflicts_total", ""), 0.0);
        assert!(!consortium.log(node).contains("panicked"));
    }
    status_shows_them(&consortium).await;
}

fn the_same_digests(consortium: &Consortium) {
    let mut all: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut common = 0;
    for node in 0..consortium.node_count() {
        for (height, digest) in certified(consortium, node) {
            assert_eq!(height % INTERVAL, 0, "node {}", node + 1);
            let digests = all.entry(height).or_default();
            common += usize::from(!digests.is_empty());
            digests.insert(digest);
        }
    }
    assert!(common >= 6, "snapshots that several nodes have: {common}");
    assert!(all.values().all(|digests| digests.len() == 1), "{all:?}");
}

/// The newest certified one, and perhaps one that is not certified yet.
fn only_the_newest_are_kept(consortium: &Consortium) {
    for node in 0..consortium.node_count() {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let kept = on_disk(consortium, node);
            let newest = snapshot_height(consortium, node);
            if kept.len() <= 2 && kept.first().is_some_and(|height| *height as f64 >= newest) {
                break;
            }
            assert!(Instant::now() < deadline, "node {} keeps {kept:?}", node + 1);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

async fn status_shows_them(consortium: &Consortium) {
    let mut command = consortium.command_line(AGENT, "operator");
    let output = command.args(["cluster", "status", "-o", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for member in status["members"].as_array().unwrap() {
        let number = |name: &str| member["status"][name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(number("snapshotHeight") >= INTERVAL, "{member}");
        assert!(number("purgedIndex") > 0, "{member}");
    }
}
