//! The state store: what can be computed again from the log, kept so that it need not be.
//!
//! Families of the instance `state`, format 2, all numbers big-endian, beside those of the
//! runs:
//!
//! | family | key | value |
//! |---|---|---|
//! | `headers` | height u64 | the header, 296 bytes |
//! | `outcomes` | height u64 | the block's leaf records, as the ledger packs them |
//! | `history` | level u8 · index u64 | inner node of the tree over the headers' hashes, from level 1 |
//! | `heads` | account u32 · height u64 | posting count u64 · head before [32] · root [32] |
//! | `certificates` | height u64 | for each signature, by node id: node u64 · signature [64] |
//! | `accounts` | ordinal u32 | the account, as the ledger encodes it |
//! | `records` | as the ledger's reconciliation names it | likewise; the archive is behind all others |
//! | `meta` | name | `format`, `filter_seed`, `core`, `consensus` |
//!
//! A block is appended to the tail in memory and can be read at once. From time to
//! time the tail is flushed: one atomic batch takes all its blocks, one run for each index, the
//! accounts and records that changed and how far consensus has applied. The batch is not synced:
//! after a power cut the store may be some flushes behind, consistently so, and the log has what
//! is missing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use counterfoil_ledger::block::Block;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::reconciliation::archive::is_archived;
use quick_cache::sync::Cache;
use rocksdb::DBCompressionType;
use rocksdb::IteratorMode;

use super::StorageError;
use super::database;
use super::database::Database;
use super::database::META;
use super::database::family_options;
use super::directory;
use super::directory::DataDirectory;
use super::log::LogStore;
use super::runs;
use super::runs::RunStore;
use super::runs::RunView;

mod blocks;
mod building;
mod certificates;
mod facts;
mod flush;
mod heads;
mod history;
mod lookup;
pub(super) mod probe;
mod rows;
mod salvage;
mod scrub;
mod tail;
mod view;

pub use flush::Flush;
pub use salvage::Salvage;
pub use scrub::Place as ScrubPlace;
pub use scrub::Step as ScrubStep;
pub use view::StateView;

use blocks::BlockCache;
use history::Edge;
use tail::Tail;

const HEADERS: &str = "headers";
const OUTCOMES: &str = "outcomes";
const HISTORY: &str = "history";
const HEADS: &str = "heads";
const CERTIFICATES: &str = "certificates";
const ACCOUNTS: &str = "accounts";
const RECORDS: &str = "records";
const FORMAT: &str = "counterfoil state 5";

/// In `meta`: what the ledger keeps beside its families, and what consensus does.
const CORE: &str = "core";
const CONSENSUS: &str = "consensus";

/// The state of one node. Clones share it.
#[derive(Clone)]
pub struct StateStore {
    inner: Arc<Inner>,
}

/// What the last flush left.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What was given to that flush.
    pub core: Vec<u8>,
    /// What was given to that flush.
    pub consensus: Vec<u8>,
    /// All accounts, by ordinal.
    pub accounts: Vec<Vec<u8>>,
    /// All reconciliation records but those of the archive, by key.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

struct Inner {
    // Before the database, so that merging ends before it closes.
    runs: RunStore,
    database: Arc<Database>,
    path: PathBuf,
    directory: DataDirectory,
    log: LogStore,
    memory: RwLock<Memory>,
    blocks: BlockCache,
    /// Whether a flush is under way; there is one at a time.
    flushing: Mutex<bool>,
    flushed: Condvar,
}

/// Everything that is not in the database yet. Runs are published, and the tail that they hold is
/// dropped, under one lock: who reads under it misses nothing and sees nothing twice.
#[derive(Default)]
struct Memory {
    /// The tail that is being flushed.
    frozen: Option<Arc<Tail>>,
    /// The tail that grows.
    growing: Tail,
    last_height: Option<u64>,
    /// Of the tree over the headers' hashes up to the last height.
    edge: Edge,
    /// The last certificate on disk: a question about a later one need not look there.
    last_flushed_certificate: Option<u64>,
}

impl StateStore {
    /// Opens or creates the state beside its log. Fails if the log has lost what was applied.
    pub fn open(directory: &DataDirectory, log: LogStore) -> Result<StateStore, StorageError> {
        StateStore::open_at(directory.state(), directory, log)
    }

    /// Opens the state that is being built, or begins an empty one.
    pub fn open_building(
        directory: &DataDirectory,
        log: LogStore,
    ) -> Result<StateStore, StorageError> {
        StateStore::open_at(directory.building(), directory, log)
    }

