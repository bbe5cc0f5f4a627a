//! Receipts: what became of one instruction or item, proved without a network.

use bytes::Bytes;
use counterfoil_proto::v1::{self, instruction::Body};

use super::{Finality, Trust, Unproven, decode, finality, on_path, require, unproven};
use crate::{
    bic::Bic,
    hash::Hash,
    header::Header,
    id::InstructionId,
    instruction::BATCH_ITEMS_MAX,
    merkle,
    outcome::{self, Leaf, Outcome},
    registry::{self, Kind, read_key_record},
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
    /// What it did to the books; empty if nothing, or if the receipt has the hash alone.
    pub effects: Bytes,
    /// SHA-256 of what it did to the books; zero if nothing.
    pub effects_hash: Hash,
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
    let item_hash = item.as_ref().map_or(Hash::ZERO, |item| merkle::leaf_hash(&item.bytes));
    let numbered = (receipt.item_number, item_hash);
    let effects_hash = effects_hash(receipt)?;
    let leaf = Leaf::of(instruction_hash, numbered, outcome, effects_hash).hash();
    let place = (u64::from(receipt.leaf_index), u64::from(header.leaf_count));
    on_path("leaf_path", leaf, place, &receipt.leaf_path, &header.tx_root)?;
    let finality = finality(trust, &header, &receipt.history_path, &receipt.certificate)?;
    Ok(VerifiedReceipt {
        institution,
        id,
        instruction,
        instruction_hash,
        key_id,
        item,
        outcome,
        effects: receipt.effects.clone(),
        effects_hash,
        header,
        leaf: receipt.leaf_index,
        finality,
    })
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
    let (bic, purpose, id, key) =
        read_key_record(&proof.record).ok_or(unproven("keys", "the record is not a key's"))?;
    let theirs = bic == *institution && purpose == v1::KeyPurpose::Instruction;
    require(theirs, "keys", "it is not the institution's key for instructions")?;
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

/// What the leaf holds of the effects, which are given or stood for by their hash.
fn effects_hash(receipt: &v1::Receipt) -> Result<Hash, Unproven> {
    if receipt.effects_hash.is_empty() {
        return Ok(outcome::effects_hash(&receipt.effects));
    }
    require(receipt.effects.is_empty(), "effects", "these or effects_hash, not both")?;
    let hash = Hash::from_slice(&receipt.effects_hash).filter(|hash| *hash != Hash::ZERO);
    hash.ok_or(unproven("effects_hash", "it has 32 bytes, not all zero, or none"))
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
