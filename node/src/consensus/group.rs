//! The Raft group of one node: starts everything that belongs to consensus, and says when it is
//! over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::verify::Signers;
use openraft::Config;
use openraft::SnapshotPolicy;
use openraft::error::Fatal;
use openraft::error::InitializeError;
use openraft::error::RaftError;
use openraft::storage::RaftLogStorage;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use tracing::warn;

use super::Raft;
use super::admission::Admission;
use super::admission::checking::Checking;
use super::admission::queue::Queue;
use super::builder::Builder;
use super::candidacy::Candidacy;
use super::executor::Executor;
use super::finality;
use super::finality::Finality;
use super::forwarder::Forwarder;
use super::inclusion::Inclusion;
use super::join;
use super::log::Log;
use super::network::Peers;
use super::oversight::Oversight;
use super::preparer::Preparer;
use super::replica::Replica;
use super::snapshots;
use super::snapshots::Keeper;
use super::snapshots::Maker;
use super::space::Space;
use super::state_machine::StateMachine;
use super::statements::Statements;
use super::wanted_block::WantedBlock;
use crate::clock::Clock;
use crate::config::RaftTiming;
use crate::defect;
use crate::defect::Defect;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;
use crate::storage::Failure;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::snapshots::Snapshots;
use crate::storage::state::StateStore;
use crate::telemetry::excess::Bound;

/// What consensus is started with.
pub struct Parts {
    /// This node.
    pub node: u64,
    /// The founding document.
    pub genesis: Genesis,
    /// Its attestation key.
    pub signer: Arc<dyn Signer>,
    /// Whether it signs headers.
    pub signs: bool,
    /// Where it keeps evidence.
    pub directory: DataDirectory,
    /// Its log.
    pub log: LogStore,
    /// Its state.
    pub store: StateStore,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// The other nodes.
    pub peers: Peers,
    /// Raft's timing.
    pub timing: RaftTiming,
    /// What is left of its disk.
    pub space: Arc<Space>,
    /// How long its builder gathers after a block, at most.
    pub gather: Duration,
    /// Its clock.
    pub clock: Clock,
}

