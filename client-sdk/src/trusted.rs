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
use crate::{belief, random};

/// The trust of one client, shared by its clones.
pub(crate) struct Trusted {
    trust: RwLock<Arc<Trust>>,
    path: Option<PathBuf>,
    /// One writer at a time, and one process at a time by a lock beside the file, so that it never
    /// steps back.
    writing: Mutex<()>,
}

/// Two histories, each signed by a quorum: at least one institution signed both.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// The header that was known.
    pub known: Header,
    /// The header that stands in its place in the other history.
    pub found: Header,
    /// Both certificates; `counterfoil verify evidence` says who signed both. None where it was a
    /// statement of absence that was made of another history.
    pub evidence: Option<v1::Evidence>,
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

    /// What is known now, a certificate included that holds: whoever asks for it next finds it checked.
    /// One that does not hold is left for the proof that it belongs to.
    pub(crate) fn with(&self, certificate: &v1::Certificate) -> Arc<Trust> {
        let current = self.current();
        if current.checked(certificate).is_some() {
            return current;
        }
        // Who comes second waits for the first, instead of checking the same signatures beside it.
        let mut trust = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        if trust.checked(certificate).is_none() {
            let mut knowing = Trust::clone(&trust);
            if knowing.remember(certificate).is_ok() {
                *trust = Arc::new(knowing);
            }
        }
        Arc::clone(&trust)
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
        // Another thread or process may have come further meanwhile: then this is not taken.
        let behind = |trust: &Trust| {
            trust.newest().is_some_and(|newest| {
                newest.height >= verified.certified.height || newest.height > verified.header.height
            })
        };
        self.change(|trust| if behind(trust) { Ok(()) } else { trust.advance(proof) })
    }

    /// Checks that neither a header that was proved nor the certified one that proves it is another one
    /// at the newest one's height.
    pub(crate) fn no_fork(
        &self,
        trust: &Trust,
        header: &Header,
        history_path: &[Bytes],
        certificate: Option<&v1::Certificate>,
    ) -> Result<(), Failure> {
        let (Some(known), Some(first)) = (trust.newest(), trust.newest_certificate()) else {
            return Ok(());
        };
        let other = |it: &Header| it.height == known.height && it != known;
        let Some(second) = certificate else {
            return match other(header) {
                true => Err(belief::unproven("header", "another one is certified at its height")),
                false => Ok(()),
            };
        };
        let certified = Header::decode(&second.header)
            .ok_or(belief::unproven("certificate", "it has no header"))?;
        // Of one height, the two certificates exclude each other by themselves.
        let (found, between, path) = match (other(&certified), other(header)) {
            (true, _) => (&certified, Bytes::new(), &[][..]),
            (false, true) => (header, header.encode().to_vec().into(), history_path),
            (false, false) => return Ok(()),
        };
        Err(self.forked((known, first), (found, second), between, path))
    }

    /// Checks that a statement of absence was not made of another history. That is no certificate and
    /// convicts nobody by itself; it is kept all the same.
    pub(crate) fn no_forked_absence(
        &self,
        trust: &Trust,
        header: &Header,
        absence: &v1::Absence,
    ) -> Result<(), Failure> {
        let Some(known) = trust.newest() else { return Ok(()) };
        if header.height != known.height || header == known {
            return Ok(());
        }
        let file = self.keep("absence", &absence.encode_to_vec(), header);
        let (known, found) = (known.clone(), header.clone());
        Err(Failure::Fork(Box::new(Fork { known, found, evidence: None, file })))
    }

    /// Two histories, with what convicts those who signed both.
    fn forked(
        &self,
        (known, first): (&Header, &v1::Certificate),
        (found, second): (&Header, &v1::Certificate),
        other: Bytes,
        history_path: &[Bytes],
    ) -> Failure {
        let conflict = v1::ConflictingCertificates {
            first: Some(first.clone()),
            second: Some(second.clone()),
            other,
            history_path: history_path.to_vec(),
        };
        let kind = v1::evidence::Kind::ConflictingCertificates(conflict);
        let evidence = v1::Evidence { kind: Some(kind) };
        let file = self.keep("evidence", &evidence.encode_to_vec(), found);
        let (known, found) = (known.clone(), found.clone());
        Failure::Fork(Box::new(Fork { known, found, evidence: Some(evidence), file }))
    }

    /// Keeps evidence beside the trusted state. That it cannot be kept must not hide the fork: then
    /// the caller has it in the error alone.
    fn keep(&self, kind: &str, bytes: &[u8], found: &Header) -> Option<PathBuf> {
        let mut name = self.path.as_ref()?.as_os_str().to_owned();
        name.push(format!(".fork-{}-{:.16}.{kind}", found.height, found.hash().to_string()));
        let file = PathBuf::from(name);
        let kept = write(&file, bytes);
        kept.is_ok().then_some(file)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Trust) -> Result<(), Unproven>,
    ) -> Result<(), Failure> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trust = Trust::clone(&self.current());
        let failed = |path: &Path, problem: String| {
            let path = path.to_owned();
            Failure::File { path, problem }
        };
        let mut _locked = None;
        if let Some(path) = &self.path {
            _locked = Some(lock(path).map_err(|error| failed(path, error.to_string()))?);
            // Another process of this machine may have come further.
            let kept = read(path).map_err(|error| failed(path, error.to_string()))?;
            if let Some(bytes) = kept {
                let kept = Trust::restore(trust.genesis().clone(), &bytes)
                    .map_err(|error| failed(path, format!("not a trusted state: {error}")))?;
                trust = self.further(trust, kept)?;
            }
        }
        change(&mut trust)?;
        if let Some(path) = &self.path {
            write(path, &trust.to_message().encode_to_vec())
                .map_err(|error| failed(path, error.to_string()))?;
        }
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
        Ok(())
    }

    /// What two processes know together: the newer certificate, and all changes of who signs.
    fn further(&self, own: Trust, kept: Trust) -> Result<Trust, Failure> {
        if let (Some(header), certificate) = (kept.newest(), kept.newest_certificate()) {
            self.no_fork(&own, header, &[], certificate)?;
        }
        let height = |trust: &Trust| trust.newest().map(|header| header.height);
        let (mut newer, older) = match height(&kept) >= height(&own) {
            true => (kept, own),
            false => (own, kept),
        };
        newer.extend(&older.epoch_chain())?;
        Ok(newer)
    }
}

/// Holds back other processes that would write the file, until what this returns is dropped.
fn lock(path: &Path) -> io::Result<File> {
    make_directory(directory_of(path))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    // The file itself is replaced when it is written: a lock on it would hold back nobody.
    let file =
        OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(name)?;
    file.lock()?;
    Ok(file)
}

fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

fn make_directory(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
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
    let directory = directory_of(path);
    make_directory(directory)?;
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
