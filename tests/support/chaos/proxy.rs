//! A TCP proxy that makes bad weather: delay, jitter, losses (as the pauses that TCP makes of them),
//! silence in one direction, connections that are taken and lead nowhere, flipped bytes, narrow lines,
//! resets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::chance::Chance;

/// Bytes that travel together.
const CHUNK: usize = 16 * 1024;

/// Chunks on their way in one direction.
const ON_THE_WAY_MAX: usize = 64;

/// How long a connection to the other side may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What happens to bytes that travel in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Nothing arrives; it arrives when this is over.
    pub silent: bool,
    /// Every chunk takes this long.
    pub delay_ms: u64,
    /// And up to this much longer.
    pub jitter_ms: u64,
    /// Of a thousand chunks so many are lost at first, which holds up those behind them.
    pub lost: u64,
    /// Of a thousand chunks so many have a byte flipped.
    pub flipped: u64,
    /// Bytes a second; 0 = as many as there are.
    pub bytes_per_second: u64,
}

/// What happens to a whole link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sky {
    forward: Weather,
    backward: Weather,
    /// New connections are taken and lead nowhere.
    half_open: bool,
    /// Connections that were made before this count changed are reset.
    resets: u64,
}

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From who connects.
    Forward,
    /// To who connects.
    Backward,
}

