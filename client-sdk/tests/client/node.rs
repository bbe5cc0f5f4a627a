//! Nodes that answer as they are told, over real TLS, on one ledger that they share.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::v1;
use counterfoil_client::v1::account_service_server::{AccountService, AccountServiceServer};
use counterfoil_client::v1::audit_service_server::{AuditService, AuditServiceServer};
use counterfoil_client::v1::reconciliation_service_server::{
    ReconciliationService, ReconciliationServiceServer,
};
use counterfoil_client::v1::settlement_service_server::{
    SettlementService, SettlementServiceServer,
};
use counterfoil_ledger::hash::Hash;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use prost::Message;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::consortium::{Authority, Leaf};

/// What the nodes agree on.
#[derive(Default)]
pub struct Ledger {
    /// Decided instructions by id.
    pub decided: HashMap<Bytes, v1::InstructionResult>,
    pub signed: HashMap<Bytes, v1::SignedInstruction>,
    /// Time of the newest block.
    pub block_time_ms: u64,
    pub movements: Vec<v1::WatchMovementsResponse>,
    pub findings: Vec<v1::WatchReconciliationResponse>,
    pub blocks: Vec<v1::ExportBlocksResponse>,
}

/// How a node treats the next submission; settles it when it was told nothing.
#[derive(Clone)]
pub enum Reply {
    /// Decides and never answers.
    TakeAndHang,
    /// Never answers.
    Hang,
    /// Answers with the result of another instruction.
    Confuse,
    /// Refuses, with the ledger's own details.
    Refuse(Code, &'static str),
    /// Asks for time.
    Busy(Duration),
}

/// What one node was told and has seen.
#[derive(Default)]
pub struct Script {
    pub replies: VecDeque<Reply>,
    /// Streams break after so many messages; one number a stream.
    pub breaks: VecDeque<usize>,
    /// Bytes of the SignedInstructions that came.
    pub seen: Vec<Bytes>,
    /// Leaf certificates of the clients that connected.
    pub callers: Vec<CertificateDer<'static>>,
    /// Where streams were asked to begin.
    pub starts: Vec<Option<v1::Position>>,
}

/// A node that runs until it is dropped.
pub struct Node {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    runtime: Option<Runtime>,
}

impl Node {
    pub fn start(ledger: &Arc<Mutex<Ledger>>, leaf: &Leaf, clients: &Authority) -> Node {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let service = Service { ledger: Arc::clone(ledger), script: Arc::clone(&script) };
        let incoming = (acceptor(leaf, clients), Arc::clone(&script));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            Server::builder()
                .add_service(SettlementServiceServer::new(service.clone()))
                .add_service(AccountServiceServer::new(service.clone()))
                .add_service(ReconciliationServiceServer::new(service.clone()))
                .add_service(AuditServiceServer::new(service))
                .serve_with_incoming(connections(listener, incoming.0, incoming.1))
                .await
                .unwrap();
        });
        Node { address, script, runtime: Some(runtime) }
    }

    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Ends it and all its connections at once.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn acceptor(leaf: &Leaf, clients: &Authority) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.certificate.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn connections(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    script: Arc<Mutex<Script>>,
) -> impl futures::Stream<Item = std::io::Result<TlsStream<TcpStream>>> {
    TcpListenerStream::new(listener).filter_map(move |stream| {
        let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
        async move {
            let stream = acceptor.accept(stream.ok()?).await.ok()?;
            let caller = stream.get_ref().1.peer_certificates()?[0].clone();
            script.lock().unwrap().callers.push(caller);
            Some(Ok(stream))
        }
    })
}

#[derive(Clone)]
struct Service {
    ledger: Arc<Mutex<Ledger>>,
    script: Arc<Mutex<Script>>,
}

impl Service {
    fn decide(&self, signed: &v1::SignedInstruction) -> v1::InstructionResult {
        let instruction = v1::Instruction::decode(signed.instruction.clone()).unwrap();
        let mut ledger = self.ledger.lock().unwrap();
        let position = Some(v1::Position { height: 1 + ledger.decided.len() as u64, leaf: 0 });
        let state = match instruction.body {
            Some(v1::instruction::Body::Transfers(_)) => v1::State::Itemised,
            _ => v1::State::Settled,
        };
        let verdict = |state: v1::State, item_number| v1::Verdict {
            state: state.into(),
            position,
            posting_count: 2,
            item_number,
            ..v1::Verdict::default()
        };
        let items = (1..).zip(&signed.items).map(|(item, _)| verdict(v1::State::Settled, item));
        let result = v1::InstructionResult {
            finality: v1::Finality::Ordered.into(),
            id: instruction.id.clone(),
            institution: instruction.institution,
            instruction_hash: Hash::of(&signed.instruction).as_bytes().to_vec().into(),
            verdict: Some(verdict(state, 0)),
            items: items.collect(),
            block_time_ms: 1,
            replayed: false,
        };
        ledger.signed.insert(instruction.id.clone(), signed.clone());
        let first = !ledger.decided.contains_key(&instruction.id);
        let decided = ledger.decided.entry(instruction.id).or_insert(result).clone();
        v1::InstructionResult { replayed: !first, ..decided }
    }

