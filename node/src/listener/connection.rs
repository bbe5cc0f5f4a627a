//! A connection that has shaken hands, as the gRPC server takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::identity::caller::Caller;
use crate::identity::tls::AcceptedStream;
use crate::listener::shares::Share;
use crate::telemetry::metrics;

/// A connection with its caller. While it lives it counts against the listener's bounds.
pub struct Connection {
    stream: AcceptedStream,
    caller: Caller,
    /// Runs until the first byte: a caller that says nothing must not hold a connection for ever.
    silence: Option<Pin<Box<Sleep>>>,
    _admission: Admission,
}

/// What a connection holds of the listener's bounds.
pub(super) struct Admission {
    gauge: ::metrics::Gauge,
    _connection: OwnedSemaphorePermit,
    _institution: Share<Bic>,
}

impl Admission {
    pub(super) fn new(
        listener: &'static str,
        connection: OwnedSemaphorePermit,
        institution: Share<Bic>,
    ) -> Admission {
        let gauge = metrics::CONNECTIONS.gauge(&[("listener", listener)]);
        gauge.increment(1.0);
        Admission { gauge, _connection: connection, _institution: institution }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

impl Connection {
    pub(super) fn new(
        stream: AcceptedStream,
        caller: Caller,
        admission: Admission,
        first_byte_timeout: Duration,
    ) -> Connection {
        let silence = Some(Box::pin(sleep(first_byte_timeout)));
        Connection { stream, caller, silence, _admission: admission }
    }

    /// Who is at the other end.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.silence = None;
        } else if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
