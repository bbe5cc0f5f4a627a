//! A payment as it leaves a file, whatever the file was.

use std::collections::HashSet;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::uetr::Uetr;

use crate::formats::csv;
use crate::formats::detect::Kind;
use crate::formats::detect::detect;
use crate::formats::error::FormatError;
use crate::formats::fields::Amount;
use crate::formats::fields::ExponentOf;
use crate::formats::pacs;

/// One transfer between two institutions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Where it stands in its file: the element, or the row.
    pub place: String,
    /// Whose account is debited.
    pub debtor_agent: Bic,
    /// Whose account is credited.
    pub creditor_agent: Bic,
    /// The bank that sent the message, where the message says so. When it is not the debtor agent,
    /// the message is one leg of a chain, and whether the two agents are the parties that settle
    /// on this ledger is for the caller to judge.
    pub instructing_agent: Option<Bic>,
    /// The bank that the message was sent to, likewise.
    pub instructed_agent: Option<Bic>,
    /// How much; not zero.
    pub amount: Amount,
    /// Its unique end-to-end reference; none only where the caller accepted that.
    pub uetr: Option<Uetr>,
    /// The debtor's reference; may be empty in a table.
    pub end_to_end_id: String,
    /// The instructing agent's reference; may be empty.
    pub instruction_id: String,
    /// When it is to settle; none = when it is posted.
    pub settlement_date: Option<Date>,
    /// Everything else that the message says of this payment (parties, accounts, remittance) as
    /// lines `path=value` in the order of the message: what the commitment in the signed bytes
    /// commits to. Empty if there is nothing.
    pub party_data: String,
}

/// What to do with a payment that has no UETR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingUetr {
    /// Refuse the file.
    Refuse,
    /// Leave it out: the caller derives one.
    Accept,
}

/// Reads the payments of a file of any kind that carries payments. All or none are read.
pub fn read(
    bytes: &[u8],
    exponent_of: ExponentOf<'_>,
    missing_uetr: MissingUetr,
) -> Result<Vec<Payment>, FormatError> {
    match detect(bytes)? {
        Kind::Pacs008 | Kind::Pacs009 => pacs::read(bytes, exponent_of, missing_uetr),
        Kind::PaymentsCsv => csv::read_payments(bytes, exponent_of, missing_uetr),
        kind @ (Kind::Camt(_) | Kind::Mt | Kind::BookEntriesCsv | Kind::OtherMessage(_)) => {
            Err(FormatError::new(
                "the file",
                format!("it is {kind}, which carries no payments to settle"),
                "give pacs.008, pacs.009 or a payments CSV",
            ))
        }
    }
}

/// A UETR settles once per debited account: the second one of a file could only be refused.
pub(crate) fn refuse_repeated_uetr(payments: &[Payment]) -> Result<(), FormatError> {
    let mut seen = HashSet::new();
    for payment in payments {
        let Some(uetr) = payment.uetr else { continue };
        if !seen.insert((payment.debtor_agent, uetr)) {
            return Err(FormatError::new(
                &payment.place,
                format!("the UETR {uetr} stands in the file twice for one debtor"),
                "remove the repeated payment, or give it its own UETR",
            ));
        }
    }
    Ok(())
}
