//! What becomes of each file: names, counts, sums and reasons, and nothing else of what is in them.

/// A row.
pub struct Verdict {
    /// Below the folder of the data.
    pub file: &'static str,
    /// Counts and sums, or where it is refused.
    pub outcome: &'static str,
    /// Why it is refused.
    pub reason: Option<Reason>,
}

/// Why files are refused. Each class deserves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// x
    X,
}

impl Reason {
    pub fn fact(self) -> &'static str {
        ""
    }
}

pub const CAMT: &[Verdict] = &[];
pub const CAMT_ENTRIES: usize = 0;
pub const MT: &[Verdict] = &[];
pub const MT_ENTRIES: usize = 0;
