//! What goes wrong, when and for how long.

use std::collections::BTreeMap;

use counterfoil_node::exit::ExitCode;
use counterfoil_node::storage::simulated::Fault;

use crate::consortium::NODES;
use crate::host::Host;
use crate::network::Network;
use crate::random;

/// What a node may end of after a sync that failed.
const SYNC_FAILED: &[ExitCode] = &[ExitCode::Storage];

/// What a node may end of where its disk is full.
const DISK_FULL: &[ExitCode] = &[ExitCode::DiskFull, ExitCode::Storage];

/// Breaks things, and mends them after a time.
#[derive(Default)]
pub struct Nemesis {
    next_ms: u64,
    /// What is mended when.
    mending: BTreeMap<u64, Vec<Mend>>,
    /// How often what was broken.
    pub done: BTreeMap<&'static str, u64>,
    /// What a node may end of by itself, since its disk has a fault.
    excused: BTreeMap<u64, &'static [ExitCode]>,
}

#[derive(Clone, Copy)]
enum Mend {
    Start(u64),
    Link(u64, u64),
    Fast(u64),
    Quick(u64),
}

impl Nemesis {
    /// Goes on; says what it has done.
    pub fn step(&mut self, now_ms: u64, hosts: &mut [Host], network: &Network) -> Vec<String> {
        let mut words = Vec::new();
        let later = self.mending.split_off(&(now_ms + 1));
        for mend in std::mem::replace(&mut self.mending, later).into_values().flatten() {
            words.push(self.mend(mend, hosts, network));
        }
        if now_ms >= self.next_ms {
            self.next_ms = now_ms + random::between(50, 4_000);
            words.push(self.break_something(now_ms, hosts, network));
        }
        words
    }

    /// Everything is mended at once, and nothing breaks any more.
    pub fn calm(&mut self, hosts: &mut [Host], network: &Network) {
        self.mending.clear();
        for from in 1..=NODES {
            network.slow(from, false);
            (1..=NODES).for_each(|to| network.cut(from, to, false));
        }
        for host in hosts {
            host.slow_ms = 0;
            host.right_clock();
            host.disk.free();
            if !host.runs() {
                host.start();
            }
        }
    }

    /// Whether a node had a reason to end so. It starts again later.
    pub fn excuses(&mut self, now_ms: u64, node: u64, code: ExitCode) -> bool {
        self.mend_at(now_ms + random::between(100, 5_000), Mend::Start(node));
        self.excused.get(&node).is_some_and(|codes| codes.contains(&code))
    }

    /// A node's power was cut at one of its writes.
    pub fn darkened(&mut self, now_ms: u64, node: u64) {
        self.count("power cut at a write");
        self.mend_at(now_ms + random::between(50, 5_000), Mend::Start(node));
    }

    fn mend_at(&mut self, at_ms: u64, mend: Mend) {
        self.mending.entry(at_ms).or_default().push(mend);
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn mend(&mut self, mend: Mend, hosts: &mut [Host], network: &Network) -> String {
        match mend {
            Mend::Start(node) => {
                let host = host(hosts, node);
                host.disk.free();
                self.excused.remove(&node);
                if !host.runs() {
                    host.start();
                }
                format!("start {node}")
            }
            Mend::Link(from, to) => {
                network.cut(from, to, false);
                format!("mend {from}->{to}")
            }
            Mend::Fast(node) => {
                network.slow(node, false);
                format!("fast {node}")
            }
            Mend::Quick(node) => {
                host(hosts, node).slow_ms = 0;
                format!("quick {node}")
            }
        }
    }

    fn break_something(&mut self, now_ms: u64, hosts: &mut [Host], network: &Network) -> String {
        let node = random::between(1, NODES);
        let until_ms =
            now_ms + random::between(100, if random::chance(10) { 30_000 } else { 5_000 });
        let what = match random::below(100) {
            0..12 => self.stop(hosts, &[node], false, until_ms),
            12..24 => self.stop(hosts, &[node], true, until_ms),
            24..27 => self.stop(hosts, &all(), false, until_ms),
            27..32 => self.stop(hosts, &all(), true, until_ms),
            32..42 => {
                let after = u32::try_from(random::below(6)).expect("few writes");
                host(hosts, node).disk.arm(Fault::PowerCut, after);
                return format!("the power of {node} will go after {after} writes");
            }
            42..46 => self.disk_fault(hosts, node, Fault::SyncFails, SYNC_FAILED),
            46..50 => self.disk_fault(hosts, node, Fault::Full, DISK_FULL),
            50..62 => self.isolate(network, &[node], until_ms),
            62..68 => {
                let other = 1 + node % NODES;
                self.isolate(network, &[node, other], until_ms)
            }
            68..78 => {
                let to = 1 + (node + random::below(NODES - 1)) % NODES;
                network.cut(node, to, true);
                self.mend_at(until_ms, Mend::Link(node, to));
                "one-way cut"
            }
            78..84 => {
                let other = 1 + node % NODES;
                network.reset(node, other);
                "reset of connections"
            }
            84..89 => {
                network.slow(node, true);
                self.mend_at(until_ms, Mend::Fast(node));
                "slow network"
            }
            89..95 => {
                host(hosts, node).slow_ms = random::between(10, 400);
                self.mend_at(until_ms, Mend::Quick(node));
                "slow disk"
            }
            _ => {
                let by_ms = random::between(1, 4_000);
                // A step back is a step on around the end of the numbers.
                let step = if random::chance(50) { by_ms } else { by_ms.wrapping_neg() };
                host(hosts, node).step_clock(step);
                "clock step"
            }
        };
        self.count(what);
        format!("{what}: {node}")
    }

    fn stop(
        &mut self,
        hosts: &mut [Host],
        nodes: &[u64],
        power: bool,
        until_ms: u64,
    ) -> &'static str {
        for node in nodes {
            let host = host(hosts, *node);
            if host.runs() {
                if power { host.cut_power() } else { host.kill() }
            }
            let spread_ms = if nodes.len() > 1 { random::below(1_000) } else { 0 };
            self.mend_at(until_ms + spread_ms, Mend::Start(*node));
        }
        match (nodes.len() > 1, power) {
            (false, false) => "kill",
            (false, true) => "power cut",
            (true, false) => "kill of all",
            (true, true) => "power cut of all",
        }
    }

    fn disk_fault(
        &mut self,
        hosts: &mut [Host],
        node: u64,
        fault: Fault,
        codes: &'static [ExitCode],
    ) -> &'static str {
        host(hosts, node).disk.arm(fault, 0);
        self.excused.insert(node, codes);
        if fault == Fault::Full { "disk full" } else { "failed sync" }
    }

    fn isolate(&mut self, network: &Network, nodes: &[u64], until_ms: u64) -> &'static str {
        for inside in nodes {
            for outside in (1..=NODES).filter(|node| !nodes.contains(node)) {
                for (from, to) in [(*inside, outside), (outside, *inside)] {
                    network.cut(from, to, true);
                    self.mend_at(until_ms, Mend::Link(from, to));
                }
            }
        }
        if nodes.len() == 1 { "isolation" } else { "partition in halves" }
    }
}

fn all() -> Vec<u64> {
    (1..=NODES).collect()
}

fn host(hosts: &mut [Host], node: u64) -> &mut Host {
    let place = usize::try_from(node - 1).expect("few nodes");
    &mut hosts[place]
}
