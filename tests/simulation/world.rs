//! One simulation: machines, network, clients and nemesis, a millisecond at a time.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use counterfoil_node::blocking::pace;

use crate::audit;
use crate::audit::Totals;
use crate::clients;
use crate::clients::AGENT;
use crate::clients::Client;
use crate::clients::Known;
use crate::consortium::NODES;
use crate::history::History;
use crate::history::Told;
use crate::history::What;
use crate::host::Ended;
use crate::host::Host;
use crate::nemesis::Nemesis;
use crate::network::Network;
use crate::observer::Observer;
use crate::observer::Violation;
use crate::random;
use crate::trace;

/// How long the nodes have to agree and to settle something after the last fault, in milliseconds.
const RECOVERY_MS: u64 = 60_000;

/// How long they have to found the ledger.
const FOUNDING_MS: u64 = 30_000;

/// The longest that work takes on the machine whose turn it is.
static SLOW_MS: AtomicU64 = AtomicU64::new(0);

/// Everything that is simulated.
pub struct World {
    now_ms: u64,
    hosts: Vec<Host>,
    network: Network,
    clients: Vec<Client>,
    history: History,
    observer: Observer,
    nemesis: Nemesis,
    looked_ms: u64,
    caught_up: u64,
}

/// What came of a seed.
pub struct Report {
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// What was broken how often.
    pub faults: u64,
    /// Batches that power cuts took from the disks.
    pub lost: u64,
    /// Processes that were started.
    pub lives: u64,
    /// How often a node ended to start again with what it had, or was to have, caught up with.
    pub caught_up: u64,
    /// Leaders, each in its term.
    pub leaders: u64,
    /// Of the chain and the clients.
    pub totals: Totals,
}

impl World {
    /// Four machines that do not run yet, and a client of each bank at least.
    pub fn new(directory: &Path) -> World {
        pace::set(work_time);
        let network = Network::default();
        let host = |node| Host::new(node, directory.to_owned(), network.clone());
        let clients = (0..8).map(|number| Client::new(1 + number % NODES)).collect();
        World {
            now_ms: 0,
            hosts: (1..=NODES).map(host).collect(),
            network,
            clients,
            history: History::default(),
            observer: Observer::default(),
            nemesis: Nemesis::default(),
            looked_ms: 0,
            caught_up: 0,
        }
    }

    /// Founds the ledger, breaks things for a time, mends them and checks what is left.
    pub fn run(&mut self, faults_ms: u64) -> Result<Report, Violation> {
        self.hosts.iter_mut().for_each(Host::start);
        for order in clients::opening(self.now_ms) {
            let place = clients::issue(&mut self.history, AGENT, order);
            self.settle(place, FOUNDING_MS)?;
        }
        let until_ms = self.now_ms + faults_ms;
        while self.now_ms < until_ms {
            let words = self.nemesis.step(self.now_ms, &mut self.hosts, &self.network);
            words.iter().for_each(|words| trace::line(self.now_ms, words));
            self.step(true)?;
        }
        self.nemesis.calm(&mut self.hosts, &self.network);
        trace::line(self.now_ms, "calm");
        self.recover()?;
        let totals = audit::check(&self.hosts, &self.observer, &self.history)?;
        Ok(Report {
            simulated_ms: self.now_ms,
            faults: self.nemesis.done.values().sum(),
            lost: self.hosts.iter().map(|host| host.disk.figures().lost).sum(),
            lives: self.hosts.iter().map(|host| host.lives).sum(),
            caught_up: self.caught_up,
            leaders: self.observer.leaders() as u64,
            totals,
        })
    }

    /// Within a bounded time one more payment is final and every node has executed the same.
    fn recover(&mut self) -> Result<(), Violation> {
        let began_ms = self.now_ms;
        let place = clients::issue(&mut self.history, 2, clients::last_payment(self.now_ms));
        self.settle(place, RECOVERY_MS)?;
        let until_ms = began_ms + RECOVERY_MS;
        while !self.agree() {
            if self.now_ms > until_ms {
                return Err("the nodes do not come to the same height".to_owned());
            }
            self.step(false)?;
        }
        Ok(())
    }

    fn agree(&self) -> bool {
        let at = |host: &Host| host.replica().map(|replica| *replica.height().borrow());
        self.clients.iter().all(|client| !client.waits())
            && self.hosts.iter().all(|host| at(host) == Some(self.observer.height()))
    }

