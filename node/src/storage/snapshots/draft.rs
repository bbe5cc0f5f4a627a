//! A snapshot in the making.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::CONTENT;
use super::MAKING;
use super::MANIFEST;
use super::Manifest;
use super::Snapshots;
use super::remove;
use super::write_whole;
use crate::storage::StorageError;

/// Bytes after which what was written is pushed out, so that no sync of the log finds hundreds of
/// megabytes in its way.
const SYNC_BYTES: usize = 8 << 20;

/// A snapshot that this node makes; dropped before it is finished, it leaves nothing.
pub struct Draft {
    store: Snapshots,
    path: PathBuf,
    content: File,
    unsynced: usize,
    finished: bool,
}

impl Draft {
    pub(super) fn create(store: Snapshots, height: u64) -> Result<Draft, StorageError> {
        let path = store.inner.path.join(format!("{MAKING}{height}"));
        remove(&path)?;
        let create = || {
            fs::create_dir(&path)?;
            File::create(path.join(CONTENT))
        };
        let content = create().map_err(|error| StorageError::io("create", &path, error))?;
        Ok(Draft { store, path, content, unsynced: 0, finished: false })
    }

    /// Adds the next chunk.
    pub fn put_chunk(&mut self, chunk: &[u8]) -> Result<(), StorageError> {
        let mut write = || {
            self.content.write_all(chunk)?;
            self.unsynced += chunk.len();
            if self.unsynced >= SYNC_BYTES {
                self.unsynced = 0;
                self.content.sync_data()?;
            }
            Ok(())
        };
        write().map_err(|error| StorageError::io("write", &self.path, error))
    }

    /// Makes it a snapshot, durably and all at once, and deletes older ones that are not certified.
    pub fn finish(mut self, manifest: Manifest) -> Result<(), StorageError> {
        self.seal(&manifest)?;
        let (store, height) = (self.store.clone(), manifest.height());
        let _changing = store.changing();
        store.publish(&self.path, height)?;
        self.finished = true;
        store.keep(manifest, false);
        store.delete_before(height, |kept| !kept.certified)
    }

    /// Everything that is in it, durably.
    pub(super) fn seal(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.content
            .sync_all()
            .map_err(|error| StorageError::io("sync", &self.path.join(CONTENT), error))?;
        write_whole(&self.path, MANIFEST, &manifest.encode())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // If this fails, the next start removes it.
            let _ = remove(&self.path);
        }
    }
}
