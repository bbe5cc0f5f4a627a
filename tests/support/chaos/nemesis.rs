//! What goes wrong, by a schedule that follows from a seed: one lane for processes and clocks, one for
//! the network. Each lane does one thing at a time, both lanes together do two.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::proxy::{Direction, Proxy, Weather};
use super::recorder::Recorder;
use super::wiring::{NODES, Wires, Wiring};
use crate::consortium::{CONSORTIUM, Consortium, counterfoil};

/// The nodes with everything that can be done to them.
pub struct World {
    /// The nodes.
    pub consortium: Consortium,
    /// The network.
    pub wiring: Wiring,
    /// The record.
    pub recorder: Arc<Recorder>,
    /// Nodes that ended by themselves: which, and how.
    pub ended: Mutex<Vec<(usize, String)>>,
}

/// Kinds of faults of processes and clocks.
const OF_PROCESSES: [&str; 9] = [
    "kill one",
    "kill the leader",
    "kill two",
    "kill all",
    "away for long",
    "pause",
    "pause the leader",
    "clock jump",
    "certificate reload",
];

/// Kinds of faults of the network.
const OF_NETWORK: [&str; 13] = [
    "halves",
    "ring",
    "bridge",
    "leader isolated",
    "node isolated",
    "one-way cut",
    "flapping",
    "delay",
    "loss",
    "narrow",
    "half-open",
    "corruption",
    "reset",
];

impl World {
    /// Starts a node that does not run, with the clock that its file says.
    pub fn start(&self, node: usize) {
        let clock = format!("clock:{}", self.clock_file(node).display());
        self.consortium.start_misbehaving_with(node, &clock, &self.wiring.settings(node));
    }

    fn clock_file(&self, node: usize) -> std::path::PathBuf {
        self.consortium.home(self.consortium.institution(node)).join("clock")
    }

    /// Kills a node, unless it has ended by itself, which is kept.
    fn kill(&self, node: usize) {
        if let Some(status) = self.consortium.ended(node) {
            let tail: Vec<String> =
                self.consortium.log(node).lines().rev().take(3).map(str::to_owned).collect();
            let how = format!("ended by itself: {status}; {}", tail.join(" | "));
            self.ended.lock().expect("nobody panics").push((node, how));
        }
        self.consortium.kill_node(node);
    }

    /// What is broken is not made clearer by more faults.
    fn has_lost_a_node(&self) -> bool {
        let runs = |node| self.consortium.ended(node).is_none();
        !self.ended.lock().expect("nobody panics").is_empty() || !(0..NODES).all(runs)
    }

    /// The node that leads, or any if none says so.
    fn leader_or(&self, chance: &mut Chance) -> usize {
        let any = chance.place(NODES);
        self.consortium.leader_now().unwrap_or(any)
    }

