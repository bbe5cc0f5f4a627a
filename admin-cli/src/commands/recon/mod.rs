//! `recon`: the books of an account against each other and against the ledger, as agreed.

mod account;
mod agreement;
mod book_file;
mod breaks;
mod decide;
mod explain;
mod import;
mod import_record;
mod item;
mod originals;
mod page;
mod position;
mod report;
mod standing;
mod status;
mod try_terms;
mod watch;
mod words;
mod work;

pub use self::agreement::words::sealing_key;

use crate::error::Failure;
use crate::output::{Answer, Format};
use crate::session;

/// Verbs of `recon`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// On which terms two institutions reconcile
    #[command(subcommand)]
    Agreement(agreement::Command),
    /// Imports a book of an account: camt.05x, MT940, MT942 or CSV
    Import(Box<import::Arguments>),
    /// Lists the statements of the books of an account
    Statements(Box<originals::statements::Statements>),
    /// Fetches the file that a statement was read from, opens it and checks its hash; or deletes it
    Original(Box<originals::Original>),
    /// Shows where reconciliation stands: items, matches, breaks, the last days
    Status(Box<status::Arguments>),
    /// Lists what is wrong, the oldest and largest first; or shows one break
    Breaks(Box<breaks::Arguments>),
    /// Explains why an item stands as it does, and why not with another one
    Explain(Box<explain::Arguments>),
    /// Offers a way to end a break
    Propose(Box<work::Propose>),
    /// Agrees to what is offered to end a break; its payer pays with the same signature
    Agree(Box<work::Agree>),
    /// Does not take what is offered, or takes the own offer back
    Decline(Box<work::Refusing>),
    /// Opens a break again that ended in a way that was none
    Reopen(Box<work::Refusing>),
    /// Gives a break to a party to work on
    Assign(Box<work::Assign>),
    /// Says something about a break to the other party
    Say(Box<work::Say>),
    /// Lists what may belong together: a person decides
    Proposals(Box<decide::Proposals>),
    /// Decides what belongs together, or that a match was none
    Match(Box<decide::Decide>),
    /// Lets the passes over all open items of an account run now
    Run(Box<decide::Run>),
    /// Shows what other terms would change, and records nothing
    TryTerms(Box<try_terms::Arguments>),
    /// Shows a day from every side, and signs it
    Position(Box<position::Position>),
    /// Lists the days of an account, and how far each is
    Positions(Box<position::Positions>),
    /// Tells breaks and positions as they come, a line each
    Watch(Box<watch::Arguments>),
    /// Compares two sources in figures that add up, also as a page to read and print
    Report(Box<report::Arguments>),
}

/// Does it. What is told as it comes is written in this format.
pub fn run(command: Command, format: Format) -> Result<Answer, Failure> {
    match command {
        Command::Agreement(command) => agreement::run(command),
        Command::Import(arguments) => arguments.run(),
        Command::Statements(arguments) => session::run(arguments.run()),
        Command::Original(arguments) => session::run(arguments.run()),
        Command::Status(arguments) => session::run(arguments.run()),
        Command::Breaks(arguments) => session::run(arguments.run()),
        Command::Explain(arguments) => session::run(arguments.run()),
        Command::Propose(arguments) => session::run(arguments.run()),
        Command::Agree(arguments) => session::run(arguments.run()),
        Command::Decline(arguments) => session::run(arguments.decline()),
        Command::Reopen(arguments) => session::run(arguments.reopen()),
        Command::Assign(arguments) => session::run(arguments.run()),
        Command::Say(arguments) => session::run(arguments.run()),
        Command::Proposals(arguments) => session::run(arguments.run()),
        Command::Match(arguments) => session::run(arguments.run()),
        Command::Run(arguments) => session::run(arguments.run()),
        Command::TryTerms(arguments) => arguments.run(),
        Command::Position(arguments) => session::run(arguments.run()),
        Command::Positions(arguments) => session::run(arguments.run()),
        Command::Watch(arguments) => session::run(arguments.run(format)),
        Command::Report(arguments) => session::run(arguments.run()),
    }
}
