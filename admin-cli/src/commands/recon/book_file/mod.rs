//! A file of a bank's book, made into what is signed: entries, and statements that say for which
//! dates the book is complete.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use counterfoil_client::formats::detect::{Kind, detect};
use counterfoil_client::formats::error::{FormatError, Warnings};
use counterfoil_client::formats::fields::ExponentOf;
use counterfoil_client::formats::integrity::{Finding, FindingKind, History};
use counterfoil_client::formats::mapping::{Mapping, SIZE_MAX as MAPPING_SIZE_MAX};
use counterfoil_client::formats::statement::{EntryStatus, StatementKind};
use counterfoil_client::formats::xml::SIZE_MAX;
use counterfoil_client::formats::{camt, csv, mapping, mt, statement};
use counterfoil_client::instructions;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::{AssetCode, parse_amount};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_proto::v1;

use crate::account_name::{SETTLEMENT, account_id, parse_asset};
use crate::commands::account::parse_date;
use crate::commands::submit::format_failure;
use crate::context::parse_bic;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files;

/// Which book, and what the file does not say of itself.
#[derive(Debug, clap::Args)]
pub struct BookFile {
    /// The book: camt.053, camt.052, camt.054, MT940, MT942 or a CSV of entries
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// What the columns of a bank's own CSV mean: a TOML file (docs/how-to/import-books.md)
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// The account's owner, where the file does not say; your institution, unless given
    #[arg(long, value_name = "BIC")]
    pub owner: Option<String>,
    /// The account's asset, where rows of a table are in another one: they become currency breaks
    #[arg(long, value_name = "CODE")]
    pub asset: Option<String>,
    /// The account's name, where the file does not say
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    pub name: String,
    /// The file shows the account from the other side (your nostro mirror): turn every side round
    #[arg(long)]
    pub mirror: bool,
    /// The statement's identification, where the file has none
    #[arg(long, value_name = "TEXT")]
    pub statement_id: Option<String>,
    /// First date that the book covers, where the file does not say (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub from: Option<Date>,
    /// Last date that it covers, where the file does not say (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub to: Option<Date>,
    /// Balance before the first entry, where the file does not say; negative = debit
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true)]
    pub opening: Option<String>,
    /// Balance after the last entry, where the file does not say; negative = debit
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true)]
    pub closing: Option<String>,
    /// Take a statement whose balances and entries do not add up
    #[arg(long)]
    pub accept_difference: bool,
}

/// One account's part of a file.
#[derive(Debug)]
pub struct Part {
    /// The account.
    pub account: AccountId,
    /// The account, for people.
    pub title: String,
    /// What the book booked, and behind it what it expects.
    pub entries: Vec<v1::BookEntry>,
    /// For which dates it is complete; none if it does not say.
    pub statement: Option<v1::Statement>,
    /// What was passed over, and why.
    pub warnings: Vec<String>,
}

/// Whose accounts are meant where a file does not say.
pub struct Defaults {
    /// The servicer.
    pub servicer: Option<Bic>,
    /// The institution that imports.
    pub institution: Bic,
}

impl BookFile {
    /// Reads the file's bytes.
    pub fn read(&self) -> Result<Vec<u8>, Failure> {
        files::read(&self.file, u64::try_from(SIZE_MAX).unwrap_or(u64::MAX))
    }

    fn read_mapping(&self) -> Result<Option<Mapping>, Failure> {
        let Some(path) = &self.mapping else { return Ok(None) };
        let bytes = files::read(path, u64::try_from(MAPPING_SIZE_MAX).unwrap_or(u64::MAX))?;
        let text = String::from_utf8_lossy(&bytes);
        let mapping = Mapping::parse(&text).map_err(|error| format_failure(path, &error))?;
        Ok(Some(mapping))
    }

