//! Matching is a function of sets: random items in random orders, against the rules in their
//! plainest form. `PROPTEST_CASES` raises the number of cases.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "matching/naive.rs"]
mod naive;
#[path = "matching/random.rs"]
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use counterfoil_ledger::matching::{
    assign::{Assignment, assign},
    bucket::{Pair, Refusals},
    desk::{Change, Desk, Standing},
    item::{Id, Item, Place, Strength},
    pair::{self, Defect, Judgement},
    runs::{self, Cursor, Finding, Open},
    terms::Terms,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use random::{Scene, scene, shuffled};

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(512),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn of(items: &[(Id, Item)], place: Place) -> Vec<&Item> {
    items.iter().filter(|(id, _)| id.place == place).map(|(_, item)| item).collect()
}

fn batch(scene: &Scene, items: &[(Id, Item)], refused: &Refusals) -> Assignment {
    let (first, second) = (of(items, Place::First), of(items, Place::Second));
    assign(scene.comparison, &first, &second, refused, &scene.terms())
}

/// What an assignment says of every item.
fn standings(assignment: &Assignment) -> BTreeMap<Id, Standing> {
    let mut all = BTreeMap::new();
    let sides = |pair: &Pair| {
        [
            (Id { place: Place::First, number: pair.first }, pair.second),
            (Id { place: Place::Second, number: pair.second }, pair.first),
        ]
    };
    for pair in assignment.matches.iter().chain(&assignment.breaks) {
        for (id, with) in sides(pair) {
            let paired = Standing::Paired { with, judgement: pair.judgement };
            assert_eq!(all.insert(id, paired), None, "{id:?} is paired twice");
        }
    }
    let mut proposed: BTreeMap<Id, Standing> = BTreeMap::new();
    for pair in &assignment.proposals {
        for (id, other) in sides(pair) {
            let strength = pair.judgement.strength;
            let fresh = Standing::Proposed { strength, with: Vec::new() };
            let Standing::Proposed { with, .. } = proposed.entry(id).or_insert(fresh) else {
                unreachable!()
            };
            with.push(other);
        }
    }
    let free = assignment.free.iter().map(|id| (*id, Standing::Free));
    let duplicates = assignment.duplicates.iter().map(|(id, _)| (*id, Standing::Duplicate));
    for (id, standing) in proposed.into_iter().chain(free).chain(duplicates) {
        assert_eq!(all.insert(id, standing), None, "{id:?} stands in two lists");
    }
    all
}

/// Without the order of proposals, which is that of content.
fn sorted(standing: &Standing) -> Standing {
    let mut standing = standing.clone();
    if let Standing::Proposed { with, .. } = &mut standing {
        with.sort_unstable();
    }
    standing
}

/// A desk, and what its changes say of it.
struct Follower {
    desk: Desk,
    mirror: BTreeMap<Id, Standing>,
}

impl Follower {
    fn new(scene: &Scene) -> Follower {
        Follower { desk: Desk::new(scene.comparison), mirror: BTreeMap::new() }
    }

    fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            assert_eq!(self.mirror.get(&change.id), change.before.as_ref());
            match change.after {
                Some(after) => self.mirror.insert(change.id, after),
                None => self.mirror.remove(&change.id),
            };
        }
        let desk: BTreeMap<Id, Standing> =
            self.desk.standings().map(|(id, standing)| (id, standing.clone())).collect();
        assert_eq!(self.mirror, desk, "the changes do not say what the desk says");
    }

    fn arrive(&mut self, (id, item): &(Id, Item), terms: &Terms<'_>) {
        let changes = self.desk.arrive(id.place, Arc::new(item.clone()), terms);
        self.take(changes);
    }

    /// Goes on with a desk that was made of what this one says.
    fn restore(&mut self, present: &[(Id, Item)]) {
        let items = present.iter().map(|(id, item)| {
            let standing = self.desk.standing(*id).unwrap().clone();
            (id.place, Arc::new(item.clone()), standing, self.desk.is_aside(*id))
        });
        let refused = self.desk.refused().clone();
        self.desk = Desk::restore(self.desk.comparison(), items, refused).unwrap();
    }

    /// Everything as if all had come at once.
    fn check(&self, scene: &Scene, present: &[(Id, Item)]) {
        let assignment = batch(scene, present, self.desk.refused());
        let expected = standings(&assignment);
        let found: BTreeMap<Id, Standing> =
            self.mirror.iter().map(|(id, standing)| (*id, sorted(standing))).collect();
        assert_eq!(found, expected);
        for (id, original) in &assignment.duplicates {
            assert_eq!(self.desk.original(*id), Some(*original));
        }
        for place in Place::BOTH {
            let free = |id: &Id| assignment.free.contains(id);
            let mut open: Vec<&Item> = present
                .iter()
                .filter(|(id, _)| id.place == place && free(id))
                .map(|(_, item)| item)
                .collect();
            open.sort();
            assert_eq!(self.desk.open(place), open);
        }
    }
}

