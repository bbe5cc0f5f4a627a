//! Every bound of the process, in one place: sizes, counts and waits. Bounds that depend on each
//! other are compared when the program is compiled.

mod catch_up;
mod institutions;
mod originals;
mod snapshots;

use std::time::Duration;

pub use catch_up::*;
pub use institutions::*;
pub use originals::*;
pub use snapshots::*;

use crate::shares::Bounds;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

// --- Instructions and blocks -------------------------------------------------------------------

/// Largest signed instruction with its items, in bytes.
pub const INSTRUCTION_BYTES_MAX: usize = counterfoil_ledger::instruction::INSTRUCTION_SIZE_MAX;

/// Most items under one signature.
pub const INSTRUCTION_ITEMS_MAX: usize = counterfoil_ledger::instruction::BATCH_ITEMS_MAX;

/// Largest block, which is one Raft entry, in bytes. Fixed once: a smaller value could not replay
/// a log written under a larger one.
pub const BLOCK_BYTES_MAX: usize = 4 * MIB;

/// What a proposal adds to the instructions in it, at most, in bytes: its header, its signature and
/// a length for each instruction.
pub const PROPOSAL_OVERHEAD_BYTES_MAX: usize = 256 * KIB;

/// Most instructions in a block.
pub const BLOCK_INSTRUCTIONS_MAX: usize = 16_384;

/// Most items in a block, the items of its batches and its single instructions together. It bounds
/// how long a block executes.
pub const BLOCK_ITEMS_MAX: usize = 32_768;

// The largest instruction always fits a block, so that none waits for ever.
/// The builder takes no further instruction into a block that has this many bytes.
pub const BLOCK_BYTES_TARGET: usize =
    BLOCK_BYTES_MAX - PROPOSAL_OVERHEAD_BYTES_MAX - INSTRUCTION_BYTES_MAX;

/// The builder takes no further instruction into a block that has this many leaves.
pub const BLOCK_ITEMS_TARGET: usize = 16_384;

const _: () = assert!(BLOCK_ITEMS_TARGET <= BLOCK_INSTRUCTIONS_MAX);
const _: () = assert!(BLOCK_ITEMS_TARGET + INSTRUCTION_ITEMS_MAX < BLOCK_ITEMS_MAX);
const _: () = assert!(INSTRUCTION_BYTES_MAX + PROPOSAL_OVERHEAD_BYTES_MAX <= BLOCK_BYTES_MAX);
const _: () = assert!(INSTRUCTION_ITEMS_MAX <= BLOCK_ITEMS_MAX);
const _: () = assert!(BLOCK_INSTRUCTIONS_MAX <= BLOCK_ITEMS_MAX);
// Twelve bytes each (field, length) are enough for the framing of every instruction of a block.
const _: () = assert!(BLOCK_INSTRUCTIONS_MAX * 12 < PROPOSAL_OVERHEAD_BYTES_MAX);

// --- Messages ----------------------------------------------------------------------------------

/// What a gRPC message adds to the instruction or the entries in it, at most, in bytes.
pub const MESSAGE_OVERHEAD_BYTES_MAX: usize = 256 * KIB;

/// Largest message that a client may send, in bytes.
pub const CLIENT_REQUEST_BYTES_MAX: usize = INSTRUCTION_BYTES_MAX + MESSAGE_OVERHEAD_BYTES_MAX;

/// What the verdict on one item takes in a reply, at most, in bytes: a reason brings its remedy.
pub const VERDICT_BYTES_MAX: usize = 320;

/// Largest message that a client is sent, in bytes. Stubs take 4 MiB unless told otherwise; only
/// large batches with their verdicts, and whole blocks, come near or above that.
pub const CLIENT_REPLY_BYTES_MAX: usize = 64 * MIB;

/// Entries are packed into one AppendEntries up to this size, in bytes; always at least one.
pub const APPEND_BYTES_MAX: usize = BLOCK_BYTES_MAX;

/// Most entries in one AppendEntries.
pub const APPEND_ENTRIES_MAX: usize = 256;