    /// Makes the parts of the file; all or none.
    pub fn parts(
        &self,
        bytes: &[u8],
        registry: &Registry,
        defaults: &Defaults,
    ) -> Result<Vec<Part>, Failure> {
        let exponent_of = |code: &str| registry.asset(code).map(|asset| asset.exponent);
        let mut parts = self.parts_of(bytes, &exponent_of, defaults)?;
        let original = Bytes::copy_from_slice(Hash::of(bytes).as_bytes());
        for statement in parts.iter_mut().filter_map(|part| part.statement.as_mut()) {
            statement.original = original.clone();
        }
        Ok(parts)
    }

    fn parts_of(
        &self,
        bytes: &[u8],
        exponent_of: ExponentOf<'_>,
        defaults: &Defaults,
    ) -> Result<Vec<Part>, Failure> {
        let refuse = |error: FormatError| format_failure(&self.file, &error);
        if let Some(mapping) = self.read_mapping()? {
            let table = mapping::read(bytes, &mapping, exponent_of).map_err(refuse)?;
            return self.of_table(table, exponent_of, defaults);
        }
        match detect(bytes).map_err(refuse)? {
            Kind::Camt(_) => {
                let statements = camt::read(bytes, exponent_of).map_err(refuse)?;
                self.of_statements(statements, defaults)
            }
            Kind::Mt => {
                let statements = mt::read(bytes, exponent_of).map_err(refuse)?;
                self.of_statements(statements, defaults)
            }
            Kind::BookEntriesCsv => {
                let table = csv::read_book(bytes, exponent_of).map_err(refuse)?;
                self.of_table(table, exponent_of, defaults)
            }
            kind => {
                let message = format!("{} is {kind}", self.file.display());
                Err(Failure::usage("FILE_NO_BOOK", message)
                    .fact("nothing of the file was used")
                    .fix("give camt.053, camt.052, camt.054, MT940, MT942 or a book entries CSV"))
            }
        }
    }

    /// What one flag says cannot be true of several statements.
    fn refuse_flags_for_many(&self, only: bool) -> Result<(), Failure> {
        let given = self.statement_id.is_some()
            || self.from.is_some()
            || self.to.is_some()
            || self.opening.is_some()
            || self.closing.is_some();
        if only || !given {
            return Ok(());
        }
        Err(Failure::usage("STATEMENTS_SEVERAL", "the file has more than one statement")
            .fact("--statement-id, --from, --to, --opening and --closing are of one")
            .fix("split the file, or leave them out"))
    }

    fn of_statements(
        &self,
        statements: Vec<statement::Statement>,
        defaults: &Defaults,
    ) -> Result<Vec<Part>, Failure> {
        if self.asset.is_some() {
            return Err(Failure::usage("ASSET_NOT_MEANT", "--asset is of tables alone")
                .fact("a statement is in the currency of its account")
                .fix("leave it out"));
        }
        self.refuse_flags_for_many(statements.len() == 1)?;
        let mut history = History::default();
        let made = statements.into_iter().map(|statement| {
            let findings = history.check(&statement, &statement.movements());
            self.of_statement(statement, &findings, defaults)
        });
        made.collect()
    }

