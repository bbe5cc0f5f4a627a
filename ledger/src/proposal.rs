//! Proposals: the body of one Raft entry. A fixed header, hashed and signed with the leader's
//! attestation key, and the instructions.

use bytes::Bytes;

use crate::{hash::Hash, header::Reader, merkle};

/// Length of a proposal's header in bytes.
pub const PROPOSAL_HEADER_LENGTH: usize = 118;

/// Where the instructions begin: header, key id [32], signature [64].
const BODY_START: usize = PROPOSAL_HEADER_LENGTH + 32 + 64;

/// The fixed part, 118 bytes, big-endian: version u16 = 1 · flags u16 = 0 · incarnation u32 · epoch
/// u64 · proposer u64 · term u64 · sequence u64 · previous [32] · stamp u64 · count u32 · padding
/// u16 = 0 · instructions root [32].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalHeader {
    /// As in the block header.
    pub incarnation: u32,
    /// As in the block header.
    pub epoch: u64,
    /// Node id of the leader.
    pub proposer: u64,
    /// Raft term in which it leads.
    pub term: u64,
    /// Its number among the proposal entries of the log, void ones counted; the first is 1.
    pub sequence: u64,
    /// Hash of the proposal entry before in the log, void or not; the first: the chain id.
    pub previous: Hash,
    /// The leader's clock, Unix milliseconds.
    pub stamp_ms: u64,
    /// How many instructions follow.
    pub count: u32,
    /// RFC 6962 root over the bytes of the SignedInstructions.
    pub instructions_root: Hash,
}

impl ProposalHeader {
    /// The bytes that are hashed.
    pub fn encode(&self) -> [u8; PROPOSAL_HEADER_LENGTH] {
        let mut bytes = Vec::with_capacity(PROPOSAL_HEADER_LENGTH);
        bytes.extend(1u16.to_be_bytes());
        bytes.extend(0u16.to_be_bytes());
        bytes.extend(self.incarnation.to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.proposer.to_be_bytes());
        bytes.extend(self.term.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.previous.as_bytes());
        bytes.extend(self.stamp_ms.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(0u16.to_be_bytes());
        bytes.extend(self.instructions_root.as_bytes());
        bytes.try_into().expect("the fields above add up to PROPOSAL_HEADER_LENGTH")
    }

    /// Reads what `encode` wrote; nothing else.
    pub fn decode(bytes: &[u8]) -> Option<ProposalHeader> {
        let mut reader = Reader(bytes);
        let [0, 1, 0, 0] = reader.take()? else { return None };
        let header = ProposalHeader {
            incarnation: u32::from_be_bytes(reader.take()?),
            epoch: u64::from_be_bytes(reader.take()?),
            proposer: u64::from_be_bytes(reader.take()?),
            term: u64::from_be_bytes(reader.take()?),
            sequence: u64::from_be_bytes(reader.take()?),
            previous: Hash(reader.take()?),
            stamp_ms: u64::from_be_bytes(reader.take()?),
            count: u32::from_be_bytes(reader.take()?),
            instructions_root: {
                let [0, 0] = reader.take()? else { return None };
                Hash(reader.take()?)
            },
        };
        reader.0.is_empty().then_some(header)
    }

    /// SHA-256 of the bytes: what the leader signs (label `proposal/1`) and what `previous` names.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }
}

/// A whole proposal, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The fixed part.
    pub header: ProposalHeader,
    /// The attestation key that signed it.
    pub key_id: Hash,
    /// Over the header's hash.
    pub signature: [u8; 64],
    /// SignedInstructions, verbatim.
    pub instructions: Vec<Bytes>,
}

impl Proposal {
    /// The entry: header · key id · signature · for each instruction its length u32 and its bytes.
    pub fn encode(&self) -> Bytes {
        let body: usize = self.instructions.iter().map(|bytes| bytes.len() + 4).sum();
        let mut bytes = Vec::with_capacity(BODY_START + body);
        bytes.extend(self.header.encode());
        bytes.extend(self.key_id.as_bytes());
        bytes.extend(self.signature);
        for instruction in &self.instructions {
            let length = u32::try_from(instruction.len()).expect("a block is bounded in bytes");
            bytes.extend(length.to_be_bytes());
            bytes.extend_from_slice(instruction);
        }
        Bytes::from(bytes)
    }

    /// Reads an entry; the instructions share its buffer. Whether the root and the signature fit is
    /// for the caller to check.
    pub fn decode(bytes: &Bytes) -> Option<Proposal> {
        let header = ProposalHeader::decode(bytes.get(..PROPOSAL_HEADER_LENGTH)?)?;
        let key_id = Hash::from_slice(bytes.get(PROPOSAL_HEADER_LENGTH..BODY_START - 64)?)?;
        let signature = bytes.get(BODY_START - 64..BODY_START)?.try_into().ok()?;
        let mut instructions = Vec::new();
        let mut at = BODY_START;
        while at < bytes.len() {
            let length = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
            let end = (at + 4).checked_add(usize::try_from(length).ok()?)?;
            bytes.get(at + 4..end)?;
            instructions.push(bytes.slice(at + 4..end));
            at = end;
        }
        let proposal = Proposal { header, key_id, signature, instructions };
        (proposal.instructions.len() == usize::try_from(proposal.header.count).ok()?)
            .then_some(proposal)
    }

    /// The root that the header should carry.
    pub fn instructions_root(instructions: &[Bytes]) -> Hash {
        merkle::root_of(instructions.iter().map(|bytes| merkle::leaf_hash(bytes)))
    }
}
