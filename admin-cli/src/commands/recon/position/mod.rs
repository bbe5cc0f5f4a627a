//! `recon position`, `recon positions`: an account's days, and what was signed of them.

mod days;
mod sign;

use counterfoil_client::reconciliation::own_source;
use counterfoil_ledger::asset::parse_amount;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde_json::{Value, json};

pub use self::days::{Positions, day_row, days_table};

use super::account::Reconciled;
use super::words::{self, counted, source_phrase};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, as_of_json, date, date_json, parse_date, position_json};
use crate::confirm::confirm;
use crate::context::Connection;
use crate::error::Failure;
use crate::output::{Answer, Format, Table, hex};
use crate::session::Session;
use crate::verdict;
use crate::waiting::Waiting;

/// Arguments of `recon position`.
#[derive(Debug, clap::Args)]
pub struct Position {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// The value date (yyyy-mm-dd); today by the agreement's calendar, unless given
    #[arg(value_name = "DATE", value_parser = parse_date)]
    date: Option<Date>,
    /// Sign what your own source says of the day, after showing it
    #[arg(long)]
    sign: bool,
    /// Sign only if your own closing balance is this; negative = debit
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true, requires = "sign")]
    closing: Option<String>,
    /// Signs without asking
    #[arg(long, requires = "sign")]
    yes: bool,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Position {
    /// Shows it, and signs it where that is asked for.
    pub async fn run(&self) -> Result<Answer, Failure> {
        if self.sign {
            return self.signed().await;
        }
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let found = session.client.position(of.id, self.date).await?;
        let mut json = day_json(&of, &found.value);
        json["asOf"] = as_of_json(&found.as_of);
        Ok(Answer::new(json)
            .title(title(&of, &found.value))
            .table(sides(&of, &found.value))
            .line("")
            .table(signatures(&found.value))
            .line("")
            .line(as_of(&found.as_of)))
    }

    async fn signed(&self) -> Result<Answer, Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        let of = Reconciled::find(&session, &self.account).await?;
        let party = of.party(&session)?;
        let agreement = of.agreement(&session).await?;
        let own = own_source(party, &agreement.terms);
        let day = session.client.position(of.id, self.date).await?.value;
        let date = Date::from_yyyymmdd(day.date).map_err(|_| {
            Failure::usage("DATE_MISSING", "the node names no day").fix("give the date")
        })?;
        let closing =
            self.closing.as_deref().map(|text| closing(text, of.exponent())).transpose()?;
        let figures = sign::view(&of, own, &day, closing)?;
        if !self.yes {
            let shown = Answer::new(Value::Null)
                .title(title(&of, &day))
                .table(sides(&of, &day))
                .render(Format::Table);
            let closing = of.amount(figures.closing_balance.into());
            let book = source_phrase(own);
            let question = format!("Sign what {book} says of {date}, closing at {closing}?");
            confirm(&shown, &question).await?;
        }
        let order = counterfoil_client::Order::sign_position(of.id, date, &figures);
        let outcome = session.submit(order).await?;
        let what = match outcome.is_accepted() {
            true => {
                format!("the position of {date} signed as the {}", words::party(party.message()))
            }
            false => format!("the position of {date} not signed"),
        };
        let more = json!({
            "account": of.json(),
            "date": date.to_string(),
            "source": words::source(own),
            "figures": figures_json(&of, &figures),
        });
        let answer = verdict::answer(&outcome, &what, more);
        if !outcome.is_accepted() {
            return Ok(answer);
        }
        Ok(answer.line(standing(&session, &of, date).await))
    }
}

