//! `recon agree`: takes what is offered to end a break; its payer pays in the same step.

use counterfoil_client::{Error, Order, orders, v1};
use counterfoil_ledger::account::AccountId;
use serde_json::Value;

use super::{OfBreak, resolution_sentence};
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::breaks::what;
use crate::commands::recon::words::{self, category, ending, party};
use crate::confirm::confirm;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Format, Table};
use crate::session::Session;

/// Arguments of `recon agree`.
#[derive(Debug, clap::Args)]
pub struct Agree {
    #[command(flatten)]
    of: OfBreak,
    /// Pay what is offered to be transferred, from your account, with this signature
    #[arg(long)]
    pay: bool,
    /// Signs without asking
    #[arg(long)]
    yes: bool,
}

/// Who pays what is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payer {
    /// Nothing is transferred.
    Nobody,
    /// The own institution.
    Own,
    /// Another one, or one that cannot be told from here.
    Other,
}

impl Agree {
    /// Shows what is offered, asks, and agrees.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let (session, of) = self.of.signing().await?;
        let found = session.client.find_break(of.id, self.of.number).await?.value.found;
        let offered = found.offer.as_ref().and_then(|it| Some((it.by(), it.resolution.clone()?)));
        let Some((by, offer)) = offered else {
            let message = format!("nothing is offered to end break {}", self.of.number);
            return Err(Failure::new(Exit::Conflict, "NOTHING_OFFERED", message)
                .fix("counterfoil recon propose offers something"));
        };
        let payer = payer(&session, &offer).await?;
        self.refuse_payment(payer)?;
        let transfer = orders::transfer_of(&offer).filter(|_| self.pay);
        if !self.yes {
            let plan = plan(&of, &found, by, &offer, payer, transfer.as_ref());
            confirm(&plan, "Agree to this, and sign it?").await?;
        }
        let done = match &transfer {
            Some(_) => format!("agreed to end as {}, and paid", ending(offer.kind())),
            None => format!("agreed to end as {}", ending(offer.kind())),
        };
        let order = Order::agree_resolution(of.id, self.of.number, offer, transfer);
        let answer = self.of.submit(&session, order, &done, None).await?;
        Ok(match payer {
            Payer::Other if answer.exit == Exit::Success => {
                answer.line("it ends when the payer agrees with --pay")
            }
            _ => answer,
        })
    }

    /// Whoever pays says so, and nobody else can.
    fn refuse_payment(&self, payer: Payer) -> Result<(), Failure> {
        match (self.pay, payer) {
            (true, Payer::Nobody) => {
                Err(Failure::usage("NOTHING_TO_PAY", "nothing is transferred")
                    .fix("leave --pay out"))
            }
            (true, Payer::Other) => {
                let message = "the account that pays is not your institution's";
                Err(Failure::new(Exit::Permission, "NOT_THE_PAYER", message)
                    .fix("leave --pay out: the payer agrees with it"))
            }
            (false, Payer::Own) => {
                Err(Failure::usage("PAYMENT_MISSING", "your institution pays what is offered")
                    .fact("the break ends in the step in which the transfer settles")
                    .fix("give --pay to sign the transfer, too"))
            }
            _ => Ok(()),
        }
    }
}

/// Who owns the account that an offer debits.
async fn payer(session: &Session, offer: &v1::ProposeResolution) -> Result<Payer, Failure> {
    if orders::transfer_of(offer).is_none() {
        return Ok(Payer::Nobody);
    }
    let Some(debited) = AccountId::from_bytes(&offer.debit_account) else {
        return Ok(Payer::Other);
    };
    match session.client.balance(debited, None).await {
        Ok(found) if found.value.owner == session.institution().as_str() => Ok(Payer::Own),
        // An account that is not to be seen is not the own institution's.
        Ok(_) | Err(Error::Refused(_)) => Ok(Payer::Other),
        Err(error) => Err(error.into()),
    }
}

/// What is shown before it is signed.
fn plan(
    of: &Reconciled,
    found: &v1::Break,
    by: v1::Party,
    offer: &v1::ProposeResolution,
    payer: Payer,
    transfer: Option<&v1::Transfer>,
) -> String {
    let mut table = Table::new(&["", ""]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("account", of.title());
    fact("break", format!("{}, {}", found.number, category(found.category())));
    fact("between", words::both(found.comparison()).join(" and "));
    fact("about", what(found));
    fact("effect", of.amount(found.effect.into()));
    fact("offered by", format!("the {}", party(by)));
    fact("ends as", resolution_sentence(of, offer));
    match (payer, transfer) {
        (_, Some(transfer)) => {
            fact("you pay", of.amount(transfer.amount.into()));
        }
        (Payer::Other, None) => fact("paid by", "the other party, when it agrees".to_owned()),
        _ => {}
    }
    Answer::new(Value::Null).table(table).render(Format::Table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::recon::account::tests::reconciled;

    fn agree(arguments: &[&str]) -> Agree {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            agree: Agree,
        }
        let arguments = [&["agree", "CHF", "3"], arguments].concat();
        <Command as clap::Parser>::parse_from(arguments).agree
    }

    #[test]
    fn only_the_payer_pays_and_says_so() {
        let code = |arguments: &[&str], payer| {
            agree(arguments).refuse_payment(payer).err().map(|failure| failure.code)
        };
        assert_eq!(code(&[], Payer::Nobody), None);
        assert_eq!(code(&[], Payer::Other), None);
        assert_eq!(code(&["--pay"], Payer::Own), None);
        assert_eq!(code(&[], Payer::Own).as_deref(), Some("PAYMENT_MISSING"));
        assert_eq!(code(&["--pay"], Payer::Other).as_deref(), Some("NOT_THE_PAYER"));
        assert_eq!(code(&["--pay"], Payer::Nobody).as_deref(), Some("NOTHING_TO_PAY"));
    }

    #[test]
    fn the_plan_says_who_pays_what() {
        let offer = v1::ProposeResolution {
            kind: v1::ResolutionKind::Return.into(),
            amount: 500,
            debit_account: vec![1; 16].into(),
            credit_account: vec![2; 16].into(),
            ..v1::ProposeResolution::default()
        };
        let found = v1::Break { number: 3, effect: -500, ..v1::Break::default() };
        let transfer = orders::transfer_of(&offer).unwrap();
        let told = |payer, transfer| {
            plan(&reconciled(), &found, v1::Party::Servicer, &offer, payer, transfer)
        };
        let own = told(Payer::Own, Some(&transfer));
        assert!(own.contains("you pay     5.00 CHF") && own.contains("return: "), "{own}");
        assert!(told(Payer::Other, None).contains("paid by"), "the other party");
    }
}
