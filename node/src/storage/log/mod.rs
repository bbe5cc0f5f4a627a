//! The Raft log, which is the block store: bodies are written once and stay for ever.
//!
//! Families of the instance `log`, format 1, all keys and numbers big-endian:
//!
//! | family | key | value |
//! |---|---|---|
//! | `entries` | Raft index u64 | head: CRC-32 u32 · term u64 · node u64 · kind u8 · length u32 |
//! | `bodies` | Raft index u64 | the payload, if it has any; a kibibyte and more in blob files |
//! | `meta` | name | `format`, `vote`, `committed`, `purged`, `start`, `seal`, and what consensus names |
//!
//! Votes and entries share one write-ahead log, so they reach the disk in the order in which they
//! were written. Purging moves a marker and deletes nothing.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use bytes::Bytes;
use rocksdb::Direction;
use rocksdb::IteratorMode;

use super::StorageError;
use super::batch::WriteBatch;
use super::database::Database;
use super::database::Durability;
use super::database::META;
use super::database::blob_family_options;
use super::database::family_options;
use super::database::instance_options;
use super::directory;
use super::directory::DataDirectory;
use super::high_water::HighWater;
use crate::defect;
use crate::defect::Defect;

mod deferred;
mod entry;
pub(super) mod probe;
mod recent;
mod seal;

pub use entry::EntryId;
pub use entry::LogEntry;
pub use entry::LogPayload;

use deferred::Deferred;
use entry::EntryHead;
use recent::Recent;
use seal::SEAL;
use seal::Seal;

const ENTRIES: &str = "entries";
const BODIES: &str = "bodies";
const FORMAT: &str = "counterfoil log 1";

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
/// Where the log begins, if it went on behind a gap that a snapshot covers.
const START: &str = "start";

/// How many of the latest entries are read and verified when the log is opened, as far as the
/// memory for recent entries reaches.
const VERIFIED_AT_OPEN: u64 = 1000;

/// The log of one node. Clones share it.
#[derive(Clone)]
pub struct LogStore {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    directory: DataDirectory,
    recent: RwLock<Recent>,
    /// Held while the log changes, so that what is checked is still true when it is written.
    writing: Mutex<Seal>,
    /// What rides on the next append.
    deferred: Deferred,
}

impl LogStore {
    /// Opens or creates the log. Fails if an entry is missing between the first and the last, or
    /// one of the latest is damaged.
    pub fn open(directory: &DataDirectory) -> Result<LogStore, StorageError> {
        let mut options = instance_options();
        // Each sync pays for what was written since the last; nothing is left for a later one.
        options.set_wal_bytes_per_sync(0);
        options.set_max_total_wal_size(512 << 20);
        if defect::is(Defect::UnflushedEntries) {
            options.set_manual_wal_flush(true);
        }
        let mut bodies = blob_family_options(64 << 20);
        bodies.set_blob_file_size(1 << 30);
        let families = vec![(ENTRIES, family_options(8 << 20)), (BODIES, bodies)];
        let (path, high_water) = (directory.log(), HighWater::open(&directory.log_high_water())?);
        let database =
            Database::open_marked(&path, "log", FORMAT, &options, families, Some(high_water))?;
        let inner = Inner {
            database,
            directory: directory.clone(),
            recent: RwLock::default(),
            writing: Mutex::default(),
            deferred: Deferred::default(),
        };
        let store = LogStore { inner: Arc::new(inner) };
        store.load()?;
        Ok(store)
    }

    /// Appends entries that follow the last one without a gap, as one write. They are durable and
    /// readable when it returns.
    pub fn append(&self, entries: &[LogEntry]) -> Result<(), StorageError> {
        let Some(first) = entries.first() else { return Ok(()) };
        let mut seal = self.writing();
        let next = self.recent().next().unwrap_or(first.index);
        let database = &self.inner.database;
        let (heads, bodies) = (database.family(ENTRIES), database.family(BODIES));
        let size = entries.iter().map(|entry| entry.body().len() + 96).sum();
        let mut batch = WriteBatch::with_capacity_bytes(size);
        for (expected, entry) in (next..).zip(entries) {
            if entry.index != expected {
                let given = entry.index;
                return Err(StorageError::OutOfOrder { what: "log entry", given, expected });
            }
            let key = entry.index.to_be_bytes();
            batch.put_cf(heads, key, entry.head().encode());
            if !entry.body().is_empty() {
                batch.put_cf(bodies, key, entry.body());
            }
        }
        let riders = self.inner.deferred.take();
        riders.put(&mut batch, database.family(META));
        riders.seal(&mut seal);
        self.write(batch, &seal, synced_but_for(HASTY))?;
        riders.tell();
        let mut recent = self.recent_mut();
        for entry in entries {
            recent.push(entry.clone());
        }
        Ok(())
    }

