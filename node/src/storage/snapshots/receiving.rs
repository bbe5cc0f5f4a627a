//! A snapshot that comes from other nodes, chunk by chunk.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use counterfoil_ledger::snapshot::CHUNK_BYTES;
use counterfoil_ledger::snapshot::chunk_hash;

use super::CONTENT;
use super::MANIFEST;
use super::Manifest;
use super::RECEIVED;
use super::Snapshots;
use super::remove;
use super::write_whole;
use crate::storage::StorageError;

/// A snapshot that is being received. What has come stays where it is if this is dropped, and also
/// if the process ends.
pub struct Receiving {
    store: Snapshots,
    path: PathBuf,
    content: File,
    manifest: Manifest,
    next: u32,
}

impl Receiving {
    pub(super) fn begin(store: Snapshots, manifest: Manifest) -> Result<Receiving, StorageError> {
        // Another digest of the same height must not be gone on with: the name has both.
        let name = format!("{RECEIVED}{}-{}", manifest.height(), manifest.digest());
        let snapshots = &store.inner.path;
        let found =
            fs::read_dir(snapshots).map_err(|error| StorageError::io("read", snapshots, error))?;
        for entry in found.flatten() {
            let other = entry.file_name().to_string_lossy().into_owned();
            if other.starts_with(RECEIVED) && other != name {
                remove(&entry.path())?;
            }
        }
        let path = snapshots.join(name);
        let io = |error| StorageError::io("write", &path, error);
        fs::create_dir_all(&path).map_err(io)?;
        let file = path.join(CONTENT);
        let content = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(file)
            .map_err(io)?;
        let mut receiving = Receiving { store, path, content, manifest, next: 0 };
        receiving.find_next()?;
        Ok(receiving)
    }

    /// Takes what has come before, as far as it is what it should be.
    fn find_next(&mut self) -> Result<(), StorageError> {
        use std::os::unix::fs::FileExt;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut good = 0;
        while let Some((hash, offset, length)) = self.manifest.chunk(self.next) {
            let chunk = &mut buffer[..length];
            if self.content.read_exact_at(chunk, offset).is_err() || chunk_hash(chunk) != hash {
                break;
            }
            good = offset + u64::try_from(length).expect("a chunk is small");
            self.next += 1;
        }
        self.content.set_len(good).map_err(|error| StorageError::io("cut", &self.path, error))
    }

    /// What is being received.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The number of the chunk that comes next; none when all are there.
    pub fn next_chunk(&self) -> Option<u32> {
        (self.next < self.manifest.chunk_count()).then_some(self.next)
    }

    /// Takes the next chunk. False, and nothing is taken, if it is another one.
    pub fn put_chunk(&mut self, chunk: &[u8]) -> Result<bool, StorageError> {
        let Some((hash, _, length)) = self.manifest.chunk(self.next) else { return Ok(false) };
        if chunk.len() != length || chunk_hash(chunk) != hash {
            return Ok(false);
        }
        self.content
            .write_all(chunk)
            .map_err(|error| StorageError::io("write", &self.path, error))?;
        self.next += 1;
        Ok(true)
    }

    /// Makes it a snapshot of this node, durably and all at once, once all chunks are there. False if
    /// they are not.
    pub fn finish(self) -> Result<bool, StorageError> {
        if self.next_chunk().is_some() {
            return Ok(false);
        }
        self.content
            .sync_all()
            .map_err(|error| StorageError::io("sync", &self.path.join(CONTENT), error))?;
        write_whole(&self.path, MANIFEST, &self.manifest.encode())?;
        let height = self.manifest.height();
        let _changing = self.store.changing();
        self.store.discard(height)?;
        self.store.publish(&self.path, height)?;
        self.store.keep(self.manifest, true);
        self.store.delete_before(height, |_| true)?;
        Ok(true)
    }
}
