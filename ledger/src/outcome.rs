//! What became of an instruction or an item: 16 bytes under the block's `tx_root`.

use crate::{hash::Hash, merkle, reason::Reason};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Executed for good.
    Settled = 1,
    /// Refused for a reason of class 4xx or above.
    Rejected = 2,
    /// Recorded: an account, a book entry, a statement, an agreement or its answer.
    Recorded = 3,
    /// A batch whose items have outcomes of their own.
    Itemised = 4,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Event {
    /// Nothing: it was refused.
    None = 0,
    /// An account was opened.
    AccountOpened = 1,
    /// A transfer was posted.
    TransferPosted = 2,
    /// A book entry was recorded; its effects say whether it matched.
    BookEntryRecorded = 3,
    /// A statement was recorded; its effects say what was found missing.
    StatementRecorded = 4,
    /// A batch was taken.
    BatchTaken = 5,
    /// Terms of reconciliation were offered.
    AgreementProposed = 6,
    /// An offer was answered; the instruction says how.
    AgreementAnswered = 7,
    /// Something's time had come, such as a deadline; its effects say what.
    DueWorkDone = 8,
    /// The passes over all open items ran.
    MatchingRun = 9,
    /// A person decided what belongs together.
    MatchDecided = 10,
    /// A break was worked on.
    BreakWorked = 11,
    /// A position was signed.
    PositionSigned = 12,
}

/// The outcome of one leaf. Layout, big-endian: version u8 = 1 · state u8 · reason u16 · event u16
/// · posting count u16 · first posting number u64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What became of it.
    pub state: State,
    /// Why, when it was refused.
    pub reason: Option<Reason>,
    /// What happened.
    pub event: Event,
    /// How many postings it made.
    pub posting_count: u16,
    /// The ledger-wide number of the first, from 1; 0 without postings.
    pub first_posting: u64,
}

/// Length of an outcome in bytes.
pub const OUTCOME_LENGTH: usize = 16;

impl Outcome {
    /// A refusal.
    pub fn rejected(reason: Reason) -> Outcome {
        Outcome {
            state: State::Rejected,
            reason: Some(reason),
            event: Event::None,
            posting_count: 0,
            first_posting: 0,
        }
    }

    /// Something done without postings.
    pub fn of_event(state: State, event: Event) -> Outcome {
        Outcome { state, reason: None, event, posting_count: 0, first_posting: 0 }
    }

    /// The bytes that are hashed and stored.
    pub fn encode(&self) -> [u8; OUTCOME_LENGTH] {
        let mut bytes = [0; OUTCOME_LENGTH];
        bytes[0] = 1;
        bytes[1] = self.state as u8;
        bytes[2..4].copy_from_slice(&self.reason.map_or(0, Reason::code).to_be_bytes());
        bytes[4..6].copy_from_slice(&(self.event as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&self.posting_count.to_be_bytes());
        bytes[8..].copy_from_slice(&self.first_posting.to_be_bytes());
        bytes
    }

    /// Reads what `encode` wrote; nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Outcome> {
        let bytes: &[u8; OUTCOME_LENGTH] = bytes.try_into().ok()?;
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let state = match bytes[1] {
            1 => State::Settled,
            2 => State::Rejected,
            3 => State::Recorded,
            4 => State::Itemised,
            _ => return None,
        };
        let event = match word(4) {
            0 => Event::None,
            1 => Event::AccountOpened,
            2 => Event::TransferPosted,
            3 => Event::BookEntryRecorded,
            4 => Event::StatementRecorded,
            5 => Event::BatchTaken,
            6 => Event::AgreementProposed,
            7 => Event::AgreementAnswered,
            8 => Event::DueWorkDone,
            9 => Event::MatchingRun,
            10 => Event::MatchDecided,
            11 => Event::BreakWorked,
            12 => Event::PositionSigned,
            _ => return None,
        };
        let reason = match word(2) {
            0 => None,
            code => Some(Reason::from_code(code)?),
        };
        let first_posting = u64::from_be_bytes(bytes[8..].try_into().ok()?);
        let outcome = Outcome { state, reason, event, posting_count: word(6), first_posting };
        // A refusal without a reason, or a posting without a number, says two things at once.
        let agrees = (outcome.state == State::Rejected) == outcome.reason.is_some()
            && (outcome.posting_count == 0) == (outcome.first_posting == 0);
        (agrees && outcome.encode() == *bytes).then_some(outcome)
    }
}

/// What a leaf holds of its effects: their SHA-256, or zero where there are none.
pub fn effects_hash(effects: &[u8]) -> Hash {
    if effects.is_empty() { Hash::ZERO } else { Hash::of(effects) }
}

/// A leaf of `tx_root`, 116 bytes: instruction hash [32] · item number u32 · item hash [32] ·
/// outcome [16] · effects hash [32].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of the instruction's bytes, without signatures.
    pub instruction_hash: Hash,
    /// From 1; 0 for the instruction itself.
    pub item_number: u32,
    /// The item's RFC 6962 leaf hash; zero for the instruction itself.
    pub item_hash: Hash,
    /// What became of it.
    pub outcome: Outcome,
    /// See [`effects_hash`].
    pub effects_hash: Hash,
}

impl Leaf {
    /// The leaf of an item, or of an instruction itself: item number and hash are zero then.
    pub fn of(
        instruction_hash: Hash,
        (item_number, item_hash): (u32, Hash),
        outcome: Outcome,
        effects_hash: Hash,
    ) -> Leaf {
        Leaf { instruction_hash, item_number, item_hash, outcome, effects_hash }
    }

    /// Its hash in the tree.
    pub fn hash(&self) -> Hash {
        merkle::leaf_hash(&self.encode())
    }

    /// The bytes that are hashed.
    pub fn encode(&self) -> [u8; 116] {
        let mut bytes = [0; 116];
        bytes[..32].copy_from_slice(self.instruction_hash.as_bytes());
        bytes[32..36].copy_from_slice(&self.item_number.to_be_bytes());
        bytes[36..68].copy_from_slice(self.item_hash.as_bytes());
        bytes[68..84].copy_from_slice(&self.outcome.encode());
        bytes[84..].copy_from_slice(self.effects_hash.as_bytes());
        bytes
    }
}
