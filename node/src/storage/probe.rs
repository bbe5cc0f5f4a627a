//! What storage reads back from the disk, as functions of bytes alone, for those who throw bytes at it.

use bytes::Bytes;

use super::log;
use super::log::LogEntry;
use super::runs;
use super::state;

/// Reads a head and a body as the entry of an index.
pub fn log_entry(index: u64, head: &[u8], body: Bytes) -> Option<LogEntry> {
    log::probe::entry(index, head, body)
}

/// The head under which an entry is written.
pub fn log_head(entry: &LogEntry) -> Vec<u8> {
    log::probe::head(entry)
}

/// Reads a key and a value as the directory of a run, and asks it for a key.
pub fn run(key: &[u8], value: &[u8], asked: &[u8]) {
    runs::probe::directory(key, value, asked);
}

/// Reads bytes as a row of each index.
pub fn row(bytes: &[u8]) {
    state::probe::row(bytes);
}
