use std::fs;
use std::path::Path;

use super::*;

fn written_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    fs::write(&path, text).unwrap();
    (directory, path)
}

fn load(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Config, Vec<Fault>> {
    let (_directory, path) = written_file(text);
    Config::load(&Sources {
        file: Some(path),
        environment: environment.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        flags: flags.iter().map(|flag| flag.to_string()).collect(),
    })
}

const MINIMAL: &str = r#"
[node]
id = 1
genesis = "genesis.bin"
data = "/var/lib/counterfoil"
[tls]
certificate = "node.pem"
key = "node.key"
[attestation]
key = "attestation.key"
"#;

#[test]
fn the_example_file_loads_and_names_every_key() {
    let example = keys::example();
    let config = load(&example, &[], &[]).unwrap();
    assert_eq!(config.listen, load(MINIMAL, &[], &[]).unwrap().listen);
    for key in KEYS {
        let (_, name) = key.name.split_once('.').unwrap();
        assert!(example.contains(&format!("\n{name} = ")), "{}", key.name);
        assert!(key.meaning.ends_with('.'), "{}", key.name);
    }
}

#[test]
fn defaults_and_relative_paths() {
    let (directory, path) = written_file(MINIMAL);
    let sources = Sources { file: Some(path), ..Sources::default() };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.genesis, directory.path().join("genesis.bin"));
    assert_eq!(config.data, Path::new("/var/lib/counterfoil"));
    assert_eq!(config.listen.client, "127.0.0.1:7443".parse().unwrap());
    assert_eq!(config.raft.heartbeat, Duration::from_millis(250));
    assert_eq!(config.log, Log { format: LogFormat::Json, filter: "info".into() });
    assert!(config.peers.is_empty());
}

#[test]
fn variables_go_over_the_file_and_flags_over_both() {
    let file = format!("{MINIMAL}[log]\nformat = \"json\"\n[peers]\n2 = \"a:1\"\n");
    let environment = [
        ("COUNTERFOIL_NODE_LOG__FORMAT", "text"),
        ("COUNTERFOIL_NODE_NODE__ID", "3"),
        ("COUNTERFOIL_NODE_RAFT__HEARTBEAT_MS", "100"),
        ("COUNTERFOIL_NODE_PEERS__2", "b:2"),
        ("COUNTERFOIL_NODE_TLS__KEY", "here/node.key"),
        // Not settings: set by Kubernetes for a service, and by others.
        ("COUNTERFOIL_NODE_PORT_7443_TCP_ADDR", "10.0.0.1"),
        ("COUNTERFOIL_NODE_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    let flags = ["node.id=4", "listen.peer=0.0.0.0:9", "node.id=5"];
    let config = load(&file, &environment, &flags).unwrap();
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.node_id, 5);
    assert_eq!(config.raft.heartbeat, Duration::from_millis(100));
    assert_eq!(config.peers, BTreeMap::from([(2, "b:2".to_owned())]));
    assert_eq!(config.tls.key, Path::new("here/node.key"));
    assert_eq!(config.listen.peer, "0.0.0.0:9".parse().unwrap());
}

#[test]
fn all_faults_at_once_each_with_its_place() {
    let file = r#"
        surprise = 1
        [node]
        id = 0
        genesis = 7
        color = "red"
        [listen]
        client = "localhost:7443"
        peer = "127.0.0.1:7445"
        [tls]
        key = ""
        [colours]
        red = 1
        [log]
        format = "yaml"
        filter = "counterfoil_node=loud"
        [raft]
        heartbeat_ms = "250"
        election_min_ms = 1.5
        [peers]
        two = "a:1"
        2 = "nowhere"
        3 = 4
    "#;
    let environment = [("COUNTERFOIL_NODE_LISTEN__CLIENTS", "127.0.0.1:1")];
    let faults = load(file, &environment, &["novalue"]).unwrap_err();
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    let expect = [
        ("surprise (", "node.toml:2): there is no such key"),
        ("node.id (", "node.toml:4): expected a whole number from 1"),
        ("node.genesis (", "node.toml:5): expected a path, found a number"),
        (
            "node.color (",
            "node.toml:6): there is no such key. Fix: the keys of [node] are id, genesis, data",
        ),
        ("listen.client (", "node.toml:8): expected an IP address and a port"),
        ("tls.key (", "node.toml:11): the path is empty"),
        ("colours (", "node.toml:12): there is no such section"),
        ("log.format (", "node.toml:15): expected json or text, found \"yaml\""),
        ("raft.heartbeat_ms (", "node.toml:18): expected a number, found the string"),
        ("raft.election_min_ms (", "node.toml:19): expected a whole number, found float"),
        ("peers.two (", "node.toml:21): a peer is named by its node id"),
        ("peers.2 (", "node.toml:22): expected host:port"),
        ("peers.3 (", "node.toml:23): expected host:port, found a number"),
        ("listen.clients (", "COUNTERFOIL_NODE_LISTEN__CLIENTS): there is no such key"),
        ("novalue (", "flag): a setting has the form"),
        ("node.data (", "not given): required"),
        ("tls.certificate (", "not given): required"),
        ("attestation.key (", "not given): required"),
    ];
    for (start, words) in expect {
        let found = faults.iter().any(|fault| fault.starts_with(start) && fault.contains(words));
        assert!(found, "{start} … {words}\n{}", faults.join("\n"));
    }
    assert!(faults.iter().all(|fault| fault.contains("Fix: ")));
}

#[test]
fn values_must_fit_each_other() {
    let rules = |flags: &[&str]| -> Vec<String> {
        load(MINIMAL, &[], flags).unwrap_err().into_iter().map(|fault| fault.key).collect()
    };
    assert_eq!(rules(&["listen.peer=127.0.0.1:7443"]), ["listen.peer"]);
    assert_eq!(rules(&["listen.metrics=127.0.0.1:7444"]), ["listen.metrics"]);
    assert_eq!(rules(&["raft.heartbeat_ms=800"]), ["raft.election_min_ms"]);
    assert_eq!(rules(&["raft.election_max_ms=2000"]), ["raft.election_max_ms"]);
    assert_eq!(rules(&["peers.1=a:1"]), ["peers.1"]);
    assert_eq!(rules(&["log.filter=counterfoil_node=loud"]), ["log.filter"]);
    let any_port = ["listen.client=127.0.0.1:0", "listen.peer=127.0.0.1:0"];
    assert!(load(MINIMAL, &[], &any_port).is_ok());
}

#[test]
fn broken_files_are_faults() {
    let missing = Sources { file: Some("/nowhere/node.toml".into()), ..Sources::default() };
    let faults = Config::load(&missing).unwrap_err();
    assert!(faults[0].to_string().contains("cannot be read"), "{}", faults[0]);
    let broken = load("[node]\nid = = 1\n[tls\n", &[], &[]).unwrap_err();
    assert!(broken.iter().any(|fault| fault.rule.contains("not TOML")), "{broken:?}");
    assert!(broken[0].origin.ends_with("node.toml:2"), "{}", broken[0].origin);
    assert!(load("\u{0}", &[], &[]).is_err());
}
