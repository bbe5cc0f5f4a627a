//! Hands snapshots on to other nodes.

use std::sync::Arc;
use std::time::Instant;

use counterfoil_proto::peer::v1 as peer;
use futures::Stream;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tracing::error;

use super::Keeper;
use crate::blocking;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::snapshots::Snapshots;

struct Reading {
    snapshots: Snapshots,
    height: u64,
    chunk: u32,
    ends: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Keeper {
    /// The newest snapshot that a quorum has signed.
    pub fn manifest(&self) -> Option<peer::SnapshotManifest> {
        self.snapshots().newest_certified().map(|manifest| manifest.to_message())
    }

    /// The chunks of a snapshot from a number on, until the stream has its age.
    pub fn read(
        &self,
        height: u64,
        chunk: u32,
    ) -> Result<
        impl Stream<Item = Result<peer::ReadSnapshotResponse, Status>> + Send + 'static,
        Status,
    > {
        if self.snapshots().newest_certified().is_none_or(|newest| newest.height() != height) {
            return Err(Status::not_found("this node has no certified snapshot of that height"));
        }
        let permit = Arc::clone(&self.readers)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("other nodes are reading: try again"))?;
        let reading = Reading {
            snapshots: self.snapshots().clone(),
            height,
            chunk,
            ends: Instant::now() + limits::SNAPSHOT_STREAM_AGE_MAX,
            _permit: permit,
        };
        Ok(stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(chunk) => {
                    let chunk = chunk?.into();
                    Some((Ok(peer::ReadSnapshotResponse { chunk }), Some(reading)))
                }
                Err(status) => Some((Err(status), None)),
            }
        }))
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Status> {
        if Instant::now() >= self.ends {
            return Ok(None);
        }
        let (snapshots, height, number) = (self.snapshots.clone(), self.height, self.chunk);
        let reading = blocking::aside(move || {
            let chunk = snapshots.read_chunk(height, number);
            if let Err(StorageError::Corrupt { .. }) = &chunk {
                // Another one is made at the next height; until then others have this one.
                snapshots.delete(height)?;
            }
            chunk
        });
        let chunk = reading.await.map_err(|_| Status::internal("reading was interrupted"))?;
        let chunk = chunk.map_err(|error| {
            error!(%error, height, number, "a chunk of a snapshot could not be read");
            Status::data_loss("the chunk could not be read")
        })?;
        self.chunk += 1;
        #[cfg(feature = "misbehaviour")]
        let chunk = chunk.map(crate::misbehaviour::snapshot_chunk);
        Ok(chunk)
    }
}
