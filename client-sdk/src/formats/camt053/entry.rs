//! One `Ntry` of a statement: a booked entry, or several where it is a batch.

use counterfoil_ledger::date::Date;
use counterfoil_ledger::uetr::Uetr;

use super::boolean;
use super::date_in;
use super::side;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::lenient_reference;
use crate::formats::statement::Entry;
use crate::formats::xml::Element;

type Booked = Result<Entry, String>;

/// The booked entries of an `Ntry`, or why it is left out.
pub(super) fn read_entry<'t>(
    element: Element<'t>,
    amount_of: &impl Fn(Element<'t>) -> Result<Amount, FormatError>,
    warnings: &mut Warnings,
) -> Result<Booked, FormatError> {
    let status = status(element)?;
    if status != "BOOK" {
        return Ok(Err(format!("its status is {}, not BOOK", quote(status))));
    }
    let amount = amount_of(element.require(&["Amt"])?)?;
    if amount.units == 0 {
        return Ok(Err("its amount is zero".to_owned()));
    }
    let value_date = optional_date(element, "ValDt")?;
    let booking_date = optional_date(element, "BookgDt")?.or(value_date);
    let reversal = match element.find("RvslInd")? {
        Some(indicator) => boolean(indicator)?,
        None => false,
    };
    let booking_date = booking_date.ok_or_else(|| element.missing("BookgDt"))?;
    let whole = Entry {
        reference: reference(element, "NtryRef", warnings)?,
        servicer_reference: reference(element, "AcctSvcrRef", warnings)?,
        reversal,
        value_date,
        ..Entry::booked(element.path(), side(element)?, amount, booking_date)
    };
    let details = transaction_details(element);
    match details.as_slice() {
        [] => Ok(Ok(whole)),
        [only] => Ok(Ok(with_references(whole, *only, warnings)?)),
        several => split(whole, several, amount_of, warnings).map(Ok),
    }
}

fn status(entry: Element<'_>) -> Result<&str, FormatError> {
    let status = entry.require(&["Sts"])?;
    let choice = match status.find("Cd")? {
        Some(code) => Some(code),
        None => status.find("Prtry")?,
    };
    Ok(choice.unwrap_or(status).text())
}

fn reference(
    holder: Element<'_>,
    name: &str,
    warnings: &mut Warnings,
) -> Result<String, FormatError> {
    let reference = holder.find(name)?;
    Ok(reference.map(|reference| lenient_reference(&reference, warnings)).unwrap_or_default())
}

/// `TxDtls` stand in `NtryDtls`; in version 1, in the entry.
fn transaction_details(entry: Element<'_>) -> Vec<Element<'_>> {
    let nested = entry.all("NtryDtls").flat_map(|details| details.all("TxDtls"));
    entry.all("TxDtls").chain(nested).collect()
}

/// The batch with its transactions, if their amounts add up to the batch's; else the
/// batch as one entry without references, because it has none of its own.
fn split<'t>(
    whole: Entry,
    details: &[Element<'t>],
    amount_of: &impl Fn(Element<'t>) -> Result<Amount, FormatError>,
    warnings: &mut Warnings,
) -> Result<Entry, FormatError> {
    let mut parts = Vec::with_capacity(details.len());
    for detail in details {
        let Some(amount) = detail_amount(*detail, amount_of)? else { break };
        let side = if detail.find("CdtDbtInd")?.is_some() { side(*detail)? } else { whole.side };
        parts.push(Entry { place: detail.path(), side, amount, ..whole.clone() });
    }
    let sum: i128 = parts.iter().map(Entry::signed_units).sum();
    if parts.len() < details.len() || sum != whole.signed_units() {
        let fact = format!(
            "the amounts of its {} transactions do not add up to its own; it was read as one \
             entry without references",
            details.len()
        );
        warnings.add(whole.place.as_str(), fact);
        return Ok(whole);
    }
    let parts = parts.into_iter().zip(details);
    let details: Result<_, _> =
        parts.map(|(part, detail)| with_references(part, *detail, warnings)).collect();
    Ok(Entry { details: details?, ..whole })
}

/// The amount of one transaction of a batch, if it has one in the account's currency.
fn detail_amount<'t>(
    detail: Element<'t>,
    amount_of: &impl Fn(Element<'t>) -> Result<Amount, FormatError>,
) -> Result<Option<Amount>, FormatError> {
    let element = match detail.find("Amt")? {
        Some(amount) => Some(amount),
        None => detail.descend(&["AmtDtls", "TxAmt", "Amt"])?,
    };
    let amount = element.and_then(|element| amount_of(element).ok());
    Ok(amount.filter(|amount| amount.units != 0))
}

fn with_references(
    mut entry: Entry,
    detail: Element<'_>,
    warnings: &mut Warnings,
) -> Result<Entry, FormatError> {
    let Some(references) = detail.find("Refs")? else { return Ok(entry) };
    if let Some(end_to_end_id) = references.find("EndToEndId")? {
        entry.end_to_end_id = lenient_reference(&end_to_end_id, warnings);
    }
    if let Some(uetr) = references.find("UETR")? {
        entry.uetr = lenient_uetr(uetr, warnings);
    }
    if let Some(own) = references.find("AcctSvcrRef")? {
        let own = lenient_reference(&own, warnings);
        if !own.is_empty() {
            entry.servicer_reference = own;
        }
    }
    Ok(entry)
}

fn lenient_uetr(element: Element<'_>, warnings: &mut Warnings) -> Option<Uetr> {
    let uetr = fields::uetr(&element);
    if let Err(error) = &uetr {
        warnings.add(element.path(), format!("{}; it was dropped", error.fact));
    }
    uetr.ok()
}

fn optional_date(holder: Element<'_>, name: &str) -> Result<Option<Date>, FormatError> {
    match holder.find(name)? {
        Some(_) => date_in(holder, name).map(Some),
        None => Ok(None),
    }
}
