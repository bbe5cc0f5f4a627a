//! SettlementService: instructions in, and what became of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::block::NO_INSTRUCTION;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::outcome::Event;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::state::TIME_MAX_MS;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use counterfoil_proto::v1::get_receipt_request::Subject;
use counterfoil_proto::v1::instruction::Body;
use counterfoil_proto::v1::settlement_service_server::SettlementService;
use prost::Message;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::Shared;
use super::certainty;
use super::gate;
use super::reading;
use super::reading::View;
use super::receipts::Named;
use super::status;
use super::transfers::Filter;
use super::transfers::TransferReader;
use super::visibility::Scope;
use crate::consensus::inclusion::NoPromise;
use crate::consensus::replica::Replica;
use crate::consensus::replica::Submitted;
use crate::consensus::replica::Unavailable;
use crate::limits;

/// Serves SettlementService.
pub(super) struct Settlement(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl SettlementService for Settlement {
    async fn submit_instruction(
        &self,
        request: Request<v1::SubmitInstructionRequest>,
    ) -> Result<Response<v1::SubmitInstructionResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let line = self.0.caller(&request)?.line.clone();
        let time = gate::time_left(request.metadata().as_ref(), limits::SUBMIT_TIMEOUT);
        // Before the gate's own deadline: this answer says more than that one.
        let deadline = Instant::now() + time.saturating_sub(limits::ANSWER_MARGIN.min(time / 2));
        let request = request.into_inner();
        let wait_for = certainty::wanted(request.wait_for)?;
        let signed = request
            .signed_instruction
            .ok_or_else(|| status::field("signed_instruction", "it is required"))?;
        let named = named(&scope, &signed.instruction);
        let bytes: Bytes = signed.encode_to_vec().into();
        drop(signed);
        let size = bytes.len();
        match self.0.replica.submit(bytes, &scope.institution, deadline).await {
            Submitted::Decided(result) => {
                let named = named.ok_or_else(|| status::inconsistent("an instruction"))?;
                let decided = Decided { result: *result, named, scope };
                Ok(Response::new(self.decided(decided, wait_for, deadline).await?))
            }
            Submitted::Refused(reason) => {
                if reason == Reason::SignatureInvalid {
                    line.fault(size);
                }
                Err(status::refused(reason))
            }
            Submitted::Unavailable(cause) => Err(status::unavailable(cause)),
        }
    }

    async fn get_instruction(
        &self,
        request: Request<v1::GetInstructionRequest>,
    ) -> Result<Response<v1::GetInstructionResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let id = InstructionId::from_bytes(&request.id)
            .map_err(|_| status::field("id", "a UUIDv7 of 16 bytes"))?;
        let replica = self.0.replica.clone();
        let height = reading::newest(&replica, request.read_mode).await?;
        let (hash, position) = self.found(&scope, id, height, "instruction").await?;
        let signed = {
            let replica = replica.clone();
            reading::off_thread(move || signed(&replica, position)).await?
        };
        let named = Named::of(&scope, id, hash);
        let told = self.0.receipts.told(&named.subject(), position, false).await?;
        let view = reading::off_thread(move || View::at(&replica, height)).await?;
        Ok(Response::new(v1::GetInstructionResponse {
            result: Some(told.result),
            signed_instruction: Some(signed),
            as_of: Some(view.as_of()),
            receipt: Some(told.receipt),
            batch: told.batch,
        }))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<v1::GetReceiptResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let wait_for = certainty::wanted(request.wait_for)?;
        let subject = request
            .subject
            .ok_or_else(|| status::field("subject", "instruction or position; it is required"))?;
        let position = self.subject(&scope, subject).await?;
        if wait_for == v1::Finality::Final {
            certainty::reach_final(&self.0.replica, position.height).await?;
        }
        let receipt = self.0.receipts.receipt(position).await?;
        #[cfg(feature = "misbehaviour")]
        let receipt = crate::misbehaviour::receipt(receipt);
        Ok(Response::new(v1::GetReceiptResponse { receipt: Some(receipt) }))
    }

    async fn prove_absence(
        &self,
        request: Request<v1::ProveAbsenceRequest>,
    ) -> Result<Response<v1::ProveAbsenceResponse>, Status> {
        let institution = self.0.scope(&request)?.institution;
        let time = gate::time_left(request.metadata().as_ref(), limits::ABSENCE_TIMEOUT);
        let deadline = Instant::now() + time.saturating_sub(limits::ANSWER_MARGIN.min(time / 2));
        let request = request.into_inner();
        let id = InstructionId::from_bytes(&request.id)
            .map_err(|_| status::field("id", "a UUIDv7 of 16 bytes"))?;
        let valid_until_ms = request.valid_until_ms;
        if valid_until_ms == 0 || valid_until_ms > TIME_MAX_MS {
            return Err(status::field(
                "valid_until_ms",
                "the instruction's valid_until_ms, Unix milliseconds",
            ));
        }
        if !self.0.absences.take(institution, Instant::now()) {
            return Err(status::overloaded("Too many proofs of absence are asked for."));
        }
        let absence = self.0.statements.absence(&institution, &id, valid_until_ms, deadline).await;
        let absence = Some(absence.map_err(status::not_gathered)?);
        Ok(Response::new(v1::ProveAbsenceResponse { absence }))
    }

    async fn request_inclusion(
        &self,
        request: Request<v1::RequestInclusionRequest>,
    ) -> Result<Response<v1::RequestInclusionResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let signed = request
            .into_inner()
            .signed_instruction
            .ok_or_else(|| status::field("signed_instruction", "it is required"))?;
        let bytes = signed.encode_to_vec().into();
        drop(signed);
        match self.0.inclusion.promise(bytes, &scope.institution).await {
            Ok(promise) => {
                Ok(Response::new(v1::RequestInclusionResponse { promise: Some(promise) }))
            }
            Err(NoPromise::Refused(reason)) => Err(status::refused(reason)),
            Err(NoPromise::Unavailable(cause)) => Err(status::unavailable(cause)),
            Err(NoPromise::Learner) => Err(status::learner()),
            Err(NoPromise::EndsTooSoon) => Err(status::field(
                "signed_instruction",
                "its valid_until_ms is at least 12 seconds ahead; one that ends sooner can only be submitted",
            )),
        }
    }

    async fn list_transfers_by_uetr(
        &self,
        request: Request<v1::ListTransfersByUetrRequest>,
    ) -> Result<Response<v1::ListTransfersByUetrResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let uetr = Uetr::from_bytes(&request.uetr)
            .map_err(|_| status::field("uetr", "a UUIDv4 of 16 bytes"))?;
        let replica = self.0.replica.clone();
        let height = reading::newest(&replica, request.read_mode).await?;
        let response =
            reading::off_thread(move || transfers(&replica, &scope, &uetr, height)).await?;
        Ok(Response::new(response))
    }
}

