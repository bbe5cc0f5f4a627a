//! Shows that the tests bite: switches on one bug on purpose after the other (`node/src/defect.rs`)
//! and runs the campaigns that ought to find it, until one does. A campaign is a command that ends
//! with another exit code than 0 when it has found something.
//!
//! `make bugs`, or `cargo run -p counterfoil-tests --example bugs -- [control] [DEFECT…]`; with
//! `control` the campaigns run without a bug first, and have to find nothing.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use counterfoil_tests::consortium::{MISBEHAVING, binary};

/// Something that may find a bug.
struct Campaign {
    name: &'static str,
    /// Its command, from the root of the repository.
    command: &'static str,
    /// Seconds after which it has found nothing, on a machine that has ten other things to do.
    budget_s: u64,
}

const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "node",
        command: "cargo test -q --locked -p counterfoil-node --features misbehaviour --lib",
        budget_s: 600,
    },
    system("recovery", "cargo test -q --locked -p counterfoil-tests --test recovery"),
    system(
        "an old copy of a disk",
        "cargo test -q --locked -p counterfoil-tests --test finality -- an_old_copy",
    ),
    system(
        "a forged membership",
        "cargo test -q --locked -p counterfoil-tests --test misbehaviour -- a_forged_membership",
    ),
    Campaign {
        name: "chaos",
        command: "cargo test -q --locked -p counterfoil-tests --test chaos -- --budget 5m",
        budget_s: 420,
    },
    Campaign {
        name: "powercut",
        command: "cargo test -q --locked -p counterfoil-tests --test powercut -- --budget 5m",
        budget_s: 480,
    },
    Campaign {
        name: "sim",
        command: "cargo run -q --locked -p counterfoil-tests --features simulation,counterfoil-node/misbehaviour --bin simulate -- --seeds 60",
        budget_s: 1_200,
    },
];

/// One that starts real nodes.
const fn system(name: &'static str, command: &'static str) -> Campaign {
    Campaign { name, command, budget_s: 480 }
}

/// A bug, on which nodes, and who ought to find it.
struct Trial {
    defect: &'static str,
    /// Ids of the nodes that have it; empty: all.
    nodes: &'static str,
    campaigns: &'static [&'static str],
}

const ALL: &str = "";

const fn trial(
    defect: &'static str,
    nodes: &'static str,
    campaigns: &'static [&'static str],
) -> Trial {
    Trial { defect, nodes, campaigns }
}

const TRIALS: &[Trial] = &[
    trial("unsynced-vote", ALL, &["powercut", "sim"]),
    trial("unwritten-vote", ALL, &["node"]),
    trial("unsynced-entries", ALL, &["powercut", "sim"]),
    trial("unflushed-entries", ALL, &["recovery", "chaos"]),
    trial("truncation-in-memory", ALL, &["node"]),
    trial("ids-outside-batch", ALL, &["recovery"]),
    trial("torn-flush", ALL, &["recovery"]),
    trial("applies-twice", ALL, &["node"]),
    trial("signs-before-durable", ALL, &["node"]),
    trial("sign-once-off", ALL, &["node"]),
    trial("inquiry-off", ALL, &["an old copy of a disk"]),
    trial("goes-on-in-term", ALL, &["node"]),
    trial("clock-in-apply", ALL, &["recovery"]),
    trial("unordered-apply", ALL, &["recovery"]),
    trial("forgotten-uetrs", ALL, &["node", "chaos"]),
    trial("unchecked-signature", ALL, &["node"]),
    trial("weak-certificate", ALL, &["recovery"]),
    trial("contradiction-ignored", ALL, &["node"]),
    trial("firewall-off", ALL, &["a forged membership"]),
    trial("local-read", ALL, &["chaos"]),
    trial("final-read-ordered", ALL, &["chaos"]),
];

/// What a campaign came to.
enum Outcome {
    Nothing,
    /// After how long, and what it said.
    Caught(Duration, String),
    OutOfTime,
}

/// How much is told of a failure.
const WORDS_MAX: usize = 110;

/// What stands before the reason in the log of a node that stops by itself.
const STOPPED: &str = "counterfoil_node::exit: ";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn log_path(defect: &str, campaign: &str) -> PathBuf {
    let directory = binary("counterfoil-node").with_file_name("bugs");
    fs::create_dir_all(&directory).unwrap();
    directory.join(format!("{defect}-{}.log", campaign.replace(' ', "-")))
}

