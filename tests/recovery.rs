//! `kill -9` of any node, the leader, or all of them, at any moment, under load: nothing that was
//! acknowledged is lost or changed, money is conserved, and every node has the same history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use counterfoil_client::Client;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::outcome::Outcome;
use counterfoil_ledger::id::InstructionId;
use counterfoil_tests::banking::{account, balance, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};

const FUNDED: u64 = 1_000_000_000;

/// Banks that pay each other one unit at a time, and what they were told.
#[derive(Clone, Default)]
struct Load {
    told: Arc<Mutex<BTreeMap<InstructionId, Outcome>>>,
    unknown: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Load {
    async fn run(self, client: Client, payer: usize, payee: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let (debit, credit) = (account(BANKS[payer], "CHF"), account(BANKS[payee], "CHF"));
            let order = Order::transfer(instructions::transfer(debit, credit, 1));
            match client.submit(order).await {
                Ok(outcome) => {
                    self.told.lock().expect("no task panics").insert(outcome.id, outcome);
                }
                Err(_) => {
                    self.unknown.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn count(&self) -> usize {
        self.told.lock().expect("no task panics").len()
    }

    /// Waits until the banks have been told of this many more.
    async fn progress(&self, more: usize) {
        let goal = self.count() + more;
        let waited = async {
            while self.count() < goal {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, waited).await.expect("transfers settle again within a minute");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let load = Load::default();
    let banks: Vec<_> = (0..6)
        .map(|number| {
            let (payer, payee) = (number % 3, (number + 1) % 3);
            tokio::spawn(load.clone().run(consortium.client(BANKS[payer]), payer, payee))
        })
        .collect();

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
    load.stop.store(true, Ordering::Relaxed);
    for bank in banks {
        bank.await.expect("no bank panics");
    }

    everything_told_stands(&consortium, &load).await;
    money_is_conserved(&consortium).await;
    histories_are_the_same(&consortium).await;
}

async fn everything_told_stands(consortium: &Consortium, load: &Load) {
    let told = load.told.lock().expect("no task panics").clone();
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
