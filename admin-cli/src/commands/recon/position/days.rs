//! `recon positions`: an account's days, one a line.

use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde_json::Value;

use super::{balance, day_json};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, date, parse_date};
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::counted;
use crate::context::Connection;
use crate::error::Failure;
use crate::output::{Answer, Table};
use crate::session::Session;

/// Arguments of `recon positions`.
#[derive(Debug, clap::Args)]
pub struct Positions {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// First value date (yyyy-mm-dd); the first of which anything is known, unless given
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    from: Option<Date>,
    /// Last value date (yyyy-mm-dd); the last of which anything is known, unless given
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    to: Option<Date>,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Positions {
    /// Lists them.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let found = session.client.positions(of.id, self.from, self.to).all().await?;
        let json = found.value.iter().map(|day| day_json(&of, day)).collect();
        let count = u64::try_from(found.value.len()).unwrap_or(u64::MAX);
        Ok(Answer::new(Value::Array(json))
            .title(format!("Days of {}", of.title()))
            .table(days_table(&of, &found.value))
            .line("")
            .line(format!("{}; {}", counted(count, "day"), as_of(&found.as_of))))
    }
}

/// Days, one a line: the closing balance of each source, and how far the day is.
pub fn days_table(of: &Reconciled, days: &[v1::DayPosition]) -> Table {
    let mut table = Table::new(&[
        "DATE",
        ">LEDGER",
        ">OWNER",
        ">SERVICER",
        ">OPEN ITEMS",
        "SIGNED BY",
        "STATE",
    ]);
    for day in days {
        let (cells, signed, state) = day_row(of, day);
        let [ledger, owner, servicer] = cells;
        let open = day.open_item_count.to_string();
        table.row([date(day.date), ledger, owner, servicer, open, signed, state]);
    }
    table
}

/// A day's closing balances of the ledger, the owner's and the servicer's book, who signed it, and
/// how far it is.
pub fn day_row(of: &Reconciled, day: &v1::DayPosition) -> ([String; 3], String, String) {
    let of_source = |source: v1::Source| {
        let side = day.sources.iter().find(|side| side.source() == source);
        let figures = side.and_then(|side| side.figures.as_ref());
        figures.map_or("-".to_owned(), |it| balance(of, it, it.closing_balance))
    };
    let cells =
        [v1::Source::Ledger, v1::Source::OwnerBook, v1::Source::ServicerBook].map(of_source);
    let signers = [(&day.owner, "owner"), (&day.servicer, "servicer")];
    let signers: Vec<&str> =
        signers.into_iter().filter_map(|(view, name)| view.as_ref().map(|_| name)).collect();
    let signed = if signers.is_empty() { "-".to_owned() } else { signers.join(", ") };
    let state = match (day.agreed_at.is_some(), day.break_number) {
        (true, _) => "AGREED".to_owned(),
        (false, 0) => "OPEN".to_owned(),
        (false, number) => format!("BREAK {number}"),
    };
    (cells, signed, state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::recon::account::tests::reconciled;
    use crate::output::Format;

    #[test]
    fn days_are_listed_with_their_state() {
        let figures = v1::DayFigures {
            opening_is_known: true,
            closing_balance: 11_250,
            ..v1::DayFigures::default()
        };
        let source = v1::Source::Ledger.into();
        let ledger = v1::SourceFigures { source, figures: Some(figures) };
        let open = v1::DayPosition {
            date: 20_261_123,
            sources: vec![ledger],
            owner: Some(v1::SignedView::default()),
            open_item_count: 2,
            ..v1::DayPosition::default()
        };
        let broken = v1::DayPosition { break_number: 9, ..open.clone() };
        let agreed = v1::DayPosition { agreed_at: Some(v1::Position::default()), ..broken.clone() };
        let table = days_table(&reconciled(), &[open, broken, agreed]);
        let text = Answer::new(Value::Null).table(table).render(Format::Table);
        let rows: Vec<Vec<&str>> =
            text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["2026-11-23", "112.50", "-", "-", "2", "owner", "OPEN"]);
        assert_eq!(rows[1][6..], ["BREAK", "9"]);
        assert_eq!(rows[2][6..], ["AGREED"]);
    }
}
