//! When a node signs which height. The leader's own attestations choose the heights, so that all sign
//! the same ones; without them the others agree on heights by a rule of their own. So they do where no
//! certificate comes of the leader's heights: it may have named each of them another one.

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
    /// Since when something executed has waited and no certificate has come, if something waits.
    pub uncertified_since: Option<Instant>,
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
        if self.is_stalled(now) {
            // The leader too: the others may need its signature, and look for it at these heights.
            self.own_turn(now)
        } else if self.leads {
            self.leader_turn(now)
        } else {
            self.follower_turn(now)
        }
    }

    /// Whether the leader's choice has led to no certificate for too long, or for too many blocks.
    fn is_stalled(&self, now: Instant) -> bool {
        if self.executed.saturating_sub(self.certified) >= limits::CERTIFICATE_PATIENCE_BLOCKS {
            return true;
        }
        self.uncertified_since.is_some_and(|since| now >= since + limits::CERTIFICATE_PATIENCE)
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

    /// The newest multiple, or the newest height of all once nothing more comes. A node signs only
    /// what it has executed, so each multiple is before all of them for once: who has signed past it
    /// takes the next one.
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
