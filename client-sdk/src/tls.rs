//! TLS to the nodes: 1.3 only, this institution's certificate, and nobody at the other end but a
//! node that its own institution vouches for.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError,
    SignatureScheme, version,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificate::{Identity, TrustAnchors};
use crate::error::{ConnectError, Error};
use crate::private_file;

/// How often the certificate's files are looked at, at most.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// How long a server may let the client speak first.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(1);

/// Most certificates of a chain, and largest file of them in bytes.
const CHAIN_LENGTH_MAX: usize = 8;
const CHAIN_FILE_MAX: u64 = 256 * 1024;

/// An encrypted connection to a node.
pub(crate) type Connection = tokio_rustls::client::TlsStream<TcpStream>;

/// This client's certificate and key, read again when their files change.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    anchors: Arc<TrustAnchors>,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    /// Counts what was loaded: connections of an older generation are not used for new calls.
    generation: u64,
    config: Arc<ClientConfig>,
    identity: Identity,
    stamps: [Stamp; 2],
    looked_at: Instant,
}

/// What changes when a file does: time of the change in seconds and nanoseconds, length, inode.
type Stamp = Option<(i64, i64, u64, u64)>;

impl Tls {
    /// Reads both files; a fault in either is an error here.
    pub(crate) fn open(
        certificate: PathBuf,
        key: PathBuf,
        anchors: TrustAnchors,
    ) -> Result<Tls, Error> {
        let anchors = Arc::new(anchors);
        let stamps = [stamp(&certificate), stamp(&key)];
        let (config, identity) = load(&certificate, &key, &anchors)?;
        let looked_at = Instant::now();
        let loaded = Loaded { generation: 0, config, identity, stamps, looked_at };
        Ok(Tls { certificate, key, anchors, loaded: Mutex::new(loaded) })
    }

    /// Whom this client's certificate names.
    pub(crate) fn identity(&self) -> Identity {
        self.current(|loaded| loaded.identity.clone())
    }

    /// Counts what was loaded.
    pub(crate) fn generation(&self) -> u64 {
        self.current(|loaded| loaded.generation)
    }

    /// Shakes hands over a connection.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<Connection, ConnectError> {
        let config = self.current(|loaded| Arc::clone(&loaded.config));
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| ConnectError::Failed("neither a host name nor an address".to_owned()))?;
        let mut stream =
            TlsConnector::from(config).connect(name, stream).await.map_err(connect_error)?;
        // In TLS 1.3 a server judges this client's certificate after the client is done. A node that
        // admits it speaks at once (HTTP/2 SETTINGS), one that does not sends an alert: with the
        // first byte awaited, a refusal here is not mistaken for a call that was lost.
        match timeout(FIRST_BYTE_TIMEOUT, stream.fill_buf()).await {
            Ok(Ok([])) => Err(ConnectError::Failed("closed after the TLS handshake".to_owned())),
            Ok(Err(error)) => Err(connect_error(error)),
            Ok(Ok(_)) | Err(_) => Ok(stream),
        }
    }

    /// Whatever is current, read again if the files have changed. Two stats a second, of local
    /// files: not worth a thread.
    fn current<T>(&self, take: impl FnOnce(&Loaded) -> T) -> T {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked_at.elapsed() >= RELOAD_INTERVAL {
            loaded.looked_at = Instant::now();
            let stamps = [stamp(&self.certificate), stamp(&self.key)];
            // Between the writing of the one and of the other the two do not fit: what was loaded
            // before stays in use until they do.
            if stamps != loaded.stamps
                && let Ok((config, identity)) = load(&self.certificate, &self.key, &self.anchors)
            {
                *loaded = Loaded {
                    generation: loaded.generation + 1,
                    config,
                    identity,
                    stamps,
                    looked_at: loaded.looked_at,
                };
            }
        }
        take(&loaded)
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

fn load(
    certificate: &Path,
    key: &Path,
    anchors: &Arc<TrustAnchors>,
) -> Result<(Arc<ClientConfig>, Identity), Error> {
    let chain = read_chain(certificate)?;
    let identity = anchors
        .identity(&chain[0])
        .map_err(|problem| Error::file(certificate, problem.replacen("its", "the", 1)))?;
    let key_problem = |error: &dyn std::fmt::Display| Error::file(key, error.to_string());
    let pem = private_file::read(key).map_err(|error| key_problem(&error))?;
    let private =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| key_problem(&"no private key in PEM"))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = NodeVerifier { anchors: Arc::clone(anchors), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| key_problem(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, private)
        .map_err(|error| {
            key_problem(&format!("{error}; certificate: {}", certificate.display()))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the verification of the server.
    config.resumption = Resumption::disabled();
    Ok((Arc::new(config), identity))
}

/// At least one certificate, the leaf first.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = || -> io::Result<Vec<u8>> {
        if fs::metadata(path)?.len() > CHAIN_FILE_MAX {
            return Err(io::Error::other("larger than any certificate chain"));
        }
        fs::read(path)
    };
    let pem = read().map_err(|error| Error::file(path, error.to_string()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| Error::file(path, "not a PEM file"))?;
    if chain.is_empty() || chain.len() > CHAIN_LENGTH_MAX {
        return Err(Error::file(path, "a chain has 1 to 8 certificates, the client's own first"));
    }
    Ok(chain)
}

#[derive(Debug)]
struct NodeVerifier {
    anchors: Arc<TrustAnchors>,
    provider: Arc<CryptoProvider>,
}

/// How a refused certificate travels through rustls.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotANode(String);

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // Who it is counts, not where it is: addresses change, institutions do not.
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.anchors.verify_node(leaf, intermediates, now) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(problem) => {
                let other = CertificateError::Other(OtherError(Arc::new(NotANode(problem))));
                Err(rustls::Error::InvalidCertificate(other))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn connect_error(error: io::Error) -> ConnectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(problem)))) => {
            ConnectError::Untrusted(problem.to_string())
        }
        Some(rustls::Error::InvalidCertificate(problem)) => {
            ConnectError::Untrusted(problem.to_string())
        }
        // A server of another kind, or of another time.
        Some(problem @ rustls::Error::PeerIncompatible(_)) => {
            ConnectError::Untrusted(problem.to_string())
        }
        Some(problem @ rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
            ConnectError::NotAdmitted(problem.to_string())
        }
        _ => ConnectError::Failed(format!("TLS handshake: {error}")),
    }
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