    /// A stream of messages that breaks when it was told to.
    fn stream<M: Send + 'static>(&self, messages: Vec<M>, endless: bool) -> Stream<M> {
        let broken = Err(Status::unavailable("shutting down"));
        match self.script.lock().unwrap().breaks.pop_front() {
            Some(count) => {
                let given = messages.into_iter().take(count).map(Ok);
                stream::iter(given).chain(stream::iter([broken])).boxed()
            }
            None if endless => {
                stream::iter(messages.into_iter().map(Ok)).chain(stream::pending()).boxed()
            }
            None => stream::iter(messages.into_iter().map(Ok)).boxed(),
        }
    }

    fn started(&self, start_after: Option<v1::Position>) -> (u64, u32) {
        self.script.lock().unwrap().starts.push(start_after);
        start_after.map_or((0, 0), |position| (position.height, position.leaf))
    }
}

type Stream<M> = BoxStream<'static, Result<M, Status>>;
type Answer<T> = Result<Response<T>, Status>;

fn no<T>() -> Answer<T> {
    Err(Status::unimplemented("not of this test"))
}

fn order(position: &Option<v1::Position>) -> (u64, u32) {
    position.as_ref().map_or((0, 0), |position| (position.height, position.leaf))
}

#[tonic::async_trait]
impl SettlementService for Service {
    async fn submit_instruction(
        &self,
        request: Request<v1::SubmitInstructionRequest>,
    ) -> Answer<v1::SubmitInstructionResponse> {
        let signed = request.into_inner().signed_instruction.unwrap();
        let reply = {
            let mut script = self.script.lock().unwrap();
            script.seen.push(signed.encode_to_vec().into());
            script.replies.pop_front()
        };
        match reply {
            None => {}
            Some(Reply::TakeAndHang) => {
                self.decide(&signed);
                std::future::pending().await
            }
            Some(Reply::Hang) => std::future::pending().await,
            Some(Reply::Confuse) => {
                let mut other = signed;
                let mut instruction = v1::Instruction::decode(other.instruction.clone()).unwrap();
                instruction.valid_until_ms += 1;
                other.instruction = instruction.encode_to_vec().into();
                let mut result = self.decide(&other);
                self.ledger.lock().unwrap().decided.clear();
                result.replayed = false;
                return Ok(Response::new(v1::SubmitInstructionResponse {
                    result: Some(result),
                    ..Default::default()
                }));
            }
            Some(Reply::Refuse(code, reason)) => {
                let facts = [("height", "7"), ("remedy", "Do otherwise.")];
                let facts = facts.map(|(name, fact)| (name.to_owned(), fact.to_owned()));
                let details = ErrorDetails::with_error_info(reason, "counterfoil", facts);
                return Err(Status::with_error_details(code, "It says no.", details));
            }
            Some(Reply::Busy(delay)) => {
                let mut details = ErrorDetails::with_retry_info(Some(delay));
                details.set_error_info("OVERLOADED", "counterfoil", HashMap::new());
                let code = Code::ResourceExhausted;
                return Err(Status::with_error_details(code, "Later.", details));
            }
        }
        let result = Some(self.decide(&signed));
        Ok(Response::new(v1::SubmitInstructionResponse { result, ..Default::default() }))
    }

    async fn get_instruction(
        &self,
        request: Request<v1::GetInstructionRequest>,
    ) -> Answer<v1::GetInstructionResponse> {
        let id = request.into_inner().id;
        let ledger = self.ledger.lock().unwrap();
        let missing = || Status::not_found("There is no such instruction.");
        Ok(Response::new(v1::GetInstructionResponse {
            result: Some(ledger.decided.get(&id).ok_or_else(missing)?.clone()),
            signed_instruction: ledger.signed.get(&id).cloned(),
            as_of: Some(v1::AsOf::default()),
            ..Default::default()
        }))
    }

    async fn get_receipt(
        &self,
        _: Request<v1::GetReceiptRequest>,
    ) -> Answer<v1::GetReceiptResponse> {
        no()
    }

    async fn prove_absence(
        &self,
        _: Request<v1::ProveAbsenceRequest>,
    ) -> Answer<v1::ProveAbsenceResponse> {
        no()
    }

    async fn request_inclusion(
        &self,
        _: Request<v1::RequestInclusionRequest>,
    ) -> Answer<v1::RequestInclusionResponse> {
        no()
    }

    async fn list_transfers_by_uetr(
        &self,
        _: Request<v1::ListTransfersByUetrRequest>,
    ) -> Answer<v1::ListTransfersByUetrResponse> {
        no()
    }
}

#[tonic::async_trait]
impl AccountService for Service {
    type ProveAccountStream = Stream<v1::ProveAccountResponse>;
    type WatchMovementsStream = Stream<v1::WatchMovementsResponse>;

