//! A member, or a stranger, attacks a node in every way that `abuse::ATTACKS` lists. Meanwhile an honest
//! bank pays at the same node and is answered, a new connection of it is taken, the node's memory stays
//! bounded, and the node says whose fault it is; afterwards everything is as before.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use counterfoil_client::Client;
use counterfoil_tests::abuse::aside::Aside;
use counterfoil_tests::abuse::{ATTACKS, Attack, Scene, honest};
use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::footprint;

/// What a node may have in memory beyond what it had before the attack. One institution's share of
/// everything is about half of it; the rest is the allocator's.
const MEMORY_MAX: u64 = 768 << 20;

/// How long each attack goes on beside payments.
const DURING: Duration = Duration::from_secs(2);

/// Between two payments.
const EVERY: Duration = Duration::from_millis(250);

/// How long anything that is waited for may take, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

struct Attacked {
    consortium: Consortium,
    node: usize,
    honest: Vec<Client>,
}

impl Attacked {
    async fn start() -> Attacked {
        let consortium = Consortium::start();
        open_and_fund(&consortium, "CHF", 1 << 40).await;
        let node = consortium.leader();
        let honest = honest::clients(&consortium, node, 4);
        Attacked { consortium, node, honest }
    }

    async fn bear(&self, attack: Attack) {
        let name = attack.name;
        let process = self.consortium.process_id(self.node);
        footprint::forget_peak(process);
        let before = footprint::resident(process).unwrap();
        let scene = Arc::new(Scene::of(&self.consortium, self.node));
        let attacking = Aside::begin(attack, scene);
        let told = honest::pay(&self.honest, EVERY, DURING).await;
        assert_eq!(told.failed, 0, "{name}: honest payments");
        // Somebody who comes only now is served, too.
        let late = self.consortium.client_at(BANKS[1], &[self.node]);
        late.node_status().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(bound) = attack.bound {
            self.is_named(bound, name);
        }
        drop(attacking);
        let grown = footprint::peak(process).unwrap().saturating_sub(before);
        let slowest = told.times.last().copied().unwrap_or_default();
        println!(
            "{name}: {} paid, the slowest in {slowest:?}; {} MiB",
            told.times.len(),
            grown >> 20
        );
        assert!(grown < MEMORY_MAX, "{name}: {} MiB", grown >> 20);
        assert!(self.consortium.is_running(self.node), "{name}");
        assert!(!self.consortium.log(self.node).contains("panicked"), "{name}");
    }

    /// The node's metrics and its log say which institution met a bound.
    fn is_named(&self, bound: &str, attack: &str) {
        let labels = format!("institution=\"{}\",bound=\"{bound}\"", BANKS[0]);
        let deadline = Instant::now() + PATIENCE;
        while self.consortium.metrics(self.node, "counterfoil_beyond_share_total", &labels) < 1.0 {
            assert!(Instant::now() < deadline, "{attack}: nobody meets {bound}");
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = self.consortium.log(self.node);
        let named = log.lines().any(|line| {
            line.contains("wants more than its share")
                && line.contains(BANKS[0])
                && line.contains(bound)
        });
        assert!(named, "{attack}: the log names nobody for {bound}");
    }

    /// Nothing of an attack stays: connections are gone, payments are made, nobody honest was blamed.
    async fn recovers(&self) {
        let deadline = Instant::now() + PATIENCE;
        let connections = || {
            let client = "listener=\"client\"";
            self.consortium.metrics(self.node, "counterfoil_connections", client)
        };
        while connections() > 16.0 {
            assert!(Instant::now() < deadline, "{} connections stay", connections());
            std::thread::sleep(Duration::from_millis(100));
        }
        let told = honest::pay(&self.honest, EVERY, DURING).await;
        assert_eq!(told.failed, 0);
        let blamed = format!("institution=\"{}\"", BANKS[1]);
        let count = self.consortium.metrics(self.node, "counterfoil_beyond_share_total", &blamed);
        assert_eq!(count, 0.0, "an honest bank was held back");
        (0..self.consortium.node_count())
            .for_each(|node| assert!(self.consortium.is_running(node)));
    }
}

async fn all_of(mine: impl Fn(&Attack) -> bool) {
    let attacked = Attacked::start().await;
    for attack in ATTACKS.iter().copied().filter(mine) {
        attacked.bear(attack).await;
    }
    attacked.recovers().await;
}

/// Attacks that order something, or try to.
fn instructs(attack: &Attack) -> bool {
    let names = ["bad-signatures", "large-messages", "transfers", "batches", "inclusion"];
    names.contains(&attack.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_clients_are_served_whatever_one_connects_and_asks() {
    all_of(|attack| !instructs(attack)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_clients_are_served_whatever_one_orders() {
    all_of(instructs).await;
}
