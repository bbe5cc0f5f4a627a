use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::preimage;
use counterfoil_ledger::signature::snapshot_payload;
use counterfoil_ledger::snapshot::FORMAT;
use counterfoil_ledger::state::State;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::v1;

use super::heard::Heard;
use super::heard::Stated;
use crate::consensus::finality::fixture;
use crate::limits;

fn signers() -> Signers {
    let genesis = fixture::genesis();
    Signers::of(genesis.chain_id(), &Registry::of(&genesis))
}

fn header(height: u64) -> Header {
    let (_, block) = State::genesis(fixture::genesis());
    Header { height, ..block.header }
}

/// What a node says the state after a block comes to.
fn message(node: u64, header: &Header, digest: &Hash) -> v1::SnapshotAttestation {
    let payload = snapshot_payload(&header.hash(), FORMAT, digest);
    let preimage = preimage(Label::Snapshot, &header.chain_id, &payload);
    let value = fixture::signer(node).sign(&preimage).unwrap().to_vec().into();
    v1::SnapshotAttestation {
        header: header.encode().to_vec().into(),
        format: FORMAT,
        digest: digest.to_bytes(),
        signature: Some(v1::NodeSignature { node, value }),
    }
}

fn stated(node: u64, header: &Header, digest: &Hash) -> Stated {
    let stated = Stated::read(message(node, header, digest), &header.chain_id).unwrap();
    assert!(stated.holds(&signers()));
    stated
}

#[test]
fn signatures_count_under_one_digest_of_one_header() {
    let (own, digest, other) = (header(16), Hash::of(b"state"), Hash::of(b"another"));
    let mut heard = Heard::default();
    for node in [3, 1] {
        heard.take(stated(node, &own, &digest));
    }
    heard.take(stated(2, &own, &other));
    let elsewhere = Header { raft_index: 99, ..own.clone() };
    heard.take(stated(4, &elsewhere, &digest));
    // Whoever says something else later is not heard again.
    heard.take(stated(2, &own, &digest));
    let nodes: Vec<u64> = heard.agreeing(&own, &digest).iter().map(|it| it.node).collect();
    assert_eq!(nodes, [1, 3], "ordered, each once, nobody else");
    let liars: Vec<u64> = heard.differing(&own, &digest).iter().map(|it| it.node).collect();
    assert_eq!(liars, [2]);
    assert!(heard.contrary(&own, &digest, 2).is_none());
    // To the one that is alone, the others are the quorum.
    let contrary = heard.contrary(&own, &other, 2).unwrap();
    assert_eq!(contrary.digest, digest.to_bytes());
    assert_eq!(contrary.signatures.len(), 2);
}

#[test]
fn a_node_cannot_fill_the_memory_or_take_all_the_time() {
    let mut heard = Heard::default();
    let digest = Hash::of(b"state");
    for height in 1..=20 {
        heard.take(stated(1, &header(height * 16), &digest));
    }
    let held = (1..=20).filter(|it| !heard.agreeing(&header(it * 16), &digest).is_empty());
    let newest: Vec<u64> = (17..=20).collect();
    assert_eq!(held.collect::<Vec<_>>(), newest);
    assert!(heard.knows(&stated(1, &header(320), &digest)));
    let taken = (0..100).filter(|_| heard.has_time_for(1)).count();
    assert!(taken <= 2 * usize::try_from(limits::SNAPSHOT_STATEMENTS_PER_SECOND_MAX).unwrap());
    assert!(heard.has_time_for(2), "another node has its own time");
}

#[test]
fn what_is_malformed_or_signed_by_another_is_refused() {
    let (own, digest) = (header(16), Hash::of(b"state"));
    let honest = message(1, &own, &digest);
    let chain_id = own.chain_id;
    let read = |message| Stated::read(message, &chain_id);
    assert!(read(honest.clone()).is_ok());
    assert!(Stated::read(honest.clone(), &Hash::of(b"other chain")).is_err());
    let header = vec![0; 296].into();
    assert!(read(v1::SnapshotAttestation { header, ..honest.clone() }).is_err());
    assert!(read(v1::SnapshotAttestation { format: 2, ..honest.clone() }).is_err());
    let short = vec![0; 31].into();
    assert!(read(v1::SnapshotAttestation { digest: short, ..honest.clone() }).is_err());
    assert!(read(v1::SnapshotAttestation { signature: None, ..honest.clone() }).is_err());
    let mut of_another = honest.clone();
    if let Some(signature) = &mut of_another.signature {
        signature.node = 2;
    }
    assert!(!read(of_another).unwrap().holds(&signers()));
    let other = Hash::of(b"another").to_bytes();
    let changed = v1::SnapshotAttestation { digest: other, ..honest };
    assert!(!read(changed).unwrap().holds(&signers()));
}
