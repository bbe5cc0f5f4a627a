//! Opening accounts.

use super::Work;
use crate::{
    account::{Account, AccountId},
    hash::Hash,
    instruction::{Instruction, OpenAccount},
    outcome::{Event, Outcome, State as OutcomeState},
    reason::Reason,
};

impl Work<'_> {
    pub(super) fn open_account(
        &mut self,
        place: u32,
        instruction: &Instruction,
        open: &OpenAccount,
    ) {
        let outcome = match self.try_open(open) {
            Ok(()) => Outcome::of_event(OutcomeState::Recorded, Event::AccountOpened),
            Err(reason) => Outcome::rejected(reason),
        };
        self.push_leaf(place, instruction, 0, Hash::ZERO, outcome, Vec::new());
    }

    pub(super) fn try_open(&mut self, open: &OpenAccount) -> Result<(), Reason> {
        let state = &mut *self.state;
        state.registry.asset(open.asset.as_str()).ok_or(Reason::AssetUnknown)?;
        state.registry.institution(&open.owner).ok_or(Reason::OwnerUnknown)?;
        let id = AccountId::of(&open.servicer, &open.owner, open.asset.as_str(), &open.name);
        if state.ordinals.contains_key(&id) {
            return Err(Reason::AccountExists);
        }

        // After this point the account is open.
        let ordinal = u32::try_from(state.accounts.len()).expect("ordinals have 32 bits");
        state.accounts.push(Account {
            ordinal,
            id,
            servicer: open.servicer,
            owner: open.owner,
            asset: open.asset.clone(),
            name: open.name.clone(),
            balance: 0,
            posting_count: 0,
            head: Hash::ZERO,
        });
        state.ordinals.insert(id, ordinal);
        self.opened.insert(ordinal);
        Ok(())
    }
}
