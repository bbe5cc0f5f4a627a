//! The composition root: opens, wires, starts, waits, stops, in that order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::peer::v1::peer_service_server::PeerServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use tracing::warn;

use crate::api;
use crate::boot::Boot;
use crate::clock::Clock;
use crate::config::Config;
use crate::connector;
use crate::consensus::archive::Archive;
use crate::consensus::catch_up::CatchUp;
use crate::consensus::catch_up::Watched;
use crate::consensus::first_start::Starter;
use crate::consensus::group;
use crate::consensus::group::Group;
use crate::consensus::network::Peers;
use crate::consensus::originals::Originals;
use crate::consensus::peer_service::PeerServer;
use crate::consensus::peer_service::Running;
use crate::consensus::space::Space;
use crate::consensus::term_bound::TermBound;
use crate::exit::End;
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
use crate::telemetry::health::Health;
use crate::telemetry::health::Readiness;

/// Runs the node until the shutdown is asked for, consensus dies, or a state that it has built is to
/// take the place of the one that it has.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<End, Stop> {
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
    let signers = Signers::of(chain_id, &registry);
    let snapshots = Snapshots::open(&directory, &chain_id, &signers)?;
    let peers = peers(&config, &genesis, &registry, &tls, &clock);
    #[cfg(feature = "misbehaviour")]
    let misbehaving = signer.clone();
    let registry = Arc::new(registry);
    let watched = Watched::new(health.clone());
    let archive = Archive::new(
        config.node_id,
        registry.clone(),
        chain_id,
        log.clone(),
        store.clone(),
        watched.clone(),
    );
    let archive = Arc::new(archive);
    let running = Arc::new(OnceLock::new());
    // The other nodes are listened to from the beginning, and for longer than clients: what is being
    // answered may wait for their signatures.
    let (drained, peer_tasks) = (CancellationToken::new(), TaskTracker::new());
    let peer_server = PeerServer::new(archive.clone(), running.clone(), drained.clone());
    peer_tasks.spawn(serve_peers(peer_server, peer_socket, tls.clone(), drained.clone()));
    peer_tasks.close();
    let starter = Starter {
        node: config.node_id,
        chain_id,
        registry: registry.clone(),
        signer: signer.clone(),
        log: log.clone(),
        peers: peers.clone(),
    };
    let catch_up = CatchUp {
        genesis: genesis.clone(),
        signers,
        directory: directory.clone(),
        log: log.clone(),
        store: store.clone(),
        snapshots: snapshots.clone(),
        peers: peers.clone(),
        watched,
    };
    let arriving = arrive(&starter, &catch_up, &health);
    match shutdown.run_until_cancelled(arriving).await {
        Some(Ok(None)) => {}
        Some(Ok(Some(end))) => return Ok(end),
        Some(Err(stop)) => return Err(stop),
        None => return Ok(End::Stopped),
    }
    let group = Group::start(group::Parts {
        node: config.node_id,
        genesis,
        signer,
        signs: config.signs,
        directory: directory.clone(),
        log: log.clone(),
        store,
        snapshots: snapshots.clone(),
        peers,
        timing: config.raft,
        space: space.clone(),
        gather: config.builder.gather,
        clock: clock.clone(),
    })
    .await?;
    let (replica, statements) = (group.replica(), group.statements());
    let originals = Originals::open(&directory, replica.clone())?;
    #[cfg(feature = "misbehaviour")]
    crate::misbehaviour::start(replica.clone(), misbehaving);
    let (stored, scrubbed) = (log.clone(), snapshots.clone());
    let reporter =
        Arc::new(StatusReporter::new(replica.clone(), log, snapshots, tls.clone(), clock.clone()));

    let tasks = TaskTracker::new();
    let publishing = reporter.clone().publish();
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(publishing));
    let status = reporter.clone();
    let answering = Running::new(
        replica.clone(),
        group.inclusion(),
        statements.clone(),
        group.keeper(),
        originals.clone(),
        Arc::new(move || status.report()),
    );
    // Nothing was there before: this is the only place that sets it.
    let _ = running.set(answering);
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
            originals,
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

    let end = tokio::select! {
        () = shutdown.cancelled() => Ok(End::Stopped),
        stop = group.died() => return Err(stop),
        stop = scrubbing => return Err(stop),
        // There is still space to stop in order.
        stop = space.ran_out() => Err(stop),
        behind = fell_behind(&archive, &catch_up) => Ok(behind.map(|()| End::Restart)?),
    };
    let why = match end {
        Ok(End::Restart) => "starting again, to catch up with what the others have purged",
        _ => "stopping",
    };
    shutdown.cancel();
    health.set(Readiness::NotReady(why.to_owned()));
    let draining = async {
        tasks.wait().await;
        drained.cancel();
        peer_tasks.wait().await;
    };
    if tokio::time::timeout(limits::DRAIN_TIMEOUT, draining).await.is_err() {
        warn!("some connections did not end in time and are cut");
    }
    group.stop().await;
    info!("drained");
    end
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

/// What comes before Raft: a first start is registered, and what the others have purged is caught up
/// with. Says how the node ends if it goes no further.
async fn arrive(
    starter: &Starter,
    catch_up: &CatchUp,
    health: &Health,
) -> Result<Option<End>, Stop> {
    health.set(Readiness::Starting("registering with the other nodes".to_owned()));
    starter.register().await?;
    health.set(Readiness::Starting("asking the other nodes how far they are".to_owned()));
    Ok(catch_up.run().await?.then_some(End::Restart))
}

/// Returns when this node needs what the others have purged: a leader has said so, and a quorum has
/// signed a snapshot of it.
async fn fell_behind(archive: &Archive, catch_up: &CatchUp) -> Result<(), Stop> {
    loop {
        archive.behind().await;
        warn!("a leader has purged what this node needs: it looks for a snapshot");
        if catch_up.is_needed().await? {
            return Ok(());
        }
        tokio::time::sleep(limits::BEHIND_INTERVAL).await;
    }
}

/// Serves the other nodes until the token is cancelled.
async fn serve_peers(
    server: PeerServer,
    socket: TcpListener,
    tls: Arc<Tls>,
    drained: CancellationToken,
) {
    let service = PeerServiceServer::new(server)
        .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::BLOCK_RUN_MESSAGE_BYTES_MAX);
    let connections =
        listener::accept(socket, Audience::Peers, limits::PEER_LISTENER, tls, drained.clone());
    let serving = listener::server::server(limits::PEER_WINDOW_BYTES)
        .add_service(service)
        .serve_with_incoming_shutdown(connections, drained.cancelled_owned());
    if let Err(error) = serving.await {
        warn!(%error, "the other nodes are served no more");
    }
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
    let voters = registry.voters().count();
    let terms = TermBound::new(clock.clone(), genesis.message().created_ms, voters);
    let learners = registry.learners().map(|node| node.id).collect();
    Peers::new(channels, learners, Bytes::copy_from_slice(genesis.chain_id().as_bytes()), terms)
}
