//! The registry: institutions, trust anchors, keys, nodes and assets, each a record under
//! `registry_root`. Records are never deleted.

use std::collections::BTreeMap;

use counterfoil_proto::v1;
use prost::Message;

use crate::{
    asset::{Asset, AssetCode},
    bic::Bic,
    genesis::Genesis,
    hash::Hash,
    merkle,
    signature::{PublicKey, key_id},
};

/// What the ledger knows of its members.
#[derive(Clone, Debug)]
pub struct Registry {
    institutions: BTreeMap<Bic, Institution>,
    keys: BTreeMap<Hash, Key>,
    nodes: BTreeMap<u64, Node>,
    assets: BTreeMap<String, Asset>,
    root: Hash,
    count: u32,
}

/// A member.
#[derive(Clone, Debug)]
pub struct Institution {
    /// Its BIC.
    pub bic: Bic,
    /// Its legal name.
    pub name: String,
    /// Its auditors read everything.
    pub audits_consortium: bool,
}

/// An enrolled key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Whose.
    pub institution: Bic,
    /// For what.
    pub purpose: v1::KeyPurpose,
    /// The key.
    pub public_key: PublicKey,
}

/// A consensus node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Who runs it.
    pub institution: Bic,
    /// Its name in certificates.
    pub name: String,
    /// The key that signs what it produces.
    pub attestation_key_id: Hash,
    /// host:port for nodes.
    pub peer_address: String,
    /// host:port for clients.
    pub client_address: String,
}

/// Kinds of registry records, in the order of their leaves.
#[repr(u8)]
enum Kind {
    Institution = 1,
    Anchor = 2,
    Key = 3,
    Node = 4,
    Asset = 5,
}

/// A leaf under `registry_root`, 81 bytes: kind u8 · id [32], on the left, zeros behind · active
/// from height u64 · inactive from height u64, 2^64 − 1 while it is active · SHA-256 of the record's
/// protobuf bytes [32]. A key's bytes are preceded by its institution's BIC, and an anchor's are the
/// certificate itself.
fn leaf(kind: Kind, id: &[u8], record: &[u8]) -> [u8; 81] {
    let mut bytes = [0; 81];
    bytes[0] = kind as u8;
    bytes[1..=id.len()].copy_from_slice(id);
    bytes[33..41].copy_from_slice(&0u64.to_be_bytes());
    bytes[41..49].copy_from_slice(&u64::MAX.to_be_bytes());
    bytes[49..].copy_from_slice(Hash::of(record).as_bytes());
    bytes
}

impl Registry {
    /// The registry that a genesis file founds.
    pub fn of(genesis: &Genesis) -> Registry {
        let message = genesis.message();
        let mut registry = Registry {
            institutions: BTreeMap::new(),
            keys: BTreeMap::new(),
            nodes: BTreeMap::new(),
            assets: BTreeMap::new(),
            root: Hash::ZERO,
            count: 0,
        };
        let mut leaves = Vec::new();
        for record in &message.institutions {
            let bic = Bic::parse(&record.bic).expect("the genesis file was checked");
            // The record is the institution without what has records of its own.
            let bare = v1::Institution {
                trust_anchor: bytes::Bytes::new(),
                keys: Vec::new(),
                ..record.clone()
            };
            leaves.push(leaf(Kind::Institution, bic.as_str().as_bytes(), &bare.encode_to_vec()));
            leaves.push(leaf(Kind::Anchor, bic.as_str().as_bytes(), &record.trust_anchor));
            let audits_consortium = record.audit_scope() == v1::AuditScope::Consortium;
            let institution = Institution { bic, name: record.name.clone(), audits_consortium };
            registry.institutions.insert(bic, institution);
            for key in &record.keys {
                let id = key_id(&key.public_key);
                // The leaf says by whom a key signs: its record begins with the BIC.
                let bound = [bic.as_str().as_bytes(), &key.encode_to_vec()].concat();
                leaves.push(leaf(Kind::Key, id.as_bytes(), &bound));
                let public_key =
                    PublicKey::from_spki(&key.public_key).expect("the genesis file was checked");
                let key = Key { institution: bic, purpose: key.purpose(), public_key };
                registry.keys.insert(id, key);
            }
        }
        for record in &message.nodes {
            leaves.push(leaf(Kind::Node, &record.id.to_be_bytes(), &record.encode_to_vec()));
            let node = Node {
                id: record.id,
                institution: Bic::parse(&record.institution).expect("the genesis file was checked"),
                name: record.name.clone(),
                attestation_key_id: Hash::from_slice(&record.attestation_key_id)
                    .expect("the genesis file was checked"),
                peer_address: record.peer_address.clone(),
                client_address: record.client_address.clone(),
            };
            registry.nodes.insert(record.id, node);
        }
        for record in &message.assets {
            leaves.push(leaf(Kind::Asset, record.code.as_bytes(), &record.encode_to_vec()));
            let asset = Asset {
                code: AssetCode::parse(&record.code).expect("the genesis file was checked"),
                exponent: u8::try_from(record.exponent).expect("the genesis file was checked"),
            };
            registry.assets.insert(record.code.clone(), asset);
        }
        leaves.sort_unstable();
        registry.count = u32::try_from(leaves.len()).expect("the genesis file is bounded");
        registry.root = merkle::root_of(leaves.iter().map(|leaf| merkle::leaf_hash(leaf)));
        registry
    }

    /// A member.
    pub fn institution(&self, bic: &Bic) -> Option<&Institution> {
        self.institutions.get(bic)
    }

    /// Members by BIC.
    pub fn institutions(&self) -> impl Iterator<Item = &Institution> {
        self.institutions.values()
    }

    /// A key by its id.
    pub fn key(&self, id: &Hash) -> Option<&Key> {
        self.keys.get(id)
    }

    /// A node by its id.
    pub fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Nodes by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// An asset by its code.
    pub fn asset(&self, code: &str) -> Option<&Asset> {
        self.assets.get(code)
    }

    /// Assets by code.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// RFC 6962 root of the records.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// How many records.
    pub fn count(&self) -> u32 {
        self.count
    }
}
