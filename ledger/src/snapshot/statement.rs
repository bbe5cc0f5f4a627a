//! What nodes sign of a snapshot, and what comes of a signature that contradicts a quorum.

use bytes::Bytes;
use counterfoil_proto::v1;

use super::FORMAT;
use crate::{
    hash::Hash,
    signature::{Label, snapshot_payload},
    verify::{self, Conviction, Misbehaviour, Signers, Trust, Unproven},
};

/// Checks that a quorum signed what the state's content comes to after a header, each once and in
/// order of their ids. Returns who.
pub fn certified(
    signers: &Signers,
    header_hash: &Hash,
    digest: &Hash,
    signatures: &[v1::NodeSignature],
) -> Result<Vec<u64>, Unproven> {
    let payload = snapshot_payload(header_hash, FORMAT, digest);
    signers.quorum_signed(Label::Snapshot, &payload, signatures)
}

/// The digest is a function of the blocks, and a quorum has said which: who signed another one is
/// convicted, as far as the quorum is believed.
pub fn convict(trust: &Trust, it: &v1::FalseSnapshot) -> Result<Conviction, Unproven> {
    let missing = |part| verify::unproven(part, "it is missing");
    let quorum = it.certificate.as_ref().ok_or(missing("certificate"))?;
    let header = verify::header("certificate", &quorum.header, &trust.chain_id())?;
    let epoch = trust
        .signers(header.epoch)
        .ok_or(verify::unproven("certificate", "its epoch is not known"))?;
    let payload = |format, digest: &Bytes| {
        let digest =
            Hash::from_slice(digest).ok_or(verify::unproven("digest", "it has not 32 bytes"))?;
        Ok(snapshot_payload(&header.hash(), format, &digest))
    };
    let certified = payload(quorum.format, &quorum.digest)?;
    epoch.quorum_signed(Label::Snapshot, &certified, &quorum.signatures)?;
    let lie = it.attestation.as_ref().ok_or(missing("attestation"))?;
    let one_place = lie.header == quorum.header && lie.format == quorum.format;
    verify::require(one_place, "attestation", "it is about another block than the certificate")?;
    let signed = payload(lie.format, &lie.digest)?;
    verify::require(signed != certified, "attestation", "it is the certified digest")?;
    let by = lie.signature.as_ref();
    let by = by.and_then(|by| Some((by.node, trust.signer(Label::Snapshot, &signed, by)?.0)));
    let by = by.ok_or(verify::unproven("attestation", "its signature is not its node's"))?;
    let what =
        format!("signed another digest of the state after block {} than a quorum", header.height);
    Ok(Conviction { kind: Misbehaviour::FalseSnapshot, nodes: vec![by], what, open: None })
}
