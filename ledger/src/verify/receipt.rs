//! Receipts: what became of one instruction or item, proved without a network.

use bytes::Bytes;
use counterfoil_proto::v1::{self, instruction::Body};

use super::{
    Finality, Trust, Unproven, decode, epoch::key_of, finality, on_path, require, unproven,
};
use crate::{
    bic::Bic,
    block::Position,
    hash::Hash,
    header::Header,
    id::InstructionId,
    instruction::BATCH_ITEMS_MAX,
    merkle,
    outcome::{Leaf, Outcome, State},
    reason::Reason,
    registry::{self, Kind},
    signature::{self, Label},
};

/// A receipt that verifies.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedReceipt {
    /// Who signed.
    pub institution: Bic,
    /// Unique per institution.
    pub id: InstructionId,
    /// Its content.
    pub instruction: v1::Instruction,
    /// SHA-256 of its bytes.
    pub instruction_hash: Hash,
    /// The key that signed it.
    pub key_id: Hash,
    /// The item that the receipt is about; none if it is about the instruction itself.
    pub item: Option<Item>,
    /// What became of it.
    pub outcome: Outcome,
    /// What it did to the books.
    pub effects: Bytes,
    /// The block that decided.
    pub header: Header,
    /// The leaf in the block, from 0.
    pub leaf: u32,
    /// How certain that is.
    pub finality: Finality,
}

/// An item of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// From 1.
    pub number: u32,
    /// Verbatim.
    pub bytes: Bytes,
    /// What it says.
    pub body: ItemBody,
}

/// What an item of a batch says.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemBody {
    /// Of a batch of transfers.
    Transfer(v1::Transfer),
    /// Of a batch of book entries.
    BookEntry(v1::BookEntry),
}

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
            (None, None) => "nothing",
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
            instruction_hash: self.instruction_hash,
            header_hash: self.header.hash(),
            finality: self.finality.clone(),
        }
    }
}

/// Checks a receipt.
pub fn receipt(trust: &Trust, receipt: &v1::Receipt) -> Result<VerifiedReceipt, Unproven> {
    let chain_id = trust.chain_id();
    let instruction: v1::Instruction = decode("instruction", &receipt.instruction)?;
    let institution = Bic::parse_canonical(&instruction.institution)
        .map_err(|_| unproven("instruction", "its institution is a BIC of eleven characters"))?;
    let id = InstructionId::from_bytes(&instruction.id)
        .map_err(|_| unproven("instruction", "its id is a version 7 UUID"))?;
    require(instruction.body.is_some(), "instruction", "it has no body")?;
    let header = super::header("header", &receipt.header, &chain_id)?;
    let key_id = signed(&chain_id, receipt, &institution, &header)?;
    let item = item(receipt, &instruction)?;
    let outcome =
        Outcome::decode(&receipt.outcome).ok_or(unproven("outcome", "it is not an outcome"))?;
    let instruction_hash = Hash::of(&receipt.instruction);
    let leaf = Leaf {
        instruction_hash,
        item_number: receipt.item_number,
        item_hash: item.as_ref().map_or(Hash::ZERO, |item| merkle::leaf_hash(&item.bytes)),
        outcome,
        effects_hash: effects_hash(&receipt.effects),
    };
    let place = (u64::from(receipt.leaf_index), u64::from(header.leaf_count));
    let leaf = merkle::leaf_hash(&leaf.encode());
    on_path("leaf_path", leaf, place, &receipt.leaf_path, &header.tx_root)?;
    let certificate = receipt.certificate.as_ref();
    let finality = finality(trust, &header, &receipt.history_path, certificate)?;
    Ok(VerifiedReceipt {
        institution,
        id,
        instruction,
        instruction_hash,
        key_id,
        item,
        outcome,
        effects: receipt.effects.clone(),
        header,
        leaf: receipt.leaf_index,
        finality,
    })
}

/// The hash that a leaf has of its effects.
pub(super) fn effects_hash(effects: &[u8]) -> Hash {
    if effects.is_empty() { Hash::ZERO } else { Hash::of(effects) }
}

/// Checks that the institution signed, with a key that counted at the header's height.
fn signed(
    chain_id: &Hash,
    receipt: &v1::Receipt,
    institution: &Bic,
    header: &Header,
) -> Result<Hash, Unproven> {
    let [signature] = &receipt.signatures[..] else {
        return Err(unproven("signatures", "there is exactly one"));
    };
    let [proof] = &receipt.keys[..] else {
        return Err(unproven("keys", "there is exactly one"));
    };
    let (id, key) = key_of(&proof.record, institution, v1::KeyPurpose::Instruction)
        .ok_or(unproven("keys", "it is not the institution's key for instructions"))?;
    let named = signature.key_id[..] == id.as_bytes()[..];
    require(named, "keys", "it is not the key that the signature names")?;
    let counts = proof.active_from <= header.height && header.height < proof.inactive_from;
    require(counts, "keys", "the key did not count at this height")?;
    let term = (proof.active_from, proof.inactive_from);
    let leaf = merkle::leaf_hash(&registry::leaf(Kind::Key, id.as_bytes(), term, &proof.record));
    let place = (u64::from(proof.index), u64::from(header.registry_count));
    on_path("keys", leaf, place, &proof.path, &header.registry_root)?;
    let preimage = signature::preimage(Label::Instruction, chain_id, &receipt.instruction);
    let value = signature.value[..].try_into().ok();
    let holds = value.is_some_and(|value| key.verify(&preimage, value));
    require(holds, "signatures", "it is not the key's over the instruction")?;
    Ok(id)
}

/// Checks that the item is the one of its number in the instruction's batch.
fn item(receipt: &v1::Receipt, instruction: &v1::Instruction) -> Result<Option<Item>, Unproven> {
    let number = receipt.item_number;
    if number == 0 {
        let none = receipt.item.is_empty() && receipt.item_path.is_empty();
        require(none, "item", "the receipt of an instruction has none")?;
        return Ok(None);
    }
    let bytes = receipt.item.clone();
    let (batch, body) = match &instruction.body {
        Some(Body::Transfers(batch)) => (batch, ItemBody::Transfer(decode("item", &bytes)?)),
        Some(Body::BookEntries(batch)) => (batch, ItemBody::BookEntry(decode("item", &bytes)?)),
        _ => return Err(unproven("item_number", "the instruction is not a batch")),
    };
    let root = items_root(batch)?;
    let place = (u64::from(number - 1), u64::from(batch.count));
    on_path("item_path", merkle::leaf_hash(&bytes), place, &receipt.item_path, &root)?;
    Ok(Some(Item { number, bytes, body }))
}

/// The root over a batch's items.
pub(super) fn items_root(batch: &v1::Batch) -> Result<Hash, Unproven> {
    let bounded = usize::try_from(batch.count).is_ok_and(|count| count <= BATCH_ITEMS_MAX);
    require(bounded, "instruction", "a batch has at most 8,192 items")?;
    Hash::from_slice(&batch.items_root).ok_or(unproven("instruction", "items_root has 32 bytes"))
}
