//! Every metric of the node, in one table: name, kind, labels, meaning. Base units throughout.
//!
//! Labels take few values: never an account, an instruction, or a pair of institutions; and an
//! institution only where it wanted more than its share.

use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only up.
    Counter,
    /// Up and down.
    Gauge,
    /// Observations, counted in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures, one sentence.
    pub meaning: &'static str,
}

/// Values of a metric's labels, in the order of the table.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

macro_rules! metrics_table {
    ($($variable:ident: $kind:ident = $name:literal [$($label:literal),*] $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $variable: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                meaning: $meaning,
            };
        )*

        /// Every metric.
        pub const METRICS: &[Metric] = &[$($variable),*];
    };
}

metrics_table! {
    BUILD_INFO: Gauge = "counterfoil_build_info" ["version"]
        "Always 1; the label is the program's version.";
    READY: Gauge = "counterfoil_ready" []
        "1 while the node serves, else 0.";
    CERTIFICATE_NOT_AFTER: Gauge = "counterfoil_certificate_not_after_seconds" []
        "Unix time at which the node's certificate expires.";
    CERTIFICATE_RELOADS: Counter = "counterfoil_certificate_reloads_total" ["result"]
        "Changes of the certificate files: used, or refused and the old one kept.";
    CONNECTIONS: Gauge = "counterfoil_connections" ["listener"]
        "Connections that have shaken hands and are open.";
    HANDSHAKES: Counter = "counterfoil_handshakes_total" ["listener", "result"]
        "Handshakes of incoming connections: ok, or what they failed for.";
    CONNECTIONS_REFUSED: Counter = "counterfoil_connections_refused_total" ["listener", "cause"]
        "Connections closed because a bound was reached: institution, or handshake where newer handshakes needed the place.";
    ACCEPT_ERRORS: Counter = "counterfoil_accept_errors_total" ["listener"]
        "Times the system gave no connection, for want of file descriptors above all.";
    REQUEST_SECONDS: Histogram = "counterfoil_request_duration_seconds" ["method", "code"]
        "Time from a request to its answer.";
    WATCHES: Gauge = "counterfoil_watches" []
        "Watches that are open.";
    ADMISSION_REFUSED: Counter = "counterfoil_admission_refused_total" ["cause"]
        "Instructions not taken, by cause.";
    BEYOND_SHARE: Counter = "counterfoil_beyond_share_total" ["institution", "bound"]
        "What an institution wanted beyond its share and was refused, or had to wait for, by the bound that it met.";
    QUEUED_INSTRUCTIONS: Gauge = "counterfoil_queued_instructions" []
        "Instructions that wait for a block.";
    SHARE_USED: Gauge = "counterfoil_share_used" ["of"]
        "What the institution that has most of it has of the room for instructions on their way: instructions, bytes, items.";
    HEIGHT: Gauge = "counterfoil_height" []
        "Height of the last block executed.";
    BLOCK_ITEMS: Histogram = "counterfoil_block_items" []
        "Items in a block.";
    BLOCK_BYTES: Histogram = "counterfoil_block_bytes" []
        "Size of a block.";
    COMMIT_SECONDS: Histogram = "counterfoil_commit_duration_seconds" []
        "Time from proposing a block to its execution, on the leader.";
    APPLY_SECONDS: Histogram = "counterfoil_apply_duration_seconds" []
        "Time to execute a block.";
    OUTCOMES: Counter = "counterfoil_outcomes_total" ["state", "reason"]
        "Items decided, by state and reason.";
    RAFT_TERM: Gauge = "counterfoil_raft_term" []
        "Raft term.";
    RAFT_HAS_LEADER: Gauge = "counterfoil_raft_has_leader" []
        "1 while a leader is known, else 0.";
    RAFT_IS_LEADER: Gauge = "counterfoil_raft_is_leader" []
        "1 while this node leads, else 0.";
    RAFT_LEADER_CHANGES: Counter = "counterfoil_raft_leader_changes_total" []
        "Times the known leader changed.";
    RAFT_LAST_LOG_INDEX: Gauge = "counterfoil_raft_last_log_index" []
        "Index of the last Raft entry in the log.";
    RAFT_APPLIED_INDEX: Gauge = "counterfoil_raft_applied_index" []
        "Index of the last Raft entry executed.";
    CERTIFIED_HEIGHT: Gauge = "counterfoil_certified_height" []
        "Height of the newest certificate: final, and everything before it.";
    ATTESTED_HEIGHT: Gauge = "counterfoil_attested_height" ["node"]
        "Height of the newest header that a node signed, by its id, as this node has seen.";
    CERTIFICATE_SECONDS: Histogram = "counterfoil_certificate_duration_seconds" []
        "Time from the execution of a block to its certificate.";
    ADMISSION_STOPPED: Gauge = "counterfoil_admission_stopped" []
        "1 while nothing new is admitted because certificates lag, else 0.";
    HEADER_CONFLICTS: Counter = "counterfoil_header_conflicts_total" ["node"]
        "Headers signed by a node, by its id, that contradict this node's own or each other.";
    PEER_FAILURES: Counter = "counterfoil_peer_failures_total" ["peer"]
        "Calls to another node that failed, by its node id.";
    PEER_MESSAGES_REFUSED: Counter = "counterfoil_peer_messages_refused_total" ["peer", "rule"]
        "Messages and answers that an honest node would not send, by the sender's node id and the rule that they break.";
    LEADERS_DISBELIEVED: Counter = "counterfoil_leaders_disbelieved_total" ["ground"]
        "Leaders that this node held something against, by ground: censors or lags.";
    LEADERS_DEPOSED: Counter = "counterfoil_leaders_deposed_total" []
        "Leaders that a majority of nodes held something against, as this node was told.";
    PROMISES: Counter = "counterfoil_promises_total" ["result"]
        "Promises to bring an instruction into a block: given, kept, broken.";
    HELD_INSTRUCTIONS: Gauge = "counterfoil_held_instructions" []
        "Instructions that this node sees to until they are decided.";
    LOG_SYNC_SECONDS: Histogram = "counterfoil_log_sync_duration_seconds" []
        "Time to append entries to the log and fsync it.";
    STATE_WRITE_SECONDS: Histogram = "counterfoil_state_write_duration_seconds" []
        "Time to write what a run of blocks derived.";
    SNAPSHOTS: Counter = "counterfoil_snapshots_total" ["result"]
        "Snapshots at the heights of the policy: made, certified, or skipped because the last one was still being made.";
    SNAPSHOT_SECONDS: Histogram = "counterfoil_snapshot_duration_seconds" []
        "Time to make a snapshot, beside execution.";
    SNAPSHOT_BYTES: Gauge = "counterfoil_snapshot_bytes" []
        "Size of the snapshot that was made last.";
    SNAPSHOT_HEIGHT: Gauge = "counterfoil_snapshot_height" []
        "Height of the newest snapshot that this node has and a quorum has signed.";
    SNAPSHOT_CONFLICTS: Counter = "counterfoil_snapshot_conflicts_total" ["node"]
        "Digests of the state signed by a node, by its id, that contradict a quorum.";
    RAFT_PURGED_INDEX: Gauge = "counterfoil_raft_purged_index" []
        "Index of the last Raft entry that is not sent to other nodes any more.";
    DISK_FREE_BYTES: Gauge = "counterfoil_disk_free_bytes" []
        "Free bytes on the file system of the data directory.";
    DISK_LEVEL: Gauge = "counterfoil_disk_level" []
        "0 while there is space enough, 1 below the mark at which the node warns, 2 below that at which it takes nothing new, 3 below that at which it stops.";
    SCRUB_BYTES: Counter = "counterfoil_scrub_bytes_total" []
        "Bytes on disk that were read again and checked.";
    SCRUB_PASSES: Counter = "counterfoil_scrub_passes_total" []
        "Times everything on disk was read again.";
    SCRUB_PASS_SECONDS: Gauge = "counterfoil_scrub_pass_seconds" []
        "How long it took to read everything on disk again, the last time.";
    CATCH_UP_REMAINING: Gauge = "counterfoil_catch_up_blocks" []
        "Blocks that a node that catches up has yet to follow.";
    CATCH_UP_BYTES: Counter = "counterfoil_catch_up_bytes_total" ["what"]
        "Bytes taken over from other nodes while catching up: blocks or snapshot.";
    CATCH_UP_LEFT: Counter = "counterfoil_catch_up_peers_left_total" ["peer", "cause"]
        "Times another node was left while catching up, by its node id and cause: lies, stalls or lacks.";
    DISK_BYTES: Gauge = "counterfoil_disk_bytes" ["instance"]
        "Bytes on disk: log or state.";
}

