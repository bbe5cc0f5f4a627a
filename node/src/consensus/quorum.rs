//! What openraft must keep for this product, tried on its own: an entry is committed when a quorum has
//! it, in whatever order the answers come. Version 0.9.24 did not (openraft#1802):
//! `deploy/build/older-openraft.sh` shows that this finds it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::Config;
use openraft::EmptyNode;
use openraft::RaftNetwork;
use openraft::RaftNetworkFactory;
use openraft::error::InstallSnapshotError;
use openraft::error::RPCError;
use openraft::error::RaftError;
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::InstallSnapshotRequest;
use openraft::raft::InstallSnapshotResponse;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use tokio::sync::watch;

use super::ProposalBytes;
use super::Raft;
use super::Types;
use super::suite;

type Answer<T> = Result<T, RPCError<u64, EmptyNode, RaftError<u64>>>;

/// How far each follower takes entries.
type Script = BTreeMap<u64, u64>;

/// Followers who vote for whoever asks, and take what the script lets them take.
#[derive(Clone)]
struct Followers(watch::Receiver<Script>);

struct Follower {
    node: u64,
    script: watch::Receiver<Script>,
}

impl RaftNetworkFactory<Types> for Followers {
    type Network = Follower;

    async fn new_client(&mut self, node: u64, _: &EmptyNode) -> Follower {
        Follower { node, script: self.0.clone() }
    }
}

impl RaftNetwork<Types> for Follower {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Answer<AppendEntriesResponse<u64>> {
        let needed = request.entries.first().map(|entry| entry.log_id).or(request.prev_log_id);
        let needed = needed.map_or(0, |id| id.index);
        let script = self.script.wait_for(|script| script[&self.node] >= needed).await;
        let Ok(taken) = script.map(|script| script[&self.node]) else { return pending().await };
        let ids = request.entries.iter().map(|entry| entry.log_id);
        let last = ids.take_while(|id| id.index <= taken).last();
        if last == request.entries.last().map(|entry| entry.log_id) {
            return Ok(AppendEntriesResponse::Success);
        }
        Ok(AppendEntriesResponse::PartialSuccess(last))
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<u64>,
        RPCError<u64, EmptyNode, RaftError<u64, InstallSnapshotError>>,
    > {
        pending().await
    }

    async fn vote(&mut self, request: VoteRequest<u64>, _: RPCOption) -> Answer<VoteResponse<u64>> {
        Ok(VoteResponse { vote: request.vote, vote_granted: true, last_log_id: None })
    }
}

/// A leader, and who follows it.
struct Leader {
    raft: Raft,
    script: watch::Sender<Script>,
    _files: tempfile::TempDir,
}

impl Leader {
    /// Node 1 of so many voters, all of which have entry 1, and with so many entries of its own.
    async fn of(voters: u64, entries: u64) -> Leader {
        let minute = 60_000;
        let config = Config {
            heartbeat_interval: minute,
            election_timeout_min: 3 * minute,
            election_timeout_max: 4 * minute,
            ..Config::default()
        };
        let script = watch::Sender::new((2..=voters).map(|node| (node, 1)).collect());
        let (files, log, machine) = suite::stores();
        let followers = Followers(script.subscribe());
        let config = Arc::new(config.validate().unwrap());
        let raft = Raft::new(1, config, followers, log, machine).await.unwrap();
        raft.initialize(BTreeSet::from_iter(1..=voters)).await.unwrap();
        let leader = Leader { raft, script, _files: files };
        for node in 2..=voters {
            leader.takes(node, 1).await;
        }
        for _ in 1..entries {
            let bytes = ProposalBytes(Bytes::from_static(b"no proposal"));
            drop(leader.raft.client_write_ff(bytes).await.unwrap());
        }
        let mut metrics = leader.raft.metrics();
        metrics.wait_for(|it| it.last_log_index == Some(entries)).await.unwrap();
        leader
    }

    /// Lets a follower take entries up to an index, until the leader has heard that it has them.
    async fn takes(&self, node: u64, index: u64) {
        self.script.send_modify(|script| {
            script.insert(node, index);
        });
        let mut metrics = self.raft.metrics();
        let heard = metrics.wait_for(|metrics| {
            let followers = metrics.replication.as_ref();
            let matching = followers.and_then(|followers| followers.get(&node).copied().flatten());
            matching.is_some_and(|id| id.index == index)
        });
        tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap().unwrap();
    }

    async fn committed(&self) -> u64 {
        let committed = self.raft.with_raft_state(|state| state.committed).await.unwrap();
        committed.map_or(0, |id| id.index)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_committed_when_a_quorum_has_it_in_whatever_order_the_answers_come() {
    let leader = Leader::of(7, 20).await;
    for (node, index, committed) in [(2, 5, 1), (3, 4, 1), (3, 10, 1), (4, 6, 5), (5, 6, 6)] {
        leader.takes(node, index).await;
        assert_eq!(leader.committed().await, committed, "node {node} has entry {index}");
    }
    leader.raft.shutdown().await.unwrap();
}