/// Whether both agree now.
async fn standing(session: &Session, of: &Reconciled, date: Date) -> String {
    match session.client.position(of.id, Some(date)).await {
        Ok(found) if found.value.agreed_at.is_some() => "both parties agree on the day".to_owned(),
        Ok(found) if found.value.break_number > 0 => {
            format!("the day differs: break {}", found.value.break_number)
        }
        Ok(found) if found.value.owner.is_some() && found.value.servicer.is_some() => {
            "both have signed, and items of the day are open".to_owned()
        }
        Ok(_) => "the other party has not signed yet".to_owned(),
        // What was signed stands, whatever the node says now.
        Err(error) => format!("whether both agree is not known: {error}"),
    }
}

/// A balance of the command line.
fn closing(text: &str, exponent: u8) -> Result<i64, Failure> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let units = parse_amount(digits, exponent).ok().and_then(|units| i64::try_from(units).ok());
    let units = units.ok_or_else(|| {
        Failure::usage("AMOUNT_MALFORMED", format!("{text:?} is not a balance of the account"))
    })?;
    Ok(if negative { -units } else { units })
}

fn title(of: &Reconciled, day: &v1::DayPosition) -> String {
    format!("{} of {}", date(day.date), of.title())
}

/// The day as each source has it, side by side.
fn sides(of: &Reconciled, day: &v1::DayPosition) -> Table {
    let mut table = Table::new(&[
        "SOURCE",
        ">OPENING",
        ">CREDITS",
        ">",
        ">DEBITS",
        ">",
        ">LENT",
        ">REPAID",
        ">OTHER IN",
        ">OTHER OUT",
        ">CLOSING",
        "DIGEST",
    ]);
    let unsigned = |units: u64| of.figure(units.into());
    for side in &day.sources {
        let figures = side.figures.clone().unwrap_or_default();
        let balance = |units: i64| balance(of, &figures, units);
        table.row([
            words::source(side.source()).to_owned(),
            balance(figures.opening_balance),
            figures.credit_count.to_string(),
            unsigned(figures.credits),
            figures.debit_count.to_string(),
            unsigned(figures.debits),
            unsigned(figures.lent),
            unsigned(figures.repaid),
            unsigned(figures.other_in),
            unsigned(figures.other_out),
            balance(figures.closing_balance),
            hex(&figures.digest).chars().take(16).collect(),
        ]);
    }
    table
}

/// A balance, where the source knows it.
pub fn balance(of: &Reconciled, figures: &v1::DayFigures, units: i64) -> String {
    if figures.opening_is_known { of.figure(units.into()) } else { "not known".to_owned() }
}

