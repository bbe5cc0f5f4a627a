//! The composition root: opens, wires, starts, waits, stops, in that order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::SoftwareSigner;
use counterfoil_proto::peer::v1::peer_service_server::PeerServiceServer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use tracing::warn;

use crate::api;
use crate::clock::Clock;
use crate::config::Config;
use crate::connector;
use crate::consensus::group;
use crate::consensus::group::Group;
use crate::consensus::network::Peers;
use crate::consensus::peer_service::PeerServer;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::identity::key_file;
use crate::identity::tls::Audience;
use crate::identity::tls::CredentialFiles;
use crate::identity::tls::Tls;
use crate::identity::tls::trust::Trust;
use crate::limits;
use crate::listener;
use crate::status::StatusReporter;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;
use crate::telemetry::health::Health;
use crate::telemetry::health::Readiness;
use crate::telemetry::http;
use crate::telemetry::metrics;

/// Runs the node until the shutdown is asked for or consensus dies.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Stop> {
    let clock = Clock::system();
    let health = Health::starting();
    let genesis = read_genesis(&config.genesis)?;
    let registry = Registry::of(&genesis);
    let chain_id = genesis.chain_id();
    let signer = attestation_signer(&config, &registry)?;
    let tls = open_tls(&config, &genesis, &clock)?;

    // Ports before data: a busy one must not leave a half-started node behind.
    let client_socket = bind(config.listen.client)?;
    let peer_socket = bind(config.listen.peer)?;
    let metrics_socket = bind(config.listen.metrics)?;

    let directory = DataDirectory::open(&config.data, config.node_id, &chain_id)
        .map_err(|error| group::stop_of_storage(&error))?;
    let log = LogStore::open(&directory).map_err(|error| group::stop_of_storage(&error))?;
    let store =
        StateStore::open(&directory, log.clone()).map_err(|error| group::stop_of_storage(&error))?;
    let peers = peers(&config, &registry, &tls, chain_id.as_bytes());
    let group = Group::start(group::Parts {
        node: config.node_id,
        genesis,
        signer,
        log: log.clone(),
        store,
        peers,
        timing: config.raft,
        clock: clock.clone(),
    })
    .await?;
    let replica = group.replica();
    let reporter = Arc::new(StatusReporter::new(replica.clone(), log, tls.clone(), clock.clone()));

    let tasks = TaskTracker::new();
    let prometheus = metrics::start();
    let publishing = reporter.clone().publish();
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(publishing));
    tasks.spawn(http::serve(metrics_socket, prometheus, health.clone(), shutdown.clone()));
    let watching = tls.clone();
    let reloading = async move { watching.reload_on_change().await };
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(reloading));
    let status = reporter.clone();
    let peer_server = PeerServiceServer::new(PeerServer::new(
        replica.clone(),
        Arc::new(move || status.report()),
    ))
    .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
    .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
    let peer_connections = listener::accept(
        peer_socket,
        Audience::Peers,
        limits::PEER_LISTENER,
        tls.clone(),
        shutdown.clone(),
    );
    tasks.spawn(
        listener::server::server()
            .add_service(peer_server)
            .serve_with_incoming_shutdown(peer_connections, shutdown.clone().cancelled_owned()),
    );
    let client_connections = listener::accept(
        client_socket,
        Audience::Clients,
        limits::CLIENT_LISTENER,
        tls,
        shutdown.clone(),
    );
    tasks.spawn(api::serve(
        api::Parts { replica, reporter, clock, health: health.clone() },
        client_connections,
        shutdown.clone(),
    ));
    tasks.close();
    health.set(Readiness::Ready);
    info!(node = config.node_id, chain = %chain_id, client = %config.listen.client, "running");

    let died = tokio::select! {
        () = shutdown.cancelled() => None,
        stop = group.died() => Some(stop),
    };
    if let Some(stop) = died {
        return Err(stop);
    }
    health.set(Readiness::NotReady("stopping".to_owned()));
    if tokio::time::timeout(limits::DRAIN_TIMEOUT, tasks.wait()).await.is_err() {
        warn!("some connections did not end in time and are cut");
    }
    group.stop().await;
    info!("stopped");
    Ok(())
}

/// Reads and checks the genesis file.
pub fn read_genesis(path: &Path) -> Result<Genesis, Stop> {
    let usage = |message: String| Stop { code: ExitCode::Usage, message };
    let size = std::fs::metadata(path)
        .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?
        .len();
    if size > limits::GENESIS_FILE_BYTES_MAX {
        return Err(usage(format!("{} is too large for a genesis file", path.display())));
    }
    let bytes = std::fs::read(path)
        .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
    Genesis::decode(&bytes).map_err(|error| usage(format!("{}: {error}", path.display())))
}

/// Loads the attestation key and checks that it is the one registered for this node.
pub fn attestation_signer(config: &Config, registry: &Registry) -> Result<Arc<dyn Signer>, Stop> {
    let identity = |message: String| Stop { code: ExitCode::Identity, message };
    let path = &config.attestation_key;
    let pem = key_file::read_private_pem(path).map_err(|error| identity(error.to_string()))?;
    let signer = SoftwareSigner::from_pkcs8_pem(&pem)
        .map_err(|error| identity(format!("{}: {error}", path.display())))?;
    let node = registry.node(config.node_id).ok_or_else(|| Stop {
        code: ExitCode::Usage,
        message: format!("node.id {} is not in the genesis file", config.node_id),
    })?;
    if signer.key_id() != node.attestation_key_id {
        return Err(identity(format!(
            "{} holds key {}; the one registered for node {} is {}",
            path.display(),
            signer.key_id(),
            config.node_id,
            node.attestation_key_id
        )));
    }
    Ok(Arc::new(signer))
}

/// Loads the node's certificate against the genesis file's anchors.
pub fn open_tls(config: &Config, genesis: &Genesis, clock: &Clock) -> Result<Arc<Tls>, Stop> {
    let identity = |message: String| Stop { code: ExitCode::Identity, message };
    let trust = Trust::of(genesis).map_err(|error| identity(error.to_string()))?;
    let files = CredentialFiles {
        certificate: config.tls.certificate.clone(),
        key: config.tls.key.clone(),
    };
    let tls = Tls::new(config.node_id, trust, files, clock.clone())
        .map_err(|error| identity(error.to_string()))?;
    Ok(Arc::new(tls))
}

fn bind(address: std::net::SocketAddr) -> Result<tokio::net::TcpListener, Stop> {
    listener::bind(address).map_err(|error| {
        let code = match error {
            listener::BindError::InUse(_) => ExitCode::AddressInUse,
            _ => ExitCode::Usage,
        };
        Stop { code, message: error.to_string() }
    })
}

fn peers(config: &Config, registry: &Registry, tls: &Arc<Tls>, chain_id: &[u8]) -> Peers {
    let channels: BTreeMap<_, _> = registry
        .nodes()
        .filter(|node| node.id != config.node_id)
        .map(|node| {
            let address = config.peers.get(&node.id).unwrap_or(&node.peer_address).clone();
            (node.id, connector::peer_channel(tls.clone(), node.id, address))
        })
        .collect();
    Peers::new(channels, Bytes::copy_from_slice(chain_id))
}
