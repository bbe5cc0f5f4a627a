//! Bugs on purpose, each such as a careless engineer could have written, so that the tests can show
//! that they find them. `COUNTERFOIL_DEFECT=<name>` switches one on, in the program
//! `counterfoil-node-misbehaving` and in tests that are built with the feature `misbehaviour`; in every
//! other build the questions that are asked here have the answer no, and cost nothing.
//! `docs/testing.md` says which campaign finds which.

use std::collections::HashMap;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A vote is kept, but not synced.
    UnsyncedVote,
    /// A vote is remembered in memory and written with whatever comes next.
    UnwrittenVote,
    /// Entries, and what rides with them, are acknowledged when they are written, not when they are
    /// synced.
    UnsyncedEntries,
    /// They are acknowledged when they are in the memory of this process.
    UnflushedEntries,
    /// What is truncated goes from memory and stays on the disk.
    TruncationInMemory,
    /// The ids that a block has decided are written some time after the block.
    IdsOutsideBatch,
    /// The accounts are written before the blocks that changed them, not with them.
    TornFlush,
    /// How far the log is executed is kept one entry short.
    AppliesTwice,
    /// A signature leaves before its record is durable.
    SignsBeforeDurable,
    /// A header is signed whatever was signed before.
    SignOnceOff,
    /// A node that starts signs without asking the others what it has signed.
    InquiryOff,
    /// A node that led goes on in its term after a restart.
    GoesOnInTerm,
    /// Execution takes the time from this machine's clock.
    ClockInApply,
    /// The instructions of a block are executed in the order of a hash map.
    UnorderedApply,
    /// Execution does not ask the index which UETRs have settled.
    ForgottenUetrs,
    /// The signatures of instructions that open accounts are not checked.
    UncheckedSignature,
    /// A certificate is made of one signature too few.
    WeakCertificate,
    /// A contradiction to what a quorum has signed is noted, and the node goes on.
    ContradictionIgnored,
    /// Reads are answered without asking the leader how far the log has come.
    LocalRead,
    /// Reads that ask for what is final are answered with what is ordered.
    FinalReadOrdered,
    /// A leader's entries are taken without a look at what they are.
    FirewallOff,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 21] = [
        Defect::UnsyncedVote,
        Defect::UnwrittenVote,
        Defect::UnsyncedEntries,
        Defect::UnflushedEntries,
        Defect::TruncationInMemory,
        Defect::IdsOutsideBatch,
        Defect::TornFlush,
        Defect::AppliesTwice,
        Defect::SignsBeforeDurable,
        Defect::SignOnceOff,
        Defect::InquiryOff,
        Defect::GoesOnInTerm,
        Defect::ClockInApply,
        Defect::UnorderedApply,
        Defect::ForgottenUetrs,
        Defect::UncheckedSignature,
        Defect::WeakCertificate,
        Defect::ContradictionIgnored,
        Defect::LocalRead,
        Defect::FinalReadOrdered,
        Defect::FirewallOff,
    ];

    /// The name by which it is switched on: its own in small letters, with hyphens.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

/// Widens the moment in which a crash shows a bug.
pub fn pause() {
    std::thread::sleep(std::time::Duration::from_secs(1));
}

/// What somebody gets who keeps a list in a hash map.
pub fn unordered<T: Clone>(list: &[T]) -> Vec<T> {
    let map: HashMap<usize, T> = list.iter().cloned().enumerate().collect();
    map.into_values().collect()
}

/// Whether a bug is switched on.
#[cfg(not(feature = "misbehaviour"))]
pub const fn is(_: Defect) -> bool {
    false
}

#[cfg(feature = "misbehaviour")]
pub use switched::{begin, is};

#[cfg(feature = "misbehaviour")]
mod switched {
    use std::sync::OnceLock;

    use crate::defect::Defect;

    const VARIABLE: &str = "COUNTERFOIL_DEFECT";

    fn read() -> Result<Option<Defect>, String> {
        let Ok(name) = std::env::var(VARIABLE) else { return Ok(None) };
        let found = Defect::ALL.into_iter().find(|defect| defect.name() == name);
        found.map(Some).ok_or_else(|| {
            let names = Defect::ALL.map(Defect::name).join(", ");
            format!("{VARIABLE} names no defect: {name}; there are {names}")
        })
    }

    /// Fails if the environment names a bug that there is not. Whether it names one.
    pub fn begin() -> Result<bool, String> {
        Ok(read()?.is_some())
    }

    /// Whether a bug is switched on.
    pub fn is(defect: Defect) -> bool {
        static SWITCHED: OnceLock<Option<Defect>> = OnceLock::new();
        *SWITCHED.get_or_init(|| read().unwrap_or_else(|error| panic!("{error}"))) == Some(defect)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn names_are_words() {
            assert_eq!(Defect::UnsyncedVote.name(), "unsynced-vote");
            let mut names = Defect::ALL.map(Defect::name).to_vec();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), Defect::ALL.len());
        }
    }
}
