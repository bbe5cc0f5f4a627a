//! That one header stands in the history of another.

use counterfoil_proto::v1;

use super::{Trust, Unproven, hashes, in_history, require, unproven};
use crate::{header::Header, merkle::path::is_consistent};

/// A header with the certified one that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedHistory {
    /// The earlier header.
    pub header: Header,
    /// The certified one; it may be the same.
    pub certified: Header,
    /// Node ids of those that signed it.
    pub signers: Vec<u64>,
}

/// Checks a history proof.
pub fn history(trust: &Trust, proof: &v1::HistoryProof) -> Result<VerifiedHistory, Unproven> {
    let header = super::header("header", &proof.header, &trust.chain_id())?;
    let certificate = proof.certificate.as_ref().ok_or(unproven("certificate", "it is missing"))?;
    let (certified, signers) = trust.certified(certificate)?;
    in_history(&header, &proof.history_path, &certified)?;
    let path = hashes("consistency_path", &proof.consistency_path)?;
    let tree = |it: &Header| (it.height, it.history_root);
    let consistent = is_consistent(tree(&header), tree(&certified), &path);
    require(consistent, "consistency_path", "the later tree does not begin with the earlier one")?;
    Ok(VerifiedHistory { header, certified, signers })
}
