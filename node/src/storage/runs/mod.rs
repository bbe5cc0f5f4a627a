//! The indices, as sorted runs.
//!
//! A put of a random key costs RocksDB five times what an ascending one costs, so an index is not
//! a family with a put for each transfer. The rows of some blocks are sorted once and written as a
//! *run*, in pages; runs that have come together are merged in the background. A question goes to
//! the filter of each run, and to a page of those that may know.
//!
//! Each run covers a range of heights, and the runs of an index do not overlap: their answers, in
//! the order of the runs, are in ledger order.
//!
//! | family | key | value |
//! |---|---|---|
//! | `runs` | index u8 · first height u64 · last height u64 · page u32 | rows, one after the other |
//! | `directories` | index u8 · first height u64 · last height u64 | see [`run::Run::encode`] |
//!
//! A run exists when its directory does. Pages without one are what a crash left of a merge, and
//! are deleted when the store is opened.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::thread;
use std::thread::JoinHandle;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rocksdb::Direction;
use rocksdb::IteratorMode;
use rocksdb::Options;

use super::StorageError;
use super::batch::WriteBatch;
use super::database::Database;
use super::database::Durability;
use super::database::META;
use super::database::blob_family_options;

mod filter;
mod index;
mod merge;
pub(super) mod probe;
mod run;
mod scrub;
mod view;

pub(super) use index::Index;
pub(super) use view::RowRange;
pub(super) use view::RunView;

use run::PAGE_KEY_LENGTH;
use run::Run;
use run::RunBuilder;
use run::RunName;
use run::page_number;

const RUNS: &str = "runs";
/// The family of what is known of each run.
pub(super) const DIRECTORIES: &str = "directories";

/// In `meta`: the random number that seeds the filters' hash.
const SEED: &[u8] = b"filter_seed";

/// Bytes of pages that are kept in memory.
const PAGE_CACHE_BYTES: u64 = 64 << 20;

/// Rows that a merged run has at most: its filter then takes 40 MB, its directory 3 MB.
const ROWS_MAX: u64 = 32 << 20;

/// The runs of all indices, and the thread that merges them.
pub(super) struct RunStore {
    shared: Arc<Shared>,
    merger: Option<JoinHandle<()>>,
}

/// A run that was built and is not yet to be found.
pub(super) struct NewRun(Run);

struct Shared {
    database: Arc<Database>,
    seed: u64,
    rows_max: u64,
    set: RwLock<Arc<RunSet>>,
    pages: Cache<[u8; PAGE_KEY_LENGTH], Bytes, PageWeight>,
    /// Runs that were merged, until nobody reads their pages any more.
    retired: Mutex<Vec<Arc<Run>>>,
    signal: Mutex<Signal>,
    signalled: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Signal {
    work: bool,
    stop: bool,
    /// The merger has nothing to do.
    idle: bool,
}

/// The runs at one moment: for each index in the order of heights.
#[derive(Clone, Default)]
struct RunSet {
    by_index: [Vec<Arc<Run>>; Index::ALL.len()],
}

#[derive(Clone)]
struct PageWeight;

impl Weighter<[u8; PAGE_KEY_LENGTH], Bytes> for PageWeight {
    fn weight(&self, _: &[u8; PAGE_KEY_LENGTH], page: &Bytes) -> u64 {
        u64::try_from(page.len() + 64).expect("a page is small")
    }
}

/// The families that the runs need.
pub(super) fn families() -> Vec<(&'static str, Options)> {
    [(RUNS, 64 << 20), (DIRECTORIES, 16 << 20)]
        .map(|(name, memory)| {
            let mut options = blob_family_options(memory);
            // Merged runs leave whole blob files empty, and RocksDB drops those by itself. What is
            // left in half-empty ones is moved once half of the oldest are waste.
            options.set_enable_blob_gc(true);
            options.set_blob_gc_age_cutoff(0.5);
            options.set_blob_gc_force_threshold(0.5);
            (name, options)
        })
        .into()
}

impl RunStore {
    /// Reads the directories, deletes what a crash left behind, and starts merging.
    pub(super) fn open(database: Arc<Database>) -> Result<RunStore, StorageError> {
        RunStore::open_with(database, ROWS_MAX)
    }

