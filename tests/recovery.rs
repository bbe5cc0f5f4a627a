//! `kill -9` of any node, the leader, or all of them, at any moment, under load: nothing that was
//! acknowledged is lost or changed, money is conserved, and every node has the same history.

use counterfoil_tests::banking::{balance, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
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

    everything_told_stands(&consortium, &load).await;
    money_is_conserved(&consortium).await;
    histories_are_the_same(&consortium).await;
}

async fn everything_told_stands(consortium: &Consortium, load: &Load) {
    let told = load.told();
    for node in 0..consortium.node_count() {
        let clients = BANKS.map(|bank| consortium.client_at(bank, &[node]));
        for (id, outcome) in &told {
            let place = BANKS.iter().position(|bank| *bank == outcome.institution.as_str());
            let client = &clients[place.expect("a bank of ours")];
            let now = client.instruction(*id).await.expect("an acknowledged id is known").value;
            assert_eq!(now.outcome.verdict, outcome.verdict, "node {} on {id}", node + 1);
        }
    }
}

async fn money_is_conserved(consortium: &Consortium) {
    let agent = consortium.client(AGENT);
    let mut sum = balance(&agent, AGENT, "CHF").await;
    for bank in BANKS {
        sum += balance(&agent, bank, "CHF").await;
    }
    assert_eq!(sum, 0);
}

async fn histories_are_the_same(consortium: &Consortium) {
    let mut all = Vec::new();
    for node in 0..consortium.node_count() {
        let client = consortium.client_at(AGENT, &[node]);
        let headers = client.blocks(0).all().await.expect("the headers are told").value;
        all.push(headers);
    }
    let shortest = all.iter().map(Vec::len).min().expect("there are nodes");
    assert!(shortest > 50, "{shortest} blocks");
    for (node, headers) in all.iter().enumerate() {
        assert_eq!(headers[..shortest], all[0][..shortest], "node {}", node + 1);
    }
}
