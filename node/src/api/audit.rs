//! AuditService: blocks and the settlement history.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::encode_leaves;
use counterfoil_ledger::outcome::Event;
use counterfoil_ledger::outcome::State;
use counterfoil_ledger::proposal::PROPOSAL_HEADER_LENGTH;
use counterfoil_proto::v1;
use counterfoil_proto::v1::audit_service_server::AuditService;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::Shared;
use super::history_proof;
use super::page;
use super::page::Budget;
use super::page::Page;
use super::page::Question;
use super::reading;
use super::reading::View;
use super::status;
use super::transfers::Filter;
use super::transfers::TransferReader;
use super::visibility::Scope;
use super::watch;
use super::watch::Kind;
use super::watch::Outlet;
use crate::consensus::replica::Replica;
use crate::storage::log::LogPayload;

/// Serves AuditService.
pub(super) struct Audit(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl AuditService for Audit {
    type ExportBlocksStream = watch::Stream<v1::ExportBlocksResponse>;

    async fn get_genesis(
        &self,
        _request: Request<v1::GetGenesisRequest>,
    ) -> Result<Response<v1::GetGenesisResponse>, Status> {
        let genesis = self.0.replica.state().genesis_file().bytes().clone();
        Ok(Response::new(v1::GetGenesisResponse { genesis }))
    }

    async fn list_blocks(
        &self,
        request: Request<v1::ListBlocksRequest>,
    ) -> Result<Response<v1::ListBlocksResponse>, Status> {
        let request = request.into_inner();
        let replica = self.0.replica.clone();
        let height = reading::newest(&replica, request.read_mode).await?;
        let size = u64::try_from(page::size(request.page_size)).unwrap_or(u64::MAX);
        let response = reading::off_thread(move || {
            let view = View::at(&replica, height)?;
            let end = request.from_height.saturating_add(size).min(height + 1);
            let headers = replica
                .store()
                .header_range(request.from_height..end)
                .map_err(|error| status::storage(&error))?;
            let headers =
                headers.iter().map(|header| Bytes::copy_from_slice(&header.encode())).collect();
            let next_height = if end <= height { end } else { 0 };
            Ok(v1::ListBlocksResponse { headers, next_height, as_of: Some(view.as_of()) })
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn export_blocks(
        &self,
        request: Request<v1::ExportBlocksRequest>,
    ) -> Result<Response<Self::ExportBlocksStream>, Status> {
        let caller = self.0.caller(&request)?.clone();
        if !self.0.scope(&request)?.consortium {
            return Err(status::scope_denied());
        }
        let request = request.into_inner();
        if request.from_height == 0 {
            return Err(status::field("from_height", "at least 1: block 0 is the genesis file"));
        }
        let replica = self.0.replica.clone();
        let ordered = v1::ReadMode::Ordered.into();
        let last = reading::height_of(&replica, request.to_height, ordered).await?;
        let stream = self.0.watches.open(&caller, Kind::Blocks, |outlet| {
            export(replica, request.from_height, last, outlet)
        })?;
        Ok(Response::new(stream))
    }

    async fn get_history_proof(
        &self,
        request: Request<v1::GetHistoryProofRequest>,
    ) -> Result<Response<v1::GetHistoryProofResponse>, Status> {
        let proof = history_proof::prove(&self.0.replica, request.into_inner()).await?;
        Ok(Response::new(v1::GetHistoryProofResponse { proof: Some(proof) }))
    }

    async fn get_epoch_chain(
        &self,
        _request: Request<v1::GetEpochChainRequest>,
    ) -> Result<Response<v1::GetEpochChainResponse>, Status> {
        // Rule version 1 changes nothing in the registry, so the signers are those of the genesis file.
        let epochs = v1::EpochChain { changes: Vec::new() };
        Ok(Response::new(v1::GetEpochChainResponse { epochs: Some(epochs) }))
    }

    async fn get_checkpoint(
        &self,
        _request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let checkpoint = self.0.statements.checkpoint().await.map_err(status::not_gathered)?;
        Ok(Response::new(v1::GetCheckpointResponse { checkpoint: checkpoint.to_string() }))
    }

    async fn list_history(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<v1::ListHistoryResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let institution = match request.institution.as_str() {
            "" => None,
            text => Some(
                Bic::parse_canonical(text)
                    .map_err(|_| status::field("institution", "a BIC of eleven characters"))?,
            ),
        };
        let asked = v1::ListHistoryRequest {
            page_size: 0,
            page_token: String::new(),
            read_mode: 0,
            ..request.clone()
        };
        let question = Question::new("ListHistory", &scope, &asked);
        let replica = self.0.replica.clone();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&replica, question, size, token, request.read_mode).await?;
        // Less than the range that was asked for is never given as all of it.
        reading::reach_as(&replica, request.to_height, request.read_mode).await?;
        let search = Search {
            from: request.from_height,
            to: if request.to_height == 0 { page.height } else { request.to_height },
            include_rejected: request.include_rejected,
            filter: Filter { institution, asset: request.asset },
        };
        let response =
            reading::off_thread(move || history(&replica, &scope, &page, &search)).await?;
        Ok(Response::new(response))
    }
}

/// Which part of the history.
struct Search {
    from: u64,
    to: u64,
    include_rejected: bool,
    filter: Filter,
}

fn history(
    replica: &Arc<Replica>,
    scope: &Scope,
    page: &Page,
    search: &Search,
) -> Result<v1::ListHistoryResponse, Status> {
    // A range that was reached after the first page pinned its height is of a later moment.
    let view = View::at(replica, page.height.max(search.to))?;
    let mut reader = TransferReader::new(replica);
    let mut budget = Budget::new();
    let mut transfers = Vec::new();
    let mut last = page.after.map(|(height, leaf)| Position { height, leaf });
    let mut next_page_token = String::new();
    let first = last.map_or(search.from, |last| last.height);
    'page: for height in first..=search.to {
        let leaf_count = leaf_count(replica, height)?;
        let skipped = last.filter(|last| last.height == height).map(|last| last.leaf);
        for leaf in skipped.map_or(0, |leaf| leaf.saturating_add(1))..leaf_count {
            let is_full = transfers.len() == page.size || budget.is_spent();
            if let Some(last) = last.filter(|_| is_full) {
                next_page_token = page.token((last.height, last.leaf));
                break 'page;
            }
            budget.spend(1);
            let position = Position { height, leaf };
            last = Some(position);
            if may_be_transfer(&mut reader, position, search.include_rejected)?
                && let Some(found) = reader.find(position)?
            {
                transfers.extend(found.record(replica, scope, &search.filter)?);
            }
        }
        budget.spend(1);
        last = Some(Position { height, leaf: u32::MAX });
    }
    Ok(v1::ListHistoryResponse { transfers, next_page_token, as_of: Some(view.as_of()) })
}

fn leaf_count(replica: &Replica, height: u64) -> Result<u32, Status> {
    let header = replica.store().header(height).map_err(|error| status::storage(&error))?;
    header.map(|header| header.leaf_count).ok_or_else(|| status::inconsistent("a header"))
}

/// Whether a leaf is worth opening: its outcome says that it posted, or that it was refused.
fn may_be_transfer(
    reader: &mut TransferReader<'_>,
    position: Position,
    include_rejected: bool,
) -> Result<bool, Status> {
    let block = reader.block(position.height)?;
    let leaf = usize::try_from(position.leaf).ok().and_then(|place| block.leaves.get(place));
    let outcome = leaf.ok_or_else(|| status::inconsistent("a leaf"))?.outcome;
    Ok(outcome.event == Event::TransferPosted
        || include_rejected && outcome.state == State::Rejected)
}

/// Sends whole blocks, both heights included.
async fn export(
    replica: Arc<Replica>,
    first: u64,
    last: u64,
    outlet: Outlet<v1::ExportBlocksResponse>,
) -> Result<(), Status> {
    for height in first..=last {
        let replica = replica.clone();
        let block = reading::off_thread(move || exported(&replica, height)).await?;
        outlet.send(Ok(block)).await.map_err(|_| status::stopping())?;
    }
    Ok(())
}

fn exported(replica: &Replica, height: u64) -> Result<v1::ExportBlocksResponse, Status> {
    let store = replica.store();
    let missing = || status::inconsistent("a block");
    let header = |height| store.header(height).map_err(|error| status::storage(&error));
    let before = header(height - 1)?.ok_or_else(missing)?;
    let header = header(height)?.ok_or_else(missing)?;
    let leaves = store.leaves(height).map_err(|error| status::storage(&error))?;
    let leaves = leaves.ok_or_else(missing)?;
    let mut void_proposals = Vec::new();
    for index in before.raft_index + 1..header.raft_index {
        if let Some(proposal) = proposal(replica, index)? {
            void_proposals.push(proposal.slice(..proposal.len().min(PROPOSAL_HEADER_LENGTH)));
        }
    }
    Ok(v1::ExportBlocksResponse {
        header: Bytes::copy_from_slice(&header.encode()),
        proposal: proposal(replica, header.raft_index)?.ok_or_else(missing)?,
        outcomes: encode_leaves(&leaves).into(),
        void_proposals,
    })
}

/// The proposal at a place of the log, as it stands there, if it is one.
fn proposal(replica: &Replica, index: u64) -> Result<Option<Bytes>, Status> {
    let entry = replica.store().log().get(index).map_err(|error| status::storage(&error))?;
    match entry.ok_or_else(|| status::inconsistent("a log entry"))?.payload {
        LogPayload::Proposal(bytes) => Ok(Some(bytes)),
        LogPayload::Blank | LogPayload::Membership(_) => Ok(None),
    }
}