/// What an item says, without its number.
fn content(item: &Item) -> String {
    let mut item = item.clone();
    item.number = 0;
    format!("{item:?}")
}

/// Every item's content with what became of it, again as content.
fn by_content(items: &[(Id, Item)], assignment: &Assignment) -> Vec<String> {
    let text = |place, number| {
        content(&items.iter().find(|(id, _)| *id == Id { place, number }).unwrap().1)
    };
    let pair = |kind: &str, pair: &Pair| {
        let (first, second) = (text(Place::First, pair.first), text(Place::Second, pair.second));
        format!("{kind} {first} {second} {:?}", pair.judgement)
    };
    let mut all: Vec<String> = Vec::new();
    all.extend(assignment.matches.iter().map(|found| pair("match", found)));
    all.extend(assignment.breaks.iter().map(|found| pair("break", found)));
    all.extend(assignment.proposals.iter().map(|found| pair("proposal", found)));
    all.extend(assignment.free.iter().map(|id| format!("free {}", text(id.place, id.number))));
    all.extend(assignment.duplicates.iter().map(|(id, original)| {
        format!("duplicate {} {}", text(id.place, id.number), text(id.place, *original))
    }));
    all.sort();
    all
}

/// All findings of a run in slices of some size; what is found is set aside between them.
fn run_in_slices(scene: &Scene, mut open: [Vec<Item>; 2], steps: u64) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        let [first, second] = open.each_ref().map(|items| items.iter().collect::<Vec<_>>());
        let slice = Open { first: &first, second: &second };
        let (found, next) = runs::run(slice, from, steps, &scene.refusals(), &scene.terms());
        let gone: BTreeSet<Id> = found.iter().flat_map(Finding::items).collect();
        for (place, items) in Place::BOTH.into_iter().zip(&mut open) {
            items.retain(|item| !gone.contains(&Id { place, number: item.number }));
        }
        all.extend(found);
        cursor = next;
    }
    all
}

fn free_items(scene: &Scene, items: &[(Id, Item)]) -> [Vec<Item>; 2] {
    let free = batch(scene, items, &scene.refusals()).free;
    Place::BOTH.map(|place| {
        let all = items.iter().filter(|(id, _)| id.place == place && free.contains(id));
        let mut open: Vec<Item> = all.map(|(_, item)| item.clone()).collect();
        open.sort();
        open
    })
}

