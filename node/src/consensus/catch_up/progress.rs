//! How far a node has caught up, for who waits for it.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use crate::limits;
use crate::telemetry::health::Health;
use crate::telemetry::health::Readiness;
use crate::telemetry::metrics;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It receives a snapshot.
    Snapshot {
        /// Of this height.
        height: u64,
        /// As many chunks are there.
        chunk: u32,
        /// Of so many.
        of: u32,
    },
    /// It follows blocks.
    Blocks {
        /// From the one after this.
        from: u64,
        /// The last that it has followed.
        height: u64,
        /// Up to this one.
        target: u64,
    },
}

impl Progress {
    /// The height that it aims at.
    pub fn target(&self) -> u64 {
        match self {
            Progress::Snapshot { height, .. } => *height,
            Progress::Blocks { target, .. } => *target,
        }
    }

    /// The last height that it has; 0 before there is one.
    pub fn height(&self) -> u64 {
        match self {
            Progress::Snapshot { .. } => 0,
            Progress::Blocks { height, .. } => *height,
        }
    }

    fn hundredths(&self) -> u64 {
        let (done, of) = match self {
            Progress::Snapshot { chunk, of, .. } => (u64::from(*chunk), u64::from(*of)),
            Progress::Blocks { from, height, target } => (height - from, target - from),
        };
        done * 100 / of.max(1)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.hundredths();
        match self {
            Progress::Snapshot { height, chunk, of } => {
                write!(f, "{hundredths} % of the snapshot of block {height}, {chunk} of {of} MiB")
            }
            Progress::Blocks { height, target, .. } => {
                write!(f, "{hundredths} %, block {height} of {target}")
            }
        }
    }
}

/// The progress of one node. Copies share it.
#[derive(Clone)]
pub struct Watched {
    health: Health,
    last: Arc<Mutex<Option<(Progress, Instant)>>>,
}

impl Watched {
    /// Told to whoever asks whether the node is ready.
    pub fn new(health: Health) -> Watched {
        Watched { health, last: Arc::default() }
    }

    /// How far it is now.
    pub fn get(&self) -> Option<Progress> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).map(|(progress, _)| progress)
    }

    /// It is so far now.
    pub fn tell(&self, progress: Progress) {
        let remaining = match progress {
            Progress::Snapshot { .. } => None,
            Progress::Blocks { height, target, .. } => Some(target.saturating_sub(height)),
        };
        if let Some(remaining) = remaining {
            // Gauges are floats; no height comes near 2^53.
            metrics::CATCH_UP_REMAINING.set(remaining as f64);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|(_, at)| at.elapsed() >= limits::CATCH_UP_TELL_INTERVAL);
        let told = if is_due { Instant::now() } else { last.map_or_else(Instant::now, |it| it.1) };
        *last = Some((progress, told));
        drop(last);
        // Each change of the health is a line in the log.
        if is_due {
            self.health.set(Readiness::Starting(format!("catching up: {progress}")));
        }
    }
}
