//! A state that is built aside by following certified blocks, until it stands at a snapshot.

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::header::Header;
use counterfoil_proto::peer::v1;
use openraft::EntryPayload;
use openraft::StoredMembership;
use openraft::Vote;
use prost::Message;

use super::super::executor::Executor;
use super::super::executor::NotApplied;
use super::super::executor::Unflushed;
use super::super::state_machine::Applied;
use super::super::wire;
use super::run::Place;
use super::run::Refused;
use super::run::Run;
use super::run::Step;
use super::run::verify;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::storage::StorageError;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogEntry;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;

/// Follows blocks in a state of its own, and keeps their entries in the node's log.
pub struct Follower {
    executor: Executor,
    unflushed: Unflushed,
    applied: Applied,
    log: LogStore,
}

/// Why a run is not followed.
#[derive(Debug)]
pub enum NotFollowed {
    /// The node that told it lies.
    Lie(&'static str),
    /// This node can go on no more.
    Stop(Stop),
}

impl From<StorageError> for NotFollowed {
    fn from(error: StorageError) -> NotFollowed {
        NotFollowed::Stop(error.into())
    }
}

impl Follower {
    /// Goes on where an earlier one was left, or else from a copy of the node's own state.
    pub fn open(
        directory: &DataDirectory,
        log: &LogStore,
        own: &StateStore,
        genesis: Genesis,
    ) -> Result<Follower, Stop> {
        let own_height = own.last_height();
        let mut store = StateStore::open_building(directory, log.clone())?;
        if store.last_height() < own_height {
            drop(store);
            directory.discard_building()?;
            own.copy_to_building()?;
            store = StateStore::open_building(directory, log.clone())?;
        }
        let (executor, consensus) = Executor::open(store, genesis)?;
        let applied = consensus.as_deref().map_or(Ok(Applied::default()), Applied::decode);
        let applied = applied.map_err(|error| StorageError::corrupt("the state", error))?;
        let (unflushed, log) = (Unflushed::none(), log.clone());
        Ok(Follower { executor, unflushed, applied, log })
    }

    /// Where it stands.
    pub fn place(&self) -> Result<Place, StorageError> {
        let (height, proposal) = {
            let state = self.executor.state();
            (state.height(), state.last_proposal().0)
        };
        let header = self.executor.store().header(height)?;
        let header = header.ok_or_else(|| StorageError::corrupt("the headers", height))?;
        Ok(Place { header, applied: self.applied.log_id, proposal })
    }

    /// Verifies a run of blocks, keeps its entries in the log, and follows it. After an error the
    /// state in memory is at no block: whoever goes on opens another.
    pub fn follow(
        &mut self,
        message: v1::ReadBlocksResponse,
        target: &Header,
    ) -> Result<(), NotFollowed> {
        let place = self.place()?;
        let run = {
            let state = self.executor.state();
            verify(message, &place, target, state.registry())
        };
        let run = run.map_err(|refused| match refused {
            Refused::Rule(rule) => NotFollowed::Lie(rule),
            Refused::Apart => NotFollowed::Stop(apart(&place.header, target)),
        })?;
        self.keep(&place, &run)?;
        for step in &run.steps {
            match step {
                Step::Void(proposal) => self.executor.follow_void(&proposal.header),
                Step::Block(told) => {
                    let (header, proposal, leaves) = (&told.header, &told.proposal, &told.leaves);
                    let unflushed = &mut self.unflushed;
                    match self.executor.follow(header, proposal, leaves, unflushed) {
                        Ok(()) => {}
                        Err(NotApplied::Told(error)) => return Err(NotFollowed::Lie(error.rule)),
                        Err(NotApplied::Storage(error)) => return Err(error.into()),
                    }
                }
            }
        }
        for entry in &run.entries {
            if self.applied.log_id.is_some_and(|applied| entry.log_id.index <= applied.index) {
                continue;
            }
            self.applied.log_id = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = &entry.payload {
                self.applied.membership =
                    StoredMembership::new(Some(entry.log_id), membership.clone());
            }
        }
        if self.unflushed.is_due() {
            self.flush()?;
        }
        Ok(())
    }

    /// Appends what the log does not have. What it has in these places from a leader that did not get
    /// so far gives way: nothing of it was executed.
    fn keep(&self, place: &Place, run: &Run) -> Result<(), StorageError> {
        let Some(last) = run.entries.last() else { return Ok(()) };
        // As if that leader had sent them: in its term this node votes for nobody else.
        let leader = last.log_id.leader_id;
        let kept = self.log.vote()?.map(|bytes| v1::Vote::decode(&*bytes)).transpose();
        let kept = kept.map_err(|error| StorageError::corrupt("the vote", error))?;
        let voted = kept.and_then(|vote| vote.leader).map_or(0, |leader| leader.term);
        if voted < leader.term {
            let vote = wire::vote_to_message(&Vote::new(leader.term, leader.node_id));
            self.log.save_vote(&vote.encode_to_vec())?;
        }
        let executed = place.applied.map_or(0, |applied| applied.index + 1);
        let entries = run.entries.iter().filter(|entry| entry.log_id.index >= executed);
        let mut missing: Vec<LogEntry> = Vec::new();
        for entry in entries.map(wire::entry_to_log) {
            if missing.is_empty() && self.log.get(entry.index)?.as_ref() == Some(&entry) {
                continue;
            }
            missing.push(entry);
        }
        let Some(first) = missing.first() else { return Ok(()) };
        self.log.truncate_from(first.index)?;
        self.log.append(&missing)
    }

    /// Writes what is in memory alone.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        let consensus = self.applied.encode();
        match self.executor.begin_flush(&mut self.unflushed, &consensus) {
            Some(flush) => flush.write(),
            None => Ok(()),
        }
    }

    /// The ledger and its store.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Makes everything durable; the log knows what is committed.
    pub fn settle(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        if let Some(applied) = &self.applied.log_id {
            self.log.save_committed(&wire::log_id_to_message(applied).encode_to_vec())?;
        }
        self.executor.store().sync()
    }
}

fn apart(own: &Header, target: &Header) -> Stop {
    let (height, certified) = (own.height, target.height);
    Stop {
        code: ExitCode::Diverged,
        message: format!(
            "this node's block {height} is not in the history of block {certified}, which a quorum has \
             signed"
        ),
    }
}
