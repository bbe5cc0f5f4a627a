//! The figures of a report, for people, programs and spreadsheets.

use counterfoil_client::reconciliation::{Equation, Report};
use counterfoil_proto::v1;
use serde_json::{Value, json};

use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::{self, both, category, counted, rate};
use crate::output::{Csv, Table};

/// A line of the equation: what it is, how many, and how much.
pub struct Line {
    /// What.
    pub name: String,
    /// How many items or breaks; none of sums.
    pub count: Option<u64>,
    /// Minor units.
    pub units: i128,
    /// A part of the difference, not a sum.
    pub part: bool,
}

/// The sources of a report by their words.
fn sources(report: &Report) -> [&'static str; 2] {
    let sources = counterfoil_client::reconciliation::sources(report.comparison);
    sources.unwrap_or_default().map(words::source)
}

/// What is compared, and how much of it is matched.
pub fn headline(report: &Report) -> String {
    let [first, second] = both(report.comparison);
    format!(
        "{first} and {second}: {} of {} matched ({}), {}, {} open",
        report.matched_count(),
        counted(report.item_count(), "item"),
        rate(report.match_rate()),
        counted(report.proposal_count, "proposal"),
        counted(report.open_break_count(), "break"),
    )
}

/// Opening, movements and closing of both sources.
pub fn sides(of: &Reconciled, report: &Report) -> Table {
    let headings: [&'static str; 3] = match report.comparison {
        v1::Comparison::LedgerServicer => ["", ">LEDGER", ">SERVICER"],
        v1::Comparison::OwnerServicer => ["", ">OWNER", ">SERVICER"],
        _ => ["", ">LEDGER", ">OWNER"],
    };
    let mut table = Table::new(&headings);
    for [name, first, second] in side_rows(of, report) {
        table.row([name, first, second]);
    }
    table
}

/// The rows of [`sides`].
pub fn side_rows(of: &Reconciled, report: &Report) -> Vec<[String; 3]> {
    let (first, second) = (&report.first, &report.second);
    let known = |side: &v1::RangeFigures, units: i64| match side.opening_is_known {
        true => of.figure(units.into()),
        false => "not known".to_owned(),
    };
    let statements = |side: &v1::RangeFigures, source: &str| match source {
        "ledger" => "-".to_owned(),
        _ => side.statement_count.to_string(),
    };
    let [first_source, second_source] = sources(report);
    vec![
        ["opening".to_owned(), known(first, first.opening), known(second, second.opening)],
        [
            format!("credits ({} / {})", first.credit_count, second.credit_count),
            of.figure(first.credits.into()),
            of.figure(second.credits.into()),
        ],
        [
            format!("debits ({} / {})", first.debit_count, second.debit_count),
            of.figure(-i128::from(first.debits)),
            of.figure(-i128::from(second.debits)),
        ],
        ["closing".to_owned(), known(first, first.closing), known(second, second.closing)],
        [
            "statements".to_owned(),
            statements(first, first_source),
            statements(second, second_source),
        ],
    ]
}

/// The equation: what the difference of the movements is made of.
pub fn lines(report: &Report) -> Vec<Line> {
    let Equation { first_movements, second_movements, matched, proposed, waiting, .. } =
        report.equation();
    let [first, second] = both(report.comparison);
    let sum = |name: String, units| Line { name, count: None, units, part: false };
    let part = |name: &str, count, units| Line { name: name.to_owned(), count, units, part: true };
    let mut lines = vec![
        sum(format!("movements of {first}"), first_movements),
        sum(format!("movements of {second}"), second_movements),
        sum("difference".to_owned(), report.equation().difference()),
        part("matched", Some(report.matched_count()), matched),
        part("proposed", Some(report.proposed_count()), proposed),
        part("waiting", Some(report.waiting_count()), waiting),
    ];
    for figures in &report.breaks {
        let name = category(figures.category());
        if figures.open_count > 0 || figures.effect != 0 {
            let name = format!("break: {name}");
            lines.push(part(&name, Some(figures.open_count), figures.effect.into()));
        }
        if figures.ended_count > 0 || figures.ended_effect != 0 {
            let name = format!("ended: {name}");
            lines.push(part(&name, Some(figures.ended_count), figures.ended_effect.into()));
        }
    }
    lines.push(sum("explained".to_owned(), report.equation().explained()));
    lines
}

