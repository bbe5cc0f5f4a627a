//! A batch: the outcomes of all its items at once, and from them the receipt of each.

use bytes::Bytes;
use counterfoil_proto::v1::{self, instruction::Body};

use super::{Trust, Unproven, VerifiedReceipt, hashes, receipt::items_root, require, unproven};
use crate::{
    hash::Hash,
    merkle::{self, Tree, path::RangeTree},
    outcome::{Leaf, OUTCOME_LENGTH, Outcome},
};

/// A batch whose outcomes verify.
#[derive(Clone, Debug)]
pub struct VerifiedBatch {
    /// The instruction itself.
    pub instruction: VerifiedReceipt,
    /// What became of each item, in order.
    pub outcomes: Vec<Outcome>,
    receipt: v1::Receipt,
    items: Vec<Bytes>,
    effects: Vec<Bytes>,
    items_tree: Tree,
    block_tree: RangeTree,
}

/// Checks a batch: the receipt of the instruction itself, the items as they were submitted, and
/// what the node says of them.
pub fn batch(
    trust: &Trust,
    receipt: &v1::Receipt,
    items: &[Bytes],
    proof: &v1::BatchProof,
) -> Result<VerifiedBatch, Unproven> {
    let instruction = super::receipt(trust, receipt)?;
    require(instruction.item.is_none(), "receipt", "it is an item's, not the instruction's")?;
    let (Some(Body::Transfers(batch)) | Some(Body::BookEntries(batch))) =
        &instruction.instruction.body
    else {
        return Err(unproven("receipt", "the instruction is not a batch"));
    };
    let root = items_root(batch)?;
    let all = usize::try_from(batch.count) == Ok(items.len());
    require(all, "items", "they are not as many as the instruction says")?;
    let item_hashes: Vec<Hash> = items.iter().map(|item| merkle::leaf_hash(item)).collect();
    let mut items_tree = Tree::default();
    items_tree.set(item_hashes.iter().copied().enumerate());
    require(items_tree.root() == root, "items", "they are not those under items_root")?;

    let each = proof.outcomes.len() == items.len() * OUTCOME_LENGTH;
    require(each, "outcomes", "each item has one of 16 bytes")?;
    let outcomes = proof.outcomes.chunks_exact(OUTCOME_LENGTH).map(Outcome::decode);
    let outcomes: Vec<Outcome> =
        outcomes.collect::<Option<_>>().ok_or(unproven("outcomes", "one is not an outcome"))?;
    let none = proof.effects.is_empty();
    let effects = if none { vec![Bytes::new(); items.len()] } else { proof.effects.clone() };
    require(effects.len() == items.len(), "effects", "each item has some, or none of them")?;
    let said = none || effects.iter().any(|it| !it.is_empty());
    require(said, "effects", "where no item has any the list is empty")?;

    let of = |item, outcome, effects: &[u8]| {
        Leaf::of(instruction.instruction_hash, item, outcome, effects).hash()
    };
    let mut row = vec![of((0, Hash::ZERO), instruction.outcome, &instruction.effects)];
    let items_said = (1..).zip(item_hashes).zip(&outcomes).zip(&effects);
    row.extend(items_said.map(|((item, outcome), effects)| of(item, *outcome, effects)));
    let path = hashes("range_path", &proof.range_path)?;
    let (start, size) = (u64::from(instruction.leaf), u64::from(instruction.header.leaf_count));
    let block_tree = RangeTree::new(&row, start, size, &path)
        .filter(|tree| tree.root() == instruction.header.tx_root)
        .ok_or(unproven("range_path", "the items' leaves are not in the block with it"))?;
    Ok(VerifiedBatch {
        instruction,
        outcomes,
        receipt: receipt.clone(),
        items: items.to_vec(),
        effects,
        items_tree,
        block_tree,
    })
}

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
        Some(v1::Receipt {
            item: self.items.get(place)?.clone(),
            item_number: item,
            item_path: bytes(self.items_tree.path(place)?),
            outcome: Bytes::copy_from_slice(&self.outcomes.get(place)?.encode()),
            effects: self.effects.get(place)?.clone(),
            leaf_index,
            leaf_path: bytes(self.block_tree.path(u64::from(leaf_index))?),
            ..self.receipt.clone()
        })
    }
}

fn place(item: u32) -> Option<usize> {
    usize::try_from(item).ok()?.checked_sub(1)
}
