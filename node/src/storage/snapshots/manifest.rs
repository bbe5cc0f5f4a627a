//! The manifest of a snapshot: after which block it was made, the hash of every chunk, and who has
//! signed their root.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use counterfoil_ledger::apply::LogPosition;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::snapshot;
use counterfoil_ledger::snapshot::CHUNK_BYTES;
use counterfoil_ledger::snapshot::CHUNKS_MAX;
use counterfoil_ledger::snapshot::FORMAT;
use counterfoil_ledger::snapshot::Written;
use counterfoil_ledger::verify::Signers;
use counterfoil_ledger::verify::Unproven;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use prost::Message;

/// Largest file that is read: the hashes of the most chunks, and signatures of a thousand nodes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Most signatures: no consortium has more nodes.
const SIGNATURES_MAX: usize = 1_000;

/// What a snapshot consists of. Its content is that only if a quorum has signed it, or this node has
/// made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    header: Header,
    chunks: Vec<Hash>,
    /// Over the chunks.
    digest: Hash,
    content_bytes: u64,
    signatures: Vec<v1::NodeSignature>,
}

/// A manifest that no snapshot has: which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest of a snapshot does not hold: {0}")]
pub struct Unfit(pub &'static str);

impl Manifest {
    /// Of what was written, after a block; unsigned.
    pub fn new(header: Header, written: Written) -> Result<Manifest, Unfit> {
        if written.chunks.len() > CHUNKS_MAX {
            return Err(Unfit("more chunks than can be handed on"));
        }
        let (chunks, content_bytes) = (written.chunks, written.bytes);
        let digest = snapshot::digest(&chunks);
        Ok(Manifest { header, chunks, digest, content_bytes, signatures: Vec::new() })
    }

    /// Reads what another node says. Whether a quorum has signed it: [`Manifest::certified`].
    pub fn decode(message: peer::SnapshotManifest, chain_id: &Hash) -> Result<Manifest, Unfit> {
        if message.format != FORMAT {
            return Err(Unfit("this program knows format 1"));
        }
        let (chunks, rest) = message.chunks.as_chunks::<32>();
        if !rest.is_empty() || chunks.is_empty() || chunks.len() > CHUNKS_MAX {
            return Err(Unfit("1 to 65,536 hashes of 32 bytes"));
        }
        let whole = CHUNK_BYTES * (chunks.len() - 1);
        let fits = usize::try_from(message.content_bytes)
            .is_ok_and(|bytes| bytes > whole && bytes <= whole + CHUNK_BYTES);
        if !fits {
            return Err(Unfit("a length that so many chunks have"));
        }
        if message.signatures.len() > SIGNATURES_MAX {
            return Err(Unfit("at most 1,000 signatures"));
        }
        let header = Header::decode(&message.header)
            .filter(|header| header.chain_id == *chain_id)
            .ok_or(Unfit("a header of this chain"))?;
        let chunks: Vec<Hash> = chunks.iter().map(|hash| Hash(*hash)).collect();
        Ok(Manifest {
            header,
            digest: snapshot::digest(&chunks),
            chunks,
            content_bytes: message.content_bytes,
            signatures: message.signatures,
        })
    }

    /// As another node reads it.
    pub fn to_message(&self) -> peer::SnapshotManifest {
        let chunks: Vec<u8> = self.chunks.iter().flat_map(|hash| hash.0).collect();
        peer::SnapshotManifest {
            header: self.header.encode().to_vec().into(),
            format: FORMAT,
            chunks: chunks.into(),
            content_bytes: self.content_bytes,
            signatures: self.signatures.clone(),
        }
    }

    /// Checks that a quorum has signed it; returns who. Its header is certified then, too: nobody
    /// honest signs a snapshot of a block that is not final.
    pub fn certified(&self, signers: &Signers) -> Result<Vec<u64>, Unproven> {
        snapshot::certified(signers, &self.header.hash(), &self.digest(), &self.signatures)
    }

    /// The same with these signatures, by node.
    pub fn signed(&self, signatures: Vec<v1::NodeSignature>) -> Manifest {
        Manifest { signatures, ..self.clone() }
    }

    /// Whether nobody has signed it.
    pub fn is_unsigned(&self) -> bool {
        self.signatures.is_empty()
    }

    /// Who has signed it.
    pub fn signatures(&self) -> &[v1::NodeSignature] {
        &self.signatures
    }

    /// Of the block after which it was made.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Height of that block.
    pub fn height(&self) -> u64 {
        self.header.height
    }

    /// Where that block's entry stands in the Raft log.
    pub fn log_position(&self) -> LogPosition {
        LogPosition {
            term: self.header.raft_term,
            node: self.header.proposer,
            index: self.header.raft_index,
        }
    }

    /// Root over the chunks.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> u32 {
        u32::try_from(self.chunks.len()).expect("at most 65,536, as was checked")
    }

    /// Length of the content.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The hash of a chunk, where it begins and how long it is.
    pub fn chunk(&self, number: u32) -> Option<(Hash, u64, usize)> {
        let hash = self.chunks.get(usize::try_from(number).ok()?)?;
        let chunk_bytes = u64::try_from(CHUNK_BYTES).ok()?;
        let offset = u64::from(number) * chunk_bytes;
        let length = (self.content_bytes - offset).min(chunk_bytes);
        Some((*hash, offset, usize::try_from(length).ok()?))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.to_message().encode_to_vec()
    }

    /// Reads a file; none if it is no manifest of this chain.
    pub(super) fn read(path: &Path, chain_id: &Hash) -> Option<Manifest> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let message = peer::SnapshotManifest::decode(&*bytes).ok()?;
        Manifest::decode(message, chain_id).ok()
    }
}
