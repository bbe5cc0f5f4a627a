//! Builds a state of some size on a consortium of this machine, and lets a learner with nothing join
//! while banks pay on. Says how long that took, and what it cost.
//!
//! `cargo run --release -p counterfoil-tests --example join -- --gib 5`; the node's program of the same
//! profile is built before. `--gib` may be a fraction.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use counterfoil_client::Client;
use counterfoil_client::instructions::{self, Order};
use counterfoil_tests::banking::{account, open_and_fund};
use counterfoil_tests::consortium::{BANKS, Consortium, Founding};
use counterfoil_tests::footprint;
use counterfoil_tests::load::Load;
use counterfoil_tests::measuring::{self, Failure};

/// The learner's place.
const LEARNER: usize = 4;

/// Items of a batch, and clients that submit some.
const BATCH: usize = 4_000;
const CLIENTS: usize = 2;

/// A node that joins has so long.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

#[tokio::main]
async fn main() -> ExitCode {
    measuring::program("join", run()).await
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let gib: f64 = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 1.0,
        ["--gib", gib] => gib.parse().map_err(|_| format!("--gib: {gib:?} is no number"))?,
        _ => return Err("usage: join [--gib NUMBER]".into()),
    };
    // Rounded to whole bytes; nothing here needs more.
    let wanted = (gib * f64::from(1 << 30)) as u64;
    let founding = Founding { learners: 1, policy: "snapshot_interval_blocks = 64" };
    let consortium = Consortium::found_with(&founding);
    (0..LEARNER).for_each(|voter| consortium.start_node(voter));
    consortium.wait_ready();
    open_and_fund(&consortium, "CHF", 1 << 50).await;

    let began = Instant::now();
    let transfers = fill(&consortium, wanted).await?;
    let built = began.elapsed();
    println!(
        "built       {} of log and state, {transfers} transfers, in {:.0} s ({:.0}/s)",
        size(footprint::stored(&consortium, 0)),
        built.as_secs_f64(),
        transfers as f64 / built.as_secs_f64(),
    );

    let load = Load::start(&consortium, 2);
    let height = consortium.metric(0, "counterfoil_height").unwrap_or(0.0);
    let began = Instant::now();
    consortium.start_node(LEARNER);
    let (joined, memory) = join(&consortium, height).await?;
    let seconds = (joined - began).as_secs_f64();
    let bytes = footprint::stored(&consortium, LEARNER);
    println!(
        "joined      {} in {seconds:.1} s: {:.1} MB/s, {:.0} transfers/s",
        size(bytes),
        bytes as f64 / 1e6 / seconds,
        transfers as f64 / seconds,
    );
    println!("memory      {} at most while it joined", size(memory));
    load.progress(5).await;
    load.stop().await;
    counterfoil_tests::comparison::nodes_agree(&consortium, &[0, LEARNER]).await;
    println!("the same    headers and balances as node 1, under load until the end");
    Ok(())
}

/// Pays in batches until a node has so much on its disk; returns how many transfers that took.
async fn fill(consortium: &Consortium, wanted: u64) -> Result<u64, Failure> {
    let mut transfers = 0;
    while footprint::stored(consortium, 0) < wanted {
        let round = (0..CLIENTS).map(|number| {
            let client = consortium.client(BANKS[number % BANKS.len()]);
            tokio::spawn(pay(client, number))
        });
        for paid in round.collect::<Vec<_>>() {
            transfers += paid.await??;
        }
        eprint!("\r{} of {}", size(footprint::stored(consortium, 0)), size(wanted));
    }
    eprintln!();
    Ok(transfers)
}

/// Some batches of one bank.
async fn pay(client: Client, number: usize) -> Result<u64, Failure> {
    let mut paid = 0;
    for _ in 0..8 {
        let (from, to) = (BANKS[number % BANKS.len()], BANKS[(number + 1) % BANKS.len()]);
        let (debit, credit) = (account(from, "CHF"), account(to, "CHF"));
        let items = (0..BATCH).map(|_| instructions::transfer(debit, credit, 1)).collect();
        client.submit(Order::transfers(items, false)).await?;
        paid += u64::try_from(BATCH)?;
    }
    Ok(paid)
}

/// Waits until the learner has executed a height; returns when, and the most memory that it had.
async fn join(consortium: &Consortium, height: f64) -> Result<(Instant, u64), Failure> {
    let (deadline, mut memory, mut told) = (Instant::now() + PATIENCE, 0, String::new());
    loop {
        memory = memory.max(footprint::peak(consortium.process_id(LEARNER)).unwrap_or(0));
        let ready = consortium.http_get(LEARNER, "/readyz").unwrap_or_default();
        let line = ready.lines().last().unwrap_or_default().to_owned();
        if line != told && line.contains("catching up") {
            println!("            {line}");
            told = line;
        }
        if consortium.metric(LEARNER, "counterfoil_height").is_some_and(|it| it >= height) {
            return Ok((Instant::now(), memory));
        }
        if !consortium.is_running(LEARNER) || Instant::now() > deadline {
            return Err(format!("it did not join:\n{}", consortium.log(LEARNER)).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn size(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}
