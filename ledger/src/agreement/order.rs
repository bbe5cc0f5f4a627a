//! What parties sign of an agreement: the offer, and the answer to it.

use counterfoil_proto::v1;

use super::terms::{AgreementId, Terms, agreement_id};
use crate::reason::Reason;

/// Longest time for which an offer stands: a quarter.
pub const OFFER_MS_MAX: u64 = 90 * 24 * 60 * 60 * 1_000;

/// Terms that the signer offers to the other party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposeAgreement {
    /// Over the terms' bytes.
    pub id: AgreementId,
    /// What is offered.
    pub terms: Terms,
    /// Block time after which it can no longer be accepted, Unix milliseconds.
    pub accept_until_ms: u64,
}

impl ProposeAgreement {
    /// Checks an offer's shape.
    pub fn of(message: &v1::ProposeAgreement) -> Result<ProposeAgreement, Reason> {
        let terms = message.terms.as_ref().ok_or(Reason::TermsMissing)?;
        Ok(ProposeAgreement {
            id: AgreementId::of(terms),
            terms: Terms::of(terms)?,
            accept_until_ms: message.accept_until_ms,
        })
    }
}

/// What a party says to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// The other party takes it.
    Accept = 1,
    /// The other party does not want it.
    Reject = 2,
    /// Who offered it takes it back.
    Withdraw = 3,
}

impl Answer {
    /// Reads 1, 2 or 3.
    pub fn from_number(number: u8) -> Option<Answer> {
        let all = [Answer::Accept, Answer::Reject, Answer::Withdraw];
        all.into_iter().find(|answer| *answer as u8 == number)
    }
}

/// The signer's answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerAgreement {
    /// Which.
    pub agreement: AgreementId,
    /// Its word.
    pub answer: Answer,
}

impl AnswerAgreement {
    /// Checks an answer's shape.
    pub fn of(message: &v1::AnswerAgreement) -> Result<AnswerAgreement, Reason> {
        if message.salt.len() != 16 {
            return Err(Reason::SaltMissing);
        }
        let agreement = agreement_id(&message.agreement)?;
        let answer = match message.answer() {
            v1::AgreementAnswer::Accept => Answer::Accept,
            v1::AgreementAnswer::Reject => Answer::Reject,
            v1::AgreementAnswer::Withdraw => Answer::Withdraw,
            v1::AgreementAnswer::Unspecified => return Err(Reason::AnswerMissing),
        };
        Ok(AnswerAgreement { agreement, answer })
    }
}
