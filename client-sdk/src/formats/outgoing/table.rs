//! A table of book entries: the columns that the importer reads, so that it takes the file back.
//!
//! Texts are of the SWIFT X set, in which a spreadsheet finds no formula that does anything: they
//! are not altered, because a reference with another character in it matches nothing.

use std::io::Write;

use ::csv::Writer;
use counterfoil_ledger::block::Side;

use crate::formats::csv::ACCOUNT_COLUMNS;
use crate::formats::csv::ENTRY_COLUMNS;
use crate::formats::outgoing::LedgerEntry;
use crate::formats::outgoing::LedgerStatement;
use crate::formats::outgoing::WriteError;

/// A row for each entry, under a header.
pub(super) struct TableWriter<W: Write> {
    rows: Writer<W>,
}

impl<W: Write> TableWriter<W> {
    /// Writes the header.
    pub(super) fn begin(out: W) -> Result<TableWriter<W>, WriteError> {
        let mut rows = Writer::from_writer(out);
        rows.write_record(ENTRY_COLUMNS.iter().chain(&ACCOUNT_COLUMNS)).map_err(failed)?;
        Ok(TableWriter { rows })
    }

    /// Writes a row.
    pub(super) fn entry(
        &mut self,
        statement: &LedgerStatement,
        entry: &LedgerEntry,
    ) -> Result<(), WriteError> {
        let account = &statement.account;
        let date = statement.date.to_string();
        let side = match entry.side {
            Side::Credit => "CREDIT",
            Side::Debit => "DEBIT",
        };
        let cell = |column: &str| match column {
            "booking_date" | "value_date" => date.clone(),
            "side" => side.to_owned(),
            "currency" => account.asset.as_str().to_owned(),
            "amount" => account.decimal(entry.units.into()),
            "entry_reference" => entry.reference(),
            "uetr" => entry.uetr.to_string(),
            "end_to_end_id" => entry.end_to_end_id.clone(),
            "account_servicer" => account.servicer.to_string(),
            "account_owner" => account.owner.to_string(),
            "account_name" => account.name.clone(),
            _ => String::new(),
        };
        let columns = ENTRY_COLUMNS.iter().chain(&ACCOUNT_COLUMNS);
        self.rows.write_record(columns.map(|column| cell(column))).map_err(failed)
    }

    /// Ends the table.
    pub(super) fn finish(self) -> Result<W, WriteError> {
        self.rows.into_inner().map_err(|error| WriteError::Io(error.into_error()))
    }
}

fn failed(error: ::csv::Error) -> WriteError {
    WriteError::Io(error.into())
}
