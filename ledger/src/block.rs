//! A block as it comes out of apply: everything that the shell stores, tells and answers from.

use crate::{
    account::AccountId,
    bic::Bic,
    date::Date,
    hash::Hash,
    header::{Header, Reader},
    id::InstructionId,
    instruction::AMOUNT_MAX,
    outcome::{OUTCOME_LENGTH, Outcome},
    uetr::Uetr,
};

/// A place in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Block height.
    pub height: u64,
    /// Leaf of the block, from 0.
    pub leaf: u32,
}

/// Which side of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Lowers the balance.
    Debit = 1,
    /// Raises the balance.
    Credit = 2,
}

impl Side {
    /// The other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Debit => Side::Credit,
            Side::Credit => Side::Debit,
        }
    }

    /// An amount with the sign that it has in the balance.
    pub fn signed(self, amount: u64) -> i128 {
        match self {
            Side::Debit => -i128::from(amount),
            Side::Credit => i128::from(amount),
        }
    }

    /// Reads 1 or 2.
    pub fn from_number(number: u8) -> Option<Side> {
        match number {
            1 => Some(Side::Debit),
            2 => Some(Side::Credit),
            _ => None,
        }
    }
}

/// One block, executed.
#[derive(Clone, Debug)]
pub struct Block {
    /// What it commits to.
    pub header: Header,
    /// SHA-256 of the header.
    pub hash: Hash,
    /// One record a leaf, in leaf order.
    pub leaves: Vec<LeafRecord>,
    /// Ids that were decided, in leaf order.
    pub ids: Vec<IdRecord>,
    /// Transfers that settled, in leaf order.
    pub transfers: Vec<SettledTransfer>,
    /// Postings, two for each settled transfer (debit first), in leaf order.
    pub movements: Vec<Movement>,
    /// Ordinals of accounts that were opened or posted to, ascending.
    pub touched: Vec<u32>,
    /// How the heads of some accounts came about: of those whose count of postings reached or passed a
    /// multiple of [`HEAD_INTERVAL`] in this block.
    pub heads: Vec<HeadRecord>,
    /// Reconciliation records that changed: key and value, opaque to the shell. The last one with
    /// a key counts; an empty value deletes.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Postings of an account from one stored head to the next, or less.
pub const HEAD_INTERVAL: u64 = 256;

/// What the head of an account after a block is the hash of. Whoever proves an account begins at one
/// of these instead of at its first posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRecord {
    /// Ordinal.
    pub account: u32,
    /// The block.
    pub height: u64,
    /// The account's postings up to this block, those in it included.
    pub posting_count: u64,
    /// The head before the block.
    pub before: Hash,
    /// RFC 6962 root of the block's postings to the account.
    pub root: Hash,
}

impl HeadRecord {
    /// What it is stored under, 12 bytes: ordinal u32 · height u64.
    pub fn key(account: u32, height: u64) -> [u8; 12] {
        let mut key = [0; 12];
        key[..4].copy_from_slice(&account.to_be_bytes());
        key[4..].copy_from_slice(&height.to_be_bytes());
        key
    }

    /// What is stored, 72 bytes: posting count u64 · head before [32] · root [32].
    pub fn encode(&self) -> [u8; 72] {
        let mut bytes = [0; 72];
        bytes[..8].copy_from_slice(&self.posting_count.to_be_bytes());
        bytes[8..40].copy_from_slice(self.before.as_bytes());
        bytes[40..].copy_from_slice(self.root.as_bytes());
        bytes
    }

    /// Reads what was stored.
    pub fn decode(key: &[u8], value: &[u8]) -> Option<HeadRecord> {
        let (mut key, mut value) = (Reader(key), Reader(value));
        let record = HeadRecord {
            account: u32::from_be_bytes(key.take()?),
            height: u64::from_be_bytes(key.take()?),
            posting_count: u64::from_be_bytes(value.take()?),
            before: Hash(value.take()?),
            root: Hash(value.take()?),
        };
        (key.0.is_empty() && value.0.is_empty()).then_some(record)
    }

