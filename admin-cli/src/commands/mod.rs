//! One file a noun.

pub mod account;
pub mod bench;
pub mod cluster;
pub mod completion;
pub mod context;
mod exit_codes;
pub mod genesis;
pub mod history;
pub mod instruction;
pub mod ledger;
pub mod pki;
mod reasons;
pub mod recon;
pub mod submit;
pub mod transfer;
pub mod verify;

use crate::arguments::{Arguments, Command};
use crate::error::Failure;
use crate::output::Answer;

/// Does what the command line asks.
pub fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.command {
        Command::Context(command) => context::run(command),
        Command::Pki(command) => pki::run(command),
        Command::Genesis(command) => genesis::run(command),
        Command::Cluster(command) => cluster::run(command),
        Command::Account(command) => account::run(command),
        Command::Issue(arguments) => transfer::issue(&arguments),
        Command::Redeem(arguments) => transfer::redeem(&arguments),
        Command::Transfer(arguments) => transfer::transfer(&arguments),
        Command::Submit(arguments) => submit::run(&arguments),
        Command::Instruction(command) => instruction::run(command),
        Command::History(arguments) => history::run(&arguments),
        Command::Recon(command) => recon::run(command, arguments.output),
        Command::Ledger(command) => ledger::run(command),
        Command::Verify(command) => verify::run(*command),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Reasons => Ok(reasons::run()),
        Command::ExitCodes => Ok(exit_codes::run()),
        Command::Completion(arguments) => Ok(completion::run(&arguments)),
    }
}
