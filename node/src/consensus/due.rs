//! Work of the ledger whose time comes without an instruction: deadlines of reconciliation, and runs.
//! The leader proposes a block for it, and every block does what is due by its time.

use std::time::Duration;

use super::executor::Executor;
use crate::clock::Clock;
use crate::limits;

/// Returns when work is due by the clock. Loses nothing when it is dropped; whoever has proposed a block
/// for it asks again when that block is there.
pub async fn due(executor: &Executor, clock: &Clock) {
    let mut height = executor.height();
    loop {
        height.borrow_and_update();
        let due_ms = executor.state().reconciliation().due_ms();
        let wait = due_ms.map(|due_ms| due_ms.saturating_sub(clock.now_ms()));
        let sleep = match wait {
            Some(0) => return,
            // The clock may be set meanwhile.
            Some(wait) => Duration::from_millis(wait).min(limits::DUE_INTERVAL),
            None => limits::DUE_INTERVAL,
        };
        tokio::select! {
            // Another block may have changed what is due when.
            Ok(()) = height.changed() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}
