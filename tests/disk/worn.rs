//! A node that has worked for a while, was killed and started again, and does not run any more: its
//! files are of all kinds.

use std::fs;

use counterfoil_client::instructions::{self, Order};
use counterfoil_ledger::genesis::Genesis;
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::load::Load;

use crate::damage::Template;

/// The consortium of the node, and the node's data.
pub struct Worn {
    pub consortium: Consortium,
    /// Its place in the consortium.
    pub node: usize,
    pub template: Template,
}

/// Makes one.
pub async fn node() -> Worn {
    let consortium = Consortium::found_with_policy("snapshot_interval_blocks = 16");
    (0..consortium.node_count()).for_each(|node| consortium.start_node(node));
    consortium.wait_ready();
    let node = 3;
    open_and_fund(&consortium, "CHF", 1_000_000_000).await;
    let load = Load::start(&consortium, 3);
    for _ in 0..2 {
        load.progress(20).await;
        batch(&consortium, 100).await;
        written(&consortium, node);
        // Recovery writes tables of what was in the write-ahead logs.
        consortium.kill_node(node);
        load.progress(5).await;
        consortium.start_node(node);
        consortium.await_metric(node, "counterfoil_ready", |ready| ready == 1.0);
        load.progress(20).await;
    }
    written(&consortium, node);
    load.stop().await;
    let height = consortium.metric(consortium.leader(), "counterfoil_height").unwrap_or(0.0);
    consortium.await_metric(node, "counterfoil_certified_height", |it| it >= height);
    consortium.await_metric(node, "counterfoil_snapshot_height", |it| it > 0.0);
    for node in 0..consortium.node_count() {
        assert_eq!(consortium.stop_node(node), Some(0));
    }
    let genesis = fs::read(consortium.path().join("genesis.bin")).expect("it was written");
    let genesis = Genesis::decode(&genesis).expect("it is one");
    let data = consortium.home(consortium.institution(node)).join("data");
    let id = u64::try_from(node + 1).expect("it is small");
    let template = Template::of(&data, genesis, id);
    Worn { consortium, node, template }
}

/// Waits until a node has written its state, under load.
fn written(consortium: &Consortium, node: usize) {
    let count = "counterfoil_state_write_duration_seconds_count";
    let before = consortium.metric(node, count).unwrap_or(0.0);
    // One that has ended, and one that has begun after everything before this.
    consortium.await_metric(node, count, |count| count >= before + 2.0);
}

/// A batch is larger than a kibibyte, and stands in a file for large values.
async fn batch(consortium: &Consortium, items: usize) {
    let (debit, credit) = (account(BANKS[0], "CHF"), account(BANKS[1], "CHF"));
    let transfers = (0..items).map(|_| instructions::transfer(debit, credit, 1)).collect();
    accepted(&consortium.client(BANKS[0]), Order::transfers(transfers, true)).await;
}
