//! The report of one book: figures of one moment.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::reconciliation::Book;
use counterfoil_ledger::reconciliation::report;
use counterfoil_ledger::reconciliation::report::Figures;
use counterfoil_ledger::reconciliation::report::Report;
use counterfoil_proto::v1;
use tonic::Status;

use super::certainty;
use super::reading;
use super::render;
use super::render::units;
use super::status;
use crate::consensus::replica::Replica;
use crate::limits;

/// The dates that a request names; none = those that the book's statements cover.
pub(super) fn range(request: &v1::GetReportRequest) -> Result<Option<(Date, Date)>, Status> {
    let from = reading::date("from_date", request.from_date)?;
    let to = reading::date("to_date", request.to_date)?;
    match (from, to) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) if from <= to => Ok(Some((from, to))),
        (Some(_), Some(_)) => Err(status::field("to_date", "not before from_date")),
        (None, Some(_)) => Err(status::field("from_date", "both dates, or neither")),
        (Some(_), None) => Err(status::field("to_date", "both dates, or neither")),
    }
}

/// The report of an account's book as it stands.
pub(super) fn report(
    replica: &Arc<Replica>,
    account: &Account,
    book: Book,
    range: Option<(Date, Date)>,
) -> Result<v1::GetReportResponse, Status> {
    let range = range.map_or_else(|| covered(replica, account, book), Ok)?;
    // The history is read first, and without holding the state: only what was posted meanwhile is
    // read while it stands still.
    let mut sums = Sums { range, opening: 0, within: Vec::new(), last: None };
    let height = *replica.height().borrow();
    sums.add_to(replica, account, height)?;
    let (report, as_of) = {
        let state = replica.state();
        sums.add_to(replica, account, state.height())?;
        let as_of = v1::AsOf {
            height: state.height(),
            header_hash: Bytes::copy_from_slice(state.header_hash().as_bytes()),
            block_time_ms: state.block_time_ms(),
            finality: certainty::of(replica, state.height()).into(),
        };
        let (opening, within) = (sums.opening, sums.within);
        let reconciliation = state.reconciliation();
        let report =
            report::report_from(reconciliation, account.ordinal, book, range, opening, within);
        (report, as_of)
    };
    response(account, &report, as_of)
}

fn covered(replica: &Replica, account: &Account, book: Book) -> Result<(Date, Date), Status> {
    let state = replica.state();
    state.reconciliation().book(account.ordinal, book).and_then(report::covered_range).ok_or_else(
        || {
            status::impossible(
                "NO_STATEMENT",
                "No statement of this book says which dates it covers.",
                "Give from_date and to_date, or declare a statement.",
            )
        },
    )
}

/// What the report needs of an account's postings.
struct Sums {
    range: (Date, Date),
    /// Sum of the postings before the range.
    opening: i128,
    /// The postings of the range.
    within: Vec<Movement>,
    /// Everything to here is in the sums.
    last: Option<Position>,
}

impl Sums {
    fn add_to(&mut self, replica: &Replica, account: &Account, height: u64) -> Result<(), Status> {
        loop {
            let limit = limits::PAGE_SIZE_MAX;
            let movements = replica
                .store()
                .movements(account.ordinal, self.last, height, limit)
                .map_err(|error| status::storage(&error))?;
            let is_last = movements.len() < limit;
            self.last = movements.last().map(|movement| movement.position).or(self.last);
            movements.iter().for_each(|movement| self.add(movement));
            if self.within.len() > limits::REPORT_MOVEMENTS_MAX {
                return Err(status::impossible(
                    "RANGE_TOO_LARGE",
                    "The range has more postings than one report takes.",
                    "Ask for a shorter range.",
                ));
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn add(&mut self, movement: &Movement) {
        let (from, to) = self.range;
        if movement.date < from {
            self.opening += movement.side.signed(movement.amount);
        } else if movement.date <= to {
            self.within.push(*movement);
        }
    }
}

fn response(
    account: &Account,
    report: &Report,
    as_of: v1::AsOf,
) -> Result<v1::GetReportResponse, Status> {
    let breaks = report
        .breaks
        .iter()
        .map(|(kind, count, effect)| {
            let (kind, effect) = (render::break_kind(*kind), units(*effect)?);
            Ok(v1::BreakFigures { kind, count: *count, effect })
        })
        .collect::<Result<_, Status>>()?;
    Ok(v1::GetReportResponse {
        asset: account.asset.as_str().to_owned(),
        from_date: report.from.yyyymmdd(),
        to_date: report.to.yyyymmdd(),
        ledger: Some(figures(&report.ledger)?),
        book: Some(figures(&report.book)?),
        matched_count: report.matched_count,
        matched_amount: units(report.matched_amount)?,
        breaks,
        undecided_count: report.undecided_count,
        undecided_effect: units(report.undecided_effect)?,
        opening_difference: units(report.opening_difference)?,
        unexplained: units(report.unexplained)?,
        statement_count: report.statement_count,
        as_of: Some(as_of),
    })
}

fn figures(figures: &Figures) -> Result<v1::BookFigures, Status> {
    Ok(v1::BookFigures {
        opening: units(figures.opening)?,
        credit_count: figures.credit_count,
        credits: units(figures.credits)?,
        debit_count: figures.debit_count,
        debits: units(figures.debits)?,
        closing: units(figures.closing)?,
    })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn both_dates_or_neither() {
        let of = |from_date, to_date| {
            range(&v1::GetReportRequest { from_date, to_date, ..Default::default() })
        };
        assert_eq!(of(0, 0).unwrap(), None);
        assert!(of(20_260_101, 20_260_101).unwrap().is_some());
        for (from, to) in [(20_260_101, 0), (0, 20_260_101), (20_260_102, 20_260_101), (1, 2)] {
            assert_eq!(of(from, to).unwrap_err().code(), Code::InvalidArgument);
        }
    }
}
