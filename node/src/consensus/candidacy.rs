//! Whether this node takes part in elections. One that is short of space lets others lead. One whose
//! log ends before what it is known to have had does not stand until it has caught up, and gives no vote
//! to a node whose log ends there too: what was committed with its help could be lost.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tracing::info;
use tracing::warn;

use super::Raft;
use super::finality::Finality;
use super::finality::Reached;
use super::space::Space;
use crate::limits;
use crate::storage::log::LogStore;

/// Of one node.
pub struct Candidacy {
    space: Arc<Space>,
    finality: Arc<Finality>,
    log: LogStore,
    /// When a leader was heard last.
    heard: Mutex<Instant>,
}

impl Candidacy {
    /// By its space, what others recall of it, and its log.
    pub fn new(space: Arc<Space>, finality: Arc<Finality>, log: LogStore) -> Candidacy {
        Candidacy { space, finality, log, heard: Mutex::new(Instant::now()) }
    }

    /// Whether it may give its vote to a node whose log ends with an entry. Who knows all that this one
    /// is known to have had may get it in any case.
    pub fn may_vote(&self, for_log: Option<Reached>) -> bool {
        let reached = self.finality.recall().reached();
        reached.is_some_and(|reached| for_log >= Some(reached) || self.last() >= reached)
    }

    /// `may_vote`, if need be a little later: at the start the others are asked first.
    pub async fn may_vote_soon(&self, for_log: Option<Reached>) -> bool {
        let mut told = self.finality.recall().watch();
        let waited = async { while !self.may_vote(for_log) && told.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(limits::RECALL_WAIT, waited).await;
        self.may_vote(for_log)
    }

    /// Whether its own log has all that it is known to have had.
    pub fn is_whole(&self) -> bool {
        self.may_vote(None)
    }

    /// Whether it may stand for election. Who is short of space stands only when nobody has led for a
    /// while: a leader that takes nothing new still serves reads.
    pub fn may_stand(&self) -> bool {
        let is_wanted = || self.heard().elapsed() >= limits::SHORT_OF_SPACE_PAUSE;
        self.is_whole() && (self.space.admits().is_ok() || is_wanted())
    }

    /// A leader was heard.
    pub fn hear_leader(&self) {
        *self.heard() = Instant::now();
    }

    // Nothing panics while it holds this lock.
    fn heard(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Reached {
        let last = self.log.last();
        last.map_or(Reached::default(), |last| Reached { term: last.term, index: last.index })
    }

    /// Switches Raft's own elections on and off, for ever; they are off at first.
    pub async fn run(self: Arc<Self>, raft: Raft) {
        let (mut stands, mut waits) = (false, false);
        let (mut told, mut left) = (self.finality.recall().watch(), self.space.watch());
        loop {
            let may_stand = self.may_stand();
            if may_stand != stands {
                raft.runtime_config().elect(may_stand);
                stands = may_stand;
            }
            let behind = self.finality.recall().reached().filter(|_| !self.is_whole());
            if let Some(reached) = behind.filter(|_| !waits) {
                warn!(
                    ?reached,
                    "this node's log ends before an entry that it is known to have had: an older copy \
                     of its data was put back. Until it has caught up it does not stand for election, \
                     and votes only for nodes that have that entry"
                );
            }
            if waits && behind.is_none() {
                info!("this node has caught up with what it is known to have had");
            }
            waits = behind.is_some();
            let looks_again = waits || self.space.admits().is_err();
            tokio::select! {
                changed = told.changed() => if changed.is_err() { return },
                changed = left.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_INTERVAL), if looks_again => {}
            }
        }
    }
}

/// Between two looks at the log of a node that catches up, or at who leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
