//! Work on a break: who has it, what was said, what was offered to end it, and how it ended.
//!
//! ```text
//! OPEN → ASSIGNED → AWAITING the other party's word → OFFERED → AGREED → RESOLVED
//! OPEN … OFFERED → HEALED, when what was missing came       RESOLVED → OPEN, reopened
//! OFFERED → WRITTEN_OFF, when another key of the offering bank agrees
//! ```
//!
//! Money moves only by an instruction of its payer: an offer that moves money is agreed to by the
//! other party, and settles in the step in which the payer agrees.

use super::{orders::Resolution, orders::ResolutionKind};
use crate::{agreement::Party, block::Position, hash::Hash, reason::Reason};

/// Most steps that do not end a break: a conversation that nobody can blow up. Each party has half of
/// them, so that neither can leave the other one without a word.
pub const STEPS_MAX: usize = 256;

/// Most steps of a break in all: each time it ends it takes a step of [`STEPS_MAX`] to open it again.
pub(super) const STEPS_IN_ALL_MAX: usize = 2 * STEPS_MAX + 1;

/// How far the work on a break is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum WorkState {
    /// Nobody has it.
    #[default]
    Open = 1,
    /// A party works on it.
    Assigned = 2,
    /// A party has said something, and the other one has not answered.
    Awaiting = 3,
    /// A party has offered a way to end it.
    Offered = 4,
    /// Both want it so, and the payer has still to pay.
    Agreed = 5,
    /// Both have signed how it ended.
    Resolved = 6,
    /// One bank bears it, by two of its keys.
    WrittenOff = 7,
    /// What was missing came, or what was wrong went.
    Healed = 8,
}

impl WorkState {
    /// All, by number.
    pub const ALL: [WorkState; 8] = [
        WorkState::Open,
        WorkState::Assigned,
        WorkState::Awaiting,
        WorkState::Offered,
        WorkState::Agreed,
        WorkState::Resolved,
        WorkState::WrittenOff,
        WorkState::Healed,
    ];

    /// Reads its number.
    pub fn from_number(number: u8) -> Option<WorkState> {
        WorkState::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// Whether nothing is left to do.
    pub fn is_ended(self) -> bool {
        matches!(self, WorkState::Resolved | WorkState::WrittenOff | WorkState::Healed)
    }
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hand {
    /// For which party.
    pub party: Party,
    /// With which key.
    pub key_id: Hash,
}

/// An offer to end a break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who made it.
    pub by: Hand,
    /// How it is to end.
    pub resolution: Resolution,
}

/// The work on one break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How far it is.
    pub state: WorkState,
    /// Who has it.
    pub owner: Option<Party>,
    /// Who spoke last.
    pub spoke: Option<Party>,
    /// Where the steps stand, in order.
    pub steps: Vec<Position>,
    /// How many of them are the servicer's, and how many the owner's.
    pub step_counts: [u16; 2],
    /// What is offered, or was agreed.
    pub offer: Option<Offer>,
}

/// What an agreement to an offer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// The break has ended.
    Ended,
    /// The payer has still to pay.
    PayerIsNext,
    /// It ends if the transfer of the instruction settles.
    IfSettled,
}

impl Work {
    /// Counts a step that was just done.
    pub(super) fn count_step(&mut self, by: Party, at: Position) -> Result<(), Reason> {
        let count = &mut self.step_counts[by as usize - 1];
        if usize::from(*count) >= STEPS_MAX / 2 && !self.state.is_ended() {
            return Err(Reason::BreakConversationFull);
        }
        *count += 1;
        self.steps.push(at);
        Ok(())
    }

    /// Whether it may stand like this on a break that was found at a place.
    pub(super) fn is_whole(&self, opened_at: Position) -> bool {
        let counted: usize = self.step_counts.iter().map(|count| usize::from(*count)).sum();
        let offered = match self.state {
            WorkState::Open | WorkState::Assigned | WorkState::Awaiting => Some(false),
            WorkState::Healed => None,
            _ => Some(true),
        };
        counted == self.steps.len()
            && self.steps.first().is_none_or(|first| opened_at < *first)
            && self.steps.is_sorted_by(|one, next| one < next)
            && offered.is_none_or(|offered| offered == self.offer.is_some())
    }

