//! Snapshots: each node makes its own at the heights of the policy, signs its digest once the block
//! is final, and sends the signature to all others. With the signatures of a quorum the snapshot is
//! certified: older ones go, and Raft need not keep what lies before it.
//!
//! [`maker`] writes them, [`heard`] holds what the others signed, [`serving`] hands them on.

mod heard;
mod maker;
mod serving;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::snapshot_payload;
use counterfoil_ledger::snapshot::FORMAT;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use counterfoil_proto::v1::evidence::Kind;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::Raft;
use super::executor::Executor;
use super::finality::Finality;
use super::finality::pause;
use super::network::Peers;
use crate::blocking;
use crate::exit::Stop;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::snapshots::Manifest;
use crate::storage::snapshots::Snapshots;
use crate::telemetry::metrics;

use heard::Heard;
use heard::Stated;
use heard::certificate;
pub use maker::Maker;

/// What the keeper is made of.
pub struct Parts {
    /// This node.
    pub node: u64,
    /// SHA-256 of the genesis file.
    pub chain_id: Hash,
    /// Who signs.
    pub signers: Signers,
    /// This node's key, if it signs.
    pub signer: Option<Arc<dyn Signer>>,
    /// Blocks from one snapshot to the next.
    pub interval: u64,
    /// What says which blocks are final, and keeps evidence.
    pub finality: Arc<Finality>,
    /// Its ledger.
    pub executor: Arc<Executor>,
    /// Makes them.
    pub maker: Arc<Maker>,
    /// The other nodes.
    pub peers: Peers,
}

/// Sees to it that this node's snapshots are certified.
pub struct Keeper {
    node: u64,
    chain_id: Hash,
    signers: Signers,
    signer: Option<Arc<dyn Signer>>,
    interval: u64,
    finality: Arc<Finality>,
    executor: Arc<Executor>,
    maker: Arc<Maker>,
    peers: Peers,
    heard: Mutex<Heard>,
    /// Something was heard.
    news: Notify,
    /// What this node signed last.
    own: watch::Sender<Option<v1::SnapshotAttestation>>,
    /// Who has been accused, of which height.
    accused: Mutex<BTreeSet<(u64, u64)>>,
    failed: watch::Sender<Option<Stop>>,
    /// How many nodes may begin to read.
    readers: Arc<Semaphore>,
}

/// What the newest snapshot waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The next one.
    Nothing,
    /// That the block of this height is final.
    Final(u64),
    /// The signatures of others.
    Signatures,
}

/// Why what a node says about its snapshot is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// A rule that it breaks.
    Rule(&'static str),
    /// It says too much in too short a time.
    TooMuch,
}

impl Keeper {
    /// Goes on with what is on disk.
    pub fn new(parts: Parts) -> Keeper {
        let Parts { node, chain_id, signers, signer, interval, .. } = parts;
        // Whoever does not count signs nothing.
        let signer = signer.filter(|_| signers.key(node).is_some());
        Keeper {
            node,
            chain_id,
            signers,
            signer,
            interval,
            finality: parts.finality,
            executor: parts.executor,
            maker: parts.maker,
            peers: parts.peers,
            heard: Mutex::default(),
            news: Notify::new(),
            own: watch::Sender::new(None),
            accused: Mutex::default(),
            failed: watch::Sender::new(None),
            readers: Arc::new(Semaphore::new(limits::SNAPSHOT_READERS_MAX)),
        }
    }

    /// All that this node has.
    pub fn snapshots(&self) -> &Snapshots {
        self.maker.snapshots()
    }

    /// Goes to work, until the token is cancelled.
    pub fn start(self: &Arc<Self>, raft: &Raft, tasks: &TaskTracker, stop: &CancellationToken) {
        let working = self.clone().run(raft.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(working));
        for (peer, _) in self.peers.voters() {
            let telling = self.clone().tell(peer);
            tasks.spawn(stop.clone().run_until_cancelled_owned(telling));
        }
    }

