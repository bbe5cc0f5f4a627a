//! Instructions that nodes were asked to bring into a block. The node that was asked signs a promise
//! and tells the others; each then sees to it by itself. A leader brings what it sees to into its next
//! block, before everything else. A follower hands it to the leader, and holds it against a leader that
//! leaves it out while others' instructions could have been decided.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Wants;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::Instruction;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use tokio::sync::oneshot;
use tracing::error;
use tracing::warn;

use super::admission::Room;
use super::admission::checking::Sender;
use super::admission::checking::Unchecked;
use super::admission::queue::Weight;
use super::builder::Submission;
use super::distrust::Ground;
use super::distrust::Leader;
use super::held::Had;
use super::held::Handing;
use super::held::Held;
use super::held::Item;
use super::replica::Replica;
use super::replica::Unavailable;
use crate::limits;
use crate::telemetry::metrics;

/// Why no promise is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPromise {
    /// No block could take it.
    Refused(Reason),
    /// Not judged.
    Unavailable(Unavailable),
    /// An honest leader might be too late for it.
    EndsTooSoon,
    /// This node only follows, and its signature counts nowhere.
    Learner,
}

impl From<Reason> for NoPromise {
    fn from(reason: Reason) -> NoPromise {
        NoPromise::Refused(reason)
    }
}

impl From<Unchecked> for NoPromise {
    fn from(unchecked: Unchecked) -> NoPromise {
        match unchecked {
            Unchecked::Refused(reason) => NoPromise::Refused(reason),
            Unchecked::Impatient(sender) => NoPromise::Unavailable(sender.into()),
        }
    }
}

impl From<Unavailable> for NoPromise {
    fn from(unavailable: Unavailable) -> NoPromise {
        NoPromise::Unavailable(unavailable)
    }
}

/// [`limits::PROMISE_TIME`], in milliseconds.
const PROMISE_MS: u64 = limits::PROMISE_TIME.as_secs() * 1_000;

/// Sees to instructions.
pub struct Inclusion {
    replica: Arc<Replica>,
    signer: Arc<dyn Signer>,
    held: Mutex<Held>,
}

/// Since when a leader leads, as this node has seen it.
#[derive(Clone, Copy)]
struct Tenure {
    leader: Leader,
    since: Instant,
}

impl Inclusion {
    /// Of this node, which signs with its attestation key.
    pub fn new(replica: Arc<Replica>, signer: Arc<dyn Signer>) -> Inclusion {
        Inclusion { replica, signer, held: Mutex::default() }
    }

    /// Promises that an instruction will be in a block, and sees to it.
    pub async fn promise(&self, bytes: Bytes, caller: &Bic) -> Result<v1::Promise, NoPromise> {
        if self.replica.state().registry().voter(self.replica.node).is_none() {
            return Err(NoPromise::Learner);
        }
        let prepared = self.replica.check(bytes.clone(), Sender::Client(*caller)).await?;
        let hash = prepared.instruction.hash;
        let deadline_ms = self.replica.clock.now_ms().saturating_add(PROMISE_MS);
        let decided = self.check(&prepared)?;
        if !decided {
            self.replica.admits()?;
        }
        // Asked again, it is the same promise.
        let deadline_ms = self.promised_before(&hash).unwrap_or(deadline_ms);
        let promise = self.sign(&prepared, deadline_ms)?;
        if !decided && self.hold(prepared, Some(deadline_ms))? {
            metrics::PROMISES.increment(&[("result", "given")]);
            self.share(&bytes);
        }
        Ok(promise)
    }

    /// Sees to an instruction that another node has promised.
    pub async fn hold_shared(&self, bytes: Bytes, node: u64) -> Result<(), NoPromise> {
        let prepared = self.replica.check(bytes, Sender::Node(node)).await?;
        // Whoever has promised it has looked at how long it holds.
        if !self.is_decided(&prepared, self.replica.clock.now_ms())? {
            self.hold(prepared, None)?;
        }
        Ok(())
    }

    /// Whether it is decided already; fails if no block would take it until its time has come.
    fn check(&self, prepared: &Prepared) -> Result<bool, NoPromise> {
        let now_ms = self.replica.clock.now_ms();
        let latest_ms = now_ms.saturating_add(PROMISE_MS + limits::STAMP_AHEAD_MS_MAX);
        let decided = self.is_decided(prepared, now_ms)?;
        // A stamp may be ahead of this node's clock.
        if !decided && prepared.instruction.valid_until_ms < latest_ms {
            return Err(NoPromise::EndsTooSoon);
        }
        Ok(decided)
    }

