//! `recon report`: a book against the ledger, with totals that add up.

use counterfoil_ledger::asset::format_amount;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::breaks::kind;
use super::{Book, BookOf};
use crate::account_name::AccountName;
use crate::commands::account::{as_of, as_of_json, date, date_json, parse_date};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Table, amount_json, hex};
use crate::session::Session;

/// Arguments of `recon report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which account.
    #[command(flatten)]
    account: AccountName,
    /// Whose book; the one that you keep, unless given
    #[arg(long, value_enum)]
    book: Option<Book>,
    /// First date (yyyy-mm-dd); with --to. The book's statements, unless given
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "to")]
    from: Option<Date>,
    /// Last date (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "from")]
    to: Option<Date>,
    /// End with exit code 10 if anything differs
    #[arg(long)]
    exit_code: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// Shows it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = BookOf::find(&session, &self.account, self.book).await?;
        let dates = self.from.zip(self.to);
        let report = session.client.report(of.id, of.book.message(), dates).await?.value;
        let sums = Sums::of(&report);
        if !sums.add_up() {
            let message = "the node's report does not add up";
            return Err(Failure::new(Exit::Verification, "REPORT_WRONG", message)
                .fact(format!("{sums:?}"))
                .fix("ask another node, and compare their headers"));
        }
        let differs = sums.breaks != 0
            || report.breaks.iter().any(|figures| figures.count > 0)
            || report.unexplained != 0
            || report.opening_difference != 0
            || report.undecided_count > 0;
        let exit = if self.exit_code && differs { Exit::Differences } else { Exit::Success };
        Ok(describe(&of, &report, &sums).exit(exit))
    }
}

/// What the report's bottom line is made of, minor units.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    ledger_closing: i128,
    opening_difference: i128,
    breaks: i128,
    undecided: i128,
    unexplained: i128,
    book_closing: i128,
    /// Opening, credits and debits make the closing, on both sides.
    sides_hold: bool,
}

impl Sums {
    fn of(report: &v1::GetReportResponse) -> Sums {
        let ledger = report.ledger.unwrap_or_default();
        let book = report.book.unwrap_or_default();
        Sums {
            ledger_closing: ledger.closing.into(),
            opening_difference: report.opening_difference.into(),
            breaks: report.breaks.iter().map(|figures| i128::from(figures.effect)).sum(),
            undecided: report.undecided_effect.into(),
            unexplained: report.unexplained.into(),
            book_closing: book.closing.into(),
            // The book's own closing is what its statement says, right or wrong: what it lacks is
            // the unexplained rest.
            sides_hold: i128::from(ledger.opening) + i128::from(ledger.credits)
                - i128::from(ledger.debits)
                == i128::from(ledger.closing),
        }
    }

    fn add_up(&self) -> bool {
        self.sides_hold
            && self.ledger_closing
                + self.opening_difference
                + self.breaks
                + self.undecided
                + self.unexplained
                == self.book_closing
    }
}

fn describe(of: &BookOf, report: &v1::GetReportResponse, sums: &Sums) -> Answer {
    let exponent = u8::try_from(of.account.exponent).unwrap_or(0);
    let asset = report.asset.as_str();
    let figure = |units: i128| format_amount(units, exponent);
    let ledger = report.ledger.unwrap_or_default();
    let book = report.book.unwrap_or_default();
    let mut sides = Table::new(&["", ">LEDGER", ">BOOK"]);
    let mut pair = |name: String, ledger: i64, book: i64| {
        sides.row([name, figure(ledger.into()), figure(book.into())]);
    };
    pair("opening".to_owned(), ledger.opening, book.opening);
    pair(
        format!("credits ({} / {})", ledger.credit_count, book.credit_count),
        ledger.credits,
        book.credits,
    );
    pair(
        format!("debits ({} / {})", ledger.debit_count, book.debit_count),
        -ledger.debits,
        -book.debits,
    );
    pair("closing".to_owned(), ledger.closing, book.closing);

    let mut proof = Table::new(&["PROOF", ">COUNT", ">AMOUNT"]);
    let mut line = |name: &str, count: String, units: i128| {
        proof.row([name.to_owned(), count, figure(units)]);
    };
    line("ledger closing", String::new(), sums.ledger_closing);
    line("opening difference", String::new(), sums.opening_difference);
    for figures in &report.breaks {
        let name = format!("break: {}", kind(figures.kind()));
        line(&name, figures.count.to_string(), figures.effect.into());
    }
    line("undecided", report.undecided_count.to_string(), sums.undecided);
    line("unexplained", String::new(), sums.unexplained);
    line("book closing", String::new(), sums.book_closing);

    let moment = report.as_of.clone().unwrap_or_default();
    Answer::new(report_json(of, report, exponent))
        .title(format!("Reconciliation of {}", of.title()))
        .line(format!(
            "{} to {}, {}, amounts in {asset}; {}",
            date(report.from_date),
            date(report.to_date),
            match report.statement_count {
                1 => "1 statement".to_owned(),
                count => format!("{count} statements"),
            },
            as_of(&moment),
        ))
        .line("")
        .table(sides)
        .line("")
        .line(format!(
            "matched: {} pairs, {} {asset}",
            report.matched_count,
            figure(report.matched_amount.into())
        ))
        .line("")
        .table(proof)
}

