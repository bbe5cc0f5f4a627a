//! One comparison as it stands: items come and go one by one, and what belongs together follows.
//! What a desk says is a function of the items that are on it, of the refusals and of the terms,
//! and the same as [`super::assign`] says of them all at once.
//!
//! An item waits in the buckets of its keys down to the one at which it is settled, and in all of
//! them if it is not. A change therefore concerns one bucket, and from there only the weaker
//! buckets of those whom it settles or lets go. Buckets are done in the order of their keys, each
//! once. What stands in a bucket with more items than the bound is passed by, so one arrival looks
//! at a bounded number of items in each bucket that it changes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use super::{
    bucket::{self, Met, Refusals},
    duplicates::Classes,
    item::{Comparison, Id, Item, Key, Place, Source, Strength},
    pair::Judgement,
    terms::Terms,
};
use crate::{block::Side, date::Date};

/// What has become of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet.
    Free,
    /// Goes together with an item of the other source: a match, or a break if the judgement has a
    /// category.
    Paired {
        /// The other item's number.
        with: u64,
        /// How well they go together.
        judgement: Judgement,
    },
    /// A person has to choose.
    Proposed {
        /// The key that it shares with all of them.
        strength: Strength,
        /// Numbers of the other source's items, in intrinsic order.
        with: Vec<u64>,
    },
    /// The book has it twice, and this is not the original.
    Duplicate,
    /// People have decided on it: it is no longer in the game, but what has its name is still a
    /// duplicate.
    Pinned,
}

impl Standing {
    /// The key that settled it.
    fn settled_by(&self) -> Option<Strength> {
        match self {
            Standing::Paired { judgement, .. } => Some(judgement.strength),
            Standing::Proposed { strength, .. } => Some(*strength),
            Standing::Free | Standing::Duplicate | Standing::Pinned => None,
        }
    }
}

/// An item whose standing is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which item.
    pub id: Id,
    /// What it was; none if the item has just come.
    pub before: Option<Standing>,
    /// What it is; none if the item has gone.
    pub after: Option<Standing>,
}

#[derive(Clone, Debug)]
struct Held {
    item: Arc<Item>,
    standing: Standing,
    /// A run has found something about it, and runs pass it by.
    aside: bool,
}

/// A free item's place in the order of runs: date, side, amount, number.
type Free = (Date, Side, u64, u64);

/// The items of one comparison of one account.
#[derive(Clone, Debug)]
pub struct Desk {
    comparison: Comparison,
    items: BTreeMap<Id, Held>,
    buckets: BTreeSet<(Key, Id)>,
    classes: [Classes; 2],
    refused: Refusals,
    free: [BTreeSet<Free>; 2],
    work: Work,
}

/// What is under way during one change; kept for its memory.
#[derive(Clone, Debug, Default)]
struct Work {
    /// Buckets to be done, with who is new in them; the strongest key first.
    dirty: BinaryHeap<Reverse<(Key, Option<Id>)>>,
    /// What items were before.
    before: Vec<(Id, Option<Standing>)>,
    met: Met,
}

impl Desk {
    /// A desk without items.
    pub fn new(comparison: Comparison) -> Desk {
        Desk {
            comparison,
            items: BTreeMap::new(),
            buckets: BTreeSet::new(),
            classes: Default::default(),
            refused: Refusals::default(),
            free: Default::default(),
            work: Work::default(),
        }
    }

    /// A desk as it was: its items, what had become of them, which were set aside, and what was
    /// refused. None if a pair or a proposal is not mutual, or by a key that an item does not have.
    pub fn restore(
        comparison: Comparison,
        items: impl IntoIterator<Item = (Place, Arc<Item>, Standing, bool)>,
        refused: Refusals,
    ) -> Option<Desk> {
        let mut desk = Desk { refused, ..Desk::new(comparison) };
        for (place, item, standing, aside) in items {
            let id = Id { place, number: item.number };
            desk.enter_classes(id, &item);
            let last = standing.settled_by().unwrap_or(Strength::InstructionId);
            if !matches!(standing, Standing::Duplicate | Standing::Pinned) {
                let waits = keys(&item).take_while(|key| key.strength() <= last);
                desk.buckets.extend(waits.map(|key| (key, id)));
            }
            let held = Held { item, standing, aside };
            if desk.items.insert(id, held).is_some() {
                return None;
            }
            desk.set_free(id);
        }
        desk.is_mutual().then_some(desk)
    }

