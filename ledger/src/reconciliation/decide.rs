//! What people decide of items: that they belong together, that they do not, that a match was none.

use std::collections::BTreeMap;

use super::{
    finding::{Class, Says},
    orders::{DecideMatch, Decision},
    pass::Pass,
    sheet::{Moment, Sheet, ids_of, items_of},
};
use crate::{
    agreement::Party,
    matching::{
        self,
        desk::Standing,
        item::{Comparison, Id, Place, Source},
    },
    reason::Reason,
};

/// The parties whose books are compared: a match needs each of them.
fn parties(comparison: Comparison) -> u8 {
    let of = |party| match party {
        Source::OwnerBook => Party::Owner as u8,
        Source::ServicerBook => Party::Servicer as u8,
        Source::Ledger => 0,
    };
    Place::BOTH.into_iter().map(|place| of(comparison.source(place))).sum()
}

impl Sheet {
    /// Does what a party decides.
    pub(super) fn decide(
        &mut self,
        order: &DecideMatch,
        party: Party,
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) -> Result<(), Reason> {
        let comparison = order.comparison;
        let ids = ids_of(&order.items);
        if parties(comparison) & party as u8 == 0 {
            return Err(Reason::ItemUnknown);
        }
        self.refuse_closed(comparison, &ids)?;
        if !self.has_items(comparison) {
            return Err(Reason::ItemUnknown);
        }
        match order.decision {
            Decision::Confirm => self.confirm(comparison, &ids, party, rules, now),
            Decision::Refuse => self.refuse(comparison, &ids, rules, now),
            Decision::Undo => self.undo(comparison, order, &ids, rules, now),
        }
    }

    fn confirm(
        &mut self,
        comparison: Comparison,
        ids: &[Id],
        party: Party,
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) -> Result<(), Reason> {
        let desk = &self.desks[&comparison];
        let mut sums: BTreeMap<&str, [u128; 4]> = BTreeMap::new();
        for id in ids {
            let item = desk.item(*id).ok_or(Reason::ItemUnknown)?;
            let stands = self.stands.get(&(comparison, *id));
            let matched = stands.is_some_and(|(class, _)| *class == Class::Match);
            if matched || desk.standing(*id) == Some(&Standing::Pinned) {
                return Err(Reason::ItemUnknown);
            }
            let other_side = usize::from(item.side as u8 - 1);
            let of_asset = sums.entry(item.other_asset()).or_default();
            of_asset[2 * (usize::from(id.place as u8) - 1) + other_side] += u128::from(item.amount);
        }
        if !sums.into_values().all(|of_asset| balanced(of_asset, rules)) {
            return Err(Reason::MatchUnbalanced);
        }
        let wanted = parties(comparison);
        let earlier = self.proposal_of(comparison, ids);
        let mut confirmed = party as u8;
        if let Some(number) = earlier
            && let Some(Says::Proposal { confirmed_by, .. }) =
                self.findings.get(&(Class::Proposal, number)).map(|finding| &finding.says)
        {
            confirmed |= confirmed_by;
        }
        if confirmed & wanted == wanted {
            let says = Says::Match { pass: Pass::Confirmed, confirmed: true };
            self.settle(comparison, ids, says, rules, now);
            return Ok(());
        }
        let says = Says::Proposal { pass: Pass::Confirmed, confirmed_by: confirmed };
        match earlier {
            Some(number) => {
                let finding = self.findings.get_mut(&(Class::Proposal, number));
                finding.expect("it was just found").says = says;
                self.touched.findings.insert((Class::Proposal, number));
            }
            None => {
                self.set_aside(comparison, ids);
                self.open(comparison, ids, says, now);
            }
        }
        Ok(())
    }

    /// The open proposal of exactly these items.
    fn proposal_of(&self, comparison: Comparison, ids: &[Id]) -> Option<u64> {
        let items = items_of(ids);
        let mut open = self.proposals_of(comparison, *ids.first()?);
        open.find(|finding| finding.items == items).map(|finding| finding.number)
    }