    /// Whether it is decided already; fails if no block would take it now.
    fn is_decided(&self, prepared: &Prepared, now_ms: u64) -> Result<bool, NoPromise> {
        let instruction = &prepared.instruction;
        if let Some((hash, _)) = self.replica.find(&instruction.institution, &instruction.id)? {
            return if hash == instruction.hash { Ok(true) } else { Err(Reason::IdReused.into()) };
        }
        prepared.authorised(self.replica.state().registry())?;
        self.admits(instruction, now_ms)?;
        Ok(false)
    }

    /// Reasons 3xx, at a moment.
    fn admits(&self, instruction: &Instruction, now_ms: u64) -> Result<(), NoPromise> {
        let mut wants = Wants::default();
        wants.headers.extend(instruction.anchor.map(|(height, _)| height));
        let facts = self.replica.store().facts(&wants).map_err(Unavailable::from)?;
        Ok(self.replica.state().admits(instruction, now_ms, &facts)?)
    }

    fn sign(&self, prepared: &Prepared, deadline_ms: u64) -> Result<v1::Promise, NoPromise> {
        let hash = prepared.instruction.hash;
        let payload = [&hash.as_bytes()[..], &deadline_ms.to_be_bytes()].concat();
        let chain_id = self.replica.state().chain_id();
        let preimage = signature::preimage(Label::Promise, &chain_id, &payload);
        let value = self.signer.sign(&preimage).map_err(|error| {
            error!(%error, "the attestation key did not sign a promise");
            Unavailable::Stopping
        })?;
        let value = Bytes::copy_from_slice(&value);
        Ok(v1::Promise {
            instruction_hash: Bytes::copy_from_slice(hash.as_bytes()),
            deadline_ms,
            signature: Some(v1::NodeSignature { node: self.replica.node(), value }),
        })
    }

    fn promised_before(&self, hash: &Hash) -> Option<u64> {
        self.held().get_mut(hash)?.promised_ms
    }

    /// True if this node has promised it only now.
    fn hold(&self, prepared: Prepared, promised_ms: Option<u64>) -> Result<bool, Unavailable> {
        let mut held = self.held();
        if let Some(item) = held.get_mut(&prepared.instruction.hash) {
            let first = item.promised_ms.is_none() && promised_ms.is_some();
            item.promised_ms = item.promised_ms.or(promised_ms);
            return Ok(first);
        }
        held.insert(prepared, Instant::now(), promised_ms)?;
        Ok(promised_ms.is_some())
    }

    /// Tells the other nodes. Who is not reached is handed it later, if it leads.
    fn share(&self, bytes: &Bytes) {
        for (node, mut client) in self.replica.peers().voters() {
            let message = peer::ShareInstructionRequest { signed_instruction: bytes.clone() };
            let mut request = tonic::Request::new(message);
            request.set_timeout(limits::INCLUSION_TIME);
            tokio::spawn(async move {
                if let Err(status) = client.share_instruction(request).await {
                    warn!(peer = node, %status, "a peer does not see to a promised instruction");
                    metrics::PEER_FAILURES.increment(&[("peer", &node.to_string())]);
                }
            });
        }
    }