/// Largest message between nodes, either way, in bytes.
pub const PEER_MESSAGE_BYTES_MAX: usize = APPEND_BYTES_MAX + MESSAGE_OVERHEAD_BYTES_MAX;

/// Largest list of headers of a request, in bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 8 * 1_024;

// A full batch is always answered with what was signed and every verdict on it.
const _: () = assert!(
    INSTRUCTION_BYTES_MAX + INSTRUCTION_ITEMS_MAX * VERDICT_BYTES_MAX + MESSAGE_OVERHEAD_BYTES_MAX
        <= CLIENT_REPLY_BYTES_MAX
);
// An entry that no message can carry would stop replication for ever.
const _: () = assert!(BLOCK_BYTES_MAX <= APPEND_BYTES_MAX);
const _: () = assert!(APPEND_ENTRIES_MAX * 64 < MESSAGE_OVERHEAD_BYTES_MAX);
// A member hands an instruction that it took to the leader.
const _: () = assert!(CLIENT_REQUEST_BYTES_MAX <= PEER_MESSAGE_BYTES_MAX);

// --- Queues ------------------------------------------------------------------------------------

/// Blocks that are on their way through consensus at once.
pub const BLOCKS_IN_FLIGHT_MAX: usize = 1;

/// Connections that have shaken hands and wait to be served.
pub const ACCEPTED_QUEUE_MAX: usize = 64;

/// Events that wait for a slow watcher before reading for it pauses.
pub const WATCH_QUEUE_MAX: usize = 64;

/// Events that a watch reads at once.
pub const WATCH_BATCH: usize = 256;

/// Blocks that wait for a slow reader of an export, or parts of the proof of an account.
pub const EXPORT_QUEUE_MAX: usize = 2;

/// Postings that are looked up at once for an account proof. The postings of one block are in one
/// part.
pub const PROOF_BATCH: usize = 1_024;

/// Postings in one account proof: those from its first height to the header that carries the account.
pub const PROOF_POSTINGS_MAX: u64 = 1_000_000;

/// Bytes of blocks that are kept open for receipts.
pub const RECEIPT_BLOCKS_BYTES_MAX: u64 = 64 << 20;

/// Heights whose way to a certificate is kept for receipts.
pub const RECEIPT_SEALS_MAX: usize = 4_096;

/// Entries of a page where the request names no number.
pub const PAGE_SIZE_DEFAULT: usize = 100;

/// Most entries of a page.
pub const PAGE_SIZE_MAX: usize = 1_000;

/// Postings or leaves that are looked at for one page; a page that found fewer entries by then
/// ends there and says where the next begins.
pub const PAGE_SCAN_MAX: usize = 65_536;

/// Findings and items that are looked at for one page while the state stands still, so that no block
/// waits for a reader; a page that found fewer entries by then ends there.
pub const LOCKED_SCAN_MAX: usize = 16_384;

/// Items in the range of one report, of both sources: they are summed while the state stands still.
pub const REPORT_ITEMS_MAX: usize = 2_500_000;

/// Days of an account on one page: the balances of each are summed while the state stands still.
pub const DAYS_PER_PAGE_MAX: usize = 128;

const _: () = assert!(PAGE_SIZE_DEFAULT <= PAGE_SIZE_MAX);

// --- Connections -------------------------------------------------------------------------------

/// The bounds of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections that have shaken hands, by institution.
    pub connections: Bounds,
    /// Handshakes in flight; a further one takes the place of another.
    pub handshakes: usize,
    /// Handshakes in flight of an address at which a member was lately; others' displace them last.
    pub handshakes_of_known: usize,
    /// A handshake ends within this time.
    pub handshake_timeout: Duration,
    /// The first byte after the handshake comes within this time.
    pub first_byte_timeout: Duration,
    /// Whether the connections of an institution are read only as fast as [`READING_BURST`] and the
    /// costs beside it say.
    pub is_paced: bool,
}

/// The listener for clients.
pub const CLIENT_LISTENER: ListenerLimits = ListenerLimits {
    connections: Bounds { own: [16], most: [128], common: [1_024] },
    handshakes: 1_024,
    handshakes_of_known: 8,
    handshake_timeout: Duration::from_secs(5),
    first_byte_timeout: Duration::from_secs(10),
    is_paced: true,
};

