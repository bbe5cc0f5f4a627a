//! What is compared: one posting or one book entry, reduced to what matching reads.

use std::cmp::Ordering;

use crate::{
    bic::Bic,
    block::Side,
    date::Date,
    text::{self, TEXT_LENGTH_MAX},
    uetr::Uetr,
};

/// Where items come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The ledger's postings to the account.
    Ledger,
    /// The book of the account's owner.
    OwnerBook,
    /// The book of the account's servicer.
    ServicerBook,
}

/// Which two sources are compared, numbered as in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Comparison {
    /// The ledger first, the owner's book second.
    LedgerOwner = 1,
    /// The ledger first, the servicer's book second.
    LedgerServicer = 2,
    /// The owner's book first, the servicer's book second.
    OwnerServicer = 3,
}

impl Comparison {
    /// All.
    pub const ALL: [Comparison; 3] =
        [Comparison::LedgerOwner, Comparison::LedgerServicer, Comparison::OwnerServicer];

    /// The source at a place.
    pub fn source(self, place: Place) -> Source {
        match (self, place) {
            (Comparison::LedgerOwner | Comparison::LedgerServicer, Place::First) => Source::Ledger,
            (Comparison::LedgerOwner, Place::Second)
            | (Comparison::OwnerServicer, Place::First) => Source::OwnerBook,
            (_, Place::Second) => Source::ServicerBook,
        }
    }

    /// Where a source stands, if it is compared.
    pub fn place(self, source: Source) -> Option<Place> {
        Place::BOTH.into_iter().find(|place| self.source(*place) == source)
    }

    /// Reads the schema's number.
    pub fn from_number(number: u8) -> Option<Comparison> {
        Comparison::ALL.into_iter().find(|comparison| *comparison as u8 == number)
    }
}

/// One of the two sources of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Place {
    /// The one that is named first.
    First = 1,
    /// The other one.
    Second = 2,
}

impl Place {
    /// Both.
    pub const BOTH: [Place; 2] = [Place::First, Place::Second];

    /// The other one.
    pub fn opposite(self) -> Place {
        match self {
            Place::First => Place::Second,
            Place::Second => Place::First,
        }
    }
}

/// An item of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Which source.
    pub place: Place,
    /// The item's number within it.
    pub number: u64,
}

impl Id {
    /// None comes before it.
    pub const FIRST: Id = Id { place: Place::First, number: 0 };
}

/// What two items may share, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Strength {
    /// The UETR.
    Uetr = 1,
    /// ISO 20022 TransactionIdentification.
    TransactionId = 2,
    /// ISO 20022 EndToEndIdentification.
    EndToEndId = 3,
    /// ISO 20022 InstructionIdentification.
    InstructionId = 4,
}

impl Strength {
    /// All, the strongest first.
    pub const ALL: [Strength; 4] =
        [Strength::Uetr, Strength::TransactionId, Strength::EndToEndId, Strength::InstructionId];
}

/// A key with its value. Ordered by strength first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    strength: Strength,
    /// A UETR, or a text; zeros behind, which no text contains.
    value: [u8; TEXT_LENGTH_MAX],
}

impl Key {
    /// Which key.
    pub fn strength(&self) -> Strength {
        self.strength
    }
}

/// A text of an item: its place in the buffer.
#[derive(Clone, Copy)]
enum Text {
    TransactionId,
    EndToEndId,
    InstructionId,
    EntryReference,
    GroupId,
    Asset,
}

/// How many texts an item has.
const TEXTS: usize = 6;

/// How long they may be: references, and the code of an asset.
const LENGTHS: [usize; TEXTS] = {
    let mut lengths = [TEXT_LENGTH_MAX; TEXTS];
    lengths[Text::Asset as usize] = ASSET_LENGTH_MAX;
    lengths
};

/// Longest code of an asset.
pub(super) const ASSET_LENGTH_MAX: usize = 12;

/// A posting or a book entry, as matching sees it. Hundreds of thousands of these are held in
/// memory, so all texts share one allocation. Equal items have equal fields, the number included;
/// the order is the *intrinsic* one: what an item says comes first, and its number separates only
/// items that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Within its source, from 1.
    pub number: u64,
    /// As the account sees it, so that equal sides belong together.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Value date.
    pub date: Date,
    /// If it is known.
    pub uetr: Option<Uetr>,
    /// The other side's agent, if it is known.
    pub counterparty: Option<Bic>,
    /// Takes back an earlier entry of the same book.
    pub reversal: bool,
    /// Returns an earlier payment.
    pub returned: bool,
    /// The amount was exchanged from another currency.
    pub exchanged: bool,
    /// Charges in the amount, minor units.
    pub charges: u64,
    texts: Box<str>,
    ends: [u8; TEXTS],
}

