//! What finality reads from other nodes and from its own disk, as a function of bytes alone.

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::v1;
use prost::Message;

use super::attested::Attested;
use super::exchange;

/// Node and header of everything in these bytes that is signed as it must be.
pub fn attestations(bytes: &[u8], chain_id: &Hash, signers: &Signers) -> Vec<(u64, Hash)> {
    let mut messages = exchange::decode_held(bytes).unwrap_or_default();
    messages.extend(v1::Attestation::decode(bytes));
    let read = messages.into_iter().filter_map(|it| Attested::read(it, chain_id, 0).ok());
    read.filter(|it| it.holds(signers)).map(|it| (it.node, it.hash)).collect()
}
