//! The verifier: checks answers of nodes that are not trusted, against the genesis file alone. What
//! it checks is described in `docs/reference/format.md`, whose order it follows. Nothing here reads
//! what is stored: whoever holds the bytes of a proof and a genesis file can run all of it.

pub mod absence;
pub mod account;
pub mod batch;
pub mod epoch;
pub mod evidence;
pub mod history;
pub mod promise;
pub mod receipt;
pub mod signers;
pub mod trust;

use bytes::Bytes;
use counterfoil_proto::v1;
use prost::Message;

pub use absence::{AbsenceVerdict, absence};
pub use account::{Standing, VerifiedAccount, VerifiedPosting, account};
pub use batch::{VerifiedBatch, batch};
pub use evidence::{Conviction, Misbehaviour, OpenQuestion, evidence};
pub use history::{VerifiedHistory, history};
pub use promise::{VerifiedPromise, promise};
pub use receipt::{Item, ItemBody, VerifiedReceipt, receipt};
pub use signers::Signers;
pub use trust::Trust;

use crate::{
    canonical,
    hash::Hash,
    header::Header,
    merkle::{self, path::PATH_MAX, path::root_of_path},
    proof::Proof,
};

/// What does not prove what it claims: which part of it, and which rule that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {rule}")]
pub struct Unproven {
    /// Which part, as a field's name.
    pub part: &'static str,
    /// Which rule it breaks.
    pub rule: &'static str,
}

/// How certain something is that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finality {
    /// It fits a header that nobody vouches for.
    Ordered,
    /// A quorum has signed a header that it belongs to.
    Final {
        /// Height of that header.
        certified_height: u64,
        /// Node ids of those that signed it.
        signers: Vec<u64>,
    },
}

/// An [`Unproven`].
pub(crate) fn unproven(part: &'static str, rule: &'static str) -> Unproven {
    Unproven { part, rule }
}

/// `Ok` if a rule holds.
pub(crate) fn require(holds: bool, part: &'static str, rule: &'static str) -> Result<(), Unproven> {
    if holds { Ok(()) } else { Err(Unproven { part, rule }) }
}

/// Reads a proof's bytes: not too many of them, in the one form that encoding gives.
pub fn read<M: Proof>(bytes: &Bytes) -> Result<M, Unproven> {
    require(bytes.len() <= M::BYTES_MAX, M::NAME, "it has more bytes than any proof of its kind")?;
    decode(M::NAME, bytes)
}

/// Decodes a message in canonical encoding.
fn decode<M: Message + Default>(part: &'static str, bytes: &Bytes) -> Result<M, Unproven> {
    let message = canonical::decode(bytes);
    message.map_err(|_| unproven(part, "it does not decode, or is not in canonical encoding"))
}

/// The hashes of a path.
fn hashes(part: &'static str, path: &[Bytes]) -> Result<Vec<Hash>, Unproven> {
    require(path.len() <= PATH_MAX, part, "a path has at most 64 hashes")?;
    let hashes = path.iter().map(|hash| Hash::from_slice(hash));
    hashes.collect::<Option<_>>().ok_or(unproven(part, "a hash has 32 bytes"))
}

/// Checks that a path leads from a leaf to a root.
fn on_path(
    part: &'static str,
    leaf: Hash,
    (index, size): (u64, u64),
    path: &[Bytes],
    root: &Hash,
) -> Result<(), Unproven> {
    let found = root_of_path(leaf, index, size, &hashes(part, path)?);
    require(found.as_ref() == Some(root), part, "it does not lead to the root")
}

/// A header of this chain.
pub(crate) fn header(
    part: &'static str,
    bytes: &[u8],
    chain_id: &Hash,
) -> Result<Header, Unproven> {
    let header = Header::decode(bytes).ok_or(unproven(part, "it is not a header of 296 bytes"))?;
    require(header.chain_id == *chain_id, part, "it belongs to another chain")?;
    Ok(header)
}

/// Checks that a header stands in the history of a certified one, or is it.
fn in_history(header: &Header, path: &[Bytes], certified: &Header) -> Result<(), Unproven> {
    if header == certified {
        return require(path.is_empty(), "history_path", "a certified header needs none");
    }
    let lower = header.height < certified.height;
    require(lower, "header", "it is neither certified nor below the certified header")?;
    let leaf = merkle::leaf_hash(header.hash().as_bytes());
    let place = (header.height, certified.height);
    on_path("history_path", leaf, place, path, &certified.history_root)
}

/// How certain a header is, by what came with it.
fn finality(
    trust: &Trust,
    header: &Header,
    path: &[Bytes],
    certificate: &Option<v1::Certificate>,
) -> Result<Finality, Unproven> {
    let Some(certificate) = certificate else {
        require(path.is_empty(), "history_path", "without a certificate there is none")?;
        return Ok(Finality::Ordered);
    };
    let (certified, signers) = trust.certified(certificate)?;
    in_history(header, path, &certified)?;
    Ok(Finality::Final { certified_height: certified.height, signers })
}
