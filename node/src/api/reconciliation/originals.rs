//! Sealed originals: a request holds one of its institution's turns while it waits for the disk.

use std::sync::Arc;

use counterfoil_proto::v1;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::api::Shared;
use crate::api::status;
use crate::api::turns;

/// Takes a part.
pub(super) async fn put(
    shared: &Arc<Shared>,
    request: Request<v1::PutOriginalRequest>,
) -> Result<Response<v1::PutOriginalResponse>, Status> {
    let by = shared.caller(&request)?.identity.institution;
    let _turn = turns::next().await;
    let put = shared.originals.put(by, request.into_inner()).await;
    Ok(Response::new(put.map_err(status::original)?))
}

/// Gives a part.
pub(super) async fn get(
    shared: &Arc<Shared>,
    request: Request<v1::GetOriginalRequest>,
) -> Result<Response<v1::GetOriginalResponse>, Status> {
    let by = shared.caller(&request)?.identity.institution;
    let _turn = turns::next().await;
    let part = shared.originals.get(by, request.into_inner()).await;
    Ok(Response::new(part.map_err(status::original)?))
}

/// Deletes one.
pub(super) async fn delete(
    shared: &Arc<Shared>,
    request: Request<v1::DeleteOriginalRequest>,
) -> Result<Response<v1::DeleteOriginalResponse>, Status> {
    let by = shared.caller(&request)?.identity.institution;
    let _turn = turns::next().await;
    let deleted = shared.originals.delete(by, request.into_inner()).await;
    Ok(Response::new(deleted.map_err(status::original)?))
}
