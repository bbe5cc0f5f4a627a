#![allow(clippy::unwrap_used)]

use counterfoil_ledger::block::Side;

use super::read;
use crate::formats::error::FormatError;
use crate::formats::statement::AccountIdentification;
use crate::formats::statement::Entry;
use crate::formats::statement::EntryStatus;
use crate::formats::statement::Statement;
use crate::formats::statement::StatementKind;

const FILE: &str = "{1:F01ALPSCHZZAXXX0000000000}{2:I940SETLCHZZXXXXN}\
    {3:{121:eb6305c9-1f7f-49de-aed0-16487c27b42d}}{4:\r\n:20:REF-1\r\n:25:CH9300762011623852957\r\n\
    :28C:12/1\r\n:60F:D260330CHF5,\r\n:61:2603310331CF10,NTRFOWN-1//SRV-1\r\n/OCMT/EUR9,5//CHGS/CHF0,20/\r\n\
    :86:/EREF/E-1/IREF/I-1/CNTP/CH9300762011623852957/ALPSCHZZ/Name/City//REMI/any\r\n\
    thing\r\n:62F:C260331CHF5,00\r\n:64:C260331CHF5,00\r\n:86:/EREF/not this\r\n-}{5:}\r\n";

fn exponent_of(code: &str) -> Option<u8> {
    match code {
        "CHF" | "EUR" => Some(2),
        "JPY" => Some(0),
        "KWD" => Some(3),
        _ => None,
    }
}

fn statements(text: &str) -> Result<Vec<Statement>, FormatError> {
    read(text.as_bytes(), &exponent_of)
}

fn altered(from: &str, to: &str) -> Result<Statement, FormatError> {
    assert!(FILE.contains(from), "{from}");
    Ok(statements(&FILE.replacen(from, to, 1))?.remove(0))
}

fn entry(line: &str) -> Result<Entry, FormatError> {
    let start = FILE.find(":61:").unwrap();
    let end = FILE.find(":62F:").unwrap();
    let text = format!("{}{line}\n{}", &FILE[..start], &FILE[end..]);
    Ok(statements(&text)?.remove(0).entries.remove(0))
}

#[test]
fn a_statement() {
    let [read] = statements(FILE).unwrap().try_into().unwrap();
    assert_eq!((read.kind, read.id.as_str()), (StatementKind::EndOfDay, "REF-1/12/260330"));
    assert_eq!(read.account, AccountIdentification::Iban("CH9300762011623852957".to_owned()));
    assert_eq!(read.servicer.unwrap().as_str(), "ALPSCHZZXXX");
    assert_eq!((read.sequence.electronic, read.sequence.page), (Some(12), Some(1)));
    assert_eq!((read.opening.unwrap().decimal(), read.difference()), ("-5.00".to_owned(), Some(0)));
    assert_eq!((read.from.yyyymmdd(), read.to.yyyymmdd()), (20_260_331, 20_260_331));
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    let entry = &read.entries[0];
    assert_eq!((entry.amount.to_string().as_str(), entry.side), ("CHF 10.00", Side::Credit));
    assert_eq!((entry.reference.as_str(), entry.servicer_reference.as_str()), ("OWN-1", "SRV-1"));
    assert_eq!((entry.end_to_end_id.as_str(), entry.instruction_id.as_str()), ("E-1", "I-1"));
    assert_eq!(entry.counterparty.unwrap().as_str(), "ALPSCHZZXXX");
    assert_eq!(entry.charges, Some(20));
    assert_eq!(entry.original_amount.as_ref().unwrap().to_string(), "EUR 9.50");
    assert!(entry.uetr.is_some(), "the only entry has the message's UETR");
    assert_eq!(entry.place, "line 6, :61:");
}

#[test]
fn the_uetr_of_a_message_is_of_one_entry_or_of_none() {
    let read = altered(":62F:", ":61:260331C1,NTRFX\r\n:61:260331D1,NTRFY\r\n:62F:").unwrap();
    assert!(read.entries.len() == 3 && read.entries.iter().all(|entry| entry.uetr.is_none()));
}

#[test]
fn marks_of_the_statement_line() {
    for (mark, side, reversal) in [
        ("C", Side::Credit, false),
        ("D", Side::Debit, false),
        ("CR", Side::Credit, false),
        ("DR", Side::Debit, false),
        ("RC", Side::Debit, true),
        ("RD", Side::Credit, true),
        ("RCR", Side::Debit, true),
    ] {
        let read = entry(&format!(":61:2603310331{mark}1,5NTRFR")).unwrap();
        assert_eq!((read.side, read.reversal, read.amount.units), (side, reversal, 150), "{mark}");
    }
    let returned = entry(":61:260331C1,NRTINONREF").unwrap();
    assert!(returned.returned.is_some() && returned.reference == "NONREF");
    for bad in ["", "X", "R", "c", "CCC", "-"] {
        let error = entry(&format!(":61:2603310331{bad}1,5NTRFR")).unwrap_err();
        assert_eq!(error.place, "line 6, :61:", "{bad}: {error}");
    }
}

