//! For tests: a node's end of TLS with its files, and a client that can misbehave.

#![allow(clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::clock::Clock;
use crate::identity::Role;
use crate::identity::fixture::{Authority, CONSORTIUM, Leaf, write_private};
use crate::identity::tls::credential::CredentialFiles;
use crate::identity::tls::trust::Trust;
use crate::identity::tls::verifier::SIGNATURE_ALGORITHMS;
use crate::identity::tls::{OpenedStream, Tls};

/// 2026-11-22.
pub const NOW_MS: u64 = 1_795_305_600_000;

/// Two banks with a node each: A's is node 1, B's is node 2.
pub struct Consortium {
    pub bank_a: Authority,
    pub bank_b: Authority,
}

impl Consortium {
    pub fn new() -> Consortium {
        Consortium { bank_a: Authority::new("BANKAAAAXXX"), bank_b: Authority::new("BANKBBBBXXX") }
    }

    pub fn trust(&self) -> Trust {
        let anchors = vec![self.bank_a.anchor(), self.bank_b.anchor()];
        let nodes = vec![
            (1, self.bank_a.anchor().0, "one".to_owned()),
            (2, self.bank_b.anchor().0, "one".to_owned()),
        ];
        Trust::new(CONSORTIUM, anchors, nodes).unwrap()
    }

    pub fn node(&self, node_id: u64) -> Node {
        let authority = if node_id == 1 { &self.bank_a } else { &self.bank_b };
        let directory = tempfile::tempdir().unwrap();
        let files = CredentialFiles {
            certificate: directory.path().join("node.pem"),
            key: directory.path().join("node.key"),
        };
        write_credential(&files, &authority.leaf(Role::Node, "one"));
        let clock = Clock::manual(NOW_MS);
        let tls = Tls::new(node_id, self.trust(), files.clone(), clock.clone()).unwrap();
        Node { tls: Arc::new(tls), files, clock, _directory: directory }
    }
}

pub struct Node {
    pub tls: Arc<Tls>,
    pub files: CredentialFiles,
    pub clock: Clock,
    _directory: tempfile::TempDir,
}

pub fn write_credential(files: &CredentialFiles, leaf: &Leaf) {
    std::fs::write(&files.certificate, leaf.chain_pem()).unwrap();
    write_private(&files.key, &leaf.key_pem());
}

/// Connects as whoever a leaf names, or as nobody, believing whatever the server shows.
pub async fn connect_as(address: SocketAddr, leaf: Option<&Leaf>) -> io::Result<OpenedStream> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match leaf {
        None => builder.with_no_client_auth(),
        Some(leaf) => {
            let mut chain = vec![leaf.certificate.clone()];
            chain.extend(leaf.intermediates.iter().cloned());
            let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("node.invalid").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// What a client is told that was refused: in TLS 1.3 it learns of it with its first read.
pub async fn refusal_told(address: SocketAddr, leaf: Option<&Leaf>) -> String {
    match connect_as(address, leaf).await {
        Err(error) => error.to_string(),
        Ok(mut stream) => match stream.read(&mut [0; 1]).await {
            Err(error) => error.to_string(),
            Ok(count) => format!("{count} bytes"),
        },
    }
}

/// The certificate that a server shows.
pub async fn certificate_shown(address: SocketAddr) -> Vec<u8> {
    let stream = connect_as(address, None).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURE_ALGORITHMS.supported_schemes()
    }
}

/// The ClientHello of a client that knows TLS 1.2 and nothing later.
pub fn tls12_client_hello() -> Vec<u8> {
    let extensions = [
        // supported_groups: x25519, secp256r1
        &[0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x1d, 0x00, 0x17][..],
        // ec_point_formats: uncompressed
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
        // signature_algorithms: ecdsa_secp256r1_sha256, ed25519
        &[0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x07],
        // extended_master_secret
        &[0x00, 0x17, 0x00, 0x00],
    ]
    .concat();
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    // No session; ECDHE-ECDSA-AES256-GCM-SHA384 and -AES128-GCM-SHA256; no compression.
    body.extend([0x00, 0x00, 0x04, 0xc0, 0x2c, 0xc0, 0x2b, 0x01, 0x00]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![0x01, 0x00];
    handshake.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    handshake.extend(body);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend(u16::try_from(handshake.len()).unwrap().to_be_bytes());
    record.extend(handshake);
    record
}
