//! A small real ledger: blocks that the ledger's own code executed, and every proof of them, signed
//! by the nodes of its genesis file. The command line's tests use it too.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_client::v1;
use counterfoil_ledger::account::{Account, AccountId};
use counterfoil_ledger::apply::{self, Applied, LogPosition, Prepared};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::{Position, encode_leaves};
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::history::{History, StoredBlock};
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::merkle;
use counterfoil_ledger::proposal::{Proposal, ProposalHeader};
use counterfoil_ledger::prove;
use counterfoil_ledger::replay::Replay;
use counterfoil_ledger::signature::{Label, Signer, SoftwareSigner, absence_payload, preimage};
use counterfoil_ledger::state::State;

pub struct Chain {
    pub genesis: Genesis,
    /// Attestation keys by node id.
    pub nodes: BTreeMap<u64, SoftwareSigner>,
    pub state: State,
    history: History,
    /// By height, from 0.
    pub headers: Vec<Header>,
    /// By height, from 1.
    pub blocks: Vec<StoredBlock>,
    /// After each block, by height from 0.
    accounts: Vec<Vec<Account>>,
    /// Where an instruction was decided.
    pub places: BTreeMap<(Bic, [u8; 16]), Position>,
}

impl Chain {
    pub fn found(genesis: Genesis, nodes: BTreeMap<u64, SoftwareSigner>) -> Chain {
        let (state, block) = State::genesis(genesis.clone());
        Chain {
            history: Replay::new(genesis.clone()).history().clone(),
            genesis,
            nodes,
            state,
            headers: vec![block.header],
            blocks: Vec::new(),
            accounts: vec![Vec::new()],
            places: BTreeMap::new(),
        }
    }

    /// Executes SignedInstructions in one block.
    pub fn block(&mut self, stamp_ms: u64, instructions: Vec<Bytes>) {
        let chain_id = self.genesis.chain_id();
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
        let signature = self.sign(1, Label::Proposal, header.hash().as_bytes());
        let key_id = self.nodes[&1].key_id();
        let signature = signature.value[..].try_into().unwrap();
        let proposal = Proposal { header, key_id, signature, instructions };
        let registry = self.state.registry();
        let prepared: Vec<_> = proposal
            .instructions
            .iter()
            .map(|bytes| Prepared::new(bytes.clone(), registry, &chain_id))
            .collect();
        let facts = self.history.facts(&apply::wants(&prepared));
        let log = LogPosition { term: 1, node: 1, index: self.state.height() + 1 };
        let applied = self.state.commit(&proposal.header, true, &prepared, &facts, log);
        let Applied::Block(block, _) = applied else { panic!("the proposal fits") };
        self.history.push(&block, &proposal);
        for id in &block.ids {
            self.places.insert((id.institution, *id.id.as_bytes()), id.position);
        }
        self.headers.push(block.header.clone());
        self.accounts.push(self.state.accounts().to_vec());
        self.blocks.push(StoredBlock { header: block.header, proposal, leaves: block.leaves });
    }

    pub fn height(&self) -> u64 {
        self.state.height()
    }

    fn stored(&self, height: u64) -> &StoredBlock {
        &self.blocks[usize::try_from(height - 1).unwrap()]
    }

    fn header(&self, height: u64) -> &Header {
        &self.headers[usize::try_from(height).unwrap()]
    }

    pub fn sign(&self, node: u64, label: Label, payload: &[u8]) -> v1::NodeSignature {
        let preimage = preimage(label, &self.genesis.chain_id(), payload);
        let value = self.nodes[&node].sign(&preimage).unwrap();
        v1::NodeSignature { node, value: Bytes::copy_from_slice(&value) }
    }

    fn all(&self, label: Label, payload: &[u8]) -> Vec<v1::NodeSignature> {
        self.nodes.keys().map(|node| self.sign(*node, label, payload)).collect()
    }

    /// A header, signed by every node.
    pub fn certificate(&self, height: u64) -> v1::Certificate {
        let header = self.header(height);
        v1::Certificate {
            header: Bytes::copy_from_slice(&header.encode()),
            signatures: self.all(Label::Header, header.hash().as_bytes()),
        }
    }

    pub fn attestation(&self, node: u64, header: &Header) -> v1::Attestation {
        v1::Attestation {
            header: Bytes::copy_from_slice(&header.encode()),
            signature: Some(self.sign(node, Label::Header, header.hash().as_bytes())),
        }
    }

