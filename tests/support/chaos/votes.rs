//! The vote and the power: a node that stands for election alone votes for itself in one term after
//! the other. A cut takes none of these votes back, or it could vote twice in a term.

use std::path::Path;
use std::time::{Duration, Instant};

use super::disk::Disk;
use crate::consortium::{Consortium, Place};

/// Cuts, each right after a vote.
const CUTS: usize = 3;

/// How long it may take to stand for election, and to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to learn that another leads.
const TURN: Duration = Duration::from_secs(5);

/// Says what is wrong if a vote is gone after a cut.
pub fn survive(directory: &Path) -> Result<(), String> {
    let mut disk = Disk::make(directory, "voter")?;
    let data = disk.path().join("data");
    let [first, second, third] = std::array::from_fn(|_| Place::here());
    let places = [Place { data: Some(data), ..Place::here() }, first, second, third];
    let consortium = Consortium::found_at(places, "");
    consortium
        .configure(0, "[raft]\nheartbeat_ms = 50\nelection_min_ms = 250\nelection_max_ms = 500");
    let start = || consortium.start_misbehaving_with(0, "clock:/dev/null", &[]);
    start();
    for _ in 0..CUTS {
        // Who has just started stands for election once the others have said what it had before.
        let others = 1..consortium.node_count();
        others.clone().for_each(|node| consortium.start_node(node));
        follows(&consortium)?;
        others.for_each(|node| consortium.kill_node(node));
        let stood = next_term(&consortium, term(&consortium, 0)?)?;
        consortium.signal_node(0, "-STOP");
        let copy = disk.copy()?;
        consortium.kill_node(0);
        disk.replace(copy)?;
        start();
        let after = term(&consortium, 0)?;
        if after < stood {
            return Err(format!(
                "it had voted in term {stood}, and is in term {after} after a cut"
            ));
        }
    }
    consortium.kill_node(0);
    Ok(())
}

/// Waits until the node follows another: one that leads would go on leading when it is alone. While it
/// is paused another leads; it stands sooner than they do, and may be the next leader again.
fn follows(consortium: &Consortium) -> Result<(), String> {
    let shows = |name: &str, figure: f64| consortium.metric(0, name) == Some(figure);
    until(consortium, "it knows no leader", || shows("counterfoil_raft_has_leader", 1.0))?;
    let mut paused: Option<Instant> = None;
    until(consortium, "it leads", || {
        if paused.is_none_or(|paused| paused.elapsed() >= TURN) {
            consortium.signal_node(0, "-STOP");
            consortium.leader();
            consortium.signal_node(0, "-CONT");
            paused = Some(Instant::now());
        }
        shows("counterfoil_raft_is_leader", 0.0) && shows("counterfoil_raft_has_leader", 1.0)
    })
}

fn until(
    consortium: &Consortium,
    otherwise: &str,
    mut is: impl FnMut() -> bool,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        if Instant::now() > deadline {
            return Err(format!("{otherwise}; its log ends {}", consortium.log(0)));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The node's term, once it is beyond another.
fn term(consortium: &Consortium, beyond: u64) -> Result<u64, String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let shown = consortium.metric(0, "counterfoil_raft_term").map(|term| term.to_string());
        let term = shown.and_then(|term| term.parse().ok()).unwrap_or(0);
        if term > beyond {
            return Ok(term);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("it shows no term beyond {beyond}; its log ends {}", consortium.log(0)))
}

/// The term after this one, as soon as the node has voted in it.
fn next_term(consortium: &Consortium, now: u64) -> Result<u64, String> {
    // Some terms on, so that one that is lost shows.
    (0..4).try_fold(now, |term_now, _| term(consortium, term_now))
}
