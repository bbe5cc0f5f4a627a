//! What each institution may bring into blocks: how much of it waits ([`room`](Admission::room)), in
//! which order it goes on ([`queue`]), and how much work it may make before anything of it is believed
//! ([`checking`]). An institution that floods fills its own share; the others do not notice.

pub mod checking;
pub mod queue;

use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::instruction::Instruction;

use crate::shares::Amount;
use crate::shares::Bounds;
use crate::shares::Share;
use crate::shares::Shares;
use crate::telemetry::excess;
use crate::telemetry::excess::Bound;

/// Room in memory, held by whoever waits for an instruction and by the queue that it is in: a
/// submitter that goes away does not make room for the next.
pub type Room = Arc<Share<Bic, 3>>;

/// An institution has all of its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{institution} has all of its share: {}", .bound.name())]
pub struct Full {
    /// Which.
    pub institution: Bic,
    /// Of what.
    pub bound: Bound,
}

/// The room for instructions: how many, their bytes and their items.
pub struct Admission {
    shares: Arc<Shares<Bic, 3>>,
    bound: Bound,
}

impl Admission {
    /// All of it is free.
    pub fn new(bounds: Bounds<3>, bound: Bound) -> Admission {
        Admission { shares: Shares::new(bounds), bound }
    }

    /// Room for an instruction, if its institution has any.
    pub fn room(&self, instruction: &Instruction) -> Result<Room, Full> {
        let amount = [1, instruction.bytes.len(), instruction.leaf_count()];
        let institution = instruction.institution;
        self.shares.take(institution, amount).map(Arc::new).ok_or_else(|| {
            excess::note(institution.as_str(), self.bound);
            Full { institution, bound: self.bound }
        })
    }

    /// What each institution has of it: instructions, bytes, items.
    pub fn taken(&self) -> Vec<(Bic, Amount<3>)> {
        self.shares.taken()
    }
}
