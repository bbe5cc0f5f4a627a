//! A bank's own table of entries, read through a small file that says what its columns mean.
//!
//! The file is TOML; `docs/how-to/import-books.md` describes every key. A key that is not known is
//! refused by its name, and so is everything in the table that the mapping does not explain:
//! amounts, sides, dates and currencies are never guessed.
//!
//! Rows are read one by one.

mod config;
mod date_format;
mod layout;
mod row;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::BufRead;

use ::csv::ByteRecord;
use ::csv::ReaderBuilder;
use ::csv::Trim;

pub use self::config::Mapping;
pub use self::config::SIZE_MAX;
use self::layout::Layout;
use self::row::Row;
use crate::formats::csv::BookRow;
use crate::formats::csv::BookTable;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::fields::ExponentOf;
use crate::formats::stream::ENTRIES_MAX;
use crate::formats::xml::Source;
use crate::formats::xml::without_mark;

/// Largest row, in bytes.
pub const ROW_SIZE_MAX: usize = 64 * 1024;

/// Reads a table that is in memory. All or none of its rows are read.
pub fn read(
    bytes: &[u8],
    mapping: &Mapping,
    exponent_of: ExponentOf<'_>,
) -> Result<BookTable, FormatError> {
    let mut rows = stream(bytes, mapping, exponent_of)?;
    let mut kept = Vec::new();
    for row in &mut rows {
        let row = row?;
        if kept.len() == ENTRIES_MAX {
            return Err(FormatError::new(
                row.entry.place,
                format!("the table has more than {ENTRIES_MAX} entries"),
                "split it into several files, or read it as a stream",
            ));
        }
        kept.push(row);
    }
    Ok(BookTable { rows: kept, warnings: rows.warnings })
}

/// Reads a table of any length, row by row.
pub fn stream<'m, R: BufRead + 'm>(
    bytes: R,
    mapping: &'m Mapping,
    exponent_of: ExponentOf<'m>,
) -> Result<Rows<'m, impl BufRead + 'm>, FormatError> {
    Rows::new(without_mark(bytes)?, mapping, exponent_of)
}

/// The rows of a table. After an error nothing comes, and nothing of the table may be used.
pub struct Rows<'m, R> {
    reader: ::csv::Reader<Source<R>>,
    mapping: &'m Mapping,
    layout: Layout,
    exponent_of: ExponentOf<'m>,
    /// Rows that may yet turn out to be the last ones, which the mapping skips.
    held: VecDeque<(u64, ByteRecord)>,
    /// Rows read, from 1.
    number: u64,
    /// What was passed over so far.
    pub warnings: Warnings,
    done: bool,
}

impl<R: BufRead> Iterator for Rows<'_, R> {
    type Item = Result<BookRow, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.advance() {
                Ok(Some(row)) => return Some(Ok(row)),
                Ok(None) => {}
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl<'m, R: BufRead> Rows<'m, R> {
    fn new(
        bytes: R,
        mapping: &'m Mapping,
        exponent_of: ExponentOf<'m>,
    ) -> Result<Rows<'m, R>, FormatError> {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(mapping.delimiter)
            .from_reader(Source::new(bytes));
        let mut rows = Rows {
            reader,
            mapping,
            layout: Layout::default(),
            exponent_of,
            held: VecDeque::new(),
            number: 0,
            warnings: Warnings::default(),
            done: false,
        };
        for _ in 0..mapping.skip_rows {
            rows.record()?;
        }
        let header = if mapping.header { rows.record()? } else { None };
        rows.layout = match &header {
            Some(header) => mapping.layout_of(rows.number, header)?,
            None if mapping.header => {
                return Err(FormatError::new(
                    format!("row {}", rows.number + 1),
                    "the header is missing",
                    "give a table with the names of its columns in front",
                ));
            }
            None => mapping.layout_without_header()?,
        };
        Ok(rows)
    }

    /// The next row; none at the end.
    fn record(&mut self) -> Result<Option<ByteRecord>, FormatError> {
        let mut record = ByteRecord::new();
        self.reader.get_mut().begin_piece(ROW_SIZE_MAX);
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.number += 1;
                Ok(Some(record))
            }
            Err(error) => Err(match error.into_kind() {
                ::csv::ErrorKind::Io(error) => self.reader.get_ref().refusal(&error),
                _ => FormatError::new(
                    format!("row {}", self.number + 1),
                    "it is not a row of this table",
                    "check the delimiter and the quotes",
                ),
            }),
        }
    }

    /// Takes one row of the file; what is read of it, unless it is held back or left out.
    fn advance(&mut self) -> Result<Option<BookRow>, FormatError> {
        let Some(record) = self.record()? else {
            self.done = true;
            return Ok(None);
        };
        self.held.push_back((self.number, record));
        if self.held.len() <= self.mapping.skip_rows_at_end {
            return Ok(None);
        }
        let Some((number, record)) = self.held.pop_front() else { return Ok(None) };
        let row = Row { number, record: &record, mapping: self.mapping, layout: &self.layout };
        row.read(self.exponent_of, &mut self.warnings)
    }
}
