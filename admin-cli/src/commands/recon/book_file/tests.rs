use super::*;

fn book(arguments: &[&str]) -> BookFile {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        book: BookFile,
    }
    let arguments = [&["import", "--file", "book"], arguments].concat();
    <Command as clap::Parser>::parse_from(arguments).book
}

fn parts(bytes: &str, arguments: &[&str]) -> Result<Vec<Part>, Failure> {
    let defaults = Defaults {
        servicer: Some(Bic::parse("SNBZCHZZ").unwrap()),
        institution: Bic::parse("BANKCHZZ").unwrap(),
    };
    book(arguments).parts(bytes.as_bytes(), &registry(), &defaults)
}

fn registry() -> Registry {
    Registry::of(&crate::commands::ledger::verify::tests::genesis())
}

fn camt(closing: &str, pages: &str) -> String {
    let balance = |code: &str, amount: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy='CHF'>{amount}</Amt>\
             <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-23</Dt></Dt></Bal>"
        )
    };
    format!(
        "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt>\
         <GrpHdr><MsgId>M</MsgId><CreDtTm>2026-11-23T18:00:00</CreDtTm></GrpHdr>\
         <Stmt><Id>STMT-1</Id>{pages}\
         <FrToDt><FrDtTm>2026-11-23T00:00:00</FrDtTm><ToDtTm>2026-11-23T23:59:59</ToDtTm></FrToDt>\
         <Acct><Id><Othr><Id>SETTLEMENT</Id></Othr></Id><Ccy>CHF</Ccy></Acct>{}{}\
         <Ntry><Amt Ccy='CHF'>12.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>\
         <BookgDt><Dt>2026-11-23</Dt></BookgDt><AcctSvcrRef>R1</AcctSvcrRef></Ntry></Stmt>\
         </BkToCstmrStmt></Document>",
        balance("OPBD", "100.00"),
        balance("CLBD", closing),
    )
}

const MT: &str = ":20:R\n:25:A\n:28C:7/1\n:60F:C261122CHF100,\n:61:261123C12,50NTRFX//R1\n\
     :62F:C261123CHF112,50\n";

const TABLE: &str = "booking_date,value_date,side,currency,amount,entry_reference,uetr,end_to_end_id\n\
     2026-11-23,,CREDIT,CHF,10,R1,,E1\n2026-11-23,,DEBIT,CHF,2.5,R2,,E2\n";

#[test]
fn a_statement_becomes_entries_and_what_it_covers() {
    let parts = parts(&camt("112.50", ""), &[]).unwrap();
    let [part] = parts.as_slice() else { panic!("one statement") };
    let statement = part.statement.as_ref().unwrap();
    assert_eq!(part.title, "SETTLEMENT CHF of BANKCHZZXXX at SNBZCHZZXXX");
    assert_eq!((statement.opening_balance, statement.closing_balance), (10_000, 11_250));
    assert_eq!((statement.from_date, statement.to_date), (20_261_123, 20_261_123));
    assert_eq!((part.entries[0].amount, part.entries[0].side()), (1_250, v1::Side::Credit));
}

#[test]
fn what_is_not_booked_is_sent_as_expected_and_information_is_not() {
    let entry = |status: &str| {
        format!(
            "<Ntry><Amt Ccy='CHF'>1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>{status}</Cd>\
             </Sts><BookgDt><Dt>2026-11-23</Dt></BookgDt></Ntry></Stmt>"
        )
    };
    for (status, sent) in [("PDNG", 2), ("INFO", 1)] {
        let text = camt("112.50", "").replace("</Stmt>", &entry(status));
        let part = parts(&text, &[]).unwrap().remove(0);
        assert_eq!((part.entries.len(), part.warnings.len()), (sent, 2 - sent), "{status}");
        assert!(!part.entries[0].expected && part.entries.iter().skip(1).all(|it| it.expected));
    }
}

#[test]
fn a_statement_has_its_number_and_the_hash_of_its_file() {
    let text = camt("112.50", "<ElctrncSeqNb>17</ElctrncSeqNb>");
    let statement = parts(&text, &[]).unwrap().remove(0).statement.unwrap();
    assert_eq!(statement.sequence, 17);
    assert_eq!(statement.original[..], Hash::of(text.as_bytes()).as_bytes()[..]);
}

