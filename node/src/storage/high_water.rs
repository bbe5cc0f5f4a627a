//! The high-water mark of a database: how far it was durable when that was last promised to somebody.
//!
//! A write-ahead log that ends early looks the same whether a write was interrupted or bytes that had
//! been synced are damaged; recovery takes both for the first. So the sequence number of the last
//! synced write is kept beside the database, in a file of its own, before anybody is told that the
//! write is durable. The mark itself is not synced: after a power cut it may be too low, never too
//! high.
//!
//! The file has 12 bytes: sequence number u64 · CRC-32 of it u32, big-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use tracing::warn;

use super::StorageError;

const LENGTH: usize = 12;

/// The mark of one database.
pub(super) struct HighWater {
    path: PathBuf,
    file: File,
    mark: Mutex<u64>,
}

impl HighWater {
    /// Opens or creates the file. A damaged mark is no mark: what it guards may be whole.
    pub(super) fn open(path: &Path) -> Result<HighWater, StorageError> {
        let open = || -> io::Result<(File, u64)> {
            let file =
                File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            let mut bytes = [0; LENGTH];
            let length = file.metadata()?.len();
            if length == 0 {
                file.write_all_at(&encode(0), 0)?;
                file.sync_all()?;
                return Ok((file, 0));
            }
            if length >= LENGTH as u64 {
                file.read_exact_at(&mut bytes, 0)?;
            }
            let mark = decode(&bytes).unwrap_or_else(|| {
                warn!(path = %path.display(), "the high-water mark is damaged and set anew");
                0
            });
            Ok((file, mark))
        };
        let (file, mark) = open().map_err(|error| StorageError::io("open", path, error))?;
        Ok(HighWater { path: path.to_owned(), file, mark: Mutex::new(mark) })
    }

    /// How far the database was durable at least.
    pub(super) fn mark(&self) -> u64 {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises the mark; it never falls.
    pub(super) fn raise(&self, sequence: u64) -> Result<(), StorageError> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if sequence > *mark {
            self.file
                .write_all_at(&encode(sequence), 0)
                .map_err(|error| StorageError::io("write", &self.path, error))?;
            *mark = sequence;
        }
        Ok(())
    }
}

fn encode(mark: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&mark.to_be_bytes());
    let checksum = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> Option<u64> {
    let (mark, checksum) = bytes.split_first_chunk()?;
    let holds = crc32fast::hash(mark).to_be_bytes() == *checksum;
    holds.then(|| u64::from_be_bytes(*mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stays_and_never_falls() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("durable");
        let high_water = HighWater::open(&path).unwrap();
        assert_eq!(high_water.mark(), 0);
        high_water.raise(7).unwrap();
        high_water.raise(5).unwrap();
        assert_eq!(HighWater::open(&path).unwrap().mark(), 7);
    }

    #[test]
    fn a_damaged_mark_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("durable");
        HighWater::open(&path).unwrap().raise(7).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(HighWater::open(&path).unwrap().mark(), 0);
        }
        std::fs::write(&path, &whole[..5]).unwrap();
        assert_eq!(HighWater::open(&path).unwrap().mark(), 0);
    }
}
