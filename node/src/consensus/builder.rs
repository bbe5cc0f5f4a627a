//! The block builder. It leads when its node leads: takes instructions from a fair queue, stamps
//! them with time and order, signs the proposal and hands it to Raft. While one proposal is on its
//! way the next fills: low latency when idle, throughput that grows with load.
//!
//! A block costs every node something besides what is in it. Who was answered in one often has something
//! for the next, so after a block the builder waits a moment for as many as were on their way: clients
//! that would take turns, half of them in each block, come together. It never waits for a first one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::apply::Decision;
use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::Executed;
use super::ExecutedBlock;
use super::ProposalBytes;
use super::Raft;
use super::admission::Room;
use super::admission::queue::Queue;
use super::due;
use super::executor::Executor;
use super::finality::Finality;
use super::preparer::PreparedProposal;
use super::preparer::Preparer;
use super::space::Level;
use super::space::Space;
use super::wanted_block::WantedBlock;
use crate::clock::Clock;
use crate::limits;
use crate::telemetry::metrics;

/// An instruction on its way into a block.
pub struct Submission {
    /// Checked.
    pub prepared: Prepared,
    /// Told when it is decided.
    pub reply: oneshot::Sender<Result<Placed, NotPlaced>>,
    /// Held until it is in a proposal.
    pub room: Room,
}

/// An instruction was decided.
pub struct Placed {
    /// In the proposal of this block, or before it.
    pub executed: Arc<ExecutedBlock>,
    /// How.
    pub decision: Decision,
}

/// Why an instruction was not decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPlaced {
    /// This node does not lead; nothing was proposed.
    NotLeader,
    /// Certificates lag; nothing was proposed.
    CertificatesLag,
    /// It was proposed, and this node lost the lead before it was decided.
    Unknown,
}

/// What the builder works with.
pub struct Builder {
    /// This node.
    pub node: u64,
    /// Its attestation key.
    pub signer: Arc<dyn Signer>,
    /// Its Raft.
    pub raft: Raft,
    /// Its ledger.
    pub executor: Arc<Executor>,
    /// Where checked proposals wait for apply.
    pub preparer: Arc<Preparer>,
    /// Whether anything may be proposed.
    pub finality: Arc<Finality>,
    /// What is left of its disk.
    pub space: Arc<Space>,
    /// Its clock.
    pub clock: Clock,
    /// What waits.
    pub queue: Arc<Queue<Submission>>,
    /// The block time that somebody waits for.
    pub wanted: Arc<WantedBlock>,
    /// How long it gathers after a block, at most.
    pub gather: Duration,
    /// The last term in which this node proposes nothing more.
    pub spent: Arc<AtomicU64>,
}

/// Where the next proposal goes on.
struct Lead {
    term: u64,
    previous: Hash,
    sequence: u64,
}

type Outcome = (Vec<oneshot::Sender<Result<Placed, NotPlaced>>>, Result<Executed, NotPlaced>);
type Underway = FuturesUnordered<futures::future::BoxFuture<'static, Outcome>>;

