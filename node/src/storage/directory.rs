//! A node's data directory: whose data it is, and that one process alone uses it.
//!
//! A node that lost its disk and came back under its old id could vote twice, so a directory
//! without the marker is refused and never filled silently.

use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use counterfoil_ledger::hash::Hash;

use super::StorageError;

/// The marker: three lines, see `marker`.
const MARKER_FILE: &str = "node";

/// Present once the node has found that it differs from what a quorum certified: its content says
/// how.
const DIVERGED_FILE: &str = "diverged";

/// Where evidence is kept.
const EVIDENCE_DIRECTORY: &str = "evidence";

/// The state, one that is being built, one that is whole and will take its place, and the one whose
/// place it takes.
const STATE: &str = "state";
const BUILDING: &str = "state.building";
const NEXT: &str = "state.next";
const OLD: &str = "state.old";

/// Locked as long as a process uses the directory.
const LOCK_FILE: &str = "lock";

/// The data directory of one node, locked until the last clone of it and the stores that were
/// opened in it are gone.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataDirectory {
    /// Creates the directory of a node that has never run, durably, and opens it.
    pub fn init(path: &Path, node_id: u64, chain_id: &Hash) -> Result<Self, StorageError> {
        fs::create_dir_all(path).map_err(|error| StorageError::io("create", path, error))?;
        let mut present =
            fs::read_dir(path).map_err(|error| StorageError::io("read", path, error))?;
        if present.next().is_some() {
            return Err(StorageError::NotEmpty(path.to_owned()));
        }
        let marker_path = path.join(MARKER_FILE);
        write_new(&marker_path, &marker(node_id, chain_id))
            .map_err(|error| StorageError::io("create", &marker_path, error))?;
        sync_directory(path)?;
        // The directory itself may be new: its name is durable when its parent is.
        let canonical =
            path.canonicalize().map_err(|error| StorageError::io("resolve", path, error))?;
        if let Some(parent) = canonical.parent() {
            sync_directory(parent)?;
        }
        DataDirectory::open(path, node_id, chain_id)
    }

    /// Opens the directory of a node that has run before, or was just created.
    pub fn open(path: &Path, node_id: u64, chain_id: &Hash) -> Result<Self, StorageError> {
        let marker_path = path.join(MARKER_FILE);
        let found = match fs::read_to_string(&marker_path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StorageError::NotInitialised(path.to_owned()));
            }
            Err(error) => return Err(StorageError::io("read", &marker_path, error)),
        };
        let expected = marker(node_id, chain_id);
        if found != expected {
            return Err(StorageError::Foreign {
                path: path.to_owned(),
                found: in_one_line(&found),
                expected: in_one_line(&expected),
            });
        }
        let diverged_path = path.join(DIVERGED_FILE);
        match fs::read_to_string(&diverged_path) {
            Ok(how) => {
                let how = how.trim().chars().take(1_000).collect();
                return Err(StorageError::Diverged { path: path.to_owned(), how });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::io("read", &diverged_path, error)),
        }
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| StorageError::io("open", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDirectory { path: path.to_owned(), _lock: Arc::new(lock) }),
            Err(fs::TryLockError::WouldBlock) => Err(StorageError::Locked(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(StorageError::io("lock", &lock_path, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where evidence is kept; the directory may not exist yet.
    pub fn evidence(&self) -> PathBuf {
        self.path.join(EVIDENCE_DIRECTORY)
    }

    /// Keeps a file of evidence, durably and whole or not at all, unless there is one of this name
    /// or there are `files_max` already. Says whether it is there.
    pub fn keep_evidence(
        &self,
        name: &str,
        bytes: &[u8],
        files_max: usize,
    ) -> Result<bool, StorageError> {
        let directory = self.evidence();
        fs::create_dir_all(&directory)
            .map_err(|error| StorageError::io("create", &directory, error))?;
        sync_directory(&self.path)?;
        if directory.join(name).exists() {
            return Ok(true);
        }
        let present = fs::read_dir(&directory)
            .map_err(|error| StorageError::io("read", &directory, error))?;
        if present.count() >= files_max {
            return Ok(false);
        }
        write_whole(&directory, name, bytes)?;
        Ok(true)
    }

    /// Marks the directory as that of a node that has diverged: it is never opened again.
    pub fn mark_diverged(&self, how: &str) -> Result<(), StorageError> {
        write_whole(&self.path, DIVERGED_FILE, how.as_bytes())
    }

    /// Where the snapshots are.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Where the log's database is.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the log's high-water mark is.
    pub(super) fn log_high_water(&self) -> PathBuf {
        self.path.join("durable")
    }

    /// Whether a state is being built.
    pub fn is_building(&self) -> bool {
        self.path.join(BUILDING).exists()
    }

    /// Deletes a state that was being built, or copied to that place.
    pub fn discard_building(&self) -> Result<(), StorageError> {
        remove(&self.path.join(format!("{BUILDING}.tmp")))?;
        remove(&self.path.join(BUILDING))
    }

    /// The state that was built is whole, durable and closed: the next start, or `adopt_next`, puts it
    /// in the place of the state.
    pub fn promote_building(&self) -> Result<(), StorageError> {
        self.rename(BUILDING, NEXT)
    }

    /// Puts a state that was built, if there is one, in the place of the state. Whatever moment it is
    /// interrupted at, the next start ends it. Says whether there was one.
    pub fn adopt_next(&self) -> Result<bool, StorageError> {
        let [state, next, old] = [STATE, NEXT, OLD].map(|name| self.path.join(name));
        remove(&old)?;
        if !next.exists() {
            return Ok(false);
        }
        if state.exists() {
            self.rename(STATE, OLD)?;
        }
        self.rename(NEXT, STATE)?;
        remove(&old)?;
        Ok(true)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        fs::rename(&from, &to).map_err(|error| StorageError::io("rename", &from, error))?;
        sync_directory(&self.path)
    }

    /// Where a state is built aside.
    pub(super) fn building(&self) -> PathBuf {
        self.path.join(BUILDING)
    }

    /// Where the state's database is.
    pub(super) fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }
}

/// Deletes a directory with everything in it, if it is there.
fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("delete", path, error))
        }
        _ => Ok(()),
    }
}

