//! What stands before Raft: openraft believes whom it hears, and this does not. A message passes if an
//! honest leader can have sent it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use counterfoil_ledger::proposal::PROPOSAL_HEADER_LENGTH;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::registry::Registry;
use openraft::EmptyNode;
use openraft::EntryPayload;
use openraft::LogId;
use openraft::Membership;
use openraft::error::RaftError;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::error;
use tracing::warn;

use super::ProposalBytes;
use super::Types;
use super::distrust::Ground;
use super::distrust::Leader;
use super::replica::Replica;
use crate::defect;
use crate::defect::Defect;
use crate::limits;
use crate::telemetry::metrics;

/// Refuses a peer's message, and counts it.
pub fn refuse(sender: u64, rule: &'static str) -> Status {
    warn!(sender, rule, "refused a peer's message");
    metrics::PEER_MESSAGES_REFUSED.increment(&[("peer", &sender.to_string()), ("rule", rule)]);
    Status::permission_denied(rule)
}

/// Judges what other nodes send to Raft.
pub struct Firewall {
    replica: Arc<Replica>,
    /// Whose turn it is, for each sender: one of its messages is judged at a time.
    turns: BTreeMap<u64, Arc<Semaphore>>,
    /// It has been said that this node may be apart from the others.
    apart: AtomicBool,
}

impl Firewall {
    /// Before a replica's Raft.
    pub fn new(replica: Arc<Replica>) -> Firewall {
        let turn = |id| (id, Arc::new(Semaphore::new(1)));
        let turns = replica.state().registry().nodes().map(|node| turn(node.id)).collect();
        Firewall { replica, turns, apart: AtomicBool::new(false) }
    }

    /// Hands entries to Raft if they are an honest leader's.
    pub async fn append(
        self: &Arc<Self>,
        sender: u64,
        append: AppendEntriesRequest<Types>,
    ) -> Result<AppendEntriesResponse<u64>, Status> {
        self.check_vote(sender, &append.vote)?;
        self.check_order(sender, &append)?;
        if !defect::is(Defect::FirewallOff) {
            self.check_entries(sender, &append)?;
            self.check_places(sender, &append)?;
        }
        // A heartbeat waits for nothing.
        if append.entries.is_empty() {
            return self.replica.raft.append_entries(append).await.map_err(failed);
        }
        let arrived_ms = self.replica.clock.now_ms();
        let gone = |_| Status::unavailable("this node is stopping");
        let unknown = || Status::unavailable("the sender is no node of this consortium");
        let turn = self.turns.get(&sender).ok_or_else(unknown)?.clone();
        let turn = turn.acquire_owned().await.map_err(|_| gone(()))?;
        // What was begun is ended though the sender waits no longer: it sends the same again, and
        // would get no further with it.
        let firewall = self.clone();
        let judged = tokio::spawn(async move {
            let _turn = turn;
            firewall.judge_and_append(sender, append, arrived_ms).await
        });
        judged.await.map_err(|_| gone(()))?
    }

    async fn judge_and_append(
        &self,
        sender: u64,
        append: AppendEntriesRequest<Types>,
        arrived_ms: u64,
    ) -> Result<AppendEntriesResponse<u64>, Status> {
        let executed = self.replica.raft.metrics().borrow().last_applied;
        let proposals: Vec<Bytes> = append
            .entries
            .iter()
            // What is executed stands in the log under this id already: Raft does not look at it.
            .filter(|entry| executed.is_none_or(|executed| executed.index < entry.log_id.index))
            .filter_map(|entry| match &entry.payload {
                EntryPayload::Normal(proposal) => Some(proposal.0.clone()),
                EntryPayload::Blank | EntryPayload::Membership(_) => None,
            })
            .collect();
        if !self.replica.preparer.begin(proposals).await {
            return Err(refuse(sender, "a proposal is not what its proposer signed"));
        }
        // More may have been executed meanwhile.
        self.check_order(sender, &append)?;
        let (leader, stamps) = (leader_of(&append), self.fresh_stamps(&append));
        let response = self.replica.raft.append_entries(append).await.map_err(failed)?;
        if response == AppendEntriesResponse::Success {
            let oversight = &self.replica.oversight;
            for stamp in stamps {
                if oversight.distrust().stamped(leader, stamp, arrived_ms) {
                    oversight.accuse(leader, Ground::Lags);
                }
            }
        }
        Ok(response)
    }

    /// The stamps of what is new to this node and on its way still: what a node catches up on was
    /// stamped when it was proposed, and says nothing of the leader's clock.
    fn fresh_stamps(&self, append: &AppendEntriesRequest<Types>) -> Vec<u64> {
        let last = self.replica.raft.metrics().borrow().last_log_index;
        let committed = append.leader_commit.map(|id| id.index);
        let is_fresh = |index: u64| last < Some(index) && committed < Some(index);
        let fresh = append.entries.iter().filter(|entry| is_fresh(entry.log_id.index));
        fresh
            .filter_map(|entry| match &entry.payload {
                EntryPayload::Normal(proposal) => header_of(proposal).map(|it| it.stamp_ms),
                EntryPayload::Blank | EntryPayload::Membership(_) => None,
            })
            .collect()
    }

