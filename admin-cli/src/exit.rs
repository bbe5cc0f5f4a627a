//! Exit codes: what a script may rely on.

use std::process::ExitCode;

macro_rules! exits {
    ($($variant:ident = $code:literal, $name:literal, $meaning:literal;)*) => {
        /// How the program ends.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit {
            $(#[doc = $meaning] $variant = $code,)*
        }

        impl Exit {
            /// Every exit, by code.
            pub const ALL: &[Exit] = &[$(Exit::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Exit::$variant => $name,)* }
            }

            /// What it tells a script.
            pub fn meaning(self) -> &'static str {
                match self { $(Exit::$variant => $meaning,)* }
            }
        }
    };
}

exits! {
    Success = 0, "success", "What was asked for was done.";
    Unexpected = 1, "unexpected", "This machine failed: a file, a disk, a bug.";
    Usage = 2, "usage", "The command line or a file it names is not understood; nothing was sent.";
    NotFound = 3, "not found", "What the command names does not exist, or is not yours to see.";
    Permission = 4, "permission", "A certificate, key or role does not allow it.";
    Conflict = 5, "conflict", "It exists already, or the state is not the one it needs.";
    Unavailable = 6, "unavailable", "No node answered in time, or no quorum; the same command may be run again.";
    Verification = 7, "verification failed", "A hash, root, signature, proof or outcome is not what it must be; or it is only ordered, and not final.";
    Rejected = 8, "rejected", "The ledger refused, or refused at least one of several.";
    Differences = 10, "differences", "Asked with --exit-code: there are differences.";
    Interrupted = 130, "interrupted", "Stopped by the user.";
}

impl Exit {
    /// The number that the operating system is given.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend() {
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }
}
