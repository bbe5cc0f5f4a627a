//! A stream that is opened again when it breaks, on another node if need be.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::error::{Error, Failure};
use crate::random;

/// Nodes give a sign of life every 10 seconds at least.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Pause after a stream broke; doubled by each further one that gave nothing of use.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Opens a stream that begins where the argument says.
pub(crate) type Open<P, M> = Box<
    dyn Fn(Client, P) -> BoxFuture<'static, Result<BoxStream<'static, Result<M, Failure>>, Error>>
        + Send
        + Sync,
>;

/// Messages of one stream after the other.
pub(crate) struct Feed<P, M> {
    client: Client,
    open: Open<P, M>,
    stream: Option<BoxStream<'static, Result<M, Failure>>>,
    /// Counts the streams.
    opened: u64,
    /// Streams that broke in a row without a message that could be used.
    breaks: u32,
    /// Since when, and what the last one met.
    failing: Option<(Instant, Error)>,
}

impl<P, M> Feed<P, M> {
    pub(crate) fn new(client: Client, open: Open<P, M>) -> Feed<P, M> {
        Feed { client, open, stream: None, opened: 0, breaks: 0, failing: None }
    }

    /// The number of the stream that gave the last message.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// The next message, or none where the stream ends; a stream that has to be opened begins at
    /// `start`. Fails when streams have kept breaking for as long as a call may take; it can then be
    /// asked again.
    pub(crate) async fn next(&mut self, start: P) -> Result<Option<M>, Error>
    where
        P: Clone,
    {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => {
                    if self.breaks > 0 {
                        let pause = PAUSE_FIRST.saturating_mul(1 << self.breaks.min(16));
                        sleep(random::jitter(pause.min(PAUSE_MAX))).await;
                    }
                    let opened = (self.open)(self.client.clone(), start.clone()).await?;
                    self.opened += 1;
                    self.stream.insert(opened)
                }
            };
            let cause = match timeout(SILENCE_MAX, stream.next()).await {
                Ok(Some(Ok(message))) => return Ok(Some(message)),
                Ok(None) => {
                    self.stream = None;
                    return Ok(None);
                }
                Ok(Some(Err(Failure::Refused(refusal)))) => {
                    self.stream = None;
                    return Err(Error::Refused(Box::new(refusal)));
                }
                Ok(Some(Err(failure))) => cause_of(failure),
                Err(_) => unavailable(format!("silence for {SILENCE_MAX:?}")),
            };
            self.broke(cause)?;
        }
    }

    /// The last message could be used.
    pub(crate) fn progressed(&mut self) {
        self.breaks = 0;
        self.failing = None;
    }

    /// Ends the stream: what it gave cannot be, or it ended too early. Another one is opened, unless
    /// streams have kept breaking for too long.
    pub(crate) fn broke(&mut self, cause: Error) -> Result<(), Error> {
        self.stream = None;
        self.breaks = self.breaks.saturating_add(1);
        self.client.inner.endpoints.rotate();
        let since = self.failing.take().map_or_else(Instant::now, |(since, _)| since);
        if since.elapsed() >= self.client.deadline {
            return Err(cause);
        }
        self.failing = Some((since, cause));
        Ok(())
    }
}

fn unavailable(cause: String) -> Error {
    Error::Unavailable { cause }
}

/// What a stream's end means to someone who only reads. A stream that was opened was opened by a node
/// that is trusted and admits this client.
fn cause_of(failure: Failure) -> Error {
    match failure {
        Failure::Untrusted { problem } | Failure::NotAdmitted { problem } => unavailable(problem),
        Failure::NotTaken { cause, .. } | Failure::Lost { cause } => unavailable(cause),
        failure => failure.of("the node"),
    }
}
