//! A connection that has shaken hands, as the gRPC server takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::identity::caller::Caller;
use crate::identity::tls::AcceptedStream;
use crate::listener::frames::Frames;
use crate::listener::pace::Pace;
use crate::shares::Share;
use crate::telemetry::excess::{self, Bound};
use crate::telemetry::metrics;

/// A connection with its caller. While it lives it counts against its institution's share.
pub struct Connection {
    stream: AcceptedStream,
    caller: Caller,
    /// Runs until the first byte: a caller that says nothing must not hold a connection for ever.
    silence: Option<Pin<Box<Sleep>>>,
    /// The end of the caller's certificate, or of its connection at this node's wish.
    end: Pin<Box<End>>,
    frames: Frames,
    pace: Option<Pace>,
    /// Nothing is read until this is over.
    rest: Option<Pin<Box<Sleep>>>,
    _admission: Admission,
}

/// What ends a connection, whatever comes on it.
struct End {
    expiry: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Future for End {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.expiry.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        self.cut.as_mut().poll(context)
    }
}

/// What a connection holds of the listener's bounds.
pub(super) struct Admission {
    gauge: ::metrics::Gauge,
    _institution: Share<Bic>,
}

impl Admission {
    pub(super) fn new(listener: &'static str, institution: Share<Bic>) -> Admission {
        let gauge = metrics::CONNECTIONS.gauge(&[("listener", listener)]);
        gauge.increment(1.0);
        Admission { gauge, _institution: institution }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

impl Connection {
    /// With the time until the first byte, and what is left of the caller's certificate.
    pub(super) fn new(
        stream: AcceptedStream,
        caller: Caller,
        admission: Admission,
        pace: Option<Pace>,
        (first_byte, life): (Duration, Duration),
    ) -> Connection {
        let silence = Some(Box::pin(sleep(first_byte)));
        let cut = Box::pin(caller.line.end.clone().cancelled_owned());
        let end = Box::pin(End { expiry: Box::pin(sleep(life)), cut });
        let (frames, rest) = (Frames::default(), None);
        Connection { stream, caller, silence, end, frames, pace, rest, _admission: admission }
    }

    /// Who is at the other end.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Reads, at the institution's pace.
    fn poll_paced(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(context));
            self.rest = None;
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if let Some(pace) = &self.pace {
            let cost = self.frames.cost(buffer.filled().get(before..).unwrap_or_default());
            let rest = pace.spend(cost);
            if !rest.is_zero() {
                excess::note(self.caller.identity.institution.as_str(), Bound::Pace);
                self.rest = Some(Box::pin(sleep(rest)));
            }
        }
        Poll::Ready(read)
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
        let read = self.poll_paced(context, buffer);
        if read.is_ready() {
            self.silence = None;
            return read;
        }
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some(silence) = &mut self.silence
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
