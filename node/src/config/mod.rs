//! The node's configuration: a TOML file, environment variables over it, flags over both.
//!
//! Nothing is guessed: an unknown key is a fault. All faults are reported at once, each with the
//! key, where it was written, the rule it breaks and how to mend it.

pub mod keys;
pub mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::keys::{KEYS, Kind, PEERS_SECTION};
use crate::config::sources::{Origin, Setting, Settings, Written};
use crate::telemetry::logging::{self, LogFormat};

pub use crate::config::sources::Sources;

/// A configuration that holds in itself; whether its files fit is asked by `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node's id.
    pub node_id: u64,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Its certificate and key.
    pub tls: TlsFiles,
    /// The key that signs what it produces.
    pub attestation_key: PathBuf,
    /// host:port of other nodes, where not the registered one.
    pub peers: BTreeMap<u64, String>,
    /// What is logged.
    pub log: Log,
    /// Raft's timing.
    pub raft: RaftTiming,
    /// The block builder.
    pub builder: Builder,
    /// Whether this node signs headers.
    pub signs: bool,
    /// Its disk.
    pub disk: Disk,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For clients, operators and auditors.
    pub client: SocketAddr,
    /// For nodes.
    pub peer: SocketAddr,
    /// For monitoring.
    pub metrics: SocketAddr,
}

/// The node's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PKCS#8 PEM.
    pub key: PathBuf,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written; it parses.
    pub filter: String,
}

/// Raft's timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTiming {
    /// Between signs of life of the leader.
    pub heartbeat: Duration,
    /// Shortest time without a leader before an election.
    pub election_min: Duration,
    /// Longest such time.
    pub election_max: Duration,
}

/// The block builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builder {
    /// How long a leader gathers instructions after a block, at most.
    pub gather: Duration,
}

/// What a node does about its disk: marks of free space in bytes, each below the one before, and how
/// fast it reads again what it has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Below it the node warns.
    pub warn: u64,
    /// Below it the node takes nothing new.
    pub admit: u64,
    /// Below it the node stops.
    pub stop: u64,
    /// Bytes a second; 0 = never.
    pub scrub: u64,
    /// How long it rests when it has read everything.
    pub scrub_pause: Duration,
}

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `section.key`, or what was given in its place.
    pub key: String,
    /// Where it was written.
    pub origin: String,
    /// The rule it breaks.
    pub rule: String,
    /// How to mend it.
    pub fix: String,
}

impl Fault {
    pub(super) fn new(
        key: &str,
        origin: &Origin,
        rule: impl Into<String>,
        fix: impl Into<String>,
    ) -> Fault {
        let (key, origin) = (key.to_owned(), origin.to_string());
        Fault { key, origin, rule: rule.into(), fix: fix.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}. Fix: {}.", self.key, self.origin, self.rule, self.fix)
    }
}

impl Config {
    /// Reads the configuration, or says everything that is wrong with it.
    pub fn load(sources: &Sources) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        let settings = sources.gather(&mut faults);
        let mut reader = Reader { settings, faults };
        let config = reader.config();
        match config {
            Some(config) if reader.faults.is_empty() => Ok(config),
            _ => Err(reader.faults),
        }
    }
}

/// Takes values out of the settings; what does not fit becomes a fault and None.
struct Reader {
    settings: Settings,
    faults: Vec<Fault>,
}

impl Reader {
    /// None only together with faults.
    fn config(&mut self) -> Option<Config> {
        let node_id = self.number("node.id");
        let genesis = self.path("node.genesis");
        let data = self.path("node.data");
        let listen = self.listen();
        let certificate = self.path("tls.certificate");
        let key = self.path("tls.key");
        let attestation_key = self.path("attestation.key");
        let peers = self.peers(node_id);
        let log = self.log();
        let raft = self.raft();
        let gather = self.milliseconds("builder.gather_ms");
        let signs = self.switch("finality.sign");
        let disk = self.disk();
        Some(Config {
            node_id: node_id?,
            genesis: genesis?,
            data: data?,
            listen: listen?,
            tls: TlsFiles { certificate: certificate?, key: key? },
            attestation_key: attestation_key?,
            peers,
            log: log?,
            raft: raft?,
            builder: Builder { gather: gather? },
            signs: signs?,
            disk: disk?,
        })
    }

