//! Headers of several epochs: what no rule of the ledger makes yet, and what a verifier follows.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    bic::Bic,
    hash::Hash,
    header::Header,
    instruction::Draft,
    merkle::{leaf_hash, root_of},
    outcome::{Event, Leaf, Outcome, State},
    prove,
    registry::{FOR_EVER, Kind, key_record, leaf},
    signature::{Signer, SoftwareSigner},
    state,
    verify::Trust,
};
use counterfoil_proto::v1;
use prost::Message;

use super::{
    Consortium,
    archive::{certify, subtrees},
    build::{HOUR_MS, id_of, open},
    consortium::{NOON_MS, bic_of, ed25519},
};

/// A record of the registry with the heights at which it counts.
#[derive(Clone)]
pub struct Record {
    pub kind: Kind,
    pub id: Vec<u8>,
    pub from: u64,
    pub until: u64,
    pub bytes: Vec<u8>,
}

impl Record {
    pub fn leaf(&self) -> [u8; 81] {
        leaf(self.kind, &self.id, (self.from, self.until), &self.bytes)
    }
}

pub struct World {
    pub consortium: Consortium,
    pub records: Vec<Record>,
    pub headers: Vec<Header>,
    pub epoch: u64,
    /// Who signs now.
    pub nodes: BTreeMap<u64, SoftwareSigner>,
    pub changes: Vec<v1::EpochChange>,
}

fn node_key(name: &str) -> SoftwareSigner {
    ed25519(&format!("{name} attestation"))
}

impl World {
    pub fn new(consortium: Consortium) -> World {
        let (_, block) = state::State::genesis(consortium.genesis.clone());
        let founding = |kind, id: &[u8], bytes: Vec<u8>| Record {
            kind,
            id: id.to_vec(),
            from: 0,
            until: FOR_EVER,
            bytes,
        };
        let message = consortium.genesis.message().clone();
        let mut records = Vec::new();
        for institution in &message.institutions {
            let bic = Bic::parse(&institution.bic).unwrap();
            let bare = v1::Institution {
                trust_anchor: Bytes::new(),
                keys: Vec::new(),
                ..institution.clone()
            };
            let id = bic.as_str().as_bytes();
            records.push(founding(Kind::Institution, id, bare.encode_to_vec()));
            records.push(founding(Kind::Anchor, id, institution.trust_anchor.to_vec()));
            for key in &institution.keys {
                let id = Hash::of(&key.public_key);
                records.push(founding(Kind::Key, id.as_bytes(), key_record(&bic, key)));
            }
        }
        for node in &message.nodes {
            records.push(founding(Kind::Node, &node.id.to_be_bytes(), node.encode_to_vec()));
        }
        for asset in &message.assets {
            records.push(founding(Kind::Asset, asset.code.as_bytes(), asset.encode_to_vec()));
        }
        if let Some(policy) = &message.policy {
            records.push(founding(Kind::Policy, &[0; 4], policy.encode_to_vec()));
        }
        let names = ["Central", "Alpha", "Beta", "Gamma"];
        let by_bic: BTreeMap<Bic, SoftwareSigner> =
            names.iter().map(|name| (bic_of(name), node_key(name))).collect();
        let nodes = (1..).zip(by_bic.into_values()).collect();
        let (headers, changes) = (vec![block.header], Vec::new());
        let world = World { consortium, records, headers, epoch: 0, nodes, changes };
        assert_eq!(world.registry().0, world.headers[0].registry_root);
        world
    }

    fn sorted(&self) -> Vec<Record> {
        let mut records = self.records.clone();
        records.sort_by_key(Record::leaf);
        records
    }

    fn registry(&self) -> (Hash, u32) {
        let records = self.sorted();
        let root = root_of(records.iter().map(|it| leaf_hash(&it.leaf())));
        (root, u32::try_from(records.len()).unwrap())
    }

