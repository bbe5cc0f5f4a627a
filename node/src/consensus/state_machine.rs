//! openraft's state machine: entries in log order go to the executor.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use counterfoil_ledger::apply::LogPosition;
use counterfoil_ledger::header::Header;
use counterfoil_proto::peer::v1;
use openraft::CommittedLeaderId;
use openraft::EmptyNode;
use openraft::EntryPayload;
use openraft::ErrorSubject;
use openraft::ErrorVerb;
use openraft::LogId;
use openraft::OptionalSend;
use openraft::RaftSnapshotBuilder;
use openraft::Snapshot;
use openraft::SnapshotMeta;
use openraft::StorageError;
use openraft::StorageIOError;
use openraft::StoredMembership;
use openraft::storage::RaftStateMachine;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Executed;
use super::Types;
use super::executor::Executor;
use super::executor::Unflushed;
use super::preparer::Preparer;
use super::snapshots::Maker;
use super::wire;
use crate::blocking;
use crate::defect;
use crate::defect::Defect;
use crate::storage;
use crate::storage::state::Flush;
use crate::telemetry::metrics;

/// Where the state machine stands in the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    pub(super) log_id: Option<LogId<u64>>,
    pub(super) membership: StoredMembership<u64, EmptyNode>,
}

/// The ledger as openraft sees it.
pub struct StateMachine {
    executor: Arc<Executor>,
    preparer: Arc<Preparer>,
    applied: Applied,
    unflushed: Unflushed,
    flushing: Option<JoinHandle<Result<(), storage::StorageError>>>,
    applied_index: watch::Sender<u64>,
    /// Makes snapshots where they are due.
    maker: Option<Arc<Maker>>,
    /// What Raft was told of a snapshot, if anything was.
    covered: Arc<Mutex<Option<SnapshotMeta<u64, EmptyNode>>>>,
}

impl StateMachine {
    /// Goes on after `consensus`, what was flushed beside the executor's state.
    pub fn new(
        executor: Arc<Executor>,
        preparer: Arc<Preparer>,
        consensus: Option<&[u8]>,
    ) -> Result<StateMachine, wire::Malformed> {
        let applied = consensus.map_or(Ok(Applied::default()), Applied::decode)?;
        let index = applied.log_id.map_or(0, |id| id.index);
        let (applied_index, _) = watch::channel(index);
        Ok(StateMachine {
            executor,
            preparer,
            applied,
            unflushed: Unflushed::none(),
            flushing: None,
            applied_index,
            maker: None,
            covered: Arc::default(),
        })
    }

    /// The same, which makes snapshots, and tells Raft of those that are certified.
    pub fn with_snapshots(self, maker: Arc<Maker>) -> StateMachine {
        StateMachine { maker: Some(maker), ..self }
    }

    /// The Raft index of the last entry executed, as it grows; 0 before the first.
    pub fn applied_index(&self) -> watch::Receiver<u64> {
        self.applied_index.subscribe()
    }

    async fn execute(
        &mut self,
        entry: openraft::Entry<Types>,
    ) -> Result<Executed, StorageError<u64>> {
        let log_id = entry.log_id;
        let executed = match entry.payload {
            EntryPayload::Blank => Executed::default(),
            EntryPayload::Membership(membership) => {
                self.applied.membership = StoredMembership::new(Some(log_id), membership);
                Executed::default()
            }
            EntryPayload::Normal(proposal) => match self.preparer.take(&proposal.0).await {
                // Bytes that are no proposal at all take no part in the chain of proposals.
                None => Executed::default(),
                Some(prepared) => {
                    let log = LogPosition {
                        term: log_id.leader_id.term,
                        node: log_id.leader_id.node_id,
                        index: log_id.index,
                    };
                    let (executor, unflushed) = (&self.executor, &mut self.unflushed);
                    let started = Instant::now();
                    let executed =
                        blocking::in_place(|| executor.execute(&prepared, log, unflushed))
                            .await
                            .map_err(|error| failed(&error))?;
                    metrics::APPLY_SECONDS.histogram(&[]).record(started.elapsed());
                    executed
                }
            },
        };
        self.applied.log_id = Some(log_id);
        Ok(executed)
    }

