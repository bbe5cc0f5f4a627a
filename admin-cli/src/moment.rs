//! Moments of this machine's clock, and how they are written: ISO 8601 in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use counterfoil_ledger::date::Date;

/// Now, in Unix milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-23T08:15:30Z`.
pub fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (hour, minute) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{}T{hour:02}:{minute:02}:{:02}Z", Date::from_unix_ms(unix_ms), seconds % 60)
}

/// `2026-11-23T08:15:30.123Z`.
pub fn utc_ms(unix_ms: u64) -> String {
    counterfoil_client::formats::outgoing::date_time(unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601() {
        assert_eq!(utc(1_795_421_730_123), "2026-11-23T08:15:30Z");
        assert_eq!(utc_ms(1_795_421_730_123), "2026-11-23T08:15:30.123Z");
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
    }
}
