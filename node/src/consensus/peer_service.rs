//! What the other nodes ask of this one. The sender is the node that its certificate names, of this
//! chain; what is Raft's has to pass the [`firewall`](super::firewall).

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

use counterfoil_proto::peer::v1;
use counterfoil_proto::peer::v1::peer_service_server::PeerService;
use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::raft::AppendEntriesResponse;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tracing::error;

use super::archive::Archive;
use super::finality::Reached;
use super::finality::Unheard;
use super::firewall::Firewall;
use super::firewall::failed;
use super::firewall::refuse;
use super::first_start::Start;
use super::forwarder::forwarded_of;
use super::inclusion::Inclusion;
use super::inclusion::NoPromise;
use super::join::Admission;
use super::originals::NotDone;
use super::originals::Originals;
use super::oversight;
use super::replica::Replica;
use super::replica::Submitted;
use super::replica::Unavailable;
use super::snapshots;
use super::snapshots::Keeper;
use super::statements::NotStated;
use super::statements::Statements;
use super::wire;
use crate::blocking;
use crate::identity::caller::Caller;
use crate::limits;
use crate::storage::StorageError;

/// What a node's own status is asked of.
pub type StatusSource = Arc<dyn Fn() -> counterfoil_proto::v1::NodeStatus + Send + Sync>;

/// Serves the other nodes: what is kept at once, everything else once Raft runs.
pub struct PeerServer {
    archive: Arc<Archive>,
    running: Arc<OnceLock<Running>>,
    /// Streams end when this is cancelled.
    shutdown: CancellationToken,
}

/// What answers once Raft runs.
pub struct Running {
    replica: Arc<Replica>,
    firewall: Arc<Firewall>,
    inclusion: Arc<Inclusion>,
    statements: Arc<Statements>,
    keeper: Arc<Keeper>,
    originals: Arc<Originals>,
    admission: Admission,
    status: StatusSource,
}

impl Running {
    /// Answers for a replica.
    pub fn new(
        replica: Arc<Replica>,
        inclusion: Arc<Inclusion>,
        statements: Arc<Statements>,
        keeper: Arc<Keeper>,
        originals: Arc<Originals>,
        status: StatusSource,
    ) -> Running {
        let firewall = Arc::new(Firewall::new(replica.clone()));
        let admission = Admission::new(replica.clone());
        Running { replica, firewall, inclusion, statements, keeper, originals, admission, status }
    }
}

impl PeerServer {
    /// Serves from what is kept, and more from the moment on that there is something that runs.
    pub fn new(
        archive: Arc<Archive>,
        running: Arc<OnceLock<Running>>,
        shutdown: CancellationToken,
    ) -> PeerServer {
        PeerServer { archive, running, shutdown }
    }

    /// What answers once Raft runs, if it does.
    fn running(&self) -> Result<&Running, Status> {
        self.running.get().ok_or_else(|| Status::unavailable("this node is starting"))
    }

    /// The node that speaks, by its certificate.
    fn sender<T>(request: &Request<T>) -> Result<u64, Status> {
        request
            .extensions()
            .get::<Caller>()
            .and_then(|caller| caller.node_id)
            .ok_or_else(|| Status::unauthenticated("the connection has no node certificate"))
    }

    fn malformed(sender: u64, error: wire::Malformed) -> Status {
        refuse(sender, "the message is malformed");
        Status::invalid_argument(error.to_string())
    }

    fn check_chain(&self, sender: u64, chain_id: &[u8]) -> Result<(), Status> {
        if chain_id[..] == self.archive.chain_id().as_bytes()[..] {
            Ok(())
        } else {
            Err(refuse(sender, "the message belongs to another chain"))
        }
    }
}

impl PeerServer {
    /// The last header that a node signed, as far as this one knows.
    fn last_attestation(
        &self,
        node: u64,
    ) -> Result<Option<counterfoil_proto::v1::Attestation>, Status> {
        match self.running.get() {
            Some(running) => Ok(running.replica.finality().last_attestation(node)),
            None => self.archive.last_attestation(node).map_err(|error| unread(&error)),
        }
    }

    /// Why a statement that a peer asked for was not made. One that an honest node would not ask for
    /// is logged.
    fn not_stated(sender: u64, error: NotStated) -> Status {
        match error {
            NotStated::Malformed(rule) => Status::invalid_argument(rule),
            NotStated::Foreign(rule) => refuse(sender, rule),
            NotStated::Decided => Status::failed_precondition(error.to_string()),
            NotStated::Older
            | NotStated::NoSignature
            | NotStated::NotFinal
            | NotStated::Unavailable(_) => Status::unavailable(error.to_string()),
        }
    }
}

