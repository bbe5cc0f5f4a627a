//! The program as an operator meets it.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_counterfoil-node"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn usage_has_its_exit_code() {
    for arguments in [&["nonsense"][..], &[], &["check", "--color"]] {
        assert_eq!(run(arguments, &[]).status.code(), Some(64), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["check", "--help"]] {
        assert_eq!(run(arguments, &[]).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn tables_are_printed() {
    let codes = text(&run(&["exit-codes"], &[]).stdout);
    assert!(codes.contains("| 64 | Usage | no |"), "{codes}");
    assert!(text(&run(&["metrics"], &[]).stdout).contains("| counterfoil_height | Gauge |"));
    assert!(text(&run(&["config"], &[]).stdout).contains("[listen]"));
}

#[test]
fn a_wrong_configuration_is_told_in_full() {
    let environment = [("COUNTERFOIL_NODE_NODE__ID", "0"), ("COUNTERFOIL_NODE_NODE__COLOR", "red")];
    let output = run(&["check", "--set", "log.format=xml", "--data", "d"], &environment);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    let errors = text(&output.stderr);
    for words in [
        "node.id (COUNTERFOIL_NODE_NODE__ID): expected a whole number from 1",
        "node.color (COUNTERFOIL_NODE_NODE__COLOR): there is no such key",
        "log.format (flag): expected json or text, found \"xml\"",
        "node.genesis (not given): required",
    ] {
        assert!(errors.contains(words), "{words}\n{errors}");
    }
    assert!(!errors.contains("node.data"), "{errors}");
}

#[test]
fn a_complete_configuration_with_missing_files_fails_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    std::fs::write(&file, run(&["config"], &[]).stdout).unwrap();
    let file = file.to_str().unwrap();
    let ports = ["client", "peer", "metrics"].map(|name| format!("listen.{name}=127.0.0.1:0"));
    let mut arguments = vec!["check", "--config", file];
    arguments.extend(ports.iter().flat_map(|port| ["--set", port]));
    let output = run(&arguments, &[]);
    assert_eq!(output.status.code(), Some(64));
    let findings = text(&output.stdout);
    assert!(findings.contains("FAULT  genesis"), "{findings}");
    assert!(findings.contains("ok     client address"), "{findings}");
    assert!(text(&output.stderr).contains("1 of 4 are wrong"));
    assert_eq!(run(&["init", "--config", file], &[]).status.code(), Some(64));
}
