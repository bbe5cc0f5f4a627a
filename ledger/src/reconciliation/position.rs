//! Positions: what both banks say of an account's day, and whether they may both be right.
//!
//! Each bank signs the view that it computed from its own book. A view is right if it is what the
//! ledger has of that book. When both are right, the position is agreed if
//!
//! - nothing of the day is open between the sources;
//! - what is open of earlier days comes to nothing, so that no difference is carried into the day;
//! - and the two books began with the same balance, or with the difference that the parties accepted
//!   when they ended the break about this day or an earlier one.
//!
//! The two closing balances are then equal, or differ by exactly what was accepted: the differences
//! within the tolerance and the window of matches, and those of breaks that the parties have ended.

use super::{
    Governed,
    day::viewed,
    effect::{Effect, Kind},
    finding::{About, Class, Says},
    orders::{SignPosition, View},
    sheet::{Moment, Sheet, comparisons},
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

/// Items that a break about a position names.
const NAMED_MAX: usize = 64;

const PARTIES: [Party; 2] = [Party::Servicer, Party::Owner];

/// What is known of an account's day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayPosition {
    /// The servicer's view and the owner's, each with where it was signed.
    pub views: [Option<(View, Place)>; 2],
    /// Where it became agreed.
    pub agreed_at: Option<Place>,
    /// The break that says that the views differ; it stays when the parties have ended it.
    pub break_number: Option<u64>,
    /// What the agreement compares by which the last view was signed.
    pub(super) compared: Vec<Comparison>,
    /// What the balances of the two views come to before anything that was recorded.
    pub(super) bases: [i128; 2],
    /// By how much the servicer's was more than the owner's when the break was found.
    pub(super) difference: i128,
}

impl DayPosition {
    /// A party's view.
    pub fn view(&self, party: Party) -> Option<&(View, Place)> {
        self.views[seat(party)].as_ref()
    }

    fn sign(&mut self, party: Party, view: View, base: i128, at: Place) {
        let before = self.views[seat(party)].replace((view, at));
        if before.is_none_or(|(before, _)| before != view) {
            // What was agreed was something else.
            self.agreed_at = None;
        }
        self.bases[seat(party)] = base;
    }

    /// By how much the servicer's balance was more than the owner's before anything was recorded.
    fn base_difference(&self) -> i128 {
        self.bases[seat(Party::Servicer)] - self.bases[seat(Party::Owner)]
    }

    /// Forgets a party's view, which is no longer of what its book says. Whether there was one.
    pub(super) fn outdate(&mut self, party: Party) -> bool {
        let was = self.views[seat(party)].take().is_some();
        if was {
            self.agreed_at = None;
            self.bases[seat(party)] = 0;
        }
        was
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
        let before = self.book(source).map_or(0, |book| book.movement_before(order.date));
        let base = i128::from(order.view.opening) - before;
        let position = self.positions.entry(order.date).or_default();
        position.sign(party, order.view, base, now.at);
        position.compared = comparisons(governed.terms).collect();
        if position.is_signed() && position.agreed_at.is_none() {
            self.undecided.insert(order.date);
            unsettle(&mut self.unsettled, order.date);
        }
        self.signed.insert((party, order.date));
        self.touched.positions.insert(order.date);
        self.effects.push(Effect::new(Kind::PositionSigned, None, party as u8, date));
        Ok(())
    }

    /// What was signed of a source is no longer so, from a date on: its balances have changed. Every
    /// signature is outdated once, so that this costs no more than signing did.
    pub(super) fn outdate_positions(&mut self, source: Source, from: Date, terms: &Terms) {
        for party in PARTIES.into_iter().filter(|party| viewed(*party, terms) == source) {
            let dates: Vec<Date> = self.signed_from(party, from).collect();
            dates.into_iter().for_each(|date| self.outdate(party, date));
        }
    }

    /// A new statement may tell another balance than what was signed from its first day on. What goes
    /// back to the same beginning as the statement is right.
    pub(super) fn outdate_openings(
        &mut self,
        source: Source,
        (from, beginning): (Date, i128),
        terms: &Terms,
    ) {
        let Some(book) = self.books.get(&source) else { return };
        let mut outdated = Vec::new();
        for party in PARTIES.into_iter().filter(|party| viewed(*party, terms) == source) {
            let is_other = |date: &Date| {
                let position = &self.positions[date];
                position.bases[seat(party)] != beginning
                    && position.view(party).is_some_and(|(view, _)| {
                        book.opening(*date).is_some_and(|told| told != view.opening.into())
                    })
            };
            let others = self.signed_from(party, from).filter(is_other);
            outdated.extend(others.map(|date| (party, date)));
        }
        outdated.into_iter().for_each(|(party, date)| self.outdate(party, date));
    }

