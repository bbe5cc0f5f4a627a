//! What the other nodes have to offer: snapshots that a quorum has signed. And which of the nodes are
//! asked: one that lies, stalls or lacks what it offered is left for another.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::verify::Signers;
use counterfoil_proto::peer::v1;
use counterfoil_proto::peer::v1::peer_service_client::PeerServiceClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tonic::transport::Channel;
use tracing::warn;

use super::super::network::Peers;
use crate::limits;
use crate::storage::log::LogStore;
use crate::storage::snapshots::Manifest;
use crate::telemetry::metrics;

/// Why a node is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What it sent is not what it must be.
    Lies,
    /// It sends too slowly, or not at all.
    Stalls,
    /// It does not have it, or has no time.
    Lacks,
}

/// The other nodes and what they offer.
pub struct Offers {
    peers: Peers,
    signers: Signers,
    /// The newest certified snapshot of each, and the last entry that it has purged.
    offered: BTreeMap<u64, (Manifest, u64)>,
    /// Until when a node that was left is not asked.
    left: BTreeMap<u64, Instant>,
}

impl Offers {
    /// Asks all at once; who does not answer in time offers nothing.
    pub async fn of(peers: &Peers, signers: &Signers) -> Offers {
        let (peers, signers) = (peers.clone(), signers.clone());
        let mut offers = Offers { peers, signers, offered: BTreeMap::new(), left: BTreeMap::new() };
        offers.ask().await;
        offers
    }

    /// Asks all again.
    pub async fn ask(&mut self) {
        let chain_id = self.peers.chain_id();
        let mut asked: FuturesUnordered<_> =
            self.peers.all().map(|(node, client)| ask_one(node, client, &chain_id)).collect();
        let mut offered = BTreeMap::new();
        while let Some((node, offer)) = asked.next().await {
            let Some((manifest, purged)) = offer else { continue };
            if self.is_left(node) {
                continue;
            }
            match manifest.certified(&self.signers) {
                Ok(_) => drop(offered.insert(node, (manifest, purged))),
                Err(error) => {
                    warn!(node, %error, "a node offers a snapshot that no quorum has signed");
                    leave(&mut self.left, node, Fault::Lies);
                }
            }
        }
        drop(asked);
        self.offered = offered;
    }

    /// The newest snapshot that is offered, if this node needs one: it lacks entries that the others
    /// have purged, executing what it lacks would take longer, or it has begun to catch up.
    pub fn needed(&self, log: &LogStore, executed: u64, begun: bool) -> Option<Manifest> {
        let next = log.last().map_or(0, |last| last.index + 1);
        let newest = self.newest()?;
        let covered = newest.log_position().index;
        let is_purged = self.offered.values().any(|(_, purged)| *purged >= next && *purged > 0);
        let is_far = covered.saturating_sub(executed) >= limits::CATCH_UP_ENTRIES_MIN;
        let lacks = covered > executed;
        (lacks && (begun || is_far || (is_purged && covered >= next))).then(|| newest.clone())
    }

    /// The newest snapshot that is offered.
    pub fn newest(&self) -> Option<&Manifest> {
        self.offered.values().map(|(manifest, _)| manifest).max_by_key(|it| it.height())
    }

    /// A node that offers exactly this snapshot.
    pub fn holder(&self, manifest: &Manifest) -> Option<u64> {
        let same = |offer: &Manifest| {
            (offer.height(), offer.digest()) == (manifest.height(), manifest.digest())
        };
        let found = self.offered.iter().find(|(node, (it, _))| same(it) && !self.is_left(**node));
        found.map(|(node, _)| *node)
    }

    /// A node that has the blocks up to a height, for what its newest snapshot says: another one than
    /// the last, where there is one.
    pub fn reader(&self, height: u64, last: Option<u64>) -> Option<u64> {
        let has = |it: &(&u64, &(Manifest, u64))| it.1.0.height() >= height && !self.is_left(*it.0);
        let mut found = self.offered.iter().filter(has).map(|(node, _)| *node);
        let first = found.next()?;
        if last == Some(first) { found.next().or(Some(first)) } else { Some(first) }
    }

    /// A client of a node.
    pub fn client(&self, node: u64) -> Option<PeerServiceClient<Channel>> {
        let client = self.peers.client(node)?;
        Some(client.max_decoding_message_size(limits::BLOCK_RUN_MESSAGE_BYTES_MAX))
    }

    /// The consortium, as messages between nodes name it.
    pub fn chain_id(&self) -> bytes::Bytes {
        self.peers.chain_id()
    }

    /// Leaves a node for others: one that lies for good, any other for a while.
    pub fn leave(&mut self, node: u64, fault: Fault) {
        leave(&mut self.left, node, fault);
    }

    fn is_left(&self, node: u64) -> bool {
        self.left.get(&node).is_some_and(|until| Instant::now() < *until)
    }
}

fn leave(left: &mut BTreeMap<u64, Instant>, node: u64, fault: Fault) {
    let (cause, time) = match fault {
        Fault::Lies => ("lies", limits::LIAR_PAUSE),
        Fault::Stalls => ("stalls", limits::STALL_PAUSE),
        Fault::Lacks => ("lacks", Duration::ZERO),
    };
    metrics::CATCH_UP_LEFT.increment(&[("peer", &node.to_string()), ("cause", cause)]);
    left.insert(node, Instant::now() + time);
}

type Offer = (u64, Option<(Manifest, u64)>);

async fn ask_one(node: u64, mut client: PeerServiceClient<Channel>, chain_id: &[u8]) -> Offer {
    let asking = async {
        let status = client.get_peer_status(v1::GetPeerStatusRequest {}).await.ok()?.into_inner();
        let purged = status.status?.purged_index;
        let offer = client.get_snapshot(v1::GetSnapshotRequest {}).await.ok()?.into_inner();
        let chain_id = counterfoil_ledger::hash::Hash::from_slice(chain_id)?;
        let manifest = Manifest::decode(offer.manifest?, &chain_id).ok()?;
        Some((manifest, purged))
    };
    let offer = tokio::time::timeout(limits::PEER_STATUS_TIMEOUT, asking).await;
    (node, offer.ok().flatten())
}
