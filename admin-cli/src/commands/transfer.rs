//! `issue`, `redeem`, `transfer`: money, moved once.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use counterfoil_client::{Order, instructions};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::{format_amount, parse_amount};
use counterfoil_ledger::date::Date;
use counterfoil_ledger::text;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use prost::Message;
use serde_json::json;

use crate::account_name::{ISSUANCE, SETTLEMENT, account_id};
use crate::commands::account::parse_date;
use crate::context::{Connection, parse_bic};
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::output::{Answer, amount_json};
use crate::session::{self, Session};
use crate::verdict;
use crate::waiting::Waiting;

/// What every movement of money says.
#[derive(Debug, clap::Args)]
pub struct Payment {
    /// How much, as a decimal
    #[arg(long, value_name = "DECIMAL")]
    amount: String,
    /// Of what
    #[arg(long, value_name = "CODE")]
    asset: String,
    /// The payment's UETR; a new one, unless given
    #[arg(long, value_name = "UUID")]
    uetr: Option<String>,
    /// The payer's own reference
    #[arg(long, value_name = "TEXT", default_value = "")]
    end_to_end_id: String,
    /// Settlement date (yyyy-mm-dd); the day of the block, unless given
    #[arg(long, value_parser = parse_date)]
    date: Option<Date>,
    /// Where to keep the receipt: counterfoil verify receipt reads it
    #[arg(long, value_name = "FILE")]
    receipt_out: Option<PathBuf>,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `transfer`.
#[derive(Debug, clap::Args)]
pub struct Transfer {
    /// Who is paid
    #[arg(long, value_name = "BIC")]
    to: String,
    /// The name of your account that pays
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    from_name: String,
    /// The name of the account that is paid
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    to_name: String,
    /// What is paid.
    #[command(flatten)]
    payment: Payment,
}

/// Arguments of `issue`.
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// Who gets it
    #[arg(long, value_name = "BIC")]
    to: String,
    /// The name of your issuance account
    #[arg(long, value_name = "NAME", default_value = ISSUANCE)]
    from_name: String,
    /// The name of the account that gets it
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    to_name: String,
    /// What is issued.
    #[command(flatten)]
    payment: Payment,
}

/// Arguments of `redeem`.
#[derive(Debug, clap::Args)]
pub struct Redeem {
    /// The name of your account
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    from_name: String,
    /// The name of the servicer's issuance account
    #[arg(long, value_name = "NAME", default_value = ISSUANCE)]
    to_name: String,
    /// What is redeemed.
    #[command(flatten)]
    payment: Payment,
}

/// Moves money from your account to another institution's with the same servicer.
pub fn transfer(arguments: &Transfer) -> Result<Answer, Failure> {
    session::run(async {
        let Transfer { to, from_name, to_name, payment } = arguments;
        let to = parse_bic(to)?;
        let session = payment.session().await?;
        let (servicer, from) = (session.settings.servicer()?, session.institution());
        let debit = account_id(&servicer, &from, &payment.asset, from_name)?;
        let credit = account_id(&servicer, &to, &payment.asset, to_name)?;
        payment.order(&session, debit, credit, &format!("{from} -> {to}")).await
    })
}

/// Issues money: from the signer's issuance account.
pub fn issue(arguments: &Issue) -> Result<Answer, Failure> {
    session::run(async {
        let Issue { to, from_name, to_name, payment } = arguments;
        let to = parse_bic(to)?;
        let session = payment.session().await?;
        let servicer = session.institution();
        let debit = account_id(&servicer, &servicer, &payment.asset, from_name)?;
        let credit = account_id(&servicer, &to, &payment.asset, to_name)?;
        payment.order(&session, debit, credit, &format!("issued to {to}")).await
    })
}

/// Redeems money: to the servicer's issuance account.
pub fn redeem(arguments: &Redeem) -> Result<Answer, Failure> {
    session::run(async {
        let Redeem { from_name, to_name, payment } = arguments;
        let session = payment.session().await?;
        let (servicer, from) = (session.settings.servicer()?, session.institution());
        let debit = account_id(&servicer, &from, &payment.asset, from_name)?;
        let credit = account_id(&servicer, &servicer, &payment.asset, to_name)?;
        payment.order(&session, debit, credit, &format!("{from} redeemed at {servicer}")).await
    })
}

