//! Evidence that convicts, and what comes near to it and must not.

use bytes::Bytes;
use counterfoil_ledger::{
    hash::Hash,
    header::Header,
    proposal::ProposalHeader,
    prove,
    signature::{Label, Signer},
    verify::{self, Misbehaviour},
};
use counterfoil_proto::v1::{self, evidence::Kind};

use crate::support::{
    Archive,
    archive::{certify, sign, subtrees},
    changes,
};

fn evidence(kind: Kind) -> v1::Evidence {
    v1::Evidence { kind: Some(kind) }
}

/// The header of a height as a liar has it.
fn other(archive: &Archive, height: u64) -> Header {
    Header { block_time_ms: 1, ..archive.header(height).clone() }
}

/// A later header in whose history the liar's stands, and the path to it.
fn forked(archive: &Archive, at: u64, later: u64) -> (Header, Vec<Bytes>) {
    let headers = (0..later).map(|height| {
        if height == at { other(archive, at) } else { archive.header(height).clone() }
    });
    let leaves: Vec<Hash> = headers.map(|header| prove::history_leaf(&header)).collect();
    let header = Header {
        history_root: counterfoil_ledger::merkle::root_of(leaves.iter().copied()),
        ..archive.header(later).clone()
    };
    let Ok(path) = prove::history_path(at, later, &mut subtrees(&leaves));
    (header, path)
}

pub fn double(archive: &Archive, later: u64) -> v1::DoubleAttestation {
    let first = Some(archive.attestation(2, archive.header(3)));
    if later == 3 {
        let second = Some(archive.attestation(2, &other(archive, 3)));
        return v1::DoubleAttestation { first, second, ..v1::DoubleAttestation::default() };
    }
    let (header, history_path) = forked(archive, 3, later);
    v1::DoubleAttestation {
        first,
        second: Some(archive.attestation(2, &header)),
        other: Bytes::copy_from_slice(&other(archive, 3).encode()),
        history_path,
    }
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

pub fn conflicting(archive: &Archive) -> v1::ConflictingCertificates {
    let nodes = &archive.chain.consortium.nodes;
    let (header, history_path) = forked(archive, 3, 6);
    v1::ConflictingCertificates {
        first: Some(certify(archive.header(3), nodes.iter().take(3))),
        second: Some(certify(&header, nodes.iter().skip(1))),
        other: Bytes::copy_from_slice(&other(archive, 3).encode()),
        history_path,
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

fn propose(archive: &Archive, node: u64, header: &ProposalHeader) -> Option<v1::SignedProposal> {
    let consortium = &archive.chain.consortium;
    let (signer, hash) = (&consortium.nodes[&node], header.hash());
    let signature = sign(node, signer, Label::Proposal, &consortium.chain_id(), hash.as_bytes());
    Some(v1::SignedProposal {
        header: Bytes::copy_from_slice(&header.encode()),
        key_id: signer.key_id().to_bytes(),
        signature: signature.value,
    })
}

pub fn two_proposals(archive: &Archive) -> v1::DoubleProposal {
    let header = archive.stored(3).proposal.header.clone();
    let other = ProposalHeader { stamp_ms: header.stamp_ms + 1, ..header.clone() };
    v1::DoubleProposal { first: propose(archive, 1, &header), second: propose(archive, 1, &other) }
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

pub fn wrong(archive: &Archive) -> v1::WrongExecution {
    let lie = Header { tx_root: Hash::of(b"a lie"), ..archive.header(4).clone() };
    v1::WrongExecution {
        attestation: Some(archive.attestation(1, &lie)),
        certificate: Some(archive.certificate(4)),
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
    ] {
        crate::only_itself(&evidence(kind), |it| verify::evidence(&trust, it), |_, _| false);
    }
}
