//! Channels to the other nodes.

use std::io;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::identity::tls::{OpenedStream, Tls};
use crate::limits;

/// A channel to a node at `host:port`. It connects when it is first used, and again after each
/// break; a name is resolved anew each time. Whoever answers must be that node.
///
/// Each call needs a deadline of its own.
pub fn peer_channel(tls: Arc<Tls>, node_id: u64, address: String) -> Channel {
    channel(node_id, move || {
        let (tls, address) = (Arc::clone(&tls), address.clone());
        async move { connect(&tls, node_id, &address).await }
    })
}

/// A channel over connections that are made so.
pub fn channel<S, F>(node_id: u64, connect: impl Fn() -> F + Send + Sync + 'static) -> Channel
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    // tonic would refuse https without its own TLS; what connects speaks ours.
    let endpoint = Endpoint::from_shared(format!("http://node-{node_id}"))
        .expect("a host of letters and digits")
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::PEER_WINDOW_BYTES)
        .http2_max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let connecting = connect();
        async { connecting.await.map(TokioIo::new) }
    }))
}

/// Connects to a node and shakes hands with it, within a time.
pub async fn connect(tls: &Tls, node_id: u64, address: &str) -> io::Result<OpenedStream> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        tls.open(node_id, stream).await
    };
    timeout(limits::CONNECT_TIMEOUT, connected).await.map_err(|_| io::ErrorKind::TimedOut)?
}
