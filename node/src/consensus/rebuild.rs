//! Executes what the log holds without Raft and without the other nodes: how everything that is
//! derived from it is made again.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::v1;
use openraft::storage::RaftLogStorage;
use openraft::storage::RaftStateMachine;

use super::executor::Executor;
use super::log::Log;
use super::preparer::Preparer;
use super::state_machine::StateMachine;
use super::wire;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::log::LogStore;
use crate::storage::state::Salvage;
use crate::storage::state::StateStore;

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries that are executed.
    pub entries: u64,
    /// The last block.
    pub height: u64,
    /// Headers that could be compared with what was there, and are the same.
    pub compared: u64,
    /// Certificates that were taken over.
    pub certificates: u64,
}

/// A state on its way.
struct Rebuild<'a> {
    executor: Arc<Executor>,
    machine: StateMachine,
    old: Option<&'a Salvage>,
    rebuilt: Rebuilt,
}

/// Executes what a state, which may be empty, lacks of the entries before an end, and syncs it. Fails
/// if the log lacks one of them, or if a header is not the one that was there before. `progress` is
/// told how many entries of how many are executed.
pub async fn rebuild(
    log: &LogStore,
    end: u64,
    store: StateStore,
    genesis: Genesis,
    old: Option<&Salvage>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Rebuilt, Stop> {
    let registry = Arc::new(Registry::of(&genesis));
    let chain_id = genesis.chain_id();
    if end > 0 && log.first() != Some(0) {
        let place = "it does not begin with the first entry: fetch the blocks from other nodes";
        return Err(StorageError::corrupt("the log", place).into());
    }
    let signers = Signers::of(chain_id, &registry);
    let (executor, consensus) = Executor::open(store, genesis)?;
    let executor = Arc::new(executor);
    let preparer = Arc::new(Preparer::new(registry, chain_id));
    let machine = StateMachine::new(executor.clone(), preparer, consensus.as_deref())
        .map_err(|error| Stop { code: ExitCode::Corrupt, message: error.to_string() })?;
    let entries = consensus.map_or(0, |_| machine.applied_index().borrow().saturating_add(1));
    let height = executor.state().height();
    let rebuilt = Rebuilt { entries, height, compared: 0, certificates: 0 };
    let mut rebuild = Rebuild { executor, machine, old, rebuilt };
    rebuild.compare(height)?;
    while rebuild.rebuilt.entries < end {
        rebuild.execute(log, end).await?;
        progress(rebuild.rebuilt.entries, end);
    }
    rebuild.take_certificates(&signers)?;
    rebuild.machine.flush_all().await?;
    Ok(rebuild.rebuilt)
}

/// How many entries are known to be committed. Raft brings the rest when the node runs again.
pub async fn committed_end(log: &LogStore) -> Result<u64, Stop> {
    let corrupt = |error: openraft::StorageError<u64>| Stop {
        code: ExitCode::Corrupt,
        message: format!("the log: {error}"),
    };
    let committed = Log::new(log.clone()).read_committed().await.map_err(corrupt)?;
    let committed = committed.map(|id| id.index).max(log.purged()?.map(|id| id.index));
    let next = |index: u64| index.saturating_add(1);
    let last = log.last().map_or(0, |last| next(last.index));
    match committed.map_or(0, next) {
        end if end <= last => Ok(end),
        _ => Err(StorageError::corrupt("the log", "it ends before what is committed").into()),
    }
}

impl Rebuild<'_> {
    async fn execute(&mut self, log: &LogStore, end: u64) -> Result<(), Stop> {
        let entries = log.range(self.rebuilt.entries, end, limits::APPEND_BYTES_MAX)?;
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let entries = entries.into_iter().map(wire::entry_of_log).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| Stop {
            code: ExitCode::Corrupt,
            message: format!("the log: {error}"),
        })?;
        if let Err(error) = self.machine.apply(entries).await {
            let failure = self.executor.store().first_failure().or_else(|| log.first_failure());
            let unknown = || Stop { code: ExitCode::Corrupt, message: error.to_string() };
            return Err(failure.map_or_else(unknown, Stop::from));
        }
        let (before, height) = (self.rebuilt.height, self.executor.state().height());
        (before + 1..=height).try_for_each(|height| self.compare(height))?;
        self.rebuilt.entries += count;
        self.rebuilt.height = height;
        Ok(())
    }

    /// A header that was there before is what follows from the log, or one of them is damaged.
    fn compare(&mut self, height: u64) -> Result<(), Stop> {
        let Some(old) = self.old.and_then(|old| old.header(height)) else { return Ok(()) };
        let new = self.executor.store().header(height)?;
        if new.as_ref() == Some(&old) {
            self.rebuilt.compared += 1;
            return Ok(());
        }
        let place = format!(
            "the header of block {height} is not the one that this node had stored; nothing is replaced"
        );
        Err(StorageError::corrupt("the log or the state", place).into())
    }

    /// Certificates do not follow from the log. What is readable and holds is kept; later ones the
    /// nodes form again.
    fn take_certificates(&mut self, signers: &Signers) -> Result<(), Stop> {
        let store = self.executor.store();
        for (height, signatures) in self.old.into_iter().flat_map(Salvage::certificates) {
            let Some(header) = store.header(height)? else { continue };
            let header = Bytes::copy_from_slice(&header.encode());
            let certificate = v1::Certificate { header, signatures };
            if signers.certified(&certificate).is_ok() {
                store.save_certificate(height, &certificate.signatures)?;
                self.rebuilt.certificates += 1;
            }
        }
        Ok(())
    }
}
