//! What a person is shown of a receipt that verifies.

use counterfoil_proto::v1::{self, instruction::Body};

use crate::{
    bic::Bic,
    block::Position,
    hash::Hash,
    id::InstructionId,
    outcome::State,
    reason::Reason,
    verify::{Finality, Item, ItemBody, VerifiedReceipt},
};

/// What a receipt says, in short: everything that a person is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Who signed.
    pub institution: Bic,
    /// The instruction's id.
    pub id: InstructionId,
    /// From 1; 0 for the instruction itself.
    pub item_number: u32,
    /// What was ordered, in a word.
    pub kind: &'static str,
    /// What became of it.
    pub state: State,
    /// Why, when it was refused.
    pub reason: Option<Reason>,
    /// Where its leaf stands.
    pub position: Position,
    /// When, Unix milliseconds.
    pub block_time_ms: u64,
    /// Number of its first posting, when it posted.
    pub first_posting: u64,
    /// How many postings.
    pub posting_count: u16,
    /// SHA-256 of what it did to the books; none if nothing.
    pub effects_hash: Option<Hash>,
    /// SHA-256 of the instruction's bytes.
    pub instruction_hash: Hash,
    /// Hash of the header of the block that decided.
    pub header_hash: Hash,
    /// How certain that is.
    pub finality: Finality,
}

impl VerifiedReceipt {
    /// Where its leaf stands.
    pub fn position(&self) -> Position {
        Position { height: self.header.height, leaf: self.leaf }
    }

    /// The transfer that it is about, if it is about one.
    pub fn transfer(&self) -> Option<&v1::Transfer> {
        match (&self.item, &self.instruction.body) {
            (Some(Item { body: ItemBody::Transfer(transfer), .. }), _) => Some(transfer),
            (None, Some(Body::Transfer(transfer))) => Some(transfer),
            _ => None,
        }
    }

    /// What it says, in short.
    pub fn summary(&self) -> Summary {
        let kind = match (&self.item, &self.instruction.body) {
            (Some(Item { body: ItemBody::Transfer(_), .. }), _) => "transfer",
            (Some(Item { body: ItemBody::BookEntry(_), .. }), _) => "book entry",
            (None, Some(Body::OpenAccount(_))) => "account opening",
            (None, Some(Body::Transfer(_))) => "transfer",
            (None, Some(Body::Transfers(_))) => "batch of transfers",
            (None, Some(Body::BookEntries(_))) => "batch of book entries",
            (None, Some(Body::Statement(_))) => "statement",
            (None, Some(Body::ProposeAgreement(_))) => "offer of an agreement",
            (None, Some(Body::AnswerAgreement(_))) => "answer to an agreement",
            // The ledger takes no others, and so no receipt is about them.
            (None, Some(_) | None) => "nothing",
        };
        Summary {
            institution: self.institution,
            id: self.id,
            item_number: self.item.as_ref().map_or(0, |item| item.number),
            kind,
            state: self.outcome.state,
            reason: self.outcome.reason,
            position: self.position(),
            block_time_ms: self.header.block_time_ms,
            first_posting: self.outcome.first_posting,
            posting_count: self.outcome.posting_count,
            effects_hash: Some(self.effects_hash).filter(|hash| *hash != Hash::ZERO),
            instruction_hash: self.instruction_hash,
            header_hash: self.header.hash(),
            finality: self.finality.clone(),
        }
    }
}
