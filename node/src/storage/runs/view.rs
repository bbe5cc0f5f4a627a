//! Questions to the runs.

use std::ops::ControlFlow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rocksdb::Direction;

use super::RunSet;
use super::Shared;
use super::StorageError;
use super::filter;
use super::index::Index;
use super::run::Run;

/// The runs of one moment. Merges that go on meanwhile do not change what it sees.
pub(in crate::storage) struct RunView {
    pub(super) shared: Arc<Shared>,
    pub(super) set: Arc<RunSet>,
}

/// Which rows of an index are looked for.
#[derive(Clone)]
pub(in crate::storage) struct RowRange<'a> {
    /// The least key.
    pub(in crate::storage) from: &'a [u8],
    /// The greatest key, itself included.
    pub(in crate::storage) to: &'a [u8],
    /// Only runs that cover one of these heights are read; they hold rows of other heights too.
    pub(in crate::storage) heights: RangeInclusive<u64>,
    /// Only pages with one of these zones are read; they hold rows with other zones too.
    pub(in crate::storage) zones: RangeInclusive<u64>,
}

impl<'a> RowRange<'a> {
    /// All rows from one key to another.
    pub(in crate::storage) fn of_keys(from: &'a [u8], to: &'a [u8]) -> RowRange<'a> {
        RowRange { from, to, heights: 0..=u64::MAX, zones: 0..=u64::MAX }
    }
}

impl RunView {
    /// Calls the visitor with each row in the range until it breaks: run by run in the order of
    /// heights, in a run by key; or all of that backwards. For one account's movements this is the
    /// order of their keys.
    pub(in crate::storage) fn visit(
        &self,
        index: Index,
        range: &RowRange<'_>,
        direction: Direction,
        mut visitor: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        let filtered = &range.from[..index.filter_length()];
        let hash = range.to.starts_with(filtered).then(|| filter::hash(self.shared.seed, filtered));
        let runs = &self.set.by_index[index.place()];
        let first = runs.partition_point(|run| run.name.last < *range.heights.start());
        let end = runs.partition_point(|run| run.name.first <= *range.heights.end());
        let asked = runs.get(first..end).unwrap_or_default();
        let may_contain = |run: &&Arc<Run>| hash.is_none_or(|hash| run.may_contain(hash));
        match direction {
            Direction::Forward => {
                for run in asked.iter().filter(may_contain) {
                    if self.visit_forward(run, range, &mut visitor)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Direction::Reverse => {
                for run in asked.iter().rev().filter(may_contain) {
                    if self.visit_backwards(run, range, &mut visitor)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Calls the visitor with each row of one key, in ledger order.
    pub(in crate::storage) fn visit_key(
        &self,
        index: Index,
        key: &[u8],
        visitor: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        self.visit(index, &RowRange::of_keys(key, key), Direction::Forward, visitor)
    }

    fn visit_forward(
        &self,
        run: &Run,
        range: &RowRange<'_>,
        visitor: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        let (key, row) = (run.name.index.key_length(), run.name.index.row_length());
        // Rows of one key may begin in the page before the first that begins with it.
        let first = run.pages_before(|key| key < range.from).saturating_sub(1);
        let end = run.pages_before(|key| key <= range.to);
        for page in (first..end).filter(|page| has_zone(run, *page, range)) {
            let bytes = self.shared.page(run, page)?;
            let before = rows_before(&bytes, row, |row| &row[..key] < range.from);
            for row in bytes[before * row..].chunks_exact(row) {
                if &row[..key] > range.to {
                    return Ok(ControlFlow::Continue(()));
                }
                if visitor(row).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn visit_backwards(
        &self,
        run: &Run,
        range: &RowRange<'_>,
        visitor: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        let (key, row) = (run.name.index.key_length(), run.name.index.row_length());
        let first = run.pages_before(|key| key < range.from).saturating_sub(1);
        let end = run.pages_before(|key| key <= range.to);
        for page in (first..end).rev().filter(|page| has_zone(run, *page, range)) {
            let bytes = self.shared.page(run, page)?;
            let through = rows_before(&bytes, row, |row| &row[..key] <= range.to);
            for row in bytes[..through * row].rchunks_exact(row) {
                if &row[..key] < range.from {
                    return Ok(ControlFlow::Continue(()));
                }
                if visitor(row).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn has_zone(run: &Run, page: usize, range: &RowRange<'_>) -> bool {
    let (least, greatest) = run.zone(page);
    least <= *range.zones.end() && greatest >= *range.zones.start()
}

/// How many rows of a page come before the rest by this measure.
fn rows_before(page: &[u8], row_length: usize, is_before: impl Fn(&[u8]) -> bool) -> usize {
    let (mut low, mut high) = (0, page.len() / row_length);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = &page[middle * row_length..][..row_length];
        if is_before(row) { low = middle + 1 } else { high = middle }
    }
    low
}
