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
    list: list::List,
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
        match &self.show {
            Some(Command::Show(show)) => show.run().await,
            None => self.list.run().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        breaks: Arguments,
    }

    #[test]
    fn a_verb_takes_the_place_of_the_account() {
        let list = Program::parse_from(["breaks", "CHF", "--sort", "amount"]).breaks;
        assert!(list.show.is_none());
        let Some(Command::Show(show)) =
            Program::parse_from(["breaks", "show", "CHF", "3"]).breaks.show
        else {
            panic!("a verb")
        };
        assert_eq!((show.account.to_string().as_str(), show.number), ("CHF", 3));
        assert!(Program::try_parse_from(["breaks"]).is_err());
    }
}
