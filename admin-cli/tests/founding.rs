//! From nothing to a genesis file, with the program alone, as an operator does it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use counterfoil_ledger::genesis::Genesis;

const BANKS: [&str; 4] = ["SNBZCHZZXXX", "BANKCHZZXXX", "BANKDEFFXXX", "BANKFRPPXXX"];

fn counterfoil(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_counterfoil"))
        .args(arguments)
        .env_clear()
        .env("XDG_CONFIG_HOME", directory)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn succeed(directory: &Path, arguments: &[&str]) -> String {
    let output = counterfoil(directory, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes the keys of some banks and a specification that founds their consortium.
fn prepare(directory: &Path, banks: &[&str]) {
    let mut spec = "consortium = \"demo.example\"\n".to_owned();
    for (at, bic) in banks.iter().enumerate() {
        let id = at + 1;
        succeed(directory, &["pki", "authority", "--institution", bic, "--out", bic]);
        for key in ["instruction", "attestation"] {
            succeed(directory, &["pki", "key", "--out", &format!("{bic}/{key}.key.pem")]);
        }
        spec.push_str(&format!(
            "[[institutions]]\nbic = \"{bic}\"\nname = \"Bank {id}\"\nanchor = \"{bic}/authority.pem\"\n\
             [[institutions.keys]]\nname = \"orders\"\npurpose = \"instruction\"\n\
             public_key = \"{bic}/instruction.pub.pem\"\n\
             [[institutions.keys]]\nname = \"node\"\npurpose = \"attestation\"\n\
             public_key = \"{bic}/attestation.pub.pem\"\n\
             [[nodes]]\nid = {id}\ninstitution = \"{bic}\"\nname = \"node-{id}\"\n\
             attestation_key = \"{bic}/attestation.pub.pem\"\n\
             peer_address = \"127.0.0.1:{}\"\nclient_address = \"127.0.0.1:{}\"\n",
            7200 + id,
            7100 + id,
        ));
    }
    spec.push_str(
        "[[assets]]\ncode = \"EUR\"\nexponent = 2\n[[assets]]\ncode = \"CHF\"\nexponent = 2\n",
    );
    fs::write(directory.join("spec.toml"), spec).unwrap();
}

const CREATE: [&str; 6] = ["genesis", "create", "--spec", "spec.toml", "--out", "genesis.bin"];

#[test]
fn four_banks_found_a_consortium() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    prepare(directory, &BANKS);
    let created = succeed(directory, &CREATE);
    let genesis = Genesis::decode(&fs::read(directory.join("genesis.bin")).unwrap()).unwrap();
    assert!(created.contains(&genesis.chain_id().to_string()));
    assert!(
        created.contains("4 voters: a block is ordered when 3 of them store it, so 1 may fail")
    );
    assert!(created.contains("it is final when 3 of 4 institutions sign it, so 1 may fail"));
    assert!(!created.contains("warning"));
    assert!(created.contains("snapshots  every 4096 blocks"));
    let inspected = succeed(directory, &["genesis", "inspect", "genesis.bin", "-o", "json"]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(
        (&inspected["orderingQuorum"], &inspected["finalityQuorum"]),
        (&3.into(), &3.into())
    );
    assert_eq!(inspected["institutions"].as_array().unwrap().len(), 4);
    assert_eq!(inspected["assets"][0]["code"], "CHF");
    let again = counterfoil(directory, &CREATE);
    assert_eq!(again.status.code(), Some(5), "a genesis file is never overwritten");
}

#[test]
fn three_banks_choose_and_are_told_what_that_means() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    prepare(directory, &BANKS[..3]);
    let spec = fs::read_to_string(directory.join("spec.toml")).unwrap();
    let output = counterfoil(directory, &CREATE);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("finality_quorum = 3, or 2"));
    for (quorum, told) in [(3, "nothing becomes final while one is away"), (2, "one lying")] {
        let policy = format!("{spec}[policy]\nfinality_quorum = {quorum}\n");
        fs::write(directory.join("spec.toml"), policy).unwrap();
        let output = counterfoil(directory, &CREATE);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stderr).unwrap().contains(told));
        assert!(String::from_utf8(output.stdout).unwrap().contains(told));
        fs::remove_file(directory.join("genesis.bin")).unwrap();
    }
}

#[test]
fn a_policy_is_founded_as_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    prepare(directory, &BANKS);
    let spec = fs::read_to_string(directory.join("spec.toml")).unwrap();
    let policy = "[policy]\nfinality_quorum = 4\ncertificate_lag_blocks = 9\ncertificate_lag_ms = 700\n\
         snapshot_interval_blocks = 512\n";
    fs::write(directory.join("spec.toml"), [&spec, policy].concat()).unwrap();
    let created = succeed(directory, &CREATE);
    assert!(created.contains("it is final when 4 of 4 institutions sign it, so 0 may fail"));
    assert!(created.contains("admission stops 9 blocks or 700 ms without a certificate"));
    assert!(created.contains("snapshots  every 512 blocks"));
    let inspected = succeed(directory, &["genesis", "inspect", "genesis.bin", "-o", "json"]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["finalityQuorum"], 4);
    assert_eq!(inspected["certificateLagBlocks"], "9");
    assert_eq!(inspected["snapshotIntervalBlocks"], "512");
    fs::remove_file(directory.join("genesis.bin")).unwrap();
    let less = [&spec, "[policy]\nfinality_quorum = 2\n"].concat();
    fs::write(directory.join("spec.toml"), less).unwrap();
    let refused = counterfoil(directory, &CREATE);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("more than two thirds"));
    let often = [&spec, "[policy]\nsnapshot_interval_blocks = 7\n"].concat();
    fs::write(directory.join("spec.toml"), often).unwrap();
    let refused = counterfoil(directory, &CREATE);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("8 to 1,000,000"));
}

#[test]
fn openssl_reads_what_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no openssl on this machine");
        return;
    }
    succeed(directory, &["pki", "authority", "--institution", "BANKCHZZ", "--out", "ca"]);
    let issue = "pki issue --authority ca --consortium demo.example --role node --name node-1 \
                 --out node --dns localhost --ip 127.0.0.1";
    succeed(directory, &issue.split_whitespace().collect::<Vec<_>>());
    succeed(directory, &["pki", "key", "--out", "signing.key.pem"]);
    for key in ["ca/authority.key.pem", "node/key.pem", "signing.key.pem"] {
        let mode = fs::metadata(directory.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
        openssl(directory, &["pkey", "-in", key, "-noout", "-text"]);
    }
    openssl(directory, &["pkey", "-pubin", "-in", "signing.pub.pem", "-noout"]);
    openssl(
        directory,
        &["verify", "-x509_strict", "-CAfile", "ca/authority.pem", "node/certificate.pem"],
    );
    for purpose in ["sslserver", "sslclient"] {
        let arguments =
            ["verify", "-purpose", purpose, "-CAfile", "ca/authority.pem", "node/certificate.pem"];
        openssl(directory, &arguments);
    }
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {stderr}");
}
