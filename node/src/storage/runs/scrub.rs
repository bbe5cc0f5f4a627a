//! Reading the runs again, page by page: each page is what its directory says.

use std::sync::Arc;

use super::RunStore;
use super::Shared;
use super::StorageError;
use super::filter;
use super::run::Run;
use super::run::page_number;

impl RunStore {
    /// Checks pages from a page's key on until about so many bytes are read. Says where to go on, if
    /// anything is left, and how many bytes it has read.
    pub(in crate::storage) fn scrub(
        &self,
        from: &[u8],
        budget: u64,
    ) -> Result<(Option<Vec<u8>>, u64), StorageError> {
        // Merges that go on meanwhile leave the runs of this moment to be read.
        let view = self.view();
        let mut bytes = 0;
        for run in view.set.by_index.iter().flatten() {
            for page in 0..run.page_count() {
                let key = run.name.page_key(page_number(page));
                if key[..] < *from {
                    continue;
                }
                if bytes >= budget {
                    return Ok((Some(key.to_vec()), bytes));
                }
                bytes += self.shared.scrub_page(run, page)?;
            }
        }
        Ok((None, bytes))
    }
}

impl Shared {
    fn scrub_page(&self, run: &Arc<Run>, page: usize) -> Result<u64, StorageError> {
        let bytes = self.read_page(run, page)?;
        let index = run.name.index;
        let (least, greatest) = run.zone(page);
        let mut before: &[u8] = &[];
        let mut last_filtered: &[u8] = &[];
        for row in bytes.chunks_exact(index.row_length()) {
            let zone = index.zone(row);
            let filtered = &row[..index.filter_length()];
            let is_known =
                filtered == last_filtered || run.may_contain(filter::hash(self.seed, filtered));
            if before > row || zone < least || zone > greatest || !is_known {
                let place = format!("page {page} of {:?}", run.name);
                return Err(StorageError::corrupt("an index", place));
            }
            (before, last_filtered) = (row, filtered);
        }
        let is_last = page + 1 == run.page_count();
        if !is_last && before[..index.key_length()] > *run.first_key(page + 1) {
            let place = format!("page {page} of {:?} runs into the next", run.name);
            return Err(StorageError::corrupt("an index", place));
        }
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }
}
