//! `recon import`: a bank's book of an account, signed and sent.
//!
//! Entries go first, in batches, then the statement: it decides what is missing among what was sent
//! before it.

use std::path::Path;

use counterfoil_client::client::Client;
use counterfoil_client::instructions::{Order, Signed};
use counterfoil_client::originals::KeptAt;
use counterfoil_client::outcome::Outcome;
use counterfoil_client::reconciliation::{self, Report};
use counterfoil_client::{Error, Fate};
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::registry::Registry;
use counterfoil_proto::v1;
use prost::Message;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::book_file::{BookFile, Defaults, Part};
use super::import_record::{ImportRecord, Progress as Earlier};
use super::{originals, standing};
use crate::commands::account::date;
use crate::commands::genesis;
use crate::context::{Connection, Settings};
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::output::{Answer, Table};
use crate::progress::Progress;
use crate::session::{self, Session, state_directory};
use crate::verdict;
use crate::waiting::Waiting;

/// Warnings of one file that are shown.
const WARNINGS_SHOWN_MAX: usize = 20;

/// Arguments of `recon import`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file, and what it does not say of itself.
    #[command(flatten)]
    book: BookFile,
    /// Entries under one signature
    #[arg(long, value_name = "COUNT", default_value_t = 1_000,
        value_parser = clap::value_parser!(u16).range(1..=8_192))]
    batch: u16,
    /// Import although the book has a statement for some of these dates, or was imported before
    #[arg(long)]
    again: bool,
    /// Read, check and show the book; sign and send nothing
    #[arg(long)]
    dry_run: bool,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// What became of a part.
struct Imported {
    recorded: usize,
    rejected: usize,
    resumed: bool,
    /// Where the file is kept, if the agreement keeps originals.
    original: Option<KeptAt>,
    statement: Option<Outcome>,
    /// What the entries' dates come to, between the book and each source that it is compared with.
    reports: Vec<Report>,
}

/// What a part's book is compared with.
struct Compared {
    source: v1::Source,
    comparisons: Vec<v1::Comparison>,
}

impl Arguments {
    /// Does it.
    pub fn run(&self) -> Result<Answer, Failure> {
        let settings = Settings::resolve(&self.connection)?;
        let bytes = self.book.read()?;
        if self.dry_run {
            let registry = Registry::of(&genesis::load(settings.genesis()?)?);
            let institution = settings.institution()?;
            let defaults = Defaults { servicer: settings.servicer().ok(), institution };
            let parts = self.book.parts(&bytes, &registry, &defaults)?;
            warn(&parts);
            return Ok(describe(&parts, &[]));
        }
        session::run(self.import(&bytes))
    }

