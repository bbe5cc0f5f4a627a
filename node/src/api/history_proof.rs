//! The proof that a header stands in the history of a certified one.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_proto::v1;
use tonic::Status;

use super::certainty;
use super::reading;
use super::receipts::Seal;
use super::status;
use crate::consensus::replica::Replica;

/// The proof for a height, once this node has the certificate that is asked for.
pub(super) async fn prove(
    replica: &Arc<Replica>,
    request: v1::GetHistoryProofRequest,
) -> Result<v1::HistoryProof, Status> {
    let v1::GetHistoryProofRequest { height, to_height } = request;
    if to_height != 0 && to_height < height {
        return Err(status::field("to_height", "not below height, or 0"));
    }
    let least = height.max(to_height);
    reading::reach(replica, least).await?;
    certainty::reach_final(replica, least).await?;
    let replica = replica.clone();
    reading::off_thread(move || {
        let store = replica.store();
        let certificate =
            if to_height == 0 { store.last_certificate() } else { store.certificate_from(least) };
        let certificate = certificate.map_err(|error| status::storage(&error))?;
        // Of the genesis block, which needs none, there may be none yet.
        let certificate =
            certificate.ok_or_else(|| status::not_final(least, &replica.finality().standing()))?;
        let missing = || status::inconsistent("a header");
        let certified = Header::decode(&certificate.header).ok_or_else(missing)?.height;
        let header = store.header(height).map_err(|error| status::storage(&error))?;
        let header = header.ok_or_else(missing)?;
        let consistency_path = store
            .history_consistency(height, certified)
            .map_err(|error| status::storage(&error))?;
        let Seal { history_path, certificate } = Seal::of(&replica, height, certificate)?;
        Ok(v1::HistoryProof {
            header: Bytes::copy_from_slice(&header.encode()),
            history_path,
            certificate: Some(certificate),
            consistency_path,
        })
    })
    .await
}
