//! TLS 1.3 with certificates on both sides. No session is resumed: each connection shows its
//! certificate anew.
//!
//! Trust and the node's own credential may be replaced while the node runs; the next handshake uses
//! the new ones.

pub mod credential;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod verifier;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::identity::Identity;
use crate::identity::caller::Caller;
use crate::identity::tls::credential::{Credential, CredentialError, Stamp};
use crate::identity::tls::trust::{Expected, Refusal, Trust, unix_time};
use crate::identity::tls::verifier::{SIGNATURE_ALGORITHMS, Verifier};
use crate::limits;
use crate::telemetry::metrics;

pub use crate::identity::tls::credential::CredentialFiles;

/// A connection that a client or a node opened to this node.
pub type AcceptedStream = tokio_rustls::server::TlsStream<TcpStream>;

/// A connection that this node opened to another.
pub type OpenedStream = tokio_rustls::client::TlsStream<TcpStream>;

/// Which listener a connection came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Members of every role.
    Clients,
    /// Nodes of the registry.
    Peers,
}

impl Audience {
    /// Its word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Clients => "client",
            Audience::Peers => "peer",
        }
    }
}

/// Why an incoming connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("no handshake within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// TLS says no: bytes that are no TLS, an older version, a certificate missing or refused.
    #[error("{0}")]
    Tls(rustls::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
}

impl HandshakeError {
    /// The cause in one word, for metrics.
    pub fn cause(&self) -> &'static str {
        use rustls::CertificateError as Certificate;
        match self {
            HandshakeError::Timeout(_) => "timeout",
            HandshakeError::Broken(_) => "broken",
            HandshakeError::Tls(rustls::Error::InvalidMessage(_)) => "garbage",
            HandshakeError::Tls(rustls::Error::PeerIncompatible(_)) => "incompatible",
            HandshakeError::Tls(rustls::Error::NoCertificatesPresented) => "no_certificate",
            HandshakeError::Tls(rustls::Error::InvalidCertificate(error)) => match error {
                Certificate::BadEncoding => "malformed",
                Certificate::ExpiredContext { .. } => "expired",
                Certificate::NotValidYetContext { .. } => "not_yet_valid",
                Certificate::UnknownIssuer => "chain",
                Certificate::ApplicationVerificationFailure => "role",
                Certificate::Other(other) => {
                    other.0.downcast_ref::<Refusal>().map_or("certificate", Refusal::rule)
                }
                _ => "certificate",
            },
            HandshakeError::Tls(_) => "protocol",
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => HandshakeError::Tls(error.clone()),
            None => HandshakeError::Broken(error),
        }
    }
}

/// The node's end of every connection.
#[derive(Debug)]
pub struct Tls {
    node_id: u64,
    files: CredentialFiles,
    /// The state of the files before they were first read.
    stamp: Option<Stamp>,
    trust: Arc<ArcSwap<Trust>>,
    own: Arc<Own>,
    clock: Clock,
    provider: Arc<CryptoProvider>,
    clients: Arc<ServerConfig>,
    peers: Arc<ServerConfig>,
}

impl Tls {
    /// Loads this node's credential and makes ready to accept and open connections.
    pub fn new(
        node_id: u64,
        trust: Trust,
        files: CredentialFiles,
        clock: Clock,
    ) -> Result<Tls, CredentialError> {
        let provider = Arc::new(CryptoProvider {
            signature_verification_algorithms: SIGNATURE_ALGORITHMS,
            ..rustls::crypto::ring::default_provider()
        });
        let now = unix_time(clock.now_ms());
        // Taken before the files are read: a change during the reading is seen later.
        let stamp = files.stamp();
        let credential = files.load(&trust, node_id, now, &provider)?;
        publish_expiry(&credential.identity);
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let own = Arc::new(Own(ArcSwap::from_pointee(credential)));
        let server = |expected| {
            let verifier = Verifier::new(Arc::clone(&trust), expected);
            server_config(&provider, &clock, verifier, Arc::clone(&own))
        };
        let (clients, peers) = (server(Expected::Member), server(Expected::AnyNode));
        Ok(Tls { node_id, files, stamp, trust, own, clock, provider, clients, peers })
    }

