//! Statements of a quorum: this node's own, and those of as many others as it takes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use counterfoil_proto::peer::v1::peer_service_client::PeerServiceClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use super::Statements;
use crate::consensus::replica::Unavailable;
use crate::limits;
use crate::telemetry::metrics;

/// A node without whose statement there are fewer than a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whose node it is.
    pub institution: Bic,
    /// Why it made none.
    pub problem: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.institution, self.problem)
    }
}

/// Why there is no statement of a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGathered {
    /// The id was decided.
    Decided,
    /// The moment from which on it cannot be decided any more is yet to come.
    NotPast {
        /// In how long.
        wait: Duration,
    },
    /// Fewer nodes signed than it takes.
    Missing {
        /// Those that did not, by node id.
        missing: Vec<Missing>,
        /// How many have to.
        needed: usize,
    },
    /// No block of the block time that it takes came in time.
    NoBlock,
    /// Nothing can be said.
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotGathered {
    fn from(cause: Unavailable) -> NotGathered {
        NotGathered::Unavailable(cause)
    }
}

impl Statements {
    /// Asks all other nodes at once and returns when together with what is there already so many have
    /// answered, or it is too late. An answer that does not hold is none.
    pub(super) async fn gather<T, A>(
        &self,
        own: Result<T, String>,
        needed: usize,
        deadline: Instant,
        ask: impl Fn(u64, PeerServiceClient<Channel>) -> A,
    ) -> Result<BTreeMap<u64, T>, NotGathered>
    where
        A: Future<Output = Result<T, String>>,
    {
        let node = self.replica.node();
        let deadline = deadline.min(Instant::now() + limits::STATEMENTS_TIMEOUT);
        let mut gathered = BTreeMap::new();
        let mut problems = BTreeMap::new();
        match own {
            // That of a learner counts nowhere.
            Ok(_) if self.signers.key(node).is_none() => {}
            Ok(own) => drop(gathered.insert(node, own)),
            Err(problem) => drop(problems.insert(node, problem)),
        }
        let mut asked = FuturesUnordered::new();
        for other in self.signers.nodes().filter(|other| *other != node) {
            let Some(client) = self.replica.peers().client(other) else { continue };
            let answer = ask(other, client);
            asked.push(async move { (other, tokio::time::timeout_at(deadline, answer).await) });
        }
        while gathered.len() < needed {
            let Some((other, answer)) = asked.next().await else { break };
            match answer.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok(statement) => drop(gathered.insert(other, statement)),
                Err(problem) => {
                    metrics::PEER_FAILURES.increment(&[("peer", &other.to_string())]);
                    problems.insert(other, problem);
                }
            }
        }
        if gathered.len() >= needed {
            return Ok(gathered);
        }
        let missing = self.signers.nodes().filter(|other| !gathered.contains_key(other));
        let missing = missing.filter_map(|other| {
            let problem = problems.remove(&other).unwrap_or_else(|| "no connection".to_owned());
            Some(Missing { institution: *self.signers.institution(other)?, problem })
        });
        Err(NotGathered::Missing { missing: missing.collect(), needed })
    }
}

/// What another node said instead of an answer.
pub(super) fn problem(status: &Status) -> String {
    // Its words are another party's: no more of them than it takes to mend it.
    let words: String = status.message().chars().take(limits::PROBLEM_LENGTH_MAX).collect();
    format!("{:?}: {words}", status.code())
}
