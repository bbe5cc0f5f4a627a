//! Steps of the work on a break. What corrects it in money settles in the step in which its payer
//! agrees.

use super::Work;
use crate::{
    hash::Hash,
    instruction::{Instruction, Transfer},
    outcome::{Event, Outcome},
    reason::Reason,
    reconciliation::{
        orders::{Action, Resolution, WorkBreak},
        work::{Agreed, Hand},
    },
};

impl Work<'_> {
    pub(super) fn work_break(&mut self, place: u32, instruction: &Instruction, order: &WorkBreak) {
        let done = match &order.action {
            Action::Agree(resolution, transfer) => {
                match self.judge_agreement(instruction, order, resolution, transfer.is_some()) {
                    Ok(Agreed::IfSettled) if let Some(transfer) = transfer => {
                        self.settle_break(place, instruction, order, transfer);
                        return;
                    }
                    Ok(agreed) => self.agree(instruction, order, agreed),
                    Err(reason) => Err(reason),
                }
            }
            _ => self.take_step(instruction, order),
        };
        self.push_done(place, instruction, (0, Hash::ZERO), Event::BreakWorked, done);
    }

    /// Every step but an agreement.
    fn take_step(
        &mut self,
        instruction: &Instruction,
        order: &WorkBreak,
    ) -> Result<Vec<u8>, Reason> {
        let (now, signer) = (self.moment(), &instruction.institution);
        let key_id = key_id(instruction);
        self.with_newest(&order.account, signer, |all, governed, party| {
            let step = (order.number, party, &order.salt);
            all.work(governed, step, now, |work| match &order.action {
                Action::Assign(to) => work.assign(*to),
                Action::Say => work.say(party),
                Action::Propose(resolution) => {
                    work.propose(Hand { party, key_id }, resolution.clone())
                }
                Action::Decline => work.decline(party),
                Action::Reopen => work.reopen(party),
                Action::Agree(..) => Ok(()),
            })
        })
    }

    /// What an agreement comes to. Nothing changes yet.
    fn judge_agreement(
        &mut self,
        instruction: &Instruction,
        order: &WorkBreak,
        resolution: &Resolution,
        pays: bool,
    ) -> Result<Agreed, Reason> {
        let state = &*self.state;
        let account = state.account(&order.account).ok_or(Reason::AccountUnknown)?;
        let newest = state.agreements.newest(&account.id).ok_or(Reason::AccountUnknown)?;
        let party = newest.terms.party(&instruction.institution);
        let party = party.ok_or(Reason::AccountUnknown)?;
        let hand = Hand { party, key_id: key_id(instruction) };
        let payer = match &resolution.transfer {
            Some((_, debit, _)) => {
                let payer = state.account(debit).and_then(|it| newest.terms.party(&it.owner));
                Some(payer.ok_or(Reason::PayerUnknown)?)
            }
            None => None,
        };
        let work = state.reconciliation.work_of(account.ordinal, order.number);
        work?.judge_agreement(hand, resolution, payer, pays)
    }

    fn agree(
        &mut self,
        instruction: &Instruction,
        order: &WorkBreak,
        agreed: Agreed,
    ) -> Result<Vec<u8>, Reason> {
        let (now, signer) = (self.moment(), &instruction.institution);
        self.with_newest(&order.account, signer, |all, governed, party| {
            all.work(governed, (order.number, party, &order.salt), now, |work| {
                work.agree(agreed);
                Ok(())
            })
        })
    }

    /// The payer's agreement moves the money and ends the break, or neither.
    fn settle_break(
        &mut self,
        place: u32,
        instruction: &Instruction,
        order: &WorkBreak,
        transfer: &Transfer,
    ) {
        let moved = match self.try_move(instruction, transfer) {
            Ok(moved) => moved,
            Err(reason) => {
                let outcome = Outcome::rejected(reason);
                self.push_leaf(place, instruction, 0, Hash::ZERO, outcome, Vec::new());
                return;
            }
        };
        let ended = self.agree(instruction, order, Agreed::IfSettled);
        let mut effects = ended.expect("an agreement that was judged good");
        let fact = self.fact_of(transfer);
        let corrects = Some((order.account, order.number));
        effects.append(&mut self.reconcile_posting(&fact, &moved, &transfer.salt, corrects));
        self.settle(place, instruction, (0, Hash::ZERO), fact, &moved, effects);
    }
}

/// With which key an instruction is signed.
fn key_id(instruction: &Instruction) -> Hash {
    instruction.signature.map_or(Hash::ZERO, |(key_id, _)| key_id)
}
