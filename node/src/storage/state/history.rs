//! The tree over the headers' hashes: its complete inner nodes, from which a path to the root of any
//! size follows. Leaves are not stored: they are the hashes of the headers.

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::merkle;
use counterfoil_ledger::merkle::Frontier;
use counterfoil_ledger::prove;

use super::super::batch::WriteBatch;
use super::super::database::Database;
use super::super::database::View;
use super::HEADERS;
use super::HISTORY;
use super::Memory;
use super::StateStore;
use super::StorageError;
use super::blocks;
use super::tail::Tail;

/// An inner node by level, from 1, and index: it covers the leaves index·2^level and on.
pub(super) type Node = (u8, u64);

/// The right edge of the tree, from which it grows.
#[derive(Default)]
pub(super) struct Edge(Frontier);

impl Edge {
    /// Appends the hash of a header; returns the inner nodes that are complete with it.
    pub(super) fn push(&mut self, header: &Hash) -> Vec<(Node, Hash)> {
        let leaf = merkle::leaf_hash(header.as_bytes());
        let index = self.0.size();
        let mut hash = leaf;
        // One peak for each bit of the size; those of the lowest bits in a row are completed.
        let mut completed = Vec::new();
        let complete = (1..=index.trailing_ones()).zip(self.0.peaks().iter().rev());
        for (level, left) in complete {
            hash = merkle::node_hash(left, &hash);
            let level = u8::try_from(level).expect("a number of 64 bits has at most 64 ones");
            completed.push(((level, index >> level), hash));
        }
        self.0.push(leaf);
        completed
    }

    /// The edge after a header. Fails if what is stored of the tree is not what the header says of
    /// those before it.
    pub(super) fn after(database: &Database, header: &Header) -> Result<Edge, StorageError> {
        let size = header.height;
        let mut peaks = Vec::new();
        let mut first = 0;
        for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(read_node(database, level, first >> level)?);
            first += 1 << level;
        }
        let frontier = Frontier::from_peaks(size, peaks)
            .filter(|frontier| frontier.root() == header.history_root)
            .ok_or_else(|| {
                let place = format!("its root at height {size} is another one");
                StorageError::corrupt("the history", place)
            })?;
        let mut edge = Edge(frontier);
        edge.push(&header.hash());
        Ok(edge)
    }
}

impl StateStore {
    /// From a header to the `history_root` of a later one, whose height is the number of leaves below
    /// it; empty if they are one.
    pub fn history_path(&self, height: u64, size: u64) -> Result<Vec<Bytes>, StorageError> {
        self.check_history(height, size)?;
        prove::history_path(height, size, &mut |level, index| self.history_node(level, index))
    }

    /// That the tree under the `history_root` of one header begins with that of an earlier one.
    pub fn history_consistency(&self, from: u64, to: u64) -> Result<Vec<Bytes>, StorageError> {
        self.check_history(from, to)?;
        prove::consistency_path(from, to, &mut |level, index| self.history_node(level, index))
    }

    /// Adds what a tail has to its flush.
    pub(super) fn add_history(&self, tail: &Tail, batch: &mut WriteBatch) {
        let family = self.inner.database.family(HISTORY);
        for (node, hash) in tail.history() {
            batch.put_cf(family, key_of(*node), hash.as_bytes());
        }
    }

    fn check_history(&self, from: u64, to: u64) -> Result<(), StorageError> {
        let last = self.last_height().unwrap_or(0);
        for (given, expected) in [(from, to), (to, last)] {
            if given > expected {
                let what = "the history of block";
                return Err(StorageError::OutOfOrder { what, given, expected });
            }
        }
        Ok(())
    }

    fn history_node(&self, level: u32, index: u64) -> Result<Hash, StorageError> {
        // Memory first: what it no longer has then is on disk.
        let in_memory = self.inner.memory().history_node(level, index);
        in_memory.map_or_else(|| read_node(&self.inner.database, level, index), Ok)
    }
}

impl Memory {
    fn history_node(&self, level: u32, index: u64) -> Option<Hash> {
        if level == 0 {
            return self.block(index).map(|block| merkle::leaf_hash(block.hash.as_bytes()));
        }
        let node = (u8::try_from(level).ok()?, index);
        self.tails().find_map(|tail| tail.history().get(&node)).copied()
    }
}

/// Fails if a stored node is not the hash of the two below it.
pub(super) fn check_node(view: &View<'_>, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
    let damaged = || StorageError::corrupt("the history", format!("node {key:?}"));
    let (level, index) = key.split_first().ok_or_else(damaged)?;
    let index = index.try_into().map(u64::from_be_bytes).map_err(|_| damaged())?;
    let below = u32::from(*level).checked_sub(1).ok_or_else(damaged)?;
    let left = index.checked_mul(2).ok_or_else(damaged)?;
    let read = |index: u64| match below {
        0 => Ok(prove::history_leaf(&blocks::read_header(view, index)?)),
        _ => {
            let key = key_of((*level - 1, index));
            let hash = view.get(HISTORY, &key)?.and_then(|bytes| Hash::from_slice(&bytes));
            hash.ok_or_else(damaged)
        }
    };
    let [left, right] = [left, left + 1].map(read);
    let computed = merkle::node_hash(&left?, &right?);
    if computed.as_bytes()[..] == *value { Ok(()) } else { Err(damaged()) }
}

fn read_node(database: &Database, level: u32, index: u64) -> Result<Hash, StorageError> {
    let damaged = || StorageError::corrupt("the history", format!("node {level}.{index}"));
    if level == 0 {
        let bytes = database.get(HEADERS, &index.to_be_bytes())?.ok_or_else(damaged)?;
        return Ok(prove::history_leaf(&blocks::decode_header(index, &bytes)?));
    }
    let node = (u8::try_from(level).map_err(|_| damaged())?, index);
    let bytes = database.get(HISTORY, &key_of(node))?.ok_or_else(damaged)?;
    Hash::from_slice(&bytes).ok_or_else(damaged)
}

fn key_of((level, index): Node) -> [u8; 9] {
    let mut key = [level; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}
