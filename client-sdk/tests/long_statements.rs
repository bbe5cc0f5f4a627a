//! Statements longer than memory should hold: each entry is given before the bytes behind it are
//! read, so that what is held does not grow with the file. The bytes are made while they are read.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::io::BufRead;
use std::io::Read;
use std::rc::Rc;

use counterfoil_client::formats::camt;
use counterfoil_client::formats::error::FormatError;
use counterfoil_client::formats::integrity;
use counterfoil_client::formats::mapping;
use counterfoil_client::formats::mapping::Mapping;
use counterfoil_client::formats::mt;
use counterfoil_client::formats::stream;
use counterfoil_client::formats::stream::Event;

const ENTRIES: u64 = 200_000;

/// Entries that may have been made when one is given: its own, the one behind it that ends it, and
/// what fits the 8 KiB in which the csv crate reads.
const AHEAD_MAX: u64 = 300;

/// A file that is made piece by piece: a beginning, entries, an end.
struct Made<F> {
    entry: F,
    beginning: &'static str,
    end: &'static str,
    entries: u64,
    /// Pieces that were made: the beginning is the first.
    made: Rc<Cell<u64>>,
    piece: Vec<u8>,
    consumed: usize,
}

impl<F: Fn(u64) -> String> Made<F> {
    fn new(
        entries: u64,
        beginning: &'static str,
        entry: F,
        end: &'static str,
    ) -> (Made<F>, Rc<Cell<u64>>) {
        let made = Rc::new(Cell::new(0));
        let shared = Rc::clone(&made);
        (Made { entry, beginning, end, entries, made, piece: Vec::new(), consumed: 0 }, shared)
    }
}

impl<F: Fn(u64) -> String> Read for Made<F> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        into[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<F: Fn(u64) -> String> BufRead for Made<F> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.consumed == self.piece.len() {
            let number = self.made.get();
            self.piece = match number {
                0 => self.beginning.as_bytes().to_vec(),
                number if number <= self.entries => (self.entry)(number).into_bytes(),
                number if number == self.entries + 1 => self.end.as_bytes().to_vec(),
                _ => Vec::new(),
            };
            self.consumed = 0;
            self.made.set(number + 1);
        }
        Ok(&self.piece[self.consumed..])
    }

    fn consume(&mut self, count: usize) {
        self.consumed += count;
    }
}

fn exponent_of(code: &str) -> Option<u8> {
    (code == "CHF").then_some(2)
}

/// Every entry comes soon after it was made, and the statement adds up at the end.
fn check(events: impl Iterator<Item = Result<Event, FormatError>>, made: &Cell<u64>) {
    let (mut begun, mut entries, mut ended) = (0, 0, 0);
    for event in events {
        match event.unwrap() {
            Event::Begin(_) => begun += 1,
            Event::Entry(_) => {
                entries += 1;
                assert!(made.get() <= entries + AHEAD_MAX, "{} made at {entries}", made.get());
            }
            Event::LeftOut(left_out) => panic!("{left_out:?}"),
            Event::End(statement, movements) => {
                ended += 1;
                assert_eq!(movements.credits.count, ENTRIES);
                assert_eq!(integrity::check(&statement, &movements, None), []);
            }
        }
    }
    assert_eq!((begun, entries, ended), (1, ENTRIES, 1));
}

const CAMT: [&str; 2] = [
    "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt><Stmt>\
     <Id>S</Id><FrToDt><FrDtTm>2026-03-31T00:00:00</FrDtTm><ToDtTm>2026-03-31T23:59:59</ToDtTm>\
     </FrToDt><Acct><Id><Othr><Id>A</Id></Othr></Id><Ccy>CHF</Ccy></Acct><Bal><Tp><CdOrPrtry>\
     <Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy='CHF'>0</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
     <Dt><Dt>2026-03-31</Dt></Dt></Bal><Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp>\
     <Amt Ccy='CHF'>2000</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-03-31</Dt></Dt></Bal>\n",
    "</Stmt></BkToCstmrStmt></Document>",
];

fn camt_entry(number: u64) -> String {
    format!(
        "<Ntry><NtryRef>R{number}</NtryRef><Amt Ccy='CHF'>0.01</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
         <Sts>BOOK</Sts><BookgDt><Dt>2026-03-31</Dt></BookgDt></Ntry>\n"
    )
}

#[test]
fn a_long_camt_statement() {
    let (bytes, made) = Made::new(ENTRIES, CAMT[0], camt_entry, CAMT[1]);
    check(camt::stream(bytes, &exponent_of).unwrap(), &made);
}

const MT: [&str; 2] = [":20:R\n:25:A\n:28C:1/1\n:60F:C260330CHF0,\n", ":62F:C260331CHF2000,\n-\n"];

fn mt_entry(number: u64) -> String {
    format!(":61:260331C0,01NTRFR{number}\n:86:any\n")
}

#[test]
fn a_long_mt_statement() {
    let (bytes, made) = Made::new(ENTRIES, MT[0], mt_entry, MT[1]);
    check(mt::stream(bytes, &exponent_of).unwrap(), &made);
}

#[test]
fn a_long_table() {
    const HEADER: &str =
        "booking_date,value_date,side,currency,amount,entry_reference,uetr,end_to_end_id\n";
    let row = |number: u64| format!("2026-03-31,,CREDIT,CHF,0.01,R{number},,\n");
    let (bytes, made) = Made::new(ENTRIES, HEADER, row, "");
    let mapping = Mapping::standard();
    let mut entries = 0;
    for row in mapping::stream(bytes, &mapping, &exponent_of).unwrap() {
        assert_eq!(row.unwrap().entry.amount.units, 1);
        entries += 1;
        assert!(made.get() <= entries + AHEAD_MAX, "{} made at {entries}", made.get());
    }
    assert_eq!(entries, ENTRIES);
}

/// What is kept at once has a bound of its own, and so has one entry.
#[test]
fn whoever_collects_is_bounded() {
    let many = u64::try_from(stream::ENTRIES_MAX).unwrap() + 1;
    let (bytes, _) = Made::new(many, MT[0], mt_entry, MT[1]);
    let error = stream::collect(mt::stream(bytes, &exponent_of).unwrap()).unwrap_err();
    assert!(error.fact.contains("more than"), "{error}");
    let endless = |_| "<a>x</a>".repeat(1_000);
    let (bytes, made) = Made::new(u64::MAX - 1, CAMT[0], endless, "");
    let error = stream::collect(camt::stream(bytes, &exponent_of).unwrap()).unwrap_err();
    assert!(error.fact.contains("elements") && made.get() < 1_000, "{error}");
    let text = |_| "x".repeat(1_000_000);
    let (bytes, made) = Made::new(u64::MAX - 1, CAMT[0], text, "");
    let error = stream::collect(camt::stream(bytes, &exponent_of).unwrap()).unwrap_err();
    assert!(error.fact.contains("larger than the limit") && made.get() < 100, "{error}");
}
