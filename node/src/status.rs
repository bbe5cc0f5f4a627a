//! What a node says of itself.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_proto::v1;

use crate::clock::Clock;
use crate::consensus::replica::Replica;
use crate::identity::tls::Tls;
use crate::storage::log::LogStore;
use crate::storage::snapshots::Snapshots;
use crate::telemetry::metrics;

/// Gathers a node's status.
pub struct StatusReporter {
    replica: Arc<Replica>,
    log: LogStore,
    snapshots: Snapshots,
    tls: Arc<Tls>,
    clock: Clock,
    started: Instant,
}

impl StatusReporter {
    /// Reports on a node that starts now.
    pub fn new(
        replica: Arc<Replica>,
        log: LogStore,
        snapshots: Snapshots,
        tls: Arc<Tls>,
        clock: Clock,
    ) -> StatusReporter {
        StatusReporter { replica, log, snapshots, tls, clock, started: Instant::now() }
    }

    /// The node's clock, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// How the node stands now.
    pub fn report(&self) -> v1::NodeStatus {
        let (role, term, last_log_index, applied_index) = self.replica.raft_figures();
        // Before the state is held: these look at every file.
        let log_bytes = self.log.disk_bytes().unwrap_or(0);
        let state_bytes = self.replica.store().disk_bytes().unwrap_or(0);
        let standing = self.replica.finality().standing();
        let state = self.replica.state();
        let node = state.registry().node(self.replica.node());
        v1::NodeStatus {
            id: self.replica.node(),
            institution: node.map_or(String::new(), |node| node.institution.to_string()),
            name: node.map_or(String::new(), |node| node.name.clone()),
            role: i32::from(role),
            term,
            height: state.height(),
            header_hash: Bytes::copy_from_slice(state.header_hash().as_bytes()),
            block_time_ms: state.block_time_ms(),
            last_log_index,
            applied_index,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            certificate_not_after_s: self.tls.identity().not_after_s,
            disk_bytes: log_bytes + state_bytes,
            certified_height: standing.certified_height,
            attested_height: standing.attested_height,
            snapshot_height: self.snapshots.newest_certified().map_or(0, |it| it.height()),
            purged_index: self.purged_index(),
            catching_up_to: 0,
        }
    }

    /// Keeps the gauges of consensus and storage up to date, for ever.
    pub async fn publish(self: Arc<Self>) {
        let mut last_leader = None;
        let mut measured: Option<Instant> = None;
        loop {
            let (_, term, last_log_index, applied_index) = self.replica.raft_figures();
            let height = self.replica.state().height();
            let leader = self.replica.leader();
            if leader != last_leader && leader.is_some() {
                metrics::RAFT_LEADER_CHANGES.increment(&[]);
                last_leader = leader;
            }
            let flag = |is: bool| if is { 1.0 } else { 0.0 };
            metrics::RAFT_HAS_LEADER.set(flag(leader.is_some()));
            metrics::RAFT_IS_LEADER.set(flag(leader == Some(self.replica.node())));
            // Gauges are floats; none of these figures comes near 2^53.
            metrics::HEIGHT.set(height as f64);
            metrics::RAFT_TERM.set(term as f64);
            metrics::RAFT_LAST_LOG_INDEX.set(last_log_index as f64);
            metrics::RAFT_APPLIED_INDEX.set(applied_index as f64);
            metrics::RAFT_PURGED_INDEX.set(self.purged_index() as f64);
            self.publish_finality();
            metrics::QUEUED_INSTRUCTIONS.set(self.replica.queued() as f64);
            self.publish_shares();
            metrics::CERTIFICATE_NOT_AFTER.set(self.tls.identity().not_after_s as f64);
            if measured.is_none_or(|measured| measured.elapsed() >= DISK_INTERVAL) {
                measured = Some(Instant::now());
                self.publish_disk();
            }
            tokio::time::sleep(GAUGE_INTERVAL).await;
        }
    }
}

impl StatusReporter {
    fn publish_finality(&self) {
        let standing = self.replica.finality().standing();
        metrics::CERTIFIED_HEIGHT.set(standing.certified_height as f64);
        metrics::ADMISSION_STOPPED.set(if standing.admission_stopped { 1.0 } else { 0.0 });
        for (node, height) in standing.attested {
            metrics::ATTESTED_HEIGHT.gauge(&[("node", &node.to_string())]).set(height as f64);
        }
    }

    /// What cannot be read now is found out by whoever needs it.
    fn purged_index(&self) -> u64 {
        self.log.purged().ok().flatten().map_or(0, |purged| purged.index)
    }

    fn publish_shares(&self) {
        let taken = self.replica.admission().taken();
        for (at, of) in ["instructions", "bytes", "items"].into_iter().enumerate() {
            let most = taken.iter().map(|(_, amounts)| amounts[at]).max().unwrap_or(0);
            metrics::SHARE_USED.gauge(&[("of", of)]).set(most as f64);
        }
    }

    fn publish_disk(&self) {
        for (instance, bytes) in
            [("log", self.log.disk_bytes()), ("state", self.replica.store().disk_bytes())]
        {
            if let Ok(bytes) = bytes {
                metrics::DISK_BYTES.gauge(&[("instance", instance)]).set(bytes as f64);
            }
        }
    }
}

/// How old the figure of the disk may be: it is the sum over all files.
const DISK_INTERVAL: Duration = Duration::from_secs(10);

/// How old a gauge may be.
const GAUGE_INTERVAL: Duration = Duration::from_millis(200);
