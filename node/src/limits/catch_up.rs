//! Bounds of catching up: what goes to a node that was away, and how long it waits for others.

use std::time::Duration;

use super::BLOCK_BYTES_MAX;
use super::MIB;
use super::PEER_MESSAGE_BYTES_MAX;
use super::REQUEST_TIMEOUT;

/// A node that is so many entries behind a snapshot follows blocks instead of executing them.
pub const CATCH_UP_ENTRIES_MIN: u64 = 4_096;

/// Blocks go to a node that catches up in runs that end beyond so many bytes.
pub const BLOCK_RUN_BYTES: usize = MIB;

/// Largest run, in bytes: a block, its leaves, and what was in the run before it.
pub const BLOCK_RUN_MESSAGE_BYTES_MAX: usize = 16 * MIB;

/// Nodes that read blocks of this one at once.
pub const BLOCK_READERS_MAX: usize = 2;

/// Runs that wait for a slow reader.
pub const BLOCK_RUNS_QUEUED_MAX: usize = 2;

/// Blocks are sent for this long; who reads them asks again for the rest.
pub const READ_BLOCKS_TIME: Duration = Duration::from_secs(20);

/// The next run, or the next chunk of a snapshot, comes and is taken within this time.
pub const RUN_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A node that catches up looks again for others to ask after this time.
pub const CATCH_UP_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A node that has told what is not so is not asked for this long.
pub const LIAR_PAUSE: Duration = Duration::from_secs(600);

/// And one that has not answered in time for this long.
pub const STALL_PAUSE: Duration = Duration::from_secs(30);

/// A node that catches up says this often how far it is.
pub const CATCH_UP_TELL_INTERVAL: Duration = Duration::from_secs(5);

/// A running node that is told that it is behind looks into it this often.
pub const BEHIND_INTERVAL: Duration = Duration::from_secs(2);

const _: () = assert!(PEER_MESSAGE_BYTES_MAX < BLOCK_RUN_MESSAGE_BYTES_MAX);
const _: () = assert!(BLOCK_RUN_BYTES + 2 * BLOCK_BYTES_MAX < BLOCK_RUN_MESSAGE_BYTES_MAX);
const _: () = assert!(READ_BLOCKS_TIME.as_secs() < REQUEST_TIMEOUT.as_secs());
