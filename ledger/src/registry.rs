//! The registry: institutions, trust anchors, keys, nodes and assets, each a record under
//! `registry_root`. Records are never deleted.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_proto::v1;
use prost::Message;

use crate::{
    asset::{Asset, AssetCode},
    bic::Bic,
    canonical,
    genesis::Genesis,
    hash::Hash,
    header::Reader,
    merkle::{self, Tree},
    signature::{PublicKey, key_id},
};

/// What the ledger knows of its members.
#[derive(Clone, Debug)]
pub struct Registry {
    institutions: BTreeMap<Bic, Institution>,
    keys: BTreeMap<Hash, Key>,
    nodes: BTreeMap<u64, Node>,
    assets: BTreeMap<String, Asset>,
    policy: Policy,
    /// In ascending order, which is that of their (kind, id).
    leaves: Vec<[u8; LEAF_LENGTH]>,
    tree: Tree,
}

/// What makes a block final, and when admission stops for want of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Institutions that must sign a header.
    pub finality_quorum: usize,
    /// Blocks without a certificate at which admission stops.
    pub certificate_lag_blocks: u64,
    /// Milliseconds without a certificate, while a block waits for one, at which admission stops.
    pub certificate_lag_ms: u64,
    /// At each multiple of this height every node makes a snapshot of its state.
    pub snapshot_interval_blocks: u64,
}

/// Blocks from one snapshot to the next: fewer would leave no time to make one, and more would make a
/// node that was away for a day execute everything.
pub const SNAPSHOT_INTERVALS: std::ops::RangeInclusive<u32> = 8..=1_000_000;

impl Policy {
    /// The policy that a message asks for, of so many institutions that run voters; none if it may not
    /// be had.
    pub fn of(message: Option<&v1::Policy>, institutions: usize) -> Option<Policy> {
        let given = message.copied().unwrap_or_default();
        let or = |value: u32, default: u32| u64::from(if value == 0 { default } else { value });
        let more_than_two_thirds = institutions * 2 / 3 + 1;
        let finality_quorum = match usize::try_from(given.finality_quorum).ok()? {
            0 => more_than_two_thirds,
            quorum if (more_than_two_thirds..=institutions).contains(&quorum) => quorum,
            2 if institutions == 3 => 2,
            _ => return None,
        };
        Some(Policy {
            finality_quorum,
            certificate_lag_blocks: or(given.certificate_lag_blocks, 64),
            certificate_lag_ms: or(given.certificate_lag_ms, 5_000),
            snapshot_interval_blocks: or(given.snapshot_interval_blocks, 4_096),
        })
    }
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
    /// For people and logs.
    pub name: String,
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
    /// It only follows: it never votes, and its signature counts nowhere.
    pub is_learner: bool,
}

/// Kinds of registry records, in the order of their leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A member.
    Institution = 1,
    /// A member's trust anchor.
    Anchor = 2,
    /// A key.
    Key = 3,
    /// A node.
    Node = 4,
    /// An asset.
    Asset = 5,
    /// The policy.
    Policy = 6,
}

/// Length of a leaf in bytes.
pub const LEAF_LENGTH: usize = 81;

/// First height at which a record of the genesis file counts no longer.
pub const FOR_EVER: u64 = u64::MAX;

/// A leaf under `registry_root`, 81 bytes: kind u8 · id [32], on the left, zeros behind · active
/// from height u64 · inactive from height u64, 2^64 − 1 while it is active · SHA-256 of the record's
/// protobuf bytes [32]. A key's bytes are preceded by its institution's BIC, and an anchor's are the
/// certificate itself.
pub fn leaf(
    kind: Kind,
    id: &[u8],
    (active_from, inactive_from): (u64, u64),
    record: &[u8],
) -> [u8; LEAF_LENGTH] {
    let mut bytes = [0; LEAF_LENGTH];
    bytes[0] = kind as u8;
    bytes[1..=id.len()].copy_from_slice(id);
    bytes[33..41].copy_from_slice(&active_from.to_be_bytes());
    bytes[41..49].copy_from_slice(&inactive_from.to_be_bytes());
    bytes[49..].copy_from_slice(Hash::of(record).as_bytes());
    bytes
}

/// What a registry leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafFields {
    /// Number of its [`Kind`].
    pub kind: u8,
    /// On the left, zeros behind.
    pub id: [u8; 32],
    /// First height at which it counts.
    pub active_from: u64,
    /// First height at which it counts no longer.
    pub inactive_from: u64,
    /// SHA-256 of the record.
    pub record: Hash,
}

/// Reads a leaf.
pub fn read_leaf(leaf: &[u8]) -> Option<LeafFields> {
    let mut reader = Reader(leaf);
    let [kind] = reader.take()?;
    let fields = LeafFields {
        kind,
        id: reader.take()?,
        active_from: u64::from_be_bytes(reader.take()?),
        inactive_from: u64::from_be_bytes(reader.take()?),
        record: Hash(reader.take()?),
    };
    reader.0.is_empty().then_some(fields)
}

/// Reads the record of a key: whose it is, for what, its id, and the key itself.
pub fn read_key_record(record: &Bytes) -> Option<(Bic, v1::KeyPurpose, Hash, PublicKey)> {
    let (bic, _) = record.split_at_checked(11)?;
    let bic = Bic::parse_canonical(std::str::from_utf8(bic).ok()?).ok()?;
    let key: v1::Key = canonical::decode(&record.slice(11..)).ok()?;
    let purpose = v1::KeyPurpose::try_from(key.purpose).ok()?;
    let public_key = PublicKey::from_spki(&key.public_key).ok()?;
    Some((bic, purpose, key_id(&key.public_key), public_key))
}

