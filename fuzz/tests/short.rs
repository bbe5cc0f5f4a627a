//! The short form of `make fuzz`: every target over its seeds, what was found before, and some
//! thousand changes of them, the same at every run. `FUZZ_MILLISECONDS` gives each target more time,
//! `FUZZ_SEED` other changes, and `FUZZ_TARGET` asks for one alone.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use counterfoil_fuzz::random::Random;
use counterfoil_fuzz::{TARGETS, Target, mutator};

/// Changes that are tried of each target at the least.
const TRIED_MIN: usize = 50;

/// One input may take this long, and the machine may have other things to do.
const SLOW: Duration = Duration::from_secs(10);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Inputs that once broke something.
fn found_before(target: &Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target.name);
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Runs one input; keeps it where it breaks something.
fn run(target: &Target, bytes: &[u8]) {
    let began = Instant::now();
    let outcome = panic::catch_unwind(|| (target.run)(bytes));
    let slow = began.elapsed() > SLOW;
    if let (Ok(()), false) = (&outcome, slow) {
        return;
    }
    let path: PathBuf = std::env::temp_dir().join(format!("fuzz-{}-found", target.name));
    fs::write(&path, bytes).unwrap();
    panic!("{} breaks, slow: {slow}; the input is {}", target.name, path.display());
}

fn check(target: &Target) -> usize {
    let mut inputs = (target.seeds)();
    assert!(!inputs.is_empty(), "{} has no seeds", target.name);
    inputs.extend(found_before(target));
    inputs.iter().for_each(|bytes| run(target, bytes));
    run(target, &[]);
    let mut random = Random::new(number("FUZZ_SEED", 1));
    let end = Instant::now() + Duration::from_millis(number("FUZZ_MILLISECONDS", 500));
    let mut tried = 0;
    while tried < TRIED_MIN || Instant::now() < end {
        run(target, &mutator::mutated(&mut random, &inputs));
        tried += 1;
    }
    tried
}

#[test]
fn nothing_breaks_under_changed_bytes() {
    let only = std::env::var("FUZZ_TARGET").ok();
    for target in TARGETS.iter().filter(|it| only.as_ref().is_none_or(|only| it.name == only)) {
        let began = Instant::now();
        let tried = check(target);
        println!("{:14} {tried:8} inputs in {:5} ms", target.name, began.elapsed().as_millis());
    }
}

#[test]
fn names_of_targets_are_their_own() {
    for (place, target) in TARGETS.iter().enumerate() {
        assert!(TARGETS[..place].iter().all(|other| other.name != target.name));
    }
}
