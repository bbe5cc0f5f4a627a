//! What this node states over its signature when it is asked, and what a quorum of nodes states
//! together: checkpoints, and that an id was decided nowhere. It speaks of final heights alone.

mod absence;
mod checkpoint;
mod gathering;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use counterfoil_ledger::checkpoint::Cosigners;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::verify::Signers;
use tokio::sync::watch;
use tracing::error;

use super::replica::Replica;
use super::replica::Unavailable;
use super::wanted_block::WantedBlock;
use crate::blocking;
use crate::limits;
use crate::storage::StorageError;

pub use gathering::Missing;
pub use gathering::NotGathered;

/// States, and gathers statements.
pub struct Statements {
    replica: Arc<Replica>,
    signer: Arc<dyn Signer>,
    signers: Signers,
    cosigners: Cosigners,
    certified: watch::Receiver<u64>,
    wanted: Arc<WantedBlock>,
    checkpoint: checkpoint::Cache,
    /// The greatest height that this node has cosigned since it started.
    cosigned: Mutex<u64>,
}

/// Why this node does not state something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStated {
    /// What was asked for is malformed.
    #[error("{0}")]
    Malformed(&'static str),
    /// What was asked for is not so on this node, or nothing that an honest node asks for.
    #[error("{0}")]
    Foreign(&'static str),
    /// The id was decided.
    #[error("the id was decided")]
    Decided,
    /// The height is not final to this node's knowledge.
    #[error("the height is not final to this node's knowledge")]
    NotFinal,
    /// It has cosigned a greater height.
    #[error("it has cosigned a greater height")]
    Older,
    /// Its key does not sign this.
    #[error("its attestation key did not sign")]
    NoSignature,
    /// Nothing can be said.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<StorageError> for NotStated {
    fn from(error: StorageError) -> NotStated {
        NotStated::Unavailable(error.into())
    }
}

impl Statements {
    /// Of a node with its attestation key.
    pub fn new(
        replica: Arc<Replica>,
        signer: Arc<dyn Signer>,
        wanted: Arc<WantedBlock>,
    ) -> Statements {
        let (signers, cosigners) = {
            let state = replica.state();
            let (chain_id, registry) = (state.chain_id(), state.registry());
            let consortium = &state.genesis_file().message().consortium;
            (Signers::of(chain_id, registry), Cosigners::of(consortium, &chain_id, registry))
        };
        let certified = replica.finality().certified();
        let checkpoint = checkpoint::Cache::default();
        let cosigned = Mutex::default();
        Statements { replica, signer, signers, cosigners, certified, wanted, checkpoint, cosigned }
    }

    /// This node's own header of a height, once that is final to its knowledge; a bounded wait.
    async fn final_header(&self, height: u64, wait: Duration) -> Result<Header, NotStated> {
        let mut certified = self.certified.clone();
        let known = certified.wait_for(|certified| *certified >= height);
        match tokio::time::timeout(wait, known).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(Unavailable::Stopping.into()),
            Err(_) => return Err(NotStated::NotFinal),
        }
        let header = self.replica.store().header(height)?;
        header.ok_or(NotStated::Unavailable(Unavailable::Stopping))
    }

    /// Signs on a thread of its own where that may wait for a device.
    async fn signed<T: Send + 'static>(
        &self,
        sign: impl FnOnce(&dyn Signer) -> Result<T, counterfoil_ledger::signature::SignerError>
        + Send
        + 'static,
    ) -> Result<T, NotStated> {
        let signer = self.signer.clone();
        let signed = if signer.may_wait() {
            blocking::aside(move || sign(&*signer)).await.map_err(|_| NotStated::NoSignature)?
        } else {
            sign(&*signer)
        };
        signed.map_err(|error| {
            error!(%error, "the attestation key did not sign a statement");
            NotStated::NoSignature
        })
    }

    /// Asks for a block of at least this time: what the leader does at another node's request. It
    /// waits while its clock is a moment behind the asker's.
    pub async fn want_block(&self, block_time_ms: u64) -> Result<(), NotStated> {
        if self.replica.state().block_time_ms() >= block_time_ms {
            return Ok(());
        }
        if self.replica.leader() != Some(self.replica.node()) {
            return Err(Unavailable::NoLeader.into());
        }
        let ahead_ms = block_time_ms.saturating_sub(self.replica.clock.now_ms());
        if ahead_ms > limits::STAMP_AHEAD_MS_MAX {
            return Err(NotStated::Foreign("the block time is ahead of this node's clock"));
        }
        // A block that cannot become final helps nobody.
        self.replica.admits()?;
        tokio::time::sleep(Duration::from_millis(ahead_ms)).await;
        self.wanted.ask(block_time_ms);
        Ok(())
    }
}
