//! `bench`: how much the consortium settles, how fast, at what cost. Every client has a connection
//! of its own and sends its next order when the last one was answered.

mod accounts;
mod load;
mod machine;
mod percentile;

use std::time::Duration;

use counterfoil_proto::v1;
use serde_json::{Value, json};

use self::load::{Load, Taken};
use self::machine::Process;
use crate::commands::cluster::size;
use crate::context::{Connection, Settings};
use crate::error::Failure;
use crate::output::{Answer, Table};
use crate::session::{self, Session};
use crate::waiting::Waiting;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Clients that send at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    clients: u16,
    /// Transfers under one signature; 1 sends them singly
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8_192))]
    batch: u16,
    /// Accounts that money moves between
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=8_192))]
    accounts: u16,
    /// Orders a second of all clients together; without it each sends as fast as it is answered
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    duration: u64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    warm_up: u64,
    /// In what
    #[arg(long, value_name = "CODE")]
    asset: String,
    /// The context of the servicer: opens and funds the accounts where they are not
    #[arg(long, value_name = "NAME")]
    servicer_context: Option<String>,
    /// A node's process on this machine, for what it costs in CPU time; may be repeated
    #[arg(long = "pid", value_name = "[NAME=]PID")]
    processes: Vec<String>,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// What was measured.
struct Measured {
    window: Duration,
    taken: Taken,
    /// CPU time of each process in the window.
    processes: Vec<(Process, Duration)>,
    own_cpu: Duration,
    /// Of each node: name, bytes on disk before and after.
    disks: Vec<(String, u64, u64)>,
    heights: u64,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    session::run(arguments.run())
}

impl Arguments {
    async fn run(&self) -> Result<Answer, Failure> {
        let settings = Settings::to_submit(&self.connection, self.waiting)?;
        let session = Session::reading(&self.connection)?;
        session.exponent(&self.asset)?;
        let processes: Vec<Process> =
            self.processes.iter().map(|text| Process::parse(text)).collect::<Result<_, _>>()?;
        let accounts = self.prepare_accounts(&session).await?;
        let pace = self.rate.map(|rate| Duration::from_secs(1) * self.clients.into() / rate);
        let load = Load::start(&settings, self.clients, self.batch, pace, accounts)?;
        tokio::time::sleep(Duration::from_secs(self.warm_up)).await;
        let measured = self.measure(&session, &load, processes).await?;
        load.stop().await;
        if measured.taken.settled == 0 {
            let message = "nothing settled while it was measured";
            let failure = Failure::new(crate::exit::Exit::Unavailable, "BENCH_IDLE", message);
            return Err(match measured.taken.problem {
                Some(problem) => failure.fact(problem),
                None => failure,
            });
        }
        Ok(self.describe(&measured))
    }

    async fn measure(
        &self,
        session: &Session,
        load: &Load,
        processes: Vec<Process>,
    ) -> Result<Measured, Failure> {
        let own = Process::own()?;
        let status = session.client.cluster_status().await?;
        let cpu_before = cpu_times(&processes)?;
        let own_before = own.cpu_time()?;
        let started = load.measure();
        tokio::time::sleep(Duration::from_secs(self.duration)).await;
        let (window, taken) = load.take(started);
        let own_cpu = own.cpu_time()?.saturating_sub(own_before);
        let cpu_after = cpu_times(&processes)?;
        let spent = cpu_after
            .into_iter()
            .zip(cpu_before)
            .map(|(after, before)| after.saturating_sub(before));
        let processes = processes.into_iter().zip(spent).collect();
        let later = session.client.cluster_status().await?;
        Ok(Measured {
            window,
            taken,
            processes,
            own_cpu,
            disks: disks(&status, &later),
            heights: height(&later).saturating_sub(height(&status)),
        })
    }