    fn listen(&mut self) -> Option<Listen> {
        let names = ["listen.client", "listen.peer", "listen.metrics"];
        let [client, peer, metrics] = names.map(|name| self.address(name));
        let listen = Listen { client: client?, peer: peer?, metrics: metrics? };
        let pairs = [
            (names[1], listen.peer, names[0], listen.client),
            (names[2], listen.metrics, names[0], listen.client),
            (names[2], listen.metrics, names[1], listen.peer),
        ];
        for (name, address, other_name, other) in pairs {
            // Port 0 lets the system choose.
            if address == other && address.port() != 0 {
                self.fault(name, format!("{address} is also {other_name}"), "choose another port");
            }
        }
        Some(listen)
    }

    fn log(&mut self) -> Option<Log> {
        let format = self.text("log.format", "a word");
        let format = match format?.as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let filter = self.text("log.filter", "a filter")?;
        Some(Log { format, filter })
    }

    fn raft(&mut self) -> Option<RaftTiming> {
        let heartbeat = self.milliseconds("raft.heartbeat_ms");
        let election_min = self.milliseconds("raft.election_min_ms");
        let election_max = self.milliseconds("raft.election_max_ms");
        let raft = RaftTiming {
            heartbeat: heartbeat?,
            election_min: election_min?,
            election_max: election_max?,
        };
        if raft.election_min < raft.heartbeat * 3 {
            self.fault(
                "raft.election_min_ms",
                "less than three heartbeats: one late heartbeat would cost the leader its place",
                "raise it, or lower raft.heartbeat_ms",
            );
        }
        if raft.election_max < raft.election_min * 3 / 2 {
            self.fault(
                "raft.election_max_ms",
                "less than one and a half times raft.election_min_ms: two nodes would go on standing for election at the same moment",
                "raise it",
            );
        }
        Some(raft)
    }

    fn disk(&mut self) -> Option<Disk> {
        let names = ["disk.warn_free_mib", "disk.admit_free_mib", "disk.stop_free_mib"];
        let [warn, admit, stop] = names.map(|name| self.number(name));
        let scrub = self.number("disk.scrub_kib_per_second");
        let scrub_pause = self.number("disk.scrub_pause_s").map(Duration::from_secs);
        let disk = Disk {
            warn: warn? << 20,
            admit: admit? << 20,
            stop: stop? << 20,
            scrub: scrub? << 10,
            scrub_pause: scrub_pause?,
        };
        for (name, mark, above, before) in [
            (names[1], disk.admit, names[0], disk.warn),
            (names[2], disk.stop, names[1], disk.admit),
        ] {
            if mark > before {
                let rule = format!("more than {above}: what is milder comes first");
                self.fault(name, rule, format!("lower it, or raise {above}"));
            }
        }
        Some(disk)
    }

    fn peers(&mut self, own_id: Option<u64>) -> BTreeMap<u64, String> {
        let prefix = format!("{PEERS_SECTION}.");
        let given: Vec<String> =
            self.settings.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        let mut peers = BTreeMap::new();
        for key in given {
            let id = key[prefix.len()..].parse::<u64>().ok().filter(|id| *id != 0);
            let Some(id) = id else {
                self.fault(
                    &key,
                    "a peer is named by its node id",
                    "write for example 2 = \"10.0.0.2:7444\"",
                );
                continue;
            };
            if Some(id) == own_id {
                self.fault(&key, "this is the node itself", "remove it");
                continue;
            }
            let Some(address) = self.given_text(&key, "host:port") else { continue };
            if is_host_port(&address) {
                peers.insert(id, address);
            } else {
                self.fault(
                    &key,
                    format!("expected host:port, found {address:?}"),
                    "write for example 10.0.0.2:7444",
                );
            }
        }
        peers
    }

    fn milliseconds(&mut self, name: &str) -> Option<Duration> {
        self.number(name).map(Duration::from_millis)
    }