    fn of_statement(
        &self,
        statement: statement::Statement,
        findings: &[Finding],
        defaults: &Defaults,
    ) -> Result<Part, Failure> {
        let difference = statement.difference().unwrap_or(0);
        if difference != 0 && !self.accept_difference {
            let message = format!("{} does not add up", statement.place);
            return Err(Failure::new(Exit::Conflict, "STATEMENT_WRONG", message)
                .fact(format!("closing - opening - entries = {difference} minor units"))
                .fact("a statement that was cut would make breaks of what it lacks")
                .fix("get the whole statement, or give --accept-difference"));
        }
        let asset = statement.currency.as_str();
        let servicer = match statement.servicer.or(defaults.servicer) {
            Some(servicer) => servicer,
            None => return Err(self.unnamed(&statement.place, "servicer")),
        };
        let owner = self.owner(statement.owner, defaults)?;
        let account = account_id(&servicer, &owner, asset, &self.name)?;
        let all = statement.entries.iter().chain(&statement.expectations);
        let postings = all.flat_map(statement::Entry::postings);
        let currency = &statement.currency;
        let entries = postings.filter_map(|entry| self.entry(account, currency, entry)).collect();
        let mut warnings = texts(&statement.warnings);
        // What flags complete is no fault of the import.
        let findings = findings.iter().filter(|one| one.kind != FindingKind::BalanceMissing);
        warnings.extend(findings.map(Finding::to_string));
        for left_out in &statement.left_out {
            warnings.push(format!("{}: left out, {}", left_out.place, left_out.reason));
        }
        let information = |entry: &&statement::Entry| entry.status == EntryStatus::Information;
        let count = statement.expectations.iter().filter(information).count();
        if count > 0 {
            let place = &statement.place;
            warnings.push(format!("{place}: {count} entries are for information, and not sent"));
        }
        let declared = match partial(&statement) {
            None => Some(self.declared(account, &statement)?),
            Some(why) => {
                warnings.push(format!(
                    "{}: {why}; entries are taken, nothing is decided missing",
                    statement.place
                ));
                None
            }
        };
        Ok(Part {
            title: format!("{} {asset} of {owner} at {servicer}", self.name),
            account,
            entries,
            statement: declared,
            warnings,
        })
    }

    /// The statement that is signed: what the file says, completed by flags.
    fn declared(
        &self,
        account: AccountId,
        statement: &statement::Statement,
    ) -> Result<v1::Statement, Failure> {
        let id = match (&self.statement_id, statement.id.as_str()) {
            (Some(id), _) => id.as_str(),
            (None, "") => return Err(self.incomplete(&statement.place, "statement-id")),
            (None, id) => id,
        };
        let balance = |flag: &Option<String>, given: Option<statement::Balance>, name: &str| match (
            flag, given,
        ) {
            (Some(text), _) => signed_amount(text, statement.exponent),
            (None, Some(balance)) => Ok(balance.units),
            (None, None) => Err(self.incomplete(&statement.place, name)),
        };
        let opening = balance(&self.opening, statement.opening, "opening")?;
        let closing = balance(&self.closing, statement.closing, "closing")?;
        let dates = (self.from.unwrap_or(statement.from), self.to.unwrap_or(statement.to));
        let turned = |units: i64| if self.mirror { -units } else { units };
        let numbers = &statement.sequence;
        Ok(v1::Statement {
            sequence: numbers.electronic.or(numbers.legal).unwrap_or_default(),
            ..instructions::statement(account, id, dates, turned(opening), turned(closing))
        })
    }

    /// Rows by account, in the order in which the accounts first appear.
    fn of_table(
        &self,
        table: csv::BookTable,
        exponent_of: ExponentOf<'_>,
        defaults: &Defaults,
    ) -> Result<Vec<Part>, Failure> {
        let asset = self.asset.as_deref().map(parse_asset).transpose()?;
        let mut parts: Vec<Part> = Vec::new();
        let mut exponents = Vec::new();
        let mut index = BTreeMap::new();
        for row in &table.rows {
            let (servicer, owner, name) = match &row.account {
                Some(named) => (named.servicer, named.owner, named.name.as_str()),
                None => {
                    let servicer = defaults.servicer;
                    let servicer =
                        servicer.ok_or_else(|| self.unnamed(&row.entry.place, "servicer"))?;
                    (servicer, self.owner(None, defaults)?, self.name.as_str())
                }
            };
            let asset = asset.as_ref().unwrap_or(&row.entry.amount.currency);
            let account = account_id(&servicer, &owner, asset.as_str(), name)?;
            let at = *index.entry(account).or_insert_with(|| {
                exponents.push(exponent_of(asset.as_str()).unwrap_or(row.entry.amount.exponent));
                parts.push(Part {
                    account,
                    title: format!("{name} {asset} of {owner} at {servicer}"),
                    entries: Vec::new(),
                    statement: None,
                    warnings: Vec::new(),
                });
                parts.len() - 1
            });
            parts[at].entries.extend(self.entry(account, asset, &row.entry));
        }
        self.refuse_flags_for_many(parts.len() == 1)?;
        if let ([part], [exponent]) = (parts.as_mut_slice(), exponents.as_slice()) {
            part.warnings = texts(&table.warnings);
            part.statement = self.declared_by_flags(part.account, *exponent)?;
        }
        for part in parts.iter_mut().filter(|part| part.statement.is_none()) {
            part.warnings.push(format!(
                "{}: no statement (--statement-id, --from, --to, --opening, --closing): nothing is decided missing",
                part.title
            ));
        }
        Ok(parts)
    }

