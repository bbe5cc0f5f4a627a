//! What banks say of their accounts: statements in three forms, and whether they follow each other.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use std::io::BufReader;

use counterfoil_client::formats::camt;
use counterfoil_client::formats::error::FormatError;
use counterfoil_client::formats::integrity;
use counterfoil_client::formats::integrity::History;
use counterfoil_client::formats::mapping;
use counterfoil_client::formats::mapping::Mapping;
use counterfoil_client::formats::mt;
use counterfoil_client::formats::statement::Entry;
use counterfoil_client::formats::statement::EntryStatus;
use counterfoil_client::formats::statement::Statement;
use counterfoil_client::formats::stream;

/// Odd, so that no boundary falls where another does.
const CHUNK_SIZE: usize = 7;

fn exponent_of(code: &str) -> Option<u8> {
    match code {
        "CHF" | "EUR" => Some(2),
        "JPY" => Some(0),
        "KWD" => Some(3),
        _ => None,
    }
}

fn check_entry(entry: &Entry) {
    assert!(entry.amount.units > 0, "{entry:?}");
    for reference in [
        &entry.reference,
        &entry.servicer_reference,
        &entry.end_to_end_id,
        &entry.transaction_id,
        &entry.instruction_id,
        &entry.group_id,
    ] {
        assert!(reference.len() <= 35, "{entry:?}");
    }
    let parts: i128 = entry.details.iter().map(Entry::signed_units).sum();
    assert!(entry.details.is_empty() || parts == entry.signed_units(), "{entry:?}");
    entry.details.iter().for_each(check_entry);
}

fn check_statements(statements: &[Statement]) {
    let mut history = History::default();
    for statement in statements {
        statement.entries.iter().chain(&statement.expectations).for_each(check_entry);
        assert!(statement.entries.iter().all(|entry| entry.status == EntryStatus::Booked));
        assert!(statement.from <= statement.to, "{statement:?}");
        let movements = statement.movements();
        let difference = statement.difference();
        assert_eq!(difference, statement.difference_of(&movements));
        let findings = history.check(statement, &movements);
        let unbalanced =
            findings.iter().any(|finding| finding.kind == integrity::FindingKind::Unbalanced);
        assert_eq!(unbalanced, difference.is_some_and(|difference| difference != 0));
        for finding in findings {
            assert!((1..=11).contains(&finding.kind.number()), "{finding}");
        }
    }
}

/// Whatever pieces the bytes come in, the same is read.
fn check_streamed(
    whole: Result<Vec<Statement>, FormatError>,
    streamed: Result<Vec<Statement>, FormatError>,
) {
    match (whole, streamed) {
        (Ok(whole), Ok(streamed)) => assert_eq!(whole, streamed),
        (Err(_), Err(_)) => {}
        (whole, streamed) => panic!("{whole:?} as a whole, {streamed:?} in pieces"),
    }
}

/// Statements, reports and notifications of ISO 20022.
pub fn camt(bytes: &[u8]) {
    let whole = camt::read(bytes, &exponent_of);
    check_statements(whole.as_deref().unwrap_or_default());
    let pieces = BufReader::with_capacity(CHUNK_SIZE, bytes);
    check_streamed(whole, camt::stream(pieces, &exponent_of).and_then(stream::collect));
}

/// Statements of SWIFT's older form.
pub fn mt(bytes: &[u8]) {
    let whole = mt::read(bytes, &exponent_of);
    check_statements(whole.as_deref().unwrap_or_default());
    let pieces = BufReader::with_capacity(CHUNK_SIZE, bytes);
    check_streamed(whole, mt::stream(pieces, &exponent_of).and_then(stream::collect));
}

/// A mapping file and a table with a line of hyphens between.
pub fn mapped_table(bytes: &[u8]) {
    const BETWEEN: &[u8] = b"\n---\n";
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (text, table) = match at {
        Some(at) => (&bytes[..at], &bytes[at + BETWEEN.len()..]),
        None => (bytes, &[][..]),
    };
    let Ok(mapping) = Mapping::parse(&String::from_utf8_lossy(text)) else { return };
    let whole = mapping::read(table, &mapping, &exponent_of);
    let pieces = BufReader::with_capacity(CHUNK_SIZE, table);
    let streamed: Result<Vec<_>, _> = match mapping::stream(pieces, &mapping, &exponent_of) {
        Ok(rows) => rows.collect(),
        Err(error) => Err(error),
    };
    match (whole, streamed) {
        (Ok(whole), Ok(streamed)) => {
            whole.rows.iter().for_each(|row| check_entry(&row.entry));
            assert_eq!(whole.rows, streamed);
        }
        (Err(_), Err(_)) => {}
        (whole, streamed) => panic!("{whole:?} as a whole, {streamed:?} in pieces"),
    }
}

/// Statements that follow each other: each MT file against every other statement in it, in both
/// orders.
pub fn integrity(bytes: &[u8]) {
    const COMPARED_MAX: usize = 8;
    let statements = mt::read(bytes, &exponent_of).unwrap_or_default();
    for one in statements.iter().take(COMPARED_MAX) {
        for other in statements.iter().take(COMPARED_MAX) {
            let movements = one.movements();
            let alone = integrity::check(one, &movements, None).len();
            let findings = integrity::check(one, &movements, Some(other));
            assert!(findings.len() >= alone, "{findings:?}");
            assert!(findings.is_sorted_by_key(|finding| finding.kind), "{findings:?}");
        }
    }
}

