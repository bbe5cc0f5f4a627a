//! Nodes that answer as they are told, over real TLS, on one ledger that they share.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::v1;
use counterfoil_client::v1::account_service_server::{AccountService, AccountServiceServer};
use counterfoil_client::v1::audit_service_server::{AuditService, AuditServiceServer};
use counterfoil_client::v1::reconciliation_service_server::ReconciliationServiceServer;
use counterfoil_client::v1::settlement_service_server::{
    SettlementService, SettlementServiceServer,
};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::signature::{Label, promise_payload};
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

use crate::consortium::{Authority, BANK, Leaf, now_ms};
use crate::ledger::Ledger;

/// How a node treats the next submission; settles it and proves it when it was told nothing.
pub enum Reply {
    /// Decides and never answers.
    TakeAndHang,
    /// Never answers.
    Hang,
    /// Decides, and says and proves something else.
    Lie(fn(&mut Ledger, &mut v1::SubmitInstructionResponse)),
    /// Refuses, with the ledger's own details.
    Refuse(Code, &'static str),
    /// Refuses as expired; block time passes first, where it says so.
    Expire { passes: bool },
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
    /// Denies every instruction when it is asked for one.
    pub denies: bool,
    /// Leaves the last signature out of statements of absence.
    pub too_few: bool,
    /// Refuses to say who signs.
    pub hides_epochs: bool,
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
pub struct Service {
    ledger: Arc<Mutex<Ledger>>,
    script: Arc<Mutex<Script>>,
}

impl Service {
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// A stream of messages that breaks when it was told to.
    pub fn stream<M: Send + 'static>(&self, messages: Vec<M>, endless: bool) -> Stream<M> {
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

    pub fn started(&self, start_after: Option<v1::Position>) -> (u64, u32) {
        self.script.lock().unwrap().starts.push(start_after);
        start_after.map_or((0, 0), |position| (position.height, position.leaf))
    }
}

pub type Stream<M> = BoxStream<'static, Result<M, Status>>;
pub type Answer<T> = Result<Response<T>, Status>;

fn refusal(code: Code, reason: &'static str) -> Status {
    let facts = [("height", "7"), ("remedy", "Do otherwise.")];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact.to_owned()));
    let details = ErrorDetails::with_error_info(reason, "counterfoil", facts);
    Status::with_error_details(code, "It says no.", details)
}

fn no<T>() -> Answer<T> {
    Err(Status::unimplemented("not of this test"))
}

