//! How far two sources of an account agree: what `recon status` and the end of an import show of a report.

use counterfoil_client::reconciliation::Report;
use serde_json::{Value, json};

use super::words;

/// The heads of the columns of [`cells`].
pub const COLUMNS: [&str; 7] =
    ["BETWEEN", ">ITEMS", ">MATCHED", ">PROPOSED", ">WAITING", ">OPEN BREAKS", ">MATCH RATE"];

/// For people: a row.
pub fn cells(report: &Report) -> [String; COLUMNS.len()] {
    [
        words::comparison(report.comparison).to_owned(),
        report.item_count().to_string(),
        report.matched_count().to_string(),
        report.proposed_count().to_string(),
        report.waiting_count().to_string(),
        report.open_break_count().to_string(),
        words::rate(report.match_rate()),
    ]
}

/// For programs.
pub fn json(report: &Report) -> Value {
    json!({
        "comparison": words::comparison(report.comparison),
        "itemCount": report.item_count().to_string(),
        "matchedCount": report.matched_count().to_string(),
        "proposedCount": report.proposed_count().to_string(),
        "waitingCount": report.waiting_count().to_string(),
        "openBreakCount": report.open_break_count().to_string(),
        "matchRateBasisPoints": report.match_rate(),
    })
}
