//! `submit`: the payments of a file, each a transfer with an outcome of its own.
//!
//! A file may be submitted again: a payment that has settled is refused by its UETR, and settles no
//! second time.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use counterfoil_client::client::Client;
use counterfoil_client::formats::error::FormatError;
use counterfoil_client::formats::payment::{self, MissingUetr};
use counterfoil_client::formats::xml::SIZE_MAX;
use counterfoil_client::outcome::{Outcome, Verdict};
use counterfoil_client::{Error, Fate, Order, instructions};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use crate::account_name::{SETTLEMENT, account_id};
use crate::commands::account::{date, date_json};
use crate::commands::genesis;
use crate::commands::transfer::keep_receipt;
use crate::context::{Connection, Settings};
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::files;
use crate::output::{Answer, Table, amount, amount_json, extend};
use crate::progress::Progress;
use crate::session::{self, Session};
use crate::verdict;
use crate::waiting::Waiting;

/// Arguments of `submit`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file: pacs.008, pacs.009 or a payments CSV
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The name of your account that pays
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    account_name: String,
    /// The name of the accounts that are paid
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    to_name: String,
    /// Payments under one signature
    #[arg(long, value_name = "COUNT", default_value_t = 1_000,
        value_parser = clap::value_parser!(u16).range(1..=8_192))]
    batch: u16,
    /// Refuse every payment of a batch when one is refused
    #[arg(long)]
    all_or_nothing: bool,
    /// Give payments without a UETR one that is derived from what they say
    #[arg(long)]
    derive_uetr: bool,
    /// Read, check and show the payments; sign and send nothing
    #[arg(long)]
    dry_run: bool,
    /// A directory in which to keep the receipt of each payment, under its UETR: counterfoil verify
    /// receipt reads them
    #[arg(long, value_name = "DIRECTORY")]
    receipt_out: Option<PathBuf>,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// A payment of the file, as it will be signed.
struct Planned {
    place: String,
    debtor: Bic,
    creditor: Bic,
    asset: String,
    exponent: u8,
    uetr: Uetr,
    transfer: v1::Transfer,
}

/// What is known of a payment's fate.
enum Fated {
    /// The ledger decided, and how certain that is.
    Decided(Verdict, &'static str),
    /// It was sent and may be decided or not.
    Unknown,
    /// It is not on the ledger.
    NotSent,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let settings = Settings::resolve(&arguments.connection)?;
    let genesis = genesis::load(settings.genesis()?)?;
    let payments = arguments.plan(&settings, &genesis)?;
    if settings.values.institution.is_some() {
        refuse_foreign(&payments, &settings.institution()?)?;
    }
    if arguments.dry_run {
        return Ok(describe(&payments, &[]));
    }
    session::run(arguments.submit(payments))
}

impl Arguments {
    /// Reads the file and makes a transfer of each payment.
    fn plan(&self, settings: &Settings, genesis: &Genesis) -> Result<Vec<Planned>, Failure> {
        let size_max = u64::try_from(SIZE_MAX).unwrap_or(u64::MAX);
        let bytes = files::read(&self.file, size_max)?;
        let registry = Registry::of(genesis);
        let exponent_of = |code: &str| registry.asset(code).map(|asset| asset.exponent);
        let missing = if self.derive_uetr { MissingUetr::Accept } else { MissingUetr::Refuse };
        let payments = payment::read(&bytes, &exponent_of, missing)
            .map_err(|error| format_failure(&self.file, &error))?;
        let servicer = settings.servicer()?;
        let mut derived = HashSet::new();
        let mut planned = Vec::with_capacity(payments.len());
        for payment in payments {
            let uetr = match payment.uetr {
                Some(uetr) => uetr,
                None => derive_uetr(&payment),
            };
            if !derived.insert((payment.debtor_agent, uetr)) {
                let message = format!("{} says the same as another payment", payment.place);
                return Err(Failure::usage("UETR_NOT_DERIVABLE", message)
                    .fact(format!("both would have the UETR {uetr}"))
                    .fix("give each payment its own UETR in the file"));
            }
            planned.push(self.planned(&servicer, payment, uetr)?);
        }
        Ok(planned)
    }

