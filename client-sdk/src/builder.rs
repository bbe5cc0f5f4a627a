//! How a client comes to be.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Signer;
use counterfoil_proto::v1::{Finality, ReadMode};

use crate::certificate::TrustAnchors;
use crate::client::{Client, Inner};
use crate::endpoints::{self, ENDPOINTS_MAX, Endpoints};
use crate::error::Error;
use crate::journal::Journal;
use crate::tls::Tls;
use crate::trusted::Trusted;

/// A whole call, all its attempts and pauses, unless the builder says otherwise.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

/// One attempt on one endpoint, unless the builder says otherwise.
pub const ATTEMPT_DEFAULT: Duration = Duration::from_secs(10);

/// Largest genesis file in bytes.
const GENESIS_MAX: u64 = 64 * 1024 * 1024;

/// Collects what a client needs. See [`Client::builder`].
#[derive(Default)]
pub struct ClientBuilder {
    genesis: Option<Source>,
    endpoints: Vec<String>,
    identity: Option<(PathBuf, PathBuf)>,
    institution: Option<Bic>,
    signer: Option<Arc<dyn Signer>>,
    journal: Option<Option<PathBuf>>,
    deadline: Option<Duration>,
    attempt: Option<Duration>,
    finality: Option<Finality>,
    read_mode: Option<ReadMode>,
    trusted_state: Option<PathBuf>,
    companion: Option<(Hash, Arc<Trusted>)>,
}

enum Source {
    File(PathBuf),
    Genesis(Box<Genesis>),
}

