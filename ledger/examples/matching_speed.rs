//! How fast items find each other, one by one: `cargo run --release -p counterfoil-ledger --example
//! matching_speed [items]`. Debug builds measure nothing.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, sync::Arc, time::Instant};

use counterfoil_ledger::{
    bic::Bic,
    block::Side,
    date::Date,
    matching::{
        assign::assign,
        bucket::Refusals,
        desk::{Desk, Standing},
        item::{Comparison, EntryFields, Item, Place},
        runs::{self, Cursor, Open},
        terms::{Bounds, BusinessDays, Terms, Tolerance},
    },
    uetr::Uetr,
};

/// Every day is one.
struct EveryDay;

impl BusinessDays for EveryDay {
    fn distance(&self, from: Date, to: Date) -> u32 {
        to.yyyymmdd().abs_diff(from.yyyymmdd())
    }
}

/// Numbers that look random; the same each time.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn uetr(number: u64) -> Uetr {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&scatter(number).to_be_bytes());
    bytes[8..].copy_from_slice(&scatter(number ^ 1 << 40).to_be_bytes());
    Uetr::from_random(bytes)
}

/// A posting and the entry of the same payment.
fn payment(number: u64, day: Date) -> [Arc<Item>; 2] {
    let end_to_end_id = format!("E2E-{number:012}");
    let bic = Bic::parse("AAAABB00").unwrap();
    let (side, amount) = (Side::Credit, 1 + scatter(number) % 1_000_000);
    let fields = EntryFields {
        uetr: Some(uetr(number)),
        end_to_end_id: &end_to_end_id,
        entry_reference: &end_to_end_id,
        counterparty: Some(bic),
        ..EntryFields::plain(side, amount, day)
    };
    let posting = Item::of_posting(number, side, amount, day, uetr(number), &end_to_end_id, bic);
    [Arc::new(posting), Arc::new(Item::of_entry(number, &fields))]
}

fn told(what: &str, items: usize, started: Instant) {
    let seconds = started.elapsed();
    let nanoseconds = seconds.as_nanos() / items as u128;
    println!("{what}: {items} items in {} ms, {nanoseconds} ns each", seconds.as_millis());
}

fn main() {
    let payments: u64 = std::env::args().nth(1).map_or(500_000, |count| count.parse().unwrap());
    let day = Date::from_yyyymmdd(20_261_123).unwrap();
    let tolerance = Tolerance::default();
    let terms = Terms { tolerance, window: 2, days: &EveryDay, bounds: Bounds::RULE_SET_1 };
    let all: Vec<[Arc<Item>; 2]> = (1..=payments).map(|number| payment(number, day)).collect();
    let items = all.len() * 2;

    let started = Instant::now();
    let mut desk = Desk::new(Comparison::LedgerOwner);
    for [posting, entry] in &all {
        desk.arrive(Place::First, posting.clone(), &terms);
        desk.arrive(Place::Second, entry.clone(), &terms);
    }
    told("in turn", items, started);
    let paired = |desk: &Desk| {
        desk.standings().all(|(_, standing)| matches!(standing, Standing::Paired { .. }))
    };
    assert!(paired(&desk));
    drop(desk);

    let started = Instant::now();
    let mut desk = Desk::new(Comparison::LedgerOwner);
    for [posting, _] in &all {
        desk.arrive(Place::First, posting.clone(), &terms);
    }
    told("all postings", all.len(), started);
    let open = desk.open(Place::First);
    let started = Instant::now();
    let (found, _) = runs::run(
        Open { first: &open, second: &[] },
        Cursor::START,
        runs::STEPS,
        &Refusals::default(),
        &terms,
    );
    told("a slice of a run over them", open.len(), started);
    black_box(found);
    let started = Instant::now();
    let changes: usize =
        all.iter().map(|[_, entry]| desk.arrive(Place::Second, entry.clone(), &terms).len()).sum();
    told("then all entries", all.len(), started);
    assert_eq!(changes, items);

    let first: Vec<&Item> = all.iter().map(|[posting, _]| &**posting).collect();
    let second: Vec<&Item> = all.iter().map(|[_, entry]| &**entry).collect();
    let started = Instant::now();
    let all = assign(Comparison::LedgerOwner, &first, &second, &Refusals::default(), &terms);
    told("all at once", items, started);
    assert_eq!(all.matches.len() * 2, items);
}
