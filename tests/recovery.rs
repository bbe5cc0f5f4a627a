//! `kill -9` of any node, the leader, or all of them, at any moment, under load: nothing that was
//! acknowledged is lost or changed, money is conserved, and every node has the same history.

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::kept::{everything_told_stands, histories_are_the_same, money_is_conserved};
use counterfoil_tests::load::Load;

const FUNDED: u64 = 1_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let load = Load::start(&consortium, 6);

    load.progress(50).await;
    let leader = consortium.leader();
    consortium.kill_node(leader);
    load.progress(50).await;
    consortium.start_node(leader);

    let follower = (consortium.leader() + 1) % consortium.node_count();
    consortium.kill_node(follower);
    load.progress(50).await;
    consortium.start_node(follower);
    load.progress(50).await;

    for node in 0..consortium.node_count() {
        consortium.kill_node(node);
    }
    for node in 0..consortium.node_count() {
        consortium.start_node(node);
    }
    load.progress(50).await;
    load.stop().await;

    let all: Vec<usize> = (0..consortium.node_count()).collect();
    histories_are_the_same(&consortium).await;
    everything_told_stands(&consortium, &load, &all).await;
    money_is_conserved(&consortium).await;
}
