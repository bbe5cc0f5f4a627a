//! The list of breaks.

use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::ageing::Ageing;
use super::filter::{Filter, Sort};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, date, date_json, position_json};
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::{self, category, counted, is_ended, state};
use crate::commands::recon::{item, work};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::moment;
use crate::output::{Answer, Csv, Table, cell, hex};
use crate::session::Session;

/// Arguments of `recon breaks`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT", required = true)]
    account: Option<AccountWord>,
    /// Which.
    #[command(flatten)]
    filter: Filter,
    /// What comes first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "age")]
    sort: Sort,
    /// How many, and how much, by category and age in business days
    #[arg(long)]
    ageing: bool,
    /// Comma-separated values, whatever --output says
    #[arg(long)]
    csv: bool,
    /// End with exit code 10 if any break is open
    #[arg(long)]
    exit_code: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl List {
    /// Lists them.
    pub async fn run(&self) -> Result<Answer, Failure> {
        // The parser requires it, unless a verb follows.
        let account = self.account.as_ref().ok_or_else(|| {
            Failure::usage("USAGE", "no account is named").fix("counterfoil recon breaks ACCOUNT")
        })?;
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, account).await?;
        let found = session.client.breaks(of.id, self.filter.compared(), self.filter.wants_ended());
        let found = found.all().await?;
        let mut breaks = self.filter.choose(found.value);
        self.sort.order(&mut breaks, &of.account.asset);
        let open = breaks.iter().filter(|one| !is_ended(one.state())).count();
        let exit = if self.exit_code && open > 0 { Exit::Differences } else { Exit::Success };
        let answer =
            if self.ageing { self.aged(&of, &breaks) } else { self.listed(&session, &of, &breaks) };
        let count = u64::try_from(breaks.len()).unwrap_or(u64::MAX);
        let summary =
            format!("{}, {open} of them open; {}", counted(count, "break"), as_of(&found.as_of));
        Ok(answer.line("").line(summary).exit(exit))
    }

    fn aged(&self, of: &Reconciled, breaks: &[v1::Break]) -> Answer {
        let ageing = Ageing::of(breaks, &of.account.asset);
        let title = format!("Breaks of {} by age in business days", of.title());
        let answer = Answer::new(ageing.json(of)).title(title).table(ageing.table(of));
        if self.csv { answer.csv(&ageing.csv(of)) } else { answer }
    }

    fn listed(&self, session: &Session, of: &Reconciled, breaks: &[v1::Break]) -> Answer {
        let list = breaks.iter().map(|one| break_json(session, of, one)).collect();
        let answer = Answer::new(Value::Array(list)).table(table(of, breaks));
        if self.csv { answer.csv(&csv(of, breaks)) } else { answer }
    }
}

/// How much a break is about, in minor units of the account's asset: what it adds to the difference
/// of the balances, or else its largest item.
pub fn at_stake(one: &v1::Break, asset: &str) -> u128 {
    let units = |money: &v1::Money| u128::from(money.minor_units.unsigned_abs());
    let items = one.first.iter().chain(&one.second).filter_map(|item| item.amount.as_ref());
    let largest = items.filter(|money| money.asset == asset).map(units).max();
    match one.effect {
        0 => largest.unwrap_or_default(),
        effect => u128::from(effect.unsigned_abs()),
    }
}

/// What a break is about, in one cell: its items, its statement or its day.
pub fn what(one: &v1::Break) -> String {
    if !one.first.is_empty() || !one.second.is_empty() {
        return item::names(&one.first, &one.second);
    }
    match (one.statement_id.as_str(), one.date) {
        ("", 0) => "-".to_owned(),
        ("", day) => format!("day {}", date(day)),
        (id, _) => format!("statement {id} of {}", words::source_phrase(one.statement_source())),
    }
}

/// Where the counterpart of a break's item was found: `owner:12 on CHF:FEES`.
pub fn elsewhere(of: &Reconciled, one: &v1::Break) -> Option<String> {
    let elsewhere = one.elsewhere.as_ref()?;
    let item = elsewhere.item.as_ref()?;
    Some(format!("{} on {}", item::name(item), of.sibling(&elsewhere.name)))
}

/// The first value date of its items, or its day.
fn first_date(one: &v1::Break) -> u32 {
    let dates = one.first.iter().chain(&one.second).map(|item| item.value_date);
    dates.filter(|date| *date != 0).min().unwrap_or(one.date)
}