    /// Whether everything that is settled is so on both sides.
    fn is_mutual(&self) -> bool {
        self.items.iter().all(|(id, held)| {
            let place = id.place.opposite();
            let back = |number: u64| self.standing(Id { place, number });
            let has_key = |strength| held.item.key(strength).is_some();
            match &held.standing {
                Standing::Paired { with, judgement } => {
                    let (with_it, judgement) = (id.number, *judgement);
                    let mutual = Standing::Paired { with: with_it, judgement };
                    has_key(judgement.strength) && back(*with) == Some(&mutual)
                }
                Standing::Proposed { strength, with } => {
                    let names_it = |number: &u64| match back(*number) {
                        Some(Standing::Proposed { strength: other, with }) => {
                            other == strength && with.contains(&id.number)
                        }
                        _ => false,
                    };
                    has_key(*strength) && !with.is_empty() && with.iter().all(names_it)
                }
                Standing::Free | Standing::Duplicate | Standing::Pinned => true,
            }
        })
    }

    /// What is compared.
    pub fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// An item.
    pub fn item(&self, id: Id) -> Option<&Item> {
        self.items.get(&id).map(|held| &*held.item)
    }

    /// What has become of an item.
    pub fn standing(&self, id: Id) -> Option<&Standing> {
        self.items.get(&id).map(|held| &held.standing)
    }

    /// All items with what has become of them.
    pub fn standings(&self) -> impl Iterator<Item = (Id, &Standing)> {
        self.items.iter().map(|(id, held)| (*id, &held.standing))
    }

    /// What a person said does not belong together.
    pub fn refused(&self) -> &Refusals {
        &self.refused
    }

    /// The original of a duplicate.
    pub fn original(&self, id: Id) -> Option<u64> {
        self.classes[index(id.place)].original(self.item(id)?)
    }

    /// Puts an item on the desk. One with a number that is there already changes nothing.
    pub fn arrive(&mut self, place: Place, item: Arc<Item>, terms: &Terms<'_>) -> Vec<Change> {
        let id = Id { place, number: item.number };
        if self.items.contains_key(&id) {
            return Vec::new();
        }
        self.work.before.push((id, None));
        let displaced = self.enter_classes(id, &item);
        self.items.insert(id, Held { item, standing: Standing::Free, aside: false });
        for number in displaced {
            self.judge_duplicate(Id { place, number });
        }
        self.judge_duplicate(id);
        self.finish(terms)
    }

    /// Takes an item from the desk, as if it had never come.
    pub fn leave(&mut self, id: Id, terms: &Terms<'_>) -> Vec<Change> {
        let Some(held) = self.items.get(&id) else { return Vec::new() };
        let item = held.item.clone();
        self.set(id, Standing::Pinned);
        self.withdraw(id, None);
        let items = &self.items;
        let item_of = |number| Some(&*items.get(&Id { place: id.place, number })?.item);
        let promoted = self.classes[index(id.place)].remove(&item, item_of);
        self.free[index(id.place)].remove(&free_place(&item));
        self.items.remove(&id);
        for number in promoted {
            self.judge_duplicate(Id { place: id.place, number });
        }
        self.finish(terms)
    }

