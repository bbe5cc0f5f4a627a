//! The mapping file: what the columns of a table mean.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::date_format::DateFormat;
use super::layout::Meaning;
use crate::formats::error::FormatError;
use crate::formats::error::quote;

/// Largest mapping file, in bytes.
pub const SIZE_MAX: usize = 64 * 1024;

/// Most rows that can be skipped at either end.
const SKIPPED_MAX: usize = 1_000;

/// What the columns of a table mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub(super) delimiter: u8,
    pub(super) encoding: Encoding,
    pub(super) header: bool,
    pub(super) skip_rows: usize,
    pub(super) skip_rows_at_end: usize,
    pub(super) decimal_separator: char,
    pub(super) thousands_separator: Option<char>,
    pub(super) date_format: DateFormat,
    pub(super) columns: BTreeMap<Meaning, Column>,
    pub(super) fixed: BTreeMap<Meaning, String>,
    pub(super) sign: Sign,
    /// Of the table of our own: every column is known, and its references are to be perfect.
    pub(super) own: bool,
}

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Encoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "latin-1")]
    Latin1,
}

/// A column by its name in the header, or by its number from 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Column {
    Number(u16),
    Name(String),
}

/// How the side of an entry is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// By the sign of the amount.
    Signed { positive_is_credit: bool },
    /// By the column that the amount stands in.
    Columns { debit_is_negative: bool },
    /// By a word.
    Indicator { credit: Vec<String>, debit: Vec<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    delimiter: Option<String>,
    encoding: Option<Encoding>,
    header: Option<bool>,
    skip_rows: Option<usize>,
    skip_rows_at_end: Option<usize>,
    decimal_separator: Option<char>,
    thousands_separator: Option<char>,
    date_format: String,
    columns: BTreeMap<Meaning, Column>,
    #[serde(default)]
    fixed: BTreeMap<Meaning, String>,
    sign: SignSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "convention", rename_all = "kebab-case")]
