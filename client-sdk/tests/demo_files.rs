//! The demo's files are what its README says: read by the same readers as anybody's files, and
//! compared with one another by a plain comparison that shares nothing with the ledger's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use counterfoil_client::formats::camt;
use counterfoil_client::formats::payment;
use counterfoil_client::formats::payment::MissingUetr;
use counterfoil_client::formats::payment::Payment;
use counterfoil_client::formats::statement::Entry;
use counterfoil_ledger::block::Side;

/// (bank, currency)
type Account = (String, String);

/// What one side says of one payment: side, minor units, date.
type Item = (Side, u64, String);

fn demo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo").join(path)
}

fn exponent_of(code: &str) -> Option<u8> {
    matches!(code, "CHF" | "EUR").then_some(2)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(demo(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn rows(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(demo(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn payments() -> Vec<Payment> {
    let files = files("morning").into_iter().chain(files("afternoon"));
    files
        .flat_map(|file| {
            let read = payment::read(&fs::read(&file).unwrap(), &exponent_of, MissingUetr::Refuse);
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let bank = file.file_name().unwrap().to_str().unwrap()[..8].to_owned() + "XXX";
            assert!(read.iter().all(|payment| payment.debtor_agent.as_str() == bank));
            read
        })
        .collect()
}

/// Both references of everything on the ledger, by account, with the ledger's side of it.
fn ledger(payments: &[Payment]) -> BTreeMap<Account, Vec<([String; 2], Item)>> {
    let mut ledger: BTreeMap<Account, Vec<_>> = BTreeMap::new();
    for row in rows("funding.csv") {
        let [bank, currency, amount, uetr, end_to_end_id, date] = row.try_into().unwrap();
        let units = amount.replace('.', "").parse().unwrap();
        let item = (Side::Credit, units, date);
        ledger.entry((bank, currency)).or_default().push(([uetr, end_to_end_id], item));
    }
    for payment in payments {
        let references = [payment.uetr.unwrap().to_string(), payment.end_to_end_id.clone()];
        let date = payment.settlement_date.unwrap().to_string();
        for (bank, side) in
            [(payment.debtor_agent, Side::Debit), (payment.creditor_agent, Side::Credit)]
        {
            let account = (bank.to_string(), payment.amount.currency.to_string());
            let item = (side, payment.amount.units, date.clone());
            ledger.get_mut(&account).unwrap().push((references.clone(), item));
        }
    }
    ledger
}

fn item_of(entry: &Entry) -> Item {
    let date = entry.value_date.unwrap_or(entry.booking_date);
    (entry.side, entry.amount.units, date.to_string())
}

/// Category and end-to-end id of everything in which a book differs from the ledger.
fn differences(entries: &[Entry], postings: &[([String; 2], Item)]) -> BTreeSet<(String, String)> {
    let mut differences = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for entry in entries {
        let item = item_of(entry);
        let posting = postings.iter().find(|([uetr, end_to_end_id], _)| match entry.uetr {
            Some(own) => own.to_string() == *uetr,
            None => entry.end_to_end_id == *end_to_end_id,
        });
        let category = match posting {
            None => "missing-first",
            Some((references, _)) if !seen.insert(references.clone()) => "duplicate",
            Some((_, posted)) if posted.0 != item.0 => "direction",
            Some((_, posted)) if posted.1 != item.1 => "amount",
            Some((_, posted)) if posted.2 != item.2 => "value-date",
            Some(_) => continue,
        };
        assert!(differences.insert((category.to_owned(), entry.end_to_end_id.clone())));
    }
    for (references, _) in postings.iter().filter(|(references, _)| !seen.contains(references)) {
        differences.insert(("missing-second".to_owned(), references[1].clone()));
    }
    differences
}

#[test]
fn the_payments_are_many_distinct_and_covered() {
    let payments = payments();
    assert_eq!(payments.len(), 240);
    let uetrs: BTreeSet<_> = payments.iter().map(|payment| payment.uetr.unwrap()).collect();
    let references: BTreeSet<_> = payments.iter().map(|payment| &payment.end_to_end_id).collect();
    assert_eq!((uetrs.len(), references.len()), (240, 240));
    for ((bank, currency), items) in ledger(&payments) {
        let sum =
            |side| items.iter().filter(|(_, item)| item.0 == side).map(|(_, item)| item.1).sum();
        let (debits, funding): (u64, u64) = (sum(Side::Debit), items[0].1.1);
        assert!(0 < debits && debits < funding, "{bank} {currency}");
    }
}

#[test]
fn the_books_differ_from_the_payments_exactly_as_expected() {
    let ledger = ledger(&payments());
    let mut expected: BTreeMap<Account, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut categories: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows("expected-breaks.csv") {
        let [bank, currency, category, _, end_to_end_id, _, _] = row.try_into().unwrap();
        *categories.entry(category.clone()).or_default() += 1;
        expected.entry((bank, currency)).or_default().insert((category, end_to_end_id));
    }
    assert!(
        categories.len() == 6 && categories.values().all(|count| *count == 3),
        "{categories:?}"
    );
    let (mut books, mut entries, mut with_uetr) = (0, 0, 0);
    for file in files("books") {
        let [statement] =
            camt::read(&fs::read(&file).unwrap(), &exponent_of).unwrap().try_into().unwrap();
        assert!(
            statement.warnings.is_empty()
                && statement.left_out.is_empty()
                && statement.period_stated
        );
        assert_eq!(statement.difference(), Some(0));
        assert_eq!(statement.servicer.unwrap().as_str(), "SETLCHZZXXX");
        let period = (statement.from.to_string(), statement.to.to_string());
        assert_eq!(period, ("2026-03-31".to_owned(), "2026-04-01".to_owned()));
        let account = (statement.owner.unwrap().to_string(), statement.currency.to_string());
        assert_eq!(differences(&statement.entries, &ledger[&account]), expected[&account]);
        books += 1;
        entries += statement.entries.len();
        with_uetr += statement.entries.iter().filter(|entry| entry.uetr.is_some()).count();
    }
    assert_eq!(books, 6);
    assert!((entries * 4 / 10..entries * 6 / 10).contains(&with_uetr), "{with_uetr} of {entries}");
}

#[test]
fn the_generator_writes_these_files() {
    match Command::new("python3").arg(demo("generate.py")).arg("--check").output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => println!("SKIPPED: python3 does not run here ({error})"),
    }
}
