//! A machine with one node: its runtime, its disk and its clock. It is killed by dropping the runtime,
//! and everything that runs on it with that.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify::Signers;
use counterfoil_node::clock::Clock;
use counterfoil_node::config;
use counterfoil_node::config::RaftTiming;
use counterfoil_node::connector;
use counterfoil_node::consensus::archive::Archive;
use counterfoil_node::consensus::catch_up::CatchUp;
use counterfoil_node::consensus::catch_up::Watched;
use counterfoil_node::consensus::first_start::Starter;
use counterfoil_node::consensus::group;
use counterfoil_node::consensus::group::Group;
use counterfoil_node::consensus::network::Peers;
use counterfoil_node::consensus::originals::Originals;
use counterfoil_node::consensus::peer_service::PeerServer;
use counterfoil_node::consensus::peer_service::Running;
use counterfoil_node::consensus::replica::Replica;
use counterfoil_node::consensus::space::Space;
use counterfoil_node::consensus::term_bound::TermBound;
use counterfoil_node::exit::Stop;
use counterfoil_node::limits;
use counterfoil_node::listener::server::server;
use counterfoil_node::storage::directory::DataDirectory;
use counterfoil_node::storage::log::LogStore;
use counterfoil_node::storage::simulated::Disk;
use counterfoil_node::storage::snapshots::Snapshots;
use counterfoil_node::storage::state::StateStore;
use counterfoil_node::telemetry::health::Health;
use counterfoil_proto::peer::v1::peer_service_server::PeerServiceServer;
use counterfoil_proto::v1;
use futures::StreamExt;
use prost::Message;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::consortium;
use crate::network::Network;
use crate::network::Stream;
use crate::random;
use crate::unruly::Unruly;

/// A machine.
pub struct Host {
    /// Its node's id.
    pub node: u64,
    /// Its disk, which outlives its processes.
    pub disk: Disk,
    /// How many processes have run on it.
    pub lives: u64,
    /// The longest that work may take on it, in milliseconds; 0: a healthy machine.
    pub slow_ms: u64,
    /// Its wall clock, and by how much that is wrong.
    clock: Clock,
    wrong_ms: u64,
    process: Option<Process>,
    directory: PathBuf,
    network: Network,
    genesis: Genesis,
}

/// What runs on it.
struct Process {
    runtime: Runtime,
    told: Arc<Told>,
}

/// How a process has ended by itself.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It is to be started again at once: a state that it has built takes the place of its own.
    Restarts,
    /// It cannot go on.
    Stops(Stop),
}

/// What a process tells of itself.
#[derive(Default)]
struct Told {
    /// The height of the last header that it has on record as signed, when it starts.
    recorded: AtomicU64,
    replica: Mutex<Option<Arc<Replica>>>,
    ended: Mutex<Option<Ended>>,
}

impl Host {
    /// A machine that does not run yet.
    pub fn new(node: u64, directory: PathBuf, network: Network) -> Host {
        Host {
            node,
            disk: Disk::default(),
            lives: 0,
            slow_ms: 0,
            clock: Clock::manual(consortium::FOUNDED_MS),
            wrong_ms: 0,
            process: None,
            directory,
            network,
            genesis: consortium::genesis(),
        }
    }

    /// Whether a process runs on it.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Starts a process on what is on the disk.
    pub fn start(&mut self) {
        self.lives += 1;
        let directory = self.directory.join(self.node.to_string());
        self.disk.mount(&directory);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread");
        let told = Arc::new(Told::default());
        let life = Life {
            node: self.node,
            is_first: self.lives == 1,
            directory,
            clock: self.clock.clone(),
            genesis: self.genesis.clone(),
            network: self.network.clone(),
            accepted: self.network.listen(self.node),
            told: told.clone(),
        };
        // Every process begins at the same moment of its own; nothing may reckon before it.
        runtime.block_on(tokio::time::advance(Duration::from_secs(100_000)));
        runtime.spawn(async move {
            let told = life.told.clone();
            let ended = life.run().await.map_or_else(Ended::Stops, |()| Ended::Restarts);
            told.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(ended);
        });
        self.process = Some(Process { runtime, told });
    }

