//! Runs a real year of interbank payments through the core and says what came out
//! (docs/how-to/real-data.md). The only argument, if there is one, is the seed of the planted errors.

use std::{error::Error, process::ExitCode, time::Instant};

use counterfoil_ledger::{asset::format_amount, reconciliation::BreakKind};
use counterfoil_tests::{
    berka::{
        books,
        data::{Data, EXPONENT},
        errors::{self, KINDS},
        names,
        year::{Year, month_range},
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
    let began = Instant::now();
    let data = Data::read(&data::folder("berka")?)?;
    let payments = books::payments(&data);
    let mut books = books::books(&data);
    let instalment_count = books::instalments(&data).len();
    println!("Berka 1993: the bookings of one bank to and from its partners");
    println!("BICs, keys, references and the funding are made up; dates and amounts are real.\n");
    let out: u128 = sum(&data, true);
    let into: u128 = sum(&data, false);
    line("bookings in the file", data.rows, "");
    line("  to or from a bank", payments.len(), &format!("CZK {} out, {} in", czk(out), czk(into)));
    line("standing orders", data.orders.len(), "");
    line("  their payments", instalment_count, "each of them one outgoing booking");

    let planted = errors::plant(&mut books, seed);
    line("errors planted", planted.len(), &format!("of seed {seed}"));
    let read = began.elapsed();

    let year = Year::run(&payments, &books);
    let ran = began.elapsed() - read;
    let blocks = year.chain().state().height();
    let signed = year.chain().instruction_count();
    line(
        "transfers settled",
        year.settled_count(),
        &format!("{} of them funding", year.banks().len()),
    );
    line("instructions signed", signed, &format!("in {blocks} blocks"));
    let (entries, matched) = year.entry_counts();
    line("book entries", entries, &format!("{} statements", year.statement_count()));
    line("  matched", matched, "");
    line("breaks healed", year.healed_count(), "by what came after a statement");

    let found = year.differences();
    println!("\nbreak            planted    found");
    for kind in KINDS {
        let count = |of: &[errors::Difference]| of.iter().filter(|it| it.kind == kind).count();
        println!("{:<14} {:>9} {:>8}", name(kind), count(&planted), count(&found));
    }

    println!("\nbank           balance 1993-12-31, CZK   matched   breaks");
    for bank in year.banks() {
        let report = year.report(bank, month_range(1).0, month_range(12).1);
        let breaks = found.iter().filter(|it| it.bank == *bank).count();
        let balance = format_amount(year.month_end(bank, 12), EXPONENT);
        println!("{bank} {balance:>27} {:>9} {breaks:>8}", report.matched_count);
    }
    let issued = format_amount(year.month_end(&names::agent(), 12), EXPONENT);
    println!("{} {issued:>27}   (what the agent issued)", names::agent());

    let before = began.elapsed();
    let replay = year.chain().replay()?;
    let same = replay.state().header_hash() == year.chain().state().header_hash();
    println!(
        "\n{:.1} s: read and expanded {:.1}, settled and matched {:.1}, replayed {:.1}",
        began.elapsed().as_secs_f64(),
        read.as_secs_f64(),
        ran.as_secs_f64(),
        (began.elapsed() - before).as_secs_f64(),
    );
    if found != planted || !same {
        return Err("what was found is not what was planted, or the replay differs".into());
    }
    println!("Every planted error was found with its kind, and nothing else; a replay agrees.");
    Ok(())
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

fn name(kind: BreakKind) -> &'static str {
    match kind {
        BreakKind::Direction => "direction",
        BreakKind::Amount => "amount",
        BreakKind::Date => "date",
        BreakKind::Duplicate => "duplicate",
        BreakKind::MissingHere => "missing here",
        BreakKind::MissingThere => "missing there",
    }
}
