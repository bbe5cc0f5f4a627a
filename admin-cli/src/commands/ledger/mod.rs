//! `ledger`: the whole ledger in a file, and its verification without any node.

mod checkpoint;
mod export;
mod proof;
pub mod verify;

use std::path::PathBuf;

use self::verify::Known;
use crate::context::Connection;
use crate::error::Failure;
use crate::output::Answer;
use crate::session;

/// Verbs of `ledger`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Writes the whole ledger into a file; needs an auditor of the whole consortium
    Export {
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Last height; the newest, unless given
        #[arg(long, value_name = "HEIGHT")]
        to_height: Option<u64>,
        /// How to connect.
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Writes the newest final height as a C2SP checkpoint, cosigned by a quorum of nodes
    Checkpoint {
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How to connect.
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Saves what proves that the header at a height is in the history of a certified one
    Proof {
        /// The height
        height: u64,
        /// The certified height is at least this; the newest that is final, unless given
        #[arg(long, value_name = "HEIGHT")]
        to_height: Option<u64>,
        /// The file to write; counterfoil verify chain --proof and verify history read it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How to connect.
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Takes the newest certificate into this machine's trusted state, unless it contradicts it
    Trust {
        /// Where to keep a copy of the trusted state
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// How to connect.
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Executes an exported ledger again and compares every hash, root, signature and outcome; asks
    /// no node, and checks no certificate: verify chain says up to where it is final
    Verify {
        /// The genesis file, from a source that you trust
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// The exported ledger
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// A header that must be in it, as noted at an earlier verification; may be repeated
        #[arg(long, value_name = "HEIGHT:HASH", value_parser = Known::parse)]
        known: Vec<Known>,
        /// Lists every account with its balance
        #[arg(long)]
        accounts: bool,
    },
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Export { out, to_height, connection } => {
            session::run(export::run(&out, to_height, &connection))
        }
        Command::Proof { height, to_height, out, connection } => {
            session::run(proof::run(height, to_height, &out, &connection))
        }
        Command::Trust { out, connection } => {
            session::run(proof::trust(out.as_deref(), &connection))
        }
        Command::Checkpoint { out, connection } => session::run(checkpoint::run(&out, &connection)),
        Command::Verify { genesis, file, known, accounts } => {
            verify::run(&genesis, &file, &known, accounts)
        }
    }
}