    /// Who this node is, by the certificate in use.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.own.0.load().identity)
    }

    /// Replaces the anchors and nodes by which later handshakes are judged.
    pub fn set_trust(&self, trust: Trust) {
        self.trust.store(Arc::new(trust));
    }

    /// Shakes hands with whoever connected, within a time.
    pub async fn accept(
        &self,
        audience: Audience,
        stream: TcpStream,
        address: SocketAddr,
        within: Duration,
    ) -> Result<(AcceptedStream, Caller), HandshakeError> {
        let config = match audience {
            Audience::Clients => &self.clients,
            Audience::Peers => &self.peers,
        };
        let handshake = async {
            // Who says nothing costs no TLS session.
            stream.readable().await?;
            TlsAcceptor::from(Arc::clone(config)).accept(stream).await
        };
        let stream =
            timeout(within, handshake).await.map_err(|_| HandshakeError::Timeout(within))??;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let leaf = leaf.ok_or(HandshakeError::Tls(rustls::Error::NoCertificatesPresented))?;
        let trust = self.trust.load();
        // The verifier believed it a moment ago; here its name is read again.
        let identity = trust
            .identify(leaf)
            .map_err(|error| HandshakeError::Tls(Refusal::Certificate(error).into()))?;
        let node_id = trust.node_id(&identity);
        Ok((stream, Caller::new(identity, node_id, address)))
    }

    /// How long a caller's certificate still holds.
    pub fn life_left(&self, caller: &Caller) -> Duration {
        let now_s = self.clock.now_ms() / 1_000;
        let not_after_s = u64::try_from(caller.identity.not_after_s).unwrap_or(0);
        Duration::from_secs(not_after_s.saturating_sub(now_s))
    }

    /// Shakes hands with a node that must be the one called.
    pub async fn open(&self, node_id: u64, stream: TcpStream) -> io::Result<OpenedStream> {
        let verifier = Arc::new(Verifier::new(Arc::clone(&self.trust), Expected::Node(node_id)));
        let time = Arc::new(TlsTime(self.clock.clone()));
        let mut config = ClientConfig::builder_with_details(Arc::clone(&self.provider), time)
            .with_protocol_versions(&[&TLS13])
            .expect("the ring provider has cipher suites of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&self.own) as Arc<dyn ResolvesClientCert>);
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        // Required by the interface; it is neither sent nor compared.
        let name = ServerName::try_from("node.invalid").expect("a DNS name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Looks at the credential's files every few seconds and takes new ones into use, for ever. What
    /// does not fit is logged, and the old one stays in use.
    pub async fn reload_on_change(&self) {
        let mut seen = self.stamp;
        let mut ticks = tokio::time::interval(limits::CERTIFICATE_POLL_INTERVAL);
        loop {
            ticks.tick().await;
            let stamp = self.files.stamp();
            if stamp.is_some() && stamp != seen {
                seen = stamp;
                self.reload();
            }
        }
    }

    /// Takes the credential from its files into use now. Returns whether it could be.
    pub fn reload(&self) -> bool {
        let now = unix_time(self.clock.now_ms());
        match self.files.load(&self.trust.load(), self.node_id, now, &self.provider) {
            Ok(credential) => {
                let old = self.identity();
                let new = Arc::clone(&credential.identity);
                self.own.0.store(Arc::new(credential));
                publish_expiry(&new);
                metrics::CERTIFICATE_RELOADS.increment(&[("result", "used")]);
                info!(old_key = %old.key_fingerprint, new_key = %new.key_fingerprint,
                    not_after_s = new.not_after_s, "certificate reloaded");
                true
            }
            Err(error) => {
                metrics::CERTIFICATE_RELOADS.increment(&[("result", "refused")]);
                warn!(%error, "the new certificate is not used, the old one stays");
                false
            }
        }
    }
}

fn publish_expiry(identity: &Identity) {
    // A gauge is a float; seconds since 1970 are far below 2^53.
    metrics::CERTIFICATE_NOT_AFTER.set(identity.not_after_s as f64);
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
    verifier: Verifier,
    own: Arc<Own>,
) -> Arc<ServerConfig> {
    let time = Arc::new(TlsTime(clock.clone()));
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&TLS13])
        .expect("the ring provider has cipher suites of TLS 1.3")
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// The credential in use, as rustls asks for it.
#[derive(Debug)]
struct Own(ArcSwap<Credential>);

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified_key))
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified_key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The node's clock, as rustls asks for it.
#[derive(Debug)]
struct TlsTime(Clock);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now_ms()))
    }
}
