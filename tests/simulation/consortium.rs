//! Who takes part: four institutions with a node and two keys each.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::SoftwareSigner;
use counterfoil_node::identity::Identity;
use counterfoil_node::identity::Role;
use counterfoil_node::identity::caller::Caller;
use counterfoil_node::identity::caller::Line;
use counterfoil_proto::v1;

/// Nodes, with ids from 1. The first one's institution is the settlement agent.
pub const NODES: u64 = 4;

/// When the consortium was founded, Unix milliseconds.
pub const FOUNDED_MS: u64 = 1_700_000_000_000;

/// Blocks from one snapshot to the next. A node that was away for more than two of these has to catch
/// up before Raft can go on with it.
const SNAPSHOT_INTERVAL: u32 = 32;

/// The institution that runs a node.
pub fn institution(node: u64) -> Bic {
    Bic::parse(&format!("BNK{node}CHZZXXX")).expect("a BIC")
}

/// The key with which an institution signs instructions.
pub fn instructing(node: u64) -> SoftwareSigner {
    SoftwareSigner::from_ed25519_seed(&[u8::try_from(node).expect("few nodes"); 32])
}

/// The key with which a node signs headers.
pub fn attesting(node: u64) -> SoftwareSigner {
    SoftwareSigner::from_ed25519_seed(&[u8::try_from(node + 100).expect("few nodes"); 32])
}

/// As another node sees it.
pub fn caller(node: u64) -> Caller {
    let identity = Identity {
        institution: institution(node),
        role: Role::Node,
        name: "one".to_owned(),
        not_after_s: i64::MAX,
        key_fingerprint: attesting(node).key_id(),
    };
    let address = ([127, 0, 0, 1], 1).into();
    let line = Line::default();
    Caller { identity: Arc::new(identity), node_id: Some(node), address, line }
}

/// The founding document.
pub fn genesis() -> Genesis {
    let institutions = (1..=NODES).map(|node| {
        let mut keys = [
            (instructing(node), v1::KeyPurpose::Instruction),
            (attesting(node), v1::KeyPurpose::Attestation),
        ]
        .map(|(signer, purpose)| {
            let key = v1::Key {
                public_key: Bytes::copy_from_slice(signer.spki()),
                purpose: i32::from(purpose),
                name: String::new(),
            };
            (signer.key_id(), key)
        });
        keys.sort_by_key(|(id, _)| *id);
        v1::Institution {
            bic: institution(node).as_str().to_owned(),
            name: "Bank".to_owned(),
            trust_anchor: Bytes::from(format!("anchor {node}")),
            keys: keys.map(|(_, key)| key).to_vec(),
            audit_scope: i32::from(v1::AuditScope::Institution),
        }
    });
    let nodes = (1..=NODES).map(|id| v1::Node {
        id,
        institution: institution(id).as_str().to_owned(),
        name: "one".to_owned(),
        role: i32::from(v1::GroupRole::Unspecified),
        attestation_key_id: attesting(id).key_id().to_bytes(),
        peer_address: format!("localhost:{}", id * 2),
        client_address: format!("localhost:{}", id * 2 + 1),
    });
    let message = v1::Genesis {
        format: 1,
        consortium: "simulated.example".to_owned(),
        created_ms: FOUNDED_MS,
        rule_version: 1,
        institutions: institutions.collect(),
        nodes: nodes.collect(),
        assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
        policy: Some(v1::Policy {
            snapshot_interval_blocks: SNAPSHOT_INTERVAL,
            ..v1::Policy::default()
        }),
    };
    Genesis::create(message).expect("a consortium that holds")
}