impl Builder {
    /// Runs until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.lead_now_and_then()).await;
        // Whoever waits is not told anything any more, and asks another node.
        drop(self.queue.close());
    }

    async fn lead_now_and_then(&self) {
        let mut metrics = self.raft.server_metrics();
        while let Some(lead) = self.await_lead(&mut metrics).await {
            info!(term = lead.term, "this node leads");
            self.lead(lead, &mut metrics).await;
        }
    }

    /// Waits until this node leads and has executed everything before its term, so that the last
    /// proposal of the log is known. Meanwhile what is in the queue is sent back. In a term in which
    /// the fate of a proposal is unknown it does not lead again: another one for the same place would
    /// be a lie. It lets the others elect.
    async fn await_lead(
        &self,
        metrics: &mut watch::Receiver<
            openraft::metrics::RaftServerMetrics<u64, openraft::EmptyNode>,
        >,
    ) -> Option<Lead> {
        let mut silent = false;
        loop {
            let (leader, vote) = {
                let metrics = metrics.borrow_and_update();
                (metrics.current_leader, metrics.vote)
            };
            let term = vote.leader_id.term;
            let leads =
                leader == Some(self.node) && vote.leader_id.node_id == self.node && vote.committed;
            let is_spent = leads && term <= self.spent.load(Ordering::Relaxed);
            if silent != is_spent {
                silent = is_spent;
                self.raft.runtime_config().heartbeat(!silent);
            }
            if leads && !is_spent {
                // The leader's own blank entry is the first of its term.
                let data = self.raft.data_metrics();
                let (executed, last) = {
                    let data = data.borrow();
                    (data.last_applied, data.last_log)
                };
                // Behind it there may be proposals of its own that were found void.
                if executed == last && executed.is_some_and(|id| id.leader_id.term == term) {
                    let (previous, sequence) = self.executor.state().last_proposal();
                    return Some(Lead { term, previous, sequence });
                }
            }
            tokio::select! {
                changed = metrics.changed() => changed.ok()?,
                () = self.queue.filled(1) => self.send_back(NotPlaced::NotLeader),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    }

    /// Tells everybody who waits that nothing was proposed.
    fn send_back(&self, cause: NotPlaced) {
        for submission in self.queue.drain() {
            let _ = submission.reply.send(Err(cause));
        }
    }

    async fn lead(
        &self,
        mut lead: Lead,
        metrics: &mut watch::Receiver<
            openraft::metrics::RaftServerMetrics<u64, openraft::EmptyNode>,
        >,
    ) {
        let (wanted, executor) = (self.wanted.clone(), self.executor.clone());
        let mut underway: Underway = FuturesUnordered::new();
        let mut lost = false;
        let (mut expected, mut gathered) = (1, Instant::now());
        let mut stopped = self.finality.admission_stopped();
        let mut left = self.space.watch();
        // Who is elected short of space leads all the same: nobody else did.
        let mut was_short = left.borrow_and_update().level >= Level::Short;
        while !lost {
            let admits = !*stopped.borrow_and_update();
            let room = underway.len() < limits::BLOCKS_IN_FLIGHT_MAX;
            let idle = underway.is_empty();
            tokio::select! {
                biased;
                Some(outcome) = underway.next(), if !idle => {
                    if !self.gather.is_zero() {
                        expected = outcome.0.len() + self.queue.len();
                        gathered = Instant::now() + self.gather;
                    }
                    lost = !self.deliver(outcome, lead.term);
                }
                changed = metrics.changed() => {
                    let vote = metrics.borrow_and_update().vote;
                    lost = changed.is_err()
                        || vote.leader_id.term != lead.term
                        || vote.leader_id.node_id != self.node;
                }
                // It says only when to look again; finality lives as long as this.
                Ok(()) = stopped.changed() => {}
                Ok(()) = left.changed() => {
                    let short = left.borrow_and_update().level >= Level::Short;
                    if short && !was_short {
                        info!(term = lead.term, "this node is short of space and lets another lead");
                        self.spent.fetch_max(lead.term, Ordering::Relaxed);
                        lost = true;
                    }
                    was_short = short;
                }
                () = tokio::time::sleep_until(gathered.into()), if expected > 1 => expected = 1,
                () = self.queue.filled(expected), if room => {
                    if !admits {
                        self.send_back(NotPlaced::CertificatesLag);
                        continue;
                    }
                    expected = 1;
                    let submissions = self.queue.take(Instant::now());
                    lost = !self.propose(&mut lead, submissions, &mut underway).await;
                }
                // A ledger that falls quiet shows its accounts' root once more.
                () = tokio::time::sleep(limits::QUIET_INTERVAL),
                    if idle && admits && self.executor.state().wants_flagged_block() =>
                {
                    let submissions = self.queue.take(Instant::now());
                    lost = !self.propose(&mut lead, submissions, &mut underway).await;
                }
                // What is due by itself is done in a block, though nobody instructs anything.
                () = due::due(&executor, &self.clock), if idle && admits && !was_short => {
                    let submissions = self.queue.take(Instant::now());
                    lost = !self.propose(&mut lead, submissions, &mut underway).await;
                }
                // Time passes in blocks; without instructions somebody has to ask for it.
                () = wanted.due(|| executor.state().block_time_ms()), if idle && admits => {
                    wanted.granted();
                    let submissions = self.queue.take(Instant::now());
                    lost = !self.propose(&mut lead, submissions, &mut underway).await;
                }
            }
        }
        info!(term = lead.term, "this node no longer leads");
        while let Some(outcome) = underway.next().await {
            self.deliver(outcome, lead.term);
        }
    }

    /// Builds, signs and proposes. False if this node cannot lead any longer.
    async fn propose(
        &self,
        lead: &mut Lead,
        submissions: Vec<Submission>,
        underway: &mut Underway,
    ) -> bool {
        #[cfg(feature = "misbehaviour")]
        let Some(submissions) = crate::misbehaviour::brought_in(submissions) else { return true };
        let (prepared, replies): (Vec<_>, Vec<_>) =
            submissions.into_iter().map(|it| (it.prepared, it.reply)).unzip();
        let instructions: Vec<Bytes> =
            prepared.iter().map(|prepared| prepared.instruction.bytes.clone()).collect();
        let stamp_ms = self.clock.now_ms();
        #[cfg(feature = "misbehaviour")]
        let stamp_ms = crate::misbehaviour::stamp(stamp_ms);
        let header = ProposalHeader {
            incarnation: 0,
            epoch: 0,
            proposer: self.node,
            term: lead.term,
            sequence: lead.sequence + 1,
            previous: lead.previous,
            stamp_ms,
            count: u32::try_from(instructions.len()).expect("a block is bounded in instructions"),
            instructions_root: Proposal::instructions_root(&instructions),
        };
        let chain_id = self.executor.state().chain_id();
        let hash = header.hash();
        let preimage = signature::preimage(Label::Proposal, &chain_id, hash.as_bytes());
        let signature = match self.signer.sign(&preimage) {
            Ok(signature) => signature,
            Err(error) => {
                error!(%error, "the attestation key did not sign; this node cannot lead");
                for reply in replies {
                    let _ = reply.send(Err(NotPlaced::NotLeader));
                }
                return false;
            }
        };
        let key_id = self.signer.key_id();
        let proposal = Proposal { header, key_id, signature, instructions };
        let bytes = proposal.encode();
        let items: usize = prepared.iter().map(|it| it.instruction.leaf_count()).sum();
        let instructions = prepared.into_iter().map(Ok).collect();
        self.preparer.keep(bytes.clone(), PreparedProposal { proposal, holds: true, instructions });
        lead.previous = hash;
        lead.sequence += 1;
        metrics::BLOCK_BYTES.histogram(&[]).record(bytes.len() as f64);
        metrics::BLOCK_ITEMS.histogram(&[]).record(items as f64);
        // What was signed in one term is of no use in another, and nobody takes it there.
        let vote = self.raft.server_metrics().borrow().vote;
        if (vote.leader_id.term, vote.leader_id.node_id) != (lead.term, self.node) {
            for reply in replies {
                let _ = reply.send(Err(NotPlaced::NotLeader));
            }
            return false;
        }
        let started = Instant::now();
        let receiver = match self.raft.client_write_ff(ProposalBytes(bytes)).await {
            Ok(receiver) => receiver,
            Err(error) => {
                warn!(%error, "Raft takes no more proposals");
                self.spent.fetch_max(lead.term, Ordering::Relaxed);
                for reply in replies {
                    let _ = reply.send(Err(NotPlaced::NotLeader));
                }
                return false;
            }
        };
        underway.push(Box::pin(async move {
            let limit = limits::PROPOSAL_TIMEOUT;
            let executed = match tokio::time::timeout(limit, receiver).await {
                Ok(Ok(Ok(response))) => {
                    metrics::COMMIT_SECONDS.histogram(&[]).record(started.elapsed());
                    Ok(response.data)
                }
                _ => Err(NotPlaced::Unknown),
            };
            (replies, executed)
        }));
        true
    }

    /// Tells the submitters. False if the proposal did not become a block: the chain of proposals that
    /// this node had in mind is then not the log's.
    fn deliver(&self, (replies, executed): Outcome, term: u64) -> bool {
        match executed {
            Ok(Executed(Some(block))) => {
                for (reply, decision) in replies.into_iter().zip(block.decisions.iter().copied()) {
                    // A submitter that has gone away asks again with its id.
                    let _ = reply.send(Ok(Placed { executed: block.clone(), decision }));
                }
                true
            }
            Ok(Executed(None)) => {
                // Void: it has burnt nothing but its place.
                for reply in replies {
                    let _ = reply.send(Err(NotPlaced::NotLeader));
                }
                false
            }
            Err(unknown) => {
                self.spent.fetch_max(term, Ordering::Relaxed);
                for reply in replies {
                    let _ = reply.send(Err(unknown));
                }
                false
            }
        }
    }
}
