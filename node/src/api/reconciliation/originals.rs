//! Sealed originals: a request holds one of its institution's turns at them while it waits for disks and
//! for other nodes, so that no institution has many of these under way at once.

use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use counterfoil_proto::v1;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::api::Shared;
use crate::api::status;

/// Takes a part.
pub(super) async fn put(
    shared: &Arc<Shared>,
    request: Request<v1::PutOriginalRequest>,
) -> Result<Response<v1::PutOriginalResponse>, Status> {
    let by = shared.caller(&request)?.identity.institution;
    let _turn = turn(shared, by).await?;
    let put = shared.originals.put(by, request.into_inner()).await;
    Ok(Response::new(put.map_err(status::original)?))
}

/// Gives a part.
pub(super) async fn get(
    shared: &Arc<Shared>,
    request: Request<v1::GetOriginalRequest>,
) -> Result<Response<v1::GetOriginalResponse>, Status> {
    let by = shared.caller(&request)?.identity.institution;
    let _turn = turn(shared, by).await?;
    let part = shared.originals.get(by, request.into_inner()).await;
    Ok(Response::new(part.map_err(status::original)?))
}

/// Deletes one.
pub(super) async fn delete(
    shared: &Arc<Shared>,
    request: Request<v1::DeleteOriginalRequest>,
) -> Result<Response<v1::DeleteOriginalResponse>, Status> {
    let by = shared.caller(&request)?.identity.institution;
    let _turn = turn(shared, by).await?;
    let deleted = shared.originals.delete(by, request.into_inner()).await;
    Ok(Response::new(deleted.map_err(status::original)?))
}

async fn turn(shared: &Shared, by: Bic) -> Result<OwnedSemaphorePermit, Status> {
    let own = shared.originals_turns.of(by);
    own.acquire_owned().await.map_err(|_| status::stopping())
}
