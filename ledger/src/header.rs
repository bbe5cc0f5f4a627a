//! Block headers: 296 bytes, fixed layout, big-endian.

use crate::hash::Hash;

/// Length of a header in bytes.
pub const HEADER_LENGTH: usize = 296;

/// Bit 0 of the flags: the header carries `accounts_root`.
const FLAG_ACCOUNTS_ROOT: u16 = 1;

/// Everything that a block commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// SHA-256 of the genesis file.
    pub chain_id: Hash,
    /// Counts re-foundations after a loss of the quorum; 0 at first.
    pub incarnation: u32,
    /// Counts changes of who signs headers; 0 at first.
    pub epoch: u64,
    /// The rules under which the block was executed.
    pub rule_version: u32,
    /// 0 for the genesis block.
    pub height: u64,
    /// Hash of the header before; zero at height 0.
    pub previous: Hash,
    /// Raft term of the entry; 0 at height 0.
    pub raft_term: u64,
    /// Raft index of the entry; 0 at height 0.
    pub raft_index: u64,
    /// Node id of the proposer; 0 at height 0.
    pub proposer: u64,
    /// Hash of the proposal's header; the chain id at height 0.
    pub proposal_hash: Hash,
    /// Block time, Unix milliseconds; strictly increasing.
    pub block_time_ms: u64,
    /// Leaves under `tx_root`.
    pub leaf_count: u32,
    /// Accounts after the block.
    pub account_count: u32,
    /// Registry records after the block.
    pub registry_count: u32,
    /// RFC 6962 root of the leaves.
    pub tx_root: Hash,
    /// RFC 6962 root of the hashes of headers 0 to height − 1.
    pub history_root: Hash,
    /// RFC 6962 root of the account leaves by ordinal, where it is carried.
    pub accounts_root: Option<Hash>,
    /// RFC 6962 root of the registry records by (kind, id).
    pub registry_root: Hash,
}

impl Header {
    /// The bytes that are hashed and signed.
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let flags = if self.accounts_root.is_some() { FLAG_ACCOUNTS_ROOT } else { 0 };
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend(1u16.to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.extend(self.chain_id.as_bytes());
        bytes.extend(self.incarnation.to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.rule_version.to_be_bytes());
        bytes.extend(self.height.to_be_bytes());
        bytes.extend(self.previous.as_bytes());
        bytes.extend(self.raft_term.to_be_bytes());
        bytes.extend(self.raft_index.to_be_bytes());
        bytes.extend(self.proposer.to_be_bytes());
        bytes.extend(self.proposal_hash.as_bytes());
        bytes.extend(self.block_time_ms.to_be_bytes());
        bytes.extend(self.leaf_count.to_be_bytes());
        bytes.extend(self.account_count.to_be_bytes());
        bytes.extend(self.registry_count.to_be_bytes());
        bytes.extend(self.tx_root.as_bytes());
        bytes.extend(self.history_root.as_bytes());
        bytes.extend(self.accounts_root.unwrap_or(Hash::ZERO).as_bytes());
        bytes.extend(self.registry_root.as_bytes());
        bytes.try_into().expect("the fields above add up to HEADER_LENGTH")
    }

    /// Reads what `encode` wrote; nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let mut reader = Reader(bytes);
        let version = u16::from_be_bytes(reader.take()?);
        let flags = u16::from_be_bytes(reader.take()?);
        let mut header = Header {
            chain_id: Hash(reader.take()?),
            incarnation: u32::from_be_bytes(reader.take()?),
            epoch: u64::from_be_bytes(reader.take()?),
            rule_version: u32::from_be_bytes(reader.take()?),
            height: u64::from_be_bytes(reader.take()?),
            previous: Hash(reader.take()?),
            raft_term: u64::from_be_bytes(reader.take()?),
            raft_index: u64::from_be_bytes(reader.take()?),
            proposer: u64::from_be_bytes(reader.take()?),
            proposal_hash: Hash(reader.take()?),
            block_time_ms: u64::from_be_bytes(reader.take()?),
            leaf_count: u32::from_be_bytes(reader.take()?),
            account_count: u32::from_be_bytes(reader.take()?),
            registry_count: u32::from_be_bytes(reader.take()?),
            tx_root: Hash(reader.take()?),
            history_root: Hash(reader.take()?),
            accounts_root: Some(Hash(reader.take()?)),
            registry_root: Hash(reader.take()?),
        };
        if flags & FLAG_ACCOUNTS_ROOT == 0 {
            header.accounts_root = None;
        }
        (version == 1 && header.encode() == bytes).then_some(header)
    }

    /// Where the block stands and what it is made of, all of it known before it is executed. Two
    /// headers that agree in this can differ in what somebody's execution gave, and in nothing else.
    /// The place in the Raft log is part of it: no proposal holds the index, so whoever executes a
    /// block elsewhere in its log has another header and is not wrong.
    pub fn place(&self) -> (Hash, u32, u64, Hash, Hash, [u64; 3]) {
        let log = [self.raft_term, self.raft_index, self.proposer];
        (self.chain_id, self.incarnation, self.height, self.previous, self.proposal_hash, log)
    }

    /// SHA-256 of the bytes.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }
}

/// Takes fixed-length fields off the front of a run of bytes.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    /// The next N bytes, or nothing if fewer are left.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}
