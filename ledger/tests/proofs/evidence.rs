//! Evidence that convicts, and what comes near to it and must not.

use bytes::Bytes;
use counterfoil_ledger::{
    hash::Hash,
    header::Header,
    proposal::ProposalHeader,
    signature::Signer,
    verify::{self, Misbehaviour},
};
use counterfoil_proto::v1::{self, evidence::Kind};

use crate::support::{
    archive::certify,
    changes,
    misdeeds::{
        conflicting, double, false_snapshot, other, propose, snapshot_of, two_proposals, wrong,
    },
};

fn evidence(kind: Kind) -> v1::Evidence {
    v1::Evidence { kind: Some(kind) }
}

#[test]
fn double_attestations() {
    let archive = crate::archive();
    let trust = archive.trust();
    let check = |it| verify::evidence(&trust, &evidence(Kind::DoubleAttestation(it)));
    let (same, later) = (double(&archive, 3), double(&archive, 6));
    for it in [&same, &later] {
        let conviction = check(it.clone()).unwrap();
        assert_eq!(conviction.kind, Misbehaviour::DoubleAttestation);
        assert_eq!(conviction.nodes.iter().map(|it| it.0).collect::<Vec<_>>(), [2]);
        assert_eq!(conviction.institutions().len(), 1);
        assert_eq!(conviction.open, None);
    }
    let honest = archive.header(3).clone();
    let again = Header { incarnation: 1, ..other(&archive, 3) };
    let foreign = Header { chain_id: Hash::ZERO, ..other(&archive, 3) };
    let near = [
        v1::DoubleAttestation { second: same.first.clone(), ..same.clone() },
        v1::DoubleAttestation { second: None, ..same.clone() },
        v1::DoubleAttestation {
            second: Some(archive.attestation(1, &other(&archive, 3))),
            ..same.clone()
        },
        v1::DoubleAttestation { second: Some(archive.attestation(2, &again)), ..same.clone() },
        v1::DoubleAttestation { second: Some(archive.attestation(2, &foreign)), ..same.clone() },
        v1::DoubleAttestation { other: later.other.clone(), ..same.clone() },
        v1::DoubleAttestation { history_path: later.history_path.clone(), ..same.clone() },
        // One history.
        v1::DoubleAttestation {
            second: Some(archive.attestation(2, archive.header(6))),
            other: Bytes::copy_from_slice(&honest.encode()),
            history_path: archive.history_path(3, 6),
            ..later.clone()
        },
        v1::DoubleAttestation {
            second: Some(archive.attestation(2, archive.header(6))),
            ..later.clone()
        },
        // Another height of one history.
        v1::DoubleAttestation {
            second: Some(archive.attestation(2, archive.header(6))),
            other: Bytes::copy_from_slice(&archive.header(4).encode()),
            history_path: archive.history_path(4, 6),
            ..later.clone()
        },
        v1::DoubleAttestation { other: Bytes::new(), ..later.clone() },
        v1::DoubleAttestation {
            first: later.second.clone(),
            second: later.first.clone(),
            ..later.clone()
        },
    ];
    for (place, it) in near.into_iter().enumerate() {
        assert!(check(it).is_err(), "case {place}");
    }
    for history_path in changes::of_list(&later.history_path) {
        assert!(check(v1::DoubleAttestation { history_path, ..later.clone() }).is_err());
    }
}

#[test]
fn conflicting_certificates() {
    let archive = crate::archive();
    let trust = archive.trust();
    let nodes = &archive.chain.consortium.nodes;
    let check = |it| verify::evidence(&trust, &evidence(Kind::ConflictingCertificates(it)));
    let it = conflicting(&archive);
    let conviction = check(it.clone()).unwrap();
    assert_eq!(conviction.nodes.iter().map(|it| it.0).collect::<Vec<_>>(), [2, 3]);
    let one_height = v1::ConflictingCertificates {
        second: Some(certify(&other(&archive, 3), nodes.iter().skip(1))),
        other: Bytes::new(),
        history_path: Vec::new(),
        ..it.clone()
    };
    assert_eq!(check(one_height).unwrap().nodes.len(), 2);
    let few = certify(archive.header(3), nodes.iter().take(2));
    let near = [
        v1::ConflictingCertificates { first: Some(few), ..it.clone() },
        v1::ConflictingCertificates { first: None, ..it.clone() },
        v1::ConflictingCertificates { second: Some(archive.certificate(6)), ..it.clone() },
        v1::ConflictingCertificates {
            second: Some(archive.certificate(6)),
            other: Bytes::copy_from_slice(&archive.header(3).encode()),
            history_path: archive.history_path(3, 6),
            ..it
        },
    ];
    for (place, it) in near.into_iter().enumerate() {
        assert!(check(it).is_err(), "case {place}");
    }
}

