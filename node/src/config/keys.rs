//! Every key of the configuration, in one table: where it stands, what it may be, what it means.

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within bounds, both included.
    Number {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// An IP address and a port.
    Address,
    /// A path. In the file it is relative to the file; elsewhere to the working directory.
    Path,
    /// `true` or `false`.
    Switch,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A filter of log lines.
    LogFilter,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What it is when nobody says; None = somebody must.
    pub default: Option<&'static str>,
    /// What stands in the example file, where there is no default.
    pub example: &'static str,
    /// What it means, one sentence.
    pub meaning: &'static str,
}

/// The section whose keys are node ids.
pub const PEERS_SECTION: &str = "peers";

/// What the section of peers means.
pub const PEERS_MEANING: &str =
    "host:port at which this node reaches another, by node id, where it is not the registered one.";

/// The largest mark of free space, MiB.
const FREE_MIB_MAX: u64 = 1 << 30;

const fn required(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, kind, default: None, example, meaning }
}

const fn optional(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, kind, default: Some(default), example: default, meaning }
}

/// Every key outside the section of peers, in the order of the example file.
pub const KEYS: &[Key] = &[
    required(
        "node.id",
        Kind::Number { min: 1, max: i64::MAX.cast_unsigned() },
        "1",
        "This node's id in the genesis file.",
    ),
    required("node.genesis", Kind::Path, "genesis.bin", "The consortium's genesis file."),
    required(
        "node.data",
        Kind::Path,
        "/var/lib/counterfoil",
        "The data directory, made by `counterfoil-node init`.",
    ),
    optional(
        "listen.client",
        Kind::Address,
        "127.0.0.1:7443",
        "Where clients, operators and auditors connect.",
    ),
    optional("listen.peer", Kind::Address, "127.0.0.1:7444", "Where the other nodes connect."),
    optional(
        "listen.metrics",
        Kind::Address,
        "127.0.0.1:7445",
        "Where monitoring reads /metrics, /livez and /readyz, unencrypted.",
    ),
    required(
        "tls.certificate",
        Kind::Path,
        "node.pem",
        "PEM of the node's certificate and what leads from it to its institution's anchor; read again when it changes.",
    ),
    required(
        "tls.key",
        Kind::Path,
        "node.key",
        "PKCS#8 PEM of the certificate's key, mode 0600; read again when it changes.",
    ),
    required(
        "attestation.key",
        Kind::Path,
        "attestation.key",
        "PKCS#8 PEM of the key that signs what this node produces, mode 0600.",
    ),
    optional("log.format", Kind::Choice(&["json", "text"]), "json", "How a log line looks."),
    optional(
        "log.filter",
        Kind::LogFilter,
        "info",
        "Which log lines are written, for example info,counterfoil_node::consensus=debug.",
    ),
    optional(
        "raft.heartbeat_ms",
        Kind::Number { min: 10, max: 5_000 },
        "250",
        "How often the leader shows that it lives.",
    ),
    optional(
        "raft.election_min_ms",
        Kind::Number { min: 100, max: 60_000 },
        "1500",
        "Shortest time without a leader before this node stands for election.",
    ),
    optional(
        "raft.election_max_ms",
        Kind::Number { min: 200, max: 120_000 },
        "3000",
        "Longest such time; the actual one is drawn between the two.",
    ),
    optional(
        "builder.gather_ms",
        Kind::Number { min: 0, max: 100 },
        "5",
        "How long a leader waits at most, after a block, for as many instructions as just then were on their way; 0 never.",
    ),
    optional(
        "disk.warn_free_mib",
        Kind::Number { min: 0, max: FREE_MIB_MAX },
        "8192",
        "With less free space than this, MiB, on the file system of the data the node warns.",
    ),
    optional(
        "disk.admit_free_mib",
        Kind::Number { min: 0, max: FREE_MIB_MAX },
        "2048",
        "With less, it takes no new instructions and hands leadership on; it still follows and serves reads.",
    ),
    optional(
        "disk.stop_free_mib",
        Kind::Number { min: 0, max: FREE_MIB_MAX },
        "512",
        "With less, it stops in order with exit code 74, before a write can fail.",
    ),
    optional(
        "disk.scrub_kib_per_second",
        Kind::Number { min: 0, max: 1 << 20 },
        "2048",
        "How fast what is on disk is read again and checked, KiB each second; 0 = never.",
    ),
    optional(
        "disk.scrub_pause_s",
        Kind::Number { min: 1, max: 30 * 86_400 },
        "3600",
        "How long it rests when it has read everything, seconds.",
    ),
    optional(
        "finality.sign",
        Kind::Switch,
        "true",
        "Whether this node signs the headers that it computes; without it the consortium lacks this institution's signature.",
    ),
];

/// A key by its name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Keys of a section, without the section.
pub fn keys_of(section: &str) -> Vec<&'static str> {
    KEYS.iter()
        .filter_map(|key| key.name.split_once('.'))
        .filter(|(of, _)| *of == section)
        .map(|(_, name)| name)
        .collect()
}

/// Sections, in the order of the example file.
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> =
        KEYS.iter().filter_map(|key| Some(key.name.split_once('.')?.0)).collect();
    sections.dedup();
    sections.push(PEERS_SECTION);
    sections
}

/// A complete configuration file with every key, its meaning and its default.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of a Counterfoil node. Each key may also be given as an environment\n\
         # variable, COUNTERFOIL_NODE_<SECTION>__<KEY>, or as a flag, --set section.key=value.\n\
         # Flags go before variables, variables before this file.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.split_once('.').expect("every key has a section");
        if of != section {
            section = of;
            text.push_str(&format!("\n[{section}]\n"));
        }
        let quote = if matches!(key.kind, Kind::Number { .. } | Kind::Switch) { "" } else { "\"" };
        let required = if key.default.is_none() { " Required." } else { "" };
        text.push_str(&format!("# {}{required}\n", key.meaning));
        text.push_str(&format!("{name} = {quote}{}{quote}\n", key.example));
    }
    text.push_str(&format!("\n[{PEERS_SECTION}]\n# {PEERS_MEANING}\n# 2 = \"10.0.0.2:7444\"\n"));
    text
}
