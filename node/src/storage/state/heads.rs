//! Heads: how the chain over an account's postings came to stand where it does. Some are stored, and
//! those between them are computed again from the blocks.

use counterfoil_ledger::account::Account;
use counterfoil_ledger::block::HeadRecord;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::merkle;
use counterfoil_ledger::prove;
use rocksdb::Direction;
use rocksdb::IteratorMode;

use super::super::batch::WriteBatch;
use super::HEADS;
use super::StateStore;
use super::StorageError;
use super::tail::Tail;

impl StateStore {
    /// How the head of an account after the block at a height came about; none while nothing had been
    /// posted to it. Reads fewer blocks than the interval between stored heads has postings.
    pub fn head_at(
        &self,
        account: &Account,
        height: u64,
    ) -> Result<Option<HeadRecord>, StorageError> {
        let Some(last) = self.balance_at(account.ordinal, height)? else { return Ok(None) };
        let stored = self.stored_head(account.ordinal, height)?;
        let after = stored.map(|stored| Position { height: stored.height, leaf: u32::MAX });
        let movements = self.movements(account.ordinal, after, height, usize::MAX)?;
        let mut head = stored;
        for of_block in movements.chunk_by(same_block) {
            let before = head.map_or(Hash::ZERO, |head| head.head());
            head = Some(self.next_head(account, before, of_block)?);
        }
        let head = head.filter(|head| head.height == last.position.height);
        head.map(Some).ok_or_else(|| damaged(account.ordinal, height))
    }

    /// Adds what a tail has to its flush.
    pub(super) fn add_heads(&self, tail: &Tail, batch: &mut WriteBatch) {
        let family = self.inner.database.family(HEADS);
        for head in tail.blocks().iter().flat_map(|block| &block.heads) {
            batch.put_cf(family, HeadRecord::key(head.account, head.height), head.encode());
        }
    }

    /// The head after a block that posted these movements to an account.
    fn next_head(
        &self,
        account: &Account,
        before: Hash,
        movements: &[Movement],
    ) -> Result<HeadRecord, StorageError> {
        let height = movements.first().map_or(0, |first| first.position.height);
        let damaged = || damaged(account.ordinal, height);
        let block = self.block(height)?.ok_or_else(damaged)?;
        let leaves = movements.iter().map(|movement| movement.position.leaf);
        let postings = prove::postings(&block, &account.id, leaves)
            .filter(|postings| postings.len() == movements.len())
            .ok_or_else(damaged)?;
        Ok(HeadRecord {
            account: account.ordinal,
            height,
            posting_count: movements.last().map_or(0, |last| last.sequence),
            before,
            root: merkle::root_of(postings.iter().map(|posting| merkle::leaf_hash(posting))),
        })
    }

    /// The last stored head of an account at or below a height.
    fn stored_head(&self, account: u32, height: u64) -> Result<Option<HeadRecord>, StorageError> {
        // Memory first: what it no longer has then is on disk.
        let in_tail = {
            let memory = self.inner.memory();
            let mut tails = memory.tails().rev();
            tails.find_map(|tail| {
                let heads = tail.heads(account).iter().rev();
                heads.copied().find(|head| head.height <= height)
            })
        };
        if in_tail.is_some() {
            return Ok(in_tail);
        }
        let key = HeadRecord::key(account, height);
        let mode = IteratorMode::From(&key, Direction::Reverse);
        let Some(pair) = self.inner.database.iterate(HEADS, mode).next() else { return Ok(None) };
        let (key, value) = pair?;
        let head = HeadRecord::decode(&key, &value).ok_or_else(|| damaged(account, height))?;
        Ok(Some(head).filter(|head| head.account == account))
    }
}

fn same_block(left: &Movement, right: &Movement) -> bool {
    left.position.height == right.position.height
}

fn damaged(account: u32, height: u64) -> StorageError {
    StorageError::corrupt("the heads", format!("of account {account} at {height}"))
}
