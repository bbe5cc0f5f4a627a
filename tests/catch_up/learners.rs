//! A node that only follows: it executes everything, serves readers and hands on what is submitted,
//! and counts for nothing.

use std::time::{Duration, Instant};

use counterfoil_client::instructions::{self, Order};
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::comparison::nodes_agree;
use counterfoil_tests::consortium::{BANKS, Consortium, Founding};
use counterfoil_tests::load::Load;

use crate::{FUNDED, LEARNER};

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_follows_everything_and_counts_for_nothing() {
    let consortium = Consortium::found_with(&Founding { learners: 2, ..Founding::default() });
    (0..LEARNER).for_each(|voter| consortium.start_node(voter));
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let load = Load::start(&consortium, 3);
    load.progress(30).await;

    consortium.start_node(LEARNER);
    load.progress(30).await;
    load.stop().await;
    nodes_agree(&consortium, &[0, LEARNER]).await;

    // It hands on what it is given, and what it answers verifies.
    let client = consortium.client_at(BANKS[0], &[LEARNER]);
    let (debit, credit) = (account(BANKS[0], "CHF"), account(BANKS[1], "CHF"));
    let order = Order::transfer(instructions::transfer(debit, credit, 7));
    let outcome = accepted(&client, order).await;
    client.receipt(outcome.id, 0).await.expect("its receipt verifies");

    // The other learner was never started.
    await_status(&consortium, &["voters 4/4", "HEALTHY", "spare-5", "learner, away"]).await;

    // Three voters are a quorum; two and a learner are not.
    let away = (consortium.leader() + 1) % LEARNER;
    consortium.kill_node(away);
    let load = Load::start(&consortium, 3);
    load.progress(10).await;
    load.stop().await;
    let also = (0..LEARNER).find(|voter| *voter != away && *voter != consortium.leader()).unwrap();
    consortium.kill_node(also);
    await_status(&consortium, &["NO QUORUM", "voters 2/4"]).await;
    consortium.start_node(away);
    consortium.start_node(also);
    let load = Load::start(&consortium, 3);
    load.progress(10).await;
    load.stop().await;
}

/// Waits until `counterfoil cluster status` shows all of these words.
async fn await_status(consortium: &Consortium, words: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut command = consortium.command_line(BANKS[0], "operator");
        let output = command.args(["cluster", "status"]).output().expect("it starts");
        let shown = String::from_utf8(output.stdout).expect("it prints text");
        if words.iter().all(|word| shown.contains(word)) {
            return;
        }
        assert!(Instant::now() < deadline, "{words:?}: {shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
