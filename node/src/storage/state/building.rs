//! A state that is built aside, to take the place of the node's own when it is whole.

use super::RECORDS;
use super::StateStore;
use super::StorageError;
use crate::storage::batch::WriteBatch;
use crate::storage::database::Durability;

/// Bytes of records that are written at once.
const BATCH_BYTES: usize = 4 << 20;

impl StateStore {
    /// Begins it with what this state has on disk. It costs little: files that never change are
    /// shared.
    pub fn copy_to_building(&self) -> Result<(), StorageError> {
        self.inner.database.copy_to(&self.inner.directory.building())
    }

    /// Takes these reconciliation records in the place of all that are there. If it is interrupted, it
    /// has to be done again.
    pub fn replace_records(
        &self,
        records: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StorageError>>,
    ) -> Result<(), StorageError> {
        let database = &self.inner.database;
        let family = database.family(RECORDS);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(family, &[][..], &[0xff; 64][..]);
        for record in records {
            let (key, value) = record?;
            batch.put_cf(family, key, value);
            if batch.size_in_bytes() >= BATCH_BYTES {
                database.write(std::mem::take(&mut batch), Durability::Buffered)?;
            }
        }
        database.write(batch, Durability::Buffered)
    }
}
