//! Attacks with connections: handshakes that go nowhere, and too many that go somewhere.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::http2::Connection;
use super::{Scene, at_once};
use crate::wire;

/// Half-open handshakes that the attack makes, and then again.
const HALF_OPEN: usize = 10_000;

/// Of which so many are held open from this side, each a file.
const HELD: usize = 4_000;

/// From four addresses of this machine that are not the honest client's.
pub async fn half_open(scene: Arc<Scene>) {
    flood(scene, &[2, 3, 4, 5]).await;
}

/// From the honest client's own address.
pub async fn half_open_here(scene: Arc<Scene>) {
    flood(scene, &[1]).await;
}

async fn flood(scene: Arc<Scene>, hosts: &'static [u8]) {
    let ports = [scene.clients.clone(), scene.peers.clone()];
    let mut held = VecDeque::new();
    for number in 0.. {
        let host = Ipv4Addr::new(127, 0, 0, hosts[number % hosts.len()]);
        // Every third one attacks what the nodes listen to.
        let port = &ports[usize::from(number % 3 == 2)];
        match begin(host, port, number).await {
            Ok(stream) => held.push_back(stream),
            // No file or no port is left here.
            Err(_) => held.truncate(held.len() / 2),
        }
        if held.len() > HELD {
            held.pop_front();
        }
        if number % HALF_OPEN == HALF_OPEN - 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// A handshake that is begun, or not even that.
async fn begin(host: Ipv4Addr, address: &str, number: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((host, 0).into())?;
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut stream = socket.connect(address).await?;
    if number.is_multiple_of(2) {
        // The head of a record, and the first byte of a ClientHello.
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await?;
    }
    Ok(stream)
}

/// Whole handshakes of somebody who has no certificate to show.
pub async fn strangers(scene: Arc<Scene>) {
    at_once(32, |_| {
        let scene = scene.clone();
        async move {
            loop {
                drop(wire::shake_hands(&scene.clients, None).await);
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// A member takes all the connections that it gets, and wants more.
pub async fn hoard(scene: Arc<Scene>) {
    at_once(512, |_| {
        let scene = scene.clone();
        async move {
            loop {
                if let Ok(mut open) =
                    Connection::open(&scene.clients, &scene.credential(), 65_535).await
                {
                    open.closed().await;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    })
    .await;
}
