//! `recon watch`: breaks and positions as they come, a line each, until it is stopped.

use std::io::{self, Write};

use counterfoil_client::reconciliation::{Finding, Happened};
use counterfoil_client::watch::{Checkpoint, Event, Position};
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::breaks::{at_stake, break_json, what};
use super::decide::{match_json, proposal_json};
use super::item;
use super::words::{category, party, party_json, pass_phrase, state};
use crate::account_name::AccountWord;
use crate::commands::account::{date, date_json};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Format, printable};
use crate::session::Session;
use crate::waiting::Waiting;

/// Arguments of `recon watch`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// Only what happened behind this place: HEIGHT:LEAF, or a checkpoint of an earlier watch
    #[arg(long, value_name = "PLACE", value_parser = parse_place)]
    after: Option<Checkpoint>,
    /// Matches and proposals too, not only breaks and positions
    #[arg(long)]
    all: bool,
    /// End when everything that is known was told
    #[arg(long)]
    known: bool,
    /// How certain what happened has to be.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// A place of the ledger, or a checkpoint as the watch prints it.
fn parse_place(text: &str) -> Result<Checkpoint, String> {
    let place = || {
        let (height, leaf) = text.split_once([':', '/'])?;
        Some(Position { height: height.parse().ok()?, leaf: leaf.parse().ok()? })
    };
    match place() {
        Some(position) => Ok(Checkpoint::after(position)),
        None => text.parse().map_err(|_| "HEIGHT:LEAF, or a checkpoint".to_owned()),
    }
}

impl Arguments {
    /// Watches.
    pub async fn run(&self, format: Format) -> Result<Answer, Failure> {
        let session = Session::reading_as(&self.connection, self.waiting)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let from = self.after.unwrap_or_default();
        let mut watch = session.client.watch_reconciliation(of.id, from);
        let mut count: u64 = 0;
        loop {
            match watch.next().await? {
                Event::Heartbeat if self.known => break,
                Event::Heartbeat => {}
                Event::New(finding) if self.all || is_told(&finding.what) => {
                    let checkpoint = watch.checkpoint();
                    let line = match format {
                        Format::Json => json_line(&session, &of, &finding, checkpoint),
                        Format::Table | Format::Markdown => line(&of, &finding),
                    };
                    // Whoever reads has seen enough.
                    if !write_line(&line)? {
                        break;
                    }
                    count = count.saturating_add(1);
                }
                Event::New(_) => {}
            }
        }
        let told = format!("{count} told; to go on: --after {}", watch.checkpoint());
        crate::error::note(&told);
        Ok(Answer::nothing())
    }
}

/// Breaks and positions; matches come in thousands.
fn is_told(what: &Happened) -> bool {
    use Happened::{Closed, Matched, Proposed, Undone};
    !matches!(what, Matched(_) | Undone(_) | Proposed(_) | Closed(_))
}

/// Whether there is still a reader.
fn write_line(line: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let message = format!("cannot write to stdout: {error}");
            Err(Failure::new(Exit::Unexpected, "OUTPUT_FAILED", message))
        }
    }
}

/// What happened, in one word.
fn word(what: &Happened) -> &'static str {
    match what {
        Happened::Matched(_) => "MATCHED",
        Happened::Undone(_) => "UNDONE",
        Happened::Proposed(_) => "PROPOSED",
        Happened::Closed(_) => "CLOSED",
        Happened::Opened(_) => "OPENED",
        Happened::Changed(_) => "CHANGED",
        Happened::Healed(_) => "HEALED",
        Happened::Position(_) => "POSITION",
    }
}

