//! The command line: nouns, then verbs.

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    account, bench, cluster, completion, context, genesis, history, instruction, ledger, pki,
    recon, submit, transfer, verify,
};
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::output::Format;

/// Operates a Counterfoil consortium: keys and certificates, founding, money, reconciliation, and
/// verification that trusts no node.
#[derive(Debug, Parser)]
#[command(name = "counterfoil", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: counterfoil exit-codes. Reasons for refusals: counterfoil reasons."
)]
pub struct Arguments {
    /// How answers are written; errors follow on stderr [env: COUNTERFOIL_OUTPUT]
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        hide_env = true,
        env = "COUNTERFOIL_OUTPUT",
        value_name = "FORMAT",
        display_order = 900
    )]
    pub output: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Which consortium the other commands talk to, and as whom
    #[command(subcommand)]
    Context(context::Command),
    /// An institution's own certificate authority, certificates and signing keys
    #[command(subcommand)]
    Pki(pki::Command),
    /// The founding document of a consortium
    #[command(subcommand)]
    Genesis(genesis::Command),
    /// The health of the consortium
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Opening accounts, balances, postings and statements
    #[command(subcommand)]
    Account(account::Command),
    /// Issues money from your issuance account
    Issue(Box<transfer::Issue>),
    /// Redeems money at its servicer
    Redeem(Box<transfer::Redeem>),
    /// Moves money to another institution
    Transfer(Box<transfer::Transfer>),
    /// Submits the payments of a file: pacs.008, pacs.009 or CSV
    Submit(Box<submit::Arguments>),
    /// What became of what was signed
    #[command(subcommand)]
    Instruction(instruction::Command),
    /// The settlement history in your scope
    History(Box<history::Arguments>),
    /// What two institutions have of the accounts between them: agreements, books, breaks, positions
    #[command(subcommand)]
    Recon(recon::Command),
    /// The whole ledger: in a file, and verified
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// What a node said, checked against the genesis file, without any node
    #[command(subcommand)]
    Verify(Box<verify::Command>),
    /// Measures how much the consortium settles, how fast, and at what cost
    Bench(Box<bench::Arguments>),
    /// Every reason for which the ledger refuses
    Reasons,
    /// Every exit code of this program
    ExitCodes,
    /// A completion script for a shell
    Completion(completion::Arguments),
}

/// Reads the command line. Help and version are printed here; so is what is not understood.
pub fn parse() -> Result<Arguments, Exit> {
    let parsed = Arguments::command()
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has seen enough is no failure.
            let _ = error.print();
            Exit::Success
        }
        _ if wants_json(std::env::args()) => {
            error::print(&usage(&error), Format::Json);
            Exit::Usage
        }
        _ => {
            let _ = error.print();
            Exit::Usage
        }
    })
}

/// Whether a command line that is not understood asked for JSON all the same.
fn wants_json(arguments: impl Iterator<Item = String>) -> bool {
    let arguments: Vec<String> = arguments.collect();
    let pair = |pair: &[String]| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json";
    arguments.windows(2).any(pair)
        || arguments.iter().any(|one| one == "--output=json" || one == "-ojson" || one == "-o=json")
        || std::env::var("COUNTERFOIL_OUTPUT").is_ok_and(|format| format == "json")
}

fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines.next().unwrap_or("the command line is not understood");
    let failure = Failure::usage("USAGE", message.trim_start_matches("error: "));
    lines.fold(failure, |failure, line| failure.fact(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn json_is_recognised_in_a_broken_command_line() {
        let wants = |line: &str| wants_json(line.split(' ').map(str::to_owned));
        assert!(wants("counterfoil nonsense -o json") && wants("counterfoil --output=json x"));
        assert!(!wants("counterfoil nonsense -o table"));
    }
}