    /// What the head is the hash of, 72 bytes: head before [32] · height u64 · root [32]. The `opening`
    /// of an account proof.
    pub fn preimage(&self) -> [u8; 72] {
        let mut bytes = [0; 72];
        bytes[..32].copy_from_slice(self.before.as_bytes());
        bytes[32..40].copy_from_slice(&self.height.to_be_bytes());
        bytes[40..].copy_from_slice(self.root.as_bytes());
        bytes
    }

    /// The height in a preimage of 72 bytes.
    pub fn preimage_height(bytes: &[u8]) -> Option<u64> {
        let bytes: &[u8; 72] = bytes.try_into().ok()?;
        Some(u64::from_be_bytes(bytes[32..40].try_into().ok()?))
    }

    /// The head after the block.
    pub fn head(&self) -> Hash {
        Hash::of(&self.preimage())
    }
}

/// In the place of an instruction's: nobody ordered it, its time had come. Such a leaf has an
/// instruction hash of zeros, stands behind all others, and is of one account.
pub const NO_INSTRUCTION: u32 = u32::MAX;

/// What storage keeps of a leaf; with the proposal it gives the leaf itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRecord {
    /// Place of the instruction in the proposal, from 0; [`NO_INSTRUCTION`] for work that was due.
    pub instruction: u32,
    /// Item from 1; 0 for the instruction itself.
    pub item: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// Canonical effects, empty where the instruction alone determines them.
    pub effects: Vec<u8>,
}

/// An id that a block decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRecord {
    /// The signer.
    pub institution: Bic,
    /// Its id.
    pub id: InstructionId,
    /// SHA-256 of the instruction's bytes.
    pub instruction_hash: Hash,
    /// Leaf of the instruction itself; those of its items follow.
    pub position: Position,
}

/// A transfer that a block settled, for the indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledTransfer {
    /// Its leaf.
    pub leaf: u32,
    /// Ordinal of the debited account.
    pub debit: u32,
    /// Ordinal of the credited account.
    pub credit: u32,
    /// Its UETR.
    pub uetr: Uetr,
}

/// One posting to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Ordinal.
    pub account: u32,
    /// The transfer's leaf; with the account it names the posting.
    pub position: Position,
    /// The account's own count of postings, from 1.
    pub sequence: u64,
    /// Which side.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Settlement date as posted.
    pub date: Date,
    /// Balance after it.
    pub balance: i128,
}

/// A posting as it is hashed into an account's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Ledger-wide number, from 1.
    pub number: u64,
    /// Which side.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Settlement date as posted.
    pub date: Date,
    /// Hash of the transfer's leaf.
    pub leaf_hash: Hash,
}

impl Posting {
    /// The bytes that are hashed, 53: number u64 · side u8 · amount u64 · settlement date u32 · hash
    /// of the transfer's leaf [32].
    pub fn encode(&self) -> [u8; 53] {
        let mut bytes = [0; 53];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8] = self.side as u8;
        bytes[9..17].copy_from_slice(&self.amount.to_be_bytes());
        bytes[17..21].copy_from_slice(&self.date.yyyymmdd().to_be_bytes());
        bytes[21..].copy_from_slice(self.leaf_hash.as_bytes());
        bytes
    }

    /// Reads what `encode` wrote of a posting that can be; nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Posting> {
        let mut reader = Reader(bytes);
        let number = u64::from_be_bytes(reader.take()?);
        let [side] = reader.take()?;
        let amount = u64::from_be_bytes(reader.take()?);
        let date = u32::from_be_bytes(reader.take()?);
        let posting = Posting {
            number,
            side: Side::from_number(side)?,
            amount,
            date: Date::from_yyyymmdd(date).ok()?,
            leaf_hash: Hash(reader.take()?),
        };
        let can_be = number > 0 && (1..=AMOUNT_MAX).contains(&amount);
        (can_be && reader.0.is_empty()).then_some(posting)
    }
}

/// [`Posting::encode`] of a movement.
pub fn posting_bytes(number: u64, movement: &Movement, leaf_hash: &Hash) -> [u8; 53] {
    let Movement { side, amount, date, .. } = *movement;
    Posting { number, side, amount, date, leaf_hash: *leaf_hash }.encode()
}

