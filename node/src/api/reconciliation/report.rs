//! One source against another over a range of value dates: figures of one moment.

use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::matching::item::Place;
use counterfoil_ledger::matching::pair::Category;
use counterfoil_ledger::reconciliation::figures::BreakFigures;
use counterfoil_ledger::reconciliation::figures::RangeFigures;
use counterfoil_ledger::reconciliation::figures::Report;
use counterfoil_ledger::reconciliation::sheet::Sheet;
use counterfoil_proto::v1;
use tonic::Status;

use super::as_of;
use super::findings;
use crate::api::reading;
use crate::api::render::units;
use crate::api::status;
use crate::consensus::replica::Replica;
use crate::limits;

/// The dates that a request names; none = every date of which anything is known.
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

/// The report of two sources of an account as they stand. Without a range, and where nothing is known,
/// its dates are 0.
pub(super) fn report(
    replica: &Arc<Replica>,
    account: &Account,
    comparison: Comparison,
    range: Option<(Date, Date)>,
) -> Result<v1::GetReportResponse, Status> {
    let (as_of, range, report) = {
        let state = replica.state();
        let account = state.account_at(account.ordinal).unwrap_or(account);
        let sheet = state.reconciliation().sheet(account.ordinal);
        let range = range.or_else(|| known(sheet?));
        let report = match sheet.zip(range) {
            Some((sheet, range)) => {
                check_size(sheet, comparison, range)?;
                sheet.report(account, comparison, range)
            }
            None => Report::default(),
        };
        (as_of(&state), range, report)
    };
    let breaks = report.breaks.iter().map(|(category, figures)| broken(*category, figures));
    let (from, to) = range.map_or((0, 0), |(from, to)| (from.yyyymmdd(), to.yyyymmdd()));
    Ok(v1::GetReportResponse {
        asset: account.asset.as_str().to_owned(),
        comparison: findings::comparison(comparison),
        from_date: from,
        to_date: to,
        first: Some(figures(&report.first)?),
        second: Some(figures(&report.second)?),
        breaks: breaks.collect::<Result<_, _>>()?,
        match_count: report.match_count,
        proposal_count: report.proposal_count,
        as_of: Some(as_of),
    })
}

fn known(sheet: &Sheet) -> Option<(Date, Date)> {
    Some((sheet.dates_from(Date::from_day_number(0)).next()?, sheet.last_date()?))
}

/// The state stands still while it is summed.
fn check_size(
    sheet: &Sheet,
    comparison: Comparison,
    (from, to): (Date, Date),
) -> Result<(), Status> {
    let books = Place::BOTH.into_iter().filter_map(|place| sheet.book(comparison.source(place)));
    let items = books.flat_map(|book| book.numbers_between(from, to));
    if items.take(limits::REPORT_ITEMS_MAX + 1).count() <= limits::REPORT_ITEMS_MAX {
        return Ok(());
    }
    Err(status::impossible(
        "RANGE_TOO_LARGE",
        "The range has more items than one report takes.",
        "Ask for a shorter range.",
    ))
}

fn broken(category: Category, figures: &BreakFigures) -> Result<v1::BreakFigures, Status> {
    Ok(v1::BreakFigures {
        category: i32::from(category as u8),
        open_count: figures.open_count,
        ended_count: figures.ended_count,
        effect: units(figures.effect)?,
        ended_effect: units(figures.ended_effect)?,
    })
}

fn figures(figures: &RangeFigures) -> Result<v1::RangeFigures, Status> {
    // What is beyond an i128 is beyond 63 bits, too.
    let sum = |amount: u128| units(i128::try_from(amount).unwrap_or(i128::MAX));
    Ok(v1::RangeFigures {
        opening: units(figures.opening.unwrap_or(0))?,
        opening_is_known: figures.opening.is_some(),
        credit_count: figures.day.credit_count,
        credits: sum(figures.day.credits)?,
        debit_count: figures.day.debit_count,
        debits: sum(figures.day.debits)?,
        closing: units(figures.closing())?,
        matched_count: figures.matched.count,
        matched_effect: units(figures.matched.effect)?,
        proposed_count: figures.proposed.count,
        proposed_effect: units(figures.proposed.effect)?,
        waiting_count: figures.waiting.count,
        waiting_effect: units(figures.waiting.effect)?,
        statement_count: figures.statement_count,
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
