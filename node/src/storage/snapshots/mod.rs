//! Snapshots on disk, each in a directory of its own under `snapshots`, named by its height: the
//! file `content` and the file `manifest`.
//!
//! A directory of that name is whole: it is made under another name, synced, and renamed. One under
//! any other name is left over from something that was interrupted; a `received-` one alone is
//! kept, so that receiving it can go on.

mod draft;
mod manifest;
mod receiving;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::snapshot::chunk_hash;
use counterfoil_ledger::verify::Signers;
use tracing::warn;

use super::StorageError;
use super::directory::DataDirectory;
use super::directory::sync_directory;
use super::directory::write_whole;

pub use draft::Draft;
pub use manifest::Manifest;
pub use manifest::Unfit;
pub use receiving::Receiving;

const CONTENT: &str = "content";
const MANIFEST: &str = "manifest";
const MAKING: &str = "making-";
const RECEIVED: &str = "received-";
const DELETED: &str = "deleted-";

/// The snapshots of one node. Clones share them.
#[derive(Clone)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Holds the directory's lock as long as anything is written.
    _directory: DataDirectory,
    kept: Mutex<BTreeMap<u64, Kept>>,
    /// Held while directories are renamed, written to or deleted.
    changing: Mutex<()>,
}

/// A whole snapshot.
#[derive(Clone, Debug)]
struct Kept {
    manifest: Arc<Manifest>,
    certified: bool,
}

impl Snapshots {
    /// Opens what is there and deletes what is left over. A manifest that does not decode, or is
    /// signed by others than its signers, goes too: a snapshot can be made again.
    pub fn open(
        directory: &DataDirectory,
        chain_id: &Hash,
        signers: &Signers,
    ) -> Result<Snapshots, StorageError> {
        let path = directory.snapshots();
        fs::create_dir_all(&path).map_err(|error| StorageError::io("create", &path, error))?;
        sync_directory(directory.path())?;
        let mut kept = BTreeMap::new();
        for entry in fs::read_dir(&path).map_err(|error| StorageError::io("read", &path, error))? {
            let entry = entry.map_err(|error| StorageError::io("read", &path, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_left_over = name.starts_with(MAKING) || name.starts_with(DELETED);
            let height = name.parse::<u64>().ok().filter(|height| height.to_string() == name);
            match height.and_then(|height| read_kept(&entry.path(), height, chain_id, signers)) {
                Some(found) => drop(kept.insert(found.manifest.height(), found)),
                None if height.is_some() => {
                    warn!(name, "a snapshot that is damaged is deleted");
                    remove(&entry.path())?;
                }
                None if is_left_over => remove(&entry.path())?,
                // What goes on being received, and what is none of ours.
                None => {}
            }
        }
        sync_directory(&path)?;
        let (kept, changing) = (Mutex::new(kept), Mutex::default());
        let inner = Inner { path, _directory: directory.clone(), kept, changing };
        Ok(Snapshots { inner: Arc::new(inner) })
    }

    /// The newest one, certified or not.
    pub fn newest(&self) -> Option<Arc<Manifest>> {
        self.kept().last_key_value().map(|(_, kept)| kept.manifest.clone())
    }

    /// The newest one that a quorum has signed.
    pub fn newest_certified(&self) -> Option<Arc<Manifest>> {
        let kept = self.kept();
        kept.values().rev().find(|kept| kept.certified).map(|kept| kept.manifest.clone())
    }

    /// Whether there is one of this height.
    pub fn has(&self, height: u64) -> bool {
        self.kept().contains_key(&height)
    }

    /// A chunk; none if there is no such snapshot or chunk. A damaged one is an error.
    pub fn read_chunk(&self, height: u64, number: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(manifest) = self.kept().get(&height).map(|kept| kept.manifest.clone()) else {
            return Ok(None);
        };
        let Some((hash, offset, length)) = manifest.chunk(number) else { return Ok(None) };
        let path = self.path_of(height).join(CONTENT);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Deleted in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.has(height) => {
                return Ok(None);
            }
            Err(error) => return Err(StorageError::io("open", &path, error)),
        };
        let mut chunk = vec![0; length];
        match file.read_exact_at(&mut chunk, offset) {
            Ok(()) if chunk_hash(&chunk) == hash => Ok(Some(chunk)),
            Ok(()) => Err(self.damaged(height, number)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(height, number))
            }
            Err(error) => Err(StorageError::io("read", &path, error)),
        }
    }