/// The record of a key: the BIC of its institution, which says by whom it signs, and its message.
pub fn key_record(institution: &Bic, key: &v1::Key) -> Vec<u8> {
    [institution.as_str().as_bytes(), &key.encode_to_vec()].concat()
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
            policy: Policy::of(message.policy.as_ref(), genesis.voters().count())
                .expect("the genesis file was checked"),
            leaves: Vec::new(),
            tree: Tree::default(),
        };
        let founding = (0, FOR_EVER);
        let mut leaves = Vec::new();
        for record in &message.institutions {
            let bic = Bic::parse(&record.bic).expect("the genesis file was checked");
            // The record is the institution without what has records of its own.
            let bare =
                v1::Institution { trust_anchor: Bytes::new(), keys: Vec::new(), ..record.clone() };
            leaves.push(leaf(
                Kind::Institution,
                bic.as_str().as_bytes(),
                founding,
                &bare.encode_to_vec(),
            ));
            leaves.push(leaf(
                Kind::Anchor,
                bic.as_str().as_bytes(),
                founding,
                &record.trust_anchor,
            ));
            let audits_consortium = record.audit_scope() == v1::AuditScope::Consortium;
            let institution = Institution { bic, name: record.name.clone(), audits_consortium };
            registry.institutions.insert(bic, institution);
            for key in &record.keys {
                let id = key_id(&key.public_key);
                leaves.push(leaf(Kind::Key, id.as_bytes(), founding, &key_record(&bic, key)));
                let public_key =
                    PublicKey::from_spki(&key.public_key).expect("the genesis file was checked");
                let key = Key {
                    institution: bic,
                    purpose: key.purpose(),
                    name: key.name.clone(),
                    public_key,
                };
                registry.keys.insert(id, key);
            }
        }
        for record in &message.nodes {
            leaves.push(leaf(
                Kind::Node,
                &record.id.to_be_bytes(),
                founding,
                &record.encode_to_vec(),
            ));
            let node = Node {
                id: record.id,
                institution: Bic::parse(&record.institution).expect("the genesis file was checked"),
                name: record.name.clone(),
                attestation_key_id: Hash::from_slice(&record.attestation_key_id)
                    .expect("the genesis file was checked"),
                peer_address: record.peer_address.clone(),
                client_address: record.client_address.clone(),
                is_learner: record.role() == v1::GroupRole::Learner,
            };
            registry.nodes.insert(record.id, node);
        }
        for record in &message.assets {
            leaves.push(leaf(
                Kind::Asset,
                record.code.as_bytes(),
                founding,
                &record.encode_to_vec(),
            ));
            let asset = Asset {
                code: AssetCode::parse(&record.code).expect("the genesis file was checked"),
                exponent: u8::try_from(record.exponent).expect("the genesis file was checked"),
            };
            registry.assets.insert(record.code.clone(), asset);
        }
        if let Some(policy) = &message.policy {
            let number = 0u32.to_be_bytes();
            leaves.push(leaf(Kind::Policy, &number, founding, &policy.encode_to_vec()));
        }
        leaves.sort_unstable();
        registry.tree.set(leaves.iter().map(|leaf| merkle::leaf_hash(leaf)).enumerate());
        registry.leaves = leaves;
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

    /// Nodes by id, voters and learners.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The nodes that vote and whose signatures count, by id: one an institution.
    pub fn voters(&self) -> impl Iterator<Item = &Node> {
        self.nodes().filter(|node| !node.is_learner)
    }

    /// The nodes that only follow, by id.
    pub fn learners(&self) -> impl Iterator<Item = &Node> {
        self.nodes().filter(|node| node.is_learner)
    }

    /// A node that votes, by its id.
    pub fn voter(&self, id: u64) -> Option<&Node> {
        self.node(id).filter(|node| !node.is_learner)
    }

    /// An asset by its code.
    pub fn asset(&self, code: &str) -> Option<&Asset> {
        self.assets.get(code)
    }

    /// Assets by code.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// What makes a block final.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// RFC 6962 root of the records.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// How many records.
    pub fn count(&self) -> u32 {
        u32::try_from(self.leaves.len()).expect("the genesis file is bounded")
    }

    /// The leaves, in their order.
    pub fn leaves(&self) -> &[[u8; LEAF_LENGTH]] {
        &self.leaves
    }

    /// What proves a key: its record, where its leaf stands, and the path to the root.
    pub fn key_proof(&self, id: &Hash) -> Option<v1::KeyProof> {
        let key = self.key(id)?;
        let wanted = (Kind::Key as u8, &id.as_bytes()[..]);
        let place = |leaf: &[u8; LEAF_LENGTH]| (leaf[0], &leaf[1..33]).cmp(&wanted);
        let index = self.leaves.binary_search_by(place).ok()?;
        let fields = read_leaf(&self.leaves[index])?;
        let path = self.tree.path(index)?;
        let message = v1::Key {
            public_key: key.public_key.spki().into(),
            purpose: key.purpose.into(),
            name: key.name.clone(),
        };
        Some(v1::KeyProof {
            record: key_record(&key.institution, &message).into(),
            active_from: fields.active_from,
            inactive_from: fields.inactive_from,
            index: u32::try_from(index).ok()?,
            path: path.iter().map(Hash::to_bytes).collect(),
        })
    }
}