fn run(campaign: &Campaign, defect: Option<(&str, &str)>) -> Outcome {
    let path = log_path(defect.map_or("control", |(name, _)| name), campaign.name);
    let log = File::create(&path).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-c", campaign.command])
        .current_dir(root())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .env_remove("COUNTERFOIL_DEFECT")
        .env_remove("COUNTERFOIL_DEFECT_NODES");
    if let Some((name, nodes)) = defect {
        command.env("COUNTERFOIL_DEFECT", name);
        if !nodes.is_empty() {
            command.env("COUNTERFOIL_DEFECT_NODES", nodes);
        }
    }
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let status: ExitStatus = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(campaign.budget_s) {
            // The group is the campaign's own: its nodes end with it.
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
            return Outcome::OutOfTime;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if status.success() {
        return Outcome::Nothing;
    }
    let said = fs::read_to_string(&path).unwrap_or_default();
    assert!(!said.contains("could not compile"), "the campaign does not build: {}", path.display());
    Outcome::Caught(began.elapsed(), first_words(&said, status))
}

/// The first failure in a log, in one line: a node that stopped by itself, or a test that failed.
fn first_words(log: &str, status: ExitStatus) -> String {
    let words = |text: &str| {
        let text = text.trim().replace('|', "/");
        text.chars().take(WORDS_MAX).collect::<String>()
    };
    if let Some((_, why)) = log.lines().find_map(|line| line.split_once(STOPPED)) {
        return format!("a node stops: {}", words(why));
    }
    // What the checker of histories says.
    let mut violations = log.lines().skip_while(|line| !line.starts_with("violations  "));
    if let Some(violation) = violations.nth(1).filter(|line| line.starts_with("  ")) {
        return words(violation);
    }
    let mut lines = log.lines().skip_while(|line| !line.contains("panicked at"));
    let Some(place) = lines.next() else {
        return format!("exit code {:?}, signal {:?}", status.code(), status.signal());
    };
    let name = place.split('\'').nth(1).unwrap_or("a thread");
    format!("`{name}`: {}", words(lines.next().unwrap_or_default()))
}

fn campaign(name: &str) -> &'static Campaign {
    CAMPAIGNS.iter().find(|campaign| campaign.name == name).unwrap()
}

/// The names are those that the program knows; a wrong one would fail every campaign at once.
fn is_known(defect: &str) -> bool {
    let mut command = Command::new(binary(MISBEHAVING));
    command.arg("exit-codes").env("COUNTERFOIL_DEFECT", defect).stdout(Stdio::null());
    command.status().unwrap().success()
}

fn control(trials: &[&Trial]) -> bool {
    let asked = |it: &&Campaign| trials.iter().any(|trial| trial.campaigns.contains(&it.name));
    CAMPAIGNS.iter().filter(asked).fold(true, |good, campaign| {
        let verdict = match run(campaign, None) {
            Outcome::Nothing => "finds nothing, as it should",
            Outcome::Caught(..) => "fails without a bug",
            Outcome::OutOfTime => "takes too long without a bug",
        };
        eprintln!("{:14} {verdict}", campaign.name);
        good && verdict.contains("should")
    })
}

fn catch(trial: &Trial) -> bool {
    let nodes = if trial.nodes == ALL { "all" } else { trial.nodes };
    let mut passed = Vec::new();
    for name in trial.campaigns {
        match run(campaign(name), Some((trial.defect, trial.nodes))) {
            Outcome::Caught(after, said) => {
                let after = after.as_secs();
                println!("| {} | {nodes} | {name} | {after} s | {said} |", trial.defect);
                return true;
            }
            Outcome::Nothing => passed.push((*name).to_owned()),
            Outcome::OutOfTime => passed.push(format!("{name} (out of time)")),
        }
    }
    println!("| {} | {nodes} | not by {} | | |", trial.defect, passed.join(", "));
    false
}

fn main() -> ExitCode {
    let mut asked: Vec<String> = std::env::args().skip(1).collect();
    let with_control = asked.iter().any(|word| word == "control");
    asked.retain(|word| word != "control");
    let is_asked = |trial: &&Trial| asked.is_empty() || asked.iter().any(|it| it == trial.defect);
    let trials: Vec<&Trial> = TRIALS.iter().filter(is_asked).collect();
    for trial in &trials {
        assert!(is_known(trial.defect), "{MISBEHAVING} knows no defect {}", trial.defect);
    }
    if with_control && !control(&trials) {
        return ExitCode::FAILURE;
    }
    println!("| defect | nodes | caught by | after | how it showed |\n|---|---|---|---|---|");
    let caught = trials.iter().filter(|trial| catch(trial)).count();
    eprintln!("{caught} of {} defects are caught", trials.len());
    if caught == trials.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
