//! The transactions of a batch.

use super::details::with_details;
use super::entry::Context;
use super::entry::Detail;
use super::values::amount_in;
use super::values::reference;
use super::values::side;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::fields::Amount;
use crate::formats::statement::Entry;
use crate::formats::xml::Element;

/// The batch with its transactions, if their amounts come to the batch's; else the batch as one
/// entry without references, because it has none of its own.
pub(super) fn with_batch(
    mut whole: Entry,
    element: Element<'_>,
    transactions: &[Detail<'_>],
    context: &mut Context<'_>,
) -> Result<Entry, FormatError> {
    whole.group_id = common_group(element, context.warnings)?;
    let mut parts = Vec::with_capacity(transactions.len());
    for Detail { element, .. } in transactions {
        let Some(amount) = detail_amount(*element, context)? else { break };
        let side = if element.find("CdtDbtInd")?.is_some() { side(*element)? } else { whole.side };
        parts.push(Entry {
            place: element.path(),
            side,
            amount,
            // Those of the batch are not those of each.
            charges: None,
            original_amount: None,
            ..whole.clone()
        });
    }
    let sum: i128 = parts.iter().map(Entry::signed_units).sum();
    if parts.len() < transactions.len() || !parts.is_empty() && sum != whole.signed_units() {
        let fact = format!(
            "the amounts of its {} transactions do not come to its own; it was read as one entry \
             without references",
            transactions.len()
        );
        context.warnings.add(whole.place.as_str(), fact);
        return Ok(whole);
    }
    let parts = parts.into_iter().zip(transactions);
    let details: Result<_, _> =
        parts.map(|(part, detail)| with_details(part, *detail, context)).collect();
    Ok(Entry { details: details?, ..whole })
}

/// The group of an entry that has one batch only.
fn common_group(entry: Element<'_>, warnings: &mut Warnings) -> Result<String, FormatError> {
    let mut holders = std::iter::once(entry).chain(entry.all("NtryDtls"));
    let with_batch = |holder: &Element<'_>| holder.all("Btch").next().is_some();
    match (holders.find(with_batch), holders.find(with_batch)) {
        (Some(only), None) => batch_group(only, warnings),
        _ => Ok(String::new()),
    }
}

/// `Btch/PmtInfId`, or else `Btch/MsgId`; empty if there is neither.
pub(super) fn batch_group(
    holder: Element<'_>,
    warnings: &mut Warnings,
) -> Result<String, FormatError> {
    match holder.find("Btch")? {
        Some(batch) => group_in(batch, warnings),
        None => Ok(String::new()),
    }
}

/// `PmtInfId`, or else `MsgId`; empty if there is neither.
pub(super) fn group_in(
    holder: Element<'_>,
    warnings: &mut Warnings,
) -> Result<String, FormatError> {
    match reference(holder, "PmtInfId", warnings)? {
        group if !group.is_empty() => Ok(group),
        _ => reference(holder, "MsgId", warnings),
    }
}

/// The amount of one transaction of a batch, if it has one in the account's currency.
fn detail_amount(
    detail: Element<'_>,
    context: &Context<'_>,
) -> Result<Option<Amount>, FormatError> {
    let element = match detail.find("Amt")? {
        Some(amount) => Some(amount),
        None => detail.descend(&["AmtDtls", "TxAmt", "Amt"])?,
    };
    let amount =
        element.and_then(|element| amount_in(element, context.currency, context.exponent_of).ok());
    Ok(amount.filter(|amount| amount.units != 0))
}
