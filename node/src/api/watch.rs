//! Watches: streams that follow the ledger. Each reads the store from its own position on, so that
//! nothing is kept for it but a short queue; who reads slowly slows itself alone, and who reads nothing
//! is cut off and resumes where it was.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_proto::v1;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::reading::View;
use super::render;
use super::status;
use super::turns;
use crate::clock::Clock;
use crate::identity::caller::Caller;
use crate::identity::caller::check_live;
use crate::limits;
use crate::shares::Share;
use crate::shares::Shares;
use crate::telemetry::excess;
use crate::telemetry::excess::Bound;
use crate::telemetry::metrics;

/// What a watch sends, as it is taken from its queue.
pub(super) struct Stream<T> {
    queue: mpsc::Receiver<Result<T, Status>>,
    taken: Arc<AtomicU64>,
}

impl<T> futures::Stream for Stream<T> {
    type Item = Result<T, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, Status>>> {
        let next = ready!(self.queue.poll_recv(context));
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(next)
    }
}

/// What a stream tells.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Events, each a few hundred bytes.
    Events,
    /// Blocks, or what fills as much.
    Blocks,
}

/// Where a watch puts what it sends. An error means that nobody reads any longer.
pub(super) type Outlet<T> = mpsc::Sender<Result<T, Status>>;

/// The watches that are open.
pub(super) struct Watches {
    clock: Clock,
    stop: CancellationToken,
    watches: Arc<Shares<Bic>>,
    exports: Arc<Shares<Bic>>,
}

/// What an open watch holds.
struct Place {
    gauge: ::metrics::Gauge,
    _institution: Share<Bic>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

impl Watches {
    /// None yet. All end when the token is cancelled.
    pub(super) fn new(clock: Clock, stop: CancellationToken) -> Watches {
        Watches {
            clock,
            stop,
            watches: Shares::new(limits::WATCHES),
            exports: Shares::new(limits::EXPORTS),
        }
    }

    /// Opens a watch that runs until its work ends, its reader goes or reads no longer, its caller's
    /// certificate expires or the node stops.
    pub(super) fn open<T, W>(
        &self,
        caller: &Caller,
        kind: Kind,
        work: impl FnOnce(Outlet<T>) -> W,
    ) -> Result<Stream<T>, Status>
    where
        T: Send + 'static,
        W: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (place, queue) = match kind {
            Kind::Events => (place(caller, &self.watches)?, limits::WATCH_QUEUE_MAX),
            Kind::Blocks => (place(caller, &self.exports)?, limits::EXPORT_QUEUE_MAX),
        };
        let (outlet, queue) = mpsc::channel(queue);
        let taken = Arc::<AtomicU64>::default();
        let stream = Stream { queue, taken: taken.clone() };
        let work = turns::kept(work(outlet.clone()));
        let (caller, clock, stop) = (caller.clone(), self.clock.clone(), self.stop.clone());
        tokio::spawn(async move {
            let _place = place;
            let end = tokio::select! {
                result = work => result.err(),
                () = outlet.closed() => None,
                () = stop.cancelled() => Some(status::stopping()),
                status = expired(&caller, clock) => Some(status),
                () = unread(&outlet, &taken) => {
                    // What is sent and not read can only be given back with the connection.
                    excess::note(caller.identity.institution.as_str(), Bound::Reading);
                    caller.line.end.cancel();
                    None
                }
            };
            if let Some(status) = end {
                // A reader that has not made room by then finds the stream cut, which says the same.
                let last = outlet.send(Err(status));
                let _ = tokio::time::timeout(limits::WATCH_CAUGHT_UP_INTERVAL, last).await;
            }
        });
        Ok(stream)
    }
}

fn place(caller: &Caller, shares: &Arc<Shares<Bic>>) -> Result<Place, Status> {
    let institution = caller.identity.institution;
    let share = shares.take(institution, [1]).ok_or_else(|| {
        excess::note(institution.as_str(), Bound::Watches);
        status::full(institution, Bound::Watches)
    })?;
    let gauge = metrics::WATCHES.gauge(&[]);
    gauge.increment(1.0);
    Ok(Place { gauge, _institution: share })
}