/// An instruction of the caller, and what the ledger has decided on it.
struct Decided {
    result: v1::InstructionResult,
    named: Named,
    scope: Scope,
}

impl Settlement {
    /// What a submitter is told: what this node has executed itself, with its receipt.
    async fn decided(
        &self,
        decided: Decided,
        wait_for: v1::Finality,
        deadline: Instant,
    ) -> Result<v1::SubmitInstructionResponse, Status> {
        let replica = &self.0.replica;
        let Decided { result, named, scope } = decided;
        let height = result.verdict.as_ref().and_then(|it| it.position).map_or(0, |it| it.height);
        let waits = wait_for == v1::Finality::Final;
        let late = || status::not_final_yet(height, &replica.finality().standing());
        if !executed(replica, height, deadline).await? {
            // The leader knows already, and this node will; what it cannot prove it does not call final.
            let ordered =
                v1::SubmitInstructionResponse { result: Some(result), receipt: None, batch: None };
            return if waits { Err(late()) } else { Ok(ordered) };
        }
        let unknown = || status::unavailable(Unavailable::Unknown);
        let found = replica.find(&scope.institution, &named.id).map_err(status::unavailable)?;
        let (_, position) = found.filter(|(hash, _)| *hash == named.hash).ok_or_else(unknown)?;
        if waits {
            let waited = replica.finality().wait_final(position.height, deadline).await;
            waited.map_err(|cause| match cause {
                Unavailable::NotFinal => late(),
                cause => status::unavailable(cause),
            })?;
        }
        let told = self.0.receipts.told(&named.subject(), position, result.replayed).await?;
        let (result, receipt) = (Some(told.result), Some(told.receipt));
        Ok(v1::SubmitInstructionResponse { result, receipt, batch: told.batch })
    }

    /// Hash and place of an instruction of the caller that was decided at or below a height.
    async fn found(
        &self,
        scope: &Scope,
        id: InstructionId,
        height: u64,
        what: &'static str,
    ) -> Result<(Hash, Position), Status> {
        let (replica, institution) = (self.0.replica.clone(), scope.institution);
        let find = move || replica.find(&institution, &id).map_err(status::unavailable);
        let found = reading::off_thread(find).await?;
        found
            .filter(|(_, position)| position.height <= height)
            .ok_or_else(|| status::not_found(what))
    }

