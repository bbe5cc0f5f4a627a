//! Blocks become final: certificates come when idle and under load, with a node down, after every
//! crash and with an old copy of a node's disk put back; admission stops where they do not come; and
//! no node ever signs two headers of one height.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use counterfoil_client::instructions::{self, Order};
use counterfoil_proto::v1;
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::load::Load;
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tokio::task::JoinHandle;
use tonic::Code;

const FUNDED: u64 = 1_000_000_000;

const SUBMIT: &str = "/counterfoil.v1.SettlementService/SubmitInstruction";

/// Waits until every node that runs has a certificate of its last block.
async fn await_all_final(consortium: &Consortium) {
    let deadline = Instant::now() + Duration::from_secs(30);
    for node in (0..consortium.node_count()).filter(|node| consortium.is_running(*node)) {
        loop {
            let height = consortium.metric(node, "counterfoil_height");
            let certified = consortium.metric(node, "counterfoil_certified_height");
            if height.is_some() && height > Some(0.0) && height == certified {
                break;
            }
            assert!(Instant::now() < deadline, "node {}: {height:?}, {certified:?}", node + 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// No node has contradicted another, or itself.
fn assert_no_conflicts(consortium: &Consortium) {
    for node in 0..consortium.node_count() {
        let metrics = consortium.http_get(node, "/metrics").unwrap_or_default();
        assert!(!metrics.contains("counterfoil_header_conflicts_total{"), "node {}", node + 1);
        let evidence = consortium.home(consortium.institution(node)).join("data/evidence");
        assert!(!evidence.exists(), "{}", evidence.display());
    }
}

async fn status(consortium: &Consortium, node: usize) -> v1::GetClusterStatusResponse {
    let client = consortium.client_at(AGENT, &[node]);
    client.cluster_status().await.expect("a node that runs says how the consortium stands")
}

/// A transfer; it ends when it is final.
fn transfer(consortium: &Consortium) -> JoinHandle<()> {
    let client = consortium.client(BANKS[0]);
    let (debit, credit) = (account(BANKS[0], "CHF"), account(BANKS[1], "CHF"));
    let order = Order::transfer(instructions::transfer(debit, credit, 1));
    tokio::spawn(async move {
        accepted(&client, order).await;
    })
}

/// What a node says of a new transfer, asked once.
async fn try_transfer(consortium: &Consortium, node: usize) -> Told {
    let client = consortium.client_at(BANKS[0], &[node]);
    let (debit, credit) = (account(BANKS[0], "CHF"), account(BANKS[1], "CHF"));
    let order = Order::transfer(instructions::transfer(debit, credit, 1));
    let signed = client.sign(order).await.expect("it is signed");
    let signed = v1::SignedInstruction::decode(signed.bytes().clone()).expect("what was encoded");
    let request = v1::SubmitInstructionRequest {
        signed_instruction: Some(signed),
        ..v1::SubmitInstructionRequest::default()
    };
    let credential = consortium.credential(BANKS[0], "client");
    let address = consortium.client_address(node);
    let channel = wire::connect(address, Some(&credential)).await.expect("it connects");
    let answer = wire::call(&channel, SUBMIT, request.encode_to_vec()).await;
    Told::of(&answer.expect_err("nothing new is admitted"))
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_become_final_through_every_failure() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    await_all_final(&consortium).await;
    let idle = status(&consortium, 1).await;
    assert_eq!((idle.finality_quorum, idle.below_two_thirds), (3, false));
    assert!(!idle.admission_stopped && idle.missing_institutions.is_empty());
    assert!(idle.members.iter().all(|member| member.attested_height > 0), "{idle:?}");

    let load = Load::start(&consortium, 6);
    load.progress(300).await;
    // One down: the others are a quorum.
    let absent = (consortium.leader() + 1) % consortium.node_count();
    consortium.kill_node(absent);
    let other = (absent + 1) % consortium.node_count();
    let before = consortium.metric(other, "counterfoil_certified_height");
    load.progress(300).await;
    assert!(consortium.metric(other, "counterfoil_certified_height") > before);
    consortium.start_node(absent);
    load.progress(100).await;
    await_no_lag(&consortium, &load).await;

    // All at once, in the middle of everything.
    (0..consortium.node_count()).for_each(|node| consortium.kill_node(node));
    (0..consortium.node_count()).for_each(|node| consortium.start_node(node));
    load.progress(100).await;
    load.stop().await;
    await_all_final(&consortium).await;
    assert_no_conflicts(&consortium);
}

/// Waits until every node has certified what was executed when this began.
async fn await_no_lag(consortium: &Consortium, load: &Load) {
    let height = consortium.metric(consortium.leader(), "counterfoil_height");
    let deadline = Instant::now() + Duration::from_secs(30);
    for node in 0..consortium.node_count() {
        loop {
            let certified = consortium.metric(node, "counterfoil_certified_height");
            if certified >= height {
                break;
            }
            let node = node + 1;
            assert!(Instant::now() < deadline, "node {node}: {certified:?} of {height:?}");
            load.progress(1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_stops_and_names_who_is_missing() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    await_all_final(&consortium).await;
    // Two down order nothing; two that are up and do not sign make nothing final.
    for node in [2, 3] {
        assert_eq!(consortium.stop_node(node), Some(0));
        consortium.start_node_with(node, &["finality.sign=false"]);
    }
    consortium.wait_ready();
    let waiting = transfer(&consortium);
    let missing = [BANKS[1], BANKS[2]];
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = status(&consortium, 0).await;
        if status.admission_stopped {
            assert_eq!(status.missing_institutions, missing);
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for node in 0..consortium.node_count() {
        while consortium.metric(node, "counterfoil_admission_stopped") != Some(1.0) {
            assert!(Instant::now() < deadline, "node {}", node + 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let told = try_transfer(&consortium, node).await;
        assert!(told.is(Code::Unavailable, "CERTIFICATES_LAG"), "{told:?}");
        let names = ("missing_institutions".to_owned(), missing.join(","));
        assert!(told.facts.contains(&names), "{told:?}");
        assert!(told.facts.contains(&("fate".to_owned(), "not_taken".to_owned())), "{told:?}");
    }
    let height = consortium.metric(0, "counterfoil_height");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(consortium.metric(0, "counterfoil_height"), height);

    // One of them is enough.
    assert_eq!(consortium.stop_node(2), Some(0));
    consortium.start_node(2);
    waiting.await.expect("it is final now");
    transfer(&consortium).await.expect("it settles");
    assert_eq!(consortium.stop_node(3), Some(0));
    consortium.start_node(3);
    transfer(&consortium).await.expect("it settles");
    await_all_final(&consortium).await;
    let status = status(&consortium, 0).await;
    assert!(!status.admission_stopped && status.missing_institutions.is_empty(), "{status:?}");
    assert_no_conflicts(&consortium);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_a_disk_signs_nothing_twice() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let node = (consortium.leader() + 1) % consortium.node_count();
    let data = consortium.home(consortium.institution(node)).join("data");
    let copy = data.with_extension("copy");
    let load = Load::start(&consortium, 3);
    load.progress(50).await;
    assert_eq!(consortium.stop_node(node), Some(0));
    copy_directory(&data, &copy);
    consortium.start_node(node);
    load.progress(100).await;
    await_no_lag(&consortium, &load).await;
    assert_eq!(consortium.stop_node(node), Some(0));
    std::fs::remove_dir_all(&data).expect("it can be removed");
    copy_directory(&copy, &data);
    consortium.start_node(node);
    load.progress(100).await;
    load.stop().await;
    // It has lost what it had acknowledged to this leader, who hears it no more; the next one does.
    let leader = consortium.leader();
    assert_eq!(consortium.stop_node(leader), Some(0));
    consortium.start_node(leader);
    await_all_final(&consortium).await;
    assert!(consortium.is_running(node));
    assert!(consortium.log(node).contains("enough nodes have told"), "it has asked");
    assert_no_conflicts(&consortium);
}

fn copy_directory(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(status.success());
}
