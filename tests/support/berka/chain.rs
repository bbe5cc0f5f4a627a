//! The real core, driven block by block: what a cluster does around it, without the cluster.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    apply::{self, Applied, Decision, LogPosition, Prepared},
    bic::Bic,
    block::{Block, IdRecord, encode_leaves},
    genesis::Genesis,
    hash::Hash,
    history::History,
    id::InstructionId,
    instruction::Draft,
    proposal::{Proposal, ProposalHeader},
    replay::{Replay, ReplayError, proposal_holds},
    signature::{Label, Signer, SoftwareSigner, preimage},
    state::State,
};
use counterfoil_proto::v1;
use prost::Message;

use super::names;

/// The operator's node, which leads and proposes every block.
const NODE: u64 = 1;

/// Its Raft term.
const TERM: u64 = 1;

/// How long an instruction is valid after it was made.
const VALIDITY_MS: u64 = 60 * 60 * 1_000;

/// With which of its two keys a bank signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hand {
    /// The clerk's.
    First,
    /// The one that a second pair of eyes has.
    Second,
}

/// A ledger, what its storage holds, and everybody's keys.
pub struct Chain {
    state: State,
    history: History,
    signers: BTreeMap<(Bic, Hand), SoftwareSigner>,
    node: SoftwareSigner,
    instruction_count: u64,
    blocks: Vec<Stored>,
    accounts: BTreeMap<u32, Vec<u8>>,
    ids: Vec<IdRecord>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A block as a replay reads it.
struct Stored {
    header: Vec<u8>,
    proposal: Bytes,
    outcomes: Vec<u8>,
}

impl Chain {
    /// Founds a ledger for the banks, with a node of an operator that is none of them.
    pub fn found(banks: &[Bic], created_ms: u64) -> Chain {
        let operator = names::operator();
        let mut signers = BTreeMap::new();
        for bic in banks.iter().chain([&operator]) {
            signers.insert((*bic, Hand::First), names::signer(bic, "instruction"));
            signers.insert((*bic, Hand::Second), names::signer(bic, "second instruction"));
        }
        let node = names::signer(&operator, "attestation");
        let institution = |bic: &Bic| {
            let hands = [Hand::First, Hand::Second].map(|hand| &signers[&(*bic, hand)]);
            let mut keys = hands.map(|signer| key(signer, v1::KeyPurpose::Instruction)).to_vec();
            if *bic == operator {
                keys.push(key(&node, v1::KeyPurpose::Attestation));
            }
            keys.sort_by_key(|key| Hash::of(&key.public_key));
            v1::Institution {
                bic: bic.as_str().to_owned(),
                name: format!("{bic} (made up)"),
                trust_anchor: Bytes::from_static(b"nobody connects to this ledger"),
                keys,
                audit_scope: v1::AuditScope::Institution.into(),
            }
        };
        let mut members: Vec<Bic> = banks.iter().copied().chain([operator]).collect();
        members.sort_unstable();
        let genesis = Genesis::create(v1::Genesis {
            format: 1,
            consortium: "berka.example".to_owned(),
            created_ms,
            rule_version: 1,
            institutions: members.iter().map(institution).collect(),
            nodes: vec![v1::Node {
                id: NODE,
                institution: operator.as_str().to_owned(),
                name: "node".to_owned(),
                attestation_key_id: Bytes::copy_from_slice(node.key_id().as_bytes()),
                peer_address: "localhost:1".to_owned(),
                client_address: "localhost:2".to_owned(),
                role: 0,
            }],
            assets: vec![v1::Asset { code: names::ASSET.to_owned(), exponent: 2 }],
            policy: None,
        })
        .expect("the founding document holds");
        let (state, _) = State::genesis(genesis);
        Chain {
            state,
            history: History::default(),
            signers,
            node,
            instruction_count: 0,
            blocks: Vec::new(),
            accounts: BTreeMap::new(),
            ids: Vec::new(),
            records: BTreeMap::new(),
        }
    }

    /// The state after the last block.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The history up to the last block.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many instructions were signed.
    pub fn instruction_count(&self) -> u64 {
        self.instruction_count
    }

    /// An instruction of a bank with a body of its own.
    pub fn single(&mut self, bank: &Bic, at_ms: u64, body: v1::instruction::Body) -> Bytes {
        self.by_hand(bank, Hand::First, at_ms, body)
    }

    /// The same, with one of the bank's keys.
    pub fn by_hand(
        &mut self,
        bank: &Bic,
        hand: Hand,
        at_ms: u64,
        body: v1::instruction::Body,
    ) -> Bytes {
        let draft = Draft::new(self.next_id(at_ms), bank, at_ms + VALIDITY_MS, body);
        self.sign(bank, hand, draft)
    }

