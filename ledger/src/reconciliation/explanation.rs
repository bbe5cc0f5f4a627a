//! Why an item stands as it does in a comparison, and why not with another one.

use super::{finding::Finding, rules, sheet::Sheet};
use crate::{
    account::Account,
    agreement::Terms,
    date::Date,
    matching::{
        self, RULE_SET,
        desk::{Desk, Standing},
        explain::{OTHERS_MAX, Other, why_not},
        item::{Comparison, Id, Item},
    },
};

/// How many days before and after an item's value date are looked through for items like it: the
/// longest window of value dates, six weeks of business days, with weekends and holidays.
const DAYS_MAX: u32 = 60;

/// What reconciliation says of an item.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// Version of the rules.
    pub rule_set: u32,
    /// The match or the break that it stands in; none if it has none.
    pub stands_in: Option<&'a Finding>,
    /// Open proposals that name it.
    pub proposals: Vec<&'a Finding>,
    /// When it is missing if it has no counterpart by then, Unix milliseconds; none if it does not
    /// wait.
    pub deadline_ms: Option<u64>,
    /// Of a duplicate: the number of the item that it repeats.
    pub original: Option<u64>,
    /// Other items that came into question, at most 16, and why they were not taken: those that share
    /// a key, and, for an item without a counterpart, those like it that have none either.
    pub others: Vec<Other>,
}

impl Sheet {
    /// Explains an item under terms. None if the item takes no part in the comparison. `account` is the
    /// sheet's own.
    pub fn explain(
        &self,
        account: &Account,
        terms: &Terms,
        comparison: Comparison,
        id: Id,
    ) -> Option<Explanation<'_>> {
        let rules = rules(terms, &account.asset);
        let desk = self.desk(comparison)?;
        let by_keys = desk.explain(id, None, &rules)?;
        let mut others = by_keys.others;
        if by_keys.standing == Standing::Free {
            let item = desk.item(id)?;
            let alike = alike(desk, id, item, &rules).filter_map(|other| {
                let it = (desk.item(other)?, desk.standing(other)?);
                let why = why_not(id.place, (item, &Standing::Free), it, desk.refused(), &rules)?;
                Some(Other { id: other, why })
            });
            let known = others.len();
            for other in alike {
                if others.len() == OTHERS_MAX {
                    break;
                }
                if !others[..known].iter().any(|it| it.id == other.id) {
                    others.push(other);
                }
            }
        }
        Some(Explanation {
            rule_set: RULE_SET,
            stands_in: self.stands_in(comparison, id),
            proposals: self.proposals_of(comparison, id).collect(),
            deadline_ms: self.waits_until(comparison, id),
            original: by_keys.original,
            others,
        })
    }
}

/// Items of the other source without a counterpart that have the same side and amount, and a value date
/// within the window: the nearest date first.
fn alike<'a>(
    desk: &'a Desk,
    id: Id,
    item: &'a Item,
    rules: &'a matching::terms::Terms<'_>,
) -> impl Iterator<Item = Id> + 'a {
    let place = id.place.opposite();
    let day = item.date.day_number();
    let days = (0..=DAYS_MAX).flat_map(move |apart| {
        let later = (apart > 0).then(|| day + apart);
        [day.checked_sub(apart), later].into_iter().flatten()
    });
    let dates = days.map(Date::from_day_number);
    let near = dates.filter(|date| rules.distance(*date, item.date) <= rules.window);
    near.flat_map(move |date| desk.free_alike(place, date, item.side, item.amount))
        .map(move |number| Id { place, number })
}
