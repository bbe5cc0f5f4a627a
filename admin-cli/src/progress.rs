//! Progress of long work: one line on stderr, where stderr is a terminal; nothing otherwise.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line that is written again and again.
pub struct Progress {
    what: &'static str,
    shown: bool,
    written_at: Option<Instant>,
}

impl Progress {
    /// Work of a name.
    pub fn new(what: &'static str) -> Progress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Progress { what, shown: std::io::stderr().is_terminal() && !dumb, written_at: None }
    }

    /// Says how far it is; not more often than a person can read.
    pub fn set(&mut self, done: u64, total: u64) {
        let recent = self.written_at.is_some_and(|at| at.elapsed() < Duration::from_millis(100));
        if !self.shown || recent && done < total {
            return;
        }
        self.written_at = Some(Instant::now());
        eprint!("\r\x1b[K{} {done}/{total}", self.what);
        // Progress that cannot be written is no reason to stop the work.
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written_at.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