fn table(of: &Reconciled, breaks: &[v1::Break]) -> Table {
    let mut table = Table::new(&[
        ">NO",
        "CATEGORY",
        "STATE",
        ">AGE",
        ">AMOUNT",
        ">EFFECT",
        "DATE",
        "BETWEEN",
        "ITEMS",
        "REFERENCE",
        "ANSWERS",
        "BY",
    ]);
    for one in breaks {
        let units = i128::try_from(at_stake(one, &of.account.asset)).unwrap_or(i128::MAX);
        let level = match one.escalation_level {
            0 => String::new(),
            level => format!(" +{level}"),
        };
        table.row([
            one.number.to_string(),
            category(one.category()),
            state(one.state()).to_owned(),
            format!("{}{level}", one.age_days),
            of.figure(units),
            of.figure(one.effect.into()),
            date(first_date(one)),
            words::comparison(one.comparison()).to_owned(),
            match elsewhere(of, one) {
                Some(elsewhere) => format!("{}, {elsewhere}", what(one)),
                None => what(one),
            },
            item::first_reference(&one.first, &one.second),
            words::party(one.answers()).to_owned(),
            date(one.answer_by),
        ]);
    }
    table
}

fn csv(of: &Reconciled, breaks: &[v1::Break]) -> Csv {
    let mut csv = Csv::new(&[
        "number",
        "category",
        "state",
        "age_business_days",
        "amount",
        "amount_minor_units",
        "effect",
        "effect_minor_units",
        "asset",
        "date",
        "comparison",
        "items",
        "reference",
        "opened_at",
        "answers",
        "answer_by",
        "escalation_level",
        "owner",
        "elsewhere",
    ]);
    for one in breaks {
        let units = i128::try_from(at_stake(one, &of.account.asset)).unwrap_or(i128::MAX);
        let day = |yyyymmdd: u32| match yyyymmdd {
            0 => String::new(),
            yyyymmdd => date(yyyymmdd),
        };
        csv.row([
            one.number.to_string(),
            category(one.category()),
            state(one.state()).to_owned(),
            one.age_days.to_string(),
            of.figure(units),
            units.to_string(),
            of.figure(one.effect.into()),
            one.effect.to_string(),
            of.account.asset.clone(),
            day(first_date(one)),
            words::comparison(one.comparison()).to_owned(),
            cell(&what(one)),
            cell(&item::first_reference(&one.first, &one.second)),
            moment::utc(one.opened_ms),
            words::party_json(one.answers()).unwrap_or_default().to_owned(),
            day(one.answer_by),
            one.escalation_level.to_string(),
            words::party_json(one.owner()).unwrap_or_default().to_owned(),
            cell(&elsewhere(of, one).unwrap_or_default()),
        ]);
    }
    csv
}

