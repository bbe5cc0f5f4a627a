//! How nodes reach each other, and how that is broken: through proxies, or through namespaces of the
//! kernel whose routes lead nowhere. Clients always come through proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use super::proxy::{Direction, Proxy, Weather};
use crate::consortium::{Consortium, Place};

/// Nodes of a consortium.
pub const NODES: usize = 4;

/// How the nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wires {
    /// A proxy for each pair, in each direction in which connections are made.
    Proxies,
    /// Each node in a network namespace of its own, all on one bridge.
    Routes,
}

/// The network of one consortium.
pub struct Wiring {
    wires: Wires,
    /// By who connects and to whom.
    peers: Vec<Vec<Option<Proxy>>>,
    /// By node.
    clients: Vec<Proxy>,
}

/// Where a node is on the bridge, counted from 1; the bridge itself is 254.
fn address_on_bridge(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, u8::try_from(number).expect("a few nodes"))
}

fn namespace(node: usize) -> String {
    format!("node-{}", node + 1)
}

/// Runs `ip` with words that are separated by spaces.
fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).output().expect("ip runs");
    assert!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What must work where namespaces are to be made, as a line of shell.
pub const NAMESPACES_NEED: &str = "ip link add bridge type bridge && ip link add one type veth";

/// Makes a namespace for each node, in a network namespace that is this process's own. They are gone
/// with the mount namespace in which they were made.
pub fn make_namespaces() {
    ip("link add bridge type bridge");
    ip("addr add 10.99.0.254/24 dev bridge");
    ip("link set bridge up");
    for node in 0..NODES {
        let (name, address) = (namespace(node), address_on_bridge(node + 1));
        ip(&format!("netns add {name}"));
        ip(&format!("link add port-{node} type veth peer name eth0 netns {name}"));
        ip(&format!("link set port-{node} master bridge up"));
        ip(&format!("-n {name} addr add {address}/24 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} link set lo up"));
    }
}

impl Wires {
    /// Where the nodes are.
    pub fn places(self) -> [Place; NODES] {
        std::array::from_fn(|node| match self {
            Wires::Proxies => Place::here(),
            Wires::Routes => {
                let name = namespace(node);
                let launcher = ["ip", "netns", "exec", &name].map(str::to_owned).to_vec();
                Place { host: address_on_bridge(node + 1).to_string(), launcher, data: None }
            }
        })
    }
}

impl Wiring {
    /// Lays the wires between the nodes of a consortium, and from clients to them.
    pub async fn lay(consortium: &Consortium, wires: Wires, seed: u64) -> std::io::Result<Wiring> {
        let here = match wires {
            Wires::Proxies => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Wires::Routes => IpAddr::V4(address_on_bridge(254)),
        };
        let parse = |address: &str| -> SocketAddr { address.parse().expect("an address") };
        let mut peers = Vec::new();
        let mut clients = Vec::new();
        for from in 0..NODES {
            let mut row = Vec::new();
            for to in 0..NODES {
                let proxied = wires == Wires::Proxies && from != to;
                row.push(match proxied {
                    true => {
                        let to = parse(consortium.peer_address(to));
                        Some(Proxy::start(here, to, seed).await?)
                    }
                    false => None,
                });
            }
            peers.push(row);
            let to = parse(consortium.client_address(from));
            clients.push(Proxy::start(here, to, seed).await?);
        }
        Ok(Wiring { wires, peers, clients })
    }

    /// How the nodes reach each other.
    pub fn wires(&self) -> Wires {
        self.wires
    }

    /// What a node's configuration must say of the others.
    pub fn settings(&self, node: usize) -> Vec<String> {
        let proxied = self.peers[node].iter().enumerate();
        let setting = |(to, proxy): (usize, &Option<Proxy>)| {
            proxy.as_ref().map(|proxy| format!("peers.{}={}", to + 1, proxy.address()))
        };
        proxied.filter_map(setting).collect()
    }

    /// Where clients reach the nodes.
    pub fn endpoints(&self) -> Vec<String> {
        self.clients.iter().map(|proxy| proxy.address().to_string()).collect()
    }

    /// The way of clients to a node.
    pub fn client(&self, node: usize) -> &Proxy {
        &self.clients[node]
    }

    /// The way by which a node connects to another; none where there is no proxy.
    pub fn peer(&self, from: usize, to: usize) -> Option<&Proxy> {
        self.peers[from][to].as_ref()
    }

    /// Lets nothing of one node reach another, or lets it again.
    pub fn cut(&self, from: usize, to: usize, cut: bool) {
        match self.wires {
            Wires::Proxies => {
                let ways = [(from, to, Direction::Forward), (to, from, Direction::Backward)];
                for (from, to, direction) in ways {
                    if let Some(proxy) = self.peer(from, to) {
                        proxy.silence(direction, cut);
                    }
                }
            }
            Wires::Routes => {
                let (name, address) = (namespace(from), address_on_bridge(to + 1));
                let verb = if cut { "replace" } else { "del" };
                ip(&format!("-n {name} route {verb} blackhole {address}/32"));
            }
        }
    }

    /// Fair weather everywhere.
    pub fn clear(&self) {
        for proxy in self.peers.iter().flatten().flatten().chain(&self.clients) {
            proxy.set(Direction::Forward, Weather::default());
            proxy.set(Direction::Backward, Weather::default());
            proxy.half_open(false);
        }
    }
}
