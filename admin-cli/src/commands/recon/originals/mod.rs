//! `recon original`: the file that a statement was read from, sealed to the two parties and kept by
//! their nodes.

pub mod keep;
mod scratch;
pub mod statements;

use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use counterfoil_client::originals::NotMoved;
use counterfoil_client::sealed::{self, About, NotOpened, SealingKey};
use counterfoil_ledger::agreement::{AgreementId, Party, Terms};
use counterfoil_ledger::hash::Hash;
use counterfoil_proto::v1;
use serde_json::json;

use super::account::Reconciled;
use super::agreement::words::party;
use super::sealing_key;
use crate::account_name::AccountWord;
use crate::confirm::confirm;
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{self, Aside, Readers};
use crate::output::{Answer, Table};
use crate::progress::Progress;
use crate::session::{Session, state_directory};

/// Whose book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Book {
    /// The account's owner's
    Owner,
    /// The account's servicer's
    Servicer,
}

impl Book {
    /// Both.
    pub const ALL: [Book; 2] = [Book::Owner, Book::Servicer];

    /// As requests name it.
    pub fn source(self) -> v1::Source {
        match self {
            Book::Owner => v1::Source::OwnerBook,
            Book::Servicer => v1::Source::ServicerBook,
        }
    }

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Book::Owner => "owner",
            Book::Servicer => "servicer",
        }
    }
}

/// Arguments of `recon original`.
#[derive(Debug, clap::Args)]
pub struct Original {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// The statement's own identification
    #[arg(value_name = "STATEMENT")]
    statement: String,
    /// Whose book, where both have a statement of this identification
    #[arg(long, value_name = "WHOSE", value_enum)]
    book: Option<Book>,
    /// Where the file goes
    #[arg(long, value_name = "FILE", required_unless_present = "delete")]
    out: Option<PathBuf>,
    /// Deletes it at your nodes, and at the other party's if it is not of their book and yours brought it there
    #[arg(long, conflicts_with = "out")]
    delete: bool,
    /// Deletes without asking
    #[arg(long, requires = "delete")]
    yes: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// A file that is kept, and with whose key it is opened.
struct Found {
    about: About,
    terms: Terms,
    party: Party,
}

impl Original {
    /// Does it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let found = self.find(&session, &of).await?;
        match &self.out {
            Some(out) => self.fetch(&session, &found, out).await,
            None => self.delete(&session, &of, &found).await,
        }
    }

    /// The statement, by what it calls itself.
    async fn find(&self, session: &Session, of: &Reconciled) -> Result<Found, Failure> {
        let party = of.party(session)?;
        let mut all = Vec::new();
        for book in Book::ALL.into_iter().filter(|it| self.book.is_none_or(|book| book == *it)) {
            let listed = session.client.statements(of.id, book.source()).all().await?.value;
            all.extend(listed.into_iter().filter(|it| it.statement_id == self.statement));
        }
        let (statement, title) = (&self.statement, of.title());
        let one = match &all[..] {
            [one] => one,
            [] => {
                let message = format!("{title} has no statement {statement} that you can see");
                return Err(Failure::new(Exit::NotFound, "STATEMENT_UNKNOWN", message)
                    .fix("counterfoil recon statements lists them"));
            }
            _ => {
                let message = format!("both books of {title} have a statement {statement}");
                return Err(Failure::usage("STATEMENT_AMBIGUOUS", message)
                    .fix("give --book owner or --book servicer"));
            }
        };
        let named = AgreementId::from_bytes(&one.agreement).zip(Hash::from_slice(&one.original));
        let (agreement, original) = named.ok_or_else(|| {
            let message = format!("the original of statement {statement} is not kept");
            Failure::new(Exit::NotFound, "ORIGINALS_NOT_KEPT", message)
                .fact("the agreement that governs its last date keeps no originals")
        })?;
        let terms = session.client.agreement(agreement).await?.value.terms;
        Ok(Found { about: About { agreement, account: of.id, original }, terms, party })
    }

