//! The content of a snapshot, received from whoever offers it. What has come stays, whatever happens.

use counterfoil_proto::peer::v1;
use tracing::info;
use tracing::warn;

use super::CatchUp;
use super::Progress;
use super::count_bytes;
use super::die_at;
use super::offers::Fault;
use super::offers::Offers;
use crate::blocking;
use crate::exit::Stop;
use crate::limits;
use crate::storage::snapshots::Manifest;
use crate::storage::snapshots::Receiving;

impl CatchUp {
    /// Receives a snapshot, or a newer one where nobody has it any more. Goes on until it is there.
    pub(super) async fn receive(
        &self,
        offers: &mut Offers,
        mut target: Manifest,
    ) -> Result<Manifest, Stop> {
        loop {
            if self.snapshots.has(target.height()) {
                return Ok(target);
            }
            let mut receiving =
                blocking::in_place(|| self.snapshots.begin_receive(target.clone())).await?;
            while receiving.next_chunk().is_some() {
                let Some(node) = offers.holder(&target) else { break };
                if let Err(fault) = self.receive_from(offers, node, &mut receiving).await? {
                    warn!(node, ?fault, "leaves a node from which it received a snapshot");
                    offers.leave(node, fault);
                    offers.ask().await;
                }
            }
            if blocking::in_place(|| receiving.finish()).await? {
                return Ok(target);
            }
            tokio::time::sleep(limits::CATCH_UP_RETRY_INTERVAL).await;
            offers.ask().await;
            if offers.holder(&target).is_none()
                && let Some(newer) = offers.newest().filter(|it| it.height() > target.height())
            {
                info!(height = newer.height(), "a newer snapshot has taken the place of the other");
                target = newer.clone();
            }
        }
    }

    /// Receives as much as a node sends. The inner error says why it is left.
    async fn receive_from(
        &self,
        offers: &Offers,
        node: u64,
        receiving: &mut Receiving,
    ) -> Result<Result<(), Fault>, Stop> {
        let (Some(mut client), Some(chunk)) = (offers.client(node), receiving.next_chunk()) else {
            return Ok(Err(Fault::Lacks));
        };
        let height = receiving.manifest().height();
        let request = v1::ReadSnapshotRequest { height, chunk };
        let asked = tokio::time::timeout(limits::RUN_STALL_TIMEOUT, client.read_snapshot(request));
        let mut stream = match asked.await {
            Ok(Ok(stream)) => stream.into_inner(),
            Ok(Err(_)) => return Ok(Err(Fault::Lacks)),
            Err(_) => return Ok(Err(Fault::Stalls)),
        };
        let mut came = false;
        while receiving.next_chunk().is_some() {
            let next = tokio::time::timeout(limits::RUN_STALL_TIMEOUT, stream.message()).await;
            let chunk = match next {
                Ok(Ok(Some(message))) => message.chunk,
                // The asked node may end the stream early.
                Ok(Ok(None)) if came => return Ok(Ok(())),
                Ok(Ok(None)) => return Ok(Err(Fault::Lacks)),
                Ok(Err(_)) if came => return Ok(Ok(())),
                Ok(Err(_)) => return Ok(Err(Fault::Lacks)),
                Err(_) => return Ok(Err(Fault::Stalls)),
            };
            if !blocking::in_place(|| receiving.put_chunk(&chunk)).await? {
                return Ok(Err(Fault::Lies));
            }
            die_at("receiving");
            came = true;
            count_bytes("snapshot", chunk.len());
            let (done, of) = (receiving.next_chunk(), receiving.manifest().chunk_count());
            self.watched.tell(Progress::Snapshot { height, chunk: done.unwrap_or(of), of });
        }
        Ok(Ok(()))
    }
}
