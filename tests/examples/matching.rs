//! How fast two books agree: three of four nodes of a consortium of this machine settle transfers in
//! batches, then a bank posts its book of them, one entry in a thousand with another amount. Each
//! size has an account of its own, so that the sizes can be compared.
//!
//! `cargo run --release -p counterfoil-tests --example matching -- 10000,100000,1000000`; the node's program of the same
//! profile is built before.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use counterfoil_client::Client;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::reconciliation::Happened;
use counterfoil_client::v1;
use counterfoil_client::watch::{Checkpoint, Event, Position};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::accepted;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::footprint;
use counterfoil_tests::measuring::{self, Failure, Percentiles, client_of, decided};
use tokio::task::JoinSet;

/// Items of a batch, and how many batches are on their way at once.
const BATCH: usize = 1_000;
const AT_ONCE: usize = 4;

/// One entry of so many has another amount.
const BROKEN: usize = 1_000;

/// Entries that are posted at half the pace while somebody watches: in batches of so many, and beside
/// them at most so many one by one.
const WATCHED: usize = 60_000;
const LOAD_BATCH: usize = 100;
const ONES: usize = 500;

/// What everybody may take to be seen.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    measuring::program("matching", run()).await
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sizes] = &arguments[..] else { return Err("usage: matching NUMBER[,NUMBER…]".into()) };
    let sizes = measuring::numbers(sizes)?;
    let consortium = measuring::consortium();
    println!("{HEAD}");
    for (number, size) in sizes.into_iter().enumerate() {
        let desk = Desk::open(&consortium, &format!("book-{number}")).await?;
        println!("{}", desk.measure(size).await?);
    }
    Ok(())
}

/// A bank that reconciles an account of its own, and one that it pays.
struct Desk<'a> {
    consortium: &'a Consortium,
    bank: Client,
    own: AccountId,
    other: AccountId,
    today: Date,
}

const HEAD: &str = "\
| postings and entries | transfers /s | entries /s | ratio | one entry until it is seen final, p50, p99 ms, at half that load | matched | breaks | report s | memory of a node |
|---|---|---|---|---|---|---|---|---|";

