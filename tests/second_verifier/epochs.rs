//! A change of who signs, made by whoever holds every key: no chain has one yet.

use bytes::Bytes;
use counterfoil_ledger::{
    bic::Bic,
    genesis::Genesis,
    hash::Hash,
    header::Header,
    merkle,
    registry::{self, FOR_EVER, Kind, Registry},
    signature::{Label, Signer, SoftwareSigner, preimage},
};
use counterfoil_proto::v1;
use prost::Message;

use crate::{support::consortium::p256, world::World};

/// A change of who signs: the epoch chain, and receipts certified on both sides of it.
pub fn change(world: &World, genuine: &[v1::Receipt]) -> (v1::EpochChain, Vec<v1::Receipt>) {
    let nodes: Vec<u64> = world.chain.consortium.nodes.keys().copied().collect();
    let last = world.chain.blocks.last().unwrap().header.clone();
    let height = last.height + 1;
    let (records, keys) = changed_registry(world.genesis(), height);
    let change = Header {
        height,
        registry_count: u32::try_from(records.len()).unwrap(),
        registry_root: merkle::root_of(records.iter().map(|it| merkle::leaf_hash(&it.leaf))),
        history_root: world.history_root(&[]),
        ..last.clone()
    };
    let sign_new = |header: &[u8]| {
        let hash = Hash::of(header);
        let preimage = preimage(Label::Header, &world.chain.consortium.chain_id(), hash.as_bytes());
        let sign = |(node, key): &(u64, SoftwareSigner)| v1::NodeSignature {
            node: *node,
            value: key.sign(&preimage).unwrap().to_vec().into(),
        };
        v1::Certificate {
            header: Bytes::copy_from_slice(header),
            signatures: keys.iter().map(sign).collect(),
        }
    };
    let bytes = change.encode();
    let chain = v1::EpochChain {
        changes: vec![v1::EpochChange {
            before: Some(world.certify(&bytes, &nodes)),
            after: Some(sign_new(&bytes)),
            records,
        }],
    };
    let mut receipts = Vec::new();
    let after = |epoch: u64, height: u64| Header { epoch, height, ..change.clone() };
    let later = Header {
        history_root: world.history_root(std::slice::from_ref(&change)),
        ..after(1, height + 1)
    };
    for header in [
        change.clone(),
        later,
        after(1, height),
        after(1, height - 1),
        after(0, height + 1),
        after(2, height + 2),
        after(u64::MAX, height),
    ] {
        let bytes = header.encode();
        for certificate in [world.certify(&bytes, &nodes), sign_new(&bytes)] {
            for receipt in genuine {
                let of = Header::decode(&receipt.header).unwrap().height;
                let leaves = usize::try_from(header.height).unwrap();
                let path = world.path_with(usize::try_from(of).unwrap(), leaves, &change);
                receipts.push(v1::Receipt {
                    history_path: path,
                    certificate: Some(certificate.clone()),
                    ..receipt.clone()
                });
            }
            // The header itself, with what a receipt has of another block: it proves nothing there.
            receipts.push(v1::Receipt {
                header: Bytes::copy_from_slice(&bytes),
                certificate: Some(certificate),
                ..genuine[0].clone()
            });
        }
    }
    (chain, receipts)
}

/// The registry in which the last node has left and the first has a new key, from the next height on.
fn changed_registry(
    genesis: &Genesis,
    height: u64,
) -> (Vec<v1::RegistryRecord>, Vec<(u64, SoftwareSigner)>) {
    let message = genesis.message();
    let mut records: Vec<v1::RegistryRecord> = Vec::new();
    let mut put = |kind, id: &[u8], term, record: Vec<u8>| {
        let leaf = Bytes::copy_from_slice(&registry::leaf(kind, id, term, &record));
        records.push(v1::RegistryRecord { leaf, record: record.into() });
    };
    let mut keys = Vec::new();
    let last = message.nodes.last().unwrap().id;
    for node in &message.nodes {
        let bic = Bic::parse(&node.institution).unwrap();
        let signer = p256(&format!("new key of {}", node.institution));
        let key = v1::Key {
            public_key: Bytes::copy_from_slice(signer.spki()),
            purpose: v1::KeyPurpose::Attestation.into(),
            name: "new".to_owned(),
        };
        let id = node.id.to_be_bytes();
        put(Kind::Node, &id, (0, height + 1), node.encode_to_vec());
        if node.id != last {
            let record = registry::key_record(&bic, &key);
            put(Kind::Key, signer.key_id().as_bytes(), (height + 1, FOR_EVER), record);
            let node = v1::Node { attestation_key_id: signer.key_id().to_bytes(), ..node.clone() };
            put(Kind::Node, &id, (height + 1, FOR_EVER), node.encode_to_vec());
            keys.push((node.id, signer));
        }
    }
    // Everything else stays, without what is not needed of it.
    let stays = Registry::of(genesis);
    let stays = stays.leaves().iter().filter(|leaf| leaf[0] != Kind::Node as u8);
    let stays = stays.filter(|leaf| leaf[0] != Kind::Policy as u8);
    records.extend(stays.map(|leaf| v1::RegistryRecord {
        leaf: Bytes::copy_from_slice(leaf),
        record: Bytes::new(),
    }));
    records.sort_by(|left, right| left.leaf.cmp(&right.leaf));
    (records, keys)
}
