//! Raft out: one channel a peer, over mutual TLS to exactly the node addressed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_proto::peer::v1;
use counterfoil_proto::peer::v1::peer_service_client::PeerServiceClient;
use openraft::EmptyNode;
use openraft::OptionalSend;
use openraft::Snapshot;
use openraft::Vote;
use openraft::error::Fatal;
use openraft::error::InstallSnapshotError;
use openraft::error::NetworkError;
use openraft::error::RPCError;
use openraft::error::RaftError;
use openraft::error::ReplicationClosed;
use openraft::error::StreamingError;
use openraft::error::Unreachable;
use openraft::network::RPCOption;
use openraft::network::RaftNetwork;
use openraft::network::RaftNetworkFactory;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::InstallSnapshotRequest;
use openraft::raft::InstallSnapshotResponse;
use openraft::raft::SnapshotResponse;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use tonic::transport::Channel;
use tracing::warn;

use super::Types;
use super::progress::Progress;
use super::progress::Sent;
use super::term_bound::TermBound;
use super::wire;
use crate::limits;
use crate::telemetry::metrics;

/// The other nodes.
#[derive(Clone)]
pub struct Peers {
    channels: Arc<BTreeMap<u64, Channel>>,
    /// Those of them that only follow.
    learners: Arc<BTreeSet<u64>>,
    chain_id: Bytes,
    terms: TermBound,
}

impl Peers {
    /// Peers by node id, each with a channel that connects when it is needed; some only follow.
    pub fn new(
        channels: BTreeMap<u64, Channel>,
        learners: BTreeSet<u64>,
        chain_id: Bytes,
        terms: TermBound,
    ) -> Peers {
        Peers { channels: Arc::new(channels), learners: Arc::new(learners), chain_id, terms }
    }

    /// A client of one peer.
    pub fn client(&self, node: u64) -> Option<PeerServiceClient<Channel>> {
        let channel = self.channels.get(&node)?.clone();
        Some(
            PeerServiceClient::new(channel)
                .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX),
        )
    }

    /// A client of each other voter, with its node id.
    pub fn voters(&self) -> impl Iterator<Item = (u64, PeerServiceClient<Channel>)> + '_ {
        let voters = self.channels.keys().filter(|node| !self.learners.contains(node));
        voters.filter_map(|node| Some((*node, self.client(*node)?)))
    }

    /// A client of each other node, voters first.
    pub fn all(&self) -> impl Iterator<Item = (u64, PeerServiceClient<Channel>)> + '_ {
        let learners = self.learners.iter();
        self.voters().chain(learners.filter_map(|node| Some((*node, self.client(*node)?))))
    }

    /// The terms that they may be in.
    pub fn terms(&self) -> &TermBound {
        &self.terms
    }

    /// The consortium, as messages between nodes name it.
    pub fn chain_id(&self) -> Bytes {
        self.chain_id.clone()
    }
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        Peer {
            node: target,
            client: self.client(target),
            chain_id: self.chain_id.clone(),
            terms: self.terms.clone(),
            progress: Progress::default(),
        }
    }
}

/// One other node, for Raft.
pub struct Peer {
    node: u64,
    client: Option<PeerServiceClient<Channel>>,
    chain_id: Bytes,
    terms: TermBound,
    progress: Progress,
}

type RaftResult<T> = Result<T, RPCError<u64, EmptyNode, RaftError<u64>>>;

impl Peer {
    fn client(&mut self) -> Result<&mut PeerServiceClient<Channel>, Unreachable> {
        let unknown = std::io::Error::other("the node is not in the registry");
        self.client.as_mut().ok_or_else(|| Unreachable::new(&unknown))
    }

    /// Terms leap no further in answers than in requests: openraft would follow.
    fn check_term(&self, answered: &Vote<u64>) -> Result<(), &'static str> {
        let holds = self.terms.holds(answered.leader_id.term);
        if holds { Ok(()) } else { Err("the term leaps") }
    }
}

fn lost(node: u64, status: &tonic::Status) -> RPCError<u64, EmptyNode, RaftError<u64>> {
    metrics::PEER_FAILURES.increment(&[("peer", &node.to_string())]);
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Unknown => {
            RPCError::Unreachable(Unreachable::new(status))
        }
        _ => RPCError::Network(NetworkError::new(status)),
    }
}

