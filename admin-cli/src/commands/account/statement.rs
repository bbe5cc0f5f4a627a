//! `account statement`: an account's day in a file, as banks exchange them.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use counterfoil_client::account_day::{AccountDay, DayQuery};
use counterfoil_client::formats::outgoing::{
    Format, LedgerStatement, Moment, StatementWriter, WriteError,
};
use counterfoil_client::formats::statement::StatementKind;
use counterfoil_client::watch::Position;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::verify::Finality;
use counterfoil_proto::v1;
use serde_json::json;

use super::parse_date;
use crate::account_name::AccountName;
use crate::context::Connection;
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::files::{self, Aside, Readers};
use crate::moment;
use crate::output::{Answer, Table, amount, amount_json};
use crate::progress::Progress;
use crate::session::Session;
use crate::verdict;

/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

/// Arguments of `account statement`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which.
    #[command(flatten)]
    account: AccountName,
    /// The settlement date of its postings (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    date: Date,
    /// What is made of them
    #[arg(long, value_enum, default_value_t = Kind::EndOfDay)]
    kind: Kind,
    /// How they are written
    #[arg(long, value_enum, default_value_t = FileFormat::Camt)]
    format: FileFormat,
    /// As the ledger stood after the block at this height; the newest that is final, unless given
    #[arg(long, value_name = "HEIGHT")]
    at_height: Option<u64>,
    /// Only postings behind this place: a height, or height:leaf; of notifications alone
    #[arg(long, value_name = "POSITION", value_parser = parse_position)]
    from_position: Option<Position>,
    /// Check balances, counts and sums against what a quorum signed, over every posting of the account
    #[arg(long, conflicts_with = "from_position")]
    proved: bool,
    /// The file to write; named after the statement, in this directory, unless given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The whole day, with opening and closing balance: camt.053
    EndOfDay,
    /// The day so far, with opening and interim balance: camt.052
    Intraday,
    /// Postings alone: camt.054
    Notification,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FileFormat {
    /// ISO 20022: camt.053.001.08, camt.052.001.08 or camt.054.001.08, by kind
    Camt,
    /// A table of book entries, as recon import reads it: no balances
    Csv,
    /// One JSON object
    Json,
}

impl Kind {
    fn of_statement(self) -> StatementKind {
        match self {
            Kind::EndOfDay => StatementKind::EndOfDay,
            Kind::Intraday => StatementKind::Intraday,
            Kind::Notification => StatementKind::Notification,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Kind::EndOfDay => "END_OF_DAY",
            Kind::Intraday => "INTRADAY",
            Kind::Notification => "NOTIFICATION",
        }
    }
}

/// A height means everything in its block, so that the end of one notification begins the next.
fn parse_position(text: &str) -> Result<Position, String> {
    let (height, leaf) = match text.split_once([':', '/']) {
        Some((height, leaf)) => (height.parse().ok(), leaf.parse().ok()),
        None => (text.parse().ok(), Some(u32::MAX)),
    };
    match (height, leaf) {
        (Some(height), Some(leaf)) => Ok(Position { height, leaf }),
        _ => Err("write a height, or height:leaf as account show --movements has it".to_owned()),
    }
}

