//! `recon status`: where reconciliation stands, account by account.

use counterfoil_client::agreements::Agreement;
use counterfoil_client::reconciliation::{Report, comparisons};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::position::{day_json, days_table};
use super::standing;
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, as_of_json};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Table};
use crate::session::Session;

/// Days that are shown of an account.
const DAYS_SHOWN: usize = 7;

/// Arguments of `recon status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The account: its id, or ASSET[@OWNER][:NAME]; every account that your institution has agreed
    /// on, unless given
    #[arg(value_name = "ACCOUNT")]
    account: Option<AccountWord>,
    /// End with exit code 10 if any break is open
    #[arg(long)]
    exit_code: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Where one account stands.
struct Standing {
    of: Reconciled,
    agreement: AgreementId,
    reports: Vec<Report>,
    days: Vec<v1::DayPosition>,
    as_of: v1::AsOf,
}

impl Arguments {
    /// Shows it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let mut standings = Vec::new();
        match &self.account {
            Some(word) => {
                let of = Reconciled::find(&session, word).await?;
                let agreement = of.agreement(&session).await?;
                standings.push(standing(&session, of, &agreement).await?);
            }
            None => {
                for agreement in active(&session).await? {
                    for id in &agreement.terms.accounts {
                        let of = Reconciled::of(&session, *id).await?;
                        standings.push(standing(&session, of, &agreement).await?);
                    }
                }
            }
        }
        let open: u64 = standings
            .iter()
            .flat_map(|it| &it.reports)
            .fold(0, |sum, report| sum.saturating_add(report.open_break_count()));
        let exit = if self.exit_code && open > 0 { Exit::Differences } else { Exit::Success };
        Ok(describe(&standings).exit(exit))
    }
}

/// The agreements that hold.
async fn active(session: &Session) -> Result<Vec<Agreement>, Failure> {
    let listed = session.client.agreements().all().await?.value;
    let mut active = Vec::new();
    for summary in listed.iter().filter(|it| it.state() == v1::AgreementState::Active) {
        let Some(id) = AgreementId::from_bytes(&summary.id) else { continue };
        active.push(session.client.agreement(id).await?.value);
    }
    Ok(active)
}

async fn standing(
    session: &Session,
    of: Reconciled,
    agreement: &Agreement,
) -> Result<Standing, Failure> {
    let mut reports = Vec::new();
    let mut moment = v1::AsOf::default();
    for comparison in comparisons(&agreement.terms) {
        let found = session.client.report(of.id, comparison, None).await?;
        reports.push(found.value);
        moment = found.as_of;
    }
    let days = last_days(session, of.id, &reports).await?;
    Ok(Standing { of, agreement: agreement.id, reports, days, as_of: moment })
}

/// The last days of which anything is known.
async fn last_days(
    session: &Session,
    id: AccountId,
    reports: &[Report],
) -> Result<Vec<v1::DayPosition>, Failure> {
    let Some(last) = reports.iter().filter_map(|report| report.dates).map(|(_, to)| to).max()
    else {
        return Ok(Vec::new());
    };
    // Days of which nothing is known are not told: twice as many are asked for.
    let from = before(last, 2 * DAYS_SHOWN);
    let mut days = session.client.positions(id, Some(from), Some(last)).all().await?.value;
    days.drain(..days.len().saturating_sub(DAYS_SHOWN));
    Ok(days)
}

/// A date so many days earlier, or as early as there are dates.
fn before(date: Date, days: usize) -> Date {
    let mut number = date.yyyymmdd();
    let mut earlier = date;
    let mut left = days;
    // Numbers between dates are none: the 32nd of a month is passed over.
    while left > 0 && number > 19_000_101 {
        number -= 1;
        if let Ok(found) = Date::from_yyyymmdd(number) {
            earlier = found;
            left -= 1;
        }
    }
    earlier
}

fn describe(standings: &[Standing]) -> Answer {
    let json = standings.iter().map(standing_json).collect();
    let mut answer = Answer::new(Value::Array(json));
    if standings.is_empty() {
        return answer
            .line("nothing is agreed: no books are compared")
            .line("counterfoil recon agreement propose offers terms");
    }
    for (number, standing) in standings.iter().enumerate() {
        if number > 0 {
            answer = answer.line("");
        }
        answer = answer
            .title(standing.of.title())
            .line(format!("agreement {}; {}", standing.agreement, as_of(&standing.as_of)))
            .line("")
            .table(figures(&standing.reports));
        if !standing.days.is_empty() {
            answer = answer.line("").table(days_table(&standing.of, &standing.days));
        }
    }
    answer
}

fn figures(reports: &[Report]) -> Table {
    let mut table = Table::new(&standing::COLUMNS);
    reports.iter().for_each(|report| table.row(standing::cells(report)));
    table
}

fn standing_json(standing: &Standing) -> Value {
    json!({
        "account": standing.of.json(),
        "agreement": standing.agreement.to_string(),
        "comparisons": standing.reports.iter().map(standing::json).collect::<Vec<_>>(),
        "days": standing.days.iter().map(|day| day_json(&standing.of, day)).collect::<Vec<_>>(),
        "asOf": as_of_json(&standing.as_of),
    })
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::reconciled;
    use super::*;
    use crate::output::Format;

    fn date(yyyymmdd: u32) -> Date {
        Date::from_yyyymmdd(yyyymmdd).unwrap()
    }

    #[test]
    fn days_are_counted_back_over_the_ends_of_months() {
        assert_eq!(before(date(20_260_302), 2), date(20_260_228));
        assert_eq!(before(date(20_260_105), 14), date(20_251_222));
        assert_eq!(before(date(19_000_103), 14), date(19_000_101));
    }

    #[test]
    fn an_account_stands_where_its_figures_say() {
        let first = v1::RangeFigures {
            credit_count: 2,
            matched_count: 1,
            waiting_count: 1,
            ..v1::RangeFigures::default()
        };
        let second = v1::RangeFigures { credit_count: 1, matched_count: 1, ..Default::default() };
        let report = Report {
            asset: "CHF".to_owned(),
            comparison: v1::Comparison::LedgerOwner,
            dates: None,
            first,
            second,
            breaks: Vec::new(),
            match_count: 1,
            proposal_count: 0,
        };
        let standing = Standing {
            of: reconciled(),
            agreement: AgreementId::from_bytes(&[7; 16]).unwrap(),
            reports: vec![report],
            days: Vec::new(),
            as_of: v1::AsOf::default(),
        };
        let answer = describe(&[standing]);
        let text = answer.render(Format::Table);
        assert!(text.starts_with("SETTLEMENT CHF of BANKCHZZXXX at SNBZCHZZXXX\n"), "{text}");
        let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["ledger-owner", "3", "2", "0", "1", "0", "66.66", "%"]);
        assert_eq!(describe(&[]).render(Format::Json), "[]\n");
    }
}
