//! What convicts a node, made of a chain that knows better.

use bytes::Bytes;
use counterfoil_ledger::{
    hash::Hash,
    header::Header,
    proposal::ProposalHeader,
    prove,
    signature::{Label, Signer, snapshot_payload},
    snapshot::FORMAT,
};
use counterfoil_proto::v1;

use super::{
    Archive,
    archive::{certify, sign, sign_all, subtrees},
};

/// The header of a height as a liar has it.
pub fn other(archive: &Archive, height: u64) -> Header {
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

pub fn propose(
    archive: &Archive,
    node: u64,
    header: &ProposalHeader,
) -> Option<v1::SignedProposal> {
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

pub fn wrong(archive: &Archive) -> v1::WrongExecution {
    let lie = Header { tx_root: Hash::of(b"a lie"), ..archive.header(4).clone() };
    v1::WrongExecution {
        attestation: Some(archive.attestation(1, &lie)),
        certificate: Some(archive.certificate(4)),
    }
}

/// What a node says that the state after a block comes to.
pub fn snapshot_of(
    archive: &Archive,
    node: u64,
    header: &Header,
    digest: &Hash,
) -> v1::SnapshotAttestation {
    let payload = snapshot_payload(&header.hash(), FORMAT, digest);
    let signer = &archive.chain.consortium.nodes[&node];
    v1::SnapshotAttestation {
        header: Bytes::copy_from_slice(&header.encode()),
        format: FORMAT,
        digest: digest.to_bytes(),
        signature: Some(sign(node, signer, Label::Snapshot, &header.chain_id, &payload)),
    }
}

/// Node 4 has another state than the other three.
pub fn false_snapshot(archive: &Archive) -> v1::FalseSnapshot {
    let (header, digest) = (archive.header(4), Hash::of(b"the state"));
    let payload = snapshot_payload(&header.hash(), FORMAT, &digest);
    let quorum = archive.chain.consortium.nodes.iter().take(3);
    v1::FalseSnapshot {
        attestation: Some(snapshot_of(archive, 4, header, &Hash::of(b"a lie"))),
        certificate: Some(v1::SnapshotCertificate {
            header: Bytes::copy_from_slice(&header.encode()),
            format: FORMAT,
            digest: digest.to_bytes(),
            signatures: sign_all(quorum, Label::Snapshot, &header.chain_id, &payload),
        }),
    }
}
