//! How the process ends: every exit code, what it means, and what the operator does about it.

use tracing::{error, warn};

macro_rules! exit_codes {
    ($($variant:ident = $code:literal, $restart:literal, $meaning:literal, $remedy:literal;)*) => {
        /// Why the process ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ExitCode {
            $(#[doc = $meaning] $variant = $code,)*
        }

        impl ExitCode {
            /// Every code, in order.
            pub const ALL: &[ExitCode] = &[$(ExitCode::$variant),*];

            /// What it means, one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(ExitCode::$variant => $meaning,)* }
            }

            /// What the operator does about it, one sentence.
            pub fn remedy(self) -> &'static str {
                match self { $(ExitCode::$variant => $remedy,)* }
            }

            /// Whether a supervisor may start the process again by itself.
            pub fn restartable(self) -> bool {
                match self { $(ExitCode::$variant => $restart,)* }
            }
        }
    };
}

exit_codes! {
    Ok = 0, false,
        "The node was asked to stop and stopped in order.",
        "Nothing.";
    Usage = 64, false,
        "A flag, the configuration or a file that it names is wrong.",
        "Run `counterfoil-node check` and correct what it lists.";
    Storage = 70, false,
        "The disk refused a write, a read or an fsync; the node never retries one.",
        "Look at the kernel log and the disk; start the node again only when the disk is sound.";
    Fatal = 71, true,
        "Consensus stopped for ever, or the program panicked.",
        "Start it again; report the logged panic as a bug.";
    Diverged = 72, false,
        "This node computed a header that differs from the certified one.",
        "Keep the data directory as evidence; do not start the node again on it.";
    Corrupt = 73, false,
        "Bytes on disk are not what was written, or are gone: a checksum fails, a file is missing, or the log has a hole or ends before what was durable.",
        "Keep the data directory. If the message names the state or an index, run `counterfoil-node repair --index`; if it names the log, restore the node from its peers under a new node id.";
    DiskFull = 74, false,
        "There is too little space for the log and the state, or a write found none.",
        "Free or add space, more than disk.stop_free_mib, then start the node again: nothing has to be repaired.";
    Identity = 75, false,
        "The node's certificate, its key or its attestation key is invalid, expired or not the one registered.",
        "Install a certificate of the institution's own CA for this node and its key, then start the node again.";
    AddressInUse = 76, false,
        "Another process listens on one of the configured addresses.",
        "Stop the other process, or change [listen].";
    DirectoryLocked = 77, false,
        "Another process uses the data directory.",
        "Stop the other process; never delete the lock file while it runs.";
    DirectoryMismatch = 78, false,
        "The data directory does not exist, was initialised for another node or another consortium, or is empty although its node has taken part before.",
        "Point node.data at the right directory, or found one with `counterfoil-node init`; in the place of a node whose data is lost start a spare node id of its institution.";
}

impl ExitCode {
    /// The number that the process returns.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code.number())
    }
}

/// How a node ends that has not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// It has to open everything anew: a state that it has built takes the place of the one it had.
    Restart,
}

/// Why the process cannot go on, on its way to the exit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    /// What the process returns.
    pub code: ExitCode,
    /// What went wrong, with the facts.
    pub message: String,
}

/// Logs why and ends the process at once. No destructor runs and nothing is flushed: after a
/// failed fsync or a panic, what is in memory must not reach the disk any more, and a store that is
/// still open would turn an orderly exit into an abort with another code.
pub fn exit(code: ExitCode, message: &str) -> ! {
    let (number, meaning, remedy) = (code.number(), code.meaning(), code.remedy());
    if code == ExitCode::Ok {
        warn!(exit_code = number, "{message}");
    } else {
        error!(exit_code = number, meaning, remedy, "{message}");
    }
    signal_hook::low_level::exit(i32::from(code.number()))
}

/// Makes a panic on any thread log itself and end the process with [`ExitCode::Fatal`]: a thread
/// that died quietly would leave its callers waiting for ever.
pub fn exit_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        exit(ExitCode::Fatal, &format!("{panic}\n{backtrace}"));
    }));
}

/// The table of exit codes as text, for `counterfoil-node exit-codes` and the documentation.
pub fn table() -> String {
    let mut table =
        String::from("| code | name | restart | meaning | remedy |\n|---|---|---|---|---|\n");
    for code in ExitCode::ALL {
        let restart = if code.restartable() { "yes" } else { "no" };
        table.push_str(&format!(
            "| {} | {code:?} | {restart} | {} | {} |\n",
            code.number(),
            code.meaning(),
            code.remedy()
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_documented() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, [0, 64, 70, 71, 72, 73, 74, 75, 76, 77, 78]);
        assert_eq!(table().lines().count(), ExitCode::ALL.len() + 2);
    }
}
