//! Following: a block that a quorum has certified is applied by the outcomes that are told with it,
//! instead of deciding them again. No signature is checked, no history read no book matched and no agreement kept; the
//! money, the heads, the numbers and every root are computed, and the header that they give must be
//! the certified one.

use std::{collections::BTreeMap, slice::Iter};

use super::{LogPosition, Prepared, Work, batch_taken, transfers::Moved};
use crate::{
    block::{Block, Facts, LeafRecord, NO_INSTRUCTION},
    hash::Hash,
    header::Header,
    instruction::{AMOUNT_MAX, Body, Instruction, Transfer},
    outcome::{Event, Outcome, State as OutcomeState},
    proposal::Proposal,
    reconciliation::orders::{Action, WorkBreak},
    state::{State, TIME_MAX_MS},
};

/// Why a told block is not the certified one. The state is at no block after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {height} cannot be followed: {rule}")]
pub struct NotFollowed {
    /// The certified header's.
    pub height: u64,
    /// What is wrong.
    pub rule: &'static str,
}

/// A rule that a told block breaks.
type Rule = &'static str;

/// Leaves as they are told, in order.
struct Told<'a>(Iter<'a, LeafRecord>);

impl<'a> Told<'a> {
    /// Whether the next leaf is one of an instruction.
    fn is_of(&self, place: u32) -> bool {
        self.0.as_slice().first().is_some_and(|leaf| leaf.instruction == place)
    }

    fn take(&mut self, place: u32, item: u32) -> Result<&'a LeafRecord, Rule> {
        let leaf = self.0.next().filter(|leaf| (leaf.instruction, leaf.item) == (place, item));
        leaf.ok_or("its leaves are not those of its instructions, in their order")
    }
}

impl State {
    /// Applies a block by the outcomes that are told with it. The header must be certified, or
    /// followed by one that is; the block is what [`State::commit`] gave, but for its reconciliation
    /// records: those come with a snapshot, for [`State::adopt_reconciliation`]. Whether the
    /// instructions are those that the proposal's header commits to is for the caller to check: those
    /// without a leaf leave no trace in the block.
    pub fn follow_block(
        &mut self,
        certified: &Header,
        proposal: &Proposal,
        leaves: &[LeafRecord],
    ) -> Result<Block, NotFollowed> {
        let refuse = |rule| NotFollowed { height: certified.height, rule };
        let block = self.follow_told(certified, proposal, leaves).map_err(refuse)?;
        if block.leaves != leaves {
            return Err(refuse("a leaf says something else than its instruction comes to"));
        }
        if block.header != *certified {
            return Err(refuse("it gives another header than the certified one"));
        }
        Ok(block)
    }

    fn follow_told(
        &mut self,
        certified: &Header,
        proposal: &Proposal,
        leaves: &[LeafRecord],
    ) -> Result<Block, Rule> {
        if certified.height != self.height + 1 || certified.previous != self.header_hash {
            return Err("its header does not follow the last one");
        }
        if proposal.header.stamp_ms > TIME_MAX_MS {
            return Err("its proposal has a stamp that no block has");
        }
        if usize::try_from(certified.leaf_count) != Ok(leaves.len()) {
            return Err("its header counts other leaves");
        }
        self.follow(&proposal.header);
        let facts = Facts::default();
        let mut work = Work::new(self, &proposal.header, &facts);
        let mut told = Told(leaves.iter());
        let mut without_leaf = Vec::new();
        for (place, bytes) in (0..).zip(&proposal.instructions) {
            if told.is_of(place) {
                let instruction = Instruction::decode(bytes.clone())
                    .map_err(|_| "an instruction with a leaf is malformed")?;
                work.follow_instruction(place, &instruction, &mut told)?;
            } else {
                without_leaf.push(place);
            }
        }
        for leaf in told.0 {
            work.follow_due(leaf)?;
        }
        if !without_leaf.is_empty() {
            work.check_chosen(proposal, &without_leaf)?;
        }
        let log = LogPosition {
            term: certified.raft_term,
            node: certified.proposer,
            index: certified.raft_index,
        };
        Ok(work.finish(log))
    }
}