fn line(of: &Reconciled, finding: &Finding) -> String {
    let Position { height, leaf } = finding.at;
    let told = match &finding.what {
        Happened::Matched(found) | Happened::Undone(found) => format!(
            "match {}: {}, {}",
            found.number,
            item::names(&found.first, &found.second),
            pass_phrase(found.pass())
        ),
        Happened::Proposed(one) | Happened::Closed(one) => format!(
            "proposal {}: {}, {}",
            one.number,
            item::names(&one.first, &one.second),
            pass_phrase(one.pass())
        ),
        Happened::Opened(one) | Happened::Changed(one) | Happened::Healed(one) => {
            let units = i128::try_from(at_stake(one, &of.account.asset)).unwrap_or(i128::MAX);
            format!(
                "break {}: {}, {}, {}, {}",
                one.number,
                category(one.category()),
                state(one.state()),
                of.amount(units),
                what(one)
            )
        }
        Happened::Position(event) => format!("day {}: {}", date(event.date), change(event)),
    };
    format!("{height}:{leaf}  {:<8}  {}", word(&finding.what), printable(&told))
}

fn change(event: &v1::PositionEvent) -> String {
    match event.change() {
        v1::PositionChange::Unspecified => "a change that this program does not know".to_owned(),
        v1::PositionChange::Signed => format!("signed by the {}", party(event.party())),
        v1::PositionChange::Agreed => "agreed by both".to_owned(),
        v1::PositionChange::Outdated => {
            format!(
                "the signature of the {} is no longer of what its source says",
                party(event.party())
            )
        }
    }
}

fn json_line(
    session: &Session,
    of: &Reconciled,
    finding: &Finding,
    checkpoint: Checkpoint,
) -> String {
    let (name, value) = match &finding.what {
        Happened::Matched(found) | Happened::Undone(found) => {
            ("match", match_json(session, of, found))
        }
        Happened::Proposed(one) | Happened::Closed(one) => {
            ("proposal", proposal_json(session, one))
        }
        Happened::Opened(one) | Happened::Changed(one) | Happened::Healed(one) => {
            ("break", break_json(session, of, one))
        }
        Happened::Position(event) => ("position", position_json(event)),
    };
    let Position { height, leaf } = finding.at;
    let mut json = json!({
        "event": word(&finding.what),
        "at": { "height": height.to_string(), "leaf": leaf },
        "checkpoint": checkpoint.to_string(),
    });
    json[name] = value;
    json.to_string()
}

fn position_json(event: &v1::PositionEvent) -> Value {
    let change = event.change().as_str_name().trim_start_matches("POSITION_CHANGE_");
    json!({ "date": date_json(event.date), "change": change, "party": party_json(event.party()) })
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::reconciled;
    use super::*;

    #[test]
    fn places_and_checkpoints_are_read() {
        let at = Checkpoint::after(Position { height: 12, leaf: 3 });
        assert_eq!(parse_place("12:3"), Ok(at));
        assert_eq!(parse_place("12.3"), Ok(at));
        assert_eq!(parse_place("12.3/15.0+2").unwrap().to_string(), "12.3/15.0+2");
        for bad in ["", "12", "12:", ":3", "x:y"] {
            assert!(parse_place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_happened_is_one_line() {
        let at = Position { height: 12, leaf: 3 };
        let broken = v1::Break {
            number: 9,
            category: v1::BreakCategory::Amount.into(),
            state: v1::BreakState::Open.into(),
            effect: -500,
            statement_id: "S\n1".to_owned(),
            ..v1::Break::default()
        };
        let told = line(&reconciled(), &Finding { at, what: Happened::Opened(broken) });
        assert!(
            told.starts_with(
                "12:3  OPENED    break 9: amount, OPEN, 5.00 CHF, statement S\u{fffd}1"
            )
        );
        let change = v1::PositionChange::Outdated.into();
        let party = v1::Party::Owner.into();
        let day = v1::PositionEvent { date: 20_261_123, change, party };
        assert_eq!(position_json(&day)["change"], "OUTDATED");
        let told = line(&reconciled(), &Finding { at, what: Happened::Position(day) });
        assert!(told.contains("the signature of the owner is no longer"), "{told}");
    }
}
