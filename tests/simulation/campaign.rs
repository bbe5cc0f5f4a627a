//! Many seeds, some at a time, and what they came to together.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Output;
use std::process::Stdio;

use crate::world::Report;

/// What is to be simulated.
pub struct Campaign {
    /// How many seeds.
    pub seeds: u64,
    /// The first of them.
    pub from: u64,
    /// Simulated seconds during which things break.
    pub seconds: u64,
    /// How many at a time.
    pub jobs: u64,
    /// Whether each seed is simulated twice and has to come out the same.
    pub replays: bool,
}

/// The figures of a report, in the order in which they are added up.
const FIGURES: [&str; 10] = [
    "simulated_ms",
    "blocks",
    "settled",
    "final",
    "reads",
    "faults",
    "lost",
    "starts",
    "caught-up",
    "leaders",
];

/// A report in one line.
pub fn words(report: &Report) -> String {
    let totals = report.totals;
    let values = [
        report.simulated_ms,
        totals.blocks,
        totals.settled,
        totals.reported,
        totals.reads,
        report.faults,
        report.lost,
        report.lives,
        report.caught_up,
        report.leaders,
    ];
    let words: Vec<String> =
        FIGURES.iter().zip(values).map(|(name, value)| format!("{name} {value}")).collect();
    words.join(" ")
}

/// Where the machines of a seed have their directories.
pub fn directory(seed: u64) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("counterfoil-simulation-{}-{seed}", std::process::id()))
}

impl Campaign {
    /// Simulates all seeds. Fails if one of them does, and says how to see it again.
    pub fn run(&self) -> ExitCode {
        let began = uptime();
        let mut underway: VecDeque<(u64, Child)> = VecDeque::new();
        let mut sums = [0u64; FIGURES.len()];
        let (mut failed, mut done) = (Vec::new(), 0u64);
        let mut finish = |seed, output: Output| {
            done += 1;
            let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let repeated = !self.replays || self.repeats(seed, &told);
            if output.status.success() && repeated {
                let words: Vec<&str> = told.split_whitespace().collect();
                for (sum, pair) in sums.iter_mut().zip(words.chunks(2)) {
                    *sum += pair[1].parse::<u64>().unwrap_or(0);
                }
                return;
            }
            let words = if repeated { told } else { format!("does not replay: {told}") };
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            println!("seed {seed} fails: {words}");
            println!("  again: simulate --seed {seed} --seconds {} --trace", self.seconds);
            failed.push(seed);
        };
        for seed in self.from..self.from + self.seeds {
            if underway.len() as u64 >= self.jobs
                && let Some((seed, child)) = underway.pop_front()
            {
                finish(seed, child.wait_with_output().expect("a simulation ends"));
            }
            underway.push_back((seed, self.start(seed)));
        }
        for (seed, child) in underway {
            finish(seed, child.wait_with_output().expect("a simulation ends"));
        }
        let seconds = (uptime() - began).max(0.01);
        let figures: Vec<String> =
            FIGURES.iter().zip(sums).skip(1).map(|(name, sum)| format!("{sum} {name}")).collect();
        let hours = sums[0] as f64 / 3_600_000.0;
        println!(
            "{done} seeds in {seconds:.0} s ({:.2}/s), {hours:.2} simulated hours",
            done as f64 / seconds
        );
        println!("{}", figures.join(", "));
        if failed.is_empty() {
            println!("no violation");
            return ExitCode::SUCCESS;
        }
        println!("{} seeds fail: {failed:?}", failed.len());
        ExitCode::FAILURE
    }

    fn start(&self, seed: u64) -> Child {
        let program = std::env::current_exe().expect("a program knows its own path");
        Command::new(program)
            .args(["--seed", &seed.to_string(), "--seconds", &self.seconds.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a simulation starts")
    }

    fn repeats(&self, seed: u64, told: &str) -> bool {
        let again = self.start(seed).wait_with_output().expect("a simulation ends");
        String::from_utf8_lossy(&again.stdout).trim() == told
    }
}

/// Seconds since the machine started: the usual clocks are simulated in this program.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