    /// The leaf that a receipt is asked for. What is not there, and what the caller is no party to,
    /// are told apart by nobody.
    async fn subject(&self, scope: &Scope, subject: Subject) -> Result<Position, Status> {
        let none = || status::not_found("receipt");
        match subject {
            Subject::Instruction(own) => {
                let id = InstructionId::from_bytes(&own.id)
                    .map_err(|_| status::field("instruction.id", "a UUIDv7 of 16 bytes"))?;
                let height = reading::newest(&self.0.replica, ORDERED).await?;
                let (_, position) = self.found(scope, id, height, "receipt").await?;
                self.0.receipts.leaf(position, own.item_number).await?.ok_or_else(none)
            }
            Subject::Position(position) => {
                let height = reading::newest(&self.0.replica, ORDERED).await?;
                let position = Position { height: position.height, leaf: position.leaf };
                let (replica, scope) = (self.0.replica.clone(), *scope);
                let is_party =
                    move || Ok(position.height <= height && is_party(&replica, &scope, position)?);
                reading::off_thread(is_party).await?.then_some(position).ok_or_else(none)
            }
        }
    }
}

/// As a request has it.
const ORDERED: i32 = v1::ReadMode::Ordered as i32;

/// What a submitted instruction is found by; none if it is no instruction at all.
fn named(scope: &Scope, instruction: &Bytes) -> Option<Named> {
    let message = v1::Instruction::decode(instruction.clone()).ok()?;
    let id = InstructionId::from_bytes(&message.id).ok()?;
    Some(Named::of(scope, id, Hash::of(instruction)))
}

/// Whether this node has executed a height by the deadline.
async fn executed(replica: &Replica, height: u64, deadline: Instant) -> Result<bool, Status> {
    let mut reached = replica.height();
    let waiting = reached.wait_for(|reached| *reached >= height);
    match tokio::time::timeout_at(deadline.into(), waiting).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(_)) => Err(status::stopping()),
        Err(_) => Ok(false),
    }
}

/// Whether there is a leaf at a position and the scope is party to it: it is of an instruction of its
/// own, the opening of an account that it owns, or a transfer that settled to or from an account that it
/// sees.
fn is_party(replica: &Replica, scope: &Scope, position: Position) -> Result<bool, Status> {
    let mut reader = TransferReader::new(replica);
    let block = reader.block(position.height)?;
    let leaf = usize::try_from(position.leaf).ok().and_then(|leaf| block.leaves.get(leaf));
    // Work that was due is nobody's instruction: there is no receipt of it.
    let Some(leaf) = leaf.filter(|leaf| leaf.instruction != NO_INSTRUCTION) else {
        return Ok(false);
    };
    if scope.consortium {
        return Ok(true);
    }
    if let Some(found) = reader.find(position)? {
        return Ok(found.record(replica, scope, &Filter::default())?.is_some());
    }
    let signed = block.instruction(position.leaf);
    let message = signed.and_then(|(_, it)| v1::Instruction::decode(it.instruction).ok());
    let message = message.ok_or_else(|| status::inconsistent("an instruction"))?;
    let opened = leaf.outcome.event == Event::AccountOpened;
    let opened_for = match &message.body {
        Some(Body::OpenAccount(order)) if opened => Some(order.owner.as_str()),
        _ => None,
    };
    let own = scope.institution.as_str();
    Ok(message.institution == own || opened_for == Some(own))
}

/// The instruction of a leaf, as it was signed.
fn signed(replica: &Replica, position: Position) -> Result<v1::SignedInstruction, Status> {
    let block = TransferReader::new(replica).block(position.height)?;
    let signed = block.instruction(position.leaf);
    signed.map(|(_, signed)| signed).ok_or_else(|| status::inconsistent("an instruction"))
}

fn transfers(
    replica: &Arc<Replica>,
    scope: &Scope,
    uetr: &Uetr,
    height: u64,
) -> Result<v1::ListTransfersByUetrResponse, Status> {
    let view = View::at(replica, height)?;
    let positions = replica.store().find_uetr(uetr).map_err(|error| status::storage(&error))?;
    let mut reader = TransferReader::new(replica);
    let mut transfers = Vec::new();
    for position in positions.into_iter().filter(|position| position.height <= height) {
        let found = reader.settled(position)?;
        transfers.extend(found.record(replica, scope, &Filter::default())?);
    }
    Ok(v1::ListTransfersByUetrResponse { transfers, as_of: Some(view.as_of()) })
}
