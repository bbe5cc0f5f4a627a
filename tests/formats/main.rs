//! Every statement file that banks and vendors published, read from the folder that
//! `COUNTERFOIL_DATA` names: each is read or refused as `verdicts.rs` says, and what is read is
//! compared, amount by amount, with what another, simpler reading of the same bytes finds.

#![allow(clippy::unwrap_used, reason = "tests")]

mod mt_scan;
mod verdicts;
mod xml_scan;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use counterfoil_client::formats::{
    camt,
    error::FormatError,
    mt,
    statement::{Entry, EntryStatus, Statement},
};
use counterfoil_ledger::{asset::format_amount, block::Side};
use counterfoil_tests::data;
use verdicts::Verdict;

/// ISO 4217 as far as the samples go.
fn exponent_of(code: &str) -> Option<u8> {
    const TWO: [&str; 15] = [
        "AUD", "CAD", "CHF", "DEM", "EUR", "GBP", "HUF", "MXN", "NOK", "PLN", "RON", "SEK", "TRY",
        "USD", "ZAR",
    ];
    match code {
        "JPY" => Some(0),
        _ => TWO.contains(&code).then_some(2),
    }
}

fn files_below(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
        if path.is_dir() {
            found.extend(files_below(&path, wanted));
        } else if wanted(&name) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a file came to, in the words of the table.
fn verdict(read: &Result<Vec<Statement>, FormatError>) -> String {
    let statements = match read {
        Ok(statements) => statements,
        Err(error) => return error.place.clone(),
    };
    let mut sums: BTreeMap<String, (i128, i128)> = BTreeMap::new();
    let (mut entries, mut expected, mut left_out) = (0, 0, 0);
    for statement in statements {
        let movements = statement.movements();
        let sum = sums.entry(statement.currency.to_string()).or_default();
        sum.0 += i128::try_from(movements.credits.units).unwrap();
        sum.1 += i128::try_from(movements.debits.units).unwrap();
        entries += statement.entries.len();
        expected += statement.expectations.len();
        left_out += statement.left_out.len();
    }
    let sums: Vec<String> = sums
        .into_iter()
        .map(|(code, (credits, debits))| {
            let exponent = exponent_of(&code).unwrap();
            let decimal = |units| format_amount(units, exponent);
            format!("{code} +{} -{}", decimal(credits), decimal(debits))
        })
        .collect();
    let others = match (expected, left_out) {
        (0, 0) => String::new(),
        (expected, left_out) => format!(", {expected} expected, {left_out} left out"),
    };
    format!("{} statements, {entries} entries{others}, {}", statements.len(), sums.join(", "))
}

/// Compares with the table; shows the rows that differ as they would have to be written.
fn compare(found: &BTreeMap<String, (String, Option<FormatError>)>, table: &[Verdict]) {
    let expected: BTreeMap<&str, &Verdict> = table.iter().map(|row| (row.file, row)).collect();
    assert_eq!(expected.len(), table.len(), "a file stands in the table twice");
    let mut wrong = Vec::new();
    for (file, (outcome, error)) in found {
        let row = expected.get(file.as_str());
        let same = row.is_some_and(|row| row.outcome == outcome);
        let reason = match (row.and_then(|row| row.reason), error) {
            (None, None) => true,
            (Some(reason), Some(error)) => error.fact.contains(reason.fact()),
            _ => false,
        };
        if !same || !reason {
            wrong.push(format!("{file:?}, {outcome:?}  // {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "these rows differ:\n{}", wrong.join("\n"));
    let missing: Vec<_> = expected.keys().filter(|file| !found.contains_key(**file)).collect();
    assert!(missing.is_empty(), "these files are not there: {missing:?}");
}

fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_camt_file_is_read_or_refused_with_its_reason() {
    let mut found = BTreeMap::new();
    let mut compared = 0;
    for (name, wanted) in [("genkgo-camt", ""), ("phoughton-cbpr", "camt")] {
        let Some(folder) = data::folder_or_skip(name, "camt files") else { return };
        for path in files_below(&folder, &|file| file.ends_with(".xml") && file.contains(wanted)) {
            let bytes = fs::read(&path).unwrap();
            let read = camt::read(&bytes, &exponent_of);
            if let Ok(statements) = &read {
                let scanned = xml_scan::scan(&String::from_utf8(bytes).unwrap());
                compared += compare_camt(&path, statements, &scanned);
            }
            let file = format!("{name}/{}", relative(&path, &folder));
            found.insert(file, (verdict(&read), read.err()));
        }
    }
    compare(&found, verdicts::CAMT);
    assert_eq!(compared, verdicts::CAMT_ENTRIES, "entries compared one by one");
}

/// How many entries were compared.
fn compare_camt(path: &Path, read: &[Statement], scanned: &[xml_scan::Scanned]) -> usize {
    assert_eq!(read.len(), scanned.len(), "{}", path.display());
    let mut compared = 0;
    for (statement, scan) in read.iter().zip(scanned) {
        let place = format!("{}: {}", path.display(), statement.place);
        for (balance, codes) in
            [(statement.opening, ["OPBD", "PRCD"]), (statement.closing, ["CLBD", "CLBD"])]
        {
            let scanned = codes.iter().find_map(|code| scan.balances.get(*code));
            let expected = scanned.map(|(amount, side)| signed(amount, side, statement.exponent));
            assert_eq!(balance.map(|balance| i128::from(balance.units)), expected, "{place}");
        }
        let nothing = |entry: &&xml_scan::ScannedEntry| {
            signed(&entry.amount, "CRDT", statement.exponent) != 0
        };
        let of = |wanted: fn(&str) -> bool| -> Vec<&xml_scan::ScannedEntry> {
            scan.entries.iter().filter(|one| wanted(&one.status)).filter(nothing).collect()
        };
        // A notification may have entries without a date; they are left out.
        let booked = of(|status| status == "BOOK");
        let booked: Vec<_> = booked.into_iter().filter(|one| !one.booked.is_empty()).collect();
        let expected = of(|status| ["PDNG", "FUTR", "INFO"].contains(&status));
        assert_eq!(statement.entries.len(), booked.len(), "{place}");
        assert_eq!(statement.expectations.len(), expected.len(), "{place}");
        let all = statement.entries.iter().zip(booked);
        for (entry, scan) in all.chain(statement.expectations.iter().zip(expected)) {
            compare_camt_entry(&place, entry, scan, statement.exponent);
            compared += 1;
        }
    }
    compared
}

fn compare_camt_entry(place: &str, entry: &Entry, scan: &xml_scan::ScannedEntry, exponent: u8) {
    let place = format!("{place}: {}", entry.place);
    assert_eq!(entry.signed_units(), signed(&scan.amount, &scan.side, exponent), "{place}");
    assert_eq!(entry.reversal, scan.reversal, "{place}");
    assert_eq!(entry.booking_date.to_string(), scan.booked, "{place}");
    let details: i128 = entry.details.iter().map(Entry::signed_units).sum();
    assert!(entry.details.is_empty() || details == entry.signed_units(), "{place}");
    // What cannot stand in signed bytes is empty, and anything else is what is written.
    let kept = |read: &str, written: &str| read.is_empty() || read == written;
    assert!(kept(&entry.reference, &scan.reference), "{place}");
    if scan.transactions == 1 {
        for (name, read) in [
            ("EndToEndId", entry.end_to_end_id.as_str()),
            ("TxId", &entry.transaction_id),
            ("InstrId", &entry.instruction_id),
        ] {
            let written = scan.references.get(name).map_or("", String::as_str);
            assert!(kept(read, written), "{place} {name}");
            assert_eq!(read.is_empty(), written.is_empty(), "{place} {name}: {written}");
        }
        let uetr = scan.references.get("UETR").cloned();
        assert_eq!(entry.uetr.map(|uetr| uetr.to_string()), uetr, "{place}");
    }
}

/// Minor units of a decimal with a point, made by moving the point in the text.
fn signed(amount: &str, side: &str, exponent: u8) -> i128 {
    let exponent = usize::from(exponent);
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let (near, far) = fraction.split_at(exponent.min(fraction.len()));
    assert!(far.trim_end_matches('0').is_empty(), "{amount}");
    let units: i128 = format!("{whole}{near:0<exponent$}").parse().unwrap();
    match side {
        "CRDT" => units,
        "DBIT" => -units,
        other => panic!("{other}"),
    }
}

#[test]
fn every_mt_file_is_read_or_refused_with_its_reason() {
    let Some(folder) = data::folder_or_skip("mt940/wolph", "MT files") else { return };
    let mut found = BTreeMap::new();
    let (mut compared, mut end_to_end_ids) = (0, 0);
    let wanted =
        |name: &str| name.ends_with(".sta") || name.ends_with(".txt") && name != "requirements.txt";
    for path in files_below(&folder, &wanted) {
        let bytes = fs::read(&path).unwrap();
        let read = mt::read(&bytes, &exponent_of);
        if let Ok(statements) = &read {
            compared += compare_mt(&path, statements, &mt_scan::scan(&bytes));
            let narrative = mt_scan::narrative(&bytes);
            let entries = statements.iter().flat_map(|statement| &statement.entries);
            for id in entries.map(|entry| &entry.end_to_end_id).filter(|id| !id.is_empty()) {
                let marked = ["EREF+", "EREF+ ", "/EREF/"].map(|mark| format!("{mark}{id}"));
                let found = marked.iter().any(|id| narrative.contains(id));
                assert!(found, "{}: {id}", path.display());
                end_to_end_ids += 1;
            }
        }
        found.insert(relative(&path, &folder), (verdict(&read), read.err()));
    }
    compare(&found, verdicts::MT);
    assert_eq!(compared, verdicts::MT_ENTRIES, "entries compared one by one");
    assert_eq!(end_to_end_ids, verdicts::MT_END_TO_END_IDS, "end-to-end ids of narrative");
}

fn compare_mt(path: &Path, read: &[Statement], scan: &mt_scan::Scanned) -> usize {
    let place = path.display();
    // Joined pages have the first opening and the last closing balance of several.
    let balances = |pick: fn(&Statement) -> Option<i64>| -> Vec<i64> {
        read.iter().filter_map(pick).collect()
    };
    let within = |some: &[i64], all: &[i64]| {
        let mut rest = all.iter();
        some.iter().all(|one| rest.any(|other| other == one))
    };
    let opening = balances(|one| one.opening.map(|balance| balance.units));
    let closing = balances(|one| one.closing.map(|balance| balance.units));
    assert!(within(&opening, &scan.opening), "{place}: {opening:?} {:?}", scan.opening);
    assert!(within(&closing, &scan.closing), "{place}: {closing:?} {:?}", scan.closing);
    let joined = scan.opening.len() - opening.len();
    assert_eq!(joined, scan.intermediate_joined, "{place}");
    let entries: Vec<&Entry> = read.iter().flat_map(|one| &one.entries).collect();
    let written: Vec<_> = scan.lines.iter().filter(|line| line.units != 0).collect();
    assert_eq!(entries.len(), written.len(), "{place}");
    for (entry, line) in entries.iter().zip(written) {
        assert_eq!(entry.signed_units(), line.units, "{place}: {}", entry.place);
        assert_eq!(entry.reversal, line.reversal, "{place}: {}", entry.place);
        assert_eq!(entry.status, EntryStatus::Booked);
        assert_eq!(entry.side == Side::Credit, line.units > 0);
        let value = entry.value_date.unwrap().yyyymmdd() % 1_000_000;
        assert_eq!(value, line.value_date, "{place}: {}", entry.place);
        let booked = entry.booking_date.yyyymmdd() % 10_000;
        assert_eq!(booked, line.entry_date.unwrap_or(line.value_date % 10_000), "{place}");
        for (read, written) in
            [(&entry.reference, &line.owner), (&entry.servicer_reference, &line.servicer)]
        {
            let signable = written.len() <= 35
                && written
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"/-?:().,'+ ".contains(&byte));
            assert!(read == written || read.is_empty() && !signable, "{place} {written}");
        }
    }
    entries.len()
}
