//! Reading again what was written long ago: damage is found while other nodes still have what is
//! damaged here, and not when it is needed.
//!
//! A pass goes through the blocks by height (header, leaves, entries of the log, and that they are one
//! chain), then through the runs page by page, then through every other family. RocksDB checks its own
//! checksums as it reads.

use counterfoil_ledger::history::StoredBlock;
use counterfoil_ledger::merkle;
use counterfoil_ledger::prove;

use super::super::database::META;
use super::ACCOUNTS;
use super::CERTIFICATES;
use super::HEADS;
use super::HISTORY;
use super::RECORDS;
use super::StateStore;
use super::StorageError;
use super::blocks;
use super::certificates;
use super::history;
use super::runs;

const BLOCKS: u8 = 0;
const RUNS: u8 = 1;

/// Families that are read pair by pair, each a stage of its own behind the runs.
const FAMILIES: [&str; 7] =
    [HISTORY, HEADS, CERTIFICATES, ACCOUNTS, RECORDS, runs::DIRECTORIES, META];

/// Where a pass stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    stage: u8,
    /// What comes next in it.
    key: Vec<u8>,
}

/// What one step of a pass came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the next one begins; none at the end of the pass.
    pub next: Option<Place>,
    /// Bytes that were read, as they are without RocksDB's own.
    pub bytes: u64,
}

impl Place {
    /// The stage and the key.
    pub fn encode(&self) -> Vec<u8> {
        [&[self.stage], &self.key[..]].concat()
    }

    /// Reads what `encode` made. What does not fit any more is met where it is gone on from.
    pub fn decode(bytes: &[u8]) -> Option<Place> {
        let (stage, key) = bytes.split_first()?;
        Some(Place { stage: *stage, key: key.to_vec() })
    }

    fn next_stage(&self) -> Option<Place> {
        let stage = self.stage.checked_add(1)?;
        let last = RUNS + u8::try_from(FAMILIES.len()).ok()?;
        (stage <= last).then_some(Place { stage, key: Vec::new() })
    }
}

impl StateStore {
    /// Reads and checks from a place on until about so many bytes are read. Damage is an error.
    pub fn scrub(&self, from: &Place, budget: u64) -> Result<Step, StorageError> {
        let (next, bytes) = match from.stage {
            BLOCKS => self.scrub_blocks(&from.key, budget)?,
            RUNS => self.inner.runs.scrub(&from.key, budget)?,
            stage => match FAMILIES.get(usize::from(stage - RUNS - 1)) {
                Some(family) => self.scrub_family(family, &from.key, budget)?,
                None => (None, 0),
            },
        };
        let here = |key| Place { stage: from.stage, key };
        Ok(Step { next: next.map(here).or_else(|| from.next_stage()), bytes })
    }

    fn scrub_blocks(
        &self,
        from: &[u8],
        budget: u64,
    ) -> Result<(Option<Vec<u8>>, u64), StorageError> {
        let first = from.try_into().map_or(0, u64::from_be_bytes);
        let Some(end) = self.flushed_end() else { return Ok((None, 0)) };
        let mut bytes = 0;
        for height in first..end {
            if bytes >= budget {
                return Ok((Some(height.to_be_bytes().to_vec()), bytes));
            }
            bytes += self.scrub_block(height)?;
        }
        Ok((None, bytes))
    }

    /// The height after the last block that is in the database; none if none is.
    fn flushed_end(&self) -> Option<u64> {
        let memory = self.inner.memory();
        let unflushed = memory.tails().find_map(|tail| Some(tail.blocks().first()?.header.height));
        unflushed.or_else(|| Some(memory.last_height? + 1))
    }

    fn scrub_block(&self, height: u64) -> Result<u64, StorageError> {
        let damaged = |what: &str| StorageError::corrupt("a block", format!("{height}: {what}"));
        let database = &self.inner.database.view();
        let header = blocks::read_header(database, height)?;
        let leaves = blocks::read_leaves(database, height)?;
        let mut bytes = 1_024 + leaves.iter().map(|leaf| leaf.effects.len() + 24).sum::<usize>();
        if height == 0 {
            return Ok(bytes as u64);
        }
        let before = blocks::read_header(database, height - 1)?;
        if header.previous != before.hash() {
            return Err(damaged("its header does not name the one before"));
        }
        // The log begins with entries that come before the first block's.
        let first = match height {
            1 => self.inner.log.first().unwrap_or(header.raft_index),
            _ => before.raft_index + 1,
        };
        for index in first..=header.raft_index {
            let entry = self.inner.log.read_stored(index)?;
            bytes += entry.body().len() + 64;
        }
        let proposal =
            blocks::proposal_of(&header, Some(self.inner.log.read_stored(header.raft_index)?))?;
        let root = header.tx_root;
        let block = StoredBlock { header, proposal, leaves };
        let computed = prove::leaf_hashes(&block).map(merkle::root_of);
        if computed != Some(root) {
            return Err(damaged("its outcomes are not those under its header"));
        }
        Ok(bytes as u64)
    }

    fn scrub_family(
        &self,
        family: &'static str,
        from: &[u8],
        budget: u64,
    ) -> Result<(Option<Vec<u8>>, u64), StorageError> {
        let mut bytes = 0;
        let view = self.inner.database.view();
        for pair in view.iterate_from(family, from) {
            let (key, value) = pair?;
            if bytes >= budget {
                return Ok((Some(key.into_vec()), bytes));
            }
            bytes += (key.len() + value.len()) as u64;
            match family {
                HISTORY => history::check_node(&view, &key, &value)?,
                CERTIFICATES => certificates::check(&key, value)?,
                _ => {}
            }
        }
        Ok((None, bytes))
    }
}