    /// A node of the tree over the header hashes.
    fn node(&self, level: u32, index: u64) -> Result<Hash, ()> {
        match level {
            0 => Ok(prove::history_leaf(self.header(index))),
            level => Ok(merkle::node_hash(
                &self.node(level - 1, index * 2)?,
                &self.node(level - 1, index * 2 + 1)?,
            )),
        }
    }

    pub fn history_path(&self, height: u64, certified: u64) -> Vec<Bytes> {
        prove::history_path(height, certified, &mut |level, at| self.node(level, at)).unwrap()
    }

    /// The receipt of a leaf: ordered.
    pub fn ordered_receipt(&self, height: u64, leaf: u32) -> v1::Receipt {
        prove::receipt(self.stored(height), leaf, self.state.registry()).unwrap()
    }

    /// The receipt of a leaf with the certificate of a height.
    pub fn receipt(&self, height: u64, leaf: u32, certified: u64) -> v1::Receipt {
        v1::Receipt {
            history_path: self.history_path(height, certified),
            certificate: Some(self.certificate(certified)),
            ..self.ordered_receipt(height, leaf)
        }
    }

    pub fn batch(&self, height: u64, leaf: u32) -> Option<v1::BatchProof> {
        prove::batch(self.stored(height), leaf)
    }

    pub fn history_proof(&self, height: u64, certified: u64) -> v1::HistoryProof {
        let node = &mut |level, at| self.node(level, at);
        v1::HistoryProof {
            header: Bytes::copy_from_slice(&self.header(height).encode()),
            history_path: self.history_path(height, certified),
            certificate: Some(self.certificate(certified)),
            consistency_path: prove::consistency_path(height, certified, node).unwrap(),
        }
    }

    /// The statement on an id as of the newest header.
    pub fn absence(&self, institution: &Bic, id: &InstructionId) -> v1::Absence {
        let header = self.header(self.height());
        let payload = absence_payload(institution, id, &header.hash());
        v1::Absence {
            institution: institution.to_string(),
            id: Bytes::copy_from_slice(id.as_bytes()),
            header: Bytes::copy_from_slice(&header.encode()),
            signatures: self.all(Label::Absence, &payload),
        }
    }

    /// The proof of an account as of the newest header.
    pub fn account_proof(&self, account: AccountId, from: u64, to: u64) -> v1::AccountProof {
        let last = self.accounts.last().unwrap();
        let found = last.iter().find(|found| found.id == account).unwrap();
        let mut tree = merkle::Tree::default();
        tree.set(last.iter().map(|account| merkle::leaf_hash(&account.leaf())).enumerate());
        let mut head = Hash::ZERO;
        let (mut opening, mut blocks) = (Bytes::new(), Vec::new());
        for block in &self.blocks {
            let height = block.header.height;
            let leaves = 0..u32::try_from(block.leaves.len()).unwrap();
            let postings = prove::postings(block, &account, leaves).unwrap();
            if postings.is_empty() {
                continue;
            }
            let root = merkle::root_of(postings.iter().map(|bytes| merkle::leaf_hash(bytes)));
            let head_bytes =
                [&head.as_bytes()[..], &height.to_be_bytes(), root.as_bytes()].concat();
            head = Hash::of(&head_bytes);
            if height <= from {
                opening = head_bytes.into();
            } else {
                blocks.push(v1::PostedBlock { height, postings });
            }
        }
        let named = v1::OpenAccount {
            servicer: found.servicer.to_string(),
            owner: found.owner.to_string(),
            asset: found.asset.as_str().to_owned(),
            name: found.name.clone(),
        };
        let ordinal = usize::try_from(found.ordinal).unwrap();
        v1::AccountProof {
            account: Some(named),
            leaf: Bytes::copy_from_slice(&found.leaf()),
            leaf_path: prove::bytes(&tree.path(ordinal).unwrap()),
            header: Bytes::copy_from_slice(&self.header(self.height()).encode()),
            history_path: Vec::new(),
            certificate: Some(self.certificate(self.height())),
            from_height: from,
            to_height: to,
            opening,
            blocks,
        }
    }

    /// The blocks as an auditor exports them.
    pub fn exported(&self) -> Vec<v1::ExportBlocksResponse> {
        let exported = self.blocks.iter().map(|block| v1::ExportBlocksResponse {
            header: Bytes::copy_from_slice(&block.header.encode()),
            proposal: block.proposal.encode(),
            outcomes: encode_leaves(&block.leaves).into(),
            void_proposals: Vec::new(),
        });
        exported.collect()
    }
}