    /// A table says nothing of itself: its statement is what all five flags say, or none.
    fn declared_by_flags(
        &self,
        account: AccountId,
        exponent: u8,
    ) -> Result<Option<v1::Statement>, Failure> {
        let BookFile { statement_id, from, to, opening, closing, .. } = self;
        let given = (statement_id, from, to, opening, closing);
        let (Some(id), Some(from), Some(to), Some(opening), Some(closing)) = given else {
            let some = statement_id.is_some()
                || from.is_some()
                || to.is_some()
                || opening.is_some()
                || closing.is_some();
            return match some {
                false => Ok(None),
                true => Err(Failure::usage("STATEMENT_INCOMPLETE", "a statement needs all of it")
                    .fix("give --statement-id, --from, --to, --opening and --closing together")),
            };
        };
        let (opening, closing) =
            (signed_amount(opening, exponent)?, signed_amount(closing, exponent)?);
        let turned = |units: i64| if self.mirror { -units } else { units };
        let dates = (*from, *to);
        Ok(Some(instructions::statement(account, id, dates, turned(opening), turned(closing))))
    }

    /// As it is signed; none if it is for information only.
    fn entry(
        &self,
        account: AccountId,
        asset: &AssetCode,
        entry: &statement::Entry,
    ) -> Option<v1::BookEntry> {
        let side = if self.mirror { entry.side.opposite() } else { entry.side };
        entry.to_book_entry(account, asset, side)
    }

    fn owner(&self, named: Option<Bic>, defaults: &Defaults) -> Result<Bic, Failure> {
        match (&self.owner, named) {
            (Some(owner), _) => parse_bic(owner),
            (None, Some(owner)) => Ok(owner),
            (None, None) => Ok(defaults.institution),
        }
    }

    fn unnamed(&self, place: &str, what: &str) -> Failure {
        Failure::usage("ACCOUNT_UNNAMED", format!("{place} does not say who its {what} is"))
            .fix(format!("give --{what} BIC"))
    }

    fn incomplete(&self, place: &str, flag: &str) -> Failure {
        Failure::usage("STATEMENT_INCOMPLETE", format!("{place} does not say its {flag}"))
            .fact("only a whole statement decides what is missing")
            .fix(format!("give --{flag}"))
    }
}

/// Why a statement is not the whole book of its days, if it is not.
fn partial(statement: &statement::Statement) -> Option<&'static str> {
    match statement.kind {
        StatementKind::Intraday => Some("it is a report during the day"),
        StatementKind::Notification => Some("it is a notification"),
        StatementKind::EndOfDay if !statement.first_page => Some("it began in another file"),
        StatementKind::EndOfDay if !statement.last_page => Some("it goes on in another file"),
        StatementKind::EndOfDay => None,
    }
}

fn texts(warnings: &Warnings) -> Vec<String> {
    let mut texts: Vec<String> =
        warnings.kept().iter().map(|one| format!("{}: {}", one.place, one.fact)).collect();
    if warnings.omitted() > 0 {
        texts.push(format!("and {} more", warnings.omitted()));
    }
    texts
}

/// Reads a decimal with an optional minus sign.
fn signed_amount(text: &str, exponent: u8) -> Result<i64, Failure> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let units = parse_amount(digits, exponent).map_err(|error| {
        Failure::usage("AMOUNT_MALFORMED", format!("{text:?} is not a balance"))
            .fact(error.to_string())
    })?;
    let units = i64::try_from(units).expect("parse_amount keeps to 63 bits");
    Ok(if negative { -units } else { units })
}

#[cfg(test)]
mod tests;