    /// A batch of transfers under a bank's signature, each for itself.
    pub fn transfers(&mut self, bank: &Bic, at_ms: u64, items: &[v1::Transfer]) -> Bytes {
        let id = self.next_id(at_ms);
        let draft = Draft::transfers(id, bank, at_ms + VALIDITY_MS, items, false);
        self.sign(bank, Hand::First, draft)
    }

    /// A batch of book entries under a bank's signature.
    pub fn book_entries(&mut self, bank: &Bic, at_ms: u64, items: &[v1::BookEntry]) -> Bytes {
        let id = self.next_id(at_ms);
        let draft = Draft::book_entries(id, bank, at_ms + VALIDITY_MS, items);
        self.sign(bank, Hand::First, draft)
    }

    fn next_id(&mut self, at_ms: u64) -> InstructionId {
        self.instruction_count += 1;
        let random = names::salt("instruction", self.instruction_count);
        let random = random[..10].try_into().expect("16 bytes have 10");
        InstructionId::new(at_ms, random)
    }

    fn sign(&self, bank: &Bic, hand: Hand, draft: Draft) -> Bytes {
        let signed = draft.sign(&self.signers[&(*bank, hand)], &self.state.chain_id());
        signed.expect("a key in memory signs").encode_to_vec().into()
    }

    /// Proposes, signs and commits one block. Everything in it has to be taken.
    pub fn commit(&mut self, stamp_ms: u64, instructions: Vec<Bytes>) -> Block {
        let block = self.judge(stamp_ms, instructions);
        for leaf in &block.leaves {
            assert_eq!(leaf.outcome.reason, None, "block {}: {leaf:?}", block.header.height);
        }
        block
    }

    /// The same, where the ledger may say no.
    pub fn judge(&mut self, stamp_ms: u64, instructions: Vec<Bytes>) -> Block {
        let proposal = self.propose(stamp_ms, instructions);
        let prepared: Vec<_> = proposal
            .instructions
            .iter()
            .map(|bytes| {
                Prepared::new(bytes.clone(), self.state.registry(), &self.state.chain_id())
            })
            .collect();
        let facts = self.history.facts(&apply::wants(&prepared));
        let signed = proposal_holds(&proposal, &self.state);
        let log = LogPosition { term: TERM, node: NODE, index: proposal.header.sequence };
        let applied = self.state.commit(&proposal.header, signed, &prepared, &facts, log);
        let Applied::Block(block, decisions) = applied else {
            panic!("the proposal of {stamp_ms} is void");
        };
        for decision in decisions {
            assert!(matches!(decision, Decision::Decided(_)), "{decision:?}");
        }
        self.store(&block, &proposal);
        *block
    }

    fn propose(&self, stamp_ms: u64, instructions: Vec<Bytes>) -> Proposal {
        let (previous, sequence) = self.state.last_proposal();
        let header = ProposalHeader {
            incarnation: 0,
            epoch: 0,
            proposer: NODE,
            term: TERM,
            sequence: sequence + 1,
            previous,
            stamp_ms,
            count: u32::try_from(instructions.len()).expect("a block is small"),
            instructions_root: Proposal::instructions_root(&instructions),
        };
        let payload = preimage(Label::Proposal, &self.state.chain_id(), header.hash().as_bytes());
        let signature = self.node.sign(&payload).expect("a key in memory signs");
        Proposal { header, key_id: self.node.key_id(), signature, instructions }
    }

    fn store(&mut self, block: &Block, proposal: &Proposal) {
        self.history.push(block, proposal);
        self.blocks.push(Stored {
            header: block.header.encode().to_vec(),
            proposal: proposal.encode(),
            outcomes: encode_leaves(&block.leaves),
        });
        for ordinal in &block.touched {
            let account = self.state.account_at(*ordinal).expect("a touched account exists");
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
    }

    /// Stops and starts: the state is built again from what was stored, and nothing else.
    pub fn restart(&mut self) {
        let restored = State::restore(
            self.state.genesis_file().clone(),
            &self.state.core(),
            self.accounts.values().cloned(),
            self.records.clone(),
        );
        self.state = restored.expect("what was stored is a state");
        self.state.remember_ids(self.ids.iter().copied());
    }

    /// Executes the whole chain again from the genesis file, as an auditor does, without a restart
    /// in between: every header and outcome must come out the same, byte for byte.
    pub fn replay(&self) -> Result<Replay, ReplayError> {
        let mut replay = Replay::new(self.state.genesis_file().clone());
        for block in &self.blocks {
            replay.block(&block.header, &block.proposal, &block.outcomes)?;
        }
        Ok(replay)
    }
}

fn key(signer: &SoftwareSigner, purpose: v1::KeyPurpose) -> v1::Key {
    v1::Key {
        public_key: Bytes::copy_from_slice(signer.spki()),
        purpose: purpose.into(),
        name: format!("{purpose:?}"),
    }
}
