//! A batch: the outcomes of all its items at once, and from them the receipt of each.

use bytes::Bytes;
use counterfoil_proto::v1::{self, instruction::Body};

use super::{Trust, Unproven, VerifiedReceipt, hashes, receipt::items_root, require, unproven};
use crate::{
    hash::Hash,
    merkle::{self, Tree, path::RangeTree},
    outcome::{self, Leaf, OUTCOME_LENGTH, Outcome},
};

/// A batch whose outcomes verify.
#[derive(Clone, Debug)]
pub struct VerifiedBatch {
    /// The instruction itself.
    pub instruction: VerifiedReceipt,
    /// What became of each item, in order.
    pub outcomes: Vec<Outcome>,
    pub(crate) receipt: v1::Receipt,
    pub(crate) items: Vec<Bytes>,
    pub(crate) effects: Vec<Bytes>,
    pub(crate) effects_hashes: Vec<Hash>,
    pub(crate) items_tree: Tree,
    pub(crate) block_tree: RangeTree,
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
    let effects_hashes = effects_hashes(proof, items.len())?;

    let hash = instruction.instruction_hash;
    let of = |item, outcome, effects| Leaf::of(hash, item, outcome, effects).hash();
    let mut row = vec![of((0, Hash::ZERO), instruction.outcome, instruction.effects_hash)];
    let items_said = (1..).zip(item_hashes).zip(&outcomes).zip(effects_hashes.iter().copied());
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
        effects: proof.effects.clone(),
        effects_hashes,
        items_tree,
        block_tree,
    })
}

/// What the leaf of each item holds of its effects, which are given or stood for by their hashes.
fn effects_hashes(proof: &v1::BatchProof, count: usize) -> Result<Vec<Hash>, Unproven> {
    let (given, hashed) = (&proof.effects, &proof.effects_hashes);
    require(given.is_empty() || hashed.is_empty(), "effects", "these or their hashes, not both")?;
    let given = given.iter().map(|it| Some(outcome::effects_hash(it)));
    let hashes = given.chain(hashed.chunks(32).map(Hash::from_slice));
    let hashes: Vec<Hash> =
        hashes.collect::<Option<_>>().ok_or(unproven("effects_hashes", "each has 32 bytes"))?;
    if hashes.is_empty() {
        return Ok(vec![Hash::ZERO; count]);
    }
    let said = hashes.len() == count && hashes.iter().any(|it| *it != Hash::ZERO);
    require(said, "effects", "there are as many as items; where no item has any, none")?;
    Ok(hashes)
}
