//! Watches: streams that follow the ledger. Each reads the store from its own position on, so that
//! nothing is kept for it but a short queue; who reads slowly slows itself alone.

use std::future::Future;
use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_proto::v1;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::reading::View;
use super::render;
use super::status;
use crate::clock::Clock;
use crate::identity::caller::Caller;
use crate::identity::caller::check_live;
use crate::limits;
use crate::listener::shares::Share;
use crate::listener::shares::Shares;
use crate::telemetry::metrics;

/// What a watch sends.
pub(super) type Stream<T> = ReceiverStream<Result<T, Status>>;

/// Where a watch puts what it sends. An error means that nobody reads any longer.
pub(super) type Outlet<T> = mpsc::Sender<Result<T, Status>>;

/// The watches that are open.
pub(super) struct Watches {
    clock: Clock,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    institutions: Arc<Shares<Bic>>,
}

/// What an open watch holds.
struct Place {
    gauge: ::metrics::Gauge,
    _place: OwnedSemaphorePermit,
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
            places: Arc::new(Semaphore::new(limits::WATCHES_MAX)),
            institutions: Shares::new(limits::WATCHES_PER_INSTITUTION_MAX),
        }
    }

    /// Opens a watch that runs until its work ends, its reader goes, its caller's certificate
    /// expires or the node stops.
    pub(super) fn open<T, W>(
        &self,
        caller: &Caller,
        queue: usize,
        work: impl FnOnce(Outlet<T>) -> W,
    ) -> Result<Stream<T>, Status>
    where
        T: Send + 'static,
        W: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let place = self.place(caller)?;
        let (outlet, stream) = mpsc::channel(queue);
        let work = work(outlet.clone());
        let expired = expired(caller.clone(), self.clock.clone());
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let _place = place;
            let end = tokio::select! {
                result = work => result.err(),
                () = outlet.closed() => None,
                () = stop.cancelled() => Some(status::stopping()),
                status = expired => Some(status),
            };
            if let Some(status) = end {
                // A reader that has not made room by then finds the stream cut, which says the same.
                let last = outlet.send(Err(status));
                let _ = tokio::time::timeout(limits::WATCH_CAUGHT_UP_INTERVAL, last).await;
            }
        });
        Ok(ReceiverStream::new(stream))
    }

    fn place(&self, caller: &Caller) -> Result<Place, Status> {
        let place = self.places.clone().try_acquire_owned().ok();
        let share = self.institutions.take(caller.identity.institution);
        let (place, share) =
            place.zip(share).ok_or_else(|| status::overloaded("Too many watches are open."))?;
        let gauge = metrics::WATCHES.gauge(&[]);
        gauge.increment(1.0);
        Ok(Place { gauge, _place: place, _institution: share })
    }
}

/// Ends when the caller's certificate expires. Looks now and then: clocks are set.
async fn expired(caller: Caller, clock: Clock) -> Status {
    loop {
        if let Err(expired) = check_live(&caller, clock.now_ms()) {
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