    /// The next header, over some leaves.
    pub fn next(&self, leaves: &[Hash]) -> Header {
        let last = self.headers.last().unwrap();
        let (registry_root, registry_count) = self.registry();
        Header {
            epoch: self.epoch,
            height: last.height + 1,
            previous: last.hash(),
            raft_term: 1,
            raft_index: last.height + 1,
            proposer: 1,
            proposal_hash: Hash::of(&last.height.to_be_bytes()),
            block_time_ms: last.block_time_ms + 1_000,
            leaf_count: u32::try_from(leaves.len()).unwrap(),
            registry_count,
            tx_root: root_of(leaves.iter().copied()),
            history_root: root_of(self.headers.iter().map(prove::history_leaf)),
            registry_root,
            ..last.clone()
        }
    }

    pub fn block(&mut self) -> Header {
        let header = self.next(&[]);
        self.headers.push(header.clone());
        header
    }

    /// A block that changes the registry: who signs afterwards is given.
    pub fn change(
        &mut self,
        nodes: BTreeMap<u64, SoftwareSigner>,
        change: impl FnOnce(&mut Vec<Record>, u64),
    ) -> v1::EpochChange {
        let next = self.headers.last().unwrap().height + 2;
        change(&mut self.records, next);
        let header = self.block();
        let given = |it: &Record| match it.kind {
            Kind::Node | Kind::Policy => true,
            Kind::Key => it.bytes.windows(4).any(|part| part == b"node"),
            _ => false,
        };
        let record = |it: &Record| v1::RegistryRecord {
            leaf: Bytes::copy_from_slice(&it.leaf()),
            record: if given(it) { it.bytes.clone().into() } else { Bytes::new() },
        };
        let change = v1::EpochChange {
            before: Some(certify(&header, quorum(&self.nodes))),
            after: Some(certify(&header, quorum(&nodes))),
            records: self.sorted().iter().map(record).collect(),
        };
        self.epoch += 1;
        self.nodes = nodes;
        self.changes.push(change.clone());
        change
    }

    pub fn certificate(&self, header: &Header) -> v1::Certificate {
        certify(header, quorum(&self.nodes))
    }

    pub fn history_path(&self, height: u64, certified: u64) -> Vec<Bytes> {
        let leaves: Vec<Hash> = self.headers.iter().map(prove::history_leaf).collect();
        let Ok(path) = prove::history_path(height, certified, &mut subtrees(&leaves));
        path
    }

    pub fn chain(&self) -> v1::EpochChain {
        v1::EpochChain { changes: self.changes.clone() }
    }

    pub fn trust(&self, changes: usize) -> Trust {
        let mut trust = Trust::new(self.consortium.genesis.clone());
        trust.extend(&v1::EpochChain { changes: self.changes[..changes].to_vec() }).unwrap();
        trust
    }

    /// A block with one instruction of Alpha's, and its receipt without a certificate.
    pub fn receipt(&mut self, label: &str) -> v1::Receipt {
        let alpha = bic_of("Alpha");
        let body = open(&alpha, &bic_of("Beta"), "CHF", "nostro");
        let draft = Draft::new(id_of(label, NOON_MS), &alpha, NOON_MS + HOUR_MS, body);
        let signer = &self.consortium.signers[&alpha];
        let signed = draft.sign(signer, &self.consortium.chain_id()).unwrap();
        let outcome = Outcome::of_event(State::Recorded, Event::AccountOpened);
        let hash = Hash::of(&signed.instruction);
        let leaf = Leaf::of(hash, (0, Hash::ZERO), outcome, Hash::ZERO);
        let header = self.next(&[leaf.hash()]);
        self.headers.push(header.clone());
        let key_id = signer.key_id();
        let records = self.sorted();
        let is_it = |it: &Record| it.kind == Kind::Key && it.id == key_id.as_bytes();
        let index = records.iter().position(is_it).unwrap();
        let leaves: Vec<Hash> = records.iter().map(|it| leaf_hash(&it.leaf())).collect();
        let size = u64::try_from(leaves.len()).unwrap();
        let Ok(path) = counterfoil_ledger::merkle::path::path(
            u64::try_from(index).unwrap(),
            size,
            &mut subtrees(&leaves),
        );
        v1::Receipt {
            instruction: signed.instruction,
            signatures: signed.signatures,
            outcome: Bytes::copy_from_slice(&outcome.encode()),
            header: Bytes::copy_from_slice(&header.encode()),
            keys: vec![v1::KeyProof {
                record: records[index].bytes.clone().into(),
                active_from: records[index].from,
                inactive_from: records[index].until,
                index: u32::try_from(index).unwrap(),
                path: prove::bytes(&path),
            }],
            ..v1::Receipt::default()
        }
    }
}

