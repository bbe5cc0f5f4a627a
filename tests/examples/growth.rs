//! What becomes of speed, memory, disk and start-up as the ledger grows: three of four nodes of a
//! consortium of this machine settle transfers between accounts that are drawn anew for each, and at
//! each size everything is measured again.
//!
//! `cargo run --release -p counterfoil-tests --example growth -- --accounts 10000 --transfers 1000000,10000000`;
//! the node's program of the same profile is built before.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use counterfoil_client::Client;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::v1;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_tests::banking::accepted;
use counterfoil_tests::chaos::chance::Chance;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::footprint;
use counterfoil_tests::measuring::{self, Failure, Percentiles, RUNNING, client_of, decided};
use tokio::task::JoinSet;

/// Transfers of a large batch, and clients that send some.
const BATCH: usize = 8_000;
const BATCH_CLIENTS: usize = 2;

/// Clients that send single transfers, and how many each sends at each size.
const SINGLE_CLIENTS: usize = 64;
const SINGLES_EACH: usize = 150;

/// Accounts are opened by so many at once.
const OPENERS: usize = 512;

/// Queries of each kind at each size.
const QUERIES: usize = 1_000;
const PAGE: u32 = 100;

/// Between one kind of load and what is measured next.
const SETTLING: Duration = Duration::from_secs(20);

/// What each account has at first, and a node may take to start.
const FUNDS: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    measuring::program("growth", run()).await
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (accounts, sizes) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--accounts", accounts, "--transfers", sizes] => {
            (measuring::number(accounts)?, measuring::numbers(sizes)?)
        }
        _ => return Err("usage: growth --accounts NUMBER --transfers NUMBER[,NUMBER…]".into()),
    };
    let consortium = measuring::consortium();
    let began = Instant::now();
    let mut ledger = Ledger::open(consortium, accounts.max(2 * BANKS.len())).await?;
    println!("{} accounts, opened and funded in {:.0} s", ledger.count(), seconds(began));
    println!("{}", Row::HEAD);
    for size in sizes {
        println!("{}", ledger.grow(size).await?);
    }
    Ok(())
}

/// A consortium and what has been settled there.
struct Ledger {
    consortium: Consortium,
    /// Of each bank.
    accounts: Vec<Arc<Vec<AccountId>>>,
    transfers: usize,
    /// Some of what was settled, of any age, with the bank that did.
    known: Vec<(usize, InstructionId, Uetr)>,
    chance: Chance,
}

/// What is measured at one size.
struct Row {
    transfers: usize,
    batches: f64,
    batch_latency: Percentiles,
    singles: f64,
    single_latency: Percentiles,
    memory: u64,
    start: Duration,
    disk: u64,
    by_id: Percentiles,
    by_uetr: Percentiles,
    by_page: Percentiles,
}

impl Ledger {
    /// Opens and funds accounts: the agent services all, each bank owns its share.
    async fn open(consortium: Consortium, count: usize) -> Result<Ledger, Failure> {
        let agent = client_of(&consortium, AGENT);
        let bic = |text| Bic::parse(text);
        let (servicer, asset) = (bic(AGENT)?, AssetCode::parse("CHF")?);
        let issuance = AccountId::of(&servicer, &servicer, "CHF", "issuance");
        accepted(&agent, Order::open_account(&servicer, &servicer, &asset, "issuance")).await;
        let mut accounts = Vec::new();
        for bank in BANKS {
            let owner = bic(bank)?;
            let names = (0..count / BANKS.len()).map(|number| format!("a-{number}"));
            let (mut ids, mut opening) = (Vec::new(), JoinSet::new());
            for name in names {
                ids.push(AccountId::of(&servicer, &owner, "CHF", &name));
                if opening.len() >= OPENERS {
                    decided(&mut opening).await?;
                }
                let order = Order::open_account(&servicer, &owner, &asset, &name);
                let agent = agent.with_finality(v1::Finality::Ordered);
                opening.spawn(async move { agent.submit(order).await });
            }
            while !opening.is_empty() {
                decided(&mut opening).await?;
            }
            for some in ids.chunks(BATCH) {
                let fund = |account: &AccountId| instructions::transfer(issuance, *account, FUNDS);
                accepted(&agent, Order::transfers(some.iter().map(fund).collect(), true)).await;
            }
            accounts.push(Arc::new(ids));
        }
        let (transfers, known) = (count, Vec::new());
        Ok(Ledger { consortium, accounts, transfers, known, chance: Chance::of(1, "growth") })
    }

