//! `verify evidence`: who is convicted, and of what.

use counterfoil_client::v1;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::verify::{self, Conviction, Misbehaviour, OpenQuestion};
use serde_json::json;

use super::{Evidence, material};
use crate::commands::ledger::verify::replayed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Table};

/// Verifies it.
pub fn run(arguments: &Evidence) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let proof: v1::Evidence = material::proof(&arguments.file)?;
    let refused = |error| material::refused(&arguments.file, error);
    let mut conviction = verify::evidence(&trust, &proof).map_err(refused)?;
    if let (Some(open), Some(ledger)) = (&conviction.open, &arguments.ledger) {
        let height = open.certified.height;
        let mut found = None;
        replayed(trust.genesis().clone(), ledger, |_, block| {
            found = found
                .take()
                .or_else(|| Header::decode(&block.header).filter(|header| header.height == height));
            Ok(())
        })?;
        let header = found.ok_or_else(|| {
            Failure::new(Exit::Verification, "HEADER_MISSING", "the ledger ends too early")
                .fact(format!("the question is which header stands at height {height}"))
        })?;
        conviction = conviction.with_replayed(&header).map_err(refused)?;
    }
    Ok(describe(&conviction))
}

fn describe(conviction: &Conviction) -> Answer {
    let verdict = match (&conviction.open, conviction.nodes.is_empty()) {
        (Some(_), _) => "OPEN",
        (None, true) => "NOBODY_CONVICTED",
        (None, false) => "CONVICTED",
    };
    let json = json!({
        "verdict": verdict,
        "kind": kind(conviction.kind),
        "what": conviction.what,
        "nodes": conviction.nodes.iter().map(|(node, bic)| {
            json!({ "node": node.to_string(), "institution": bic.as_str() })
        }).collect::<Vec<_>>(),
    });
    let mut table = Table::new(&[">NODE", "INSTITUTION"]);
    for (node, bic) in &conviction.nodes {
        table.row([node.to_string(), bic.to_string()]);
    }
    let line =
        format!("{}  {}: {}", verdict.replace('_', " "), kind(conviction.kind), conviction.what);
    match &conviction.open {
        None if conviction.nodes.is_empty() => {
            Answer::new(json).line(line).exit(Exit::Verification)
        }
        None => Answer::new(json).line(line).table(table),
        Some(open) => undecided(Answer::new(json).line(line), open),
    }
}

/// Only the ledger knows which of the two results is wrong.
fn undecided(answer: Answer, open: &OpenQuestion) -> Answer {
    let names = |nodes: &[(u64, counterfoil_ledger::bic::Bic)]| {
        nodes.iter().map(|(_, bic)| bic.to_string()).collect::<Vec<_>>().join(", ")
    };
    let failure = Failure::new(
        Exit::Verification,
        "OPEN",
        format!("only the ledger up to height {} says who is wrong", open.certified.height),
    )
    .fact(format!("{} by {}", open.attested.hash(), names(&open.attesters)))
    .fact(format!("{} by {}", open.certified.hash(), names(&open.signers)))
    .fix("counterfoil ledger export --out LEDGER, then --ledger LEDGER");
    answer.failure(failure)
}

fn kind(kind: Misbehaviour) -> &'static str {
    match kind {
        Misbehaviour::DoubleAttestation => "DOUBLE_ATTESTATION",
        Misbehaviour::ConflictingCertificates => "CONFLICTING_CERTIFICATES",
        Misbehaviour::DoubleProposal => "DOUBLE_PROPOSAL",
        Misbehaviour::WrongExecution => "WRONG_EXECUTION",
        Misbehaviour::FalseSnapshot => "FALSE_SNAPSHOT",
    }
}
