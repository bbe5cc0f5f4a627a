//! The bodies of requests and answers, with what they have of their institution's share of memory:
//! a request's bytes until it is answered, an answer's until they are read.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;
use tonic::Status;
use tonic::body::Body;

use super::status;
use crate::shares::Share;
use crate::shares::Shares;
use crate::telemetry::excess;
use crate::telemetry::excess::Bound;

/// What a request has of the room for requests. Whoever answers it holds it, too.
pub(super) type Received = Arc<Mutex<Share<Bic>>>;

/// The body of a request, counted as it comes.
struct Counted {
    body: Body,
    received: Received,
}

/// A request's body that takes its share as it comes.
pub(super) fn counted(body: Body, share: Share<Bic>) -> (Body, Received) {
    let received = Arc::new(Mutex::new(share));
    (Body::new(Counted { body, received: received.clone() }), received)
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let mut share = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            if !share.grow([data.len()]) {
                return Poll::Ready(Some(Err(beyond(*share.key(), Bound::RequestBytes))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. Its first part, all of it where the answer is one message, is made at once,
/// so that its size is known; what has been made and is not read has its share of the room.
struct Unread<G> {
    first: Option<Result<Frame<Bytes>, Status>>,
    body: Body,
    share: Share<Bic>,
    /// Of the latest part.
    size: usize,
    _held: G,
}

/// An answer's body that holds what else it counts against until it is read.
pub(super) fn unread<G: Send + Unpin + 'static>(
    mut body: Body,
    institution: Bic,
    room: &Arc<Shares<Bic>>,
    held: G,
) -> Result<Body, Status> {
    let mut context = Context::from_waker(std::task::Waker::noop());
    // One that is not ready is asked again by whoever sends it.
    let (first, size) = match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(Some(first)) => {
            let size = first.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            (Some(first), size)
        }
        Poll::Ready(None) | Poll::Pending => (None, 0),
    };
    let share = room.take(institution, [size]);
    let share = share.ok_or_else(|| beyond(institution, Bound::AnswerBytes))?;
    Ok(Body::new(Unread { first, body, share, size, _held: held }))
}

impl<G: Unpin> HttpBody for Unread<G> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let data = frame.as_ref().and_then(|it| it.as_ref().ok()).and_then(Frame::data_ref);
        if let Some(size) = data.map(Bytes::len) {
            // Whoever asks for the next part has sent the one before.
            let more = size.saturating_sub(self.size);
            if !self.share.grow([more]) {
                let institution = *self.share.key();
                return Poll::Ready(Some(Err(beyond(institution, Bound::AnswerBytes))));
            }
            self.size = self.size.max(size);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.first.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}

fn beyond(institution: Bic, bound: Bound) -> Status {
    excess::note(institution.as_str(), bound);
    status::full(institution, bound)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use http_body_util::Full;

    use super::*;
    use crate::shares::Bounds;

    const BOUNDS: Bounds = Bounds { own: [10], most: [10], common: [0] };

    fn bic() -> Bic {
        Bic::parse("BANKCHAA").unwrap()
    }

    fn body(size: usize) -> Body {
        Body::new(Full::new(Bytes::from(vec![7; size])))
    }

    #[tokio::test]
    async fn a_request_takes_its_share_as_it_comes_and_keeps_it() {
        let room = Shares::new(BOUNDS);
        let (first, received) = counted(body(6), room.take(bic(), [0]).unwrap());
        assert_eq!(first.collect().await.unwrap().to_bytes().len(), 6);
        let (second, _) = counted(body(5), room.take(bic(), [0]).unwrap());
        let refused = second.collect().await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        drop(received);
        let (third, _) = counted(body(10), room.take(bic(), [0]).unwrap());
        assert!(third.collect().await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_has_its_share_until_it_is_read() {
        let room = Shares::new(BOUNDS);
        let held = Arc::new(());
        let first = unread(body(6), bic(), &room, held.clone()).unwrap();
        let refused = unread(body(5), bic(), &room, held.clone()).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(Arc::strong_count(&held), 2);
        assert_eq!(first.collect().await.unwrap().to_bytes().len(), 6);
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(unread(body(10), bic(), &room, ()).is_ok());
        assert!(room.taken().is_empty());
    }
}
