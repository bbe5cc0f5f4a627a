//! Apply: one proposal becomes one block. Prepare does what is costly and needs no state; wants
//! names what must be read; commit decides, synchronously, and cannot fail.

mod accounts;
mod agreements;
mod books;
mod breaks;
mod due;
mod follow;
mod transfers;

pub use follow::NotFollowed;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{
    account::AccountId,
    block::{
        Block, Facts, HEAD_INTERVAL, HeadRecord, IdRecord, LeafRecord, Movement, NO_INSTRUCTION,
        Position, SettledTransfer, Wants,
    },
    hash::Hash,
    header::Header,
    instruction::{Body, Instruction},
    merkle::{self, Frontier},
    outcome::{Event, Leaf, Outcome, State as OutcomeState, effects_hash},
    proposal::{Proposal, ProposalHeader},
    reason::Reason,
    reconciliation::orders::Action,
    registry::Registry,
    signature::{self, Label},
    state::{ID_AGE_MAX_MS, ID_AHEAD_MAX_MS, State, TIME_MAX_MS},
    uetr::Uetr,
};

/// A block with at most this many leaves always carries `accounts_root`.
pub const QUIET_LEAVES_MAX: usize = 64;

/// Under load a block carries `accounts_root` when the last one that did is this old.
pub const FLAG_INTERVAL_MS: u64 = 1_000;

/// An instruction of a proposal after the checks that need no state.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its shape holds.
    pub instruction: Instruction,
    /// Its signature is by the key that it names.
    pub signature_valid: bool,
}

impl Prepared {
    /// Checks shape and signature: everything costly.
    pub fn new(bytes: Bytes, registry: &Registry, chain_id: &Hash) -> Result<Prepared, Reason> {
        let instruction = Instruction::decode(bytes)?;
        let signature_valid = instruction
            .authorise(registry)
            .is_ok_and(|key| instruction.signature_valid(key, chain_id));
        Ok(Prepared { instruction, signature_valid })
    }

    /// Reasons of class 2xx.
    pub fn authorised(&self, registry: &Registry) -> Result<(), Reason> {
        self.instruction.authorise(registry)?;
        if self.signature_valid { Ok(()) } else { Err(Reason::SignatureInvalid) }
    }
}

/// Where an entry stands in the Raft log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// Its leader's term.
    pub term: u64,
    /// Its leader's node id.
    pub node: u64,
    /// Its index.
    pub index: u64,
}

/// What became of one instruction of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It has a leaf here.
    Decided(Position),
    /// It had been decided before, there.
    Replayed(Position),
    /// It burnt nothing and left nothing.
    Refused(Reason),
}

/// What a proposal entry came to.
#[derive(Clone, Debug)]
pub enum Applied {
    /// A block, and what became of each instruction.
    Block(Box<Block>, Vec<Decision>),
    /// No block: the proposal does not fit its place in the log.
    Void,
}

/// Whether the header of a proposal is signed by the node that it names, which has to be a voter.
pub fn proposal_signed(proposal: &Proposal, registry: &Registry, chain_id: &Hash) -> bool {
    let key = registry
        .voter(proposal.header.proposer)
        .filter(|node| node.attestation_key_id == proposal.key_id)
        .and_then(|node| registry.key(&node.attestation_key_id));
    let preimage =
        signature::preimage(Label::Proposal, chain_id, proposal.header.hash().as_bytes());
    key.is_some_and(|key| key.public_key.verify(&preimage, &proposal.signature))
}

/// What apply has to read before it can decide on these instructions.
pub fn wants(instructions: &[Result<Prepared, Reason>]) -> Wants {
    let mut wants = Wants::default();
    for prepared in instructions.iter().flatten() {
        let instruction = &prepared.instruction;
        wants.headers.extend(instruction.anchor.map(|(height, _)| height));
        match &instruction.body {
            Body::Transfer(transfer) => wants.uetrs.push(transfer.uetr),
            Body::Transfers { items, .. } => {
                wants.uetrs.extend(items.iter().map(|(_, transfer)| transfer.uetr));
            }
            Body::WorkBreak(step) => {
                if let Action::Agree(_, Some(transfer)) = &step.action {
                    wants.uetrs.push(transfer.uetr);
                }
            }
            Body::OpenAccount(_)
            | Body::BookEntries { .. }
            | Body::Statement(_)
            | Body::ProposeAgreement(_)
            | Body::AnswerAgreement(_)
            | Body::RunMatching { .. }
            | Body::DecideMatch(_)
            | Body::SignPosition(_) => {}
        }
    }
    wants
}