impl<'a> Desk<'a> {
    async fn open(consortium: &'a Consortium, name: &str) -> Result<Desk<'a>, Failure> {
        let agent = client_of(consortium, AGENT);
        let bank = client_of(consortium, BANKS[0]);
        let (servicer, asset) = (Bic::parse(AGENT)?, AssetCode::parse("CHF")?);
        let [own, other] = [BANKS[0], BANKS[1]];
        let mut ids = Vec::new();
        for owner in [AGENT, own, other] {
            let owner = Bic::parse(owner)?;
            accepted(&agent, Order::open_account(&servicer, &owner, &asset, name)).await;
            ids.push(AccountId::of(&servicer, &owner, "CHF", name));
        }
        let fund = instructions::transfer(ids[0], ids[1], 1 << 40);
        accepted(&agent, Order::transfer(fund)).await;
        let now_ms =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let now_ms = u64::try_from(now_ms)?;
        let today = Date::from_unix_ms(now_ms);
        let mut terms =
            instructions::agreement_terms(&servicer, &Bic::parse(own)?, &ids[1..2], today);
        terms.servicer_book = false;
        let id = AgreementId::of(&terms);
        accepted(&bank, Order::propose_agreement(terms, now_ms + 3_600_000)).await;
        accepted(&agent, Order::answer_agreement(id, v1::AgreementAnswer::Accept)).await;
        Ok(Desk { consortium, bank, own: ids[1], other: ids[2], today })
    }

    async fn measure(&self, size: usize) -> Result<Row, Failure> {
        let transfers: Vec<v1::Transfer> = (0..size + WATCHED)
            .map(|number| instructions::transfer(self.own, self.other, 1 + (number % 977) as u64))
            .collect();
        let began = Instant::now();
        self.send(transfers.chunks(BATCH).map(|some| Order::transfers(some.to_vec(), true)))
            .await?;
        let transfers_per_second = transfers.len() as f64 / began.elapsed().as_secs_f64();

        let entries: Vec<v1::BookEntry> =
            transfers.iter().enumerate().map(|it| self.entry(it.0, it.1)).collect();
        let (posted, watched) = entries.split_at(size);
        let began = Instant::now();
        self.send(posted.chunks(BATCH).map(|some| Order::book_entries(some.to_vec()))).await?;
        let entries_per_second = size as f64 / began.elapsed().as_secs_f64();

        let seen = self.watch(watched, entries_per_second / 2.0).await?;
        let began = Instant::now();
        let report = self.bank.report(self.own, v1::Comparison::LedgerOwner, None).await?;
        let report_time = began.elapsed();
        let report = report.value;
        if !report.equation().holds() {
            return Err("the report does not add up".into());
        }
        Ok(Row {
            size,
            transfers_per_second,
            entries_per_second,
            seen,
            matched: report.matched_count(),
            breaks: report.open_break_count(),
            report_time,
            memory: footprint::resident(self.consortium.process_id(0)).unwrap_or(0),
        })
    }

    fn entry(&self, number: usize, transfer: &v1::Transfer) -> v1::BookEntry {
        let broken = number % BROKEN == BROKEN / 2;
        let amount = transfer.amount + u64::from(broken);
        let mut entry = instructions::book_entry(self.own, Side::Debit, amount, self.today);
        entry.uetr = transfer.uetr.clone();
        entry.entry_reference = format!("ENTRY-{number}");
        entry
    }

    /// Sends orders, a few at once, each until it is final.
    async fn send(&self, orders: impl Iterator<Item = Order>) -> Result<(), Failure> {
        let mut sending = JoinSet::new();
        for order in orders {
            if sending.len() >= AT_ONCE {
                decided(&mut sending).await?;
            }
            let bank = self.bank.clone();
            sending.spawn(async move { bank.submit(order).await });
        }
        while !sending.is_empty() {
            decided(&mut sending).await?;
        }
        Ok(())
    }

    /// Posts entries one by one beside batches, all at an even pace, and sees when each is told of.
    async fn watch(&self, entries: &[v1::BookEntry], pace: f64) -> Result<Vec<Duration>, Failure> {
        let (load, ones) = entries.split_at(entries.len() - ONES - 1);
        let (first, ones) = ones.split_at(1);
        let before = accepted(&self.bank, Order::book_entries(first.to_vec())).await.verdict;
        let position = Position { height: before.height, leaf: before.leaf };
        let mut watch = self.bank.watch_reconciliation(self.own, Checkpoint::after(position));
        let pause = Duration::from_secs_f64(LOAD_BATCH as f64 / pace);
        let (bank, load) = (self.bank.clone(), load.to_vec());
        let background = tokio::spawn(async move {
            let mut clock = tokio::time::interval(pause);
            let mut sending = JoinSet::new();
            for some in load.chunks(LOAD_BATCH) {
                clock.tick().await;
                let (bank, order) = (bank.clone(), Order::book_entries(some.to_vec()));
                sending.spawn(async move { bank.submit(order).await });
            }
            sending.join_all().await
        });
        let mut seen = Vec::new();
        for entry in ones {
            if background.is_finished() {
                break;
            }
            let began = Instant::now();
            let (bank, order) = (self.bank.clone(), Order::book_entries(vec![entry.clone()]));
            let sending = tokio::spawn(async move { bank.submit(order).await });
            let is_it = |items: &[v1::Item]| {
                items.iter().any(|it| it.entry_reference == entry.entry_reference)
            };
            loop {
                let event = tokio::time::timeout(PATIENCE, watch.next()).await??;
                let Event::New(finding) = event else { continue };
                match finding.what {
                    Happened::Matched(found) if is_it(&found.second) => break,
                    Happened::Opened(found) if is_it(&found.second) => break,
                    _ => {}
                }
            }
            seen.push(began.elapsed());
            sending.await??;
        }
        for outcome in background.await? {
            outcome?;
        }
        Ok(seen)
    }
}

/// What is measured at one size.
struct Row {
    size: usize,
    transfers_per_second: f64,
    entries_per_second: f64,
    seen: Vec<Duration>,
    matched: u64,
    breaks: u64,
    report_time: Duration,
    memory: u64,
}

impl std::fmt::Display for Row {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            to,
            "| {} | {:.0} | {:.0} | {:.2} | {:.0} ({} entries) | {} | {} | {:.2} | {:.2} GiB |",
            self.size,
            self.transfers_per_second,
            self.entries_per_second,
            self.entries_per_second / self.transfers_per_second,
            Percentiles::of(self.seen.clone()),
            self.seen.len(),
            self.matched,
            self.breaks,
            self.report_time.as_secs_f64(),
            self.memory as f64 / f64::from(1 << 30),
        )
    }
}
