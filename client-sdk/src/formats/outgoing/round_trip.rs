//! Our reader reads what is written here, with equal values: random statements, there and back.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::account;
use super::tests::statement;
use super::tests::write;
use super::*;
use crate::formats::camt;
use crate::formats::csv;
use crate::formats::integrity::FindingKind;
use crate::formats::integrity::History;
use crate::formats::statement as book;
use crate::formats::statement::AccountIdentification;
use crate::formats::statement::EntryStatus;

fn references() -> impl Strategy<Value = String> {
    "([A-Za-z0-9/?:().,'+-][A-Za-z0-9/?:().,'+ -]{0,33}[A-Za-z0-9/?:().,'+-])?"
}

fn entries() -> impl Strategy<Value = Vec<LedgerEntry>> {
    let one = (
        any::<bool>(),
        prop_oneof![1..=9u64, 1..=1_000_000_000_000u64],
        any::<[u8; 16]>(),
        references(),
        0..=u64::from(u32::MAX) * 1_000,
    );
    prop::collection::btree_map((1..1_000u64, 0..50u32), one, 0..30).prop_map(of_places)
}

type Parts = (bool, u64, [u8; 16], String, u64);

fn of_places(places: BTreeMap<(u64, u32), Parts>) -> Vec<LedgerEntry> {
    let entry = |(sequence, (place, parts)): (u64, ((u64, u32), Parts))| {
        let (height, leaf) = place;
        let (credit, units, mut uetr, end_to_end_id, block_time_ms) = parts;
        (uetr[6], uetr[8]) = (uetr[6] & 0x0f | 0x40, uetr[8] & 0x3f | 0x80);
        LedgerEntry {
            position: Position { height, leaf },
            sequence,
            side: if credit { Side::Credit } else { Side::Debit },
            units,
            uetr: Uetr::from_bytes(&uetr).unwrap(),
            end_to_end_id,
            counterparty: Bic::parse("BRNECHZZ").unwrap(),
            counterparty_account: AccountId::from_bytes(&uetr).unwrap(),
            block_time_ms,
        }
    };
    (1..).zip(places).map(entry).collect()
}

fn accounts() -> impl Strategy<Value = LedgerAccount> {
    let assets = prop_oneof![Just(("JPY", 0)), Just(("CHF", 2)), Just(("KWD", 3))];
    assets.prop_map(|(asset, exponent)| account(asset, exponent))
}

fn is_the_same(written: &LedgerEntry, date: Date, read: &book::Entry) {
    assert_eq!(read.status, EntryStatus::Booked);
    assert_eq!((read.side, read.amount.units), (written.side, written.units));
    assert_eq!((read.booking_date, read.value_date), (date, Some(date)));
    assert_eq!(read.uetr, Some(written.uetr));
    assert_eq!(read.end_to_end_id, written.end_to_end_id);
    assert_eq!(read.book_reference(), written.reference());
    assert!(!read.reversal && read.details.is_empty());
}

fn kinds() -> impl Strategy<Value = StatementKind> {
    prop_oneof![
        Just(StatementKind::EndOfDay),
        Just(StatementKind::Intraday),
        Just(StatementKind::Notification)
    ]
}

/// Everything that the reader keeps of a statement but its entries.
fn says_the_same(written: &LedgerStatement, read: &book::Statement) {
    let account = &written.account;
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    assert_eq!((&read.id, read.kind), (&written.id(), written.kind));
    assert_eq!(read.sequence.electronic, written.sequence());
    assert_eq!((read.servicer, read.owner), (Some(account.servicer), Some(account.owner)));
    assert_eq!(read.account, AccountIdentification::Other(account.id().to_string()));
    assert_eq!((&read.currency, read.exponent), (&account.asset, account.exponent));
    assert_eq!((read.from, read.to), (written.date, written.date));
    assert!(read.period_stated && read.first_page && read.last_page);
    assert!(read.left_out.is_empty() && read.expectations.is_empty());
    let units = |balance: Option<book::Balance>| balance.map(|it| i128::from(it.units));
    assert_eq!(units(read.opening), written.balances.map(|balances| balances.opening));
    // The interim balance of a report during the day is not a booked one.
    let closing = written.balances.map(|balances| balances.closing);
    let closing = closing.filter(|_| written.kind == StatementKind::EndOfDay);
    assert_eq!((units(read.closing), read.difference()), (closing, closing.map(|_| 0)));
    let Totals { credits, debits } = written.totals;
    assert_eq!(read.stated.entries, Some(written.totals.count()));
    for (stated, total) in [(read.stated.credits, credits), (read.stated.debits, debits)] {
        assert_eq!(
            (stated.count, stated.units.map(u128::from)),
            (Some(total.count), Some(total.units))
        );
    }
}

