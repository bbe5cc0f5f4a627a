//! `counterfoil-node check`: would this node start? Every question is asked, whatever the answers
//! to the others.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;

use crate::boot;
use crate::clock::Clock;
use crate::config::Config;
use crate::exit::Stop;
use crate::listener;
use crate::storage::directory::DataDirectory;

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// Whether the node could start, as far as this goes.
    pub good: bool,
    /// What was found, with the facts.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.good { "ok" } else { "FAULT" };
        write!(f, "{verdict:<6} {:<16} {}", self.subject, self.words)
    }
}

/// Asks every question. Nothing is changed, and nothing stays open.
pub fn check(config: &Config, clock: &Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |subject, result: Result<String, String>| {
        let good = result.is_ok();
        let words = result.unwrap_or_else(|problem| problem);
        findings.push(Finding { subject, good, words });
    };
    let genesis = boot::read_genesis(&config.genesis);
    note("genesis", genesis.as_ref().map(describe_genesis).map_err(Stop::to_string));
    // Without a genesis file there is nothing to judge the keys by.
    if let Ok(genesis) = &genesis {
        let registry = Registry::of(genesis);
        let node = boot::registered_node(&registry, config.node_id);
        note(
            "node",
            match &node {
                Ok(node) => Ok(format!("{} is {} of {}", node.id, node.name, node.institution)),
                Err(stop) => Err(stop.to_string()),
            },
        );
        if let Ok(node) = node {
            let key = boot::read_attestation_key(&config.attestation_key, node);
            let path = config.attestation_key.display();
            note("attestation key", words(key, |_| format!("{path} is the registered one")));
        }
        let tls = boot::open_tls(config, genesis, clock);
        note(
            "certificate",
            words(tls, |tls| {
                let identity = tls.identity();
                let left_s = identity.not_after_s.saturating_sub(clock.now_s().cast_signed());
                format!("{identity}, holds for another {} days", left_s / 86_400)
            }),
        );
        note("peers", check_peers(config, &registry));
        note("data directory", check_directory(config, genesis));
    }
    for (subject, address) in [
        ("client address", config.listen.client),
        ("peer address", config.listen.peer),
        ("metrics address", config.listen.metrics),
    ] {
        note(subject, check_address(address));
    }
    findings
}

fn words<T>(result: Result<T, Stop>, good: impl Fn(&T) -> String) -> Result<String, String> {
    result.map(|value| good(&value)).map_err(|stop| stop.to_string())
}

fn describe_genesis(genesis: &Genesis) -> String {
    let message = genesis.message();
    format!(
        "{}: {} institutions, {} nodes, chain {}",
        message.consortium,
        message.institutions.len(),
        message.nodes.len(),
        genesis.chain_id()
    )
}

fn check_peers(config: &Config, registry: &Registry) -> Result<String, String> {
    let unknown: Vec<String> = config
        .peers
        .keys()
        .filter(|id| registry.node(**id).is_none())
        .map(|id| format!("[peers] names node {id}, which the registry does not have"))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown.join("; "));
    }
    let others: Vec<String> = registry
        .nodes()
        .filter(|node| node.id != config.node_id)
        .map(|node| {
            let address = config.peers.get(&node.id).unwrap_or(&node.peer_address);
            format!("{} at {address}", node.id)
        })
        .collect();
    Ok(others.join(", "))
}

fn check_directory(config: &Config, genesis: &Genesis) -> Result<String, String> {
    let path = &config.data;
    // Opening would make the lock file; a directory that is not there is left alone.
    if is_absent_or_empty(path).map_err(|error| format!("{}: {error}", path.display()))? {
        return Err(format!("{} is not initialised. Run: counterfoil-node init", path.display()));
    }
    DataDirectory::open(path, config.node_id, &genesis.chain_id())
        .map(|_| format!("{} belongs to this node", path.display()))
        .map_err(|error| error.to_string())
}

