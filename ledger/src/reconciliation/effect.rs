//! Effects: what a leaf did to the books of accounts, in bytes that its `effects_hash` covers.
//!
//! Big-endian, for each account: layout u8 = 2 · account [16] · salt [16] · count u32 · effects, each
//! kind u8 · comparison u8, 0 = none · code u8 · number u64 · count of first items u16 · count of second
//! items u16 · their numbers, u64 each. The salt comes out of the random salts of everything that was ever ordered for the
//! account, so that nobody who has seen only the hash can find the effects by trying.

use crate::{account::AccountId, hash::Hash, header::Reader, matching::item::Comparison};

/// The layout of the bytes.
const LAYOUT: u8 = 2;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// An item was recorded; number = its own, code = its source.
    Recorded = 1,
    /// A match; code = its pass.
    Matched = 2,
    /// A match was undone.
    Unmatched = 3,
    /// A proposal; code = its pass.
    Proposed = 4,
    /// A proposal is none any more, or was decided.
    ProposalClosed = 5,
    /// A break; code = its category.
    BreakOpened = 6,
    /// A break has another category now: code.
    BreakChanged = 7,
    /// A break healed.
    BreakHealed = 8,
    /// A break was worked on; code = its state now, items = the posting that corrects it, if one does.
    BreakWorked = 9,
    /// A party signed a position; number = the date, code = the party.
    PositionSigned = 10,
    /// A position is agreed; number = the date.
    PositionAgreed = 11,
    /// A signature of a position no longer is of what the book says; number = the date, code = the
    /// party.
    PositionOutdated = 12,
    /// A run has more to do.
    RunGoesOn = 13,
    /// A unit of a run has more items than are compared; code = the pass, number = how many.
    TooMany = 14,
    /// Agreed days up to a date were gone through, and what is final of them was closed; number = the
    /// date.
    DaysClosed = 15,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Recorded,
        Kind::Matched,
        Kind::Unmatched,
        Kind::Proposed,
        Kind::ProposalClosed,
        Kind::BreakOpened,
        Kind::BreakChanged,
        Kind::BreakHealed,
        Kind::BreakWorked,
        Kind::PositionSigned,
        Kind::PositionAgreed,
        Kind::PositionOutdated,
        Kind::RunGoesOn,
        Kind::TooMany,
        Kind::DaysClosed,
    ];
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What.
    pub kind: Kind,
    /// Between which sources, if it is between two.
    pub comparison: Option<Comparison>,
    /// See [`Kind`].
    pub code: u8,
    /// Of the match, proposal or break; otherwise see [`Kind`].
    pub number: u64,
    /// Numbers of the items of the first and of the second source.
    pub items: [Vec<u64>; 2],
}

impl Effect {
    /// One without items.
    pub fn new(kind: Kind, comparison: Option<Comparison>, code: u8, number: u64) -> Effect {
        Effect { kind, comparison, code, number, items: [Vec::new(), Vec::new()] }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let comparison = self.comparison.map_or(0, |comparison| comparison as u8);
        bytes.extend([self.kind as u8, comparison, self.code]);
        bytes.extend(self.number.to_be_bytes());
        for items in &self.items {
            let count = u16::try_from(items.len()).expect("a finding's items are bounded");
            bytes.extend(count.to_be_bytes());
        }
        let numbers = self.items.iter().flatten();
        numbers.for_each(|number| bytes.extend(number.to_be_bytes()));
    }

    fn read(reader: &mut Reader<'_>) -> Option<Effect> {
        let [kind, comparison, code] = reader.take()?;
        let kind = Kind::ALL.into_iter().find(|it| *it as u8 == kind)?;
        let comparison = match comparison {
            0 => None,
            number => Some(Comparison::from_number(number)?),
        };
        let number = u64::from_be_bytes(reader.take()?);
        let counts = [u16::from_be_bytes(reader.take()?), u16::from_be_bytes(reader.take()?)];
        let mut items = [Vec::new(), Vec::new()];
        for (count, items) in counts.into_iter().zip(&mut items) {
            for _ in 0..count {
                items.push(u64::from_be_bytes(reader.take()?));
            }
        }
        Some(Effect { kind, comparison, code, number, items })
    }
}

/// The bytes of what happened to one account; none if nothing happened.
pub fn encode(account: &AccountId, salt: &Hash, effects: &[Effect]) -> Vec<u8> {
    if effects.is_empty() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(37 + 31 * effects.len());
    bytes.push(LAYOUT);
    bytes.extend(account.as_bytes());
    bytes.extend(&salt.as_bytes()[..16]);
    let count = u32::try_from(effects.len()).expect("what one leaf does is bounded");
    bytes.extend(count.to_be_bytes());
    effects.iter().for_each(|effect| effect.write(&mut bytes));
    bytes
}

/// Reads what [`encode`] wrote, one account after the other: the account, and what happened.
pub fn decode(bytes: &[u8]) -> Option<Vec<(AccountId, Vec<Effect>)>> {
    let mut reader = Reader(bytes);
    let mut all = Vec::new();
    while !reader.0.is_empty() {
        let [LAYOUT] = reader.take()? else { return None };
        let account: [u8; 16] = reader.take()?;
        let account = AccountId::from_bytes(&account)?;
        let _salt: [u8; 16] = reader.take()?;
        let count = u32::from_be_bytes(reader.take()?);
        let effects: Option<Vec<Effect>> = (0..count).map(|_| Effect::read(&mut reader)).collect();
        all.push((account, effects.filter(|effects| !effects.is_empty())?));
    }
    Some(all)
}

/// The next salt of an account: a hash of the last one and of what the signer drew.
pub fn next_salt(salt: &Hash, drawn: &[u8; 16]) -> Hash {
    Hash::of_parts(&[salt.as_bytes(), drawn])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_read_as_they_were_written() {
        let account = AccountId::from_bytes(&[7; 16]).unwrap();
        let effects = vec![
            Effect::new(Kind::Recorded, None, 1, 9),
            Effect {
                items: [vec![1, 2], vec![3]],
                ..Effect::new(Kind::Matched, Some(Comparison::LedgerOwner), 4, 1)
            },
        ];
        let salt = next_salt(&Hash::ZERO, &[5; 16]);
        let bytes = encode(&account, &salt, &effects);
        assert_eq!(decode(&bytes), Some(vec![(account, effects.clone())]));
        assert!((1..bytes.len()).all(|end| decode(&bytes[..end]).is_none()));
        let twice = [&bytes[..], &bytes].concat();
        assert_eq!(decode(&twice).unwrap().len(), 2);
        assert_eq!(encode(&account, &salt, &[]), Vec::<u8>::new());
    }
}