#[test]
fn rows_in_another_currency_belong_to_the_account_that_is_named() {
    assert!(parts(TABLE, &[]).unwrap()[0].entries.iter().all(|entry| entry.asset.is_empty()));
    let named = parts(TABLE, &["--asset", "USD"]).unwrap();
    let [part] = named.as_slice() else { panic!("one account") };
    assert_eq!(part.title, "SETTLEMENT USD of BANKCHZZXXX at SNBZCHZZXXX");
    assert!(part.entries.iter().all(|entry| entry.asset == "CHF"));
    assert_eq!(parts(MT, &["--asset", "CHF"]).unwrap_err().code, "ASSET_NOT_MEANT");
}

#[test]
fn an_mt940_is_a_statement_like_any_other() {
    let part = parts(MT, &[]).unwrap().remove(0);
    let statement = part.statement.unwrap();
    assert_eq!(statement.statement_id, "R/7/261122");
    assert_eq!((statement.opening_balance, statement.closing_balance), (10_000, 11_250));
    assert_eq!((statement.from_date, statement.to_date), (20_261_123, 20_261_123));
    assert_eq!(part.entries[0].entry_reference, "R1");
    let next = MT.replace("7/1", "9/1").replace("R\n:25", "R2\n:25").replace("261123", "261124");
    let gap = parts(&format!("{MT}{next}"), &[]).unwrap().remove(1);
    assert!(gap.warnings.iter().any(|warning| warning.contains("SequenceGap (1)")));
}

#[test]
fn what_is_said_during_the_day_declares_nothing() {
    let intraday = MT
        .replace(":60F:C261122CHF100,", ":34F:CHF0,\n:13D:2611231200")
        .replace(":62F:C261123CHF112,50\n", "");
    let notification = camt("112.50", "")
        .replace("camt.053", "camt.054")
        .replace("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn")
        .replace("Stmt>", "Ntfctn>");
    for text in [intraday, notification] {
        let part = parts(&text, &[]).unwrap().remove(0);
        assert!(part.statement.is_none() && part.entries.len() == 1, "{:?}", part.warnings);
    }
}

#[test]
fn a_banks_own_table_is_read_through_a_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.toml");
    let mapping = "delimiter = ';'\ndate_format = 'dd.mm.yyyy'\n[columns]\nbooking_date = 'Date'\n\
        amount = 'Amount'\n[fixed]\ncurrency = 'CHF'\n[sign]\nconvention = 'signed'\n";
    std::fs::write(&path, mapping).unwrap();
    let arguments = ["--mapping", path.to_str().unwrap()];
    let part = parts("Date;Amount\n23.11.2026;-2.50\n", &arguments).unwrap().remove(0);
    assert_eq!((part.entries[0].amount, part.entries[0].side()), (250, v1::Side::Debit));
    std::fs::write(&path, mapping.replace("delimiter", "separator")).unwrap();
    let error = parts("Date;Amount\n", &arguments).unwrap_err();
    assert!(format!("{error:?}").contains("separator"), "{error:?}");
}

#[test]
fn a_mirror_is_turned_round() {
    let parts = parts(&camt("112.50", ""), &["--mirror"]).unwrap();
    let statement = parts[0].statement.as_ref().unwrap();
    assert_eq!((statement.opening_balance, statement.closing_balance), (-10_000, -11_250));
    assert_eq!(parts[0].entries[0].side(), v1::Side::Debit);
}

#[test]
fn a_statement_that_does_not_add_up_is_refused_unless_it_is_wanted() {
    let wrong = camt("112.51", "");
    assert_eq!(parts(&wrong, &[]).unwrap_err().code, "STATEMENT_WRONG");
    assert!(parts(&wrong, &["--accept-difference"]).is_ok());
}

#[test]
fn a_page_that_is_not_the_last_declares_nothing() {
    let pages = "<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>";
    let parts = parts(&camt("112.50", pages), &[]).unwrap();
    assert!(parts[0].statement.is_none() && parts[0].warnings.len() == 1);
}

#[test]
fn a_table_declares_what_its_flags_say() {
    let plain = parts(TABLE, &[]).unwrap();
    assert!(plain[0].statement.is_none() && plain[0].entries.len() == 2);
    let flags = [
        "--statement-id",
        "S1",
        "--from",
        "2026-11-23",
        "--to",
        "2026-11-23",
        "--opening",
        "-5",
        "--closing",
        "2.50",
    ];
    let declared = parts(TABLE, &flags).unwrap();
    let statement = declared[0].statement.as_ref().unwrap();
    assert_eq!((statement.opening_balance, statement.closing_balance), (-500, 250));
    assert_eq!(parts(TABLE, &flags[..4]).unwrap_err().code, "STATEMENT_INCOMPLETE");
}