    fn planned(
        &self,
        servicer: &Bic,
        payment: payment::Payment,
        uetr: Uetr,
    ) -> Result<Planned, Failure> {
        let (debtor, creditor) = (payment.debtor_agent, payment.creditor_agent);
        let asset = payment.amount.currency.as_str().to_owned();
        let debit = account_id(servicer, &debtor, &asset, &self.account_name)?;
        let credit = account_id(servicer, &creditor, &asset, &self.to_name)?;
        let mut transfer = instructions::transfer(debit, credit, payment.amount.units);
        transfer.uetr = Bytes::copy_from_slice(uetr.as_bytes());
        transfer.end_to_end_id = payment.end_to_end_id;
        transfer.settlement_date = payment.settlement_date.map(Date::yyyymmdd).unwrap_or_default();
        if !payment.party_data.is_empty() {
            transfer.commitment = commitment(&transfer.salt, &payment.party_data);
        }
        Ok(Planned {
            place: payment.place,
            debtor,
            creditor,
            asset,
            exponent: payment.amount.exponent,
            uetr,
            transfer,
        })
    }

    async fn submit(&self, payments: Vec<Planned>) -> Result<Answer, Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        refuse_foreign(&payments, &session.institution())?;
        if let Some(directory) = &self.receipt_out {
            files::create_directory(directory)?;
        }
        let mut fates = Vec::with_capacity(payments.len());
        let mut problem = None;
        let mut progress = Progress::new("submitted");
        for batch in payments.chunks(usize::from(self.batch)) {
            if problem.is_some() {
                fates.extend(batch.iter().map(|_| Fated::NotSent));
                continue;
            }
            match self.submit_batch(&session.client, batch).await {
                Ok(outcome) => {
                    // What was decided is told even where its receipts cannot be kept.
                    problem = self.keep_receipts(batch, &outcome).err();
                    fates.extend(verdicts(outcome, batch.len()));
                }
                Err(error) => {
                    let unknown = error.outcome() == Fate::Unknown;
                    let fate = || if unknown { Fated::Unknown } else { Fated::NotSent };
                    fates.extend(batch.iter().map(|_| fate()));
                    problem = Some(Failure::from(error));
                }
            }
            progress.set(count(fates.len()), count(payments.len()));
        }
        drop(progress);
        let answer = describe(&payments, &fates);
        match problem {
            // Nothing was decided: there is no answer to give.
            Some(failure) if !fates.iter().any(|fate| matches!(fate, Fated::Decided(..))) => {
                Err(failure)
            }
            Some(failure) => {
                Ok(answer
                    .failure(failure.fix(
                        "submit the same file again: what has settled settles no second time",
                    )))
            }
            None => Ok(answer),
        }
    }

    fn keep_receipts(&self, batch: &[Planned], outcome: &Outcome) -> Result<(), Failure> {
        let Some(directory) = &self.receipt_out else { return Ok(()) };
        for (item, planned) in (1..).zip(batch) {
            // A batch that was refused as a whole has the one receipt for all.
            let receipt = outcome.item_receipt(item).unwrap_or_else(|| outcome.receipt.clone());
            keep_receipt(&receipt_file(directory, &planned.uetr, outcome), &receipt)?;
        }
        Ok(())
    }

    async fn submit_batch(&self, client: &Client, batch: &[Planned]) -> Result<Outcome, Error> {
        let transfers = batch.iter().map(|planned| planned.transfer.clone()).collect();
        client.submit(Order::transfers(transfers, self.all_or_nothing)).await
    }
}

/// Where the receipt of a payment is kept. A payment that is submitted again has another receipt.
fn receipt_file(directory: &Path, uetr: &Uetr, outcome: &Outcome) -> PathBuf {
    directory.join(format!("{uetr}.{}.receipt", outcome.id))
}

/// The verdict on each payment of a batch; a batch that was refused as a whole refuses each.
fn verdicts(outcome: Outcome, count: usize) -> Vec<Fated> {
    let certainty = if outcome.is_final() { "FINAL" } else { "ORDERED" };
    if outcome.items.is_empty() {
        let verdicts = vec![outcome.verdict; count].into_iter();
        return verdicts.map(|verdict| Fated::Decided(verdict, certainty)).collect();
    }
    let verdicts = outcome.items.into_iter();
    verdicts.map(|verdict| Fated::Decided(verdict, certainty)).collect()
}

/// Only the owner of an account can debit it: a file of another bank is a mistake.
fn refuse_foreign(payments: &[Planned], institution: &Bic) -> Result<(), Failure> {
    let Some(foreign) = payments.iter().find(|planned| planned.debtor != *institution) else {
        return Ok(());
    };
    let message = format!("{} debits {}", foreign.place, foreign.debtor);
    Err(Failure::new(Exit::Permission, "DEBTOR_NOT_YOURS", message)
        .fact(format!("your certificate is of {institution}; nothing was sent"))
        .fix(format!("submit it with a context of {}", foreign.debtor)))
}

/// What commits to the party data that is not on the ledger: SHA-256(salt ‖ data).
fn commitment(salt: &[u8], party_data: &str) -> Bytes {
    let hash = Hash::of_parts(&[salt, party_data.as_bytes()]);
    Bytes::copy_from_slice(hash.as_bytes())
}

