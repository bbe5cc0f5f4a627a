//! Flushing: the tail becomes part of the database, in one atomic batch.

use std::mem;
use std::sync::Arc;
use std::sync::PoisonError;

use counterfoil_ledger::block::Block;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::encode_leaves;

use super::super::batch::WriteBatch;
use super::super::database::Durability;
use super::super::runs::Index;
use super::ACCOUNTS;
use super::CONSENSUS;
use super::CORE;
use super::HEADERS;
use super::META;
use super::OUTCOMES;
use super::RECORDS;
use super::StateStore;
use super::StorageError;
use super::Tail;
use super::rows;
use crate::defect;
use crate::defect::Defect;

/// A tail that no longer grows and has to be written. Given up unwritten it stops the store: the
/// accounts in it are nowhere else.
#[must_use = "what is in it is lost unless it is written"]
pub struct Flush {
    store: StateStore,
    tail: Option<Arc<Tail>>,
    batch: WriteBatch,
    written: bool,
}

impl StateStore {
    /// Writes all blocks of the tail with what goes with them: `core` and `consensus` as of the
    /// last block, and the accounts that changed since the flush before. Waits for a flush that is
    /// under way.
    pub fn flush(
        &self,
        core: Vec<u8>,
        consensus: Vec<u8>,
        accounts: impl Iterator<Item = (u32, Vec<u8>)>,
    ) -> Result<(), StorageError> {
        let mut flushing = self.inner.flushing();
        while *flushing {
            flushing = self.inner.flushed.wait(flushing).unwrap_or_else(PoisonError::into_inner);
        }
        *flushing = true;
        drop(flushing);
        self.freeze(&core, &consensus, accounts).write()
    }

    /// The first half of `flush`, which costs little: blocks that are appended from now on belong
    /// to the next flush. The second half, [`Flush::write`], may go on in another thread. None
    /// while a flush is under way: append more and ask again.
    pub fn begin_flush(
        &self,
        core: &[u8],
        consensus: &[u8],
        accounts: impl Iterator<Item = (u32, Vec<u8>)>,
    ) -> Option<Flush> {
        let mut flushing = self.inner.flushing();
        if *flushing {
            return None;
        }
        *flushing = true;
        drop(flushing);
        Some(self.freeze(core, consensus, accounts))
    }

    fn freeze(
        &self,
        core: &[u8],
        consensus: &[u8],
        accounts: impl Iterator<Item = (u32, Vec<u8>)>,
    ) -> Flush {
        let database = &self.inner.database;
        let mut batch = WriteBatch::default();
        batch.put_cf(database.family(META), CORE, core);
        batch.put_cf(database.family(META), CONSENSUS, consensus);
        let family = database.family(ACCOUNTS);
        for (ordinal, account) in accounts {
            batch.put_cf(family, ordinal.to_be_bytes(), account);
        }
        let mut memory = self.inner.memory_mut();
        // After a failed flush its tail stays to be read, and this one fails, too.
        if memory.frozen.is_none() && !memory.growing.is_empty() {
            let tail = Arc::new(mem::take(&mut memory.growing));
            memory.frozen = Some(tail);
        }
        let tail = memory.frozen.clone();
        Flush { store: self.clone(), tail, batch, written: false }
    }
}

impl Flush {
    /// Writes it. An error is fatal: nothing is written after it.
    pub fn write(mut self) -> Result<(), StorageError> {
        let inner = &self.store.inner;
        let mut batch = mem::take(&mut self.batch);
        if defect::is(Defect::TornFlush) {
            inner.database.write(mem::take(&mut batch), Durability::Buffered)?;
            defect::pause();
        }
        let (mut runs, mut late) = (Vec::new(), WriteBatch::default());
        if let Some(tail) = &self.tail {
            self.store.add_blocks(tail.blocks(), &mut batch);
            self.store.add_history(tail, &mut batch);
            self.store.add_heads(tail, &mut batch);
            self.store.add_certificates(tail, &mut batch);
            if let (Some(first), Some(last)) = (tail.blocks().first(), tail.blocks().last()) {
                let (first, last) = (first.header.height, last.header.height);
                for index in Index::ALL {
                    let rows = rows_of(index, tail.blocks());
                    let is_late = index == Index::Id && defect::is(Defect::IdsOutsideBatch);
                    let batch = if is_late { &mut late } else { &mut batch };
                    runs.extend(inner.runs.build(index, first, last, &rows, batch));
                }
            }
        }
        inner.database.write(batch, Durability::Buffered)?;
        if !late.is_empty() {
            defect::pause();
            inner.database.write(late, Durability::Buffered)?;
        }
        // Seldom enough, and nobody waits for it: the log's, too.
        inner.log.mark_manifest()?;
        inner.database.mark_manifest()?;
        let mut memory = inner.memory_mut();
        inner.runs.publish(runs);
        // Dropped after the lock: a tail of many maps takes its time.
        let frozen = memory.frozen.take();
        let flushed = frozen.as_ref().and_then(|tail| tail.certificates().last_key_value());
        let flushed = flushed.map(|(height, _)| *height);
        memory.last_flushed_certificate = memory.last_flushed_certificate.max(flushed);
        drop(memory);
        drop(frozen);
        self.written = true;
        Ok(())
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if !self.written {
            let cause = StorageError::corrupt("the state", "a flush was given up");
            self.store.inner.database.stop(&cause);
        }
        *self.store.inner.flushing() = false;
        self.store.inner.flushed.notify_all();
    }
}

impl StateStore {
    fn add_blocks(&self, blocks: &[Arc<Block>], batch: &mut WriteBatch) {
        let database = &self.inner.database;
        let [headers, outcomes, records] =
            [HEADERS, OUTCOMES, RECORDS].map(|name| database.family(name));
        for block in blocks {
            let key = block.header.height.to_be_bytes();
            batch.put_cf(headers, key, block.header.encode());
            batch.put_cf(outcomes, key, encode_leaves(&block.leaves));
            // A batch applies its writes in order, so the last record with a key counts.
            for (key, value) in &block.records {
                if value.is_empty() {
                    batch.delete_cf(records, key);
                } else {
                    batch.put_cf(records, key, value);
                }
            }
        }
    }
}

/// The rows that blocks add to an index.
fn rows_of(index: Index, blocks: &[Arc<Block>]) -> Vec<u8> {
    let count: usize = match index {
        Index::Id => blocks.iter().map(|block| block.ids.len()).sum(),
        Index::Uetr => blocks.iter().map(|block| block.transfers.len()).sum(),
        Index::Movement => blocks.iter().map(|block| block.movements.len()).sum(),
    };
    let mut rows = Vec::with_capacity(count * index.row_length());
    for block in blocks {
        let height = block.header.height;
        match index {
            Index::Id => block.ids.iter().for_each(|record| rows::push_id(&mut rows, record)),
            Index::Movement => {
                block
                    .movements
                    .iter()
                    .for_each(|movement| rows::push_movement(&mut rows, movement));
            }
            Index::Uetr => {
                for transfer in &block.transfers {
                    let position = Position { height, leaf: transfer.leaf };
                    rows::push_place(&mut rows, transfer.uetr.as_bytes(), position);
                }
            }
        }
    }
    rows
}
