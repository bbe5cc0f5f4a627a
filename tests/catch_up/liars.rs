//! Nodes that tell who catches up what is not so: nothing of it is kept, and another is asked.

use counterfoil_tests::comparison::nodes_agree;
use counterfoil_tests::load::Load;

use crate::{CAUGHT_UP, LEARNER, await_log, founding, purge_beyond, start};

const SNAPSHOT: &str = "counterfoil_snapshot_height";

#[tokio::test(flavor = "multi_thread")]
async fn false_blocks_and_a_false_snapshot_are_not_taken() {
    let consortium = start(&founding(2)).await;
    let load = Load::start(&consortium, 4);
    purge_beyond(&consortium, &load, 0.0).await;
    load.stop().await;
    // Of those that offer the same the one with the smallest id is asked first.
    let liar = 0;
    for (behaviour, learner, words) in [
        ("false-blocks", LEARNER, "leaves a node from which it read blocks"),
        ("false-content", LEARNER + 1, "leaves a node from which it received a snapshot"),
    ] {
        consortium.kill_node(liar);
        consortium.start_misbehaving(liar, behaviour);
        consortium.await_metric(liar, "counterfoil_raft_has_leader", |has| has == 1.0);
        // It is asked when it offers what the others offer, and answers of blocks that it knows to
        // be certified: it hears both again from them.
        let heights = (0..LEARNER).map(|voter| consortium.metric(voter, SNAPSHOT).unwrap());
        let newest = heights.fold(0.0, f64::max);
        for height in [SNAPSHOT, "counterfoil_certified_height"] {
            consortium.await_metric(liar, height, |it| it >= newest);
        }
        consortium.start_node(learner);
        await_log(&consortium, learner, CAUGHT_UP, 1).await;
        let log = consortium.log(learner);
        let left = log.lines().find(|line| line.contains(words));
        assert!(left.is_some_and(|line| line.contains("Lies")), "{behaviour}: {log}");
    }
    let load = Load::start(&consortium, 3);
    load.progress(10).await;
    load.stop().await;
    nodes_agree(&consortium, &[1, 2, 3, LEARNER, LEARNER + 1]).await;
}