/// The same payment always gets the same UETR, so that a file that is submitted again settles
/// nothing twice.
fn derive_uetr(payment: &payment::Payment) -> Uetr {
    let date = payment.settlement_date.map(|date| date.to_string()).unwrap_or_default();
    let said = [
        "counterfoil uetr",
        payment.debtor_agent.as_str(),
        payment.creditor_agent.as_str(),
        &payment.amount.to_string(),
        &payment.end_to_end_id,
        &payment.instruction_id,
        &date,
        &payment.party_data,
    ]
    .join("\n");
    let hash = Hash::of(said.as_bytes());
    Uetr::from_random(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}

/// What is wrong with a file of a bank.
pub fn format_failure(file: &Path, error: &FormatError) -> Failure {
    let message = format!("{}: {}", file.display(), error.fact);
    Failure::usage("FILE_REFUSED", message)
        .fact(format!("at {}", error.place))
        .fact("nothing of the file was used")
        .fix(&error.fix)
}

fn describe(payments: &[Planned], fates: &[Fated]) -> Answer {
    let mut table = Table::new(&["PLACE", "DEBTOR", "CREDITOR", ">AMOUNT", "DATE", "UETR", "FATE"]);
    let mut list = Vec::with_capacity(payments.len());
    let mut totals = Totals::default();
    for (index, planned) in payments.iter().enumerate() {
        let fate = fates.get(index);
        totals.add(fate);
        let units = i128::from(planned.transfer.amount);
        table.row([
            planned.place.clone(),
            planned.debtor.to_string(),
            planned.creditor.to_string(),
            amount(units, planned.exponent, &planned.asset),
            date(planned.transfer.settlement_date),
            planned.uetr.to_string(),
            fate.map_or("not sent (dry run)".to_owned(), sentence),
        ]);
        list.push(json!({
            "place": planned.place,
            "debtor": planned.debtor.as_str(),
            "creditor": planned.creditor.as_str(),
            "amount": amount_json(units, planned.exponent, &planned.asset),
            "settlementDate": date_json(planned.transfer.settlement_date),
            "endToEndId": planned.transfer.end_to_end_id,
            "uetr": planned.uetr.to_string(),
            "fate": fate.map(fate_json),
        }));
    }
    let json = json!({
        "paymentCount": payments.len(),
        "settled": totals.settled,
        "rejected": totals.rejected,
        "unknown": totals.unknown,
        "notSent": totals.not_sent,
        "payments": list,
    });
    let exit = if totals.rejected > 0 { Exit::Rejected } else { Exit::Success };
    let summary = match fates {
        [] => format!("{} payments, dry run: nothing was signed or sent", payments.len()),
        _ => totals.sentence(payments.len()),
    };
    if totals.rejected > 0 {
        error::warn(&format!("{} payments were rejected", totals.rejected));
    }
    Answer::new(json).table(table).line("").line(summary).exit(exit)
}

#[derive(Default)]
struct Totals {
    settled: usize,
    rejected: usize,
    unknown: usize,
    not_sent: usize,
}

impl Totals {
    fn add(&mut self, fate: Option<&Fated>) {
        match fate {
            Some(Fated::Decided(verdict, _)) if verdict.is_accepted() => self.settled += 1,
            Some(Fated::Decided(..)) => self.rejected += 1,
            Some(Fated::Unknown) => self.unknown += 1,
            Some(Fated::NotSent) | None => self.not_sent += 1,
        }
    }

    fn sentence(&self, count: usize) -> String {
        let Totals { settled, rejected, unknown, not_sent } = self;
        let mut text = format!("{count} payments: {settled} settled, {rejected} rejected");
        if *unknown > 0 {
            text.push_str(&format!(", {unknown} of unknown fate"));
        }
        if *not_sent > 0 {
            text.push_str(&format!(", {not_sent} not on the ledger"));
        }
        text
    }
}

fn sentence(fate: &Fated) -> String {
    match fate {
        Fated::Decided(verdict, certainty) => {
            format!("{}, {certainty}", verdict::sentence(verdict))
        }
        Fated::Unknown => "UNKNOWN".to_owned(),
        Fated::NotSent => "NOT SENT".to_owned(),
    }
}

fn fate_json(fate: &Fated) -> Value {
    match fate {
        Fated::Decided(verdict, certainty) => {
            let mut json = verdict::verdict_json(verdict);
            extend(&mut json, json!({ "finality": certainty }));
            json
        }
        Fated::Unknown => json!({ "state": "UNKNOWN" }),
        Fated::NotSent => json!({ "state": "NOT_SENT" }),
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
