//! Steps of the work on a break: who has it, what is said of it, how it is to end.

mod agree;
mod propose;
mod say;

use counterfoil_client::orders::Committed;
use counterfoil_client::{Order, v1};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::Party;
use serde_json::{Value, json};

pub use self::agree::Agree;
pub use self::propose::Propose;
pub use self::say::Say;

use super::account::Reconciled;
use super::words::{ending, ending_phrase, party, party_json};
use crate::account_name::AccountWord;
use crate::context::Connection;
use crate::error::Failure;
use crate::output::{Answer, extend, hex};
use crate::session::Session;
use crate::verdict;
use crate::waiting::Waiting;

/// Which break, and how to reach the ledger.
#[derive(Debug, clap::Args)]
pub struct OfBreak {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    pub account: AccountWord,
    /// The break's number
    #[arg(value_name = "BREAK", value_parser = clap::value_parser!(u64).range(1..))]
    pub number: u64,
    /// What to wait for.
    #[command(flatten)]
    pub waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
}

/// Arguments of `recon assign`.
#[derive(Debug, clap::Args)]
pub struct Assign {
    #[command(flatten)]
    of: OfBreak,
    /// Who works on it from now on
    #[arg(value_enum, value_name = "PARTY")]
    to: Whom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Whom {
    /// Whose money the account holds
    Owner,
    /// Who keeps the account
    Servicer,
}

/// Arguments of `recon decline` and `recon reopen`.
#[derive(Debug, clap::Args)]
pub struct Refusing {
    #[command(flatten)]
    of: OfBreak,
    /// Why; the ledger keeps a salted hash of it, the text and its salt are printed
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl OfBreak {
    /// A session that signs, and the account.
    async fn signing(&self) -> Result<(Session, Reconciled), Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        let of = Reconciled::find(&session, &self.account).await?;
        Ok((session, of))
    }

    /// Submits a step, and says what became of it.
    async fn submit(
        &self,
        session: &Session,
        order: Order,
        done: &str,
        text: Option<&Committed>,
    ) -> Result<Answer, Failure> {
        // An instruction of unknown fate may be decided yet, and its text is worth its salt then.
        let outcome = session.submit(order).await.map_err(|failure| match text {
            Some(text) => failure.fact(format!("salt of the text: {}", hex(&text.salt))),
            None => failure,
        })?;
        let number = self.number;
        let what = match outcome.is_accepted() {
            true => format!("break {number} {done}"),
            false => format!("break {number} not {done}"),
        };
        let mut more = json!({ "break": number.to_string() });
        if let Some(text) = text {
            extend(&mut more, kept_json(text));
        }
        let mut answer = verdict::answer(&outcome, &what, more);
        if let Some(text) = text.filter(|_| outcome.is_accepted()) {
            answer = kept(answer, text);
        }
        Ok(answer)
    }
}

impl Assign {
    /// Does it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let (session, of) = self.of.signing().await?;
        let to = match self.to {
            Whom::Owner => Party::Owner,
            Whom::Servicer => Party::Servicer,
        };
        let order = Order::assign_break(of.id, self.of.number, to);
        let done = format!("assigned to the {}", party(to.message()));
        self.of.submit(&session, order, &done, None).await
    }
}

impl Refusing {
    /// Does not take what is offered, or takes the own offer back.
    pub async fn decline(&self) -> Result<Answer, Failure> {
        self.run(Order::decline_resolution, "declined").await
    }

    /// Says that a resolution was none.
    pub async fn reopen(&self) -> Result<Answer, Failure> {
        self.run(Order::reopen_break, "reopened").await
    }

    async fn run(
        &self,
        order: fn(AccountId, u64, Option<&Committed>) -> Order,
        done: &str,
    ) -> Result<Answer, Failure> {
        let reason = committed(self.reason.as_deref())?;
        let (session, of) = self.of.signing().await?;
        let order = order(of.id, self.of.number, reason.as_ref());
        self.of.submit(&session, order, done, reason.as_ref()).await
    }
}

/// Longest text that is committed to, in bytes: what a person writes.
const TEXT_MAX: usize = 10_000;