/// A break for programs.
pub fn break_json(session: &Session, of: &Reconciled, one: &v1::Break) -> Value {
    let units = i128::try_from(at_stake(one, &of.account.asset)).unwrap_or(i128::MAX);
    json!({
        "number": one.number.to_string(),
        "comparison": words::comparison(one.comparison()),
        "category": category(one.category()),
        "state": state(one.state()),
        "first": item::list_json(session, &one.first),
        "second": item::list_json(session, &one.second),
        "statement": Some(&one.statement_id).filter(|id| !id.is_empty()).map(|id| json!({
            "source": words::source(one.statement_source()),
            "id": id,
        })),
        "date": date_json(one.date),
        "amount": of.amount_json(units),
        "effect": of.amount_json(one.effect.into()),
        "openedAt": position_json(one.opened_at.as_ref()),
        "opened": moment::utc(one.opened_ms),
        "endedAt": position_json(one.ended_at.as_ref()),
        "ageBusinessDays": one.age_days,
        "answers": words::party_json(one.answers()),
        "answerBy": date_json(one.answer_by),
        "escalationLevel": one.escalation_level,
        "owner": words::party_json(one.owner()),
        "spoke": words::party_json(one.spoke()),
        "stepCount": one.step_count,
        "offer": one.offer.as_ref().map(|offer| work::offer_json(of, offer)),
        "elsewhere": one.elsewhere.as_ref().map(|it| json!({
            "account": hex(&it.account),
            "name": it.name,
            "item": it.item.as_ref().map(|item| item::json(session, item)),
        })),
    })
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::agreement::Party;

    use super::*;
    use crate::commands::recon::account::tests::reconciled;
    use crate::output::Format;

    fn item(source: v1::Source, units: i64, asset: &str) -> v1::Item {
        v1::Item {
            source: source.into(),
            number: 7,
            amount: Some(v1::Money { asset: asset.to_owned(), minor_units: units }),
            value_date: 20_261_123,
            end_to_end_id: "=E2E,1".to_owned(),
            ..v1::Item::default()
        }
    }

    fn broken() -> v1::Break {
        v1::Break {
            number: 3,
            comparison: v1::Comparison::LedgerOwner.into(),
            category: v1::BreakCategory::ValueDate.into(),
            state: v1::BreakState::Open.into(),
            first: vec![item(v1::Source::Ledger, 1_250, "CHF")],
            second: vec![item(v1::Source::OwnerBook, 9_999, "EUR")],
            age_days: 4,
            escalation_level: 1,
            answers: v1::Party::Owner.into(),
            answer_by: 20_261_125,
            ..v1::Break::default()
        }
    }

    #[test]
    fn what_is_at_stake() {
        assert_eq!(at_stake(&broken(), "CHF"), 1_250, "another asset is no amount of this account");
        assert_eq!(at_stake(&v1::Break { effect: -40, ..broken() }, "CHF"), 40);
        assert_eq!(at_stake(&v1::Break::default(), "CHF"), 0);
    }

    #[test]
    fn breaks_are_listed() {
        let text = Answer::new(Value::Null).table(table(&reconciled(), &[broken()]));
        let text = text.render(Format::Table);
        let row = text.lines().nth(1).unwrap();
        let cells: Vec<&str> = row.split("  ").filter(|cell| !cell.is_empty()).collect();
        let expected = [
            " 3",
            "value-date",
            "OPEN",
            "4 +1",
            " 12.50",
            " 0.00",
            "2026-11-23",
            "ledger-owner",
            "ledger:7 owner:7",
            "=E2E,1",
            "owner",
            "2026-11-25",
        ];
        let trimmed =
            |cells: &[&str]| cells.iter().map(|it| it.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&cells), trimmed(&expected));
    }

    #[test]
    fn a_spreadsheet_gets_no_formula() {
        let text = Answer::new(Value::Null).csv(&csv(&reconciled(), &[broken()]));
        let text = text.render(Format::Table);
        assert!(text.contains(",\"'=E2E,1\","), "{text}");
        assert!(text.lines().all(|line| line.split(',').count() >= 19), "{text}");
    }

    #[test]
    fn what_stands_on_another_account_is_named() {
        let item = Some(item(v1::Source::OwnerBook, 1_250, "CHF"));
        let on = |name: &str| {
            let elsewhere = v1::ItemElsewhere {
                name: name.to_owned(),
                item: item.clone(),
                ..Default::default()
            };
            v1::Break { elsewhere: Some(elsewhere), second: Vec::new(), ..broken() }
        };
        let of = reconciled();
        assert_eq!(elsewhere(&of, &on("FEES")).unwrap(), "owner:7 on CHF:FEES");
        assert_eq!(elsewhere(&of, &on("SETTLEMENT")).unwrap(), "owner:7 on CHF");
        let seen = Reconciled { own: Some(Party::Servicer), ..reconciled() };
        assert_eq!(elsewhere(&seen, &on("FEES")).unwrap(), "owner:7 on CHF@BANKCHZZXXX:FEES");
        let text = Answer::new(Value::Null).table(table(&of, &[on("FEES")])).render(Format::Table);
        assert!(text.contains("ledger:7, owner:7 on CHF:FEES"), "{text}");
        assert_eq!(elsewhere(&of, &broken()), None);
    }

    #[test]
    fn a_break_without_items_says_what_it_is_about() {
        let day = v1::Break { date: 20_261_123, ..v1::Break::default() };
        assert_eq!(what(&day), "day 2026-11-23");
        let source = v1::Source::OwnerBook.into();
        let gap = v1::Break { statement_id: "S 1".to_owned(), statement_source: source, ..day };
        assert_eq!(what(&gap), "statement S 1 of the owner's book");
    }
}
