//! Promises: that a node was asked to bring an instruction into a block, and until when.

use bytes::Bytes;
use counterfoil_proto::v1;

use super::{AbsenceVerdict, Trust, Unproven, decode, unproven};
use crate::{
    bic::Bic,
    hash::Hash,
    signature::{Label, promise_payload},
};

/// A promise that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPromise {
    /// The node that promised.
    pub node: u64,
    /// Whose node it is.
    pub institution: Bic,
    /// SHA-256 of the instruction's bytes.
    pub instruction_hash: Hash,
    /// Until when, Unix milliseconds.
    pub deadline_ms: u64,
}

/// Checks a promise.
pub fn promise(trust: &Trust, promise: &v1::Promise) -> Result<VerifiedPromise, Unproven> {
    let instruction_hash = Hash::from_slice(&promise.instruction_hash)
        .ok_or(unproven("instruction_hash", "a hash has 32 bytes"))?;
    let signature = promise.signature.as_ref().ok_or(unproven("signature", "it is missing"))?;
    let payload = promise_payload(&instruction_hash, promise.deadline_ms);
    let signer = trust.signer(Label::Promise, &payload, signature);
    let (institution, _) = signer.ok_or(unproven("signature", "it is not its node's"))?;
    let deadline_ms = promise.deadline_ms;
    Ok(VerifiedPromise { node: signature.node, institution, instruction_hash, deadline_ms })
}

impl VerifiedPromise {
    /// Whether the promise is broken: the instruction, whose bytes are given, was absent as of a block
    /// past the deadline.
    pub fn is_broken(&self, instruction: &Bytes, absence: &AbsenceVerdict) -> bool {
        decode::<v1::Instruction>("instruction", instruction).is_ok_and(|message| {
            Hash::of(instruction) == self.instruction_hash
                && message.institution == absence.institution.as_str()
                && message.id[..] == absence.id.as_bytes()[..]
                && absence.header.block_time_ms > self.deadline_ms
        })
    }
}
