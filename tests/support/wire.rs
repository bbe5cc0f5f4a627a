//! The wire by hand: TLS with whatever certificate, any method with any bytes. Whoever attacks a node
//! does not use the client that we ship.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

/// How long a handshake or a call may take here. Nothing that is asked takes nearly as long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate chain and its key, as they are shown in a handshake.
#[derive(Debug)]
pub struct Credential {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credential {
    /// Of PEM texts.
    pub fn of_pem(certificates: &str, key: &str) -> Credential {
        let chain = CertificateDer::pem_slice_iter(certificates.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates in PEM");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key in PEM");
        Credential { chain, key }
    }

    /// Of the files that `counterfoil pki issue` wrote.
    pub fn of(directory: &Path) -> Credential {
        let read = |name| fs::read_to_string(directory.join(name)).expect("it was issued");
        Credential::of_pem(&read("certificate.pem"), &read("key.pem"))
    }
}

/// A connection that has shaken hands.
pub type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// Shakes hands with TLS 1.3 and waits for the server's first byte: only then has it judged the
/// certificate. Whoever answers is believed.
pub async fn shake_hands(address: &str, credential: Option<&Credential>) -> io::Result<Stream> {
    let provider = Arc::new(ring::default_provider());
    let believing = Arc::new(Believing(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(believing);
    let mut config = match credential {
        Some(credential) => config
            .with_client_auth_cert(credential.chain.clone(), credential.key.clone_key())
            .expect("the key is the certificate's"),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("node.invalid").expect("a DNS name");
    let shaken = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        match stream.fill_buf().await? {
            [] => Err(io::Error::other("closed after the handshake")),
            _ => Ok(stream),
        }
    };
    timeout(PATIENCE, shaken)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("no handshake in time")))
}

/// The alert with which the other side ended a handshake.
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// The certificate that a node shows: its DER.
pub async fn served_certificate(address: &str, credential: &Credential) -> io::Result<Vec<u8>> {
    let stream = shake_hands(address, Some(credential)).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default())
}

/// A connection for gRPC calls. It is never made again by itself.
pub async fn connect(address: &str, credential: Option<&Credential>) -> io::Result<Channel> {
    let mut stream = Some(shake_hands(address, credential).await?);
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.take().map(TokioIo::new);
        async { stream.ok_or_else(|| io::Error::other("the connection is gone")) }
    });
    Endpoint::from_static("http://node.invalid")
        .connect_with_connector(connector)
        .await
        .map_err(io::Error::other)
}

/// Calls any method with the bytes of one message.
pub async fn open(
    channel: &Channel,
    path: &str,
    message: impl Into<Bytes>,
) -> Result<Streaming<Bytes>, Status> {
    open_within(channel, path, message, PATIENCE).await
}

/// Calls any method with the bytes of one message and a deadline.
pub async fn open_within(
    channel: &Channel,
    path: &str,
    message: impl Into<Bytes>,
    time: Duration,
) -> Result<Streaming<Bytes>, Status> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(64 << 20);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(path).expect("a path");
    let mut request = Request::new(tokio_stream::once(message.into()));
    if time < PATIENCE {
        request.set_timeout(time);
    }
    Ok(grpc.streaming(request, path, BytesCodec).await?.into_inner())
}

/// Calls any method with the bytes of one message; its answer, or the first one of a stream, if
/// there is one.
pub async fn call(
    channel: &Channel,
    path: &str,
    message: impl Into<Bytes>,
) -> Result<Option<Bytes>, Status> {
    let answered = async { open(channel, path, message).await?.message().await };
    timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("here")))
}

/// What a caller learns of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// Its gRPC code.
    pub code: i32,
    /// What the ErrorInfo gives as the reason; empty if there is none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// All that the ErrorInfo says beside it.
    pub facts: Vec<(String, String)>,
}

impl Told {
    /// All that a status says.
    pub fn of(status: &Status) -> Told {
        let info = status.get_error_details().error_info().cloned();
        let (reason, facts) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let mut facts: Vec<_> = facts.into_iter().collect();
        facts.sort();
        let (code, message) = (status.code() as i32, status.message().to_owned());
        Told { code, reason, message, facts }
    }

    /// Whether it is this refusal.
    pub fn is(&self, code: Code, reason: &str) -> bool {
        self.code == code as i32 && self.reason == reason
    }
}

/// Messages as the bytes they are.
#[derive(Clone, Copy)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Believes every server.
#[derive(Debug)]
struct Believing(Arc<CryptoProvider>);

impl ServerCertVerifier for Believing {
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
        Err(rustls::Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