impl Arguments {
    /// Does it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        if self.from_position.is_some() && self.kind != Kind::Notification {
            let message = "--from-position is of notifications alone";
            return Err(Failure::usage("POSITION_MISPLACED", message)
                .fact("a statement with balances has all entries of its day")
                .fix("add --kind notification, or leave --from-position out"));
        }
        self.out.as_deref().map_or(Ok(()), |out| self.refuse_existing(out))?;
        let session = Session::reading(&self.connection)?;
        if session.settings.read.mode() != v1::ReadMode::Final {
            let message = "a statement says what is final";
            return Err(Failure::usage("READ_MISPLACED", message)
                .fact("what is only ordered may, where nodes lie, be gone later")
                .fix("leave --read out"));
        }
        let query = DayQuery {
            account: self.account.id(&session)?,
            kind: self.kind.of_statement(),
            date: self.date,
            at_height: self.at_height,
            after: self.from_position,
        };
        let mut progress = Progress::new("read");
        let day = session.client.account_day(&query, |read, of| progress.set(read, of)).await?;
        drop(progress);
        let proved = if self.proved { Some(day.prove().await?) } else { None };
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from(self.name(&day.statement)));
        self.refuse_existing(&out)?;
        let size = self.write(&day, &out).await?;
        if day.statement.is_unfinished() && self.kind == Kind::EndOfDay {
            error::warn(&format!(
                "{} was not over at height {}: it may get more postings (the day of the ledger is UTC)",
                self.date, day.statement.as_of.height
            ));
        }
        Ok(self.describe(&day.statement, proved.as_ref(), &out, size))
    }

    fn refuse_existing(&self, out: &Path) -> Result<(), Failure> {
        match files::refuse_existing(&[out]) {
            Err(failure) if !self.force => {
                Err(failure.fact("--force writes over it, at once and as a whole"))
            }
            _ => Ok(()),
        }
    }

    /// What a file is called that was given no name.
    fn name(&self, statement: &LedgerStatement) -> String {
        let ending = match (self.format, self.kind) {
            (FileFormat::Csv, _) => "csv",
            (FileFormat::Json, _) => "json",
            (FileFormat::Camt, Kind::EndOfDay) => "camt053.xml",
            (FileFormat::Camt, Kind::Intraday) => "camt052.xml",
            (FileFormat::Camt, Kind::Notification) => "camt054.xml",
        };
        format!("{}.{ending}", statement.id())
    }

    /// Writes it; the file appears when it is whole. Its length in bytes.
    async fn write(&self, day: &AccountDay, out: &Path) -> Result<u64, Failure> {
        let aside = Aside::begin(out, Readers::Owner)?;
        let failed = |error: WriteError| match error {
            WriteError::Io(error) => aside.failed(&error),
            WriteError::Unwritable(error) => {
                Failure::new(Exit::Rejected, "STATEMENT_UNWRITABLE", error.fact)
                    .fact(format!("place: {}", error.place))
                    .fix(error.fix)
            }
        };
        let format = match self.format {
            FileFormat::Camt => Format::Camt,
            FileFormat::Csv => Format::Csv,
            FileFormat::Json => Format::Json,
        };
        let buffered = BufWriter::with_capacity(BUFFER, aside.file());
        let mut writer =
            StatementWriter::begin(day.statement.clone(), format, buffered).map_err(failed)?;
        let mut progress = Progress::new("entry");
        let (mut written, count) = (0, day.statement.totals.count());
        let mut entries = day.entries();
        while let Some(entry) = entries.next().await? {
            writer.entry(&entry).map_err(failed)?;
            written += 1;
            progress.set(written, count);
        }
        drop(progress);
        let buffered = writer.finish().map_err(failed)?;
        buffered.into_inner().map_err(|error| aside.failed(&error.into_error()))?;
        aside.finish()
    }

    fn describe(
        &self,
        statement: &LedgerStatement,
        proved: Option<&Finality>,
        out: &Path,
        size: u64,
    ) -> Answer {
        let LedgerStatement { account, totals, balances, as_of, .. } = statement;
        let asset = account.asset.as_str();
        let money = |units: i128| amount(units, account.exponent, asset);
        let money_json = |units: i128| amount_json(units, account.exponent, asset);
        let sum = |units: u128| i128::try_from(units).unwrap_or(i128::MAX);
        let (credits, debits) = (sum(totals.credits.units), sum(totals.debits.units));
        let json = json!({
            "file": out,
            "bytes": size.to_string(),
            "id": statement.id(),
            "kind": self.kind.as_str(),
            "sequence": statement.sequence().map(|number| number.to_string()),
            "account": account.id().to_string(),
            "servicer": account.servicer.as_str(),
            "owner": account.owner.as_str(),
            "name": account.name,
            "date": statement.date.to_string(),
            "dayIsOver": !statement.is_unfinished(),
            "opening": balances.map(|balances| money_json(balances.opening)),
            "creditCount": totals.credits.count.to_string(),
            "credits": money_json(credits),
            "debitCount": totals.debits.count.to_string(),
            "debits": money_json(debits),
            "closing": balances.map(|balances| money_json(balances.closing)),
            "asOf": {
                "height": as_of.height.to_string(),
                "headerHash": as_of.header_hash.to_string(),
                "blockTime": moment::utc_ms(as_of.block_time_ms),
            },
            "finality": proved.map(verdict::finality_json),
        });
        let balance = |units: Option<i128>| units.map_or("-".to_owned(), money);
        let closing = if self.kind == Kind::Intraday { "interim" } else { "closing" };
        let table = Table::facts([
            ("statement", statement.id()),
            (
                "account",
                format!("{} {asset} of {} at {}", account.name, account.owner, account.servicer),
            ),
            ("settlement date", statement.date.to_string()),
            ("opening", balance(balances.map(|balances| balances.opening))),
            ("credits", format!("{}  {}", totals.credits.count, money(credits))),
            ("debits", format!("{}  {}", totals.debits.count, money(debits))),
            (closing, balance(balances.map(|balances| balances.closing))),
            ("as of", as_of_text(as_of)),
            ("proved", proved.map_or("-".to_owned(), verdict::finality)),
            ("file", format!("{}, {size} bytes", out.display())),
        ]);
        let answer = Answer::new(json).table(table);
        match self.kind {
            Kind::Notification => {
                answer.line(format!("what comes next: --from-position {}", as_of.height))
            }
            Kind::EndOfDay | Kind::Intraday => {
                answer.line(format!("the same bytes again: --at-height {}", as_of.height))
            }
        }
    }
}

fn as_of_text(as_of: &Moment) -> String {
    format!("height {}, {}", as_of.height, moment::utc_ms(as_of.block_time_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        let position = |height, leaf| Ok(Position { height, leaf });
        assert_eq!(parse_position("12:3"), position(12, 3));
        assert_eq!(parse_position("12/3"), position(12, 3));
        assert_eq!(parse_position("12"), position(12, u32::MAX));
        for bad in ["", "12:", ":3", "12:3:4", "-1", "12:4294967296", "x"] {
            assert!(parse_position(bad).is_err(), "{bad}");
        }
    }
}
