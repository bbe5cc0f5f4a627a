//! The gate before every method: identity, authorisation, bounds and deadline, in that order. No
//! service is reached around it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::bic::Bic;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::Request;
use http::Response;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::Service;

use super::authorisation;
use super::bodies;
use super::status;
use super::turns;
use super::turns::Turns;
use crate::clock::Clock;
use crate::identity::caller::Caller;
use crate::limits;
use crate::shares::Share;
use crate::shares::Shares;
use crate::telemetry::excess;
use crate::telemetry::excess::Bound;
use crate::telemetry::metrics;

/// Puts the gate before a service.
#[derive(Clone)]
pub struct GateLayer(Arc<Rules>);

/// A service behind the gate.
#[derive(Clone)]
pub struct Gate<S> {
    rules: Arc<Rules>,
    inner: S,
}

struct Rules {
    clock: Clock,
    requests: Arc<Shares<Bic>>,
    request_bytes: Arc<Shares<Bic>>,
    answer_bytes: Arc<Shares<Bic>>,
    turns: Turns,
}

/// A request that is to be answered.
struct Admission {
    /// The name of the method for metrics.
    method: &'static str,
    institution: Bic,
    /// One of the requests that the institution may have open.
    open: Share<Bic>,
    /// Its bytes, none yet.
    bytes: Share<Bic>,
}

impl GateLayer {
    /// A gate that judges certificates by a clock.
    pub fn new(clock: Clock) -> GateLayer {
        GateLayer(Arc::new(Rules {
            clock,
            requests: Shares::new(limits::REQUESTS),
            request_bytes: Shares::new(limits::REQUEST_BYTES),
            answer_bytes: Shares::new(limits::ANSWER_BYTES),
            turns: Turns::default(),
        }))
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { rules: self.0.clone(), inner }
    }
}

impl Rules {
    fn admit(&self, request: &Request<Body>) -> Result<Admission, Status> {
        let caller = request.extensions().get::<Caller>();
        let path = request.uri().path();
        let (method, caller) = authorisation::authorise(path, caller, self.clock.now_ms())
            .inspect_err(|refusal| {
                tracing::debug!(path, code = ?refusal.code(), "a request was refused");
            })?;
        let institution = caller.identity.institution;
        let open = self.requests.take(institution, [1]);
        let bytes = self.request_bytes.take(institution, [0]);
        let (open, bytes) = open.zip(bytes).ok_or_else(|| {
            excess::note(institution.as_str(), Bound::Requests);
            status::full(institution, Bound::Requests)
        })?;
        Ok(Admission { method: method.path, institution, open, bytes })
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let begun = Instant::now();
        let admission = match self.rules.admit(&request) {
            Ok(admission) => admission,
            Err(refusal) => return Box::pin(async move { Ok(refusal.into_http()) }),
        };
        let Admission { method, institution, open, bytes } = admission;
        let time = time_left(request.headers(), limits::REQUEST_TIMEOUT);
        let (head, body) = request.into_parts();
        let (body, received) = bodies::counted(body, bytes);
        let request = Request::from_parts(head, body);
        // The service that was polled ready is the one to be called.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rules = self.rules.clone();
        Box::pin(async move {
            let answered = turns::with(rules.turns.of(institution), inner.call(request));
            let answer = match tokio::time::timeout(time, answered).await {
                Ok(answer) => translate(answer?),
                Err(_) => status::deadline().into_http(),
            };
            drop(received);
            let (head, body) = answer.into_parts();
            let answer = match bodies::unread(body, institution, &rules.answer_bytes, open) {
                Ok(body) => Response::from_parts(head, body),
                Err(refusal) => refusal.into_http(),
            };
            let code =
                Status::from_header_map(answer.headers()).map_or(tonic::Code::Ok, |it| it.code());
            metrics::REQUEST_SECONDS
                .histogram(&[("method", method), ("code", &format!("{code:?}"))])
                .record(begun.elapsed());
            Ok(answer)
        })
    }
}

