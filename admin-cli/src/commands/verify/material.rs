//! What a verification starts from, and the files that it reads.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use counterfoil_client::instructions::Signed;
use counterfoil_ledger::checkpoint::Note;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::{HEADER_LENGTH, Header};
use counterfoil_ledger::proof::Proof;
use counterfoil_ledger::verify::{self, Trust, Unproven};
use counterfoil_proto::v1;

use crate::commands::genesis;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files;
use crate::ledger_file;

/// What is trusted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Trust")]
pub struct Material {
    /// The genesis file, from a source that you trust [env: COUNTERFOIL_GENESIS]
    #[arg(long, value_name = "FILE", env = "COUNTERFOIL_GENESIS", hide_env = true)]
    genesis: Option<PathBuf>,
    /// Changes of who signs, as an epoch chain
    #[arg(long, value_name = "FILE")]
    epochs: Option<PathBuf>,
    /// What was known before, as a trusted state
    #[arg(long, value_name = "FILE")]
    trusted: Option<PathBuf>,
}

impl Material {
    /// Reads it. The epochs and the trusted state are checked from the genesis file on: nothing of
    /// them is believed for its own sake.
    pub fn trust(&self, file: &Path) -> Result<Trust, Failure> {
        let genesis = self.genesis.as_ref().ok_or_else(|| {
            Failure::usage("GENESIS_MISSING", "no genesis file is named")
                .fact("all trust starts there: nothing can be verified without it")
                .fix("--genesis FILE, or set COUNTERFOIL_GENESIS")
        })?;
        self.one_stdin(file)?;
        let genesis = genesis::load(genesis)?;
        let mut trust = match &self.trusted {
            Some(file) => Trust::restore(genesis, &bytes::<v1::TrustedState>(file)?)
                .map_err(|error| refused(file, error))?,
            None => Trust::new(genesis),
        };
        if let Some(file) = &self.epochs {
            let epochs: v1::EpochChain = proof(file)?;
            trust.extend(&epochs).map_err(|error| refused(file, error))?;
        }
        Ok(trust)
    }

    /// Stdin is read once.
    fn one_stdin(&self, file: &Path) -> Result<(), Failure> {
        let named = [Some(file), self.epochs.as_deref(), self.trusted.as_deref()];
        let stdin = named.into_iter().flatten().filter(|it| *it == Path::new("-"));
        if stdin.count() <= 1 {
            return Ok(());
        }
        Err(Failure::usage("STDIN_TWICE", "more than one file is to be read from stdin")
            .fix("give all but one of them by name"))
    }
}

/// Fails if a header is another one than the trusted state has at its height.
pub fn agrees(trust: &Trust, file: &Path, headers: &[&Header]) -> Result<(), Failure> {
    let Some(known) = trust.newest() else { return Ok(()) };
    let other = |it: &&&Header| it.height == known.height && **it != known;
    match headers.iter().find(other) {
        None => Ok(()),
        Some(found) => Err(forked(file, known.height, &known.hash(), &found.hash())),
    }
}

/// Two histories: what is known, and what a file has.
pub fn forked(file: &Path, height: u64, known: &Hash, found: &Hash) -> Failure {
    let message = format!("at height {height} it is of another history than the trusted state");
    Failure::new(Exit::Verification, "FORK", message)
        .fact(format!("known {known}"))
        .fact(format!("found {found}"))
        .fact(format!("in {}", file.display()))
        .fix("rely on neither; keep both files and show them to the members")
}

/// The certified header that came with a proof which was verified.
pub fn certified(certificate: Option<&v1::Certificate>) -> Option<Header> {
    Header::decode(&certificate?.header)
}

/// Reads a proof from a file; one of another kind is named as such.
pub fn proof<M: Proof>(file: &Path) -> Result<M, Failure> {
    verify::read(&bytes::<M>(file)?).map_err(|error| refused(file, error))
}

