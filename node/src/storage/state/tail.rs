//! The tail: blocks that are applied and not yet in the state's database, findable by all that
//! the indices are asked for.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Block;
use counterfoil_ledger::block::HeadRecord;
use counterfoil_ledger::block::IdRecord;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::reconciliation::archive::is_archived;
use counterfoil_ledger::uetr::Uetr;

use super::history::Node;

/// Some blocks in a row, and indices over them.
#[derive(Default)]
pub(super) struct Tail {
    blocks: Vec<Arc<Block>>,
    ids: HashMap<(Bic, InstructionId), IdRecord>,
    uetrs: HashMap<Uetr, Places>,
    movements: HashMap<u32, Vec<Movement>>,
    heads: HashMap<u32, Vec<HeadRecord>>,
    /// Reconciliation records of the archive, by key: in which block, and where in it.
    archived: HashMap<Vec<u8>, (usize, usize)>,
    /// Inner nodes of the tree over the headers' hashes that are complete with one of these blocks.
    history: HashMap<Node, Hash>,
    /// Packed certificates by height: of these blocks or of earlier ones.
    certificates: BTreeMap<u64, Bytes>,
}

/// Where something is, in ledger order. Nearly always it is one place, which costs no allocation.
struct Places {
    first: Position,
    later: Vec<Position>,
}

impl Tail {
    /// Takes the next block, and the nodes of the history that are complete with it.
    pub(super) fn push(&mut self, block: Arc<Block>, completed: Vec<(Node, Hash)>) {
        let height = block.header.height;
        for record in &block.ids {
            self.ids.entry((record.institution, record.id)).or_insert(*record);
        }
        for transfer in &block.transfers {
            let position = Position { height, leaf: transfer.leaf };
            self.uetrs
                .entry(transfer.uetr)
                .and_modify(|places| places.later.push(position))
                .or_insert(Places { first: position, later: Vec::new() });
        }
        for movement in &block.movements {
            self.movements.entry(movement.account).or_default().push(*movement);
        }
        for head in &block.heads {
            self.heads.entry(head.account).or_default().push(*head);
        }
        for (place, (key, _)) in block.records.iter().enumerate() {
            if is_archived(key) {
                self.archived.insert(key.clone(), (self.blocks.len(), place));
            }
        }
        self.history.extend(completed);
        self.blocks.push(block);
    }

    /// Heads of an account that are stored, in ledger order.
    pub(super) fn heads(&self, account: u32) -> &[HeadRecord] {
        self.heads.get(&account).map_or(&[], Vec::as_slice)
    }

    /// A reconciliation record of the archive.
    pub(super) fn archived(&self, key: &[u8]) -> Option<&[u8]> {
        let (block, place) = self.archived.get(key)?;
        let (_, value) = self.blocks.get(*block)?.records.get(*place)?;
        Some(value)
    }

    /// Inner nodes of the history.
    pub(super) fn history(&self) -> &HashMap<Node, Hash> {
        &self.history
    }

    /// Takes a packed certificate.
    pub(super) fn add_certificate(&mut self, height: u64, packed: Bytes) {
        self.certificates.insert(height, packed);
    }

    /// Packed certificates by height.
    pub(super) fn certificates(&self) -> &BTreeMap<u64, Bytes> {
        &self.certificates
    }

    /// Whether it has nothing to be flushed.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.certificates.is_empty()
    }

    /// The blocks, in order.
    pub(super) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// A block, if it is here.
    pub(super) fn block(&self, height: u64) -> Option<&Arc<Block>> {
        let first = self.blocks.first()?.header.height;
        self.blocks.get(usize::try_from(height.checked_sub(first)?).ok()?)
    }

    /// The record of an id.
    pub(super) fn id(&self, institution: &Bic, id: &InstructionId) -> Option<IdRecord> {
        self.ids.get(&(*institution, *id)).copied()
    }

    /// All ids, in no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &IdRecord> {
        self.ids.values()
    }

    /// Transfers with a UETR, in ledger order.
    pub(super) fn uetr(&self, uetr: &Uetr) -> impl Iterator<Item = Position> {
        self.uetrs
            .get(uetr)
            .into_iter()
            .flat_map(|places| std::iter::once(places.first).chain(places.later.iter().copied()))
    }

    /// Movements of an account, in ledger order.
    pub(super) fn movements(&self, account: u32) -> &[Movement] {
        self.movements.get(&account).map_or(&[], Vec::as_slice)
    }
}
