//! How certain an answer has to be: what is read, and what is submitted.

use counterfoil_proto::v1;

/// How fresh and how certain what is read has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Read {
    /// Everything that was reported final before, and nothing that is not
    #[default]
    Final,
    /// Everything that was ordered before: it holds unless nodes lie
    Ordered,
    /// What the node has, without asking others
    Stale,
}

impl Read {
    /// As requests say it.
    pub fn mode(self) -> v1::ReadMode {
        match self {
            Read::Final => v1::ReadMode::Final,
            Read::Ordered => v1::ReadMode::Ordered,
            Read::Stale => v1::ReadMode::Stale,
        }
    }
}

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Wait {
    /// Until a quorum of institutions has signed it
    #[default]
    Final,
    /// Until a quorum of nodes has stored it: sooner, and it holds unless nodes lie
    Ordered,
}

/// The flag of commands that submit.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Waiting {
    /// How certain what is submitted has to be before the command ends
    #[arg(long, value_name = "HOW", value_enum, default_value = "final")]
    wait: Wait,
}

impl Waiting {
    /// As requests say it.
    pub fn finality(self) -> v1::Finality {
        match self.wait {
            Wait::Final => v1::Finality::Final,
            Wait::Ordered => v1::Finality::Ordered,
        }
    }
}
