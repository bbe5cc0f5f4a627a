//! What the ledger decided, as its API tells it.

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::verify::VerifiedBatch;
use counterfoil_proto::v1;

pub use counterfoil_ledger::outcome::State;
pub use counterfoil_ledger::verify::Finality;

/// What became of an instruction, for ever: told by a node, and proved.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its id.
    pub id: InstructionId,
    /// Who signed it.
    pub institution: Bic,
    /// SHA-256 of the bytes that were signed.
    pub instruction_hash: Hash,
    /// The verdict on the instruction.
    pub verdict: Verdict,
    /// The verdicts on its items, in order, when it is a batch.
    pub items: Vec<Verdict>,
    /// Time of the block that decided, Unix milliseconds.
    pub block_time_ms: u64,
    /// It had been decided before this call.
    pub replayed: bool,
    /// How certain it is.
    pub finality: Finality,
    /// What proves the verdict on the instruction itself, to anybody who has the genesis file.
    pub receipt: v1::Receipt,
    pub(crate) batch: Option<Box<VerifiedBatch>>,
}

/// A node's word on an instruction.
pub(crate) struct Told {
    pub(crate) id: InstructionId,
    pub(crate) institution: Bic,
    pub(crate) instruction_hash: Hash,
    pub(crate) verdict: Verdict,
    pub(crate) items: Vec<Verdict>,
    pub(crate) block_time_ms: u64,
    pub(crate) replayed: bool,
}

/// The ledger's decision on one instruction or item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of it.
    pub state: State,
    /// Why, when it was rejected.
    pub rejection: Option<Rejection>,
    /// Height of the block.
    pub height: u64,
    /// Leaf of that block's tx tree.
    pub leaf: u32,
    /// Ledger-wide number of its first posting; 0 without postings.
    pub first_posting: u64,
    /// How many postings it made.
    pub posting_count: u32,
    /// Item of a batch, from 1; 0 for the instruction itself.
    pub item_number: u32,
}

/// Why something was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its number.
    pub code: u32,
    /// Its name, UPPER_SNAKE_CASE.
    pub name: String,
    /// The nearest ISO 20022 external status reason code.
    pub iso_code: String,
    /// What to do about it.
    pub remedy: String,
}

impl Outcome {
    /// Whether the instruction and all its items were executed or recorded.
    pub fn is_accepted(&self) -> bool {
        self.verdict.is_accepted() && self.items.iter().all(Verdict::is_accepted)
    }

    /// The rejections in it, the instruction's first.
    pub fn rejections(&self) -> impl Iterator<Item = (&Verdict, &Rejection)> {
        std::iter::once(&self.verdict)
            .chain(&self.items)
            .filter_map(|verdict| Some((verdict, verdict.rejection.as_ref()?)))
    }

    /// Whether a quorum has signed it.
    pub fn is_final(&self) -> bool {
        self.finality != Finality::Ordered
    }

    /// What proves the verdict on an item, from 1; 0 is the instruction itself. None where there is
    /// no such item.
    pub fn item_receipt(&self, item: u32) -> Option<v1::Receipt> {
        match item {
            0 => Some(self.receipt.clone()),
            item => self.batch.as_ref()?.item_receipt(item),
        }
    }
}

impl Told {
    /// Reads a node's answer; the problem if it cannot be one.
    pub(crate) fn of(result: v1::InstructionResult) -> Result<Told, String> {
        let verdict = result.verdict.ok_or("a result without a verdict")?;
        let (verdict, items) = (Verdict::of(verdict)?, result.items);
        if (verdict.state == State::Itemised) == items.is_empty()
            && verdict.state != State::Rejected
        {
            return Err("a batch without items, or items without a batch".to_owned());
        }
        let items: Vec<Verdict> = items.into_iter().map(Verdict::of).collect::<Result<_, _>>()?;
        Ok(Told {
            id: InstructionId::from_bytes(&result.id).map_err(|error| error.to_string())?,
            institution: Bic::parse_canonical(&result.institution)
                .map_err(|error| error.to_string())?,
            instruction_hash: Hash::from_slice(&result.instruction_hash)
                .ok_or("an instruction hash that is not 32 bytes")?,
            verdict,
            items,
            block_time_ms: result.block_time_ms,
            replayed: result.replayed,
        })
    }
}

impl Verdict {
    /// Whether it was executed or recorded; for a batch, whether it was taken.
    pub fn is_accepted(&self) -> bool {
        self.state != State::Rejected
    }

    /// Reads a verdict; the problem if it cannot be one.
    pub(crate) fn of(verdict: v1::Verdict) -> Result<Verdict, String> {
        let state = match verdict.state() {
            v1::State::Settled => State::Settled,
            v1::State::Rejected => State::Rejected,
            v1::State::Recorded => State::Recorded,
            v1::State::Itemised => State::Itemised,
            v1::State::Unspecified => return Err("a verdict without a known state".to_owned()),
        };
        let rejection = verdict.reason.filter(|reason| reason.code != 0).map(Rejection::of);
        if rejection.is_some() != (state == State::Rejected) {
            return Err("a rejection without a reason, or a reason without one".to_owned());
        }
        let position = verdict.position.ok_or("a verdict without a position")?;
        Ok(Verdict {
            state,
            rejection,
            height: position.height,
            leaf: position.leaf,
            first_posting: verdict.first_posting,
            posting_count: verdict.posting_count,
            item_number: verdict.item_number,
        })
    }
}

impl Rejection {
    /// The reason in the table that this program knows; none if the ledger's rules are newer.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(u16::try_from(self.code).ok()?)
    }

    fn of(reason: v1::Reason) -> Rejection {
        Rejection {
            code: reason.code,
            name: reason.name,
            iso_code: reason.iso_code,
            remedy: reason.remedy,
        }
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Rejection {
        Rejection {
            code: reason.code().into(),
            name: reason.name().to_owned(),
            iso_code: reason.iso_code().to_owned(),
            remedy: reason.remedy().to_owned(),
        }
    }
}
