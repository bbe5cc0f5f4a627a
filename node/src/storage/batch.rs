//! What is written together: puts and deletions in families, all or nothing.

use rocksdb::ColumnFamily;

#[cfg(feature = "simulation")]
use super::simulated;

/// A family of an open instance.
#[derive(Clone, Copy)]
pub(super) enum Family<'a> {
    /// RocksDB's.
    Rocks(&'a ColumnFamily),
    /// A simulated disk's, by its name.
    #[cfg(feature = "simulation")]
    Simulated(&'static str),
}

/// Writes in the order in which they are made.
#[derive(Default)]
pub(super) struct WriteBatch {
    pub(super) rocks: rocksdb::WriteBatch,
    #[cfg(feature = "simulation")]
    pub(super) simulated: simulated::Changes,
}

impl WriteBatch {
    /// Empty, with room for so many bytes.
    pub(super) fn with_capacity_bytes(bytes: usize) -> WriteBatch {
        WriteBatch {
            rocks: rocksdb::WriteBatch::with_capacity_bytes(bytes),
            #[cfg(feature = "simulation")]
            simulated: simulated::Changes::default(),
        }
    }

    /// A value under a key.
    pub(super) fn put_cf(
        &mut self,
        family: Family<'_>,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) {
        match family {
            Family::Rocks(family) => self.rocks.put_cf(family, key, value),
            #[cfg(feature = "simulation")]
            Family::Simulated(family) => self.simulated.put(family, key.as_ref(), value.as_ref()),
        }
    }

    /// Nothing under a key.
    pub(super) fn delete_cf(&mut self, family: Family<'_>, key: impl AsRef<[u8]>) {
        match family {
            Family::Rocks(family) => self.rocks.delete_cf(family, key),
            #[cfg(feature = "simulation")]
            Family::Simulated(family) => self.simulated.delete(family, key.as_ref()),
        }
    }

    /// Nothing under the keys from one to another, which is excluded.
    pub(super) fn delete_range_cf<K: AsRef<[u8]>>(&mut self, family: Family<'_>, from: K, to: K) {
        match family {
            Family::Rocks(family) => self.rocks.delete_range_cf(family, from, to),
            #[cfg(feature = "simulation")]
            Family::Simulated(family) => {
                self.simulated.delete_range(family, from.as_ref(), to.as_ref());
            }
        }
    }

    /// Writes that RocksDB counts in it.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.rocks.len()).unwrap_or(0)
    }

    /// Bytes that it takes.
    pub(super) fn size_in_bytes(&self) -> usize {
        let bytes = self.rocks.size_in_bytes();
        #[cfg(feature = "simulation")]
        let bytes = bytes + self.simulated.bytes();
        bytes
    }

    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = self.rocks.is_empty();
        #[cfg(feature = "simulation")]
        let is_empty = is_empty && self.simulated.bytes() == 0;
        is_empty
    }
}
