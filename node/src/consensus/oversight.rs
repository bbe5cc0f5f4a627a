//! Followers watch their leader. What a node holds against it, it tells the others; when a majority
//! agrees, they stop hearing that leader and choose another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use counterfoil_proto::peer::v1;
use tracing::warn;

use super::Raft;
use super::candidacy::Candidacy;
use super::distrust::Distrust;
use super::distrust::Ground;
use super::distrust::Leader;
use super::group;
use super::network::Peers;
use crate::limits;
use crate::telemetry::metrics;

/// What a node does about leaders that misbehave.
pub struct Oversight {
    node: u64,
    /// A learner holds nothing against anybody: it would not be counted.
    is_learner: bool,
    raft: Raft,
    peers: Peers,
    candidacy: Arc<Candidacy>,
    distrust: Distrust,
    /// The last complaint that was sent around, and when.
    told: Mutex<Option<(Leader, Instant)>>,
}

impl Oversight {
    /// Of one node, among these voters or beside them.
    pub fn new(
        node: u64,
        voters: &BTreeSet<u64>,
        raft: Raft,
        peers: Peers,
        candidacy: Arc<Candidacy>,
    ) -> Oversight {
        let distrust = Distrust::among(voters.len());
        let is_learner = !voters.contains(&node);
        Oversight { node, is_learner, raft, peers, candidacy, distrust, told: Mutex::new(None) }
    }

    /// What is held against whom.
    pub fn distrust(&self) -> &Distrust {
        &self.distrust
    }

    /// The leader that this node follows, or is.
    pub fn leader(&self) -> Option<Leader> {
        let metrics = self.raft.server_metrics();
        let vote = metrics.borrow().vote;
        let leader = Leader { node: vote.leader_id.node_id, term: vote.leader_id.term };
        vote.committed.then_some(leader)
    }

    /// This node no longer believes its leader. Tells the others, now and then again while the
    /// complaint stands.
    pub fn accuse(self: &Arc<Self>, leader: Leader, ground: Ground) {
        if self.is_learner || leader.node == self.node || self.leader() != Some(leader) {
            return;
        }
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let again = told.is_some_and(|(of, _)| of == leader);
            if told.is_some_and(|(of, at)| of == leader && at.elapsed() < limits::REPORT_INTERVAL) {
                return;
            }
            *told = Some((leader, Instant::now()));
            if !again {
                let Leader { node, term } = leader;
                warn!(
                    leader = node,
                    term,
                    ground = ground.name(),
                    "this node disbelieves its leader"
                );
                metrics::LEADERS_DISBELIEVED.increment(&[("ground", ground.name())]);
            }
        }
        for (node, mut client) in self.peers.voters() {
            let mut request = tonic::Request::new(v1::ReportLeaderRequest {
                leader: Some(v1::LeaderId { term: leader.term, node_id: leader.node }),
                ground: i32::from(ground.to_message()),
                chain_id: self.peers.chain_id(),
            });
            request.set_timeout(limits::PEER_STATUS_TIMEOUT);
            tokio::spawn(async move {
                if client.report_leader(request).await.is_err() {
                    metrics::PEER_FAILURES.increment(&[("peer", &node.to_string())]);
                }
            });
        }
        self.report(self.node, leader, ground);
    }

    /// A node does not believe a leader.
    pub fn report(self: &Arc<Self>, by: u64, leader: Leader, ground: Ground) {
        if !self.distrust.complain(by, leader, Instant::now()) {
            return;
        }
        let Leader { node, term } = leader;
        warn!(leader = node, term, ground = ground.name(), "a majority disbelieves this leader");
        metrics::LEADERS_DEPOSED.increment(&[]);
        if self.node != leader.node {
            tokio::spawn(self.clone().replace(leader));
        }
    }

    /// Stands for election until somebody else leads. Nobody else may do so for the lease that the old
    /// leader has had from each; who stands has let go of it.
    async fn replace(self: Arc<Self>, deposed: Leader) {
        for _ in 0..limits::REPLACEMENT_ROUNDS_MAX {
            tokio::time::sleep(group::random_fraction(limits::REPLACEMENT_PAUSE)).await;
            if self.leader().is_some_and(|leader| leader != deposed) {
                return;
            }
            if !self.candidacy.may_stand() {
                continue;
            }
            if self.raft.trigger().elect().await.is_err() {
                return;
            }
            // Votes have this time to come in.
            tokio::time::sleep(limits::REPLACEMENT_PAUSE).await;
        }
    }
}

/// What a peer reports.
pub fn reported(request: &v1::ReportLeaderRequest) -> Option<(Leader, Ground)> {
    let leader = request.leader.as_ref()?;
    let ground = Ground::of_message(request.ground())?;
    Some((Leader { node: leader.node_id, term: leader.term }, ground))
}
