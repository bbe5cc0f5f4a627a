//! Leaders that leave out what they were handed, or that shade time: found out, and replaced.

use std::time::{Duration, Instant};

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::v1;
use counterfoil_tests::banking::{account, open_and_fund};
use counterfoil_tests::consortium::BANKS;
use counterfoil_tests::wire;
use prost::Message;

use crate::{FUNDED, Trial};

const DISBELIEVED: &str = "counterfoil_leaders_disbelieved_total";
const DEPOSED: &str = "counterfoil_leaders_deposed_total";
const PROMISES: &str = "counterfoil_promises_total";

/// What was promised is decided within this time: `PROMISE_TIME` of the node.
const PROMISE_TIME: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_censors_is_deposed_and_the_promise_kept() {
    let censored = BANKS[0];
    let trial = Trial::with_leader(&format!("censor:{censored}"));
    let consortium = &trial.consortium;
    open_and_fund(consortium, "CHF", FUNDED).await;
    let asked = trial.honest().next().unwrap();
    let client = consortium.client_at(censored, &[asked]);
    let pay = instructions::transfer(account(censored, "CHF"), account(BANKS[1], "CHF"), 1);
    let signed = client.sign(Order::transfer(pay)).await.unwrap();
    // It is left out, while others' business goes on.
    let impatient = client.with_deadline(Duration::from_secs(1));
    assert!(impatient.send(&signed).await.is_err(), "it is censored");
    trial.pays(BANKS[1]).await;

    let begun = Instant::now();
    let channel = wire::connect(
        consortium.client_address(asked),
        Some(&consortium.credential(censored, "client")),
    )
    .await
    .unwrap();
    let request = v1::RequestInclusionRequest {
        signed_instruction: Some(v1::SignedInstruction::decode(signed.bytes().clone()).unwrap()),
    };
    let path = "/counterfoil.v1.SettlementService/RequestInclusion";
    let answer = wire::call(&channel, path, request.encode_to_vec()).await.unwrap().unwrap();
    let promise = v1::RequestInclusionResponse::decode(answer).unwrap().promise.unwrap();
    assert_eq!(promise.signature.as_ref().unwrap().node, u64::try_from(asked).unwrap() + 1);

    let outcome = client.send(&signed).await.unwrap();
    println!("decided {:?} after the promise", begun.elapsed());
    assert!(outcome.is_accepted());
    assert!(begun.elapsed() < PROMISE_TIME, "{:?}", begun.elapsed());
    trial.liar_leads_no_more();
    trial.await_sum(DISBELIEVED, "ground=\"censors\"", 3.0).await;
    trial.await_sum(DEPOSED, "", 3.0).await;
    trial.await_sum(PROMISES, "kept", 1.0).await;
    assert_eq!(trial.sum(PROMISES, "broken"), 0.0);
    trial.pays(censored).await;
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_stamps_lag_is_deposed() {
    let trial = Trial::with_leader("shade-time:-3000");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let begun = Instant::now();
    while trial.sum(DEPOSED, "") < 3.0 {
        trial.pays(BANKS[0]).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", trial.sum(DISBELIEVED, "lags"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("deposed {:?} after the first payments", begun.elapsed());
    trial.pays(BANKS[0]).await;
    trial.liar_leads_no_more();
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_stamps_are_ahead_loses_its_office() {
    let trial = Trial::with_leader("shade-time:10000");
    // Its first proposal already is refused; what was ordered waits for another leader.
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    trial.liar_leads_no_more();
    let words = "a stamp is ahead of this node's clock";
    assert!(trial.sum("counterfoil_peer_messages_refused_total", words) >= 1.0);
    let outcome = trial.pays(BANKS[0]).await;
    assert!(outcome.verdict.height > 0);
    trial.everybody_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_scatters_signatures_does_not_stop_finality() {
    let trial = Trial::with_leader("scatter");
    let consortium = &trial.consortium;
    open_and_fund(consortium, "CHF", FUNDED).await;
    let nodes: Vec<usize> = trial.honest().collect();
    let begun = Instant::now();
    let busy = Duration::from_secs(6);
    // Without a pause: a quiet ledger gives all nodes one newest height.
    let payers: Vec<_> = (0..6)
        .map(|number: usize| {
            let (payer, payee) = (BANKS[number % 3], BANKS[(number + 1) % 3]);
            let client = consortium.client_at(payer, &nodes).with_finality(v1::Finality::Ordered);
            tokio::spawn(async move {
                while begun.elapsed() < busy {
                    let pay =
                        instructions::transfer(account(payer, "CHF"), account(payee, "CHF"), 1);
                    client.submit(Order::transfer(pay)).await.unwrap();
                }
            })
        })
        .collect();
    let first = consortium.metric(nodes[0], "counterfoil_height").unwrap();
    let (mut certified, mut since, mut longest) = (0.0, Instant::now(), Duration::ZERO);
    while begun.elapsed() < busy {
        let newest = consortium.metric(nodes[0], "counterfoil_certified_height").unwrap();
        longest = longest.max(since.elapsed());
        if newest > certified {
            (certified, since) = (newest, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for payer in payers {
        payer.await.unwrap();
    }
    println!("{} blocks, at most {longest:?} between certificates", certified - first);
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    for node in nodes {
        assert!(!consortium.log(node).contains("nothing new is admitted"), "node {}", node + 1);
    }
    assert_eq!(consortium.leader(), trial.liar, "it led all the time");
    trial.everybody_runs();
}
