//! A campaign: round after round, each with a consortium, banks at work, faults, an end to the faults,
//! and the checker. A round follows from its own seed, so that one that failed can be run alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use counterfoil_client::Client;
use counterfoil_client::signer;
use counterfoil_ledger::bic::Bic;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::closing;
use super::nemesis::World;
use super::recorder::Recorder;
use super::teller::{ASSETS, Teller, audit, found, read_accounts, watch};
use super::wiring::{NODES, Wires, Wiring};
use crate::banking::account;
use crate::checker::history::{Answer, Asked, Founding, History, Mode};
use crate::checker::order::recovery_us;
use crate::checker::{Rule, Violation, check};
use crate::consortium::{AGENT, BANKS, Consortium};

/// Desks of each bank.
const DESKS: usize = 2;

/// How long a call of a bank may take while things go wrong.
const PATIENCE: Duration = Duration::from_secs(8);

/// Snapshots come so often that each round has some.
pub const POLICY: &str = "snapshot_interval_blocks = 32";

/// How long after the faults have ended a new write may take to be final.
pub const RECOVER_WITHIN: Duration = Duration::from_secs(60);

/// Banks at work in a consortium, whatever is done to it.
pub struct Work {
    recorder: Arc<Recorder>,
    endpoints: Vec<String>,
    stop: Arc<AtomicBool>,
    tellers: Vec<JoinHandle<Teller>>,
    auditors: Vec<JoinHandle<()>>,
    watches: Vec<JoinHandle<()>>,
    last_posting: Vec<tokio::sync::watch::Sender<Option<u64>>>,
}

/// A client of an institution at endpoints of its own.
fn client(
    consortium: &Consortium,
    institution: &str,
    endpoints: &[String],
    first: usize,
) -> Client {
    let home = consortium.home(institution);
    let turned = endpoints.iter().cycle().skip(first).take(endpoints.len());
    Client::builder()
        .genesis_file(consortium.path().join("genesis.bin"))
        .endpoints(turned.cloned())
        .identity(home.join("client/certificate.pem"), home.join("client/key.pem"))
        .institution(Bic::parse(institution).expect("a BIC"))
        .signer(signer::from_file(home.join("signing.pem")).expect("the key loads"))
        .without_journal()
        .deadline(PATIENCE)
        .attempt_timeout(PATIENCE / 3)
        .build()
        .expect("the client is well configured")
}

impl Work {
    /// Opens and funds the accounts, and begins.
    pub async fn begin(
        consortium: &Consortium,
        recorder: &Arc<Recorder>,
        endpoints: Vec<String>,
        seed: u64,
    ) -> Work {
        let agent = client(consortium, AGENT, &endpoints, 0);
        found(recorder, &agent.with_deadline(RECOVER_WITHIN)).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut tellers = Vec::new();
        let mut watches = Vec::new();
        let mut last_posting = Vec::new();
        for (bank, name) in BANKS.into_iter().enumerate() {
            for desk in 0..DESKS {
                let client = client(consortium, name, &endpoints, bank + desk + 1);
                let teller = Teller::new(recorder, client, bank, desk, seed);
                tellers.push(tokio::spawn(teller.work(stop.clone())));
            }
            let (end, until) = tokio::sync::watch::channel(None);
            let client = client(consortium, name, &endpoints, bank);
            watches.push(tokio::spawn(watch(recorder.clone(), client, bank, until)));
            last_posting.push(end);
        }
        // Each asks one node alone, so that a node that is behind the others is asked as well.
        let auditors = endpoints.iter().enumerate().map(|(node, endpoint)| {
            let agent = client(consortium, AGENT, std::slice::from_ref(endpoint), 0);
            let name = format!("{AGENT} of node {}", node + 1);
            tokio::spawn(audit(recorder.clone(), agent, name, seed, stop.clone()))
        });
        let auditors = auditors.collect();
        let recorder = recorder.clone();
        Work { recorder, endpoints, stop, tellers, auditors, watches, last_posting }
    }

    /// Writes with fresh clients until one is final, in time or not: how long it took is in the record.
    pub async fn recover(&self, consortium: &Consortium) -> bool {
        let healed_us = self.recorder.now_us();
        self.recorder.history().healed_us.push(healed_us);
        let until = Instant::now() + RECOVER_WITHIN;
        while Instant::now() < until {
            if recovery_us(&self.recorder.history(), healed_us).is_some() {
                return true;
            }
            let agent = client(consortium, AGENT, &self.endpoints, 0);
            let back = counterfoil_client::instructions::transfer(
                account(AGENT, ASSETS[0]),
                account(BANKS[0], ASSETS[0]),
                1,
            );
            let order = counterfoil_client::Order::transfer(back);
            let signed = agent.sign(order).await.expect("it is well formed");
            self.recorder.send("probe", &agent, &signed, false).await.ok();
        }
        false
    }

