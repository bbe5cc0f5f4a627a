//! Raft's log over the node's block store. Every write but `save_committed` is durable when it
//! returns; a failed one is fatal to the node.

#![allow(clippy::result_large_err, reason = "the size of openraft's error is openraft's choice")]

use std::fmt::Debug;
use std::ops::Bound;
use std::ops::RangeBounds;
use std::time::Instant;

use counterfoil_proto::peer::v1;
use openraft::ErrorSubject;
use openraft::ErrorVerb;
use openraft::LogId;
use openraft::LogState;
use openraft::OptionalSend;
use openraft::RaftLogReader;
use openraft::StorageError;
use openraft::StorageIOError;
use openraft::Vote;
use openraft::storage::LogFlushed;
use openraft::storage::RaftLogStorage;
use prost::Message;

use super::Types;
use super::wire;
use crate::blocking;
use crate::limits;
use crate::storage::log::EntryId;
use crate::storage::log::LogStore;
use crate::telemetry::metrics;

/// The log as openraft sees it.
#[derive(Clone)]
pub struct Log {
    store: LogStore,
}

impl Log {
    /// Puts Raft on a log store.
    pub fn new(store: LogStore) -> Log {
        Log { store }
    }

    fn read(&self, from: u64, to: u64) -> Result<Vec<openraft::Entry<Types>>, StorageError<u64>> {
        let from = match self.purged()? {
            Some(purged) => from.max(purged.index + 1),
            None => from,
        };
        let from = self.store.first().map_or(from, |first| from.max(first));
        if from >= to {
            return Ok(Vec::new());
        }
        let entries = self
            .store
            .range(from, to, limits::APPEND_BYTES_MAX)
            .map_err(|error| reading(&error))?;
        entries
            .into_iter()
            .map(|entry| wire::entry_of_log(entry).map_err(|error| reading(&error)))
            .collect()
    }

    fn purged(&self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        let purged = self.store.purged().map_err(|error| reading(&error))?;
        Ok(purged.map(log_id))
    }
}

fn log_id(id: EntryId) -> LogId<u64> {
    LogId::new(openraft::CommittedLeaderId::new(id.term, id.node), id.index)
}

fn reading<E: std::error::Error + 'static>(error: &E) -> StorageError<u64> {
    StorageIOError::new(ErrorSubject::Logs, ErrorVerb::Read, openraft::AnyError::new(error)).into()
}

fn writing<E: std::error::Error + 'static>(error: &E) -> StorageError<u64> {
    StorageIOError::new(ErrorSubject::Logs, ErrorVerb::Write, openraft::AnyError::new(error)).into()
}

fn decode_log_id(bytes: &[u8]) -> Result<LogId<u64>, StorageError<u64>> {
    let message = v1::LogId::decode(bytes).map_err(|error| reading(&error))?;
    wire::log_id_of_message(&message).map_err(|error| reading(&error))
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<openraft::Entry<Types>>, StorageError<u64>> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let to = to.min(self.store.last().map_or(0, |last| last.index + 1));
        // The store answers with a bounded prefix; whoever asks for a range wants all of it.
        let mut entries = self.read(from, to)?;
        while let Some(next) = entries.last().map(|entry| entry.log_id.index + 1) {
            if next >= to {
                break;
            }
            entries.append(&mut self.read(next, to)?);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<openraft::Entry<Types>>, StorageError<u64>> {
        self.read(start, end)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<u64>> {
        let purged = self.purged()?;
        let last = self.store.last().map(log_id).max(purged);
        Ok(LogState { last_purged_log_id: purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let bytes = wire::vote_to_message(vote).encode_to_vec();
        blocking::in_place(|| self.store.save_vote(&bytes)).await.map_err(|error| writing(&error))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        let Some(bytes) = self.store.vote().map_err(|error| reading(&error))? else {
            return Ok(None);
        };
        let message = v1::Vote::decode(&*bytes).map_err(|error| reading(&error))?;
        wire::vote_of_message(Some(&message)).map(Some).map_err(|error| reading(&error))
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId<u64>>,
    ) -> Result<(), StorageError<u64>> {
        let Some(committed) = committed else { return Ok(()) };
        let bytes = wire::log_id_to_message(&committed).encode_to_vec();
        self.store.save_committed(&bytes).map_err(|error| writing(&error))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        let bytes = self.store.committed().map_err(|error| reading(&error))?;
        bytes.map(|bytes| decode_log_id(bytes.as_ref())).transpose()
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = openraft::Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        // What is purged was executed long ago; an entry there has nothing to add.
        let purged = self.purged()?.map_or(0, |purged| purged.index + 1);
        let entries: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.log_id.index >= purged)
            .map(|entry| wire::entry_to_log(&entry))
            .collect();
        let started = Instant::now();
        blocking::in_place(|| self.store.append(&entries))
            .await
            .map_err(|error| writing(&error))?;
        metrics::LOG_SYNC_SECONDS.histogram(&[]).record(started.elapsed());
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        blocking::in_place(|| self.store.truncate_from(log_id.index))
            .await
            .map_err(|error| writing(&error))
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        let (term, node) = (log_id.leader_id.term, log_id.leader_id.node_id);
        let purged = EntryId { index: log_id.index, term, node };
        blocking::in_place(|| self.store.set_purged(purged)).await.map_err(|error| writing(&error))
    }
}
