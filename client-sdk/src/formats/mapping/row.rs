//! One row: an entry.

use ::csv::ByteRecord;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;

use super::config::Mapping;
use super::config::Sign;
use super::layout::Layout;
use super::layout::Meaning;
use crate::formats::csv::AccountName;
use crate::formats::csv::BookRow;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::Field;
use crate::formats::statement::Entry;

/// A row and what its columns mean.
pub(super) struct Row<'r> {
    /// From 1, of all rows that are not blank.
    pub(super) number: u64,
    pub(super) record: &'r ByteRecord,
    pub(super) mapping: &'r Mapping,
    pub(super) layout: &'r Layout,
}

struct Cell {
    place: String,
    text: String,
}

impl Field for Cell {
    fn value(&self) -> &str {
        &self.text
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl Row<'_> {
    /// The entry; none, with a warning, if its amount is zero.
    pub(super) fn read(
        &self,
        exponent_of: ExponentOf<'_>,
        warnings: &mut Warnings,
    ) -> Result<Option<BookRow>, FormatError> {
        self.refuse_other_width()?;
        let (side, amount) = self.side_and_amount(exponent_of)?;
        if amount.units == 0 {
            if self.mapping.own {
                let cell = self.cell(Meaning::Amount)?;
                return Err(cell.refuse("the amount is zero", "remove the row"));
            }
            warnings.add(self.place(), "its amount is zero; it was left out");
            return Ok(None);
        }
        let booking_date = self.date(&self.cell(Meaning::BookingDate)?)?;
        let mut reference = |meaning| -> Result<String, FormatError> {
            let Some(cell) = self.filled(meaning)? else { return Ok(String::new()) };
            Ok(fields::lenient_reference(&cell, warnings))
        };
        let entry = Entry {
            reference: reference(Meaning::EntryReference)?,
            servicer_reference: reference(Meaning::ServicerReference)?,
            end_to_end_id: reference(Meaning::EndToEndId)?,
            transaction_id: reference(Meaning::TransactionId)?,
            instruction_id: reference(Meaning::InstructionId)?,
            group_id: reference(Meaning::GroupId)?,
            value_date: self
                .filled(Meaning::ValueDate)?
                .map(|cell| self.date(&cell))
                .transpose()?,
            uetr: self.lenient(Meaning::Uetr, fields::uetr, warnings)?,
            counterparty: self.lenient(Meaning::Counterparty, fields::bic, warnings)?,
            ..Entry::booked(self.place(), side, amount, booking_date)
        };
        Ok(Some(BookRow { account: self.account()?, entry }))
    }

    fn place(&self) -> String {
        format!("row {}", self.number)
    }

    fn refuse_other_width(&self) -> Result<(), FormatError> {
        match self.layout.width.filter(|width| *width != self.record.len()) {
            None => Ok(()),
            Some(width) => Err(FormatError::new(
                self.place(),
                format!("{} cells under {width} columns", self.record.len()),
                "give every row a cell for each column, quoting those that hold the delimiter",
            )),
        }
    }

    /// A cell, or the fixed value in its place; empty if there is neither.
    fn cell(&self, meaning: Meaning) -> Result<Cell, FormatError> {
        if let Some(fixed) = self.mapping.fixed.get(&meaning) {
            let place = format!("mapping, fixed.{}", meaning.name());
            return Ok(Cell { place, text: fixed.clone() });
        }
        let Some((position, name)) = self.layout.columns.get(&meaning) else {
            return Ok(Cell { place: self.place(), text: String::new() });
        };
        let place = format!("{}, column {name}", self.place());
        let Some(bytes) = self.record.get(*position) else {
            return Err(FormatError::new(place, "there is no such cell", "complete the row"));
        };
        match self.mapping.decode(bytes) {
            Some(text) => Ok(Cell { place, text: text.trim().to_owned() }),
            None => Err(FormatError::new(
                place,
                "bytes that are not UTF-8",
                "write it as UTF-8, or say encoding = \"latin-1\" in a mapping",
            )),
        }
    }

    /// A cell that may be empty; none if it is.
    fn filled(&self, meaning: Meaning) -> Result<Option<Cell>, FormatError> {
        Ok(Some(self.cell(meaning)?).filter(|cell| !cell.text.is_empty()))
    }

    /// What a bank wrote badly is dropped with a warning; in a table of our own it is refused.
    fn lenient<T>(
        &self,
        meaning: Meaning,
        read: impl Fn(&Cell) -> Result<T, FormatError>,
        warnings: &mut Warnings,
    ) -> Result<Option<T>, FormatError> {
        let Some(cell) = self.filled(meaning)? else { return Ok(None) };
        match read(&cell) {
            Ok(value) => Ok(Some(value)),
            Err(error) if self.mapping.own => Err(error),
            Err(error) => {
                warnings.add(cell.place(), format!("{}; it was dropped", error.fact));
                Ok(None)
            }
        }
    }

    fn date(&self, cell: &Cell) -> Result<Date, FormatError> {
        self.mapping.date_format.read(&cell.text).ok_or_else(|| {
            cell.refuse(
                format!("{} is not a date that exists in the table's format", quote(&cell.text)),
                "correct the date, or the format in the mapping (yyyy-mm-dd without one)",
            )
        })
    }

    fn side_and_amount(&self, exponent_of: ExponentOf<'_>) -> Result<(Side, Amount), FormatError> {
        match &self.mapping.sign {
            Sign::Signed { positive_is_credit } => {
                let cell = self.cell(Meaning::Amount)?;
                let (negative, amount) = self.amount(&cell, exponent_of)?;
                let credit = *positive_is_credit != negative;
                Ok((if credit { Side::Credit } else { Side::Debit }, amount))
            }
            Sign::Columns { debit_is_negative } => self.of_columns(*debit_is_negative, exponent_of),
            Sign::Indicator { credit, debit } => {
                let side = self.indicated(credit, debit)?;
                let cell = self.cell(Meaning::Amount)?;
                Ok((side, self.unsigned(&cell, exponent_of)?))
            }
        }
    }

    /// The amount that stands in one of two columns; the other is empty or zero.
    fn of_columns(
        &self,
        debit_is_negative: bool,
        exponent_of: ExponentOf<'_>,
    ) -> Result<(Side, Amount), FormatError> {
        let credit = self.filled(Meaning::Credit)?;
        let debit = self.filled(Meaning::Debit)?;
        let credit = credit.map(|cell| self.unsigned(&cell, exponent_of)).transpose()?;
        let debit = debit.map(|cell| -> Result<Amount, FormatError> {
            let (negative, amount) = self.amount(&cell, exponent_of)?;
            if negative != debit_is_negative && amount.units != 0 {
                let fact = format!("{} has the wrong sign for a debit", quote(&cell.text));
                return Err(cell.refuse(fact, "see debit_is_negative of the mapping"));
            }
            Ok(amount)
        });
        let debit = debit.transpose()?;
        let nothing = |amount: &Option<Amount>| amount.as_ref().is_none_or(|one| one.units == 0);
        match (nothing(&credit), nothing(&debit)) {
            (false, false) => Err(FormatError::new(
                self.place(),
                "an amount stands in the credit column and in the debit column",
                "keep one of them",
            )),
            (_, true) => match credit.or(debit) {
                Some(amount) => Ok((Side::Credit, amount)),
                None => Err(FormatError::new(self.place(), "it has no amount", "add it")),
            },
            (true, false) => match debit {
                Some(amount) => Ok((Side::Debit, amount)),
                None => Err(FormatError::new(self.place(), "it has no amount", "add it")),
            },
        }
    }

    fn indicated(&self, credit: &[String], debit: &[String]) -> Result<Side, FormatError> {
        let cell = self.cell(Meaning::Side)?;
        if credit.contains(&cell.text) {
            Ok(Side::Credit)
        } else if debit.contains(&cell.text) {
            Ok(Side::Debit)
        } else {
            let (credit, debit) = (credit.join(" or "), debit.join(" or "));
            Err(cell.refuse(
                format!("{} is no side", quote(&cell.text)),
                format!(
                    "write {credit} for what raises the balance of the account, {debit} for what \
                     lowers it"
                ),
            ))
        }
    }

    fn unsigned(&self, cell: &Cell, exponent_of: ExponentOf<'_>) -> Result<Amount, FormatError> {
        match self.amount(cell, exponent_of)? {
            (false, amount) => Ok(amount),
            (true, _) => {
                let fact = format!("{} has a sign", quote(&cell.text));
                Err(cell.refuse(fact, "write the amount without a sign"))
            }
        }
    }

    /// Whether an amount is negative, and the amount.
    fn amount(
        &self,
        cell: &Cell,
        exponent_of: ExponentOf<'_>,
    ) -> Result<(bool, Amount), FormatError> {
        let currency = self.cell(Meaning::Currency)?;
        let signed = !matches!(self.mapping.sign, Sign::Indicator { .. });
        let (negative, digits) = match cell.text.strip_prefix('-') {
            Some(digits) if signed => (true, digits),
            _ => (false, cell.text.strip_prefix('+').filter(|_| signed).unwrap_or(&cell.text)),
        };
        let plain = self.plain(digits).ok_or_else(|| {
            let fact = format!("{} is no amount as the table writes them", quote(&cell.text));
            cell.refuse(fact, "correct it, or the separators in the mapping")
        })?;
        let plain = Cell { place: cell.place(), text: plain };
        let amount = fields::amount(&plain, &currency.text, &currency.place(), exponent_of)?;
        Ok((negative, amount))
    }

    /// Digits with a point, of digits with the table's separators. Groups have three digits.
    fn plain(&self, digits: &str) -> Option<String> {
        let decimal = self.mapping.decimal_separator;
        let (whole, fraction) = digits.split_once(decimal).unwrap_or((digits, ""));
        let whole = match self.mapping.thousands_separator {
            Some(separator) if whole.contains(separator) => {
                let groups: Vec<&str> = whole.split(separator).collect();
                let first = groups.first().map_or(0, |group| group.len());
                let full = groups.iter().skip(1).all(|group| group.len() == 3);
                if !full || !(1..=3).contains(&first) {
                    return None;
                }
                groups.concat()
            }
            _ => whole.to_owned(),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !all_digits(&whole) || !all_digits(fraction) {
            return None;
        }
        Some(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
    }

    fn account(&self) -> Result<Option<AccountName>, FormatError> {
        let given = |meaning: &Meaning| {
            self.layout.columns.contains_key(meaning) || self.mapping.fixed.contains_key(meaning)
        };
        if !Meaning::ACCOUNT.iter().all(given) {
            return Ok(None);
        }
        Ok(Some(AccountName {
            servicer: fields::bic(&self.cell(Meaning::AccountServicer)?)?,
            owner: fields::bic(&self.cell(Meaning::AccountOwner)?)?,
            name: fields::reference(&self.cell(Meaning::AccountName)?)?,
        }))
    }
}
