//! `counterfoil`, the command line of operators and auditors: it founds a consortium, moves money,
//! reconciles, and verifies offline what a node says.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account_name;
mod arguments;
mod certificate;
mod commands;
mod confirm;
mod context;
mod error;
mod exit;
mod files;
mod ledger_file;
mod moment;
mod output;
mod private_key;
mod progress;
mod quorum;
mod random;
mod session;
mod verdict;
mod waiting;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let format = arguments.output;
    let exit = match commands::run(arguments) {
        Ok(answer) => {
            let exit = output::print(&answer, format);
            if let Some(failure) = &answer.problem {
                error::print(failure, format);
            }
            exit
        }
        Err(failure) => {
            error::print(&failure, format);
            failure.exit
        }
    };
    exit.into()
}
