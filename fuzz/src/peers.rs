//! What a node reads from other nodes, and what it reads back from its own disk.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use bytes::Bytes;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify::Signers;
use counterfoil_node::consensus;
use counterfoil_node::storage;
use counterfoil_node::storage::log::LogEntry;
use counterfoil_node::storage::log::LogPayload;
use counterfoil_proto::peer::v1 as peer;
use prost::Message;

use crate::frames;
use crate::scene::scene;

/// Messages of Raft.
pub fn raft_message(bytes: &[u8]) {
    consensus::probe::raft_message(bytes);
}

fn log_id(term: u64, index: u64) -> Option<peer::LogId> {
    Some(peer::LogId { leader: Some(peer::LeaderId { term, node_id: 1 }), index })
}

/// Entries of each kind, votes, and every answer.
pub fn raft_message_seeds() -> Vec<Vec<u8>> {
    use peer::append_entries_response::{Conflict, PartialSuccess, Result, Success};
    let leader = Some(peer::LeaderId { term: 1, node_id: 1 });
    let own = peer::Vote { leader, committed: true };
    let vote = Some(own);
    let chain_id = scene().archive.chain.state.chain_id().to_bytes();
    let voters = vec![1, 2, 3, 4];
    let configs = vec![peer::VoterSet { voters: voters.clone() }];
    let membership = peer::Membership { configs, nodes: voters };
    let proposal = Bytes::from(crate::decoders::proposal_seeds().remove(0));
    let payloads = [
        Some(peer::entry::Payload::Membership(membership)),
        None,
        Some(peer::entry::Payload::Proposal(proposal)),
    ];
    let entries = (0..).zip(payloads);
    let entries = entries.map(|(index, payload)| peer::Entry { log_id: log_id(1, index), payload });
    let append = peer::AppendEntriesRequest {
        vote,
        previous: log_id(1, 7),
        committed: log_id(1, 7),
        entries: entries.collect(),
        chain_id: chain_id.clone(),
    };
    let founding = peer::AppendEntriesRequest { previous: None, ..append.clone() };
    let ask = peer::RequestVoteRequest { vote, last_log_id: log_id(1, 9), chain_id };
    let told = peer::RequestVoteResponse { vote, vote_granted: true, last_log_id: log_id(1, 9) };
    let answers = [
        Result::Success(Success {}),
        Result::PartialSuccess(PartialSuccess { matching: log_id(1, 4) }),
        Result::Conflict(Conflict {}),
        Result::HigherVote(own),
    ];
    let answers =
        answers.map(|result| peer::AppendEntriesResponse { result: Some(result) }.encode_to_vec());
    let messages = [append.encode_to_vec(), founding.encode_to_vec(), ask.encode_to_vec()];
    messages.into_iter().chain([told.encode_to_vec()]).chain(answers).collect()
}

/// Attestations: none holds that nobody has signed.
pub fn attestation(bytes: &[u8]) {
    let chain = &scene().archive.chain;
    let signers = Signers::of(chain.state.chain_id(), &Registry::of(&chain.consortium.genesis));
    let found = consensus::probe::attestations(bytes, &chain.state.chain_id(), &signers);
    for (node, hash) in found {
        assert!(chain.consortium.nodes.contains_key(&node));
        assert!(chain.blocks.iter().any(|block| block.hash == hash), "nobody has signed this");
    }
}

/// As they are sent, and as they are kept.
pub fn attestation_seeds() -> Vec<Vec<u8>> {
    let archive = &scene().archive;
    let of = |node, height| archive.attestation(node, archive.header(height));
    let mut kept = Vec::new();
    for (node, height) in [(1, 2), (2, 3), (4, 6)] {
        let attestation = of(node, height);
        kept.extend(&attestation.header);
        kept.extend(node.to_be_bytes());
        kept.extend(&attestation.signature.unwrap().value);
    }
    vec![of(1, 2).encode_to_vec(), of(3, 6).encode_to_vec(), kept]
}

/// A log entry as it is stored: index, head, body. What is taken is what was written.
pub fn log_entry(bytes: &[u8]) {
    let parts = frames::parts(bytes);
    let index = frames::part(&parts, 0);
    let index = index.split_first_chunk().map_or(0, |(index, _)| u64::from_be_bytes(*index));
    let head = frames::part(&parts, 1);
    let body = frames::part(&parts, 2);
    let Some(entry) = storage::probe::log_entry(index, &head, body.clone()) else { return };
    // A blank entry has no body: bytes behind one are not part of it.
    let blank = entry.payload == LogPayload::Blank;
    assert!(blank || (storage::probe::log_head(&entry) == head && *entry.body() == *body));
}

/// One of each kind.
pub fn log_entry_seeds() -> Vec<Vec<u8>> {
    let body = || Bytes::from(crate::decoders::proposal_seeds().remove(0));
    let payloads =
        [LogPayload::Blank, LogPayload::Proposal(body()), LogPayload::Membership(body())];
    let seed = |payload| {
        let entry = LogEntry { index: 9, term: 2, node: 1, payload };
        let head = storage::probe::log_head(&entry);
        frames::joined([&9u64.to_be_bytes()[..], &head, entry.body()])
    };
    payloads.map(seed).to_vec()
}

/// What the indices are made of: directories of runs, and rows.
pub fn index(bytes: &[u8]) {
    storage::probe::row(bytes);
    let parts = frames::parts(bytes);
    let [key, value, asked] = [0, 1, 2].map(|place| frames::part(&parts, place));
    storage::probe::run(&key, &value, &asked);
}

/// A directory of two pages, and rows of each index.
pub fn index_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, length) in [(1u8, 27usize), (2, 16), (3, 8), (4, 16)] {
        let key = [&[index][..], &3u64.to_be_bytes(), &9u64.to_be_bytes()].concat();
        let mut value = vec![1, 0];
        value.extend(700u64.to_be_bytes());
        value.extend(650u64.to_be_bytes());
        value.extend(2u32.to_be_bytes());
        [3u64, 5, 6, 9].iter().for_each(|zone| value.extend(zone.to_be_bytes()));
        value.extend(vec![1; length]);
        value.extend(vec![2; length]);
        value.extend([0xa5; 64]);
        seeds.push(frames::joined([&key[..], &value, &vec![1; length]]));
    }
    let position = [&4u64.to_be_bytes()[..], &1u32.to_be_bytes()].concat();
    let id = crate::support::build::id_of("row", crate::support::NOON_MS);
    let id = [&b"ALPHCHZZXXX"[..], id.as_bytes(), &[6; 32], &position].concat();
    let date = crate::scene::DAY.to_be_bytes();
    let movement =
        [&[0, 0, 0, 1][..], &position, &[0; 8], &[1], &[0; 7], &[5], &date, &[0; 16]].concat();
    seeds.extend([id, movement]);
    seeds
}
