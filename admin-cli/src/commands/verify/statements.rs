//! `verify absence` and `verify promise`: what nodes state about an instruction that is not there.

use counterfoil_client::v1;
use counterfoil_ledger::verify;
use prost::Message;
use serde_json::json;

use super::{Absence, Promise, finality, material};
use crate::commands::instruction::saving::latest_end;
use crate::error::Failure;
use crate::exit::Exit;
use crate::moment;
use crate::output::{Answer, Table};

/// Verifies that an id was decided by no block.
pub fn absence(arguments: &Absence) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let proof: v1::Absence = material::proof(&arguments.file)?;
    let verified = verify::absence(&trust, &proof)
        .map_err(|error| material::refused(&arguments.file, error))?;
    let header = &verified.header;
    material::agrees(&trust, &arguments.file, &[header])?;
    let until = match &arguments.instruction {
        Some(file) => {
            let signed = material::signed(file)?;
            if (signed.institution, signed.id) != (verified.institution, verified.id) {
                let message = "REFUSED: id: the statement is about another instruction";
                return Err(Failure::new(Exit::Verification, "REFUSED", message)
                    .fact(format!("stated about {} of {}", verified.id, verified.institution))
                    .fact(format!("asked about  {} of {}", signed.id, signed.institution)));
            }
            Some(signed.valid_until_ms)
        }
        None => None,
    };
    // Without the instruction nothing is known of its validity but what its id allows.
    let latest = verified.is_final_for(latest_end(&verified.id)).then_some(true);
    let for_ever = until.map(|until| verified.is_final_for(until)).or(latest);
    let (verdict, line) = match for_ever {
        Some(true) => ("ABSENT_FOR_EVER", "ABSENT FOR EVER  no block has decided it, and none can"),
        Some(false) => ("ABSENT_SO_FAR", "ABSENT SO FAR  a later block may still decide it"),
        None => ("ABSENT", "ABSENT  no block up to this height has decided it"),
    };
    let block_time = moment::utc_ms(header.block_time_ms);
    let json = json!({
        "verdict": verdict,
        "institution": verified.institution.as_str(),
        "id": verified.id.to_string(),
        "height": header.height.to_string(),
        "headerHash": header.hash().to_string(),
        "blockTime": block_time,
        "validUntil": until.map(moment::utc_ms),
        "signers": finality::signers_json(&trust, &verified.signers),
    });
    let answer = Answer::new(json).line(line).table(Table::facts([
        ("institution", verified.institution.to_string()),
        ("instruction", verified.id.to_string()),
        ("searched up to height", header.height.to_string()),
        ("block time", block_time),
        ("stated by", finality::names(&trust, &verified.signers)),
    ]));
    Ok(match for_ever {
        Some(false) => answer.failure(
            Failure::new(
                Exit::Verification,
                "ABSENT_SO_FAR",
                "the instruction was still valid when its absence was stated",
            )
            .fix("counterfoil instruction absence ID --out FILE, after it has expired"),
        ),
        Some(true) => answer,
        None => answer.line("an instruction that was valid no longer than that block time is void"),
    })
}

/// Verifies a promise, and whether an absence breaks it.
pub fn promise(arguments: &Promise) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let proof: v1::Promise = material::proof(&arguments.file)?;
    let verified = verify::promise(&trust, &proof)
        .map_err(|error| material::refused(&arguments.file, error))?;
    let broken = match (&arguments.instruction, &arguments.absence) {
        (Some(instruction), Some(file)) => {
            let signed = material::signed(instruction)?;
            let message = v1::SignedInstruction::decode(signed.bytes().clone())
                .expect("it was decoded before");
            let absence: v1::Absence = material::proof(file)?;
            let absence = verify::absence(&trust, &absence)
                .map_err(|error| material::refused(file, error))?;
            Some(verified.is_broken(&message.instruction, &absence))
        }
        _ => None,
    };
    let (verdict, line) = match broken {
        Some(true) => {
            ("BROKEN", "BROKEN  the deadline passed, and the instruction was in no block")
        }
        Some(false) => {
            ("NOT_BROKEN", "NOT BROKEN  the statement of absence does not show that it was")
        }
        None => ("PROMISED", "PROMISED  by the node's signature"),
    };
    let deadline = moment::utc_ms(verified.deadline_ms);
    let json = json!({
        "verdict": verdict,
        "node": verified.node.to_string(),
        "institution": verified.institution.as_str(),
        "instructionHash": verified.instruction_hash.to_string(),
        "deadline": deadline,
    });
    let answer = Answer::new(json).line(line).table(Table::facts([
        ("promised by", format!("node {} of {}", verified.node, verified.institution)),
        ("instruction hash", verified.instruction_hash.to_string()),
        ("deadline", deadline),
    ]));
    Ok(match broken {
        Some(false) => answer.failure(Failure::new(
            Exit::Verification,
            "NOT_BROKEN",
            "the absence is of another instruction, or not later than the deadline",
        )),
        _ => answer,
    })
}
