//! Makes a snapshot where the policy wants one, beside execution: the state machine flushes at exactly
//! that height, and what that flush left is read while blocks go on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::snapshot::Writer;
use counterfoil_ledger::snapshot::Written;
use openraft::CommittedLeaderId;
use openraft::LogId;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use tracing::warn;

use crate::blocking;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::snapshots::Draft;
use crate::storage::snapshots::Manifest;
use crate::storage::snapshots::Snapshots;
use crate::storage::state::Flush;
use crate::storage::state::StateStore;
use crate::storage::state::StateView;
use crate::telemetry::metrics;

/// Makes this node's snapshots.
pub struct Maker {
    interval: u64,
    chain_id: Hash,
    store: StateStore,
    snapshots: Snapshots,
    /// One is being made.
    busy: AtomicBool,
    made: watch::Sender<u64>,
    failed: watch::Sender<Option<Arc<StorageError>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why a snapshot was not made.
enum Unmade {
    Failed(StorageError),
    /// The node stops.
    Stopped,
}

impl From<StorageError> for Unmade {
    fn from(error: StorageError) -> Unmade {
        Unmade::Failed(error)
    }
}

impl Maker {
    /// Makes one each `interval` blocks. What runs is in `tasks`, and ends soon after `stop`.
    pub fn new(
        interval: u64,
        chain_id: Hash,
        store: StateStore,
        snapshots: Snapshots,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Maker {
        let (made, failed) = (watch::Sender::new(0), watch::Sender::new(None));
        let busy = AtomicBool::new(false);
        Maker { interval, chain_id, store, snapshots, busy, made, failed, tasks, stop }
    }

    /// The height of the snapshot that was made last.
    pub fn made(&self) -> watch::Receiver<u64> {
        self.made.subscribe()
    }

    /// What stopped the making, if anything did.
    pub fn failed(&self) -> watch::Receiver<Option<Arc<StorageError>>> {
        self.failed.subscribe()
    }

    /// All that this node has.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The last entry that Raft need not keep: so far behind the newest certified snapshot that a short
    /// absence needs none. Raft is told that a snapshot reaches up to here and no further: a node that
    /// has this entry goes on with those behind it.
    pub fn covers(&self) -> Option<LogId<u64>> {
        let tail = self.interval * limits::SNAPSHOT_TAIL_INTERVALS;
        let certified = self.snapshots.newest_certified()?.log_position();
        let index = certified.index.checked_sub(tail).filter(|index| *index > 0)?;
        let id = self.store.log().entry_id(index).unwrap_or_else(|error| {
            // The node stops at its next write.
            warn!(%error, index, "an entry could not be read");
            None
        })?;
        Some(LogId::new(CommittedLeaderId::new(id.term, id.node), id.index))
    }

    /// Whether the state is to be flushed after a block, for a snapshot of it.
    pub fn is_due(&self, height: u64) -> bool {
        if !height.is_multiple_of(self.interval) || self.stop.is_cancelled() {
            return false;
        }
        // Executed again after a crash.
        let newest = self.snapshots.newest_certified();
        let is_old = newest.is_some_and(|newest| newest.height() >= height);
        if is_old || self.snapshots.has(height) {
            return false;
        }
        if self.busy.load(Ordering::SeqCst) {
            warn!(height, "no snapshot is made here: the last one is still being made");
            metrics::SNAPSHOTS.increment(&[("result", "skipped")]);
            return false;
        }
        true
    }

    /// Writes a flush that ends with a block, and then makes the snapshot of it. The handle ends with
    /// the flush; until then, no other flush may begin.
    pub fn begin(
        self: &Arc<Self>,
        flush: Flush,
        header: Header,
    ) -> JoinHandle<Result<(), StorageError>> {
        let (tell, told) = oneshot::channel();
        let maker = self.clone();
        self.busy.store(true, Ordering::SeqCst);
        let tracked = self.tasks.token();
        blocking::aside(move || {
            let _tracked = tracked;
            let started = Instant::now();
            let written = flush.write();
            metrics::STATE_WRITE_SECONDS.histogram(&[]).record(started.elapsed());
            let is_written = written.is_ok();
            let view = maker.store.view();
            // Whoever waited for the flush is gone only if the node stops.
            let _ = tell.send(written);
            if is_written {
                maker.make(&view, header);
            }
            maker.busy.store(false, Ordering::SeqCst);
        });
        tokio::spawn(async move {
            let given_up = || StorageError::corrupt("the state", "a flush was given up");
            told.await.unwrap_or_else(|_| Err(given_up()))
        })
    }

    fn make(&self, view: &StateView<'_>, header: Header) {
        let (height, started) = (header.height, Instant::now());
        match self.try_make(view, header) {
            Ok(bytes) => {
                let taken = started.elapsed();
                info!(height, bytes, ?taken, "a snapshot is made");
                metrics::SNAPSHOTS.increment(&[("result", "made")]);
                metrics::SNAPSHOT_SECONDS.histogram(&[]).record(taken);
                metrics::SNAPSHOT_BYTES.set(bytes as f64);
                self.made.send_replace(height);
            }
            Err(Unmade::Stopped) => {}
            Err(Unmade::Failed(error)) => drop(self.failed.send_replace(Some(Arc::new(error)))),
        }
    }

    fn try_make(&self, view: &StateView<'_>, header: Header) -> Result<u64, Unmade> {
        // Raft will be told that it needs no entry before this block: the state must not come back
        // from a power cut as one before it.
        self.store.sync()?;
        let mut draft = self.snapshots.begin(header.height)?;
        let written = self.write(view, &mut draft)?;
        #[cfg(feature = "misbehaviour")]
        let written = crate::misbehaviour::snapshot(written);
        let bytes = written.bytes;
        match Manifest::new(header, written) {
            Ok(manifest) => draft.finish(manifest)?,
            // The node works on without; whoever is away for long executes what it missed.
            Err(unfit) => warn!(%unfit, bytes, "the state is too large for a snapshot"),
        }
        Ok(bytes)
    }

    fn write(&self, view: &StateView<'_>, draft: &mut Draft) -> Result<Written, Unmade> {
        let sink = |chunk: &[u8]| {
            if self.stop.is_cancelled() {
                return Err(Unmade::Stopped);
            }
            Ok(draft.put_chunk(chunk)?)
        };
        let mut writer = Writer::new(&self.chain_id, &view.core()?, sink)?;
        for account in view.accounts() {
            writer.account(&account?)?;
        }
        for record in view.records() {
            let (key, value) = record?;
            writer.record(&key, &value)?;
        }
        writer.finish()
    }
}