    /// Waits until a snapshot could not be written or read.
    pub async fn failed(&self) -> Stop {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|stop| stop.clone()) {
            Ok(Some(stop)) => stop,
            _ => std::future::pending().await,
        }
    }

    /// Takes what a node says about its snapshot.
    pub fn receive(
        &self,
        sender: u64,
        message: Option<v1::SnapshotAttestation>,
    ) -> Result<(), Unheard> {
        let message = message.ok_or(Unheard::Rule("an attestation is required"))?;
        let stated = Stated::read(message, &self.chain_id).map_err(Unheard::Rule)?;
        if stated.node != sender {
            return Err(Unheard::Rule("a node attests for itself alone"));
        }
        if stated.header.height == 0 || !stated.header.height.is_multiple_of(self.interval) {
            return Err(Unheard::Rule("a snapshot has a height of the policy"));
        }
        {
            let mut heard = self.heard();
            if heard.knows(&stated) {
                return Ok(());
            }
            if !heard.has_time_for(sender) {
                return Err(Unheard::TooMuch);
            }
        }
        if !stated.holds(&self.signers) {
            return Err(Unheard::Rule("the signature is not that of the node's attestation key"));
        }
        self.heard().take(stated);
        self.news.notify_one();
        Ok(())
    }

    async fn run(self: Arc<Self>, raft: Raft) {
        let (mut made, mut certified) = (self.maker.made(), self.finality.certified());
        let mut failed = self.maker.failed();
        let mut asked = Instant::now();
        self.resume(&raft).await;
        loop {
            made.borrow_and_update();
            if let Some(error) = failed.borrow_and_update().as_ref() {
                return self.stop(error);
            }
            let wait = match self.advance(&raft).await {
                Ok(wait) => wait,
                Err(error) => return self.stop(&error),
            };
            let is_final = async {
                match wait {
                    Wait::Final(height) => drop(certified.wait_for(|it| *it >= height).await),
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = made.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    asked = Instant::now();
                }
                _ = failed.changed() => {}
                () = self.news.notified() => {}
                () = is_final => {}
                () = tokio::time::sleep_until((asked + limits::SNAPSHOT_ASK_INTERVAL).into()),
                    if wait == Wait::Signatures =>
                {
                    asked = Instant::now();
                    if let Err(error) = self.ask().await {
                        return self.stop(&error);
                    }
                }
            }
        }
    }

    /// Says that the node must stop.
    fn stop(&self, error: &StorageError) {
        let stop = Stop::from(error);
        error!(error = %stop.message, "a snapshot could not be kept");
        self.failed.send_replace(Some(stop));
    }

    /// Takes up what an earlier process left: nobody has looked at what is not certified since then.
    async fn resume(&self, raft: &Raft) {
        if let Some(certified) = self.snapshots().newest_certified() {
            metrics::SNAPSHOT_HEIGHT.set(certified.height() as f64);
            let own = certified.signatures().iter().find(|it| it.node == self.node);
            self.own.send_replace(own.map(|own| attestation(&certified, own.clone())));
            self.purge(raft).await;
        }
        let newest = self.snapshots().newest().filter(|newest| newest.is_unsigned());
        let Some(newest) = newest else { return };
        let (snapshots, height) = (self.snapshots().clone(), newest.height());
        let checking = blocking::aside(move || {
            let mut chunks = 0..newest.chunk_count();
            let whole = chunks.all(|it| matches!(snapshots.read_chunk(height, it), Ok(Some(_))));
            if whole { Ok(()) } else { snapshots.delete(height) }
        });
        match checking.await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => self.stop(&error),
        }
    }

    /// Does what can be done for the newest snapshot now; says what it waits for then.
    async fn advance(&self, raft: &Raft) -> Result<Wait, StorageError> {
        self.accuse().await;
        let newest = self.snapshots().newest().filter(|newest| newest.is_unsigned());
        let Some(newest) = newest else { return Ok(Wait::Nothing) };
        let height = newest.height();
        if *self.finality.certified().borrow() < height {
            return Ok(Wait::Final(height));
        }
        let own = self.executor.store().header(height)?;
        if own.as_ref() != Some(newest.header()) {
            warn!(height, "a snapshot of another history is deleted");
            self.snapshots().delete(height)?;
            return Ok(Wait::Nothing);
        }
        self.sign(&newest).await;
        let (header, digest) = (newest.header(), newest.digest());
        let (signatures, contrary) = {
            let heard = self.heard();
            let quorum = self.signers.quorum();
            (heard.agreeing(header, &digest), heard.contrary(header, &digest, quorum))
        };
        if let Some(contrary) = contrary {
            self.diverge(contrary);
            return Ok(Wait::Nothing);
        }
        if signatures.len() < self.signers.quorum() {
            return Ok(Wait::Signatures);
        }
        self.certify(raft, newest.signed(signatures)).await?;
        Ok(Wait::Nothing)
    }

    /// Signs a snapshot whose block is final, unless that is done.
    async fn sign(&self, manifest: &Manifest) {
        let Some(signer) = self.signer.clone() else { return };
        let header = manifest.header().encode();
        if self.own.borrow().as_ref().is_some_and(|own| own.header[..] == header) {
            return;
        }
        let payload = snapshot_payload(&manifest.header().hash(), FORMAT, &manifest.digest());
        let preimage = signature::preimage(Label::Snapshot, &self.chain_id, &payload);
        // A key may be in a device.
        let signing = blocking::aside(move || signer.sign(&preimage)).await;
        let value = match signing {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => return error!(%error, "a snapshot could not be signed"),
            Err(_) => return,
        };
        let signature = v1::NodeSignature { node: self.node, value: value.to_vec().into() };
        let message = attestation(manifest, signature);
        if let Ok(stated) = Stated::read(message.clone(), &self.chain_id) {
            self.heard().take(stated);
        }
        self.own.send_replace(Some(message));
    }

    async fn certify(&self, raft: &Raft, manifest: Manifest) -> Result<(), StorageError> {
        let snapshots = self.snapshots().clone();
        let kept = blocking::aside(move || snapshots.certify(manifest)).await;
        // A newer one was made meanwhile, or the node stops.
        let Some(kept) = kept.ok().transpose()?.flatten() else { return Ok(()) };
        let (height, digest) = (kept.height(), kept.digest());
        let signers: Vec<u64> = kept.signatures().iter().map(|it| it.node).collect();
        info!(height, %digest, ?signers, "a snapshot is certified");
        metrics::SNAPSHOTS.increment(&[("result", "certified")]);
        metrics::SNAPSHOT_HEIGHT.set(height as f64);
        self.purge(raft).await;
        self.accuse().await;
        Ok(())
    }

    /// Tells Raft that it needs nothing before the newest snapshot, but for a tail of entries.
    async fn purge(&self, raft: &Raft) {
        let Some(covered) = self.maker.covers() else { return };
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
        let known = raft
            .wait(Some(limits::SNAPSHOT_PURGE_TIMEOUT))
            .metrics(|metrics| metrics.snapshot >= Some(covered), "the snapshot is known")
            .await;
        // What is not purged now is at the next snapshot.
        if known.is_ok() {
            let _ = raft.trigger().purge_log(covered.index).await;
        }
    }

    /// Keeps evidence against whoever signed another digest than the quorum.
    async fn accuse(&self) {
        let Some(certified) = self.snapshots().newest_certified() else { return };
        let (header, height) = (certified.header(), certified.height());
        let differing = self.heard().differing(header, &certified.digest());
        for stated in differing {
            let node = stated.node;
            {
                let mut accused = self.accused.lock().unwrap_or_else(PoisonError::into_inner);
                *accused = accused.split_off(&(height, 0));
                if !accused.insert((height, node)) {
                    continue;
                }
            }
            let institution = self.signers.institution(node);
            warn!(height, node, ?institution, "a node signed another digest than a quorum");
            metrics::SNAPSHOT_CONFLICTS.increment(&[("node", &node.to_string())]);
            let lie = v1::FalseSnapshot {
                attestation: Some(stated.message),
                certificate: Some(certificate_of(&certified)),
            };
            let kind = Kind::FalseSnapshot(lie);
            self.finality.clone().keep("false-snapshot", height, node, kind).await;
        }
    }

    /// Asks the other nodes, one after the other, for the signatures that this node lacks: they may have
    /// sent theirs while it was away.
    async fn ask(&self) -> Result<(), StorageError> {
        let newest = self.snapshots().newest().filter(|newest| newest.is_unsigned());
        let Some(own) = newest else { return Ok(()) };
        for (_, mut client) in self.peers.voters() {
            let asking = client.get_snapshot(peer::GetSnapshotRequest {});
            let answer = tokio::time::timeout(limits::SNAPSHOT_ANSWER_TIMEOUT, asking).await;
            let message = answer.ok().and_then(Result::ok).and_then(|it| it.into_inner().manifest);
            let manifest = message.and_then(|it| Manifest::decode(it, &self.chain_id).ok());
            let same = |it: &Manifest| it.header() == own.header();
            let Some(theirs) = manifest.filter(same) else { continue };
            if theirs.certified(&self.signers).is_err() {
                continue;
            }
            if theirs.digest() != own.digest() {
                self.diverge(certificate_of(&theirs));
                return Ok(());
            }
            let mut heard = self.heard();
            for signature in theirs.signatures() {
                let message = attestation(&theirs, signature.clone());
                if let Ok(stated) = Stated::read(message, &self.chain_id) {
                    heard.take(stated);
                }
            }
            drop(heard);
            self.news.notify_one();
            return Ok(());
        }
        Ok(())
    }

    /// A quorum has signed another digest than this node's.
    fn diverge(&self, contrary: v1::SnapshotCertificate) {
        // What this node has not signed convicts it of nothing, and stops it all the same.
        let said = self.own.borrow().clone().filter(|said| said.header == contrary.header);
        self.finality.diverge_from_snapshot(said, contrary);
    }

    /// Sends what this node signs to one other, each until it is answered or replaced.
    async fn tell(self: Arc<Self>, node: u64) {
        let Some(client) = self.peers.client(node) else { return };
        let mut own = self.own.subscribe();
        let mut failures = 0;
        loop {
            let newest = own.borrow_and_update().clone();
            if let Some(newest) = newest {
                let mut client = client.clone();
                let message = peer::AttestSnapshotRequest { attestation: Some(newest) };
                let telling = client.attest_snapshot(message);
                let told = tokio::time::timeout(limits::SNAPSHOT_ANSWER_TIMEOUT, telling).await;
                if !matches!(told, Ok(Ok(_))) {
                    metrics::PEER_FAILURES.increment(&[("peer", &node.to_string())]);
                    tokio::time::sleep(pause(failures)).await;
                    failures = failures.saturating_add(1);
                    continue;
                }
            }
            failures = 0;
            if own.changed().await.is_err() {
                return;
            }
        }
    }

    // Nothing panics while it holds this lock half-way through a change.
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a node says of a snapshot.
fn attestation(manifest: &Manifest, signature: v1::NodeSignature) -> v1::SnapshotAttestation {
    v1::SnapshotAttestation {
        header: header_bytes(manifest.header()),
        format: FORMAT,
        digest: manifest.digest().to_bytes(),
        signature: Some(signature),
    }
}

/// What a quorum says of a snapshot.
fn certificate_of(manifest: &Manifest) -> v1::SnapshotCertificate {
    certificate(manifest.header(), &manifest.digest(), manifest.signatures().to_vec())
}

fn header_bytes(header: &Header) -> bytes::Bytes {
    header.encode().to_vec().into()
}