impl Metric {
    /// The counter, to be kept where it is counted often.
    pub fn counter(&self, labels: Labels<'_>) -> Counter {
        self.expect(Kind::Counter, labels);
        counter!(self.name, owned(labels))
    }

    /// The gauge, to be kept where it moves often.
    pub fn gauge(&self, labels: Labels<'_>) -> Gauge {
        self.expect(Kind::Gauge, labels);
        gauge!(self.name, owned(labels))
    }

    /// The histogram, to be kept where it is observed often.
    pub fn histogram(&self, labels: Labels<'_>) -> Histogram {
        self.expect(Kind::Histogram, labels);
        histogram!(self.name, owned(labels))
    }

    /// Counts one.
    pub fn increment(&self, labels: Labels<'_>) {
        self.counter(labels).increment(1);
    }

    /// Sets a gauge without labels.
    pub fn set(&self, value: f64) {
        self.gauge(&[]).set(value);
    }

    fn expect(&self, kind: Kind, labels: Labels<'_>) {
        debug_assert_eq!(self.kind, kind, "{}", self.name);
        debug_assert!(labels.iter().map(|(name, _)| name).eq(self.labels), "{}", self.name);
    }
}

fn owned(labels: Labels<'_>) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS_BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Upper bounds of the buckets of counts.
const COUNT_BUCKETS: [f64; 10] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 8_192.0, 16_384.0, 32_768.0];

