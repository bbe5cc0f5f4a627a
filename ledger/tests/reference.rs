//! docs/reference agrees with the code. `UPDATE_EXPECT=1` writes `reasons.md`.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{collections::BTreeMap, fs};

use counterfoil_ledger::{
    apply::{FLAG_INTERVAL_MS, QUIET_LEAVES_MAX},
    header::HEADER_LENGTH,
    instruction::{AMOUNT_MAX, BATCH_ITEMS_MAX, INSTRUCTION_SIZE_MAX},
    outcome::OUTCOME_LENGTH,
    proposal::PROPOSAL_HEADER_LENGTH,
    reason::Reason,
    signature::Label,
    snapshot,
    state::{ID_AGE_MAX_MS, ID_AHEAD_MAX_MS, TIME_MAX_MS},
};
use support::expect::{expect_file, in_docs};

/// The same text as `counterfoil reasons --output markdown` prints.
#[test]
fn reasons_are_documented() {
    let mut text = String::from(
        "# Reasons\n\n\
         When several apply, the lowest number is the answer, on every node. A reason that burns the \
         id is a verdict on the ledger: the same id never gets another. The others leave no trace, \
         and the id may be used again.\n\n\
         | code | name | iso 20022 | burns id | meaning | remedy |\n\
         | ---: | --- | --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            reason.code(),
            reason.name(),
            reason.iso_code(),
            if reason.burns_id() { "yes" } else { "no" },
            reason.meaning(),
            reason.remedy()
        ));
    }
    expect_file(&in_docs("reference/reasons.md"), &text);
}

/// Tables under a heading that ends in "N bytes": their last column adds up to N.
fn tables(text: &str) -> BTreeMap<String, (usize, usize)> {
    let mut tables = BTreeMap::new();
    let mut heading: Option<(String, usize)> = None;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix('#') {
            let title = title.trim_start_matches('#').trim();
            heading = title.rsplit_once(", ").and_then(|(name, size)| {
                Some((name.to_owned(), size.strip_suffix(" bytes")?.parse().ok()?))
            });
        } else if let (Some((name, size)), Some(row)) = (&heading, line.strip_prefix('|')) {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
            if let Ok(bytes) = cell.parse::<usize>() {
                tables.entry(name.clone()).or_insert((*size, 0)).1 += bytes;
            }
        }
    }
    tables
}

#[test]
fn layouts_in_the_format_add_up() {
    let text = fs::read_to_string(in_docs("reference/format.md")).unwrap();
    let expected = [
        ("Account leaf", 76),
        ("Header", HEADER_LENGTH),
        ("Leaf of tx_root", 116),
        ("Outcome", OUTCOME_LENGTH),
        ("Posting", 53),
        ("Proposal header", PROPOSAL_HEADER_LENGTH),
        ("Registry leaf", 81),
    ];
    let expected: BTreeMap<String, (usize, usize)> =
        expected.map(|(name, size)| (name.to_owned(), (size, size))).into();
    assert_eq!(tables(&text), expected);
}

#[test]
fn limits_in_the_format_are_those_of_the_code() {
    let text = fs::read_to_string(in_docs("reference/format.md")).unwrap();
    let grouped = |number: u64| {
        let digits = number.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().map(|it| std::str::from_utf8(it).unwrap()).collect();
        groups.join(",")
    };
    let number = |count: usize| grouped(u64::try_from(count).unwrap());
    let hours = |ms: u64| format!("{} hours", ms / 3_600_000);
    for (what, written) in [
        ("items of a batch", number(BATCH_ITEMS_MAX)),
        ("largest instruction", number(INSTRUCTION_SIZE_MAX)),
        ("largest amount", grouped(AMOUNT_MAX)),
        ("quiet", format!("at most {QUIET_LEAVES_MAX} leaves")),
        ("flag interval", format!("{} ms", grouped(FLAG_INTERVAL_MS))),
        ("age of ids", hours(ID_AGE_MAX_MS)),
        ("ids ahead", format!("{} minutes", ID_AHEAD_MAX_MS / 60_000)),
        ("last block time", grouped(TIME_MAX_MS)),
        ("label", Label::Instruction.as_str().to_owned()),
        ("label", Label::Proposal.as_str().to_owned()),
        ("label", Label::Snapshot.as_str().to_owned()),
        ("chunk", number(snapshot::CHUNK_BYTES)),
        ("item", format!("at most {}", number(snapshot::ITEM_BYTES_MAX))),
    ] {
        assert!(text.contains(&written), "{what}: {written} is not in format.md");
    }
}
