//! The scrubber: reads again, slowly and for ever, what is on disk, so that damage is found while the
//! other nodes still have what is damaged here. It goes on where it was when the node stopped.

use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;

use crate::config::Disk;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;
use crate::storage::Failure;
use crate::storage::StorageError;
use crate::storage::log::LogStore;
use crate::storage::snapshots::Snapshots;
use crate::storage::state::ScrubPlace;
use crate::storage::state::ScrubStep;
use crate::storage::state::StateStore;
use crate::telemetry::metrics;

/// In the log's meta: where the pass under way stands.
const PLACE: &str = "scrub";

/// A pass under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pass {
    /// What it has taken so far, in earlier processes too.
    took: Duration,
    place: ScrubPlace,
}

/// Reads what a node has stored.
pub struct Scrubber {
    log: LogStore,
    store: StateStore,
    snapshots: Snapshots,
    /// Bytes a second.
    rate: u64,
    /// Between two passes.
    pause: Duration,
}

impl Scrubber {
    /// Over a node's stores. None if it is switched off.
    pub fn new(
        log: LogStore,
        store: StateStore,
        snapshots: Snapshots,
        disk: &Disk,
    ) -> Option<Scrubber> {
        let (rate, pause) = (disk.scrub, disk.scrub_pause);
        (rate > 0).then_some(Scrubber { log, store, snapshots, rate, pause })
    }

    /// Goes on until it is stopped or finds damage, which it returns.
    pub async fn run(self, stop: CancellationToken) -> Option<Stop> {
        let scrubbed = stop.run_until_cancelled(self.scrub()).await?;
        Some(scrubbed)
    }

    async fn scrub(&self) -> Stop {
        let mut pass = match self.kept() {
            Ok(pass) => pass,
            Err(error) => return stopped(error),
        };
        let slice = (self.rate / SLICES_PER_SECOND).max(1);
        let mut kept_at = Instant::now();
        loop {
            let began = Instant::now();
            let step = match self.step(pass.place.clone(), slice).await {
                Ok(step) => step,
                Err(error) => return stopped(error),
            };
            self.pace(step.bytes, began).await;
            if step.next.is_none()
                && let Err(error) = self.scrub_snapshot().await
            {
                return stopped(error);
            }
            pass.took += began.elapsed();
            let ended = step.next.is_none();
            match step.next {
                Some(next) => pass.place = next,
                None => {
                    metrics::SCRUB_PASS_SECONDS.set(pass.took.as_secs_f64());
                    metrics::SCRUB_PASSES.increment(&[]);
                    info!(seconds = pass.took.as_secs(), "read everything that is stored again");
                    pass = Pass::default();
                }
            }
            if ended || kept_at.elapsed() >= limits::SCRUB_KEPT_INTERVAL {
                kept_at = Instant::now();
                if let Err(error) = self.keep(&pass).await {
                    return stopped(error);
                }
            }
            if ended {
                tokio::time::sleep(self.pause).await;
            }
        }
    }

    /// Reads the newest snapshot, chunk by chunk, as long as it is there.
    async fn scrub_snapshot(&self) -> Result<(), StorageError> {
        let Some(height) = self.snapshots.newest().map(|manifest| manifest.height()) else {
            return Ok(());
        };
        for number in 0.. {
            let (began, snapshots) = (Instant::now(), self.snapshots.clone());
            let reading = tokio::task::spawn_blocking(move || snapshots.read_chunk(height, number));
            let read = reading.await.expect("reading what is stored does not panic")?;
            let Some(chunk) = read else { break };
            self.pace(u64::try_from(chunk.len()).unwrap_or(u64::MAX), began).await;
        }
        Ok(())
    }

    /// Counts what was read, and rests until there was time for it.
    async fn pace(&self, bytes: u64, began: Instant) {
        metrics::SCRUB_BYTES.counter(&[]).increment(bytes);
        let due = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }

    async fn step(&self, from: ScrubPlace, budget: u64) -> Result<ScrubStep, StorageError> {
        let store = self.store.clone();
        let reading = tokio::task::spawn_blocking(move || store.scrub(&from, budget));
        reading.await.expect("reading what is stored does not panic")
    }

    fn kept(&self) -> Result<Pass, StorageError> {
        let kept = self.log.meta(PLACE)?;
        Ok(kept.and_then(|bytes| Pass::decode(&bytes)).unwrap_or_default())
    }

    async fn keep(&self, pass: &Pass) -> Result<(), StorageError> {
        let (log, bytes) = (self.log.clone(), pass.encode());
        let keeping = tokio::task::spawn_blocking(move || log.save_meta_buffered(PLACE, &bytes));
        keeping.await.expect("keeping a place does not panic")
    }
}

/// The rate is kept in so many parts of a second.
const SLICES_PER_SECOND: u64 = 4;

fn stopped(error: StorageError) -> Stop {
    if error.failure() == Some(Failure::Corrupt) {
        error!(%error, "what is stored is damaged");
        let message = format!(
            "{error}. If it is the state or an index, `counterfoil-node repair --index` makes it anew; \
             if it is the log, a new node has to take this one's place"
        );
        return Stop { code: ExitCode::Corrupt, message };
    }
    error.into()
}

impl Pass {
    /// Milliseconds u64 · the place.
    fn encode(&self) -> Vec<u8> {
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        [&took.to_be_bytes()[..], &self.place.encode()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Pass> {
        let (took, place) = bytes.split_first_chunk()?;
        let took = Duration::from_millis(u64::from_be_bytes(*took));
        Some(Pass { took, place: ScrubPlace::decode(place)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_kept_as_it_is() {
        let place = ScrubPlace::decode(&[1, 2, 3]).unwrap();
        let pass = Pass { took: Duration::from_millis(1_234), place };
        assert_eq!(Pass::decode(&pass.encode()), Some(pass));
        assert_eq!(Pass::decode(&[0; 8]), None);
    }
}
