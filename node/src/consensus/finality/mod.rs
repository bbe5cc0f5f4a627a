//! Finality: every node signs the headers that it has computed itself, sends its signatures to all
//! others, and makes certificates of theirs. A certificate of a quorum makes a block final, and with
//! it everything before it.
//!
//! [`attester`] decides with [`boundary`] which headers are signed, within what [`sign_once`] permits;
//! [`exchange`] sends and takes attestations; [`collector`] makes certificates of them; [`lag`] stops
//! admission where they fail to come; [`sentinel`] keeps evidence of what contradicts this node.

mod attested;
mod attester;
mod boundary;
mod collector;
mod exchange;
mod findings;
#[cfg(test)]
pub(super) mod fixture;
mod inquiry;
mod lag;
pub(super) mod probe;
mod recall;
mod sentinel;
mod sign_once;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::registry::Policy;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::v1;
use prost::Message;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::Raft;
use super::executor::Executor;
use super::join;
use super::network::Peers;
use super::read_failed;
use super::replica::Unavailable;
use crate::blocking;
use crate::defect;
use crate::defect::Defect;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;
use crate::telemetry::metrics;

use attested::Attested;
use attester::Attester;
use collector::Collector;
use collector::Taken;
pub use exchange::Unheard;
use findings::Finding;
use findings::Findings;
use lag::Lag;
pub use recall::Reached;
pub use recall::Recall;
use sentinel::Sentinel;
use sign_once::SignOnce;

/// In the log's meta: the last attestation of this node.
const ATTESTED: &str = "attested";

/// In the log's meta: the last attestation that is held of each node.
const HELD: &str = "attestations";

/// The last attestation of a node that is kept on disk, for who asks before finality is open.
pub fn kept_attestation(
    log: &LogStore,
    store: &StateStore,
    node: u64,
) -> Result<Option<v1::Attestation>, StorageError> {
    let mut kept = kept(log, store)?.ok_or_else(|| StorageError::corrupt("log meta", HELD))?;
    if let Some(own) = log.meta(ATTESTED)? {
        let own = v1::Attestation::decode(&*own);
        kept.push(own.map_err(|_| StorageError::corrupt("log meta", ATTESTED))?);
    }
    let of_node = |it: &v1::Attestation| it.signature.as_ref().is_some_and(|it| it.node == node);
    let height = |it: &v1::Attestation| Header::decode(&it.header).map(|header| header.height);
    Ok(kept.into_iter().filter(of_node).max_by_key(height))
}

/// What is kept of all nodes' attestations: those of the newest certificate, and the last of each. None
/// if it does not decode.
fn kept(log: &LogStore, store: &StateStore) -> Result<Option<Vec<v1::Attestation>>, StorageError> {
    let mut kept = Vec::new();
    if let Some(certificate) = store.last_certificate()? {
        let header = certificate.header;
        kept.extend(certificate.signatures.into_iter().map(|signature| v1::Attestation {
            header: header.clone(),
            signature: Some(signature),
        }));
    }
    if let Some(held) = log.meta(HELD)? {
        let Some(held) = exchange::decode_held(&held) else { return Ok(None) };
        kept.extend(held);
    }
    Ok(Some(kept))
}

/// What finality is started with.
pub struct Parts {
    /// This node.
    pub node: u64,
    /// Who signs.
    pub registry: Arc<Registry>,
    /// SHA-256 of the genesis file.
    pub chain_id: Hash,
    /// This node's attestation key.
    pub signer: Arc<dyn Signer>,
    /// Whether this node signs headers.
    pub signs: bool,
    /// Its ledger.
    pub executor: Arc<Executor>,
    /// Its log, which keeps what it signed last.
    pub log: LogStore,
    /// Where evidence is kept.
    pub directory: DataDirectory,
    /// The other nodes.
    pub peers: Peers,
}

/// This node's part in finality.
pub struct Finality {
    node: u64,
    chain_id: Hash,
    incarnation: u32,
    policy: Policy,
    signers: Signers,
    /// Nodes that only follow: they are told what the others sign, once they are in the group.
    learners: Vec<u64>,
    executor: Arc<Executor>,
    log: LogStore,
    directory: DataDirectory,
    collector: Mutex<Collector>,
    lag: Mutex<Lag>,
    /// What others recall of this node.
    recall: Recall,
    /// This node's newest attestation, once it may leave.
    own: watch::Sender<Option<Attested>>,
    certified: watch::Sender<u64>,
    /// Whether admission is stopped.
    stopped: watch::Sender<bool>,
    findings: Findings,
    /// Held while evidence is kept.
    keeping: Mutex<()>,
    /// The stream of each node that is heard; the next one takes its place.
    streams: Mutex<BTreeMap<u64, CancellationToken>>,
    /// Whether this node has found that it diverged: it signs nothing more.
    halted: AtomicBool,
    /// Why, once the evidence is kept.
    diverged: watch::Sender<Option<Stop>>,
}

