//! Offers of agreements, and the answers to them.

use super::Work;
use crate::{
    agreement::{
        Agreement, Answer, AnswerAgreement, OFFER_MS_MAX, Party, ProposeAgreement, RULE_SET, Step,
        Terms,
    },
    bic::Bic,
    hash::Hash,
    instruction::Instruction,
    outcome::{Event, Outcome, State as OutcomeState},
    reason::Reason,
};

impl Work<'_> {
    pub(super) fn propose_agreement(
        &mut self,
        place: u32,
        instruction: &Instruction,
        offer: &ProposeAgreement,
    ) {
        let outcome = match self.judge_offer(&instruction.institution, offer) {
            Ok(by) => {
                let step = self.step(instruction, by);
                let record = self.state.agreements.propose(offer.clone(), step);
                self.records.push(record);
                Outcome::of_event(OutcomeState::Recorded, Event::AgreementProposed)
            }
            Err(reason) => Outcome::rejected(reason),
        };
        self.push_leaf(place, instruction, 0, Hash::ZERO, outcome, Vec::new());
    }

    pub(super) fn answer_agreement(
        &mut self,
        place: u32,
        instruction: &Instruction,
        answer: &AnswerAgreement,
    ) {
        let outcome = match self.judge_answer(&instruction.institution, answer) {
            Ok((number, by)) => {
                let step = self.step(instruction, by);
                let record = self.state.agreements.answer(number, answer.answer, step);
                self.records.push(record);
                Outcome::of_event(OutcomeState::Recorded, Event::AgreementAnswered)
            }
            Err(reason) => Outcome::rejected(reason),
        };
        self.push_leaf(place, instruction, 0, Hash::ZERO, outcome, Vec::new());
    }

    /// Which party makes an offer, if it can stand.
    fn judge_offer(&self, signer: &Bic, offer: &ProposeAgreement) -> Result<Party, Reason> {
        let by = offer.terms.party(signer).ok_or(Reason::AccountUnknown)?;
        self.know(&offer.terms)?;
        if self.state.agreements.get(&offer.id).is_some() {
            return Err(Reason::AgreementExists);
        }
        if offer.terms.rule_set != RULE_SET {
            return Err(Reason::RuleSetUnknown);
        }
        let latest = self.block_time_ms.saturating_add(OFFER_MS_MAX);
        if !(self.block_time_ms..=latest).contains(&offer.accept_until_ms) {
            return Err(Reason::AcceptUntilOutOfRange);
        }
        self.state.agreements.admit(&offer.terms)?;
        Ok(by)
    }

    /// The agreement that is answered, and by which party. What an offer's terms name never vanishes
    /// again; time passes, and other agreements come between.
    fn judge_answer(&self, signer: &Bic, it: &AnswerAgreement) -> Result<(u64, Party), Reason> {
        let party = |found: &Agreement| found.terms.party(signer);
        let found = self.state.agreements.get(&it.agreement);
        let (found, by) =
            found.and_then(|it| Some((it, party(it)?))).ok_or(Reason::AgreementUnknown)?;
        if !found.may_answer(it.answer, by) {
            return Err(Reason::AnswerNotSigners);
        }
        if found.answered.is_some() {
            return Err(Reason::AgreementAnswered);
        }
        if self.block_time_ms > found.accept_until_ms {
            return Err(Reason::OfferExpired);
        }
        if it.answer == Answer::Accept {
            self.state.agreements.admit(&found.terms)?;
        }
        Ok((found.number, by))
    }

    /// Whether accounts and assets of terms are known: all accounts are of these two parties.
    fn know(&self, terms: &Terms) -> Result<(), Reason> {
        let of_both = |id| {
            let account = self.state.account(id);
            account.is_some_and(|it| it.servicer == terms.servicer && it.owner == terms.owner)
        };
        if !terms.accounts.iter().all(of_both) {
            return Err(Reason::AccountUnknown);
        }
        let registered = |asset: &str| self.state.registry.asset(asset).is_some();
        if !terms.tolerances.iter().all(|(asset, _)| registered(asset.as_str())) {
            return Err(Reason::AssetUnknown);
        }
        Ok(())
    }

    /// What a party does here.
    fn step(&self, instruction: &Instruction, by: Party) -> Step {
        Step {
            by,
            position: self.next_position(),
            time_ms: self.block_time_ms,
            instruction: instruction.id,
        }
    }
}