    /// A vote speaks for its sender, which has to be a voter, and in a term that there was time to get
    /// to.
    pub fn check_vote(&self, sender: u64, vote: &openraft::Vote<u64>) -> Result<(), Status> {
        if vote.leader_id.node_id != sender {
            return Err(refuse(sender, "a node speaks for itself alone"));
        }
        if self.replica.state().registry().voter(sender).is_none() {
            return Err(refuse(sender, "a learner neither leads nor stands"));
        }
        if !self.replica.peers().terms().holds(vote.leader_id.term) {
            return Err(refuse(sender, "the term leaps"));
        }
        Ok(())
    }

    /// Entries follow what is before them, one by one and in terms that only grow, up to that of who
    /// sends them; and none differs from what is executed here. openraft asserts all of this instead
    /// of asking: one message without it would end this node.
    fn check_order(&self, sender: u64, append: &AppendEntriesRequest<Types>) -> Result<(), Status> {
        let executed = self.replica.raft.metrics().borrow().last_applied;
        let mut before = append.prev_log_id;
        if let Some(previous) = before {
            self.check_executed(append, previous, executed)?;
        }
        for entry in &append.entries {
            let follows = match before {
                None => entry.log_id.index == 0,
                Some(before) => {
                    before.index.checked_add(1) == Some(entry.log_id.index)
                        && before.leader_id <= entry.log_id.leader_id
                }
            };
            if !follows {
                return Err(refuse(sender, "the entries do not follow each other"));
            }
            self.check_executed(append, entry.log_id, executed)?;
            before = Some(entry.log_id);
        }
        let sent_as = (append.vote.leader_id.term, append.vote.leader_id.node_id);
        let is_later = |it: LogId<u64>| (it.leader_id.term, it.leader_id.node_id) > sent_as;
        if before.is_some_and(is_later) {
            return Err(refuse(sender, "an entry is of a later term than its sender"));
        }
        Ok(())
    }

    /// What is executed stands in the log for ever.
    fn check_executed(
        &self,
        append: &AppendEntriesRequest<Types>,
        entry: LogId<u64>,
        executed: Option<LogId<u64>>,
    ) -> Result<(), Status> {
        let Some(executed) = executed.filter(|executed| entry.index <= executed.index) else {
            return Ok(());
        };
        if entry == executed {
            return Ok(());
        }
        let log = self.replica.store().log();
        let own = log.entry_id(entry.index).map_err(|error| {
            super::read_failed(&error);
            Status::unavailable("the log could not be read")
        })?;
        let theirs = (entry.leader_id.term, entry.leader_id.node_id);
        match own {
            Some(own) if (own.term, own.node) != theirs => {
                let leader = leader_of(append);
                self.may_be_apart(leader, entry.index);
                Err(refuse(leader.node, "an entry differs from one that is executed"))
            }
            // What is purged can be compared no more.
            Some(_) | None => Ok(()),
        }
    }

    /// Either this leader lies, or an earlier one had this node execute what no majority had. Then this
    /// node can follow nobody any more: signatures of the others that contradict it stop it, if there
    /// are any, and somebody has to be told in any case.
    fn may_be_apart(&self, leader: Leader, index: u64) {
        let current = self.replica.raft.metrics().borrow().current_term;
        if leader.term < current || self.apart.swap(true, Ordering::SeqCst) {
            return;
        }
        let Leader { node, term } = leader;
        error!(
            leader = node,
            term,
            index,
            "a leader's entry differs from one that is executed here: if the others go on without \
             this node, it has executed what they never agreed on, and has to be restored under a \
             new node id"
        );
    }