/// The listener for nodes.
pub const PEER_LISTENER: ListenerLimits = ListenerLimits {
    connections: Bounds { own: [16], most: [16], common: [0] },
    handshakes: 256,
    handshakes_of_known: 8,
    handshake_timeout: Duration::from_secs(5),
    first_byte_timeout: Duration::from_secs(10),
    is_paced: false,
};

/// Addresses at which a member was lately, that are remembered.
pub const KNOWN_ADDRESSES_MAX: usize = 256;

/// Connections to the metrics listener.
pub const METRICS_CONNECTIONS_MAX: usize = 16;

/// Largest request to the metrics listener, in bytes.
pub const METRICS_REQUEST_BYTES_MAX: usize = 16 * KIB;

/// Concurrent requests and watches of one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;

/// Streams that a client reset before they were taken up (CVE-2023-44487, "rapid reset").
pub const PENDING_RESET_STREAMS_MAX: usize = 20;

/// Streams that this side reset because the client broke the protocol, before the connection ends.
pub const ERROR_RESET_STREAMS_MAX: usize = 128;

/// HTTP/2 window of one stream, in bytes: a whole message without waiting for an update.
pub const STREAM_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// HTTP/2 window of a client's connection, in bytes. It bounds what a connection can make this side
/// hold.
pub const CLIENT_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// HTTP/2 window of a node's connection, in bytes.
pub const PEER_WINDOW_BYTES: u32 = 8 * 1_024 * 1_024;

/// Open files that a node needs in a flood: connections, handshakes, and the files of its storage.
pub const OPEN_FILES_MIN: u64 = 4_096;

/// What accepting a connection takes of the time for it: so many a second for as long as they come, which
/// is a tenth of a core and empties the kernel's queue in a quarter of a second.
pub const ACCEPT_COST: Duration = Duration::from_micros(250);

/// How much of that time may be taken at once: as many connections as members open when all start.
pub const ACCEPT_BURST: Duration = Duration::from_millis(128);

/// Connections that the kernel keeps for us before accept.
pub const LISTEN_BACKLOG: i32 = 1_024;

const _: () = assert!(CLIENT_LISTENER.handshakes_of_known < CLIENT_LISTENER.handshakes);
const _: () = assert!(PEER_LISTENER.handshakes_of_known < PEER_LISTENER.handshakes);
const _: () = assert!(STREAM_WINDOW_BYTES <= CLIENT_WINDOW_BYTES);
const _: () = assert!(STREAM_WINDOW_BYTES <= PEER_WINDOW_BYTES);
// Handshakes that go nowhere leave files for everything else.
const _: () =
    assert!((CLIENT_LISTENER.handshakes + PEER_LISTENER.handshakes) as u64 <= OPEN_FILES_MIN / 3);

// --- Waits -------------------------------------------------------------------------------------

/// A request is answered within this time, whatever deadline it carries.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a read waits for a height that is not there yet.
pub const HEIGHT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for the certificate of a height that this node has executed.
pub const FINAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A page ends, where it has at least one entry, when this much time has gone into it.
pub const PAGE_TIME_MAX: Duration = Duration::from_secs(2);

/// A watch that has nothing to tell gives a sign of life this often.
pub const WATCH_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// A watch tells at most this often that it has caught up.
pub const WATCH_CAUGHT_UP_INTERVAL: Duration = Duration::from_secs(1);

/// Another node says how it stands within this time.
pub const PEER_STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// How often gRPC health looks at the node.
pub const HEALTH_INTERVAL: Duration = Duration::from_millis(200);

/// How much before the caller's deadline an answer is ready to leave.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(10);

/// How long a caller that has nothing better to go by waits before it asks again.
pub const RETRY_DELAY: Duration = Duration::from_millis(250);

/// A connection to a peer stands, handshake included, within this time.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An idle connection is asked for a sign of life this often.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// And is dropped when none comes within this time.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// TCP's own keepalive, for connections that never got as far as HTTP/2.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection is asked to end after this time, so that certificates are looked at again.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(15 * 60);

