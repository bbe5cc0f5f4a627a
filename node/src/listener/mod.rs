//! Accepts connections, within bounds, and hands over those that have shaken hands.
//!
//! Whoever sends garbage, speaks an older TLS, shows no certificate or says nothing is counted,
//! logged at debug level, and disturbs nobody.

mod connection;
pub mod server;
pub(crate) mod shares;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

pub use crate::listener::connection::Connection;

use crate::exit::{ExitCode, Stop};
use crate::identity::tls::{Audience, Tls};
use crate::limits::{self, ListenerLimits};
use crate::listener::connection::Admission;
use crate::listener::shares::{Share, Shares};
use crate::telemetry::metrics;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does.
    #[error("another process listens on {0}")]
    InUse(SocketAddr),
    /// The system refuses.
    #[error("cannot listen on {address}: {error}")]
    Io {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

impl From<BindError> for Stop {
    fn from(error: BindError) -> Stop {
        let code = match error {
            BindError::InUse(_) => ExitCode::AddressInUse,
            BindError::Io { .. } => ExitCode::Usage,
        };
        Stop { code, message: error.to_string() }
    }
}

/// Listens on an address. An address in TIME_WAIT is free.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        _ => BindError::Io { address, error },
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections of an audience until the shutdown. The stream ends after it; what is open
/// stays open.
pub fn accept(
    socket: TcpListener,
    audience: Audience,
    limits: ListenerLimits,
    tls: Arc<Tls>,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(limits::ACCEPTED_QUEUE_MAX);
    let gate = Arc::new(Gate {
        audience,
        limits,
        tls,
        handshakes: Arc::new(Semaphore::new(limits.handshakes)),
        connections: Arc::new(Semaphore::new(limits.connections)),
        addresses: Shares::new(limits.handshakes_per_address),
        institutions: Shares::new(limits.connections_per_institution),
        shutdown,
        sender,
    });
    tokio::spawn(gate.run(socket));
    ReceiverStream::new(receiver)
}

/// What all connections of one listener share.
struct Gate {
    audience: Audience,
    limits: ListenerLimits,
    tls: Arc<Tls>,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    addresses: Arc<Shares<IpAddr>>,
    institutions: Arc<Shares<Bic>>,
    shutdown: CancellationToken,
    sender: mpsc::Sender<io::Result<Connection>>,
}

/// What a handshake in flight holds.
struct Handshake {
    _slot: OwnedSemaphorePermit,
    connection: OwnedSemaphorePermit,
    _address: Option<Share<IpAddr>>,
}

impl Gate {
    async fn run(self: Arc<Gate>, socket: TcpListener) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.accept_all(socket)).await;
    }

    async fn accept_all(self: Arc<Gate>, socket: TcpListener) {
        loop {
            // First room for a handshake, then a connection: the others wait in the kernel.
            let slot = Arc::clone(&self.handshakes)
                .acquire_owned()
                .await
                .expect("this semaphore is never closed");
            match socket.accept().await {
                Ok((stream, address)) => {
                    if let Some(handshake) = self.admit(slot, address) {
                        let span = info_span!("handshake", listener = self.name(), %address);
                        let task = Arc::clone(&self).shake_hands(stream, address, handshake);
                        tokio::spawn(task.instrument(span));
                    }
                }
                Err(error) => self.rest_after(error).await,
            }
        }
    }

    fn name(&self) -> &'static str {
        self.audience.as_str()
    }

    fn admit(&self, slot: OwnedSemaphorePermit, address: SocketAddr) -> Option<Handshake> {
        let Ok(connection) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.refuse("total", address);
            return None;
        };
        let ip = address.ip().to_canonical();
        // Everything on this machine has one address: many processes, or a forwarder's clients.
        let share = if ip.is_loopback() {
            None
        } else {
            let Some(share) = self.addresses.take(ip) else {
                self.refuse("address", address);
                return None;
            };
            Some(share)
        };
        Some(Handshake { _slot: slot, connection, _address: share })
    }

    fn refuse(&self, cause: &'static str, address: SocketAddr) {
        debug!(listener = self.name(), %address, cause, "connection refused: too many");
        metrics::CONNECTIONS_REFUSED.increment(&[("listener", self.name()), ("cause", cause)]);
    }

    async fn shake_hands(
        self: Arc<Gate>,
        stream: TcpStream,
        address: SocketAddr,
        handshake: Handshake,
    ) {
        let shutdown = self.shutdown.clone();
        let shaken = async {
            tune(&stream);
            let within = self.limits.handshake_timeout;
            match self.tls.accept(self.audience, stream, address, within).await {
                Ok((stream, caller)) => {
                    self.count_handshake("ok");
                    let Some(share) = self.institutions.take(caller.identity.institution) else {
                        self.refuse("institution", address);
                        return;
                    };
                    debug!(caller = %caller.identity, "connected");
                    let admission = Admission::new(self.name(), handshake.connection, share);
                    let timeout = self.limits.first_byte_timeout;
                    let connection = Connection::new(stream, caller, admission, timeout);
                    // An error means that nobody serves any more.
                    let _ = self.sender.send(Ok(connection)).await;
                }
                Err(error) => {
                    self.count_handshake(error.cause());
                    debug!(cause = error.cause(), %error, "no handshake");
                }
            }
        };
        shutdown.run_until_cancelled(shaken).await;
    }

    fn count_handshake(&self, result: &str) {
        metrics::HANDSHAKES.increment(&[("listener", self.name()), ("result", result)]);
    }

    async fn rest_after(&self, error: io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        // Out of file descriptors or memory. The connection stays in the kernel's queue and accept
        // would fail again at once, so it must rest.
        warn!(listener = self.name(), %error, "no connection can be accepted for the moment");
        metrics::ACCEPT_ERRORS.increment(&[("listener", self.name())]);
        tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
    }
}

/// Sends small messages at once, and finds out about a peer that is gone.
fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(limits::TCP_KEEPALIVE);
    // A connection that is already gone refuses both; the handshake will say so.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

#[cfg(test)]
mod tests;