    async fn import(&self, bytes: &[u8]) -> Result<Answer, Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        let defaults = Defaults {
            servicer: session.settings.servicer().ok(),
            institution: session.institution(),
        };
        let parts = self.book.parts(bytes, session.client.registry(), &defaults)?;
        warn(&parts);
        let imports = state_directory()?.join("imports");
        let mut imported = Vec::with_capacity(parts.len());
        for part in &parts {
            imported.push(self.import_part(&session, &imports, part, bytes).await?);
        }
        Ok(describe(&parts, &imported))
    }

    async fn import_part(
        &self,
        session: &Session,
        imports: &Path,
        part: &Part,
        bytes: &[u8],
    ) -> Result<Imported, Failure> {
        let client = &session.client;
        let compared = Compared::of(session, part).await?;
        let chain = client.chain_id().to_string();
        let institution = session.institution();
        let key = key(part, bytes);
        let record = ImportRecord::new(imports, &chain, institution.as_str(), &key);
        // The file goes before the statement that names it: whoever reads the statement finds it.
        let (signed, resumed, original) = match record.progress()? {
            Earlier::Begun(signed) => {
                (signed, true, originals::keep::keep(session, part, bytes).await?)
            }
            Earlier::Done if !self.again => return Err(imported_before(part)),
            earlier => {
                if matches!(earlier, Earlier::Done) {
                    record.forget();
                }
                self.refuse_covered(session, part, &compared).await?;
                let original = originals::keep::keep(session, part, bytes).await?;
                let signed = self.sign(client, part).await?;
                record.begin(&signed)?;
                (signed, false, original)
            }
        };
        let mut imported = Imported {
            recorded: 0,
            rejected: 0,
            resumed,
            original,
            statement: None,
            reports: Vec::new(),
        };
        let mut progress = Progress::new("sent");
        for (number, one) in signed.iter().enumerate() {
            let sent = match client.send(one).await {
                Err(error) => match too_late(one, &error) {
                    Some(order) => {
                        let anew = client.sign(order).await?;
                        record.replace(number, &anew)?;
                        client.send(&anew).await
                    }
                    None => Err(error),
                },
                decided => decided,
            };
            let outcome = sent.map_err(|error| {
                // A definite no to the first leaves nothing on the ledger: let it be corrected and
                // imported anew.
                if number == 0 && !resumed && error.outcome() == Fate::NotTaken {
                    record.forget();
                }
                Failure::from(error)
            })?;
            imported.take(outcome);
            progress.set(count(number + 1), count(signed.len()));
        }
        record.finish()?;
        // Everything is on the ledger: what it came to can be asked for later.
        match compared.reports(session, part).await {
            Ok(reports) => imported.reports = reports,
            Err(failure) => error::warn(&format!("what it came to: {}", failure.message)),
        }
        Ok(imported)
    }

    /// A second statement for the same dates is nearly always the same book once more.
    async fn refuse_covered(
        &self,
        session: &Session,
        part: &Part,
        compared: &Compared,
    ) -> Result<(), Failure> {
        let Some(statement) = part.statement.as_ref().filter(|_| !self.again) else {
            return Ok(());
        };
        let reports = compared.reports(session, part).await?;
        let own = reports.iter().map(|report| compared.own(report).statement_count);
        let covered = own.max().unwrap_or(0);
        if covered == 0 {
            return Ok(());
        }
        let (from, to) = (date(statement.from_date), date(statement.to_date));
        let message = format!("the book of {} has a statement already", part.title);
        Err(Failure::new(Exit::Conflict, "BOOK_COVERED", message)
            .fact(format!("statements that cover dates from {from} to {to}: {covered}"))
            .fact("importing the same entries twice makes duplicates of them")
            .fix("see counterfoil recon report; give --again if these are other entries"))
    }

    async fn sign(&self, client: &Client, part: &Part) -> Result<Vec<Signed>, Failure> {
        let mut signed = Vec::new();
        for entries in part.entries.chunks(usize::from(self.batch)) {
            signed.push(client.sign(Order::book_entries(entries.to_vec())).await?);
        }
        if let Some(statement) = &part.statement {
            signed.push(client.sign(Order::statement(statement.clone())).await?);
        }
        Ok(signed)
    }
}

/// The same order, to be signed anew, of an instruction that expired before it was taken.
fn too_late(signed: &Signed, error: &Error) -> Option<Order> {
    let reason = error.refusal().and_then(|refusal| refusal.known);
    let expired = matches!(reason, Some(Reason::Expired | Reason::IdTooOld));
    if expired && error.outcome() == Fate::NotTaken { order_of(signed) } else { None }
}

/// What an instruction of a record orders.
fn order_of(signed: &Signed) -> Option<Order> {
    let message = v1::SignedInstruction::decode(signed.bytes().clone()).ok()?;
    let instruction = v1::Instruction::decode(message.instruction).ok()?;
    match instruction.body? {
        v1::instruction::Body::BookEntries(_) => {
            let entries = message.items.into_iter().map(v1::BookEntry::decode);
            Some(Order::book_entries(entries.collect::<Result<_, _>>().ok()?))
        }
        v1::instruction::Body::Statement(statement) => Some(Order::statement(statement)),
        _ => None,
    }
}

/// What makes an import the same: its account with its statement's identification or, where it has
/// none, with the file's bytes.
fn key(part: &Part, bytes: &[u8]) -> String {
    let what = match &part.statement {
        Some(statement) => statement.statement_id.clone(),
        None => Hash::of(bytes).to_string(),
    };
    Hash::of_parts(&[part.account.as_bytes(), what.as_bytes()]).to_string()
}

