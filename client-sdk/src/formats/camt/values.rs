//! The small values of these messages, in all the shapes that versions give them.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;

use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::element_amount;
use crate::formats::fields::lenient_reference;
use crate::formats::xml::Element;

/// `CdtDbtInd`.
pub(super) fn side(holder: Element<'_>) -> Result<Side, FormatError> {
    let indicator = holder.require(&["CdtDbtInd"])?;
    match indicator.text() {
        "CRDT" => Ok(Side::Credit),
        "DBIT" => Ok(Side::Debit),
        other => Err(indicator.error(format!("{} is no side", quote(other)), "write CRDT or DBIT")),
    }
}

pub(super) fn boolean(element: Element<'_>) -> Result<bool, FormatError> {
    match element.text() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => {
            Err(element.error(format!("{} is no boolean", quote(other)), "write true or false"))
        }
    }
}

/// A child that is a number; none, with a warning, if it is written otherwise.
pub(super) fn number(
    holder: Element<'_>,
    name: &str,
    warnings: &mut Warnings,
) -> Result<Option<u64>, FormatError> {
    let Some(element) = holder.find(name)? else { return Ok(None) };
    let text = element.text();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    if number.is_none() {
        warnings.add(element.path(), format!("{} is no number; it was dropped", quote(text)));
    }
    Ok(number)
}

/// A child that is a reference; empty if there is none, or none that can stand in signed bytes.
pub(super) fn reference(
    holder: Element<'_>,
    name: &str,
    warnings: &mut Warnings,
) -> Result<String, FormatError> {
    let reference = holder.find(name)?.filter(|reference| !reference.text().is_empty());
    Ok(reference.map(|reference| lenient_reference(&reference, warnings)).unwrap_or_default())
}

/// The date in a child that holds `Dt` or `DtTm`.
pub(super) fn date_in(holder: Element<'_>, name: &str) -> Result<Date, FormatError> {
    date_or_time(holder.require(&[name])?, "Dt")
}

pub(super) fn optional_date(holder: Element<'_>, name: &str) -> Result<Option<Date>, FormatError> {
    match holder.find(name)? {
        Some(child) => date_or_time(child, "Dt").map(Some),
        None => Ok(None),
    }
}

/// The date of a child such as `Dt`, or of `DtTm`.
pub(super) fn date_or_time(holder: Element<'_>, name: &str) -> Result<Date, FormatError> {
    match holder.find(name)? {
        Some(date) => fields::date(&date),
        None => fields::date(&holder.require(&[&format!("{name}Tm")])?),
    }
}

/// An amount in the currency of the account.
pub(super) fn amount_in(
    element: Element<'_>,
    currency: &AssetCode,
    exponent_of: ExponentOf<'_>,
) -> Result<Amount, FormatError> {
    if let Some(other) = element.currency().filter(|other| *other != currency.as_str()) {
        return Err(FormatError::new(
            format!("{}/@Ccy", element.path()),
            format!("{} in a statement of an account in {currency}", quote(other)),
            "ask the servicer for a statement in the currency of the account",
        ));
    }
    element_amount(element, exponent_of)
}