    fn signed_from(&self, party: Party, from: Date) -> impl Iterator<Item = Date> + '_ {
        let last = Date::from_day_number(Date::LAST_DAY);
        self.signed.range((party, from)..=(party, last)).map(|(_, date)| *date)
    }

    fn outdate(&mut self, party: Party, date: Date) {
        let Some(position) = self.positions.get_mut(&date) else { return };
        if position.outdate(party) {
            let number = u64::from(date.yyyymmdd());
            let effect = Effect::new(Kind::PositionOutdated, None, party as u8, number);
            self.effects.push(effect);
            self.undecided.remove(&date);
            self.touched.positions.insert(date);
        }
        self.signed.remove(&(party, date));
    }

    /// The parties have ended the break about a day, or opened it again: until a later day's, the
    /// difference that it was found with is accepted, or no longer so.
    pub(super) fn accept_difference(&mut self, number: u64, date: Date) {
        let Some(position) = self.positions.get(&date) else { return };
        if position.break_number != Some(number) {
            return;
        }
        if self.open.contains(&(Class::Break, number)) {
            self.accepted.remove(&date);
        } else {
            self.accepted.insert(date, position.difference);
        }
        unsettle(&mut self.unsettled, date);
    }

    /// Looks at the positions that both have signed and that something may have changed: whether they
    /// are agreed.
    pub(super) fn settle_positions(&mut self, now: Moment) {
        let Some(from) = self.unsettled.take() else { return };
        let dates: Vec<Date> = self.undecided.range(from..).copied().collect();
        let carried = Comparison::ALL.map(|it| (it, self.unclear.sums(it, &dates)));
        for (place, date) in dates.into_iter().enumerate() {
            let compared = &self.positions[&date].compared;
            let of_date = carried.iter().filter(|(comparison, _)| compared.contains(comparison));
            // The servicer's balance less the owner's: the ledger stands for the one whose book is not
            // compared, and where both are, it stands between them.
            let carried = of_date.map(|(comparison, sums)| match comparison {
                Comparison::LedgerOwner => sums[place],
                Comparison::LedgerServicer | Comparison::OwnerServicer => -sums[place],
            });
            let carried = carried.sum();
            self.settle_position(date, carried, now);
        }
    }

    /// `carried` is by how much the servicer's balance is more because of what is open up to the day.
    fn settle_position(&mut self, date: Date, carried: i128, now: Moment) {
        let position = &self.positions[&date];
        let (broken, difference) = (position.break_number, position.base_difference());
        let accepted = self.accepted.range(..=date).next_back().map_or(0, |(_, it)| *it);
        let is_open_of = |comparison: &Comparison| self.unclear.count(*comparison, date) > 0;
        let is_clear = !position.compared.iter().any(is_open_of);
        let agreed = is_clear && carried == 0 && difference == accepted;
        let is_open = broken.is_some_and(|number| self.open.contains(&(Class::Break, number)));
        // What is named already, or was accepted as it is, is not named again.
        if !agreed && (is_open || broken.is_some() && difference == position.difference) {
            return;
        }
        if agreed {
            self.undecided.remove(&date);
            let number = u64::from(date.yyyymmdd());
            self.effects.push(Effect::new(Kind::PositionAgreed, None, 0, number));
            if let Some(number) = broken {
                self.heal(number, now);
            }
            let position = self.positions.get_mut(&date).expect("both have signed it");
            position.agreed_at = Some(now.at);
            position.break_number = broken.filter(|_| !is_open);
            self.ask_to_close(now);
        } else {
            self.accepted.remove(&date);
            let number = self.open_about_day(date, now);
            let position = self.positions.get_mut(&date).expect("both have signed it");
            (position.break_number, position.difference) = (number, difference);
        }
        self.touched.positions.insert(date);
    }

    /// Opens the break about a day: it names the first of what is open of the day, or else of what is
    /// open of the days before; where nothing is, the balances began with a difference.
    fn open_about_day(&mut self, date: Date, now: Moment) -> Option<u64> {
        let named = |comparison: &Comparison| {
            let of_day: Vec<Id> = self.unclear.of(*comparison, date).take(NAMED_MAX).collect();
            let before = || self.unclear.through(*comparison, date).take(NAMED_MAX).collect();
            if of_day.is_empty() { (*comparison, before()) } else { (*comparison, of_day) }
        };
        let compared = self.positions[&date].compared.iter();
        let named: Vec<(Comparison, Vec<Id>)> = compared.map(named).collect();
        let (comparison, ids) =
            named.iter().find(|(_, ids)| !ids.is_empty()).or_else(|| named.first())?;
        let says = Says::Break { category: Category::Position };
        let number = self.open_about(*comparison, ids, says, now);
        let found = self.findings.get_mut(&(Class::Break, number));
        found.expect("it was just opened").about = Some(About::Day(date));
        Some(number)
    }
}

/// Has the positions from a date on looked at when the leaf is done.
pub(super) fn unsettle(unsettled: &mut Option<Date>, date: Date) {
    *unsettled = Some(unsettled.map_or(date, |earlier| earlier.min(date)));
}
