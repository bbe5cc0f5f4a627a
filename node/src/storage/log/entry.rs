//! Entries of the log, and the bytes they have on disk.
//!
//! An entry is written once as a head of fixed length and, if it has a payload, a body of its own.
//! That all heads follow each other can then be checked at every start without reading the bodies,
//! which are the whole history of the ledger.

use bytes::Bytes;
use crc32fast::Hasher;

/// The name of an entry: where it stands, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId {
    /// Raft index.
    pub index: u64,
    /// Raft term.
    pub term: u64,
    /// Node id of the leader that made it.
    pub node: u64,
}

impl EntryId {
    /// 24 bytes, big-endian: index u64 · term u64 · node u64.
    pub(super) fn encode(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.term.to_be_bytes());
        bytes[16..].copy_from_slice(&self.node.to_be_bytes());
        bytes
    }

    /// Reads what `encode` wrote; nothing else.
    pub(super) fn decode(bytes: &[u8]) -> Option<EntryId> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        Some(EntryId { index: word(bytes, 0), term: word(bytes, 8), node: word(bytes, 16) })
    }
}

/// One entry of the Raft log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Raft index.
    pub index: u64,
    /// Raft term.
    pub term: u64,
    /// Node id of the leader that made it.
    pub node: u64,
    /// What it carries.
    pub payload: LogPayload,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPayload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// An encoded proposal.
    Proposal(Bytes),
    /// An encoded membership of the Raft group, opaque to storage.
    Membership(Bytes),
}

impl LogEntry {
    /// Its name.
    pub fn id(&self) -> EntryId {
        EntryId { index: self.index, term: self.term, node: self.node }
    }

    /// The payload's bytes; none for a blank entry.
    pub fn body(&self) -> &[u8] {
        match &self.payload {
            LogPayload::Blank => &[],
            LogPayload::Proposal(body) | LogPayload::Membership(body) => body,
        }
    }

    pub(super) fn head(&self) -> EntryHead {
        let kind = match self.payload {
            LogPayload::Blank => KIND_BLANK,
            LogPayload::Proposal(_) => KIND_PROPOSAL,
            LogPayload::Membership(_) => KIND_MEMBERSHIP,
        };
        let length = u32::try_from(self.body().len()).expect("an entry is bounded in bytes");
        let mut head = EntryHead { crc: 0, id: self.id(), kind, length };
        head.crc = head.checksum(self.body());
        head
    }
}

const KIND_BLANK: u8 = 0;
const KIND_PROPOSAL: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

/// Length of a head in bytes.
const HEAD_LENGTH: usize = 25;

/// What is known of an entry without its body.
pub(super) struct EntryHead {
    crc: u32,
    pub(super) id: EntryId,
    kind: u8,
    length: u32,
}

impl EntryHead {
    /// 25 bytes, big-endian: CRC-32 u32 · term u64 · node u64 · kind u8 (0 blank, 1 proposal, 2
    /// membership) · body length u32. The index is the key.
    pub(super) fn encode(&self) -> [u8; HEAD_LENGTH] {
        let mut bytes = [0; HEAD_LENGTH];
        bytes[..4].copy_from_slice(&self.crc.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.id.term.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.id.node.to_be_bytes());
        bytes[20] = self.kind;
        bytes[21..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// Reads what `encode` wrote under this index; whether the checksum fits shows with the body.
    pub(super) fn decode(index: u64, bytes: &[u8]) -> Option<EntryHead> {
        let bytes: &[u8; HEAD_LENGTH] = bytes.try_into().ok()?;
        let crc = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let length = u32::from_be_bytes([bytes[21], bytes[22], bytes[23], bytes[24]]);
        let id = EntryId { index, term: word(bytes, 4), node: word(bytes, 12) };
        Some(EntryHead { crc, id, kind: bytes[20], length })
    }

    /// Whether a body belongs to it.
    pub(super) fn has_body(&self) -> bool {
        self.length > 0
    }

    /// The entry, if the body is the one that was written.
    pub(super) fn with_body(&self, body: Bytes) -> Option<LogEntry> {
        if usize::try_from(self.length).ok()? != body.len() || self.checksum(&body) != self.crc {
            return None;
        }
        let payload = match self.kind {
            KIND_BLANK => LogPayload::Blank,
            KIND_PROPOSAL => LogPayload::Proposal(body),
            KIND_MEMBERSHIP => LogPayload::Membership(body),
            _ => return None,
        };
        Some(LogEntry { index: self.id.index, term: self.id.term, node: self.id.node, payload })
    }

    /// Over everything, the index too: a right entry in a wrong place is a wrong entry.
    fn checksum(&self, body: &[u8]) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&self.id.encode());
        hasher.update(&[self.kind]);
        hasher.update(body);
        hasher.finalize()
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes were asked for"))
}
