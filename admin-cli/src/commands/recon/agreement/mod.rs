//! `recon agreement`: on which terms two institutions reconcile, offered by one and accepted by the
//! other.

pub mod terms_file;
pub mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use counterfoil_client::agreements::Agreement;
use counterfoil_client::sealed::SealingKey;
use counterfoil_client::{Error, Order};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::{AgreementId, Party, Terms};
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use self::terms_file::TermsFile;
use self::words::{Words, parse_agreement_id, party};
use crate::commands::account::{as_of, date, date_json, position, position_json};
use crate::confirm::confirm;
use crate::context::Connection;
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::moment;
use crate::output::{Answer, Table, hex, uuid};
use crate::session::{self, Session};
use crate::verdict;
use crate::waiting::Waiting;

/// A file of terms with a remark for every field.
const TEMPLATE: &str = include_str!("template.toml");

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Verbs of `recon agreement`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Offers terms to the other party
    Propose(Box<Propose>),
    /// Accepts an offer: both have signed then, and it holds from its date on
    Accept(Box<Accept>),
    /// Rejects an offer
    Reject(Box<Answering>),
    /// Takes an own offer back that is not accepted yet
    Withdraw(Box<Answering>),
    /// Lists agreements and offers of your institution
    List(Box<List>),
    /// Shows an agreement in plain words, with who signed what
    Show(Box<Show>),
}

/// Arguments of `recon agreement propose`.
#[derive(Debug, clap::Args)]
pub struct Propose {
    /// The terms, TOML
    #[arg(long, value_name = "FILE", required_unless_present = "template")]
    file: Option<PathBuf>,
    /// Prints a file of terms with a remark for every field, and ends
    #[arg(long, conflicts_with_all = ["file", "yes"])]
    template: bool,
    /// For how many days the offer stands
    #[arg(long, value_name = "DAYS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=89))]
    stands: u64,
    /// Signs without asking
    #[arg(long)]
    yes: bool,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `recon agreement accept`.
#[derive(Debug, clap::Args)]
pub struct Accept {
    /// Which.
    #[command(flatten)]
    answering: Answering,
    /// Signs without asking
    #[arg(long)]
    yes: bool,
}

/// Arguments of what answers an offer.
#[derive(Debug, clap::Args)]
pub struct Answering {
    /// The agreement's id
    #[arg(value_name = "ID", value_parser = id_argument)]
    id: AgreementId,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `recon agreement list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only what can be answered or holds: proposed and active ones
    #[arg(long)]
    current: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `recon agreement show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The agreement's id
    #[arg(value_name = "ID", value_parser = id_argument)]
    id: AgreementId,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Propose(propose) => propose.run(),
        Command::Accept(accept) => session::run(accept.run()),
        Command::Reject(answering) => session::run(answering.run(v1::AgreementAnswer::Reject)),
        Command::Withdraw(answering) => session::run(answering.run(v1::AgreementAnswer::Withdraw)),
        Command::List(list) => session::run(list.run()),
        Command::Show(show) => session::run(show.run()),
    }
}

/// The template, for terms that take effect on a day.
fn template(effective_from: Date) -> String {
    TEMPLATE.replace("2026-12-01", &effective_from.to_string())
}

fn id_argument(text: &str) -> Result<AgreementId, String> {
    parse_agreement_id(text).map_err(|_| "32 hexadecimal digits".to_owned())
}

impl Propose {
    fn run(&self) -> Result<Answer, Failure> {
        let Some(file) = &self.file else {
            let text = template(Date::from_unix_ms(moment::now_ms()).next());
            let answer = Answer::new(json!({ "template": text }));
            return Ok(text.lines().fold(answer, |answer, line| answer.line(line)));
        };
        let file = TermsFile::read(file)?;
        session::run(self.offer(&file))
    }