    /// Lets it run for a millisecond.
    pub fn tick(&mut self) {
        self.clock.advance_ms(1);
        if let Some(process) = &self.process {
            process.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        }
    }

    /// Sets its clock on by milliseconds, or back: numbers wrap around.
    pub fn step_clock(&mut self, by_ms: u64) {
        self.clock.advance_ms(by_ms);
        self.wrong_ms = self.wrong_ms.wrapping_add(by_ms);
    }

    /// Sets its clock right.
    pub fn right_clock(&mut self) {
        self.step_clock(self.wrong_ms.wrapping_neg());
    }

    /// The process ends at once; its system goes on.
    pub fn kill(&mut self) {
        self.network.closed(self.node);
        self.process = None;
        self.disk.kill();
    }

    /// The power goes.
    pub fn cut_power(&mut self) {
        self.network.dark(self.node);
        self.process = None;
        self.disk.cut_power(|pending| {
            let pending = pending as u64;
            // Mostly all or nothing; the middle is where the surprises are.
            let kept = match random::below(3) {
                0 => 0,
                1 => pending,
                _ => random::between(0, pending),
            };
            usize::try_from(kept).expect("no more than there are")
        });
    }

    /// Why the process has ended by itself, if it has.
    pub fn ended(&self) -> Option<Ended> {
        let process = self.process.as_ref()?;
        process.told.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The node's part in consensus, once it runs.
    pub fn replica(&self) -> Option<Arc<Replica>> {
        let process = self.process.as_ref()?;
        process.told.replica.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The height of the last header that its node had on record as signed when it started.
    pub fn recorded(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| process.told.recorded.load(Ordering::Relaxed))
    }

    /// Does something on the machine; it ends with the process. False if none runs.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(process) = &self.process else { return false };
        process.runtime.spawn(work);
        true
    }
}

/// What a process begins with.
struct Life {
    node: u64,
    is_first: bool,
    directory: PathBuf,
    clock: Clock,
    genesis: Genesis,
    network: Network,
    accepted: mpsc::UnboundedReceiver<Stream>,
    told: Arc<Told>,
}

impl Life {
    /// As the node's own composition does. Returns when the node is to start again.
    async fn run(self) -> Result<(), Stop> {
        let chain_id = self.genesis.chain_id();
        let registry = Arc::new(Registry::of(&self.genesis));
        let signers = Signers::of(chain_id, &registry);
        let peers = self.peers();
        let open = if self.is_first { DataDirectory::init } else { DataDirectory::open };
        let directory = open(&self.directory, self.node, &chain_id)?;
        directory.adopt_next()?;
        let log = LogStore::open(&directory)?;
        self.told.recorded.store(recorded(&log)?, Ordering::Relaxed);
        let store = StateStore::open(&directory, log.clone())?;
        let snapshots = Snapshots::open(&directory, &chain_id, &signers)?;
        let watched = Watched::new(Health::starting());
        let (stored, kept) = (log.clone(), store.clone());
        let archive =
            Archive::new(self.node, registry.clone(), chain_id, stored, kept, watched.clone());
        let archive = Arc::new(archive);
        let running = Arc::new(OnceLock::new());
        serve(archive.clone(), running.clone(), self.accepted);
        let signer = Arc::new(consortium::attesting(self.node));
        let starter = Starter {
            node: self.node,
            chain_id,
            registry,
            signer: signer.clone(),
            log: log.clone(),
            peers: peers.clone(),
        };
        starter.register().await?;
        let catch_up = CatchUp {
            genesis: self.genesis.clone(),
            signers,
            directory: directory.clone(),
            log: log.clone(),
            store: store.clone(),
            snapshots: snapshots.clone(),
            peers: peers.clone(),
            watched,
        };
        if catch_up.run().await? {
            return Ok(());
        }
        let group = Group::start(group::Parts {
            node: self.node,
            genesis: self.genesis,
            signer,
            signs: true,
            space: Space::open(directory.clone(), NO_MARKS)?,
            directory: directory.clone(),
            log,
            store,
            snapshots,
            peers,
            timing: timing(),
            gather: Duration::from_millis(5),
            clock: self.clock,
        })
        .await?;
        let (inclusion, statements, keeper) =
            (group.inclusion(), group.statements(), group.keeper());
        let replica = group.replica();
        let originals = Originals::open(&directory, replica.clone())?;
        let status = Arc::new(move || status(replica.store().log()));
        let answering =
            Running::new(group.replica(), inclusion, statements, keeper, originals, status);
        let _ = running.set(answering);
        *self.told.replica.lock().unwrap_or_else(PoisonError::into_inner) = Some(group.replica());
        tokio::select! {
            stop = group.died() => Err(stop),
            behind = fell_behind(&archive, &catch_up) => behind,
        }
    }