    /// One lane: a fault and a pause in turn until time is over. The last one is undone then.
    pub async fn lane(self: Arc<World>, lane: &'static str, seed: u64, until: Instant) {
        let mut chance = Chance::of(seed, lane);
        let kinds: &[&'static str] = if lane == "network" { &OF_NETWORK } else { &OF_PROCESSES };
        // Every kind comes before any comes again.
        let mut turn = Vec::new();
        while Instant::now() < until && !self.has_lost_a_node() {
            sleep(chance.pause(300..3_000)).await;
            if turn.is_empty() {
                turn = chance.order(kinds.len());
            }
            let Some(kind) = turn.pop().map(|place| kinds[place]) else { continue };
            let begun_us = self.recorder.now_us();
            let what = match lane {
                "network" => self.trouble_network(kind, &mut chance).await,
                _ => self.trouble_processes(kind, &mut chance).await,
            };
            self.recorder.fault(kind, what, begun_us);
        }
    }

    async fn trouble_processes(&self, kind: &str, chance: &mut Chance) -> String {
        match kind {
            "kill one" | "kill the leader" | "kill two" | "kill all" | "away for long" => {
                let leader = self.leader_or(chance);
                let order = chance.order(NODES);
                let nodes: Vec<usize> = match kind {
                    "kill one" | "away for long" => order[..1].to_vec(),
                    "kill the leader" => vec![leader],
                    "kill two" => order[..2].to_vec(),
                    _ => order,
                };
                let away = match kind {
                    // Long enough for the others to drop what it would need from their logs.
                    "away for long" => chance.pause(8_000..20_000),
                    _ => chance.pause(0..3_000),
                };
                nodes.iter().for_each(|node| self.kill(*node));
                sleep(away).await;
                nodes.iter().for_each(|node| self.start(*node));
                format!("{} for {away:?}", names(nodes))
            }
            "pause" | "pause the leader" => {
                let any = chance.place(NODES);
                let leader = self.leader_or(chance);
                let node = if kind == "pause" { any } else { leader };
                let length = chance.pause(500..8_000);
                self.consortium.signal_node(node, "-STOP");
                sleep(length).await;
                self.consortium.signal_node(node, "-CONT");
                format!("{} for {length:?}", names([node]))
            }
            "clock jump" => {
                let node = chance.place(NODES);
                let by_ms = [1_500, 3_000, 30_000, 600_000, 3_600_000][chance.place(5)];
                let by_ms: i64 = if chance.percent(50) { by_ms } else { -by_ms };
                let length = chance.pause(2_000..15_000);
                // A node does not start with a clock by which its certificate is not valid yet.
                self.await_up(node).await;
                std::fs::write(self.clock_file(node), by_ms.to_string()).expect("it is written");
                sleep(length).await;
                std::fs::write(self.clock_file(node), "0").expect("it is written");
                format!("{} by {by_ms} ms for {length:?}", names([node]))
            }
            _ => {
                let node = chance.place(NODES);
                // A node that is just starting must find a key and a certificate that fit.
                self.await_up(node).await;
                self.reload_certificate(node);
                names([node])
            }
        }
    }

    async fn await_up(&self, node: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until
            && self.consortium.metric(node, "counterfoil_raft_term").is_none()
        {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A new certificate and key in the place of the old ones, one file after the other.
    fn reload_certificate(&self, node: usize) {
        let home = self.consortium.home(self.consortium.institution(node));
        let at = |name: &str| home.join(name).to_str().expect("the path is text").to_owned();
        let fresh = format!("node-{}", self.recorder.now_us());
        counterfoil(&[
            "pki",
            "issue",
            "--authority",
            &at("authority"),
            "--consortium",
            CONSORTIUM,
            "--role",
            "node",
            "--name",
            "one",
            "--out",
            &at(&fresh),
        ]);
        for file in ["key.pem", "certificate.pem"] {
            std::fs::rename(home.join(&fresh).join(file), home.join("node").join(file))
                .expect("they are in one directory");
        }
    }

    async fn trouble_network(&self, kind: &str, chance: &mut Chance) -> String {
        let order = chance.order(NODES);
        let leader = self.leader_or(chance);
        let length = chance.pause(1_000..10_000);
        let cut = match kind {
            "halves" => pairs(|from, to| order[..2].contains(&from) != order[..2].contains(&to)),
            // Each hears its neighbours alone.
            "ring" => pairs(|from, to| {
                let place = |node| order.iter().position(|it| *it == node).expect("it is one");
                place(from).abs_diff(place(to)) == 2
            }),
            // One node alone hears both halves.
            "bridge" => pairs(|from, to| {
                let side = |node| order.iter().position(|it| *it == node).expect("it is one");
                let (from, to) = (side(from), side(to));
                from != 0 && to != 0 && ((from == 1) != (to == 1))
            }),
            "leader isolated" => pairs(|from, to| from == leader || to == leader),
            "node isolated" => pairs(|from, to| from == order[0] || to == order[0]),
            "one-way cut" if chance.percent(50) => BTreeSet::from([(order[0], order[1])]),
            "one-way cut" => pairs(|from, _| from == order[0]),
            "flapping" => return self.flap(&order, length).await,
            _ => return self.weather(kind, &order, chance, length).await,
        };
        self.cut(&cut, true);
        sleep(length).await;
        self.cut(&cut, false);
        format!("{} cut for {length:?}", ways(&cut))
    }

    fn cut(&self, ways: &BTreeSet<(usize, usize)>, cut: bool) {
        ways.iter().for_each(|(from, to)| self.wiring.cut(*from, *to, cut));
    }

    /// One node is there and not there, by turns.
    async fn flap(&self, order: &[usize], length: Duration) -> String {
        let node = order[0];
        let ways = pairs(|from, to| from == node || to == node);
        let until = Instant::now() + length;
        while Instant::now() < until {
            self.cut(&ways, true);
            sleep(Duration::from_millis(500)).await;
            self.cut(&ways, false);
            sleep(Duration::from_millis(500)).await;
        }
        format!("{} for {length:?}", names([node]))
    }

    /// Bad weather on some ways: those between nodes where there are proxies, or those of clients.
    async fn weather(
        &self,
        kind: &str,
        order: &[usize],
        chance: &mut Chance,
        length: Duration,
    ) -> String {
        let of_clients = self.wiring.wires() == Wires::Routes || chance.percent(40);
        let touched = &order[..1 + chance.place(NODES)];
        let mut ways: Vec<&Proxy> = Vec::new();
        for node in touched {
            match of_clients {
                true => ways.push(self.wiring.client(*node)),
                false => ways.extend((0..NODES).filter_map(|to| self.wiring.peer(*node, to))),
            }
        }
        let fair = Weather::default();
        let weather = match kind {
            "delay" => {
                let delay_ms = chance.within(5..250);
                Weather { delay_ms, jitter_ms: chance.within(1..250), ..fair }
            }
            "loss" => Weather { lost: chance.within(5..80), ..fair },
            "narrow" => Weather { bytes_per_second: chance.within(20_000..200_000), ..fair },
            "corruption" => Weather { flipped: chance.within(5..100), ..fair },
            _ => fair,
        };
        let directions = match chance.within(0..3) {
            0 => &[Direction::Forward][..],
            1 => &[Direction::Backward],
            _ => &[Direction::Forward, Direction::Backward],
        };
        for way in &ways {
            directions.iter().for_each(|direction| way.set(*direction, weather));
            way.half_open(kind == "half-open");
            if matches!(kind, "half-open" | "reset") {
                way.reset();
            }
        }
        if kind != "reset" {
            sleep(length).await;
        }
        for way in &ways {
            directions.iter().for_each(|direction| way.set(*direction, fair));
            way.half_open(false);
        }
        let whose = if of_clients { "clients of" } else { "peers of" };
        format!("{whose} {}: {weather:?} for {length:?}", names(touched.iter().copied()))
    }
}

/// The ways between two different nodes that are chosen.
fn pairs(chosen: impl Fn(usize, usize) -> bool) -> BTreeSet<(usize, usize)> {
    let all = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to && chosen(*from, *to)).collect()
}

fn names(nodes: impl IntoIterator<Item = usize>) -> String {
    let names = nodes.into_iter().map(|node| (node + 1).to_string());
    format!("node {}", names.collect::<Vec<_>>().join(", "))
}

fn ways(ways: &BTreeSet<(usize, usize)>) -> String {
    let ways = ways.iter().map(|(from, to)| format!("{}→{}", from + 1, to + 1));
    ways.collect::<Vec<_>>().join(" ")
}
