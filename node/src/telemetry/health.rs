//! Whether the node serves, and if not, why. One value, read by `/readyz`, by gRPC health and by
//! whoever waits for the start.

use tokio::sync::watch;
use tracing::{info, warn};

use crate::telemetry::metrics;

/// Whether the node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet: what it is doing.
    Starting(String),
    /// It takes instructions and answers queries.
    Ready,
    /// Not now: why.
    NotReady(String),
}

/// The node's readiness; copies share it.
#[derive(Clone, Debug)]
pub struct Health(watch::Sender<Readiness>);

impl Health {
    /// A node that starts.
    pub fn starting() -> Health {
        metrics::READY.set(0.0);
        Health(watch::Sender::new(Readiness::Starting("opening the data directory".to_owned())))
    }

    /// Says how it stands now. Repeating what was said changes and logs nothing.
    pub fn set(&self, readiness: Readiness) {
        let changed = self.0.send_if_modified(|current| {
            let changed = *current != readiness;
            if changed {
                current.clone_from(&readiness);
            }
            changed
        });
        if !changed {
            return;
        }
        metrics::READY.set(if readiness == Readiness::Ready { 1.0 } else { 0.0 });
        match readiness {
            Readiness::Starting(step) => info!(step, "starting"),
            Readiness::Ready => info!("ready"),
            Readiness::NotReady(cause) => warn!(cause, "not ready"),
        }
    }

    /// How it stands.
    pub fn get(&self) -> Readiness {
        self.0.borrow().clone()
    }

    /// Follows the changes.
    pub fn watch(&self) -> watch::Receiver<Readiness> {
        self.0.subscribe()
    }
}
