//! Which column holds what.

use std::collections::BTreeMap;

use ::csv::ByteRecord;

use super::config::Column;
use super::config::Encoding;
use super::config::Mapping;
use crate::formats::csv::ENTRY_COLUMNS;
use crate::formats::error::FormatError;
use crate::formats::error::quote;

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    BookingDate,
    ValueDate,
    Side,
    Currency,
    Amount,
    Credit,
    Debit,
    EntryReference,
    ServicerReference,
    Uetr,
    EndToEndId,
    TransactionId,
    InstructionId,
    GroupId,
    Counterparty,
    AccountServicer,
    AccountOwner,
    AccountName,
}

impl Meaning {
    pub(super) const ALL: [Meaning; 18] = [
        Meaning::BookingDate,
        Meaning::ValueDate,
        Meaning::Side,
        Meaning::Currency,
        Meaning::Amount,
        Meaning::Credit,
        Meaning::Debit,
        Meaning::EntryReference,
        Meaning::ServicerReference,
        Meaning::Uetr,
        Meaning::EndToEndId,
        Meaning::TransactionId,
        Meaning::InstructionId,
        Meaning::GroupId,
        Meaning::Counterparty,
        Meaning::AccountServicer,
        Meaning::AccountOwner,
        Meaning::AccountName,
    ];

    /// Those of the table of our own.
    pub(super) const OWN: [Meaning; 11] = [
        Meaning::BookingDate,
        Meaning::ValueDate,
        Meaning::Side,
        Meaning::Currency,
        Meaning::Amount,
        Meaning::EntryReference,
        Meaning::Uetr,
        Meaning::EndToEndId,
        Meaning::AccountServicer,
        Meaning::AccountOwner,
        Meaning::AccountName,
    ];

    pub(super) const ACCOUNT: [Meaning; 3] =
        [Meaning::AccountServicer, Meaning::AccountOwner, Meaning::AccountName];

    /// Its key in a mapping.
    pub(super) fn name(self) -> &'static str {
        match self {
            Meaning::BookingDate => "booking_date",
            Meaning::ValueDate => "value_date",
            Meaning::Side => "side",
            Meaning::Currency => "currency",
            Meaning::Amount => "amount",
            Meaning::Credit => "credit",
            Meaning::Debit => "debit",
            Meaning::EntryReference => "entry_reference",
            Meaning::ServicerReference => "servicer_reference",
            Meaning::Uetr => "uetr",
            Meaning::EndToEndId => "end_to_end_id",
            Meaning::TransactionId => "transaction_id",
            Meaning::InstructionId => "instruction_id",
            Meaning::GroupId => "group_id",
            Meaning::Counterparty => "counterparty",
            Meaning::AccountServicer => "account_servicer",
            Meaning::AccountOwner => "account_owner",
            Meaning::AccountName => "account_name",
        }
    }

    pub(super) fn named(name: &str) -> Option<Meaning> {
        Meaning::ALL.into_iter().find(|meaning| meaning.name() == name)
    }

    /// What may be the same for every row: the currency, the other side and the account.
    pub(super) fn may_be_fixed(self) -> bool {
        matches!(self, Meaning::Currency | Meaning::Counterparty)
            || Meaning::ACCOUNT.contains(&self)
    }
}

/// Where each meaning stands in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// The position from 0, and the column as messages call it.
    pub(super) columns: BTreeMap<Meaning, (usize, String)>,
    /// Cells of the header, if there is one.
    pub(super) width: Option<usize>,
}

impl Mapping {
    /// Finds the columns in the header.
    pub(super) fn layout_of(&self, row: u64, header: &ByteRecord) -> Result<Layout, FormatError> {
        let names: Vec<String> =
            header.iter().map(|cell| self.decode(cell).unwrap_or_default()).collect();
        let place = || format!("row {row}");
        if self.own {
            self.refuse_unknown(&place(), &names)?;
        }
        let mut columns = BTreeMap::new();
        for (meaning, column) in &self.columns {
            let position = match column {
                Column::Number(number) => self.position(*number, names.len())?,
                Column::Name(name) => {
                    let mut found = names.iter().enumerate().filter(|(_, other)| *other == name);
                    let first = found.next().map(|(position, _)| position);
                    if found.next().is_some() {
                        let fact = format!("the column {} stands there twice", quote(name));
                        return Err(FormatError::new(place(), fact, "remove one of them"));
                    }
                    match first {
                        Some(position) => position,
                        // All of them or none: who reads an account's book knows the account.
                        None if self.own && Meaning::ACCOUNT.contains(meaning) => continue,
                        None => return Err(self.missing(&place(), name)),
                    }
                }
            };
            let name = names.get(position).cloned().unwrap_or_default();
            columns.insert(*meaning, (position, name));
        }
        let named = Meaning::ACCOUNT.iter().find(|meaning| columns.contains_key(meaning));
        let unnamed = Meaning::ACCOUNT.iter().find(|meaning| !columns.contains_key(meaning));
        if let (true, Some(_), Some(unnamed)) = (self.own, named, unnamed) {
            return Err(self.missing(&place(), unnamed.name()));
        }
        Ok(Layout { columns, width: Some(names.len()) })
    }

    /// Columns by their numbers.
    pub(super) fn layout_without_header(&self) -> Result<Layout, FormatError> {
        let mut columns = BTreeMap::new();
        for (meaning, column) in &self.columns {
            let Column::Number(number) = column else {
                return Err(FormatError::new(
                    format!("mapping, columns.{}", meaning.name()),
                    "it is a name, but the table has no header",
                    "give the number of the column, from 1",
                ));
            };
            let position = self.position(*number, usize::from(u16::MAX))?;
            columns.insert(*meaning, (position, number.to_string()));
        }
        Ok(Layout { columns, width: None })
    }

    fn position(&self, number: u16, width: usize) -> Result<usize, FormatError> {
        let position = usize::from(number).checked_sub(1).filter(|position| *position < width);
        position.ok_or_else(|| {
            FormatError::new(
                "mapping, columns",
                format!("there is no column {number}"),
                "count the columns of the table from 1",
            )
        })
    }

    fn refuse_unknown(&self, place: &str, names: &[String]) -> Result<(), FormatError> {
        let known =
            |name: &&String| Meaning::OWN.iter().any(|meaning| meaning.name() == name.as_str());
        match names.iter().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(FormatError::new(
                place,
                format!("the column {} is not known", quote(name)),
                format!("the columns are {}", ENTRY_COLUMNS.join(",")),
            )),
        }
    }

    fn missing(&self, place: &str, name: &str) -> FormatError {
        let fix = if self.own {
            format!("the columns are {}", ENTRY_COLUMNS.join(","))
        } else {
            "correct the mapping, or skip the rows in front of the header".to_owned()
        };
        FormatError::new(place, format!("the column {} is missing", quote(name)), fix)
    }

    /// A cell as text; none if it is not written in the encoding.
    pub(super) fn decode(&self, cell: &[u8]) -> Option<String> {
        match self.encoding {
            Encoding::Utf8 => std::str::from_utf8(cell).ok().map(str::to_owned),
            Encoding::Latin1 => Some(cell.iter().map(|byte| char::from(*byte)).collect()),
        }
    }
}
