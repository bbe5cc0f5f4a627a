//! A ledger that follows what another one has decided.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    apply::Applied,
    block::{Block, LeafRecord, decode_leaves},
    header::Header,
    history::History,
    proposal::{Proposal, ProposalHeader},
    replay::Replay,
    snapshot,
    state::State,
};

use super::support::{Chain, Entry, chain::execute};

/// The parts of a stored block, as they are told.
fn told(header: &[u8], proposal: &Bytes, outcomes: &[u8]) -> (Header, Proposal, Vec<LeafRecord>) {
    let header = Header::decode(header).unwrap();
    (header, Proposal::decode(proposal).unwrap(), decode_leaves(outcomes).unwrap())
}

/// Follows the first part of a history, in hundredths of its entries, takes the books over as a
/// snapshot has them, and decides the rest.
pub fn check(chain: &Chain, part: usize) {
    let genesis = &chain.consortium.genesis;
    let (mut state, _) = State::genesis(genesis.clone());
    let mut history = Replay::new(genesis.clone()).history().clone();
    let mut records = BTreeMap::new();
    let (followed, decided) = chain.entries.split_at(chain.entries.len() * part / 100);
    let mut blocks = chain.blocks[1..].iter();
    for entry in followed {
        match entry {
            Entry::Void { header } => state.follow(&ProposalHeader::decode(header).unwrap()),
            Entry::Block { header, proposal, outcomes } => {
                let (header, proposal, leaves) = told(header, proposal, outcomes);
                let expected = blocks.next().unwrap();
                lies_are_refused(&state, &header, &proposal, &leaves);
                let block = state.follow_block(&header, &proposal, &leaves).unwrap();
                assert!(block.records.is_empty());
                same(&block, expected);
                history.push(&block, &proposal);
                records.extend(expected.records.clone());
            }
        }
    }
    state.adopt_reconciliation(records.clone()).unwrap();
    if decided.is_empty() {
        assert_eq!(digest(&state, &records), digest(&chain.state, &chain.records));
    }
    for entry in decided {
        decide(&mut state, &mut history, entry, &mut blocks);
    }
    assert_eq!(state.core(), chain.state.core());
    assert_eq!(state.accounts(), chain.state.accounts());
    assert_eq!(state.accounts_root(), chain.state.accounts_root());
    assert_eq!(state.wants_flagged_block(), chain.state.wants_flagged_block());
}

fn decide<'a>(
    state: &mut State,
    history: &mut History,
    entry: &Entry,
    blocks: &mut impl Iterator<Item = &'a Block>,
) {
    let Entry::Block { header, proposal, .. } = entry else {
        let Entry::Void { header } = entry else { unreachable!() };
        return state.follow(&ProposalHeader::decode(header).unwrap());
    };
    let header = Header::decode(header).unwrap();
    let proposal = Proposal::decode(proposal).unwrap();
    let log = counterfoil_ledger::apply::LogPosition {
        term: header.raft_term,
        node: header.proposer,
        index: header.raft_index,
    };
    let (applied, _) = execute(state, history, &proposal, log);
    let Applied::Block(block, _) = applied else { panic!("void after following") };
    let expected = blocks.next().unwrap();
    same(&block, expected);
    assert_eq!(block.records, expected.records);
    history.push(&block, &proposal);
}

fn digest(state: &State, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> counterfoil_ledger::hash::Hash {
    let records = records.iter().map(|(key, value)| (&key[..], &value[..]));
    let written = snapshot::write(state, records, |_| Ok::<(), std::convert::Infallible>(()));
    snapshot::digest(&written.unwrap().chunks)
}

/// Everything but the reconciliation records.
fn same(block: &Block, expected: &Block) {
    assert_eq!(block.header, expected.header);
    assert_eq!(block.hash, expected.hash);
    assert_eq!(block.leaves, expected.leaves);
    assert_eq!(block.ids, expected.ids);
    assert_eq!(block.transfers, expected.transfers);
    assert_eq!(block.movements, expected.movements);
    assert_eq!(block.touched, expected.touched);
    assert_eq!(block.heads, expected.heads);
}

/// A leaf that is left out, told twice, told of another place or with other bytes is found out.
fn lies_are_refused(state: &State, header: &Header, proposal: &Proposal, leaves: &[LeafRecord]) {
    let refused = |leaves: &[LeafRecord], lie: &str| {
        let followed = state.clone().follow_block(header, proposal, leaves);
        assert!(followed.is_err(), "{lie} at height {}", header.height);
    };
    let Some(last) = leaves.last() else { return };
    refused(&leaves[1..], "a leaf left out");
    refused(&[leaves, std::slice::from_ref(last)].concat(), "a leaf twice");
    // The middle one stands for all: a history has hundreds.
    let at = leaves.len() / 2;
    let change = |lie: &str, change: fn(&mut LeafRecord)| {
        let mut changed = leaves.to_vec();
        change(&mut changed[at]);
        refused(&changed, lie);
    };
    change("another instruction", |leaf| leaf.instruction = leaf.instruction.wrapping_add(1));
    change("another item", |leaf| leaf.item += 1);
    change("another reason or none", |leaf| {
        leaf.outcome = counterfoil_ledger::outcome::Outcome::rejected(
            counterfoil_ledger::reason::Reason::BatchAborted,
        );
        leaf.effects = vec![0];
    });
}