/// The equation as a table.
pub fn proof(of: &Reconciled, report: &Report) -> Table {
    let heading = match report.comparison {
        v1::Comparison::LedgerServicer => "THE DIFFERENCE, LEDGER LESS SERVICER",
        v1::Comparison::OwnerServicer => "THE DIFFERENCE, OWNER LESS SERVICER",
        _ => "THE DIFFERENCE, LEDGER LESS OWNER",
    };
    let mut table = Table::new(&[heading, ">COUNT", ">AMOUNT"]);
    for line in lines(report) {
        let indent = if line.part { "  " } else { "" };
        table.row([
            format!("{indent}{}", line.name),
            line.count.map(|count| count.to_string()).unwrap_or_default(),
            of.figure(line.units),
        ]);
    }
    table
}

/// A report for programs.
pub fn json(of: &Reconciled, report: &Report) -> Value {
    let money = |units: i128| of.amount_json(units);
    let side = |source: &str, figures: &v1::RangeFigures| {
        let known = |units: i64| figures.opening_is_known.then(|| money(units.into()));
        json!({
            "source": source,
            "opening": known(figures.opening),
            "creditCount": figures.credit_count.to_string(),
            "credits": money(figures.credits.into()),
            "debitCount": figures.debit_count.to_string(),
            "debits": money(figures.debits.into()),
            "closing": known(figures.closing),
            "matchedCount": figures.matched_count.to_string(),
            "matchedEffect": money(figures.matched_effect.into()),
            "proposedCount": figures.proposed_count.to_string(),
            "proposedEffect": money(figures.proposed_effect.into()),
            "waitingCount": figures.waiting_count.to_string(),
            "waitingEffect": money(figures.waiting_effect.into()),
            "statementCount": figures.statement_count,
        })
    };
    let breaks = report.breaks.iter().map(|figures| {
        json!({
            "category": category(figures.category()),
            "openCount": figures.open_count.to_string(),
            "effect": money(figures.effect.into()),
            "endedCount": figures.ended_count.to_string(),
            "endedEffect": money(figures.ended_effect.into()),
        })
    });
    let equation = report.equation();
    let [first, second] = sources(report);
    json!({
        "comparison": words::comparison(report.comparison),
        "fromDate": report.dates.map(|(from, _)| from.to_string()),
        "toDate": report.dates.map(|(_, to)| to.to_string()),
        "first": side(first, &report.first),
        "second": side(second, &report.second),
        "matchCount": report.match_count.to_string(),
        "proposalCount": report.proposal_count.to_string(),
        "openBreakCount": report.open_break_count().to_string(),
        "matchRateBasisPoints": report.match_rate(),
        "breaks": breaks.collect::<Vec<_>>(),
        "equation": {
            "firstMovements": money(equation.first_movements),
            "secondMovements": money(equation.second_movements),
            "difference": money(equation.difference()),
            "matched": money(equation.matched),
            "proposed": money(equation.proposed),
            "waiting": money(equation.waiting),
            "openBreaks": money(equation.open_breaks),
            "endedBreaks": money(equation.ended_breaks),
            "holds": equation.holds(),
        },
    })
}

/// Reports for a spreadsheet: a figure a line, under its comparison.
pub fn csv(of: &Reconciled, reports: &[Report]) -> Csv {
    let mut csv =
        Csv::new(&["comparison", "kind", "name", "count", "amount", "amount_minor_units", "asset"]);
    for report in reports {
        for line in lines(report) {
            let (kind, name) = match line.name.split_once(": ") {
                Some((kind, name)) => (kind, name),
                None if line.part => ("items", line.name.as_str()),
                None => ("sum", line.name.as_str()),
            };
            csv.row([
                words::comparison(report.comparison).to_owned(),
                kind.to_owned(),
                name.to_owned(),
                line.count.map(|count| count.to_string()).unwrap_or_default(),
                of.figure(line.units),
                line.units.to_string(),
                of.account.asset.clone(),
            ]);
        }
    }
    csv
}
