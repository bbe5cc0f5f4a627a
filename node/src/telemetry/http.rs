//! The listener for monitoring: `/metrics`, `/livez` and `/readyz`, over plain HTTP. It tells nothing
//! about parties or amounts, but for who wanted more than its share of this node, yet belongs on
//! loopback or a monitoring network.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::telemetry::health::{Health, Readiness};

/// How often observations are moved into buckets when nobody asks for them.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Answers monitoring until the shutdown.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    health: Health,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits::METRICS_CONNECTIONS_MAX));
    let mut upkeep = interval(UPKEEP_INTERVAL);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            _ = upkeep.tick() => {
                metrics.run_upkeep();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
            continue;
        };
        // Beyond the bound the connection is closed: monitoring asks again.
        if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
            let (metrics, health) = (metrics.clone(), health.clone());
            tokio::spawn(async move {
                let answered = serve_connection(stream, metrics, health);
                let _ = timeout(limits::METRICS_REQUEST_TIMEOUT, answered).await;
                drop(permit);
            });
        }
    }
}

async fn serve_connection(stream: TcpStream, metrics: PrometheusHandle, health: Health) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &metrics, &health);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::METRICS_REQUEST_TIMEOUT)
        .max_buf_size(limits::METRICS_REQUEST_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever sends garbage is not answered.
    let _ = connection.await;
}

fn answer(
    method: &Method,
    path: &str,
    metrics: &PrometheusHandle,
    health: &Health,
) -> Response<String> {
    let (status, body) = match (method, path) {
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics.render()),
        // The process answers: it lives.
        (&Method::GET, "/livez") => (StatusCode::OK, "alive\n".to_owned()),
        (&Method::GET, "/readyz") => match health.get() {
            Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
            Readiness::Starting(step) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("starting: {step}\n"))
            }
            Readiness::NotReady(cause) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {cause}\n"))
            }
        },
        (&Method::GET, _) => {
            (StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let text = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::telemetry::metrics;

    async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers_monitoring() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::starting();
        let shutdown = CancellationToken::new();
        let server =
            tokio::spawn(serve(listener, metrics::start(), health.clone(), shutdown.clone()));
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");

        assert!(exchange(address, &get("/livez")).await.starts_with("HTTP/1.1 200"));
        let answer = exchange(address, &get("/readyz")).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("starting: opening"));
        health.set(Readiness::Ready);
        assert!(exchange(address, &get("/readyz")).await.starts_with("HTTP/1.1 200"));
        health.set(Readiness::NotReady("no leader".into()));
        assert!(exchange(address, &get("/readyz")).await.contains("not ready: no leader"));
        assert!(exchange(address, &get("/metrics")).await.contains("counterfoil_build_info"));
        assert!(exchange(address, &get("/")).await.starts_with("HTTP/1.1 404"));
        let post = "POST /metrics HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n";
        assert!(exchange(address, post).await.starts_with("HTTP/1.1 405"));
        // Garbage, and a header without end, close the connection and nothing else.
        assert!(!exchange(address, "\0\x01garbage\r\n\r\n").await.contains("200"));
        let endless = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(60_000));
        assert!(!exchange(address, &endless).await.contains("200"));
        assert!(exchange(address, &get("/livez")).await.starts_with("HTTP/1.1 200"));

        shutdown.cancel();
        server.await.unwrap();
    }
}
