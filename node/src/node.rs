//! The composition root: opens, wires, starts, waits, stops, in that order.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::peer::v1::peer_service_server::PeerServiceServer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use tracing::warn;

use crate::api;
use crate::boot::Boot;
use crate::clock::Clock;
use crate::config::Config;
use crate::connector;
use crate::consensus::group;
use crate::consensus::group::Group;
use crate::consensus::network::Peers;
use crate::consensus::peer_service::PeerServer;
use crate::consensus::space::Space;
use crate::consensus::term_bound::TermBound;
use crate::exit::Stop;
use crate::identity::tls::Audience;
use crate::identity::tls::Tls;
use crate::limits;
use crate::listener;
use crate::scrubber::Scrubber;
use crate::status::StatusReporter;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::snapshots::Snapshots;
use crate::storage::state::StateStore;
use crate::telemetry::health::Readiness;

/// Runs the node until the shutdown is asked for or consensus dies.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Stop> {
    let clock = Clock::system();
    // Ports and keys before data: what is wrong there must not leave a half-started node behind.
    let Boot { genesis, registry, signer, tls, clients, peers: peer_socket, health } =
        Boot::prepare(&config, &clock, &shutdown)?;
    let chain_id = genesis.chain_id();

    let directory = DataDirectory::open(&config.data, config.node_id, &chain_id)?;
    if directory.adopt_next()? {
        info!("a state that was built aside is in the place of the one before");
    }
    // Before RocksDB is opened: it writes where it opens.
    let space = Space::open(directory.clone(), config.disk)?;
    let log = LogStore::open(&directory)?;
    let store = StateStore::open(&directory, log.clone())?;
    let snapshots = Snapshots::open(&directory, &chain_id, &Signers::of(chain_id, &registry))?;
    let peers = peers(&config, &genesis, &registry, &tls, &clock);
    #[cfg(feature = "misbehaviour")]
    let misbehaving = signer.clone();
    let group = Group::start(group::Parts {
        node: config.node_id,
        genesis,
        signer,
        signs: config.signs,
        directory,
        log: log.clone(),
        store,
        snapshots: snapshots.clone(),
        peers,
        timing: config.raft,
        space: space.clone(),
        linger: config.builder.linger,
        clock: clock.clone(),
    })
    .await?;
    let (replica, statements) = (group.replica(), group.statements());
    #[cfg(feature = "misbehaviour")]
    crate::misbehaviour::start(replica.clone(), misbehaving);
    let (stored, scrubbed) = (log.clone(), snapshots.clone());
    let reporter =
        Arc::new(StatusReporter::new(replica.clone(), log, snapshots, tls.clone(), clock.clone()));

    let (tasks, peer_tasks) = (TaskTracker::new(), TaskTracker::new());
    // The other nodes are listened to for longer: what is being answered may wait for their signatures.
    let drained = CancellationToken::new();
    let publishing = reporter.clone().publish();
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(publishing));
    let status = reporter.clone();
    let peer_server = PeerServiceServer::new(PeerServer::new(
        replica.clone(),
        group.inclusion(),
        statements.clone(),
        group.keeper(),
        Arc::new(move || status.report()),
        drained.clone(),
    ))
    .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
    .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
    let peer_connections = listener::accept(
        peer_socket,
        Audience::Peers,
        limits::PEER_LISTENER,
        tls.clone(),
        drained.clone(),
    );
    peer_tasks.spawn(
        listener::server::server(limits::PEER_WINDOW_BYTES)
            .add_service(peer_server)
            .serve_with_incoming_shutdown(peer_connections, drained.clone().cancelled_owned()),
    );
    peer_tasks.close();
    let client_connections = listener::accept(
        clients,
        Audience::Clients,
        limits::CLIENT_LISTENER,
        tls,
        shutdown.clone(),
    );
    tasks.spawn(api::serve(
        api::Parts {
            replica,
            inclusion: group.inclusion(),
            statements,
            reporter,
            clock,
            health: health.clone(),
        },
        client_connections,
        shutdown.clone(),
    ));
    tasks.close();
    let scrubber = Scrubber::new(stored, group.replica().store().clone(), scrubbed, &config.disk);
    let scrubbing = scrub(scrubber, shutdown.clone());
    health.set(Readiness::Ready);
    info!(node = config.node_id, chain = %chain_id, client = %config.listen.client, "running");

    let full = tokio::select! {
        () = shutdown.cancelled() => None,
        stop = group.died() => return Err(stop),
        stop = scrubbing => return Err(stop),
        // There is still space to stop in order.
        stop = space.ran_out() => Some(stop),
    };
    shutdown.cancel();
    health.set(Readiness::NotReady("stopping".to_owned()));
    let draining = async {
        tasks.wait().await;
        drained.cancel();
        peer_tasks.wait().await;
    };
    if tokio::time::timeout(limits::DRAIN_TIMEOUT, draining).await.is_err() {
        warn!("some connections did not end in time and are cut");
    }
    group.stop().await;
    info!("stopped");
    full.map_or(Ok(()), Err)
}

/// Returns what the scrubber finds wrong.
async fn scrub(scrubber: Option<Scrubber>, stop: CancellationToken) -> Stop {
    if let Some(scrubber) = scrubber
        && let Some(stop) = scrubber.run(stop).await
    {
        return stop;
    }
    std::future::pending().await
}

fn peers(
    config: &Config,
    genesis: &Genesis,
    registry: &Registry,
    tls: &Arc<Tls>,
    clock: &Clock,
) -> Peers {
    let channels: BTreeMap<_, _> = registry
        .nodes()
        .filter(|node| node.id != config.node_id)
        .map(|node| {
            let address = config.peers.get(&node.id).unwrap_or(&node.peer_address).clone();
            (node.id, connector::peer_channel(tls.clone(), node.id, address))
        })
        .collect();
    let voters = registry.nodes().count();
    let terms = TermBound::new(clock.clone(), genesis.message().created_ms, voters);
    Peers::new(channels, Bytes::copy_from_slice(genesis.chain_id().as_bytes()), terms)
}