    fn open_at(
        path: PathBuf,
        directory: &DataDirectory,
        log: LogStore,
    ) -> Result<StateStore, StorageError> {
        let mut options = database::instance_options();
        options.set_max_total_wal_size(512 << 20);
        let mut outcomes = family_options(32 << 20);
        outcomes.set_compression_type(DBCompressionType::Lz4);
        let mut families = vec![
            (HEADERS, family_options(16 << 20)),
            (OUTCOMES, outcomes),
            (HISTORY, family_options(8 << 20)),
            (HEADS, family_options(8 << 20)),
            (CERTIFICATES, family_options(8 << 20)),
            (ACCOUNTS, family_options(16 << 20)),
            (RECORDS, family_options(32 << 20)),
        ];
        families.extend(runs::families());
        let database = Arc::new(Database::open(&path, "state", FORMAT, &options, families)?);
        let last = load_last_header(&database)?;
        let runs = RunStore::open(Arc::clone(&database))?;
        let last_height = last.as_ref().map(|header| header.height);
        if runs.last_height() > last_height {
            return Err(StorageError::corrupt("an index", "it is ahead of the headers"));
        }
        let mut edge = Edge::default();
        if let Some(header) = last {
            check_log(&log, &header)?;
            edge = Edge::after(&database, &header)?;
        }
        let inner = Inner {
            runs,
            database,
            path,
            directory: directory.clone(),
            log,
            memory: RwLock::new(Memory { last_height, edge, ..Memory::default() }),
            blocks: Cache::with_weighter(256, blocks::BLOCK_CACHE_BYTES, blocks::BlockWeight),
            flushing: Mutex::new(false),
            flushed: Condvar::new(),
        };
        let store = StateStore { inner: Arc::new(inner) };
        let last_flushed_certificate = store.last_flushed_certificate()?;
        store.inner.memory_mut().last_flushed_certificate = last_flushed_certificate;
        Ok(store)
    }

    /// What the last flush left; none before the first one.
    pub fn restored(&self) -> Result<Option<Restored>, StorageError> {
        let database = &self.inner.database;
        let Some(core) = database.get(META, CORE.as_bytes())? else { return Ok(None) };
        let consensus = database.get(META, CONSENSUS.as_bytes())?;
        let consensus = consensus.ok_or_else(|| StorageError::corrupt("state meta", CONSENSUS))?;
        let mut accounts = Vec::new();
        for pair in database.iterate(ACCOUNTS, IteratorMode::Start) {
            let (ordinal, account) = pair?;
            let expected = u32::try_from(accounts.len()).ok().map(u32::to_be_bytes);
            if expected.is_none_or(|expected| *ordinal != expected) {
                let place = format!("number {} is missing", accounts.len());
                return Err(StorageError::corrupt("the accounts", place));
            }
            accounts.push(account.into_vec());
        }
        let mut records = Vec::new();
        for pair in database.iterate(RECORDS, IteratorMode::Start) {
            let (key, value) = pair?;
            if is_archived(&key) {
                // Behind all others, and more than a start has room for.
                break;
            }
            records.push((key.into_vec(), value.into_vec()));
        }
        let (core, consensus) = (core.to_vec(), consensus.to_vec());
        Ok(Some(Restored { core, consensus, accounts, records }))
    }

    /// Takes the next block into the tail, where it can be read at once.
    pub fn append(&self, block: Arc<Block>) -> Result<(), StorageError> {
        self.inner.database.check_running()?;
        let mut memory = self.inner.memory_mut();
        let given = block.header.height;
        let expected = memory.last_height.map_or(0, |last| last + 1);
        if given != expected {
            return Err(StorageError::OutOfOrder { what: "block", given, expected });
        }
        let completed = memory.edge.push(&block.hash);
        memory.growing.push(block, completed);
        memory.last_height = Some(given);
        Ok(())
    }

    /// The height of the last block, flushed or not; none before the genesis block.
    pub fn last_height(&self) -> Option<u64> {
        self.inner.memory().last_height
    }

    /// Makes everything flushed so far survive a power cut.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.inner.database.sync()
    }

    /// The first failure of the database since it was opened, if there was one. It is fatal.
    pub fn first_failure(&self) -> Option<StorageError> {
        self.inner.database.first_failure()
    }

    /// The log that this is derived from.
    pub fn log(&self) -> &LogStore {
        &self.inner.log
    }

    /// Bytes on disk, without the log.
    pub fn disk_bytes(&self) -> Result<u64, StorageError> {
        directory::bytes_within(&self.inner.path)
    }
}

impl Memory {
    /// The tails, older first.
    fn tails(&self) -> impl DoubleEndedIterator<Item = &Tail> {
        self.frozen.as_deref().into_iter().chain([&self.growing])
    }

    fn block(&self, height: u64) -> Option<&Arc<Block>> {
        self.tails().find_map(|tail| tail.block(height))
    }
}

impl Inner {
    /// Reads the tails, and takes a view of the runs that goes on exactly where they begin.
    fn cut<T>(&self, read: impl FnOnce(&Memory) -> T) -> (T, RunView) {
        let memory = self.memory();
        (read(&memory), self.runs.view())
    }

    // Nothing panics while it holds one of these locks half-way through a change, so a poisoned
    // lock still guards something whole.

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn flushing(&self) -> MutexGuard<'_, bool> {
        self.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load_last_header(database: &Database) -> Result<Option<Header>, StorageError> {
    let Some(pair) = database.iterate(HEADERS, IteratorMode::End).next() else { return Ok(None) };
    let (key, value) = pair?;
    let header = Header::decode(&value).filter(|header| *key == header.height.to_be_bytes());
    header.map(Some).ok_or_else(|| StorageError::corrupt("the headers", format!("{key:?}")))
}

/// The state is derived from the log, so the log must reach at least as far. If it does not, what
/// its recovery took for a torn tail was more than that.
fn check_log(log: &LogStore, last: &Header) -> Result<(), StorageError> {
    if last.height == 0 {
        return Ok(());
    }
    match log.entry_id(last.raft_index)? {
        Some(id) if id.term == last.raft_term => Ok(()),
        _ => {
            let place = format!("entry {}, which was applied, is missing", last.raft_index);
            Err(StorageError::corrupt("the log", place))
        }
    }
}

#[cfg(test)]
mod tests;