/// A running member of the group.
pub struct Group {
    log: LogStore,
    replica: Arc<Replica>,
    inclusion: Arc<Inclusion>,
    statements: Arc<Statements>,
    keeper: Arc<Keeper>,
    raft: Raft,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Group {
    /// Opens the ledger, joins or founds the group and goes to work.
    pub async fn start(parts: Parts) -> Result<Group, Stop> {
        let registry = Arc::new(Registry::of(&parts.genesis));
        let chain_id = parts.genesis.chain_id();
        let voters: BTreeSet<u64> = registry.voters().map(|node| node.id).collect();
        let is_voter = voters.contains(&parts.node);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (executor, consensus) = Executor::open(parts.store, parts.genesis)?;
        let executor = Arc::new(executor);
        let (finality, finality_tasks) = Finality::open(finality::Parts {
            node: parts.node,
            registry: registry.clone(),
            chain_id,
            signer: parts.signer.clone(),
            signs: parts.signs,
            executor: executor.clone(),
            log: parts.log.clone(),
            directory: parts.directory,
            peers: parts.peers.clone(),
        })?;
        let interval = registry.policy().snapshot_interval_blocks;
        let maker = Arc::new(Maker::new(
            interval,
            chain_id,
            executor.store().clone(),
            parts.snapshots,
            tasks.clone(),
            stop.clone(),
        ));
        let keeper = Arc::new(Keeper::new(snapshots::Parts {
            node: parts.node,
            chain_id,
            signers: Signers::of(chain_id, &registry),
            signer: (parts.signs && is_voter).then(|| parts.signer.clone()),
            interval,
            finality: finality.clone(),
            executor: executor.clone(),
            maker: maker.clone(),
            peers: parts.peers.clone(),
        }));
        let preparer = Arc::new(Preparer::new(registry, chain_id));
        let machine = StateMachine::new(executor.clone(), preparer.clone(), consensus.as_deref())
            .map_err(|error| corrupt(error.to_string()))?
            .with_snapshots(maker);
        let applied_index = machine.applied_index();
        let config = Arc::new(raft_config(parts.timing)?);
        let stored = parts.log.clone();
        let mut log = Log::new(parts.log);
        let resigned = resign(&mut log, parts.node).await?;
        let raft = Raft::new(parts.node, config, parts.peers.clone(), log, machine)
            .await
            .map_err(|fatal| stop_of_fatal(&fatal))?;
        if is_voter {
            found(&raft, voters.clone()).await?;
        }

        let candidacy =
            Arc::new(Candidacy::new(parts.space.clone(), finality.clone(), stored.clone()));
        let oversight = Arc::new(Oversight::new(
            parts.node,
            &voters,
            raft.clone(),
            parts.peers.clone(),
            candidacy.clone(),
        ));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let queue = Arc::new(Queue::default());
        let (barriers, asked) = mpsc::channel(limits::BARRIERS_MAX);
        let spent = Arc::new(AtomicU64::new(0));
        let replica = Arc::new(Replica {
            node: parts.node,
            raft: raft.clone(),
            executor: executor.clone(),
            preparer: preparer.clone(),
            finality: finality.clone(),
            space: parts.space.clone(),
            peers: parts.peers.clone(),
            clock: parts.clock.clone(),
            queue: queue.clone(),
            admission: Admission::new(limits::ADMISSION, Bound::Queue),
            checking: Checking::new(preparer.clone()),
            forwarder: Forwarder::new(raft.clone(), parts.peers.clone(), stop.clone()),
            oversight,
            candidacy: candidacy.clone(),
            barriers,
            applied_index,
            spent: spent.clone(),
        });
        let inclusion = Arc::new(Inclusion::new(replica.clone(), parts.signer.clone()));
        let wanted = Arc::new(WantedBlock::default());
        let statements =
            Arc::new(Statements::new(replica.clone(), parts.signer.clone(), wanted.clone()));
        let builder = Builder {
            node: parts.node,
            signer: parts.signer,
            raft: raft.clone(),
            executor,
            preparer,
            finality: finality.clone(),
            space: parts.space.clone(),
            clock: parts.clock,
            queue,
            wanted,
            gather: parts.gather,
            spent,
        };
        tasks.spawn(builder.run(stop.clone()));
        finality.start(finality_tasks, &raft, &tasks, &stop);
        keeper.start(&raft, &tasks, &stop);
        let serving = replica.clone().serve_barriers(asked);
        tasks.spawn(stop.clone().run_until_cancelled_owned(serving));
        if !is_voter {
            let joining = join::run(parts.node, raft.clone(), parts.peers.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(joining));
        }
        let including = inclusion.clone().run();
        tasks.spawn(stop.clone().run_until_cancelled_owned(including));
        let watching = parts.space.clone().run();
        tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
        let standing = candidacy.clone().run(raft.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(standing));
        let elections = stand_again(raft.clone(), candidacy.clone(), parts.timing.election_max);
        tasks.spawn(stop.clone().run_until_cancelled_owned(elections));
        if resigned {
            let pause = parts.timing.heartbeat * 3;
            let standing = stand_first(raft.clone(), candidacy, parts.node, pause);
            tasks.spawn(stop.clone().run_until_cancelled_owned(standing));
        }
        tasks.close();
        Ok(Group { log: stored, replica, inclusion, statements, keeper, raft, tasks, stop })
    }

    /// What the API holds of it.
    pub fn replica(&self) -> Arc<Replica> {
        self.replica.clone()
    }

    /// What the API asks to see to an instruction.
    pub fn inclusion(&self) -> Arc<Inclusion> {
        self.inclusion.clone()
    }

    /// What the node states over its signature when it is asked.
    pub fn statements(&self) -> Arc<Statements> {
        self.statements.clone()
    }

    /// The node's snapshots, and what others sign of theirs.
    pub fn keeper(&self) -> Arc<Keeper> {
        self.keeper.clone()
    }

    /// Waits until consensus or the storage below it has died of an error, and says why.
    pub async fn died(&self) -> Stop {
        let mut metrics = self.raft.metrics();
        loop {
            let fatal = metrics.borrow_and_update().running_state.clone().err();
            // Storage knows best what has failed, and some of it fails where nobody is told: in the
            // background, or in a read.
            let failure = self.log.first_failure().or_else(|| self.replica.store().first_failure());
            if let Some(failure) = failure {
                return failure.into();
            }
            if let Some(fatal) = fatal {
                return stop_of_fatal(&fatal);
            }
            tokio::select! {
                stop = self.replica.finality().diverged() => return stop,
                stop = self.keeper.failed() => return stop,
                changed = metrics.changed() => if changed.is_err() {
                    return stop_of_fatal(&Fatal::Stopped);
                },
                () = tokio::time::sleep(limits::STORAGE_POLL_INTERVAL) => {}
            }
        }
    }

    /// Stops in order: no more proposals, then no more Raft.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        if let Err(error) = self.raft.shutdown().await {
            warn!(%error, "Raft did not stop in order");
        }
        // Execution may have begun a snapshot until now; it sees that it must stop.
        self.tasks.wait().await;
    }
}

