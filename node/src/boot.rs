//! What a node has before it opens its data directory: the consortium's founding document, its own
//! keys, its addresses, and monitoring that already answers.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::{Node, Registry};
use counterfoil_ledger::signature::{Signer, SoftwareSigner};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::bounded_file;
use crate::clock::Clock;
use crate::config::{Config, TlsFiles};
use crate::exit::{ExitCode, Stop};
use crate::identity::key_file::read_private_pem;
use crate::identity::tls::Tls;
use crate::identity::tls::credential::CredentialFiles;
use crate::identity::tls::trust::Trust;
use crate::limits;
use crate::listener;
use crate::storage::Failure;
use crate::storage::StorageError;
use crate::telemetry::health::Health;
use crate::telemetry::{http, metrics};

/// A node before its data directory is open.
pub struct Boot {
    /// The founding document.
    pub genesis: Genesis,
    /// What it founds.
    pub registry: Registry,
    /// Signs what this node produces, with the key that the registry has for it.
    pub signer: Arc<dyn Signer>,
    /// This node's end of every connection.
    pub tls: Arc<Tls>,
    /// Bound, and not accepting yet.
    pub clients: TcpListener,
    /// Bound, and not accepting yet.
    pub peers: TcpListener,
    /// Whether the node serves; monitoring already reads it.
    pub health: Health,
}

impl Boot {
    /// Reads, checks and binds everything; then monitoring answers, and the certificate is read
    /// again whenever it changes, until the shutdown.
    pub fn prepare(
        config: &Config,
        clock: &Clock,
        shutdown: &CancellationToken,
    ) -> Result<Boot, Stop> {
        let genesis = read_genesis(&config.genesis)?;
        let registry = Registry::of(&genesis);
        let node = registered_node(&registry, config.node_id)?;
        let signer = read_attestation_key(&config.attestation_key, node)?;
        let tls = Arc::new(open_tls(config, &genesis, clock)?);
        let clients = listener::bind(config.listen.client)?;
        let peers = listener::bind(config.listen.peer)?;
        let monitoring = listener::bind(config.listen.metrics)?;
        let health = Health::starting();
        tokio::spawn(http::serve(monitoring, metrics::start(), health.clone(), shutdown.clone()));
        let watched = Arc::clone(&tls);
        let reloading = async move { watched.reload_on_change().await };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(reloading));
        info!(
            node_id = config.node_id,
            identity = %tls.identity(),
            chain_id = %genesis.chain_id(),
            client = %config.listen.client,
            peer = %config.listen.peer,
            metrics = %config.listen.metrics,
            version = env!("CARGO_PKG_VERSION"),
            "node starts"
        );
        Ok(Boot { genesis, registry, signer: Arc::new(signer), tls, clients, peers, health })
    }
}

/// Reads and checks a genesis file.
pub fn read_genesis(path: &Path) -> Result<Genesis, Stop> {
    let usage = |words: String| Stop {
        code: ExitCode::Usage,
        message: format!("the genesis file {}: {words}", path.display()),
    };
    let bytes = File::open(path)
        .and_then(|file| bounded_file::read(file, limits::GENESIS_FILE_BYTES_MAX))
        .map_err(|error| usage(format!("cannot be read: {error}")))?;
    Genesis::decode(&bytes).map_err(|error| usage(error.to_string()))
}

/// The registry's record of a node id.
pub fn registered_node(registry: &Registry, node_id: u64) -> Result<&Node, Stop> {
    registry.node(node_id).ok_or_else(|| {
        let ids: Vec<String> = registry.nodes().map(|node| node.id.to_string()).collect();
        Stop {
            code: ExitCode::Usage,
            message: format!(
                "node.id: the registry has no node {node_id}; it has {}",
                ids.join(", ")
            ),
        }
    })
}

/// Reads the key that signs what a node produces. It must be the one registered for the node.
pub fn read_attestation_key(path: &Path, node: &Node) -> Result<SoftwareSigner, Stop> {
    let identity = |message: String| Stop { code: ExitCode::Identity, message };
    let pem = read_private_pem(path).map_err(|error| identity(error.to_string()))?;
    let signer = SoftwareSigner::from_pkcs8_pem(&pem)
        .map_err(|error| identity(format!("the attestation key in {}: {error}", path.display())))?;
    let (found, registered) = (signer.key_id(), node.attestation_key_id);
    if found != registered {
        return Err(identity(format!(
            "the attestation key in {} has the id {found}; the registry has {registered} for node {}",
            path.display(),
            node.id
        )));
    }
    Ok(signer)
}

/// Loads the node's certificate and key, judged by what the genesis file founds.
pub fn open_tls(config: &Config, genesis: &Genesis, clock: &Clock) -> Result<Tls, Stop> {
    let trust = Trust::of(genesis)
        .map_err(|error| Stop { code: ExitCode::Usage, message: format!("genesis: {error}") })?;
    let TlsFiles { certificate, key } = config.tls.clone();
    Tls::new(config.node_id, trust, CredentialFiles { certificate, key }, clock.clone())
        .map_err(|error| Stop { code: ExitCode::Identity, message: error.to_string() })
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Stop {
        Stop::from(&error)
    }
}

impl From<&StorageError> for Stop {
    fn from(error: &StorageError) -> Stop {
        let code = match error {
            StorageError::NotInitialised(_)
            | StorageError::NotEmpty(_)
            | StorageError::Foreign { .. } => ExitCode::DirectoryMismatch,
            StorageError::Locked(_) => ExitCode::DirectoryLocked,
            StorageError::Diverged { .. } => ExitCode::Diverged,
            StorageError::Format { .. } => ExitCode::Corrupt,
            error => match error.failure() {
                Some(Failure::Full) => ExitCode::DiskFull,
                Some(Failure::Corrupt) => ExitCode::Corrupt,
                Some(Failure::Refused) | None => ExitCode::Storage,
            },
        };
        Stop { code, message: error.to_string() }
    }
}
