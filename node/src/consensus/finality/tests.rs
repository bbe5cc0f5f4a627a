use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::registry::Policy;
use counterfoil_ledger::verify;
use counterfoil_ledger::verify::Conviction;
use counterfoil_ledger::verify::Misbehaviour;
use counterfoil_ledger::verify::Trust;
use counterfoil_proto::v1;

use super::collector::Collector;
use super::collector::Taken;
use super::exchange::decode_held;
use super::exchange::encode_held;
use super::findings::Finding;
use super::findings::Findings;
use super::fixture::Node;
use super::fixture::attest;
use super::fixture::genesis;
use super::fixture::header;
use super::lag::Lag;
use super::sentinel::Sentinel;
use super::sign_once::Refusal;
use super::sign_once::SignOnce;
use crate::exit::ExitCode;
use crate::limits;
use crate::storage::StorageError;

fn collector() -> Collector {
    Collector::new(3, 1..=4)
}

/// This node's own headers: number 1 at every height up to one.
fn own_to(executed: u64) -> impl Fn(u64) -> Option<Hash> {
    move |height| (height <= executed).then(|| header(height, 1).hash())
}

#[test]
fn three_of_four_that_agree_make_a_certificate() {
    let mut collector = collector();
    let (mine, other) = (header(5, 1), header(5, 2));
    for (node, header) in [(1, &mine), (2, &mine), (3, &other)] {
        assert_eq!(collector.take(attest(node, header)), Taken::New);
    }
    let differing = collector.judge(5, own_to(5));
    assert_eq!(differing.iter().map(|it| it.node).collect::<Vec<_>>(), [3]);
    assert_eq!(collector.certificate(0), None);
    collector.take(attest(4, &mine));
    assert!(collector.judge(5, own_to(5)).is_empty());
    let certificate = collector.certificate(0).unwrap();
    assert_eq!(certificate.header, mine.encode()[..]);
    let nodes: Vec<u64> = certificate.signatures.iter().map(|it| it.node).collect();
    assert_eq!(nodes, [1, 2, 4]);
    assert_eq!((collector.certificate(5), collector.contrary()), (None, None));
}

#[test]
fn what_is_not_executed_here_certifies_nothing_yet() {
    let mut collector = collector();
    for node in 2..=4 {
        collector.take(attest(node, &header(9, 1)));
    }
    assert!(collector.judge(8, own_to(8)).is_empty());
    assert_eq!(collector.certificate(0), None);
    collector.judge(9, own_to(9));
    assert!(collector.certificate(0).is_some());
}

#[test]
fn a_quorum_for_another_header_is_noticed() {
    let mut collector = collector();
    for node in 2..=4 {
        assert_eq!(collector.contrary(), None);
        collector.take(attest(node, &header(5, 2)));
        assert_eq!(collector.judge(5, own_to(5)).len(), 1);
    }
    let contrary = collector.contrary().unwrap();
    assert_eq!(
        (contrary.header, contrary.signatures.len()),
        (header(5, 2).encode()[..].to_vec().into(), 3)
    );
    assert_eq!(collector.certificate(0), None);
}

#[test]
fn a_node_that_signs_twice_is_held_to_its_first_word() {
    let mut collector = collector();
    let (first, second) = (attest(2, &header(5, 1)), attest(2, &header(5, 2)));
    assert_eq!(collector.take(first.clone()), Taken::New);
    assert_eq!(collector.take(first.clone()), Taken::Known);
    assert_eq!(collector.take(second.clone()), Taken::Contradicts(Box::new(first.clone())));
    assert!(collector.holds(&first) && !collector.holds(&second));
    assert_eq!(collector.take(attest(9, &header(5, 1))), Taken::Known);
}

#[test]
fn what_is_held_is_bounded_and_the_newest_stays() {
    let mut collector = collector();
    let many = u64::try_from(limits::ATTESTATIONS_HELD_MAX).unwrap() + 50;
    for height in 1..=many {
        collector.take(attest(2, &header(height, 1)));
    }
    assert!(!collector.holds(&attest(2, &header(50, 1))));
    assert!(collector.holds(&attest(2, &header(51, 1))));
    assert_eq!(collector.take(attest(2, &header(3, 1))), Taken::Known);
    assert_eq!(collector.newest(2).unwrap().height(), many);
    assert_eq!(collector.attested_heights(), [(1, 0), (2, many), (3, 0), (4, 0)].into());
}