    fn open_with(database: Arc<Database>, rows_max: u64) -> Result<RunStore, StorageError> {
        let shared = Arc::new(Shared {
            seed: load_seed(&database)?,
            rows_max,
            set: RwLock::new(Arc::new(load_set(&database)?)),
            pages: Cache::with_weighter(4096, PAGE_CACHE_BYTES, PageWeight),
            retired: Mutex::default(),
            signal: Mutex::new(Signal { work: true, ..Signal::default() }),
            signalled: Condvar::new(),
            database,
        });
        delete_orphans(&shared.database, &shared.set())?;
        #[cfg(feature = "simulation")]
        if shared.database.is_simulated() {
            return Ok(RunStore { shared, merger: None });
        }
        let merging = Arc::clone(&shared);
        let merger = thread::Builder::new()
            .name("merger".to_owned())
            .spawn(move || merging.merge_until_stopped())
            .map_err(|error| StorageError::Database {
                instance: "state",
                message: format!("no thread for merging: {error}"),
            })?;
        Ok(RunStore { shared, merger: Some(merger) })
    }

    /// Sorts rows of an index (one after the other, in any order) from blocks of these heights and
    /// adds their pages and directory to the batch. None if there are no rows.
    pub(super) fn build(
        &self,
        index: Index,
        first: u64,
        last: u64,
        rows: &[u8],
        batch: &mut WriteBatch,
    ) -> Option<NewRun> {
        let length = index.row_length();
        let row =
            |place: u32| &rows[usize::try_from(place).expect("u32 fits") * length..][..length];
        let count = u32::try_from(rows.len() / length).expect("a flush is bounded in blocks");
        // The first 16 bytes decide nearly always, and are at hand where the rows are not.
        let lead = |place| u128::from_be_bytes(row(place)[..16].try_into().expect("16 bytes"));
        let mut order: Vec<(u128, u32)> = (0..count).map(|place| (lead(place), place)).collect();
        order.sort_unstable_by(|(left_lead, left), (right_lead, right)| {
            left_lead.cmp(right_lead).then_with(|| row(*left).cmp(row(*right)))
        });

        let filtered = |place: u32| &row(place)[..index.filter_length()];
        let changes = order.windows(2).filter(|pair| filtered(pair[0].1) != filtered(pair[1].1));
        let keys = u64::try_from(changes.count() + 1).expect("usize has at most 64 bits");
        let name = RunName { index, first, last };
        let pages = self.shared.database.family(RUNS);
        let mut builder = RunBuilder::new(name, 0, keys, self.shared.seed, pages);
        for (_, place) in &order {
            builder.push(row(*place), batch);
        }
        let run = builder.finish(batch)?;
        batch.put_cf(self.shared.database.family(DIRECTORIES), run.name.key(), run.encode());
        Some(NewRun(run))
    }

    /// Makes runs found whose batch was written.
    pub(super) fn publish(&self, runs: Vec<NewRun>) {
        self.shared.change_set(|set| {
            for NewRun(run) in runs {
                set.by_index[run.name.index.place()].push(Arc::new(run));
            }
        });
        self.shared.signal(|signal| signal.work = true);
        #[cfg(feature = "simulation")]
        if self.merger.is_none() {
            self.shared.merge_or_stop();
        }
    }

    /// The runs of this moment, to be asked.
    pub(super) fn view(&self) -> RunView {
        RunView { shared: Arc::clone(&self.shared), set: self.shared.set() }
    }

    /// The greatest height that a run covers.
    pub(super) fn last_height(&self) -> Option<u64> {
        let set = self.shared.set();
        set.by_index.iter().filter_map(|runs| runs.last()).map(|run| run.name.last).max()
    }
}

impl Drop for RunStore {
    fn drop(&mut self) {
        self.shared.signal(|signal| signal.stop = true);
        if let Some(merger) = self.merger.take() {
            // A merger that panicked has said so; there is nothing to add while closing.
            let _ = merger.join();
        }
    }
}

impl Shared {
    fn set(&self) -> Arc<RunSet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_set(&self, change: impl FnOnce(&mut RunSet)) {
        let mut current = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = RunSet::clone(&current);
        change(&mut changed);
        *current = Arc::new(changed);
    }