    /// Runs pass these items by.
    pub(super) fn set_aside(&mut self, comparison: Comparison, ids: &[Id]) {
        let desk = self.desks.get_mut(&comparison).expect("its items were found on it");
        for id in ids {
            desk.set_aside(*id, true);
            self.touched.items.insert((comparison.source(id.place), id.number));
        }
    }

    /// Makes items a match that nothing changes but people.
    pub(super) fn settle(
        &mut self,
        comparison: Comparison,
        ids: &[Id],
        says: Says,
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) -> u64 {
        for id in ids {
            self.close_proposals(comparison, *id, now);
            if let Some(key) = self.stands.get(&(comparison, *id)).copied() {
                self.close(key, now);
            }
        }
        let desk = self.desks.get_mut(&comparison).expect("its items were found on it");
        let changes = desk.pin_all(ids, rules);
        self.take(comparison, changes, now);
        self.open(comparison, ids, says, now)
    }

    fn refuse(
        &mut self,
        comparison: Comparison,
        ids: &[Id],
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) -> Result<(), Reason> {
        let desk = self.desks.get_mut(&comparison).ok_or(Reason::ItemUnknown)?;
        if ids.iter().any(|id| desk.item(*id).is_none()) {
            return Err(Reason::ItemUnknown);
        }
        let mut changes = Vec::new();
        for first in ids.iter().filter(|id| id.place == Place::First) {
            for second in ids.iter().filter(|id| id.place == Place::Second) {
                changes.push(desk.refuse(*first, *second, rules));
                self.touched.refusals.insert((comparison, first.number));
            }
        }
        let first = ids.first().ok_or(Reason::ItemUnknown)?;
        let proposals: Vec<(Class, u64)> = self
            .proposals_of(comparison, *first)
            .filter(|finding| ids.iter().all(|id| finding.has(*id)))
            .map(|finding| (Class::Proposal, finding.number))
            .collect();
        for key in proposals {
            self.release(comparison, key, now);
        }
        for changes in changes {
            self.take(comparison, changes, now);
        }
        Ok(())
    }

    /// Ends what a run or a person proposed; its items are open again.
    fn release(&mut self, comparison: Comparison, key: (Class, u64), now: Moment) {
        let members = ids_of(&self.findings[&key].items);
        self.close(key, now);
        for id in members {
            let desk = self.desks.get_mut(&comparison).expect("a proposal is of a desk");
            desk.set_aside(id, false);
            self.touched.items.insert((comparison.source(id.place), id.number));
            if desk.standing(id) == Some(&Standing::Free) {
                self.wait(comparison, id);
            }
        }
    }

    fn undo(
        &mut self,
        comparison: Comparison,
        order: &DecideMatch,
        ids: &[Id],
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) -> Result<(), Reason> {
        let stands = ids.first().and_then(|id| self.stands.get(&(comparison, *id))).copied();
        let key = stands.filter(|key| key.0 == Class::Match).ok_or(Reason::MatchUnknown)?;
        if self.findings[&key].items != order.items {
            return Err(Reason::MatchUnknown);
        }
        self.close(key, now);
        // First they are kept apart, so that what let them meet does not do so at once again.
        self.refuse(comparison, ids, rules, now)?;
        let desk = self.desks.get_mut(&comparison).expect("a match is of a desk");
        let changes: Vec<_> = ids.iter().map(|id| desk.unpin(*id, rules)).collect();
        for changes in changes {
            self.take(comparison, changes, now);
        }
        for id in ids {
            if self.desks[&comparison].standing(*id) == Some(&Standing::Free) {
                self.wait(comparison, *id);
            }
        }
        Ok(())
    }
}

/// Whether debits and credits of both sides add up to the same in an asset: first debits, first
/// credits, second debits, second credits.
fn balanced(sums: [u128; 4], rules: &matching::terms::Terms<'_>) -> bool {
    let [first_debits, first_credits, second_debits, second_credits] = sums;
    rules.tolerance.covers(first_debits + second_credits, second_debits + first_credits)
}
