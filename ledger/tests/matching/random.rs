//! Items that often meet: few values of everything.

use counterfoil_ledger::{
    bic::Bic,
    block::Side,
    date::Date,
    matching::{
        bucket::Refusals,
        item::{Comparison, EntryFields, Id, Item, Place},
        terms::{Bounds, BusinessDays, Terms, Tolerance},
    },
    uetr::Uetr,
};
use proptest::prelude::*;

/// 2024-01-01, a Monday.
const MONDAY: u32 = 20_240_101;

/// Monday to Friday.
pub struct Weekdays;

impl BusinessDays for Weekdays {
    fn distance(&self, from: Date, to: Date) -> u32 {
        let mut day = Date::from_yyyymmdd(MONDAY).unwrap();
        let (mut weekday, mut count) = (0, 0);
        while day < to {
            day = day.next();
            weekday = (weekday + 1) % 7;
            count += u32::from(day > from && weekday < 5);
        }
        count
    }
}

/// What an entry says; the texts are numbers of a small alphabet, 0 is none.
#[derive(Clone, Debug)]
pub struct Said {
    pub place: Place,
    side: Side,
    amount: u64,
    day: u32,
    uetr: u8,
    texts: [u8; 5],
    counterparty: u8,
    reversal: bool,
    returned: bool,
    exchanged: bool,
    charges: u64,
    other_asset: bool,
}

const TEXTS: [&str; 4] = ["", "A", "B", "C"];

impl Said {
    pub fn item(&self, number: u64) -> Item {
        let text = |index: usize| TEXTS[usize::from(self.texts[index])];
        Item::of_entry(
            number,
            &EntryFields {
                side: self.side,
                amount: self.amount,
                date: Date::from_yyyymmdd(MONDAY + self.day).unwrap(),
                uetr: (self.uetr > 0).then(|| Uetr::from_random([self.uetr; 16])),
                transaction_id: text(0),
                end_to_end_id: text(1),
                instruction_id: text(2),
                entry_reference: text(3),
                group_id: text(4),
                counterparty: match self.counterparty {
                    0 => None,
                    1 => Some(Bic::parse("AAAABB00").unwrap()),
                    _ => Some(Bic::parse("CCCCDD00").unwrap()),
                },
                reversal: self.reversal,
                returned: self.returned,
                exchanged: self.exchanged,
                charges: self.charges,
                other_asset: if self.other_asset { "EUR" } else { "" },
            },
        )
    }
}

/// Mostly none.
fn rarely(values: u8) -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0u8), 2 => 0..=values]
}

fn said() -> impl Strategy<Value = Said> {
    let place = prop_oneof![Just(Place::First), Just(Place::Second)];
    let side = prop_oneof![4 => Just(Side::Credit), 1 => Just(Side::Debit)];
    let amount = prop::sample::select(vec![100, 100, 100, 101, 110, 200, 201, 300]);
    let texts = (rarely(2), rarely(3), rarely(2), rarely(2), rarely(2));
    let flags = (
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
    );
    let charges = prop_oneof![4 => Just(0u64), 1 => Just(10u64)];
    (place, side, amount, 0..6u32, rarely(3), texts, rarely(2), flags, charges).prop_map(
        |(place, side, amount, day, uetr, texts, counterparty, flags, charges)| Said {
            place,
            side,
            amount,
            day,
            uetr,
            texts: texts.into(),
            counterparty,
            reversal: flags.0,
            returned: flags.1,
            exchanged: flags.2,
            charges,
            other_asset: flags.3,
        },
    )
}

/// Items, what a person refused, and terms.
#[derive(Clone, Debug)]
pub struct Scene {
    pub comparison: Comparison,
    pub said: Vec<Said>,
    refused: Vec<(usize, usize)>,
    tolerance: Tolerance,
    window: u32,
    pub bounds: Bounds,
}

impl Scene {
    /// Each with its place in `said` as its number, from 1.
    pub fn items(&self) -> Vec<(Id, Item)> {
        let numbered = (1..).zip(&self.said);
        numbered
            .map(|(number, said)| (Id { place: said.place, number }, said.item(number)))
            .collect()
    }

    pub fn refused_ids(&self) -> Vec<(Id, Id)> {
        let items = self.items();
        let id = |index: usize| items[index % items.len()].0;
        self.refused.iter().map(|(one, two)| (id(*one), id(*two))).collect()
    }

    pub fn refusals(&self) -> Refusals {
        let mut refused = Refusals::default();
        for (one, two) in self.refused_ids() {
            refused.insert(one, two);
        }
        refused
    }

    pub fn terms(&self) -> Terms<'static> {
        let Scene { tolerance, window, bounds, .. } = *self;
        Terms { tolerance, window, days: &Weekdays, bounds }
    }
}

/// Up to a number of items; with `tight`, bounds that are often exceeded.
pub fn scene(items: usize, tight: bool) -> impl Strategy<Value = Scene> {
    let comparison = prop::sample::select(Comparison::ALL.to_vec());
    let bucket = if tight { 1..4usize } else { 64..65 };
    let said = prop::collection::vec(said(), 1..=items);
    let refused = prop::collection::vec((0..items, 0..items), 0..3);
    (comparison, said, refused, 0..2u64, 0..3u32, bucket).prop_map(
        |(comparison, said, refused, absolute, window, bucket)| Scene {
            comparison,
            said,
            refused,
            tolerance: Tolerance { absolute, basis_points: 0, exchange_rounding: 1 },
            window,
            bounds: Bounds { bucket, ..Bounds::RULE_SET_1 },
        },
    )
}

/// A scene, and an order in which its items come.
pub fn shuffled(items: usize, tight: bool) -> impl Strategy<Value = (Scene, Vec<usize>)> {
    scene(items, tight).prop_flat_map(|scene| {
        let order: Vec<usize> = (0..scene.said.len()).collect();
        (Just(scene), Just(order).prop_shuffle())
    })
}