    /// Entries are of a block's size, their stamps not ahead of this node's clock, and the
    /// membership is the registry's.
    fn check_entries(
        &self,
        sender: u64,
        append: &AppendEntriesRequest<Types>,
    ) -> Result<(), Status> {
        let now_ms = self.replica.clock.now_ms();
        let leader = leader_of(append);
        let distrust = self.replica.oversight.distrust();
        if let Some(rule) = distrust.refuses_entries(leader, now_ms) {
            return Err(Status::permission_denied(rule));
        }
        for entry in &append.entries {
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(proposal) => {
                    if proposal.0.len() > limits::BLOCK_BYTES_MAX {
                        return Err(refuse(sender, "a proposal is larger than a block"));
                    }
                    // The rest of it is judged when it is known whose it is.
                    let Some(stamp) = header_of(proposal).map(|it| it.stamp_ms) else { continue };
                    if stamp > now_ms + limits::STAMP_AHEAD_MS_MAX {
                        distrust.hasten(leader, stamp - limits::STAMP_AHEAD_MS_MAX);
                        return Err(refuse(sender, "a stamp is ahead of this node's clock"));
                    }
                }
                EntryPayload::Membership(membership) => {
                    if !is_registered(membership, self.replica.state().registry()) {
                        return Err(refuse(sender, "the membership is not the registry's"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Every entry is one that its place in the log can have. Otherwise a leader could give one node
    /// something else than the rest, in the same place, without a signature that convicts it.
    fn check_places(
        &self,
        sender: u64,
        append: &AppendEntriesRequest<Types>,
    ) -> Result<(), Status> {
        let mut before = append.prev_log_id;
        for entry in &append.entries {
            if let Some(rule) = out_of_place(before, entry) {
                return Err(refuse(sender, rule));
            }
            before = Some(entry.log_id);
        }
        Ok(())
    }
}

/// The voters of a membership are the registry's, and who follows is a learner of the registry.
pub(super) fn is_registered(membership: &Membership<u64, EmptyNode>, registry: &Registry) -> bool {
    let follows = |id: u64| registry.node(id).is_some_and(|node| node.is_learner);
    membership.get_joint_config().len() == 1
        && membership.voter_ids().eq(registry.voters().map(|node| node.id))
        && membership.learner_ids().all(follows)
}

/// The log begins with the membership, every term with an empty entry; all the rest are proposals of
/// the term's leader, or memberships that it changed.
pub(super) fn out_of_place(
    before: Option<LogId<u64>>,
    entry: &openraft::Entry<Types>,
) -> Option<&'static str> {
    let id = entry.log_id;
    let is_membership = matches!(entry.payload, EntryPayload::Membership(_));
    let Some(before) = before else {
        let founds = id == LogId::default() && is_membership;
        return (!founds).then_some("the log does not begin with the membership");
    };
    let begins_term = before.leader_id != id.leader_id;
    match &entry.payload {
        EntryPayload::Blank => (!begins_term).then_some("an empty entry is within a term"),
        _ if begins_term => Some("a term does not begin with an empty entry"),
        EntryPayload::Membership(_) => None,
        EntryPayload::Normal(proposal) => {
            let place = (id.leader_id.term, id.leader_id.node_id);
            let fits = header_of(proposal).is_some_and(|it| (it.term, it.proposer) == place);
            (!fits).then_some("a proposal is not of its place's term and leader")
        }
    }
}

fn header_of(proposal: &ProposalBytes) -> Option<ProposalHeader> {
    ProposalHeader::decode(proposal.0.get(..PROPOSAL_HEADER_LENGTH)?)
}

fn leader_of(append: &AppendEntriesRequest<Types>) -> Leader {
    Leader { node: append.vote.leader_id.node_id, term: append.vote.leader_id.term }
}

/// What Raft does not answer.
pub fn failed<E: std::fmt::Debug>(error: RaftError<u64, E>) -> Status {
    Status::unavailable(format!("Raft: {error:?}"))
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::hash::Hash;
    use openraft::CommittedLeaderId;

    use super::*;
    use crate::consensus::suite;

    fn id(term: u64, node: u64, index: u64) -> LogId<u64> {
        LogId::new(CommittedLeaderId::new(term, node), index)
    }

    fn proposal(term: u64, proposer: u64) -> EntryPayload<Types> {
        let header = ProposalHeader { proposer, ..suite::empty_header((Hash::ZERO, 0), term, 1) };
        EntryPayload::Normal(ProposalBytes(header.encode().to_vec().into()))
    }

    fn refused(before: Option<LogId<u64>>, at: LogId<u64>, payload: EntryPayload<Types>) -> bool {
        out_of_place(before, &openraft::Entry { log_id: at, payload }).is_some()
    }

    #[test]
    fn the_log_begins_with_the_membership_and_a_term_never_does() {
        let membership = || EntryPayload::Membership(Membership::new(vec![], ()));
        let founding = LogId::default();
        assert!(!refused(None, founding, membership()));
        assert!(refused(None, founding, EntryPayload::Blank));
        assert!(refused(None, founding, proposal(0, 0)));
        assert!(refused(None, id(1, 2, 0), membership()));
        assert!(refused(Some(founding), id(1, 2, 1), membership()));
        assert!(!refused(Some(id(1, 2, 5)), id(1, 2, 6), membership()));
        assert!(refused(Some(id(1, 2, 5)), id(2, 2, 6), membership()));
    }

    #[test]
    fn an_empty_entry_begins_each_term_and_is_nowhere_else() {
        for (before, at) in [
            (LogId::default(), id(1, 2, 1)),
            (id(1, 2, 5), id(2, 2, 6)),
            (id(1, 2, 5), id(1, 3, 6)),
        ] {
            assert!(!refused(Some(before), at, EntryPayload::Blank), "{at}");
            let (term, node) = (at.leader_id.term, at.leader_id.node_id);
            assert!(refused(Some(before), at, proposal(term, node)), "{at}");
        }
        assert!(refused(Some(id(1, 2, 5)), id(1, 2, 6), EntryPayload::Blank));
    }

    #[test]
    fn a_proposal_is_of_its_place() {
        let (before, at) = (Some(id(7, 2, 5)), id(7, 2, 6));
        assert!(!refused(before, at, proposal(7, 2)));
        for (term, node) in [(6, 2), (8, 2), (7, 3)] {
            assert!(refused(before, at, proposal(term, node)), "{term} {node}");
        }
        let garbage = EntryPayload::Normal(ProposalBytes(Bytes::from_static(b"garbage")));
        assert!(refused(before, at, garbage));
    }
}
