//! The wall clock, read in this file alone. Ids and expiries are made of it; the ledger judges them
//! by its own block time.

use std::time::SystemTime;

/// Unix milliseconds; 0 on a machine whose clock stands before 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
