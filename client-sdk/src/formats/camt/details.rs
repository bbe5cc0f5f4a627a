//! What a transaction of an entry (`TxDtls`) adds to it.

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::text::is_max35;
use counterfoil_ledger::uetr::Uetr;

use super::batch::batch_group;
use super::batch::group_in;
use super::entry::Context;
use super::entry::Detail;
use super::party::lenient_bic;
use super::values::amount_in;
use super::values::reference;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::element_amount;
use crate::formats::statement::Entry;
use crate::formats::statement::Purpose;
use crate::formats::statement::Returned;
use crate::formats::xml::Element;

/// The entry with its transaction's references.
pub(super) fn with_details(
    mut entry: Entry,
    detail: Detail<'_>,
    context: &mut Context<'_>,
) -> Result<Entry, FormatError> {
    let Detail { element, holder } = detail;
    entry.group_id = batch_group(holder, context.warnings)?;
    if let Some(references) = element.find("Refs")? {
        let warnings = &mut *context.warnings;
        entry.end_to_end_id = reference(references, "EndToEndId", warnings)?;
        entry.transaction_id = reference(references, "TxId", warnings)?;
        entry.instruction_id = reference(references, "InstrId", warnings)?;
        if let Some(uetr) = references.find("UETR")? {
            entry.uetr = lenient_uetr(uetr, warnings);
        }
        let own = reference(references, "AcctSvcrRef", warnings)?;
        if !own.is_empty() {
            entry.servicer_reference = own;
        }
        if entry.group_id.is_empty() {
            entry.group_id = group_in(references, warnings)?;
        }
    }
    entry.returned = returned(element, context.warnings)?;
    entry.counterparty = counterparty(element, &entry, context.warnings)?;
    entry.charges = charges(element, context)?.or(entry.charges);
    entry.original_amount = original_amount(element, context)?.or(entry.original_amount);
    if let said @ (Purpose::Lending | Purpose::Repayment) = purpose(element)? {
        entry.purpose = said;
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

fn returned(detail: Element<'_>, warnings: &mut Warnings) -> Result<Option<Returned>, FormatError> {
    let Some(information) = detail.find("RtrInf")? else { return Ok(None) };
    let reason = match information.find("Rsn")? {
        Some(reason) => Some(reason),
        None => information.find("RtrRsn")?,
    };
    let reason = match reason {
        Some(reason) if reason.find("Cd")?.is_some() => reference(reason, "Cd", warnings)?,
        Some(reason) => reference(reason, "Prtry", warnings)?,
        None => String::new(),
    };
    let original_code = match information.find("OrgnlBkTxCd")? {
        Some(code) => transaction_code(code)?,
        None => String::new(),
    };
    Ok(Some(Returned { reason, original_code }))
}

/// What an entry or a transaction is for: of the domain of loans and deposits (LDAS), by the
/// sub-family of its bank transaction code.
pub(super) fn purpose(holder: Element<'_>) -> Result<Purpose, FormatError> {
    let Some(domain) = holder.descend(&["BkTxCd", "Domn"])? else { return Ok(Purpose::Other) };
    let text = |path: &[&str]| Ok(domain.descend(path)?.map(Element::text));
    let (code, sub_family) = (text(&["Cd"])?, text(&["Fmly", "SubFmlyCd"])?);
    Ok(match (code, sub_family) {
        (Some("LDAS"), Some("DDWN")) => Purpose::Lending,
        (Some("LDAS"), Some("PPAY" | "RPMT")) => Purpose::Repayment,
        _ => Purpose::Other,
    })
}

/// A transaction code on one line; empty if it is none of ISO 20022's lengths.
fn transaction_code(code: Element<'_>) -> Result<String, FormatError> {
    let Some(domain) = code.find("Domn")? else {
        let proprietary = code.descend(&["Prtry", "Cd"])?;
        let code = proprietary.map(|code| code.text().to_owned());
        return Ok(code.filter(|code| is_max35(code)).unwrap_or_default());
    };
    let mut parts = Vec::new();
    for path in [&["Cd"][..], &["Fmly", "Cd"], &["Fmly", "SubFmlyCd"]] {
        parts.extend(domain.descend(path)?.map(Element::text));
    }
    Ok(Some(parts.join("/")).filter(|code| is_max35(code)).unwrap_or_default())
}

/// The other side's bank. A reversal keeps the parties of what it takes back, so its sides are
/// turned round; whose parties a return names differs from bank to bank, so that one is taken only
/// if it is the only one.
fn counterparty(
    detail: Element<'_>,
    entry: &Entry,
    warnings: &mut Warnings,
) -> Result<Option<Bic>, FormatError> {
    let mut agent = |agent: &str, party: &str| -> Result<Option<Bic>, FormatError> {
        let named = lenient_bic(detail, &["RltdAgts", agent, "FinInstnId"], warnings)?;
        match named {
            Some(bic) => Ok(Some(bic)),
            None => lenient_bic(detail, &["RltdPties", party, "Agt", "FinInstnId"], warnings),
        }
    };
    let debtor_side = (entry.side == Side::Credit) != entry.reversal;
    if entry.returned.is_some() {
        return match (agent("DbtrAgt", "Dbtr")?, agent("CdtrAgt", "Cdtr")?) {
            (Some(only), None) | (None, Some(only)) => Ok(Some(only)),
            _ => Ok(None),
        };
    }
    if debtor_side { agent("DbtrAgt", "Dbtr") } else { agent("CdtrAgt", "Cdtr") }
}

/// What the charges come to, if all are stated in the account's currency: the total, or else the
/// sum of the records, in which a credit is a refund.
pub(super) fn charges(
    holder: Element<'_>,
    context: &Context<'_>,
) -> Result<Option<u64>, FormatError> {
    let units = |element| amount_in(element, context.currency, context.exponent_of).ok();
    let mut total: Option<i128> = None;
    for charges in holder.all("Chrgs") {
        if let Some(stated) = charges.find("TtlChrgsAndTaxAmt")? {
            let Some(stated) = units(stated) else { return Ok(None) };
            total = Some(total.unwrap_or(0) + i128::from(stated.units));
            continue;
        }
        // A record each; in the first versions, `Chrgs` is the record.
        let own = charges.find("Amt")?.map(|_| charges);
        for record in own.into_iter().chain(charges.all("Rcrd")) {
            let Some(amount) = units(record.require(&["Amt"])?) else { return Ok(None) };
            let refund = record.find("CdtDbtInd")?.is_some_and(|side| side.text() == "CRDT");
            let signed = i128::from(amount.units) * if refund { -1 } else { 1 };
            total = Some(total.unwrap_or(0) + signed);
        }
    }
    Ok(total.and_then(|total| u64::try_from(total).ok()))
}

/// The amount in another currency than the account's, if there is one that the ledger knows: what
/// was instructed, or else the transaction's, or else the countervalue.
pub(super) fn original_amount(
    holder: Element<'_>,
    context: &Context<'_>,
) -> Result<Option<Amount>, FormatError> {
    let Some(amounts) = holder.find("AmtDtls")? else { return Ok(None) };
    for name in ["InstdAmt", "TxAmt", "CntrValAmt"] {
        let Some(amount) = amounts.descend(&[name, "Amt"])? else { continue };
        let own = amount.currency().is_none_or(|code| code == context.currency.as_str());
        if let Ok(amount) = element_amount(amount, context.exponent_of)
            && !own
        {
            return Ok(Some(amount));
        }
    }
    Ok(None)
}
