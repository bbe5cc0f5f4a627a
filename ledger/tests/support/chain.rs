//! A ledger that is fed proposal by proposal and keeps what a node's storage would keep.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    apply::{self, Applied, Decision, LogPosition, Prepared},
    block::{Block, IdRecord, encode_leaves},
    hash::Hash,
    history::History,
    merkle,
    proposal::{Proposal, ProposalHeader},
    replay::{Replay, ReplayError, proposal_holds},
    signature::{Label, Signer, preimage},
    state::State,
};

use super::Consortium;

/// One proposal entry as it is stored.
#[derive(Clone)]
pub enum Entry {
    Block { header: Vec<u8>, proposal: Bytes, outcomes: Vec<u8> },
    Void { header: Vec<u8> },
}

pub struct Chain {
    pub consortium: Consortium,
    pub state: State,
    pub history: History,
    pub entries: Vec<Entry>,
    pub blocks: Vec<Block>,
    raft_index: u64,
    /// Heads of the accounts before the last block.
    pub heads_before: BTreeMap<u32, Hash>,
    pub accounts: BTreeMap<u32, Vec<u8>>,
    pub ids: Vec<IdRecord>,
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Chain {
    pub fn new(consortium: Consortium) -> Chain {
        let (state, block) = State::genesis(consortium.genesis.clone());
        let history = Replay::new(consortium.genesis.clone()).history().clone();
        Chain {
            consortium,
            state,
            history,
            entries: Vec::new(),
            blocks: vec![block],
            raft_index: 0,
            heads_before: BTreeMap::new(),
            accounts: BTreeMap::new(),
            ids: Vec::new(),
            records: BTreeMap::new(),
        }
    }

    /// The next proposal of node 1 in term 1, signed.
    pub fn proposal(&self, stamp_ms: u64, instructions: Vec<Bytes>) -> Proposal {
        let (previous, sequence) = self.state.last_proposal();
        let header = ProposalHeader {
            incarnation: 0,
            epoch: 0,
            proposer: 1,
            term: 1,
            sequence: sequence + 1,
            previous,
            stamp_ms,
            count: u32::try_from(instructions.len()).unwrap(),
            instructions_root: Proposal::instructions_root(&instructions),
        };
        sign_proposal(&self.consortium, header, instructions)
    }

    /// Commits a proposal to the log and executes it.
    pub fn commit(&mut self, proposal: Proposal) -> Option<(Block, Vec<Decision>)> {
        self.raft_index += 1;
        let accounts = self.state.accounts().iter();
        self.heads_before = accounts.map(|account| (account.ordinal, account.head)).collect();
        let log = self.log();
        let (applied, prepared) = execute(&mut self.state, &self.history, &proposal, log);
        let Applied::Block(block, decisions) = applied else {
            self.entries.push(Entry::Void { header: proposal.header.encode().to_vec() });
            return None;
        };
        assert_eq!(prepared, decisions.len());
        self.history.push(&block, &proposal);
        self.entries.push(Entry::Block {
            header: block.header.encode().to_vec(),
            proposal: proposal.encode(),
            outcomes: encode_leaves(&block.leaves),
        });
        for ordinal in &block.touched {
            let account = self.state.account_at(*ordinal).unwrap();
            self.accounts.insert(*ordinal, account.encode());
        }
        self.ids.extend(&block.ids);
        for (key, value) in &block.records {
            if value.is_empty() {
                self.records.remove(key);
            } else {
                self.records.insert(key.clone(), value.clone());
            }
        }
        self.blocks.push((*block).clone());
        Some((*block, decisions))
    }

    /// Where the entry that is being committed stands in the log.
    pub fn log(&self) -> LogPosition {
        LogPosition { term: 1, node: 1, index: self.raft_index }
    }

    /// Executes instructions in one block.
    pub fn execute(&mut self, stamp_ms: u64, instructions: Vec<Bytes>) -> (Block, Vec<Decision>) {
        let proposal = self.proposal(stamp_ms, instructions);
        self.commit(proposal).expect("node 1 proposes as it should")
    }

    /// Commits a proposal that is void, for it names a predecessor that it has not.
    pub fn execute_void(&mut self, stamp_ms: u64, instructions: Vec<Bytes>) {
        let mut proposal = self.proposal(stamp_ms, instructions);
        proposal.header.previous = Hash::of(b"another log");
        let proposal = sign_proposal(&self.consortium, proposal.header, proposal.instructions);
        assert!(self.commit(proposal).is_none(), "a proposal with another predecessor is void");
    }

    /// The state as storage would give it back after a restart.
    pub fn restored(&self) -> State {
        let mut state = State::restore(
            self.consortium.genesis.clone(),
            &self.state.core(),
            self.accounts.values().cloned(),
            self.records.clone(),
        )
        .unwrap();
        state.remember_ids(self.ids.iter().copied());
        state
    }

    /// Replays what is stored, from the beginning.
    pub fn replay(&self) -> Result<Replay, ReplayError> {
        let mut replay = Replay::new(self.consortium.genesis.clone());
        self.entries.iter().try_for_each(|entry| entry.replay(&mut replay))?;
        Ok(replay)
    }
}

impl Entry {
    pub fn replay(&self, replay: &mut Replay) -> Result<(), ReplayError> {
        match self {
            Entry::Block { header, proposal, outcomes } => replay.block(header, proposal, outcomes),
            Entry::Void { header } => replay.void(header),
        }
    }
}

/// What a node does with an entry of the log.
pub fn execute(
    state: &mut State,
    history: &History,
    proposal: &Proposal,
    log: LogPosition,
) -> (Applied, usize) {
    let signed = proposal_holds(proposal, state);
    let prepared: Vec<_> = proposal
        .instructions
        .iter()
        .map(|bytes| Prepared::new(bytes.clone(), state.registry(), &state.chain_id()))
        .collect();
    let facts = history.facts(&apply::wants(&prepared));
    (state.commit(&proposal.header, signed, &prepared, &facts, log), prepared.len())
}

pub fn sign_proposal(
    consortium: &Consortium,
    header: ProposalHeader,
    instructions: Vec<Bytes>,
) -> Proposal {
    let signer = &consortium.nodes[&header.proposer];
    let payload = header.hash();
    let preimage = preimage(Label::Proposal, &consortium.chain_id(), payload.as_bytes());
    let signature = signer.sign(&preimage).unwrap();
    Proposal { header, key_id: signer.key_id(), signature, instructions }
}

/// RFC 6962, 2.1, word for word: the root that every faster way must give.
pub fn root_by_definition(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => Hash::of(&[]),
        1 => leaves[0],
        n => {
            let split = n.next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            merkle::node_hash(&root_by_definition(left), &root_by_definition(right))
        }
    }
}
