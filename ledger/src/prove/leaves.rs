//! The leaves of a stored block, one after the other, and the postings that they made.

use bytes::Bytes;
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;

use crate::{
    account::AccountId,
    block::{NO_INSTRUCTION, Posting, Side},
    date::Date,
    hash::Hash,
    history::{self, StoredBlock},
    instruction::Transfer,
    merkle,
    outcome::{Leaf, State, effects_hash},
};

/// Reads leaves. The instruction that was read last is kept decoded: those of a batch lie side by
/// side.
pub(super) struct Reader<'a> {
    block: &'a StoredBlock,
    last: Option<Last>,
}

struct Last {
    place: u32,
    signed: v1::SignedInstruction,
    message: v1::Instruction,
    hash: Hash,
}

impl<'a> Reader<'a> {
    pub(super) fn of(block: &'a StoredBlock) -> Reader<'a> {
        Reader { block, last: None }
    }

    fn instruction(&mut self, place: u32) -> Option<&Last> {
        if self.last.as_ref().is_none_or(|last| last.place != place) {
            let bytes = self.block.proposal.instructions.get(usize::try_from(place).ok()?)?;
            let signed = v1::SignedInstruction::decode(bytes.clone()).ok()?;
            let message = v1::Instruction::decode(signed.instruction.clone()).ok()?;
            let hash = Hash::of(&signed.instruction);
            self.last = Some(Last { place, signed, message, hash });
        }
        self.last.as_ref()
    }

    /// A leaf and the instruction that it is of, if it is of one.
    pub(super) fn leaf(&mut self, leaf: u32) -> Option<(Option<&v1::SignedInstruction>, Leaf)> {
        let record = self.block.leaves.get(usize::try_from(leaf).ok()?)?;
        if record.instruction == NO_INSTRUCTION {
            let effects = effects_hash(&record.effects);
            return Some((None, Leaf::of(Hash::ZERO, (0, Hash::ZERO), record.outcome, effects)));
        }
        let last = self.instruction(record.instruction)?;
        let item_hash = match item(record.item) {
            None => Hash::ZERO,
            Some(item) => merkle::leaf_hash(last.signed.items.get(item)?),
        };
        let item = (record.item, item_hash);
        let leaf = Leaf::of(last.hash, item, record.outcome, effects_hash(&record.effects));
        Some((Some(&last.signed), leaf))
    }

    /// The transfer of a leaf as it was instructed.
    fn transfer(&mut self, leaf: u32) -> Option<Transfer> {
        let record = self.block.leaves.get(usize::try_from(leaf).ok()?)?;
        let last = self.instruction(record.instruction)?;
        let transfer = match (last.message.body.as_ref()?, item(record.item)) {
            (Body::Transfer(transfer), None) => transfer.clone(),
            (Body::WorkBreak(step), None) => history::paid_by(step)?,
            (Body::Transfers(_), Some(item)) => {
                v1::Transfer::decode(last.signed.items.get(item)?.clone()).ok()?
            }
            _ => return None,
        };
        Transfer::of(transfer).ok()
    }
}

fn item(number: u32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

/// The postings that some leaves of a block made to one account, 53 bytes each. For all of the block
/// the leaves are 0 to its leaf count; whoever knows which leaves posted to the account gives those,
/// in ascending order, and what the others say is not read. None if what is stored does not fit
/// together.
pub fn postings(
    block: &StoredBlock,
    account: &AccountId,
    leaves: impl IntoIterator<Item = u32>,
) -> Option<Vec<Bytes>> {
    let mut reader = Reader::of(block);
    let mut postings = Vec::new();
    for place in leaves {
        let outcome = block.leaves.get(usize::try_from(place).ok()?)?.outcome;
        if outcome.state != State::Settled {
            continue;
        }
        let transfer = reader.transfer(place)?;
        let side = match account {
            debit if *debit == transfer.debit => Side::Debit,
            credit if *credit == transfer.credit => Side::Credit,
            _ => continue,
        };
        let today = Date::from_unix_ms(block.header.block_time_ms);
        let (_, leaf) = reader.leaf(place)?;
        let leaf_hash = leaf.hash();
        // The debit comes first.
        let number = outcome.first_posting.checked_add(u64::from(side == Side::Credit))?;
        let date = transfer.settlement_date.unwrap_or(today);
        let posting = Posting { number, side, amount: transfer.amount, date, leaf_hash };
        postings.push(Bytes::copy_from_slice(&posting.encode()));
    }
    Some(postings)
}
