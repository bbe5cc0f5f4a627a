//! Originals of statements that a node keeps for the two parties of an agreement, sealed.

use std::time::Duration;

use super::CLIENT_REPLY_BYTES_MAX;
use super::CLIENT_REQUEST_BYTES_MAX;
use super::MESSAGE_OVERHEAD_BYTES_MAX;
use super::MIB;
use super::PEER_MESSAGE_BYTES_MAX;
use super::REQUEST_TIMEOUT;

/// Largest sealed file, in bytes: a statement of a million entries is about 200 MB.
pub const ORIGINAL_BYTES_MAX: u64 = 256 << 20;

/// Bytes of a file that are put or read at once.
pub const ORIGINAL_PART_BYTES_MAX: usize = MIB;

/// Bytes of files that one institution may have brought to this node: a large statement a day, for
/// two months.
pub const ORIGINALS_OWN_BYTES_MAX: u64 = 16 << 30;

/// And all of them together; what is known of each file is in memory, too.
pub const ORIGINALS_BYTES_MAX: u64 = 64 << 30;

/// Files that one institution may have brought to this node.
pub const ORIGINALS_OWN_FILES_MAX: usize = 16_384;

/// Files of one institution that are not whole yet.
pub const ORIGINALS_UNFINISHED_MAX: usize = 4;

/// A file that is not whole makes room for another when nothing came for this long.
pub const ORIGINALS_UNFINISHED_AGE_MAX: Duration = Duration::from_secs(600);

/// How long a file is passed on to the other party's nodes before the answer says how far it came; the
/// next call goes on.
pub const ORIGINAL_PASS_ON_TIME: Duration = Duration::from_secs(10);

/// Another node answers about one part of a file within this time.
pub const ORIGINAL_PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests of other nodes about originals that are worked on at once; further ones wait.
pub const ORIGINALS_OF_PEERS_AT_ONCE: usize = 4;

const _: () = assert!(
    ORIGINAL_PART_BYTES_MAX + MESSAGE_OVERHEAD_BYTES_MAX <= CLIENT_REQUEST_BYTES_MAX
        && ORIGINAL_PART_BYTES_MAX + MESSAGE_OVERHEAD_BYTES_MAX <= CLIENT_REPLY_BYTES_MAX
        && ORIGINAL_PART_BYTES_MAX + MESSAGE_OVERHEAD_BYTES_MAX <= PEER_MESSAGE_BYTES_MAX
);
const _: () = assert!(ORIGINAL_BYTES_MAX <= ORIGINALS_OWN_BYTES_MAX);
const _: () = assert!(ORIGINALS_OWN_BYTES_MAX <= ORIGINALS_BYTES_MAX);
// The file is hashed before it is passed on.
const _: () = assert!(
    2 * ORIGINAL_PASS_ON_TIME.as_secs() + ORIGINAL_PEER_TIMEOUT.as_secs()
        < REQUEST_TIMEOUT.as_secs()
);