    fn switch(&mut self, name: &str) -> Option<bool> {
        let text = match self.written(name)? {
            Written::Switch(switch) => return Some(switch),
            Written::Either(text) => text,
            Written::Text(text) => format!("the string {text:?}"),
            Written::Number(text) => text,
            Written::Other(found) => found.to_owned(),
        };
        let switch = text.parse().ok();
        if switch.is_none() {
            let rule = format!("expected true or false, found {text}");
            self.fault(name, rule, "write true or false, without quotes");
        }
        switch
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let Kind::Number { min, max } = keys::key(name)?.kind else { return None };
        let text = match self.written(name)? {
            Written::Number(text) | Written::Either(text) => text,
            Written::Text(text) => {
                self.fault(
                    name,
                    format!("expected a number, found the string {text:?}"),
                    "remove the quotes",
                );
                return None;
            }
            other @ (Written::Switch(_) | Written::Other(_)) => {
                self.fault(
                    name,
                    format!("expected a whole number, found {}", other.type_name()),
                    format!("write a number from {min} to {max}"),
                );
                return None;
            }
        };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.fault(
                name,
                format!("expected a whole number from {min} to {max}, found {text}"),
                "choose a number within the bounds",
            );
        }
        number
    }

    fn address(&mut self, name: &str) -> Option<SocketAddr> {
        let text = self.text(name, "an IP address and a port")?;
        let address = text.parse().ok();
        if address.is_none() {
            self.fault(
                name,
                format!("expected an IP address and a port, found {text:?}"),
                "write for example 127.0.0.1:7443, or [::1]:7443",
            );
        }
        address
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let text = self.text(name, "a path")?;
        if text.is_empty() {
            self.fault(name, "the path is empty", "write a path");
            return None;
        }
        match self.settings.get(name).map(|setting| &setting.origin) {
            // A file means the same wherever the node is started from.
            Some(Origin::File(file, _)) => {
                let directory = file.parent().unwrap_or(file).to_owned();
                Some(directory.join(text))
            }
            _ => Some(PathBuf::from(text)),
        }
    }

    fn text(&mut self, name: &str, expected: &str) -> Option<String> {
        let text = self.given_text(name, expected)?;
        match keys::key(name).map(|key| key.kind) {
            Some(Kind::Choice(words)) if !words.contains(&text.as_str()) => {
                let rule = format!("expected {}, found {text:?}", words.join(" or "));
                self.fault(name, rule, "write one of them");
                None
            }
            Some(Kind::LogFilter) => match logging::parse_filter(&text) {
                Ok(_) => Some(text),
                Err(error) => {
                    let fix =
                        "write a level or target=level, separated by commas: info,openraft=warn";
                    self.fault(name, format!("no log filter: {error}"), fix);
                    None
                }
            },
            _ => Some(text),
        }
    }

    fn given_text(&mut self, name: &str, expected: &str) -> Option<String> {
        match self.written(name)? {
            Written::Text(text) | Written::Either(text) => Some(text),
            Written::Number(_) => {
                self.fault(
                    name,
                    format!("expected {expected}, found a number"),
                    "write it in quotes",
                );
                None
            }
            other @ (Written::Switch(_) | Written::Other(_)) => {
                self.fault(
                    name,
                    format!("expected {expected}, found {}", other.type_name()),
                    "write it in quotes",
                );
                None
            }
        }
    }

    /// What was written, or the default, or a fault.
    fn written(&mut self, name: &str) -> Option<Written> {
        if let Some(setting) = self.settings.get(name) {
            return Some(setting.written.clone());
        }
        let key = KEYS.iter().find(|key| key.name == name)?;
        if let Some(default) = key.default {
            return Some(Written::Either(default.to_owned()));
        }
        let fix = format!(
            "set {name}, for example to {}: {}",
            key.example,
            key.meaning.trim_end_matches('.')
        );
        self.fault(name, "required", fix);
        None
    }

    fn fault(&mut self, name: &str, rule: impl Into<String>, fix: impl Into<String>) {
        let origin = self.settings.get(name).map(|Setting { origin, .. }| origin);
        let fault = Fault::new(name, origin.unwrap_or(&Origin::Default), rule, fix);
        self.faults.push(fault);
    }
}

/// Whether a text is a host and a port.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let admitted = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    text.len() <= 255
        && !host.is_empty()
        && host.bytes().all(admitted)
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests;
