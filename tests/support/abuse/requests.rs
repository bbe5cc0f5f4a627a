//! Attacks with requests and answers: slowly written, not read, or too many.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use super::http2::{CONTINUATION, Connection, DATA, END_HEADERS, HEADERS, frame, headers, request};
use super::{Scene, at_once};
use crate::banking::account;
use crate::wire;

/// Headers of blocks, a thousand at most.
const BLOCKS: &str = "/counterfoil.v1.AuditService/ListBlocks";
const GENESIS: &str = "/counterfoil.v1.AuditService/GetGenesis";
const WATCH: &str = "/counterfoil.v1.AccountService/WatchMovements";
const SUBMIT: &str = "/counterfoil.v1.SettlementService/SubmitInstruction";
const STATUS: &str = "/counterfoil.v1.NodeService/GetNodeStatus";
const ACCOUNTS: &str = "/counterfoil.v1.AccountService/ListAccounts";

/// A byte of a header now and then.
pub async fn slow_head(scene: Arc<Scene>) {
    at_once(64, |_| {
        let scene = scene.clone();
        async move {
            loop {
                let _ = trickle(&scene).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    })
    .await;
}

async fn trickle(scene: &Scene) -> io::Result<()> {
    let mut open = Connection::open(&scene.clients, &scene.credential(), 65_535).await?;
    let block = headers(BLOCKS);
    open.write(&frame(HEADERS, 0, 1, &block[..1])).await?;
    for byte in &block[1..] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        open.write(&frame(CONTINUATION, 0, 1, &[*byte])).await?;
    }
    Ok(())
}

/// All of a large message but its last byte, on many streams.
pub async fn slow_body(scene: Arc<Scene>) {
    at_once(16, |_| {
        let scene = scene.clone();
        async move {
            loop {
                let _ = almost(&scene).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await;
}

async fn almost(scene: &Scene) -> io::Result<()> {
    const SIZE: usize = 3 << 20;
    let mut open = Connection::open(&scene.clients, &scene.credential(), 65_535).await?;
    let part = vec![0x5a; 16_000];
    let length = u32::try_from(SIZE).expect("it is short").to_be_bytes();
    for number in 0..32 {
        let id = 1 + 2 * number;
        let begun = frame(HEADERS, END_HEADERS, id, &headers(SUBMIT));
        let size = frame(DATA, 0, id, &[&[0], &length[..]].concat());
        open.write(&[begun, size].concat()).await?;
        for _ in 0..(SIZE - 1) / part.len() {
            open.write(&frame(DATA, 0, id, &part)).await?;
        }
    }
    open.closed().await;
    Ok(())
}

/// Asks for much and grants no window for it.
pub async fn unread_answers(scene: Arc<Scene>) {
    at_once(64, |_| {
        let scene = scene.clone();
        async move {
            loop {
                let _ = unread(&scene).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await;
}

async fn unread(scene: &Scene) -> io::Result<()> {
    let mut open = Connection::open(&scene.clients, &scene.credential(), 0).await?;
    let blocks =
        counterfoil_client::v1::ListBlocksRequest { page_size: 1_000, ..Default::default() };
    let blocks = blocks.encode_to_vec();
    for number in 0..128 {
        let id = 1 + 4 * number;
        let both = [request(id, BLOCKS, &blocks), request(id + 2, GENESIS, &[])];
        open.write(&both.concat()).await?;
    }
    open.closed().await;
    Ok(())
}

/// Watches everything that it may, and reads nothing of it.
pub async fn unread_watches(scene: Arc<Scene>) {
    at_once(8, |_| {
        let scene = scene.clone();
        async move {
            loop {
                let _ = watch(&scene).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await;
}

async fn watch(scene: &Scene) -> io::Result<()> {
    let mut open = Connection::open(&scene.clients, &scene.credential(), 0).await?;
    let watched = counterfoil_client::v1::WatchMovementsRequest {
        account: account(&scene.institution, "CHF").as_bytes().to_vec().into(),
        ..Default::default()
    };
    let watched = watched.encode_to_vec();
    for number in 0..100 {
        open.write(&request(1 + 2 * number, WATCH, &watched)).await?;
    }
    open.closed().await;
    Ok(())
}

/// Reads as fast as it is answered, on many streams.
pub async fn flood(scene: Arc<Scene>) {
    at_once(16, |_| {
        let scene = scene.clone();
        async move {
            loop {
                if let Ok(channel) = wire::connect(&scene.clients, Some(&scene.credential())).await
                {
                    at_once(128, |number| {
                        let channel = channel.clone();
                        let path = if number % 2 == 0 { STATUS } else { ACCOUNTS };
                        async move {
                            // Until the connection has ended.
                            while !matches!(
                                wire::call(&channel, path, Vec::new()).await,
                                Err(status) if status.code() == tonic::Code::Unavailable
                                    || status.code() == tonic::Code::Unknown
                            ) {}
                        }
                    })
                    .await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await;
}