/// And what still runs on it is cut off after this time.
pub const CONNECTION_AGE_GRACE: Duration = Duration::from_secs(30);

/// A connection is cut this long after its certificate has expired.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// How long SIGTERM waits for requests in flight.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the certificate and key files are looked at.
pub const CERTIFICATE_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long accept rests when the process has no file descriptor left.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);

/// A request to the metrics listener is read and answered within this time.
pub const METRICS_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

// A page may wait for its height and for the end of its range, both of them until they are final.
const _: () = assert!(
    2 * (HEIGHT_TIMEOUT.as_secs() + FINAL_TIMEOUT.as_secs()) + PAGE_TIME_MAX.as_secs()
        < REQUEST_TIMEOUT.as_secs()
);
const _: () = assert!(WATCH_HEARTBEAT_INTERVAL.as_secs() < 10);
const _: () = assert!(KEEPALIVE_TIMEOUT.as_secs() < KEEPALIVE_INTERVAL.as_secs());
const _: () = assert!(REQUEST_TIMEOUT.as_secs() <= CONNECTION_AGE_GRACE.as_secs());
const _: () = assert!(CONNECT_TIMEOUT.as_secs() < CLIENT_LISTENER.handshake_timeout.as_secs());

// --- Files -------------------------------------------------------------------------------------

/// Largest configuration file, in bytes.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1 << 20;

/// Largest file of certificates, in bytes.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 64 << 10;

/// Largest file with a private key, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

/// Largest genesis file, in bytes.
pub const GENESIS_FILE_BYTES_MAX: u64 = 16 << 20;

/// Most certificates in a chain, the leaf included.
pub const CERTIFICATE_CHAIN_MAX: usize = 4;

/// Proposals that are prepared ahead of apply.
pub const PREPARED_PROPOSALS_MAX: usize = 32;

/// Bytes of instructions that are remembered as checked until a proposal brings them back.
pub const CHECKED_BYTES_MAX: usize = 16 * MIB;

/// Instructions in one message to the leader.
pub const FORWARD_INSTRUCTIONS_MAX: usize = 1_024;

/// Messages with instructions that are on their way to the leader.
pub const FORWARDS_UNDERWAY_MAX: usize = 4;

/// A SignedInstruction larger than this is checked off the threads that serve.
pub const INLINE_CHECK_BYTES_MAX: usize = 16 * KIB;

/// Proofs from a block with more leaves are made off the threads that serve.
pub const INLINE_PROOF_LEAVES_MAX: usize = 1_024;

/// Linearizable reads that wait for their round.
pub const BARRIERS_MAX: usize = 8_192;

/// Such rounds under way at once.
pub const BARRIER_ROUNDS_AT_ONCE: usize = 4;

/// How long a linearizable read waits for its round.
pub const BARRIER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a submission is tried.
pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a proposal may take before its submitters are told that its fate is unknown.
pub const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a checkpoint is given out before the nodes are asked for the next: witnesses cosign the
/// same one only if it stands for a while.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// How long the same height's checkpoint is given out before it is cosigned anew.
pub const CHECKPOINT_AGE_MAX: Duration = Duration::from_secs(60);

/// How long a node that is asked for a statement waits until it knows the height to be final.
pub const STATEMENT_WAIT: Duration = Duration::from_secs(2);

/// How long the statements of other nodes are waited for.
pub const STATEMENTS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a proof of absence may take, the block included that it may need.
pub const ABSENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Proofs of absence that one institution may ask for in each interval.
pub const ABSENCES_PER_INTERVAL_MAX: u32 = 20;

/// The interval of [`ABSENCES_PER_INTERVAL_MAX`].
pub const ABSENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Characters that are repeated of what another node says of a failure.
pub const PROBLEM_LENGTH_MAX: usize = 120;

/// A leader that waits for work to become due looks at its clock again after this time.
pub const DUE_INTERVAL: Duration = Duration::from_secs(60);

