//! Work whose time has come, at the end of a block.

use super::Work;
use crate::{
    reconciliation::{Accounts, DEADLINES_MAX, Governed},
    state::State,
};

/// Accounts whose due work one block does; the others wait for the next.
const ACCOUNTS_MAX: usize = 256;

impl Work<'_> {
    /// Does what is due by the block's time, account by account, each with a leaf of its own.
    pub(super) fn due(&mut self) {
        let mut budget = DEADLINES_MAX;
        for _ in 0..ACCOUNTS_MAX {
            let now = self.moment();
            let State { agreements, accounts, ordinals, reconciliation, .. } = &mut *self.state;
            let due = reconciliation.due_account(now.time_ms).filter(|_| budget > 0);
            let Some(ordinal) = due else { return };
            let accounts = Accounts { all: accounts, ordinals };
            let account = &accounts.all[usize::try_from(ordinal).expect("32 bits fit")];
            let newest = agreements.newest(&account.id);
            let governed = newest.map(|it| Governed { account, terms: &it.terms, accounts });
            let effects = reconciliation.do_due(ordinal, governed, &mut budget, now);
            if !effects.is_empty() {
                self.push_due_leaf(effects);
            }
        }
    }
}
