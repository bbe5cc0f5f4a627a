//! openraft's own storage suite on the real stores.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::SoftwareSigner;
use counterfoil_proto::v1;
use openraft::StorageError;
use openraft::testing::StoreBuilder;
use openraft::testing::Suite;

use super::Types;
use super::executor::Executor;
use super::log::Log;
use super::preparer::Preparer;
use super::state_machine::StateMachine;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;

/// A consortium of one institution with one node.
pub(super) fn genesis() -> Genesis {
    let mut keys = [([1; 32], v1::KeyPurpose::Instruction), ([2; 32], v1::KeyPurpose::Attestation)]
        .map(|(seed, purpose)| {
            let signer = SoftwareSigner::from_ed25519_seed(&seed);
            let key = v1::Key {
                public_key: Bytes::copy_from_slice(signer.spki()),
                purpose: i32::from(purpose),
                name: String::new(),
            };
            (signer.key_id(), key)
        });
    let attestation_key_id = Bytes::copy_from_slice(keys[1].0.as_bytes());
    keys.sort_by_key(|(id, _)| *id);
    let institution = v1::Institution {
        bic: "BANKCHZZXXX".to_owned(),
        name: "Bank".to_owned(),
        trust_anchor: Bytes::from_static(b"anchor"),
        keys: keys.map(|(_, key)| key).to_vec(),
        audit_scope: i32::from(v1::AuditScope::Institution),
    };
    let node = v1::Node {
        id: 1,
        institution: institution.bic.clone(),
        name: "one".to_owned(),
        attestation_key_id,
        peer_address: "localhost:1".to_owned(),
        client_address: "localhost:2".to_owned(),
        role: 0,
    };
    let message = v1::Genesis {
        format: 1,
        consortium: "test.example".to_owned(),
        created_ms: 1,
        rule_version: 1,
        institutions: vec![institution],
        nodes: vec![node],
        assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
        policy: None,
    };
    Genesis::create(message).unwrap()
}

/// A log and a state machine that have nothing yet, and the directory that they are in.
pub(super) fn stores() -> (tempfile::TempDir, Log, StateMachine) {
    let guard = tempfile::tempdir().unwrap();
    let genesis = genesis();
    let chain_id = genesis.chain_id();
    let directory = DataDirectory::init(&guard.path().join("data"), 1, &chain_id).unwrap();
    let log = LogStore::open(&directory).unwrap();
    let store = StateStore::open(&directory, log.clone()).unwrap();
    let preparer = Preparer::new(Arc::new(Registry::of(&genesis)), chain_id);
    let (executor, _) = Executor::open(store, genesis).unwrap();
    let machine = StateMachine::new(Arc::new(executor), Arc::new(preparer), None).unwrap();
    (guard, Log::new(log), machine)
}

/// The header of a proposal of nothing after `last`, the hash and the sequence of another.
pub(super) fn empty_header(
    (previous, sequence): (Hash, u64),
    term: u64,
    stamp_ms: u64,
) -> ProposalHeader {
    ProposalHeader {
        incarnation: 0,
        epoch: 0,
        proposer: 1,
        term,
        sequence: sequence + 1,
        previous,
        stamp_ms,
        count: 0,
        instructions_root: Proposal::instructions_root(&[]),
    }
}

/// The proposal with that header, as the node signs it.
pub(super) fn empty_proposal(last: (Hash, u64), term: u64, stamp_ms: u64) -> Proposal {
    let header = empty_header(last, term, stamp_ms);
    let signer = SoftwareSigner::from_ed25519_seed(&[2; 32]);
    let hash = header.hash();
    let preimage = signature::preimage(Label::Proposal, &genesis().chain_id(), hash.as_bytes());
    let signature = signer.sign(&preimage).unwrap();
    Proposal { header, key_id: signer.key_id(), signature, instructions: Vec::new() }
}

struct Stores;

impl StoreBuilder<Types, Log, StateMachine, tempfile::TempDir> for Stores {
    async fn build(&self) -> Result<(tempfile::TempDir, Log, StateMachine), StorageError<u64>> {
        Ok(stores())
    }
}

#[test]
fn openraft_suite() {
    Suite::test_all(Stores).unwrap();
}
