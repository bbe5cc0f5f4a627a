//! The node's own certificate and key, read from files that may change while the node runs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use crate::bounded_file;
use crate::identity::Identity;
use crate::identity::key_file::{self, KeyFileError};
use crate::identity::tls::trust::{Expected, Refusal, Trust};
use crate::limits;

/// Where the certificate and the key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFiles {
    /// PEM: the leaf, then what leads to the anchor, without the anchor itself.
    pub certificate: PathBuf,
    /// PEM, PKCS#8, readable by its owner alone.
    pub key: PathBuf,
}

/// A certificate with its key, fit for one node.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Who it says the node is.
    pub identity: Arc<Identity>,
    pub(super) certified_key: Arc<CertifiedKey>,
}

/// Why a certificate and key are not used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The certificate file cannot be read.
    #[error("cannot read the certificate file {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The certificate file is no PEM, or holds no certificate or too many.
    #[error("the certificate file {path} holds no PEM certificates, or more than a chain has")]
    CertificateFile {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The key file holds no key that TLS can use.
    #[error("the key file {path} holds no P-256, P-384 or Ed25519 private key in PKCS#8 PEM")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key belong to different pairs.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The other members would not believe it.
    #[error("the certificate in {path} would be refused by the other members: {refusal}")]
    Refused {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        refusal: Box<Refusal>,
    },
}

/// What tells one state of the files from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([(u64, i64, i64, u64); 2]);

impl CredentialFiles {
    /// Reads both files, and checks what the other members will check: that the chain leads to the
    /// institution's anchor, that the dates hold, and that the name is that of this node.
    pub fn load(
        &self,
        trust: &Trust,
        node_id: u64,
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<Credential, CredentialError> {
        let chain = read_chain(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key_file::read_private_pem(&self.key)?.as_bytes())
            .map_err(|_| CredentialError::Key { path: self.key.clone() })?;
        let (leaf, intermediates) = chain.split_first().expect("read_chain returns at least one");
        // As those judge it that this node calls, then as those that call this node.
        for expected in [Expected::AnyNode, Expected::Node(node_id)] {
            trust.judge(leaf, intermediates, expected, now).map_err(|r| self.refused(r))?;
        }
        let identity = trust.identify(leaf).map_err(|error| self.refused(error.into()))?;
        let signing_key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|_| CredentialError::Key { path: self.key.clone() })?;
        let certified_key = CertifiedKey::new(chain, signing_key);
        certified_key.keys_match().map_err(|_| CredentialError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        })?;
        let identity = Arc::new(identity);
        Ok(Credential { identity, certified_key: Arc::new(certified_key) })
    }

    fn refused(&self, refusal: Refusal) -> CredentialError {
        CredentialError::Refused { path: self.certificate.clone(), refusal: Box::new(refusal) }
    }

    /// None while one of the files is missing, as between the steps of a replacement.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let of = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
        };
        Some(Stamp([of(&self.certificate)?, of(&self.key)?]))
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let io = |error| CredentialError::Io { path: path.to_owned(), error };
    let malformed = || CredentialError::CertificateFile { path: path.to_owned() };
    let pem = File::open(path)
        .and_then(|file| bounded_file::read(file, limits::CERTIFICATE_FILE_BYTES_MAX))
        .map_err(io)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| malformed())?;
    if chain.is_empty() || chain.len() > limits::CERTIFICATE_CHAIN_MAX {
        return Err(malformed());
    }
    Ok(chain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::Role;
    use crate::identity::fixture::{Authority, CONSORTIUM, Leaf, write_private};
    use crate::identity::tls::trust::unix_time;

    struct World {
        bank_a: Authority,
        trust: Trust,
        files: CredentialFiles,
        _directory: tempfile::TempDir,
    }

    fn world() -> World {
        let bank_a = Authority::new("BANKAAAAXXX");
        let nodes =
            vec![(1, bank_a.anchor().0, "one".into()), (2, bank_a.anchor().0, "two".into())];
        let trust = Trust::new(CONSORTIUM, vec![bank_a.anchor()], nodes).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let files = CredentialFiles {
            certificate: directory.path().join("node.pem"),
            key: directory.path().join("node.key"),
        };
        World { bank_a, trust, files, _directory: directory }
    }

    fn load(world: &World, certificate: &str, key: &str) -> Result<Credential, String> {
        fs::write(&world.files.certificate, certificate).unwrap();
        write_private(&world.files.key, key);
        let provider = rustls::crypto::ring::default_provider();
        world
            .files
            .load(&world.trust, 1, unix_time(1_795_305_600_000), &provider)
            .map_err(|error| error.to_string())
    }

    fn load_leaf(world: &World, leaf: &Leaf) -> Result<Credential, String> {
        load(world, &leaf.chain_pem(), &leaf.key_pem())
    }

    #[test]
    fn loads_what_the_others_will_believe() {
        let world = world();
        let credential = load_leaf(&world, &world.bank_a.leaf(Role::Node, "one")).unwrap();
        assert_eq!(credential.identity.to_string(), "BANKAAAAXXX/node/one");
        assert!(load_leaf(&world, &world.bank_a.intermediate().leaf(Role::Node, "one")).is_ok());
    }

    #[test]
    fn says_what_is_wrong() {
        let world = world();
        let good = world.bank_a.leaf(Role::Node, "one");
        let other = world.bank_a.leaf(Role::Node, "one");
        let stranger = Authority::new("BANKAAAAXXX").leaf(Role::Node, "one");
        for (result, words) in [
            (load(&world, "", &good.key_pem()), "holds no PEM certificates"),
            (load(&world, "garbage", &good.key_pem()), "holds no PEM certificates"),
            (load(&world, &good.chain_pem(), ""), "holds no P-256"),
            (load(&world, &good.chain_pem(), &good.chain_pem()), "holds no P-256"),
            (load(&world, &good.chain_pem(), &other.key_pem()), "does not belong to"),
            (load_leaf(&world, &stranger), "does not lead to the trust anchor"),
            (load_leaf(&world, &world.bank_a.leaf(Role::Client, "one")), "is no node"),
            (load_leaf(&world, &world.bank_a.leaf(Role::Node, "two")), "node 1 was called"),
            (load_leaf(&world, &world.bank_a.leaf(Role::Node, "none")), "not in the registry"),
            (
                load_leaf(&world, &world.bank_a.expired_leaf(Role::Node, "one")),
                "it expired at 1577836800",
            ),
        ] {
            let error = result.unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
