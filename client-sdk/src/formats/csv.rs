//! Tables: payments to submit and book entries to match, comma-separated, UTF-8, with a header.
//!
//! Columns are found by their names, in any order; a column that is not known is refused, because
//! what it means would be lost. Errors count rows from the header, which is row 1;
//! blank lines do not count.

use std::collections::HashMap;

use ::csv::ErrorKind;
use ::csv::ReaderBuilder;
use ::csv::StringRecord;
use ::csv::Trim;
use counterfoil_ledger::bic::Bic;

use crate::formats::detect::Kind;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::Field;
use crate::formats::mapping;
use crate::formats::mapping::Mapping;
use crate::formats::payment::MissingUetr;
use crate::formats::payment::Payment;
use crate::formats::payment::refuse_repeated_uetr;
use crate::formats::statement::Entry;
use crate::formats::xml::utf8;

/// The columns of a payments table; all are required, `settlement_date` and `end_to_end_id` may
/// have empty cells.
pub const PAYMENT_COLUMNS: [&str; 7] = [
    "debtor_bic",
    "creditor_bic",
    "currency",
    "amount",
    "uetr",
    "end_to_end_id",
    "settlement_date",
];

/// The columns of a table of book entries; `value_date`, `entry_reference`, `uetr` and
/// `end_to_end_id` may have empty cells.
pub const ENTRY_COLUMNS: [&str; 8] = [
    "booking_date",
    "value_date",
    "side",
    "currency",
    "amount",
    "entry_reference",
    "uetr",
    "end_to_end_id",
];

/// The columns that name the account of a book entry: all of them, or none where the caller knows
/// the account.
pub const ACCOUNT_COLUMNS: [&str; 3] = ["account_servicer", "account_owner", "account_name"];

/// The account that a row names; its asset is the row's currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountName {
    /// Who keeps it.
    pub servicer: Bic,
    /// Whose money it is.
    pub owner: Bic,
    /// Its name.
    pub name: String,
}

/// A row of a table of book entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookRow {
    /// Whose account, if the table says so.
    pub account: Option<AccountName>,
    /// What was booked.
    pub entry: Entry,
}

/// A table of book entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookTable {
    /// The rows in order.
    pub rows: Vec<BookRow>,
    /// What was passed over.
    pub warnings: Warnings,
}

/// Which table a text is, by its header.
pub fn detect(text: &str) -> Result<Kind, FormatError> {
    let header = text.lines().next().unwrap_or_default();
    let names: Vec<&str> = header.split(',').map(|name| name.trim().trim_matches('"')).collect();
    if names.contains(&"debtor_bic") {
        Ok(Kind::PaymentsCsv)
    } else if names.contains(&"booking_date") {
        Ok(Kind::BookEntriesCsv)
    } else {
        Err(FormatError::new(
            "row 1",
            format!("{} is neither XML nor the header of a known table", quote(header)),
            format!(
                "give an ISO 20022 message, or a comma-separated table that begins with {} or {}",
                PAYMENT_COLUMNS.join(","),
                ENTRY_COLUMNS.join(",")
            ),
        ))
    }
}

/// Reads a table of payments. All or none are read.
pub fn read_payments(
    bytes: &[u8],
    exponent_of: ExponentOf<'_>,
    missing_uetr: MissingUetr,
) -> Result<Vec<Payment>, FormatError> {
    let mut payments = Vec::new();
    for_each_row(bytes, &PAYMENT_COLUMNS, |row| {
        let uetr = row.filled("uetr").map(|cell| fields::uetr(&cell)).transpose()?;
        if uetr.is_none() && missing_uetr == MissingUetr::Refuse {
            return Err(row.cell("uetr").refuse(
                "it is empty: a transfer settles under its UETR, once",
                "add a UETR, or ask for one to be derived",
            ));
        }
        payments.push(Payment {
            place: row.place(),
            debtor_agent: fields::bic(&row.cell("debtor_bic"))?,
            creditor_agent: fields::bic(&row.cell("creditor_bic"))?,
            instructing_agent: None,
            instructed_agent: None,
            amount: amount(row, exponent_of)?,
            uetr,
            end_to_end_id: fields::reference(&row.cell("end_to_end_id"))?,
            instruction_id: String::new(),
            settlement_date: row
                .filled("settlement_date")
                .map(|cell| fields::date(&cell))
                .transpose()?,
            party_data: String::new(),
        });
        Ok(())
    })?;
    if payments.is_empty() {
        return Err(FormatError::new("row 2", "there are no payments", "add a row for each"));
    }
    refuse_repeated_uetr(&payments)?;
    Ok(payments)
}