/// A message of each kind, with everything that is read in it.
pub fn camt_seeds() -> Vec<Vec<u8>> {
    let content = "<Acct><Id><IBAN>CH9300762011623852957</IBAN></Id><Ccy>CHF</Ccy></Acct>\
        <Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy='CHF'>5</Amt>\
        <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-03-30</Dt></Dt></Bal>\
        <TxsSummry><TtlNtries><NbOfNtries>1</NbOfNtries></TtlNtries></TxsSummry>\
        <Ntry><NtryRef>R</NtryRef><Amt Ccy='CHF'>10.50</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
        <RvslInd>true</RvslInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-03-31</Dt></BookgDt>\
        <NtryDtls><Btch><PmtInfId>P</PmtInfId></Btch><TxDtls><Refs><EndToEndId>E</EndToEndId>\
        <UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR></Refs><Amt Ccy='CHF'>4.50</Amt>\
        <RltdAgts><CdtrAgt><FinInstnId><BICFI>ALPSCHZZ</BICFI></FinInstnId></CdtrAgt></RltdAgts>\
        </TxDtls><TxDtls><Amt Ccy='CHF'>6</Amt><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf></TxDtls>\
        </NtryDtls></Ntry><Ntry><Amt Ccy='CHF'>1</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>PDNG</Sts>\
        <ValDt><DtTm>2026-04-01T00:00:00</DtTm></ValDt></Ntry>";
    [
        ("53", "BkToCstmrStmt", "Stmt"),
        ("52", "BkToCstmrAcctRpt", "Rpt"),
        ("54", "BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    ]
    .map(|(number, root, name)| {
        format!(
            "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.0{number}.001.08'><{root}>\
                 <{name}><Id>I</Id><ElctrncSeqNb>7</ElctrncSeqNb>{content}</{name}></{root}>\
                 </Document>"
        )
        .into_bytes()
    })
    .to_vec()
}

/// Pages, reports and narratives of both ways.
pub fn mt_seeds() -> Vec<Vec<u8>> {
    let statements: [&[u8]; 3] = [
        b"{1:F01ALPSCHZZAXXX0000000000}{2:I940SETLCHZZXXXXN}{4:\r\n:20:REF\r\n:25:CH9300762011623852957\r\n\
          :28C:12/1\r\n:60F:D260330CHF5,\r\n:61:2603310331RCF10,NTRFOWN//SRV\r\n/OCMT/EUR9,5//CHGS/CHF0,2/\r\n\
          :86:/EREF/E-1/CNTP/X/ALPSCHZZ/Name//REMI/any\r\n:62M:D260331CHF15,00\r\n-}\r\n\
          {1:F01ALPSCHZZAXXX0000000000}{2:I940SETLCHZZXXXXN}{4:\r\n:20:REF\r\n:25:CH9300762011623852957\r\n\
          :28C:12/2\r\n:60M:D260331CHF15,\r\n:62F:D260331CHF15,00\r\n-}",
        b":20:R\n:25:A\n:28C:7/1\n:34F:CHFD0,\n:13D:2603311730+0100\n:61:260331EC2,NRTINONREF\n\
          :86:166?00GUT?20EREF+TRX-0A4A47C3-F846-4729?21-8A1B?30DRESDEFF508\n:90D:0CHF0,00\n:90C:1CHF2,\n-\n",
        b":20:R\n:25:A\n:28C:7/1\n:60F:C260330CHF1,\n:61:260331C2,NTRFR\n:62F:C260331CHF3,\n-\n\
          :20:R\n:25:A\n:28C:9/1\n:60F:C260331CHF4,\n:61:260401D2,NTRFR\n:62F:C260401CHF1,\n-\n",
    ];
    statements.map(<[u8]>::to_vec).to_vec()
}

/// A mapping of each convention of signs, and a table.
pub fn mapped_table_seeds() -> Vec<Vec<u8>> {
    let tables: [&[u8]; 3] = [
        b"delimiter=';'\nencoding='latin-1'\nskip_rows=1\nskip_rows_at_end=1\ndecimal_separator=','\n\
          thousands_separator='.'\ndate_format='dd.mm.yyyy'\n[columns]\nbooking_date='D'\namount=2\n\
          [fixed]\ncurrency='CHF'\n[sign]\nconvention='signed'\n---\nx\nD;A\n31.03.2026;-1.000,5\nend\n",
        b"date_format='yymmdd'\nheader=false\n[columns]\nbooking_date=1\ncredit=2\ndebit=3\ncurrency=4\n\
          [sign]\nconvention='columns'\n---\n260331,1,,CHF\n260331,,2,JPY\n",
        b"date_format='d/m/yy*'\n[columns]\nbooking_date='D'\namount='A'\nside='S'\ncurrency='C'\nuetr='U'\n\
          [sign]\nconvention='indicator'\ncredit=['H']\ndebit=['S']\n---\nD,S,A,C,U\n1/3/26 x,H,1,CHF,\n",
    ];
    tables.map(<[u8]>::to_vec).to_vec()
}
