//! What a node keeps and other nodes may ask for at any time, whether its Raft runs or not.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_proto::v1;
use openraft::LogId;
use tokio::sync::Notify;

use super::catch_up::Watched;
use super::catch_up::reading::BlockReader;
use super::finality;
use super::first_start::Start;
use crate::storage::StorageError;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;

/// A node's stores, for the other nodes.
pub struct Archive {
    node: u64,
    registry: Arc<Registry>,
    chain_id: Hash,
    log: LogStore,
    store: StateStore,
    blocks: BlockReader,
    watched: Watched,
    behind: Notify,
    /// Held while a first start is looked up and kept.
    registering: Mutex<()>,
}

impl Archive {
    /// Of one node.
    pub fn new(
        node: u64,
        registry: Arc<Registry>,
        chain_id: Hash,
        log: LogStore,
        store: StateStore,
        watched: Watched,
    ) -> Archive {
        let (blocks, registering) = (BlockReader::new(log.clone(), store.clone()), Mutex::new(()));
        let behind = Notify::new();
        Archive { node, registry, chain_id, log, store, blocks, watched, behind, registering }
    }

    /// Members, keys, nodes.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// SHA-256 of the genesis file.
    pub fn chain_id(&self) -> &Hash {
        &self.chain_id
    }

    /// Reads blocks for others.
    pub fn blocks(&self) -> &BlockReader {
        &self.blocks
    }

    /// Whether the log has an entry; a leader that has purged it asks. If it has not, this node is
    /// behind: whoever waits for that looks into it.
    pub fn holds(&self, id: &LogId<u64>) -> Result<bool, StorageError> {
        let leader = (id.leader_id.term, id.leader_id.node_id);
        let own = self.log.entry_id(id.index)?;
        let held = own.is_some_and(|own| (own.term, own.node) == leader);
        if !held {
            self.behind.notify_one();
        }
        Ok(held)
    }

    /// Waits until a leader has said that it does not have what this node needs.
    pub async fn behind(&self) {
        self.behind.notified().await;
    }

    /// The last header that a node signed, as far as it was kept here.
    pub fn last_attestation(&self, node: u64) -> Result<Option<v1::Attestation>, StorageError> {
        finality::kept_attestation(&self.log, &self.store, node)
    }

    /// Takes down that a node starts for the first time, durably, unless an earlier start is known.
    /// Returns the one that counts.
    pub fn register(&self, node: u64, start: Start) -> Result<Start, StorageError> {
        let name = format!("start of {node}");
        let _registering = self.registering.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = self.log.meta(&name)? {
            return Start::decode(&kept).ok_or_else(|| StorageError::corrupt("log meta", name));
        }
        self.log.save_meta(&name, &start.encode())?;
        Ok(start)
    }

    /// How this node stands while its Raft does not run.
    pub fn status(&self) -> v1::NodeStatus {
        let node = self.registry.node(self.node);
        let height = self.store.last_height().unwrap_or(0);
        let height = self.watched.get().map_or(height, |progress| progress.height());
        let header = self.store.header(height).ok().flatten();
        v1::NodeStatus {
            id: self.node,
            institution: node.map_or(String::new(), |node| node.institution.to_string()),
            name: node.map_or(String::new(), |node| node.name.clone()),
            height,
            header_hash: header.as_ref().map_or(Bytes::new(), |header| header.hash().to_bytes()),
            block_time_ms: header.map_or(0, |header| header.block_time_ms),
            last_log_index: self.log.last().map_or(0, |last| last.index),
            catching_up_to: self.watched.get().map_or(0, |progress| progress.target()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..v1::NodeStatus::default()
        }
    }
}
