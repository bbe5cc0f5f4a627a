//! Business rules as tables that a bank's operations staff can read and correct: see
//! `scenarios/README.md`. `UPDATE_EXPECT=1` rewrites the answers.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "scenarios/bank.rs"]
mod bank;
#[path = "scenarios/language.rs"]
mod language;
mod support;

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use bank::Bank;
use counterfoil_ledger::reason::Reason;
use language::Script;
use support::expect::in_tests;

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(in_tests("scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

/// Runs one file and returns what differs from its answers.
fn run(path: &PathBuf) -> Vec<String> {
    let mut script = Script::parse(&fs::read_to_string(path).unwrap());
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut bank = Bank::default();
    let mut differences = Vec::new();
    for group in script.groups() {
        let lines: Vec<&str> =
            group.clone().map(|place| script.commands[place].text.as_str()).collect();
        let answers = bank.execute(&lines).unwrap_or_else(|error| {
            panic!("{name}:{}: {error}", script.commands[group.start].line)
        });
        for (place, answer) in group.zip(answers) {
            let command = &mut script.commands[place];
            if command.answer != answer {
                differences.push(format!(
                    "{name}:{}: {}\n    expected {}\n    but got  {}",
                    command.line,
                    command.text,
                    command.answer.join("\n             "),
                    answer.join("\n             "),
                ));
                command.answer = answer;
            }
        }
    }
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, script.render()).unwrap();
        return Vec::new();
    }
    differences
}

#[test]
fn every_scenario_gives_its_answers() {
    let files = files();
    assert!(files.len() >= 15, "one file a business rule");
    let differences: Vec<String> = files.iter().flat_map(run).collect();
    assert!(
        differences.is_empty(),
        "{}\n\nUPDATE_EXPECT=1 rewrites the answers; read the difference before you commit it",
        differences.join("\n")
    );
}

/// Reasons of class 1xx and 2xx are produced in `refusals.rs`: no table could write such bytes.
#[test]
fn every_reason_from_300_has_a_scenario() {
    let text: String = files().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let produced: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once("=>"))
        .filter_map(|(_, answer)| {
            let answer = answer.trim();
            answer.strip_prefix("rejected ").or(answer.strip_prefix("refused "))
        })
        .collect();
    for reason in Reason::ALL.iter().filter(|reason| reason.code() >= 300) {
        assert!(produced.contains(reason.name()), "{} has no scenario", reason.name());
    }
}
