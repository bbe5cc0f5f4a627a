//! Merging: eight neighbouring runs of one level become one of the next.
//!
//! A row is so rewritten once for each level, and an index has at most seven runs a level, besides
//! those that have grown to the bound. The merged run counts from the batch that writes its
//! directory and deletes the others'; a crash before it leaves pages that nobody knows, one after
//! it pages that nobody needs, and both go when the store is opened.

use std::mem;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;
use tracing::error;

use super::super::batch::WriteBatch;
use super::DIRECTORIES;
use super::Durability;
use super::RUNS;
use super::RunSet;
use super::Shared;
use super::StorageError;
use super::run::Run;
use super::run::RunBuilder;
use super::run::RunName;
use super::run::page_number;

/// How many runs are merged at once.
const FAN: usize = 8;

/// Bytes of pages that are written at once.
const BATCH_BYTES: usize = 4 << 20;

/// Pages that are deleted at once.
const BATCH_DELETES: u32 = 10_000;

/// How often runs that somebody was still reading are looked at again.
pub(super) const RETIRED_INTERVAL: Duration = Duration::from_secs(1);

impl RunSet {
    /// The oldest eight neighbours of one level, or as many of them as fit one run; two at least.
    pub(super) fn next_merge(&self, rows_max: u64) -> Option<Vec<Arc<Run>>> {
        // Above half the bound, a run would not fit together with another like it: it is full.
        let is_full = |run: &Run| run.rows > rows_max / 2;
        let same = |left: &Arc<Run>, right: &Arc<Run>| {
            left.level == right.level && !is_full(left) && !is_full(right)
        };
        let mut groups = self.by_index.iter().flat_map(|runs| runs.chunk_by(same));
        let group = groups.find(|group| group.len() >= FAN)?;
        let mut rows = 0;
        let fits = group[..FAN].iter().take_while(|run| {
            rows += run.rows;
            rows <= rows_max
        });
        Some(fits.cloned().collect())
    }
}

impl Shared {
    /// What the merger's thread does.
    pub(super) fn merge_until_stopped(&self) {
        while self.wait_for_work() {
            if !self.merge_or_stop() {
                break;
            }
        }
    }

    /// False if it failed: the state takes no more writes.
    pub(super) fn merge_or_stop(&self) -> bool {
        let merged = self.merge_all();
        if let Err(error) = &merged {
            error!(%error, "merging the indices failed; the state takes no more writes");
            self.database.stop(error);
        }
        merged.is_ok()
    }

    /// False when it is time to stop.
    fn wait_for_work(&self) -> bool {
        let mut signal = self.lock_signal();
        while !signal.work && !signal.stop {
            signal.idle = true;
            if self.retired().is_empty() {
                signal = self.signalled.wait(signal).unwrap_or_else(PoisonError::into_inner);
            } else {
                let waited = self.signalled.wait_timeout(signal, RETIRED_INTERVAL);
                signal = waited.unwrap_or_else(PoisonError::into_inner).0;
                break;
            }
        }
        signal.work = false;
        signal.idle = false;
        !signal.stop
    }

    fn merge_all(&self) -> Result<(), StorageError> {
        loop {
            self.delete_retired()?;
            // In a statement of its own: the old set must not outlive it, or it would keep the runs
            // that are merged from being deleted.
            let next = self.set().next_merge(self.rows_max);
            let Some(inputs) = next else { return Ok(()) };
            if !self.merge(inputs)? {
                return Ok(());
            }
        }
    }

