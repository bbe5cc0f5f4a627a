//! The three indices, and what a row of each looks like.
//!
//! A row is a key and a value of fixed lengths, one after the other, so that rows sort as bytes:
//! by key, and rows of one key by value.

/// An index over the ledger.
///
/// All numbers are big-endian.
///
/// | index | key | value |
/// |---|---|---|
/// | 1 | institution \[11\] · instruction id \[16\] | instruction hash \[32\] · height u64 · leaf u32 |
/// | 2 | UETR \[16\] | height u64 · leaf u32 |
/// | 3 | account ordinal u32 · height u64 · leaf u32 | sequence u64 · side u8 · amount u64 · date u32 · balance i128 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::storage) enum Index {
    /// Instruction ids of an institution.
    Id = 1,
    /// Transfers by UETR.
    Uetr = 2,
    /// Movements by account.
    Movement = 3,
}

impl Index {
    /// All of them, in numeric order.
    pub(in crate::storage) const ALL: [Index; 3] = [Index::Id, Index::Uetr, Index::Movement];

    /// Reads 1 to 3.
    pub(super) fn from_number(number: u8) -> Option<Index> {
        Index::ALL.into_iter().find(|index| index.number() == number)
    }

    /// 1 to 3.
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// Place in [`Index::ALL`].
    pub(super) fn place(self) -> usize {
        usize::from(self.number()) - 1
    }

    /// Bytes of a key.
    pub(in crate::storage) fn key_length(self) -> usize {
        match self {
            Index::Id => 27,
            Index::Uetr => 16,
            Index::Movement => 16,
        }
    }

    /// Bytes of a key and its value.
    pub(in crate::storage) fn row_length(self) -> usize {
        match self {
            Index::Id => 27 + 44,
            Index::Uetr => 16 + 12,
            Index::Movement => 16 + 37,
        }
    }

    /// How much of a key the run's filter knows: for movements the account, since nobody asks for
    /// one movement.
    pub(super) fn filter_length(self) -> usize {
        match self {
            Index::Movement => 4,
            index => index.key_length(),
        }
    }

    /// Something about a row by which pages can be passed over although the key does not say it:
    /// an id's time in Unix ms, a movement's date as yyyymmdd, otherwise the height.
    pub(super) fn zone(self, row: &[u8]) -> u64 {
        let bytes = match self {
            Index::Id => &row[11..17],
            Index::Uetr => &row[16..24],
            Index::Movement => &row[33..37],
        };
        bytes.iter().fold(0, |zone, byte| zone << 8 | u64::from(*byte))
    }
}