/// Bytes that the files directly inside a directory take. A file that goes away meanwhile counts
/// nothing: RocksDB deletes files as it likes.
pub(super) fn bytes_within(path: &Path) -> Result<u64, StorageError> {
    let files = fs::read_dir(path).map_err(|error| StorageError::io("read", path, error))?;
    Ok(files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum())
}

/// What the marker file of a node says. The first line is the version of the layout.
fn marker(node_id: u64, chain_id: &Hash) -> String {
    let mut text = String::from("counterfoil data directory 1\n");
    writeln!(text, "node {node_id}").expect("a String takes everything");
    writeln!(text, "chain {chain_id}").expect("a String takes everything");
    text
}

fn in_one_line(marker: &str) -> String {
    let lines: Vec<&str> = marker.lines().take(3).collect();
    lines.join(", ").chars().take(200).collect()
}

/// Writes a file under another name first, so that a crash leaves all of it or nothing.
pub(super) fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    let (path, draft) = (directory.join(name), directory.join(format!("{name}.draft")));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(|error| StorageError::io("write", &path, error))?;
    sync_directory(directory)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().create_new(true).write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

pub(super) fn sync_directory(path: &Path) -> Result<(), StorageError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StorageError::io("sync", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: Hash = Hash([7; 32]);

    #[test]
    fn a_directory_belongs_to_one_node_of_one_chain() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/node-1");
        let missing = DataDirectory::open(&path, 1, &CHAIN).unwrap_err();
        assert!(matches!(missing, StorageError::NotInitialised(_)));
        assert!(missing.to_string().contains("never run"), "{missing}");

        drop(DataDirectory::init(&path, 1, &CHAIN).unwrap());
        let again = DataDirectory::init(&path, 1, &CHAIN).unwrap_err();
        assert!(matches!(again, StorageError::NotEmpty(_)));
        for (node, chain) in [(2, CHAIN), (1, Hash([8; 32]))] {
            let other = DataDirectory::open(&path, node, &chain).unwrap_err();
            assert!(matches!(other, StorageError::Foreign { .. }), "{other}");
        }
        drop(DataDirectory::open(&path, 1, &CHAIN).unwrap());
    }

    #[test]
    fn evidence_is_kept_and_a_diverged_directory_is_not_opened_again() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::init(parent.path(), 1, &CHAIN).unwrap();
        assert!(directory.keep_evidence("a", b"one", 2).unwrap());
        assert!(directory.keep_evidence("a", b"other", 2).unwrap());
        assert!(directory.keep_evidence("b", b"two", 2).unwrap());
        assert!(!directory.keep_evidence("c", b"three", 2).unwrap());
        assert_eq!(fs::read(directory.evidence().join("a")).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.evidence()).unwrap().count(), 2);
        directory.mark_diverged("at height 7").unwrap();
        drop(directory);
        let diverged = DataDirectory::open(parent.path(), 1, &CHAIN).unwrap_err();
        assert!(matches!(diverged, StorageError::Diverged { .. }));
        assert!(diverged.to_string().contains("at height 7"), "{diverged}");
    }

    #[test]
    fn a_state_that_was_built_takes_the_place_of_the_state_at_whatever_moment_it_is_stopped() {
        for (present, expected) in [
            (&["state", "state.building"][..], "state"),
            (&["state", "state.next"], "state.next"),
            (&["state.old", "state.next"], "state.next"),
            (&["state", "state.old"], "state"),
            (&["state", "state.old", "state.next"], "state.next"),
        ] {
            let parent = tempfile::tempdir().unwrap();
            let directory = DataDirectory::init(parent.path(), 1, &CHAIN).unwrap();
            for name in present {
                fs::create_dir(parent.path().join(name)).unwrap();
                fs::write(parent.path().join(name).join("is"), name).unwrap();
            }
            assert_eq!(directory.adopt_next().unwrap(), expected == "state.next", "{present:?}");
            let is = fs::read_to_string(parent.path().join("state/is")).unwrap();
            assert_eq!(is, expected, "{present:?}");
            directory.discard_building().unwrap();
            let left = fs::read_dir(parent.path()).unwrap().count();
            assert_eq!(left, 3, "{present:?}: the marker, the lock and the state");
        }
    }

    #[test]
    fn a_second_process_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let first = DataDirectory::init(parent.path(), 1, &CHAIN).unwrap();
        let second = DataDirectory::open(parent.path(), 1, &CHAIN).unwrap_err();
        assert!(matches!(second, StorageError::Locked(_)));
        drop(first);
        DataDirectory::open(parent.path(), 1, &CHAIN).unwrap();
    }
}
