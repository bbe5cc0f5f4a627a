//! Certified blocks for a node that catches up: runs of about a mebibyte, made off the commit path, to
//! few readers at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_proto::peer::v1;
use tokio::sync::mpsc;
use tonic::Status;

use super::super::wire;
use crate::blocking;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;

/// Reads blocks for others.
#[derive(Clone)]
pub struct BlockReader {
    log: LogStore,
    store: StateStore,
    /// Who reads now.
    readers: Arc<Mutex<BTreeSet<u64>>>,
}

/// One reader's place; it is free again when this is gone.
struct Turn {
    node: u64,
    readers: Arc<Mutex<BTreeSet<u64>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.node);
    }
}

/// What a reader is sent.
pub type Runs = mpsc::Receiver<Result<v1::ReadBlocksResponse, Status>>;

impl BlockReader {
    /// From a node's stores.
    pub fn new(log: LogStore, store: StateStore) -> BlockReader {
        BlockReader { log, store, readers: Arc::default() }
    }

    /// Sends a node the blocks from one height to another that is certified, one run after the other,
    /// for some time: it asks again for the rest.
    pub fn read(&self, node: u64, from: u64, to: u64) -> Result<Runs, Status> {
        let certified = self.store.last_certificate().map_err(|error| unread(&error))?;
        let header = certified.and_then(|certificate| Header::decode(&certificate.header));
        let certified = header.map_or(0, |header| header.height);
        if from == 0 || from > to || to > certified {
            return Err(Status::failed_precondition(
                "from 1 on, up to a height whose certificate this node has",
            ));
        }
        let turn = self.turn(node)?;
        let (runs, sent) = mpsc::channel(limits::BLOCK_RUNS_QUEUED_MAX);
        let reader = self.clone();
        tokio::spawn(async move {
            let (_turn, began, mut from) = (turn, Instant::now(), from);
            while from <= to && began.elapsed() < limits::READ_BLOCKS_TIME {
                let reading = reader.clone();
                let run =
                    blocking::aside(move || reading.run(from, to, limits::BLOCK_RUN_BYTES)).await;
                let Ok(run) = run else { return };
                let run = run.map_err(|error| unread(&error));
                let failed = run.is_err();
                from += run.as_ref().map_or(0, |run| {
                    u64::try_from(run.blocks.len()).expect("a run is bounded in bytes")
                });
                // Who does not read what was asked for gives way to others.
                let sending = tokio::time::timeout(limits::RUN_STALL_TIMEOUT, runs.send(run));
                if !matches!(sending.await, Ok(Ok(()))) || failed {
                    return;
                }
            }
        });
        Ok(sent)
    }

    fn turn(&self, node: u64) -> Result<Turn, Status> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() >= limits::BLOCK_READERS_MAX || !readers.insert(node) {
            return Err(Status::resource_exhausted("enough nodes read blocks here now"));
        }
        Ok(Turn { node, readers: self.readers.clone() })
    }

    /// Blocks from a height on until they have so many bytes, yet at least one.
    pub(super) fn run(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<v1::ReadBlocksResponse, StorageError> {
        let before = self.header(from - 1)?;
        let mut next = if before.height == 0 { 0 } else { before.raft_index + 1 };
        let (mut run, mut bytes, mut last) = (v1::ReadBlocksResponse::default(), 0, before);
        while last.height < to && bytes < bytes_max {
            let height = last.height + 1;
            let header = self.header(height)?;
            let missing = |what| StorageError::corrupt(what, height);
            let leaves =
                self.store.packed_leaves(height)?.ok_or_else(|| missing("the outcomes"))?;
            bytes += leaves.len();
            for index in next..=header.raft_index {
                let entry = self.log.get(index)?.ok_or_else(|| missing("the log"))?;
                bytes += entry.body().len();
                let entry = wire::entry_of_log(entry);
                let entry = entry.map_err(|error| StorageError::corrupt("the log", error))?;
                run.entries.push(wire::entry_to_message(entry));
            }
            next = header.raft_index + 1;
            let encoded = Bytes::copy_from_slice(&header.encode());
            run.blocks.push(v1::FollowedBlock { header: encoded, leaves: leaves.into() });
            last = header;
        }
        if last.height < to {
            run.history_path = self.store.history_path(last.height, to)?;
        }
        #[cfg(feature = "misbehaviour")]
        let run = crate::misbehaviour::told_blocks(run);
        Ok(run)
    }

    fn header(&self, height: u64) -> Result<Header, StorageError> {
        let header = self.store.header(height)?;
        header.ok_or_else(|| StorageError::corrupt("the headers", format!("{height} is missing")))
    }
}

fn unread(error: &StorageError) -> Status {
    tracing::error!(%error, "storage failed while another node read blocks");
    Status::unavailable("this node's storage failed")
}
