//! What happened, line by line: the hash of all lines tells whether a seed replays.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Lines that are kept for the report of a failure.
const KEPT: usize = 300;

static TRACE: Mutex<Trace> = Mutex::new(Trace::new());

struct Trace {
    hash: u64,
    lines: u64,
    kept: VecDeque<String>,
    shown: bool,
}

impl Trace {
    const fn new() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, kept: VecDeque::new(), shown: false }
    }
}

/// Whether each line is shown at once.
pub fn show(shown: bool) {
    TRACE.lock().unwrap_or_else(PoisonError::into_inner).shown = shown;
}

/// One more line, at a moment of the simulated time.
pub fn line(now_ms: u64, words: &str) {
    let line = format!("{:>9.3} {words}", now_ms as f64 / 1_000.0);
    let mut trace = TRACE.lock().unwrap_or_else(PoisonError::into_inner);
    for byte in line.bytes() {
        // FNV-1a.
        trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    trace.lines += 1;
    if trace.shown {
        eprintln!("{line}");
    }
    if trace.kept.len() == KEPT {
        trace.kept.pop_front();
    }
    trace.kept.push_back(line);
}

/// The hash and the number of all lines so far.
pub fn hash() -> (u64, u64) {
    let trace = TRACE.lock().unwrap_or_else(PoisonError::into_inner);
    (trace.hash, trace.lines)
}

/// The last lines.
pub fn last() -> Vec<String> {
    let trace = TRACE.lock().unwrap_or_else(PoisonError::into_inner);
    trace.kept.iter().cloned().collect()
}
