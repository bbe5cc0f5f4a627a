//! `recon breaks`: what is wrong between the books of an account, and what was said of it.

mod ageing;
mod filter;
mod list;
mod show;

pub use self::ageing::{Ageing, BUCKETS};
pub use self::list::{at_stake, break_json, what};

use crate::account_name::AccountWord;
use crate::context::Connection;
use crate::error::Failure;
use crate::output::Answer;

/// Arguments of `recon breaks`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    show: Option<Command>,
    #[command(flatten)]
    list: Option<list::List>,
}

/// Verbs of `recon breaks`; without one it lists them.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows one break with its items, its conversation and what is offered
    Show(Box<Show>),
}

/// Arguments of `recon breaks show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// The break's number
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// Does it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        match (&self.show, &self.list) {
            (Some(Command::Show(show)), _) => show.run().await,
            (None, Some(list)) => list.run().await,
            (None, None) => Err(Failure::usage("USAGE", "no account is named")
                .fix("counterfoil recon breaks ACCOUNT")),
        }
    }
}
