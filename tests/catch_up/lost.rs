//! A voter whose data is lost does not come back under its id; one that comes late for the first time
//! does.

use std::fs;

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::load::Load;

use crate::FUNDED;

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_may_come_late_once_and_without_its_data_never_again() {
    let consortium = Consortium::found();
    let late = 3;
    (0..late).for_each(|node| consortium.start_node(node));
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    consortium.start_node(late);
    let load = Load::start(&consortium, 3);
    load.progress(20).await;
    consortium.await_metric(late, "counterfoil_certified_height", |height| height > 0.0);

    consortium.kill_node(late);
    wipe(&consortium, late);
    load.progress(10).await;
    consortium.start_node(late);
    assert_eq!(consortium.await_exit(late), Some(78), "{}", consortium.log(late));
    let log = consortium.log(late);
    assert!(log.contains("the data of node 4 is lost"), "{log}");
    assert!(log.contains("spare node ids"), "what to do: {log}");

    // Nor while another node is away that knew it: any two of the others are enough.
    let leader = consortium.leader();
    let other = (0..late).find(|node| *node != leader).expect("there are three");
    load.stop().await;
    consortium.kill_node(other);
    consortium.start_node(late);
    assert_eq!(consortium.await_exit(late), Some(78), "{}", consortium.log(late));
}

/// The directory is as `counterfoil-node init` leaves it.
fn wipe(consortium: &Consortium, node: usize) {
    fs::remove_dir_all(consortium.node_home(node).join("data")).expect("it is there");
    let status = consortium.command(node, "init").status().expect("it starts");
    assert!(status.success(), "counterfoil-node init");
}
