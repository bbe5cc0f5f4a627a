//! History: blocks as they were stored, and what apply asks of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_proto::v1;
use prost::Message;

use crate::{
    block::{Block, Facts, LeafRecord, Movement, Position, TransferFact, Wants},
    date::Date,
    hash::Hash,
    header::Header,
    instruction::Transfer,
    outcome::State as OutcomeState,
    proposal::Proposal,
    uetr::Uetr,
};

/// A block as it was stored: what it commits to, what it was built from, what became of it.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// Its header.
    pub header: Header,
    /// The proposal that it was built from.
    pub proposal: Proposal,
    /// Its leaves, in order.
    pub leaves: Vec<LeafRecord>,
}

impl StoredBlock {
    /// The instruction of a leaf, decoded, and the bytes of its SignedInstruction.
    pub fn instruction(&self, leaf: u32) -> Option<(Bytes, v1::SignedInstruction)> {
        let record = self.leaves.get(usize::try_from(leaf).ok()?)?;
        let bytes = self.proposal.instructions.get(usize::try_from(record.instruction).ok()?)?;
        Some((bytes.clone(), v1::SignedInstruction::decode(bytes.clone()).ok()?))
    }

    /// The transfer of a leaf as it was instructed, settled or not.
    pub fn transfer(&self, leaf: u32) -> Option<v1::Transfer> {
        let record = self.leaves.get(usize::try_from(leaf).ok()?)?;
        let (_, signed) = self.instruction(leaf)?;
        let instruction = v1::Instruction::decode(signed.instruction.clone()).ok()?;
        match (instruction.body?, record.item) {
            (v1::instruction::Body::Transfer(transfer), 0) => Some(transfer),
            (v1::instruction::Body::WorkBreak(step), 0) => paid_by(&step),
            (v1::instruction::Body::Transfers(_), item @ 1..) => {
                let item = signed.items.get(usize::try_from(item - 1).ok()?)?;
                v1::Transfer::decode(item.clone()).ok()
            }
            _ => None,
        }
    }

    /// The transfer of a leaf, if it settled.
    pub fn settled(&self, leaf: u32) -> Option<TransferFact> {
        let record = self.leaves.get(usize::try_from(leaf).ok()?)?;
        if record.outcome.state != OutcomeState::Settled {
            return None;
        }
        let transfer = Transfer::of(self.transfer(leaf)?).ok()?;
        Some(TransferFact {
            position: Position { height: self.header.height, leaf },
            debit: transfer.debit,
            credit: transfer.credit,
            amount: transfer.amount,
            date: transfer.settlement_date.unwrap_or(Date::from_unix_ms(self.header.block_time_ms)),
            uetr: transfer.uetr,
            end_to_end_id: transfer.end_to_end_id,
        })
    }
}

/// The transfer with which the payer agrees to how a break ends.
pub fn paid_by(step: &v1::WorkBreak) -> Option<v1::Transfer> {
    match step.action.as_ref()? {
        v1::work_break::Action::Agree(agree) => agree.transfer.clone(),
        _ => None,
    }
}

/// The whole history in memory, for replaying a ledger without a node's storage.
#[derive(Clone, Debug, Default)]
pub struct History {
    headers: BTreeMap<u64, (Hash, u64)>,
    uetrs: BTreeMap<Uetr, Vec<TransferFact>>,
    movements: BTreeMap<u32, Vec<Movement>>,
}

impl History {
    /// Takes a block in, with the proposal that it was built from.
    pub fn push(&mut self, block: &Block, proposal: &Proposal) {
        self.headers.insert(block.header.height, (block.hash, block.header.block_time_ms));
        let stored = StoredBlock {
            header: block.header.clone(),
            proposal: proposal.clone(),
            leaves: block.leaves.clone(),
        };
        for transfer in &block.transfers {
            let fact = stored.settled(transfer.leaf).expect("an indexed transfer has settled");
            self.uetrs.entry(fact.uetr).or_default().push(fact);
        }
        for movement in &block.movements {
            self.movements.entry(movement.account).or_default().push(*movement);
        }
    }

    /// The postings of an account, oldest first.
    pub fn movements(&self, account: u32) -> &[Movement] {
        self.movements.get(&account).map_or(&[], Vec::as_slice)
    }

    /// What apply wants to know.
    pub fn facts(&self, wants: &Wants) -> Facts {
        let mut facts = Facts::default();
        for uetr in &wants.uetrs {
            if let Some(found) = self.uetrs.get(uetr) {
                facts.uetrs.insert(*uetr, found.clone());
            }
        }
        for height in &wants.headers {
            if let Some(found) = self.headers.get(height) {
                facts.headers.insert(*height, *found);
            }
        }
        facts
    }
}
