//! Payments that banks and vendors published, read from the directory that `COUNTERFOIL_DATA`
//! names: each is read, or refused at the element named here. Without the directory the tests say
//! that they were skipped; with `COUNTERFOIL_REQUIRE_DATA=1` they fail.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use counterfoil_client::formats::payment;
use counterfoil_client::formats::payment::MissingUetr;

fn data(folder: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("COUNTERFOIL_DATA").map(|data| Path::new(&data).join(folder));
    if let Some(directory) = directory.filter(|directory| directory.is_dir()) {
        return Some(directory);
    }
    let required = std::env::var("COUNTERFOIL_REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "COUNTERFOIL_REQUIRE_DATA=1, but COUNTERFOIL_DATA has no {folder}");
    println!("SKIPPED: COUNTERFOIL_DATA does not name a directory with {folder}");
    None
}

/// ISO 4217 as far as the samples go; a commodity such as XAU has no exponent.
fn exponent_of(code: &str) -> Option<u8> {
    match code {
        "JPY" => Some(0),
        "AUD" | "CHF" | "EUR" | "GBP" | "RON" | "SEK" | "USD" => Some(2),
        _ => None,
    }
}

fn files_below(directory: &Path, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
        if path.is_dir() {
            files_below(&path, wanted, found);
        } else if name.ends_with(".xml") && wanted(&name) {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn every_credit_transfer_is_read_or_refused_naming_the_element() {
    let Some(directory) = data("phoughton-cbpr") else { return };
    let mut files = Vec::new();
    let wanted = |name: &str| {
        ["pacs.008", "pacs.009", "pacs008", "pacs009"].iter().any(|part| name.contains(part))
    };
    files_below(&directory, &wanted, &mut files);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let read = payment::read(&fs::read(file).unwrap(), &exponent_of, MissingUetr::Refuse);
        let outcome = match read {
            Ok(payments) => format!("{} payments", payments.len()),
            Err(error) => {
                println!("{}: {error}", file.display());
                error.place
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let expected = [
        ("1 payments", 23),
        ("Document/FICdtTrf/CdtTrfTxInf/Dbtr/FinInstnId/BICFI", 4),
        ("Document/FICdtTrf/CdtTrfTxInf/IntrBkSttlmAmt/@Ccy", 2),
        ("Document/FICdtTrf/GrpHdr/SttlmInf/SttlmMtd", 2),
        ("Document/FIToFICstmrCdtTrf/CdtTrfTxInf/CdtrAgt[2]", 1),
        ("Document/FIToFICstmrCdtTrf/CdtTrfTxInf/DbtrAgt/FinInstnId/BICFI", 3),
        ("Document/FIToFICstmrCdtTrf/CdtTrfTxInf/IntrBkSttlmAmt/@Ccy", 13),
        ("Envelope/AppHdr/BizSvc", 2),
    ];
    let expected = expected.map(|(outcome, count)| (outcome.to_owned(), count));
    assert_eq!(outcomes, BTreeMap::from(expected));
}
