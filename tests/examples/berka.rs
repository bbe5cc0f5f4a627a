//! Runs a real year of interbank payments through the core, with planted faults, and says what was
//! found (docs/how-to/real-data.md). The only argument, if there is one, is the seed of the faults.

use std::{collections::BTreeMap, error::Error, process::ExitCode, time::Instant};

use counterfoil_ledger::{asset::format_amount, bic::Bic, date::Date, matching::pair::Category};
use counterfoil_tests::{
    berka::{
        books::{self, Payment},
        data::{Data, EXPONENT},
        faults,
        plan::{Mode, Open, Plan},
        year::Year,
    },
    data,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berka: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let seed: u64 = match std::env::args().nth(1) {
        Some(seed) => seed.parse().map_err(|_| format!("{seed:?} is not a seed: give a number"))?,
        None => 1993,
    };
    let data = Data::read(&data::folder("berka")?)?;
    let (payments, books) = (books::payments(&data), books::books(&data));
    println!("Berka 1993: the bookings of one bank to and from its partners");
    println!("BICs, keys, references and the funds are made up; dates and amounts are real.\n");
    line("bookings in the file", data.rows, "");
    let (out, into) = (sum(&data, true), sum(&data, false));
    line("  to or from a bank", payments.len(), &format!("CZK {} out, {} in", czk(out), czk(into)));
    let instalments = books::instalments(&data).len();
    line("payments of orders", instalments, "each of them one outgoing booking");
    let mut wrong = false;
    for mode in [Mode::Settle, Mode::Record] {
        let (plan, planted) = faults::plan(mode, &payments, &books, seed);
        println!();
        line(name(mode), planted, &format!("faults planted, of seed {seed}"));
        wrong |= !year(&plan, &payments)?;
    }
    if wrong {
        return Err("what was found is not what was planted, or the replay differs".into());
    }
    println!("\nEvery fault was found as what it is, and nothing else; every day ended agreed.");
    Ok(())
}

/// Runs a year; whether everything is as it has to be.
fn year(plan: &Plan, payments: &[Payment]) -> Result<bool, Box<dyn Error>> {
    let began = Instant::now();
    let mut funds: BTreeMap<Bic, u64> = BTreeMap::new();
    for payment in payments {
        *funds.entry(payment.partner).or_default() += 2 * payment.amount;
    }
    let year = Year::run(plan, &funds, 0);
    let ran = began.elapsed();
    let (blocks, signed) = (year.chain.state().height(), year.chain.instruction_count());
    line("instructions signed", signed, &format!("in {blocks} blocks"));
    let [matches, proposals, breaks] = year.counts();
    line("book entries", year.item_count(), &format!("{matches} matches, {proposals} proposals"));
    line("breaks", breaks, "those included that a correction opens and ends in one block");

    let expected: BTreeMap<Date, Vec<Open>> = year.dates().map(|at| (at, plan.open(at))).collect();
    let found = year.dates().map(|at| year.evenings.get(&at).cloned().unwrap_or_default());
    let found: BTreeMap<Date, Vec<Open>> = year.dates().zip(found).collect();
    let (expected_counts, found_counts) = (counts(&expected), counts(&found));
    println!("  open on an evening      planted    found");
    for (category, count) in &expected_counts {
        let found = found_counts.get(category).copied().unwrap_or(0);
        println!("  {:<22} {count:>8} {found:>8}", format!("{category:?}"));
    }
    let last = year.dates().last().map(|at| year.disagreed.contains_key(&at));
    let replay = year.chain.replay()?;
    let same = replay.state().header_hash() == year.chain.state().header_hash();
    println!(
        "  {:.1} s, replayed in {:.1} s",
        ran.as_secs_f64(),
        (began.elapsed() - ran).as_secs_f64()
    );
    Ok(found == expected && last == Some(false) && same)
}

/// Breaks by category, each once.
fn counts(evenings: &BTreeMap<Date, Vec<Open>>) -> BTreeMap<Category, usize> {
    let mut counts = BTreeMap::new();
    let mut before: &[Open] = &[];
    for open in evenings.values() {
        for new in open.iter().filter(|it| !before.contains(it)) {
            *counts.entry(new.category).or_default() += 1;
        }
        before = open;
    }
    counts
}

fn sum(data: &Data, outgoing: bool) -> u128 {
    let side = data.bookings.iter().filter(|booking| booking.outgoing == outgoing);
    side.map(|booking| u128::from(booking.amount)).sum()
}

fn czk(hellers: u128) -> String {
    format_amount(i128::try_from(hellers).unwrap_or(i128::MAX), EXPONENT)
}

fn line(what: &str, count: impl std::fmt::Display, more: &str) {
    println!("{what:<22} {count:>8}   {more}");
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Settle => "SETTLE ON THE LEDGER",
        Mode::Record => "RECORD AND MATCH",
    }
}
