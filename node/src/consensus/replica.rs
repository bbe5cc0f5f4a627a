//! The replica: what the API holds of consensus. Any member may be asked to write or read; what
//! needs the leader is forwarded to it.

use std::sync::Arc;
use std::sync::RwLockReadGuard;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::apply::Decision;
use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::state::State;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use openraft::ServerState;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::Raft;
use super::admission::Admission;
use super::admission::Full;
use super::admission::Room;
use super::admission::checking::Checking;
use super::admission::checking::Sender;
use super::admission::checking::Unchecked;
use super::admission::queue::Queue;
use super::admission::queue::Weight;
use super::answer;
use super::answer::Subject;
use super::builder::NotPlaced;
use super::builder::Placed;
use super::builder::Submission;
use super::candidacy::Candidacy;
use super::executor::Executor;
use super::finality::Finality;
use super::forwarder::Forward;
use super::forwarder::Forwarder;
use super::network::Peers;
use super::oversight::Oversight;
use super::preparer::Preparer;
use super::space::Space;
use crate::clock::Clock;
use crate::defect;
use crate::defect::Defect;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::state::StateStore;
use crate::telemetry::excess::Bound;
use crate::telemetry::metrics;

/// This node's part in consensus.
pub struct Replica {
    /// This node.
    pub(super) node: u64,
    pub(super) raft: Raft,
    pub(super) executor: Arc<Executor>,
    pub(super) preparer: Arc<Preparer>,
    pub(super) finality: Arc<Finality>,
    pub(super) space: Arc<Space>,
    pub(super) peers: Peers,
    pub(super) clock: Clock,
    pub(super) queue: Arc<Queue<Submission>>,
    /// The room for instructions on their way.
    pub(super) admission: Admission,
    pub(super) checking: Checking,
    pub(super) forwarder: Forwarder,
    pub(super) oversight: Arc<Oversight>,
    pub(super) candidacy: Arc<Candidacy>,
    pub(super) barriers: mpsc::Sender<oneshot::Sender<Result<(), Unavailable>>>,
    pub(super) applied_index: watch::Receiver<u64>,
    /// The last term in which this node proposes nothing more.
    pub(super) spent: Arc<AtomicU64>,
}

/// What became of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The ledger decided, now or before.
    Decided(Box<v1::InstructionResult>),
    /// Not taken: it burnt nothing and left nothing.
    Refused(Reason),
    /// Not judged.
    Unavailable(Unavailable),
}

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nobody leads that could be reached in time; nothing was proposed.
    #[error("no leader could be reached in time")]
    NoLeader,
    /// An institution has all of its share; nothing was proposed.
    #[error(transparent)]
    Full(#[from] Full),
    /// Too many wait for the same; nothing was proposed.
    #[error("too many wait")]
    Overloaded,
    /// Certificates lag so far behind that nothing new is admitted; nothing was proposed. These
    /// institutions' signatures are missing.
    #[error("certificates lag: the signatures of {0:?} are missing")]
    CertificatesLag(Arc<[Bic]>),
    /// This node is short of disk space and takes nothing new; nothing was proposed.
    #[error(
        "{free} bytes are free for this node's data; it takes instructions again with {missing} more"
    )]
    DiskShort {
        /// Free bytes.
        free: u64,
        /// Bytes to free until it takes instructions again.
        missing: u64,
    },
    /// What was asked for is ordered and not final in time.
    #[error("it is ordered and not final yet")]
    NotFinal,
    /// It may have been ordered or not; asking again with the same id tells.
    #[error("whether it was ordered is not known yet")]
    Unknown,
    /// This node's storage failed; the node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

impl From<StorageError> for Unavailable {
    fn from(error: StorageError) -> Unavailable {
        super::read_failed(&error);
        Unavailable::Stopping
    }
}

impl From<Unchecked> for Submitted {
    fn from(unchecked: Unchecked) -> Submitted {
        match unchecked {
            Unchecked::Refused(reason) => Submitted::Refused(reason),
            Unchecked::Impatient(sender) => Submitted::Unavailable(sender.into()),
        }
    }
}

impl From<Sender> for Unavailable {
    /// What a sender is told whose instructions are not looked at any more.
    fn from(sender: Sender) -> Unavailable {
        match sender {
            Sender::Client(institution) => Full { institution, bound: Bound::Signatures }.into(),
            Sender::Node(_) => Unavailable::Overloaded,
        }
    }
}