impl State {
    /// Whether an id is new, and in time: reasons 3xx. The facts hold the anchor's header, if it is
    /// named. `now_ms` is the block time in apply, an estimate of it at admission.
    pub fn admits(
        &self,
        instruction: &Instruction,
        now_ms: u64,
        facts: &Facts,
    ) -> Result<(), Reason> {
        let id_time = instruction.id.time_ms();
        if instruction.valid_until_ms < now_ms {
            return Err(Reason::Expired);
        }
        if id_time < now_ms.saturating_sub(ID_AGE_MAX_MS) {
            return Err(Reason::IdTooOld);
        }
        if id_time > now_ms.saturating_add(ID_AHEAD_MAX_MS) {
            return Err(Reason::IdInFuture);
        }
        if instruction.valid_until_ms > id_time.saturating_add(ID_AGE_MAX_MS) {
            return Err(Reason::ValidUntilTooFar);
        }
        let Some((height, hash)) = instruction.anchor else { return Ok(()) };
        match facts.headers.get(&height) {
            Some((found, time))
                if *found == hash && *time >= now_ms.saturating_sub(ID_AGE_MAX_MS) =>
            {
                Ok(())
            }
            _ => Err(Reason::AnchorMismatch),
        }
    }

    /// Executes a proposal entry. `signed` says whether [`proposal_signed`] holds and the
    /// instructions' root is the header's; `instructions` are those of the proposal, in order.
    pub fn commit(
        &mut self,
        header: &ProposalHeader,
        signed: bool,
        instructions: &[Result<Prepared, Reason>],
        facts: &Facts,
        log: LogPosition,
    ) -> Applied {
        let fits = signed
            && header.term == log.term
            && header.proposer == log.node
            && header.previous == self.proposal_hash
            && header.sequence == self.proposal_sequence + 1
            && header.stamp_ms <= TIME_MAX_MS
            && header.incarnation == 0
            && header.epoch == 0;
        self.follow(header);
        if !fits {
            return Applied::Void;
        }
        let mut work = Work::new(self, header, facts);
        let mut decisions = Vec::with_capacity(instructions.len());
        for (place, prepared) in instructions.iter().enumerate() {
            let place = u32::try_from(place).expect("a proposal counts in 32 bits");
            decisions.push(match prepared {
                Ok(prepared) => work.instruction(place, prepared),
                Err(reason) => Decision::Refused(*reason),
            });
        }
        work.due();
        work.records.append(&mut work.state.reconciliation.take_records());
        Applied::Block(Box::new(work.finish(log)), decisions)
    }
}

