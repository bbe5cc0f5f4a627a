//! A voter that was stopped, or stood still, until the others had purged what it needs; and a learner
//! that comes with nothing. They catch up while banks pay on, and are as good as all others then.

use counterfoil_client::outcome::Outcome;
use counterfoil_tests::comparison::nodes_agree;
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::load::Load;

use crate::{CAUGHT_UP, LEARNER, await_log, founding, purge_beyond, start};

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_long_catches_up_under_load() {
    let consortium = start(&founding(1)).await;
    let load = Load::start(&consortium, 4);
    load.progress(40).await;
    let away = (consortium.leader() + 1) % LEARNER;
    let had = consortium.metric(away, "counterfoil_raft_last_log_index").unwrap();
    consortium.kill_node(away);
    purge_beyond(&consortium, &load, had).await;

    // The one with what it had, the other with nothing.
    consortium.start_node(away);
    consortium.start_node(LEARNER);
    await_log(&consortium, away, CAUGHT_UP, 1).await;
    await_log(&consortium, LEARNER, CAUGHT_UP, 1).await;
    load.progress(40).await;
    load.stop().await;
    nodes_agree(&consortium, &[0, 1, 2, 3, LEARNER]).await;
    let told = load.told();
    for node in [away, LEARNER] {
        receipts_verify(&consortium, node, told.values()).await;
    }

    // Its signature is needed now.
    let other = (0..LEARNER).find(|it| *it != away && *it != consortium.leader()).unwrap();
    consortium.kill_node(other);
    let load = Load::start(&consortium, 2);
    load.progress(10).await;
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stood_still_for_long_starts_again_by_itself() {
    let consortium = start(&founding(0)).await;
    let load = Load::start(&consortium, 4);
    load.progress(20).await;
    let still = (consortium.leader() + 1) % LEARNER;
    let had = consortium.metric(still, "counterfoil_raft_last_log_index").unwrap();
    consortium.signal_node(still, "-STOP");
    purge_beyond(&consortium, &load, had + 20.0).await;
    consortium.signal_node(still, "-CONT");
    await_log(&consortium, still, CAUGHT_UP, 1).await;
    load.progress(20).await;
    load.stop().await;
    assert!(consortium.is_running(still), "it is the same process");
    nodes_agree(&consortium, &[0, 1, 2, 3]).await;
}

/// Receipts of the oldest and the newest, from this node alone.
async fn receipts_verify<'a>(
    consortium: &Consortium,
    node: usize,
    told: impl Iterator<Item = &'a Outcome>,
) {
    let told: Vec<&Outcome> = told.collect();
    for outcome in told.iter().take(5).chain(told.iter().rev().take(5)) {
        let bank = BANKS.into_iter().find(|bank| *bank == outcome.institution.as_str()).unwrap();
        let client = consortium.client_at(bank, &[node]);
        client.receipt(outcome.id, 0).await.expect("its receipt verifies");
    }
}
