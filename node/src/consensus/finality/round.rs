//! When a node signs which height. The leader's own attestations choose the heights, so that all sign
//! the same ones; without them the others agree on heights by a rule of their own.

use std::time::Duration;
use std::time::Instant;

use crate::limits;

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Height of the last block executed here.
    pub executed: u64,
    /// Since when.
    pub executed_at: Instant,
    /// Height of the last header signed here.
    pub signed: u64,
    /// When.
    pub signed_at: Option<Instant>,
    /// Since when something executed has waited for a signature, if something has.
    pub unsigned_since: Option<Instant>,
    /// Height of the newest certificate.
    pub certified: u64,
    /// This node leads.
    pub leads: bool,
    /// The greatest height above `signed`, up to `executed`, that the leader has signed.
    pub leader_signed: Option<u64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Sign the header of this height.
    Sign(u64),
    /// Look again then, or when something happens.
    Wait(Instant),
    /// Look again when something happens.
    Rest,
}

impl Round {
    /// What to do now.
    pub fn turn(&self, now: Instant) -> Turn {
        if self.executed <= self.signed {
            return Turn::Rest;
        }
        if self.leads { self.leader_turn(now) } else { self.follower_turn(now) }
    }

    /// The next round begins when the last one has ended in a certificate or has taken too long.
    fn leader_turn(&self, now: Instant) -> Turn {
        let Some(signed_at) = self.signed_at else { return Turn::Sign(self.executed) };
        let certified = self.certified >= self.signed;
        let pause = if certified { limits::ROUND_INTERVAL_MIN } else { limits::ROUND_TIMEOUT };
        at(signed_at, pause, now, Turn::Sign(self.executed))
    }

    fn follower_turn(&self, now: Instant) -> Turn {
        if let Some(height) = self.leader_signed {
            return Turn::Sign(height);
        }
        let since = self.unsigned_since.unwrap_or(now);
        // A leader that withholds its signature, or gives it for heights that nobody has, must not
        // keep the others from theirs.
        at(since, limits::LEADER_PATIENCE, now, self.own_turn(now))
    }

    fn own_turn(&self, now: Instant) -> Turn {
        let round = self.executed - self.executed % limits::OWN_ROUND_BLOCKS;
        if round > self.signed {
            return Turn::Sign(round);
        }
        at(self.executed_at, limits::OWN_ROUND_QUIET, now, Turn::Sign(self.executed))
    }
}

/// Something, but not before a while after a moment.
fn at(moment: Instant, after: Duration, now: Instant, then: Turn) -> Turn {
    let due = moment + after;
    if now >= due { then } else { Turn::Wait(due) }
}
