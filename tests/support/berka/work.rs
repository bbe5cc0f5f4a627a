//! The mornings: people put right what was found, by late entries, by taking wrong ones back, by a
//! word of both banks, and by money.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use counterfoil_ledger::{
    agreement::Party, bic::Bic, matching::item::Place, reconciliation::orders::ResolutionKind,
};
use counterfoil_proto::v1::{self, instruction::Body, work_break::Action};

use super::{
    books::Payment,
    chain::Hand,
    names,
    plan::{Day, Label, Mode, Open, Step, Which},
    year::{Year, account, transfer},
};

/// What a clerk has before him: the open breaks of last evening with their numbers, without those that
/// he has dealt with.
struct List {
    open: Vec<(u64, Open)>,
    done: BTreeSet<(Bic, u64)>,
}

impl List {
    /// The number of a break.
    fn take(&mut self, partner: Bic, which: &Which) -> u64 {
        let found = self.open.iter().find(|(number, open)| {
            (open.partner, open.comparison, open.category)
                == (partner, which.comparison, which.category)
                && open.items == which.items
                && !self.done.contains(&(partner, *number))
        });
        let number = found.unwrap_or_else(|| panic!("{partner} has no open {which:?}")).0;
        self.done.insert((partner, number));
        number
    }
}

impl Year {
    /// Everything that is done on a morning, in one block.
    pub(super) fn morning(&mut self, now: u64, days: &BTreeMap<Bic, Day>) {
        if days.values().all(|day| day.morning.is_empty()) {
            return;
        }
        let mut list = List { open: self.open_breaks(), done: BTreeSet::new() };
        let mut instructions = Vec::new();
        for (partner, day) in days {
            for step in &day.morning {
                self.step(*partner, step, &mut list, now, &mut instructions);
            }
        }
        self.commit(now, instructions);
    }

    fn step(
        &mut self,
        partner: Bic,
        step: &Step,
        list: &mut List,
        now: u64,
        instructions: &mut Vec<Bytes>,
    ) {
        match step {
            Step::Book(party, entry) => {
                let entries = std::slice::from_ref(entry);
                instructions.push(self.write(partner, *party, entries, now));
            }
            Step::Pay(_) if self.mode == Mode::Record => {}
            Step::Pay(payment) => {
                let payer = self.bank(partner, payment.payer());
                let body = Body::Transfer(transfer(payment));
                instructions.push(self.chain.single(&payer, now, body));
            }
            Step::Run(party) => {
                let run = v1::RunMatching { account: account(&partner), salt: self.salt() };
                let bank = self.bank(partner, *party);
                instructions.push(self.chain.single(&bank, now, Body::RunMatching(run)));
            }
            Step::Confirm(comparison, labels) => {
                for party in [Party::Servicer, Party::Owner] {
                    let compared = self.mode.comparison(party) == *comparison;
                    if compared {
                        let body = self.confirm(partner, party, labels);
                        let bank = self.bank(partner, party);
                        instructions.push(self.chain.single(&bank, now, body));
                    }
                }
            }
            Step::Resolve(which, kind, by) => {
                let number = list.take(partner, which);
                self.resolve((partner, number), *kind, *by, now, instructions);
            }
            Step::WriteOff(which, by) => {
                let number = list.take(partner, which);
                let (offer, bank) = (offer(ResolutionKind::WriteOff), self.bank(partner, *by));
                let propose = self.work((partner, number), Action::Propose(offer.clone()));
                instructions.push(self.chain.single(&bank, now, propose));
                let agree = v1::AgreeResolution { offer: Some(offer), transfer: None };
                let agree = self.work((partner, number), Action::Agree(agree));
                instructions.push(self.chain.by_hand(&bank, Hand::Second, now, agree));
            }
            Step::Correct(which, payment) => {
                let number = list.take(partner, which);
                self.correct((partner, number), payment, now, instructions);
            }
            Step::StateLate(party, date) | Step::StateAgain(party, date) => {
                let statement = self.desk(partner, *party).statement(*date, true);
                let bank = self.bank(partner, *party);
                instructions.push(self.chain.single(&bank, now, Body::Statement(statement)));
            }
            Step::StateRightly(party, date) => {
                let statement = self.desk(partner, *party).statement(*date, false);
                let bank = self.bank(partner, *party);
                instructions.push(self.chain.single(&bank, now, Body::Statement(statement)));
            }
        }
    }