/// Puts tonic's own words for a request that it could not read into those of this API.
fn translate(answer: Response<Body>) -> Response<Body> {
    let said = Status::from_header_map(answer.headers());
    match said.as_ref().and_then(status::unreadable) {
        Some(refusal) => refusal.into_http(),
        None => answer,
    }
}

/// How long an answer may take: what the caller allows, at most so much, less what it takes to
/// send the answer.
pub(super) fn time_left(headers: &HeaderMap, at_most: Duration) -> Duration {
    let asked = headers.get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?));
    let time = asked.map_or(at_most, |asked| asked.min(at_most));
    time.saturating_sub(limits::ANSWER_MARGIN.min(time / 2))
}

/// The gRPC timeout header: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::hash::Hash;
    use tonic::Code;

    use super::*;
    use crate::identity::Identity;
    use crate::identity::Role;

    fn caller(role: Role) -> Caller {
        let identity = Identity {
            institution: Bic::parse("BANKCHAA").unwrap(),
            role,
            name: "one".to_owned(),
            not_after_s: 1_000,
            key_fingerprint: Hash::ZERO,
        };
        let address = "127.0.0.1:1".parse().unwrap();
        Caller::new(identity, None, address)
    }

    /// What comes back through the gate when the service behind it answers so.
    async fn through(role: Option<Role>, now_ms: u64, answer: fn() -> Status) -> Status {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            Ok::<_, Infallible>(answer().into_http::<Body>())
        });
        let mut gate = GateLayer::new(Clock::manual(now_ms)).layer(service);
        let mut request = Request::new(Body::empty());
        let path = "/counterfoil.v1.SettlementService/SubmitInstruction";
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().extend(
            role.map(|role| {
                let mut extensions = http::Extensions::new();
                extensions.insert(caller(role));
                extensions
            })
            .unwrap_or_default(),
        );
        let answer = gate.call(request).await.unwrap();
        Status::from_header_map(answer.headers()).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_reached_without_leave() {
        let reached = || Status::unknown("reached");
        assert_eq!(through(Some(Role::Client), 0, reached).await.code(), Code::Unknown);
        assert_eq!(through(None, 0, reached).await.code(), Code::Unauthenticated);
        assert_eq!(
            through(Some(Role::Client), 2_000_000, reached).await.code(),
            Code::Unauthenticated
        );
        for role in [Role::Auditor, Role::Operator, Role::Node] {
            assert_eq!(through(Some(role), 0, reached).await.code(), Code::PermissionDenied);
        }
    }

    #[tokio::test]
    async fn requests_that_cannot_be_read_are_the_callers_fault() {
        let garbage = through(Some(Role::Client), 0, || Status::internal("invalid tag")).await;
        assert_eq!(garbage.code(), Code::InvalidArgument);
        assert!(garbage.message().contains("invalid tag"));
        let large = through(Some(Role::Client), 0, || Status::out_of_range("too large")).await;
        assert_eq!(large.code(), Code::InvalidArgument);
        let own = through(Some(Role::Client), 0, || status::not_reached(2, 1)).await;
        assert_eq!(own.code(), Code::OutOfRange);
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, time) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("30S", Some(Duration::from_secs(30))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("+1S", None),
            ("999999999S", None),
            ("1é", None),
        ] {
            assert_eq!(parse_timeout(text), time, "{text}");
        }
    }

    #[test]
    fn the_shorter_time_counts() {
        let limit = Duration::from_secs(20);
        let mut headers = HeaderMap::new();
        assert_eq!(time_left(&headers, limit), limit - limits::ANSWER_MARGIN);
        headers.insert("grpc-timeout", "1H".parse().unwrap());
        assert_eq!(time_left(&headers, limit), limit - limits::ANSWER_MARGIN);
        headers.insert("grpc-timeout", "10m".parse().unwrap());
        assert_eq!(time_left(&headers, limit), Duration::from_millis(5));
    }
}
