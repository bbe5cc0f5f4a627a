//! One sorted run: the rows of an index from one height to another, in pages.
//!
//! Pages are values of the family `runs`; what stays in memory is the run's directory, a value of
//! the family `directories`: the first key of each page, the zone of its rows, and the filter.

use super::super::batch::Family;
use super::super::batch::WriteBatch;
use super::filter;
use super::filter::Filter;
use super::index::Index;

/// Bytes that a page has at most.
pub(super) const PAGE_BYTES_MAX: usize = 16 << 10;

/// Length of a page's key in `runs`: index u8 · first height u64 · last height u64 · page u32.
pub(super) const PAGE_KEY_LENGTH: usize = 21;

/// Length of a run's key in `directories`: a page's key without the page.
pub(super) const RUN_KEY_LENGTH: usize = 17;

/// Which run it is: nothing else has the same three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunName {
    pub(super) index: Index,
    /// Height of the first block in it.
    pub(super) first: u64,
    /// Height of the last block in it.
    pub(super) last: u64,
}

impl RunName {
    /// Its key in `directories`.
    pub(super) fn key(&self) -> [u8; RUN_KEY_LENGTH] {
        let mut key = [0; RUN_KEY_LENGTH];
        key[0] = self.index.number();
        key[1..9].copy_from_slice(&self.first.to_be_bytes());
        key[9..].copy_from_slice(&self.last.to_be_bytes());
        key
    }

    /// Reads what `key` made; nothing else.
    pub(super) fn from_key(key: &[u8]) -> Option<RunName> {
        let key: &[u8; RUN_KEY_LENGTH] = key.try_into().ok()?;
        let (first, rest) = key[1..].split_first_chunk()?;
        let name = RunName {
            index: Index::from_number(key[0])?,
            first: u64::from_be_bytes(*first),
            last: u64::from_be_bytes(rest.try_into().ok()?),
        };
        (name.first <= name.last).then_some(name)
    }

    /// The key of one of its pages in `runs`.
    pub(super) fn page_key(&self, page: u32) -> [u8; PAGE_KEY_LENGTH] {
        let mut key = [0; PAGE_KEY_LENGTH];
        key[..RUN_KEY_LENGTH].copy_from_slice(&self.key());
        key[RUN_KEY_LENGTH..].copy_from_slice(&page.to_be_bytes());
        key
    }
}

/// What is known of a run without its pages.
pub(super) struct Run {
    pub(super) name: RunName,
    /// How often it was merged: 0 as it was first written.
    pub(super) level: u8,
    /// Rows in all pages.
    pub(super) rows: u64,
    /// Keys in the filter, or more.
    pub(super) filtered: u64,
    /// The first key of each page, one after the other.
    first_keys: Vec<u8>,
    /// The least and the greatest zone of each page.
    zones: Vec<(u64, u64)>,
    filter: Filter,
}

impl Run {
    /// How many pages it has; at least one.
    pub(super) fn page_count(&self) -> usize {
        self.zones.len()
    }

    /// The first key of a page.
    pub(super) fn first_key(&self, page: usize) -> &[u8] {
        let length = self.name.index.key_length();
        &self.first_keys[page * length..][..length]
    }

    /// The least and the greatest zone of a page.
    pub(super) fn zone(&self, page: usize) -> (u64, u64) {
        self.zones[page]
    }

    /// How many pages begin with a key for which `is_before` holds; they are the first ones.
    pub(super) fn pages_before(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.page_count());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.first_key(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// False only if no row has a key with this hash.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.filter.may_contain(hash)
    }

