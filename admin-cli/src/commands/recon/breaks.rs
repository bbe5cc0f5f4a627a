//! `recon breaks`: the differences between a book and the ledger.

use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::{Book, BookOf};
use crate::account_name::AccountName;
use crate::commands::account::{as_of, date, date_json, position, position_json, side};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Table, uuid};
use crate::session::Session;

/// Arguments of `recon breaks`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which account.
    #[command(flatten)]
    account: AccountName,
    /// Whose book; the one that you keep, unless given
    #[arg(long, value_enum)]
    book: Option<Book>,
    /// Healed ones too
    #[arg(long)]
    healed: bool,
    /// End with exit code 10 if any break is open
    #[arg(long)]
    exit_code: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// Lists them.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = BookOf::find(&session, &self.account, self.book).await?;
        let found = session.client.breaks(of.id, of.book.message(), self.healed).all().await?;
        let open = found.value.iter().filter(|one| one.state() == v1::BreakState::Open).count();
        let answer = describe(&session, &found.value).line("").line(format!(
            "{open} open breaks in {}; {}",
            of.title(),
            as_of(&found.as_of)
        ));
        let exit = if self.exit_code && open > 0 { Exit::Differences } else { Exit::Success };
        Ok(answer.exit(exit))
    }
}

/// A break's kind, in one word.
pub fn kind(kind: v1::BreakKind) -> &'static str {
    kind.as_str_name().trim_start_matches("BREAK_KIND_")
}

fn describe(session: &Session, breaks: &[v1::Break]) -> Answer {
    let mut table =
        Table::new(&[">NO", "KIND", "STATE", "LEDGER", "BOOK", "REFERENCE", "UETR", "OPENED AT"]);
    let mut list = Vec::with_capacity(breaks.len());
    for one in breaks {
        let (ledger, entry) = (one.ledger.as_ref(), one.entry.as_ref());
        let state = one.state().as_str_name().trim_start_matches("BREAK_STATE_");
        let reference = entry
            .map(|entry| &entry.end_to_end_id)
            .filter(|text| !text.is_empty())
            .or(ledger.map(|ledger| &ledger.end_to_end_id));
        let uetr = entry
            .map(|entry| &entry.uetr)
            .filter(|uetr| !uetr.is_empty())
            .or(ledger.map(|ledger| &ledger.uetr));
        let shown = |from: u32, on: v1::Side, amount: Option<&v1::Money>| {
            format!("{} {} {}", date(from), side(on), session.money(amount))
        };
        table.row([
            one.number.to_string(),
            kind(one.kind()).to_owned(),
            state.to_owned(),
            ledger.map_or("-".to_owned(), |found| {
                shown(found.date, found.side(), found.amount.as_ref())
            }),
            entry.map_or("-".to_owned(), |found| {
                shown(found.date, found.side(), found.amount.as_ref())
            }),
            reference.cloned().unwrap_or_default(),
            uetr.map(|uetr| uuid(uetr)).unwrap_or_default(),
            position(one.opened_at.as_ref()),
        ]);
        list.push(json!({
            "number": one.number.to_string(),
            "book": one.book().as_str_name().trim_start_matches("BOOK_"),
            "kind": kind(one.kind()),
            "state": state,
            "ledger": ledger.map(|ledger| ledger_json(session, ledger)),
            "entry": entry.map(|entry| entry_json(session, entry)),
            "openedAt": position_json(one.opened_at.as_ref()),
            "healedAt": position_json(one.healed_at.as_ref()),
        }));
    }
    Answer::new(Value::Array(list)).table(table)
}

fn ledger_json(session: &Session, ledger: &v1::LedgerSide) -> Value {
    json!({
        "position": position_json(ledger.position.as_ref()),
        "side": side(ledger.side()),
        "amount": session.money_json(ledger.amount.as_ref()),
        "date": date_json(ledger.date),
        "uetr": uuid(&ledger.uetr),
        "endToEndId": ledger.end_to_end_id,
    })
}

fn entry_json(session: &Session, entry: &v1::BookSide) -> Value {
    json!({
        "number": entry.number.to_string(),
        "position": position_json(entry.position.as_ref()),
        "side": side(entry.side()),
        "amount": session.money_json(entry.amount.as_ref()),
        "date": date_json(entry.date),
        "entryReference": entry.entry_reference,
        "uetr": uuid(&entry.uetr),
        "endToEndId": entry.end_to_end_id,
    })
}