/// As many nodes as more than two thirds, the last ones.
pub fn quorum(
    nodes: &BTreeMap<u64, SoftwareSigner>,
) -> impl Iterator<Item = (&u64, &SoftwareSigner)> {
    nodes.iter().skip(nodes.len() - (nodes.len() * 2 / 3 + 1))
}

/// Ends a record at a height.
pub fn end(records: &mut [Record], kind: Kind, id: &[u8], at: u64) {
    let found = records.iter_mut().find(|it| it.kind == kind && it.id == id && it.until > at);
    found.unwrap().until = at;
}

/// A new node of a member with a new key, from a height on.
pub fn join(records: &mut Vec<Record>, id: u64, name: &str, signer: &SoftwareSigner, from: u64) {
    let bic = bic_of(name);
    let key = v1::Key {
        public_key: Bytes::copy_from_slice(signer.spki()),
        purpose: v1::KeyPurpose::Attestation.into(),
        name: "node".to_owned(),
    };
    let node = v1::Node {
        id,
        institution: bic.to_string(),
        name: format!("node-{id}"),
        attestation_key_id: signer.key_id().to_bytes(),
        peer_address: "127.0.0.1:1".to_owned(),
        client_address: "127.0.0.1:2".to_owned(),
        role: 0,
    };
    let record =
        |kind, id: &[u8], bytes| Record { kind, id: id.to_vec(), from, until: FOR_EVER, bytes };
    records.push(record(Kind::Key, signer.key_id().as_bytes(), key_record(&bic, &key)));
    records.push(record(Kind::Node, &id.to_be_bytes(), node.encode_to_vec()));
}

/// Three epochs: node 4 leaves; node 2 takes a new key and a policy asks for everybody.
pub fn three_epochs(consortium: Consortium) -> World {
    let mut world = World::new(consortium);
    world.block();
    let keep = |ids: &[u64], world: &World| -> BTreeMap<u64, SoftwareSigner> {
        let names: BTreeMap<Bic, &str> =
            ["Central", "Alpha", "Beta", "Gamma"].iter().map(|it| (bic_of(it), *it)).collect();
        let of = |id: &u64| {
            let node = &world.consortium.genesis.message().nodes[usize::try_from(*id - 1).unwrap()];
            (*id, node_key(names[&Bic::parse(&node.institution).unwrap()]))
        };
        ids.iter().map(of).collect()
    };
    let nodes = keep(&[1, 2, 3], &world);
    world.change(nodes, |records, next| end(records, Kind::Node, &4u64.to_be_bytes(), next));
    world.block();
    let mut nodes = keep(&[1, 3], &world);
    let institution = world.consortium.genesis.message().nodes[1].institution.clone();
    let names = ["Central", "Alpha", "Beta", "Gamma"];
    let name = names.into_iter().find(|it| bic_of(it).to_string() == institution).unwrap();
    nodes.insert(2, ed25519("the second node's second key"));
    let old = node_key(name).key_id();
    world.change(nodes, |records, next| {
        end(records, Kind::Key, old.as_bytes(), next);
        end(records, Kind::Node, &2u64.to_be_bytes(), next);
        join(records, 2, name, &ed25519("the second node's second key"), next);
        let policy = v1::Policy { finality_quorum: 3, ..v1::Policy::default() };
        records.push(Record {
            kind: Kind::Policy,
            id: vec![0; 4],
            from: next,
            until: FOR_EVER,
            bytes: policy.encode_to_vec(),
        });
    });
    world.block();
    world
}
