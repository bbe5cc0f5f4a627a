//! Making proofs from what is stored: the counterpart of [`crate::verify`]. Pure assembly; who asks
//! has read the block, and says where the nodes of the history's tree are.

mod item;
mod leaves;

use std::{borrow::Borrow, ops::Range};

use bytes::Bytes;
use counterfoil_proto::v1;

use crate::{
    account::AccountId,
    block::LeafRecord,
    hash::Hash,
    header::Header,
    history::StoredBlock,
    merkle::{self, Tree, path},
    outcome::{Event, Leaf},
    registry::Registry,
};

pub use leaves::postings;

/// A block with its leaves, from which any number of proofs can be made: each instruction is decoded
/// once, and the tree is built once.
#[derive(Clone, Debug)]
pub struct Prover<B> {
    block: B,
    /// By place in the proposal; none where no leaf is of it.
    signed: Vec<Option<v1::SignedInstruction>>,
    leaves: Vec<Leaf>,
    tree: Tree,
}

impl<B: Borrow<StoredBlock>> Prover<B> {
    /// Reads a block; none if what is stored of it does not fit together.
    pub fn of(block: B) -> Option<Prover<B>> {
        let stored = block.borrow();
        let mut signed = vec![None; stored.proposal.instructions.len()];
        let mut leaves = Vec::with_capacity(stored.leaves.len());
        let mut reader = leaves::Reader::of(stored);
        for place in 0..u32::try_from(stored.leaves.len()).ok()? {
            let (instruction, leaf) = reader.leaf(place)?;
            if let (0, Some(instruction)) = (leaf.item_number, instruction) {
                let record = stored.leaves.get(usize::try_from(place).ok()?)?;
                *signed.get_mut(usize::try_from(record.instruction).ok()?)? =
                    Some(instruction.clone());
            }
            leaves.push(leaf);
        }
        let mut tree = Tree::default();
        tree.set(leaves.iter().map(Leaf::hash).enumerate());
        Some(Prover { block, signed, leaves, tree })
    }

    /// The block.
    pub fn block(&self) -> &StoredBlock {
        self.block.borrow()
    }

    /// The leaves under `tx_root`.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Their hashes.
    pub fn leaf_hashes(&self) -> Vec<Hash> {
        self.leaves.iter().map(Leaf::hash).collect()
    }

    /// The receipt of a leaf, but for `history_path` and `certificate`: ordered. The registry is that
    /// of the block.
    pub fn receipt(&self, leaf: u32, registry: &Registry) -> Option<v1::Receipt> {
        let place = usize::try_from(leaf).ok()?;
        let record = self.block().leaves.get(place)?;
        let signed = self.signed(leaf)?;
        let key = Hash::from_slice(&signed.signatures.first()?.key_id)?;
        let (effects, effects_hash) = match self.leaves.get(place)?.effects_hash {
            Hash::ZERO => (Bytes::new(), Bytes::new()),
            _ if is_of_one_account(record) => {
                (Bytes::copy_from_slice(&record.effects), Bytes::new())
            }
            hash => (Bytes::new(), hash.to_bytes()),
        };
        let (item, item_path) = match record.item.checked_sub(1) {
            None => (Bytes::new(), Vec::new()),
            Some(item) => self.item(leaf, signed, item)?,
        };
        Some(v1::Receipt {
            instruction: signed.instruction.clone(),
            signatures: signed.signatures.clone(),
            item,
            item_number: record.item,
            item_path,
            outcome: Bytes::copy_from_slice(&record.outcome.encode()),
            effects,
            leaf_index: leaf,
            leaf_path: bytes(&self.tree.path(place)?),
            header: Bytes::copy_from_slice(&self.block().header.encode()),
            history_path: Vec::new(),
            certificate: None,
            keys: vec![registry.key_proof(&key)?],
            effects_hash,
        })
    }

