//! That an id was decided by no block up to a height.

use counterfoil_proto::v1;

use super::{Trust, Unproven, unproven};
use crate::{
    bic::Bic,
    header::Header,
    id::InstructionId,
    signature::{Label, absence_payload},
};

/// An absence that verifies: no block up to the header's has decided the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsenceVerdict {
    /// Whose id.
    pub institution: Bic,
    /// The id.
    pub id: InstructionId,
    /// The last block that was searched.
    pub header: Header,
    /// Node ids of those that searched.
    pub signers: Vec<u64>,
}

impl AbsenceVerdict {
    /// Whether no later block can decide an instruction with this id either: its validity had ended.
    pub fn is_final_for(&self, valid_until_ms: u64) -> bool {
        valid_until_ms <= self.header.block_time_ms
    }
}

/// Checks an absence.
pub fn absence(trust: &Trust, absence: &v1::Absence) -> Result<AbsenceVerdict, Unproven> {
    let institution = Bic::parse_canonical(&absence.institution)
        .map_err(|_| unproven("institution", "a BIC of eleven characters"))?;
    let id = InstructionId::from_bytes(&absence.id)
        .map_err(|_| unproven("id", "a version 7 UUID of 16 bytes"))?;
    let header = super::header("header", &absence.header, &trust.chain_id())?;
    let payload = absence_payload(&institution, &id, &header.hash());
    let signers = trust.signers_of(&header)?;
    let signers = signers.quorum_signed(Label::Absence, &payload, &absence.signatures)?;
    Ok(AbsenceVerdict { institution, id, header, signers })
}