#[test]
fn double_proposals() {
    let archive = crate::archive();
    let trust = archive.trust();
    let check = |it| verify::evidence(&trust, &evidence(Kind::DoubleProposal(it)));
    let it = two_proposals(&archive);
    let conviction = check(it.clone()).unwrap();
    assert_eq!(conviction.nodes.iter().map(|it| it.0).collect::<Vec<_>>(), [1]);
    let header = archive.stored(3).proposal.header.clone();
    let stamp_ms = header.stamp_ms + 1;
    let mut other_key = it.second.clone().unwrap();
    other_key.key_id = archive.chain.consortium.nodes[&2].key_id().to_bytes();
    let header = |sequence, term, incarnation, proposer| ProposalHeader {
        sequence,
        term,
        incarnation,
        proposer,
        stamp_ms,
        ..header.clone()
    };
    let place = archive.stored(3).proposal.header.sequence;
    let near = [
        it.first.clone(),
        None,
        Some(other_key),
        propose(&archive, 1, &header(place + 1, 1, 0, 1)),
        propose(&archive, 1, &header(place, 2, 0, 1)),
        propose(&archive, 1, &header(place, 1, 1, 1)),
        propose(&archive, 2, &header(place, 1, 0, 2)),
        // Somebody else signs in its name.
        propose(&archive, 2, &header(place, 1, 0, 1)),
    ];
    for (number, second) in near.into_iter().enumerate() {
        assert!(check(v1::DoubleProposal { second, ..it.clone() }).is_err(), "case {number}");
    }
}

#[test]
fn wrong_executions() {
    let archive = crate::archive();
    let trust = archive.trust();
    let check = |it| verify::evidence(&trust, &evidence(Kind::WrongExecution(it)));
    let it = wrong(&archive);
    let conviction = check(it.clone()).unwrap();
    assert!(conviction.nodes.is_empty(), "the ledger has not been asked");
    let open = conviction.open.clone().unwrap();
    assert_eq!(open.certified, *archive.header(4));
    let nodes = |replayed: &Header| {
        let found = conviction.clone().with_replayed(replayed).unwrap();
        assert_eq!(found.open, None);
        found.nodes.iter().map(|it| it.0).collect::<Vec<_>>()
    };
    assert_eq!(nodes(archive.header(4)), [1]);
    assert_eq!(nodes(&open.attested), [2, 3, 4], "the quorum is wrong");
    let third = Header { tx_root: Hash::of(b"another lie"), ..archive.header(4).clone() };
    assert_eq!(nodes(&third), [1, 2, 3, 4], "all are");
    assert!(conviction.clone().with_replayed(archive.header(5)).is_err());

    let lie = |change: &dyn Fn(&mut Header)| {
        let mut header = archive.header(4).clone();
        header.tx_root = Hash::of(b"a lie");
        change(&mut header);
        Some(archive.attestation(1, &header))
    };
    let near = [
        None,
        Some(archive.attestation(1, archive.header(4))),
        Some(archive.attestation(1, archive.header(5))),
        lie(&|header| header.height = 5),
        lie(&|header| header.incarnation = 1),
        lie(&|header| header.raft_index += 1),
        lie(&|header| header.raft_term += 1),
        lie(&|header| header.proposer = 2),
        lie(&|header| header.proposal_hash = Hash::ZERO),
        lie(&|header| header.previous = Hash::ZERO),
        lie(&|header| header.chain_id = Hash::ZERO),
    ];
    for (place, attestation) in near.into_iter().enumerate() {
        assert!(check(v1::WrongExecution { attestation, ..it.clone() }).is_err(), "case {place}");
    }
    let mut few = archive.certificate(4);
    few.signatures.pop();
    assert!(check(v1::WrongExecution { certificate: Some(few), ..it }).is_err());
    assert!(verify::evidence(&trust, &v1::Evidence { kind: None }).is_err());
}

#[test]
fn false_snapshots() {
    let archive = crate::archive();
    let trust = archive.trust();
    let check = |it| verify::evidence(&trust, &evidence(Kind::FalseSnapshot(it)));
    let it = false_snapshot(&archive);
    let conviction = check(it.clone()).unwrap();
    assert_eq!(conviction.kind, Misbehaviour::FalseSnapshot);
    assert_eq!(conviction.nodes.iter().map(|it| it.0).collect::<Vec<_>>(), [4]);
    assert_eq!(conviction.open, None);
    let (honest, lie) = (Hash::of(b"the state"), Hash::of(b"a lie"));
    let said =
        |node, height, digest| Some(snapshot_of(&archive, node, archive.header(height), digest));
    let unsigned = said(4, 4, &lie).map(|it| v1::SnapshotAttestation { signature: None, ..it });
    let near = [None, said(4, 4, &honest), said(4, 5, &lie), unsigned];
    for (place, attestation) in near.into_iter().enumerate() {
        assert!(check(v1::FalseSnapshot { attestation, ..it.clone() }).is_err(), "case {place}");
    }
    let mut few = it.certificate.clone();
    few.iter_mut().for_each(|few| drop(few.signatures.pop()));
    assert!(check(v1::FalseSnapshot { certificate: few, ..it.clone() }).is_err());
    assert!(check(v1::FalseSnapshot { certificate: None, ..it }).is_err());
}

/// No byte of evidence can change, but for what says nothing.
#[test]
fn no_byte_of_evidence_can_change() {
    let archive = crate::archive();
    let trust = archive.trust();
    for kind in [
        Kind::DoubleAttestation(double(&archive, 6)),
        Kind::ConflictingCertificates(conflicting(&archive)),
        Kind::DoubleProposal(two_proposals(&archive)),
        Kind::WrongExecution(wrong(&archive)),
        Kind::FalseSnapshot(false_snapshot(&archive)),
    ] {
        crate::only_itself(&evidence(kind), |it| verify::evidence(&trust, it), |_, _| false);
    }
}
