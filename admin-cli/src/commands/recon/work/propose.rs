//! `recon propose`: offers a way to end a break.

use bytes::Bytes;
use counterfoil_client::{Order, orders, v1};
use counterfoil_ledger::asset::parse_amount;

use super::{OfBreak, committed};
use crate::account_name::AccountWord;
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::{Ending, ending};
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::Answer;
use crate::session::Session;

/// Arguments of `recon propose`.
#[derive(Debug, clap::Args)]
pub struct Propose {
    #[command(flatten)]
    of: OfBreak,
    /// How it is to end
    #[arg(long = "as", value_enum, value_name = "HOW")]
    how: Ending,
    /// Of a transfer: how much, as a decimal
    #[arg(long, value_name = "DECIMAL")]
    amount: Option<String>,
    /// Of a transfer: the account that pays, as its id or ASSET[@OWNER][:NAME]
    #[arg(long, value_name = "ACCOUNT")]
    debit: Option<AccountWord>,
    /// Of a transfer: the account that is paid
    #[arg(long, value_name = "ACCOUNT")]
    credit: Option<AccountWord>,
    /// Why; the ledger keeps a salted hash of it, the text and its salt are printed
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Propose {
    /// Offers it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let reason = committed(self.reason.as_deref())?;
        self.check()?;
        let (session, of) = self.of.signing().await?;
        let mut offer = self.offer(&session, &of)?;
        offer.commitment = reason.as_ref().map(orders::Committed::commitment).unwrap_or_default();
        let done = format!("offered to end as {}", ending(offer.kind()));
        let order = Order::propose_resolution(of.id, self.of.number, offer);
        let answer = self.of.submit(&session, order, &done, reason.as_ref()).await?;
        let (word, number) = (&self.of.account, self.of.number);
        if answer.exit != Exit::Success {
            return Ok(answer);
        }
        Ok(match self.how {
            Ending::WriteOff => answer.line(format!(
                "another key of your institution agrees: counterfoil recon agree {word} {number}"
            )),
            _ => answer.line(format!(
                "the other party answers: counterfoil recon agree ACCOUNT {number}, or decline"
            )),
        })
    }

    /// Transfers have an amount and two accounts, nothing else has.
    fn check(&self) -> Result<(), Failure> {
        let given =
            [self.amount.is_some(), self.debit.is_some(), self.credit.is_some()].map(u8::from);
        let given: u8 = given.iter().sum();
        match (self.how.transfers(), given) {
            (true, 3) | (false, 0) => Ok(()),
            (true, _) => Err(Failure::usage("TRANSFER_INCOMPLETE", "a transfer is offered")
                .fix("give --amount, --debit and --credit")),
            (false, _) => Err(Failure::usage("TRANSFER_NOT_MEANT", "no transfer is offered")
                .fact("--amount, --debit and --credit are of correcting-transfer and return")
                .fix("leave them out")),
        }
    }

    fn offer(&self, session: &Session, of: &Reconciled) -> Result<v1::ProposeResolution, Failure> {
        let plain = orders::resolution(self.how.message());
        let (Some(amount), Some(debit), Some(credit)) = (&self.amount, &self.debit, &self.credit)
        else {
            return Ok(plain);
        };
        let units = parse_amount(amount, of.exponent()).map_err(|error| {
            Failure::usage("AMOUNT_MALFORMED", format!("{amount:?} is not an amount"))
                .fact(error.to_string())
        })?;
        let (debit, credit) = (debit.id(session)?, credit.id(session)?);
        Ok(v1::ProposeResolution {
            amount: units,
            debit_account: Bytes::copy_from_slice(debit.as_bytes()),
            credit_account: Bytes::copy_from_slice(credit.as_bytes()),
            ..plain
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(arguments: &[&str]) -> Propose {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            propose: Propose,
        }
        let arguments = [&["propose", "CHF", "3"], arguments].concat();
        <Command as clap::Parser>::parse_from(arguments).propose
    }

    #[test]
    fn transfers_alone_have_an_amount_and_accounts() {
        assert!(propose(&["--as", "no-action"]).check().is_ok());
        let accounts = ["--debit", "CHF", "--credit", "CHF@ALPSCHZZ"];
        let whole = [&["--as", "return", "--amount", "1"], &accounts[..]].concat();
        assert!(propose(&whole).check().is_ok());
        let code = |arguments: &[&str]| propose(arguments).check().unwrap_err().code;
        assert_eq!(code(&["--as", "return", "--amount", "1"]), "TRANSFER_INCOMPLETE");
        assert_eq!(code(&["--as", "charge", "--amount", "1"]), "TRANSFER_NOT_MEANT");
    }
}
