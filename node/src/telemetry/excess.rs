//! What somebody wanted beyond their share: counted each time, and told in the log now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use tracing::warn;

use crate::limits;
use crate::telemetry::metrics;

/// What there is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Connections.
    Connections,
    /// How fast connections are read.
    Pace,
    /// Requests that are being answered.
    Requests,
    /// Bytes of requests that are being received.
    RequestBytes,
    /// Bytes of answers that are not read yet.
    AnswerBytes,
    /// Watches and exports.
    Watches,
    /// A stream that is not read.
    Reading,
    /// Instructions that wait for a block.
    Queue,
    /// Instructions that are promised.
    Promises,
    /// Signatures that do not hold.
    Signatures,
}

impl Bound {
    /// Its word in metrics, logs and answers.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Connections => "connections",
            Bound::Pace => "pace",
            Bound::Requests => "requests",
            Bound::RequestBytes => "request_bytes",
            Bound::AnswerBytes => "answer_bytes",
            Bound::Watches => "watches",
            Bound::Reading => "reading",
            Bound::Queue => "queue",
            Bound::Promises => "promises",
            Bound::Signatures => "signatures",
        }
    }
}

/// An institution wanted more than its share.
pub fn note(institution: &str, bound: Bound) {
    static TOLD: Mutex<Option<HashMap<(String, Bound), Instant>>> = Mutex::new(None);
    let labels = [("institution", institution), ("bound", bound.name())];
    metrics::BEYOND_SHARE.increment(&labels);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = told.get_or_insert_default();
    let (key, now) = ((institution.to_owned(), bound), Instant::now());
    let is_new = |at: &Instant| now.saturating_duration_since(*at) >= limits::EXCESS_LOG_INTERVAL;
    // Institutions are those of the registry: the map does not grow beyond them.
    if told.get(&key).is_none_or(is_new) {
        told.insert(key, now);
        warn!(institution, bound = bound.name(), "an institution wants more than its share");
    }
}