/// The random items are worth something: every outcome there is comes up.
#[test]
fn every_outcome_comes_up() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    let scenes = prop_oneof![scene(16, false), scene(16, true), scene(40, true)];
    for _ in 0..1_500 {
        let scene = scenes.new_tree(&mut runner).unwrap().current();
        let items = scene.items();
        let found = batch(&scene, &items, &scene.refusals());
        for pair in found.matches.iter().chain(&found.breaks) {
            let Judgement { defect, strength, category, .. } = pair.judgement;
            seen.extend([format!("{defect:?}"), format!("{strength:?}"), format!("{category:?}")]);
        }
        let lists = [("ambiguous", found.proposals.len()), ("duplicate", found.duplicates.len())];
        let lists = lists.into_iter().filter(|(_, count)| *count > 0);
        seen.extend(lists.map(|(name, _)| name.to_owned()));
        let open = free_items(&scene, &items);
        for finding in run_in_slices(&scene, open, runs::STEPS) {
            let text = format!("{finding:?}");
            let name = text.split(' ').next().unwrap_or_default();
            let place = text.split("place: ").nth(1).and_then(|rest| rest.split(',').next());
            let pass = text.split("pass: ").nth(1).and_then(|rest| rest.split(',').next());
            seen.insert(format!("{name} {}", pass.or(place).unwrap_or_default()));
        }
    }
    let expected = "Amount AmountBeyond Asset Contra First Contra Second ContraProposed First \
        ContraProposed Second Counterparty Date DateAndAmount DateBeyond EndToEndId Group  \
        InstructionId None Side Some(Amount) Some(Charges) Some(Currency) Some(Direction) \
        Some(ExchangeRounding) Some(ValueDate) Some(WrongAccount) Sum First Sum Second TooMany Contra \
        TooMany Unreferenced TransactionId Uetr Unreferenced  ambiguous duplicate";
    assert_eq!(seen.into_iter().collect::<Vec<_>>().join(" "), expected);
}