    fn confirm(&mut self, partner: Bic, party: Party, labels: &[Label]) -> Body {
        let comparison = self.mode.comparison(party);
        let [first, second] = Place::BOTH.map(|place| {
            let of = labels.iter().filter(|label| label.source == comparison.source(place));
            let mut numbers: Vec<u64> = of.map(|label| self.number(partner, label)).collect();
            numbers.sort_unstable();
            numbers.into_iter().map(|number| v1::ItemNumber { number }).collect()
        });
        let comparison = v1::Comparison::try_from(comparison as i32).expect("it has its number");
        Body::DecideMatch(v1::DecideMatch {
            account: account(&partner),
            comparison: comparison.into(),
            first,
            second,
            decision: v1::MatchDecision::Confirm.into(),
            commitment: Bytes::new(),
            salt: self.salt(),
        })
    }

    /// One party takes it, says so, and offers an end; the other one has it another way first.
    fn resolve(
        &mut self,
        of: (Bic, u64),
        kind: ResolutionKind,
        by: Party,
        now: u64,
        instructions: &mut Vec<Bytes>,
    ) {
        let (bank, other) = (self.bank(of.0, by), self.bank(of.0, by.other()));
        let assign = v1::AssignBreak { owner: by.message().into() };
        let say = v1::SayOfBreak { code: "INFO".to_owned(), ..v1::SayOfBreak::default() };
        let agree = v1::AgreeResolution { offer: Some(offer(kind)), transfer: None };
        let second_thoughts = match kind {
            ResolutionKind::NoAction => ResolutionKind::BookCorrected,
            _ => ResolutionKind::NoAction,
        };
        for (bank, action) in [
            (bank, Action::Assign(assign)),
            (bank, Action::Say(say)),
            (bank, Action::Propose(offer(second_thoughts))),
            (other, Action::Decline(v1::DeclineResolution::default())),
            (bank, Action::Propose(offer(kind))),
            (other, Action::Agree(agree)),
        ] {
            let body = self.work(of, action);
            instructions.push(self.chain.single(&bank, now, body));
        }
    }

    /// The payee offers that a payment ends it; the payer pays.
    fn correct(
        &mut self,
        of: (Bic, u64),
        payment: &Payment,
        now: u64,
        instructions: &mut Vec<Bytes>,
    ) {
        let (payer, payee) = (payment.payer(), payment.payer().other());
        let transfer = transfer(payment);
        let offer = v1::ProposeResolution {
            amount: transfer.amount,
            debit_account: transfer.debit_account.clone(),
            credit_account: transfer.credit_account.clone(),
            ..offer(ResolutionKind::CorrectingTransfer)
        };
        let propose = self.work(of, Action::Propose(offer.clone()));
        let payee = self.bank(of.0, payee);
        instructions.push(self.chain.single(&payee, now, propose));
        let agree = v1::AgreeResolution { offer: Some(offer), transfer: Some(transfer) };
        let agree = self.work(of, Action::Agree(agree));
        let payer = self.bank(of.0, payer);
        instructions.push(self.chain.single(&payer, now, agree));
    }

    fn work(&mut self, (partner, number): (Bic, u64), action: Action) -> Body {
        let salt = self.salt();
        let account = account(&partner);
        Body::WorkBreak(Box::new(v1::WorkBreak { account, number, salt, action: Some(action) }))
    }

    fn bank(&self, partner: Bic, party: Party) -> Bic {
        match party {
            Party::Servicer => names::home(),
            Party::Owner => partner,
        }
    }

    fn desk(&mut self, partner: Bic, party: Party) -> &mut super::desk::Desk {
        self.desks.get_mut(&(partner, party)).expect("every account has two")
    }
}

fn offer(kind: ResolutionKind) -> v1::ProposeResolution {
    v1::ProposeResolution { kind: kind as i32, ..v1::ProposeResolution::default() }
}
