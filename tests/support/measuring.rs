//! What programs that measure have in common: how they end, as many nodes as make blocks final, orders
//! that are on their way at once, latencies.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use counterfoil_client::Client;
use counterfoil_client::outcome::Outcome;
use tokio::task::JoinSet;

use crate::consortium::Consortium;

/// Why a measurement has ended early.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The result of sending one order.
pub type Decided = Result<Outcome, counterfoil_client::Error>;

/// Nodes that run: as many as make blocks final.
pub const RUNNING: usize = 3;

/// Runs a program; says why, if it fails.
pub async fn program(name: &str, run: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A number of the command line.
pub fn number(text: &str) -> Result<usize, Failure> {
    text.parse().map_err(|_| format!("{text:?} is no number").into())
}

/// Numbers of the command line, with commas between.
pub fn numbers(text: &str) -> Result<Vec<usize>, Failure> {
    text.split(',').map(number).collect()
}

/// A consortium of which [`RUNNING`] nodes run.
pub fn consortium() -> Consortium {
    let consortium = Consortium::found();
    (0..RUNNING).for_each(|node| consortium.start_node(node));
    for node in 0..RUNNING {
        consortium.await_metric(node, "counterfoil_height", |height| height >= 0.0);
    }
    consortium
}

/// A client of an institution at the nodes that run.
pub fn client_of(consortium: &Consortium, institution: &str) -> Client {
    consortium.client_at(institution, &(0..RUNNING).collect::<Vec<_>>())
}

/// Waits for one of the orders that are on their way; an error if it is rejected.
pub async fn decided(sending: &mut JoinSet<Decided>) -> Result<(), Failure> {
    if let Some(outcome) = sending.join_next().await
        && outcome??.rejections().next().is_some()
    {
        return Err("an order is rejected".into());
    }
    Ok(())
}

/// The middle one of some latencies, and that which one of a hundred exceeds, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles(pub f64, pub f64);

impl Percentiles {
    /// Of latencies in any order; zeros of none.
    pub fn of(mut latencies: Vec<Duration>) -> Percentiles {
        latencies.sort_unstable();
        let at = |percent: usize| {
            let place = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).map_or(0.0, |it| it.as_secs_f64() * 1e3)
        };
        Percentiles(at(50), at(99))
    }
}

impl fmt::Display for Percentiles {
    /// With one decimal, unless another precision is asked for.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = to.precision().unwrap_or(1);
        write!(to, "{:.digits$}, {:.digits$}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_by_their_middle_and_their_end() {
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(format!("{}", Percentiles::of(latencies)), "51.0, 100.0");
        let few = Percentiles::of(vec![Duration::from_micros(1_500)]);
        assert_eq!(format!("{few:.0}"), "2, 2");
        assert_eq!(Percentiles::of(Vec::new()), Percentiles(0.0, 0.0));
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(numbers("10,200").expect("two numbers"), [10, 200]);
        assert!(numbers("10,").is_err());
    }
}