/// Reads a table of book entries. All or none are read. [`mapping::stream`] with
/// [`Mapping::standard`] reads one of any length.
pub fn read_book(bytes: &[u8], exponent_of: ExponentOf<'_>) -> Result<BookTable, FormatError> {
    mapping::read(bytes, &Mapping::standard(), exponent_of)
}

fn amount(row: &Row<'_>, exponent_of: ExponentOf<'_>) -> Result<Amount, FormatError> {
    let (cell, currency) = (row.cell("amount"), row.cell("currency"));
    let amount = fields::amount(&cell, currency.text, &currency.place(), exponent_of)?;
    if amount.units == 0 {
        return Err(cell.refuse("the amount is zero", "remove the row"));
    }
    Ok(amount)
}

/// Where each column stands.
type Columns = HashMap<String, usize>;

struct Row<'r> {
    line: u64,
    record: &'r StringRecord,
    columns: &'r Columns,
}

struct Cell<'r> {
    line: u64,
    column: &'static str,
    text: &'r str,
}

impl Row<'_> {
    fn place(&self) -> String {
        format!("row {}", self.line)
    }

    fn cell(&self, column: &'static str) -> Cell<'_> {
        let text = self.columns.get(column).and_then(|index| self.record.get(*index));
        Cell { line: self.line, column, text: text.unwrap_or_default() }
    }

    /// A cell that may be empty; none if it is.
    fn filled(&self, column: &'static str) -> Option<Cell<'_>> {
        Some(self.cell(column)).filter(|cell| !cell.text.is_empty())
    }
}

impl Field for Cell<'_> {
    fn value(&self) -> &str {
        self.text
    }

    fn place(&self) -> String {
        format!("row {}, column {}", self.line, self.column)
    }
}

