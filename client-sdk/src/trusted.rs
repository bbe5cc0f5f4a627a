//! What the client knows for certain, and the file that keeps it.
//!
//! It begins with the genesis file. A newer certificate is taken only where it has the newest one in
//! its history; where a quorum has signed another history, both certificates are kept as evidence.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::proof::Proof;
use counterfoil_ledger::verify::{self, Trust, Unproven};
use counterfoil_proto::v1;
use prost::Message;

use crate::error::{Error, Failure};
use crate::random;

/// The trust of one client, shared by its clones.
pub(crate) struct Trusted {
    trust: RwLock<Arc<Trust>>,
    path: Option<PathBuf>,
    /// One writer at a time, so that the file never steps back.
    writing: Mutex<()>,
}

/// Two histories, each signed by a quorum: at least one institution signed both.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// The header that was known.
    pub known: Header,
    /// The header that stands in its place in the other history.
    pub found: Header,
    /// Both certificates; `counterfoil verify evidence` says who signed both.
    pub evidence: v1::Evidence,
    /// Where the evidence was kept, where there is a place for it.
    pub file: Option<PathBuf>,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, known, found) = (self.known.height, self.known.hash(), self.found.hash());
        write!(
            f,
            "at height {height} the header is {known} in one history and {found} in another"
        )?;
        match &self.file {
            Some(file) => write!(f, "; the evidence is in {}", file.display()),
            None => Ok(()),
        }
    }
}

impl Trusted {
    /// Begins with the genesis file, and with what the file holds where there is one.
    pub(crate) fn open(genesis: Genesis, path: Option<PathBuf>) -> Result<Trusted, Error> {
        let kept = match &path {
            Some(path) => read(path).map_err(|error| Error::file(path, error.to_string()))?,
            None => None,
        };
        let trust = match (kept, &path) {
            (Some(bytes), Some(path)) => Trust::restore(genesis, &bytes).map_err(|error| {
                Error::file(path, format!("not the trusted state of this genesis file: {error}; moved away, it is made anew"))
            })?,
            _ => Trust::new(genesis),
        };
        Ok(Trusted { trust: RwLock::new(Arc::new(trust)), path, writing: Mutex::default() })
    }

    /// What is known now.
    pub(crate) fn current(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Learns of changes of who signs.
    pub(crate) fn extend(&self, chain: &v1::EpochChain) -> Result<(), Failure> {
        self.change(|trust| trust.extend(chain))
    }

    /// Takes a newer certificate, if it has the newest in its history.
    pub(crate) fn advance(&self, proof: &v1::HistoryProof) -> Result<(), Failure> {
        let trust = self.current();
        let verified = verify::history(&trust, proof)?;
        self.no_fork(&trust, &verified.header, &proof.history_path, proof.certificate.as_ref())?;
        // Another thread may have come further meanwhile: then there is nothing to take.
        let behind = |trust: &Trust| {
            trust.newest().is_some_and(|newest| newest.height >= verified.certified.height)
        };
        self.change(|trust| if behind(trust) { Ok(()) } else { trust.advance(proof) })
    }

    /// Checks that a header that was proved final is not another one at the newest one's height.
    pub(crate) fn no_fork(
        &self,
        trust: &Trust,
        header: &Header,
        history_path: &[Bytes],
        certificate: Option<&v1::Certificate>,
    ) -> Result<(), Failure> {
        let (Some(known), Some(first), Some(second)) =
            (trust.newest(), trust.newest_certificate(), certificate)
        else {
            return Ok(());
        };
        if header.height != known.height || header == known {
            return Ok(());
        }
        // Certified itself, it needs no other header to exclude the first.
        let certified = second.header[..] == header.encode()[..];
        let other = if certified { Bytes::new() } else { header.encode().to_vec().into() };
        let conflict = v1::ConflictingCertificates {
            first: Some(first.clone()),
            second: Some(second.clone()),
            other,
            history_path: history_path.to_vec(),
        };
        let kind = v1::evidence::Kind::ConflictingCertificates(conflict);
        let evidence = v1::Evidence { kind: Some(kind) };
        let file = self.keep(&evidence, header);
        let (known, found) = (known.clone(), header.clone());
        Err(Failure::Fork(Box::new(Fork { known, found, evidence, file })))
    }

    /// Keeps evidence beside the trusted state. That it cannot be kept must not hide the fork: then
    /// the caller has it in the error alone.
    fn keep(&self, evidence: &v1::Evidence, found: &Header) -> Option<PathBuf> {
        let mut name = self.path.as_ref()?.as_os_str().to_owned();
        name.push(format!(".fork-{}-{:.16}.evidence", found.height, found.hash().to_string()));
        let file = PathBuf::from(name);
        let kept = write(&file, &evidence.encode_to_vec());
        kept.is_ok().then_some(file)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Trust) -> Result<(), Unproven>,
    ) -> Result<(), Failure> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trust = Trust::clone(&self.current());
        change(&mut trust)?;
        if let Some(path) = &self.path {
            write(path, &trust.to_message().encode_to_vec()).map_err(|error| Failure::File {
                path: path.clone(),
                problem: error.to_string(),
            })?;
        }
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
        Ok(())
    }
}

/// The file's bytes, or none where there is no file yet.
fn read(path: &Path) -> io::Result<Option<Bytes>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let most = u64::try_from(v1::TrustedState::BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes.into()))
}

/// Writes a file that a reader sees as it was or as it is, and waits until it is on disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}", u64::from_be_bytes(random::bytes())));
    let unfinished = PathBuf::from(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // What is left behind unfinished is nobody's state.
        let _ = fs::remove_file(&unfinished);
    }
    written.and_then(|()| File::open(directory)?.sync_all())
}