proptest! {
    #![proptest_config(cases())]

    /// Item by item in any order, after every one of them, and going again: as all at once.
    #[test]
    fn a_desk_says_what_the_whole_set_says(
        (scene, order) in prop_oneof![shuffled(14, false), shuffled(14, true)],
        leaving in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        restored: bool,
    ) {
        let (items, terms) = (scene.items(), scene.terms());
        let mut follower = Follower::new(&scene);
        let mut present = Vec::new();
        for (step, index) in order.iter().enumerate() {
            follower.arrive(&items[*index], &terms);
            present.push(items[*index].clone());
            if restored {
                follower.restore(&present);
            }
            if let Some((one, two)) = scene.refused_ids().get(step / 3) {
                let changes = follower.desk.refuse(*one, *two, &terms);
                follower.take(changes);
            }
            follower.check(&scene, &present);
        }
        for (one, two) in scene.refused_ids() {
            let changes = follower.desk.allow(one, two, &terms);
            follower.take(changes);
            follower.check(&scene, &present);
        }
        for leaving in leaving {
            if present.is_empty() {
                break;
            }
            let (id, _) = present.remove(leaving.index(present.len()));
            let changes = follower.desk.leave(id, &terms);
            follower.take(changes);
            follower.check(&scene, &present);
        }
    }

    /// Who is pinned is gone for keys, but not for duplicates; and comes back as if nothing had been.
    #[test]
    fn pins_are_undone(
        (scene, order) in shuffled(12, true),
        pinned in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let (items, terms) = (scene.items(), scene.terms());
        let mut follower = Follower::new(&scene);
        let pinned: BTreeSet<usize> = pinned.iter().map(|index| index.index(items.len())).collect();
        let ids: Vec<Id> = pinned.iter().map(|index| items[*index].0).collect();
        let (before, after) = order.split_at(order.len() / 2);
        before.iter().for_each(|index| follower.arrive(&items[*index], &terms));
        let changes = follower.desk.pin_all(&ids, &terms);
        follower.take(changes);
        after.iter().for_each(|index| follower.arrive(&items[*index], &terms));
        for id in &ids {
            let came_before = before.iter().any(|index| items[*index].0 == *id);
            let is_pinned = follower.desk.standing(*id) == Some(&Standing::Pinned);
            prop_assert_eq!(is_pinned, came_before);
        }
        for id in ids {
            let changes = follower.desk.unpin(id, &terms);
            follower.take(changes);
        }
        follower.check(&scene, &items);
    }

    /// Numbers, which are given by arrival, decide nothing.
    #[test]
    fn numbers_decide_nothing((scene, order) in prop_oneof![shuffled(14, false), shuffled(14, true)]) {
        let items = scene.items();
        let refused = Refusals::default();
        let renumbered: Vec<(Id, Item)> = order.iter().enumerate().map(|(index, number)| {
            let (id, mut item) = items[index].clone();
            item.number = u64::try_from(*number).unwrap() + 100;
            (Id { number: item.number, ..id }, item)
        }).collect();
        let one = by_content(&items, &batch(&scene, &items, &refused));
        let two = by_content(&renumbered, &batch(&scene, &renumbered, &refused));
        prop_assert_eq!(one, two);
    }

    /// The plainest form of the rules says the same.
    #[test]
    fn the_rules_in_their_plainest_form(scene in scene(16, false)) {
        let (items, refused) = (scene.items(), scene.refusals());
        let found = batch(&scene, &items, &refused);
        let naive = naive::assign(scene.comparison, &items, &refused, &scene.terms());
        let taken: BTreeSet<Pair> = found.matches.iter().chain(&found.breaks).copied().collect();
        prop_assert_eq!(taken, naive.taken);
        prop_assert_eq!(BTreeSet::from_iter(found.proposals), naive.ambiguous);
        prop_assert_eq!(found.duplicates.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), naive.duplicates);
        prop_assert_eq!(BTreeSet::from_iter(found.free), naive.free);
    }

    /// No match with a contradiction, a defect, a refusal, or something better that is free.
    #[test]
    fn matches_are_beyond_doubt(scene in prop_oneof![scene(16, false), scene(16, true)]) {
        let (items, refused, terms) = (scene.items(), scene.refusals(), scene.terms());
        let found = batch(&scene, &items, &refused);
        prop_assert_eq!(standings(&found).len(), items.len(), "each item in exactly one list");
        let item = |place, number| &items.iter().find(|(id, _)| *id == Id { place, number }).unwrap().1;
        for pair in found.matches.iter().chain(&found.breaks) {
            let (first, second) = (item(Place::First, pair.first), item(Place::Second, pair.second));
            let score = pair.judgement.score();
            prop_assert!(!refused.contains_pair(first, second));
            let strength = pair.judgement.strength;
            let keys = |other| (first.key(other), second.key(other));
            let stronger = Strength::ALL.into_iter().take_while(|other| *other < strength);
            let differs = |(one, two): (Option<_>, Option<_>)| one.is_some() && two.is_some() && one != two;
            prop_assert!(keys(strength).0.is_some() && keys(strength).0 == keys(strength).1);
            prop_assert!(!stronger.map(keys).any(differs), "a stronger key contradicts {pair:?}");
            let is_match = pair.judgement.category.is_none();
            prop_assert_eq!(is_match, pair.judgement.defect < Defect::Counterparty);
            prop_assert_eq!(is_match, found.matches.contains(pair));
            if is_match {
                prop_assert_eq!(first.side, second.side);
                prop_assert_eq!(first.other_asset(), second.other_asset());
                prop_assert!(terms.distance(first.date, second.date) <= terms.window);
                prop_assert!(terms.tolerance.covers(first.amount.into(), second.amount.into()));
            }
            if scene.bounds.bucket < 64 {
                continue;
            }
            for id in &found.free {
                let other = item(id.place, id.number);
                let (one, two) = match id.place {
                    Place::First => (other, second),
                    Place::Second => (first, other),
                };
                let Some(strength) = pair::strongest(one, two) else { continue };
                let better = pair::judge(one, two, strength, &terms).score() <= score;
                prop_assert!(!better || refused.contains_pair(one, two), "{id:?} is better for {pair:?}");
            }
        }
    }

    /// However a run is cut, it finds the same; every item at most once; and the same numbers or not.
    #[test]
    fn slices_decide_nothing(scene in prop_oneof![scene(20, false), scene(20, true)], steps in 1..40u64) {
        let items = scene.items();
        let open = free_items(&scene, &items);
        let whole = run_in_slices(&scene, open.clone(), runs::STEPS);
        prop_assert_eq!(&run_in_slices(&scene, open.clone(), 1), &whole);
        prop_assert_eq!(&run_in_slices(&scene, open.clone(), steps), &whole);
        let ids: Vec<Id> = whole.iter().flat_map(Finding::items).collect();
        let once: BTreeSet<Id> = ids.iter().copied().collect();
        prop_assert_eq!(ids.len(), once.len(), "an item in two findings: {:?}", whole);
        for id in once {
            prop_assert!(open.concat().iter().any(|item| item.number == id.number));
        }
    }
}
