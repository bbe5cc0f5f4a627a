//! Whether nodes have the same history and the same books.

use std::time::{Duration, Instant};

use crate::banking::account;
use crate::consortium::{AGENT, BANKS, Consortium};

/// Waits until these nodes stand at one certified height, and fails unless their headers and the
/// balances that they show are the same. Nothing may be submitted meanwhile.
pub async fn nodes_agree(consortium: &Consortium, nodes: &[usize]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let heights = || {
        let figure = |node: &usize| {
            let height = consortium.metric(*node, "counterfoil_height");
            let certified = consortium.metric(*node, "counterfoil_certified_height");
            (height, certified)
        };
        nodes.iter().map(figure).collect::<Vec<_>>()
    };
    loop {
        let found = heights();
        let first = found[0];
        if first.0.is_some() && first.0 == first.1 && found.iter().all(|it| *it == first) {
            break;
        }
        assert!(Instant::now() < deadline, "heights and certified heights: {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = Vec::new();
    for node in nodes {
        let client = consortium.client_at(AGENT, &[*node]);
        let headers = client.blocks(0).all().await.expect("the headers are told").value;
        let mut balances = Vec::new();
        for owner in std::iter::once(AGENT).chain(BANKS) {
            let answer = client.balance(account(owner, "CHF"), None).await;
            balances.push(answer.expect("the balance is told").value);
        }
        all.push((headers, balances));
    }
    for (node, found) in nodes.iter().zip(&all) {
        assert!(*found == all[0], "node {} differs from node {}", node + 1, nodes[0] + 1);
    }
}