impl Work<'_> {
    fn follow_instruction(
        &mut self,
        place: u32,
        instruction: &Instruction,
        told: &mut Told<'_>,
    ) -> Result<(), Rule> {
        let key = (instruction.id, instruction.institution);
        if self.state.ids.contains_key(&key) {
            return Err("an instruction with a leaf was decided before");
        }
        self.take_id(instruction);
        match &instruction.body {
            Body::OpenAccount(open) => {
                let outcome = match self.try_open(open) {
                    Ok(()) => Outcome::of_event(OutcomeState::Recorded, Event::AccountOpened),
                    Err(reason) => Outcome::rejected(reason),
                };
                told.take(place, 0)?;
                self.push_leaf(place, instruction, 0, Hash::ZERO, outcome, Vec::new());
            }
            Body::Transfer(transfer) => {
                let leaf = told.take(place, 0)?;
                self.follow_transfer(instruction, Hash::ZERO, transfer, leaf)?;
            }
            Body::Transfers { items, .. } => {
                told.take(place, 0)?;
                self.push_leaf(place, instruction, 0, Hash::ZERO, batch_taken(), Vec::new());
                for (number, (hash, transfer)) in (1..).zip(items) {
                    let leaf = told.take(place, number)?;
                    self.follow_transfer(instruction, *hash, transfer, leaf)?;
                }
            }
            Body::BookEntries { items, .. } => {
                told.take(place, 0)?;
                self.push_leaf(place, instruction, 0, Hash::ZERO, batch_taken(), Vec::new());
                for (number, (hash, _)) in (1..).zip(items) {
                    let leaf = told.take(place, number)?;
                    self.follow_leaf(instruction, *hash, leaf);
                }
            }
            Body::WorkBreak(WorkBreak { action: Action::Agree(_, Some(transfer)), .. }) => {
                let leaf = told.take(place, 0)?;
                self.follow_transfer(instruction, Hash::ZERO, transfer, leaf)?;
            }
            Body::Statement(_)
            | Body::ProposeAgreement(_)
            | Body::AnswerAgreement(_)
            | Body::RunMatching { .. }
            | Body::DecideMatch(_)
            | Body::WorkBreak(_)
            | Body::SignPosition(_) => {
                let leaf = told.take(place, 0)?;
                self.follow_leaf(instruction, Hash::ZERO, leaf);
            }
        }
        Ok(())
    }

    /// Takes a leaf as it is told.
    fn follow_leaf(&mut self, instruction: &Instruction, item_hash: Hash, leaf: &LeafRecord) {
        let LeafRecord { instruction: place, item, outcome, effects } = leaf;
        self.push_leaf(*place, instruction, *item, item_hash, *outcome, effects.clone());
    }

    /// Takes a leaf of work that was due.
    fn follow_due(&mut self, leaf: &LeafRecord) -> Result<(), Rule> {
        let done = Outcome::of_event(OutcomeState::Recorded, Event::DueWorkDone);
        if (leaf.instruction, leaf.item, leaf.outcome) != (NO_INSTRUCTION, 0, done) {
            return Err("its leaves are not those of its instructions, in their order");
        }
        self.push_due_leaf(leaf.effects.clone());
        Ok(())
    }

    fn follow_transfer(
        &mut self,
        instruction: &Instruction,
        item_hash: Hash,
        transfer: &Transfer,
        leaf: &LeafRecord,
    ) -> Result<(), Rule> {
        if leaf.outcome.state != OutcomeState::Settled {
            self.follow_leaf(instruction, item_hash, leaf);
            return Ok(());
        }
        let state = &mut *self.state;
        let ordinal = |id| state.ordinals.get(id).copied();
        let (debit, credit) = ordinal(&transfer.debit)
            .zip(ordinal(&transfer.credit))
            .ok_or("a transfer has settled on an account that is not open")?;
        let mut add = |ordinal, amount: i128| {
            let account = self.account_mut(ordinal);
            account.balance += amount;
            let within = account.balance.unsigned_abs() <= u128::from(AMOUNT_MAX);
            within.then_some(account.balance).ok_or("a balance is larger than one can be")
        };
        let amount = i128::from(transfer.amount);
        let (debit_balance, credit_balance) = (add(debit, -amount)?, add(credit, amount)?);
        let moved = Moved { debit, credit, debit_balance, credit_balance };
        let fact = self.fact_of(transfer);
        let item = (leaf.item, item_hash);
        self.settle(leaf.instruction, instruction, item, fact, &moved, leaf.effects.clone());
        Ok(())
    }

    /// An instruction may stand in a proposal more than once, under several signatures. The leaf is
    /// that of the first one whose signature holds, and no root says which that was: here alone
    /// signatures are checked.
    fn check_chosen(&self, proposal: &Proposal, without_leaf: &[u32]) -> Result<(), Rule> {
        let place_of = |leaf: u32| {
            let leaf = usize::try_from(leaf).ok().and_then(|leaf| self.leaves.get(leaf));
            leaf.map(|leaf| leaf.instruction)
        };
        let chosen = self.ids.iter().filter_map(|decided| {
            Some((decided.instruction_hash, place_of(decided.position.leaf)?))
        });
        let chosen: BTreeMap<Hash, u32> = chosen.collect();
        for place in without_leaf {
            let bytes = &proposal.instructions[usize::try_from(*place).expect("32 bits fit")];
            let Ok(other) = Instruction::decode(bytes.clone()) else { continue };
            let Some(taken) = chosen.get(&other.hash) else { continue };
            let is_first = *taken < *place || !self.counts(proposal, *place);
            if !is_first || !self.counts(proposal, *taken) {
                return Err(
                    "a leaf names another copy of its instruction than the first that counts",
                );
            }
        }
        Ok(())
    }

    /// Whether the signature of an instruction of the proposal holds.
    fn counts(&self, proposal: &Proposal, place: u32) -> bool {
        let bytes = usize::try_from(place).ok().and_then(|at| proposal.instructions.get(at));
        let (registry, chain_id) = (&self.state.registry, &self.state.chain_id);
        let prepared = bytes.map(|bytes| Prepared::new(bytes.clone(), registry, chain_id));
        prepared.is_some_and(|it| it.is_ok_and(|it| it.authorised(registry).is_ok()))
    }
}