impl Compared {
    async fn of(session: &Session, part: &Part) -> Result<Compared, Failure> {
        let of = Reconciled::of(session, part.account).await?;
        let source = match of.party(session)? {
            Party::Owner => v1::Source::OwnerBook,
            Party::Servicer => v1::Source::ServicerBook,
        };
        let Some(agreement) = session.client.agreement_of(part.account).await? else {
            let title = &part.title;
            error::warn(&format!("nothing is agreed about {title}: its books are not compared"));
            return Ok(Compared { source, comparisons: Vec::new() });
        };
        let agreed = reconciliation::comparisons(&agreement.terms);
        let own = |one: &v1::Comparison| {
            reconciliation::sources(*one).is_some_and(|sources| sources.contains(&source))
        };
        Ok(Compared { source, comparisons: agreed.into_iter().filter(own).collect() })
    }

    /// The reports over a part's dates.
    async fn reports(&self, session: &Session, part: &Part) -> Result<Vec<Report>, Failure> {
        let Some(dates) = dates(part) else { return Ok(Vec::new()) };
        let mut reports = Vec::new();
        for comparison in &self.comparisons {
            let report = session.client.report(part.account, *comparison, Some(dates)).await?;
            reports.push(report.value);
        }
        Ok(reports)
    }

    /// The side of a report that is the imported book's.
    fn own<'r>(&self, report: &'r Report) -> &'r v1::RangeFigures {
        let sources = reconciliation::sources(report.comparison);
        let first = sources.is_some_and(|[first, _]| first == self.source);
        if first { &report.first } else { &report.second }
    }
}

/// The value dates of a part: those of its statement, or else of its entries.
fn dates(part: &Part) -> Option<(Date, Date)> {
    let stated = part.statement.as_ref().map(|it| (it.from_date, it.to_date));
    let of_entry =
        |it: &v1::BookEntry| if it.value_date == 0 { it.booking_date } else { it.value_date };
    let all = part.entries.iter().map(of_entry);
    let (from, to) = stated.or_else(|| all.clone().min().zip(all.max()))?;
    Date::from_yyyymmdd(from).ok().zip(Date::from_yyyymmdd(to).ok())
}

impl Imported {
    fn take(&mut self, outcome: Outcome) {
        if outcome.items.is_empty() && outcome.verdict.is_accepted() {
            self.statement = Some(outcome);
            return;
        }
        if outcome.items.is_empty() {
            self.rejected += 1;
            self.statement = Some(outcome);
            return;
        }
        let recorded = outcome.items.iter().filter(|item| item.is_accepted()).count();
        self.recorded += recorded;
        self.rejected += outcome.items.len() - recorded;
    }
}

fn imported_before(part: &Part) -> Failure {
    let message = format!("the book of {} was imported before", part.title);
    Failure::new(Exit::Conflict, "IMPORTED_BEFORE", message)
        .fact("importing the same entries twice makes duplicates of them")
        .fix("see counterfoil recon report; give --again if these are other entries")
}

fn warn(parts: &[Part]) {
    let warnings: Vec<&String> = parts.iter().flat_map(|part| &part.warnings).collect();
    for warning in warnings.iter().take(WARNINGS_SHOWN_MAX) {
        error::warn(warning);
    }
    if let Some(more) = warnings.len().checked_sub(WARNINGS_SHOWN_MAX).filter(|more| *more > 0) {
        error::warn(&format!("and {more} more warnings"));
    }
}

