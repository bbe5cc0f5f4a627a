//! The client: one institution's view of the ledger.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_ledger::verify::Trust;
use counterfoil_proto::v1;
use counterfoil_proto::v1::settlement_service_client::SettlementServiceClient;
use prost::Message;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::belief::{self, Answered};
use crate::builder::ClientBuilder;
use crate::clock;
use crate::endpoints::{CallError, Endpoints, Patience};
use crate::error::{Error, Failure, Fate};
use crate::instructions::{Order, Signed};
use crate::journal::Journal;
use crate::outcome::Outcome;
use crate::proofs::audit;
use crate::trusted::Trusted;

/// Largest answer that is read, in bytes: a block of an export.
pub(crate) const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// One institution's view of the ledger. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pub(crate) deadline: Duration,
    pub(crate) attempt: Duration,
    pub(crate) read_mode: v1::ReadMode,
    pub(crate) finality: v1::Finality,
    /// A refusal counts only if every endpoint that answers refuses.
    pub(crate) asks_all: bool,
}

pub(crate) struct Inner {
    pub(crate) endpoints: Endpoints,
    pub(crate) chain_id: Hash,
    pub(crate) genesis: Genesis,
    pub(crate) trusted: Arc<Trusted>,
    pub(crate) registry: Registry,
    pub(crate) institution: Bic,
    pub(crate) signer: Option<Arc<dyn Signer>>,
    pub(crate) journal: Option<Journal>,
}

/// Something read, and the moment of which it is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// When it was true.
    pub as_of: v1::AsOf,
}

/// An instruction and what became of it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Its fate.
    pub outcome: Outcome,
    /// As it was signed.
    pub signed: Signed,
}

/// What [`Client::resume`] learnt of one instruction.
#[derive(Debug)]
pub struct Resumed {
    /// Which.
    pub id: InstructionId,
    /// Its fate.
    pub result: Result<Outcome, Error>,
}

