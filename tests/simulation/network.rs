//! The network between the nodes: connections as TCP gives them, over links that are late, cut or
//! broken. What a cut holds up arrives after it, or never, if a node has given the connection up.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_node::identity::caller::Caller;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

use crate::random;

/// No moment: what waits for a link that is cut.
const NEVER: u64 = u64::MAX;

/// All links. Clones share them.
#[derive(Clone, Default)]
pub struct Network {
    links: Arc<Mutex<Links>>,
}

#[derive(Default)]
struct Links {
    now_ms: u64,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// What arrives when: moment, connection, way.
    due: BTreeSet<(u64, u64, usize)>,
    /// From one node to another.
    cut: BTreeSet<(u64, u64)>,
    /// Nodes whose packets take longer.
    slow: BTreeSet<u64>,
    /// Nodes without power.
    dark: BTreeSet<u64>,
    listeners: BTreeMap<u64, mpsc::UnboundedSender<Stream>>,
}

/// Two nodes, and what is on its way from the first to the second and back.
struct Connection {
    ends: [u64; 2],
    ways: [Way; 2],
    dropped: [bool; 2],
}

#[derive(Default)]
struct Way {
    queue: VecDeque<(u64, Piece)>,
    latest: u64,
    reader: Option<Waker>,
}

enum Piece {
    Bytes(Bytes),
    End,
    Reset,
}

/// One end of a connection.
pub struct Stream {
    network: Network,
    id: u64,
    /// 0: the end that has connected.
    end: usize,
    /// Who is at the other end.
    caller: Option<Caller>,
}

impl Network {
    /// Time goes on: wakes who has something to read.
    pub fn deliver(&self, now_ms: u64) {
        let mut links = self.links();
        links.now_ms = now_ms;
        let later = links.due.split_off(&(now_ms + 1, 0, 0));
        for (_, id, way) in std::mem::replace(&mut links.due, later) {
            let connection = links.connections.get_mut(&id);
            if let Some(reader) = connection.and_then(|it| it.ways[way].reader.take()) {
                reader.wake();
            }
        }
    }

    /// Cuts or mends the way from one node to another.
    pub fn cut(&self, from: u64, to: u64, is_cut: bool) {
        let mut links = self.links();
        if is_cut {
            links.cut.insert((from, to));
            return;
        }
        links.cut.remove(&(from, to));
        let now_ms = links.now_ms;
        let mut due = Vec::new();
        let slow = links.is_slow(from, to);
        for (id, connection) in &mut links.connections {
            for (way, (source, target)) in [(0, (0, 1)), (1, (1, 0))] {
                if (connection.ends[source], connection.ends[target]) != (from, to) {
                    continue;
                }
                let way_ = &mut connection.ways[way];
                for (moment, _) in way_.queue.iter_mut().filter(|(moment, _)| *moment == NEVER) {
                    way_.latest = way_.latest.max(now_ms + delay_ms(slow));
                    *moment = way_.latest;
                    due.push((*moment, *id, way));
                }
            }
        }
        links.due.extend(due);
    }

    /// Packets of a node take long, or no longer than others'.
    pub fn slow(&self, node: u64, is_slow: bool) {
        let mut links = self.links();
        if is_slow {
            links.slow.insert(node);
        } else {
            links.slow.remove(&node);
        }
    }

    /// Breaks the connections between two nodes.
    pub fn reset(&self, one: u64, other: u64) {
        let mut links = self.links();
        let ids: Vec<u64> = links.between(|ends| ends == [one, other] || ends == [other, one]);
        for id in ids {
            links.push(id, 0, Piece::Reset);
            links.push(id, 1, Piece::Reset);
        }
    }

    /// A node's process has ended: its system tells the others.
    pub fn closed(&self, node: u64) {
        self.links().listeners.remove(&node);
    }

    /// A node has lost its power: nothing is told to anybody.
    pub fn dark(&self, node: u64) {
        let mut links = self.links();
        links.listeners.remove(&node);
        links.dark.insert(node);
    }

