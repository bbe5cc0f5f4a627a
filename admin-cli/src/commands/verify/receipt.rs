//! `verify receipt`: what became of an instruction or an item.

use counterfoil_client::outcome::Finality;
use counterfoil_client::v1;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::outcome::State;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::verify::{self, Trust, VerifiedReceipt};
use serde_json::{Value, json};

use super::{Outcome, finality, material};
use crate::commands::account::{date, date_json};
use crate::error::Failure;
use crate::exit::Exit;
use crate::moment;
use crate::output::{Answer, Table, extend, hex, uuid};

/// Verifies it.
pub fn run(arguments: &Outcome) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let receipt: v1::Receipt = material::proof(&arguments.file)?;
    let verified = verify::receipt(&trust, &receipt)
        .map_err(|error| material::refused(&arguments.file, error))?;
    let certified = material::certified(receipt.certificate.as_ref());
    let headers: Vec<_> = [&verified.header].into_iter().chain(&certified).collect();
    material::agrees(&trust, &arguments.file, &headers)?;
    let answer = describe(&trust, &verified);
    let certain = verified.finality != Finality::Ordered || arguments.accept_ordered;
    let answer = finality::conclude(answer, &verified.finality, arguments.accept_ordered);
    let found = verified.outcome.state;
    Ok(match arguments.expect {
        // What is not certain enough has failed already.
        Some(expected) if certain && expected.state() != found => {
            let (expected, found) = (state(expected.state()), state(found));
            answer.failure(
                Failure::new(Exit::Rejected, "STATE_DIFFERS", format!("it is {found}"))
                    .fact(format!("expected {expected}")),
            )
        }
        _ => answer,
    })
}

/// A state that a script expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Expected {
    /// Money was moved
    Settled,
    /// Refused by the ledger
    Rejected,
    /// Recorded without moving money: an account opened, a book entry, a statement
    Recorded,
    /// A batch that was taken, each item with a state of its own
    Itemised,
}

impl Expected {
    fn state(self) -> State {
        match self {
            Expected::Settled => State::Settled,
            Expected::Rejected => State::Rejected,
            Expected::Recorded => State::Recorded,
            Expected::Itemised => State::Itemised,
        }
    }
}

/// What a receipt says.
pub fn describe(trust: &Trust, verified: &VerifiedReceipt) -> Answer {
    let summary = verified.summary();
    let what = match summary.item_number {
        0 => summary.kind.to_owned(),
        item => format!("{}, item {item} of a batch", summary.kind),
    };
    let outcome = match summary.reason {
        None => state(summary.state).to_owned(),
        Some(reason) => {
            let (code, name) = (reason.code(), reason.name());
            format!("{}: {code} {name} (ISO 20022 {})", state(summary.state), reason.iso_code())
        }
    };
    let position = format!("{}/{}", summary.position.height, summary.position.leaf);
    let mut table = Table::facts([
        ("outcome", outcome),
        ("institution", summary.institution.to_string()),
        ("instruction", summary.id.to_string()),
        ("what", what),
        ("position", position),
        ("block time", moment::utc_ms(summary.block_time_ms)),
        ("postings", postings(summary.first_posting, summary.posting_count)),
        ("hash of effects", effects_hash(summary.effects_hash)),
        ("signed with key", verified.key_id.to_string()),
        ("instruction hash", summary.instruction_hash.to_string()),
        ("header", summary.header_hash.to_string()),
    ]);
    if let Some(transfer) = verified.transfer() {
        // The receipt names the accounts by their ids alone: what they are kept in is not in it.
        for (name, value) in [
            ("minor units", transfer.amount.to_string()),
            ("debit account", hex(&transfer.debit_account)),
            ("credit account", hex(&transfer.credit_account)),
            ("uetr", uuid(&transfer.uetr)),
            ("end-to-end id", transfer.end_to_end_id.clone()),
            ("settlement date", date(transfer.settlement_date)),
        ] {
            table.row([name.to_owned(), value]);
        }
    }
    Answer::new(json(trust, verified)).line(headline(trust, verified)).table(table)
}

/// How certain it is and what became of it, then by whom.
fn headline(trust: &Trust, verified: &VerifiedReceipt) -> String {
    let mut what = state(verified.outcome.state).to_owned();
    if let Some(reason) = verified.outcome.reason {
        what.push_str(&format!(" {} {}", reason.code(), reason.name()));
    }
    let (word, by) = finality::parts(trust, &verified.finality);
    format!("{word}: {what}  {by}")
}

fn json(trust: &Trust, verified: &VerifiedReceipt) -> Value {
    let summary = verified.summary();
    let mut json = finality::json(trust, &verified.finality);
    extend(
        &mut json,
        json!({
            "institution": summary.institution.as_str(),
            "id": summary.id.to_string(),
            "itemNumber": summary.item_number,
            "kind": summary.kind,
            "state": state(summary.state),
            "reason": summary.reason.map(reason_json),
            "position": {
                "height": summary.position.height.to_string(),
                "leaf": summary.position.leaf,
            },
            "blockTime": moment::utc_ms(summary.block_time_ms),
            "firstPosting": summary.first_posting.to_string(),
            "postingCount": summary.posting_count,
            "effectsHash": summary.effects_hash.map(|hash| hash.to_string()),
            "keyId": verified.key_id.to_string(),
            "instructionHash": summary.instruction_hash.to_string(),
            "headerHash": summary.header_hash.to_string(),
            "transfer": verified.transfer().map(transfer_json),
        }),
    );
    json
}

fn transfer_json(transfer: &v1::Transfer) -> Value {
    json!({
        "minorUnits": transfer.amount.to_string(),
        "debitAccount": hex(&transfer.debit_account),
        "creditAccount": hex(&transfer.credit_account),
        "uetr": uuid(&transfer.uetr),
        "endToEndId": transfer.end_to_end_id,
        "settlementDate": date_json(transfer.settlement_date),
    })
}

fn reason_json(reason: Reason) -> Value {
    json!({
        "code": reason.code(),
        "name": reason.name(),
        "isoCode": reason.iso_code(),
        "remedy": reason.remedy(),
    })
}

fn state(state: State) -> &'static str {
    match state {
        State::Settled => "SETTLED",
        State::Rejected => "REJECTED",
        State::Recorded => "RECORDED",
        State::Itemised => "ITEMISED",
    }
}

fn effects_hash(hash: Option<Hash>) -> String {
    hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string())
}

fn postings(first: u64, count: u16) -> String {
    match count {
        0 => "none".to_owned(),
        count => format!("{count} from number {first}"),
    }
}