/// A node that led when it stopped would go on in its own term, and could sign a second proposal for
/// a place: the first may have left it without being in its log. So it takes note that it was chosen
/// and no longer leads; what it leads next is a new term. Whether it led.
async fn resign(log: &mut Log, node: u64) -> Result<bool, Stop> {
    let vote = log.read_vote().await.map_err(|error| corrupt(error.to_string()))?;
    let led = vote.filter(|vote| vote.committed && vote.leader_id.node_id == node);
    let led = led.filter(|_| !defect::is(Defect::GoesOnInTerm));
    let Some(led) = led else { return Ok(false) };
    let chosen = openraft::Vote::new(led.leader_id.term, node);
    log.save_vote(&chosen)
        .await
        .map_err(|error| Stop { code: ExitCode::Storage, message: error.to_string() })?;
    Ok(true)
}

/// Who led last stands first, unless somebody else leads by now: when all have stopped together,
/// nobody has to wait for an election's timeout.
async fn stand_first(raft: Raft, candidacy: Arc<Candidacy>, node: u64, pause: Duration) {
    tokio::time::sleep(pause).await;
    if !candidacy.may_vote_soon(None).await || !candidacy.may_stand() {
        return;
    }
    let vote = raft.server_metrics().borrow().vote;
    if vote.leader_id.node_id == node && !vote.committed {
        let _ = raft.trigger().elect().await;
    }
}

fn raft_config(timing: RaftTiming) -> Result<Config, Stop> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "counterfoil".to_owned(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_min),
        election_timeout_max: ms(timing.election_max),
        max_payload_entries: u64::try_from(limits::APPEND_ENTRIES_MAX).unwrap_or(u64::MAX),
        // Until the others have told what they recall of this node.
        enable_elect: false,
        // Snapshots are made at the heights of the policy, and what may be purged is said then.
        snapshot_policy: SnapshotPolicy::Never,
        replication_lag_threshold: u64::MAX,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    config
        .validate()
        .map_err(|error| Stop { code: ExitCode::Usage, message: format!("[raft]: {error}") })
}

/// Founds the group on a pristine node. Every founding node does so with the same voters, which are
/// the registry's; openraft takes these for one founding.
async fn found(raft: &Raft, voters: BTreeSet<u64>) -> Result<(), Stop> {
    match raft.initialize(voters.clone()).await {
        Ok(()) => {
            info!(?voters, "founded the Raft group");
            Ok(())
        }
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(RaftError::APIError(error)) => {
            Err(Stop { code: ExitCode::Fatal, message: format!("cannot found the group: {error}") })
        }
        Err(RaftError::Fatal(fatal)) => Err(stop_of_fatal(&fatal)),
    }
}

/// openraft draws one election timeout a process, so two survivors that drew alike can collide for
/// ever; after a random time without a leader this node stands once more.
async fn stand_again(raft: Raft, candidacy: Arc<Candidacy>, election_max: Duration) {
    let mut metrics = raft.server_metrics();
    loop {
        let pause = election_max + random_fraction(election_max * 2);
        tokio::time::sleep(pause).await;
        let leaderless = metrics.borrow_and_update().current_leader.is_none();
        let leaderless = leaderless && candidacy.may_stand();
        if leaderless && raft.trigger().elect().await.is_err() {
            return;
        }
    }
}

/// A random part of a time.
pub(super) fn random_fraction(of: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness the pause is what it was: elections still happen.
    let _ = getrandom::fill(&mut random);
    of * u32::from(u16::from_be_bytes(random)) / u32::from(u16::MAX)
}

fn corrupt(message: String) -> Stop {
    Stop { code: ExitCode::Corrupt, message }
}

fn stop_of_fatal(fatal: &Fatal<u64>) -> Stop {
    let message = format!("consensus stopped: {fatal}");
    let code = match fatal {
        Fatal::StorageError(_) => match Failure::of_message(&message) {
            Failure::Full => ExitCode::DiskFull,
            Failure::Corrupt => ExitCode::Corrupt,
            Failure::Refused => ExitCode::Storage,
        },
        Fatal::Panicked | Fatal::Stopped => ExitCode::Fatal,
    };
    Stop { code, message }
}

#[cfg(test)]
mod tests {
    use openraft::Vote;

    use super::*;
    use crate::consensus::suite;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_led_does_not_go_on_in_its_term() {
        let path = tempfile::tempdir().unwrap();
        let chain_id = suite::genesis().chain_id();
        let directory = DataDirectory::init(&path.path().join("data"), 1, &chain_id).unwrap();
        let mut log = Log::new(LogStore::open(&directory).unwrap());
        assert!(!resign(&mut log, 1).await.unwrap(), "never voted");
        for others in [Vote::new(4, 1), Vote::new_committed(4, 2)] {
            log.save_vote(&others).await.unwrap();
            assert!(!resign(&mut log, 1).await.unwrap());
            assert_eq!(log.read_vote().await.unwrap(), Some(others));
        }
        log.save_vote(&Vote::new_committed(5, 1)).await.unwrap();
        assert!(resign(&mut log, 1).await.unwrap());
        assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(5, 1)));
        assert!(!resign(&mut log, 1).await.unwrap(), "once");
    }
}
