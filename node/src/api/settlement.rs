//! SettlementService: instructions in, and what became of them.

use std::sync::Arc;
use std::time::Instant;

use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use counterfoil_proto::v1::settlement_service_server::SettlementService;
use prost::Message;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::Shared;
use super::gate;
use super::reading;
use super::reading::View;
use super::status;
use super::transfers::Filter;
use super::transfers::TransferReader;
use super::visibility::Scope;
use crate::consensus::replica::Replica;
use crate::consensus::replica::Submitted;
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
        let time = gate::time_left(request.metadata().as_ref(), limits::SUBMIT_TIMEOUT);
        // Before the gate's own deadline: this answer says more than that one.
        let deadline = Instant::now() + time.saturating_sub(limits::ANSWER_MARGIN.min(time / 2));
        let signed = request
            .into_inner()
            .signed_instruction
            .ok_or_else(|| status::field("signed_instruction", "it is required"))?;
        let bytes = signed.encode_to_vec().into();
        drop(signed);
        match self.0.replica.submit(bytes, Some(&scope.institution), deadline).await {
            Submitted::Decided(result) => Ok(Response::new(v1::SubmitInstructionResponse {
                result: Some(*result),
                ..Default::default()
            })),
            Submitted::Refused(reason) => Err(status::refused(reason)),
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
        let response =
            reading::off_thread(move || instruction(&replica, &scope, &id, height)).await?;
        Ok(Response::new(response))
    }

    async fn get_receipt(
        &self,
        _request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<v1::GetReceiptResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn prove_absence(
        &self,
        _request: Request<v1::ProveAbsenceRequest>,
    ) -> Result<Response<v1::ProveAbsenceResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn request_inclusion(
        &self,
        _request: Request<v1::RequestInclusionRequest>,
    ) -> Result<Response<v1::RequestInclusionResponse>, Status> {
        Err(Status::unimplemented("not yet"))
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

fn instruction(
    replica: &Arc<Replica>,
    scope: &Scope,
    id: &InstructionId,
    height: u64,
) -> Result<v1::GetInstructionResponse, Status> {
    let view = View::at(replica, height)?;
    let institution = &scope.institution;
    let (hash, position) = replica
        .find(institution, id)
        .map_err(status::unavailable)?
        .filter(|(_, position)| position.height <= height)
        .ok_or_else(|| status::not_found("instruction"))?;
    let result =
        replica.result(institution, id, &hash, position, false).map_err(status::unavailable)?;
    let block = TransferReader::new(replica).block(position.height)?;
    let (_, signed) =
        block.instruction(position.leaf).ok_or_else(|| status::inconsistent("an instruction"))?;
    Ok(v1::GetInstructionResponse {
        result: Some(result),
        signed_instruction: Some(signed),
        as_of: Some(view.as_of()),
        ..Default::default()
    })
}

fn transfers(
    replica: &Arc<Replica>,
    scope: &Scope,
    uetr: &Uetr,
    height: u64,
) -> Result<v1::ListTransfersByUetrResponse, Status> {
    let view = View::at(replica, height)?;
    let positions =
        replica.store().find_uetr(uetr, usize::MAX).map_err(|error| status::storage(&error))?;
    let mut reader = TransferReader::new(replica);
    let mut transfers = Vec::new();
    for position in positions.into_iter().filter(|position| position.height <= height) {
        let found = reader.settled(position)?;
        transfers.extend(found.record(replica, scope, &Filter::default())?);
    }
    Ok(v1::ListTransfersByUetrResponse { transfers, as_of: Some(view.as_of()) })
}