    /// Begins one that this node makes. What an earlier try left is gone.
    pub fn begin(&self, height: u64) -> Result<Draft, StorageError> {
        Draft::create(self.clone(), height)
    }

    /// Begins one that other nodes send, or goes on where receiving it was interrupted. Any other one
    /// that was being received is given up. The manifest must be certified.
    pub fn begin_receive(&self, manifest: Manifest) -> Result<Receiving, StorageError> {
        Receiving::begin(self.clone(), manifest)
    }

    /// Gives a snapshot the signatures that certify it, and deletes all older ones. Whether they do is
    /// for the caller to know. None if it has made room for a newer one.
    pub fn certify(&self, manifest: Manifest) -> Result<Option<Arc<Manifest>>, StorageError> {
        let _changing = self.changing();
        let height = manifest.height();
        if !self.has(height) {
            return Ok(None);
        }
        write_whole(&self.path_of(height), MANIFEST, &manifest.encode())?;
        let manifest = self.keep(manifest, true);
        self.delete_before(height, |_| true)?;
        Ok(Some(manifest))
    }

    /// Deletes one, whole.
    pub fn delete(&self, height: u64) -> Result<(), StorageError> {
        let _changing = self.changing();
        self.discard(height)
    }

    fn discard(&self, height: u64) -> Result<(), StorageError> {
        self.kept().remove(&height);
        let (path, deleted) =
            (self.path_of(height), self.inner.path.join(format!("{DELETED}{height}")));
        match fs::rename(&path, &deleted) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StorageError::io("rename", &path, error)),
        }
        sync_directory(&self.inner.path)?;
        remove(&deleted)
    }

    fn delete_before(&self, height: u64, goes: impl Fn(&Kept) -> bool) -> Result<(), StorageError> {
        let older: Vec<u64> = {
            let kept = self.kept();
            let older = kept.range(..height).filter(|(_, kept)| goes(kept));
            older.map(|(height, _)| *height).collect()
        };
        older.into_iter().try_for_each(|height| self.discard(height))
    }

    fn keep(&self, manifest: Manifest, certified: bool) -> Arc<Manifest> {
        let manifest = Arc::new(manifest);
        let kept = Kept { manifest: manifest.clone(), certified };
        self.kept().insert(manifest.height(), kept);
        manifest
    }

    /// Makes what is whole under another name a snapshot.
    fn publish(&self, from: &Path, height: u64) -> Result<(), StorageError> {
        let path = self.path_of(height);
        fs::rename(from, &path).map_err(|error| StorageError::io("rename", from, error))?;
        sync_directory(&self.inner.path)
    }

    fn path_of(&self, height: u64) -> PathBuf {
        self.inner.path.join(height.to_string())
    }

    fn damaged(&self, height: u64, number: u32) -> StorageError {
        StorageError::corrupt("a snapshot", format!("chunk {number} of height {height}"))
    }

    // Nothing panics while it holds one of these locks half-way through a change.

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<u64, Kept>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a directory holds, if it is the snapshot that its name says.
fn read_kept(path: &Path, height: u64, chain_id: &Hash, signers: &Signers) -> Option<Kept> {
    let manifest = Manifest::read(&path.join(MANIFEST), chain_id)?;
    let length = fs::metadata(path.join(CONTENT)).ok()?.len();
    if manifest.height() != height || length != manifest.content_bytes() {
        return None;
    }
    let certified = manifest.certified(signers).is_ok();
    if !certified && !manifest.is_unsigned() {
        return None;
    }
    Some(Kept { manifest: Arc::new(manifest), certified })
}

/// Removes a directory with all that is in it, or nothing.
fn remove(path: &Path) -> Result<(), StorageError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