#[test]
fn the_missing_are_those_that_lack_the_newest_signature() {
    let mut collector = collector();
    assert_eq!(collector.missing(0), [1, 2, 3, 4]);
    for (node, height) in [(1, 8), (2, 8), (3, 5), (4, 7)] {
        collector.take(attest(node, &header(height, 1)));
    }
    collector.take(attest(4, &header(8, 2)));
    collector.judge(8, own_to(8));
    assert_eq!(collector.missing(4), [3, 4]);
    assert_eq!(collector.missing(5), [3]);
    assert_eq!(collector.missing(8), [1, 2, 3, 4]);
}

#[test]
fn who_signs_other_heights_is_not_missing_beside_who_signs_none() {
    let mut collector = collector();
    let newest = 5 + limits::SIGNATURES_APART_MAX + 1;
    for (node, height) in [(1, newest), (2, newest - 2), (3, 5)] {
        collector.take(attest(node, &header(height, 1)));
    }
    collector.judge(newest, own_to(newest));
    assert_eq!(collector.missing(4), [3, 4]);
}

#[test]
fn each_of_a_nodes_attestations_is_found_in_turn() {
    let mut collector = collector();
    for height in [3, 5, 9] {
        collector.take(attest(1, &header(height, 1)));
    }
    let after = |above| collector.after(1, above).map(|it| it.height());
    assert_eq!([0, 3, 4, 5, 9].map(after), [Some(3), Some(5), Some(5), Some(9), None]);
    assert_eq!(collector.after(2, 0), None);
}

#[test]
fn nothing_is_signed_before_the_others_have_told() {
    let mut sign_once = SignOnce::after(None);
    assert_eq!(sign_once.permit(&header(1, 1), own_to(1)), Err(Refusal::NotYet));
    sign_once.told([]).unwrap();
    assert_eq!(sign_once.permit(&header(1, 1), own_to(1)), Ok(()));
    sign_once.signed(attest(1, &header(1, 1)));
    for again in [header(1, 1), header(1, 2)] {
        assert_eq!(sign_once.permit(&again, own_to(1)), Err(Refusal::Signed));
    }
    assert_eq!(sign_once.permit(&header(4, 1), own_to(4)), Ok(()));
}

#[test]
fn what_others_tell_is_the_floor_and_must_be_executed_again() {
    // A backup of height 3 was put back; the others hold a signature of height 7.
    let mut sign_once = SignOnce::after(Some(attest(1, &header(3, 1))));
    sign_once.told([attest(1, &header(7, 1)), attest(1, &header(3, 1))]).unwrap();
    for executed in 3..7 {
        let header = header(executed, 1);
        assert_eq!(sign_once.permit(&header, own_to(executed)), Err(Refusal::NotYet));
    }
    assert_eq!(sign_once.permit(&header(7, 1), own_to(7)), Err(Refusal::Signed));
    assert_eq!(sign_once.permit(&header(8, 1), own_to(8)), Ok(()));
}

#[test]
fn a_history_without_what_was_signed_ends_signing() {
    let mut sign_once = SignOnce::after(Some(attest(1, &header(3, 2))));
    sign_once.told([]).unwrap();
    assert_eq!(sign_once.permit(&header(2, 1), own_to(2)), Err(Refusal::NotYet));
    let refusal = sign_once.permit(&header(4, 1), own_to(4)).unwrap_err();
    let Refusal::Contradiction(contradiction) = refusal else { panic!("{refusal:?}") };
    assert_eq!(contradiction.signed.hash, header(3, 2).hash());

    let mut told_otherwise = SignOnce::after(Some(attest(1, &header(3, 2))));
    let contradiction = told_otherwise.told([attest(1, &header(3, 1))]).unwrap_err();
    assert_eq!(contradiction.second.unwrap().hash, header(3, 1).hash());
}

#[test]
fn admission_stops_after_many_blocks_or_much_time() {
    let policy = Policy {
        finality_quorum: 3,
        certificate_lag_blocks: 64,
        certificate_lag_ms: 5_000,
        snapshot_interval_blocks: 4_096,
    };
    let (mut lag, now) = (Lag::new(policy), Instant::now());
    assert!(lag.follow(63, 0, now).is_empty() && !lag.is_too_long(now));
    lag.follow(64, 0, now);
    assert!(lag.is_too_long(now));
    let later = now + Duration::from_secs(4);
    assert_eq!(lag.follow(65, 64, later), [Duration::from_secs(4); 2]);
    assert!(!lag.is_too_long(later + Duration::from_millis(4_999)));
    assert!(lag.is_too_long(later + Duration::from_secs(5)));
    lag.follow(65, 65, later);
    assert_eq!((lag.longest(later), lag.is_too_long(later)), (None, false));
    // More heights than are remembered still wait, the last of them too.
    for height in 66..4_000 {
        lag.follow(height, 65, later);
    }
    lag.follow(4_000, 3_000, later);
    assert!(lag.longest(later).is_some());
}

