//! Postings that correct: what the parties transfer to end a break belongs to that break, and waits for no
//! entry of its own in the book that was compared. The book had the right amount, or has agreed to its
//! own: an entry of the correction would move it away again.

use super::{
    effect::{Effect, Kind},
    finding::Class,
    position::unsettle,
    record::NAMED_MAX,
    sheet::{Moment, Sheet},
};
use crate::matching::{
    self,
    desk::Standing,
    item::{Comparison, Id},
};

impl Sheet {
    /// Takes a posting into the break that it corrects, if that is one of this comparison. One for which
    /// the book has an entry already is matched with that, and stays so.
    pub(super) fn correct(
        &mut self,
        (comparison, number): (Comparison, u64),
        id: Id,
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) {
        let key = (Class::Break, number);
        let Some(desk) = self.desks.get_mut(&comparison) else { return };
        let is_free = desk.standing(id) == Some(&Standing::Free);
        let Some(finding) = self.findings.get_mut(&key) else { return };
        let place = usize::from(id.place as u8) - 1;
        // One that names as many as its record does takes no more: the posting stands for itself.
        let is_full = finding.items[place].len() >= NAMED_MAX;
        if !is_free || is_full || finding.comparison != comparison {
            return;
        }
        // The newest of its source, so that the numbers ascend.
        finding.items[place].push(id.number);
        let finding = finding.clone();
        let changes = desk.pin_all(&[id], rules);
        self.take(comparison, changes, now);
        self.stand(&finding);
        self.touched.findings.insert(key);
        if let Some(recorded) = self.items.get(&(comparison.source(id.place), id.number)) {
            self.unclear.remove(comparison, id, &recorded.item);
            unsettle(&mut self.unsettled, recorded.item.date);
        }
        let state = self.works.get(&number).map_or(0, |work| work.state as u8);
        let mut effect = Effect::new(Kind::BreakWorked, Some(comparison), state, number);
        effect.items[place].push(id.number);
        self.effects.push(effect);
    }
}
