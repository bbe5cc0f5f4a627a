//! Power cuts: one node, several or all at once lose everything that they had not synced, under load,
//! and go on from what is left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::campaign::{POLICY, Report, Work, founding, judge};
use super::chance::Chance;
use super::disk::Disk;
use super::recorder::Recorder;
use super::wiring::NODES;
use crate::consortium::{Consortium, Place};

/// The nodes and their disks.
struct Machines {
    consortium: Consortium,
    disks: Vec<Disk>,
    recorder: Arc<Recorder>,
    ended: Vec<(usize, String)>,
    // Last, so that nothing in it is used any more when it goes.
    _directory: tempfile::TempDir,
}

/// One round: so many cuts of one consortium.
pub async fn round(seed: u64, cuts: usize) -> Result<Report, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disks: Vec<Disk> = (0..NODES)
        .map(|node| Disk::make(directory.path(), &format!("disk-{}", node + 1)))
        .collect::<Result<_, _>>()?;
    let data = disks.iter().map(|disk| disk.path().join("data"));
    let mut places = data.map(|data| Place { data: Some(data), ..Place::here() });
    let places = std::array::from_fn(|_| places.next().expect("a disk a node"));
    let consortium = Consortium::found_at(places, POLICY);
    let recorder = Arc::new(Recorder::begin(founding(&consortium, seed)));
    let ended = Vec::new();
    let mut machines = Machines { consortium, disks, recorder, ended, _directory: directory };
    (0..NODES).for_each(|node| machines.start(node));
    machines.consortium.wait_ready();

    let addresses = (0..NODES).map(|node| machines.consortium.client_address(node).to_owned());
    let endpoints = addresses.collect();
    let work = Work::begin(&machines.consortium, &machines.recorder, endpoints, seed).await;
    let mut chance = Chance::of(seed, "cuts");
    let mut recovers = true;
    for cut in 0..cuts {
        sleep(chance.pause(300..4_000)).await;
        // Of three cuts one is of one node, one of some and one of all.
        let count = match cut % 3 {
            0 => NODES,
            1 => 1,
            _ => 2 + chance.place(2),
        };
        let nodes = chance.order(NODES)[..count].to_vec();
        machines = tokio::task::spawn_blocking(move || machines.cut(&nodes).map(|()| machines))
            .await
            .map_err(|error| error.to_string())??;
        recovers = work.recover(&machines.consortium).await;
        // What is broken by now is not made clearer by more cuts.
        if !recovers || machines.has_lost_a_node() {
            break;
        }
    }
    let unknown = if recovers {
        sleep(Duration::from_secs(1)).await;
        work.end(&machines.consortium).await
    } else {
        work.give_up(&machines.consortium).await;
        0
    };
    let Machines { consortium, recorder, ended, .. } = &machines;
    Ok(judge("powercut", consortium, recorder, ended, unknown))
}

impl Machines {
    /// The program in which bugs can be switched on, so that it can be shown that cuts find them; its
    /// clock is right.
    fn start(&self, node: usize) {
        self.consortium.start_misbehaving_with(node, "clock:/dev/null", &[]);
    }

    fn has_lost_a_node(&self) -> bool {
        let runs = |node| self.consortium.ended(node).is_none();
        !self.ended.is_empty() || !(0..NODES).all(runs)
    }

    /// Cuts the power of some nodes at one moment, and brings it back.
    fn cut(&mut self, nodes: &[usize]) -> Result<(), String> {
        let begun_us = self.recorder.now_us();
        nodes.iter().for_each(|node| self.consortium.signal_node(*node, "-STOP"));
        let mut copies = Vec::new();
        for node in nodes {
            copies.push(self.disks[*node].copy()?);
        }
        for node in nodes {
            if let Some(status) = self.consortium.ended(*node) {
                let log = self.consortium.log(*node);
                let tail: Vec<&str> = log.lines().rev().take(3).collect();
                let how = format!("ended by itself: {status}; {}", tail.join(" | "));
                self.ended.push((*node, how));
            }
            self.consortium.kill_node(*node);
        }
        for (node, copy) in nodes.iter().zip(copies) {
            self.disks[*node].replace(copy)?;
            self.start(*node);
        }
        let names: Vec<String> = nodes.iter().map(|node| (node + 1).to_string()).collect();
        let kind = match nodes.len() {
            1 => "power cut of one",
            NODES => "power cut of all",
            _ => "power cut of some",
        };
        self.recorder.fault(kind, format!("node {}", names.join(", ")), begun_us);
        Ok(())
    }
}