    fn signal(&self, change: impl FnOnce(&mut Signal)) {
        change(&mut self.lock_signal());
        self.signalled.notify_all();
    }

    fn lock_signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page from memory or disk.
    fn page(&self, run: &Run, page: usize) -> Result<Bytes, StorageError> {
        let key = run.name.page_key(page_number(page));
        if let Some(page) = self.pages.get(&key) {
            return Ok(page);
        }
        let bytes = self.read_page(run, page)?;
        self.pages.insert(key, bytes.clone());
        Ok(bytes)
    }

    /// A page from disk: merges read each page once and would only push others out of memory.
    fn read_page(&self, run: &Run, page: usize) -> Result<Bytes, StorageError> {
        let bytes = self.database.get(RUNS, &run.name.page_key(page_number(page)))?;
        let place = || format!("page {page} of {:?}", run.name);
        let Some(bytes) = bytes else {
            return Err(StorageError::corrupt("an index", format!("{} is missing", place())));
        };
        let index = run.name.index;
        let begins_right = bytes.get(..index.key_length()) == Some(run.first_key(page));
        if !begins_right || bytes.len() % index.row_length() != 0 {
            return Err(StorageError::corrupt("an index", place()));
        }
        Ok(Bytes::copy_from_slice(&bytes))
    }
}

fn load_seed(database: &Database) -> Result<u64, StorageError> {
    if let Some(bytes) = database.get(META, SEED)? {
        let bytes = (*bytes).try_into();
        let bytes = bytes.map_err(|_| StorageError::corrupt("state meta", "filter_seed"))?;
        return Ok(u64::from_be_bytes(bytes));
    }
    let seed = getrandom::u64().map_err(|error| StorageError::Database {
        instance: "state",
        message: format!("the system gives no random numbers: {error}"),
    })?;
    let mut batch = WriteBatch::default();
    batch.put_cf(database.family(META), SEED, seed.to_be_bytes());
    database.write(batch, Durability::Synced)?;
    Ok(seed)
}

fn load_set(database: &Database) -> Result<RunSet, StorageError> {
    let mut set = RunSet::default();
    for pair in database.iterate(DIRECTORIES, IteratorMode::Start) {
        let (key, value) = pair?;
        let run = RunName::from_key(&key).and_then(|name| Run::decode(name, &value));
        let run = run.ok_or_else(|| StorageError::corrupt("an index", format!("run {key:?}")))?;
        let runs = &mut set.by_index[run.name.index.place()];
        if runs.last().is_some_and(|before| before.name.last >= run.name.first) {
            return Err(StorageError::corrupt("an index", format!("{:?} overlaps", run.name)));
        }
        runs.push(Arc::new(run));
    }
    Ok(set)
}

/// Deletes pages that belong to no run. The runs' pages follow each other by key, so only what
/// lies between two of them has to be looked for, and nothing else is read.
fn delete_orphans(database: &Database, set: &RunSet) -> Result<(), StorageError> {
    let mut gap_begins = vec![0];
    let mut batch = WriteBatch::default();
    let runs = set.by_index.iter().flatten();
    let bounds = runs.map(|run| {
        let end = run.name.page_key(page_number(run.page_count()));
        (run.name.page_key(0).to_vec(), end.to_vec())
    });
    for (gap_ends, next_begins) in bounds.chain([(vec![u8::MAX], Vec::new())]) {
        let mode = IteratorMode::From(&gap_begins, Direction::Forward);
        if let Some(found) = database.iterate(RUNS, mode).next()
            && *found?.0 < *gap_ends
        {
            batch.delete_range_cf(database.family(RUNS), &gap_begins, &gap_ends);
        }
        gap_begins = next_begins;
    }
    if batch.is_empty() { Ok(()) } else { database.write(batch, Durability::Buffered) }
}

#[cfg(test)]
mod tests;