/// One link: a listener, and where it leads. It ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    sky: watch::Sender<Sky>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens at an address of this machine and leads to another address.
    pub async fn start(host: IpAddr, to: SocketAddr, seed: u64) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?;
        let (sky, seen) = watch::channel(Sky::default());
        let task = tokio::spawn(accept(listener, to, seen, seed));
        Ok(Proxy { address, sky, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather in one direction.
    pub fn set(&self, direction: Direction, weather: Weather) {
        self.sky.send_modify(|sky| match direction {
            Direction::Forward => sky.forward = weather,
            Direction::Backward => sky.backward = weather,
        });
    }

    /// Silence or not in one direction; the rest of its weather stays.
    pub fn silence(&self, direction: Direction, silent: bool) {
        self.sky.send_modify(|sky| match direction {
            Direction::Forward => sky.forward.silent = silent,
            Direction::Backward => sky.backward.silent = silent,
        });
    }

    /// Whether new connections lead nowhere.
    pub fn half_open(&self, half_open: bool) {
        self.sky.send_modify(|sky| sky.half_open = half_open);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.sky.send_modify(|sky| sky.resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections; they end with the task that takes them.
async fn accept(listener: TcpListener, to: SocketAddr, sky: watch::Receiver<Sky>, seed: u64) {
    let mut connections = tokio::task::JoinSet::new();
    let mut count = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        count += 1;
        let chance = Chance::of(seed, &format!("{to} {count}"));
        connections.spawn(connection(stream, to, sky.clone(), chance));
    }
}

/// One connection until it ends or is reset.
async fn connection(
    near: TcpStream,
    to: SocketAddr,
    mut sky: watch::Receiver<Sky>,
    mut chance: Chance,
) {
    let begun = *sky.borrow_and_update();
    let mut reset = sky.clone();
    let over = async move {
        let _ = reset.wait_for(|now| now.resets != begun.resets).await;
    };
    let carry = async {
        let _ = sky.wait_for(|now| !now.half_open).await;
        let Ok(Ok(far)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await else { return };
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        let (one, other) =
            (Chance::of(chance.draw(), "forward"), Chance::of(chance.draw(), "backward"));
        tokio::join!(
            carry(near_in, far_out, sky.clone(), Direction::Forward, one),
            carry(far_in, near_out, sky.clone(), Direction::Backward, other),
        );
    };
    // What is dropped with bytes under way is reset.
    tokio::select! { () = over => {}, () = carry => {} }
}

/// Carries bytes in one direction until they end.
async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    sky: watch::Receiver<Sky>,
    direction: Direction,
    chance: Chance,
) {
    let (departures, arrivals) = mpsc::channel(ON_THE_WAY_MAX);
    tokio::join!(
        depart(from, departures, sky.clone(), direction, chance),
        arrive(to, arrivals, sky, direction),
    );
}

fn weather(sky: &Sky, direction: Direction) -> Weather {
    match direction {
        Direction::Forward => sky.forward,
        Direction::Backward => sky.backward,
    }
}

async fn depart(
    mut from: OwnedReadHalf,
    departures: mpsc::Sender<(Instant, Vec<u8>)>,
    sky: watch::Receiver<Sky>,
    direction: Direction,
    mut chance: Chance,
) {
    let mut due = Instant::now();
    loop {
        let mut chunk = vec![0; CHUNK];
        let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
        chunk.truncate(length);
        let weather = weather(&sky.borrow(), direction);
        let mut takes = weather.delay_ms;
        if weather.jitter_ms > 0 {
            takes += chance.within(0..weather.jitter_ms);
        }
        if chance.within(0..1_000) < weather.lost {
            // The shortest time after which Linux sends a segment again, and what it grows to.
            takes += [200, 400, 800][chance.place(3)];
        }
        if chance.within(0..1_000) < weather.flipped {
            let place = chance.place(length);
            chunk[place] ^= 1 << chance.within(0..8);
        }
        // Bytes never overtake each other.
        due = due.max(Instant::now() + Duration::from_millis(takes));
        if departures.send((due, chunk)).await.is_err() {
            return;
        }
    }
}

async fn arrive(
    mut to: OwnedWriteHalf,
    mut arrivals: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut sky: watch::Receiver<Sky>,
    direction: Direction,
) {
    while let Some((due, chunk)) = arrivals.recv().await {
        sleep_until(due).await;
        if sky.wait_for(|now| !weather(now, direction).silent).await.is_err() {
            return;
        }
        let bytes_per_second = weather(&sky.borrow(), direction).bytes_per_second;
        if let Some(takes) = (chunk.len() as u64 * 1_000_000).checked_div(bytes_per_second) {
            sleep(Duration::from_micros(takes)).await;
        }
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn told(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(word).await?;
        let mut heard = vec![0; word.len()];
        stream.read_exact(&mut heard).await?;
        Ok(heard)
    }

    /// Whether something stays without an answer for a while.
    async fn hangs<T>(waiting: impl Future<Output = T>) -> bool {
        timeout(Duration::from_millis(300), waiting).await.is_err()
    }

    #[tokio::test]
    async fn weather_comes_and_goes() {
        let proxy = Proxy::start("127.0.0.1".parse().unwrap(), echo().await, 1).await.unwrap();
        let connect = || TcpStream::connect(proxy.address());
        let mut stream = connect().await.unwrap();
        assert_eq!(told(&mut stream, b"fair").await.unwrap(), b"fair");

        proxy.set(Direction::Backward, Weather { delay_ms: 150, ..Weather::default() });
        let begun = Instant::now();
        assert_eq!(told(&mut stream, b"slow").await.unwrap(), b"slow");
        assert!(begun.elapsed() >= Duration::from_millis(150));
        proxy.set(Direction::Backward, Weather::default());

        proxy.silence(Direction::Forward, true);
        assert!(hangs(told(&mut stream, b"kept")).await);
        proxy.silence(Direction::Forward, false);
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"kept", "what was silent arrives later");

        proxy.set(Direction::Forward, Weather { flipped: 1_000, ..Weather::default() });
        assert_ne!(told(&mut stream, b"flip").await.unwrap(), b"flip");
        proxy.set(Direction::Forward, Weather::default());

        proxy.half_open(true);
        let mut nowhere = connect().await.unwrap();
        assert!(hangs(told(&mut nowhere, b"hello")).await);
        proxy.half_open(false);

        proxy.reset();
        assert!(told(&mut stream, b"gone").await.is_err());
        let mut again = connect().await.unwrap();
        assert_eq!(told(&mut again, b"fair").await.unwrap(), b"fair");
    }
}
