//! Power cuts: nodes lose everything that they had not synced, one, some or all at once, while banks
//! work, and the checker of histories finds nothing. Without arguments a few cuts; with `--budget` as
//! many as there is time for (`make powercut`). Needs the right to mount.

use std::time::Instant;

use counterfoil_tests::chaos::campaign::Summary;
use counterfoil_tests::chaos::disk::loses_what_was_not_synced;
use counterfoil_tests::chaos::ground::{self, Arguments};
use counterfoil_tests::chaos::powercut::round;
use counterfoil_tests::chaos::votes;

const NAME: &str = "nothing_is_lost_in_power_cuts";

/// Cuts of the short form.
const SHORT: usize = 3;

/// Cuts of a round of the long form.
const LONG: usize = 15;

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("powercut: {problem}");
            return 2.into();
        }
    };
    if arguments.list {
        println!("{NAME}: test");
        return 0.into();
    }
    if !arguments.wants(NAME) {
        return 0.into();
    }
    if !ground::is_inside() {
        if let Some(why) = ground::why_not("ip link set lo up") {
            return skipped(&arguments, &why);
        }
        return ground::enter().unwrap_or_else(|problem| {
            eprintln!("powercut: {problem}");
            std::process::ExitCode::FAILURE
        });
    }
    let directory = tempfile::tempdir().expect("a directory can be made");
    if let Err(problem) = loses_what_was_not_synced(directory.path()) {
        return skipped(&arguments, &problem);
    }
    println!("a copy of a mounted image has what was synced, and not what was not");
    if let Err(problem) = votes::survive(directory.path()) {
        println!("violations  1\n  votes: {problem}");
        return 1.into();
    }
    println!("a vote outlives a cut");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(run(&arguments))
}

/// A campaign that was asked for must not pass for one that was run.
fn skipped(arguments: &Arguments, why: &str) -> std::process::ExitCode {
    println!("{NAME} is skipped: no disk's power can be cut here, which needs root: {why}");
    u8::from(arguments.budget.is_some()).into()
}

async fn run(arguments: &Arguments) -> std::process::ExitCode {
    let begun = Instant::now();
    let cuts = if arguments.budget.is_some() { LONG } else { SHORT };
    let mut summary = Summary::default();
    let mut ends = None;
    for seed in arguments.first_seed().. {
        println!("round of seed {seed}: {cuts} cuts");
        tokio::select! {
            report = round(seed, cuts) => match report {
                Ok(report) => summary.add("powercut", &report),
                Err(problem) => {
                    eprintln!("powercut: {problem}");
                    ends = Some(1);
                }
            },
            _ = tokio::signal::ctrl_c() => ends = Some(130),
        }
        let another = begun.elapsed() < arguments.budget.unwrap_or_default();
        if ends.is_some() || !summary.is_sound() || !another {
            break;
        }
    }
    summary.print();
    println!("took        {} s", begun.elapsed().as_secs());
    ends.unwrap_or(u8::from(!summary.is_sound())).into()
}
