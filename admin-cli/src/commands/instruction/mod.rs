//! `instruction`: what became of what was signed.

pub mod saving;

use counterfoil_ledger::id::InstructionId;
use serde_json::{Value, json};

use self::saving::{Absence, Promise, Receipt};
use crate::commands::account::{as_of, as_of_json};
use crate::context::Connection;
use crate::error::Failure;
use crate::output::{Answer, Table};
use crate::session::{self, Session};
use crate::verdict;
use crate::waiting::Waiting;

/// Verbs of `instruction`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Shows what became of an instruction of your institution
    Show {
        /// Its id
        #[arg(value_parser = parse_id)]
        id: InstructionId,
        /// How to connect.
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Lists instructions that were sent from this machine and whose fate is not known yet
    Pending(Box<Connection>),
    /// Sends them again, the same bytes, which the ledger executes once, until each is final
    Resume(Box<Connection>),
    /// Saves the receipt of an instruction of your institution, of an item of it, or of a payment that
    /// you received
    Receipt(Box<Receipt>),
    /// Saves a quorum's statement that an id of your institution was decided by no block
    Absence(Box<Absence>),
    /// Asks a node to bring signed instructions into a block, and saves its promises beside them
    Promise(Box<Promise>),
}

fn parse_id(text: &str) -> Result<InstructionId, String> {
    InstructionId::parse(text).map_err(|error| error.to_string())
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Show { id, connection } => session::run(show(id, &connection)),
        Command::Pending(connection) => session::run(pending(&connection)),
        Command::Resume(connection) => session::run(resume(&connection)),
        Command::Receipt(receipt) => session::run(receipt.run()),
        Command::Absence(absence) => session::run(absence.run()),
        Command::Promise(promise) => session::run(promise.run()),
    }
}

async fn show(id: InstructionId, connection: &Connection) -> Result<Answer, Failure> {
    let session = Session::reading(connection)?;
    let found = session.client.instruction(id).await?;
    let outcome = &found.value.outcome;
    let more = json!({ "asOf": as_of_json(&found.as_of) });
    let what = match found.value.signed.item_count {
        0 => "instruction".to_owned(),
        count => format!("batch of {count} items"),
    };
    let mut answer = verdict::answer(outcome, &what, more).line(as_of(&found.as_of));
    if !outcome.items.is_empty() {
        let mut table = Table::new(&[">ITEM", "FATE"]);
        for item in &outcome.items {
            table.row([item.item_number.to_string(), verdict::sentence(item)]);
        }
        answer = answer.line("").table(table);
    }
    // Being told is what was asked for, whatever it is.
    Ok(answer.exit(crate::exit::Exit::Success))
}

async fn pending(connection: &Connection) -> Result<Answer, Failure> {
    let session = Session::journalled(connection, Waiting::default())?;
    let mut table = Table::new(&["INSTRUCTION", ">ITEMS", "VOID AFTER"]);
    let mut list = Vec::new();
    for signed in session.client.pending().await? {
        let until = crate::moment::utc(signed.valid_until_ms);
        table.row([signed.id.to_string(), signed.item_count.to_string(), until.clone()]);
        list.push(json!({
            "id": signed.id.to_string(),
            "itemCount": signed.item_count,
            "voidAfter": until,
        }));
    }
    Ok(Answer::new(Value::Array(list)).table(table))
}

async fn resume(connection: &Connection) -> Result<Answer, Failure> {
    let session = Session::journalled(connection, Waiting::default())?;
    let mut table = Table::new(&["INSTRUCTION", "FATE"]);
    let mut list = Vec::new();
    let mut unknown = None;
    for resumed in session.client.resume().await? {
        let id = resumed.id.to_string();
        match resumed.result {
            Ok(outcome) => {
                table.row([id, verdict::sentence(&outcome.verdict)]);
                list.push(verdict::outcome_json(&outcome));
            }
            Err(error) => {
                table.row([id.clone(), error.to_string()]);
                list.push(json!({ "id": id, "error": error.to_string() }));
                unknown = Some(Failure::from(error));
            }
        }
    }
    let answer = Answer::new(Value::Array(list)).table(table);
    Ok(match unknown {
        Some(failure) => answer.failure(failure),
        None => answer,
    })
}
