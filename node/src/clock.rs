//! The wall clock. No other file reads it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Where this process gets the time from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands still until it is advanced: expiry cannot be tested with the machine's.
    pub fn manual(now_ms: u64) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicU64::new(now_ms))))
    }

    /// Moves a manual clock, and every copy of it, on by milliseconds. The machine's clock stays.
    pub fn advance_ms(&self, by_ms: u64) {
        if let Source::Manual(now_ms) = &self.0 {
            now_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// Unix time in milliseconds; zero if the machine believes to be before 1970.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => displaced(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            ),
            Source::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Unix time in whole seconds.
    pub fn now_s(&self) -> u64 {
        self.now_ms() / 1_000
    }
}

/// The machine's time as a node shows it whose clock jumps; as it is, in every build but those that
/// tests alone make.
#[cfg(not(feature = "misbehaviour"))]
fn displaced(now_ms: u64) -> u64 {
    now_ms
}

/// The file whose number of milliseconds is added to the machine's clock.
#[cfg(feature = "misbehaviour")]
static DISPLACED_BY: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();

/// Adds the number of milliseconds that a file holds to the machine's clock, from now on; nothing
/// where it holds none.
#[cfg(feature = "misbehaviour")]
pub fn displace_by(file: &str) {
    let _ = DISPLACED_BY.set(file.into());
}

#[cfg(feature = "misbehaviour")]
fn displaced(now_ms: u64) -> u64 {
    let offset = DISPLACED_BY.get().and_then(|file| std::fs::read_to_string(file).ok());
    let offset_ms = offset.and_then(|text| text.trim().parse::<i64>().ok());
    now_ms.saturating_add_signed(offset_ms.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_for_all_its_copies() {
        let clock = Clock::manual(5_000);
        let copy = clock.clone();
        clock.advance_ms(1_500);
        assert_eq!((copy.now_ms(), copy.now_s()), (6_500, 6));
        assert!(Clock::system().now_ms() > 1_700_000_000_000);
    }
}