    /// Sends an order again and again until it is final.
    fn settle(&mut self, place: usize, within_ms: u64) -> Result<(), Violation> {
        let until_ms = self.now_ms + within_ms;
        let mut client = Client::new(AGENT);
        loop {
            if self.now_ms > until_ms {
                let last = self.history.asked.last().and_then(|asked| asked.answer().cloned());
                return Err(format!(
                    "nothing is settled {within_ms} ms after the last fault: {last:?}"
                ));
            }
            if !client.waits() {
                let host = random::below(NODES) as usize;
                let known = self.known();
                client.ask(&self.hosts, &mut self.history, known, host, What::Submit(place));
            }
            self.step(false)?;
            if let Some(asked) = client.take(&self.hosts, &mut self.history, self.now_ms) {
                let asked = &self.history.asked[asked];
                self.observer.told(asked)?;
                if matches!(asked.answer(), Some(Told::Final(..))) {
                    return Ok(());
                }
            }
        }
    }

    fn known(&self) -> Known {
        Known {
            now_ms: self.now_ms,
            reported: self.observer.reported(),
            executed: self.observer.height(),
        }
    }

    /// A millisecond passes.
    fn step(&mut self, clients_act: bool) -> Result<(), Violation> {
        self.now_ms += 1;
        self.network.deliver(self.now_ms);
        let first = random::below(NODES) as usize;
        for turn in 0..self.hosts.len() {
            let place = (first + turn) % self.hosts.len();
            let host = &mut self.hosts[place];
            SLOW_MS.store(host.slow_ms, Ordering::Relaxed);
            host.tick();
            self.look(place)?;
        }
        for place in 0..self.clients.len() {
            let client = &mut self.clients[place];
            if let Some(asked) = client.take(&self.hosts, &mut self.history, self.now_ms) {
                let asked = &self.history.asked[asked];
                self.observer.told(asked)?;
                trace::line(
                    self.now_ms,
                    &format!(
                        "client {place} at {} since {}: {:?}: {:?}",
                        asked.node,
                        asked.began_ms,
                        asked.what,
                        asked.answer()
                    ),
                );
            }
            if clients_act {
                let known = self.known();
                self.clients[place].act(&self.hosts, &mut self.history, known);
            }
        }
        Ok(())
    }

    /// Looks at a machine after its turn.
    fn look(&mut self, place: usize) -> Result<(), Violation> {
        let before = self.observer.height();
        let host = &mut self.hosts[place];
        let node = host.node;
        // What a process that has met an error still says of itself leaves the machine no more.
        if !host.disk.is_dark() && host.ended().is_none() {
            self.observer.look(host)?;
        }
        if host.disk.is_dark() {
            host.cut_power();
            trace::line(self.now_ms, &format!("node {node} is dark"));
            self.nemesis.darkened(self.now_ms, node);
        } else if let Some(ended) = host.ended() {
            match ended {
                Ended::Restarts => {
                    trace::line(self.now_ms, &format!("node {node} has caught up"));
                    self.caught_up += 1;
                    host.kill();
                    host.start();
                }
                Ended::Stops(stop) => {
                    trace::line(self.now_ms, &format!("node {node} ends: {stop}"));
                    host.cut_power();
                    if !self.nemesis.excuses(self.now_ms, node, stop.code) {
                        return Err(format!("node {node} has ended by itself: {stop}"));
                    }
                }
            }
        }
        let height = self.observer.height();
        if height > before {
            let hash = self.observer.hash(height).expect("it was just seen");
            trace::line(self.now_ms, &format!("height {height} {hash} on {node}"));
        }
        if self.now_ms / 1_000 > self.looked_ms / 1_000 {
            self.looked_ms = self.now_ms;
            let stands: Vec<String> = self.hosts.iter().map(standing).collect();
            trace::line(self.now_ms, &stands.join(" | "));
        }
        Ok(())
    }
}

fn standing(host: &Host) -> String {
    let Some(replica) = host.replica() else { return "-".to_owned() };
    let (role, term, last, applied) = replica.raft_figures();
    let certified = *replica.finality().certified().borrow();
    format!("{role:?} term {term} log {last} applied {applied} certified {certified}")
}

/// How long a piece of work on the disk or the processor takes.
fn work_time() -> Duration {
    match SLOW_MS.load(Ordering::Relaxed) {
        0 if random::chance(70) => Duration::ZERO,
        0 => random::time(1, 3),
        slow_ms => random::time(1, slow_ms),
    }
}
