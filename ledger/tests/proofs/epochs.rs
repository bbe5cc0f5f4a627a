//! Receipts across changes of who signs, and what a verifier refuses then.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    header::Header,
    registry::Kind,
    signature::{Label, SoftwareSigner, absence_payload},
    verify::{self, Finality, Trust},
};
use counterfoil_proto::v1;
use prost::Message;

use crate::{
    changes,
    golden::consortium,
    support::{
        NOON_MS,
        archive::{certify, sign_all},
        build::id_of,
        consortium::{bic_of, ed25519},
        epochs::{World, end, quorum, three_epochs},
    },
};

fn with(
    world: &World,
    change: usize,
    altered: impl FnOnce(&mut v1::EpochChange),
) -> v1::EpochChain {
    let mut chain = world.chain();
    altered(&mut chain.changes[change]);
    chain
}

fn fails(world: &World, chain: &v1::EpochChain, rule: &str) {
    let mut trust = Trust::new(world.consortium.genesis.clone());
    let refused = trust.extend(chain).unwrap_err();
    assert!(refused.to_string().contains(rule), "{refused} instead of {rule}");
    assert_eq!(trust.epoch(), 0, "nothing is learnt of a chain that does not hold");
}

#[test]
fn receipts_verify_across_epochs() {
    let mut world = World::new(consortium());
    let mut early = world.receipt("early");
    let rest = three_epochs(consortium());
    assert_eq!(rest.changes.len(), 2);
    let trust = rest.trust(2);
    assert_eq!(trust.epoch(), 2);
    assert_eq!(trust.signers(1).unwrap().nodes().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(trust.signers(2).unwrap().quorum(), 3);
    assert!(trust.signers(3).is_none());

    // A receipt of epoch 0 in the history of a header of epoch 1, and of one of its own.
    let mut world = World { headers: world.headers, ..World::new(consortium()) };
    let gone = world.nodes.keys().copied().max().unwrap();
    let mut nodes = World::new(consortium()).nodes;
    nodes.remove(&gone);
    world.change(nodes, |records, next| end(records, Kind::Node, &gone.to_be_bytes(), next));
    let mut late = world.receipt("late");
    let tip = world.block();
    let certificate = world.certificate(&tip);
    early.history_path = world.history_path(1, tip.height);
    early.certificate = Some(certificate.clone());
    late.history_path = world.history_path(tip.height - 1, tip.height);
    late.certificate = Some(certificate);
    let trust = world.trust(1);
    for receipt in [&early, &late] {
        let verdict = verify::receipt(&trust, receipt).unwrap();
        let Finality::Final { certified_height, .. } = verdict.finality else { panic!() };
        assert_eq!(certified_height, tip.height);
        let unknown = verify::receipt(&world.trust(0), receipt).unwrap_err();
        assert!(unknown.rule.contains("not known"), "{unknown}");
    }
}

#[test]
fn a_certificate_beyond_its_epoch_counts_for_nothing() {
    let world = three_epochs(consortium());
    let old = &World::new(consortium()).nodes;
    let change = Header::decode(&world.changes[0].before.as_ref().unwrap().header).unwrap();
    let header =
        |height: u64, epoch: u64| Header { height, epoch, ..world.headers.last().unwrap().clone() };
    let trust = world.trust(2);
    // The signers of epoch 0 as far as it reached.
    assert!(trust.certified(&certify(&header(change.height, 0), quorum(old))).is_ok());
    let above = certify(&header(change.height + 1, 0), quorum(old));
    assert!(trust.certified(&above).unwrap_err().rule.contains("ended"));
    // Whoever does not know of the change cannot tell.
    assert!(world.trust(0).certified(&above).is_ok());
    // In epoch 1 the old signers sign no more, and the new ones not before it began.
    let of_one = certify(&header(change.height + 1, 1), quorum(old));
    assert!(trust.certified(&of_one).is_err());
    let early = certify(&header(change.height, 2), quorum(&world.nodes));
    assert!(trust.certified(&early).unwrap_err().rule.contains("begun"));
    // Absences likewise.
    let (alpha, id) = (bic_of("Alpha"), id_of("never", NOON_MS));
    let absence = |header: &Header, nodes: &BTreeMap<u64, SoftwareSigner>| {
        let payload = absence_payload(&alpha, &id, &header.hash());
        v1::Absence {
            institution: alpha.to_string(),
            id: Bytes::copy_from_slice(id.as_bytes()),
            header: Bytes::copy_from_slice(&header.encode()),
            signatures: sign_all(quorum(nodes), Label::Absence, &header.chain_id, &payload),
        }
    };
    assert!(verify::absence(&trust, &absence(&header(change.height, 0), old)).is_ok());
    assert!(verify::absence(&trust, &absence(&header(change.height + 1, 0), old)).is_err());
    // A newest header that a change which is learnt later excludes.
    let mut late = world.trust(0);
    let proof = v1::HistoryProof {
        header: above.header.clone(),
        certificate: Some(above),
        ..v1::HistoryProof::default()
    };
    late.advance(&proof).unwrap();
    assert!(late.extend(&world.chain()).is_err());
    assert_eq!(late.epoch(), 0);
}

#[test]
fn changes_that_do_not_hold() {
    let world = three_epochs(consortium());
    let chain = world.chain();
    let mut trust = Trust::new(world.consortium.genesis.clone());
    trust.extend(&chain).unwrap();
    trust.extend(&chain).unwrap();
    trust.extend(&v1::EpochChain { changes: chain.changes[..1].to_vec() }).unwrap();
    assert_eq!(trust.epoch(), 2, "what is known is not forgotten");
    let state: Bytes = trust.to_message().encode_to_vec().into();
    let restored = Trust::restore(world.consortium.genesis.clone(), &state).unwrap();
    assert_eq!(restored.to_message(), trust.to_message());

    for change in 0..2 {
        let fails = |rule, altered: &dyn Fn(&mut v1::EpochChange)| {
            fails(&world, &with(&world, change, altered), rule);
        };
        fails("missing", &|it| it.before = None);
        fails("missing", &|it| it.after = None);
        fails("another header", &|it| {
            it.after.as_mut().unwrap().header = Bytes::copy_from_slice(&world.headers[0].encode());
        });
        fails("fewer institutions", &|it| it.before.as_mut().unwrap().signatures.truncate(1));
        fails("fewer institutions", &|it| it.after.as_mut().unwrap().signatures.truncate(1));
        // Those of the other side signed in their place.
        fails("signatures", &|it| {
            it.after.as_mut().unwrap().signatures = it.before.as_ref().unwrap().signatures.clone();
        });
        fails("as many as", &|it| drop(it.records.pop()));
        fails("order", &|it| it.records.swap(0, 1));
        fails("order", &|it| it.records[1] = it.records[0].clone());
        fails("under the registry_root", &|it| {
            let mut leaf = it.records[0].leaf.to_vec();
            leaf[60] ^= 1;
            it.records[0].leaf = leaf.into();
        });
        fails("has the hash of", &|it| {
            let given = it.records.iter_mut().find(|it| !it.record.is_empty()).unwrap();
            let mut record = given.record.to_vec();
            record[0] ^= 1;
            given.record = record.into();
        });
        let next = Header::decode(&chain.changes[change].before.as_ref().unwrap().header).unwrap();
        let next = next.height + 1;
        for place in 0..chain.changes[change].records.len() {
            let leaf = &chain.changes[change].records[place].leaf;
            let number = |at: usize| u64::from_be_bytes(leaf[at..at + 8].try_into().unwrap());
            let counts = number(33) <= next && next < number(41);
            let needed = counts && leaf[0] == Kind::Node as u8;
            let without = with(&world, change, |it| it.records[place].record = Bytes::new());
            let mut trust = Trust::new(world.consortium.genesis.clone());
            assert!(!needed || trust.extend(&without).is_err(), "node record {place}");
            let left_out = with(&world, change, |it| drop(it.records.remove(place)));
            assert!(trust.extend(&left_out).is_err());
        }
        for records in changes::of_list(&chain.changes[change].records) {
            let other = with(&world, change, |it| it.records = records);
            assert!(Trust::new(world.consortium.genesis.clone()).extend(&other).is_err());
        }
    }
    let reversed = v1::EpochChain { changes: chain.changes.iter().rev().cloned().collect() };
    fails(&world, &reversed, "epoch");
    let twice = [&chain.changes[..1], &chain.changes[..1]].concat();
    fails(&world, &v1::EpochChain { changes: twice }, "epoch");
    // Another history than the one that is known.
    let mut other = World::new(consortium());
    let mut nodes = World::new(consortium()).nodes;
    nodes.remove(&1);
    other.change(nodes, |records, next| end(records, Kind::Node, &1u64.to_be_bytes(), next));
    assert!(trust.extend(&other.chain()).is_err());
}

/// A change may not make two nodes of one institution, nor name a key that is not its own.
#[test]
fn signers_that_may_not_be() {
    use crate::support::epochs::{Record, join};
    type Change = fn(&mut Vec<Record>, u64);
    let cases: [(&str, Change); 5] = [
        ("one institution", |records, next| join(records, 9, "Alpha", &ed25519("nine"), next)),
        ("does not count", |records, next| {
            join(records, 9, "Delta", &ed25519("nine"), next);
            records.retain(|it| it.kind != Kind::Key || it.from != next);
        }),
        ("not its own", |records, next| {
            join(records, 9, "Delta", &ed25519("nine"), next);
            let key = records.iter_mut().find(|it| it.kind == Kind::Key && it.from == next);
            key.unwrap().bytes[0] = b'X';
        }),
        ("another id", |records, next| {
            join(records, 9, "Delta", &ed25519("nine"), next);
            let node = records.iter_mut().find(|it| it.kind == Kind::Node && it.from == next);
            node.unwrap().id = 8u64.to_be_bytes().to_vec();
        }),
        ("finality_quorum", |records, next| {
            let policy = v1::Policy { finality_quorum: 2, ..v1::Policy::default() };
            let (id, bytes) = (vec![0; 4], policy.encode_to_vec());
            let (from, until) = (next, u64::MAX);
            records.push(Record { kind: Kind::Policy, id, from, until, bytes });
        }),
    ];
    for (rule, change) in cases {
        let mut world = World::new(consortium());
        let mut nodes = World::new(consortium()).nodes;
        nodes.insert(9, ed25519("nine"));
        world.change(nodes, change);
        fails(&world, &world.chain(), rule);
    }
}