    /// A node starts: what it had connected before is unknown to it, and accepts from now on.
    pub fn listen(&self, node: u64) -> mpsc::UnboundedReceiver<Stream> {
        let (accepting, accepted) = mpsc::unbounded_channel();
        let mut links = self.links();
        links.dark.remove(&node);
        for id in links.between(|ends| ends.contains(&node)) {
            let way = usize::from(links.connections[&id].ends[0] == node);
            links.push(id, 1 - way, Piece::Reset);
        }
        links.listeners.insert(node, accepting);
        accepted
    }

    /// Connects, as a caller whom the certificate would name.
    pub async fn connect(&self, from: u64, to: u64, caller: Caller) -> io::Result<Stream> {
        tokio::time::sleep(self.way_ms(from, to)).await;
        let listener = {
            let links = self.links();
            let is_cut = links.cut.contains(&(from, to)) || links.cut.contains(&(to, from));
            if is_cut || links.dark.contains(&to) {
                None
            } else {
                Some(links.listeners.get(&to).cloned())
            }
        };
        let Some(listener) = listener else {
            // Nobody answers; the caller's own patience ends it.
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Err(io::ErrorKind::TimedOut.into());
        };
        tokio::time::sleep(self.way_ms(to, from)).await;
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (mine, theirs) = self.open(from, to, caller);
        listener.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(mine)
    }

    fn open(&self, from: u64, to: u64, caller: Caller) -> (Stream, Stream) {
        let mut links = self.links();
        let id = links.next;
        links.next += 1;
        let connection =
            Connection { ends: [from, to], ways: Default::default(), dropped: [false; 2] };
        links.connections.insert(id, connection);
        let mine = Stream { network: self.clone(), id, end: 0, caller: None };
        let theirs = Stream { network: self.clone(), id, end: 1, caller: Some(caller) };
        (mine, theirs)
    }

    fn way_ms(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(delay_ms(self.links().is_slow(from, to)))
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delay_ms(is_slow: bool) -> u64 {
    match (is_slow, random::below(100)) {
        (true, _) => random::between(20, 300),
        (false, 0..3) => random::between(5, 40),
        (false, _) => random::between(1, 3),
    }
}

impl Links {
    fn is_slow(&self, from: u64, to: u64) -> bool {
        self.slow.contains(&from) || self.slow.contains(&to)
    }

    fn between(&self, wanted: impl Fn([u64; 2]) -> bool) -> Vec<u64> {
        let wanted = self.connections.iter().filter(|(_, it)| wanted(it.ends));
        wanted.map(|(id, _)| *id).collect()
    }

    /// Puts something on its way.
    fn push(&mut self, id: u64, way: usize, piece: Piece) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (from, to) = (connection.ends[way], connection.ends[1 - way]);
        if self.dark.contains(&from) || self.dark.contains(&to) {
            return;
        }
        let is_cut = self.cut.contains(&(from, to));
        let due = if is_cut { NEVER } else { self.now_ms + delay_ms(self.is_slow(from, to)) };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let way_ = &mut connection.ways[way];
        let due = if is_cut { NEVER } else { due.max(way_.latest) };
        if !is_cut {
            way_.latest = due;
            self.due.insert((due, id, way));
        }
        way_.queue.push_back((due, piece));
    }
}

impl Connected for Stream {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone().expect("an accepted connection has a caller")
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut links = self.network.links();
        let now_ms = links.now_ms;
        let Some(connection) = links.connections.get_mut(&self.id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let way = &mut connection.ways[1 - self.end];
        match way.queue.front_mut() {
            Some((due, piece)) if *due <= now_ms => match piece {
                Piece::Bytes(bytes) => {
                    let part = bytes.split_to(bytes.len().min(buffer.remaining()));
                    buffer.put_slice(&part);
                    if bytes.is_empty() {
                        way.queue.pop_front();
                    }
                    Poll::Ready(Ok(()))
                }
                Piece::End => Poll::Ready(Ok(())),
                Piece::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            },
            _ => {
                way.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let piece = Piece::Bytes(Bytes::copy_from_slice(bytes));
        self.network.links().push(self.id, self.end, piece);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.links().push(self.id, self.end, Piece::End);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut links = self.network.links();
        links.push(self.id, self.end, Piece::Reset);
        let Some(connection) = links.connections.get_mut(&self.id) else { return };
        connection.dropped[self.end] = true;
        if connection.dropped == [true; 2] {
            links.connections.remove(&self.id);
        }
    }
}