/// A block in the making.
struct Work<'a> {
    state: &'a mut State,
    facts: &'a Facts,
    height: u64,
    block_time_ms: u64,
    leaves: Vec<LeafRecord>,
    leaf_hashes: Frontier,
    ids: Vec<IdRecord>,
    transfers: Vec<SettledTransfer>,
    /// What this block itself has settled, by UETR and debited account.
    settled_here: BTreeSet<(Uetr, AccountId)>,
    movements: Vec<Movement>,
    /// This block's postings of each touched account.
    postings: BTreeMap<u32, Frontier>,
    opened: BTreeSet<u32>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Work<'a> {
    fn new(state: &'a mut State, header: &ProposalHeader, facts: &'a Facts) -> Work<'a> {
        Work {
            height: state.height + 1,
            block_time_ms: header.stamp_ms.max(state.block_time_ms + 1),
            state,
            facts,
            leaves: Vec::new(),
            leaf_hashes: Frontier::default(),
            ids: Vec::new(),
            transfers: Vec::new(),
            settled_here: BTreeSet::new(),
            movements: Vec::new(),
            postings: BTreeMap::new(),
            opened: BTreeSet::new(),
            records: Vec::new(),
        }
    }

    /// Judges one instruction in the order that the format fixes: its id, then reasons by class.
    fn instruction(&mut self, place: u32, prepared: &Prepared) -> Decision {
        let instruction = &prepared.instruction;
        let key = (instruction.id, instruction.institution);
        if let Some((hash, position)) = self.state.ids.get(&key) {
            return if *hash == instruction.hash {
                Decision::Replayed(*position)
            } else {
                Decision::Refused(Reason::IdReused)
            };
        }
        let admitted = prepared
            .authorised(&self.state.registry)
            .and_then(|()| self.state.admits(instruction, self.block_time_ms, self.facts));
        if let Err(reason) = admitted {
            return Decision::Refused(reason);
        }

        // After this point the instruction has a leaf, and its id is used up.
        let position = self.take_id(instruction);
        match &instruction.body {
            Body::OpenAccount(open) => self.open_account(place, instruction, open),
            Body::Transfer(transfer) => self.transfer(place, instruction, transfer),
            Body::Transfers { items, all_or_nothing } => {
                self.push_leaf(place, instruction, 0, Hash::ZERO, batch_taken(), Vec::new());
                self.transfer_batch(place, instruction, items, *all_or_nothing);
            }
            Body::BookEntries { account, items } => {
                self.push_leaf(place, instruction, 0, Hash::ZERO, batch_taken(), Vec::new());
                self.book_entries(place, instruction, account, items);
            }
            Body::Statement(statement) => self.statement(place, instruction, statement),
            Body::RunMatching { account, salt } => {
                self.run_matching(place, instruction, account, salt);
            }
            Body::DecideMatch(order) => self.decide_match(place, instruction, order),
            Body::WorkBreak(order) => self.work_break(place, instruction, order),
            Body::SignPosition(order) => self.sign_position(place, instruction, order),
            Body::ProposeAgreement(offer) => self.propose_agreement(place, instruction, offer),
            Body::AnswerAgreement(answer) => self.answer_agreement(place, instruction, answer),
        }
        Decision::Decided(position)
    }

    /// Uses up the id of an instruction, whose leaf is the next.
    fn take_id(&mut self, instruction: &Instruction) -> Position {
        let position = self.next_position();
        let key = (instruction.id, instruction.institution);
        self.state.ids.insert(key, (instruction.hash, position));
        self.ids.push(IdRecord {
            institution: instruction.institution,
            id: instruction.id,
            instruction_hash: instruction.hash,
            position,
        });
        position
    }

    fn next_position(&self) -> Position {
        let leaf = u32::try_from(self.leaves.len()).expect("a block is bounded in leaves");
        Position { height: self.height, leaf }
    }

    /// Adds a leaf and returns its hash as a piece of data, which postings name.
    fn push_leaf(
        &mut self,
        place: u32,
        instruction: &Instruction,
        item: u32,
        item_hash: Hash,
        outcome: Outcome,
        effects: Vec<u8>,
    ) -> Hash {
        let item_of = (item, item_hash);
        let hash = Leaf::of(instruction.hash, item_of, outcome, effects_hash(&effects)).hash();
        self.leaf_hashes.push(hash);
        self.leaves.push(LeafRecord { instruction: place, item, outcome, effects });
        hash
    }

    /// Adds the leaf of work that was due.
    fn push_due_leaf(&mut self, effects: Vec<u8>) {
        let outcome = Outcome::of_event(OutcomeState::Recorded, Event::DueWorkDone);
        let leaf = Leaf::of(Hash::ZERO, (0, Hash::ZERO), outcome, effects_hash(&effects));
        self.leaf_hashes.push(leaf.hash());
        self.leaves.push(LeafRecord { instruction: NO_INSTRUCTION, item: 0, outcome, effects });
    }

    /// Closes the block: heads, trees, header.
    fn finish(self, log: LogPosition) -> Block {
        let state = self.state;
        let mut heads = Vec::new();
        for (ordinal, postings) in &self.postings {
            let account = &mut state.accounts[usize::try_from(*ordinal).expect("32 bits fit")];
            let (before, root) = (account.head, postings.root());
            account.advance_head(self.height, root);
            let posting_count = account.posting_count;
            let interval = |count: u64| count / HEAD_INTERVAL;
            if interval(posting_count) != interval(posting_count - postings.size()) {
                let (account, height) = (*ordinal, self.height);
                heads.push(HeadRecord { account, height, posting_count, before, root });
            }
        }
        let mut touched: Vec<u32> = self.postings.into_keys().collect();
        touched.append(&mut self.opened.into_iter().collect());
        touched.sort_unstable();
        touched.dedup();
        state.stale.extend(&touched);

        let quiet = self.leaves.len() <= QUIET_LEAVES_MAX;
        let due = self.block_time_ms >= state.flagged_ms.saturating_add(FLAG_INTERVAL_MS);
        let accounts_root = (quiet || due).then(|| {
            let (stale, hashes) = state.refresh_accounts_tree();
            let levels = u64::from(state.accounts.len().checked_ilog2().unwrap_or(0));
            assert!(hashes <= stale * (levels + 2), "a path for each touched account, no more");
            state.flagged_ms = self.block_time_ms;
            state.flagged_height = Some(self.height);
            state.accounts_tree.root()
        });
        let header = Header {
            chain_id: state.chain_id,
            incarnation: 0,
            epoch: 0,
            rule_version: 1,
            height: self.height,
            previous: state.header_hash,
            raft_term: log.term,
            raft_index: log.index,
            proposer: log.node,
            proposal_hash: state.proposal_hash,
            block_time_ms: self.block_time_ms,
            leaf_count: u32::try_from(self.leaves.len()).expect("a block is bounded in leaves"),
            account_count: u32::try_from(state.accounts.len()).expect("ordinals have 32 bits"),
            registry_count: state.registry.count(),
            tx_root: self.leaf_hashes.root(),
            history_root: state.history.root(),
            accounts_root,
            registry_root: state.registry.root(),
        };
        let hash = header.hash();
        state.height = self.height;
        state.header_hash = hash;
        state.block_time_ms = self.block_time_ms;
        state.history.push(merkle::leaf_hash(hash.as_bytes()));
        state.forget_old_ids();
        Block {
            header,
            hash,
            leaves: self.leaves,
            ids: self.ids,
            transfers: self.transfers,
            movements: self.movements,
            touched,
            heads,
            records: self.records,
        }
    }
}

fn batch_taken() -> Outcome {
    Outcome::of_event(OutcomeState::Itemised, Event::BatchTaken)
}