/// Packs a block's leaf records for storage: for each instruction u32 · item u32 · outcome [16] ·
/// effects length u32 · effects.
pub fn encode_leaves(leaves: &[LeafRecord]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(leaves.len() * 28);
    for leaf in leaves {
        bytes.extend(leaf.instruction.to_be_bytes());
        bytes.extend(leaf.item.to_be_bytes());
        bytes.extend(leaf.outcome.encode());
        let length = u32::try_from(leaf.effects.len()).expect("a block is bounded in bytes");
        bytes.extend(length.to_be_bytes());
        bytes.extend(&leaf.effects);
    }
    bytes
}

/// Reads what `encode_leaves` wrote; nothing else.
pub fn decode_leaves(mut bytes: &[u8]) -> Option<Vec<LeafRecord>> {
    let mut leaves = Vec::new();
    while !bytes.is_empty() {
        let (fixed, rest) = bytes.split_first_chunk::<28>()?;
        let word = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let outcome = Outcome::decode(&fixed[8..8 + OUTCOME_LENGTH])?;
        let (effects, rest) = rest.split_at_checked(usize::try_from(word(24)).ok()?)?;
        leaves.push(LeafRecord {
            instruction: word(0),
            item: word(4),
            outcome,
            effects: effects.to_vec(),
        });
        bytes = rest;
    }
    Some(leaves)
}

/// What apply has to know that is not in memory, asked for before it decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Transfers that settled with one of these.
    pub uetrs: Vec<Uetr>,
    /// Headers at these heights.
    pub headers: Vec<u64>,
}

/// The answers, complete to the block before. A key without an answer was not found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// In ledger order.
    pub uetrs: std::collections::BTreeMap<Uetr, Vec<TransferFact>>,
    /// Hash and block time.
    pub headers: std::collections::BTreeMap<u64, (Hash, u64)>,
}

/// A settled transfer as history has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferFact {
    /// Its leaf.
    pub position: Position,
    /// Debited account.
    pub debit: AccountId,
    /// Credited account.
    pub credit: AccountId,
    /// Minor units.
    pub amount: u64,
    /// Settlement date as posted.
    pub date: Date,
    /// UETR.
    pub uetr: Uetr,
    /// As instructed.
    pub end_to_end_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posting() -> Posting {
        Posting {
            number: 7,
            side: Side::Credit,
            amount: AMOUNT_MAX,
            date: Date::from_yyyymmdd(20_261_123).unwrap(),
            leaf_hash: Hash::of(b"leaf"),
        }
    }

    #[test]
    fn postings_are_read_as_they_were_written() {
        let bytes = posting().encode();
        assert_eq!(Posting::decode(&bytes), Some(posting()));
        assert_eq!(Posting::decode(&bytes[..52]), None);
        assert_eq!(Posting::decode(&[&bytes[..], &[0]].concat()), None);
        let cannot_be = [
            Posting { number: 0, ..posting() },
            Posting { amount: 0, ..posting() },
            Posting { amount: AMOUNT_MAX + 1, ..posting() },
        ];
        for other in cannot_be {
            assert_eq!(Posting::decode(&other.encode()), None, "{other:?}");
        }
        let mut sideless = bytes;
        sideless[8] = 3;
        assert_eq!(Posting::decode(&sideless), None);
        let mut dateless = bytes;
        dateless[17..21].fill(0);
        assert_eq!(Posting::decode(&dateless), None);
    }

    #[test]
    fn heads_are_read_as_they_were_written() {
        let (before, root) = (Hash::of(b"before"), Hash::of(b"root"));
        let record = HeadRecord { account: 3, height: 9, posting_count: 512, before, root };
        let (key, value) = (HeadRecord::key(3, 9), record.encode());
        assert_eq!(HeadRecord::decode(&key, &value), Some(record));
        assert_eq!(HeadRecord::decode(&key[1..], &value), None);
        assert_eq!(HeadRecord::decode(&key, &[&value[..], &[0]].concat()), None);
        assert_eq!(HeadRecord::preimage_height(&record.preimage()), Some(9));
        assert_eq!(HeadRecord::preimage_height(&[0; 71]), None);
    }
}
