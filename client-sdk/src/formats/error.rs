//! What is wrong with a file: where, what, and how to mend it.

/// Why a file is refused. Nothing of a refused file is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fact}; {fix}")]
pub struct FormatError {
    /// The element (`Document/FICdtTrf/CdtTrfTxInf[3]/IntrBkSttlmAmt`), the row and column, or the
    /// line.
    pub place: String,
    /// What was found there and the rule that it breaks.
    pub fact: String,
    /// What to do about it.
    pub fix: String,
}

impl FormatError {
    /// Says where, what and how to mend it.
    pub fn new(
        place: impl Into<String>,
        fact: impl Into<String>,
        fix: impl Into<String>,
    ) -> FormatError {
        FormatError { place: place.into(), fact: fact.into(), fix: fix.into() }
    }
}

/// Something in a file that was passed over; the rest of the file is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The element, or the row and column.
    pub place: String,
    /// What was found there and what was done about it.
    pub fact: String,
}

/// The first warnings of a file; a file of nothing but oddities must not fill memory with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    kept: Vec<Warning>,
    omitted: usize,
}

/// Warnings kept of one statement or file.
pub const WARNINGS_MAX: usize = 1_000;

impl Warnings {
    /// Keeps a warning, or counts it if there are enough.
    pub fn add(&mut self, place: impl Into<String>, fact: impl Into<String>) {
        if self.kept.len() < WARNINGS_MAX {
            self.kept.push(Warning { place: place.into(), fact: fact.into() });
        } else {
            self.omitted += 1;
        }
    }

    /// The warnings kept, in the order of the file.
    pub fn kept(&self) -> &[Warning] {
        &self.kept
    }

    /// How many more there were.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// A value as an error quotes it: its beginning, on one line, with control characters escaped.
pub fn quote(value: &str) -> String {
    const QUOTED_MAX: usize = 40;
    let mut short: String = value.chars().take(QUOTED_MAX).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}
