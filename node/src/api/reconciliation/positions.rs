//! Days of an account: what its sources have of them, and what was signed.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::agreement::Terms;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::reconciliation::book::Day;
use counterfoil_ledger::reconciliation::day::DayFigures;
use counterfoil_ledger::reconciliation::day::sources;
use counterfoil_ledger::reconciliation::orders::View;
use counterfoil_ledger::state::State;
use counterfoil_proto::v1;
use tonic::Status;

use super::as_of;
use super::findings::source;
use crate::api::page::Page;
use crate::api::reading;
use crate::api::render;
use crate::api::render::units;
use crate::api::status;
use crate::consensus::replica::Replica;
use crate::limits;

/// Value dates that are asked for, both included.
pub(super) struct Dates {
    from: Date,
    to: Date,
}

/// The dates that a request names.
pub(super) fn range(from: u32, to: u32) -> Result<Dates, Status> {
    let (from, to) = (reading::date("from_date", from)?, reading::date("to_date", to)?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(status::field("to_date", "not before from_date"));
    }
    let first = || Date::from_day_number(0);
    let last = || Date::from_day_number(Date::LAST_DAY);
    Ok(Dates { from: from.unwrap_or_else(first), to: to.unwrap_or_else(last) })
}

/// A page of days.
pub(super) fn list(
    replica: &Arc<Replica>,
    account: &Account,
    dates: &Dates,
    page: &Page,
) -> Result<v1::ListPositionsResponse, Status> {
    let state = replica.state();
    let as_of = as_of(&state);
    let terms = state.agreements().newest(&account.id).map(|it| &it.terms);
    let after = page.after.and_then(|(date, _)| u32::try_from(date).ok());
    let after = after.and_then(|date| Date::from_yyyymmdd(date).ok());
    let sheet = state.reconciliation().sheet(account.ordinal);
    let from = after.map_or(dates.from, |after| dates.from.max(after.next()));
    let size = page.size.min(limits::DAYS_PER_PAGE_MAX);
    let known = sheet.into_iter().flat_map(|sheet| sheet.dates_from(from));
    let mut known: Vec<Date> = known.take_while(|date| *date <= dates.to).take(size + 1).collect();
    let has_more = known.len() > size;
    known.truncate(size);
    let positions = known.iter().map(|date| told(&state, account, terms, *date));
    let positions = positions.collect::<Result<_, _>>()?;
    let next = known.last().filter(|_| has_more);
    let next = next.map(|date| page.token((u64::from(date.yyyymmdd()), 0)));
    Ok(v1::ListPositionsResponse {
        positions,
        next_page_token: next.unwrap_or_default(),
        as_of: Some(as_of),
    })
}

/// A day; the one that it is now where none is named.
pub(super) fn get(
    replica: &Arc<Replica>,
    account: &Account,
    date: Option<Date>,
    now_ms: u64,
) -> Result<v1::GetPositionResponse, Status> {
    let state = replica.state();
    let as_of = as_of(&state);
    let terms = state.agreements().newest(&account.id).map(|it| &it.terms);
    let today = || terms.map(|terms| terms.calendar.local(now_ms).0);
    let date = date.or_else(today).ok_or_else(|| {
        status::impossible(
            "NOT_RECONCILED",
            "No agreement says which day it is for this account.",
            "Name a date.",
        )
    })?;
    let day = told(&state, account, terms, date)?;
    Ok(v1::GetPositionResponse { day: Some(day), as_of: Some(as_of) })
}

fn told(
    state: &State,
    account: &Account,
    terms: Option<&Terms>,
    date: Date,
) -> Result<v1::DayPosition, Status> {
    let account = state.account_at(account.ordinal).unwrap_or(account);
    let mut day = v1::DayPosition { date: date.yyyymmdd(), ..v1::DayPosition::default() };
    let Some(sheet) = state.reconciliation().sheet(account.ordinal) else { return Ok(day) };
    for of in terms.into_iter().flat_map(sources) {
        let figures = Some(figures(&sheet.figures(account, of, date))?);
        day.sources.push(v1::SourceFigures { source: source(of), figures });
    }
    if let Some(position) = sheet.position(date) {
        day.servicer = position.view(Party::Servicer).map(signed);
        day.owner = position.view(Party::Owner).map(signed);
        day.agreed_at = position.agreed_at.map(render::position);
        day.break_number = position.break_number.unwrap_or(0);
    }
    day.open_item_count = sheet.open_item_count(date);
    Ok(day)
}

fn figures(figures: &DayFigures) -> Result<v1::DayFigures, Status> {
    let Day { credit_count, credits, debit_count, debits, lent, repaid } = figures.day;
    let other = figures.day.other();
    Ok(v1::DayFigures {
        opening_balance: units(figures.opening.unwrap_or(0))?,
        opening_is_known: figures.opening.is_some(),
        credit_count,
        credits: sum(credits)?,
        debit_count,
        debits: sum(debits)?,
        closing_balance: units(figures.closing())?,
        digest: Bytes::copy_from_slice(figures.digest.as_bytes()),
        lent: sum(lent.total())?,
        repaid: sum(repaid.total())?,
        other_in: sum(other.credits)?,
        other_out: sum(other.debits)?,
    })
}

/// A sum of a day, as the API carries it.
fn sum(amount: u128) -> Result<u64, Status> {
    u64::try_from(amount).map_err(|_| {
        status::impossible(
            "SUM_TOO_LARGE",
            "A sum leaves the range of 64 bits of minor units.",
            "Ask for another day.",
        )
    })
}

fn signed((view, at): &(View, Position)) -> v1::SignedView {
    let View { opening, credit_count, credits, debit_count, debits, closing, digest } = *view;
    let figures = v1::DayFigures {
        opening_balance: opening,
        opening_is_known: true,
        credit_count,
        credits,
        debit_count,
        debits,
        closing_balance: closing,
        digest: Bytes::copy_from_slice(digest.as_bytes()),
        ..v1::DayFigures::default()
    };
    v1::SignedView { figures: Some(figures), signed_at: Some(render::position(*at)) }
}