    async fn fetch(&self, session: &Session, found: &Found, out: &Path) -> Result<Answer, Failure> {
        files::refuse_existing(&[out])?;
        let key = found.own_key(session)?;
        let mut sealed = scratch::file(&state_directory()?)?;
        let mut progress = Progress::new("fetched");
        let moved = session.client.get_original(&found.about, &mut sealed, |done, total| {
            progress.set(done, total);
        });
        moved.await.map_err(not_moved)?;
        drop(progress);
        let rewound = sealed.seek(SeekFrom::Start(0));
        rewound.map_err(|error| not_moved(NotMoved::Io(error)))?;
        let plain = Aside::begin(out, Readers::Owner)?;
        let opened = sealed::open(&sealed, plain.file(), &found.about, found.party, &key);
        let length = opened.map_err(not_opened)?;
        plain.finish()?;
        let hash = found.about.original.to_string();
        let json = json!({
            "file": out,
            "length": length,
            "sha256": hash,
            "statement": self.statement,
            "agreement": found.about.agreement.to_string(),
        });
        Ok(Answer::new(json).table(Table::facts([
            ("file", out.display().to_string()),
            ("bytes", length.to_string()),
            ("sha-256", format!("{hash}, as the statement names it")),
        ])))
    }

    async fn delete(
        &self,
        session: &Session,
        of: &Reconciled,
        found: &Found,
    ) -> Result<Answer, Failure> {
        let what = format!("the original of statement {} of {}", self.statement, of.title());
        if !self.yes {
            let shown = format!("{what}\nsha-256 {}\n", found.about.original);
            confirm(&shown, "Delete it? The statement stays on the ledger.").await?;
        }
        let deleted = session.client.delete_original(&found.about).await?;
        let list = |all: &[String]| if all.is_empty() { "-".to_owned() } else { all.join(", ") };
        let json = json!({
            "sha256": found.about.original.to_string(),
            "deletedAt": deleted.deleted_at,
            "keptAt": deleted.kept_at,
        });
        Ok(Answer::new(json).table(Table::facts([
            ("original", found.about.original.to_string()),
            ("deleted at nodes of", list(&deleted.deleted_at)),
            ("kept, or not known, at nodes of", list(&deleted.kept_at)),
        ])))
    }
}

impl Found {
    /// The configured key, if it is the one that the agreement names.
    fn own_key(&self, session: &Session) -> Result<SealingKey, Failure> {
        let file = session.settings.sealing_key()?;
        let key = SealingKey::from_file(file)?;
        let agreed = self.terms.originals.as_ref().map(|keys| *keys.of_party(self.party));
        if agreed == Some(key.public()) {
            return Ok(key);
        }
        let message = format!("{} does not open what is sealed to you", file.display());
        let agreed = agreed.map_or("none".to_owned(), |key| sealing_key(&key));
        Err(Failure::new(Exit::Permission, "SEALING_KEY_DIFFERS", message)
            .fact(format!("the agreement's key of the {}: {agreed}", party(self.party)))
            .fact(format!("yours: {}", sealing_key(&key.public())))
            .fix("give the key of that agreement with --sealing-key"))
    }
}

/// Why a sealed file did not come or go.
fn not_moved(error: NotMoved) -> Failure {
    match error {
        NotMoved::Call(error) => error.into(),
        NotMoved::Io(error) => {
            Failure::new(Exit::Unexpected, "FILE_FAILED", format!("the sealed file: {error}"))
        }
    }
}

fn not_opened(error: NotOpened) -> Failure {
    let message = format!("the original is not to be relied on: {error}");
    match error {
        NotOpened::Io(_) => Failure::new(Exit::Unexpected, "FILE_FAILED", error.to_string()),
        NotOpened::WrongKey => Failure::new(Exit::Permission, "SEALING_KEY_WRONG", message)
            .fix("ask who sealed it for the file itself; its hash is on the ledger"),
        _ => Failure::new(Exit::Verification, "ORIGINAL_DAMAGED", message)
            .fact("nothing was written")
            .fix("ask who sealed it for the file itself; its hash is on the ledger"),
    }
}
