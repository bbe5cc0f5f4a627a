//! Nodes that misbehave, in a real consortium of real processes: each row of `docs/threat-model.md`
//! that speaks of one is tried here.

#![allow(clippy::unwrap_used)]

mod clients;
mod leaders;
mod signers;
mod strangers;

use std::time::{Duration, Instant};

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::outcome::Outcome;
use counterfoil_tests::banking::{accepted, account};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};

/// What each bank has at first, minor units.
const FUNDED: u64 = 1_000;

/// Three honest nodes and one that is not.
struct Trial {
    consortium: Consortium,
    liar: usize,
}

impl Trial {
    /// The liar follows.
    fn with_follower(behaviour: &str) -> Trial {
        Trial::with_follower_under(behaviour, "")
    }

    /// The liar follows, in a consortium with these lines in its policy.
    fn with_follower_under(behaviour: &str, policy: &str) -> Trial {
        let trial = Trial::founded(1, 3, policy);
        (0..3).for_each(|node| trial.consortium.start_node(node));
        trial.consortium.wait_ready();
        trial.consortium.start_misbehaving(trial.liar, behaviour);
        // A node that comes late costs the first leader its place; after that they are a group.
        let has_leader = |figure| figure == 1.0;
        trial.consortium.await_metric(trial.liar, "counterfoil_raft_has_leader", has_leader);
        trial.consortium.wait_ready();
        trial
    }

    /// The liar leads.
    fn with_leader(behaviour: &str) -> Trial {
        for _ in 0..5 {
            let trial = Trial::founded(4, 3, "");
            let consortium = &trial.consortium;
            // Nodes of a new consortium wait for each other; of those that begin together it is the
            // quickest to stand. On a busy machine they may not begin together.
            consortium.start_misbehaving(trial.liar, behaviour);
            trial.honest().for_each(|node| consortium.start_node(node));
            for node in 0..consortium.node_count() {
                let has_leader = |figure| figure == 1.0;
                consortium.await_metric(node, "counterfoil_raft_has_leader", has_leader);
            }
            if consortium.leader() == trial.liar {
                return trial;
            }
        }
        panic!("the liar is not elected");
    }

    /// Nobody runs yet; the liar stands for election so many times as quickly as the others.
    fn founded(quicker: u32, liar: usize, policy: &str) -> Trial {
        let consortium = Consortium::found_with_policy(policy);
        for node in 0..consortium.node_count() {
            let least = if node == liar { 800 / quicker } else { 800 };
            consortium.configure(
                node,
                &format!(
                    "filter = \"info,openraft=warn\"\n[raft]\nheartbeat_ms = 50\nelection_min_ms = {least}\nelection_max_ms = {}",
                    least * 2
                ),
            );
        }
        Trial { consortium, liar }
    }

    /// The places of the honest nodes.
    fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.consortium.node_count()).filter(|node| *node != self.liar)
    }

    /// A figure of each honest node, added up; whatever its labels.
    fn sum(&self, name: &str, label: &str) -> f64 {
        let of = |node| self.consortium.metrics(node, name, label);
        self.honest().map(of).sum()
    }

    /// Waits until the sum over the honest nodes is at least this much.
    async fn await_sum(&self, name: &str, label: &str, least: f64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.sum(name, label) < least {
            assert!(Instant::now() < deadline, "{name} {label}: {}", self.sum(name, label));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the honest nodes have a certificate of a height.
    async fn await_final(&self, height: u64) {
        self.await_final_at(&self.honest().collect::<Vec<_>>(), height).await;
    }

    /// Waits until some nodes have a certificate of a height.
    async fn await_final_at(&self, nodes: &[usize], height: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        for node in nodes {
            let client = self.consortium.client_at(AGENT, &[*node]);
            while client.node_status().await.unwrap().certified_height < height {
                assert!(Instant::now() < deadline, "node {} is not final", node + 1);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The exit code of a node that stops by itself, in time.
    async fn await_exit(&self, node: usize) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.consortium.is_running(node) {
            assert!(Instant::now() < deadline, "node {} runs", node + 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.consortium.await_exit(node)
    }

    /// A bank pays at the honest nodes, and its receipt is right.
    async fn pays(&self, bank: &str) -> Outcome {
        let nodes: Vec<usize> = self.honest().collect();
        let to = BANKS.into_iter().find(|other| *other != bank).unwrap();
        let order = instructions::transfer(account(bank, "CHF"), account(to, "CHF"), 1);
        accepted(&self.consortium.client_at(bank, &nodes), Order::transfer(order)).await
    }

    /// The liar has lost its office; the figure may be a moment old.
    fn liar_leads_no_more(&self) {
        let lost = |figure| figure == 0.0;
        self.consortium.await_metric(self.liar, "counterfoil_raft_is_leader", lost);
    }

    /// Nobody honest has stopped.
    fn everybody_runs(&self) {
        for node in self.honest() {
            assert!(self.consortium.is_running(node), "node {}", node + 1);
            assert!(!self.consortium.log(node).contains("panicked"), "node {}", node + 1);
        }
    }
}