/// Commits to a text of the command line.
pub fn committed(text: Option<&str>) -> Result<Option<Committed>, Failure> {
    match text {
        None => Ok(None),
        Some(text) if text.is_empty() || text.len() > TEXT_MAX => {
            Err(Failure::usage("TEXT_UNUSABLE", "the text is empty or too long")
                .fact(format!("1 to {TEXT_MAX} bytes"))
                .fix("put long documents into a file: recon say --attach FILE"))
        }
        Some(text) => Ok(Some(Committed::to(text))),
    }
}

/// The text and its salt, which are nowhere else.
pub fn kept(answer: Answer, text: &Committed) -> Answer {
    answer
        .line("")
        .line("keep these and send them to the other party: the ledger has a hash of them alone")
        .line(format!("salt         {}", hex(&text.salt)))
        .line(format!("text         {}", text.text))
}

/// The same for programs.
pub fn kept_json(text: &Committed) -> Value {
    json!({
        "commitment": hex(&text.commitment()),
        "salt": hex(&text.salt),
        "text": text.text,
    })
}

/// `correcting-transfer: a transfer corrects it, 10.00 CHF from … to …`.
pub fn resolution_sentence(of: &Reconciled, offer: &v1::ProposeResolution) -> String {
    let kind = offer.kind();
    let mut text = format!("{}: {}", ending(kind), ending_phrase(kind));
    if offer.amount > 0 {
        let (debit, credit) = (hex(&offer.debit_account), hex(&offer.credit_account));
        text.push_str(&format!(", {} from {debit} to {credit}", of.amount(offer.amount.into())));
    }
    if !offer.commitment.is_empty() {
        text.push_str(&format!(", reason {}", hex(&offer.commitment)));
    }
    text
}

/// An offer with who made it.
pub fn offer_sentence(of: &Reconciled, offer: &v1::ResolutionOffer) -> String {
    let resolution = offer.resolution.as_ref();
    let text = resolution.map_or("-".to_owned(), |it| resolution_sentence(of, it));
    format!("by the {}, {text}", party(offer.by()))
}

/// A resolution for programs.
pub fn resolution_json(of: &Reconciled, offer: &v1::ProposeResolution) -> Value {
    let hash = |bytes: &[u8]| Some(hex(bytes)).filter(|text| !text.is_empty());
    let moves = offer.amount > 0;
    json!({
        "as": ending(offer.kind()),
        "amount": moves.then(|| of.amount_json(offer.amount.into())),
        "debitAccount": hash(&offer.debit_account),
        "creditAccount": hash(&offer.credit_account),
        "commitment": hash(&offer.commitment),
    })
}

/// An offer for programs.
pub fn offer_json(of: &Reconciled, offer: &v1::ResolutionOffer) -> Value {
    json!({
        "by": party_json(offer.by()),
        "resolution": offer.resolution.as_ref().map(|it| resolution_json(of, it)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::reconciled;
    use super::*;

    #[test]
    fn offers_are_told() {
        let offer = v1::ProposeResolution {
            kind: v1::ResolutionKind::CorrectingTransfer.into(),
            amount: 1_250,
            debit_account: vec![0xaa; 2].into(),
            credit_account: vec![0xbb; 2].into(),
            ..v1::ProposeResolution::default()
        };
        assert_eq!(
            resolution_sentence(&reconciled(), &offer),
            "correcting-transfer: a transfer corrects it, 12.50 CHF from aaaa to bbbb"
        );
        let json = resolution_json(&reconciled(), &offer);
        assert_eq!(
            (&json["as"], &json["amount"]["amount"]),
            (&"correcting-transfer".into(), &"12.50".into())
        );
        assert_eq!(json["commitment"], Value::Null);
    }

    #[test]
    fn texts_have_a_length() {
        assert!(committed(None).unwrap().is_none());
        assert!(committed(Some("why")).unwrap().is_some());
        assert!(committed(Some("")).is_err());
        assert!(committed(Some(&"x".repeat(TEXT_MAX + 1))).is_err());
    }
}