    async fn list_accounts(
        &self,
        _: Request<v1::ListAccountsRequest>,
    ) -> Answer<v1::ListAccountsResponse> {
        let block_time_ms = self.ledger.lock().unwrap().block_time_ms;
        let as_of = Some(v1::AsOf { block_time_ms, ..v1::AsOf::default() });
        Ok(Response::new(v1::ListAccountsResponse { as_of, ..Default::default() }))
    }

    async fn get_balance(
        &self,
        _: Request<v1::GetBalanceRequest>,
    ) -> Answer<v1::GetBalanceResponse> {
        no()
    }

    async fn list_movements(
        &self,
        request: Request<v1::ListMovementsRequest>,
    ) -> Answer<v1::ListMovementsResponse> {
        let request = request.into_inner();
        let first: usize = request.page_token.parse().unwrap_or(0);
        let ledger = self.ledger.lock().unwrap();
        let all: Vec<_> = ledger
            .movements
            .iter()
            .filter_map(|message| match &message.event {
                Some(v1::watch_movements_response::Event::Movement(movement)) => Some(movement),
                _ => None,
            })
            .collect();
        let last = (first + request.page_size as usize).min(all.len());
        let next = if last < all.len() { last.to_string() } else { String::new() };
        Ok(Response::new(v1::ListMovementsResponse {
            movements: all[first..last].iter().map(|movement| (*movement).clone()).collect(),
            next_page_token: next,
            as_of: Some(v1::AsOf { height: 9, ..v1::AsOf::default() }),
        }))
    }

    async fn prove_account(
        &self,
        _: Request<v1::ProveAccountRequest>,
    ) -> Answer<Self::ProveAccountStream> {
        no()
    }

    async fn watch_movements(
        &self,
        request: Request<v1::WatchMovementsRequest>,
    ) -> Answer<Self::WatchMovementsStream> {
        use v1::watch_movements_response::Event;
        let start = self.started(request.into_inner().start_after);
        let mut messages = self.ledger.lock().unwrap().movements.clone();
        messages.retain(|message| match &message.event {
            Some(Event::Movement(movement)) => order(&movement.position) > start,
            _ => true,
        });
        Ok(Response::new(self.stream(messages, true)))
    }
}

#[tonic::async_trait]
impl ReconciliationService for Service {
    type WatchReconciliationStream = Stream<v1::WatchReconciliationResponse>;

    async fn list_matches(
        &self,
        _: Request<v1::ListMatchesRequest>,
    ) -> Answer<v1::ListMatchesResponse> {
        no()
    }

    async fn list_breaks(
        &self,
        _: Request<v1::ListBreaksRequest>,
    ) -> Answer<v1::ListBreaksResponse> {
        no()
    }

    async fn watch_reconciliation(
        &self,
        request: Request<v1::WatchReconciliationRequest>,
    ) -> Answer<Self::WatchReconciliationStream> {
        use v1::watch_reconciliation_response::Event;
        let start = self.started(request.into_inner().start_after);
        let mut messages = self.ledger.lock().unwrap().findings.clone();
        messages.retain(|message| match &message.event {
            Some(Event::Opened(opened)) => order(&opened.opened_at) > start,
            _ => true,
        });
        Ok(Response::new(self.stream(messages, true)))
    }

    async fn get_report(&self, _: Request<v1::GetReportRequest>) -> Answer<v1::GetReportResponse> {
        no()
    }
}

#[tonic::async_trait]
impl AuditService for Service {
    type ExportBlocksStream = Stream<v1::ExportBlocksResponse>;

    async fn get_genesis(
        &self,
        _: Request<v1::GetGenesisRequest>,
    ) -> Answer<v1::GetGenesisResponse> {
        no()
    }

    async fn list_blocks(
        &self,
        _: Request<v1::ListBlocksRequest>,
    ) -> Answer<v1::ListBlocksResponse> {
        no()
    }

    async fn export_blocks(
        &self,
        request: Request<v1::ExportBlocksRequest>,
    ) -> Answer<Self::ExportBlocksStream> {
        let from = usize::try_from(request.into_inner().from_height).unwrap();
        let blocks = self.ledger.lock().unwrap().blocks.clone();
        Ok(Response::new(self.stream(blocks.into_iter().skip(from - 1).collect(), false)))
    }

    async fn get_history_proof(
        &self,
        _: Request<v1::GetHistoryProofRequest>,
    ) -> Answer<v1::GetHistoryProofResponse> {
        no()
    }

    async fn get_epoch_chain(
        &self,
        _: Request<v1::GetEpochChainRequest>,
    ) -> Answer<v1::GetEpochChainResponse> {
        no()
    }

    async fn get_checkpoint(
        &self,
        _: Request<v1::GetCheckpointRequest>,
    ) -> Answer<v1::GetCheckpointResponse> {
        no()
    }

    async fn list_history(
        &self,
        _: Request<v1::ListHistoryRequest>,
    ) -> Answer<v1::ListHistoryResponse> {
        no()
    }
}
