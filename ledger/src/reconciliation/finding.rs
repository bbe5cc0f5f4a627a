//! Findings: what reconciliation says of items. A match says that they belong together, a proposal
//! that a person has to decide, a break that something is wrong.

use super::{astray::Elsewhere, pass::Pass};
use crate::{
    block::Position,
    date::Date,
    matching::{
        item::{Comparison, Source},
        pair::{Category, Judgement},
    },
};

/// What a finding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// The items belong together.
    Match = 1,
    /// They may; a person decides.
    Proposal = 2,
    /// Something is wrong with them.
    Break = 3,
}

impl Class {
    /// All, by number.
    pub const ALL: [Class; 3] = [Class::Match, Class::Proposal, Class::Break];

    /// Reads its number.
    pub fn from_number(number: u8) -> Option<Class> {
        Class::ALL.into_iter().find(|class| *class as u8 == number)
    }
}

/// Why, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// They belong together.
    Match {
        /// What found it.
        pass: Pass,
        /// A person has confirmed it: no later item changes it.
        confirmed: bool,
    },
    /// They may belong together.
    Proposal {
        /// What found it.
        pass: Pass,
        /// The parties that have confirmed it: the servicer 1, the owner 2, both 3.
        confirmed_by: u8,
    },
    /// Something is wrong.
    Break {
        /// What.
        category: Category,
    },
}

impl Says {
    /// Which class.
    pub fn class(&self) -> Class {
        match self {
            Says::Match { .. } => Class::Match,
            Says::Proposal { .. } => Class::Proposal,
            Says::Break { .. } => Class::Break,
        }
    }
}

/// What a break is about that is about no items, or not about them alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A statement of a book, by its place in the book.
    Statement(Source, u64),
    /// A day's position.
    Day(Date),
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Within its account and class, from 1.
    pub number: u64,
    /// Which sources.
    pub comparison: Comparison,
    /// Numbers of the items of the first and of the second source, ascending.
    pub items: [Vec<u64>; 2],
    /// What it says.
    pub says: Says,
    /// What a break is about, if it is a statement or a day.
    pub about: Option<About>,
    /// Of a break about an item on the wrong account: where its counterpart was found.
    pub elsewhere: Option<Elsewhere>,
    /// How well a pair goes together, if keys brought it together.
    pub judgement: Option<Judgement>,
    /// Where it was found.
    pub opened_at: Position,
    /// Where it ended: a match that was undone, a proposal that was decided, a break that healed or was
    /// resolved.
    pub closed_at: Option<Position>,
}