fn report_json(of: &BookOf, report: &v1::GetReportResponse, exponent: u8) -> Value {
    let money = |units: i64| amount_json(units.into(), exponent, &report.asset);
    let side = |figures: v1::BookFigures| {
        json!({
            "opening": money(figures.opening),
            "creditCount": figures.credit_count.to_string(),
            "credits": money(figures.credits),
            "debitCount": figures.debit_count.to_string(),
            "debits": money(figures.debits),
            "closing": money(figures.closing),
        })
    };
    let breaks: Vec<Value> = report
        .breaks
        .iter()
        .map(|figures| {
            json!({
                "kind": kind(figures.kind()),
                "count": figures.count.to_string(),
                "effect": money(figures.effect),
            })
        })
        .collect();
    json!({
        "account": hex(&of.account.id),
        "servicer": of.account.servicer,
        "owner": of.account.owner,
        "name": of.account.name,
        "book": of.book.as_str(),
        "fromDate": date_json(report.from_date),
        "toDate": date_json(report.to_date),
        "statementCount": report.statement_count,
        "ledger": side(report.ledger.unwrap_or_default()),
        "bookFigures": side(report.book.unwrap_or_default()),
        "matchedCount": report.matched_count.to_string(),
        "matchedAmount": money(report.matched_amount),
        "openingDifference": money(report.opening_difference),
        "breaks": breaks,
        "undecidedCount": report.undecided_count.to_string(),
        "undecidedEffect": money(report.undecided_effect),
        "unexplained": money(report.unexplained),
        "asOf": report.as_of.as_ref().map(as_of_json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn report() -> v1::GetReportResponse {
        let ledger = v1::BookFigures {
            opening: 10_000,
            credit_count: 3,
            credits: 3_000,
            debit_count: 1,
            debits: 500,
            closing: 12_500,
        };
        let book = v1::BookFigures { credits: 3_200, closing: 12_700, ..ledger };
        let effect =
            v1::BreakFigures { kind: v1::BreakKind::MissingHere.into(), count: 1, effect: 200 };
        v1::GetReportResponse {
            asset: "CHF".to_owned(),
            from_date: 20_261_101,
            to_date: 20_261_130,
            ledger: Some(ledger),
            book: Some(book),
            matched_count: 3,
            matched_amount: 3_300,
            breaks: vec![effect],
            statement_count: 1,
            ..v1::GetReportResponse::default()
        }
    }

    #[test]
    fn totals_that_do_not_add_up_are_noticed() {
        assert!(Sums::of(&report()).add_up());
        let mut wrong = report();
        wrong.breaks[0].effect = 201;
        assert!(!Sums::of(&wrong).add_up());
        let mut wrong = report();
        wrong.ledger = Some(v1::BookFigures { debits: 501, ..wrong.ledger.unwrap() });
        assert!(!Sums::of(&wrong).add_up());
    }

    #[test]
    fn the_proof_is_written_line_by_line() {
        let account = v1::Account {
            servicer: "SNBZCHZZXXX".to_owned(),
            owner: "BANKCHZZXXX".to_owned(),
            asset: "CHF".to_owned(),
            name: "SETTLEMENT".to_owned(),
            exponent: 2,
            ..v1::Account::default()
        };
        let id = counterfoil_ledger::account::AccountId::from_bytes(&[1; 16]).unwrap();
        let of = BookOf { id, account, book: Book::Owner };
        let text = describe(&of, &report(), &Sums::of(&report())).render(Format::Table);
        let expected = "PROOF                COUNT  AMOUNT\n\
                        ledger closing              125.00\n\
                        opening difference            0.00\n\
                        break: MISSING_HERE      1    2.00\n\
                        undecided                0    0.00\n\
                        unexplained                   0.00\n\
                        book closing                127.00\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