fn is_absent_or_empty(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn check_address(address: SocketAddr) -> Result<String, String> {
    listener::bind(address).map(|_| format!("{address} is free")).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use counterfoil_ledger::signature::{Signer, SoftwareSigner};
    use counterfoil_proto::v1;
    use rcgen::KeyPair;

    use super::*;
    use crate::config::Sources;
    use crate::identity::Role;
    use crate::identity::fixture::{Authority, CONSORTIUM, write_private};

    const NOW_MS: u64 = 1_795_305_600_000;

    struct World {
        directory: tempfile::TempDir,
        bank_a: Authority,
    }

    impl World {
        /// A consortium of two banks on disk, and the files of node 1.
        fn new() -> World {
            let directory = tempfile::tempdir().unwrap();
            let (bank_a, bank_b) = (Authority::new("BANKAAAAXXX"), Authority::new("BANKBBBBXXX"));
            let keys = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
            let genesis = genesis(&[(&bank_a, &keys[0]), (&bank_b, &keys[1])]);
            let world = World { directory, bank_a };
            fs::write(world.path("genesis.bin"), genesis.bytes()).unwrap();
            write_private(&world.path("attestation.key"), &keys[0].serialize_pem());
            let leaf = world.bank_a.leaf(Role::Node, "one");
            fs::write(world.path("node.pem"), leaf.chain_pem()).unwrap();
            write_private(&world.path("node.key"), &leaf.key_pem());
            DataDirectory::init(&world.path("data"), 1, &genesis.chain_id()).unwrap();
            world
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn faults(&self, extra: &[&str]) -> Vec<String> {
            let path = |key: &str, name: &str| format!("{key}={}", self.path(name).display());
            let mut flags = vec![
                "node.id=1".to_owned(),
                path("node.genesis", "genesis.bin"),
                path("node.data", "data"),
                path("tls.certificate", "node.pem"),
                path("tls.key", "node.key"),
                path("attestation.key", "attestation.key"),
                "listen.client=127.0.0.1:0".to_owned(),
                "listen.peer=127.0.0.1:0".to_owned(),
                "listen.metrics=127.0.0.1:0".to_owned(),
            ];
            flags.extend(extra.iter().map(|flag| flag.to_string()));
            let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
            check(&config, &Clock::manual(NOW_MS))
                .into_iter()
                .filter(|finding| !finding.good)
                .map(|finding| finding.to_string())
                .collect()
        }
    }

    fn genesis(members: &[(&Authority, &KeyPair)]) -> Genesis {
        let mut institutions = Vec::new();
        let mut nodes = Vec::new();
        for (id, (authority, key)) in (1..).zip(members) {
            let signer = SoftwareSigner::from_pkcs8_pem(&key.serialize_pem()).unwrap();
            institutions.push(v1::Institution {
                bic: authority.bic.to_owned(),
                name: format!("Bank {id}"),
                trust_anchor: authority.certificate.to_vec().into(),
                keys: vec![v1::Key {
                    public_key: signer.spki().to_vec().into(),
                    purpose: v1::KeyPurpose::Attestation.into(),
                    name: "attestation".to_owned(),
                }],
                audit_scope: v1::AuditScope::Institution.into(),
            });
            nodes.push(v1::Node {
                id,
                institution: authority.bic.to_owned(),
                name: "one".to_owned(),
                attestation_key_id: signer.key_id().as_bytes().to_vec().into(),
                peer_address: "127.0.0.1:7444".to_owned(),
                client_address: "127.0.0.1:7443".to_owned(),
                role: 0,
            });
        }
        let assets = vec![v1::Asset { code: "EUR".to_owned(), exponent: 2 }];
        Genesis::create(v1::Genesis {
            format: 1,
            consortium: CONSORTIUM.to_owned(),
            created_ms: NOW_MS,
            rule_version: 1,
            institutions,
            nodes,
            assets,
            policy: None,
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_node_that_would_start() {
        assert_eq!(World::new().faults(&[]), [""; 0]);
    }

    #[tokio::test]
    async fn everything_wrong_is_found_at_once() {
        let world = World::new();
        let busy = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = busy.local_addr().unwrap();
        let stranger = Authority::new("BANKAAAAXXX").leaf(Role::Node, "one");
        fs::write(world.path("node.pem"), stranger.chain_pem()).unwrap();
        let other_key = KeyPair::generate().unwrap();
        write_private(&world.path("attestation.key"), &other_key.serialize_pem());
        let missing = format!("node.data={}", world.path("nowhere").display());
        let client = format!("listen.client={address}");
        let faults = world.faults(&[&missing, &client, "peers.9=host:1"]).join("\n");
        for words in [
            "attestation key",
            "the registry has",
            "does not lead to the trust anchor",
            "[peers] names node 9",
            "is not initialised. Run: counterfoil-node init",
            "another process listens on",
        ] {
            assert!(faults.contains(words), "{words}\n{faults}");
        }
        assert_eq!(faults.lines().count(), 5, "{faults}");
        assert!(!world.path("nowhere").exists());
    }

    #[tokio::test]
    async fn single_faults() {
        let world = World::new();
        let faults = world.faults(&["node.id=7"]).join("\n");
        assert!(faults.contains("the registry has no node 7; it has 1, 2"), "{faults}");
        // Node 2 is somebody else's: its certificate, its key and its directory.
        assert_eq!(world.faults(&["node.id=2"]).len(), 3);
        fs::write(world.path("genesis.bin"), b"garbage").unwrap();
        let faults = world.faults(&[]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("not a genesis file"), "{}", faults[0]);
        fs::remove_file(world.path("genesis.bin")).unwrap();
        assert!(world.faults(&[])[0].contains("cannot be read"));
    }
}
