//! An item of a source: how the command line names it, and how it is shown.

use std::fmt;
use std::str::FromStr;

use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::words;
use crate::commands::account::{date, date_json, position_json, side};
use crate::output::{Table, amount_json, uuid};
use crate::session::Session;

/// How an item is named: `owner:12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemName {
    /// Of which source.
    pub source: v1::Source,
    /// Its number there, from 1.
    pub number: u64,
}

impl FromStr for ItemName {
    type Err = String;

    fn from_str(text: &str) -> Result<ItemName, String> {
        let read = || {
            let (source, number) = text.split_once(':')?;
            let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
            Some(ItemName { source: words::source_named(source)?, number })
        };
        read().ok_or_else(|| "an item is ledger:N, owner:N or servicer:N, N from 1".to_owned())
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", words::source(self.source), self.number)
    }
}

/// An item's name.
pub fn name(item: &v1::Item) -> ItemName {
    ItemName { source: item.source(), number: item.number }
}

/// The names of items, those of the first source first.
pub fn names(first: &[v1::Item], second: &[v1::Item]) -> String {
    let names: Vec<String> = first.iter().chain(second).map(|it| name(it).to_string()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

/// The reference that says most about an item; empty if it has none.
pub fn reference(item: &v1::Item) -> String {
    let texts = [
        &item.end_to_end_id,
        &item.transaction_id,
        &item.instruction_id,
        &item.entry_reference,
        &item.group_id,
    ];
    match texts.into_iter().find(|text| !text.is_empty()) {
        Some(text) => text.clone(),
        None => uuid(&item.uetr),
    }
}

/// The first reference of several items.
pub fn first_reference(first: &[v1::Item], second: &[v1::Item]) -> String {
    let mut references = first.iter().chain(second).map(reference);
    references.find(|reference| !reference.is_empty()).unwrap_or_default()
}

/// An item in a sentence: `owner:12 (CREDIT 10.00 CHF, value date 2026-11-23, E2E-1)`.
pub fn sentence(session: &Session, item: &v1::Item) -> String {
    let reference = match reference(item) {
        text if text.is_empty() => "no reference".to_owned(),
        text => text,
    };
    format!(
        "{} ({} {}, value date {}, {reference})",
        name(item),
        side(item.side()),
        session.money(item.amount.as_ref()),
        date(item.value_date),
    )
}

/// Items one below the other, with all that identifies them.
pub fn table(session: &Session, items: &[&v1::Item]) -> Table {
    let mut table = Table::new(&[
        "ITEM",
        "VALUE DATE",
        "SIDE",
        ">AMOUNT",
        "PURPOSE",
        "COUNTERPARTY",
        "END-TO-END ID",
        "OTHER REFERENCES",
        "REMARKS",
    ]);
    for item in items {
        table.row([
            name(item).to_string(),
            date(item.value_date),
            side(item.side()).to_owned(),
            session.money(item.amount.as_ref()),
            words::purpose(item.purpose()).to_owned(),
            item.counterparty.clone(),
            item.end_to_end_id.clone(),
            other_references(item),
            remarks(session, item).join(", "),
        ]);
    }
    table
}

fn other_references(item: &v1::Item) -> String {
    let uetr = uuid(&item.uetr);
    let named = [
        ("UETR", &uetr),
        ("tx", &item.transaction_id),
        ("instr", &item.instruction_id),
        ("entry", &item.entry_reference),
        ("group", &item.group_id),
    ];
    let given = named.into_iter().filter(|(_, text)| !text.is_empty());
    given.map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
}

fn remarks(session: &Session, item: &v1::Item) -> Vec<String> {
    let mut remarks = Vec::new();
    let flags =
        [(item.reversal, "reversal"), (item.returned, "return"), (item.exchanged, "exchanged")];
    let set = flags.into_iter().filter(|(set, _)| *set);
    remarks.extend(set.map(|(_, name)| name.to_owned()));
    if let Some(charges) = charges(item) {
        remarks.push(format!("charges {}", session.money(Some(&charges))));
    }
    remarks
}

fn charges(item: &v1::Item) -> Option<v1::Money> {
    let asset = item.amount.as_ref()?.asset.clone();
    let minor_units = i64::try_from(item.charges).ok().filter(|units| *units > 0)?;
    Some(v1::Money { asset, minor_units })
}

/// An item for programs.
pub fn json(session: &Session, item: &v1::Item) -> Value {
    json!({
        "item": name(item).to_string(),
        "source": words::source(item.source()),
        "number": item.number.to_string(),
        "position": position_json(item.position.as_ref()),
        "side": side(item.side()),
        "amount": session.money_json(item.amount.as_ref()),
        "valueDate": date_json(item.value_date),
        "bookingDate": date_json(item.booking_date),
        "uetr": uuid(&item.uetr),
        "transactionId": item.transaction_id,
        "endToEndId": item.end_to_end_id,
        "instructionId": item.instruction_id,
        "entryReference": item.entry_reference,
        "groupId": item.group_id,
        "purpose": Some(words::purpose(item.purpose())).filter(|it| !it.is_empty()),
        "counterparty": item.counterparty,
        "reversal": item.reversal,
        "returned": item.returned,
        "exchanged": item.exchanged,
        "charges": charges(item).map(|it| session.money_json(Some(&it))),
    })
}

/// Items for programs.
pub fn list_json(session: &Session, items: &[v1::Item]) -> Value {
    items.iter().map(|item| json(session, item)).collect()
}

/// By how much a pair by keys differs, for programs.
pub fn judgement_json(judgement: Option<&v1::Judgement>, exponent: u8, asset: &str) -> Value {
    judgement.map_or(Value::Null, |it| {
        json!({
            "amountDifference": amount_json(it.amount_difference.into(), exponent, asset),
            "daysApart": it.days_apart,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_named_by_source_and_number() {
        for text in ["ledger:3", "owner:12", "servicer:18446744073709551615"] {
            assert_eq!(text.parse::<ItemName>().unwrap().to_string(), text);
        }
        for bad in ["", "owner", "owner:", "owner:0", "owner:-1", "book:1", "12", ":1"] {
            assert!(bad.parse::<ItemName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_strongest_text_is_shown_and_a_uetr_where_there_is_none() {
        let mut item = v1::Item { uetr: vec![0xab; 16].into(), ..v1::Item::default() };
        assert_eq!(reference(&item), uuid(&[0xab; 16]));
        item.entry_reference = "R".to_owned();
        item.end_to_end_id = "E".to_owned();
        assert_eq!(first_reference(&[v1::Item::default()], &[item]), "E");
        assert_eq!(names(&[], &[]), "-");
        let lent = v1::Item { purpose: v1::Purpose::Lending.into(), ..v1::Item::default() };
        assert_eq!(words::purpose(lent.purpose()), "lending");
    }
}