    /// Lets everybody finish, learns the fate of everything, and asks every node for everything. The
    /// number of instructions whose fate nobody learnt.
    pub async fn end(self, consortium: &Consortium) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let settling = self.tellers.into_iter().map(|teller| {
            tokio::spawn(async move { teller.await.expect("no teller panics").settle().await })
        });
        let mut unknown = 0;
        for settled in settling.collect::<Vec<_>>() {
            unknown += settled.await.expect("no teller panics");
        }
        for auditor in self.auditors {
            auditor.await.expect("no auditor panics");
        }
        for (bank, end) in self.last_posting.iter().enumerate() {
            let client = client(consortium, BANKS[bank], &self.endpoints, 0);
            let watched = account(BANKS[bank], ASSETS[0]);
            let account = client.with_deadline(RECOVER_WITHIN).balance(watched, None).await;
            end.send_replace(Some(account.map_or(0, |it| it.value.posting_count)));
        }
        for watch in self.watches {
            watch.await.expect("no watch panics");
        }
        for node in 0..NODES {
            // Direct, and at every node: a read must reflect everything that was reported anywhere.
            let agent = consortium.client_at(AGENT, &[node]);
            let name = format!("{AGENT} at node {}", node + 1);
            if consortium.ended(node).is_none() {
                read_accounts(&self.recorder, &name, &agent, true, Mode::Final).await;
            }
            let end = closing::of_node(consortium, node, Mode::Final).await;
            self.recorder.history().nodes.push(end);
        }
        unknown
    }

    /// Where nothing becomes final any more, asks every node for what it has, and waits for nobody.
    pub async fn give_up(self, consortium: &Consortium) {
        self.stop.store(true, Ordering::Relaxed);
        self.tellers.iter().for_each(JoinHandle::abort);
        self.watches.iter().for_each(JoinHandle::abort);
        self.auditors.iter().for_each(JoinHandle::abort);
        for node in 0..NODES {
            let end = closing::of_node(consortium, node, Mode::Stale).await;
            self.recorder.history().nodes.push(end);
        }
    }
}

/// What came of a round.
pub struct Report {
    /// Everything that was recorded.
    pub history: History,
    /// What must not be.
    pub violations: Vec<Violation>,
}

/// What a history says in the beginning.
pub fn founding(consortium: &Consortium, seed: u64) -> Founding {
    Founding {
        genesis: closing::genesis(consortium),
        seed,
        recover_within_us: u64::try_from(RECOVER_WITHIN.as_micros()).expect("a minute"),
        node_count: NODES,
    }
}

/// One round of chaos.
pub async fn round(wires: Wires, seed: u64, length: Duration) -> Report {
    let consortium = Consortium::found_at(wires.places(), POLICY);
    let wiring = Wiring::lay(&consortium, wires, seed).await.expect("ports are free");
    let recorder = Arc::new(Recorder::begin(founding(&consortium, seed)));
    let ended = Mutex::default();
    let world = Arc::new(World { consortium, wiring, recorder, ended });
    (0..NODES).for_each(|node| world.start(node));
    world.consortium.wait_ready();
    let endpoints = world.wiring.endpoints();
    let work = Work::begin(&world.consortium, &world.recorder, endpoints, seed).await;
    let until = Instant::now() + length;
    let lanes =
        ["processes", "network"].map(|lane| tokio::spawn(world.clone().lane(lane, seed, until)));
    for lane in lanes {
        lane.await.expect("no lane panics");
    }
    world.wiring.clear();
    let unknown = if work.recover(&world.consortium).await {
        sleep(Duration::from_secs(2)).await;
        work.end(&world.consortium).await
    } else {
        work.give_up(&world.consortium).await;
        0
    };
    let ended = world.ended.lock().expect("nobody panics").clone();
    judge("chaos", &world.consortium, &world.recorder, &ended, unknown)
}

