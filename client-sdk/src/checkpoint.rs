//! Checkpoints: the newest final height in the form that witnesses of transparency logs cosign.

use counterfoil_ledger::checkpoint::{Cosigners, Note, Signed};
use counterfoil_proto::v1;
use counterfoil_proto::v1::audit_service_client::AuditServiceClient;

use crate::client::{ANSWER_MAX, Client};
use crate::error::Error;

/// A checkpoint that a quorum of nodes cosigned.
#[derive(Clone, Debug)]
pub struct CosignedCheckpoint {
    /// As it travels: a signed note.
    pub note: Note,
    /// What it says, and who signed it.
    pub signed: Signed,
}

impl Client {
    /// The nodes that sign checkpoints.
    pub fn cosigners(&self) -> Cosigners {
        let consortium = &self.genesis().message().consortium;
        Cosigners::of(consortium, &self.chain_id(), self.registry())
    }

    /// The newest final height as a C2SP checkpoint, at most a moment old. It is believed only if a
    /// quorum of nodes cosigned it.
    pub async fn checkpoint(&self) -> Result<CosignedCheckpoint, Error> {
        let cosigners = self.cosigners();
        let read = move |response: v1::GetCheckpointResponse| {
            let note = Note::parse(response.checkpoint.as_bytes()).map_err(|it| it.to_string())?;
            let signed = cosigners.verify(&note).map_err(|it| it.to_string())?;
            if !signed.quorum {
                return Err("a checkpoint that fewer nodes than a quorum cosigned".to_owned());
            }
            Ok(CosignedCheckpoint { note, signed })
        };
        self.ask(v1::GetCheckpointRequest {}, read, |channel, request| async move {
            AuditServiceClient::new(channel)
                .max_decoding_message_size(ANSWER_MAX)
                .get_checkpoint(request)
                .await
        })
        .await
    }
}