    /// Keeps a small value as `save_meta` does, but with the next append, which pays for the sync;
    /// who cannot wait for one calls `flush_deferred`. `durable` is called when the value is durable,
    /// and dropped if it never will be.
    pub fn defer_meta(
        &self,
        name: &'static str,
        value: Vec<u8>,
        durable: impl FnOnce() + Send + 'static,
    ) {
        self.inner.deferred.push(name, value, Box::new(durable));
    }

    /// Writes what `defer_meta` was given and no append has taken along.
    pub fn flush_deferred(&self) -> Result<(), StorageError> {
        let mut seal = self.writing();
        let riders = self.inner.deferred.take();
        if riders.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        riders.put(&mut batch, self.inner.database.family(META));
        riders.seal(&mut seal);
        self.write(batch, &seal, synced_but_for(HASTY))?;
        riders.tell();
        Ok(())
    }

    /// Deletes this entry and all after it, durably. What is purged is history and stays.
    pub fn truncate_from(&self, index: u64) -> Result<(), StorageError> {
        let seal = self.writing();
        let (start, last) = {
            let recent = self.recent();
            (recent.start, recent.last)
        };
        let Some(last) = last.filter(|last| last.index >= index) else { return Ok(()) };
        let kept_from = self.purged()?.map_or(start, |purged| start.max(purged.index + 1));
        if index < kept_from {
            let (given, expected) = (index, kept_from);
            return Err(StorageError::OutOfOrder { what: "truncation at", given, expected });
        }
        let new_last = if index == start { None } else { self.entry_id(index - 1)? };
        let database = &self.inner.database;
        let (from, to) = (index.to_be_bytes(), (last.index + 1).to_be_bytes());
        let mut batch = WriteBatch::default();
        if !defect::is(Defect::TruncationInMemory) {
            batch.delete_range_cf(database.family(ENTRIES), from, to);
            batch.delete_range_cf(database.family(BODIES), from, to);
        }
        self.write(batch, &seal, Durability::Synced)?;
        self.recent_mut().truncate(index, new_last);
        Ok(())
    }

    /// Moves the purge marker, durably. The entries up to it stay readable. A marker behind the
    /// last entry, which a snapshot from a peer brings, makes the log go on after the marker.
    pub fn set_purged(&self, purged: EntryId) -> Result<(), StorageError> {
        let mut seal = self.writing();
        let next = purged.index + 1;
        let is_ahead = self.recent().next().is_none_or(|expected| expected < next);
        let meta = self.inner.database.family(META);
        let mut batch = WriteBatch::default();
        batch.put_cf(meta, PURGED, purged.encode());
        seal.take(PURGED, &purged.encode());
        if is_ahead {
            batch.put_cf(meta, START, next.to_be_bytes());
            seal.take(START, &next.to_be_bytes());
        }
        self.write(batch, &seal, Durability::Synced)?;
        if is_ahead {
            self.recent_mut().restart(next);
        }
        Ok(())
    }

    /// The purge marker: Raft needs nothing up to it.
    pub fn purged(&self) -> Result<Option<EntryId>, StorageError> {
        let Some(bytes) = self.meta(PURGED)? else { return Ok(None) };
        let purged = EntryId::decode(&bytes);
        purged.map(Some).ok_or_else(|| StorageError::corrupt("log meta", PURGED))
    }

    /// Keeps the vote, durably.
    pub fn save_vote(&self, vote: &[u8]) -> Result<(), StorageError> {
        if defect::is(Defect::UnwrittenVote) {
            self.defer_meta(VOTE, vote.to_vec(), || ());
            return Ok(());
        }
        self.put_sealed(VOTE, vote, synced_but_for(&[Defect::UnsyncedVote]))
    }

    /// The vote as it was saved.
    pub fn vote(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.meta(VOTE)
    }