    /// Version u8 = 1 · level u8 · rows u64 · filtered u64 · pages u32 · for each page its zone u64
    /// ×2 · first keys · filter.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![1, self.level];
        bytes.extend(self.rows.to_be_bytes());
        bytes.extend(self.filtered.to_be_bytes());
        bytes.extend(page_number(self.page_count()).to_be_bytes());
        for (least, greatest) in &self.zones {
            bytes.extend(least.to_be_bytes());
            bytes.extend(greatest.to_be_bytes());
        }
        bytes.extend(&self.first_keys);
        self.filter.encode(&mut bytes);
        bytes
    }

    /// Reads what `encode` wrote; nothing else.
    pub(super) fn decode(name: RunName, bytes: &[u8]) -> Option<Run> {
        let ([1, level], rest) = bytes.split_first_chunk()? else { return None };
        let (rows, rest) = rest.split_first_chunk()?;
        let (filtered, rest) = rest.split_first_chunk()?;
        let (pages, rest) = rest.split_first_chunk()?;
        let pages = usize::try_from(u32::from_be_bytes(*pages)).ok()?;
        let (zones, rest) = rest.split_at_checked(pages.checked_mul(16)?)?;
        let (first_keys, filter) =
            rest.split_at_checked(pages.checked_mul(name.index.key_length())?)?;
        let words: Vec<u64> =
            zones.as_chunks().0.iter().map(|word| u64::from_be_bytes(*word)).collect();
        let run = Run {
            name,
            level: *level,
            rows: u64::from_be_bytes(*rows),
            filtered: u64::from_be_bytes(*filtered),
            first_keys: first_keys.to_vec(),
            zones: words
                .as_chunks()
                .0
                .iter()
                .map(|[least, greatest]| (*least, *greatest))
                .collect(),
            filter: Filter::decode(filter)?,
        };
        (pages > 0).then_some(run)
    }
}

/// Makes a run of rows that come in order, page by page.
pub(super) struct RunBuilder<'a> {
    run: Run,
    seed: u64,
    pages: Family<'a>,
    page: Vec<u8>,
    zone: (u64, u64),
    last_hashed: Vec<u8>,
}

impl<'a> RunBuilder<'a> {
    /// Begins a run with at most `filtered_max` keys for the filter; the pages go to the family
    /// `pages`.
    pub(super) fn new(
        name: RunName,
        level: u8,
        filtered_max: u64,
        seed: u64,
        pages: Family<'a>,
    ) -> RunBuilder<'a> {
        let filter = Filter::with_capacity(filtered_max);
        let (first_keys, zones) = (Vec::new(), Vec::new());
        RunBuilder {
            run: Run { name, level, rows: 0, filtered: 0, first_keys, zones, filter },
            seed,
            pages,
            page: Vec::with_capacity(PAGE_BYTES_MAX),
            zone: (u64::MAX, 0),
            last_hashed: Vec::new(),
        }
    }

    /// Takes the next row; a page that is full goes to the batch. Says whether one did.
    pub(super) fn push(&mut self, row: &[u8], batch: &mut WriteBatch) -> bool {
        let index = self.run.name.index;
        let page_is_full = self.page.len() + row.len() > PAGE_BYTES_MAX;
        if page_is_full {
            self.end_page(batch);
        }
        if self.page.is_empty() {
            self.run.first_keys.extend(&row[..index.key_length()]);
        }
        let filtered = &row[..index.filter_length()];
        if self.last_hashed != filtered {
            self.run.filter.insert(filter::hash(self.seed, filtered));
            self.run.filtered += 1;
            self.last_hashed.clear();
            self.last_hashed.extend_from_slice(filtered);
        }
        let zone = index.zone(row);
        self.zone = (self.zone.0.min(zone), self.zone.1.max(zone));
        self.run.rows += 1;
        self.page.extend_from_slice(row);
        page_is_full
    }

    /// The finished run; its last page goes to the batch. None if there was no row.
    pub(super) fn finish(mut self, batch: &mut WriteBatch) -> Option<Run> {
        if self.page.is_empty() {
            return None;
        }
        self.end_page(batch);
        Some(self.run)
    }

    fn end_page(&mut self, batch: &mut WriteBatch) {
        let number = page_number(self.run.page_count());
        batch.put_cf(self.pages, self.run.name.page_key(number), &self.page);
        self.run.zones.push(self.zone);
        self.zone = (u64::MAX, 0);
        self.page.clear();
    }
}

/// A page's number as it is stored.
pub(super) fn page_number(page: usize) -> u32 {
    u32::try_from(page).expect("a run is bounded far below 2^32 pages")
}