/// Judges what was recorded. Nodes that ended by themselves count as down, whoever started them again.
/// The logs of a round that breaks a rule are kept.
pub fn judge(
    name: &str,
    consortium: &Consortium,
    recorder: &Recorder,
    ended: &[(usize, String)],
    unknown: usize,
) -> Report {
    let mut history = recorder.history().clone();
    for (node, how) in ended {
        history.nodes[*node].down = Some(how.clone());
    }
    let mut violations = check(&history);
    if unknown > 0 {
        let what = format!("nobody learnt the fate of {unknown} instructions");
        violations.push(Violation { rule: Rule::Recovers, what });
    }
    if !violations.is_empty() {
        let seed = history.founding.seed;
        for node in 0..NODES {
            let file = kept(&format!("{name}-{seed}-node-{}.log", node + 1));
            let _ = std::fs::write(file, consortium.log(node));
        }
    }
    Report { history, violations }
}

/// Where what a failed run left is kept.
pub fn kept(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join("counterfoil-campaigns");
    let _ = std::fs::create_dir_all(&directory);
    directory.join(name)
}

/// Adds up rounds and prints them.
#[derive(Default)]
pub struct Summary {
    rounds: u64,
    calls: u64,
    answers: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
    recoveries_us: Vec<u64>,
    heights: u64,
    transfers: u64,
    violations: Vec<String>,
}

impl Summary {
    /// Takes a round in; a history that breaks a rule is kept.
    pub fn add(&mut self, name: &str, report: &Report) {
        let history = &report.history;
        self.rounds += 1;
        self.calls += history.calls.len() as u64;
        for call in &history.calls {
            *self.answers.entry(kind(&call.asked, &call.answer)).or_default() += 1;
        }
        for fault in &history.faults {
            *self.faults.entry(fault.kind.clone()).or_default() += 1;
        }
        let recoveries = history.healed_us.iter().filter_map(|it| recovery_us(history, *it));
        self.recoveries_us.extend(recoveries);
        let last = history.nodes.iter().max_by_key(|node| node.headers.len());
        self.heights += last.map_or(0, |node| node.headers.len() as u64);
        self.transfers += last.map_or(0, |node| node.transfers.len() as u64);
        println!(
            "  {} calls, {} faults, {} violations",
            history.calls.len(),
            history.faults.len(),
            report.violations.len()
        );
        if report.violations.is_empty() {
            return;
        }
        let file = kept(&format!("{name}-{}.jsonl", history.founding.seed));
        let saved = match history.save(&file) {
            Ok(()) => format!("{}", file.display()),
            Err(error) => format!("not kept: {error}"),
        };
        for violation in &report.violations {
            self.violations.push(format!("seed {}: {violation} ({saved})", history.founding.seed));
        }
    }

    /// Whether no rule was broken.
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }

    /// Prints everything.
    pub fn print(&self) {
        println!("rounds      {}", self.rounds);
        println!("blocks      {}", self.heights);
        println!("transfers   {} decided", self.transfers);
        println!("calls       {}, of which", self.calls);
        self.answers.iter().for_each(|(kind, count)| println!("  {count:>8}  {kind}"));
        println!("faults      {}, of which", self.faults.values().sum::<u64>());
        self.faults.iter().for_each(|(kind, count)| println!("  {count:>8}  {kind}"));
        let mut recoveries = self.recoveries_us.clone();
        recoveries.sort_unstable();
        if let (Some(median), Some(most)) =
            (recoveries.get(recoveries.len() / 2), recoveries.last())
        {
            println!(
                "recovery    median {} ms, longest {} ms, of {}; {} s are allowed",
                median / 1_000,
                most / 1_000,
                recoveries.len(),
                RECOVER_WITHIN.as_secs()
            );
        }
        println!("violations  {}", self.violations.len());
        self.violations.iter().for_each(|violation| println!("  {violation}"));
    }
}

fn kind(asked: &Asked, answer: &Answer) -> String {
    let asked = match asked {
        Asked::Submit { .. } => "submitted",
        Asked::Instruction { .. } => "looked up",
        Asked::Accounts { all: true, .. } => "all accounts read",
        Asked::Accounts { .. } => "account read",
        Asked::Watch { .. } => "watched",
    };
    let answer = match answer {
        Answer::Decided { is_final: true, .. } => "FINAL",
        Answer::Decided { .. } => "ORDERED",
        Answer::Refused { reason, .. } => return format!("{asked}: refused, {reason}"),
        Answer::Unknown { .. } => "UNKNOWN",
        Answer::Wrong { .. } => "WRONG",
        Answer::Accounts(_) | Answer::Movements(_) => "answered",
    };
    format!("{asked}: {answer}")
}
