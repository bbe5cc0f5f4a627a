//! The end of the log in memory: apply and replication read what was appended a moment ago.

use std::collections::VecDeque;

use super::entry::EntryId;
use super::entry::LogEntry;

/// Bytes of entries that are kept.
pub(super) const RECENT_BYTES_MAX: usize = 64 << 20;

/// What an entry costs in memory beside its body.
const ENTRY_OVERHEAD: usize = 96;

/// The bounds of the log and its latest entries.
#[derive(Default)]
pub(super) struct Recent {
    /// The last entry; none if the log holds nothing that it may still have to send or apply.
    pub(super) last: Option<EntryId>,
    /// Where the log begins: everything from here to `last` is there.
    pub(super) start: u64,
    /// Counts truncations, so that a reader notices one that happened while it read.
    pub(super) truncations: u64,
    entries: VecDeque<LogEntry>,
    bytes: usize,
}

impl Recent {
    /// The index that comes next; none if the log is empty and may begin anywhere.
    pub(super) fn next(&self) -> Option<u64> {
        match self.last {
            Some(last) => Some(last.index + 1),
            None if self.start > 0 => Some(self.start),
            None => None,
        }
    }

    /// An entry, if it is in memory.
    pub(super) fn get(&self, index: u64) -> Option<&LogEntry> {
        let first = self.entries.front()?.index;
        let place = usize::try_from(index.checked_sub(first)?).ok()?;
        self.entries.get(place)
    }

    /// Takes the entry after the last one.
    pub(super) fn push(&mut self, entry: LogEntry) {
        if self.last.is_none() {
            self.start = entry.index;
        }
        self.last = Some(entry.id());
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        while self.bytes > RECENT_BYTES_MAX && self.entries.len() > 1 {
            let oldest = self.entries.pop_front().expect("the loop's condition says so");
            self.bytes -= cost(&oldest);
        }
    }

    /// Takes the entry before the first one in memory, while there is room. Says whether it did.
    pub(super) fn push_older(&mut self, entry: LogEntry) -> bool {
        let room = self.bytes + cost(&entry) <= RECENT_BYTES_MAX;
        if room {
            self.bytes += cost(&entry);
            self.entries.push_front(entry);
        }
        room
    }

    /// Forgets this entry and all after it; `last` is the one before it.
    pub(super) fn truncate(&mut self, index: u64, last: Option<EntryId>) {
        while self.entries.back().is_some_and(|entry| entry.index >= index) {
            let entry = self.entries.pop_back().expect("the loop's condition says so");
            self.bytes -= cost(&entry);
        }
        self.last = last;
        self.truncations += 1;
    }

    /// Begins anew at an index, without entries.
    pub(super) fn restart(&mut self, start: u64) {
        self.entries.clear();
        self.bytes = 0;
        self.last = None;
        self.start = start;
        self.truncations += 1;
    }
}

fn cost(entry: &LogEntry) -> usize {
    entry.body().len() + ENTRY_OVERHEAD
}
