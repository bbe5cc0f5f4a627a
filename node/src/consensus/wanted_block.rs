//! A block that somebody waits for. Block time stands still while nothing is instructed; what has to be
//! past a moment then needs a block of its own. They are rare however many ask.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::Notify;

use crate::limits;

/// The block time that is waited for.
#[derive(Default)]
pub struct WantedBlock {
    block_time_ms: AtomicU64,
    asked: Notify,
    /// When the last one was proposed.
    last: Mutex<Option<Instant>>,
}

impl WantedBlock {
    /// Asks for a block of at least this time, which the leader's clock has reached.
    pub fn ask(&self, block_time_ms: u64) {
        self.block_time_ms.fetch_max(block_time_ms, Ordering::SeqCst);
        self.asked.notify_one();
    }

    /// Returns when a block is wanted that is not there yet, and the one before is long enough ago.
    /// Loses nothing when it is dropped.
    pub async fn due(&self, block_time_ms: impl Fn() -> u64) {
        let is_wanted = || self.block_time_ms.load(Ordering::SeqCst) > block_time_ms();
        loop {
            if !is_wanted() {
                self.asked.notified().await;
                continue;
            }
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = last {
                tokio::time::sleep_until((last + limits::WANTED_BLOCK_INTERVAL).into()).await;
            }
            // Meanwhile another block may have come.
            if is_wanted() {
                return;
            }
        }
    }

    /// One is being proposed.
    pub fn granted(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_due(wanted: &WantedBlock, block_time_ms: u64, within: Duration) -> bool {
        tokio::time::timeout(within, wanted.due(|| block_time_ms)).await.is_ok()
    }

    #[tokio::test]
    async fn it_is_due_once_and_not_again_too_soon() {
        let wanted = WantedBlock::default();
        let soon = Duration::from_millis(20);
        assert!(!is_due(&wanted, 7, soon).await);
        wanted.ask(7);
        assert!(!is_due(&wanted, 7, soon).await);
        wanted.ask(8);
        // Whoever looked away meanwhile finds it due all the same.
        assert!(is_due(&wanted, 7, soon).await);
        assert!(is_due(&wanted, 7, soon).await);
        wanted.granted();
        assert!(!is_due(&wanted, 8, soon).await);
        wanted.ask(9);
        assert!(!is_due(&wanted, 8, soon).await);
        assert!(is_due(&wanted, 8, limits::WANTED_BLOCK_INTERVAL).await);
    }
}
