//! `verify`: what a node said, checked against the genesis file, without any node.

mod account;
mod chain;
mod checkpoint;
mod evidence;
pub mod finality;
mod history;
pub mod material;
pub mod receipt;
mod statements;

use std::path::PathBuf;

use self::material::Material;
use crate::commands::ledger::verify::Known;
use crate::error::Failure;
use crate::output::Answer;

/// What is verified. A file may be `-`: then it is read from stdin.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// A receipt: what became of an instruction or an item of a batch
    Receipt(Outcome),
    /// An account proof: the balance at its later height
    Balance(Receipt),
    /// An account proof: the balances at both heights and every posting between them
    Statement(Receipt),
    /// An exported ledger: executes it again, and says up to where it is final
    Chain(Chain),
    /// A history proof: that a header is in the history of a certified one
    History(Single),
    /// A checkpoint: whether a quorum of nodes cosigned it
    Checkpoint(Receipt),
    /// Evidence of misbehaviour: who is convicted
    Evidence(Evidence),
    /// A statement of absence: that an id was decided by no block
    Absence(Absence),
    /// A node's promise to bring an instruction into a block, and whether it was broken
    Promise(Promise),
}

/// Arguments of `verify receipt`.
#[derive(Debug, clap::Args)]
pub struct Outcome {
    /// The file; - is stdin
    file: PathBuf,
    /// Be content with what is only ordered, and not final
    #[arg(long)]
    accept_ordered: bool,
    /// Fails, with exit code 8, if what is proved is another state
    #[arg(long, value_name = "STATE", value_enum)]
    expect: Option<receipt::Expected>,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// A file that is final or only ordered.
#[derive(Debug, clap::Args)]
pub struct Receipt {
    /// The file; - is stdin
    file: PathBuf,
    /// Be content with what is only ordered, and not final
    #[arg(long)]
    accept_ordered: bool,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// A file that proves something or nothing.
#[derive(Debug, clap::Args)]
pub struct Single {
    /// The file; - is stdin
    file: PathBuf,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// Arguments of `verify chain`.
#[derive(Debug, clap::Args)]
pub struct Chain {
    /// The exported ledger
    file: PathBuf,
    /// A history proof of one of its heights (counterfoil ledger proof): final up to there; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    proof: Vec<PathBuf>,
    /// A header that must be in it, as noted at an earlier verification; may be repeated
    #[arg(long, value_name = "HEIGHT:HASH", value_parser = Known::parse)]
    known: Vec<Known>,
    /// Lists every account with its balance
    #[arg(long)]
    accounts: bool,
    /// Be content with blocks that are only ordered, and not final
    #[arg(long)]
    accept_ordered: bool,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// Arguments of `verify evidence`.
#[derive(Debug, clap::Args)]
pub struct Evidence {
    /// The file; - is stdin
    file: PathBuf,
    /// The exported ledger: executed again, it says which result of a block is wrong
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// Arguments of `verify absence`.
#[derive(Debug, clap::Args)]
pub struct Absence {
    /// The file; - is stdin
    file: PathBuf,
    /// The signed instruction that is meant, as the journal keeps it: then the verdict says whether a
    /// later block can still decide it
    #[arg(long, value_name = "FILE")]
    instruction: Option<PathBuf>,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// Arguments of `verify promise`.
#[derive(Debug, clap::Args)]
pub struct Promise {
    /// The file; - is stdin
    file: PathBuf,
    /// The signed instruction that is meant
    #[arg(long, value_name = "FILE", requires = "absence")]
    instruction: Option<PathBuf>,
    /// A statement of absence that is later than the deadline: then the promise is broken
    #[arg(long, value_name = "FILE", requires = "instruction")]
    absence: Option<PathBuf>,
    /// What is trusted.
    #[command(flatten)]
    material: Material,
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Receipt(arguments) => receipt::run(&arguments),
        Command::Balance(arguments) => account::balance(&arguments),
        Command::Statement(arguments) => account::statement(&arguments),
        Command::Chain(arguments) => chain::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Checkpoint(arguments) => checkpoint::run(&arguments),
        Command::Evidence(arguments) => evidence::run(&arguments),
        Command::Absence(arguments) => statements::absence(&arguments),
        Command::Promise(arguments) => statements::promise(&arguments),
    }
}