    fn count(&self) -> usize {
        self.accounts.iter().map(|it| it.len()).sum()
    }

    /// Settles until there are so many transfers, and measures.
    async fn grow(&mut self, size: usize) -> Result<Row, Failure> {
        let (before, began) = (self.transfers, Instant::now());
        let mut batch_latency = Vec::new();
        let clients: Vec<Client> = BANKS
            .iter()
            .take(BATCH_CLIENTS)
            .map(|bank| client_of(&self.consortium, bank))
            .collect();
        while self.transfers < size {
            let mut paying = JoinSet::new();
            for (bank, client) in clients.iter().cloned().enumerate() {
                let orders: Vec<_> = (0..8).map(|_| self.draw(bank, BATCH)).collect();
                paying.spawn(pay(client, bank, orders));
            }
            while let Some(paid) = paying.join_next().await {
                self.take(paid??, &mut batch_latency);
            }
            eprint!("\r{} of {size} transfers", self.transfers);
        }
        eprintln!();
        let batches = per_second(self.transfers - before, began);

        // Runs are merged and logs written out in the background.
        tokio::time::sleep(SETTLING).await;
        let (mut single_latency, began) = (Vec::new(), Instant::now());
        let mut paying = JoinSet::new();
        for number in 0..SINGLE_CLIENTS {
            let bank = number % BANKS.len();
            let orders: Vec<_> = (0..SINGLES_EACH).map(|_| self.draw(bank, 1)).collect();
            paying.spawn(pay(client_of(&self.consortium, BANKS[bank]), bank, orders));
        }
        while let Some(paid) = paying.join_next().await {
            self.take(paid??, &mut single_latency);
        }
        let singles = per_second(SINGLE_CLIENTS * SINGLES_EACH, began);

        let memory = footprint::resident(self.consortium.process_id(0)).unwrap_or(0);
        tokio::time::sleep(SETTLING).await;
        let disk = footprint::stored(&self.consortium, 0);
        let start = self.start_again().await?;
        let (by_id, by_uetr, by_page) = self.ask().await?;
        Ok(Row {
            transfers: self.transfers,
            batches,
            batch_latency: Percentiles::of(batch_latency),
            singles,
            single_latency: Percentiles::of(single_latency),
            memory,
            start,
            disk,
            by_id,
            by_uetr,
            by_page,
        })
    }

    /// Transfers of one bank between accounts of its own and others'.
    fn draw(&mut self, bank: usize, count: usize) -> Vec<v1::Transfer> {
        let transfer = |chance: &mut Chance, accounts: &[Arc<Vec<AccountId>>]| {
            let pick = |chance: &mut Chance, bank: usize| {
                let own = &accounts[bank];
                own[chance.place(own.len())]
            };
            let payee = (bank + 1 + chance.place(BANKS.len() - 1)) % BANKS.len();
            let (debit, credit) = (pick(chance, bank), pick(chance, payee));
            instructions::transfer(debit, credit, 1)
        };
        (0..count).map(|_| transfer(&mut self.chance, &self.accounts)).collect()
    }

    fn take(&mut self, paid: Paid, latencies: &mut Vec<Duration>) {
        self.transfers += paid.count;
        latencies.extend(paid.latencies);
        self.known.extend(paid.known);
    }