#[test]
fn a_reference_in_columns_ends_with_its_column() {
    let read = entry(":61:260331C1,N030NONREF          TOMTE TUMMETOT//S-1").unwrap();
    assert_eq!((read.reference.as_str(), read.servicer_reference.as_str()), ("NONREF", "S-1"));
    let read = entry(":61:260331C1,NOVBNL47INGB9999999999").unwrap();
    assert_eq!(read.reference, "NL47INGB9999999999");
}

#[test]
fn what_is_expected_is_no_entry() {
    let read = altered(":61:2603310331CF10,", ":61:2603310331EC10,").unwrap();
    assert_eq!((read.entries.len(), read.expectations.len()), (0, 1));
    assert_eq!(read.expectations[0].status, EntryStatus::Pending);
}

#[test]
fn the_entry_date_turns_the_year() {
    for (line, value, booked) in [
        (":61:2512310102C1,NTRFR", 20_251_231, 20_260_102),
        (":61:2601021231C1,NTRFR", 20_260_102, 20_251_231),
        (":61:2603310331C1,NTRFR", 20_260_331, 20_260_331),
        (":61:260331    C1,NTRFR", 20_260_331, 20_260_331),
        (":61:2802280229C1,NTRFR", 20_280_228, 20_280_229),
        (":61:991231C1,NTRFR", 19_991_231, 19_991_231),
    ] {
        let read = entry(line).unwrap();
        let dates = (read.value_date.unwrap().yyyymmdd(), read.booking_date.yyyymmdd());
        assert_eq!(dates, (value, booked), "{line}");
    }
    for bad in [":61:260230C1,NTRFR", ":61:2603310230C1,NTRFR", ":61:26033103C1,NTRFR", ":61:2603"]
    {
        assert_eq!(entry(bad).unwrap_err().place, "line 6, :61:", "{bad}");
    }
}

#[test]
fn amounts_have_one_comma_and_the_decimals_of_the_currency() {
    assert_eq!(entry(":61:260331C000000000001,50NTRFR").unwrap().amount.units, 150);
    for bad in ["500", "1.50", "1,505", ",5", "1,5,0", "99999999999999999999,00", ""] {
        let error = entry(&format!(":61:260331C{bad}NTRFR")).unwrap_err();
        assert_eq!(error.place, "line 6, :61:", "{bad}");
    }
    let yen = FILE.replace("CHF5,00", "JPY5,").replace("CHF", "JPY").replace("10,N", "10,5N");
    assert!(statements(&yen).unwrap_err().fact.contains("decimals"));
    let zero = altered("CF10,", "CF0,00").unwrap();
    assert_eq!((zero.entries.len(), zero.left_out.len()), (0, 1));
}

#[test]
fn subfields_of_purpose() {
    let line = ":61:260331C1,NTRFNONREF//X\n:86:166?00GUTSCHRIFT?100399\
        ?20EREF+TRX-0A4A47C3-F846-4729?21-8A1B-5DF620F?22KREF+G-1?23SVWZ+AN\nY?30DRESDEFF508?32NAME";
    let read = entry(line).unwrap();
    assert_eq!(read.end_to_end_id, "TRX-0A4A47C3-F846-4729-8A1B-5DF620F");
    assert_eq!(read.group_id, "G-1");
    assert_eq!(read.counterparty.unwrap().as_str(), "DRESDEFF508");
    let short = entry(":61:260331C1,NTRFX\n:86:159>00RETOURE>20EREF+TFNR 1>21MTLG:no>3070050000");
    let short = short.unwrap();
    assert_eq!((short.end_to_end_id.as_str(), short.counterparty), ("TFNR 1", None));
    let lines = entry(":61:260331C1,NTRFX\n:86:EREF+E-1\nKREF+cut\nhere\nSVWZ+any").unwrap();
    assert_eq!((lines.end_to_end_id.as_str(), lines.group_id.as_str()), ("E-1", ""));
    let plain = entry(":61:260331C1,NTRFX\n:86:HUF 1.218,00 EREF+X /EREF/Y").unwrap();
    assert_eq!(plain.end_to_end_id, "");
}