impl Replica {
    /// This node's id.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// The state after the last block executed here.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.executor.state()
    }

    /// Blocks and indices.
    pub fn store(&self) -> &StateStore {
        self.executor.store()
    }

    /// The height of the last block executed here, as it grows.
    pub fn height(&self) -> watch::Receiver<u64> {
        self.executor.height()
    }

    /// What is final, and how finality stands.
    pub fn finality(&self) -> &Arc<Finality> {
        &self.finality
    }

    /// Whether this node takes anything new: certificates come, and there is space.
    pub fn admits(&self) -> Result<(), Unavailable> {
        self.finality.admits()?;
        self.space.admits()
    }

    /// What is left of the disk.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The other nodes.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// This node's role and term, the last index of its log and the last one it has executed.
    pub fn raft_figures(&self) -> (v1::NodeRole, u64, u64, u64) {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let role = match metrics.state {
            ServerState::Leader => v1::NodeRole::Leader,
            ServerState::Candidate => v1::NodeRole::Candidate,
            ServerState::Learner => v1::NodeRole::Learner,
            ServerState::Follower => v1::NodeRole::Follower,
            ServerState::Shutdown => v1::NodeRole::Unspecified,
        };
        let applied = *self.applied_index.borrow();
        (role, metrics.current_term, metrics.last_log_index.unwrap_or(0), applied)
    }

    /// The node that leads, as far as this one knows.
    pub fn leader(&self) -> Option<u64> {
        self.raft.metrics().borrow().current_leader
    }

    /// Instructions that wait for a block here.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The room that instructions on their way have here.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Submits a SignedInstruction of an institution and waits until it is decided, at the latest until
    /// the deadline.
    pub async fn submit(&self, bytes: Bytes, caller: &Bic, deadline: Instant) -> Submitted {
        let submitted = match self.check(bytes, Sender::Client(*caller)).await {
            Ok(prepared) => self.try_submit(prepared, deadline).await,
            Err(unchecked) => unchecked.into(),
        };
        Replica::counted(submitted)
    }

    /// Submits instructions that a node forwards, and waits until they are decided.
    pub async fn submit_forwarded(
        &self,
        instructions: Vec<Bytes>,
        node: u64,
        deadline: Instant,
    ) -> Vec<Submitted> {
        let mut told = Vec::with_capacity(instructions.len());
        let mut underway = FuturesOrdered::new();
        for (number, bytes) in (1..).zip(instructions) {
            // The signature, not the forwarding node, says whose instruction it is.
            let checked = self.check(bytes, Sender::Node(node)).await;
            underway.push_back(async move {
                Replica::counted(match checked {
                    Ok(prepared) => self.try_submit(prepared, deadline).await,
                    Err(unchecked) => unchecked.into(),
                })
            });
            if number % limits::CHECKS_BETWEEN_TURNS == 0 {
                // What was checked goes on its way, and others have their turn.
                if let Poll::Ready(Some(first)) = futures::poll!(underway.next()) {
                    told.push(first);
                }
                tokio::task::yield_now().await;
            }
        }
        told.extend(underway.collect::<Vec<_>>().await);
        told
    }

    /// What was not taken is counted.
    fn counted(submitted: Submitted) -> Submitted {
        let cause = match &submitted {
            Submitted::Decided(_) => return submitted,
            Submitted::Refused(reason) => reason.name(),
            Submitted::Unavailable(Unavailable::NoLeader) => "NO_LEADER",
            Submitted::Unavailable(Unavailable::Full(_) | Unavailable::Overloaded) => "OVERLOADED",
            Submitted::Unavailable(Unavailable::CertificatesLag(_)) => "CERTIFICATES_LAG",
            Submitted::Unavailable(Unavailable::DiskShort { .. }) => "DISK_SHORT",
            Submitted::Unavailable(Unavailable::NotFinal) => "NOT_FINAL",
            Submitted::Unavailable(Unavailable::Unknown) => "UNKNOWN",
            Submitted::Unavailable(Unavailable::Stopping) => "STOPPING",
        };
        metrics::ADMISSION_REFUSED.increment(&[("cause", cause)]);
        submitted
    }

    async fn try_submit(&self, prepared: Prepared, deadline: Instant) -> Submitted {
        let mut proposed = false;
        let mut room: Option<Room> = None;
        loop {
            match self.decided(&prepared) {
                Ok(Some(Ok(result))) => return Submitted::Decided(Box::new(result)),
                Ok(Some(Err(reason))) => return Submitted::Refused(reason),
                Ok(None) => {}
                Err(unavailable) => return Submitted::Unavailable(unavailable),
            }
            // Reasons 3xx are the ledger's to say, in a block: by this node's clock and view alone it
            // could refuse what an earlier sending has brought into one.
            if let Err(reason) = prepared.authorised(self.state().registry()) {
                return Submitted::Refused(reason);
            }
            let room = match &room {
                Some(room) => Room::clone(room),
                None => match self.admission.room(&prepared.instruction) {
                    Ok(taken) => room.insert(taken).clone(),
                    Err(full) => return Submitted::Unavailable(full.into()),
                },
            };
            let submitted = match (self.admits(), self.leader()) {
                (Err(unavailable), _) => Submitted::Unavailable(unavailable),
                (Ok(()), Some(leader)) if leader == self.node => {
                    self.submit_here(prepared.clone(), room, deadline).await
                }
                (Ok(()), Some(_)) => self.forward(&prepared, room, deadline).await,
                (Ok(()), None) => Submitted::Unavailable(Unavailable::NoLeader),
            };
            match submitted {
                Submitted::Unavailable(Unavailable::NoLeader) => {}
                // What is refused now says nothing of what was proposed before.
                Submitted::Unavailable(
                    Unavailable::Full(_)
                    | Unavailable::Overloaded
                    | Unavailable::CertificatesLag(_)
                    | Unavailable::DiskShort { .. },
                ) if proposed => {}
                Submitted::Unavailable(Unavailable::Unknown) => proposed = true,
                decided => return decided,
            }
            let pause = limits::LEADER_RETRY_INTERVAL;
            if Instant::now() + pause >= deadline {
                return Submitted::Unavailable(if proposed {
                    Unavailable::Unknown
                } else {
                    Unavailable::NoLeader
                });
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Shape and signature, and that a client hands in its own institution's alone.
    pub(super) async fn check(&self, bytes: Bytes, sender: Sender) -> Result<Prepared, Unchecked> {
        let prepared = self.checking.check(bytes, sender).await?;
        match sender {
            Sender::Client(own) if own != prepared.instruction.institution => {
                Err(Unchecked::Refused(Reason::SignerNotCaller))
            }
            _ => Ok(prepared),
        }
    }

    /// The original decision, if the id has one: the same content gets it back, whatever has expired
    /// since; other content is refused.
    fn decided(
        &self,
        prepared: &Prepared,
    ) -> Result<Option<Result<v1::InstructionResult, Reason>>, Unavailable> {
        let instruction = &prepared.instruction;
        let Some((hash, position)) = self.find(&instruction.institution, &instruction.id)? else {
            return Ok(None);
        };
        if hash != instruction.hash {
            return Ok(Some(Err(Reason::IdReused)));
        }
        self.result(&instruction.institution, &instruction.id, &hash, position, true)
            .map(|result| Some(Ok(result)))
    }

    /// Where an id was decided, at any time.
    pub fn find(
        &self,
        institution: &Bic,
        id: &InstructionId,
    ) -> Result<Option<(Hash, Position)>, Unavailable> {
        if let Some(found) = self.state().recent_id(institution, id) {
            return Ok(Some(found));
        }
        let found = self.store().find_id(institution, id)?;
        Ok(found.map(|record| (record.instruction_hash, record.position)))
    }

    /// The decision at a position.
    pub fn result(
        &self,
        institution: &Bic,
        id: &InstructionId,
        hash: &Hash,
        position: Position,
        replayed: bool,
    ) -> Result<v1::InstructionResult, Unavailable> {
        let header = self.store().header(position.height)?.ok_or(Unavailable::Stopping)?;
        let leaves = self.store().leaves(position.height)?.ok_or(Unavailable::Stopping)?;
        let subject = Subject { id, institution: institution.as_str(), hash };
        answer::result(&subject, &header, &leaves, position, replayed).ok_or(Unavailable::Stopping)
    }

    /// As the leader.
    async fn submit_here(&self, prepared: Prepared, room: Room, deadline: Instant) -> Submitted {
        let (reply, decided) = oneshot::channel();
        let instruction = prepared.instruction.clone();
        let weight = Weight::of(&instruction);
        if !self.queue.push(instruction.institution, weight, Submission { prepared, reply, room }) {
            return Submitted::Unavailable(Unavailable::Stopping);
        }
        let placed = match tokio::time::timeout_at(deadline.into(), decided).await {
            Ok(Ok(Ok(placed))) => placed,
            Ok(Ok(Err(NotPlaced::NotLeader))) => {
                return Submitted::Unavailable(Unavailable::NoLeader);
            }
            Ok(Ok(Err(NotPlaced::CertificatesLag))) => {
                return Submitted::Unavailable(self.finality.lagging());
            }
            _ => return Submitted::Unavailable(Unavailable::Unknown),
        };
        self.told(&instruction, &placed)
    }

    fn told(
        &self,
        instruction: &counterfoil_ledger::instruction::Instruction,
        placed: &Placed,
    ) -> Submitted {
        let (institution, id, hash) =
            (&instruction.institution, &instruction.id, &instruction.hash);
        let result = match placed.decision {
            Decision::Refused(reason) => match self.find(institution, id) {
                // Decided so long ago that apply alone does not remember it.
                Ok(Some((decided, position))) if decided == *hash => {
                    self.result(institution, id, hash, position, true)
                }
                Ok(_) => return Submitted::Refused(reason),
                Err(unavailable) => Err(unavailable),
            },
            Decision::Replayed(position) => self.result(institution, id, hash, position, true),
            Decision::Decided(position) => {
                let block = &placed.executed.block;
                let subject = Subject { id, institution: institution.as_str(), hash };
                answer::result(&subject, &block.header, &block.leaves, position, false)
                    .ok_or(Unavailable::Stopping)
            }
        };
        match result {
            Ok(result) => Submitted::Decided(Box::new(result)),
            Err(unavailable) => Submitted::Unavailable(unavailable),
        }
    }

    /// Hands an instruction to the leader.
    pub(super) async fn forward(
        &self,
        prepared: &Prepared,
        room: Room,
        deadline: Instant,
    ) -> Submitted {
        self.preparer.remember(prepared);
        let (reply, told) = oneshot::channel();
        let (institution, bytes) =
            (prepared.instruction.institution, prepared.instruction.bytes.clone());
        if !self.forwarder.send(institution, Forward { bytes, reply, room }) {
            return Submitted::Unavailable(Full { institution, bound: Bound::Queue }.into());
        }
        match tokio::time::timeout_at(deadline.into(), told).await {
            Ok(Ok(submitted)) => submitted,
            _ => Submitted::Unavailable(Unavailable::Unknown),
        }
    }

    /// Returns when this node has executed everything that was ordered before the call.
    pub async fn barrier(&self) -> Result<(), Unavailable> {
        if defect::is(Defect::LocalRead) {
            return Ok(());
        }
        let (done, waiting) = oneshot::channel();
        self.barriers.try_send(done).map_err(|_| Unavailable::Overloaded)?;
        waiting.await.map_err(|_| Unavailable::Stopping)?
    }

    /// Serves barriers: one round to the leader answers everyone who asked before it began.
    pub(super) async fn serve_barriers(
        self: Arc<Self>,
        mut barriers: mpsc::Receiver<oneshot::Sender<Result<(), Unavailable>>>,
    ) {
        let rounds = Arc::new(Semaphore::new(limits::BARRIER_ROUNDS_AT_ONCE));
        while let Some(first) = barriers.recv().await {
            // Each round asks every node: a flood of reads must not become one of rounds.
            let Ok(round) = rounds.clone().acquire_owned().await else { return };
            let mut waiting = vec![first];
            while let Ok(next) = barriers.try_recv() {
                waiting.push(next);
            }
            // A few rounds overlap: a slow one does not hold up those who ask after it.
            let replica = self.clone();
            tokio::spawn(async move {
                let limit = limits::BARRIER_TIMEOUT;
                let result = tokio::time::timeout(limit, replica.one_barrier())
                    .await
                    .unwrap_or(Err(Unavailable::NoLeader));
                drop(round);
                for done in waiting {
                    let _ = done.send(result.clone());
                }
            });
        }
    }

    async fn one_barrier(&self) -> Result<(), Unavailable> {
        loop {
            if let Some(index) = self.read_index().await {
                let mut applied = self.applied_index.clone();
                applied
                    .wait_for(|applied| *applied >= index)
                    .await
                    .map_err(|_| Unavailable::Stopping)?;
                return Ok(());
            }
            tokio::time::sleep(limits::LEADER_RETRY_INTERVAL).await;
        }
    }

    /// The leader's read index, from the leader.
    async fn read_index(&self) -> Option<u64> {
        let leader = self.leader()?;
        if leader == self.node {
            return self.own_read_index().await;
        }
        let mut request = tonic::Request::new(peer::GetReadIndexRequest {});
        request.set_timeout(limits::BARRIER_TIMEOUT);
        let mut client = self.peers.client(leader)?;
        let mut lead = self.raft.server_metrics();
        let response = tokio::select! {
            response = client.get_read_index(request) => response.ok()?,
            // A leader that is cut off must not hold up those who may ask the next.
            _ = lead.wait_for(|metrics| metrics.current_leader != Some(leader)) => return None,
        };
        Some(response.into_inner().raft_index)
    }

    /// The read index, if this node leads and a quorum confirms it.
    pub(super) async fn own_read_index(&self) -> Option<u64> {
        // The round that confirms it would keep a leader in office that only waits for the next one.
        let vote = self.raft.server_metrics().borrow().vote;
        if vote.leader_id.term <= self.spent.load(Ordering::Relaxed) {
            return None;
        }
        let (log_id, _) = self.raft.get_read_log_id().await.ok()?;
        Some(log_id.map_or(0, |id| id.index))
    }
}
