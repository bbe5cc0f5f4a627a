//! `recon report`: one source against another, in figures that add up.

pub mod figures;

use std::path::PathBuf;

use counterfoil_client::reconciliation::Report;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::page;
use super::words::{self, Between};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, as_of_json, parse_date};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{Aside, Readers, refuse_existing};
use crate::output::Answer;
use crate::session::Session;

/// Arguments of `recon report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// Between these two sources; every two that are agreed, unless given
    #[arg(long, value_enum, value_name = "SOURCES")]
    comparison: Option<Between>,
    /// First value date (yyyy-mm-dd), with --to; every date of which anything is known, unless given
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "to")]
    from: Option<Date>,
    /// Last value date (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "from")]
    to: Option<Date>,
    /// Comma-separated values, whatever --output says
    #[arg(long)]
    csv: bool,
    /// Also writes a page to read and print: figures, positions, breaks with a plot
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write over a page that is there
    #[arg(long, requires = "html")]
    force: bool,
    /// End with exit code 10 if anything differs
    #[arg(long)]
    exit_code: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// Makes it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        if let Some(out) = self.html.as_ref().filter(|_| !self.force) {
            refuse_existing(&[out])?;
        }
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let dates = self.from.zip(self.to);
        let mut reports = Vec::new();
        let mut moment = v1::AsOf::default();
        for comparison in of.comparisons(&session, self.comparison).await? {
            let found = session.client.report(of.id, comparison, dates).await?;
            refuse_wrong(&found.value)?;
            reports.push(found.value);
            moment = found.as_of;
        }
        let differs = reports.iter().any(differs);
        let exit = if self.exit_code && differs { Exit::Differences } else { Exit::Success };
        let mut answer = described(&of, &reports, &moment).exit(exit);
        if let Some(out) = &self.html {
            let bytes = self.write_page(out, &session, &of, &reports, &moment).await?;
            answer = answer.line("").line(format!("page: {}, {bytes} bytes", out.display()));
        }
        Ok(if self.csv { answer.csv(&figures::csv(&of, &reports)) } else { answer })
    }

    /// Writes the page beside its place first; its length in bytes.
    async fn write_page(
        &self,
        out: &std::path::Path,
        session: &Session,
        of: &Reconciled,
        reports: &[Report],
        moment: &v1::AsOf,
    ) -> Result<u64, Failure> {
        let days = session.client.positions(of.id, self.from, self.to).all().await?.value;
        let any = v1::Comparison::Unspecified;
        let breaks = session.client.breaks(of.id, any, false).all().await?.value;
        let page = page::Page { of, reports, days: &days, breaks: &breaks, as_of: moment };
        let aside = Aside::begin(out, Readers::Owner)?;
        let text = page.html();
        let mut file = aside.file();
        std::io::Write::write_all(&mut file, text.as_bytes())
            .map_err(|error| aside.failed(&error))?;
        aside.finish()
    }
}

/// Figures that do not add up are not a report.
fn refuse_wrong(report: &Report) -> Result<(), Failure> {
    let equation = report.equation();
    if equation.holds() {
        return Ok(());
    }
    let between = words::comparison(report.comparison);
    Err(Failure::new(Exit::Verification, "REPORT_WRONG", "the node's report does not add up")
        .fact(format!("{between}: {equation:?}"))
        .fix("ask another node, and tell the institution that runs this one"))
}

/// Whether anything is left to do, or was accepted as different.
fn differs(report: &Report) -> bool {
    let open = |side: &v1::RangeFigures| side.proposed_count > 0 || side.waiting_count > 0;
    report.open_break_count() > 0
        || report.equation().difference() != 0
        || open(&report.first)
        || open(&report.second)
}

