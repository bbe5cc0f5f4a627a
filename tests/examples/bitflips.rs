//! A campaign of damage: founds a consortium, lets it work, stops it, and then damages a copy of a
//! node's files again and again, each time in one place. Ends with an error if damage goes unnoticed
//! and changes an answer.
//!
//! cargo run -p counterfoil-tests --example bitflips -- --flips 1000 --seed 1
//!
//! With `--only "state MANIFEST"`, for example, files of one kind alone.

#[path = "../disk/damage.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod damage;
#[path = "../disk/worn.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod worn;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use damage::{Outcome, Random};

/// Trials after which it says how far it is.
const PROGRESS: u64 = 250;

/// What became of the trials of one kind of file.
#[derive(Default)]
struct Count {
    trials: u64,
    detected: u64,
    harmless: u64,
}

fn main() -> ExitCode {
    let (Some(flips), Some(seed)) = (argument("--flips", 1_000), argument("--seed", 1)) else {
        eprintln!("usage: bitflips [--flips NUMBER] [--seed NUMBER]");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let worn = runtime.block_on(worn::node());
    drop(runtime);
    let mut classes = worn.template.classes();
    if let Some(only) = std::env::args().skip_while(|it| it != "--only").nth(1) {
        classes.retain(|class, _| *class == only);
        assert!(!classes.is_empty(), "there are files of this kind");
    }
    let (mut random, began) = (Random(seed), Instant::now());
    let (mut counts, mut wrong) = (BTreeMap::<&str, Count>::new(), 0);
    for number in 0..flips {
        let place = usize::try_from(number).unwrap_or(usize::MAX) % classes.len();
        let (class, files) = classes.iter().nth(place).expect("below their number");
        let trial = worn.template.choose(files, &mut random);
        let outcome = worn.template.run(&trial);
        let count = counts.entry(class).or_default();
        count.trials += 1;
        if (number + 1).is_multiple_of(PROGRESS) {
            eprintln!("{} trials in {} s", number + 1, began.elapsed().as_secs());
        }
        match outcome {
            Outcome::Detected(_) | Outcome::GivenUp => count.detected += 1,
            Outcome::Harmless => count.harmless += 1,
            Outcome::Wrong(how) => {
                wrong += 1;
                println!("WRONG (seed {seed}, number {number}): {trial}: {how}");
            }
        }
    }
    println!("{:<28} {:>8} {:>9} {:>9}", "files", "trials", "detected", "harmless");
    for (class, count) in &counts {
        let Count { trials, detected, harmless } = count;
        println!("{class:<28} {trials:>8} {detected:>9} {harmless:>9}");
    }
    let seconds = began.elapsed().as_secs();
    println!("{flips} trials with seed {seed} in {seconds} s: {wrong} wrong answers or panics");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The number that follows a name, or the default; none if it is no number.
fn argument(name: &str, default: u64) -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match (arguments.next(), arguments.next()) {
        (None, _) => Some(default),
        (Some(_), value) => value?.parse().ok(),
    }
}
