//! What holds after every accident: what was told stands, money is conserved, histories are the same.

use std::time::{Duration, Instant};

use counterfoil_client::Client;

use crate::banking::balance;
use crate::consortium::{AGENT, BANKS, Consortium};
use crate::load::Load;

/// Everything that banks were told of is what every one of these nodes says now.
pub async fn everything_told_stands(consortium: &Consortium, load: &Load, nodes: &[usize]) {
    let told = load.told();
    for node in nodes {
        let clients = BANKS.map(|bank| consortium.client_at(bank, &[*node]));
        for (id, outcome) in &told {
            let place = BANKS.iter().position(|bank| *bank == outcome.institution.as_str());
            let client = &clients[place.expect("a bank of ours")];
            let now = client.instruction(*id).await.expect("an acknowledged id is known").value;
            assert_eq!(now.outcome.verdict, outcome.verdict, "node {} on {id}", node + 1);
        }
    }
}

/// No money came or went.
pub async fn money_is_conserved(consortium: &Consortium) {
    let agent = consortium.client(AGENT);
    let mut sum = balance(&agent, AGENT, "CHF").await;
    for bank in BANKS {
        sum += balance(&agent, bank, "CHF").await;
    }
    assert_eq!(sum, 0);
}

/// All nodes have the same headers, once those that were away have caught up.
pub async fn histories_are_the_same(consortium: &Consortium) {
    let nodes = 0..consortium.node_count();
    let clients: Vec<Client> =
        nodes.clone().map(|node| consortium.client_at(AGENT, &[node])).collect();
    let height = |node: usize| consortium.metric(node, "counterfoil_height").unwrap_or(0.0);
    let deadline = Instant::now() + Duration::from_secs(60);
    let highest = nodes.clone().map(height).fold(0.0, f64::max);
    for node in nodes {
        while height(node) < highest {
            assert!(Instant::now() < deadline, "node {} catches up", node + 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut all = Vec::new();
    for client in &clients {
        all.push(client.blocks(0).all().await.expect("the headers are told").value);
    }
    let shortest = all.iter().map(Vec::len).min().expect("there are nodes");
    for (node, headers) in all.iter().enumerate() {
        assert_eq!(headers[..shortest], all[0][..shortest], "node {}", node + 1);
    }
    assert!(shortest as f64 >= highest, "{shortest} blocks of {highest}");
}
