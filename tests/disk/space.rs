//! A disk that fills up slowly: the node warns, takes nothing new, lets another lead, stops in order,
//! and goes on by itself when there is space again.

use std::time::Duration;

use counterfoil_client::instructions::{self, Order};
use counterfoil_tests::banking::{account, open_and_fund};
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::kept::{everything_told_stands, histories_are_the_same};
use counterfoil_tests::load::Load;

use crate::faults::Faults;
use crate::nodes::ends;

const MIB: u64 = 1 << 20;

/// Marks that the file system of no machine that runs tests is below.
const MARKS: [&str; 3] =
    ["disk.warn_free_mib=40", "disk.admit_free_mib=20", "disk.stop_free_mib=10"];

const LEVEL: &str = "counterfoil_disk_level";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_short_of_space_steps_back_and_stops_before_it_is_full() {
    let consortium = Consortium::found();
    let count = consortium.node_count();
    let faults: Vec<Faults> = (0..count)
        .map(|node| Faults::none(&consortium.home(consortium.institution(node))))
        .collect();
    let start = |node: usize| consortium.start_node_under(node, &MARKS, &faults[node].variables());
    (0..count).for_each(start);
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", 1_000_000).await;
    let load = Load::start(&consortium, 3);
    load.progress(10).await;

    let short = consortium.leader();
    consortium.await_metric(short, LEVEL, |level| level == 0.0);
    faults[short].set_free(30 * MIB);
    consortium.await_metric(short, LEVEL, |level| level == 1.0);
    load.progress(10).await;
    faults[short].set_free(15 * MIB);
    consortium.await_metric(short, LEVEL, |level| level == 2.0);
    consortium.await_metric(short, "counterfoil_raft_is_leader", |leads| leads == 0.0);
    load.progress(10).await;
    assert_ne!(consortium.leader(), short);
    takes_nothing_but_serves_reads(&consortium, short).await;
    follows(&consortium, short);

    // A little above the mark is not enough.
    faults[short].set_free(21 * MIB);
    consortium.await_metric(short, "counterfoil_disk_free_bytes", |free| free == (21 * MIB) as f64);
    assert_eq!(consortium.metric(short, LEVEL), Some(2.0));
    faults[short].set_free(30 * MIB);
    consortium.await_metric(short, LEVEL, |level| level == 1.0);
    let client = consortium.client_at(BANKS[0], &[short]);
    assert!(client.submit(pay()).await.unwrap().is_accepted());

    faults[short].set_free(9 * MIB);
    ends(&consortium, short, 74, "too little space");
    assert!(consortium.log(short).contains("drained"), "in order: {}", consortium.log(short));
    // It does not start with too little either.
    start(short);
    ends(&consortium, short, 74, "too little space at the start");
    faults[short].clear();
    start(short);
    load.progress(10).await;

    // If all are short somebody still leads, and reads are served.
    for (node, faults) in faults.iter().enumerate() {
        consortium.await_metric(node, "counterfoil_ready", |ready| ready == 1.0);
        faults.set_free(15 * MIB);
        consortium.await_metric(node, LEVEL, |level| level == 2.0);
    }
    consortium.leader();
    takes_nothing_but_serves_reads(&consortium, short).await;
    (0..count).for_each(|node| faults[node].clear());
    load.stop().await;
    assert!(client.submit(pay()).await.unwrap().is_accepted());
    histories_are_the_same(&consortium).await;
    everything_told_stands(&consortium, &load, &(0..count).collect::<Vec<_>>()).await;
}

fn pay() -> Order {
    Order::transfer(instructions::transfer(account(BANKS[0], "CHF"), account(BANKS[1], "CHF"), 1))
}

async fn takes_nothing_but_serves_reads(consortium: &Consortium, node: usize) {
    let client = consortium.client_at(BANKS[0], &[node]);
    let balance = client.balance(account(BANKS[0], "CHF"), None).await;
    assert!(balance.is_ok(), "{balance:?}");
    let impatient = client.with_deadline(Duration::from_secs(5));
    let refused = impatient.submit(pay()).await.expect_err("it takes nothing");
    let words = format!("{refused:?}");
    assert!(words.contains("DISK_SHORT") && words.contains("more are needed"), "{words}");
}

/// What others lead is stored and executed here too.
fn follows(consortium: &Consortium, node: usize) {
    let height = consortium.metric(node, "counterfoil_height").unwrap();
    consortium.await_metric(node, "counterfoil_height", |now| now > height);
}