/// What a book entry says. Texts may be empty.
#[derive(Clone, Copy, Debug)]
pub struct EntryFields<'a> {
    /// As the account sees it.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Value date.
    pub date: Date,
    /// If the book knows it.
    pub uetr: Option<Uetr>,
    /// ISO 20022 TransactionIdentification.
    pub transaction_id: &'a str,
    /// ISO 20022 EndToEndIdentification.
    pub end_to_end_id: &'a str,
    /// ISO 20022 InstructionIdentification.
    pub instruction_id: &'a str,
    /// The book's own reference.
    pub entry_reference: &'a str,
    /// What several entries were booked under.
    pub group_id: &'a str,
    /// The other side's agent.
    pub counterparty: Option<Bic>,
    /// Takes back an earlier entry.
    pub reversal: bool,
    /// Returns an earlier payment.
    pub returned: bool,
    /// The amount was exchanged.
    pub exchanged: bool,
    /// Charges in the amount, minor units.
    pub charges: u64,
    /// The entry's asset where it is not the account's.
    pub other_asset: &'a str,
}

impl<'a> EntryFields<'a> {
    /// An entry that says no more than this.
    pub fn plain(side: Side, amount: u64, date: Date) -> EntryFields<'a> {
        EntryFields {
            side,
            amount,
            date,
            uetr: None,
            transaction_id: "",
            end_to_end_id: "",
            instruction_id: "",
            entry_reference: "",
            group_id: "",
            counterparty: None,
            reversal: false,
            returned: false,
            exchanged: false,
            charges: 0,
            other_asset: "",
        }
    }
}

impl Item {
    /// A posting of the ledger. `counterparty` is the owner of the other account.
    pub fn of_posting(
        number: u64,
        side: Side,
        amount: u64,
        date: Date,
        uetr: Uetr,
        end_to_end_id: &str,
        counterparty: Bic,
    ) -> Item {
        let fields = EntryFields {
            uetr: Some(uetr),
            end_to_end_id,
            counterparty: Some(counterparty),
            ..EntryFields::plain(side, amount, date)
        };
        Item::of_entry(number, &fields)
    }

    /// An entry of a book. References compare in upper case. Those that identify nothing are left
    /// out, and so is what is longer than a reference can be.
    pub fn of_entry(number: u64, fields: &EntryFields<'_>) -> Item {
        let given = [
            fields.transaction_id,
            fields.end_to_end_id,
            fields.instruction_id,
            fields.entry_reference,
            fields.group_id,
            fields.other_asset,
        ];
        let mut texts = String::with_capacity(given.iter().map(|text| text.len()).sum());
        let mut ends = [0; TEXTS];
        let mut end = 0u8;
        for ((given, length), place) in given.into_iter().zip(LENGTHS).zip(&mut ends) {
            let start = texts.len();
            if given.len() <= length {
                texts.push_str(given);
                texts[start..].make_ascii_uppercase();
                if text::identifies(&texts[start..]) {
                    // Five texts of 35 bytes and one of 12 end at 187.
                    end += given.len() as u8;
                } else {
                    texts.truncate(start);
                }
            }
            *place = end;
        }
        Item {
            number,
            side: fields.side,
            amount: fields.amount,
            date: fields.date,
            uetr: fields.uetr,
            counterparty: fields.counterparty,
            reversal: fields.reversal,
            returned: fields.returned,
            exchanged: fields.exchanged,
            charges: fields.charges,
            texts: texts.into_boxed_str(),
            ends,
        }
    }

    fn text(&self, text: Text) -> &str {
        let index = text as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.texts[usize::from(start)..usize::from(self.ends[index])]
    }

    /// The value of a key that is a text; empty if there is none, and for the UETR.
    pub fn reference(&self, strength: Strength) -> &str {
        match strength {
            Strength::Uetr => "",
            Strength::TransactionId => self.text(Text::TransactionId),
            Strength::EndToEndId => self.text(Text::EndToEndId),
            Strength::InstructionId => self.text(Text::InstructionId),
        }
    }

    /// The book's own reference, or empty.
    pub fn entry_reference(&self) -> &str {
        self.text(Text::EntryReference)
    }

    /// What it was booked under with others, or empty.
    pub fn group_id(&self) -> &str {
        self.text(Text::GroupId)
    }

    /// Its asset where that is not the account's, or empty.
    pub fn other_asset(&self) -> &str {
        self.text(Text::Asset)
    }

    /// What it adds to the sums of its account: nothing if it is of another asset.
    pub fn counted(&self) -> u64 {
        if self.other_asset().is_empty() { self.amount } else { 0 }
    }

    /// A key, if the item has it.
    pub fn key(&self, strength: Strength) -> Option<Key> {
        let mut value = [0; TEXT_LENGTH_MAX];
        match strength {
            Strength::Uetr => value[..16].copy_from_slice(self.uetr?.as_bytes()),
            _ => {
                let text = self.reference(strength).as_bytes();
                value[..text.len()].copy_from_slice(text);
                if text.is_empty() {
                    return None;
                }
            }
        }
        Some(Key { strength, value })
    }

