//! What a batch that was verified says of one of its items.

use bytes::Bytes;
use counterfoil_proto::v1;

use crate::{hash::Hash, outcome::Outcome, verify::VerifiedBatch};

impl VerifiedBatch {
    /// What became of an item, from 1.
    pub fn outcome(&self, item: u32) -> Option<Outcome> {
        self.outcomes.get(place(item)?).copied()
    }

    /// The receipt of an item, from 1: it verifies alone, and is as certain as the instruction's.
    pub fn item_receipt(&self, item: u32) -> Option<v1::Receipt> {
        let place = place(item)?;
        let bytes = |path: Vec<Hash>| path.iter().map(Hash::to_bytes).collect();
        let leaf_index = self.instruction.leaf.checked_add(item)?;
        let hash = self.effects_hashes.get(place)?;
        let hashed = self.effects.is_empty() && *hash != Hash::ZERO;
        Some(v1::Receipt {
            item: self.items.get(place)?.clone(),
            item_number: item,
            item_path: bytes(self.items_tree.path(place)?),
            outcome: Bytes::copy_from_slice(&self.outcomes.get(place)?.encode()),
            effects: self.effects.get(place).cloned().unwrap_or_default(),
            effects_hash: if hashed { hash.to_bytes() } else { Bytes::new() },
            leaf_index,
            leaf_path: bytes(self.block_tree.path(u64::from(leaf_index))?),
            ..self.receipt.clone()
        })
    }
}

/// Where an item stands, from 0.
fn place(item: u32) -> Option<usize> {
    usize::try_from(item).ok()?.checked_sub(1)
}
