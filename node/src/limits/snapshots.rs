//! Snapshots: how many are read at once, how long everything about them may take.

use std::time::Duration;

use super::KIB;
use super::MESSAGE_OVERHEAD_BYTES_MAX;
use super::PEER_MESSAGE_BYTES_MAX;
use super::REQUEST_TIMEOUT;

/// Raft keeps as many entries behind a snapshot as blocks lie between this many snapshots, so that
/// a short absence needs none.
pub const SNAPSHOT_TAIL_INTERVALS: u64 = 2;

/// Heights of each node whose statements about snapshots are held: the newest.
pub const SNAPSHOT_HEIGHTS_HELD_MAX: usize = 4;

/// Statements about snapshots of one node that are looked at in a second.
pub const SNAPSHOT_STATEMENTS_PER_SECOND_MAX: u32 = 8;

/// How long a snapshot waits for its signatures before another node is asked for them, and again.
pub const SNAPSHOT_ASK_INTERVAL: Duration = Duration::from_secs(5);

/// Another node answers a question about snapshots within this time.
pub const SNAPSHOT_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long Raft may take to learn of a snapshot.
pub const SNAPSHOT_PURGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Nodes that read a snapshot at once.
pub const SNAPSHOT_READERS_MAX: usize = 2;

/// How long one stream of a snapshot goes on; whoever reads asks again for the rest.
pub const SNAPSHOT_STREAM_AGE_MAX: Duration = Duration::from_secs(20);

const _: () = assert!(SNAPSHOT_STREAM_AGE_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(
    counterfoil_ledger::snapshot::CHUNK_BYTES + MESSAGE_OVERHEAD_BYTES_MAX
        <= PEER_MESSAGE_BYTES_MAX
);
// The hashes of the most chunks fit one message, with signatures of a thousand nodes.
const _: () = assert!(
    counterfoil_ledger::snapshot::CHUNKS_MAX * 32 + 1_000 * 96 + KIB <= PEER_MESSAGE_BYTES_MAX
);