    async fn offer(&self, file: &TermsFile) -> Result<Answer, Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        let (message, terms) = file.terms(|asset| session.exponent(asset))?;
        let id = AgreementId::of(&message);
        let own = session.institution();
        let other = terms.party(&own).map(|party| *terms.institution(party.other()));
        let other = other.ok_or_else(|| {
            Failure::usage("NOT_A_PARTY", format!("{own} is no party of these terms"))
                .fix("name your institution as servicer or owner")
        })?;
        check_sealing_key(&session, &terms)?;
        let words = words(&session, &terms).await?;
        if !self.yes {
            let question = format!("Sign these terms and offer them to {other}?");
            confirm(&shown(&id, &words), &question).await?;
        }
        let accept_until_ms = moment::now_ms().saturating_add(self.stands * DAY_MS);
        let terms = words.json();
        let order = Order::propose_agreement(message, accept_until_ms);
        let outcome = session.submit(order).await?;
        let what = match outcome.is_accepted() {
            true => format!("agreement {id} offered to {other}"),
            false => format!("agreement {id} not offered to {other}"),
        };
        let more = json!({
            "agreement": id.to_string(),
            "acceptUntil": moment::utc(accept_until_ms),
            "terms": terms,
        });
        let answer = verdict::answer(&outcome, &what, more);
        if !outcome.is_accepted() {
            return Ok(answer);
        }
        let until = moment::utc(accept_until_ms);
        Ok(answer.line(format!(
            "until {until} {other} can answer: counterfoil recon agreement accept {id}"
        )))
    }
}

impl Accept {
    async fn run(&self) -> Result<Answer, Failure> {
        let Answering { id, waiting, connection } = &self.answering;
        let session = Session::signing(connection, *waiting).await?;
        // The client has checked that the terms have this id: what is shown is what is signed.
        let found = session.client.agreement(*id).await?.value;
        check_sealing_key(&session, &found.terms)?;
        let words = words(&session, &found.terms).await?;
        if !self.yes {
            let by = proposer(&found);
            let by = by.map_or("the other party", |by| found.terms.institution(by).as_str());
            confirm(&shown(id, &words), &format!("Accept what {by} offers, and sign it?")).await?;
        }
        answer(&session, *id, v1::AgreementAnswer::Accept, Some(words.json())).await
    }
}

impl Answering {
    async fn run(&self, word: v1::AgreementAnswer) -> Result<Answer, Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        answer(&session, self.id, word, None).await
    }
}

async fn answer(
    session: &Session,
    id: AgreementId,
    word: v1::AgreementAnswer,
    terms: Option<Value>,
) -> Result<Answer, Failure> {
    let outcome = session.submit(Order::answer_agreement(id, word)).await?;
    let word = match word {
        v1::AgreementAnswer::Accept => "accepted",
        v1::AgreementAnswer::Reject => "rejected",
        v1::AgreementAnswer::Withdraw => "withdrawn",
        v1::AgreementAnswer::Unspecified => "answered",
    };
    let what = match outcome.is_accepted() {
        true => format!("agreement {id} {word}"),
        false => format!("agreement {id} not {word}"),
    };
    let mut more = json!({ "agreement": id.to_string() });
    if let (Value::Object(more), Some(terms)) = (&mut more, terms) {
        more.insert("terms".to_owned(), terms);
    }
    Ok(verdict::answer(&outcome, &what, more))
}

impl List {
    async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let found = session.client.agreements().all().await?;
        let current = |it: &&v1::AgreementSummary| {
            let current = [v1::AgreementState::Proposed, v1::AgreementState::Active];
            !self.current || current.contains(&it.state())
        };
        let mut table = Table::new(&[
            "AGREEMENT",
            "STATE",
            "SERVICER",
            "OWNER",
            ">ACCOUNTS",
            "FROM",
            "OFFERED BY",
        ]);
        let mut list = Vec::new();
        for one in found.value.iter().filter(current) {
            let by = one.proposed.as_ref().map(|step| step.by());
            table.row([
                hex(&one.id),
                state(one.state()).to_owned(),
                one.servicer.clone(),
                one.owner.clone(),
                one.account_count.to_string(),
                date(one.effective_from),
                by.map_or("-", party_name).to_owned(),
            ]);
            list.push(summary_json(one));
        }
        let count = list.len();
        Ok(Answer::new(Value::Array(list))
            .table(table)
            .line("")
            .line(format!("{count} agreements and offers; {}", as_of(&found.as_of))))
    }
}

impl Show {
    async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let found = session.client.agreement(self.id).await?;
        let words = words(&session, &found.value.terms).await?;
        let summary = &found.value.summary;
        let mut json = summary_json(summary);
        if let Value::Object(json) = &mut json {
            json.insert("terms".to_owned(), words.json());
        }
        let mut table = Table::new(&["", ""]);
        table.row(["agreement".to_owned(), self.id.to_string()]);
        table.row(["state".to_owned(), state(summary.state()).to_owned()]);
        for (what, step) in [("offered", &summary.proposed), ("answered", &summary.answered)] {
            let told = step.as_ref().map_or("not yet".to_owned(), step_text);
            table.row([what.to_owned(), told]);
        }
        let until = moment::utc(summary.accept_until_ms);
        table.row(["can be answered until".to_owned(), until]);
        if !summary.superseded_by.is_empty() {
            table.row(["superseded by".to_owned(), hex(&summary.superseded_by)]);
        }
        for (name, value) in words.facts() {
            table.row([name.to_owned(), value]);
        }
        Ok(Answer::new(json).table(table).line("").line(as_of(&found.as_of)))
    }
}