    /// Writes everything that has gathered, and waits until it survives a power cut.
    pub async fn flush_all(&mut self) -> Result<(), storage::StorageError> {
        if let Some(flushing) = self.flushing.take() {
            flushing.await.expect("writing the state does not panic")?;
        }
        let consensus = self.applied.encode();
        blocking::in_place(|| {
            if let Some(flush) = self.executor.begin_flush(&mut self.unflushed, &consensus) {
                flush.write()?;
            }
            self.executor.store().sync()
        })
        .await
    }

    /// Writes what has gathered, beside execution, when it is time and the last write has ended.
    async fn flush_if_due(&mut self) -> Result<(), StorageError<u64>> {
        if self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished()) {
            return Ok(());
        }
        self.end_flush().await?;
        if !self.unflushed.is_due() {
            return Ok(());
        }
        self.flushing = self.begin_flush().await.map(|flush| {
            blocking::aside(move || {
                let started = Instant::now();
                let written = flush.write();
                metrics::STATE_WRITE_SECONDS.histogram(&[]).record(started.elapsed());
                written
            })
        });
        Ok(())
    }

    /// Where a snapshot is due after this block, flushes everything up to it and has it made.
    async fn snapshot_if_due(&mut self, header: &Header) -> Result<(), StorageError<u64>> {
        let due = self.maker.clone().filter(|maker| maker.is_due(header.height));
        let Some(maker) = due else { return Ok(()) };
        self.end_flush().await?;
        self.flushing = self.begin_flush().await.map(|flush| maker.begin(flush, header.clone()));
        Ok(())
    }

    /// Waits for the flush that is under way.
    async fn end_flush(&mut self) -> Result<(), StorageError<u64>> {
        let Some(flushing) = self.flushing.take() else { return Ok(()) };
        let written = flushing.await.expect("writing the state does not panic");
        written.map_err(|error| failed(&error))
    }

    /// Takes everything unflushed into one batch.
    async fn begin_flush(&mut self) -> Option<Flush> {
        let behind = |id: LogId<u64>| LogId::new(id.leader_id, id.index.saturating_sub(1));
        let before = defect::is(Defect::AppliesTwice)
            .then(|| Applied { log_id: self.applied.log_id.map(behind), ..self.applied.clone() });
        let consensus = before.as_ref().unwrap_or(&self.applied).encode();
        let (executor, unflushed) = (&self.executor, &mut self.unflushed);
        blocking::in_place(|| executor.begin_flush(unflushed, &consensus)).await
    }

    /// What Raft may be told of the newest certified snapshot, if the state is at least there.
    fn certified(&self) -> Option<SnapshotMeta<u64, EmptyNode>> {
        let last_log_id = Some(self.maker.as_ref()?.covers()?);
        (last_log_id <= self.applied.log_id).then(|| self.applied.meta(last_log_id))
    }

    /// What Raft is told where there is none: no more than it has purged, if it has.
    fn uncertified(&self) -> SnapshotMeta<u64, EmptyNode> {
        let purged = self.executor.store().log().purged().ok().flatten();
        let purged = purged
            .map(|id| LogId::new(CommittedLeaderId::new(id.term, id.node), id.index))
            .filter(|id| Some(*id) <= self.applied.log_id);
        self.applied.meta(purged.or(self.applied.log_id))
    }
}

fn failed<E: std::error::Error + 'static>(error: &E) -> StorageError<u64> {
    let source = openraft::AnyError::new(error);
    StorageIOError::new(ErrorSubject::StateMachine, ErrorVerb::Write, source).into()
}

impl Applied {
    /// A snapshot up to an entry that has been applied.
    fn meta(&self, last_log_id: Option<LogId<u64>>) -> SnapshotMeta<u64, EmptyNode> {
        let snapshot_id = last_log_id.map_or(String::new(), |id| id.to_string());
        SnapshotMeta { last_log_id, last_membership: self.membership.clone(), snapshot_id }
    }

