//! Nodes of a consortium of four, each with its stores, and blocks without instructions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::apply::LogPosition;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::SoftwareSigner;
use counterfoil_proto::v1;

use super::Finality;
use super::Parts;
use super::Tasks;
use super::attested::Attested;
use crate::clock::Clock;
use crate::consensus::executor::Executor;
use crate::consensus::executor::Unflushed;
use crate::consensus::network::Peers;
use crate::consensus::preparer::PreparedProposal;
use crate::consensus::suite;
use crate::consensus::term_bound::TermBound;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;

/// The attestation key of a node.
pub fn signer(node: u64) -> SoftwareSigner {
    SoftwareSigner::from_ed25519_seed(&[u8::try_from(node).unwrap(); 32])
}

/// Four institutions with a node each.
pub fn genesis() -> Genesis {
    let bic = |node: u64| format!("BNK{node}CHZZXXX");
    let institution = |node: u64| v1::Institution {
        bic: bic(node),
        name: "Bank".to_owned(),
        trust_anchor: Bytes::from(format!("anchor {node}")),
        keys: vec![v1::Key {
            public_key: Bytes::copy_from_slice(signer(node).spki()),
            purpose: i32::from(v1::KeyPurpose::Attestation),
            name: String::new(),
        }],
        audit_scope: i32::from(v1::AuditScope::Institution),
    };
    let node = |id: u64| v1::Node {
        id,
        institution: bic(id),
        name: "one".to_owned(),
        attestation_key_id: signer(id).key_id().to_bytes(),
        peer_address: format!("localhost:{}", id * 2),
        client_address: format!("localhost:{}", id * 2 + 1),
        role: 0,
    };
    let message = v1::Genesis {
        format: 1,
        consortium: "test.example".to_owned(),
        created_ms: 1,
        rule_version: 1,
        institutions: (1..=4).map(institution).collect(),
        nodes: (1..=4).map(node).collect(),
        assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
        policy: None,
    };
    Genesis::create(message).unwrap()
}

/// A header as a node signs it.
pub fn attest(node: u64, header: &Header) -> Attested {
    let hash = header.hash();
    let preimage = signature::preimage(Label::Header, &header.chain_id, hash.as_bytes());
    let value = Bytes::copy_from_slice(&signer(node).sign(&preimage).unwrap());
    let signature = Some(v1::NodeSignature { node, value });
    let message = v1::Attestation { header: Bytes::copy_from_slice(&header.encode()), signature };
    Attested { node, header: header.clone(), hash, message }
}

/// Some header of a height; the number tells those of one height apart.
pub fn header(height: u64, number: u64) -> Header {
    let genesis = genesis();
    let (_, block) = counterfoil_ledger::state::State::genesis(genesis);
    Header { height, block_time_ms: number, ..block.header }
}

/// The other nodes: none can be reached.
fn nobody() -> Peers {
    let terms = TermBound::new(Clock::manual(1), 1, 4);
    Peers::new(BTreeMap::new(), BTreeSet::new(), Bytes::new(), terms)
}

/// One node, without Raft and without a network.
pub struct Node {
    pub finality: Arc<Finality>,
    pub tasks: Tasks,
    pub executor: Arc<Executor>,
    pub log: LogStore,
    pub path: tempfile::TempDir,
    unflushed: Unflushed,
}

impl Node {
    /// The first node, new.
    pub fn new() -> Node {
        let path = tempfile::tempdir().unwrap();
        let chain_id = genesis().chain_id();
        drop(DataDirectory::init(&path.path().join("data"), 1, &chain_id).unwrap());
        Node::open(path)
    }

    /// As it left its log. Its state is gone, and is executed again.
    pub fn restart(self) -> Node {
        let Node { finality, tasks, executor, log, path, .. } = self;
        drop((finality, tasks, executor, log));
        Node::open(path)
    }

    fn open(path: tempfile::TempDir) -> Node {
        let genesis = genesis();
        let registry = Arc::new(Registry::of(&genesis));
        let chain_id = genesis.chain_id();
        let directory = DataDirectory::open(&path.path().join("data"), 1, &chain_id).unwrap();
        let log = LogStore::open(&directory).unwrap();
        let store = StateStore::open(&directory, log.clone()).unwrap();
        let (executor, _) = Executor::open(store, genesis).unwrap();
        let executor = Arc::new(executor);
        let (finality, tasks) = Finality::open(Parts {
            node: 1,
            registry,
            chain_id,
            signer: Arc::new(signer(1)),
            signs: true,
            executor: executor.clone(),
            log: log.clone(),
            directory,
            peers: nobody(),
        })
        .unwrap();
        Node { finality, tasks, executor, log, path, unflushed: Unflushed::none() }
    }

    /// The other nodes: none can be reached.
    pub fn peers(&self) -> Peers {
        nobody()
    }

    /// Executes a block without instructions and returns its header. Another stamp gives another
    /// block.
    pub fn execute(&mut self, stamp_ms: u64) -> Header {
        let last = self.executor.state().last_proposal();
        let header = suite::empty_header(last, 1, stamp_ms);
        let proposal =
            Proposal { header, key_id: Hash::ZERO, signature: [0; 64], instructions: Vec::new() };
        let prepared = PreparedProposal { proposal, holds: true, instructions: Vec::new() };
        let log = LogPosition { term: 1, node: 1, index: last.1 + 1 };
        let executed = self.executor.execute(&prepared, log, &mut self.unflushed).unwrap();
        executed.0.unwrap().block.header.clone()
    }
}