/// What starts with it and runs beside it.
pub struct Tasks {
    attester: Attester,
    sentinel: Sentinel,
    peers: Peers,
}

/// How finality stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Height of the newest certificate.
    pub certified_height: u64,
    /// Height of the last header that this node signed.
    pub attested_height: u64,
    /// Height of the newest header that each node signed, as this one has seen.
    pub attested: BTreeMap<u64, u64>,
    /// Institutions whose signature is missing, where certificates lag.
    pub missing: Vec<Bic>,
    /// Certificates lag so far behind that nothing new is admitted.
    pub admission_stopped: bool,
}

impl Finality {
    /// Goes on after what the log and the store have kept.
    pub fn open(parts: Parts) -> Result<(Arc<Finality>, Tasks), Stop> {
        let signers = Signers::of(parts.chain_id, &parts.registry);
        let policy = parts.registry.policy();
        let executed = *parts.executor.height().borrow();
        let header = parts.executor.store().header(executed)?;
        let incarnation = header.map_or(0, |header| header.incarnation);
        let nodes: Vec<u64> = signers.nodes().collect();
        let quorum = policy.finality_quorum - usize::from(defect::is(Defect::WeakCertificate));
        let finality = Arc::new(Finality {
            node: parts.node,
            chain_id: parts.chain_id,
            incarnation,
            policy,
            recall: Recall::among(nodes.len()),
            collector: Mutex::new(Collector::new(quorum, nodes)),
            signers,
            learners: parts.registry.learners().map(|node| node.id).collect(),
            executor: parts.executor,
            log: parts.log,
            directory: parts.directory,
            lag: Mutex::new(Lag::new(policy)),
            own: watch::Sender::new(None),
            certified: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            findings: Findings::default(),
            keeping: Mutex::default(),
            streams: Mutex::default(),
            halted: AtomicBool::new(false),
            diverged: watch::Sender::new(None),
        });
        let record = finality.restore()?;
        if let Some(record) = &record {
            finality.recall.remember(record);
        }
        finality.evaluate();
        let is_learner = finality.signers.key(parts.node).is_none();
        let signer = (parts.signs && !is_learner).then_some(parts.signer);
        let attester = Attester::new(finality.clone(), signer, SignOnce::after(record));
        if !parts.signs {
            warn!("this node signs no headers: finality.sign is false");
        }
        let sentinel = Sentinel::new(finality.clone(), parts.peers.clone());
        Ok((finality, Tasks { attester, sentinel, peers: parts.peers }))
    }

    /// What was kept: this node's record, and what it holds of all nodes.
    fn restore(&self) -> Result<Option<Attested>, Stop> {
        let corrupt = |what| Stop {
            code: ExitCode::Corrupt,
            message: format!("log meta: {what} does not decode, or is not signed as it must be"),
        };
        let read = |message, what| {
            let attested = Attested::read(message, &self.chain_id, self.incarnation);
            attested.ok().filter(|it| it.holds(&self.signers)).ok_or(corrupt(what))
        };
        let kept = kept(&self.log, self.executor.store())?.ok_or(corrupt(HELD))?;
        let record = self.log.meta(ATTESTED)?.map(|bytes| {
            let message = v1::Attestation::decode(&*bytes).map_err(|_| corrupt(ATTESTED))?;
            read(message, ATTESTED)
        });
        let record = record.transpose()?;
        if record.as_ref().is_some_and(|record| record.node != self.node) {
            return Err(corrupt(ATTESTED));
        }
        let mut collector = self.collector();
        for message in kept {
            collector.take(read(message, HELD)?);
        }
        if let Some(record) = &record {
            collector.take(record.clone());
            self.own.send_replace(Some(record.clone()));
        }
        Ok(record)
    }

    /// The height of the newest certificate, as it grows. 0 before the first: the genesis block
    /// needs none.
    pub fn certified(&self) -> watch::Receiver<u64> {
        self.certified.subscribe()
    }

