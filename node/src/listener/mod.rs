//! Accepts connections, within bounds, and hands over those that have shaken hands.
//!
//! Whoever sends garbage, speaks an older TLS, shows no certificate or says nothing is counted,
//! logged at debug level, and disturbs nobody.

mod connection;
mod frames;
mod handshakes;
mod pace;
pub mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

pub use crate::listener::connection::Connection;

use crate::budget::Budget;
use crate::exit::{ExitCode, Stop};
use crate::identity::caller::Caller;
use crate::identity::tls::{AcceptedStream, Audience, Tls};
use crate::limits::{self, ListenerLimits};
use crate::listener::connection::Admission;
use crate::listener::handshakes::{Handshake, Handshakes};
use crate::listener::pace::Paces;
use crate::shares::Shares;
use crate::telemetry::excess::{self, Bound};
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
        handshakes: Handshakes::new(&limits),
        institutions: Shares::new(limits.connections),
        paces: Paces::default(),
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
    handshakes: Arc<Handshakes>,
    institutions: Arc<Shares<Bic>>,
    paces: Paces,
    shutdown: CancellationToken,
    sender: mpsc::Sender<io::Result<Connection>>,
}

impl Gate {
    async fn run(self: Arc<Gate>, socket: TcpListener) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.accept_all(socket)).await;
    }

    /// Nobody waits behind somebody's handshake: whoever comes gets a place at once. In a flood the
    /// kernel holds back those who come faster than this node can look at them beside its work.
    async fn accept_all(self: Arc<Gate>, socket: TcpListener) {
        let budget = Budget::new(limits::ACCEPT_BURST);
        loop {
            match socket.accept().await {
                Ok((stream, address)) => {
                    let handshake = self.handshakes.begin(address.ip());
                    let span = info_span!("handshake", listener = self.name(), %address);
                    let task = Arc::clone(&self).shake_hands(stream, address, handshake);
                    tokio::spawn(task.instrument(span));
                    let rest = budget.spend(limits::ACCEPT_COST);
                    if !rest.is_zero() {
                        tokio::time::sleep(rest).await;
                    }
                }
                Err(error) => self.rest_after(error).await,
            }
        }
    }

    fn name(&self) -> &'static str {
        self.audience.as_str()
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
        tune(&stream);
        let within = self.limits.handshake_timeout;
        let shaken = tokio::select! {
            shaken = self.tls.accept(self.audience, stream, address, within) => shaken,
            () = handshake.displaced.cancelled() => return self.refuse("handshake", address),
            () = self.shutdown.cancelled() => return,
        };
        match shaken {
            Ok((stream, caller)) => {
                self.count_handshake("ok");
                handshake.succeeded();
                let Some(connection) = self.admit(stream, caller) else {
                    return self.refuse("institution", address);
                };
                // An error means that nobody serves any more.
                let sent = self.sender.send(Ok(connection));
                let _ = self.shutdown.run_until_cancelled(sent).await;
            }
            Err(error) => {
                self.count_handshake(error.cause());
                debug!(cause = error.cause(), %error, "no handshake");
            }
        }
    }

    /// A connection that counts as its institution's, if that has room for it.
    fn admit(&self, stream: AcceptedStream, caller: Caller) -> Option<Connection> {
        let institution = caller.identity.institution;
        let Some(share) = self.institutions.take(institution, [1]) else {
            excess::note(institution.as_str(), Bound::Connections);
            return None;
        };
        debug!(caller = %caller.identity, "connected");
        // Whoever is answered on it just then is told first why it ends.
        let longest = limits::CONNECTION_AGE_MAX + limits::CONNECTION_AGE_GRACE;
        let life = self.tls.life_left(&caller).min(longest);
        let timeouts = (self.limits.first_byte_timeout, life + limits::EXPIRY_GRACE);
        let pace = self.limits.is_paced.then(|| self.paces.of(institution));
        let admission = Admission::new(self.name(), share);
        Some(Connection::new(stream, caller, admission, pace, timeouts))
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
