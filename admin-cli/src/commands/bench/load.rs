//! The load: clients that send one order after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use counterfoil_client::client::Client;
use counterfoil_client::outcome::Verdict;
use counterfoil_client::{Error, Order, instructions};
use counterfoil_ledger::account::AccountId;
use tokio::task::JoinSet;

use crate::context::Settings;
use crate::error::Failure;
use crate::session;

/// After a failure a client waits: a consortium that is overloaded gets no more load for it.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients that are running.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    stopped: AtomicBool,
    taken: Mutex<Taken>,
}

/// What was answered while it was measured.
#[derive(Default)]
pub struct Taken {
    /// Transfers.
    pub settled: u64,
    /// Transfers.
    pub rejected: u64,
    /// Orders without an outcome.
    pub failed: u64,
    /// Of each order that was answered, from sending to outcome, microseconds; ascending.
    pub latencies_us: Vec<u32>,
    /// One of the failures or rejections.
    pub problem: Option<String>,
}

impl Load {
    /// Starts clients, each with a connection of its own, spread over the endpoints. With a pace each
    /// client begins an order that often, and what waits for a late one counts from when it was due.
    pub fn start(
        settings: &Settings,
        clients: u16,
        batch: u16,
        pace: Option<Duration>,
        accounts: Vec<AccountId>,
    ) -> Result<Load, Failure> {
        let began = Instant::now();
        let shared = Arc::new(Shared { stopped: AtomicBool::new(false), taken: Mutex::default() });
        let accounts: Arc<[AccountId]> = accounts.into();
        let mut running = JoinSet::new();
        let mut first: Option<Client> = None;
        for place in 0..clients {
            let number = usize::from(place);
            let client = session::unjournalled(settings, number, first.as_ref())?;
            first.get_or_insert_with(|| client.clone());
            let worker = Worker {
                client,
                shared: Arc::clone(&shared),
                accounts: Arc::clone(&accounts),
                batch: usize::from(batch),
                next: number,
                pace: pace.map(|pace| Pace {
                    every: pace,
                    due: began + pace.mul_f64(f64::from(place) / f64::from(clients)),
                }),
            };
            running.spawn(worker.run());
        }
        Ok(Load { shared, clients: running })
    }

    /// Forgets what was answered so far and begins to measure.
    pub fn measure(&self) -> Instant {
        *self.shared.taken() = Taken::default();
        Instant::now()
    }

    /// What was answered since.
    pub fn take(&self, started: Instant) -> (Duration, Taken) {
        let mut taken = std::mem::take(&mut *self.shared.taken());
        let window = started.elapsed();
        taken.latencies_us.sort_unstable();
        (window, taken)
    }

    /// Lets every client finish its order.
    pub async fn stop(mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
    }
}

impl Shared {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    client: Client,
    shared: Arc<Shared>,
    accounts: Arc<[AccountId]>,
    batch: usize,
    next: usize,
    pace: Option<Pace>,
}

/// When a client begins its orders.
struct Pace {
    every: Duration,
    due: Instant,
}

impl Pace {
    /// Waits until the next order is due; returns when that was.
    async fn wait(&mut self) -> Instant {
        let due = self.due;
        self.due += self.every;
        tokio::time::sleep_until(due.into()).await;
        due
    }
}

impl Worker {
    async fn run(mut self) {
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let order = self.order();
            let due = match &mut self.pace {
                Some(pace) => Some(pace.wait().await),
                None => None,
            };
            if let Err(error) = self.send(order, due).await {
                self.shared.taken().fail(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn send(&self, order: Order, due: Option<Instant>) -> Result<(), Error> {
        let signed = self.client.sign(order).await?;
        let sent = due.unwrap_or_else(Instant::now);
        let outcome = self.client.send(&signed).await?;
        let latency = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
        let verdicts = match outcome.items.as_slice() {
            [] => std::slice::from_ref(&outcome.verdict),
            items => items,
        };
        self.shared.taken().add(latency, verdicts);
        Ok(())
    }

    fn order(&mut self) -> Order {
        match self.batch {
            1 => Order::transfer(self.transfer()),
            count => Order::transfers((0..count).map(|_| self.transfer()).collect(), false),
        }
    }

    /// From each account to the one behind it, in a ring: what it pays comes round again.
    fn transfer(&mut self) -> counterfoil_proto::v1::Transfer {
        let (debit, credit) = (self.account(0), self.account(1));
        self.next = self.next.wrapping_add(1);
        instructions::transfer(debit, credit, 1)
    }

    fn account(&self, ahead: usize) -> AccountId {
        self.accounts[self.next.wrapping_add(ahead) % self.accounts.len()]
    }
}

impl Taken {
    fn fail(&mut self, error: &Error) {
        self.failed += 1;
        self.problem.get_or_insert_with(|| error.to_string());
    }

    fn add(&mut self, latency_us: u32, verdicts: &[Verdict]) {
        self.latencies_us.push(latency_us);
        for verdict in verdicts {
            match &verdict.rejection {
                None => self.settled += 1,
                Some(rejection) => {
                    self.rejected += 1;
                    self.problem.get_or_insert_with(|| rejection.name.clone());
                }
            }
        }
    }
}