fn describe(parts: &[Part], imported: &[Imported]) -> Answer {
    let mut table = Table::new(&[
        "ACCOUNT",
        ">ENTRIES",
        "STATEMENT",
        "COVERS",
        ">RECORDED",
        ">REJECTED",
        "FATE",
    ]);
    let mut list = Vec::new();
    let mut exit = Exit::Success;
    for (index, part) in parts.iter().enumerate() {
        let done = imported.get(index);
        if done.is_some_and(|done| done.rejected > 0) {
            exit = Exit::Rejected;
        }
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let statement = part.statement.as_ref();
        table.row([
            part.title.clone(),
            part.entries.len().to_string(),
            statement.map_or("-".to_owned(), |one| one.statement_id.clone()),
            statement.map_or("-".to_owned(), |one| {
                format!("{} to {}", date(one.from_date), date(one.to_date))
            }),
            number(done.map(|done| count(done.recorded))),
            number(done.map(|done| count(done.rejected))),
            done.map_or("not sent (dry run)".to_owned(), fate),
        ]);
        list.push(json!({
            "account": part.account.to_string(),
            "title": part.title,
            "entryCount": part.entries.len(),
            "statementId": statement.map(|one| &one.statement_id),
            "fromDate": statement.map(|one| date(one.from_date)),
            "toDate": statement.map(|one| date(one.to_date)),
            "recorded": done.map(|done| done.recorded),
            "rejected": done.map(|done| done.rejected),
            "resumed": done.map(|done| done.resumed),
            "original": done.and_then(|done| done.original.as_ref()).map(originals::keep::json),
            "comparisons": done.map(|done| done.reports.iter().map(standing::json).collect::<Vec<_>>()),
            "statement": done
                .and_then(|done| done.statement.as_ref())
                .map(|outcome| verdict::verdict_json(&outcome.verdict)),
            "warnings": part.warnings,
        }));
    }
    let answer = Answer::new(Value::Array(list)).table(table).exit(exit);
    let kept = parts.iter().zip(imported).filter_map(|(part, done)| {
        Some(originals::keep::sentence(&part.title, done.original.as_ref()?))
    });
    let answer = kept.fold(answer, |answer, line| answer.line(line));
    let came = came_table(parts, imported);
    match imported.iter().all(|done| done.reports.is_empty()) {
        true => answer,
        false => answer.line("").line("what is on the ledger for these dates now:").table(came),
    }
}

/// What has become of the entries of the dates that were imported, by both sources.
fn came_table(parts: &[Part], imported: &[Imported]) -> Table {
    let mut table = Table::new(&[&["ACCOUNT"], &standing::COLUMNS[..]].concat());
    for (part, done) in parts.iter().zip(imported) {
        for report in &done.reports {
            let [between, items, matched, proposed, waiting, open, rate] = standing::cells(report);
            let account = part.title.clone();
            table.row([account, between, items, matched, proposed, waiting, open, rate]);
        }
    }
    table
}

fn fate(done: &Imported) -> String {
    let resumed = if done.resumed { " (went on with an earlier run)" } else { "" };
    match &done.statement {
        Some(outcome) => format!("{}{resumed}", verdict::sentence(&outcome.verdict)),
        None => format!("RECORDED{resumed}"),
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(statement: Option<v1::Statement>, dates: &[(u32, u32)]) -> Part {
        let entry = |(booking_date, value_date): &(u32, u32)| v1::BookEntry {
            booking_date: *booking_date,
            value_date: *value_date,
            ..v1::BookEntry::default()
        };
        let account = counterfoil_ledger::account::AccountId::from_bytes(&[1; 16]).unwrap();
        let entries = dates.iter().map(entry).collect();
        Part { account, title: String::new(), entries, statement, warnings: Vec::new() }
    }

    #[test]
    fn a_part_is_of_the_dates_of_its_statement_or_of_its_entries() {
        let date = |yyyymmdd| Date::from_yyyymmdd(yyyymmdd).unwrap();
        let entries = [(20_261_123, 0), (20_261_120, 20_261_125)];
        let both = (date(20_261_123), date(20_261_125));
        assert_eq!(dates(&part(None, &entries)), Some(both));
        let statement = v1::Statement {
            from_date: 20_261_101,
            to_date: 20_261_130,
            ..v1::Statement::default()
        };
        let stated = (date(20_261_101), date(20_261_130));
        assert_eq!(dates(&part(Some(statement), &entries)), Some(stated));
        assert_eq!(dates(&part(None, &[])), None);
    }
}
