//! Transfers: issue, redeem and pay are one thing, two postings of the same amount.

use super::Work;
use crate::{
    account::{Account, AccountId},
    block::{Movement, SettledTransfer, Side, TransferFact, posting_bytes},
    date::Date,
    hash::Hash,
    instruction::{AMOUNT_MAX, Instruction, Transfer},
    merkle,
    outcome::{Event, Outcome, State as OutcomeState},
    reason::Reason,
    reconciliation::{Accounts, Governed, Posting},
    state::State,
};

/// A transfer whose accounts are known and whose money has moved.
pub(super) struct Moved {
    pub(super) debit: u32,
    pub(super) credit: u32,
    pub(super) debit_balance: i128,
    pub(super) credit_balance: i128,
}

impl Work<'_> {
    pub(super) fn transfer(&mut self, place: u32, instruction: &Instruction, transfer: &Transfer) {
        let decided = self.try_move(instruction, transfer);
        self.post(place, instruction, 0, Hash::ZERO, transfer, decided);
    }

    pub(super) fn transfer_batch(
        &mut self,
        place: u32,
        instruction: &Instruction,
        items: &[(Hash, Transfer)],
        all_or_nothing: bool,
    ) {
        if !all_or_nothing {
            for (number, (hash, transfer)) in (1..).zip(items) {
                let decided = self.try_move(instruction, transfer);
                self.post(place, instruction, number, *hash, transfer, decided);
            }
            return;
        }
        let mut decided: Vec<Result<Moved, Reason>> =
            items.iter().map(|(_, transfer)| self.try_move(instruction, transfer)).collect();
        if decided.iter().any(Result::is_err) {
            for ((_, transfer), moved) in items.iter().zip(&mut decided) {
                if moved.is_ok() {
                    self.undo(transfer);
                    *moved = Err(Reason::BatchAborted);
                }
            }
        }
        for ((number, (hash, transfer)), decided) in (1..).zip(items).zip(decided) {
            self.post(place, instruction, number, *hash, transfer, decided);
        }
    }

    /// Checks in order of precedence, then moves the money.
    pub(super) fn try_move(
        &mut self,
        instruction: &Instruction,
        transfer: &Transfer,
    ) -> Result<Moved, Reason> {
        let state = &mut *self.state;
        let debit = state
            .account(&transfer.debit)
            .filter(|account| account.owner == instruction.institution)
            .ok_or(Reason::DebitAccountUnknown)?;
        let credit = state
            .account(&transfer.credit)
            .filter(|credit| credit.servicer == debit.servicer && credit.asset == debit.asset)
            .ok_or(Reason::CreditAccountUnknown)?;
        let in_history = self.facts.uetrs.get(&transfer.uetr);
        let settled_before = self.settled_here.contains(&(transfer.uetr, transfer.debit))
            || in_history
                .is_some_and(|facts| facts.iter().any(|fact| fact.debit == transfer.debit));
        if settled_before {
            return Err(Reason::UetrSettled);
        }
        let amount = i128::from(transfer.amount);
        let debit_balance = debit.balance - amount;
        if debit_balance < 0 && !debit.is_issuance() {
            return Err(Reason::InsufficientFunds);
        }
        let credit_balance = credit.balance + amount;
        if debit_balance < -i128::from(AMOUNT_MAX) || credit_balance > i128::from(AMOUNT_MAX) {
            return Err(Reason::BalanceTooLarge);
        }

        // After this point the transfer settles, unless its batch is all or nothing.
        let (debit, credit) = (debit.ordinal, credit.ordinal);
        self.settled_here.insert((transfer.uetr, transfer.debit));
        self.account_mut(debit).balance = debit_balance;
        self.account_mut(credit).balance = credit_balance;
        Ok(Moved { debit, credit, debit_balance, credit_balance })
    }

    fn undo(&mut self, transfer: &Transfer) {
        let amount = i128::from(transfer.amount);
        let ordinal = |id: &AccountId| self.state.ordinals[id];
        let (debit, credit) = (ordinal(&transfer.debit), ordinal(&transfer.credit));
        self.account_mut(debit).balance += amount;
        self.account_mut(credit).balance -= amount;
        self.settled_here.remove(&(transfer.uetr, transfer.debit));
    }

    pub(super) fn account_mut(&mut self, ordinal: u32) -> &mut Account {
        &mut self.state.accounts[usize::try_from(ordinal).expect("32 bits fit")]
    }

    /// Gives a decided transfer its leaf and, if its money has moved, its two postings.
    fn post(
        &mut self,
        place: u32,
        instruction: &Instruction,
        item: u32,
        item_hash: Hash,
        transfer: &Transfer,
        decided: Result<Moved, Reason>,
    ) {
        let moved = match decided {
            Ok(moved) => moved,
            Err(reason) => {
                let outcome = Outcome::rejected(reason);
                self.push_leaf(place, instruction, item, item_hash, outcome, Vec::new());
                return;
            }
        };
        let fact = self.fact_of(transfer);
        let effects = self.reconcile_posting(&fact, &moved, &transfer.salt, None);
        self.settle(place, instruction, (item, item_hash), fact, &moved, effects);
    }

    /// A transfer as history will have it, once it has the next leaf.
    pub(super) fn fact_of(&self, transfer: &Transfer) -> TransferFact {
        TransferFact {
            position: self.next_position(),
            debit: transfer.debit,
            credit: transfer.credit,
            amount: transfer.amount,
            date: transfer.settlement_date.unwrap_or(Date::from_unix_ms(self.block_time_ms)),
            uetr: transfer.uetr,
            end_to_end_id: transfer.end_to_end_id.clone(),
        }
    }

    /// Gives a transfer whose money has moved its leaf and its two postings.
    pub(super) fn settle(
        &mut self,
        place: u32,
        instruction: &Instruction,
        (item, item_hash): (u32, Hash),
        fact: TransferFact,
        moved: &Moved,
        effects: Vec<u8>,
    ) {
        let first_posting = self.state.next_posting;
        self.state.next_posting += 2;
        let outcome = Outcome {
            state: OutcomeState::Settled,
            reason: None,
            event: Event::TransferPosted,
            posting_count: 2,
            first_posting,
        };
        let leaf_hash = self.push_leaf(place, instruction, item, item_hash, outcome, effects);
        for (number, ordinal, side, balance) in [
            (first_posting, moved.debit, Side::Debit, moved.debit_balance),
            (first_posting + 1, moved.credit, Side::Credit, moved.credit_balance),
        ] {
            self.post_one(number, ordinal, side, balance, &fact, leaf_hash);
        }
        self.transfers.push(SettledTransfer {
            leaf: fact.position.leaf,
            debit: moved.debit,
            credit: moved.credit,
            uetr: fact.uetr,
        });
    }

    fn post_one(
        &mut self,
        number: u64,
        ordinal: u32,
        side: Side,
        balance: i128,
        fact: &TransferFact,
        leaf_hash: Hash,
    ) {
        let account = self.account_mut(ordinal);
        account.posting_count += 1;
        let movement = Movement {
            account: ordinal,
            position: fact.position,
            sequence: account.posting_count,
            side,
            amount: fact.amount,
            date: fact.date,
            balance,
        };
        let posting = merkle::leaf_hash(&posting_bytes(number, &movement, &leaf_hash));
        self.postings.entry(ordinal).or_default().push(posting);
        self.movements.push(movement);
    }

    /// Shows a transfer to the sheets of its two accounts, if agreements govern them. `corrects` is the
    /// break that it ends, with its account.
    pub(super) fn reconcile_posting(
        &mut self,
        fact: &TransferFact,
        moved: &Moved,
        drawn: &[u8; 16],
        corrects: Option<(AccountId, u64)>,
    ) -> Vec<u8> {
        let now = self.moment();
        let State { agreements, accounts, ordinals, reconciliation, .. } = &mut *self.state;
        if agreements.all().is_empty() {
            return Vec::new();
        }
        let accounts = Accounts { all: accounts, ordinals };
        let account_at = |ordinal| &accounts.all[usize::try_from(ordinal).expect("32 bits fit")];
        let (debit, credit) = (account_at(moved.debit), account_at(moved.credit));
        let mut effects = Vec::new();
        for (account, other, side) in [(debit, credit, Side::Debit), (credit, debit, Side::Credit)]
        {
            let governed = Governed::on(agreements, accounts, account, fact.date);
            let Some(governed) = governed else { continue };
            let posting = Posting {
                number: account.posting_count + 1,
                side,
                amount: fact.amount,
                date: fact.date,
                uetr: fact.uetr,
                end_to_end_id: &fact.end_to_end_id,
                counterparty: other.owner,
                corrects: corrects.filter(|(id, _)| *id == account.id).map(|(_, number)| number),
            };
            effects.append(&mut reconciliation.posting(governed, &posting, drawn, now));
        }
        effects
    }
}
