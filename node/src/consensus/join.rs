//! Learners: a node that only follows asks to be let into the group, and the leader lets it in. A
//! learner of the registry that was never started asks for nothing and costs nothing.

use std::sync::Arc;

use counterfoil_proto::peer::v1;
use openraft::EmptyNode;
use openraft::metrics::RaftServerMetrics;
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::info;

use super::Raft;
use super::network::Peers;
use super::replica::Replica;
use crate::limits;
use crate::telemetry::metrics;

/// Lets learners in, on the node that leads: one at a time, for each is a change of the membership.
pub struct Admission {
    replica: Arc<Replica>,
    turn: Semaphore,
}

impl Admission {
    /// Into a replica's group.
    pub fn new(replica: Arc<Replica>) -> Admission {
        Admission { replica, turn: Semaphore::new(1) }
    }

    /// Lets a learner of the registry in; one that is in already stays. It counts for nothing, so that
    /// nobody waits until it has caught up.
    pub async fn admit(&self, learner: u64) -> Result<(), Status> {
        let raft = &self.replica.raft;
        if self.replica.leader() != Some(self.replica.node()) {
            return Err(Status::unavailable("this node does not lead"));
        }
        let _turn = self
            .turn
            .try_acquire()
            .map_err(|_| Status::unavailable("another node is being let in"))?;
        if is_in(&raft.server_metrics().borrow(), learner) {
            return Ok(());
        }
        info!(learner, "lets a learner in");
        let adding = raft.add_learner(learner, EmptyNode::new(), false);
        match tokio::time::timeout(limits::JOIN_TIMEOUT, adding).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Status::unavailable(format!("Raft: {error}"))),
            Err(_) => Err(Status::unavailable("the membership did not change in time")),
        }
    }
}

/// Asks to be let in whenever this node, a learner, knows no leader or is in no membership, for ever.
pub async fn run(node: u64, raft: Raft, peers: Peers) {
    let mut metrics = raft.server_metrics();
    loop {
        let follows = {
            let metrics = metrics.borrow_and_update();
            metrics.current_leader.is_some() && is_in(&metrics, node)
        };
        if !follows {
            ask(&peers).await;
        }
        tokio::time::sleep(limits::JOIN_INTERVAL).await;
    }
}

/// Asks the voters in turn: the one that leads lets this node in.
async fn ask(peers: &Peers) {
    for (voter, mut client) in peers.voters() {
        let mut request = tonic::Request::new(v1::JoinGroupRequest { chain_id: peers.chain_id() });
        request.set_timeout(limits::JOIN_TIMEOUT);
        match tokio::time::timeout(limits::JOIN_TIMEOUT, client.join_group(request)).await {
            Ok(Ok(_)) => {
                info!(leader = voter, "this node is in the group");
                return;
            }
            Ok(Err(status)) => tracing::debug!(voter, %status, "was not let in"),
            Err(_) => metrics::PEER_FAILURES.increment(&[("peer", &voter.to_string())]),
        }
    }
}

/// Returns once a learner is in the group, as this node knows it.
pub async fn joined(raft: Raft, learner: u64) {
    let mut metrics = raft.server_metrics();
    if metrics.wait_for(|metrics| is_in(metrics, learner)).await.is_err() {
        // Raft has stopped, and with it everything that would follow.
        std::future::pending::<()>().await;
    }
}

fn is_in(metrics: &RaftServerMetrics<u64, EmptyNode>, node: u64) -> bool {
    metrics.membership_config.membership().get_node(&node).is_some()
}
