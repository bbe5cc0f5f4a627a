//! What the program prints, byte for byte, and how it ends. `COUNTERFOIL_GOLDEN=write cargo test -p
//! counterfoil --test golden` writes the files anew; read the difference before committing it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn counterfoil(home: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_counterfoil"))
        .args(arguments.split_whitespace())
        .env_clear()
        .env("XDG_CONFIG_HOME", home)
        .current_dir(home)
        .output()
        .unwrap()
}

fn check(file: &Path, actual: &str) {
    if std::env::var_os("COUNTERFOIL_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(file, actual).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs", file.display());
}

fn crate_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn help_and_errors() {
    let home = tempfile::tempdir().unwrap();
    let cases = [
        ("help", 0, "--help"),
        ("help-genesis-create", 0, "genesis create --help"),
        ("help-pki-issue", 0, "pki issue --help"),
        ("help-context-add", 0, "context add --help"),
        ("help-recon", 0, "recon --help"),
        ("help-recon-breaks", 0, "recon breaks --help"),
        ("help-recon-agree", 0, "recon agree --help"),
        ("recon-match-undecided", 2, "recon match CHF ledger:1 owner:2"),
        ("recon-item-malformed", 2, "recon explain CHF book:1"),
        ("unknown-command", 2, "nonsense"),
        ("unknown-command-json", 2, "nonsense -o json"),
        ("genesis-missing", 3, "genesis inspect none.bin"),
        ("genesis-missing-json", 3, "genesis inspect none.bin -o json"),
        ("context-list-empty-json", 0, "context list -o json"),
        ("context-use-unknown", 3, "context use bank-a"),
        ("context-add", 0, "context add bank-a --endpoint 127.0.0.1:7101 --institution BANKCHZZ"),
        ("context-add-again", 5, "context add bank-a"),
        ("context-list", 0, "context list"),
        ("context-show", 0, "context show --servicer SNBZCHZZ"),
        ("exit-codes-json", 0, "exit-codes -o json"),
    ];
    for (name, exit, arguments) in cases {
        let output = counterfoil(home.path(), arguments);
        assert_eq!(output.status.code(), Some(exit), "{arguments}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(exit == 0 || stdout.is_empty(), "{arguments}: a failure leaves stdout empty");
        let home = home.path().display().to_string();
        let text = format!("$ counterfoil {arguments}\n{stdout}{stderr}").replace(&home, "HOME");
        check(&crate_directory().join("tests/golden").join(format!("{name}.txt")), &text);
    }
}

#[test]
fn the_reference_pages_are_what_the_program_prints() {
    let home = tempfile::tempdir().unwrap();
    for (page, command) in [("reasons", "reasons"), ("exit-codes", "exit-codes")] {
        let output = counterfoil(home.path(), &format!("{command} -o markdown"));
        let page = crate_directory().join("../docs/reference").join(format!("{page}.md"));
        check(&page, &String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn completion_scripts_exist_for_the_usual_shells() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = counterfoil(home.path(), &format!("completion {shell}"));
        assert!(output.status.success() && output.stdout.len() > 1_000, "{shell}");
    }
}
