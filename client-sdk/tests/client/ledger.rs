//! What the nodes of a test agree on: a real ledger, and what they stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_client::{Bic, v1};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::instruction::Draft;
use counterfoil_ledger::outcome::{Outcome, State};
use counterfoil_ledger::signature::SoftwareSigner;
use counterfoil_ledger::verify::{self, Finality, Trust};
use prost::Message;

use crate::chain::Chain;
use crate::consortium::{AGENT, BANK, Consortium, now_ms};

/// Minor units that the bank begins with.
pub const FUNDED: u64 = 1_000_000;

/// What the nodes say of reconciliation; lists answer by number or date.
#[derive(Default)]
pub struct Found {
    pub matches: Vec<v1::Match>,
    pub proposals: Vec<v1::Proposal>,
    pub breaks: Vec<v1::Break>,
    pub steps: Vec<v1::BreakStep>,
    pub positions: Vec<v1::DayPosition>,
    pub explanation: v1::ExplainItemResponse,
    pub report: v1::GetReportResponse,
    pub tried: Vec<v1::TriedTerms>,
    /// The terms that were tried.
    pub terms: Option<v1::AgreementTerms>,
    pub statements: Vec<v1::RecordedStatement>,
    /// The bytes of the only original.
    pub original: Vec<u8>,
    /// Every part is said to be of another original.
    pub changes: bool,
    /// No part of an original is taken.
    pub takes_no_part: bool,
}

pub struct Ledger {
    pub chain: Chain,
    pub movements: Vec<v1::WatchMovementsResponse>,
    /// What every account is said to have.
    pub balance: Option<v1::GetBalanceResponse>,
    pub findings: Vec<v1::WatchReconciliationResponse>,
    pub found: Found,
    pub agreement: Option<v1::GetAgreementResponse>,
    pub blocks: Vec<v1::ExportBlocksResponse>,
}

impl Ledger {
    /// A ledger with an account of the agent and one of the bank, and money on the bank's.
    pub fn found(consortium: &Consortium, genesis: &Genesis) -> Ledger {
        let seeds = [(1, [1; 32]), (2, [2; 32])];
        let nodes: BTreeMap<_, _> =
            seeds.iter().map(|(id, seed)| (*id, SoftwareSigner::from_ed25519_seed(seed))).collect();
        assert_eq!(nodes.len(), consortium.nodes.len());
        let chain = Chain::found(genesis.clone(), nodes);
        let mut ledger = Ledger {
            chain,
            movements: Vec::new(),
            balance: None,
            findings: Vec::new(),
            found: Found::default(),
            agreement: None,
            blocks: Vec::new(),
        };
        let (agent, bank) = (Bic::parse(AGENT).unwrap(), Bic::parse(BANK).unwrap());
        let founded_ms = genesis.message().created_ms;
        let mut orders = Vec::new();
        for (number, owner) in (1..).zip([agent, bank]) {
            let open = v1::OpenAccount {
                servicer: agent.to_string(),
                owner: owner.to_string(),
                asset: "CHF".to_owned(),
                name: "settlement".to_owned(),
            };
            orders.push((number, v1::instruction::Body::OpenAccount(open)));
        }
        let account = |owner| AccountId::of(&agent, owner, "CHF", "settlement");
        let issue =
            counterfoil_client::instructions::transfer(account(&agent), account(&bank), FUNDED);
        orders.push((3, v1::instruction::Body::Transfer(issue)));
        for (number, body) in orders {
            let stamp_ms = founded_ms + u64::from(number);
            let id = InstructionId::new(stamp_ms, [number; 10]);
            let signed = Draft::new(id, &agent, stamp_ms + 60_000, body)
                .sign(&consortium.agent_signer, &genesis.chain_id())
                .unwrap();
            ledger.chain.block(stamp_ms, vec![signed.encode_to_vec().into()]);
        }
        ledger
    }

    /// Executes an instruction, once, and proves it.
    pub fn submit(&mut self, signed: &v1::SignedInstruction) -> v1::SubmitInstructionResponse {
        let instruction = v1::Instruction::decode(signed.instruction.clone()).unwrap();
        let known = self.place(&instruction.id);
        if known.is_none() {
            self.chain.block(now_ms(), vec![signed.encode_to_vec().into()]);
        }
        let place = self.place(&instruction.id).expect("the ledger takes it");
        let mut response = self.response(place);
        response.result.as_mut().unwrap().replayed = known.is_some();
        response
    }

    /// Where an instruction of the bank was decided.
    pub fn place(&self, id: &[u8]) -> Option<Position> {
        let id: [u8; 16] = id.try_into().unwrap();
        self.chain.places.get(&(Bic::parse(BANK).unwrap(), id)).copied()
    }

    pub fn signed(&self, place: Position) -> v1::SignedInstruction {
        let block = &self.chain.blocks[usize::try_from(place.height - 1).unwrap()];
        block.instruction(place.leaf).unwrap().1
    }

    /// Lets so much block time pass that nothing that was signed by now can be decided.
    pub fn pass(&mut self) {
        self.chain.block(now_ms() + 48 * 3_600_000, Vec::new());
    }

    /// The verdict on the instruction at a place, final by the newest certificate.
    pub fn response(&self, place: Position) -> v1::SubmitInstructionResponse {
        let receipt = self.chain.receipt(place.height, place.leaf, self.chain.height());
        let block = &self.chain.blocks[usize::try_from(place.height - 1).unwrap()];
        let signed = self.signed(place);
        let instruction = v1::Instruction::decode(signed.instruction.clone()).unwrap();
        let batch = self.chain.batch(place.height, place.leaf);
        let own = usize::try_from(place.leaf).unwrap();
        let outcome = block.leaves[own].outcome;
        let items = match outcome.state {
            State::Itemised => &block.leaves[own + 1..own + 1 + signed.items.len()],
            _ => &[],
        };
        let items = (1..).zip(items);
        let result = v1::InstructionResult {
            id: instruction.id,
            institution: instruction.institution,
            instruction_hash: Bytes::copy_from_slice(Hash::of(&signed.instruction).as_bytes()),
            verdict: Some(verdict(place, 0, &outcome)),
            items: items.map(|(item, leaf)| verdict(place, item, &leaf.outcome)).collect(),
            block_time_ms: block.header.block_time_ms,
            replayed: true,
            finality: v1::Finality::Final.into(),
        };
        let trust = Trust::new(self.chain.genesis.clone());
        let verified = verify::receipt(&trust, &receipt).expect("an honest receipt holds");
        assert_ne!(verified.finality, Finality::Ordered);
        v1::SubmitInstructionResponse { result: Some(result), receipt: Some(receipt), batch }
    }
}

fn verdict(place: Position, item_number: u32, outcome: &Outcome) -> v1::Verdict {
    let state = match outcome.state {
        State::Settled => v1::State::Settled,
        State::Rejected => v1::State::Rejected,
        State::Recorded => v1::State::Recorded,
        State::Itemised => v1::State::Itemised,
    };
    let reason = outcome.reason.map(|reason| v1::Reason {
        code: reason.code().into(),
        name: reason.name().to_owned(),
        iso_code: reason.iso_code().to_owned(),
        remedy: reason.remedy().to_owned(),
    });
    v1::Verdict {
        state: state.into(),
        reason,
        position: Some(v1::Position { height: place.height, leaf: place.leaf + item_number }),
        first_posting: outcome.first_posting,
        posting_count: outcome.posting_count.into(),
        item_number,
    }
}