    /// Stops a node and starts it again; returns how long it takes until it is ready.
    async fn start_again(&self) -> Result<Duration, Failure> {
        let node =
            (0..RUNNING).find(|node| *node != self.consortium.leader()).ok_or("no follower")?;
        self.consortium.stop_node(node);
        let began = Instant::now();
        self.consortium.start_node(node);
        while began.elapsed() < PATIENCE {
            if self
                .consortium
                .http_get(node, "/readyz")
                .is_some_and(|it| it.starts_with("HTTP/1.1 200"))
            {
                return Ok(began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(format!("it does not start:\n{}", self.consortium.log(node)).into())
    }

    /// Asks for some of everything, one after the other.
    async fn ask(&mut self) -> Result<(Percentiles, Percentiles, Percentiles), Failure> {
        let clients: Vec<Client> =
            BANKS.iter().map(|bank| client_of(&self.consortium, bank)).collect();
        // Single transfers: a batch is answered whole.
        let (mut by_id, mut by_uetr, mut by_page) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..QUERIES {
            let (bank, id, uetr) = self.known[self.chance.place(self.known.len())];
            let client = &clients[bank];
            let began = Instant::now();
            client.instruction(id).await?;
            by_id.push(began.elapsed());
            let began = Instant::now();
            let found = client.transfers_by_uetr(uetr).await?;
            by_uetr.push(began.elapsed());
            if found.value.len() != 1 {
                return Err(format!("{} transfers of one UETR", found.value.len()).into());
            }
            let account = self.accounts[bank][self.chance.place(self.accounts[bank].len())];
            let began = Instant::now();
            client.movements(account, None, None).page_size(PAGE).next().await?;
            by_page.push(began.elapsed());
        }
        Ok((Percentiles::of(by_id), Percentiles::of(by_uetr), Percentiles::of(by_page)))
    }
}

/// What one client has settled.
#[derive(Default)]
struct Paid {
    count: usize,
    latencies: Vec<Duration>,
    known: Vec<(usize, InstructionId, Uetr)>,
}

/// Sends one order after the other, each when the one before is final.
async fn pay(client: Client, bank: usize, orders: Vec<Vec<v1::Transfer>>) -> Result<Paid, Failure> {
    let mut paid = Paid::default();
    for transfers in orders {
        let (count, uetr) = (transfers.len(), Uetr::from_bytes(&transfers[0].uetr));
        let order = match <[v1::Transfer; 1]>::try_from(transfers) {
            Ok([single]) => Order::transfer(single),
            Err(several) => Order::transfers(several, false),
        };
        let began = Instant::now();
        let outcome = client.submit(order).await?;
        paid.latencies.push(began.elapsed());
        if outcome.rejections().next().is_some() {
            return Err("a transfer is rejected".into());
        }
        paid.count += count;
        if count == 1 {
            paid.known.push((bank, outcome.id, uetr?));
        }
    }
    Ok(paid)
}

impl Row {
    const HEAD: &str = "\
| transfers | batches of 8,000 /s | p50, p99 ms | singly, 64 clients /s | p50, p99 ms | memory | start s | bytes per transfer | by id p50, p99 ms | by UETR | account page |
|---|---|---|---|---|---|---|---|---|---|---|";
}

impl std::fmt::Display for Row {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            to,
            "| {} | {:.0} | {} | {:.0} | {} | {:.2} GiB | {:.2} | {} | {} | {} | {} |",
            self.transfers,
            self.batches,
            self.batch_latency,
            self.singles,
            self.single_latency,
            self.memory as f64 / f64::from(1 << 30),
            self.start.as_secs_f64(),
            self.disk / self.transfers as u64,
            self.by_id,
            self.by_uetr,
            self.by_page,
        )
    }
}

fn seconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64()
}

fn per_second(count: usize, began: Instant) -> f64 {
    count as f64 / seconds(began)
}