    fn peers(&self) -> Peers {
        let others = (1..=consortium::NODES).filter(|node| *node != self.node);
        let channels: BTreeMap<_, _> = others
            .map(|other| {
                let (network, node) = (self.network.clone(), self.node);
                let channel = connector::channel(other, move || {
                    let network = network.clone();
                    async move { network.connect(node, other, consortium::caller(node)).await }
                });
                (other, channel)
            })
            .collect();
        let nodes = usize::try_from(consortium::NODES).expect("few nodes");
        let terms = TermBound::new(self.clock.clone(), consortium::FOUNDED_MS, nodes);
        Peers::new(
            channels,
            BTreeSet::new(),
            Bytes::copy_from_slice(self.genesis.chain_id().as_bytes()),
            terms,
        )
    }
}

fn serve(
    archive: Arc<Archive>,
    running: Arc<OnceLock<Running>>,
    accepted: mpsc::UnboundedReceiver<Stream>,
) {
    let peers = PeerServer::new(archive, running, CancellationToken::new());
    let service = PeerServiceServer::new(peers)
        .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::BLOCK_RUN_MESSAGE_BYTES_MAX);
    let accepted = UnboundedReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
    let server = server(limits::PEER_WINDOW_BYTES).layer(Unruly).add_service(service);
    tokio::spawn(server.serve_with_incoming(accepted));
}

/// What the other nodes ask a node's status for.
fn status(log: &LogStore) -> v1::NodeStatus {
    let purged = log.purged().ok().flatten();
    v1::NodeStatus {
        purged_index: purged.map_or(0, |purged| purged.index),
        ..v1::NodeStatus::default()
    }
}

/// Returns when this node needs what the others have purged.
async fn fell_behind(archive: &Archive, catch_up: &CatchUp) -> Result<(), Stop> {
    loop {
        archive.behind().await;
        if catch_up.is_needed().await? {
            return Ok(());
        }
        tokio::time::sleep(limits::BEHIND_INTERVAL).await;
    }
}

/// The simulated disk has no marks: it is full or not.
const NO_MARKS: config::Disk =
    config::Disk { warn: 0, admit: 0, stop: 0, scrub: 0, scrub_pause: Duration::ZERO };

fn recorded(log: &LogStore) -> Result<u64, Stop> {
    let Some(bytes) = log.meta("attested")? else { return Ok(0) };
    let attestation = v1::Attestation::decode(&*bytes).ok();
    let header = attestation.and_then(|it| Header::decode(&it.header));
    Ok(header.map_or(0, |header| header.height))
}

/// openraft draws its election timeout from a generator that no seed reaches: here it is left one
/// value to choose, which is drawn before.
fn timing() -> RaftTiming {
    let election_ms = random::between(1_500, 2_999);
    RaftTiming {
        heartbeat: Duration::from_millis(250),
        election_min: Duration::from_millis(election_ms),
        election_max: Duration::from_millis(election_ms + 1),
    }
}
