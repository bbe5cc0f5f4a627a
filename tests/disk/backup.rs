//! An older copy of a node's data that is put back under the same node id.

use std::time::{Duration, Instant};

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::kept::{everything_told_stands, histories_are_the_same, money_is_conserved};
use counterfoil_tests::load::Load;

use crate::damage::copy;

#[tokio::test(flavor = "multi_thread")]
async fn who_has_forgotten_what_it_stored_elects_nobody_who_lacks_it() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", 1_000_000_000).await;
    let load = Load::start(&consortium, 3);
    load.progress(10).await;
    let node = (consortium.leader() + 1) % consortium.node_count();
    let data = consortium.home(consortium.institution(node)).join("data");
    let old = tempfile::tempdir().unwrap();
    assert_eq!(consortium.stop_node(node), Some(0));
    copy(&data, old.path());
    consortium.start_node(node);
    load.progress(30).await;
    let height = consortium.metric(consortium.leader(), "counterfoil_height").unwrap();
    consortium.await_metric(node, "counterfoil_height", |it| it >= height);

    assert_eq!(consortium.stop_node(node), Some(0));
    std::fs::remove_dir_all(&data).unwrap();
    copy(old.path(), &data);
    // Without the leader the two that are left need its vote, and give theirs to nobody who has less.
    let leader = consortium.leader();
    consortium.kill_node(leader);
    consortium.start_node(node);
    let words = "an older copy of its data was put back";
    let deadline = Instant::now() + Duration::from_secs(60);
    while !consortium.log(node).contains(words) {
        assert!(Instant::now() < deadline, "{}", consortium.log(node));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    load.progress(20).await;
    while !consortium.log(node).contains("has caught up with what it is known to have had") {
        assert!(Instant::now() < deadline + Duration::from_secs(60), "{}", consortium.log(node));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    consortium.start_node(leader);
    load.stop().await;
    histories_are_the_same(&consortium).await;
    let all: Vec<usize> = (0..consortium.node_count()).collect();
    everything_told_stands(&consortium, &load, &all).await;
    money_is_conserved(&consortium).await;
}
