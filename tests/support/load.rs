//! Banks that pay each other without a pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use counterfoil_client::Client;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::outcome::Outcome;
use counterfoil_ledger::id::InstructionId;
use tokio::task::JoinHandle;

use crate::banking::account;
use crate::consortium::{BANKS, Consortium};

/// Banks that pay each other one unit at a time, and what they were told.
pub struct Load {
    shared: Arc<Shared>,
    banks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    told: Mutex<BTreeMap<InstructionId, Outcome>>,
    stop: AtomicBool,
}

impl Shared {
    async fn run(self: Arc<Shared>, client: Client, payer: usize, payee: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let (debit, credit) = (account(BANKS[payer], "CHF"), account(BANKS[payee], "CHF"));
            let order = Order::transfer(instructions::transfer(debit, credit, 1));
            // What has no answer is asked for by nobody.
            if let Ok(outcome) = client.submit(order).await {
                self.told.lock().expect("no task panics").insert(outcome.id, outcome);
            }
        }
    }

    fn count(&self) -> usize {
        self.told.lock().expect("no task panics").len()
    }
}

impl Load {
    /// So many payers at once, over accounts in CHF that are open and funded.
    pub fn start(consortium: &Consortium, payers: usize) -> Load {
        let shared = Arc::<Shared>::default();
        let banks = (0..payers)
            .map(|number| {
                let (payer, payee) = (number % BANKS.len(), (number + 1) % BANKS.len());
                let client = consortium.client(BANKS[payer]);
                tokio::spawn(shared.clone().run(client, payer, payee))
            })
            .collect();
        Load { shared, banks }
    }

    /// Waits until the banks have been told of this many more.
    pub async fn progress(&self, more: usize) {
        let goal = self.shared.count() + more;
        let waited = async {
            while self.shared.count() < goal {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, waited).await.expect("transfers settle again within a minute");
    }

    /// Lets the banks finish what they have begun, and no more.
    pub async fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        while !self.banks.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the banks were told, by instruction.
    pub fn told(&self) -> BTreeMap<InstructionId, Outcome> {
        self.shared.told.lock().expect("no task panics").clone()
    }
}
