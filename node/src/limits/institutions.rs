//! What each institution may take of a node. What one wants beyond that is refused, or waits; it never
//! comes out of what is another's.

use std::time::Duration;

use super::CLIENT_REPLY_BYTES_MAX;
use super::CLIENT_REQUEST_BYTES_MAX;
use super::INLINE_CHECK_BYTES_MAX;
use super::INSTRUCTION_BYTES_MAX;
use super::INSTRUCTION_ITEMS_MAX;
use super::MIB;
use crate::shares::Bounds;

/// Instructions, their bytes and their items that are on their way to a block, here: each
/// institution's own, the most of one, and what all have in common.
pub const ADMISSION: Bounds<3> = Bounds {
    own: [1_024, 4 * MIB, 16_384],
    most: [32_768, 64 * MIB, 262_144],
    common: [65_536, 128 * MIB, 524_288],
};

/// What one instruction costs a node beside its items, above all its signature, in microseconds.
pub const INSTRUCTION_COST_US: u64 = 100;

/// What one item costs a node, in microseconds.
pub const ITEM_COST_US: u64 = 8;

/// What each institution whose instructions wait may bring in, turn after turn, in microseconds.
pub const TURN_COST_US: u64 = 1_000;

/// A block costs each node about so much, in microseconds, while several institutions order:
/// whoever comes next waits for it. An instruction that costs more has a block of its own.
pub const SHARED_BLOCK_COST_US: u64 = 4_000;

/// An institution counts as ordering for so long after it had something that waited.
pub const SHARED_BLOCK_TIME: Duration = Duration::from_secs(1);

/// Instructions, their bytes and their items that a node sees to at once.
pub const HELD: Bounds<3> =
    Bounds { own: [16, 4 * MIB, 16_384], most: [128, 4 * MIB, 16_384], common: [1_024, 0, 0] };

/// Instructions of one sender that are checked at once; further ones wait for their turn.
pub const CHECKS_AT_ONCE: usize = 4;

/// And of those that are checked off the threads that serve.
pub const LARGE_CHECKS_AT_ONCE: usize = 1;

/// Forwarded instructions that are checked before others have their turn.
pub const CHECKS_BETWEEN_TURNS: usize = 8;

/// What an instruction that does not hold takes of its sender's patience, and again for each
/// [`INLINE_CHECK_BYTES_MAX`] that it has.
pub const FAULT_COST: Duration = Duration::from_millis(1);

/// What one of so many bytes takes of it.
pub fn fault_cost(size: usize) -> Duration {
    let times = u32::try_from(size / INLINE_CHECK_BYTES_MAX).unwrap_or(u32::MAX);
    FAULT_COST.saturating_mul(times.saturating_add(1))
}

/// How much of it an institution, or a node, may take at once.
pub const FAULTS_BURST: Duration = Duration::from_secs(10);

/// How much of it one connection may take at once before it is closed.
pub const FAULTS_OF_CONNECTION_BURST: Duration = Duration::from_secs(5);

/// Between two lines in the log about an institution that wants more than its share of one thing.
pub const EXCESS_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What a request costs this node, about, in the CPU time of one core, whatever it asks for. An
/// institution's connections are read only so fast that half of the cores are left to others.
pub const REQUEST_COST: Duration = Duration::from_micros(100);

/// And each other frame of HTTP/2.
pub const FRAME_COST: Duration = Duration::from_micros(5);

/// And each byte.
pub const BYTE_COST: Duration = Duration::from_nanos(8);

/// What an institution may send at once, as CPU time of half of the cores.
pub const READING_BURST: Duration = Duration::from_millis(200);

/// Requests whose answers are not read to their end, watches and exports among them.
pub const REQUESTS: Bounds = Bounds { own: [256], most: [4_096], common: [8_192] };

/// Bytes of the requests that are being received or answered.
pub const REQUEST_BYTES: Bounds = Bounds { own: [4 * MIB], most: [32 * MIB], common: [128 * MIB] };

/// Bytes of the answers that are not read yet.
pub const ANSWER_BYTES: Bounds =
    Bounds { own: [CLIENT_REPLY_BYTES_MAX], most: [CLIENT_REPLY_BYTES_MAX], common: [0] };

/// Reads that threads work on at once for one institution; further ones wait for their turn.
pub const READS_AT_ONCE: usize = 2;

/// Watches open at once.
pub const WATCHES: Bounds = Bounds { own: [16], most: [128], common: [1_024] };

/// Exports and proofs of accounts that are being sent at once; each has whole blocks in memory.
pub const EXPORTS: Bounds = Bounds { own: [2], most: [8], common: [32] };

/// A watch or an export of which nothing is read for this long ends, and its connection with it:
/// what is sent and not read stays in memory.
pub const READING_PAUSE_MAX: Duration = Duration::from_secs(30);

// Each institution always has room for a full instruction, and for an answer of any size.
const _: () = assert!(INSTRUCTION_BYTES_MAX <= ADMISSION.own[1]);
const _: () = assert!(INSTRUCTION_ITEMS_MAX < ADMISSION.own[2]);
const _: () = assert!(CLIENT_REQUEST_BYTES_MAX <= REQUEST_BYTES.own[0]);
const _: () = assert!(INSTRUCTION_COST_US + ITEM_COST_US <= TURN_COST_US);
const _: () = assert!(TURN_COST_US < SHARED_BLOCK_COST_US);
const _: () = assert!(INSTRUCTION_BYTES_MAX <= HELD.own[1]);
const _: () = assert!(INSTRUCTION_ITEMS_MAX < HELD.own[2]);
