#![allow(clippy::unwrap_used)]
use std::cell::Cell;
use std::rc::Rc;

use super::*;

/// Written by hand from the schema, and the same for ever: banks keep what they were sent.
const GOLDEN: &str = include_str!("golden/camt053.xml");

fn bic(text: &str) -> Bic {
    Bic::parse(text).unwrap()
}

pub(super) fn account(asset: &str, exponent: u8) -> LedgerAccount {
    LedgerAccount {
        servicer: bic("SNBZCHZZ"),
        owner: bic("ALPSCHZZ"),
        asset: AssetCode::parse(asset).unwrap(),
        exponent,
        name: "SETTLEMENT".to_owned(),
    }
}

pub(super) fn entry(height: u64, leaf: u32, side: Side, units: u64) -> LedgerEntry {
    LedgerEntry {
        position: Position { height, leaf },
        sequence: height * 10 + u64::from(leaf),
        side,
        units,
        uetr: Uetr::parse("eb6305c9-1f7f-49de-aed0-16487c27b42d").unwrap(),
        end_to_end_id: format!("E2E/{height}-{leaf}"),
        counterparty: bic("BRNECHZZ"),
        counterparty_account: account("CHF", 2).id(),
        block_time_ms: 1_795_421_730_123,
    }
}

/// The statement of some entries.
pub(super) fn statement(
    kind: StatementKind,
    account: LedgerAccount,
    opening: i128,
    entries: &[LedgerEntry],
) -> LedgerStatement {
    let mut totals = Totals::default();
    entries.iter().for_each(|entry| totals.add(entry.side, entry.units));
    let balances = Balances { opening, closing: opening + totals.net() };
    LedgerStatement {
        kind,
        account,
        date: Date::from_yyyymmdd(20_261_123).unwrap(),
        after: None,
        as_of: Moment {
            height: 184_220,
            header_hash: Hash([0xab; 32]),
            block_time_ms: 1_795_449_600_000,
        },
        balances: (kind != StatementKind::Notification).then_some(balances),
        totals,
    }
}

pub(super) fn write(
    statement: &LedgerStatement,
    entries: &[LedgerEntry],
    format: Format,
) -> Result<String, WriteError> {
    let mut writer = StatementWriter::begin(statement.clone(), format, Vec::new())?;
    for entry in entries {
        writer.entry(entry)?;
    }
    Ok(String::from_utf8(writer.finish()?).unwrap())
}

fn refusal<T>(result: Result<T, WriteError>) -> FormatError {
    match result {
        Err(WriteError::Unwritable(error)) => error,
        Err(WriteError::Io(error)) => panic!("{error}"),
        Ok(_) => panic!("it is written"),
    }
}

fn sample() -> (LedgerStatement, Vec<LedgerEntry>) {
    let mut entries = vec![
        entry(184_001, 3, Side::Credit, 125_050),
        entry(184_001, 7, Side::Debit, 5),
        entry(184_200, 0, Side::Debit, 200_000),
    ];
    entries[1].end_to_end_id = String::new();
    entries[2].end_to_end_id = "O'BRIEN (1), A+B".to_owned();
    (statement(StatementKind::EndOfDay, account("CHF", 2), 50_000, &entries), entries)
}

#[test]
fn a_small_statement_is_written_as_it_always_was() {
    let (statement, entries) = sample();
    assert_eq!(write(&statement, &entries, Format::Camt).unwrap(), GOLDEN);
}