/// Terms with a sealing key that is not the own one would seal statements to nobody here.
fn check_sealing_key(session: &Session, terms: &Terms) -> Result<(), Failure> {
    let own = session.institution();
    let (Some(keys), Some(own)) = (&terms.originals, terms.party(&own)) else { return Ok(()) };
    let Some(file) = &session.settings.values.sealing_key else {
        error::warn(&format!(
            "no sealing key is configured: whether the {}'s key of the terms is yours is not checked",
            party(own)
        ));
        return Ok(());
    };
    let configured = SealingKey::from_file(file)?.public();
    if configured == *keys.of_party(own) {
        return Ok(());
    }
    let message = format!("the {}'s sealing key in the terms is not yours", party(own));
    Err(Failure::new(Exit::Conflict, "SEALING_KEY_DIFFERS", message)
        .fact(format!("terms: {}", words::sealing_key(keys.of_party(own))))
        .fact(format!("{}: {}", file.display(), words::sealing_key(&configured)))
        .fix("have the terms offered with your key, or give the right key file with --sealing-key"))
}

/// Which party made an offer.
fn proposer(agreement: &Agreement) -> Option<Party> {
    match agreement.summary.proposed.as_ref()?.by() {
        v1::Party::Servicer => Some(Party::Servicer),
        v1::Party::Owner => Some(Party::Owner),
        v1::Party::Unspecified => None,
    }
}

fn party_name(of: v1::Party) -> &'static str {
    match of {
        v1::Party::Servicer => party(Party::Servicer),
        v1::Party::Owner => party(Party::Owner),
        v1::Party::Unspecified => "-",
    }
}

/// An agreement's state, in one word.
fn state(state: v1::AgreementState) -> &'static str {
    state.as_str_name().trim_start_matches("AGREEMENT_STATE_")
}

fn step_text(step: &v1::AgreementStep) -> String {
    format!(
        "by the {} at {}, {}, instruction {}",
        party_name(step.by()),
        position(step.position.as_ref()),
        moment::utc_ms(step.block_time_ms),
        uuid(&step.instruction_id)
    )
}

fn step_json(step: &v1::AgreementStep) -> Value {
    json!({
        "by": party_name(step.by()),
        "instruction": uuid(&step.instruction_id),
        "position": position_json(step.position.as_ref()),
        "blockTime": moment::utc_ms(step.block_time_ms),
    })
}

fn summary_json(one: &v1::AgreementSummary) -> Value {
    json!({
        "agreement": hex(&one.id),
        "state": state(one.state()),
        "servicer": one.servicer,
        "owner": one.owner,
        "accountCount": one.account_count,
        "effectiveFrom": date_json(one.effective_from),
        "acceptUntil": moment::utc(one.accept_until_ms),
        "proposed": one.proposed.as_ref().map(step_json),
        "answered": one.answered.as_ref().map(step_json),
        "supersededBy": Some(hex(&one.superseded_by)).filter(|id| !id.is_empty()),
    })
}

/// What terms are told with: their accounts by name, where a node knows them.
async fn words<'a>(session: &Session, terms: &'a Terms) -> Result<Words<'a>, Failure> {
    let mut names: BTreeMap<AccountId, String> = BTreeMap::new();
    for id in &terms.accounts {
        match session.client.balance(*id, None).await {
            Ok(found) => {
                let v1::Account { name, asset, .. } = found.value;
                names.insert(*id, format!("{name} {asset}"));
            }
            // It is not there, or not to be seen: the ledger will say so.
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let exponent = |asset: &str| session.client.registry().asset(asset).map(|it| it.exponent);
    let exponents = terms
        .tolerances
        .iter()
        .filter_map(|(asset, _)| Some((asset.to_string(), exponent(asset.as_str())?)));
    Ok(Words { terms, names, exponents: exponents.collect() })
}

/// The terms as they are shown before they are signed.
fn shown(id: &AgreementId, words: &Words<'_>) -> String {
    let mut table = Table::new(&["", ""]);
    table.row(["agreement".to_owned(), id.to_string()]);
    for (name, value) in words.facts() {
        table.row([name.to_owned(), value]);
    }
    Answer::new(Value::Null).table(table).render(crate::output::Format::Table)
}