    /// Forgets an item that is settled, and what was refused of it. Nothing else changes, if the items
    /// that it is settled with are forgotten, too, and those that are the same. Whether anything was
    /// refused.
    pub fn forget(&mut self, id: Id) -> bool {
        let Some(held) = self.items.get(&id) else { return false };
        let item = held.item.clone();
        for key in keys(&item) {
            self.buckets.remove(&(key, id));
        }
        let items = &self.items;
        let item_of = |number| Some(&*items.get(&Id { place: id.place, number })?.item);
        self.classes[index(id.place)].remove(&item, item_of);
        self.free[index(id.place)].remove(&free_place(&item));
        self.items.remove(&id);
        id.place == Place::First && self.refused.forget(id.number)
    }

    /// Items of its book that are the same as an item, that one included; none of the ledger.
    pub fn same(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let item = self.item(id).into_iter();
        let numbers = item.flat_map(move |item| self.classes[index(id.place)].members(item));
        numbers.map(move |number| Id { place: id.place, number })
    }

    /// Takes items out of the game because people decided on them.
    pub fn pin_all(&mut self, ids: &[Id], terms: &Terms<'_>) -> Vec<Change> {
        for id in ids {
            self.set(*id, Standing::Pinned);
            self.withdraw(*id, None);
        }
        self.finish(terms)
    }

    /// Puts an item back into the game because the decision was undone.
    pub fn unpin(&mut self, id: Id, terms: &Terms<'_>) -> Vec<Change> {
        if self.standing(id) == Some(&Standing::Pinned) {
            self.set(id, Standing::Free);
            self.judge_duplicate(id);
        }
        self.finish(terms)
    }

    /// Keeps two items apart from now on.
    pub fn refuse(&mut self, one: Id, two: Id, terms: &Terms<'_>) -> Vec<Change> {
        self.refused.insert(one, two);
        self.look_again(one);
        self.finish(terms)
    }

    /// Lets two items meet again.
    pub fn allow(&mut self, one: Id, two: Id, terms: &Terms<'_>) -> Vec<Change> {
        self.refused.remove(one, two);
        self.look_again(one);
        self.finish(terms)
    }

    /// Marks that a run has found something about an item, or that this no longer holds. Runs
    /// pass marked items by; keys do not, and where a key settles one of them, what the run found
    /// is to be undone.
    pub fn set_aside(&mut self, id: Id, aside: bool) {
        if let Some(held) = self.items.get_mut(&id) {
            held.aside = aside;
        }
    }

    /// Whether an item is set aside.
    pub fn is_aside(&self, id: Id) -> bool {
        self.items.get(&id).is_some_and(|held| held.aside)
    }