#[tonic::async_trait]
impl PeerService for PeerServer {
    async fn append_entries(
        &self,
        request: Request<v1::AppendEntriesRequest>,
    ) -> Result<Response<v1::AppendEntriesResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let message = request.into_inner();
        self.check_chain(sender, &message.chain_id)?;
        let append = wire::append_of_message(message)
            .map_err(|error| PeerServer::malformed(sender, error))?;
        let response = running.firewall.append(sender, append).await?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            running.replica.candidacy.hear_leader();
        }
        let response = wire::appended_to_message(response);
        #[cfg(feature = "misbehaviour")]
        let response = crate::misbehaviour::answer(response);
        Ok(Response::new(response))
    }

    async fn request_vote(
        &self,
        request: Request<v1::RequestVoteRequest>,
    ) -> Result<Response<v1::RequestVoteResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let message = request.into_inner();
        self.check_chain(sender, &message.chain_id)?;
        let vote = wire::vote_request_of_message(&message)
            .map_err(|error| PeerServer::malformed(sender, error))?;
        running.firewall.check_vote(sender, &vote.vote)?;
        if running.replica.oversight.distrust().refuses_candidate(sender, Instant::now()) {
            return Err(Status::permission_denied("a majority has just deposed this node"));
        }
        let reached =
            |id: openraft::LogId<u64>| Reached { term: id.leader_id.term, index: id.index };
        if !running.replica.candidacy.may_vote_soon(vote.last_log_id.map(reached)).await {
            return Err(Status::unavailable(
                "the log of who stands may end before one that was stored here",
            ));
        }
        let response = running.replica.raft.vote(vote).await.map_err(failed)?;
        Ok(Response::new(wire::voted_to_message(&response)))
    }

    async fn forward_instructions(
        &self,
        request: Request<v1::ForwardInstructionsRequest>,
    ) -> Result<Response<v1::ForwardInstructionsResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let instructions = request.into_inner().signed_instructions;
        if instructions.len() > limits::FORWARD_INSTRUCTIONS_MAX {
            return Err(refuse(sender, "more instructions than a message may forward"));
        }
        let submitted = if running.replica.leader() == Some(running.replica.node()) {
            let deadline = Instant::now() + limits::SUBMIT_TIMEOUT;
            running.replica.submit_forwarded(instructions, sender, deadline).await
        } else {
            let not_leader = || Submitted::Unavailable(Unavailable::NoLeader);
            instructions.iter().map(|_| not_leader()).collect()
        };
        let results = submitted.into_iter().map(forwarded_of).collect();
        Ok(Response::new(v1::ForwardInstructionsResponse { results }))
    }

    async fn share_instruction(
        &self,
        request: Request<v1::ShareInstructionRequest>,
    ) -> Result<Response<v1::ShareInstructionResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let bytes = request.into_inner().signed_instruction;
        match running.inclusion.hold_shared(bytes, sender).await {
            Ok(()) => Ok(Response::new(v1::ShareInstructionResponse {})),
            Err(NoPromise::Unavailable(cause)) => Err(Status::unavailable(cause.to_string())),
            // A moment earlier or by another clock it may have been admissible.
            Err(NoPromise::Learner) => Err(Status::unavailable("this node only follows")),
            Err(NoPromise::EndsTooSoon) => Err(Status::failed_precondition("it ends too soon")),
            Err(NoPromise::Refused(reason)) if reason.code() >= 300 => {
                Err(Status::failed_precondition(reason.meaning()))
            }
            Err(NoPromise::Refused(_)) => {
                Err(refuse(sender, "what it shares is no signed instruction"))
            }
        }
    }

    async fn report_leader(
        &self,
        request: Request<v1::ReportLeaderRequest>,
    ) -> Result<Response<v1::ReportLeaderResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let report = request.into_inner();
        self.check_chain(sender, &report.chain_id)?;
        let (leader, ground) = oversight::reported(&report)
            .ok_or_else(|| refuse(sender, "a complaint names a leader and a ground"))?;
        if self.archive.registry().voter(sender).is_none() {
            return Err(refuse(sender, "a learner's complaint counts nowhere"));
        }
        running.replica.oversight.report(sender, leader, ground);
        Ok(Response::new(v1::ReportLeaderResponse {}))
    }

    async fn get_read_index(
        &self,
        request: Request<v1::GetReadIndexRequest>,
    ) -> Result<Response<v1::GetReadIndexResponse>, Status> {
        PeerServer::sender(&request)?;
        let raft_index = self
            .running()?
            .replica
            .own_read_index()
            .await
            .ok_or_else(|| Status::unavailable("this node does not lead"))?;
        Ok(Response::new(v1::GetReadIndexResponse { raft_index }))
    }

    async fn get_peer_status(
        &self,
        request: Request<v1::GetPeerStatusRequest>,
    ) -> Result<Response<v1::GetPeerStatusResponse>, Status> {
        PeerServer::sender(&request)?;
        let status = match self.running.get() {
            Some(running) => (running.status)(),
            None => self.archive.status(),
        };
        Ok(Response::new(v1::GetPeerStatusResponse { status: Some(status) }))
    }

    async fn attest(
        &self,
        request: Request<Streaming<v1::AttestRequest>>,
    ) -> Result<Response<v1::AttestResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let heard = running.replica.finality().hear(sender, request.into_inner());
        match self.shutdown.run_until_cancelled(heard).await {
            None | Some(Ok(())) => Ok(Response::new(v1::AttestResponse {})),
            Some(Err(Unheard::Broken(status))) => Err(status),
            Some(Err(Unheard::Rule(rule))) => Err(refuse(sender, rule)),
        }
    }

    async fn get_last_attestation(
        &self,
        request: Request<v1::GetLastAttestationRequest>,
    ) -> Result<Response<v1::GetLastAttestationResponse>, Status> {
        PeerServer::sender(&request)?;
        let attestation = self.last_attestation(request.into_inner().node)?;
        Ok(Response::new(v1::GetLastAttestationResponse { attestation }))
    }

    async fn get_signed_proposal(
        &self,
        request: Request<v1::GetSignedProposalRequest>,
    ) -> Result<Response<v1::GetSignedProposalResponse>, Status> {
        let running = self.running()?;
        PeerServer::sender(&request)?;
        let height = request.into_inner().height;
        let proposal = running.replica.finality().signed_proposal(height).await;
        Ok(Response::new(v1::GetSignedProposalResponse { proposal }))
    }

    async fn sign_checkpoint(
        &self,
        request: Request<v1::SignCheckpointRequest>,
    ) -> Result<Response<v1::SignCheckpointResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let asked = request.into_inner();
        let cosignature = running.statements.cosign(asked.height, &asked.history_root).await;
        let cosignature = cosignature.map_err(|error| PeerServer::not_stated(sender, error))?;
        Ok(Response::new(v1::SignCheckpointResponse { cosignature: cosignature.value.into() }))
    }

    async fn state_absence(
        &self,
        request: Request<v1::StateAbsenceRequest>,
    ) -> Result<Response<v1::StateAbsenceResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let signature = running.statements.state_absence(request.into_inner()).await;
        let signature = signature.map_err(|error| PeerServer::not_stated(sender, error))?;
        Ok(Response::new(v1::StateAbsenceResponse { signature: Some(signature) }))
    }

    async fn request_block(
        &self,
        request: Request<v1::RequestBlockRequest>,
    ) -> Result<Response<v1::RequestBlockResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let asked = running.statements.want_block(request.into_inner().block_time_ms).await;
        asked.map_err(|error| PeerServer::not_stated(sender, error))?;
        Ok(Response::new(v1::RequestBlockResponse {}))
    }

    async fn attest_snapshot(
        &self,
        request: Request<v1::AttestSnapshotRequest>,
    ) -> Result<Response<v1::AttestSnapshotResponse>, Status> {
        let sender = PeerServer::sender(&request)?;
        match self.running()?.keeper.receive(sender, request.into_inner().attestation) {
            Ok(()) => Ok(Response::new(v1::AttestSnapshotResponse {})),
            Err(snapshots::Unheard::Rule(rule)) => Err(refuse(sender, rule)),
            Err(snapshots::Unheard::TooMuch) => {
                Err(Status::resource_exhausted("too many statements about snapshots in a second"))
            }
        }
    }

    async fn get_snapshot(
        &self,
        request: Request<v1::GetSnapshotRequest>,
    ) -> Result<Response<v1::GetSnapshotResponse>, Status> {
        PeerServer::sender(&request)?;
        let manifest = self.running()?.keeper.manifest();
        Ok(Response::new(v1::GetSnapshotResponse { manifest }))
    }

    type ReadSnapshotStream = BoxStream<'static, Result<v1::ReadSnapshotResponse, Status>>;

    async fn read_snapshot(
        &self,
        request: Request<v1::ReadSnapshotRequest>,
    ) -> Result<Response<Self::ReadSnapshotStream>, Status> {
        PeerServer::sender(&request)?;
        let asked = request.into_inner();
        let chunks = self.running()?.keeper.read(asked.height, asked.chunk)?;
        let until_stopped = chunks.take_until(self.shutdown.clone().cancelled_owned());
        Ok(Response::new(until_stopped.boxed()))
    }

    async fn register_start(
        &self,
        request: Request<v1::RegisterStartRequest>,
    ) -> Result<Response<v1::RegisterStartResponse>, Status> {
        let sender = PeerServer::sender(&request)?;
        let asked = request.into_inner();
        self.check_chain(sender, &asked.chain_id)?;
        let start = Start::of_message(sender, asked.start.as_ref())
            .filter(|start| start.holds(sender, self.archive.chain_id(), self.archive.registry()))
            .ok_or_else(|| refuse(sender, "a node signs where it starts"))?;
        let archive = self.archive.clone();
        let registered = blocking::aside(move || archive.register(sender, start));
        let first = match registered.await {
            Ok(first) => first.map_err(|error| unread(&error))?,
            Err(_) => return Err(Status::unavailable("this node is stopping")),
        };
        let attestation = self.last_attestation(sender)?;
        let first = Some(first.to_message(sender));
        Ok(Response::new(v1::RegisterStartResponse { first, attestation }))
    }

    type ReadBlocksStream = ReceiverStream<Result<v1::ReadBlocksResponse, Status>>;

    async fn read_blocks(
        &self,
        request: Request<v1::ReadBlocksRequest>,
    ) -> Result<Response<Self::ReadBlocksStream>, Status> {
        let sender = PeerServer::sender(&request)?;
        let asked = request.into_inner();
        self.check_chain(sender, &asked.chain_id)?;
        let runs = self.archive.blocks().read(sender, asked.from_height, asked.to_height)?;
        Ok(Response::new(ReceiverStream::new(runs)))
    }

    async fn offer_snapshot(
        &self,
        request: Request<v1::OfferSnapshotRequest>,
    ) -> Result<Response<v1::OfferSnapshotResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        let offer = request.into_inner();
        self.check_chain(sender, &offer.chain_id)?;
        let malformed = |error| PeerServer::malformed(sender, error);
        let vote = wire::vote_of_message(offer.vote.as_ref()).map_err(malformed)?;
        running.firewall.check_vote(sender, &vote)?;
        let last = offer.last_log_id.as_ref().ok_or(wire::Malformed("log id"));
        let last = last.and_then(wire::log_id_of_message).map_err(malformed)?;
        let held = self.archive.holds(&last).map_err(|error| unread(&error))?;
        Ok(Response::new(v1::OfferSnapshotResponse { held }))
    }

    async fn join_group(
        &self,
        request: Request<v1::JoinGroupRequest>,
    ) -> Result<Response<v1::JoinGroupResponse>, Status> {
        let running = self.running()?;
        let sender = PeerServer::sender(&request)?;
        self.check_chain(sender, &request.into_inner().chain_id)?;
        if !self.archive.registry().learners().any(|learner| learner.id == sender) {
            return Err(refuse(sender, "only a learner is let into the group"));
        }
        running.admission.admit(sender).await?;
        Ok(Response::new(v1::JoinGroupResponse {}))
    }

    async fn keep_original(
        &self,
        request: Request<v1::KeepOriginalRequest>,
    ) -> Result<Response<v1::KeepOriginalResponse>, Status> {
        let sender = PeerServer::sender(&request)?;
        let part = request.into_inner().part.unwrap_or_default();
        let kept = self.running()?.originals.keep(sender, part).await;
        Ok(Response::new(kept.map_err(not_done)?))
    }

    async fn read_original(
        &self,
        request: Request<v1::ReadOriginalRequest>,
    ) -> Result<Response<v1::ReadOriginalResponse>, Status> {
        let sender = PeerServer::sender(&request)?;
        let read = self.running()?.originals.read(sender, request.into_inner().part).await;
        Ok(Response::new(read.map_err(not_done)?))
    }

    async fn remove_original(
        &self,
        request: Request<v1::RemoveOriginalRequest>,
    ) -> Result<Response<v1::RemoveOriginalResponse>, Status> {
        let sender = PeerServer::sender(&request)?;
        let removed = self.running()?.originals.remove(sender, request.into_inner().name).await;
        Ok(Response::new(removed.map_err(not_done)?))
    }
}

/// Why nothing was done of what another node asked of an original. It does not know this node's state
/// of the ledger, so that no answer is held against it.
fn not_done(why: NotDone) -> Status {
    match why {
        NotDone::Field(_, rule) => Status::invalid_argument(rule),
        NotDone::NotFound => Status::not_found("no such original, or the sender is no party"),
        NotDone::KeepsNone | NotDone::OtherNode | NotDone::OtherPartysNode | NotDone::Different => {
            Status::failed_precondition("it is not kept here")
        }
        NotDone::Busy | NotDone::OwnRoom | NotDone::AllRoom => {
            Status::resource_exhausted("there is no room for it now")
        }
        NotDone::Unavailable(cause) => Status::unavailable(cause.to_string()),
    }
}

/// What is kept could not be read or written; the node stops at its next write.
fn unread(error: &StorageError) -> Status {
    error!(%error, "storage failed while another node asked");
    Status::unavailable("this node's storage failed")
}
