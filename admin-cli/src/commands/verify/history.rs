//! `verify history`: that a header is in the history of a certified one.

use counterfoil_client::outcome::Finality;
use counterfoil_client::v1;
use counterfoil_ledger::verify;
use serde_json::json;

use super::{Single, finality, material};
use crate::error::Failure;
use crate::moment;
use crate::output::{Answer, Table, extend};

/// Verifies it.
pub fn run(arguments: &Single) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let proof: v1::HistoryProof = material::proof(&arguments.file)?;
    let verified = verify::history(&trust, &proof)
        .map_err(|error| material::refused(&arguments.file, error))?;
    material::agrees(&trust, &arguments.file, &[&verified.header, &verified.certified])?;
    let certified_height = verified.certified.height;
    let finality = Finality::Final { certified_height, signers: verified.signers };
    let mut json = finality::json(&trust, &finality);
    let header = &verified.header;
    extend(
        &mut json,
        json!({
            "height": header.height.to_string(),
            "headerHash": header.hash().to_string(),
            "blockTime": moment::utc_ms(header.block_time_ms),
            "certifiedHeaderHash": verified.certified.hash().to_string(),
        }),
    );
    Ok(Answer::new(json).line(finality::sentence(&trust, &finality)).table(Table::facts([
        ("height", header.height.to_string()),
        ("header", header.hash().to_string()),
        ("block time", moment::utc_ms(header.block_time_ms)),
        ("certified header", verified.certified.hash().to_string()),
    ])))
}
