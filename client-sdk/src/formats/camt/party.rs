//! Whose account it is, and who else takes part: identifications and BICs.

use counterfoil_ledger::bic::Bic;

use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::fields;
use crate::formats::fields::account_text;
use crate::formats::statement::AccountIdentification;
use crate::formats::xml::Element;

/// How the statement names its account.
pub(super) fn identification(
    account: Element<'_>,
    warnings: &mut Warnings,
) -> Result<AccountIdentification, FormatError> {
    let id = account.require(&["Id"])?;
    if let Some(iban) = id.find("IBAN")? {
        if !fields::is_iban(iban.text()) {
            warnings.add(iban.path(), "the check digits of the IBAN are wrong");
        }
        return account_text(&iban).map(AccountIdentification::Iban);
    }
    // `BBAN` and `PrtryAcct` are those of version 1.
    for path in [&["Othr", "Id"][..], &["BBAN"], &["PrtryAcct", "Id"]] {
        if let Some(other) = id.descend(path)? {
            return account_text(&other).map(AccountIdentification::Other);
        }
    }
    Err(id.missing("IBAN"))
}

/// The BIC at the end of a path, if there is a valid one. Version 1 has it in a `CmbndId` of its own.
pub(super) fn lenient_bic(
    holder: Element<'_>,
    path: &[&str],
    warnings: &mut Warnings,
) -> Result<Option<Bic>, FormatError> {
    let Some(mut holder) = holder.descend(path)? else { return Ok(None) };
    if let Some(combined) = holder.find("CmbndId")? {
        holder = combined;
    }
    for name in ["BICFI", "BIC", "AnyBIC", "BICOrBEI"] {
        let Some(element) = holder.find(name)? else { continue };
        let bic = fields::bic(&element);
        if let Err(error) = &bic {
            warnings.add(element.path(), format!("{}; it was dropped", error.fact));
        }
        return Ok(bic.ok());
    }
    Ok(None)
}
