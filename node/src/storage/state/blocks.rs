//! Blocks as they were stored: headers and leaves here, bodies in the log.

use std::ops::Range;
use std::sync::Arc;

use counterfoil_ledger::block::LeafRecord;
use counterfoil_ledger::block::decode_leaves;
use counterfoil_ledger::block::encode_leaves;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::history::StoredBlock;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::super::database::View;
use super::super::log::LogEntry;
use super::super::log::LogPayload;
use super::HEADERS;
use super::OUTCOMES;
use super::StateStore;
use super::StorageError;

/// Bytes of decoded blocks that are kept in memory.
pub(super) const BLOCK_CACHE_BYTES: u64 = 64 << 20;

pub(super) type BlockCache = Cache<u64, Arc<StoredBlock>, BlockWeight>;

#[derive(Clone)]
pub(super) struct BlockWeight;

impl Weighter<u64, Arc<StoredBlock>> for BlockWeight {
    fn weight(&self, _: &u64, block: &Arc<StoredBlock>) -> u64 {
        let instructions = block.proposal.instructions.iter().map(|bytes| bytes.len() + 64);
        let leaves = block.leaves.iter().map(|leaf| leaf.effects.len() + 64);
        let bytes = instructions.sum::<usize>() + leaves.sum::<usize>() + 1024;
        u64::try_from(bytes).expect("a block is bounded in bytes")
    }
}

impl StateStore {
    /// A header; none above the last height.
    pub fn header(&self, height: u64) -> Result<Option<Header>, StorageError> {
        if let Some(block) = self.inner.memory().block(height) {
            return Ok(Some(block.header.clone()));
        }
        let bytes = self.inner.database.get(HEADERS, &height.to_be_bytes())?;
        bytes.map(|bytes| decode_header(height, &bytes)).transpose()
    }

    /// The headers from one height to another (excluded), as far as there are blocks.
    pub fn header_range(&self, heights: Range<u64>) -> Result<Vec<Header>, StorageError> {
        let Some(last) = self.last_height() else { return Ok(Vec::new()) };
        let end = heights.end.min(last + 1);
        let missing = |height| StorageError::corrupt("the headers", format!("{height} is missing"));
        let header = |height| self.header(height)?.ok_or_else(|| missing(height));
        (heights.start..end).map(header).collect()
    }

    /// The leaves of a block, in order; none above the last height.
    pub fn leaves(&self, height: u64) -> Result<Option<Vec<LeafRecord>>, StorageError> {
        if let Some(block) = self.inner.memory().block(height) {
            return Ok(Some(block.leaves.clone()));
        }
        let Some(bytes) = self.inner.database.get(OUTCOMES, &height.to_be_bytes())? else {
            return Ok(None);
        };
        let leaves = decode_leaves(&bytes);
        leaves.map(Some).ok_or_else(|| StorageError::corrupt("the outcomes", height.to_string()))
    }

    /// The same as they are stored.
    pub fn packed_leaves(&self, height: u64) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(block) = self.inner.memory().block(height) {
            return Ok(Some(encode_leaves(&block.leaves)));
        }
        let bytes = self.inner.database.get(OUTCOMES, &height.to_be_bytes())?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    /// A whole block; none above the last height. The genesis block has no proposal, and an empty
    /// one stands for it.
    pub fn block(&self, height: u64) -> Result<Option<Arc<StoredBlock>>, StorageError> {
        if let Some(block) = self.inner.blocks.get(&height) {
            return Ok(Some(block));
        }
        let Some(header) = self.header(height)? else { return Ok(None) };
        let leaves = self.leaves(height)?;
        let leaves = leaves
            .filter(|leaves| u32::try_from(leaves.len()) == Ok(header.leaf_count))
            .ok_or_else(|| {
            StorageError::corrupt("the outcomes", format!("of block {height}"))
        })?;
        let proposal = match height {
            0 => no_proposal(),
            _ => proposal_of(&header, self.inner.log.get(header.raft_index)?)?,
        };
        let block = Arc::new(StoredBlock { header, proposal, leaves });
        self.inner.blocks.insert(height, Arc::clone(&block));
        Ok(Some(block))
    }
}

/// The proposal of a block, from the entry that should hold it.
pub(super) fn proposal_of(
    header: &Header,
    entry: Option<LogEntry>,
) -> Result<Proposal, StorageError> {
    let proposal = match entry.map(|entry| entry.payload) {
        Some(LogPayload::Proposal(bytes)) => Proposal::decode(&bytes),
        _ => None,
    };
    let is_its = |proposal: &Proposal| proposal.header.hash() == header.proposal_hash;
    proposal.filter(is_its).ok_or_else(|| {
        let (height, index) = (header.height, header.raft_index);
        let place = format!("entry {index} is not the proposal of block {height}");
        StorageError::corrupt("the log", place)
    })
}

/// A header that is in the database, past the cache.
pub(super) fn read_header(database: &View<'_>, height: u64) -> Result<Header, StorageError> {
    match database.get(HEADERS, &height.to_be_bytes())? {
        Some(bytes) => decode_header(height, &bytes),
        None => Err(StorageError::corrupt("the headers", format!("{height} is missing"))),
    }
}

/// The leaves of a block that is in the database, past the cache.
pub(super) fn read_leaves(
    database: &View<'_>,
    height: u64,
) -> Result<Vec<LeafRecord>, StorageError> {
    let bytes = database.get(OUTCOMES, &height.to_be_bytes())?;
    let leaves = bytes.and_then(|bytes| decode_leaves(&bytes));
    leaves.ok_or_else(|| StorageError::corrupt("the outcomes", format!("of block {height}")))
}

pub(super) fn decode_header(height: u64, bytes: &[u8]) -> Result<Header, StorageError> {
    let header = Header::decode(bytes).filter(|header| header.height == height);
    header.ok_or_else(|| StorageError::corrupt("the headers", height.to_string()))
}

fn no_proposal() -> Proposal {
    let header = ProposalHeader {
        incarnation: 0,
        epoch: 0,
        proposer: 0,
        term: 0,
        sequence: 0,
        previous: Hash::ZERO,
        stamp_ms: 0,
        count: 0,
        instructions_root: Proposal::instructions_root(&[]),
    };
    Proposal { header, key_id: Hash::ZERO, signature: [0; 64], instructions: Vec::new() }
}
