//! A consortium of real processes on loopback: real binaries, certificates, TLS, RocksDB, files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use counterfoil_client::Client;
use counterfoil_client::signer;
use counterfoil_ledger::bic::Bic;

use crate::identities;
use crate::ports::free_ports;
use crate::wire::Credential;

/// The settlement agent.
pub const AGENT: &str = "SETLCHZZXXX";

/// The banks.
pub const BANKS: [&str; 3] = ["ALPSCHZZXXX", "BRNECHZZXXX", "CANTCHZZXXX"];

/// The trust domain.
pub const CONSORTIUM: &str = "test.example";

/// The program of a node that misbehaves.
pub const MISBEHAVING: &str = "counterfoil-node-misbehaving";

/// Names the bug on purpose that nodes have, in the environment of a test and of a node.
const DEFECT: &str = "COUNTERFOIL_DEFECT";

/// Ids of the nodes that have it, with commas between; all of them if it is not set.
const DEFECT_NODES: &str = "COUNTERFOIL_DEFECT_NODES";

/// Whether a node has a bug on purpose.
fn is_defective(node: usize) -> bool {
    let among = |ids: String| ids.split(',').any(|id| id == (node + 1).to_string());
    std::env::var_os(DEFECT).is_some() && std::env::var(DEFECT_NODES).map_or(true, among)
}

/// Four institutions with a node each, the agent's first.
pub struct Consortium {
    directory: tempfile::TempDir,
    nodes: Vec<Node>,
}

/// What a consortium is founded with beside the four voters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Founding<'a> {
    /// Learners, which follow the voters in the order of the nodes: the first is the first bank's.
    pub learners: usize,
    /// Lines of `[policy]`.
    pub policy: &'a str,
}

/// One node and its process, if it runs.
struct Node {
    institution: &'static str,
    /// Everything that is its own, within the consortium's directory.
    directory: String,
    client_address: String,
    peer_address: String,
    metrics_address: String,
    launcher: Vec<String>,
    process: Mutex<Option<Child>>,
}

/// Where a node lives.
pub struct Place {
    /// The IP address at which it listens.
    pub host: String,
    /// What its program is started by, if not directly.
    pub launcher: Vec<String>,
    /// Its data directory, if not beside its configuration.
    pub data: Option<PathBuf>,
}

impl Place {
    /// On this machine, like any other process.
    pub fn here() -> Place {
        Place { host: "127.0.0.1".to_owned(), launcher: Vec::new(), data: None }
    }
}

/// Where cargo has put a binary of this workspace.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().find(|path| path.join(name).is_file());
    let build = match name {
        MISBEHAVING => {
            "-p counterfoil-node --features misbehaviour --bin counterfoil-node-misbehaving"
        }
        _ => "-p counterfoil-node -p counterfoil",
    };
    target
        .map(|path| path.join(name))
        .unwrap_or_else(|| panic!("{name} is not built: run `cargo build --locked {build}` first"))
}

