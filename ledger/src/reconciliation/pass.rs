//! What found that items belong together.

use crate::matching::item::Strength;

/// A pass of matching, or a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pass {
    /// The same UETR.
    Uetr = 1,
    /// The same TransactionIdentification.
    TransactionId = 2,
    /// The same EndToEndIdentification.
    EndToEndId = 3,
    /// The same InstructionIdentification.
    InstructionId = 4,
    /// An entry and its reversal, in one book.
    Contra = 5,
    /// What was booked under one group.
    Group = 6,
    /// Amount, side, date and counterparty alone.
    Unreferenced = 7,
    /// Some add up to one.
    Sum = 8,
    /// People.
    Confirmed = 9,
}

impl Pass {
    /// All, by number.
    pub const ALL: [Pass; 9] = [
        Pass::Uetr,
        Pass::TransactionId,
        Pass::EndToEndId,
        Pass::InstructionId,
        Pass::Contra,
        Pass::Group,
        Pass::Unreferenced,
        Pass::Sum,
        Pass::Confirmed,
    ];

    /// The key, of a pass by keys.
    pub fn strength(self) -> Option<Strength> {
        Strength::ALL.into_iter().find(|strength| Pass::from(*strength) == self)
    }

    /// Reads its number.
    pub fn from_number(number: u8) -> Option<Pass> {
        Pass::ALL.into_iter().find(|pass| *pass as u8 == number)
    }
}

impl From<Strength> for Pass {
    fn from(strength: Strength) -> Pass {
        match strength {
            Strength::Uetr => Pass::Uetr,
            Strength::TransactionId => Pass::TransactionId,
            Strength::EndToEndId => Pass::EndToEndId,
            Strength::InstructionId => Pass::InstructionId,
        }
    }
}