/// Between two empty blocks that were asked for.
pub const WANTED_BLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks at what RocksDB met in the background.
pub const STORAGE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks for a leader.
pub const LEADER_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A ledger is quiet when nothing was proposed for this long.
pub const QUIET_INTERVAL: Duration = Duration::from_millis(50);

/// A node refuses a stamp that is this far ahead of its own clock.
pub const STAMP_AHEAD_MS_MAX: u64 = 2_000;

/// A node holds it against its leader when fresh stamps are further behind its own clock.
pub const STAMP_BEHIND_MS_MAX: u64 = 2_000;

/// And have been for this long, every one of them.
pub const STAMP_BEHIND_TIME_MS: u64 = 10_000;

/// What a node was asked to bring into a block will be in one within this time.
pub const PROMISE_TIME: Duration = Duration::from_secs(10);

/// A leader has this long to do it, or is to blame; the rest is for the next leader.
pub const INCLUSION_TIME: Duration = Duration::from_secs(5);

/// A node that starts for the first time asks another again after this time.
pub const REGISTER_INTERVAL: Duration = Duration::from_millis(100);

/// A learner looks this often whether it is in the group, and asks to be let in.
pub const JOIN_INTERVAL: Duration = Duration::from_secs(1);

/// A leader lets a learner in within this time.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A follower tries to hand an instruction to its leader again after this time.
pub const HAND_OVER_INTERVAL: Duration = Duration::from_millis(500);

/// The leader says that it sees to it within this time.
pub const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a node looks at what it sees to.
pub const INCLUSION_INTERVAL: Duration = Duration::from_millis(100);

/// Entries that a node may have left to execute and still judge what its leader brings into blocks.
pub const JUDGE_BEHIND_MAX: u64 = 16;

/// What is held against a leader is told again after this time.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// And counts no longer when it was not repeated for this long.
pub const COMPLAINT_AGE_MAX: Duration = Duration::from_secs(5);

/// A leader that a majority has deposed gets no vote for this long.
pub const DEPOSED_TIME: Duration = Duration::from_secs(60);

/// A node that replaces its leader waits at most this long before it stands, and again before it
/// stands once more.
pub const REPLACEMENT_PAUSE: Duration = Duration::from_millis(250);

/// How many times it stands; Raft's own elections go on after that.
pub const REPLACEMENT_ROUNDS_MAX: u32 = 40;

/// A node raises its term no more often than this, in milliseconds, however often it stands.
pub const TERM_INTERVAL_MS_MIN: u64 = 100;

/// A node refuses a term that is this far beyond what its consortium's nodes can have raised since
/// the founding: for clocks that differ.
pub const TERM_SLACK: u64 = 1_000_000;

/// The highest term that a message may name: an honest group does not get there, and one more would
/// overflow in the end.
pub const TERM_MAX: u64 = 1 << 48;

/// The highest index of the log that a message may name, for the same reasons.
pub const INDEX_MAX: u64 = 1 << 48;

/// Movements that execution may have in memory alone; the log has them in any case.
pub const UNFLUSHED_MOVEMENTS_MAX: usize = 131_072;

/// How long execution may have a block in memory alone.
pub const UNFLUSHED_AGE_MAX: Duration = Duration::from_secs(1);

// --- Disk --------------------------------------------------------------------------------------

/// Between two looks at the free space.
pub const SPACE_INTERVAL: Duration = Duration::from_millis(500);

/// A mark of free space counts as passed upwards only this share above it, so that a node does not go
/// back and forth at it: one in so many.
pub const SPACE_MARGIN_DIVISOR: u64 = 10;

/// How often the place of the scrubber is kept.
pub const SCRUB_KEPT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a node that is asked for its vote waits for what the others recall of it.
pub const RECALL_WAIT: Duration = Duration::from_millis(500);

/// A node that is short of space stands for election only when nobody has led for this long: a leader
/// that takes nothing new still serves reads.
pub const SHORT_OF_SPACE_PAUSE: Duration = Duration::from_secs(10);

// --- Finality ----------------------------------------------------------------------------------

/// Between two headers that a node signs, at least.
pub const SIGNATURE_INTERVAL_MIN: Duration = Duration::from_millis(4);