    /// The strongest key from a strength on.
    pub fn key_from(&self, strength: Strength) -> Option<Key> {
        let from = Strength::ALL.into_iter().skip_while(|other| *other < strength);
        from.into_iter().find_map(|strength| self.key(strength))
    }

    /// Whether two items have the same key, or different ones; nothing if one of them has none.
    pub fn same(&self, other: &Item, strength: Strength) -> Option<bool> {
        if strength == Strength::Uetr {
            return Some(self.uetr? == other.uetr?);
        }
        let (one, two) = (self.reference(strength), other.reference(strength));
        (!one.is_empty() && !two.is_empty()).then(|| one == two)
    }

    /// Whether it has any key.
    pub fn has_key(&self) -> bool {
        self.uetr.is_some() || self.ends[Text::InstructionId as usize] > 0
    }

    /// All texts, as matching reads them: the three keys, the entry reference, the group, the other
    /// asset. It is the order in which they are compared.
    pub fn texts(&self) -> [&str; TEXTS] {
        [
            self.text(Text::TransactionId),
            self.text(Text::EndToEndId),
            self.text(Text::InstructionId),
            self.text(Text::EntryReference),
            self.text(Text::GroupId),
            self.text(Text::Asset),
        ]
    }

    /// The intrinsic order without the number: equal only for items that say the same.
    pub fn cmp_content(&self, other: &Item) -> Ordering {
        let head = |item: &Item| (item.date, item.side, item.amount, item.uetr);
        let tail = |item: &Item| {
            let flags = (item.reversal, item.returned, item.exchanged);
            (item.counterparty, flags, item.charges)
        };
        head(self)
            .cmp(&head(other))
            .then_with(|| self.texts().cmp(&other.texts()))
            .then_with(|| tail(self).cmp(&tail(other)))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        self.cmp_content(other).then_with(|| self.number.cmp(&other.number))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: u32) -> Date {
        Date::from_yyyymmdd(20_261_100 + day).unwrap()
    }

    #[test]
    fn texts_are_normalised() {
        let fields = EntryFields {
            transaction_id: "tx-1",
            end_to_end_id: "notprovided",
            instruction_id: "I",
            entry_reference: "NONREF",
            group_id: "g",
            other_asset: "EUR",
            ..EntryFields::plain(Side::Credit, 1, date(2))
        };
        let item = Item::of_entry(1, &fields);
        let texts = ["TX-1", "", "I", "", "G", "EUR"];
        assert_eq!(item.texts(), texts);
        assert_eq!(item.key(Strength::EndToEndId), None);
        assert_eq!(item.key(Strength::Uetr), None);
        assert_eq!(item.key_from(Strength::Uetr), item.key(Strength::TransactionId));
        assert_eq!(item.key_from(Strength::EndToEndId), item.key(Strength::InstructionId));
        assert!(item.has_key());
        let long = "X".repeat(400);
        let fields = EntryFields { transaction_id: &long, entry_reference: "R", ..fields };
        assert_eq!(Item::of_entry(1, &fields).texts(), ["", "", "I", "R", "G", "EUR"]);
    }

    #[test]
    fn only_keys_are_keys() {
        let fields = EntryFields {
            entry_reference: "R",
            group_id: "G",
            ..EntryFields::plain(Side::Credit, 1, date(2))
        };
        assert!(!Item::of_entry(1, &fields).has_key());
        let one = Item::of_entry(1, &EntryFields { transaction_id: "A", ..fields });
        let two = Item::of_entry(1, &EntryFields { end_to_end_id: "A", ..fields });
        assert_ne!(one.key(Strength::TransactionId), two.key(Strength::EndToEndId));
        assert_eq!(one.same(&two, Strength::TransactionId), None);
    }

    #[test]
    fn the_number_separates_only_what_says_the_same() {
        let plain = EntryFields::plain(Side::Credit, 5, date(2));
        let small = Item::of_entry(9, &plain);
        let variants = [
            EntryFields { date: date(3), ..plain },
            EntryFields { amount: 6, ..plain },
            EntryFields { uetr: Some(Uetr::from_random([0; 16])), ..plain },
            EntryFields { transaction_id: "A", ..plain },
            EntryFields { group_id: "A", ..plain },
            EntryFields { other_asset: "EUR", ..plain },
            EntryFields { reversal: true, ..plain },
            EntryFields { returned: true, ..plain },
            EntryFields { exchanged: true, ..plain },
            EntryFields { charges: 1, ..plain },
        ];
        for fields in variants {
            assert!(small < Item::of_entry(1, &fields), "{fields:?}");
        }
        assert!(small > Item::of_entry(1, &plain));
    }

    #[test]
    fn sources_and_places() {
        for comparison in Comparison::ALL {
            for place in Place::BOTH {
                assert_eq!(comparison.place(comparison.source(place)), Some(place));
            }
            assert_eq!(Comparison::from_number(comparison as u8), Some(comparison));
        }
        assert_eq!(Comparison::OwnerServicer.place(Source::Ledger), None);
    }
}
