//! The randomness of the schedule: all of it follows from the seed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

static STATE: Mutex<u64> = Mutex::new(0);

/// Begins with a seed.
pub fn seed(seed: u64) {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = seed;
}

/// The next number (SplitMix64).
pub fn next() -> u64 {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Less than the bound; 0 where the bound is.
pub fn below(bound: u64) -> u64 {
    next().checked_rem(bound).unwrap_or(0)
}

/// From one number to another, both included.
pub fn between(from: u64, to: u64) -> u64 {
    from + below(to - from + 1)
}

/// True so often in a hundred.
pub fn chance(percent: u64) -> bool {
    below(100) < percent
}

/// One of them.
pub fn one_of<T: Copy>(of: &[T]) -> T {
    of[usize::try_from(below(of.len() as u64)).expect("a place in a slice")]
}

/// Random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&next().to_be_bytes()[..part.len()]);
    }
    bytes
}

/// A time between two numbers of milliseconds.
pub fn time(from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_millis(between(from_ms, to_ms))
}
