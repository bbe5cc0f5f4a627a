//! `simulate`: many seeds, each a simulation of its own in a process of its own. Time, disks, network
//! and randomness are simulated; the rest is the node's own code from consensus down.
//!
//! A seed gives the same simulation each time: a failing one is shown again by `--seed`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod campaign;
mod clients;
mod consortium;
mod history;
mod host;
mod nemesis;
mod network;
mod observer;
mod random;
mod trace;
mod unruly;
mod world;

use std::process::ExitCode;

use campaign::Campaign;
use rand::SeedableRng;
use rand::rngs::StdRng;
use world::World;

const USAGE: &str =
    "simulate [--seeds N] [--from SEED] [--seconds SIMULATED] [--jobs N] [--replays]
simulate --seed SEED [--seconds SIMULATED] [--trace]";

fn main() -> ExitCode {
    let mut campaign = Campaign { seeds: 20, from: 1, seconds: 30, jobs: 2, replays: false };
    let (mut seed, mut shows) = (None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|number| number.parse::<u64>().ok());
        let taken = match argument.as_str() {
            "--seeds" => number().map(|number| campaign.seeds = number),
            "--from" => number().map(|number| campaign.from = number),
            "--seconds" => number().map(|number| campaign.seconds = number),
            "--jobs" => number().map(|number| campaign.jobs = number.max(1)),
            "--replays" => {
                campaign.replays = true;
                Some(())
            }
            "--seed" => number().map(|number| seed = Some(number)),
            "--trace" => {
                shows = true;
                Some(())
            }
            _ => None,
        };
        if taken.is_none() {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    match seed {
        Some(seed) => one(seed, campaign.seconds, shows),
        None => campaign.run(),
    }
}

/// One simulation.
fn one(seed: u64, seconds: u64, shows: bool) -> ExitCode {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    let _clocks = mad_turmoil::time::SimClocksGuard::init();
    random::seed(seed);
    trace::show(shows);
    let directory = campaign::directory(seed);
    let mut world = World::new(&directory);
    let ran = world.run(seconds * 1_000);
    drop(world);
    // What is left there is two small files for each process.
    let _ = std::fs::remove_dir_all(&directory);
    let (hash, lines) = trace::hash();
    match ran {
        Ok(report) => {
            println!("{} hash {hash:016x} lines {lines}", campaign::words(&report));
            ExitCode::SUCCESS
        }
        Err(violation) => {
            if !shows {
                trace::last().iter().for_each(|line| eprintln!("{line}"));
            }
            println!("violation hash {hash:016x} lines {lines}: {violation}");
            ExitCode::FAILURE
        }
    }
}