impl Payment {
    async fn order(
        &self,
        session: &Session,
        debit: AccountId,
        credit: AccountId,
        what: &str,
    ) -> Result<Answer, Failure> {
        let exponent = session.exponent(&self.asset)?;
        let transfer = self.message(debit, credit, exponent)?;
        let uetr = Uetr::from_bytes(&transfer.uetr).expect("made or read as one");
        let units = i128::from(transfer.amount);
        let outcome = session.submit(Order::transfer(transfer)).await?;
        let kept = self.receipt_out.as_deref().map(|out| keep_receipt(out, &outcome.receipt));
        let what = format!("{} {}  {what}", format_amount(units, exponent), self.asset);
        let more = json!({
            "amount": amount_json(units, exponent, &self.asset),
            "uetr": uetr.to_string(),
            "debitAccount": debit.to_string(),
            "creditAccount": credit.to_string(),
        });
        let answer = verdict::answer(&outcome, &what, more).line(format!("uetr         {uetr}"));
        Ok(match kept {
            None => answer,
            Some(Ok(line)) => answer.line(line),
            // The ledger has decided all the same.
            Some(Err(failure)) => answer.failure(
                failure.fix(format!("counterfoil instruction receipt {} --out FILE", outcome.id)),
            ),
        })
    }

    /// A session that signs, once it is known that the receipt has a place.
    async fn session(&self) -> Result<Session, Failure> {
        if let Some(out) = &self.receipt_out {
            files::refuse_existing(&[out])?;
        }
        Session::signing(&self.connection, self.waiting).await
    }

    fn message(
        &self,
        debit: AccountId,
        credit: AccountId,
        exponent: u8,
    ) -> Result<v1::Transfer, Failure> {
        let amount = parse_amount(&self.amount, exponent).map_err(|error| {
            let message = format!("{:?} is not an amount of {}", self.amount, self.asset);
            Failure::usage("AMOUNT_MALFORMED", message).fact(error.to_string())
        })?;
        if !text::is_max35(&self.end_to_end_id) {
            let message = format!("{:?} cannot be an end-to-end id", self.end_to_end_id);
            return Err(Failure::usage("REFERENCE_MALFORMED", message)
                .fact("at most 35 characters of the SWIFT X set, no space at either end"));
        }
        let mut transfer = instructions::transfer(debit, credit, amount);
        if let Some(text) = &self.uetr {
            let uetr = Uetr::parse(text).map_err(|error| {
                Failure::usage("UETR_MALFORMED", format!("{text:?} is not a UETR"))
                    .fact(error.to_string())
            })?;
            transfer.uetr = Bytes::copy_from_slice(uetr.as_bytes());
        }
        transfer.end_to_end_id = self.end_to_end_id.clone();
        transfer.settlement_date = self.date.map(Date::yyyymmdd).unwrap_or_default();
        Ok(transfer)
    }
}

/// Keeps a receipt in a new file, and says so.
pub fn keep_receipt(out: &Path, receipt: &v1::Receipt) -> Result<String, Failure> {
    let bytes = receipt.encode_to_vec();
    files::create(out, &bytes, Readers::Owner)?;
    Ok(format!("receipt      {}, {} bytes", out.display(), bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(amount: &str, uetr: Option<&str>, end_to_end_id: &str) -> Payment {
        Payment {
            amount: amount.to_owned(),
            asset: "CHF".to_owned(),
            uetr: uetr.map(str::to_owned),
            end_to_end_id: end_to_end_id.to_owned(),
            date: None,
            receipt_out: None,
            waiting: Waiting::default(),
            connection: Connection::default(),
        }
    }

    #[test]
    fn what_cannot_be_paid_is_refused_before_it_is_signed() {
        let (debit, credit) =
            (AccountId::from_bytes(&[1; 16]).unwrap(), AccountId::from_bytes(&[2; 16]).unwrap());
        let code = |payment: Payment| payment.message(debit, credit, 2).unwrap_err().code;
        assert_eq!(code(payment("1.001", None, "")), "AMOUNT_MALFORMED");
        assert_eq!(code(payment("-1", None, "")), "AMOUNT_MALFORMED");
        assert_eq!(code(payment("1", Some("x"), "")), "UETR_MALFORMED");
        assert_eq!(code(payment("1", None, "a_b")), "REFERENCE_MALFORMED");
        let message = payment("12.5", None, "INV 1").message(debit, credit, 2).unwrap();
        assert_eq!((message.amount, message.settlement_date), (1_250, 0));
    }
}