    /// An AppendEntriesRequest that carries the applied id as `previous` and the membership as its
    /// only entry: both have their encoding there already.
    pub(super) fn encode(&self) -> Vec<u8> {
        let membership = self.membership.log_id().map(|log_id| v1::Entry {
            log_id: Some(wire::log_id_to_message(&log_id)),
            payload: Some(v1::entry::Payload::Membership(wire::membership_to_message(
                self.membership.membership(),
            ))),
        });
        let message = v1::AppendEntriesRequest {
            previous: self.log_id.as_ref().map(wire::log_id_to_message),
            entries: membership.into_iter().collect(),
            ..v1::AppendEntriesRequest::default()
        };
        message.encode_to_vec()
    }

    /// Reads what `encode` wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<Applied, wire::Malformed> {
        let malformed = wire::Malformed("applied position");
        let message = v1::AppendEntriesRequest::decode(bytes).map_err(|_| malformed)?;
        let log_id = message.previous.as_ref().map(wire::log_id_of_message).transpose()?;
        let mut applied = Applied { log_id, membership: StoredMembership::default() };
        if let Some(entry) = message.entries.first() {
            let log_id = wire::log_id_of_message(entry.log_id.as_ref().ok_or(malformed)?)?;
            let Some(v1::entry::Payload::Membership(membership)) = &entry.payload else {
                return Err(malformed);
            };
            let membership = wire::membership_of_message(membership);
            applied.membership = StoredMembership::new(Some(log_id), membership);
        }
        Ok(applied)
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotBuilder = CoveredSnapshot;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, EmptyNode>), StorageError<u64>> {
        Ok((self.applied.log_id, self.applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Executed>, StorageError<u64>>
    where
        I: IntoIterator<Item = openraft::Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut all = Vec::new();
        let entries: Vec<_> = entries.into_iter().collect();
        for entry in entries {
            let executed = self.execute(entry).await?;
            if let Some(found) = executed.0.clone() {
                self.snapshot_if_due(&found.block.header).await?;
            }
            all.push(executed);
            if let Some(log_id) = self.applied.log_id {
                self.applied_index.send_replace(log_id.index);
            }
        }
        self.flush_if_due().await?;
        Ok(all)
    }

    async fn get_snapshot_builder(&mut self) -> CoveredSnapshot {
        let meta = self.certified().unwrap_or_else(|| self.uncertified());
        CoveredSnapshot { meta, covered: self.covered.clone() }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, EmptyNode>,
        _snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        self.executor.is_founding().map_err(|error| failed(&error))?;
        self.applied =
            Applied { log_id: meta.last_log_id, membership: meta.last_membership.clone() };
        *self.covered.lock().unwrap_or_else(PoisonError::into_inner) = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError<u64>> {
        let told = self.covered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let newest = [self.certified(), told].into_iter().flatten();
        let meta = newest.max_by_key(|meta| meta.last_log_id);
        Ok(meta.map(|meta| Snapshot { meta, snapshot: Box::default() }))
    }
}

/// What Raft is told of a snapshot: up to where the state is in one. Its bytes never go through Raft,
/// and a node that is behind it catches up before it takes part.
///
/// If there is none that is certified, it is the state as it is: Raft purges nothing unless it is told
/// to, and where it once was told so, it has to be given something.
pub struct CoveredSnapshot {
    meta: SnapshotMeta<u64, EmptyNode>,
    covered: Arc<Mutex<Option<SnapshotMeta<u64, EmptyNode>>>>,
}

impl RaftSnapshotBuilder<Types> for CoveredSnapshot {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<u64>> {
        let mut covered = self.covered.lock().unwrap_or_else(PoisonError::into_inner);
        *covered = Some(self.meta.clone());
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::ProposalBytes;
    use crate::consensus::suite;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_flushed_names_the_last_entry_that_it_holds() {
        let (_directory, _log, mut machine) = suite::stores();
        let last = machine.executor.state().last_proposal();
        let proposal = suite::empty_proposal(last, 1, 1);
        let log_id = LogId::new(CommittedLeaderId::new(1, 1), 7);
        let payload = EntryPayload::Normal(ProposalBytes(proposal.encode()));
        let executed = machine.apply([openraft::Entry::<Types> { log_id, payload }]).await.unwrap();
        assert!(executed[0].0.is_some());

        machine.begin_flush().await.unwrap().write().unwrap();
        let restored = machine.executor.store().restored().unwrap().unwrap();
        let applied = Applied::decode(&restored.consensus).unwrap();
        assert_eq!(applied.log_id, Some(log_id));
    }
}
