//! Random bytes of the operating system.

use std::time::Duration;

/// As many random bytes as the array is long.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("an operating system that runs this program has randomness");
    bytes
}

/// Between half of a time and all of it: clients that failed together do not come back together.
pub(crate) fn jitter(time: Duration) -> Duration {
    let share = f64::from(u16::from_be_bytes(bytes())) / f64::from(u16::MAX);
    time.mul_f64(0.5 + share / 2.0)
}