    /// Makes one run of these neighbours. False if it was stopped on the way.
    fn merge(&self, inputs: Vec<Arc<Run>>) -> Result<bool, StorageError> {
        let (Some(oldest), Some(newest)) = (inputs.first(), inputs.last()) else { return Ok(true) };
        let index = oldest.name.index;
        let name = RunName { index, first: oldest.name.first, last: newest.name.last };
        let level = oldest.level.saturating_add(1);
        let filtered = inputs.iter().map(|run| run.filtered).sum();
        let pages = self.database.family(RUNS);
        let mut builder = RunBuilder::new(name, level, filtered, self.seed, pages);
        let mut batch = WriteBatch::default();
        let mut cursors = Vec::with_capacity(inputs.len());
        for run in &inputs {
            cursors.push(Cursor::open(self, Arc::clone(run))?);
        }
        while let Some(least) = least(&cursors) {
            let page_ended = builder.push(cursors[least].row(), &mut batch);
            if !cursors[least].advance(self)? {
                cursors.swap_remove(least);
            }
            if page_ended && batch.size_in_bytes() > BATCH_BYTES {
                if self.lock_signal().stop {
                    return Ok(false);
                }
                self.database.write(mem::take(&mut batch), Durability::Buffered)?;
            }
        }
        let merged = builder.finish(&mut batch).expect("the runs that were merged have rows");
        debug!(?name, level, rows = merged.rows, "merged runs");
        let directories = self.database.family(DIRECTORIES);
        for run in &inputs {
            batch.delete_cf(directories, run.name.key());
        }
        batch.put_cf(directories, name.key(), merged.encode());
        self.database.write(batch, Durability::Buffered)?;
        self.replace(inputs, Arc::new(merged));
        Ok(true)
    }

    fn replace(&self, inputs: Vec<Arc<Run>>, merged: Arc<Run>) {
        self.change_set(|set| {
            let runs = &mut set.by_index[merged.name.index.place()];
            let first = runs.partition_point(|run| run.name.last < merged.name.first);
            runs.splice(first..first + inputs.len(), [merged]);
        });
        self.retired().extend(inputs);
    }

    /// Deletes the pages of merged runs that nobody reads any more.
    fn delete_retired(&self) -> Result<(), StorageError> {
        let unread: Vec<Arc<Run>> = {
            let mut retired = self.retired();
            // A run that only this list knows can gain no reader: views are made of the set.
            retired.extract_if(.., |run| Arc::strong_count(run) == 1).collect()
        };
        let pages = self.database.family(RUNS);
        for run in unread {
            let mut batch = WriteBatch::default();
            // One by one: a range's tombstone would be looked at by each later read.
            for page in 0..page_number(run.page_count()) {
                batch.delete_cf(pages, run.name.page_key(page));
                if page % BATCH_DELETES == BATCH_DELETES - 1 {
                    self.database.write(mem::take(&mut batch), Durability::Buffered)?;
                }
            }
            self.database.write(batch, Durability::Buffered)?;
        }
        Ok(())
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Arc<Run>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes through the rows of a run, a page in memory at a time.
struct Cursor {
    run: Arc<Run>,
    page: Bytes,
    next_page: usize,
    /// Where the row begins in the page.
    at: usize,
    /// The row's first bytes: they decide nearly every comparison.
    lead: u128,
}

impl Cursor {
    fn open(shared: &Shared, run: Arc<Run>) -> Result<Cursor, StorageError> {
        let page = shared.read_page(&run, 0)?;
        let mut cursor = Cursor { run, page, next_page: 1, at: 0, lead: 0 };
        cursor.lead = cursor.read_lead();
        Ok(cursor)
    }

    fn row(&self) -> &[u8] {
        &self.page[self.at..][..self.run.name.index.row_length()]
    }

    /// Goes to the next row. False if there is none.
    fn advance(&mut self, shared: &Shared) -> Result<bool, StorageError> {
        self.at += self.run.name.index.row_length();
        if self.at >= self.page.len() {
            if self.next_page == self.run.page_count() {
                return Ok(false);
            }
            self.page = shared.read_page(&self.run, self.next_page)?;
            self.next_page += 1;
            self.at = 0;
        }
        self.lead = self.read_lead();
        Ok(true)
    }

    fn read_lead(&self) -> u128 {
        u128::from_be_bytes(self.row()[..16].try_into().expect("rows are longer than 16 bytes"))
    }
}

/// Which cursor has the least row.
fn least(cursors: &[Cursor]) -> Option<usize> {
    let by_row = |left: &&Cursor, right: &&Cursor| {
        left.lead.cmp(&right.lead).then_with(|| left.row().cmp(right.row()))
    };
    let places = cursors.iter().enumerate();
    places.min_by(|(_, left), (_, right)| by_row(left, right)).map(|(place, _)| place)
}