    /// Keeps what is known to be committed. Not synced: it only shortens a start.
    pub fn save_committed(&self, committed: &[u8]) -> Result<(), StorageError> {
        self.put_buffered(COMMITTED, committed)
    }

    /// The committed position as it was saved, or an older one after a power cut.
    pub fn committed(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.meta(COMMITTED)
    }

    /// Keeps a small value of the caller's under a name of its own, durably: for example the last
    /// header that was signed.
    pub fn save_meta(&self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.put_sealed(name, value, Durability::Synced)
    }

    /// As `save_meta`, but it survives only the end of the process, not a power cut.
    pub fn save_meta_buffered(&self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.put_buffered(name, value)
    }

    /// A value that `save_meta` kept.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.inner.database.get(META, name.as_bytes())?.map(|bytes| bytes.to_vec()))
    }

    /// The last entry; none if there is none behind the start of the log.
    pub fn last(&self) -> Option<EntryId> {
        self.recent().last
    }

    /// Index of the first entry, purged or not; none if there is none.
    pub fn first(&self) -> Option<u64> {
        let recent = self.recent();
        recent.last.map(|_| recent.start)
    }

    /// An entry, purged or not. A damaged one is an error.
    pub fn get(&self, index: u64) -> Result<Option<LogEntry>, StorageError> {
        if let Some(entry) = self.recent().get(index) {
            return Ok(Some(entry.clone()));
        }
        self.read(index)
    }

    /// Term and node of an entry, without its body.
    pub fn entry_id(&self, index: u64) -> Result<Option<EntryId>, StorageError> {
        if let Some(entry) = self.recent().get(index) {
            return Ok(Some(entry.id()));
        }
        Ok(self.read_head(index)?.map(|head| head.id))
    }

    /// Entries from one index to another (excluded) or the end of the log, as many from the first
    /// on as fit the budget of body bytes, yet at least one. A missing or damaged one is an error.
    pub fn range(
        &self,
        from: u64,
        to: u64,
        byte_budget: usize,
    ) -> Result<Vec<LogEntry>, StorageError> {
        loop {
            let truncations = self.recent().truncations;
            let entries = self.read_range(from, to, byte_budget);
            // What was read while a truncation went on may mix two leaders' entries.
            if self.recent().truncations == truncations {
                return entries;
            }
        }
    }

    /// The first failure of the database since it was opened, if there was one. It is fatal.
    pub fn first_failure(&self) -> Option<StorageError> {
        self.inner.database.first_failure()
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> Result<u64, StorageError> {
        directory::bytes_within(&self.inner.directory.log())
    }

    /// Finds the bounds of the log, checks that nothing is missing between them, and reads the
    /// latest entries.
    fn load(&self) -> Result<(), StorageError> {
        if let Some(bytes) = self.meta(SEAL)? {
            let seal = Seal::decode(&bytes);
            let seal = seal.ok_or_else(|| StorageError::corrupt("log meta", SEAL))?;
            seal.check(|name| self.meta(name))?;
            *self.writing() = seal;
        }
        let start = match self.meta(START)? {
            None => 0,
            Some(bytes) => match bytes.try_into() {
                Ok(bytes) => u64::from_be_bytes(bytes),
                Err(_) => return Err(StorageError::corrupt("log meta", START)),
            },
        };
        let mut first = None;
        let mut last: Option<EntryId> = None;
        let from = start.to_be_bytes();
        let mode = IteratorMode::From(&from, Direction::Forward);
        for pair in self.inner.database.iterate(ENTRIES, mode) {
            let (key, value) = pair?;
            let key: [u8; 8] = (*key).try_into().map_err(|_| damaged_key(&key))?;
            let index = u64::from_be_bytes(key);
            let head = EntryHead::decode(index, &value).ok_or_else(|| damaged(index))?;
            let expected = last.map_or(if start > 0 { start } else { index }, |id| id.index + 1);
            if index != expected {
                return Err(missing(expected));
            }
            first.get_or_insert(index);
            last = Some(head.id);
        }
        let mut recent = self.recent_mut();
        recent.start = first.unwrap_or(start);
        recent.last = last;
        let Some(last) = last else { return Ok(()) };
        let oldest = (last.index + 1).saturating_sub(VERIFIED_AT_OPEN).max(recent.start);
        let view = self.inner.database.view();
        for index in (oldest..=last.index).rev() {
            let entry = read_by(index, |family, key| view.get(family, key))?;
            let entry = entry.ok_or_else(|| missing(index))?;
            if !recent.push_older(entry) {
                break;
            }
        }
        Ok(())
    }

    /// An entry as it is on disk, whatever is in memory. A missing or damaged one is an error.
    pub(super) fn read_stored(&self, index: u64) -> Result<LogEntry, StorageError> {
        let view = self.inner.database.view();
        read_by(index, |family, key| view.get(family, key))?.ok_or_else(|| missing(index))
    }

    fn read_range(&self, from: u64, to: u64, budget: usize) -> Result<Vec<LogEntry>, StorageError> {
        let end = self.recent().last.map_or(0, |last| last.index + 1).min(to);
        let mut entries = Vec::new();
        let mut bytes = 0usize;
        for index in from..end {
            let entry = self.get(index)?.ok_or_else(|| missing(index))?;
            bytes = bytes.saturating_add(entry.body().len());
            if bytes > budget && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn read(&self, index: u64) -> Result<Option<LogEntry>, StorageError> {
        let database = &self.inner.database;
        read_by(index, |family, key| Ok(database.get(family, key)?.map(|value| value.to_vec())))
    }

    fn read_head(&self, index: u64) -> Result<Option<EntryHead>, StorageError> {
        match self.inner.database.get(ENTRIES, &index.to_be_bytes())? {
            None => Ok(None),
            Some(bytes) => EntryHead::decode(index, &bytes).map(Some).ok_or_else(|| damaged(index)),
        }
    }

    /// Takes down which tables the log has now.
    pub(super) fn mark_manifest(&self) -> Result<(), StorageError> {
        self.inner.database.mark_manifest()
    }

    fn put_sealed(
        &self,
        name: &str,
        value: &[u8],
        durability: Durability,
    ) -> Result<(), StorageError> {
        let mut seal = self.writing();
        let mut batch = WriteBatch::default();
        batch.put_cf(self.inner.database.family(META), name, value);
        seal.take(name, value);
        self.write(batch, &seal, durability)
    }

    fn put_buffered(&self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.inner.database.family(META), name, value);
        self.inner.database.write(batch, Durability::Buffered)
    }

    /// Writes a batch with the seal over what is kept then.
    fn write(
        &self,
        mut batch: WriteBatch,
        seal: &Seal,
        durability: Durability,
    ) -> Result<(), StorageError> {
        batch.put_cf(self.inner.database.family(META), SEAL, seal.encode());
        self.inner.database.write(batch, durability)
    }

    // Nothing panics while it holds one of these locks half-way through a change, so a poisoned
    // lock still guards something whole.

    fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.inner.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent_mut(&self) -> RwLockWriteGuard<'_, Recent> {
        self.inner.recent.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Seal> {
        self.inner.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Synced, unless one of these bugs is switched on.
fn synced_but_for(defects: &[Defect]) -> Durability {
    let is_on = defects.iter().any(|it| defect::is(*it));
    if is_on { Durability::Buffered } else { Durability::Synced }
}

/// Entries that are not synced when they are acknowledged, nor what rides with them.
const HASTY: &[Defect] = &[Defect::UnsyncedEntries, Defect::UnflushedEntries];

/// An entry, from what has the values of the families.
fn read_by(
    index: u64,
    get: impl Fn(&str, &[u8]) -> Result<Option<Vec<u8>>, StorageError>,
) -> Result<Option<LogEntry>, StorageError> {
    let key = index.to_be_bytes();
    let Some(head) = get(ENTRIES, &key)? else { return Ok(None) };
    let head = EntryHead::decode(index, &head).ok_or_else(|| damaged(index))?;
    let body = if head.has_body() {
        Bytes::from(get(BODIES, &key)?.ok_or_else(|| missing(index))?)
    } else {
        Bytes::new()
    };
    head.with_body(body).map(Some).ok_or_else(|| damaged(index))
}

fn missing(index: u64) -> StorageError {
    StorageError::corrupt("the log", format!("entry {index} is missing"))
}

fn damaged(index: u64) -> StorageError {
    StorageError::corrupt("the log", format!("entry {index} differs from its checksum"))
}

fn damaged_key(key: &[u8]) -> StorageError {
    StorageError::corrupt("the log", format!("a key of {} bytes", key.len()))
}

#[cfg(test)]
mod tests;