#[cfg(feature = "misbehaviour")]
fn misbehave(mut rpc: AppendEntriesRequest<Types>, to: u64) -> AppendEntriesRequest<Types> {
    for entry in &mut rpc.entries {
        if let openraft::EntryPayload::Normal(proposal) = &mut entry.payload
            && let Some(other) = crate::misbehaviour::other_proposal(to, &proposal.0)
        {
            proposal.0 = other;
        }
    }
    rpc
}

/// An answer that no honest node gives counts as none. openraft waits before it asks again a node that
/// it cannot reach; after any other error it would ask at once, and again.
fn refused(node: u64, rule: &'static str) -> RPCError<u64, EmptyNode, RaftError<u64>> {
    warn!(sender = node, rule, "refused a peer's answer");
    metrics::PEER_MESSAGES_REFUSED.increment(&[("peer", &node.to_string()), ("rule", rule)]);
    RPCError::Unreachable(Unreachable::new(&std::io::Error::other(rule)))
}

fn request<T>(message: T, limit: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(limit);
    request
}

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> RaftResult<AppendEntriesResponse<u64>> {
        let node = self.node;
        #[cfg(feature = "misbehaviour")]
        let rpc = misbehave(rpc, node);
        let sent = Sent::of(&rpc);
        let message = wire::append_to_message(rpc, &self.chain_id);
        let client = self.client()?;
        let response = client
            .append_entries(request(message, option.hard_ttl()))
            .await
            .map_err(|status| lost(node, &status))?;
        let response = wire::appended_of_message(response.into_inner())
            .map_err(|_| refused(node, "the answer is malformed"))?;
        if let AppendEntriesResponse::HigherVote(vote) = &response {
            self.check_term(vote).map_err(|rule| refused(node, rule))?;
        }
        self.progress.hear(&sent, &response).map_err(|rule| refused(node, rule))?;
        Ok(response)
    }

    /// What a follower needs is purged here. It is told so, catches up by itself from any node, and
    /// says here when it has: then Raft goes on with what follows.
    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Types>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        let node = self.node;
        let unreachable = |words: &str| {
            StreamingError::Unreachable(Unreachable::new(&std::io::Error::other(words.to_owned())))
        };
        let message = v1::OfferSnapshotRequest {
            vote: Some(wire::vote_to_message(&vote)),
            last_log_id: snapshot.meta.last_log_id.as_ref().map(wire::log_id_to_message),
            chain_id: self.chain_id.clone(),
        };
        let client = self.client().map_err(StreamingError::Unreachable)?;
        let asked = client.offer_snapshot(request(message, option.hard_ttl())).await;
        match asked {
            Ok(answer) if answer.get_ref().held => Ok(SnapshotResponse::new(vote)),
            Ok(_) => Err(unreachable("it needs what is purged here, and was told to catch up")),
            Err(status) => {
                metrics::PEER_FAILURES.increment(&[("peer", &node.to_string())]);
                Err(unreachable(status.message()))
            }
        }
    }

    async fn install_snapshot(
        &mut self,
        _rpc: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<u64>,
        RPCError<u64, EmptyNode, RaftError<u64, InstallSnapshotError>>,
    > {
        // A follower is told of a snapshot, and catches up by itself: nothing is installed in place.
        let never = std::io::Error::other("snapshots are not sent by Raft");
        Err(RPCError::Unreachable(Unreachable::new(&never)))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> RaftResult<VoteResponse<u64>> {
        let message: v1::RequestVoteRequest = wire::vote_request_to_message(&rpc, &self.chain_id);
        let node = self.node;
        let client = self.client()?;
        let response = client
            .request_vote(request(message, option.hard_ttl()))
            .await
            .map_err(|status| lost(node, &status))?;
        let response = wire::voted_of_message(&response.into_inner())
            .map_err(|_| refused(node, "the answer is malformed"))?;
        self.check_term(&response.vote).map_err(|rule| refused(node, rule))?;
        Ok(response)
    }
}