#[test]
fn pages_are_joined() {
    let page = |number: u32, opening: &str, entry: &str, closing: &str| {
        format!(":20:R\n:25:A\n:28C:7/{number}\n{opening}\n{entry}\n{closing}\n-\n")
    };
    let first = page(1, ":60F:C260331CHF1,", ":61:260331C2,NTRFA", ":62M:C260331CHF3,");
    let second = page(2, ":60M:C260331CHF3,", ":61:260331C4,NTRFB", ":62F:C260331CHF7,");
    let [joined] = statements(&format!("{first}{second}")).unwrap().try_into().unwrap();
    assert_eq!((joined.entries.len(), joined.difference()), (2, Some(0)));
    assert!(joined.first_page && joined.last_page);
    let [alone] = statements(&first).unwrap().try_into().unwrap();
    assert!(alone.first_page && !alone.last_page);
    let [alone] = statements(&second).unwrap().try_into().unwrap();
    assert!(!alone.first_page && alone.last_page);
    let uetr = "{3:{121:eb6305c9-1f7f-49de-aed0-16487c27b42d}}{4:\n";
    let headed = format!("{first}{{1:F01X}}{{2:I940X}}{uetr}{second}");
    let [joined] = statements(&headed).unwrap().try_into().unwrap();
    assert!(joined.entries.iter().all(|entry| entry.uetr.is_none()), "it is of one page of two");
    let other = second.replace(":60M:C260331CHF3,", ":60M:C260331CHF2,");
    assert_eq!(statements(&format!("{first}{other}")).unwrap().len(), 2);
}

#[test]
fn a_report_during_the_day() {
    let text = ":20:R\n:25:A\n:28C:7/1\n:34F:CHFD0,\n:34F:CHFC0,\n:13D:2603311730+0100\n\
        :61:260331C2,NTRFA\n:90D:0CHF0,00\n:90C:1CHF2,\n-\n";
    let [read] = statements(text).unwrap().try_into().unwrap();
    assert_eq!((read.kind, read.id.as_str()), (StatementKind::Intraday, "R/7/2603311730"));
    assert_eq!((read.opening, read.closing, read.entries.len()), (None, None, 1));
    assert_eq!((read.stated.credits.count, read.stated.credits.units), (Some(1), Some(200)));
}

#[test]
fn days_are_those_after_the_opening_balance_unless_it_is_booked_on() {
    let from = |opening: &str, entry: &str| {
        let text =
            format!(":20:R\n:25:A\n:60F:C{opening}CHF0,\n:61:{entry}C1,NTRFR\n:62F:C260331CHF1,");
        statements(&text).unwrap().remove(0).from.yyyymmdd()
    };
    assert_eq!(from("260330", "260331"), 20_260_331);
    assert_eq!(from("260330", "260330"), 20_260_330);
    assert_eq!(from("260331", "260331"), 20_260_331);
}

#[test]
fn every_error_names_its_field() {
    for (from, to, place) in [
        (":20:REF-1\r\n", "", "line 2, :25:"),
        (":25:CH9300762011623852957\r\n", "", "line 2, :25:"),
        (":60F:D260330CHF5,\r\n", "", "line 2, :60F: (or :34F:)"),
        (":62F:C260331CHF5,00\r\n", "", "line 2, :62F:"),
        ("D260330CHF5,", "X260330CHF5,", "line 5, :60F:"),
        ("D260330CHF5,", "D260230CHF5,", "line 5, :60F:"),
        ("D260330CHF5,", "D260330USD5,", "line 5, :60F:"),
        ("C260331CHF5,00", "C260331EUR5,00", "line 10, :62F:"),
        ("C260331CHF5,00", "C260329CHF5,00", "line 10, :62F:"),
        ("C260331CHF5,00", "C2603315,00", "line 10, :62F:"),
        (":64:", ":61:260331C1,NTRFX\r\n:64:", "line 11, :61:"),
        (":64:", ":25:X\r\n:64:", "line 11, :25:"),
        ("I940", "I103", "line 2, :20:"),
    ] {
        let error = altered(from, to).unwrap_err();
        assert_eq!(error.place, place, "{from}: {error}");
    }
    assert_eq!(statements("").unwrap_err().place, "the file");
    assert_eq!(statements("1\n2\n").unwrap_err().place, "the file");
}

#[test]
fn truncated_or_altered_anywhere_it_never_panics() {
    for length in 0..FILE.len() {
        let _ = statements(&FILE[..length]);
    }
    for place in 0..FILE.len() {
        for byte in [b':', b'/', b'?', b',', b'\n', b'-', 0, 0xe9, b'9'] {
            let mut altered = FILE.as_bytes().to_vec();
            altered[place] = byte;
            let _ = read(&altered, &exponent_of);
        }
    }
}