    /// Numbers of a source's free items, set aside or not, with value dates from one to another,
    /// both included, by date.
    pub fn free_between(
        &self,
        place: Place,
        from: Date,
        to: Date,
    ) -> impl Iterator<Item = u64> + use<'_> {
        let free = self.free[index(place)].range((from, Side::Debit, 0, 0)..);
        free.take_while(move |(date, ..)| *date <= to).map(|(.., number)| *number)
    }

    /// Numbers of a source's free items, set aside or not, of one value date, side and amount.
    pub fn free_alike(
        &self,
        place: Place,
        date: Date,
        side: Side,
        amount: u64,
    ) -> impl Iterator<Item = u64> + use<'_> {
        let alike = (date, side, amount, 0)..=(date, side, amount, u64::MAX);
        self.free[index(place)].range(alike).map(|(.., number)| *number)
    }

    /// What runs compare: items that are free and not set aside, in intrinsic order.
    pub fn open(&self, place: Place) -> Vec<&Item> {
        let free = self.free[index(place)].iter();
        let held = free.filter_map(|(.., number)| self.items.get(&Id { place, number: *number }));
        let mut items: Vec<&Item> =
            held.filter(|held| !held.aside).map(|held| &*held.item).collect();
        // Nearly sorted: only items of one date, side and amount may be out of order.
        items.sort();
        items
    }

    /// Up to `count` items of the other source that are in a bucket with this one, with what has
    /// become of them.
    pub fn neighbours(&self, id: Id, count: usize) -> Vec<(&Item, &Standing)> {
        let mut found: BTreeMap<Id, (&Item, &Standing)> = BTreeMap::new();
        let keys = self.item(id).into_iter().flat_map(keys);
        for (_, other) in keys.flat_map(|key| self.bucket(key, id.place.opposite()).take(count)) {
            if found.len() == count {
                break;
            }
            if let Some(held) = self.items.get(other) {
                found.insert(*other, (&held.item, &held.standing));
            }
        }
        found.into_values().collect()
    }

    /// Adds an item of a book to its classes; says whom it displaces.
    fn enter_classes(&mut self, id: Id, item: &Item) -> Vec<u64> {
        if self.comparison.source(id.place) == Source::Ledger {
            return Vec::new();
        }
        let items = &self.items;
        let item_of = |number| Some(&*items.get(&Id { place: id.place, number })?.item);
        self.classes[index(id.place)].insert(item, item_of)
    }

    /// Puts an item into the game or takes it out, as it is an original or a duplicate.
    fn judge_duplicate(&mut self, id: Id) {
        let duplicate = self.original(id).is_some();
        match self.standing(id) {
            None | Some(Standing::Pinned) => {}
            Some(Standing::Duplicate) if duplicate => {}
            Some(_) if duplicate => {
                self.set(id, Standing::Duplicate);
                self.withdraw(id, None);
            }
            Some(Standing::Duplicate) => {
                self.set(id, Standing::Free);
                self.enter(id, None);
            }
            Some(_) => self.enter(id, None),
        }
    }

    /// Items of a source in a bucket, by number.
    fn bucket(&self, key: Key, place: Place) -> impl Iterator<Item = &(Key, Id)> {
        let id = |number| (key, Id { place, number });
        self.buckets.range(id(0)..=id(u64::MAX))
    }

    /// Puts an item into the bucket of its strongest key, or of the next one after a key.
    fn enter(&mut self, id: Id, after: Option<Strength>) {
        let Some(held) = self.items.get(&id) else { return };
        let next = keys(&held.item).find(|key| Some(key.strength()) > after);
        if let Some(key) = next
            && self.buckets.insert((key, id))
        {
            self.work.dirty.push(Reverse((key, Some(id))));
        }
    }

    /// Takes an item out of all its buckets, or out of those after a key.
    fn withdraw(&mut self, id: Id, after: Option<Strength>) {
        let Some(held) = self.items.get(&id) else { return };
        for key in keys(&held.item).filter(|key| Some(key.strength()) > after) {
            if self.buckets.remove(&(key, id)) {
                self.work.dirty.push(Reverse((key, None)));
            }
        }
    }

    /// Has the buckets of an item done again.
    fn look_again(&mut self, id: Id) {
        let Some(held) = self.items.get(&id) else { return };
        for key in keys(&held.item) {
            self.work.dirty.push(Reverse((key, None)));
        }
    }

    fn set(&mut self, id: Id, standing: Standing) {
        let Some(held) = self.items.get_mut(&id) else { return };
        if held.standing != standing {
            let before = std::mem::replace(&mut held.standing, standing);
            self.work.before.push((id, Some(before)));
        }
    }

    /// Keeps the list of free items right; says what the item is.
    fn set_free(&mut self, id: Id) -> Option<Standing> {
        let Held { item, standing, .. } = self.items.get(&id)?;
        let place = free_place(item);
        if *standing == Standing::Free {
            self.free[index(id.place)].insert(place);
        } else {
            self.free[index(id.place)].remove(&place);
        }
        Some(standing.clone())
    }

    /// Does all buckets that wait, and says what has changed.
    fn finish(&mut self, terms: &Terms<'_>) -> Vec<Change> {
        let mut newcomers = Vec::new();
        while let Some(Reverse((key, newcomer))) = self.work.dirty.pop() {
            newcomers.clear();
            newcomers.extend(newcomer);
            let mut entries = 1;
            while let Some(Reverse((next, newcomer))) = self.work.dirty.peek()
                && *next == key
            {
                newcomers.extend(*newcomer);
                entries += 1;
                self.work.dirty.pop();
            }
            self.one_bucket(key, &newcomers, entries > newcomers.len(), terms);
        }
        let mut before = std::mem::take(&mut self.work.before);
        // Stable: what an item was at first stays.
        before.sort_by_key(|(id, _)| *id);
        before.dedup_by_key(|(id, _)| *id);
        let mut changes = Vec::new();
        for (id, before) in before.drain(..) {
            let after = self.set_free(id);
            if before != after {
                changes.push(Change { id, before, after });
            }
        }
        self.work.before = before;
        changes
    }

    /// Lets a bucket meet anew. `again`: there is more to see to than newcomers.
    fn one_bucket(&mut self, key: Key, newcomers: &[Id], again: bool, terms: &Terms<'_>) {
        let strength = key.strength();
        // Before the newcomers came there were at most as many as the bound, or nobody was settled.
        let most = terms.bounds.bucket + newcomers.len();
        let [first, second] = Place::BOTH.map(|place| -> Vec<Id> {
            self.bucket(key, place).map(|(_, id)| *id).take(most + 1).collect()
        });
        let largest = first.len().max(second.len());
        let one_sided = first.is_empty() || second.is_empty();
        if largest > most || one_sided && !again {
            newcomers.iter().for_each(|id| self.enter(*id, Some(strength)));
            return;
        }
        let mut met = std::mem::take(&mut self.work.met);
        met.clear();
        if largest <= terms.bounds.bucket && !one_sided {
            let items =
                |ids: &[Id]| -> Vec<&Item> { ids.iter().filter_map(|id| self.item(*id)).collect() };
            let (mut first, mut second) = (items(&first), items(&second));
            bucket::meet(strength, &mut first, &mut second, &self.refused, terms, &mut met);
        }
        let mut settled = outcomes(&met, strength);
        self.work.met = met;
        for id in first.into_iter().chain(second) {
            let found = settled.iter_mut().find(|(other, _)| *other == id);
            if let Some((_, standing)) = found {
                self.set(id, std::mem::replace(standing, Standing::Free));
                self.withdraw(id, Some(strength));
                continue;
            }
            let was_settled_here =
                self.standing(id).and_then(Standing::settled_by) == Some(strength);
            if was_settled_here {
                self.set(id, Standing::Free);
            }
            if was_settled_here || newcomers.binary_search(&id).is_ok() {
                self.enter(id, Some(strength));
            }
        }
    }
}