    /// The newest certificate.
    pub fn newest_certificate(&self) -> Result<Option<v1::Certificate>, StorageError> {
        self.executor.store().last_certificate()
    }

    /// The certificate of exactly this height.
    fn certificate_at(&self, height: u64) -> Option<v1::Certificate> {
        let found = self.executor.store().certificate_from(height).unwrap_or_else(|error| {
            read_failed(&error);
            None
        });
        let is_at = |header: Header| header.height == height;
        found.filter(|it| Header::decode(&it.header).is_some_and(is_at))
    }

    /// Returns when a height is final, at the latest at the deadline.
    pub async fn wait_final(&self, height: u64, deadline: Instant) -> Result<(), Unavailable> {
        let mut certified = self.certified();
        let waited = certified.wait_for(|certified| *certified >= height);
        match tokio::time::timeout_at(deadline.into(), waited).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unavailable::Stopping),
            Err(_) => Err(Unavailable::NotFinal),
        }
    }

    /// How finality stands now.
    pub fn standing(&self) -> Standing {
        let certified_height = *self.certified.borrow();
        let admission_stopped = *self.stopped.borrow();
        let waits = self.lag().longest(Instant::now());
        let lags = admission_stopped || waits.is_some_and(|it| it >= limits::LAG_WORTH_TELLING);
        let missing = if lags { self.missing() } else { Vec::new() };
        let attested_height = self.own.borrow().as_ref().map_or(0, Attested::height);
        let attested = self.collector().attested_heights();
        Standing { certified_height, attested_height, attested, missing, admission_stopped }
    }

    /// Whether new instructions are admitted.
    pub fn admits(&self) -> Result<(), Unavailable> {
        if *self.stopped.borrow() { Err(self.lagging()) } else { Ok(()) }
    }

    /// What is said where admission is stopped.
    pub fn lagging(&self) -> Unavailable {
        Unavailable::CertificatesLag(self.missing().into())
    }

    /// Whether admission is stopped, as it changes.
    pub fn admission_stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    /// What others recall of this node.
    pub fn recall(&self) -> &Recall {
        &self.recall
    }

    /// Institutions that must sign a header.
    pub fn quorum(&self) -> usize {
        self.policy.finality_quorum
    }

    /// Waits until this node has found that it contradicts a quorum or itself.
    pub async fn diverged(&self) -> Stop {
        let mut diverged = self.diverged.subscribe();
        loop {
            if let Some(stop) = diverged.borrow_and_update().clone() {
                return stop;
            }
            if diverged.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Goes to work, until the token is cancelled.
    pub fn start(
        self: &Arc<Self>,
        run: Tasks,
        raft: &Raft,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let until_stopped = |work: futures::future::BoxFuture<'static, ()>| {
            tasks.spawn(stop.clone().run_until_cancelled_owned(work));
        };
        until_stopped(Box::pin(self.clone().follow()));
        until_stopped(Box::pin(run.sentinel.run()));
        until_stopped(Box::pin(inquiry::recall(self.clone(), run.peers.clone())));
        let is_voter = self.signers.key(self.node).is_some();
        for peer in self.signers.nodes().filter(|node| is_voter && *node != self.node) {
            until_stopped(Box::pin(exchange::send(self.clone(), run.peers.clone(), peer)));
        }
        for learner in self.learners.iter().copied().filter(|_| is_voter) {
            let (finality, peers) = (self.clone(), run.peers.clone());
            let joined = join::joined(raft.clone(), learner);
            until_stopped(Box::pin(async move {
                joined.await;
                exchange::send(finality, peers, learner).await;
            }));
        }
        until_stopped(Box::pin(run.attester.run(run.peers)));
    }

    /// Follows execution: what was attested ahead of it is judged, and the lag is watched.
    async fn follow(self: Arc<Self>) {
        let (mut height, mut certified) = (self.executor.height(), self.certified());
        let (mut kept, mut kept_at) = (Vec::new(), Instant::now());
        loop {
            height.borrow_and_update();
            certified.borrow_and_update();
            self.evaluate();
            self.watch_lag();
            if kept_at.elapsed() >= limits::ATTESTATIONS_KEPT_INTERVAL {
                kept_at = Instant::now();
                self.keep_held(&mut kept).await;
            }
            tokio::select! {
                changed = height.changed() => if changed.is_err() { return },
                _ = certified.changed() => {}
                () = tokio::time::sleep(limits::LAG_INTERVAL) => {}
            }
        }
    }

    /// Keeps what is held of the other nodes for whoever of them asks after a restart.
    async fn keep_held(&self, last: &mut Vec<u8>) {
        let held = exchange::encode_held(self.collector().all_newest());
        if held == *last {
            return;
        }
        last.clone_from(&held);
        let log = self.log.clone();
        let kept = blocking::aside(move || log.save_meta_buffered(HELD, &held)).await;
        if let Ok(Err(error)) = kept {
            error!(%error, "the attestations held could not be kept");
        }
    }

    /// The hash of this node's own header at a height that it has executed.
    fn own_hash(&self, height: u64) -> Option<Hash> {
        self.own_header(height).map(|header| header.hash())
    }

    fn own_header(&self, height: u64) -> Option<Header> {
        self.executor.store().header(height).unwrap_or_else(|error| {
            // What cannot be read now is not judged now; the node stops.
            read_failed(&error);
            None
        })
    }

    /// Takes an attestation whose signature holds.
    fn take(self: &Arc<Self>, attested: Attested) {
        let taken = self.collector().take(attested.clone());
        match taken {
            Taken::New => {}
            Taken::Known => return,
            Taken::Contradicts(first) => {
                self.report(Finding::Double(first, Box::new(attested)));
                return;
            }
        }
        self.evaluate();
    }

    /// Judges what is held, and makes a certificate of it if a quorum has signed something new.
    fn evaluate(self: &Arc<Self>) {
        let executed = *self.executor.height().borrow();
        let mut collector = self.collector();
        let differing = collector.judge(executed, |height| self.own_hash(height));
        let contrary = if differing.is_empty() { None } else { collector.contrary() };
        let certified = *self.certified.borrow();
        if let Some(certificate) = collector.certificate(certified)
            && let Some(header) = Header::decode(&certificate.header)
        {
            // Under the collector's lock: certificates are kept in ascending order.
            match self.executor.store().save_certificate(header.height, &certificate.signatures) {
                Ok(()) => drop(self.certified.send_replace(header.height)),
                // The store has stopped, and the node is about to.
                Err(error) => error!(%error, "a certificate could not be kept"),
            }
        }
        drop(collector);
        for attested in differing {
            self.report(Finding::Differs(Box::new(attested)));
        }
        if let Some(contrary) = contrary
            && !defect::is(Defect::ContradictionIgnored)
        {
            self.diverge_from(&contrary);
        }
    }

    fn watch_lag(&self) {
        let (executed, certified) = (*self.executor.height().borrow(), *self.certified.borrow());
        let now = Instant::now();
        let (waited, too_long) = {
            let mut lag = self.lag();
            (lag.follow(executed, certified, now), lag.is_too_long(now))
        };
        for waited in waited {
            metrics::CERTIFICATE_SECONDS.histogram(&[]).record(waited);
        }
        if self.stopped.send_if_modified(|stopped| std::mem::replace(stopped, too_long) != too_long)
        {
            if too_long {
                let missing = self.missing();
                warn!(executed, certified, ?missing, "certificates lag: nothing new is admitted");
            } else {
                info!(executed, certified, "certificates have caught up: admission goes on");
            }
        }
    }

    /// The institutions whose signature is missing for the newest block.
    fn missing(&self) -> Vec<Bic> {
        let nodes = self.collector().missing(*self.certified.borrow());
        nodes.into_iter().filter_map(|node| self.signers.institution(node)).copied().collect()
    }

    fn report(&self, finding: Finding) {
        let (_, node) = finding.place();
        metrics::HEADER_CONFLICTS.increment(&[("node", &node.to_string())]);
        // What does not fit is counted and no more.
        self.findings.put(finding);
    }

    fn is_diverged(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    // Nothing panics while it holds one of these locks half-way through a change, so a poisoned
    // lock still guards something whole.

    fn collector(&self) -> MutexGuard<'_, Collector> {
        self.collector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lag(&self) -> MutexGuard<'_, Lag> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pause that grows with each failure, up to a bound.
pub(super) fn pause(failures: u32) -> Duration {
    limits::PEER_RETRY_INTERVAL_MIN
        .saturating_mul(1 << failures.min(5))
        .min(limits::PEER_RETRY_INTERVAL_MAX)
}
