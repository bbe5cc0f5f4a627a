//! What the ledger reads from others and from the disk: whatever is taken is written back as the same
//! bytes, so that nothing can hide beside what is meant.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::account::AccountLeaf;
use counterfoil_ledger::apply::Applied;
use counterfoil_ledger::block::Posting;
use counterfoil_ledger::block::decode_leaves;
use counterfoil_ledger::block::encode_leaves;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::instruction::Instruction;
use counterfoil_ledger::merkle::path::root_of_path;
use counterfoil_ledger::outcome::Outcome;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::reconciliation::effect;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::replay::proposal_holds;
use counterfoil_ledger::signature::PublicKey;
use counterfoil_ledger::state::State;
use counterfoil_proto::v1;
use prost::Message;

use crate::frames;
use crate::scene::account;
use crate::scene::plain;
use crate::scene::scene;
use crate::support::Entry;
use crate::support::NOON_MS;
use crate::support::build;
use crate::support::chain;

/// A signed instruction, as a client sends it: nobody's signature counts under other bytes.
pub fn instruction(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    let Ok(instruction) = Instruction::decode(shared.clone()) else { return };
    let message = v1::SignedInstruction::decode(shared).unwrap();
    assert_eq!(message.encode_to_vec(), bytes);
    let inner = v1::Instruction::decode(message.instruction.clone()).unwrap();
    assert_eq!(inner.encode_to_vec(), message.instruction);
    assert!(instruction.leaf_count() >= 1);
    let state = &scene().archive.chain.state;
    let Ok(key) = instruction.authorise(state.registry()) else { return };
    if instruction.signature_valid(key, &state.chain_id()) {
        assert!(scene().signed.contains(&instruction.hash), "a forged signature counts");
    }
}

/// Every instruction of the scene.
pub fn instruction_seeds() -> Vec<Vec<u8>> {
    let proposals = proposal_seeds();
    let proposals = proposals.into_iter().filter_map(|it| Proposal::decode(&it.into()));
    proposals.flat_map(|it| it.instructions).map(|it| it.to_vec()).collect()
}

/// The body of a log entry.
pub fn proposal(bytes: &[u8]) {
    if let Some(header) = ProposalHeader::decode(bytes) {
        assert_eq!(header.encode()[..], *bytes);
    }
    let shared = Bytes::copy_from_slice(bytes);
    let Some(proposal) = Proposal::decode(&shared) else { return };
    assert_eq!(proposal.encode(), shared);
    let chain = &scene().archive.chain;
    if proposal_holds(&proposal, &chain.state) {
        let known = proposal_seeds().iter().any(|it| *it == bytes);
        assert!(known, "a proposal counts that its leader has not signed");
    }
}

/// Every proposal of the scene, whole and its header alone.
pub fn proposal_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for entry in &scene().archive.chain.entries {
        match entry {
            Entry::Block { proposal, .. } => seeds.push(proposal.to_vec()),
            Entry::Void { header } => seeds.push(header.clone()),
        }
    }
    seeds
}

/// Records of fixed layout: headers, outcomes, leaves, effects, accounts, postings, keys.
pub fn record(bytes: &[u8]) {
    if let Some(header) = Header::decode(bytes) {
        assert_eq!(header.encode()[..], *bytes);
    }
    if let Some(outcome) = Outcome::decode(bytes) {
        assert_eq!(outcome.encode()[..], *bytes);
    }
    if let Some(leaves) = decode_leaves(bytes) {
        assert_eq!(encode_leaves(&leaves), bytes);
    }
    if let Some(accounts) = effect::decode(bytes) {
        let mut rest = bytes;
        for (account, effects) in &accounts {
            // Between the account and the effects stands the salt, which nobody reads.
            let mut salt = [0; 32];
            salt[..16].copy_from_slice(&rest[17..33]);
            let written = effect::encode(account, &hash(salt), effects);
            rest = rest.strip_prefix(&written[..]).unwrap();
        }
        assert!(rest.is_empty());
    }
    if let Some(account) = Account::decode(bytes) {
        assert_eq!(account.encode(), bytes);
    }
    if let Some(posting) = Posting::decode(bytes) {
        assert_eq!(posting.encode()[..], *bytes);
    }
    let _ = AccountLeaf::decode(bytes);
    if let Ok(key) = PublicKey::from_spki(bytes) {
        assert!(!key.verify(b"message", &[7; 64]), "noise is no signature");
    }
    if let Some((numbers, path)) = bytes.split_first_chunk::<16>() {
        let number = |at: usize| u64::from_be_bytes(numbers[at..at + 8].try_into().unwrap());
        let path: Vec<_> = path.as_chunks().0.iter().map(|it| hash(*it)).collect();
        let _ = root_of_path(hash([1; 32]), number(0), number(8), &path);
    }
}

fn hash(bytes: [u8; 32]) -> counterfoil_ledger::hash::Hash {
    counterfoil_ledger::hash::Hash(bytes)
}

/// One of each kind.
pub fn record_seeds() -> Vec<Vec<u8>> {
    let chain = &scene().archive.chain;
    let mut seeds: Vec<Vec<u8>> = chain.accounts.values().cloned().collect();
    for block in &chain.blocks {
        seeds.push(block.header.encode().to_vec());
        seeds.push(encode_leaves(&block.leaves));
        for leaf in &block.leaves {
            seeds.push(leaf.outcome.encode().to_vec());
            seeds.push(leaf.effects.to_vec());
        }
    }
    seeds.extend(chain.state.accounts().iter().map(|it| it.leaf().to_vec()));
    for institution in &chain.consortium.genesis.message().institutions {
        seeds.extend(institution.keys.iter().map(|it| it.public_key.to_vec()));
    }
    seeds.push([&[0; 7][..], &[3], &[0; 7], &[9], &[5; 96]].concat());
    seeds
}

