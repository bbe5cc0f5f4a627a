//! What the sources of an account do not agree about: items that are neither matched nor part of a break
//! whose end the parties have signed. By value date, with what they come to.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    block::Side,
    date::Date,
    matching::item::{Comparison, Id, Item, Place},
};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unclear {
    items: BTreeSet<(Comparison, Date, Id)>,
    /// How many items a date has, and what they add to the first source's balance minus the second's.
    days: BTreeMap<(Comparison, Date), (u64, i128)>,
}

impl Unclear {
    pub fn insert(&mut self, comparison: Comparison, id: Id, item: &Item) {
        if self.items.insert((comparison, item.date, id)) {
            let (count, sum) = self.days.entry((comparison, item.date)).or_default();
            *count += 1;
            *sum += effect(id.place, item);
        }
    }

    /// Whether it was there.
    pub fn remove(&mut self, comparison: Comparison, id: Id, item: &Item) -> bool {
        let was = self.items.remove(&(comparison, item.date, id));
        if was && let Some((count, sum)) = self.days.get_mut(&(comparison, item.date)) {
            *count -= 1;
            *sum -= effect(id.place, item);
            if *count == 0 {
                self.days.remove(&(comparison, item.date));
            }
        }
        was
    }

    /// The items of a date, the first source's first.
    pub fn of(&self, comparison: Comparison, date: Date) -> impl Iterator<Item = Id> + '_ {
        let of_date = self.items.range((comparison, date, Id::FIRST)..);
        of_date.take_while(move |(at, on, _)| (*at, *on) == (comparison, date)).map(|(.., id)| *id)
    }

    /// The items of a date and of those before it, by date.
    pub fn through(&self, comparison: Comparison, date: Date) -> impl Iterator<Item = Id> + '_ {
        let last = Id { place: Place::Second, number: u64::MAX };
        let first = Date::from_day_number(0);
        let items = self.items.range((comparison, first, Id::FIRST)..=(comparison, date, last));
        items.map(|(.., id)| *id)
    }

    /// For dates that ascend, what the items up to the end of each add to the first source's balance
    /// minus the second's. Takes a step for each date here and there.
    pub fn sums(&self, comparison: Comparison, dates: &[Date]) -> Vec<i128> {
        let first = Date::from_day_number(0);
        let days = self.days.range((comparison, first)..);
        let mut days = days.take_while(|((of, _), _)| *of == comparison).peekable();
        let mut carried = 0;
        let through = |date: &Date| {
            while let Some((_, (_, sum))) = days.next_if(|((_, day), _)| day <= date) {
                carried += sum;
            }
            carried
        };
        dates.iter().map(through).collect()
    }

    /// How many items of a date.
    pub fn count(&self, comparison: Comparison, date: Date) -> u64 {
        self.days.get(&(comparison, date)).map_or(0, |(count, _)| *count)
    }
}

/// What an item adds to the first source's balance minus the second's; nothing if it is of another asset.
pub(super) fn effect(place: Place, item: &Item) -> i128 {
    let amount = i128::from(item.counted());
    if (place == Place::First) == (item.side == Side::Credit) { amount } else { -amount }
}
