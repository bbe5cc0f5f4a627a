//! Chaos: real nodes are killed, paused, cut off and given wrong clocks while banks work, and the checker
//! of histories finds nothing. Without arguments one short round; with `--budget` as many rounds as there
//! is time for, those on namespaces of the kernel if this user may make them (`make chaos`).

use std::time::{Duration, Instant};

use counterfoil_tests::chaos::campaign::{Summary, round};
use counterfoil_tests::chaos::ground::{self, Arguments};
use counterfoil_tests::chaos::wiring::{NAMESPACES_NEED, Wires, make_namespaces};
use counterfoil_tests::checker::check;
use counterfoil_tests::checker::history::History;

const NAME: &str = "nothing_is_lost_in_chaos";

/// A round of the short form, of the schedule alone; founding and checking come on top.
const SHORT: Duration = Duration::from_secs(40);

/// A round of the long form.
const LONG: Duration = Duration::from_secs(90);

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("chaos: {problem}");
            return 2.into();
        }
    };
    if arguments.list {
        println!("{NAME}: test");
        return 0.into();
    }
    if let Some(file) = &arguments.check {
        return judge(file);
    }
    if !arguments.wants(NAME) {
        return 0.into();
    }
    let spaces = arguments.budget.is_some() && !ground::is_inside();
    match spaces.then(|| ground::why_not(NAMESPACES_NEED)) {
        None => {}
        Some(None) => return entered(),
        Some(Some(why)) => println!("no namespaces ({why}): all faults are made by proxies"),
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(run(&arguments))
}

fn entered() -> std::process::ExitCode {
    ground::enter().unwrap_or_else(|problem| {
        eprintln!("chaos: {problem}");
        std::process::ExitCode::FAILURE
    })
}

/// Judges a history that was recorded before.
fn judge(file: &std::path::Path) -> std::process::ExitCode {
    let history = match History::load(file) {
        Ok(history) => history,
        Err(problem) => {
            eprintln!("chaos: {problem}");
            return 2.into();
        }
    };
    let violations = check(&history);
    println!("{} calls, {} violations", history.calls.len(), violations.len());
    violations.iter().for_each(|violation| println!("{violation}"));
    u8::from(!violations.is_empty()).into()
}

async fn run(arguments: &Arguments) -> std::process::ExitCode {
    let begun = Instant::now();
    if ground::is_inside() {
        make_namespaces();
    }
    let first = arguments.first_seed();
    let length = arguments.round.unwrap_or(if arguments.budget.is_some() { LONG } else { SHORT });
    let mut summary = Summary::default();
    let mut interrupted = false;
    for seed in first.. {
        // Even seeds are tried on routes where there are any, so that a seed means one thing.
        let wires =
            if ground::is_inside() && seed % 2 == 0 { Wires::Routes } else { Wires::Proxies };
        println!("round of seed {seed}: {wires:?}, {length:?}");
        tokio::select! {
            report = round(wires, seed, length) => summary.add("chaos", &report),
            _ = tokio::signal::ctrl_c() => interrupted = true,
        }
        let another = begun.elapsed() + length < arguments.budget.unwrap_or_default();
        if interrupted || !summary.is_sound() || !another {
            break;
        }
    }
    summary.print();
    println!(
        "took        {} s; a round again: make chaos BUDGET=1s SEED=…",
        begun.elapsed().as_secs()
    );
    if interrupted {
        return 130.into();
    }
    u8::from(!summary.is_sound()).into()
}
