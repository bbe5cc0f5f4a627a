//! What the log reads back, as functions of bytes alone.

use bytes::Bytes;

use super::LogEntry;
use super::entry::EntryHead;

/// A head and a body as the entry of an index.
pub fn entry(index: u64, head: &[u8], body: Bytes) -> Option<LogEntry> {
    EntryHead::decode(index, head)?.with_body(body)
}

/// The head under which an entry is written.
pub fn head(entry: &LogEntry) -> Vec<u8> {
    entry.head().encode().to_vec()
}
