//! `verify balance` and `verify statement`: an account, proved.

use counterfoil_client::v1;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify::{self, Standing, Trust, VerifiedAccount};
use serde_json::{Value, json};

use super::{Receipt, finality, material};
use crate::error::Failure;
use crate::output::{Answer, Table, amount, amount_json, extend};

/// Verifies the balance at the later height.
pub fn balance(arguments: &Receipt) -> Result<Answer, Failure> {
    let (trust, verified) = read(arguments)?;
    let exponent = exponent(&trust, &verified);
    let (json, answer) = describe(&trust, &verified, exponent);
    Ok(finality::conclude(answer(json), &verified.finality, arguments.accept_ordered))
}

/// Verifies both balances and everything between them.
pub fn statement(arguments: &Receipt) -> Result<Answer, Failure> {
    let (trust, verified) = read(arguments)?;
    let exponent = exponent(&trust, &verified);
    let (mut json, answer) = describe(&trust, &verified, exponent);
    let (table, list) = postings(&verified, exponent);
    extend(
        &mut json,
        json!({ "opening": standing_json(&verified, &verified.opening, exponent), "postings": list }),
    );
    let Standing { height, balance, .. } = verified.opening;
    let opening = amount(balance, exponent, verified.asset.as_str());
    let answer = answer(json)
        .line("")
        .line(format!("opening balance after height {height}: {opening}"))
        .table(table);
    Ok(finality::conclude(answer, &verified.finality, arguments.accept_ordered))
}

fn read(arguments: &Receipt) -> Result<(Trust, VerifiedAccount), Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let proof: v1::AccountProof = material::proof(&arguments.file)?;
    let verified = verify::account(&trust, &proof)
        .map_err(|error| material::refused(&arguments.file, error))?;
    let certified = material::certified(proof.certificate.as_ref());
    let headers: Vec<_> = [&verified.header].into_iter().chain(&certified).collect();
    material::agrees(&trust, &arguments.file, &headers)?;
    Ok((trust, verified))
}

/// A newer registry may have assets that the genesis file has not: then minor units are shown.
fn exponent(trust: &Trust, verified: &VerifiedAccount) -> u8 {
    let registry = Registry::of(trust.genesis());
    registry.asset(verified.asset.as_str()).map_or(0, |asset| asset.exponent)
}

/// Who the account is and what is on it; the answer is made of the JSON when that is complete.
fn describe<'a>(
    trust: &'a Trust,
    verified: &'a VerifiedAccount,
    exponent: u8,
) -> (Value, impl FnOnce(Value) -> Answer + 'a) {
    let mut json = finality::json(trust, &verified.finality);
    extend(
        &mut json,
        json!({
            "account": verified.id.to_string(),
            "servicer": verified.servicer.as_str(),
            "owner": verified.owner.as_str(),
            "asset": verified.asset.as_str(),
            "name": verified.name,
            "closing": standing_json(verified, &verified.closing, exponent),
            "headerHash": verified.header.hash().to_string(),
        }),
    );
    let closing = verified.closing;
    let answer = move |json| {
        Answer::new(json).line(finality::sentence(trust, &verified.finality)).table(Table::facts([
            ("account", verified.name.clone()),
            ("account id", verified.id.to_string()),
            ("servicer", verified.servicer.to_string()),
            ("owner", verified.owner.to_string()),
            ("balance", amount(closing.balance, exponent, verified.asset.as_str())),
            ("after height", closing.height.to_string()),
            ("postings", closing.posting_count.to_string()),
        ]))
    };
    (json, answer)
}

fn standing_json(verified: &VerifiedAccount, standing: &Standing, exponent: u8) -> Value {
    json!({
        "height": standing.height.to_string(),
        "balance": amount_json(standing.balance, exponent, verified.asset.as_str()),
        "postingCount": standing.posting_count.to_string(),
    })
}

fn postings(verified: &VerifiedAccount, exponent: u8) -> (Table, Value) {
    let mut table = Table::new(&[">HEIGHT", ">NUMBER", "DATE", ">AMOUNT", ">BALANCE", "TRANSFER"]);
    let mut list = Vec::with_capacity(verified.postings.len());
    let asset = verified.asset.as_str();
    let mut balance = verified.opening.balance;
    for entry in &verified.postings {
        let posting = &entry.posting;
        let moved = posting.side.signed(posting.amount);
        // The verifier has added them up.
        balance = balance.saturating_add(moved);
        let (sign, side) = match posting.side {
            Side::Debit => ("-", "DEBIT"),
            Side::Credit => ("+", "CREDIT"),
        };
        let units = i128::from(posting.amount);
        table.row([
            entry.height.to_string(),
            posting.number.to_string(),
            posting.date.to_string(),
            format!("{sign}{}", amount(units, exponent, asset)),
            amount(balance, exponent, asset),
            posting.leaf_hash.to_string(),
        ]);
        list.push(json!({
            "height": entry.height.to_string(),
            "number": posting.number.to_string(),
            "side": side,
            "amount": amount_json(units, exponent, asset),
            "balance": amount_json(balance, exponent, asset),
            "settlementDate": posting.date.to_string(),
            "leafHash": posting.leaf_hash.to_string(),
        }));
    }
    (table, Value::Array(list))
}