impl Client {
    /// Starts to collect what a client needs.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The same client with another deadline for each call.
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        Client { deadline, ..self.clone() }
    }

    /// The same client whose reads are as fresh as this; [`v1::ReadMode::Final`] at first.
    pub fn with_read_mode(&self, read_mode: v1::ReadMode) -> Client {
        Client { read_mode, ..self.clone() }
    }

    /// The same client that waits until what it submits, watches or has proved is as certain as this;
    /// [`v1::Finality::Final`] at first. Ordered is sooner, and holds unless nodes lie: the bytes stay
    /// in the journal until [`Client::resume`] has seen the outcome final.
    pub fn with_finality(&self, finality: v1::Finality) -> Client {
        Client { finality, ..self.clone() }
    }

    /// The institution that it speaks for.
    pub fn institution(&self) -> Bic {
        self.inner.institution
    }

    /// SHA-256 of the genesis file: what every signature is bound to.
    pub fn chain_id(&self) -> Hash {
        self.inner.chain_id
    }

    /// The genesis file that it trusts.
    pub fn genesis(&self) -> &Genesis {
        &self.inner.genesis
    }

    /// Institutions, nodes and assets as the genesis file founds them.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Signs an order, keeps it in the journal, sends it, and sends the same bytes again until the
    /// ledger has decided and a node proves it, or the deadline passes. A node whose answer proves
    /// nothing is not believed; after a refusal the other endpoints are asked as well, and one that
    /// proves an outcome is right. A rejection is an [`Outcome`]; what an error means
    /// for the instruction is told by [`Error::outcome`]. To drop the future is like a crash: its fate
    /// is not known, and [`Client::resume`] learns it.
    pub async fn submit(&self, order: Order) -> Result<Outcome, Error> {
        let signed = self.sign(order).await?;
        self.send(&signed).await
    }

    /// Signs an order and checks its shape. Nothing is sent or kept.
    pub async fn sign(&self, order: Order) -> Result<Signed, Error> {
        let signer = self.inner.signer.clone().ok_or_else(|| {
            Error::Configuration("a signer is required to sign instructions".to_owned())
        })?;
        let inner = Arc::clone(&self.inner);
        let may_wait = signer.may_wait();
        let sign = move || {
            let draft = order.draft(&inner.institution);
            let message = draft.sign(signer.as_ref(), &inner.chain_id)?;
            Signed::from_bytes(message.encode_to_vec().into())
        };
        // A signer may be a token that takes its time.
        if may_wait { blocking(sign).await } else { sign() }
    }

    /// Sends what was signed before; see [`Client::submit`]. The ledger executes it once however
    /// often it is sent.
    pub async fn send(&self, signed: &Signed) -> Result<Outcome, Error> {
        if let Some(journal) = self.inner.journal.clone() {
            let (id, signed) = (signed.id, signed.clone());
            let kept = tokio::task::spawn_blocking(move || journal.keep(&signed)).await;
            kept.map_err(|error| Error::Unknown { id, cause: error.to_string() })??;
        }
        self.settle(signed, false).await.0
    }

    /// Sends again, oldest first, what the journal holds: what an earlier run did not learn the fate
    /// of, or knows to be ordered only. It waits until each is final, whatever
    /// [`Client::with_finality`] says. Ends early when no node answers; the rest stays in the journal.
    /// Call it before anything new is submitted.
    pub async fn resume(&self) -> Result<Vec<Resumed>, Error> {
        let client = self.with_finality(v1::Finality::Final);
        let mut resumed = Vec::new();
        for signed in client.pending().await? {
            let (result, answered) = client.settle(&signed, true).await;
            resumed.push(Resumed { id: signed.id, result });
            if !answered {
                break;
            }
        }
        Ok(resumed)
    }

    /// What the journal holds, oldest first.
    pub async fn pending(&self) -> Result<Vec<Signed>, Error> {
        match self.inner.journal.clone() {
            Some(journal) => blocking(move || journal.kept()).await,
            None => Ok(Vec::new()),
        }
    }

    /// What became of an instruction of the own institution, proved, and the instruction.
    pub async fn instruction(&self, id: InstructionId) -> Result<Answer<Decided>, Error> {
        let request = v1::GetInstructionRequest {
            id: Bytes::copy_from_slice(id.as_bytes()),
            read_mode: self.read_mode.into(),
        };
        // A read that may show what is only ordered shows it with an ordered receipt.
        let wanted = match self.read_mode {
            v1::ReadMode::Ordered | v1::ReadMode::Stale => v1::Finality::Ordered,
            v1::ReadMode::Unspecified | v1::ReadMode::Final => v1::Finality::Final,
        };
        let read = |trust: &Trust, response: &v1::GetInstructionResponse| {
            let message = response.signed_instruction.as_ref();
            let message = message.ok_or_else(|| "no instruction".to_owned())?;
            let signed = Signed::from_bytes(message.encode_to_vec().into())
                .map_err(|error| error.to_string())?;
            if signed.id != id {
                return Err(Failure::from("another instruction".to_owned()));
            }
            let answered = Answered {
                result: response.result.as_ref(),
                receipt: response.receipt.as_ref(),
                batch: response.batch.as_ref(),
            };
            let outcome = belief::outcome(&self.inner.trusted, trust, &signed, wanted, &answered)?;
            Ok(answer(Decided { outcome, signed }, response.as_of.clone())?)
        };
        let rpc =
            |channel, request| async move { settlement(channel).get_instruction(request).await };
        Ok(self.proved(request, read, rpc).await?)
    }

    /// The transfers with a UETR that the own institution is party to, in ledger order.
    pub async fn transfers_by_uetr(
        &self,
        uetr: Uetr,
    ) -> Result<Answer<Vec<v1::TransferRecord>>, Error> {
        let request = v1::ListTransfersByUetrRequest {
            uetr: Bytes::copy_from_slice(uetr.as_bytes()),
            read_mode: self.read_mode.into(),
        };
        let read =
            |response: v1::ListTransfersByUetrResponse| answer(response.transfers, response.as_of);
        self.ask(request, read, |channel, request| async move {
            settlement(channel).list_transfers_by_uetr(request).await
        })
        .await
    }

    /// Sends the bytes until their fate is certain or the deadline passes, and keeps the journal in
    /// step. Also says whether any node answered.
    ///
    /// Once an attempt may have been taken no refusal settles the fate: a node that lies would have the
    /// owner order the same again. Then only an outcome that is proved does, or a proved absence.
    async fn settle(&self, signed: &Signed, maybe_taken: bool) -> (Result<Outcome, Error>, bool) {
        let id = signed.id;
        let asking = Client { asks_all: true, ..self.clone() };
        match asking.send_once(signed).await {
            Ok(outcome) => {
                // What is only ordered may still be lost: resuming learns whether it is final.
                if outcome.is_final() {
                    self.forget(id).await;
                }
                (Ok(outcome), true)
            }
            Err(CallError::Refused { refusal, maybe_taken: earlier }) => {
                let (is_final, is_too_late) =
                    (refusal.known == Some(Reason::IdReused), refusal.is_too_late());
                let error = Error::Refused(Box::new(refusal));
                let result = match maybe_taken || earlier {
                    false => self.withdraw(id, error).await,
                    true if is_final || is_too_late || is_past(signed) => {
                        asking.settle_by_proof(signed, error).await
                    }
                    true => Err(Error::Unknown { id, cause: error.to_string() }),
                };
                (result, true)
            }
            // Its bytes stay in the journal: its fate is the least of what is to be found out now.
            Err(CallError::Exhausted { error: error @ Error::Fork(_), .. }) => (Err(error), false),
            Err(CallError::Exhausted { error, maybe_taken: earlier }) => {
                let answered = matches!(error, Error::BadAnswer { .. } | Error::Unproven { .. });
                match maybe_taken || earlier {
                    false => (self.withdraw(id, error).await, false),
                    true if answered && is_past(signed) => {
                        (asking.settle_by_proof(signed, error).await, true)
                    }
                    true => (Err(Error::Unknown { id, cause: error.to_string() }), false),
                }
            }
        }
    }

    /// Submits the bytes, and believes an outcome that is proved.
    async fn send_once(&self, signed: &Signed) -> Result<Outcome, CallError> {
        let message = v1::SubmitInstructionRequest {
            signed_instruction: Some(signed.message.clone()),
            wait_for: self.finality.into(),
        };
        let read = |trust: &Trust, response: &v1::SubmitInstructionResponse| {
            let answered = Answered {
                result: response.result.as_ref(),
                receipt: response.receipt.as_ref(),
                batch: response.batch.as_ref(),
            };
            belief::outcome(&self.inner.trusted, trust, signed, self.finality, &answered)
        };
        let rpc = |channel, request| async move {
            let answered = settlement(channel).submit_instruction(request).await;
            let answered = answered.map_err(|status| match Failure::from(status) {
                // These bytes have been checked by the rules that the node would have to judge by.
                Failure::Refused(refusal) if refusal.is_of_shape() => Failure::BadAnswer {
                    problem: format!("it refuses the shape, which holds: {refusal}"),
                },
                failure => failure,
            });
            Ok(answered?.into_inner())
        };
        self.proved_by(message, read, rpc).await
    }

    /// What became of an instruction that an earlier attempt may have brought into a block, and that is
    /// refused now: proved decided, or absent by the word of a quorum after it has expired. One node's
    /// word that there is no such instruction is not enough: its owner may order the same again.
    async fn settle_by_proof(&self, signed: &Signed, error: Error) -> Result<Outcome, Error> {
        let id = signed.id;
        let unknown = |failed: Error| match failed {
            Error::Fork(_) => failed,
            failed => Error::Unknown { id, cause: format!("{error}; {failed}") },
        };
        let read_mode = match self.finality {
            v1::Finality::Ordered => v1::ReadMode::Ordered,
            v1::Finality::Unspecified | v1::Finality::Final => v1::ReadMode::Final,
        };
        match self.with_read_mode(read_mode).instruction(id).await {
            Ok(found) if found.value.signed.instruction_hash == signed.instruction_hash => {
                if found.value.outcome.is_final() {
                    self.forget(id).await;
                }
                return Ok(Outcome { replayed: true, ..found.value.outcome });
            }
            // The id is taken for ever: these bytes never were, and never will be.
            Ok(found) if found.value.outcome.is_final() => {
                return self.withdraw(id, Error::refused(Reason::IdReused)).await;
            }
            Ok(_) => return Err(unknown(Error::refused(Reason::IdReused))),
            Err(Error::Refused(refusal)) if refusal.code == Code::NotFound => {}
            Err(failed) => return Err(unknown(failed)),
        }
        match self.absence(id, signed.valid_until_ms).await {
            Ok(_) if error.outcome() == Fate::NotTaken => self.withdraw(id, error).await,
            // Whatever else was said of it, now it has expired.
            Ok(_) => self.withdraw(id, Error::refused(Reason::Expired)).await,
            Err(failed) => Err(unknown(failed)),
        }
    }

    /// Removes what was decided from the journal. Whether that works does not matter: see
    /// [`Journal::forget`].
    async fn forget(&self, id: InstructionId) {
        if let Some(journal) = self.inner.journal.clone() {
            let _ = tokio::task::spawn_blocking(move || journal.forget(&id)).await;
        }
    }

    /// Reports that an instruction was not taken, once the journal cannot send it any more.
    async fn withdraw(&self, id: InstructionId, error: Error) -> Result<Outcome, Error> {
        let Some(journal) = self.inner.journal.clone() else { return Err(error) };
        match blocking(move || journal.withdraw(&id)).await {
            Ok(()) => Err(error),
            Err(failed) => Err(Error::Unknown {
                id,
                cause: format!("{error}; but it could not be taken back: {failed}"),
            }),
        }
    }

    /// A call whose repetition is harmless.
    pub(crate) async fn ask<Q, R, T, E, F>(
        &self,
        message: Q,
        read: impl Fn(R) -> Result<T, E>,
        rpc: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<T, Error>
    where
        Q: Clone,
        E: Into<Failure>,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let attempt = |channel, time| {
            let answered = rpc(channel, timed(&message, time));
            let read = &read;
            async move { read(answered.await?.into_inner()).map_err(Into::into) }
        };
        Ok(self.inner.endpoints.call(self.patience(), attempt).await?)
    }

    /// A call whose answer is believed only if it is proved.
    pub(crate) async fn proved<Q, R, T, F>(
        &self,
        message: Q,
        read: impl Fn(&Trust, &R) -> Result<T, Failure>,
        rpc: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<T, CallError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let rpc = |channel, request| {
            let answered = rpc(channel, request);
            async move { Ok(answered.await?.into_inner()) }
        };
        self.proved_by(message, read, rpc).await
    }

    /// The same where more than one message is the answer. Where the proof is of an epoch that is not
    /// known yet, the node that gave it is asked how that epoch came about.
    pub(crate) async fn proved_by<Q, R, T, F>(
        &self,
        message: Q,
        read: impl Fn(&Trust, &R) -> Result<T, Failure>,
        rpc: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<T, CallError>
    where
        Q: Clone,
        F: Future<Output = Result<R, Failure>>,
    {
        let trusted = &self.inner.trusted;
        let attempt = |channel: Channel, time| {
            let answered = rpc(channel.clone(), timed(&message, time));
            let read = &read;
            async move {
                let response = answered.await?;
                match read(&trusted.current(), &response) {
                    Err(Failure::Unproven(unproven)) if unproven.part == "epoch" => {
                        let request = timed(&v1::GetEpochChainRequest {}, time);
                        let chain = audit(channel).get_epoch_chain(request).await;
                        // Whatever is said here is no word on the call itself, which was answered.
                        let chain = chain.map_err(|status| match Failure::from(status) {
                            Failure::Lost { cause } | Failure::NotTaken { cause, .. } => {
                                Failure::Lost { cause: format!("on who signs: {cause}") }
                            }
                            _ => Failure::Unproven(unproven),
                        })?;
                        let chain = chain.into_inner();
                        trusted.extend(&chain.epochs.unwrap_or_default())?;
                        read(&trusted.current(), &response)
                    }
                    answered => answered,
                }
            }
        };
        self.inner.endpoints.call(self.patience(), attempt).await
    }

    /// Opens a stream; only the opening has a deadline.
    pub(crate) async fn open<Q, R, F>(
        &self,
        message: Q,
        rpc: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<R, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let attempt = |channel, _| {
            let opened = rpc(channel, Request::new(message.clone()));
            async move { Ok(opened.await?.into_inner()) }
        };
        Ok(self.inner.endpoints.call(self.patience(), attempt).await?)
    }

    fn patience(&self) -> Patience {
        Patience {
            deadline: Instant::now() + self.deadline,
            attempt: self.attempt,
            asks_all: self.asks_all,
        }
    }
}

pub(crate) fn settlement(channel: Channel) -> SettlementServiceClient<Channel> {
    SettlementServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}

fn timed<Q: Clone>(message: &Q, time: Duration) -> Request<Q> {
    let mut request = Request::new(message.clone());
    request.set_timeout(time);
    request
}

/// Whether an instruction has expired by this machine's clock. The proof that follows is by block time.
fn is_past(signed: &Signed) -> bool {
    signed.valid_until_ms < clock::now_ms()
}

/// Something read, unless the node does not say when it was true.
pub(crate) fn answer<T>(value: T, as_of: Option<v1::AsOf>) -> Result<Answer<T>, String> {
    Ok(Answer { value, as_of: as_of.ok_or("it does not say of which height")? })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Configuration("the runtime is shutting down".to_owned()))?
}
