//! Nodes that sign what they should not, or nothing: convicted by their own signatures, or named.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use counterfoil_client::instructions::{self, Order};
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::verify::{self, Conviction, Misbehaviour, Trust};
use counterfoil_tests::banking::{account, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, binary};

use crate::{FUNDED, Trial};

/// What evidence of a kind an honest node has kept, once one has, and whom it convicts.
async fn conviction(trial: &Trial, by: &[usize], kind: &str) -> (PathBuf, Conviction) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        for node in by {
            let home = trial.consortium.home(trial.consortium.institution(*node));
            let kept = std::fs::read_dir(home.join("data/evidence")).into_iter().flatten();
            let mut paths = kept.map(|entry| entry.unwrap().path());
            let named = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.starts_with(kind) && name.ends_with(".evidence")
            };
            if let Some(path) = paths.find(named) {
                let genesis = std::fs::read(trial.consortium.path().join("genesis.bin")).unwrap();
                let trust = Trust::new(Genesis::decode(&genesis).unwrap());
                let evidence = verify::read(&Bytes::from(std::fs::read(&path).unwrap())).unwrap();
                return (path, verify::evidence(&trust, &evidence).unwrap());
            }
        }
        assert!(Instant::now() < deadline, "no node has evidence of a {kind}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// It names the liar and nobody else, and the command line says so too.
fn convicts_the_liar(
    trial: &Trial,
    (path, conviction): &(PathBuf, Conviction),
    kind: Misbehaviour,
) {
    let nodes: Vec<u64> = conviction.nodes.iter().map(|(node, _)| *node).collect();
    assert_eq!(nodes, [u64::try_from(trial.liar).unwrap() + 1], "{conviction:?}");
    assert_eq!(conviction.kind, kind, "{conviction:?}");
    names_the_liar(trial, &verdict(trial, path, None));
}

fn names_the_liar(trial: &Trial, verdict: &str) {
    assert!(verdict.contains("CONVICTED"), "{verdict}");
    for node in 0..trial.consortium.node_count() {
        let institution = trial.consortium.institution(node);
        assert_eq!(verdict.contains(institution), node == trial.liar, "{verdict}");
    }
}

/// What the command line says of it, with an export of the ledger where there is one.
fn verdict(trial: &Trial, evidence: &Path, ledger: Option<&Path>) -> String {
    let mut command = Command::new(binary("counterfoil"));
    command.args(["verify", "evidence"]).arg(evidence);
    command.arg("--genesis").arg(trial.consortium.path().join("genesis.bin"));
    if let Some(ledger) = ledger {
        command.arg("--ledger").arg(ledger);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The whole ledger in a file.
fn export(trial: &Trial) -> PathBuf {
    let path = trial.consortium.path().join("ledger.bin");
    let mut command = trial.consortium.command_line(AGENT, "auditor");
    let output = command.args(["ledger", "export", "--out"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_signs_twice_is_convicted() {
    let trial = Trial::with_follower("sign-twice");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    for node in trial.honest() {
        let conviction = conviction(&trial, &[node], "double-attestation").await;
        convicts_the_liar(&trial, &conviction, Misbehaviour::DoubleAttestation);
    }
    trial.pays(BANKS[0]).await;
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_about_the_state_is_convicted() {
    let trial = Trial::with_follower("lie-about-state");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let honest: Vec<usize> = trial.honest().collect();
    let conviction = conviction(&trial, &honest, "wrong-execution").await;
    // Two headers of one block: the ledger, executed again, says whose is wrong.
    let (path, conviction) = conviction;
    assert_eq!(conviction.kind, Misbehaviour::WrongExecution);
    assert!(conviction.open.is_some() && conviction.nodes.is_empty(), "{conviction:?}");
    let ledger = export(&trial);
    names_the_liar(&trial, &verdict(&trial, &path, Some(&ledger)));
    // The other three go on, and are final without it.
    let outcome = trial.pays(BANKS[0]).await;
    trial.await_final(outcome.verdict.height).await;
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_equivocates_is_convicted_and_its_victim_stops() {
    let trial = Trial::with_leader("equivocate:1");
    let victim = 0;
    let others: Vec<usize> = trial.honest().filter(|node| *node != victim).collect();
    let agent = trial.consortium.client_at(AGENT, &others);
    let open = |owner: &str| {
        let bic = |text| counterfoil_ledger::bic::Bic::parse(text).unwrap();
        let asset = counterfoil_ledger::asset::AssetCode::parse("CHF").unwrap();
        let name = counterfoil_tests::banking::SETTLEMENT;
        Order::open_account(&bic(AGENT), &bic(owner), &asset, name)
    };
    counterfoil_tests::banking::accepted(&agent, open(AGENT)).await;
    // What it was given is another block than everybody's: it stops, and never starts on it again.
    assert_eq!(trial.await_exit(victim).await, Some(72));
    let conviction = conviction(&trial, &[others[0], others[1], victim], "double-proposal").await;
    convicts_the_liar(&trial, &conviction, Misbehaviour::DoubleProposal);
    let kept = trial.consortium.home(trial.consortium.institution(victim)).join("data/evidence");
    assert!(std::fs::read_dir(kept).unwrap().count() > 0, "the victim keeps its evidence");
    trial.consortium.start_node(victim);
    assert_eq!(trial.await_exit(victim).await, Some(72), "it refuses to start again");
    // The others go on without it.
    counterfoil_tests::banking::accepted(&agent, open(BANKS[0])).await;
    let issue = instructions::transfer(account(AGENT, "CHF"), account(BANKS[0], "CHF"), FUNDED);
    let outcome = counterfoil_tests::banking::accepted(&agent, Order::transfer(issue)).await;
    trial.await_final_at(&others, outcome.verdict.height).await;
    for node in others {
        assert!(trial.consortium.is_running(node), "node {}", node + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_withholds_signatures_is_named_and_two_stop_admission() {
    let trial = Trial::with_follower("withhold");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let outcome = trial.pays(BANKS[0]).await;
    trial.await_final(outcome.verdict.height).await;
    let named = |status: &counterfoil_client::v1::GetClusterStatusResponse| {
        let attested = status.members.iter().map(|member| member.attested_height);
        attested.collect::<Vec<_>>()
    };
    let reader = trial.consortium.client_at(BANKS[0], &[1]);
    let heights = named(&reader.cluster_status().await.unwrap());
    assert_eq!(heights[trial.liar], 0, "{heights:?}");

    // A second one: no quorum signs any more.
    trial.consortium.kill_node(2);
    trial.consortium.start_misbehaving(2, "withhold");
    let begun = Instant::now();
    let impatient = trial.consortium.client_at(BANKS[0], &[0, 1]);
    let impatient = impatient.with_deadline(Duration::from_secs(2));
    loop {
        let pay = instructions::transfer(account(BANKS[0], "CHF"), account(BANKS[1], "CHF"), 1);
        let _ = impatient.submit(Order::transfer(pay)).await;
        let status = reader.cluster_status().await.unwrap();
        if status.admission_stopped {
            let both = [BANKS[1], BANKS[2]];
            assert_eq!(status.missing_institutions, both, "both are named");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "admission goes on");
    }
    // An honest node in its place, and business goes on.
    trial.consortium.kill_node(2);
    trial.consortium.start_node(2);
    let outcome = trial.pays(BANKS[0]).await;
    trial.await_final(outcome.verdict.height).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_signs_a_false_snapshot_is_convicted_and_stops() {
    // Snapshots come often, so that the trial sees one.
    let policy = "snapshot_interval_blocks = 16";
    let trial = Trial::with_follower_under("false-snapshot", policy);
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    // It meets what the quorum signed: its own state is not that, and it never starts on it again.
    while trial.consortium.is_running(trial.liar) {
        assert!(Instant::now() < deadline, "the liar runs");
        trial.pays(BANKS[0]).await;
    }
    assert_eq!(trial.consortium.await_exit(trial.liar), Some(72));
    for node in trial.honest() {
        trial.consortium.await_metric(node, "counterfoil_snapshot_height", |height| height >= 16.0);
        let conviction = conviction(&trial, &[node], "false-snapshot").await;
        convicts_the_liar(&trial, &conviction, Misbehaviour::FalseSnapshot);
    }
    trial.pays(BANKS[0]).await;
    trial.everybody_runs();
}
