//! Messages as an unlucky network hands them over: late, so that later ones pass them, and twice.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use tonic::body::Body;
use tower::Layer;
use tower::Service;
use tower::ServiceExt;

use crate::random;

/// What may come late or twice: the receiver must take it in any order and any number.
const METHODS: [&str; 4] =
    ["/AppendEntries", "/RequestVote", "/GetReadIndex", "/ForwardInstructions"];

/// Puts it before a service.
#[derive(Clone, Copy)]
pub struct Unruly;

/// A service that is spoken to like that.
#[derive(Clone)]
pub struct Spoken<S>(S);

impl<S> Layer<S> for Unruly {
    type Service = Spoken<S>;

    fn layer(&self, service: S) -> Spoken<S> {
        Spoken(service)
    }
}

impl<S> Service<Request<Body>> for Spoken<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move {
            let method = request.uri().path();
            if !METHODS.iter().any(|name| method.ends_with(name)) {
                return service.oneshot(request).await;
            }
            if random::chance(3) {
                tokio::time::sleep(random::time(1, 200)).await;
            }
            if !random::chance(2) {
                return service.oneshot(request).await;
            }
            let (parts, body) = request.into_parts();
            // A message that breaks off is not one.
            let Ok(body) = body.collect().await else {
                return service.oneshot(Request::from_parts(parts, Body::empty())).await;
            };
            let bytes = body.to_bytes();
            let copy = Request::from_parts(parts.clone(), Body::new(Full::new(bytes.clone())));
            let again = service.clone();
            tokio::spawn(async move {
                tokio::time::sleep(random::time(0, 2_000)).await;
                again.oneshot(copy).await
            });
            service.oneshot(Request::from_parts(parts, Body::new(Full::new(bytes)))).await
        })
    }
}