impl ClientBuilder {
    /// The genesis file of the consortium: all trust starts there. Required, here or through
    /// [`ClientBuilder::genesis`].
    pub fn genesis_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.genesis = Some(Source::File(path.into()));
        self
    }

    /// A genesis file that was read before.
    pub fn genesis(mut self, genesis: Genesis) -> Self {
        self.genesis = Some(Source::Genesis(Box::new(genesis)));
        self
    }

    /// Nodes to speak to (`https://host:port`), in order of preference. Without this: all nodes of
    /// the genesis file, the own institution's first.
    pub fn endpoints<E: Into<String>>(mut self, endpoints: impl IntoIterator<Item = E>) -> Self {
        self.endpoints = endpoints.into_iter().map(Into::into).collect();
        self
    }

    /// PEM files of the client's certificate chain and of its private key, which nobody but its
    /// owner may access. They are read again when they change. Required.
    pub fn identity(
        mut self,
        certificate: impl Into<PathBuf>,
        private_key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some((certificate.into(), private_key.into()));
        self
    }

    /// The institution that the certificate must name. Without this: whichever it names.
    pub fn institution(mut self, institution: Bic) -> Self {
        self.institution = Some(institution);
        self
    }

    /// The key that signs instructions; needed only to sign.
    pub fn signer(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Where instructions are kept until their fate is certain: a directory on a disk that survives
    /// this machine's power cuts. It may be shared by processes. With a signer, this or
    /// [`ClientBuilder::without_journal`] is required.
    pub fn journal(mut self, directory: impl Into<PathBuf>) -> Self {
        self.journal = Some(Some(directory.into()));
        self
    }

    /// Keeps nothing on disk: whoever calls [`Client::sign`] and [`Client::send`] keeps the bytes, or
    /// lives with not knowing.
    pub fn without_journal(mut self) -> Self {
        self.journal = Some(None);
        self
    }

    /// How long a whole call may take, all its attempts and pauses.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long one attempt on one endpoint may take before the next is tried.
    pub fn attempt_timeout(mut self, attempt: Duration) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// How certain an answer has to be; final, unless this says otherwise. See
    /// [`Client::with_finality`].
    pub fn finality(mut self, finality: Finality) -> Self {
        self.finality = Some(finality);
        self
    }

    /// How fresh and certain what is read has to be; final, unless this says otherwise. See
    /// [`Client::with_read_mode`].
    pub fn read_mode(mut self, read_mode: ReadMode) -> Self {
        self.read_mode = Some(read_mode);
        self
    }

    /// The file in which the client keeps what it knows for certain: who signs, and the newest
    /// certificate that [`Client::update_trust`] has taken. It is made where it is missing, and holds
    /// wherever the genesis file does; processes may share it. Without one this is known for as long as
    /// the client lives.
    ///
    /// Nothing else takes a newer certificate: a receipt's own does not show that it has the known one
    /// in its history. A program that runs for long calls [`Client::update_trust`] now and then, once a
    /// minute say, so that another history is found out soon.
    pub fn trusted_state(mut self, path: impl Into<PathBuf>) -> Self {
        self.trusted_state = Some(path.into());
        self
    }

    /// Shares what another client of the same consortium knows for certain: a program that has many
    /// connections checks each certificate once. In place of [`ClientBuilder::trusted_state`].
    pub fn trusting_with(mut self, other: &Client) -> Self {
        self.companion = Some((other.inner.chain_id, Arc::clone(&other.inner.trusted)));
        self
    }

    /// Reads the files and checks them. Connects to nothing yet.
    pub fn build(self) -> Result<Client, Error> {
        let required = |what: &str| Error::Configuration(format!("{what} is required"));
        let genesis = match self.genesis.ok_or_else(|| required("the genesis file"))? {
            Source::File(path) => read_genesis(&path)?,
            Source::Genesis(genesis) => *genesis,
        };
        let (certificate, key) =
            self.identity.ok_or_else(|| required("an identity (certificate and key)"))?;
        let tls = Tls::open(certificate, key, TrustAnchors::of(&genesis))?;
        let institution = tls.identity().institution;
        if let Some(expected) = self.institution.filter(|expected| *expected != institution) {
            let problem = format!("the certificate names {institution}, not {expected}");
            return Err(Error::Configuration(problem));
        }
        let journal = match (self.journal, &self.signer) {
            (Some(Some(directory)), _) => {
                Some(Journal::open(&directory, &genesis.chain_id(), &institution)?)
            }
            (Some(None), _) | (None, None) => None,
            (None, Some(_)) => {
                return Err(required("a journal directory, or without_journal(), with a signer"));
            }
        };
        let registry = Registry::of(&genesis);
        let addresses = addresses(self.endpoints, &registry, &institution)?;
        let chain_id = genesis.chain_id();
        let trusted = match self.companion {
            Some((other, trusted)) if other == chain_id => trusted,
            Some(_) => {
                let problem = "the client to trust with is of another genesis file";
                return Err(Error::Configuration(problem.to_owned()));
            }
            None => Arc::new(Trusted::open(genesis.clone(), self.trusted_state)?),
        };
        let inner = Inner {
            endpoints: Endpoints::new(addresses, Arc::new(tls)),
            chain_id,
            trusted,
            genesis,
            registry,
            institution,
            signer: self.signer,
            journal,
        };
        Ok(Client {
            inner: Arc::new(inner),
            deadline: self.deadline.unwrap_or(DEADLINE_DEFAULT),
            attempt: self.attempt.unwrap_or(ATTEMPT_DEFAULT),
            read_mode: self.read_mode.unwrap_or(ReadMode::Final),
            finality: self.finality.unwrap_or(Finality::Final),
            asks_all: false,
        })
    }
}

fn read_genesis(path: &Path) -> Result<Genesis, Error> {
    let length = fs::metadata(path).map_err(|error| Error::file(path, error.to_string()))?.len();
    if length > GENESIS_MAX {
        return Err(Error::file(path, "larger than any genesis file"));
    }
    let bytes = fs::read(path).map_err(|error| Error::file(path, error.to_string()))?;
    Genesis::decode(&bytes).map_err(|error| Error::file(path, error.to_string()))
}

fn addresses(
    given: Vec<String>,
    registry: &Registry,
    institution: &Bic,
) -> Result<Vec<String>, Error> {
    let addresses = if given.is_empty() {
        // A learner may be a spare that was never started.
        let (own, others): (Vec<_>, Vec<_>) = registry
            .voters()
            .chain(registry.learners())
            .partition(|node| node.institution == *institution);
        own.into_iter()
            .chain(others)
            .map(|node| node.client_address.clone())
            .take(ENDPOINTS_MAX)
            .collect()
    } else {
        given
    };
    if addresses.len() > ENDPOINTS_MAX {
        return Err(Error::Configuration(format!("more than {ENDPOINTS_MAX} endpoints")));
    }
    addresses.iter().map(|address| endpoints::parse_address(address)).collect()
}