fn described(of: &Reconciled, reports: &[Report], moment: &v1::AsOf) -> Answer {
    let list = reports.iter().map(|report| figures::json(of, report));
    let mut answer = Answer::new(json!({
        "account": of.json(),
        "comparisons": list.collect::<Vec<Value>>(),
        "asOf": as_of_json(moment),
    }))
    .title(format!("Reconciliation of {}", of.title()))
    .line(format!("{}, amounts in {}; {}", range(reports), of.account.asset, as_of(moment)));
    for report in reports {
        answer = answer
            .line("")
            .line(figures::headline(report))
            .line("")
            .table(figures::sides(of, report))
            .line("")
            .table(figures::proof(of, report));
    }
    answer
}

/// The value dates that reports are of.
pub fn range(reports: &[Report]) -> String {
    let dates = reports.iter().filter_map(|report| report.dates);
    let first = dates.clone().map(|(from, _)| from).min();
    match first.zip(dates.map(|(_, to)| to).max()) {
        Some((from, to)) if from == to => format!("value date {from}"),
        Some((from, to)) => format!("value dates {from} to {to}"),
        None => "no value date is known".to_owned(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::account::tests::reconciled;
    use super::*;
    use crate::output::Format;

    /// Two sources that differ by a break and by what waits.
    pub fn report() -> Report {
        let first = v1::RangeFigures {
            opening: 10_000,
            opening_is_known: true,
            credit_count: 3,
            credits: 3_000,
            debit_count: 1,
            debits: 500,
            closing: 12_500,
            matched_count: 3,
            matched_effect: 2_000,
            waiting_count: 1,
            waiting_effect: 500,
            ..v1::RangeFigures::default()
        };
        let second = v1::RangeFigures {
            credit_count: 3,
            credits: 2_200,
            closing: 2_200,
            matched_count: 2,
            matched_effect: 2_000,
            statement_count: 1,
            ..v1::RangeFigures::default()
        };
        let category = v1::BreakCategory::MissingFirst.into();
        let broken =
            v1::BreakFigures { category, open_count: 1, effect: -200, ..Default::default() };
        let date = |yyyymmdd| Date::from_yyyymmdd(yyyymmdd).unwrap();
        Report {
            asset: "CHF".to_owned(),
            comparison: v1::Comparison::LedgerOwner,
            dates: Some((date(20_261_101), date(20_261_130))),
            first,
            second,
            breaks: vec![broken],
            match_count: 2,
            proposal_count: 0,
        }
    }

    #[test]
    fn the_equation_is_written_line_by_line() {
        let answer = described(&reconciled(), &[report()], &v1::AsOf::default());
        let text = answer.render(Format::Table);
        let expected = "\
            THE DIFFERENCE, LEDGER LESS OWNER  COUNT  AMOUNT\n\
            movements of the ledger                    25.00\n\
            movements of the owner's book              22.00\n\
            difference                                  3.00\n\
            \u{20}\u{20}matched                              5    0.00\n\
            \u{20}\u{20}proposed                             0    0.00\n\
            \u{20}\u{20}waiting                              1    5.00\n\
            \u{20}\u{20}break: missing-first                 1   -2.00\n\
            explained                                   3.00\n";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.contains("value dates 2026-11-01 to 2026-11-30, amounts in CHF"), "{text}");
    }

    #[test]
    fn a_report_that_does_not_add_up_is_refused() {
        assert!(refuse_wrong(&report()).is_ok() && differs(&report()));
        let mut wrong = report();
        wrong.breaks[0].effect = -201;
        assert_eq!(refuse_wrong(&wrong).unwrap_err().exit, Exit::Verification);
    }

    #[test]
    fn programs_get_both_sides_and_the_equation() {
        let json = figures::json(&reconciled(), &report());
        assert_eq!(json["first"]["opening"]["amount"], "100.00");
        assert_eq!(json["second"]["opening"], Value::Null, "a book without a statement before");
        assert_eq!(json["equation"]["difference"]["minorUnits"], "300");
        assert_eq!(json["matchRateBasisPoints"], 7_142);
        let csv = Answer::new(Value::Null).csv(&figures::csv(&reconciled(), &[report()]));
        let text = csv.render(Format::Table);
        assert!(text.contains("ledger-owner,break,missing-first,1,-2.00,-200,CHF\r\n"), "{text}");
    }
}
