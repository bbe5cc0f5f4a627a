//! What people order in reconciliation, in shape: decisions on matches, steps of the work on a break,
//! signed positions.

use counterfoil_proto::v1;

use crate::{
    account::AccountId,
    agreement::Party,
    date::Date,
    hash::Hash,
    instruction::{Transfer, account, amount, commitment, date, salt},
    matching::item::Comparison,
    reason::Reason,
};

/// Most items of one source that a decision names.
pub const DECIDED_ITEMS_MAX: usize = 64;

/// Standard answers in a conversation are codes of four characters, as in ISO 20022
/// ExternalInvestigationExecutionConfirmation1Code.
const ANSWER_CODE_LENGTH: usize = 4;

/// What is decided of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They belong together.
    Confirm,
    /// They do not.
    Refuse,
    /// A match was none.
    Undo,
}

/// See the .proto file.
#[derive(Clone, Debug)]
pub struct DecideMatch {
    /// The account.
    pub account: AccountId,
    /// Which sources.
    pub comparison: Comparison,
    /// Numbers of the items of the first and of the second source, ascending.
    pub items: [Vec<u64>; 2],
    /// What is decided.
    pub decision: Decision,
    /// Random, of the signer.
    pub salt: [u8; 16],
}

/// See the .proto file.
#[derive(Clone, Debug)]
pub struct WorkBreak {
    /// The account.
    pub account: AccountId,
    /// The break's number.
    pub number: u64,
    /// What is done.
    pub action: Action,
    /// Random, of the signer.
    pub salt: [u8; 16],
}

/// What is done with a break.
#[derive(Clone, Debug)]
pub enum Action {
    /// A party has it from now on.
    Assign(Party),
    /// Something is said.
    Say,
    /// A way to end it is offered.
    Propose(Resolution),
    /// An offer is agreed to; with the transfer of its payer.
    Agree(Resolution, Option<Box<Transfer>>),
    /// An offer is not taken.
    Decline,
    /// A resolution was none.
    Reopen,
}

/// How a break ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResolutionKind {
    /// Its items are a match.
    LateMatch = 1,
    /// A transfer corrects it.
    CorrectingTransfer = 2,
    /// A transfer returns it.
    Return = 3,
    /// The difference is a charge, and accepted.
    ChargeAccepted = 4,
    /// One bank bears it.
    WriteOff = 5,
    /// Nothing is done.
    NoAction = 6,
    /// The wrong book has been corrected.
    BookCorrected = 7,
}

impl ResolutionKind {
    /// All, by number.
    pub const ALL: [ResolutionKind; 7] = [
        ResolutionKind::LateMatch,
        ResolutionKind::CorrectingTransfer,
        ResolutionKind::Return,
        ResolutionKind::ChargeAccepted,
        ResolutionKind::WriteOff,
        ResolutionKind::NoAction,
        ResolutionKind::BookCorrected,
    ];

    /// Reads its number.
    pub fn from_number(number: u8) -> Option<ResolutionKind> {
        ResolutionKind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether money moves.
    pub fn transfers(self) -> bool {
        matches!(self, ResolutionKind::CorrectingTransfer | ResolutionKind::Return)
    }
}

/// An offer, as both parties sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// How.
    pub kind: ResolutionKind,
    /// Amount, debited and credited account, where money moves.
    pub transfer: Option<(u64, AccountId, AccountId)>,
    /// Of why; zeros without one.
    pub commitment: Hash,
}

/// One bank's view of an account's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignPosition {
    /// The account.
    pub account: AccountId,
    /// Value date.
    pub date: Date,
    /// What it says.
    pub view: View,
    /// Random, of the signer.
    pub salt: [u8; 16],
}

/// The figures of a day, seen in one book; amounts in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Balance at the day's beginning.
    pub opening: i64,
    /// How many credits.
    pub credit_count: u64,
    /// Their sum.
    pub credits: u64,
    /// How many debits.
    pub debit_count: u64,
    /// Their sum.
    pub debits: u64,
    /// Balance at the day's end.
    pub closing: i64,
    /// Digest over the day's entries.
    pub digest: Hash,
}

/// Reads a comparison.
fn comparison(message: v1::Comparison) -> Result<Comparison, Reason> {
    let number = u8::try_from(i32::from(message)).ok();
    number.and_then(Comparison::from_number).ok_or(Reason::ComparisonMissing)
}

/// Reads numbers that ascend from 1.
fn numbers(messages: &[v1::ItemNumber]) -> Result<Vec<u64>, Reason> {
    let numbers: Vec<u64> = messages.iter().map(|message| message.number).collect();
    let ascend = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    let begin = numbers.first().is_none_or(|first| *first > 0);
    if numbers.len() > DECIDED_ITEMS_MAX || !ascend || !begin {
        return Err(Reason::ItemNumbersMalformed);
    }
    Ok(numbers)
}