pub fn order(position: &Option<v1::Position>) -> (u64, u32) {
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
                self.ledger().submit(&signed);
                std::future::pending().await
            }
            Some(Reply::Hang) => std::future::pending().await,
            Some(Reply::Lie(lie)) => {
                let mut response = self.ledger().submit(&signed);
                lie(&mut self.ledger(), &mut response);
                return Ok(Response::new(response));
            }
            Some(Reply::Refuse(code, reason)) => return Err(refusal(code, reason)),
            Some(Reply::Expire { passes }) => {
                if passes {
                    self.ledger().pass();
                }
                return Err(refusal(Code::FailedPrecondition, "EXPIRED"));
            }
            Some(Reply::Busy(delay)) => {
                let mut details = ErrorDetails::with_retry_info(Some(delay));
                details.set_error_info("OVERLOADED", "counterfoil", HashMap::new());
                let code = Code::ResourceExhausted;
                return Err(Status::with_error_details(code, "Later.", details));
            }
        }
        Ok(Response::new(self.ledger().submit(&signed)))
    }

    async fn get_instruction(
        &self,
        request: Request<v1::GetInstructionRequest>,
    ) -> Answer<v1::GetInstructionResponse> {
        let missing = || Status::not_found("There is no such instruction.");
        if self.script.lock().unwrap().denies {
            return Err(missing());
        }
        let ledger = self.ledger();
        let place = ledger.place(&request.into_inner().id).ok_or_else(missing)?;
        let response = ledger.response(place);
        Ok(Response::new(v1::GetInstructionResponse {
            result: response.result,
            signed_instruction: Some(ledger.signed(place)),
            as_of: Some(v1::AsOf::default()),
            receipt: response.receipt,
            batch: response.batch,
        }))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Answer<v1::GetReceiptResponse> {
        use v1::get_receipt_request::Subject;
        let ledger = self.ledger();
        let (height, leaf) = match request.into_inner().subject.unwrap() {
            Subject::Instruction(own) => {
                let place = ledger.place(&own.id).unwrap();
                (place.height, place.leaf + own.item_number)
            }
            Subject::Position(position) => (position.height, position.leaf),
        };
        let receipt = ledger.chain.receipt(height, leaf, ledger.chain.height());
        Ok(Response::new(v1::GetReceiptResponse { receipt: Some(receipt) }))
    }

    async fn prove_absence(
        &self,
        request: Request<v1::ProveAbsenceRequest>,
    ) -> Answer<v1::ProveAbsenceResponse> {
        let request = request.into_inner();
        let ledger = self.ledger();
        let newest = ledger.chain.headers.last().unwrap();
        let script = self.script.lock().unwrap();
        if ledger.place(&request.id).is_some() && !script.denies {
            return Err(refusal(Code::FailedPrecondition, "DECIDED"));
        }
        if newest.block_time_ms < request.valid_until_ms {
            return Err(refusal(Code::FailedPrecondition, "TOO_EARLY"));
        }
        let id = InstructionId::from_bytes(&request.id).unwrap();
        let mut absence = ledger.chain.absence(&Bic::parse(BANK).unwrap(), &id);
        if script.too_few {
            absence.signatures.pop();
        }
        Ok(Response::new(v1::ProveAbsenceResponse { absence: Some(absence) }))
    }

    async fn request_inclusion(
        &self,
        request: Request<v1::RequestInclusionRequest>,
    ) -> Answer<v1::RequestInclusionResponse> {
        let signed = request.into_inner().signed_instruction.unwrap();
        let (hash, deadline_ms) = (Hash::of(&signed.instruction), now_ms() + 5_000);
        let payload = promise_payload(&hash, deadline_ms);
        let promise = v1::Promise {
            instruction_hash: Bytes::copy_from_slice(hash.as_bytes()),
            deadline_ms,
            signature: Some(self.ledger().chain.sign(2, Label::Promise, &payload)),
        };
        Ok(Response::new(v1::RequestInclusionResponse { promise: Some(promise) }))
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
        no()
    }

    async fn get_balance(
        &self,
        _: Request<v1::GetBalanceRequest>,
    ) -> Answer<v1::GetBalanceResponse> {
        match &self.ledger().balance {
            Some(balance) => Ok(Response::new(balance.clone())),
            None => no(),
        }
    }

    async fn list_movements(
        &self,
        request: Request<v1::ListMovementsRequest>,
    ) -> Answer<v1::ListMovementsResponse> {
        let request = request.into_inner();
        let first: usize = request.page_token.parse().unwrap_or(0);
        let ledger = self.ledger();
        let all: Vec<_> = ledger
            .movements
            .iter()
            .filter_map(|message| match &message.event {
                Some(v1::watch_movements_response::Event::Movement(movement)) => Some(movement),
                _ => None,
            })
            .filter(|movement| {
                let last = if request.to_date == 0 { u32::MAX } else { request.to_date };
                (request.from_date..=last).contains(&movement.settlement_date)
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
        request: Request<v1::ProveAccountRequest>,
    ) -> Answer<Self::ProveAccountStream> {
        let request = request.into_inner();
        let ledger = self.ledger();
        let to = match request.to_height {
            0 => ledger.chain.height(),
            height => height,
        };
        let account = AccountId::from_bytes(&request.account).unwrap();
        let mut proof = ledger.chain.account_proof(account, request.from_height, to);
        let blocks = std::mem::take(&mut proof.blocks);
        let later = blocks
            .into_iter()
            .map(|block| v1::AccountProof { blocks: vec![block], ..v1::AccountProof::default() });
        let parts = std::iter::once(proof).chain(later);
        let parts = parts.map(|part| v1::ProveAccountResponse { part: Some(part) }).collect();
        Ok(Response::new(self.stream(parts, false)))
    }

    async fn watch_movements(
        &self,
        request: Request<v1::WatchMovementsRequest>,
    ) -> Answer<Self::WatchMovementsStream> {
        use v1::watch_movements_response::Event;
        let start = self.started(request.into_inner().start_after);
        let mut messages = self.ledger().movements.clone();
        messages.retain(|message| match &message.event {
            Some(Event::Movement(movement)) => order(&movement.position) > start,
            _ => true,
        });
        Ok(Response::new(self.stream(messages, true)))
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
        let blocks = self.ledger().blocks.clone();
        Ok(Response::new(self.stream(blocks.into_iter().skip(from - 1).collect(), false)))
    }

    async fn get_history_proof(
        &self,
        request: Request<v1::GetHistoryProofRequest>,
    ) -> Answer<v1::GetHistoryProofResponse> {
        let chain = &self.ledger().chain;
        let proof = chain.history_proof(request.into_inner().height, chain.height());
        Ok(Response::new(v1::GetHistoryProofResponse { proof: Some(proof) }))
    }

    async fn get_epoch_chain(
        &self,
        _: Request<v1::GetEpochChainRequest>,
    ) -> Answer<v1::GetEpochChainResponse> {
        if self.script.lock().unwrap().hides_epochs {
            return Err(refusal(Code::PermissionDenied, "NOT_YOURS"));
        }
        let epochs = Some(v1::EpochChain::default());
        Ok(Response::new(v1::GetEpochChainResponse { epochs }))
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