#[test]
fn kinds_differ_in_names_and_balances() {
    let entries = vec![entry(7, 1, Side::Credit, 100)];
    let of = |kind| statement(kind, account("CHF", 2), -100, &entries);
    let text = |kind| write(&of(kind), &entries, Format::Camt).unwrap();
    let report = text(StatementKind::Intraday);
    for part in [
        "camt.052.001.08",
        "<BkToCstmrAcctRpt>",
        "<Rpt>",
        "<Cd>OPBD</Cd>",
        "<Cd>ITBD</Cd>",
        "<AddtlRptInf>",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(!report.contains("ElctrncSeqNb") && !report.contains("CLBD"));
    let notification = text(StatementKind::Notification);
    for part in ["camt.054.001.08", "<BkToCstmrDbtCdtNtfctn>", "<Ntfctn>", "<AddtlNtfctnInf>"] {
        assert!(notification.contains(part), "{part}: {notification}");
    }
    assert!(!notification.contains("<Bal>"));
}

#[test]
fn a_day_without_postings_has_a_statement() {
    let statement = statement(StatementKind::EndOfDay, account("CHF", 2), -7, &[]);
    let text = write(&statement, &[], Format::Camt).unwrap();
    assert_eq!(text.matches("<Amt Ccy=\"CHF\">0.07</Amt><CdtDbtInd>DBIT").count(), 2, "{text}");
    assert!(text.contains("<NbOfNtries>0</NbOfNtries><Sum>0.00</Sum>"), "{text}");
    let json = write(&statement, &[], Format::Json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["entries"], serde_json::json!([]));
    assert_eq!(write(&statement, &[], Format::Csv).unwrap().lines().count(), 1);
}

#[test]
fn decimals_follow_the_asset() {
    for (asset, exponent, expected) in
        [("JPY", 0, "1234567"), ("CHF", 2, "12345.67"), ("KWD", 3, "1234.567")]
    {
        let entries = vec![entry(1, 1, Side::Credit, 1_234_567)];
        let statement = statement(StatementKind::EndOfDay, account(asset, exponent), 0, &entries);
        let text = write(&statement, &entries, Format::Camt).unwrap();
        let amount = format!("<Amt Ccy=\"{asset}\">{expected}</Amt>");
        assert_eq!(text.matches(&amount).count(), 2, "{text}");
    }
}

#[test]
fn what_a_schema_has_no_place_for_is_refused_and_other_formats_take_it() {
    let units = u64::try_from(i64::MAX).unwrap();
    let entries = vec![entry(1, 1, Side::Credit, units), entry(1, 2, Side::Debit, units)];
    let large = statement(StatementKind::EndOfDay, account("CHF", 2), 0, &entries);
    assert!(refusal(write(&large, &entries, Format::Camt)).fact.contains("more than 18 digits"));
    for format in [Format::Csv, Format::Json] {
        assert!(write(&large, &entries, format).unwrap().contains("92233720368547758.07"));
    }
    let largest = vec![entry(1, 1, Side::Credit, 999_999_999_999_999_999)];
    let fits = statement(StatementKind::EndOfDay, account("CHF", 2), 0, &largest);
    assert!(write(&fits, &largest, Format::Camt).unwrap().contains("9999999999999999.99"));
    for (asset, exponent) in [("XAU-1", 2), ("GLD", 6), ("1AB", 2)] {
        let strange = statement(StatementKind::EndOfDay, account(asset, exponent), 0, &[]);
        assert!(refusal(write(&strange, &[], Format::Camt)).fact.contains("no currency"));
        assert!(write(&strange, &[], Format::Json).is_ok());
    }
}

#[test]
fn hostile_text_is_refused() {
    for text in ["<x/>", "a\0b", "]]>", "&amp;", "a\nb", "=1+1", " a", &"x".repeat(36)] {
        let mut bad = entry(1, 1, Side::Credit, 1);
        bad.end_to_end_id = text.to_owned();
        let of = statement(StatementKind::EndOfDay, account("CHF", 2), 0, &[bad.clone()]);
        let mut named = statement(StatementKind::EndOfDay, account("CHF", 2), 0, &[]);
        named.account.name = text.to_owned();
        for format in [Format::Camt, Format::Csv, Format::Json] {
            assert_eq!(refusal(write(&of, &[bad.clone()], format)).place, "entry 1/1");
            assert_eq!(refusal(write(&named, &[], format)).place, "account");
        }
    }
}

#[test]
fn what_contradicts_itself_is_not_finished() {
    let (whole, entries) = sample();
    let begin = |statement: &LedgerStatement| {
        StatementWriter::begin(statement.clone(), Format::Camt, Vec::new())
    };
    // An entry less than announced, one twice, one of a later block.
    assert_eq!(refusal(write(&whole, &entries[1..], Format::Camt)).place, "entries");
    let mut writer = begin(&whole).unwrap();
    writer.entry(&entries[1]).unwrap();
    assert_eq!(refusal(writer.entry(&entries[1])).place, "entry 184001/7");
    assert_eq!(refusal(writer.entry(&entries[0])).place, "entry 184001/3");
    let late = entry(184_221, 0, Side::Credit, 1);
    assert_eq!(refusal(writer.entry(&late)).place, "entry 184221/0");
    assert!(refusal(writer.entry(&entry(184_002, 0, Side::Credit, 0))).fact.contains("0 minor"));
    // Balances that are none, or not of these entries.
    let without = LedgerStatement { balances: None, ..whole.clone() };
    assert_eq!(refusal(begin(&without)).place, "balances");
    let wrong = Some(Balances { opening: 0, closing: 0 });
    assert_eq!(
        refusal(begin(&LedgerStatement { balances: wrong, ..whole.clone() })).place,
        "balances"
    );
    let part = LedgerStatement { after: Some(Position { height: 1, leaf: 0 }), ..whole };
    assert_eq!(refusal(begin(&part)).place, "after");
}

#[test]
fn a_notification_goes_on_behind_a_place() {
    let entries = [entry(5, 1, Side::Credit, 1), entry(5, 2, Side::Credit, 2)];
    let whole = statement(StatementKind::Notification, account("CHF", 2), 0, &entries);
    let rest = statement(StatementKind::Notification, account("CHF", 2), 0, &entries[1..]);
    let rest = LedgerStatement { after: Some(entries[0].position), ..rest };
    assert_ne!(whole.id(), rest.id());
    assert!(write(&rest, &entries[1..], Format::Camt).unwrap().contains(", behind 5/1."));
    assert_eq!(refusal(write(&rest, &entries, Format::Camt)).place, "entry 5/1");
}

#[test]
fn ids_are_references_of_account_day_and_height() {
    let (statement, _) = sample();
    assert_eq!(statement.id(), "S20261123-184220-f3022a01a014");
    let mut ids = std::collections::BTreeSet::new();
    for height in [0, 1, 184_220, 999_999_999_999, 1_000_000_000_000, u64::MAX] {
        for name in ["SETTLEMENT", "OTHER"] {
            for kind in
                [StatementKind::EndOfDay, StatementKind::Intraday, StatementKind::Notification]
            {
                let mut one = statement.clone();
                (one.kind, one.as_of.height, one.account.name) = (kind, height, name.to_owned());
                let id = one.id();
                assert!(is_max35(&id) && !id.ends_with('-') && ids.insert(id.clone()), "{id}");
            }
        }
    }
}

#[test]
fn days_are_numbered_without_gaps() {
    let mut date = Date::from_yyyymmdd(19_000_101).unwrap();
    for number in 1..=80_000 {
        assert_eq!(day_number(date), number, "{date}");
        date = date.next();
    }
    assert_eq!(day_number(Date::from_yyyymmdd(99_991_231).unwrap()), 2_958_464);
}

#[test]
fn a_day_is_over_when_the_ledger_says_so() {
    let (mut statement, _) = sample();
    statement.kind = StatementKind::Intraday;
    assert!(statement.is_unfinished());
    assert_eq!(statement.period().1, "2026-11-23T16:00:00.000Z");
    statement.as_of.block_time_ms += 8 * 3_600_000;
    assert!(!statement.is_unfinished());
    assert_eq!(statement.period().1, "2026-11-23T23:59:59.999Z");
}

#[test]
fn entries_are_written_and_not_kept() {
    struct Counting(Rc<Cell<u64>>);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + bytes.len() as u64);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let count = 20_000;
    let mut of = statement(StatementKind::EndOfDay, account("CHF", 2), 0, &[]);
    (0..count).for_each(|_| of.totals.add(Side::Credit, 1));
    of.balances = Some(Balances { opening: 0, closing: count.into() });
    for format in [Format::Camt, Format::Json] {
        let size = Rc::new(Cell::new(0));
        let mut writer =
            StatementWriter::begin(of.clone(), format, Counting(size.clone())).unwrap();
        for leaf in 0..count {
            let before = size.get();
            writer.entry(&entry(1, leaf, Side::Credit, 1)).unwrap();
            assert!(size.get() > before + 300, "{format:?} holds an entry back");
        }
        writer.finish().unwrap();
    }
}