fn index(place: Place) -> usize {
    match place {
        Place::First => 0,
        Place::Second => 1,
    }
}

fn free_place(item: &Item) -> Free {
    (item.date, item.side, item.amount, item.number)
}

fn keys(item: &Item) -> impl Iterator<Item = Key> {
    Strength::ALL.into_iter().filter_map(|strength| item.key(strength))
}

/// What a bucket says of its items.
fn outcomes(met: &Met, strength: Strength) -> Vec<(Id, Standing)> {
    let both = |first, second| {
        [(Place::First, first, second), (Place::Second, second, first)]
            .map(|(place, number, with)| (Id { place, number }, with))
    };
    let mut settled = Vec::with_capacity(2 * met.taken.len());
    for pair in &met.taken {
        let judgement = pair.judgement;
        let both = both(pair.first, pair.second);
        settled.extend(both.map(|(id, with)| (id, Standing::Paired { with, judgement })));
    }
    let mut proposed: BTreeMap<Id, Vec<u64>> = BTreeMap::new();
    for pair in &met.ambiguous {
        for (id, with) in both(pair.first, pair.second) {
            proposed.entry(id).or_default().push(with);
        }
    }
    let proposed = proposed.into_iter();
    settled.extend(proposed.map(|(id, with)| (id, Standing::Proposed { strength, with })));
    settled
}

#[cfg(test)]
mod tests;
