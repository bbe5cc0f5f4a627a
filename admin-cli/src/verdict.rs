//! What the ledger decided, for people and for programs.

use counterfoil_client::outcome::{Finality, Outcome, Rejection, State, Verdict};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::moment;
use crate::output::{Answer, Table};

/// What became of it, in one word.
pub fn state(verdict: &Verdict) -> &'static str {
    match verdict.state {
        State::Settled => "SETTLED",
        State::Rejected => "REJECTED",
        State::Recorded => "RECORDED",
        State::Itemised => "ITEMISED",
    }
}

/// `12/3`: height and leaf.
pub fn position(verdict: &Verdict) -> String {
    format!("{}/{}", verdict.height, verdict.leaf)
}

/// What became of it, why and where.
pub fn sentence(verdict: &Verdict) -> String {
    let (state, position) = (state(verdict), position(verdict));
    match &verdict.rejection {
        None => format!("{state} at {position}"),
        Some(rejection) => format!("{state} at {position}: {} {}", rejection.code, rejection.name),
    }
}

/// A verdict for programs.
pub fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "state": state(verdict),
        "reason": verdict.rejection.as_ref().map(rejection_json),
        "position": { "height": verdict.height.to_string(), "leaf": verdict.leaf },
        "firstPosting": verdict.first_posting.to_string(),
        "postingCount": verdict.posting_count,
        "itemNumber": verdict.item_number,
    })
}

fn rejection_json(rejection: &Rejection) -> Value {
    json!({
        "code": rejection.code,
        "name": rejection.name,
        "isoCode": rejection.iso_code,
        "remedy": rejection.remedy,
    })
}

/// An outcome for programs.
pub fn outcome_json(outcome: &Outcome) -> Value {
    json!({
        "id": outcome.id.to_string(),
        "institution": outcome.institution.as_str(),
        "instructionHash": outcome.instruction_hash.to_string(),
        "verdict": verdict_json(&outcome.verdict),
        "items": outcome.items.iter().map(verdict_json).collect::<Vec<_>>(),
        "blockTime": moment::utc_ms(outcome.block_time_ms),
        "replayed": outcome.replayed,
        "finality": finality_json(&outcome.finality),
    })
}

/// How certain an outcome is, in words.
pub fn finality(finality: &Finality) -> String {
    match finality {
        Finality::Final { certified_height, signers } => format!(
            "FINAL by the certificate of height {certified_height}, signed by {} institutions",
            signers.len()
        ),
        Finality::Ordered => "ORDERED, NOT FINAL".to_owned(),
    }
}

/// The same for programs.
pub fn finality_json(finality: &Finality) -> Value {
    match finality {
        Finality::Final { certified_height, signers } => json!({
            "state": "FINAL",
            "certifiedHeight": certified_height.to_string(),
            "signers": signers.iter().map(u64::to_string).collect::<Vec<_>>(),
        }),
        Finality::Ordered => json!({ "state": "ORDERED" }),
    }
}

/// How a command ends that got an outcome.
pub fn exit(outcome: &Outcome) -> Exit {
    if outcome.is_accepted() { Exit::Success } else { Exit::Rejected }
}

/// The answer of a command that sent one instruction: what it was, what became of it, and more that
/// a program wants to know.
pub fn answer(outcome: &Outcome, what: &str, more: Value) -> Answer {
    let mut json = outcome_json(outcome);
    if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    let verdict = &outcome.verdict;
    let mut answer = Answer::new(json).line(format!("{}  {what}", state(verdict)));
    if let Some(rejection) = &verdict.rejection {
        let Rejection { code, name, iso_code, .. } = rejection;
        answer = answer.line(format!("reason       {code} {name} (ISO 20022 {iso_code})"));
        answer = answer.line(format!("remedy       {}", rejection.remedy));
    }
    let replayed = if outcome.replayed { ", decided before" } else { "" };
    answer
        .table(Table::facts([
            ("instruction", outcome.id.to_string()),
            ("position", format!("{}{replayed}", position(verdict))),
            ("block time", moment::utc_ms(outcome.block_time_ms)),
            ("finality", finality(&outcome.finality)),
        ]))
        .exit(exit(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_says_why() {
        let rejection = Rejection {
            code: 501,
            name: "INSUFFICIENT_FUNDS".to_owned(),
            iso_code: "AM04".to_owned(),
            remedy: "Fund the account.".to_owned(),
        };
        let verdict = Verdict {
            state: State::Rejected,
            rejection: Some(rejection),
            height: 12,
            leaf: 3,
            first_posting: 0,
            posting_count: 0,
            item_number: 0,
        };
        assert_eq!(sentence(&verdict), "REJECTED at 12/3: 501 INSUFFICIENT_FUNDS");
        assert_eq!(verdict_json(&verdict)["position"]["height"], "12");
        assert_eq!(verdict_json(&verdict)["reason"]["isoCode"], "AM04");
    }
}