/// Ends when something has waited in a queue for long and nothing was taken from it.
async fn unread<T>(outlet: &Outlet<T>, taken: &AtomicU64) {
    let mut stillness = Stillness { taken: 0, since: Instant::now() };
    loop {
        tokio::time::sleep(limits::WATCH_CAUGHT_UP_INTERVAL).await;
        let waits = outlet.capacity() < outlet.max_capacity();
        if stillness.is_over(taken.load(Ordering::Relaxed), waits, Instant::now()) {
            return;
        }
    }
}

/// For how long nothing was taken of what waits.
struct Stillness {
    taken: u64,
    since: Instant,
}

impl Stillness {
    /// Whether it has lasted too long, by how much was taken until now, and whether something waits.
    fn is_over(&mut self, taken: u64, waits: bool, now: Instant) -> bool {
        if taken != self.taken || !waits {
            *self = Stillness { taken, since: now };
        }
        now - self.since >= limits::READING_PAUSE_MAX
    }
}

/// Ends when the caller's certificate expires. Looks now and then: clocks are set.
async fn expired(caller: &Caller, clock: Clock) -> Status {
    loop {
        if let Err(expired) = check_live(caller, clock.now_ms()) {
            return status::expired(expired);
        }
        tokio::time::sleep(limits::WATCH_CAUGHT_UP_INTERVAL).await;
    }
}

/// When a watch gives its next sign of life.
pub(super) struct Heartbeat {
    last: Option<(u64, Instant)>,
}

impl Heartbeat {
    /// None was given yet.
    pub(super) fn new() -> Heartbeat {
        Heartbeat { last: None }
    }

    /// Whether it is time, for a watch that has sent everything to a height.
    pub(super) fn is_due(&mut self, height: u64, now: Instant) -> bool {
        let due = self.next(height).is_none_or(|next| next <= now);
        if due {
            self.last = Some((height, now));
        }
        due
    }

    /// When it is time; none = at once.
    pub(super) fn next(&self, height: u64) -> Option<Instant> {
        let (told, at) = self.last?;
        let interval = if told < height {
            limits::WATCH_CAUGHT_UP_INTERVAL
        } else {
            limits::WATCH_HEARTBEAT_INTERVAL
        };
        Some(at + interval)
    }
}

/// The last position of a block: a watch that has come so far has sent everything of it. Never
/// behind where the watch began: the node may lag behind what its reader has seen elsewhere.
pub(super) fn end_of(view: &View, cursor: Option<Position>) -> v1::Position {
    let leaf = view.header.leaf_count.saturating_sub(1);
    let end = Position { height: view.height(), leaf };
    render::position(cursor.map_or(end, |cursor| cursor.max(end)))
}

/// Where a watch begins.
pub(super) fn start(position: Option<v1::Position>) -> Option<Position> {
    position.map(|position| Position { height: position.height, leaf: position.leaf })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_nothing_is_noticed_and_who_reads_slowly_is_not() {
        let mut now = Instant::now();
        let mut stillness = Stillness { taken: 0, since: now };
        let mut after = |share: u32, taken, waits| {
            now += limits::READING_PAUSE_MAX / 10 * share;
            stillness.is_over(taken, waits, now)
        };
        assert!(!after(9, 0, true));
        assert!(!after(9, 1, true), "something was read");
        assert!(!after(30, 1, false), "there is nothing to read");
        assert!(!after(9, 1, true));
        assert!(after(1, 1, true));
    }

    #[test]
    fn heartbeats_come_when_caught_up_and_when_nothing_happens() {
        let mut heartbeat = Heartbeat::new();
        let mut now = Instant::now();
        assert!(heartbeat.is_due(1, now), "the first at once");
        assert!(!heartbeat.is_due(1, now));
        assert!(!heartbeat.is_due(2, now), "not for each block");
        now += limits::WATCH_CAUGHT_UP_INTERVAL;
        assert!(!heartbeat.is_due(1, now));
        assert!(heartbeat.is_due(2, now));
        now += limits::WATCH_HEARTBEAT_INTERVAL;
        assert!(heartbeat.is_due(2, now));
    }
}
