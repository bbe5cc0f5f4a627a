//! Messages that no honest node sends: the firewall before Raft refuses and counts them.

use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::BANKS;

use crate::{FUNDED, Trial};

const REFUSED: &str = "counterfoil_peer_messages_refused_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_membership_is_refused_and_counted() {
    let trial = Trial::with_follower("forge-membership");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    trial.await_sum(REFUSED, "the membership is not the registry's", 30.0).await;
    trial.pays(BANKS[0]).await;
    for node in trial.honest() {
        assert!(trial.consortium.metrics(node, REFUSED, "peer=\"4\"") >= 1.0, "{node}");
    }
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_that_leap_are_refused_and_counted() {
    let trial = Trial::with_follower("leap-terms");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let leader = trial.consortium.leader();
    trial.await_sum(REFUSED, "the term leaps", 30.0).await;
    trial.pays(BANKS[0]).await;
    assert_eq!(trial.consortium.leader(), leader, "nobody took its office");
    for node in trial.honest() {
        let term = trial.consortium.metric(node, "counterfoil_raft_term").unwrap();
        assert!(term < 100.0, "{term}");
    }
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_takes_back_its_answers_ends_nobody() {
    let trial = Trial::with_follower("take-back");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let behind = "the answer goes back behind what was acknowledged";
    for rule in [behind, "the answer names an entry that was not sent"] {
        trial.await_sum(REFUSED, rule, 1.0).await;
    }
    trial.pays(BANKS[0]).await;
    trial.everybody_runs();
}
