//! One `Ntry`: a booked entry, an expected one, or one that is left out.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::date::Date;

use super::batch::with_batch;
use super::details::charges;
use super::details::original_amount;
use super::details::purpose;
use super::details::with_details;
use super::values::amount_in;
use super::values::boolean;
use super::values::optional_date;
use super::values::reference;
use super::values::side;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::ExponentOf;
use crate::formats::statement::Entry;
use crate::formats::statement::EntryStatus;
use crate::formats::statement::StatementKind;
use crate::formats::xml::Element;

/// What an `Ntry` is.
pub(super) enum Read {
    Entry(Box<Entry>),
    /// Why it is left out.
    LeftOut(String),
}

/// What the reading of an entry needs to know.
pub(super) struct Context<'c> {
    pub(super) kind: StatementKind,
    /// Of the account.
    pub(super) currency: &'c AssetCode,
    pub(super) exponent_of: ExponentOf<'c>,
    pub(super) warnings: &'c mut Warnings,
}

/// A transaction of an entry, and the `NtryDtls` (in version 1, the entry) that it stands in.
#[derive(Clone, Copy)]
pub(super) struct Detail<'t> {
    pub(super) element: Element<'t>,
    pub(super) holder: Element<'t>,
}

pub(super) fn read_entry(
    element: Element<'_>,
    context: &mut Context<'_>,
) -> Result<Read, FormatError> {
    let text = status(element)?;
    let status = match text {
        "BOOK" => EntryStatus::Booked,
        "PDNG" => EntryStatus::Pending,
        "FUTR" => EntryStatus::Future,
        "INFO" => EntryStatus::Information,
        other => return Ok(Read::LeftOut(format!("its status is {}", quote(other)))),
    };
    match read(element, status, context) {
        // What is not booked says nothing of the account: that it cannot be read hurts nobody.
        Err(error) if status != EntryStatus::Booked => {
            Ok(Read::LeftOut(format!("its status is {text}, and {error}")))
        }
        read => read,
    }
}

fn read(
    element: Element<'_>,
    status: EntryStatus,
    context: &mut Context<'_>,
) -> Result<Read, FormatError> {
    let amount = amount_in(element.require(&["Amt"])?, context.currency, context.exponent_of)?;
    if amount.units == 0 {
        return Ok(Read::LeftOut("its amount is zero".to_owned()));
    }
    let transactions = transactions(element);
    let value_date = optional_date(element, "ValDt")?;
    let booking_date = match optional_date(element, "BookgDt")?.or(value_date) {
        Some(date) => Some(date),
        None => settlement_date(&transactions)?,
    };
    let booking_date = match booking_date {
        Some(date) => date,
        // A statement without one of its entries would be wrong, not short.
        None if context.kind == StatementKind::EndOfDay => return Err(element.missing("BookgDt")),
        None => return Ok(Read::LeftOut("it has no date, and none is guessed".to_owned())),
    };
    let reversal = match element.find("RvslInd")? {
        Some(indicator) => boolean(indicator)?,
        None => false,
    };
    let whole = Entry {
        status,
        reversal,
        value_date,
        reference: reference(element, "NtryRef", context.warnings)?,
        servicer_reference: reference(element, "AcctSvcrRef", context.warnings)?,
        charges: charges(element, context)?,
        original_amount: original_amount(element, context)?,
        purpose: purpose(element)?,
        ..Entry::booked(element.path(), side(element)?, amount, booking_date)
    };
    let entry = match transactions.as_slice() {
        [only] => with_details(whole, *only, context)?,
        several => with_batch(whole, element, several, context)?,
    };
    Ok(Read::Entry(Box::new(entry)))
}

/// The day on which an only transaction settled between the banks.
fn settlement_date(transactions: &[Detail<'_>]) -> Result<Option<Date>, FormatError> {
    let [only] = transactions else { return Ok(None) };
    let date = only.element.descend(&["RltdDts", "IntrBkSttlmDt"])?;
    date.map(|date| fields::date(&date)).transpose()
}

fn status(entry: Element<'_>) -> Result<&str, FormatError> {
    let status = entry.require(&["Sts"])?;
    let choice = match status.find("Cd")? {
        Some(code) => Some(code),
        None => status.find("Prtry")?,
    };
    Ok(choice.unwrap_or(status).text())
}

/// `TxDtls` stand in `NtryDtls`; in version 1, in the entry.
fn transactions<'t>(entry: Element<'t>) -> Vec<Detail<'t>> {
    let holders = std::iter::once(entry).chain(entry.all("NtryDtls"));
    let transactions =
        |holder: Element<'t>| holder.all("TxDtls").map(move |element| Detail { element, holder });
    holders.flat_map(transactions).collect()
}
