//! The blocks up to a snapshot, from whoever has them.

use counterfoil_ledger::header::Header;
use counterfoil_proto::peer::v1;
use prost::Message;
use tracing::info;
use tracing::warn;

use super::CatchUp;
use super::Progress;
use super::count_bytes;
use super::die_at;
use super::follower::Follower;
use super::follower::NotFollowed;
use super::offers::Fault;
use super::offers::Offers;
use crate::blocking;
use crate::exit::Stop;
use crate::limits;

impl CatchUp {
    /// Follows blocks up to one that is certified. Goes on until it is there.
    pub(super) async fn follow(
        &self,
        offers: &mut Offers,
        target: &Header,
    ) -> Result<Follower, Stop> {
        let mut follower = blocking::in_place(|| self.open_follower()).await?;
        die_at("copied");
        let from = follower.place()?.header.height;
        let mut last = None;
        loop {
            let place = follower.place()?.header.height;
            if place >= target.height {
                return Ok(follower);
            }
            let Some(node) = offers.reader(target.height, last) else {
                tokio::time::sleep(limits::CATCH_UP_RETRY_INTERVAL).await;
                offers.ask().await;
                continue;
            };
            last = Some(node);
            let reading = Reading { node, from, target };
            let Err(fault) = self.follow_from(offers, &reading, &mut follower).await? else {
                continue;
            };
            warn!(node, ?fault, height = place, "leaves a node from which it read blocks");
            offers.leave(node, fault);
            if fault == Fault::Lies {
                // What it told may have been applied half-way: back to what is on disk.
                drop(follower);
                follower = blocking::in_place(|| self.open_follower()).await?;
            }
            tokio::time::sleep(limits::CATCH_UP_RETRY_INTERVAL).await;
            offers.ask().await;
        }
    }

    /// Follows as much as a node sends. The inner error says why it is left.
    async fn follow_from(
        &self,
        offers: &Offers,
        reading: &Reading<'_>,
        follower: &mut Follower,
    ) -> Result<Result<(), Fault>, Stop> {
        let Reading { node, from, target } = *reading;
        let Some(mut client) = offers.client(node) else { return Ok(Err(Fault::Lacks)) };
        let request = v1::ReadBlocksRequest {
            from_height: follower.place()?.header.height + 1,
            to_height: target.height,
            chain_id: offers.chain_id(),
        };
        let asked = tokio::time::timeout(limits::RUN_STALL_TIMEOUT, client.read_blocks(request));
        let mut stream = match asked.await {
            Ok(Ok(stream)) => stream.into_inner(),
            Ok(Err(status)) => {
                info!(node, %status, "a node has no blocks to tell of now");
                return Ok(Err(Fault::Lacks));
            }
            Err(_) => return Ok(Err(Fault::Stalls)),
        };
        let mut came = false;
        loop {
            let next = tokio::time::timeout(limits::RUN_STALL_TIMEOUT, stream.message()).await;
            let run = match next {
                Ok(Ok(Some(run))) => run,
                Ok(Ok(None)) | Ok(Err(_)) => {
                    return Ok(if came { Ok(()) } else { Err(Fault::Lacks) });
                }
                Err(_) => return Ok(Err(Fault::Stalls)),
            };
            let bytes = run.encoded_len();
            match blocking::in_place(|| follower.follow(run, target)).await {
                Ok(()) => {}
                Err(NotFollowed::Lie(rule)) => {
                    warn!(node, rule, "a node told of blocks that are not the certified ones");
                    return Ok(Err(Fault::Lies));
                }
                Err(NotFollowed::Stop(stop)) => return Err(stop),
            }
            came = true;
            die_at("following");
            count_bytes("blocks", bytes);
            let height = follower.place()?.header.height;
            self.watched.tell(Progress::Blocks { from, height, target: target.height });
            if height >= target.height {
                return Ok(Ok(()));
            }
        }
    }
}

/// From whom blocks are read, and which.
struct Reading<'a> {
    node: u64,
    /// Where this node stood when it began.
    from: u64,
    target: &'a Header,
}
