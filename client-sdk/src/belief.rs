//! What has to be proved before a node's word on an instruction is believed.

use counterfoil_ledger::outcome;
use counterfoil_ledger::verify::{self, Finality, Unproven, VerifiedBatch, VerifiedReceipt};
use counterfoil_proto::v1;

use crate::error::Failure;
use crate::instructions::Signed;
use crate::outcome::{Outcome, Rejection, State, Told, Verdict};
use crate::trusted::Trusted;

/// What does not hold together, in the words of the verifier.
pub(crate) fn unproven(part: &'static str, rule: &'static str) -> Failure {
    Failure::Unproven(Unproven { part, rule })
}

/// A node's answer on one instruction.
pub(crate) struct Answered<'a> {
    pub(crate) result: Option<&'a v1::InstructionResult>,
    pub(crate) receipt: Option<&'a v1::Receipt>,
    pub(crate) batch: Option<&'a v1::BatchProof>,
}

/// The outcome of exactly this instruction, if the answer proves every verdict in it.
pub(crate) fn outcome(
    trusted: &Trusted,
    trust: &verify::Trust,
    signed: &Signed,
    wanted: v1::Finality,
    answered: &Answered<'_>,
) -> Result<Outcome, Failure> {
    let told = told(answered.result, signed)?;
    let receipt = answered.receipt.ok_or(unproven("receipt", "there is none"))?;
    // Before anything costly: what another instruction's receipt proves is of no interest.
    if receipt.instruction != signed.message.instruction {
        return Err(unproven("receipt", "it is another instruction's"));
    }
    let knowing = receipt.certificate.as_ref().map(|certificate| trusted.with(certificate));
    let trust = knowing.as_deref().unwrap_or(trust);
    let (verified, batch) = if told.items.is_empty() {
        let verified = verify::receipt(trust, receipt)?;
        (verified, None)
    } else {
        let proof = answered.batch.ok_or(unproven("batch", "there is no proof of the items"))?;
        let batch = verify::batch(trust, receipt, &signed.message.items, proof)?;
        (batch.instruction.clone(), Some(Box::new(batch)))
    };
    certain(trusted, trust, &verified, receipt, wanted)?;
    if verified.item.is_some() {
        return Err(unproven("receipt", "it is an item's, not the instruction's"));
    }
    if told.block_time_ms != verified.header.block_time_ms {
        return Err(unproven("block_time_ms", "it is not the one of the block that decided"));
    }
    let verdict = proved(&told.verdict, &verified.outcome, &verified, 0)?;
    let items = match &batch {
        Some(batch) => items(&told, batch)?,
        None => Vec::new(),
    };
    Ok(Outcome {
        id: signed.id,
        institution: signed.institution,
        instruction_hash: signed.instruction_hash,
        verdict,
        items,
        block_time_ms: told.block_time_ms,
        replayed: told.replayed,
        finality: verified.finality,
        receipt: receipt.clone(),
        batch,
    })
}

/// Checks that a receipt is as certain as it has to be, and of the history that is known.
pub(crate) fn certain(
    trusted: &Trusted,
    trust: &verify::Trust,
    verified: &VerifiedReceipt,
    receipt: &v1::Receipt,
    wanted: v1::Finality,
) -> Result<(), Failure> {
    enough(&verified.finality, wanted)?;
    let certificate = receipt.certificate.as_ref();
    trusted.no_fork(trust, &verified.header, &receipt.history_path, certificate)
}

/// Checks that something is as certain as it has to be.
pub(crate) fn enough(finality: &Finality, wanted: v1::Finality) -> Result<(), Failure> {
    if *finality == Finality::Ordered && wanted != v1::Finality::Ordered {
        return Err(unproven("certificate", "there is none: it is ordered, and not final"));
    }
    Ok(())
}

/// The verdicts on the items, as the batch proves them.
fn items(told: &Told, batch: &VerifiedBatch) -> Result<Vec<Verdict>, Failure> {
    if told.items.len() != batch.outcomes.len() {
        return Err(unproven("items", "verdicts on another number of items"));
    }
    let numbered = (1..).zip(&told.items).zip(&batch.outcomes);
    numbered
        .map(|((number, told), outcome)| proved(told, outcome, &batch.instruction, number))
        .collect()
}

/// The verdict that was told, if it says what was proved. What it says beyond that, the texts on a
/// rejection, is taken from the own table.
fn proved(
    told: &Verdict,
    outcome: &outcome::Outcome,
    instruction: &VerifiedReceipt,
    item_number: u32,
) -> Result<Verdict, Failure> {
    let proved = Verdict {
        state: outcome.state,
        rejection: outcome.reason.map(Rejection::from),
        height: instruction.header.height,
        leaf: instruction.leaf.saturating_add(item_number),
        first_posting: outcome.first_posting,
        posting_count: u32::from(outcome.posting_count),
        item_number,
    };
    let code = |verdict: &Verdict| verdict.rejection.as_ref().map(|rejection| rejection.code);
    if (told.state, code(told)) != (proved.state, code(&proved)) {
        return Err(unproven("verdict", "the outcome that is proved is another one"));
    }
    if (told.height, told.leaf, told.item_number) != (proved.height, proved.leaf, item_number) {
        return Err(unproven("position", "the receipt is of another place"));
    }
    if (told.first_posting, told.posting_count) != (proved.first_posting, proved.posting_count) {
        return Err(unproven("postings", "those that are proved are others"));
    }
    Ok(proved)
}

/// The result of exactly this instruction; anything else is no answer.
fn told(result: Option<&v1::InstructionResult>, signed: &Signed) -> Result<Told, Failure> {
    let bad = |problem: String| Failure::BadAnswer { problem };
    let result = result.ok_or_else(|| bad("no result".to_owned()))?;
    let told = Told::of(result.clone()).map_err(bad)?;
    let same = told.id == signed.id
        && told.institution == signed.institution
        && told.instruction_hash == signed.instruction_hash;
    if !same {
        return Err(bad("the result of another instruction".to_owned()));
    }
    let whole = told.verdict.state == State::Itemised;
    if whole != (signed.item_count > 0 && told.verdict.state != State::Rejected) {
        return Err(bad("items where there are none, or none where there are some".to_owned()));
    }
    if !told.items.is_empty() && told.items.len() != signed.item_count {
        return Err(bad("verdicts on another number of items".to_owned()));
    }
    Ok(told)
}