    /// Gives it to a party.
    pub fn assign(&mut self, to: Party) -> Result<(), Reason> {
        self.expect_under_way()?;
        self.owner = Some(to);
        if matches!(self.state, WorkState::Open) {
            self.state = WorkState::Assigned;
        }
        Ok(())
    }

    /// A party says something.
    pub fn say(&mut self, party: Party) -> Result<(), Reason> {
        self.expect_under_way()?;
        self.spoke = Some(party);
        if !matches!(self.state, WorkState::Offered | WorkState::Agreed) {
            self.state = WorkState::Awaiting;
        }
        Ok(())
    }

    /// A party offers a way to end it, in the place of an offer of its own, if there is one.
    pub fn propose(&mut self, by: Hand, resolution: Resolution) -> Result<(), Reason> {
        self.expect_under_way()?;
        let others = self.offer.as_ref().is_some_and(|offer| offer.by.party != by.party);
        if others || self.state == WorkState::Agreed {
            return Err(Reason::ResolutionPending);
        }
        self.offer = Some(Offer { by, resolution });
        self.spoke = Some(by.party);
        self.state = WorkState::Offered;
        Ok(())
    }

    /// Judges an agreement to what is offered. `payer` is the party that pays, where money moves;
    /// `pays` says whether the instruction carries its transfer. Nothing changes yet.
    pub fn judge_agreement(
        &self,
        by: Hand,
        resolution: &Resolution,
        payer: Option<Party>,
        pays: bool,
    ) -> Result<Agreed, Reason> {
        let offer = self.offer.as_ref().ok_or(Reason::ResolutionUnknown)?;
        if self.state.is_ended() || offer.resolution != *resolution {
            return Err(Reason::ResolutionUnknown);
        }
        if resolution.kind == ResolutionKind::WriteOff {
            // Four eyes of one bank.
            let checks = by.party == offer.by.party && by.key_id != offer.by.key_id;
            return if checks { Ok(Agreed::Ended) } else { Err(Reason::SecondKeyMissing) };
        }
        match self.state {
            WorkState::Offered if by.party == offer.by.party => Err(Reason::OwnResolution),
            WorkState::Offered => match payer {
                None => Ok(Agreed::Ended),
                Some(payer) if payer == by.party && pays => Ok(Agreed::IfSettled),
                Some(payer) if payer == by.party => Err(Reason::TransferMissing),
                Some(_) => Ok(Agreed::PayerIsNext),
            },
            WorkState::Agreed => match payer {
                Some(payer) if payer == by.party && pays => Ok(Agreed::IfSettled),
                Some(payer) if payer == by.party => Err(Reason::TransferMissing),
                _ => Err(Reason::OwnResolution),
            },
            _ => Err(Reason::ResolutionUnknown),
        }
    }

    /// Takes what [`Work::judge_agreement`] gave, after the transfer has settled, if there is one.
    pub fn agree(&mut self, agreed: Agreed) {
        let written_off =
            self.offer.as_ref().is_some_and(|it| it.resolution.kind == ResolutionKind::WriteOff);
        self.state = match agreed {
            Agreed::PayerIsNext => WorkState::Agreed,
            Agreed::Ended | Agreed::IfSettled if written_off => WorkState::WrittenOff,
            Agreed::Ended | Agreed::IfSettled => WorkState::Resolved,
        };
    }

    /// The other party does not take the offer, or who made it takes it back.
    pub fn decline(&mut self, party: Party) -> Result<(), Reason> {
        self.expect_under_way()?;
        self.offer.take().ok_or(Reason::ResolutionUnknown)?;
        self.spoke = Some(party);
        self.state = WorkState::Awaiting;
        Ok(())
    }

    /// A resolution was none.
    pub fn reopen(&mut self, party: Party) -> Result<(), Reason> {
        if !matches!(self.state, WorkState::Resolved | WorkState::WrittenOff) {
            return Err(Reason::BreakNotResolved);
        }
        self.offer = None;
        self.spoke = Some(party);
        self.state = WorkState::Open;
        Ok(())
    }

    /// What was missing came.
    pub fn heal(&mut self) {
        self.state = WorkState::Healed;
    }

    fn expect_under_way(&self) -> Result<(), Reason> {
        if self.state.is_ended() { Err(Reason::BreakEnded) } else { Ok(()) }
    }
}
