//! How certain something is, for people and for programs.

use counterfoil_client::outcome::Finality;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::verify::Trust;
use serde_json::{Value, json};

use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::output::Answer;

/// In one word.
pub fn word(finality: &Finality) -> &'static str {
    match finality {
        Finality::Final { .. } => "FINAL",
        Finality::Ordered => "ORDERED_NOT_FINAL",
    }
}

/// In one sentence.
pub fn sentence(trust: &Trust, finality: &Finality) -> String {
    let (word, by) = parts(trust, finality);
    format!("{word}  {by}")
}

/// How certain, and by whom.
pub fn parts(trust: &Trust, finality: &Finality) -> (&'static str, String) {
    match finality {
        Finality::Final { certified_height, signers } => {
            let names = names(trust, signers);
            ("FINAL", format!("by the certificate of height {certified_height}, signed by {names}"))
        }
        Finality::Ordered => {
            ("ORDERED, NOT FINAL", "it fits a header that nobody vouches for".to_owned())
        }
    }
}

/// The institutions of nodes, for people.
pub fn names(trust: &Trust, nodes: &[u64]) -> String {
    let name = |node: &u64| institution(trust, *node).map_or("?".to_owned(), |bic| bic.to_string());
    nodes.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The members of an answer that say how certain it is.
pub fn json(trust: &Trust, finality: &Finality) -> Value {
    match finality {
        Finality::Final { certified_height, signers } => json!({
            "verdict": word(finality),
            "certifiedHeight": certified_height.to_string(),
            "signers": signers_json(trust, signers),
        }),
        Finality::Ordered => json!({ "verdict": word(finality) }),
    }
}

/// Nodes with their institutions.
pub fn signers_json(trust: &Trust, nodes: &[u64]) -> Value {
    let signer = |node: &u64| {
        let institution = institution(trust, *node).map(|bic| bic.to_string());
        json!({ "node": node.to_string(), "institution": institution })
    };
    Value::Array(nodes.iter().map(signer).collect())
}

/// Whose node it is: node ids are never used again, so that any epoch tells.
fn institution(trust: &Trust, node: u64) -> Option<Bic> {
    (0..=trust.epoch()).rev().find_map(|epoch| trust.signers(epoch)?.institution(node).copied())
}

/// Ends a verification: what is only ordered fails, unless that is enough.
pub fn conclude(answer: Answer, finality: &Finality, accept_ordered: bool) -> Answer {
    match finality {
        Finality::Final { .. } => answer,
        Finality::Ordered if accept_ordered => {
            error::warn("it is only ordered: it holds unless nodes lie");
            answer
        }
        Finality::Ordered => {
            answer.failure(not_final("it holds together, but no quorum vouches for it"))
        }
    }
}

/// The failure of what is only ordered.
pub fn not_final(message: &str) -> Failure {
    Failure::new(Exit::Verification, "ORDERED_NOT_FINAL", message)
        .fact("the nodes that ordered it could still show another history to others")
        .fix("fetch it again with its certificate, or give --accept-ordered")
}