enum SignSection {
    Signed { positive: Option<PositiveSide> },
    Columns { debit_is_negative: Option<bool> },
    Indicator { credit: Vec<String>, debit: Vec<String> },
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PositiveSide {
    Credit,
    Debit,
}

impl Mapping {
    /// Reads a mapping file.
    pub fn parse(text: &str) -> Result<Mapping, FormatError> {
        if text.len() > SIZE_MAX {
            return Err(refuse("the file", format!("it has more than {SIZE_MAX} bytes")));
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                1 + text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count()
            });
            let place = line.map_or("the file".to_owned(), |line| format!("line {line}"));
            refuse(&place, error.message().to_owned())
        })?;
        let delimiter = file.delimiter.as_deref().unwrap_or(",").as_bytes();
        let &[delimiter @ (b'\t' | b' '..=b'~')] = delimiter else {
            return Err(refuse("delimiter", "it is not one character of ASCII".to_owned()));
        };
        let mapping = Mapping {
            delimiter,
            encoding: file.encoding.unwrap_or(Encoding::Utf8),
            header: file.header.unwrap_or(true),
            skip_rows: file.skip_rows.unwrap_or(0),
            skip_rows_at_end: file.skip_rows_at_end.unwrap_or(0),
            decimal_separator: file.decimal_separator.unwrap_or('.'),
            thousands_separator: file.thousands_separator,
            date_format: DateFormat::parse(&file.date_format)?,
            columns: file.columns,
            fixed: file.fixed,
            sign: match file.sign {
                SignSection::Signed { positive } => {
                    Sign::Signed { positive_is_credit: positive != Some(PositiveSide::Debit) }
                }
                SignSection::Columns { debit_is_negative } => {
                    Sign::Columns { debit_is_negative: debit_is_negative.unwrap_or(false) }
                }
                SignSection::Indicator { credit, debit } => Sign::Indicator { credit, debit },
            },
            own: false,
        };
        mapping.check()?;
        Ok(mapping)
    }

    /// The mapping of the table of our own, which needs no file.
    pub fn standard() -> Mapping {
        let column = |meaning: Meaning| (meaning, Column::Name(meaning.name().to_owned()));
        Mapping {
            delimiter: b',',
            encoding: Encoding::Utf8,
            header: true,
            skip_rows: 0,
            skip_rows_at_end: 0,
            decimal_separator: '.',
            thousands_separator: None,
            date_format: DateFormat::iso(),
            columns: Meaning::OWN.into_iter().map(column).collect(),
            fixed: BTreeMap::new(),
            sign: Sign::Indicator {
                credit: vec!["CREDIT".to_owned()],
                debit: vec!["DEBIT".to_owned()],
            },
            own: true,
        }
    }

    fn check(&self) -> Result<(), FormatError> {
        if self.skip_rows.max(self.skip_rows_at_end) > SKIPPED_MAX {
            return Err(refuse("skip_rows", format!("more than {SKIPPED_MAX} rows are skipped")));
        }
        let separators = [Some(self.decimal_separator), self.thousands_separator];
        let odd = |character: &char| character.is_ascii_digit() || "+-".contains(*character);
        if separators.iter().flatten().any(odd) || separators[0] == separators[1] {
            let fact = "the separators of amounts are the same, digits or signs".to_owned();
            return Err(refuse("decimal_separator", fact));
        }
        for meaning in self.fixed.keys() {
            if !meaning.may_be_fixed() {
                let fact = "it differs from row to row and cannot be fixed".to_owned();
                return Err(refuse(&format!("fixed.{}", meaning.name()), fact));
            }
            if self.columns.contains_key(meaning) {
                let fact = "it has a column, too".to_owned();
                return Err(refuse(&format!("fixed.{}", meaning.name()), fact));
            }
        }
        if let Sign::Indicator { credit, debit } = &self.sign
            && (credit.is_empty()
                || debit.is_empty()
                || credit.iter().any(|one| debit.contains(one)))
        {
            let fact = "a side has no word, or both have the same".to_owned();
            return Err(refuse("sign", fact));
        }
        self.check_columns()
    }

    /// The columns that the sign convention needs are there, and those of another are not.
    fn check_columns(&self) -> Result<(), FormatError> {
        let (needed, foreign): (&[Meaning], &[Meaning]) = match &self.sign {
            Sign::Signed { .. } => {
                (&[Meaning::Amount], &[Meaning::Credit, Meaning::Debit, Meaning::Side])
            }
            Sign::Columns { .. } => {
                (&[Meaning::Credit, Meaning::Debit], &[Meaning::Amount, Meaning::Side])
            }
            Sign::Indicator { .. } => {
                (&[Meaning::Amount, Meaning::Side], &[Meaning::Credit, Meaning::Debit])
            }
        };
        let given = |meaning: &Meaning| {
            self.columns.contains_key(meaning) || self.fixed.contains_key(meaning)
        };
        let always = [Meaning::BookingDate, Meaning::Currency];
        if let Some(missing) = needed.iter().chain(&always).find(|meaning| !given(meaning)) {
            let fact = "the mapping does not say which column it is".to_owned();
            return Err(refuse(&format!("columns.{}", missing.name()), fact));
        }
        if let Some(odd) = foreign.iter().find(|meaning| given(meaning)) {
            let fact = "it has no place in this convention of signs".to_owned();
            return Err(refuse(&format!("columns.{}", odd.name()), fact));
        }
        let account = Meaning::ACCOUNT.iter().filter(|meaning| given(meaning)).count();
        if account != 0 && account != Meaning::ACCOUNT.len() {
            let fact = "an account has servicer, owner and name: all of them, or none".to_owned();
            return Err(refuse("columns", fact));
        }
        Ok(())
    }
}

fn refuse(place: &str, fact: String) -> FormatError {
    FormatError::new(
        format!("mapping, {place}"),
        fact.trim().replace('\n', " "),
        "see docs/how-to/import-books.md for the keys of a mapping",
    )
}

/// A key that names a meaning.
impl<'de> Deserialize<'de> for Meaning {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Meaning, D::Error> {
        let name = String::deserialize(deserializer)?;
        Meaning::named(&name).ok_or_else(|| {
            let known: Vec<&str> = Meaning::ALL.iter().map(|meaning| meaning.name()).collect();
            let fact = format!("unknown key {}, known are {}", quote(&name), known.join(", "));
            serde::de::Error::custom(fact)
        })
    }
}