/// Between two tries of a key that did not sign.
pub const SIGNER_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// After a height that may not be signed yet.
pub const REFUSED_SIGNATURE_PAUSE: Duration = Duration::from_millis(20);

/// Heights of each node whose attestations are held: the newest. Five seconds of signatures, at the
/// least.
pub const ATTESTATIONS_HELD_MAX: usize = 1_024;

/// Nodes that are all well have signed last within so many blocks.
pub const SIGNATURES_APART_MAX: u64 = 16;

/// An attestation that is further ahead of what this node has executed is dropped.
pub const ATTESTATION_AHEAD_MAX: u64 = 1_000_000;

/// A stream of attestations is renewed after this time.
pub const ATTEST_STREAM_AGE_MAX: Duration = Duration::from_secs(20);

/// An attestation without a certificate is sent again after this time.
pub const ATTESTATION_REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Attestations of one node that are looked at in a second; further ones wait.
pub const ATTESTATIONS_PER_SECOND_MAX: u32 = 1_000;

/// How often what is held of the other nodes is kept on disk.
pub const ATTESTATIONS_KEPT_INTERVAL: Duration = Duration::from_secs(1);

/// How often the lag of certificates is looked at when nothing happens.
pub const LAG_INTERVAL: Duration = Duration::from_millis(50);

/// Heights whose time of execution is remembered until they are certified.
pub const LAG_HEIGHTS_MAX: usize = 1_024;

/// A block that has waited this long for its certificate makes it worth telling who is missing.
pub const LAG_WORTH_TELLING: Duration = Duration::from_secs(1);

/// Headers of one node that differ and wait to be looked at, or for the certificate of their height.
pub const FINDINGS_PER_NODE_MAX: usize = 16;

/// A node is asked at most this often for a proposal that excludes this node's own, and answers within
/// this time.
pub const PROPOSAL_INQUIRY_INTERVAL: Duration = Duration::from_secs(3);

/// Files of evidence in a data directory.
pub const EVIDENCE_FILES_MAX: usize = 64;

/// Files of evidence against one node in it; what ends this node comes on top.
pub const EVIDENCE_FILES_PER_NODE_MAX: usize = 8;

/// Between two lines in the log about what one node signs wrongly.
pub const CONFLICT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Institutions that another node may name as missing.
pub const MISSING_INSTITUTIONS_MAX: usize = 1_024;

/// After the first failed call to another node.
pub const PEER_RETRY_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// After many.
pub const PEER_RETRY_INTERVAL_MAX: Duration = Duration::from_secs(1);

// A stream ends by itself before the server cuts it off.
const _: () = assert!(ATTEST_STREAM_AGE_MAX.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(PEER_STATUS_TIMEOUT.as_secs() < PROPOSAL_INQUIRY_INTERVAL.as_secs());
const _: () = assert!(EVIDENCE_FILES_PER_NODE_MAX < EVIDENCE_FILES_MAX);
const _: () = assert!(SUBMIT_TIMEOUT.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(STATEMENT_WAIT.as_secs() < STATEMENTS_TIMEOUT.as_secs());
const _: () = assert!(STATEMENTS_TIMEOUT.as_secs() < ABSENCE_TIMEOUT.as_secs());
const _: () = assert!(ABSENCE_TIMEOUT.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(STAMP_AHEAD_MS_MAX < STATEMENTS_TIMEOUT.as_millis() as u64);
const _: () = assert!(BARRIER_TIMEOUT.as_secs() < REQUEST_TIMEOUT.as_secs());
const _: () = assert!(INCLUSION_TIME.as_secs() * 2 <= PROMISE_TIME.as_secs());
const _: () = assert!(HAND_OVER_TIMEOUT.as_secs() < INCLUSION_TIME.as_secs() / 2);
const _: () = assert!(3 * REPORT_INTERVAL.as_secs() <= COMPLAINT_AGE_MAX.as_secs());
const _: () = assert!(STAMP_AHEAD_MS_MAX > 0 && QUIET_INTERVAL.as_millis() > 0);
