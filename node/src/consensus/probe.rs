//! What consensus reads from other nodes, as functions of bytes alone, for those who throw bytes at it.

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::peer::v1;
use prost::Message;

use super::finality;
use super::firewall;
use super::wire;

/// Reads bytes as every message of Raft that a peer sends, as far as it can be judged without a log.
/// What is taken is kept by the log as it is.
pub fn raft_message(bytes: &[u8]) {
    if let Ok(message) = v1::AppendEntriesRequest::decode(bytes)
        && let Ok(append) = wire::append_of_message(message)
    {
        let mut before = append.prev_log_id;
        for entry in &append.entries {
            let _ = firewall::out_of_place(before, entry);
            before = Some(entry.log_id);
            assert_eq!(wire::entry_of_log(wire::entry_to_log(entry)).as_ref(), Ok(entry));
        }
    }
    if let Ok(message) = v1::AppendEntriesResponse::decode(bytes) {
        let _ = wire::appended_of_message(message);
    }
    if let Ok(message) = v1::RequestVoteRequest::decode(bytes) {
        let _ = wire::vote_request_of_message(&message);
    }
    if let Ok(message) = v1::RequestVoteResponse::decode(bytes) {
        let _ = wire::voted_of_message(&message);
    }
}

/// Reads bytes as an attestation of a peer, and as those that a node keeps: the headers that somebody
/// has signed.
pub fn attestations(bytes: &[u8], chain_id: &Hash, signers: &Signers) -> Vec<(u64, Hash)> {
    finality::probe::attestations(bytes, chain_id, signers)
}