    /// The outcomes of all items of a batch; the leaf is that of its instruction. None if it is not a
    /// batch.
    pub fn batch(&self, leaf: u32) -> Option<v1::BatchProof> {
        let row = self.row(leaf)?;
        let records = self.block().leaves.get(row.start + 1..row.end)?;
        if records.is_empty() || self.leaves.get(row.start)?.item_number != 0 {
            return None;
        }
        let outcomes = records.iter().flat_map(|record| record.outcome.encode()).collect();
        let (mut effects, mut effects_hashes) = (Vec::new(), Vec::new());
        let some = records.iter().any(|record| !record.effects.is_empty());
        if some && records.iter().all(is_of_one_account) {
            let each = records.iter().map(|record| Bytes::copy_from_slice(&record.effects));
            effects = each.collect();
        } else if some {
            let leaves = self.leaves.get(row.start + 1..row.end)?;
            effects_hashes = leaves.iter().flat_map(|leaf| leaf.effects_hash.0).collect();
        }
        Some(v1::BatchProof {
            outcomes,
            effects,
            range_path: bytes(&self.tree.range_path(&row)?),
            effects_hashes: effects_hashes.into(),
        })
    }

    /// The postings of this block to one account, 53 bytes each, in ledger order.
    pub fn postings(&self, account: &AccountId) -> Option<Vec<Bytes>> {
        postings(self.block(), account, 0..u32::try_from(self.leaves.len()).ok()?)
    }

    fn signed(&self, leaf: u32) -> Option<&v1::SignedInstruction> {
        let record = self.block().leaves.get(usize::try_from(leaf).ok()?)?;
        self.signed.get(usize::try_from(record.instruction).ok()?)?.as_ref()
    }

    /// Places of the leaf of an instruction and of those of its items.
    fn row(&self, leaf: u32) -> Option<Range<usize>> {
        let start = usize::try_from(leaf).ok()?;
        let items = self.signed(leaf)?.items.len();
        Some(start..start.checked_add(1 + items)?)
    }

    /// An item, from 0, with its path; the leaf is the item's own.
    fn item(
        &self,
        leaf: u32,
        signed: &v1::SignedInstruction,
        item: u32,
    ) -> Option<(Bytes, Vec<Bytes>)> {
        let row = self.row(leaf.checked_sub(item)?.checked_sub(1)?)?;
        let items = self.leaves.get(row.start + 1..row.end)?;
        let mut tree = Tree::default();
        tree.set(items.iter().map(|leaf| leaf.item_hash).enumerate());
        let item = usize::try_from(item).ok()?;
        Some((signed.items.get(item)?.clone(), bytes(&tree.path(item)?)))
    }
}

/// Whether the effects of a leaf are all of the account that its signer is a party of. A transfer's can be of
/// two accounts, and neither bank may read what it did to the other's books.
fn is_of_one_account(record: &LeafRecord) -> bool {
    matches!(
        record.outcome.event,
        Event::BookEntryRecorded
            | Event::StatementRecorded
            | Event::MatchingRun
            | Event::MatchDecided
            | Event::BreakWorked
            | Event::PositionSigned
    )
}

/// The receipt of one leaf; see [`Prover::receipt`].
pub fn receipt(block: &StoredBlock, leaf: u32, registry: &Registry) -> Option<v1::Receipt> {
    Prover::of(block)?.receipt(leaf, registry)
}

/// The outcomes of one batch; see [`Prover::batch`].
pub fn batch(block: &StoredBlock, leaf: u32) -> Option<v1::BatchProof> {
    Prover::of(block)?.batch(leaf)
}

/// The hashes of a block's leaves.
pub fn leaf_hashes(block: &StoredBlock) -> Option<Vec<Hash>> {
    Prover::of(block).map(|prover| prover.leaf_hashes())
}

/// From a header to the `history_root` of a later one; empty if they are one. `node` gives complete
/// subtrees of the tree over the header hashes: level 0 at an index is the leaf hash of the hash of
/// the header at that height.
pub fn history_path<E>(
    height: u64,
    certified_height: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Bytes>, E> {
    if height >= certified_height {
        return Ok(Vec::new());
    }
    Ok(bytes(&path::path(height, certified_height, node)?))
}

/// That the tree under the `history_root` of one header begins with that of an earlier one.
pub fn consistency_path<E>(
    height: u64,
    certified_height: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Bytes>, E> {
    Ok(bytes(&path::consistency(height, certified_height, node)?))
}

/// A header's leaf in the tree over the header hashes.
pub fn history_leaf(header: &Header) -> Hash {
    merkle::leaf_hash(header.hash().as_bytes())
}

/// A path as a message has it.
pub fn bytes(path: &[Hash]) -> Vec<Bytes> {
    path.iter().map(Hash::to_bytes).collect()
}
