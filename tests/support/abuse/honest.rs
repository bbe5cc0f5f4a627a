//! An honest client beside an attack: it pays at an even pace, and its answers are timed.

use std::time::{Duration, Instant};

use counterfoil_client::Client;
use counterfoil_client::instructions::{self, Order};
use tokio::task::JoinSet;

use crate::banking::account;
use crate::consortium::{BANKS, Consortium};

/// What honest clients were told in a while.
#[derive(Debug, Default)]
pub struct Told {
    /// How long each accepted transfer took from the moment at which it was due, sorted.
    pub times: Vec<Duration>,
    /// Transfers that failed.
    pub failed: usize,
}

impl Told {
    /// The time within which so many of a thousand were answered.
    pub fn per_mille(&self, share: usize) -> Option<Duration> {
        let place = (self.times.len() * share).div_ceil(1_000).checked_sub(1)?;
        self.times.get(place).copied()
    }
}

/// The second bank at one node, each client with a connection of its own.
pub fn clients(consortium: &Consortium, node: usize, count: usize) -> Vec<Client> {
    (0..count).map(|_| consortium.client_at(BANKS[1], &[node])).collect()
}

/// Pays so often, whether or not it was answered before; each client takes its turn.
pub async fn pay(clients: &[Client], every: Duration, during: Duration) -> Told {
    let began = Instant::now();
    let mut paying = JoinSet::new();
    for (number, client) in (0..).zip(clients.iter().cycle()) {
        let due = began + every * number;
        if due >= began + during {
            break;
        }
        let client = client.clone();
        paying.spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            let debit = account(BANKS[1], "CHF");
            let transfer = instructions::transfer(debit, account(BANKS[2], "CHF"), 1);
            let paid = client.submit(Order::transfer(transfer)).await;
            paid.ok().filter(|outcome| outcome.is_accepted()).map(|_| due.elapsed())
        });
    }
    let mut told = Told::default();
    while let Some(paid) = paying.join_next().await {
        match paid {
            Ok(Some(time)) => told.times.push(time),
            _ => told.failed += 1,
        }
    }
    told.times.sort_unstable();
    told
}