/// Runs the command line and returns what it printed; panics with its errors if it failed.
pub fn counterfoil(arguments: &[&str]) -> String {
    let output = Command::new(binary("counterfoil")).args(arguments).output().expect("it starts");
    assert!(
        output.status.success(),
        "counterfoil {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("it prints text")
}

impl Consortium {
    /// Founds a consortium and starts its nodes; returns when one leads.
    pub fn start() -> Consortium {
        let consortium = Consortium::found();
        (0..consortium.nodes.len()).for_each(|node| consortium.start_node(node));
        consortium.wait_ready();
        consortium
    }

    /// Founds a consortium whose nodes do not run yet.
    pub fn found() -> Consortium {
        Consortium::found_with_policy("")
    }

    /// Founds a consortium with these lines in its policy.
    pub fn found_with_policy(policy: &str) -> Consortium {
        Consortium::found_with(&Founding { learners: 0, policy })
    }

    /// Founds a consortium with learners, or another policy.
    pub fn found_with(founding: &Founding<'_>) -> Consortium {
        let here = [Place::here(), Place::here(), Place::here(), Place::here()];
        Consortium::found_as(here, founding)
    }

    /// Founds a consortium with each node at a place of its own, and these lines in its policy.
    pub fn found_at(places: [Place; 4], policy: &str) -> Consortium {
        Consortium::found_as(places, &Founding { learners: 0, policy })
    }

    fn found_as(places: [Place; 4], founding: &Founding<'_>) -> Consortium {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let root = directory.path();
        let institutions: Vec<&'static str> = std::iter::once(AGENT).chain(BANKS).collect();
        let voters = institutions.len();
        let ports = free_ports((voters + founding.learners) * 3);
        let addresses = |host: &str, number: usize| {
            [0, 1, 2].map(|offset| format!("{host}:{}", ports[number * 3 + offset]))
        };
        let mut spec = format!("consortium = \"{CONSORTIUM}\"\n");
        for asset in [("CHF", 2), ("EUR", 2), ("JPY", 0)] {
            let (code, exponent) = asset;
            writeln!(spec, "[[assets]]\ncode = \"{code}\"\nexponent = {exponent}").expect("text");
        }
        let mut nodes = Vec::new();
        for (number, (institution, place)) in institutions.into_iter().zip(places).enumerate() {
            identities::make(root, institution);
            let scope = if institution == AGENT { "consortium" } else { "institution" };
            let Place { host, launcher, data } = place;
            let data = data.unwrap_or_else(|| "data".into());
            let data = data.display();
            let [client, peer, metrics] = addresses(&host, number);
            let id = number + 1;
            let keys = identities::keys(institution);
            write!(
                spec,
                "[[institutions]]\nbic = \"{institution}\"\nname = \"Test {institution}\"\n\
                 anchor = \"{institution}/authority/authority.pem\"\naudit_scope = \"{scope}\"\n\
                 {keys}\
                 [[nodes]]\nid = {id}\ninstitution = \"{institution}\"\nname = \"one\"\n\
                 attestation_key = \"{institution}/attestation.pub.pem\"\n\
                 peer_address = \"{peer}\"\nclient_address = \"{client}\"\n"
            )
            .expect("text");
            let directory = institution.to_owned();
            let node = Node::new(institution, directory, [client, peer, metrics]);
            let node = Node { launcher, ..node };
            node.configure(root, id, &data.to_string());
            nodes.push(node);
        }
        for (number, institution) in
            (voters..).zip(BANKS.into_iter().cycle()).take(founding.learners)
        {
            let id = number + 1;
            let node = make_spare(root, institution, id, addresses("127.0.0.1", number));
            node.put_learner(&mut spec, id);
            node.configure(root, id, "data");
            nodes.push(node);
        }
        if !founding.policy.is_empty() {
            write!(spec, "[policy]\n{}\n", founding.policy).expect("text");
        }
        fs::write(root.join("spec.toml"), spec).expect("it is written");
        let at = |name: &str| root.join(name).to_str().expect("the path is text").to_owned();
        counterfoil(&[
            "genesis",
            "create",
            "--spec",
            &at("spec.toml"),
            "--out",
            &at("genesis.bin"),
        ]);
        let consortium = Consortium { directory, nodes };
        for node in 0..consortium.nodes.len() {
            let status = consortium.command(node, "init").status().expect("it starts");
            assert!(status.success(), "counterfoil-node init");
        }
        consortium
    }

    /// The directory of everything.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of everything that an institution has.
    pub fn home(&self, institution: &str) -> PathBuf {
        self.path().join(institution)
    }

    /// The directory of everything that is a node's own.
    pub fn node_home(&self, node: usize) -> PathBuf {
        self.path().join(&self.nodes[node].directory)
    }

    /// How many nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// host:port at which a node serves clients.
    pub fn client_address(&self, node: usize) -> &str {
        &self.nodes[node].client_address
    }

    /// Whose a node is.
    pub fn institution(&self, node: usize) -> &'static str {
        self.nodes[node].institution
    }

    /// host:port at which a node serves the other nodes.
    pub fn peer_address(&self, node: usize) -> &str {
        &self.nodes[node].peer_address
    }

    /// host:port at which a node serves monitoring.
    pub fn metrics_address(&self, node: usize) -> &str {
        &self.nodes[node].metrics_address
    }

    /// The node's program with its configuration, nothing to read, and its errors in its log. It has
    /// a bug on purpose where this process was asked for one: see `tests/examples/bugs.rs`.
    pub fn command(&self, node: usize, verb: &str) -> Command {
        let program = if is_defective(node) { MISBEHAVING } else { "counterfoil-node" };
        self.command_of(program, node, verb)
    }

    /// Another program in the place of the node's.
    fn command_of(&self, program: &str, node: usize, verb: &str) -> Command {
        let directory = self.node_home(node);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join("node.log"))
            .expect("the log can be opened");
        let mut words =
            self.nodes[node].launcher.iter().map(PathBuf::from).chain([binary(program)]);
        let mut command = Command::new(words.next().expect("there is the program"));
        if !is_defective(node) {
            command.env_remove(DEFECT);
        }
        command
            .args(words)
            .arg(verb)
            .arg("--config")
            .arg(directory.join("node.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        command
    }

    /// Starts a node that does not run.
    pub fn start_node(&self, node: usize) {
        self.start_node_with(node, &[]);
    }

    /// Starts a node that does not run with settings of the form `section.key=value`.
    pub fn start_node_with(&self, node: usize, settings: &[&str]) {
        self.start_node_under(node, settings, &[]);
    }

    /// `start_node_with`, with environment variables too.
    pub fn start_node_under(&self, node: usize, settings: &[&str], variables: &[(&str, &Path)]) {
        let mut command = self.command(node, "run");
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.envs(variables.iter().copied());
        self.spawn(node, command);
    }

    /// Starts a node that misbehaves.
    pub fn start_misbehaving(&self, node: usize, behaviour: &str) {
        self.start_misbehaving_with(node, behaviour, &[]);
    }

    /// The same with settings of the form `section.key=value`.
    pub fn start_misbehaving_with(&self, node: usize, behaviour: &str, settings: &[String]) {
        let mut command = self.command_of(MISBEHAVING, node, "run");
        command.env("COUNTERFOIL_MISBEHAVIOUR", behaviour);
        for setting in settings {
            command.args(["--set", setting]);
        }
        self.spawn(node, command);
    }

    fn spawn(&self, node: usize, mut command: Command) {
        let child = command.spawn().expect("it starts");
        *self.nodes[node].process.lock().expect("no test panics here") = Some(child);
    }

    /// Adds lines to a node's configuration.
    pub fn configure(&self, node: usize, lines: &str) {
        let path = self.node_home(node).join("node.toml");
        let config = fs::read_to_string(&path).expect("it was written");
        fs::write(path, format!("{config}{lines}\n")).expect("it is written");
    }

    /// SIGKILL: the process has no chance to do anything.
    pub fn kill_node(&self, node: usize) {
        let process = self.nodes[node].process.lock().expect("no test panics here").take();
        let mut process = process.expect("the node runs");
        process.kill().expect("it is our child");
        process.wait().expect("it is our child");
    }

    /// SIGSTOP or SIGCONT, to a node that runs; nothing to one that has ended.
    pub fn signal_node(&self, node: usize, signal: &str) {
        let process = self.nodes[node].process.lock().expect("no test panics here");
        if let Some(process) = process.as_ref() {
            let id = process.id().to_string();
            let _ = Command::new("kill").args([signal, &id]).stderr(Stdio::null()).status();
        }
    }

    /// How a node that was started has ended by itself, if it has.
    pub fn ended(&self, node: usize) -> Option<ExitStatus> {
        let mut process = self.nodes[node].process.lock().expect("no test panics here");
        process.as_mut().and_then(|it| it.try_wait().expect("it is our child"))
    }

    /// SIGTERM, and its exit code.
    pub fn stop_node(&self, node: usize) -> Option<i32> {
        let process = self.nodes[node].process.lock().expect("no test panics here").take();
        let mut process = process.expect("the node runs");
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        process.wait().expect("it is our child").code()
    }

    /// The exit code of a node that has stopped by itself, once it has.
    pub fn await_exit(&self, node: usize) -> Option<i32> {
        let process = self.nodes[node].process.lock().expect("no test panics here").take();
        process.expect("the node was started").wait().expect("it is our child").code()
    }

    /// The id of a node's process.
    pub fn process_id(&self, node: usize) -> u32 {
        let process = self.nodes[node].process.lock().expect("no test panics here");
        process.as_ref().expect("the node runs").id()
    }

    /// Whether a node that was started still runs.
    pub fn is_running(&self, node: usize) -> bool {
        let mut process = self.nodes[node].process.lock().expect("no test panics here");
        process.as_mut().is_some_and(|it| it.try_wait().expect("it is our child").is_none())
    }

    /// What a node has logged.
    pub fn log(&self, node: usize) -> String {
        fs::read_to_string(self.node_home(node).join("node.log")).unwrap_or_default()
    }

    /// A client of an institution at some nodes, the first preferred.
    pub fn client_at(&self, institution: &str, nodes: &[usize]) -> Client {
        let home = self.path().join(institution);
        let key = signer::from_file(home.join("signing.pem")).expect("the key loads");
        Client::builder()
            .genesis_file(self.path().join("genesis.bin"))
            .endpoints(nodes.iter().map(|node| self.nodes[*node].client_address.clone()))
            .identity(home.join("client/certificate.pem"), home.join("client/key.pem"))
            .institution(Bic::parse(institution).expect("a BIC"))
            .signer(key)
            .without_journal()
            .deadline(Duration::from_secs(60))
            .build()
            .expect("the client is well configured")
    }

    /// What an institution's role shows in a handshake.
    pub fn credential(&self, institution: &str, role: &str) -> Credential {
        Credential::of(&self.home(institution).join(role))
    }

    /// The command line as somebody of an institution runs it, at all nodes. Its context is its own,
    /// and so is what it keeps.
    pub fn command_line(&self, institution: &str, role: &str) -> Command {
        let home = self.home(institution);
        let endpoints: Vec<&str> =
            self.nodes.iter().map(|node| node.client_address.as_str()).collect();
        let mut command = Command::new(binary("counterfoil"));
        command
            .env_clear()
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("COUNTERFOIL_ENDPOINTS", endpoints.join(","))
            .env("COUNTERFOIL_GENESIS", self.path().join("genesis.bin"))
            .env("COUNTERFOIL_CERTIFICATE", home.join(role).join("certificate.pem"))
            .env("COUNTERFOIL_KEY", home.join(role).join("key.pem"))
            .env("COUNTERFOIL_SIGNING_KEY", home.join("signing.pem"))
            .env("COUNTERFOIL_SERVICER", AGENT)
            .current_dir(self.path());
        command
    }

    /// A client of an institution at all nodes.
    pub fn client(&self, institution: &str) -> Client {
        self.client_at(institution, &(0..self.nodes.len()).collect::<Vec<_>>())
    }

    /// A client of an institution at all nodes that shows another role's certificate and signs
    /// nothing.
    pub fn reader(&self, institution: &str, role: &str) -> Client {
        let home = self.home(institution).join(role);
        Client::builder()
            .genesis_file(self.path().join("genesis.bin"))
            .endpoints(self.nodes.iter().map(|node| node.client_address.clone()))
            .identity(home.join("certificate.pem"), home.join("key.pem"))
            .build()
            .expect("the client is well configured")
    }

    /// The place of the node that leads, once one does; asked of a node that runs.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(leader) = self.leader_now() {
                return leader;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no node leads after a minute; first log:\n{}", self.log(0));
    }

    /// The place of a node that says that it leads; asked of the nodes that run.
    pub fn leader_now(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|node| {
            let running = self.nodes[*node].process.lock().expect("no test panics here").is_some();
            running && self.metric(*node, "counterfoil_raft_is_leader") == Some(1.0)
        })
    }

    /// A figure of a node's metrics.
    pub fn metric(&self, node: usize, name: &str) -> Option<f64> {
        let text = self.http_get(node, "/metrics")?;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The sum of a metric's figures whose labels have these words in them.
    pub fn metrics(&self, node: usize, name: &str, words: &str) -> f64 {
        let text = self.http_get(node, "/metrics").unwrap_or_default();
        let lines = text.lines().filter(|line| {
            let labels = line.strip_prefix(name);
            labels.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(words))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until a figure of a node is as it should be.
    pub fn await_metric(&self, node: usize, name: &str, is: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.metric(node, name).is_some_and(&is) {
            assert!(Instant::now() < deadline, "{name} of node {}", node + 1);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a node answers monitoring, head and all.
    pub fn http_get(&self, node: usize, path: &str) -> Option<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.metrics_address(node)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Waits until a node leads.
    pub fn wait_ready(&self) {
        self.leader();
    }
}

impl Node {
    fn new(
        institution: &'static str,
        directory: String,
        [client_address, peer_address, metrics_address]: [String; 3],
    ) -> Node {
        let (launcher, process) = (Vec::new(), Mutex::new(None));
        Node {
            institution,
            directory,
            client_address,
            peer_address,
            metrics_address,
            launcher,
            process,
        }
    }

    /// Writes its configuration.
    fn configure(&self, root: &Path, id: usize, data: &str) {
        let Node { client_address, peer_address, metrics_address, .. } = self;
        let genesis = root.join("genesis.bin");
        let config = format!(
            "[node]\nid = {id}\ngenesis = \"{}\"\ndata = \"{data}\"\n\
             [listen]\nclient = \"{client_address}\"\npeer = \"{peer_address}\"\n\
             metrics = \"{metrics_address}\"\n\
             [tls]\ncertificate = \"node/certificate.pem\"\nkey = \"node/key.pem\"\n\
             [attestation]\nkey = \"attestation.pem\"\n[log]\nformat = \"text\"\n",
            genesis.display()
        );
        fs::write(root.join(&self.directory).join("node.toml"), config).expect("it is written");
    }

    /// Adds it to a specification, as a learner of an institution that stands there, with its key.
    fn put_learner(&self, spec: &mut String, id: usize) {
        let Node { institution, directory, client_address, peer_address, .. } = self;
        let before = format!("anchor = \"{institution}/authority/authority.pem\"\n");
        let scope = "audit_scope = \"institution\"\n";
        let key = format!(
            "[[institutions.keys]]\nname = \"spare {id}\"\npurpose = \"attestation\"\n\
             public_key = \"{directory}/attestation.pub.pem\"\n"
        );
        let known = [before.as_str(), scope].concat();
        *spec = spec.replacen(&known, &[known.as_str(), &key].concat(), 1);
        write!(
            spec,
            "[[nodes]]\nid = {id}\ninstitution = \"{institution}\"\nname = \"spare-{id}\"\n\
             role = \"learner\"\nattestation_key = \"{directory}/attestation.pub.pem\"\n\
             peer_address = \"{peer_address}\"\nclient_address = \"{client_address}\"\n"
        )
        .expect("text");
    }
}

impl Drop for Consortium {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_standing();
        }
        for node in &self.nodes {
            if let Some(mut process) = node.process.lock().ok().and_then(|mut it| it.take()) {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        if std::thread::panicking() {
            for node in 0..self.nodes.len() {
                let log = self.log(node);
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                eprintln!("-- last lines of node {}:", node + 1);
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// A spare node of an institution, with a certificate and an attestation key of its own.
fn make_spare(root: &Path, institution: &'static str, id: usize, addresses: [String; 3]) -> Node {
    let directory = format!("{institution}/spare-{id}");
    identities::make_spare(root, institution, &directory, &format!("spare-{id}"));
    Node::new(institution, directory, addresses)
}
