//! Replay: executes a stored chain again with the code that decided it, and says where it differs.

use bytes::Bytes;

use crate::{
    apply::{self, Applied, LogPosition, Prepared},
    block::encode_leaves,
    genesis::Genesis,
    hash::Hash,
    header::Header,
    history::History,
    proposal::{Proposal, ProposalHeader},
    state::State,
};

/// A chain under replay. After an error it stands at no block: nothing more can be asked of it.
#[derive(Clone)]
pub struct Replay {
    state: State,
    history: History,
}

/// Why a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {height}: {rule}")]
pub struct ReplayError {
    /// The first block that does not hold.
    pub height: u64,
    /// What is wrong with it.
    pub rule: String,
}

impl Replay {
    /// Begins at the genesis block.
    pub fn new(genesis: Genesis) -> Replay {
        let (state, block) = State::genesis(genesis);
        let mut history = History::default();
        // The genesis block has no proposal; its header alone is asked for.
        let none = Proposal {
            header: ProposalHeader {
                incarnation: 0,
                epoch: 0,
                proposer: 0,
                term: 0,
                sequence: 0,
                previous: Hash::ZERO,
                stamp_ms: 0,
                count: 0,
                instructions_root: Hash::of(&[]),
            },
            key_id: Hash::ZERO,
            signature: [0; 64],
            instructions: Vec::new(),
        };
        history.push(&block, &none);
        Replay { state, history }
    }

    /// The state after the last block.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The history up to the last block.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Passes over a proposal that was void: it yields no block, but the next one names it.
    pub fn void(&mut self, header: &[u8]) -> Result<(), ReplayError> {
        let header = ProposalHeader::decode(header)
            .ok_or_else(|| self.error("a void proposal's header does not decode"))?;
        self.state.follow(&header);
        Ok(())
    }

    /// Executes a proposal and compares the block with the stored header and outcomes, byte for
    /// byte.
    pub fn block(
        &mut self,
        header: &[u8],
        proposal: &Bytes,
        outcomes: &[u8],
    ) -> Result<(), ReplayError> {
        let header = Header::decode(header).ok_or_else(|| self.error("the header is malformed"))?;
        let proposal =
            Proposal::decode(proposal).ok_or_else(|| self.error("the proposal is malformed"))?;
        let log =
            LogPosition { term: header.raft_term, node: header.proposer, index: header.raft_index };
        let signed = proposal_holds(&proposal, &self.state);
        let instructions: Vec<_> = proposal
            .instructions
            .iter()
            .map(|bytes| {
                Prepared::new(bytes.clone(), self.state.registry(), &self.state.chain_id())
            })
            .collect();
        let facts = self.history.facts(&apply::wants(&instructions));
        let applied = self.state.commit(&proposal.header, signed, &instructions, &facts, log);
        let Applied::Block(block, _) = applied else {
            return Err(self.error(
                "the proposal is void here: its signature, root, term, sequence or predecessor is wrong",
            ));
        };
        if block.header != header {
            return Err(ReplayError {
                height: header.height,
                rule: format!("executing it gives another header: {:?}", block.header),
            });
        }
        if encode_leaves(&block.leaves) != outcomes {
            return Err(ReplayError {
                height: header.height,
                rule: "the stored outcomes are not those of its execution".to_owned(),
            });
        }
        self.history.push(&block, &proposal);
        Ok(())
    }

    fn error(&self, rule: &str) -> ReplayError {
        ReplayError { height: self.state.height() + 1, rule: rule.to_owned() }
    }
}

/// Whether a proposal is signed by its proposer and carries the instructions that its header
/// commits to.
pub fn proposal_holds(proposal: &Proposal, state: &State) -> bool {
    apply::proposal_signed(proposal, state.registry(), &state.chain_id())
        && Proposal::instructions_root(&proposal.instructions) == proposal.header.instructions_root
}
