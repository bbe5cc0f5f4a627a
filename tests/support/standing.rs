//! What a test that has failed says of its nodes.

use crate::consortium::Consortium;

/// What is told of each node when a test has failed: how far it is, and whom it does not hear.
const TOLD_OF_FAILURE: [&str; 7] = [
    "height",
    "certified_height",
    "attested_height",
    "raft_",
    "peer_",
    "leaders_",
    "admission_stopped",
];

impl Consortium {
    /// How the nodes stand, as far as they still answer.
    pub(crate) fn tell_standing(&self) {
        let is_told = |line: &&str| {
            let name = line.strip_prefix("counterfoil_");
            name.is_some_and(|name| TOLD_OF_FAILURE.iter().any(|told| name.starts_with(told)))
        };
        for node in 0..self.node_count() {
            let metrics = self.http_get(node, "/metrics").unwrap_or_default();
            let told: Vec<&str> = metrics.lines().filter(is_told).collect();
            eprintln!("-- node {} at the failure: {}", node + 1, told.join(", "));
        }
    }
}
