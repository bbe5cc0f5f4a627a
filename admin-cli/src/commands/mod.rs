//! One file a noun.

pub mod completion;
pub mod context;
mod exit_codes;
pub mod genesis;
pub mod ledger;
pub mod pki;
mod reasons;

use crate::arguments::{Arguments, Command};
use crate::error::Failure;
use crate::output::Answer;

/// Does what the command line asks.
pub fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.command {
        Command::Context(command) => context::run(command),
        Command::Pki(command) => pki::run(command),
        Command::Genesis(command) => genesis::run(command),
        Command::Ledger(command) => ledger::run(command),
        Command::Reasons => Ok(reasons::run()),
        Command::ExitCodes => Ok(exit_codes::run()),
        Command::Completion(arguments) => Ok(completion::run(&arguments)),
    }
}
