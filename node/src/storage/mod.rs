//! What a node keeps on disk, and nothing else: no consensus, no decisions.
//!
//! A data [`directory`] holds two RocksDB instances. The [`log`] is the Raft log and, being that,
//! the block store: every write to it that matters is synced. The [`state`] is everything that can
//! be computed again from the log: headers, outcomes, accounts, reconciliation records and the
//! indices, which are sorted runs instead of one put for each transfer. It is written in bulk and
//! not synced: after a power cut the node applies again what the log holds. Beside them are the
//! [`snapshots`], for nodes that were away.
//!
//! Every call is synchronous and may wait for the disk. The first write that fails is the last:
//! after it every write is refused, because what a failed fsync left behind cannot be known. The
//! caller stops the process.

use std::io;
use std::path::Path;
use std::path::PathBuf;

mod batch;
mod database;
pub mod directory;
mod high_water;
pub mod log;
mod manifest_mark;
pub mod originals;
#[doc(hidden)]
pub mod probe;
mod runs;
#[cfg(feature = "simulation")]
pub mod simulated;
pub mod snapshots;
pub mod space;
pub mod state;

/// Why storage could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// RocksDB said no.
    #[error("the {instance} database failed: {message}")]
    Database {
        /// `log` or `state`.
        instance: &'static str,
        /// RocksDB's word.
        message: String,
    },
    /// What was read is not what was written.
    #[error("{what} is corrupt: {place}")]
    Corrupt {
        /// Which kind of record.
        what: &'static str,
        /// Where it is, and what is wrong with it.
        place: String,
    },
    /// Written by another version of the software.
    #[error("the {instance} database has the format {found:?}; this version reads {expected:?}")]
    Format {
        /// `log` or `state`.
        instance: &'static str,
        /// The marker in the database.
        found: String,
        /// The marker of this version.
        expected: String,
    },
    /// No marker file.
    #[error(
        "{} holds no node's data. If this node has never run, create it with `counterfoil-node init`; \
         a voter whose data is lost must not come back under its old id: start a spare one",
        .0.display()
    )]
    NotInitialised(PathBuf),
    /// Asked to create a node where something is.
    #[error("{} is not empty: a new node needs a directory of its own", .0.display())]
    NotEmpty(PathBuf),
    /// Another node's, or another chain's, directory.
    #[error("{} holds {found}, not {expected}", path.display())]
    Foreign {
        /// The data directory.
        path: PathBuf,
        /// Whose data it holds.
        found: String,
        /// Whose data was asked for.
        expected: String,
    },
    /// A node that found itself in contradiction to a quorum.
    #[error("the node of {} has diverged: {how}", path.display())]
    Diverged {
        /// The data directory.
        path: PathBuf,
        /// How, and where the evidence is.
        how: String,
    },
    /// A second process.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The caller left a gap or went back: a bug of this software.
    #[error("{what} {given} does not follow: {expected} comes next")]
    OutOfOrder {
        /// What is counted.
        what: &'static str,
        /// The number that was given.
        given: u64,
        /// The number that comes next.
        expected: u64,
    },
    /// A write or a read failed before, so nothing more is written.
    #[error("the {instance} database stopped after an error: {cause}")]
    Stopped {
        /// `log` or `state`.
        instance: &'static str,
        /// The first error.
        cause: String,
    },
}

/// What a failure of storage comes to, for whoever has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no space left.
    Full,
    /// Bytes are not what was written, or are gone.
    Corrupt,
    /// The disk refused a read, a write or a sync.
    Refused,
}

impl Failure {
    /// Of a message of the operating system, of RocksDB or of this module, which may stand within
    /// another one.
    pub fn of_message(message: &str) -> Failure {
        let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
        if says(&["No space left on device", "Disk quota exceeded"]) {
            Failure::Full
        } else if says(&[
            "Corruption: ",
            " corrupt: ",
            "No such file or directory",
            "does not exist",
        ]) {
            Failure::Corrupt
        } else {
            Failure::Refused
        }
    }
}

impl StorageError {
    /// What it comes to; none if nothing failed, and the caller asked for what cannot be.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            StorageError::Io { source, .. } => Some(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::Full,
                _ => Failure::Refused,
            }),
            StorageError::Database { message, .. } => Some(Failure::of_message(message)),
            StorageError::Stopped { cause, .. } => Some(Failure::of_message(cause)),
            StorageError::Corrupt { .. } => Some(Failure::Corrupt),
            _ => None,
        }
    }

    fn io(action: &'static str, path: &Path, source: io::Error) -> StorageError {
        StorageError::Io { action, path: path.to_owned(), source }
    }

    /// Something read is not what was written: which kind of record, and where.
    pub fn corrupt(what: &'static str, place: impl ToString) -> StorageError {
        StorageError::Corrupt { what, place: place.to_string() }
    }
}
