//! Bad input through the real ports and files: each piece gets a clear, typed error and changes
//! nothing; no node dies of it, and nobody else is disturbed.

#![allow(clippy::unwrap_used)]

mod decided;
mod files;
mod forger;
mod peers;
mod ports;
mod requests;
mod shapes;

use counterfoil_client::audit::HistoryFilter;
use counterfoil_client::v1;
use counterfoil_ledger::header::Header;
use counterfoil_tests::banking::{account, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, CONSORTIUM, Consortium};

/// What each bank has at first, minor units.
const FUNDED: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_changes_nothing() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;

    let before = Picture::of(&consortium).await;
    shapes::are_refused(&consortium).await;
    requests::are_refused(&consortium).await;
    files::are_refused(&consortium);
    peers::are_refused(&consortium).await;
    ports::bear_it(&consortium).await;
    everything_runs(&consortium).await;
    let after = Picture::of(&consortium).await;
    assert_eq!(before.headers, after.headers, "no block was made of it");
    assert_eq!(before, after);

    // What only the state can tell is decided: it burns its id, leaves a leaf, and moves nothing.
    decided::rejections_move_nothing(&consortium).await;
    everything_runs(&consortium).await;
    let last = Picture::of(&consortium).await;
    assert_eq!(last.accounts, after.accounts);
    assert_eq!(last.settled, after.settled);
    assert!(last.refused.len() > after.refused.len());

    decided::ids_name_one_content(&consortium).await;
    decided::sums_that_fit_nowhere(&consortium).await;
    everything_runs(&consortium).await;
}

/// The ledger as its supervisor sees it.
#[derive(Debug, PartialEq)]
struct Picture {
    /// Headers of blocks with leaves.
    headers: Vec<Header>,
    accounts: Vec<v1::Account>,
    settled: Vec<v1::TransferRecord>,
    refused: Vec<v1::TransferRecord>,
    breaks: Vec<v1::Break>,
}

impl Picture {
    async fn of(consortium: &Consortium) -> Picture {
        let supervisor = consortium.reader(AGENT, "auditor");
        let headers = supervisor.blocks(0).all().await.unwrap().value;
        let filter = HistoryFilter { include_rejected: true, ..HistoryFilter::default() };
        let history = supervisor.history(filter).all().await.unwrap().value;
        let is_settled = |it: &v1::TransferRecord| {
            it.verdict.as_ref().is_some_and(|it| it.state() == v1::State::Settled)
        };
        let (settled, refused) = history.into_iter().partition(is_settled);
        let mut breaks = Vec::new();
        for bank in BANKS {
            let of_bank =
                supervisor.breaks(account(bank, "CHF"), v1::Comparison::Unspecified, true);
            breaks.extend(of_bank.all().await.unwrap().value);
        }
        Picture {
            headers: headers.into_iter().filter(|header| header.leaf_count > 0).collect(),
            accounts: supervisor.accounts(None).all().await.unwrap().value,
            settled,
            refused,
            breaks,
        }
    }
}

/// Every node lives, answers, and has not panicked.
async fn everything_runs(consortium: &Consortium) {
    for node in 0..consortium.node_count() {
        assert!(consortium.is_running(node), "node {}", node + 1);
        let log = consortium.log(node);
        assert!(!log.contains("panicked"), "node {}:\n{log}", node + 1);
        assert!(consortium.http_get(node, "/readyz").unwrap().starts_with("HTTP/1.1 200"));
        let client = consortium.client_at(BANKS[0], &[node]);
        assert_eq!(client.node_status().await.unwrap().id, u64::try_from(node).unwrap() + 1);
        assert!(client.node_status().await.unwrap().uptime_s < 600);
        assert_eq!(client.cluster_status().await.unwrap().consortium, CONSORTIUM);
    }
}
