//! What the clients asked for and were told, and when.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;

/// Everything, in the order in which it began.
#[derive(Default)]
pub struct History {
    /// What was signed.
    pub issued: Vec<Issued>,
    /// What was asked.
    pub asked: Vec<Asked>,
}

/// An instruction that a client has signed, and may send again.
pub struct Issued {
    /// Who signed it.
    pub institution: Bic,
    /// Its id.
    pub id: InstructionId,
    /// What its id stands for.
    pub hash: Hash,
    /// What is sent.
    pub bytes: Bytes,
}

/// One question or order, and what came of it.
pub struct Asked {
    /// Of which node.
    pub node: u64,
    /// What.
    pub what: What,
    /// When it began, in simulated milliseconds.
    pub began_ms: u64,
    /// The greatest height that had been reported final by then, by any node.
    pub final_before: u64,
    /// The greatest height that any node had executed by then.
    pub executed_before: u64,
    /// When the answer came, and what it was. None: nobody knows.
    pub told: Option<(u64, Told)>,
}

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An instruction, by its place in [`History::issued`].
    Submit(usize),
    /// A balance.
    Read(Mode, AccountId),
}

/// How fresh an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What this node has.
    Stale,
    /// Everything that was ordered before.
    Ordered,
    /// That, and nothing that is not final.
    Final,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is decided, there and so, and final.
    Final(Position, Vec<u8>),
    /// It is decided at this height, and not known to be final.
    Ordered(u64),
    /// It was not taken, for this reason.
    Refused(u16),
    /// Nothing can be said.
    Unavailable(String),
    /// A balance at a height; none: there is no such account.
    Balance(u64, Option<i128>),
}

impl Asked {
    /// What was told, without the time.
    pub fn answer(&self) -> Option<&Told> {
        self.told.as_ref().map(|(_, told)| told)
    }
}