#[tokio::test]
async fn only_sound_attestations_of_the_sender_are_taken() {
    let mut node = Node::new();
    let own = node.execute(5);
    let sound = attest(2, &own).message;
    let changed = |change: &dyn Fn(&mut v1::Attestation)| {
        let mut message = sound.clone();
        change(&mut message);
        Some(message)
    };
    let value = |bytes: &[u8]| v1::NodeSignature { node: 2, value: Bytes::copy_from_slice(bytes) };
    let foreign = attest(2, &Header { chain_id: Hash([9; 32]), ..own.clone() }).message;
    let later = attest(2, &Header { incarnation: 1, ..own.clone() }).message;
    for (message, sender, words) in [
        (None, 2, "required"),
        (changed(&|it| it.header = it.header.slice(1..)), 2, "296 bytes"),
        (changed(&|it| it.header = vec![7; 296].into()), 2, "does not decode"),
        (changed(&|it| it.signature = None), 2, "has a signature"),
        (changed(&|it| it.signature = Some(value(&[1; 65]))), 2, "64 bytes"),
        (changed(&|it| it.signature = Some(value(&[1; 64]))), 2, "attestation key"),
        (changed(&|_| {}), 3, "itself alone"),
        (Some(foreign), 2, "another chain"),
        (Some(later), 2, "another incarnation"),
    ] {
        let refused = node.finality.receive(sender, message).unwrap_err();
        assert!(refused.contains(words), "{refused}: {words}");
    }
    let far = attest(2, &header(2 + limits::ATTESTATION_AHEAD_MAX, 1)).message;
    node.finality.receive(2, Some(far)).unwrap();
    assert_eq!(node.finality.last_attestation(2), None);
    node.finality.receive(2, Some(sound.clone())).unwrap();
    assert_eq!(node.finality.last_attestation(2), Some(sound));
}

#[tokio::test]
async fn certificates_come_of_what_is_received_and_outlive_a_restart() {
    let mut node = Node::new();
    let headers = [node.execute(5), node.execute(6)];
    for peer in 2..=3 {
        node.finality.receive(peer, Some(attest(peer, &headers[0]).message)).unwrap();
    }
    assert_eq!(*node.finality.certified().borrow(), 0);
    node.finality.receive(4, Some(attest(4, &headers[0]).message)).unwrap();
    assert_eq!(*node.finality.certified().borrow(), 1);
    let certificate = node.finality.newest_certificate().unwrap().unwrap();
    assert!(node.finality.signers.certified(&certificate).is_ok());
    node.finality.wait_final(1, Instant::now()).await.unwrap();
    assert!(node.finality.wait_final(2, Instant::now()).await.is_err());

    let mut kept = Vec::new();
    node.finality.keep_held(&mut kept).await;
    assert_eq!(decode_held(&kept).unwrap().len(), 3);
    assert_eq!(decode_held(&kept[1..]), None);
    assert_eq!(encode_held([attest(2, &headers[0])].iter()), kept[..kept.len() / 3]);
    let node = node.restart();
    assert_eq!(node.finality.standing().attested, [(1, 0), (2, 1), (3, 1), (4, 1)].into());
}

#[tokio::test]
async fn what_was_recorded_before_a_crash_is_sent_again_and_never_contradicted() {
    let mut node = Node::new();
    let own = node.execute(5);
    node.tasks.attester.told(Vec::new());
    assert!(node.tasks.attester.sign_for_test(1).await);
    let recorded = node.finality.last_attestation(1).unwrap();
    assert_eq!(recorded, attest(1, &own).message);

    // The record was written, and the process died before anything left it.
    let mut node = node.restart();
    assert_eq!(node.finality.standing().attested_height, 1);
    assert_eq!(node.finality.last_attestation(1), Some(recorded));
    node.tasks.attester.told(Vec::new());
    // Execution gives another block than the one that was signed.
    node.execute(77);
    node.execute(78);
    assert!(!node.tasks.attester.sign_for_test(2).await);
    let stop = node.finality.diverged().await;
    assert_eq!(stop.code, ExitCode::Diverged);
    assert!(stop.message.contains("at height 1"), "{}", stop.message);
    let data = node.path.path().join("data");
    for name in ["diverged-1-1.attestation", "diverged-1-1.header"] {
        assert!(data.join("evidence").join(name).is_file(), "{name}");
    }
    let chain_id = node.finality.chain_id;
    let refused = crate::storage::directory::DataDirectory::open(&data, 1, &chain_id).unwrap_err();
    assert!(matches!(refused, StorageError::Diverged { .. }), "{refused}");
}

