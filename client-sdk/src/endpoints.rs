//! The nodes that this client may speak to, and which of them it speaks to next.
//!
//! Every endpoint has a connection of its own, made when it is first needed, and a health of its
//! own. A call goes to the endpoint that served the last one; when that fails the next healthy one
//! is tried, and when none is healthy the one that has rested longest. Nodes forward to the leader,
//! so that any of them will do.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tonic::transport::{Channel, Endpoint as Transport};

use crate::error::{ConnectError, Error, Failure, Refusal};
use crate::random;
use crate::tls::{Connection, Tls};

/// Most endpoints of one client.
pub(crate) const ENDPOINTS_MAX: usize = 64;

/// Name resolution, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection whose peer is gone is noticed after the sum of both.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an endpoint rests after its first failure; doubled by each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// An instruction of 3 MiB leaves in one breath.
const WINDOW: u32 = 4 * 1024 * 1024;

/// All endpoints of a client.
pub(crate) struct Endpoints {
    endpoints: Vec<Endpoint>,
    /// The one that served last.
    preferred: AtomicUsize,
    tls: Arc<Tls>,
}

struct Endpoint {
    /// host:port.
    address: String,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    /// In a row.
    failures: u32,
    /// Not before this moment, while others are healthy.
    rests_until: Option<Instant>,
    /// With the generation of the certificate that it was made with.
    channel: Option<(u64, Channel)>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The whole call, all attempts and pauses.
    pub(crate) deadline: Instant,
    /// One attempt on one endpoint.
    pub(crate) attempt: Duration,
    /// A refusal counts only once every other endpoint was asked, too.
    pub(crate) asks_all: bool,
}

/// What one call has met so far.
struct Course {
    maybe_taken: bool,
    last: Error,
    not_before: Instant,
    /// Endpoints whose certificate is wrong, or that do not admit this client.
    strangers: BTreeSet<usize>,
    /// Endpoints that an attempt was made on.
    asked: BTreeSet<usize>,
    /// The first refusal, where others are still asked.
    refused: Option<Refusal>,
}

/// What follows a failed attempt.
enum Next {
    Again,
    End(CallError),
}

/// A call that got no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A no, of every endpoint that answered where all are asked, or else of one; an attempt may have
    /// been taken all the same.
    Refused { refusal: Refusal, maybe_taken: bool },
    /// No attempt was answered before the deadline.
    Exhausted { error: Error, maybe_taken: bool },
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Error {
        match error {
            CallError::Refused { refusal, .. } => Error::Refused(Box::new(refusal)),
            CallError::Exhausted { error, .. } => error,
        }
    }
}

impl Endpoints {
    /// Endpoints at these addresses (host:port), in order of preference.
    pub(crate) fn new(addresses: Vec<String>, tls: Arc<Tls>) -> Endpoints {
        let endpoint = |address| Endpoint { address, health: Mutex::default() };
        let endpoints = addresses.into_iter().map(endpoint).collect();
        Endpoints { endpoints, preferred: AtomicUsize::new(0), tls }
    }

    /// Makes a call on one endpoint after the other until one answers, or refuses, or the deadline
    /// passes. `attempt` is given a connection and the time that it may take.
    ///
    /// Where a refusal is to be more than one node's word every other endpoint is asked once more
    /// after the first, at once and even while it rests: one that is dead says so soon.
    pub(crate) async fn call<T, F>(
        &self,
        patience: Patience,
        attempt: impl Fn(Channel, Duration) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut course = Course::new();
        while let Some((index, start)) = self.turn(&course, patience.deadline) {
            sleep_until(start).await;
            course.asked.insert(index);
            let endpoint = &self.endpoints[index];
            let left = patience.deadline.saturating_duration_since(Instant::now());
            let time = patience.attempt.min(left);
            let channel = endpoint.channel(&self.tls);
            let answered = timeout(time, attempt(channel, time)).await;
            let failure = match answered {
                Ok(Ok(answer)) => {
                    endpoint.succeeded();
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(Err(failure)) => failure,
                Err(_) => {
                    endpoint.disconnect();
                    Failure::Lost { cause: format!("no answer within {time:?}") }
                }
            };
            if let Next::End(error) = self.failed(&mut course, index, failure, patience.asks_all) {
                return Err(error);
            }
        }
        Err(course.end())
    }

    /// Takes note of a failed attempt.
    fn failed(&self, course: &mut Course, index: usize, failure: Failure, asks_all: bool) -> Next {
        let endpoint = &self.endpoints[index];
        match &failure {
            Failure::Refused(_) => {}
            // A node that asks for time speaks for the leader, whom all of them ask.
            Failure::NotTaken { retry_after, .. } => {
                course.not_before =
                    Instant::now() + retry_after.map_or(Duration::ZERO, random::jitter);
            }
            Failure::Untrusted { .. } | Failure::NotAdmitted { .. } => {
                course.strangers.insert(index);
            }
            Failure::Lost { .. }
            | Failure::BadAnswer { .. }
            | Failure::Unproven(_)
            | Failure::Fork(_)
            | Failure::File { .. } => course.maybe_taken = true,
        }
        let lies = matches!(failure, Failure::BadAnswer { .. } | Failure::Unproven(_));
        let maybe_taken = course.maybe_taken;
        match failure.of(&endpoint.address) {
            Error::Refused(refusal) => {
                endpoint.succeeded();
                if !asks_all {
                    return Next::End(CallError::Refused { refusal: *refusal, maybe_taken });
                }
                if course.refused.is_none() {
                    // The others are asked once from here on, whatever they met before.
                    course.asked = BTreeSet::from([index]);
                    course.refused = Some(*refusal);
                }
                return Next::Again;
            }
            // No other endpoint can mend these.
            error @ (Error::Fork(_) | Error::File { .. }) => {
                return Next::End(CallError::Exhausted { error, maybe_taken });
            }
            // That others are away must not hide that one of them lies.
            error if lies || believed(&course.last) => course.last = error,
            _ => {}
        }
        endpoint.failed();
        // Waiting does not help where certificates are wrong everywhere.
        if course.strangers.len() == self.endpoints.len() {
            return Next::End(std::mem::replace(course, Course::new()).end());
        }
        Next::Again
    }

    /// The endpoint whose turn it is, and when; none when the call is over. Before that every endpoint
    /// was asked: what one node says, that it takes nothing for an hour too, is only its own word.
    fn turn(&self, course: &Course, deadline: Instant) -> Option<(usize, Instant)> {
        let now = Instant::now();
        if now >= deadline {
            return None;
        }
        let unasked = self.in_turn().find(|index| !course.asked.contains(index));
        if course.refused.is_some() {
            return unasked.map(|index| (index, now));
        }
        let (index, rests_until) = self.next();
        let start = rests_until.max(course.not_before);
        if start < deadline { Some((index, start)) } else { unasked.map(|index| (index, now)) }
    }

    /// Prefers the next endpoint: the one that served last does not any more.
    pub(crate) fn rotate(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// Which endpoint is next, and from when on: the preferred one and those behind it in turn, but
    /// one that rests only when all do.
    fn next(&self) -> (usize, Instant) {
        let now = Instant::now();
        self.in_turn()
            .map(|index| {
                let rests_until = self.endpoints[index].health().rests_until;
                (index, rests_until.map_or(now, |until| until.max(now)))
            })
            // The first of several that are equally ready.
            .min_by_key(|(_, ready)| *ready)
            .expect("a client has at least one endpoint")
    }

    /// All of them, the preferred one first.
    fn in_turn(&self) -> impl Iterator<Item = usize> {
        let count = self.endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed) % count;
        (0..count).map(move |offset| (first + offset) % count)
    }
}

impl Course {
    fn new() -> Course {
        Course {
            maybe_taken: false,
            last: Error::Unavailable { cause: "the deadline passed".to_owned() },
            not_before: Instant::now(),
            strangers: BTreeSet::new(),
            asked: BTreeSet::new(),
            refused: None,
        }
    }