    fn describe(&self, measured: &Measured) -> Answer {
        let taken = &measured.taken;
        let seconds = measured.window.as_secs_f64();
        let per_second = ratio(taken.settled) / seconds;
        let mode = match self.batch {
            1 => "single transfers".to_owned(),
            batch => format!("batches of {batch}"),
        };
        let latency = |permille: u32| percentile::of(&taken.latencies_us, permille);
        let mut table = Table::new(&["MEASURE", ">VALUE", "UNIT"]);
        let mut line = |name: &str, value: String, unit: &str| {
            table.row([name.to_owned(), value, unit.to_owned()]);
        };
        line("throughput", format!("{per_second:.0}"), "transfers/s");
        line("orders", format!("{:.0}", ratio(count(taken.latencies_us.len())) / seconds), "1/s");
        line("latency p50", milliseconds(latency(500)), "ms");
        line("latency p99", milliseconds(latency(990)), "ms");
        line("latency p99.9", milliseconds(latency(999)), "ms");
        line("latency max", milliseconds(latency(1_000)), "ms");
        line("settled", taken.settled.to_string(), "transfers");
        line("rejected", taken.rejected.to_string(), "transfers");
        line("failed", taken.failed.to_string(), "orders");
        line("blocks", measured.heights.to_string(), "");
        for (process, spent) in &measured.processes {
            let each = per_transfer(*spent, taken.settled).to_string();
            line(&format!("CPU of {}", process.name()), each, "us/transfer");
        }
        let own = per_transfer(measured.own_cpu, taken.settled).to_string();
        line("CPU of this load", own, "us/transfer");
        for (name, before, after) in &measured.disks {
            let grown = after.saturating_sub(*before);
            let each = format!("{:.0}", ratio(grown) / ratio(taken.settled));
            line(&format!("disk of {name}"), each, "bytes/transfer");
        }
        let mut answer = Answer::new(self.json(measured, per_second))
            .line(format!(
                "{} clients, {mode}{}, {} accounts, {seconds:.1} s on {}",
                self.clients,
                self.rate.map_or(String::new(), |rate| format!(" at {rate} orders/s")),
                self.accounts,
                machine::describe(),
            ))
            .line("")
            .table(table);
        if let Some(problem) = &taken.problem {
            answer = answer.line("").line(format!("a failure: {problem}"));
        }
        answer
    }

    fn json(&self, measured: &Measured, per_second: f64) -> Value {
        let taken = &measured.taken;
        let latency = |permille: u32| percentile::of(&taken.latencies_us, permille).to_string();
        let processes: Vec<Value> = measured
            .processes
            .iter()
            .map(|(process, spent)| {
                json!({
                    "process": process.name(),
                    "cpuUs": spent.as_micros().to_string(),
                    "cpuUsPerTransfer": per_transfer(*spent, taken.settled),
                })
            })
            .collect();
        let disks: Vec<Value> = measured
            .disks
            .iter()
            .map(|(name, before, after)| {
                json!({
                    "node": name,
                    "bytesBefore": before.to_string(),
                    "bytesAfter": after.to_string(),
                    "shown": size(*after),
                    "bytesPerTransfer":
                        tenths(ratio(after.saturating_sub(*before)) / ratio(taken.settled)),
                })
            })
            .collect();
        json!({
            "clients": self.clients,
            "batch": self.batch,
            "accounts": self.accounts,
            "rate": self.rate,
            "durationS": measured.window.as_secs_f64(),
            "machine": machine::describe(),
            "transfersPerSecond": tenths(per_second),
            "settled": taken.settled.to_string(),
            "rejected": taken.rejected.to_string(),
            "failedOrders": taken.failed.to_string(),
            "blocks": measured.heights.to_string(),
            "latencyUs": {
                "p50": latency(500),
                "p90": latency(900),
                "p99": latency(990),
                "p999": latency(999),
                "max": latency(1_000),
            },
            "processes": processes,
            "loadCpuUsPerTransfer": per_transfer(measured.own_cpu, taken.settled),
            "disks": disks,
            "problem": taken.problem,
        })
    }
}

fn cpu_times(processes: &[Process]) -> Result<Vec<Duration>, Failure> {
    processes.iter().map(Process::cpu_time).collect()
}

fn disks(
    before: &v1::GetClusterStatusResponse,
    after: &v1::GetClusterStatusResponse,
) -> Vec<(String, u64, u64)> {
    let of = |status: &v1::GetClusterStatusResponse, id: u64| {
        let nodes = status.members.iter().filter(|member| member.reachable);
        nodes.filter_map(|member| member.status.clone()).find(|node| node.id == id)
    };
    let nodes = after.members.iter().filter_map(|member| member.status.as_ref());
    nodes
        .filter_map(|node| {
            let (earlier, later) = (of(before, node.id)?, of(after, node.id)?);
            Some((later.name, earlier.disk_bytes, later.disk_bytes))
        })
        .collect()
}

fn height(status: &v1::GetClusterStatusResponse) -> u64 {
    let nodes = status.members.iter().filter_map(|member| member.status.as_ref());
    nodes.map(|node| node.height).max().unwrap_or_default()
}

fn milliseconds(us: u32) -> String {
    format!("{:.2}", f64::from(us) / 1_000.0)
}

/// Microseconds a transfer, to a tenth.
fn per_transfer(spent: Duration, settled: u64) -> f64 {
    tenths(spent.as_secs_f64() * 1e6 / ratio(settled))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// For figures that people read: above 2^32 the last digits do not matter to them.
fn ratio(count: u64) -> f64 {
    match u32::try_from(count) {
        Ok(count) => f64::from(count),
        Err(_) => f64::from(u32::try_from(count >> 20).unwrap_or(u32::MAX)) * 1_048_576.0,
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