/// Reads the bytes of a proof from a file.
fn bytes<M: Proof>(file: &Path) -> Result<Bytes, Failure> {
    let size_max = u64::try_from(M::BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = Bytes::from(files::read_or_stdin(file, size_max)?);
    if bytes.is_empty() {
        let message = format!("{} is empty, not {} {}", file.display(), article(M::NAME), M::NAME);
        return Err(Failure::usage("FILE_EMPTY", message).fix("fetch it again"));
    }
    refuse_other_kinds(file, M::NAME, &bytes)?;
    Ok(bytes)
}

/// Fails where bytes look like another kind of file than the one that is wanted, and not like that.
pub fn refuse_other_kinds(file: &Path, wanted: &str, bytes: &Bytes) -> Result<(), Failure> {
    let looks = |kind: &&Kind| (kind.looks)(bytes);
    let same = KINDS.iter().filter(|kind| kind.name == wanted).find(looks);
    match same.or_else(|| KINDS.iter().find(looks)) {
        Some(kind) if kind.name != wanted => Err(wrong_kind(file, wanted, kind)),
        _ => Ok(()),
    }
}

/// Reads a signed instruction from a file.
pub fn signed(file: &Path) -> Result<Signed, Failure> {
    let bytes = Bytes::from(files::read_or_stdin(file, files::SMALL_FILE_MAX)?);
    refuse_other_kinds(file, "signed instruction", &bytes)?;
    Signed::from_bytes(bytes).map_err(|error| {
        let message = format!("{} does not hold a signed instruction", file.display());
        Failure::usage("INSTRUCTION_MALFORMED", message).fact(error.to_string())
    })
}

/// A verdict against a file.
pub fn refused(file: &Path, error: Unproven) -> Failure {
    let failure = Failure::new(Exit::Verification, "REFUSED", format!("REFUSED: {error}"))
        .fact(format!("in {}", file.display()));
    match error.part {
        "epoch" => failure.fix("give the changes of who signs: --epochs FILE, or --trusted FILE"),
        _ if error.rule == "it belongs to another chain" => {
            failure.fix("give the genesis file of its consortium: --genesis FILE")
        }
        _ => failure.fix("do not rely on it; fetch it again, from another node"),
    }
}

fn wrong_kind(file: &Path, wanted: &str, found: &Kind) -> Failure {
    let file = file.display();
    let message = format!(
        "{file} is {} {}, not {} {wanted}",
        article(found.name),
        found.name,
        article(wanted)
    );
    let failure = Failure::usage("WRONG_KIND", message);
    match found.command {
        Some(command) => {
            failure.fix(format!("counterfoil {command}").replace("FILE", &file.to_string()))
        }
        None => failure,
    }
}

fn article(name: &str) -> &'static str {
    if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A kind of file, by what its bytes look like.
struct Kind {
    name: &'static str,
    /// What to do with one.
    command: Option<&'static str>,
    looks: fn(&Bytes) -> bool,
}

/// Bytes of a proof that have the shape of this kind, whether they prove anything or not.
fn shaped<M: Proof>(bytes: &Bytes, shape: impl Fn(&M) -> bool) -> bool {
    verify::read::<M>(bytes).is_ok_and(|message| shape(&message))
}

const KINDS: &[Kind] = &[
    Kind {
        name: <v1::Receipt as Proof>::NAME,
        command: Some("verify receipt FILE"),
        looks: |bytes| {
            shaped::<v1::Receipt>(bytes, |it| {
                it.header.len() == HEADER_LENGTH && it.outcome.len() == 16
            })
        },
    },
    Kind {
        name: <v1::AccountProof as Proof>::NAME,
        command: Some("verify statement FILE"),
        looks: |bytes| shaped::<v1::AccountProof>(bytes, |it| it.leaf.len() == 76),
    },
    Kind {
        name: <v1::Absence as Proof>::NAME,
        command: Some("verify absence FILE"),
        looks: |bytes| {
            shaped::<v1::Absence>(bytes, |it| it.header.len() == HEADER_LENGTH && it.id.len() == 16)
        },
    },
    Kind {
        name: <v1::HistoryProof as Proof>::NAME,
        command: Some("verify history FILE"),
        looks: |bytes| {
            shaped::<v1::HistoryProof>(bytes, |it| {
                it.header.len() == HEADER_LENGTH && it.certificate.is_some()
            })
        },
    },
    Kind {
        name: <v1::Evidence as Proof>::NAME,
        command: Some("verify evidence FILE"),
        looks: |bytes| shaped::<v1::Evidence>(bytes, |it| it.kind.is_some()),
    },
    Kind {
        name: <v1::Promise as Proof>::NAME,
        command: Some("verify promise FILE"),
        looks: |bytes| {
            shaped::<v1::Promise>(bytes, |it| {
                it.instruction_hash.len() == 32 && it.signature.is_some()
            })
        },
    },
    Kind {
        name: <v1::TrustedState as Proof>::NAME,
        command: None,
        looks: |bytes| {
            shaped::<v1::TrustedState>(bytes, |it| it.chain_id.len() == 32 && it.epochs.is_some())
        },
    },
    Kind {
        name: <v1::EpochChain as Proof>::NAME,
        command: None,
        looks: |bytes| {
            shaped::<v1::EpochChain>(bytes, |it| {
                it.changes.first().is_some_and(|change| change.before.is_some())
            })
        },
    },
    Kind {
        name: "exported ledger",
        command: Some("verify chain FILE"),
        looks: |bytes| ledger_file::begins(bytes),
    },
    Kind {
        name: "genesis file",
        command: Some("genesis inspect FILE"),
        looks: |bytes| Genesis::decode(bytes).is_ok(),
    },
    Kind {
        name: "signed instruction",
        command: None,
        looks: |bytes| Signed::from_bytes(bytes.clone()).is_ok(),
    },
    Kind {
        name: "checkpoint",
        command: Some("verify checkpoint FILE"),
        looks: |bytes| Note::parse(bytes).is_ok(),
    },
    Kind { name: "PEM file", command: None, looks: |bytes| bytes.starts_with(b"-----BEGIN ") },
];