fn party(message: v1::Party) -> Result<Party, Reason> {
    match message {
        v1::Party::Servicer => Ok(Party::Servicer),
        v1::Party::Owner => Ok(Party::Owner),
        v1::Party::Unspecified => Err(Reason::PartyMissing),
    }
}

impl DecideMatch {
    /// Checks the shape of a decision.
    pub fn of(message: v1::DecideMatch) -> Result<DecideMatch, Reason> {
        let comparison = comparison(message.comparison())?;
        let decision = match message.decision() {
            v1::MatchDecision::Confirm => Decision::Confirm,
            v1::MatchDecision::Refuse => Decision::Refuse,
            v1::MatchDecision::Undo => Decision::Undo,
            v1::MatchDecision::Unspecified => return Err(Reason::DecisionMissing),
        };
        let items = [numbers(&message.first)?, numbers(&message.second)?];
        // A contra pair lies in one source; a decision about nothing, or about one item, is none.
        if items[0].len() + items[1].len() < 2 {
            return Err(Reason::ItemNumbersMalformed);
        }
        commitment(&message.commitment)?;
        let (account, salt) = (account(&message.account)?, salt(&message.salt)?);
        Ok(DecideMatch { account, comparison, items, decision, salt })
    }
}

impl WorkBreak {
    /// Checks the shape of a step.
    pub fn of(message: v1::WorkBreak) -> Result<WorkBreak, Reason> {
        let (account, salt) = (account(&message.account)?, salt(&message.salt)?);
        if message.number == 0 {
            return Err(Reason::ItemNumbersMalformed);
        }
        let action = match message.action.ok_or(Reason::BodyMissing)? {
            v1::work_break::Action::Assign(assign) => Action::Assign(party(assign.owner())?),
            v1::work_break::Action::Say(say) => said(&say)?,
            v1::work_break::Action::Propose(offer) => Action::Propose(Resolution::of(&offer)?),
            v1::work_break::Action::Agree(agree) => agreed(agree)?,
            v1::work_break::Action::Decline(decline) => {
                commitment(&decline.commitment)?;
                Action::Decline
            }
            v1::work_break::Action::Reopen(reopen) => {
                commitment(&reopen.commitment)?;
                Action::Reopen
            }
        };
        Ok(WorkBreak { account, number: message.number, action, salt })
    }
}

fn said(message: &v1::SayOfBreak) -> Result<Action, Reason> {
    let code = message.code.as_bytes();
    let is_code = code.len() == ANSWER_CODE_LENGTH
        && code.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !code.is_empty() && !is_code {
        return Err(Reason::AnswerCodeMalformed);
    }
    commitment(&message.commitment)?;
    commitment(&message.attachment)?;
    if code.is_empty() && message.commitment.is_empty() && message.attachment.is_empty() {
        return Err(Reason::AnswerCodeMalformed);
    }
    Ok(Action::Say)
}

fn agreed(message: v1::AgreeResolution) -> Result<Action, Reason> {
    let resolution = Resolution::of(&message.offer.ok_or(Reason::ResolutionMalformed)?)?;
    let transfer = message.transfer.map(Transfer::of).transpose()?;
    let fits = match (&resolution.transfer, &transfer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((amount, debit, credit)), Some(transfer)) => {
            (*amount, *debit, *credit) == (transfer.amount, transfer.debit, transfer.credit)
        }
    };
    if !fits {
        return Err(Reason::ResolutionMalformed);
    }
    Ok(Action::Agree(resolution, transfer.map(Box::new)))
}

impl Resolution {
    fn of(message: &v1::ProposeResolution) -> Result<Resolution, Reason> {
        let kind = u8::try_from(message.kind).ok().and_then(ResolutionKind::from_number);
        let kind = kind.ok_or(Reason::ResolutionMalformed)?;
        let names = message.amount != 0
            || !message.debit_account.is_empty()
            || !message.credit_account.is_empty();
        let transfer = match kind.transfers() {
            true => {
                let debit = account(&message.debit_account)?;
                let credit = account(&message.credit_account)?;
                if debit == credit {
                    return Err(Reason::SameAccount);
                }
                Some((amount(message.amount)?, debit, credit))
            }
            false if names => return Err(Reason::ResolutionMalformed),
            false => None,
        };
        commitment(&message.commitment)?;
        let commitment = Hash::from_slice(&message.commitment).unwrap_or(Hash::ZERO);
        Ok(Resolution { kind, transfer, commitment })
    }
}

impl SignPosition {
    /// Checks the shape of a view.
    pub fn of(message: v1::SignPosition) -> Result<SignPosition, Reason> {
        let digest = Hash::from_slice(&message.digest).ok_or(Reason::CommitmentMalformed)?;
        let view = View {
            opening: message.opening_balance,
            credit_count: message.credit_count,
            credits: message.credits,
            debit_count: message.debit_count,
            debits: message.debits,
            closing: message.closing_balance,
            digest,
        };
        Ok(SignPosition {
            account: account(&message.account)?,
            date: date(message.date)?,
            view,
            salt: salt(&message.salt)?,
        })
    }
}