/// The founding document.
pub fn genesis(bytes: &[u8]) {
    let Ok(genesis) = Genesis::decode(bytes) else { return };
    assert_eq!(genesis.bytes()[..], *bytes);
    let registry = Registry::of(&genesis);
    assert!(registry.policy().finality_quorum <= registry.nodes().count());
    let (state, block) = State::genesis(genesis);
    assert_eq!(state.header_hash(), block.hash);
}

/// The scene's own.
pub fn genesis_seeds() -> Vec<Vec<u8>> {
    vec![scene().archive.chain.consortium.genesis.bytes().to_vec()]
}

/// One entry of the stored chain, replaced: first byte which, second which part; the rest stands there
/// instead.
pub fn replaced(bytes: &[u8]) -> Option<(usize, Entry)> {
    let ([entry, part], rest) = bytes.split_first_chunk()?;
    let entries = &scene().archive.chain.entries;
    let place = usize::from(*entry) % entries.len();
    let replaced = match (entries[place].clone(), part % 3) {
        (Entry::Block { proposal, outcomes, .. }, 0) => {
            Entry::Block { header: rest.to_vec(), proposal, outcomes }
        }
        (Entry::Block { header, outcomes, .. }, 1) => {
            Entry::Block { header, proposal: Bytes::copy_from_slice(rest), outcomes }
        }
        (Entry::Block { header, proposal, .. }, _) => {
            Entry::Block { header, proposal, outcomes: rest.to_vec() }
        }
        (Entry::Void { .. }, _) => Entry::Void { header: rest.to_vec() },
    };
    Some((place, replaced))
}

/// A replaced entry, executed again: it is refused, or what it leads to is what was stored or has
/// another header.
pub fn replay(bytes: &[u8]) {
    let Some((place, entry)) = replaced(bytes) else { return };
    let scene = scene();
    let mut replay = scene.replays[place].clone();
    if entry.replay(&mut replay).is_ok() {
        let stored = scene.replays[place + 1].state();
        // A header names its place in the Raft log, and no proposal does: the same block elsewhere in
        // the log has another header, for which no quorum has signed.
        let same_block = replay.state().header_hash() == stored.header_hash();
        let is_void = matches!(entry, Entry::Void { .. });
        assert!(is_void || !same_block || replay.state().core() == stored.core());
        assert_eq!(replay.state().height(), stored.height());
    }
}

/// Each entry, each part.
pub fn replay_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (place, entry) in (0u8..).zip(&scene().archive.chain.entries) {
        match entry {
            Entry::Block { header, proposal, outcomes } => {
                seeds.push([&[place, 0], &header[..]].concat());
                seeds.push([&[place, 1], &proposal[..]].concat());
                seeds.push([&[place, 2], &outcomes[..]].concat());
            }
            Entry::Void { header } => seeds.push([&[place, 0], &header[..]].concat()),
        }
    }
    seeds
}

/// A state as storage would give it back: core, accounts, and the keys and values of records. It is
/// refused, or goes on.
pub fn restore(bytes: &[u8]) {
    let parts = frames::parts(bytes);
    let [core, accounts, records] = [0, 1, 2].map(|place| frames::part(&parts, place));
    let accounts = frames::parts(&accounts).into_iter().map(|it| it.to_vec());
    let records = frames::parts(&records);
    let records = records.chunks(2).map(|pair| {
        let value = pair.get(1).map_or(Vec::new(), |it| it.to_vec());
        (pair[0].to_vec(), value)
    });
    let scene = scene();
    let genesis = scene.archive.chain.consortium.genesis.clone();
    let Ok(mut state) = State::restore(genesis, &core, accounts, records) else { return };
    let (previous, sequence) = state.last_proposal();
    let Some(sequence) = sequence.checked_add(1) else { return };
    let transfer = build::transfer("after", &account("Alpha"), &account("Beta"), 1);
    let transfer = v1::instruction::Body::Transfer(transfer);
    let consortium = &scene.archive.chain.consortium;
    let instructions = vec![plain(consortium, "after", "Alpha", transfer)];
    let header = ProposalHeader {
        sequence,
        previous,
        count: 1,
        instructions_root: Proposal::instructions_root(&instructions),
        stamp_ms: NOON_MS + 9_000,
        ..scene.archive.stored(1).proposal.header.clone()
    };
    let proposal = chain::sign_proposal(consortium, header, instructions);
    let history = &scene.archive.chain.history;
    let log = counterfoil_ledger::apply::LogPosition { term: 1, node: 1, index: 99 };
    let (applied, _) = chain::execute(&mut state, history, &proposal, log);
    if let Applied::Block(block, _) = applied {
        assert!(block.movements.len() <= 2);
    }
}

/// What the scene's node has stored.
pub fn restore_seeds() -> Vec<Vec<u8>> {
    let chain = &scene().archive.chain;
    let accounts = frames::joined(chain.accounts.values().map(Vec::as_slice));
    let records = chain.records.iter().flat_map(|(key, value)| [&key[..], &value[..]]);
    let records = frames::joined(records);
    vec![frames::joined([&chain.state.core()[..], &accounts, &records])]
}
