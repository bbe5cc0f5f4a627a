//! What an honest bank notices while another, or a stranger, attacks the node at which it pays: for each
//! attack the p99 of its payments before and meanwhile, and the node's memory (docs/performance.md).
//!
//! The arguments, if there are any, are names of attacks; COUNTERFOIL_ABUSE_SECONDS is how long each of
//! them is measured.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use counterfoil_client::Client;
use counterfoil_tests::abuse::aside::Apart;
use counterfoil_tests::abuse::honest::{self, Told};
use counterfoil_tests::abuse::{ATTACKS, Attack, Scene, attack};
use counterfoil_tests::banking::open_and_fund;
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::footprint;

/// Between two payments.
const EVERY: Duration = Duration::from_millis(20);

/// Until an attack has found its pace.
const WARM_UP: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if Apart::obey(&arguments).is_some() {
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("abuse: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(names: &[String]) -> Result<(), Box<dyn Error>> {
    let seconds = std::env::var("COUNTERFOIL_ABUSE_SECONDS").unwrap_or_else(|_| "10".to_owned());
    let during = Duration::from_secs(seconds.parse()?);
    let chosen = names.iter().map(|name| attack(name).ok_or(format!("there is no attack {name}")));
    let chosen = chosen.collect::<Result<Vec<Attack>, _>>()?;
    let chosen = if chosen.is_empty() { ATTACKS.to_vec() } else { chosen };
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", 1 << 40).await;
    let node = consortium.leader();
    let clients = honest::clients(&consortium, node, 8);
    honest::pay(&clients, EVERY, WARM_UP).await;
    println!(
        "| attack | quiet p99, ms | p99 meanwhile, ms | ratio | failed of | memory at most, MiB | named |"
    );
    println!("|---|---|---|---|---|---|---|");
    for attack in chosen {
        println!("{}", row(&consortium, node, &clients, attack, during).await?);
    }
    Ok(())
}

async fn row(
    consortium: &Consortium,
    node: usize,
    clients: &[Client],
    attack: Attack,
    during: Duration,
) -> Result<String, Box<dyn Error>> {
    let process = consortium.process_id(node);
    let labels = format!("institution=\"{}\"", BANKS[0]);
    let named = || consortium.metrics(node, "counterfoil_beyond_share_total", &labels);
    let quiet = honest::pay(clients, EVERY, during).await;
    let named_before = named();
    footprint::forget_peak(process);
    let attacking = Apart::begin(attack, &Scene::of(consortium, node))?;
    honest::pay(clients, EVERY, WARM_UP).await;
    let meanwhile = honest::pay(clients, EVERY, during).await;
    drop(attacking);
    let peak = footprint::peak(process).unwrap_or(0) >> 20;
    let is_named = named() > named_before;
    // What still waits of the attack is not the next one's.
    tokio::time::sleep(WARM_UP).await;
    let p99 = |told: &Told| told.per_mille(990).unwrap_or_default().as_secs_f64() * 1_000.0;
    let (before, after) = (p99(&quiet), p99(&meanwhile));
    let count = meanwhile.times.len() + meanwhile.failed;
    Ok(format!(
        "| {} | {before:.1} | {after:.1} | {:.1} | {} of {count} | {peak} | {} |",
        attack.what,
        after / before,
        meanwhile.failed,
        if is_named { "yes" } else { "" },
    ))
}
