//! A node that is killed while it catches up goes on where it was, with the state that it had or with
//! the new one, at whatever step it was.

use std::time::Duration;

use counterfoil_tests::comparison::nodes_agree;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::load::Load;

use crate::{CAUGHT_UP, LEARNER, await_log, founding, purge_beyond, start};

/// In the order in which a node gets to them.
const STEPS: [&str; 8] =
    ["receiving", "received", "copied", "following", "followed", "records", "settled", "promoted"];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_step_and_at_any_moment_it_has_the_old_state_or_the_new() {
    let consortium = start(&founding(1)).await;
    let load = Load::start(&consortium, 4);
    load.progress(20).await;
    let away = (consortium.leader() + 1) % LEARNER;
    let had = consortium.metric(away, "counterfoil_raft_last_log_index").unwrap();
    consortium.kill_node(away);
    purge_beyond(&consortium, &load, had).await;
    load.stop().await;

    for step in STEPS {
        consortium.start_misbehaving(away, &format!("die-at:{step}"));
        assert_eq!(consortium.await_exit(away), None, "it ends at {step}");
        assert!(consortium.log(away).contains(&format!("step=\"{step}\"")), "{step}");
    }
    consortium.start_node(away);
    await_ready(&consortium, away);
    nodes_agree(&consortium, &[0, 1, 2, 3]).await;

    // A learner with nothing, at moments that nobody chose.
    for pause in [300, 700, 1_100, 1_500] {
        consortium.start_node(LEARNER);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        consortium.kill_node(LEARNER);
    }
    consortium.start_node(LEARNER);
    await_log(&consortium, LEARNER, CAUGHT_UP, 1).await;
    let load = Load::start(&consortium, 3);
    load.progress(20).await;
    load.stop().await;
    nodes_agree(&consortium, &[0, 1, 2, 3, LEARNER]).await;
}

fn await_ready(consortium: &Consortium, node: usize) {
    consortium.await_metric(node, "counterfoil_raft_has_leader", |has| has == 1.0);
}