#[tokio::test]
async fn a_quorum_against_this_node_stops_it_and_a_minority_does_not() {
    let mut node = Node::new();
    let own = node.execute(5);
    let other = Header { tx_root: Hash([3; 32]), ..own };
    for peer in 2..=3 {
        node.finality.receive(peer, Some(attest(peer, &other).message)).unwrap();
        tokio::task::yield_now().await;
        assert!(!node.finality.is_diverged());
    }
    node.finality.receive(4, Some(attest(4, &other).message)).unwrap();
    assert!(node.finality.is_diverged());
    let stop = node.finality.diverged().await;
    assert_eq!(stop.code, ExitCode::Diverged);
    assert!(node.path.path().join("data/evidence/diverged-1-1.certificate").is_file());
}

/// What a file of evidence proves.
fn proved(node: &Node, name: &str) -> Conviction {
    let path = node.path.path().join("data/evidence").join(name);
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let evidence: v1::Evidence = verify::read(&bytes).unwrap();
    verify::evidence(&Trust::new(genesis()), &evidence).unwrap()
}

async fn until_kept(path: std::path::PathBuf) {
    while !path.is_file() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_sentinel_keeps_what_convicts() {
    let mut node = Node::new();
    let own = node.execute(5);
    let evidence = node.path.path().join("data/evidence");
    tokio::spawn(Sentinel::new(node.finality.clone(), node.peers()).run());

    let wrong = Header { tx_root: Hash([3; 32]), ..own.clone() };
    let other = Header { tx_root: Hash([4; 32]), ..own.clone() };
    node.finality.receive(2, Some(attest(2, &wrong).message)).unwrap();
    for peer in [1, 3, 4] {
        node.finality.receive(peer, Some(attest(peer, &own).message)).unwrap();
    }
    until_kept(evidence.join("wrong-execution-1-2.evidence")).await;
    let conviction = proved(&node, "wrong-execution-1-2.evidence");
    assert_eq!(conviction.kind, Misbehaviour::WrongExecution);
    assert_eq!(conviction.open.as_ref().unwrap().attesters[0].0, 2);

    node.finality.receive(3, Some(attest(3, &wrong).message)).unwrap();
    until_kept(evidence.join("double-attestation-1-3.evidence")).await;
    let conviction = proved(&node, "double-attestation-1-3.evidence");
    assert_eq!(conviction.kind, Misbehaviour::DoubleAttestation);
    assert_eq!(conviction.nodes[0].0, 3);

    // What another process has kept counts too; the rest has room all the same.
    for number in 1..limits::EVIDENCE_FILES_PER_NODE_MAX {
        std::fs::write(evidence.join(format!("double-attestation-{}-2.evidence", number + 9)), "")
            .unwrap();
    }
    for peer in [2, 4] {
        node.finality.receive(peer, Some(attest(peer, &other).message)).unwrap();
    }
    until_kept(evidence.join("double-attestation-1-4.evidence")).await;
    assert!(!evidence.join("double-attestation-1-2.evidence").exists());
    assert!(!node.finality.is_diverged());
}

#[test]
fn no_flood_keeps_out_what_convicts() {
    let findings = Findings::default();
    for height in 1..=1_000 {
        findings.put(Finding::Differs(Box::new(attest(2, &header(height, 2)))));
    }
    let double = |node| {
        let signed = |number| Box::new(attest(node, &header(7, number)));
        Finding::Double(signed(1), signed(2))
    };
    findings.put(double(2));
    findings.put(double(2));
    findings.put(Finding::Differs(Box::new(attest(3, &header(1, 2)))));
    let taken = findings.take();
    assert_eq!(taken.len(), 1 + limits::FINDINGS_PER_NODE_MAX + 1);
    assert_eq!(taken[0], double(2));
    assert_eq!(taken.last().unwrap().place(), (1, 3));
    assert!(findings.take().is_empty());
}