/// Upper bounds of the buckets of sizes, in bytes.
const BYTES_BUCKETS: [f64; 8] =
    [256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// Starts counting for the process, and returns what renders the counts. Nodes in one process share
/// one set.
pub fn start() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS_BUCKETS)
                .and_then(|builder| {
                    builder.set_buckets_for_metric(
                        Matcher::Full(BLOCK_ITEMS.name.into()),
                        &COUNT_BUCKETS,
                    )
                })
                .and_then(|builder| {
                    builder.set_buckets_for_metric(
                        Matcher::Full(BLOCK_BYTES.name.into()),
                        &BYTES_BUCKETS,
                    )
                })
                .expect("no list of buckets is empty")
                .build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder)
                .expect("only this function sets the recorder, and only once");
            describe();
            BUILD_INFO.gauge(&[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
            handle
        })
        .clone()
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.meaning),
        }
    }
}

/// The table of metrics as text, for `counterfoil-node metrics` and the documentation.
pub fn table() -> String {
    let mut table = String::from("| name | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in METRICS {
        table.push_str(&format!(
            "| {} | {:?} | {} | {} |\n",
            metric.name,
            metric.kind,
            metric.labels.join(", "),
            metric.meaning
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with("counterfoil_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(!name.ends_with("_ms") && !name.ends_with("_count"), "{name}");
            assert!(metric.meaning.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn counts_and_renders() {
        let handle = start();
        ACCEPT_ERRORS.increment(&[("listener", "test")]);
        COMMIT_SECONDS.histogram(&[]).record(0.002);
        let text = handle.render();
        assert!(text.contains("counterfoil_accept_errors_total{listener=\"test\"} 1"), "{text}");
        assert!(
            text.contains("counterfoil_commit_duration_seconds_bucket{le=\"0.0025\"}"),
            "{text}"
        );
        assert!(text.contains("# HELP counterfoil_build_info Always 1;"), "{text}");
    }
}
