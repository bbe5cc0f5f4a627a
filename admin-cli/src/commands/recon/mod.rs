//! `recon`: a bank's book of an account against the ledger.

mod agreement;
mod book_file;
mod breaks;
mod import;
mod import_record;
mod report;

use counterfoil_ledger::account::AccountId;
use counterfoil_proto::v1;

use crate::account_name::AccountName;
use crate::error::Failure;
use crate::output::Answer;
use crate::session::{self, Session};

/// Verbs of `recon`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// On which terms two institutions reconcile
    #[command(subcommand)]
    Agreement(agreement::Command),
    /// Imports a book of an account: camt.05x, MT940, MT942 or CSV
    Import(Box<import::Arguments>),
    /// Proves a book against the ledger, with totals that add up
    Report(Box<report::Arguments>),
    /// Lists the differences between a book and the ledger
    Breaks(Box<breaks::Arguments>),
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Agreement(command) => agreement::run(command),
        Command::Import(arguments) => arguments.run(),
        Command::Report(arguments) => session::run(arguments.run()),
        Command::Breaks(arguments) => session::run(arguments.run()),
    }
}

/// Whose book of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Book {
    /// The owner's
    Owner,
    /// The servicer's
    Servicer,
}

/// An account with one of its books.
struct BookOf {
    id: AccountId,
    account: v1::Account,
    book: Book,
}

impl Book {
    fn message(self) -> v1::Book {
        match self {
            Book::Owner => v1::Book::Owner,
            Book::Servicer => v1::Book::Servicer,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Book::Owner => "owner",
            Book::Servicer => "servicer",
        }
    }
}

impl BookOf {
    /// Looks the account up; the book is the one that the caller keeps, unless another is named.
    async fn find(
        session: &Session,
        name: &AccountName,
        book: Option<Book>,
    ) -> Result<BookOf, Failure> {
        let id = name.id(session)?;
        let account = session.client.balance(id, None).await?.value;
        let own = session.institution();
        let kept = if account.servicer == own.as_str() {
            Some(Book::Servicer)
        } else if account.owner == own.as_str() {
            Some(Book::Owner)
        } else {
            None
        };
        let book = book.or(kept).ok_or_else(|| {
            Failure::usage("BOOK_MISSING", format!("{own} keeps no book of this account"))
                .fix("say whose book: --book owner or --book servicer")
        })?;
        Ok(BookOf { id, account, book })
    }

    /// Which, for people.
    fn title(&self) -> String {
        let v1::Account { servicer, owner, asset, name, .. } = &self.account;
        let keeper = self.book.as_str();
        format!("the {keeper}'s book of {name} {asset} of {owner} at {servicer}")
    }
}