fn for_each_row(
    bytes: &[u8],
    required: &[&'static str],
    mut take: impl FnMut(&Row<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let text = utf8(bytes)?;
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
    let columns = columns(reader.headers().map_err(|error| table_error(1, &error))?, required)?;
    let mut record = StringRecord::new();
    // Counted here: where lines end in CR LF, the positions of the csv crate are one line behind.
    for line in 2.. {
        if !reader.read_record(&mut record).map_err(|error| table_error(line, &error))? {
            break;
        }
        take(&Row { line, record: &record, columns: &columns })?;
    }
    Ok(())
}

/// Finds the columns: all of them, and no others.
fn columns(header: &StringRecord, required: &[&'static str]) -> Result<Columns, FormatError> {
    let mut columns = Columns::new();
    let known = || format!("the columns are {}", required.join(","));
    for (index, name) in header.iter().enumerate() {
        if !required.contains(&name) {
            let fact = format!("the column {} is not known", quote(name));
            return Err(FormatError::new("row 1", fact, known()));
        }
        if columns.insert(name.to_owned(), index).is_some() {
            let fact = format!("the column {} stands there twice", quote(name));
            return Err(FormatError::new("row 1", fact, "remove one of them"));
        }
    }
    for name in required {
        if !columns.contains_key(*name) {
            let fact = format!("the column {name} is missing");
            return Err(FormatError::new("row 1", fact, known()));
        }
    }
    Ok(columns)
}

fn table_error(line: u64, error: &::csv::Error) -> FormatError {
    let fact = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells under {expected_len} columns")
        }
        _ => error.to_string(),
    };
    FormatError::new(
        format!("row {line}"),
        fact,
        "give every row a cell for each column, quoting those that hold a comma",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use counterfoil_ledger::block::Side;

    use super::*;

    const UETR: &str = "eb6305c9-1f7f-49de-aed0-16487c27b42d";

    fn exponent_of(code: &str) -> Option<u8> {
        matches!(code, "CHF" | "EUR").then_some(2)
    }

    fn payments(rows: &str) -> Result<Vec<Payment>, FormatError> {
        let text = format!("{}\n{rows}", PAYMENT_COLUMNS.join(","));
        read_payments(text.as_bytes(), &exponent_of, MissingUetr::Refuse)
    }

    fn book(rows: &str) -> Result<BookTable, FormatError> {
        let text = format!("{}\r\n{rows}", ENTRY_COLUMNS.join(","));
        read_book(text.as_bytes(), &exponent_of)
    }

    #[test]
    fn a_table_of_payments() {
        let read = payments(&format!(
            "ALPSCHZZ,BRNECHZZXXX,CHF,1250.5,{UETR},\"E2E, 1\",2026-03-31\n\
             BRNECHZZ,ALPSCHZZ,EUR, 1 ,{UETR},,\n"
        ));
        let read = read.unwrap();
        assert_eq!(read[0].amount.to_string(), "CHF 1250.50");
        assert_eq!((read[0].place.as_str(), read[0].end_to_end_id.as_str()), ("row 2", "E2E, 1"));
        assert_eq!(read[1].settlement_date, None);
    }

    #[test]
    fn errors_of_payments_name_row_and_column() {
        let good = format!("ALPSCHZZ,BRNECHZZ,CHF,1,{UETR},E,2026-03-31");
        for (from, to, place) in [
            ("ALPSCHZZ", "ALPS", "row 3, column debtor_bic"),
            ("BRNECHZZ", "", "row 3, column creditor_bic"),
            ("CHF", "chf", "row 3, column currency"),
            ("CHF,1,", "CHF,1.001,", "row 3, column amount"),
            ("CHF,1,", "CHF,-1,", "row 3, column amount"),
            ("CHF,1,", "CHF,0,", "row 3, column amount"),
            ("eb6305c9", "", "row 3, column uetr"),
            (UETR, "", "row 3, column uetr"),
            (",E,", ",E_1,", "row 3, column end_to_end_id"),
            ("2026-03-31", "31.03.2026", "row 3, column settlement_date"),
            (",E,", ",", "row 3"),
            ("CHF", "EUR", "row 3"),
        ] {
            let first = good.replace("CHF", "EUR");
            let error = payments(&format!("{first}\n{}", good.replace(from, to))).unwrap_err();
            assert_eq!(error.place, place, "{error}");
        }
        assert_eq!(payments("").unwrap_err().place, "row 2");
    }

    #[test]
    fn headers_are_exact() {
        let header = PAYMENT_COLUMNS.join(",");
        for bad in [
            format!("{header},memo"),
            format!("{header},amount"),
            header.replace(",uetr", ""),
            header.replace(',', ";"),
        ] {
            let error = read_payments(bad.as_bytes(), &exponent_of, MissingUetr::Accept);
            assert_eq!(error.unwrap_err().place, "row 1", "{bad}");
        }
        let text = format!("account_owner,{}\n", ENTRY_COLUMNS.join(","));
        assert!(read_book(text.as_bytes(), &exponent_of).is_err());
    }

    #[test]
    fn a_table_of_book_entries() {
        let table = book(&format!(
            "2026-03-31,,CREDIT,CHF,10,R_1,{UETR},NOTPROVIDED\n\
             2026-03-31,2026-04-01,DEBIT,EUR,0.05,R-2,,E-2\n"
        ));
        let table = table.unwrap();
        let [first, second] = table.rows.as_slice() else { panic!("two rows") };
        assert_eq!((first.entry.side, first.entry.signed_units()), (Side::Credit, 1000));
        assert_eq!((first.entry.reference.as_str(), first.account.as_ref()), ("", None));
        assert_eq!(first.entry.end_to_end_id, "NOTPROVIDED");
        assert_eq!(second.entry.signed_units(), -5);
        assert_eq!(second.entry.value_date.unwrap().yyyymmdd(), 20_260_401);
        assert_eq!(table.warnings.kept()[0].place, "row 2, column entry_reference");
        for (row, place) in [
            ("2026-03-31,,CRDT,CHF,10,,,E", "row 2, column side"),
            (",,CREDIT,CHF,10,,,E", "row 2, column booking_date"),
            ("2026-03-31,,CREDIT,CHF,10,,x,E", "row 2, column uetr"),
        ] {
            assert_eq!(book(row).unwrap_err().place, place);
        }
    }

    #[test]
    fn a_book_may_name_accounts() {
        let text = format!(
            "{},{}\nSETLCHZZ,ALPSCHZZ,settlement,2026-03-31,,DEBIT,CHF,1,,,E\n",
            ACCOUNT_COLUMNS.join(","),
            ENTRY_COLUMNS.join(",")
        );
        let table = read_book(text.as_bytes(), &exponent_of).unwrap();
        let account = table.rows[0].account.clone().unwrap();
        assert_eq!((account.owner.as_str(), account.name.as_str()), ("ALPSCHZZXXX", "settlement"));
    }
}