proptest! {
    #[test]
    fn a_message_comes_back(
        kind in kinds(),
        entries in entries(),
        account in accounts(),
        opening in -1_000_000_000i128..1_000_000_000,
        height in 1_000..u64::MAX,
        time in 0..253_402_300_799_000u64,
    ) {
        let mut written = statement(kind, account, opening, &entries);
        (written.as_of.height, written.as_of.block_time_ms) = (height, time);
        let text = write(&written, &entries, Format::Camt).unwrap();
        prop_assert_eq!(&text, &write(&written, &entries, Format::Camt).unwrap());
        let exponent_of = |code: &str| {
            (code == written.account.asset.as_str()).then_some(written.account.exponent)
        };
        let read = camt::read(text.as_bytes(), &exponent_of).unwrap();
        let [read] = read.as_slice() else { panic!("{} statements", read.len()) };
        says_the_same(&written, read);
        prop_assert_eq!(read.entries.len(), entries.len());
        for (entry, read) in entries.iter().zip(&read.entries) {
            is_the_same(entry, written.date, read);
            prop_assert_eq!(read.counterparty, Some(entry.counterparty));
            prop_assert_eq!(&read.reference, &entry.sequence.to_string());
        }
    }

    #[test]
    fn days_in_a_row_are_whole_for_the_importer(
        days in prop::collection::vec(entries(), 2..5),
        account in accounts(),
        skipped in 1..4usize,
    ) {
        let mut history = History::default();
        let (mut opening, mut date) = (0, Date::from_yyyymmdd(20_241_230).unwrap());
        let exponent_of = |code: &str| (code == account.asset.as_str()).then_some(account.exponent);
        for (number, entries) in days.iter().enumerate() {
            let mut written = statement(StatementKind::EndOfDay, account.clone(), opening, entries);
            (written.date, written.as_of.height) = (date, 1_000_000);
            let text = write(&written, entries, Format::Camt).unwrap();
            let read = camt::read(text.as_bytes(), &exponent_of).unwrap().remove(0);
            let findings = history.check(&read, &read.movements());
            let kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
            // Every day of the calendar has its number, so that a day that is left out shows.
            let expected = if number == skipped { vec![FindingKind::SequenceGap] } else { vec![] };
            prop_assert_eq!(kinds, expected);
            opening = written.balances.unwrap().closing;
            date = if number + 1 == skipped { date.next().next() } else { date.next() };
        }
    }

    #[test]
    fn a_table_comes_back(entries in entries(), account in accounts()) {
        let written = statement(StatementKind::Notification, account, 0, &entries);
        let text = write(&written, &entries, Format::Csv).unwrap();
        let exponent_of = |code: &str| {
            (code == written.account.asset.as_str()).then_some(written.account.exponent)
        };
        let read = csv::read_book(text.as_bytes(), &exponent_of).unwrap();
        prop_assert!(read.warnings.is_empty());
        prop_assert_eq!(read.rows.len(), entries.len());
        for (written_entry, row) in entries.iter().zip(&read.rows) {
            let named = row.account.as_ref().unwrap();
            let account = &written.account;
            prop_assert_eq!(
                (named.servicer, named.owner, &named.name),
                (account.servicer, account.owner, &account.name)
            );
            is_the_same(written_entry, written.date, &row.entry);
        }
    }

    #[test]
    fn an_object_comes_back(entries in entries(), account in accounts(), opening in any::<i64>()) {
        let written = statement(StatementKind::Intraday, account, opening.into(), &entries);
        let text = write(&written, &entries, Format::Json).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let units = |value: &serde_json::Value| -> i128 {
            value["minorUnits"].as_str().unwrap().parse().unwrap()
        };
        let list = read["entries"].as_array().unwrap();
        prop_assert_eq!(list.len(), entries.len());
        let sum: i128 = list
            .iter()
            .map(|entry| units(&entry["amount"]) * if entry["side"] == "DEBIT" { -1 } else { 1 })
            .sum();
        prop_assert_eq!(units(&read["opening"]) + sum, units(&read["closing"]));
        for (written, read) in entries.iter().zip(list) {
            prop_assert!(read["uetr"] == written.uetr.to_string());
            prop_assert!(read["endToEndId"] == written.end_to_end_id);
        }
    }
}
