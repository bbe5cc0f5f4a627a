//! `reasons`: the ledger's table of refusals; `docs/reference/reasons.md` is this command's output.

use counterfoil_ledger::reason::Reason;
use serde_json::{Value, json};

use crate::output::{Answer, Table};

/// Lists every reason.
pub fn run() -> Answer {
    let mut table = Table::new(&[">CODE", "NAME", "ISO 20022", "BURNS ID", "MEANING", "REMEDY"]);
    let mut list = Vec::new();
    for reason in Reason::ALL {
        let burns = if reason.burns_id() { "yes" } else { "no" };
        table.row([
            reason.code().to_string(),
            reason.name().to_owned(),
            reason.iso_code().to_owned(),
            burns.to_owned(),
            reason.meaning().to_owned(),
            reason.remedy().to_owned(),
        ]);
        list.push(json!({
            "code": reason.code(),
            "name": reason.name(),
            "isoCode": reason.iso_code(),
            "burnsId": reason.burns_id(),
            "meaning": reason.meaning(),
            "remedy": reason.remedy(),
        }));
    }
    Answer::new(Value::Array(list))
        .title("Reasons")
        .line(
            "When several apply, the lowest number is the answer, on every node. A reason that burns \
             the id is a verdict on the ledger: the same id never gets another. The others leave no \
             trace, and the id may be used again.",
        )
        .table(table)
}