    /// Looks after what is held, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut tenure: Option<Tenure> = None;
        let (mut height, mut looked_at) = (0, Instant::now());
        loop {
            tokio::time::sleep(limits::INCLUSION_INTERVAL).await;
            let (newest, now) = (*self.replica.height().borrow(), Instant::now());
            // Where this node itself has slept nobody has had that time.
            let passed = (now - looked_at).min(2 * limits::INCLUSION_INTERVAL);
            let brings = std::mem::replace(&mut height, newest) < newest && self.keeps_up();
            // Where certificates lag an honest leader brings nothing in. One that does has no excuse.
            let could = brings || (self.replica.finality().admits().is_ok() && self.keeps_up());
            let counted = |counts: bool| if counts { passed } else { Duration::ZERO };
            let had = Had { could: counted(could), brought: counted(brings) };
            looked_at = now;
            let leader = self.replica.oversight.leader();
            if tenure.map(|tenure| tenure.leader) != leader {
                tenure = leader.map(|leader| Tenure { leader, since: Instant::now() });
            }
            let count = self.look_after(tenure, had);
            metrics::HELD_INSTRUCTIONS.set(count as f64);
        }
    }

    fn look_after(self: &Arc<Self>, tenure: Option<Tenure>, had: Had) -> usize {
        let (now, now_ms) = (Instant::now(), self.replica.clock.now_ms());
        let mut due = Vec::new();
        let mut held = self.held();
        if held.len() == 0 {
            return 0;
        }
        held.retain(|item| {
            if self.is_over(item, now_ms) {
                return false;
            }
            if let Some(tenure) = tenure {
                item.handing.count(tenure.leader, had);
                if self.is_to_hand(item, tenure, now) {
                    item.handing.is_under_way = true;
                    item.handing.tried = Some(now);
                    due.push((item.prepared.clone(), item.room.clone(), tenure.leader));
                }
                if self.is_left_out(item, tenure, now, now_ms) {
                    self.replica.oversight.accuse(tenure.leader, Ground::Censors);
                }
            }
            true
        });
        let count = held.len();
        drop(held);
        for (prepared, room, leader) in due {
            self.clone().hand(prepared, room, leader);
        }
        count
    }

    /// Decided, or too late for every honest leader. Counts what became of the promise.
    fn is_over(&self, item: &mut Item, now_ms: u64) -> bool {
        let instruction = &item.prepared.instruction;
        let (institution, id) = (&instruction.institution, &instruction.id);
        let decided = self.replica.state().recent_id(institution, id).is_some();
        if let Some(promised_ms) = item.promised_ms.filter(|_| !item.broken) {
            if decided {
                metrics::PROMISES.increment(&[("result", "kept")]);
            } else if now_ms > promised_ms {
                item.broken = true;
                metrics::PROMISES.increment(&[("result", "broken")]);
                warn!(%institution, "an instruction that this node has promised is in no block in time");
            }
        }
        decided || instruction.valid_until_ms.saturating_add(limits::STAMP_AHEAD_MS_MAX) < now_ms
    }

    /// A leader brings it in at once. A follower hands it over when the leader, which was told as well,
    /// has had half of the time; to a new leader at once; and again until the leader has taken it.
    fn is_to_hand(&self, item: &Item, tenure: Tenure, now: Instant) -> bool {
        let Handing { is_under_way, tried, .. } = item.handing;
        if is_under_way {
            return false;
        }
        if tenure.leader.node == self.replica.node() {
            return true;
        }
        let pauses = tried.is_some_and(|tried| now - tried < limits::HAND_OVER_INTERVAL);
        !pauses && (tenure.since > item.since || now - item.since >= limits::INCLUSION_TIME / 2)
    }

    /// Whether this leader has had all the time that a leader has, and could have used it.
    fn is_left_out(&self, item: &Item, tenure: Tenure, now: Instant, now_ms: u64) -> bool {
        let begun = item.since.max(tenure.since);
        if tenure.leader.node == self.replica.node()
            || now - begun < limits::INCLUSION_TIME
            || !item.handing.is_to_blame()
        {
            return false;
        }
        let instruction = &item.prepared.instruction;
        let ahead_ms = now_ms.saturating_add(limits::STAMP_AHEAD_MS_MAX);
        self.keeps_up()
            && self.admits(instruction, now_ms).is_ok()
            && self.admits(instruction, ahead_ms).is_ok()
    }

    /// Whether this node executes what it is sent: what is in a block that it has not come to yet is not
    /// left out.
    fn keeps_up(&self) -> bool {
        let (_, _, last, applied) = self.replica.raft_figures();
        last <= applied.saturating_add(limits::JUDGE_BEHIND_MAX)
    }

    fn hand(self: Arc<Self>, prepared: Prepared, room: Room, leader: Leader) {
        let hash = prepared.instruction.hash;
        tokio::spawn(async move {
            let taken = if leader.node == self.replica.node() {
                let (reply, placed) = oneshot::channel();
                let institution = prepared.instruction.institution;
                let weight = Weight::of(&prepared.instruction);
                // One that nobody takes out any more is dropped, and its reply with it.
                let submission = Submission { prepared, reply, room };
                self.replica.queue.push_urgent(institution, weight, submission);
                // A builder that does not lead yet sends back what it is given.
                matches!(placed.await, Ok(Ok(_)))
            } else {
                let taken = self.tell(&prepared, leader).await;
                drop(room);
                taken
            };
            self.handed(&hash, leader, taken);
        });
    }

    /// Tells the leader to see to it, as it was told before: there it comes before everything else,
    /// and what its queues have no room for does not matter. Whether it says that it does.
    async fn tell(&self, prepared: &Prepared, leader: Leader) -> bool {
        let Some(mut client) = self.replica.peers().client(leader.node) else { return false };
        let signed_instruction = prepared.instruction.bytes.clone();
        let message = peer::ShareInstructionRequest { signed_instruction };
        let mut request = tonic::Request::new(message);
        request.set_timeout(limits::HAND_OVER_TIMEOUT);
        let telling = client.share_instruction(request);
        let told = tokio::time::timeout(limits::HAND_OVER_TIMEOUT, telling).await;
        let taken = matches!(told, Ok(Ok(_)));
        if !taken {
            metrics::PEER_FAILURES.increment(&[("peer", &leader.node.to_string())]);
        }
        taken
    }

    fn handed(&self, hash: &Hash, leader: Leader, taken: bool) {
        if let Some(item) = self.held().get_mut(hash)
            && item.handing.leader == Some(leader)
        {
            item.handing.is_under_way = taken;
            item.handing.is_taken = taken;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
