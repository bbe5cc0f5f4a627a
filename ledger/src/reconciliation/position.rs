//! Positions: what both banks say of an account's day, and whether they may both be right.
//!
//! Each bank signs the view that it computed from its own book. A view is right if it is what the
//! ledger has of that book. When both are right and nothing of the day is open between the sources,
//! the position is agreed.

use super::{
    Governed,
    day::viewed,
    effect::{Effect, Kind},
    finding::{About, Class, Says},
    orders::{SignPosition, View},
    sheet::{Moment, Sheet},
};
use crate::{
    agreement::{Party, Terms},
    block::Position as Place,
    date::Date,
    matching::{
        item::{Comparison, Id, Source},
        pair::Category,
    },
    reason::Reason,
};

/// Items that a break about a position names, of each source.
const NAMED_MAX: usize = 64;

/// What is known of an account's day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayPosition {
    /// The servicer's view and the owner's, each with where it was signed.
    pub views: [Option<(View, Place)>; 2],
    /// Where it became agreed.
    pub agreed_at: Option<Place>,
    /// The break that says that the views differ.
    pub break_number: Option<u64>,
}

impl DayPosition {
    /// A party's view.
    pub fn view(&self, party: Party) -> Option<&(View, Place)> {
        self.views[seat(party)].as_ref()
    }

    pub(super) fn sign(&mut self, party: Party, view: View, at: Place) {
        self.views[seat(party)] = Some((view, at));
    }

    /// Forgets a party's view, which is no longer of what its book says. Whether there was one.
    pub(super) fn outdate(&mut self, party: Party) -> bool {
        self.agreed_at = None;
        self.views[seat(party)].take().is_some()
    }

    /// Whether both have signed.
    pub fn is_signed(&self) -> bool {
        self.views.iter().all(Option::is_some)
    }
}

fn seat(party: Party) -> usize {
    match party {
        Party::Servicer => 0,
        Party::Owner => 1,
    }
}

impl Sheet {
    /// Takes a party's view, if it is right.
    pub(super) fn sign_position(
        &mut self,
        order: &SignPosition,
        party: Party,
        governed: Governed<'_>,
        now: Moment,
    ) -> Result<(), Reason> {
        let source = viewed(party, governed.terms);
        let figures = self.figures(governed.account, source, order.date);
        if figures.view(order.view.opening) != Some(order.view) {
            return Err(Reason::PositionWrong);
        }
        let date = u64::from(order.date.yyyymmdd());
        self.positions.entry(order.date).or_default().sign(party, order.view, now.at);
        self.signed.insert(order.date);
        self.unsettled.insert(order.date);
        self.touched.positions.insert(order.date);
        self.effects.push(Effect::new(Kind::PositionSigned, None, party as u8, date));
        Ok(())
    }

    /// What was signed of a source is no longer so, from a date on: its balances have changed.
    pub(super) fn outdate_positions(&mut self, source: Source, from: Date, terms: &Terms) {
        let dates: Vec<Date> = self.signed.range(from..).copied().collect();
        for date in dates {
            let Some(position) = self.positions.get_mut(&date) else { continue };
            for party in [Party::Servicer, Party::Owner] {
                if viewed(party, terms) == source && position.outdate(party) {
                    let number = u64::from(date.yyyymmdd());
                    let effect = Effect::new(Kind::PositionOutdated, None, party as u8, number);
                    self.effects.push(effect);
                    self.touched.positions.insert(date);
                }
            }
            if position.views.iter().all(Option::is_none) {
                self.signed.remove(&date);
            }
        }
    }

    /// Looks at the positions that both have signed and that something has changed: whether they agree.
    pub(super) fn settle_positions(&mut self, now: Moment) {
        for date in std::mem::take(&mut self.unsettled) {
            let Some(position) = self.positions.get(&date) else { continue };
            if !position.is_signed() || position.agreed_at.is_some() {
                continue;
            }
            let was_broken = position.break_number;
            let differing = self.differing(date);
            let position = self.positions.get_mut(&date).expect("it was just there");
            match (differing, was_broken) {
                (None, broken) => {
                    (position.agreed_at, position.break_number) = (Some(now.at), None);
                    let number = u64::from(date.yyyymmdd());
                    self.effects.push(Effect::new(Kind::PositionAgreed, None, 0, number));
                    if let Some(number) = broken {
                        self.heal(number, now);
                    }
                }
                (Some((comparison, ids)), None) => {
                    let says = Says::Break { category: Category::Position };
                    let number = self.open_about(comparison, &ids, says, now);
                    let found = self.findings.get_mut(&(Class::Break, number));
                    found.expect("it was just opened").about = Some(About::Day(date));
                    let position = self.positions.get_mut(&date).expect("it was just there");
                    position.break_number = Some(number);
                }
                (Some(_), Some(_)) => {}
            }
            self.touched.positions.insert(date);
        }
    }

    /// The first items of a date about which the sources do not agree, and where.
    fn differing(&self, date: Date) -> Option<(Comparison, Vec<Id>)> {
        self.desks.keys().find_map(|comparison| {
            let ids: Vec<Id> = self.unclear.of(*comparison, date).take(NAMED_MAX).collect();
            (!ids.is_empty()).then_some((*comparison, ids))
        })
    }
}