fn signatures(day: &v1::DayPosition) -> Table {
    let signed = |view: &Option<v1::SignedView>| match view {
        Some(view) => format!("at {}", crate::commands::account::position(view.signed_at.as_ref())),
        None => "not yet, or no longer of what its source says".to_owned(),
    };
    let mut table = Table::new(&["", ""]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("signed by the owner", signed(&day.owner));
    fact("signed by the servicer", signed(&day.servicer));
    fact(
        "agreed",
        match &day.agreed_at {
            Some(at) => format!("at {}", crate::commands::account::position(Some(at))),
            None => "no".to_owned(),
        },
    );
    fact("open", counted(day.open_item_count, "item"));
    if day.break_number > 0 {
        fact("differs", format!("break {}", day.break_number));
    }
    table
}

/// A day for programs.
pub fn day_json(of: &Reconciled, day: &v1::DayPosition) -> Value {
    let view = |view: &Option<v1::SignedView>| {
        view.as_ref().map(|view| {
            json!({
                "figures": view.figures.as_ref().map(|figures| figures_json(of, figures)),
                "signedAt": position_json(view.signed_at.as_ref()),
            })
        })
    };
    let source = |side: &v1::SourceFigures| {
        json!({
            "source": words::source(side.source()),
            "figures": side.figures.as_ref().map(|figures| purposes_json(of, figures)),
        })
    };
    json!({
        "date": date_json(day.date),
        "sources": day.sources.iter().map(source).collect::<Vec<_>>(),
        "owner": view(&day.owner),
        "servicer": view(&day.servicer),
        "agreedAt": position_json(day.agreed_at.as_ref()),
        "break": Some(day.break_number).filter(|it| *it > 0).map(|it| it.to_string()),
        "openItemCount": day.open_item_count.to_string(),
    })
}

fn figures_json(of: &Reconciled, figures: &v1::DayFigures) -> Value {
    let known = |units: i64| figures.opening_is_known.then(|| of.amount_json(units.into()));
    json!({
        "opening": known(figures.opening_balance),
        "creditCount": figures.credit_count.to_string(),
        "credits": of.amount_json(figures.credits.into()),
        "debitCount": figures.debit_count.to_string(),
        "debits": of.amount_json(figures.debits.into()),
        "entryCount": figures.credit_count.saturating_add(figures.debit_count).to_string(),
        "closing": known(figures.closing_balance),
        "digest": hex(&figures.digest),
    })
}

/// A source's figures, with what they are for; nobody signs that.
fn purposes_json(of: &Reconciled, figures: &v1::DayFigures) -> Value {
    let mut json = figures_json(of, figures);
    for (name, units) in [
        ("lent", figures.lent),
        ("repaid", figures.repaid),
        ("otherIn", figures.other_in),
        ("otherOut", figures.other_out),
    ] {
        json[name] = of.amount_json(units.into());
    }
    json
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::reconciled;
    use super::*;

    #[test]
    fn balances_are_read_and_shown_where_they_are_known() {
        assert_eq!(closing("-12.50", 2).unwrap(), -1_250);
        assert_eq!(closing("12.505", 2).unwrap_err().code, "AMOUNT_MALFORMED");
        let mut figures = v1::DayFigures::default();
        assert_eq!(balance(&reconciled(), &figures, 5), "not known");
        figures.opening_is_known = true;
        assert_eq!(balance(&reconciled(), &figures, -5), "-0.05");
    }

    #[test]
    fn a_day_is_shown_from_every_side() {
        let figures = v1::DayFigures {
            opening_balance: 10_000,
            opening_is_known: true,
            credit_count: 1,
            credits: 1_250,
            closing_balance: 11_250,
            digest: vec![0xab; 32].into(),
            lent: 1_000,
            other_in: 250,
            ..v1::DayFigures::default()
        };
        let side = |source: v1::Source, figures: &v1::DayFigures| v1::SourceFigures {
            source: source.into(),
            figures: Some(figures.clone()),
        };
        let unknown = v1::DayFigures { opening_is_known: false, ..figures.clone() };
        let day = v1::DayPosition {
            date: 20_261_123,
            sources: vec![
                side(v1::Source::Ledger, &figures),
                side(v1::Source::OwnerBook, &unknown),
            ],
            ..v1::DayPosition::default()
        };
        let of = reconciled();
        let text = Answer::new(Value::Null).table(sides(&of, &day)).render(Format::Table);
        let rows: Vec<Vec<&str>> =
            text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let digest = "abababababababab";
        assert_eq!(
            rows[0],
            [
                "ledger", "100.00", "1", "12.50", "0", "0.00", "10.00", "0.00", "2.50", "0.00",
                "112.50", digest
            ]
        );
        assert_eq!(rows[1][1..3], ["not", "known"]);
        let json = day_json(&of, &day);
        assert_eq!(json["sources"][1]["figures"]["closing"], Value::Null);
        assert_eq!(json["sources"][0]["figures"]["closing"]["minorUnits"], "11250");
        assert_eq!(json["sources"][0]["figures"]["otherIn"]["minorUnits"], "250");
        assert_eq!(json["sources"][0]["figures"]["entryCount"], "1");
        let signed = v1::SignedView { figures: Some(figures), ..v1::SignedView::default() };
        let json = day_json(&of, &v1::DayPosition { owner: Some(signed), ..day });
        assert_eq!(json["owner"]["figures"]["lent"], Value::Null, "it is not signed");
    }
}
