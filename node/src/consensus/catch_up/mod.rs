//! Catching up: a node that was away for long, or joins, takes blocks that a quorum has certified from
//! the others instead of executing them. It happens before Raft runs.
//!
//! [`survey`] finds out whether it is needed; the content of a snapshot is received; [`blocks`] come
//! in [`run`]s, each verified before anything of it is kept; [`follower`] follows them in a state that
//! is built aside. When that stands at the snapshot it takes the place of the node's own at the next
//! start, which is at once. Other nodes read blocks by [`reading`].

mod blocks;
mod content;
mod follower;
mod offers;
mod progress;
pub mod reading;
mod run;
#[cfg(test)]
mod tests;

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::snapshot;
use counterfoil_ledger::snapshot::Item;
use counterfoil_ledger::snapshot::Reader;
use counterfoil_ledger::snapshot::Writer;
use counterfoil_ledger::verify::Signers;
use openraft::CommittedLeaderId;
use openraft::LogId;
use tracing::info;

use super::network::Peers;
use crate::blocking;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::storage::StorageError;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::snapshots::Manifest;
use crate::storage::snapshots::Snapshots;
use crate::storage::state::StateStore;
use crate::telemetry::metrics;

use follower::Follower;
use offers::Offers;
pub use progress::Progress;
pub use progress::Watched;

/// A node that may have to catch up.
pub struct CatchUp {
    /// The founding document.
    pub genesis: Genesis,
    /// Who signs.
    pub signers: Signers,
    /// Where everything is.
    pub directory: DataDirectory,
    /// This node's log.
    pub log: LogStore,
    /// Its state.
    pub store: StateStore,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// The other nodes.
    pub peers: Peers,
    /// Where it is told how far it is.
    pub watched: Watched,
}

impl CatchUp {
    /// Whether this node needs entries that the others have purged, or is so far behind that executing
    /// them would take longer: only what a quorum has signed counts.
    pub async fn is_needed(&self) -> Result<bool, Stop> {
        let offers = Offers::of(&self.peers, &self.signers).await;
        Ok(offers.needed(&self.log, self.executed()?, false).is_some())
    }

    /// Catches up if it is needed. True if a state is ready to take the place of this node's own at the
    /// next start; false if there is nothing to do.
    pub async fn run(&self) -> Result<bool, Stop> {
        let mut offers = Offers::of(&self.peers, &self.signers).await;
        let begun = self.directory.is_building();
        let Some(target) = offers.needed(&self.log, self.executed()?, begun) else {
            if offers.newest().is_some() {
                blocking::in_place(|| self.directory.discard_building()).await?;
            }
            return Ok(false);
        };
        info!(
            height = target.height(),
            own_height = self.store.last_height().unwrap_or(0),
            "catches up to a snapshot that a quorum has signed"
        );
        let target = self.receive(&mut offers, target).await?;
        die_at("received");
        let follower = self.follow(&mut offers, target.header()).await?;
        die_at("followed");
        blocking::in_place(|| self.finish(follower, &target)).await?;
        die_at("promoted");
        info!(height = target.height(), "has caught up; starts again with what it has now");
        Ok(true)
    }

    /// Index of the last entry that this node has executed into a block.
    fn executed(&self) -> Result<u64, StorageError> {
        let Some(height) = self.store.last_height() else { return Ok(0) };
        Ok(self.store.header(height)?.map_or(0, |header| header.raft_index))
    }

    fn open_follower(&self) -> Result<Follower, Stop> {
        Follower::open(&self.directory, &self.log, &self.store, self.genesis.clone())
    }

    /// The state stands at the snapshot but for the reconciliation records, which are the snapshot's.
    /// All of it together must be what was signed.
    fn finish(&self, mut follower: Follower, target: &Manifest) -> Result<(), Stop> {
        follower.settle()?;
        let store = follower.executor().store();
        store.replace_records(self.records(target))?;
        die_at("records");
        let view = store.view();
        let nowhere = |_: &[u8]| Ok::<(), StorageError>(());
        let mut writer = Writer::new(&target.header().chain_id, &view.core()?, nowhere)?;
        for account in view.accounts() {
            writer.account(&account?)?;
        }
        for record in view.records() {
            let (key, value) = record?;
            writer.record(&key, &value)?;
        }
        let digest = snapshot::digest(&writer.finish()?.chunks);
        drop(view);
        if digest != target.digest() {
            let how = format!(
                "after block {} its state comes to {digest}, and a quorum has signed {}",
                target.height(),
                target.digest()
            );
            self.directory.mark_diverged(&how)?;
            return Err(Stop { code: ExitCode::Diverged, message: how });
        }
        store.sync()?;
        drop(follower);
        die_at("settled");
        Ok(self.directory.promote_building()?)
    }

    /// The reconciliation records of a snapshot that this node has.
    fn records(
        &self,
        target: &Manifest,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StorageError>> + '_ {
        let (height, count) = (target.height(), target.chunk_count());
        let mut reader = Reader::new(target.header().chain_id);
        let mut next = 0;
        std::iter::from_fn(move || {
            loop {
                match reader.take() {
                    Ok(Some(Item::Record(key, value))) => return Some(Ok((key, value))),
                    Ok(Some(Item::Core(_) | Item::Account(_))) => continue,
                    Ok(None) if next == count => return None,
                    Ok(None) => {}
                    Err(error) => return Some(Err(StorageError::corrupt("a snapshot", error))),
                }
                match self.snapshots.read_chunk(height, next) {
                    Ok(Some(chunk)) => reader.push(&chunk),
                    Ok(None) => {
                        return Some(Err(StorageError::corrupt(
                            "a snapshot",
                            "a chunk is missing",
                        )));
                    }
                    Err(error) => return Some(Err(error)),
                }
                next += 1;
            }
        })
    }
}

/// Where the entry of a header stands in the log; the genesis block has none.
fn entry_of(header: &Header) -> Option<LogId<u64>> {
    let leader = CommittedLeaderId::new(header.raft_term, header.proposer);
    (header.height > 0).then(|| LogId::new(leader, header.raft_index))
}

/// Counts what came of other nodes.
fn count_bytes(what: &'static str, bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    metrics::CATCH_UP_BYTES.counter(&[("what", what)]).increment(bytes);
}

/// Ends the process here if a test asks for it.
fn die_at(_step: &str) {
    #[cfg(feature = "misbehaviour")]
    crate::misbehaviour::die_at(_step);
}