    /// What a call without an answer ends with.
    fn end(self) -> CallError {
        let Course { maybe_taken, last: error, refused, .. } = self;
        match refused {
            Some(refusal) => CallError::Refused { refusal, maybe_taken },
            None => CallError::Exhausted { error, maybe_taken },
        }
    }
}

impl Endpoint {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) {
        let mut health = self.health();
        health.failures = 0;
        health.rests_until = None;
    }

    fn failed(&self) {
        let mut health = self.health();
        // Calls that fail together are one failure.
        if health.rests_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        let doublings = health.failures.min(16);
        let rest = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Some(Instant::now() + random::jitter(rest));
    }

    /// Gives up a connection that does not answer; calls that still use it may finish.
    fn disconnect(&self) {
        self.health().channel = None;
    }

    /// The connection, a new one if the certificate has changed since it was made.
    fn channel(&self, tls: &Arc<Tls>) -> Channel {
        let generation = tls.generation();
        let mut health = self.health();
        match &health.channel {
            Some((made_with, channel)) if *made_with == generation => channel.clone(),
            _ => {
                let channel = lazy_channel(&self.address, Arc::clone(tls));
                health.channel = Some((generation, channel.clone()));
                channel
            }
        }
    }
}

/// Whether an error is not about an answer that nobody may rely on.
fn believed(error: &Error) -> bool {
    !matches!(error, Error::BadAnswer { .. } | Error::Unproven { .. })
}

/// A channel that connects when it is used, and again when its connection is lost.
fn lazy_channel(address: &str, tls: Arc<Tls>) -> Channel {
    let uri = format!("https://{address}");
    let transport = Transport::from_shared(uri)
        .expect("checked by parse_address")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let address: Arc<str> = address.into();
    transport.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        connect(Arc::clone(&address), Arc::clone(&tls))
    }))
}

async fn connect(address: Arc<str>, tls: Arc<Tls>) -> Result<TokioIo<Connection>, ConnectError> {
    let failed = |error: std::io::Error| ConnectError::Failed(error.to_string());
    let connected = timeout_at(Instant::now() + CONNECT_TIMEOUT, async {
        let stream = TcpStream::connect(&*address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
        tls.connect(host, stream).await
    });
    let timed_out = |_| ConnectError::Failed(format!("no connection within {CONNECT_TIMEOUT:?}"));
    Ok(TokioIo::new(connected.await.map_err(timed_out)??))
}

/// Reads `https://host:port` or `host:port`.
pub(crate) fn parse_address(text: &str) -> Result<String, Error> {
    let address = text.strip_prefix("https://").unwrap_or(text);
    let address = address.strip_suffix('/').unwrap_or(address);
    let uri = format!("https://{address}").parse::<Uri>().ok();
    let is_address = uri.is_some_and(|uri| {
        uri.port_u16().is_some()
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| authority.as_str() == address)
            && !address.contains('@')
    });
    if is_address {
        Ok(address.to_owned())
    } else {
        Err(Error::Configuration(format!("{text:?} is not an endpoint: https://host:port")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["https://bank.example:7443", "127.0.0.1:1", "https://[::1]:7443/"] {
            assert!(parse_address(good).is_ok(), "{good}");
        }
        for bad in ["", "bank.example", "http://bank.example:1", "https://a:1/path", "a@b:1", ":1"]
        {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
