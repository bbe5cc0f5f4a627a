#![allow(clippy::unwrap_used)]

use counterfoil_ledger::block::Side;

use super::read;
use crate::formats::error::FormatError;
use crate::formats::statement::AccountIdentification;
use crate::formats::statement::EntryStatus;
use crate::formats::statement::Statement;
use crate::formats::statement::StatementKind;

const ENTRY: &str = "<Ntry><NtryRef>R-1</NtryRef><Amt Ccy=\"CHF\">10.00</Amt>\
    <CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-03-31</Dt></BookgDt>\
    <ValDt><DtTm>2026-04-01T00:00:00+02:00</DtTm></ValDt><NtryDtls><TxDtls><Refs>\
    <EndToEndId>E-1</EndToEndId><UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR></Refs>\
    </TxDtls></NtryDtls></Ntry>";

fn bal(code: &str, amount: &str, side: &str, date: &str) -> String {
    format!(
        "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"CHF\">{amount}</Amt>\
         <CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>{date}</Dt></Dt></Bal>"
    )
}

fn file(content: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt>\
         <GrpHdr/><Stmt><Id>S-1</Id><FrToDt><FrDtTm>2026-03-31T00:00:00</FrDtTm>\
         <ToDtTm>2026-04-01T00:00:00</ToDtTm></FrToDt><Acct><Id><IBAN>CH9300762011623852957\
         </IBAN></Id><Ccy>CHF</Ccy><Ownr><Id><OrgId><AnyBIC>ALPSCHZZXXX</AnyBIC></OrgId></Id>\
         </Ownr><Svcr><FinInstnId><BICFI>SETLCHZZ</BICFI></FinInstnId></Svcr></Acct>{content}\
         </Stmt></BkToCstmrStmt></Document>"
    )
}

fn statement(text: &str) -> Result<Statement, FormatError> {
    let exponent_of = |code: &str| match code {
        "CHF" | "EUR" => Some(2),
        _ => None,
    };
    Ok(read(text.as_bytes(), &exponent_of)?.remove(0))
}

#[test]
fn a_statement() {
    let opening = bal("OPBD", "5.00", "DBIT", "2026-03-31");
    let closing = bal("CLBD", "5.00", "CRDT", "2026-04-01");
    let read = statement(&file(&format!("{opening}{closing}{ENTRY}"))).unwrap();
    assert_eq!((read.id.as_str(), read.currency.as_str(), read.last_page), ("S-1", "CHF", true));
    assert_eq!(read.account, AccountIdentification::Iban("CH9300762011623852957".to_owned()));
    assert_eq!(read.servicer.unwrap().as_str(), "SETLCHZZXXX");
    assert_eq!(read.owner.unwrap().as_str(), "ALPSCHZZXXX");
    assert_eq!((read.from.yyyymmdd(), read.to.yyyymmdd()), (20_260_331, 20_260_401));
    assert_eq!(read.opening.unwrap().decimal(), "-5.00");
    assert_eq!(read.difference(), Some(0));
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    let entry = &read.entries[0];
    assert_eq!(entry.amount.to_string(), "CHF 10.00");
    assert_eq!((entry.side, entry.reversal), (Side::Credit, false));
    assert_eq!(entry.value_date.unwrap().yyyymmdd(), 20_260_401);
    assert_eq!((entry.reference.as_str(), entry.end_to_end_id.as_str()), ("R-1", "E-1"));
    assert!(entry.uetr.is_some());
}

#[test]
fn what_is_lent_and_paid_back_is_told_by_the_transaction_code() {
    use crate::formats::statement::Purpose;
    let code = |domain: &str, sub_family: &str| {
        format!(
            "<BkTxCd><Domn><Cd>{domain}</Cd><Fmly><Cd>FTLN</Cd><SubFmlyCd>{sub_family}</SubFmlyCd>\
             </Fmly></Domn></BkTxCd>"
        )
    };
    let of_entry = |code: &str| ENTRY.replace("<NtryDtls>", &format!("{code}<NtryDtls>"));
    let of_transaction = |code: &str| ENTRY.replace("</TxDtls>", &format!("{code}</TxDtls>"));
    for (text, purpose) in [
        (of_entry(&code("LDAS", "DDWN")), Purpose::Lending),
        (of_entry(&code("LDAS", "PPAY")), Purpose::Repayment),
        (of_transaction(&code("LDAS", "RPMT")), Purpose::Repayment),
        (of_entry(&code("PMNT", "DDWN")), Purpose::Other),
        (ENTRY.to_owned(), Purpose::Other),
    ] {
        assert_eq!(statement(&file(&text)).unwrap().entries[0].purpose, purpose, "{text}");
    }
}

#[test]
fn a_reversal_keeps_the_side_on_which_it_was_booked() {
    let reversal = ENTRY.replace("CRDT</CdtDbtInd>", "DBIT</CdtDbtInd><RvslInd>true</RvslInd>");
    let read = statement(&file(&reversal)).unwrap();
    assert_eq!((read.entries[0].side, read.entries[0].reversal), (Side::Debit, true));
}

#[test]
fn only_booked_entries_count() {
    let pending = ENTRY.replace("<Cd>BOOK</Cd>", "PDNG");
    let zero = ENTRY.replace("10.00", "0");
    let old = ENTRY.replace("<Cd>BOOK</Cd>", "BOOK");
    let odd = ENTRY.replace("<Cd>BOOK</Cd>", "<Prtry>HELD</Prtry>");
    let other = pending.replace("CHF", "USD");
    let read = statement(&file(&format!("{pending}{zero}{old}{odd}{other}"))).unwrap();
    assert_eq!((read.entries.len(), read.expectations.len(), read.left_out.len()), (1, 1, 3));
    assert_eq!(read.expectations[0].status, EntryStatus::Pending);
    assert!(read.left_out[0].place.ends_with("Stmt/Ntry[2]"));
    assert!(read.left_out[1].reason.contains("HELD"));
    assert!(read.left_out[2].reason.contains("PDNG") && read.left_out[2].reason.contains("USD"));
    assert_eq!((read.movements().credits.count, read.movements().expected_credits.count), (1, 1));
}

#[test]
fn a_batch_is_split_when_it_adds_up() {
    let details = |first: &str, second: &str| {
        let detail = |amount: &str, name: &str| {
            format!(
                "<TxDtls><Refs><EndToEndId>{name}</EndToEndId></Refs><AmtDtls><TxAmt>\
                 <Amt Ccy=\"CHF\">{amount}</Amt></TxAmt></AmtDtls></TxDtls>"
            )
        };
        let start = ENTRY.find("<TxDtls>").unwrap();
        let end = ENTRY.find("</NtryDtls>").unwrap();
        let both = detail(first, "A") + &detail(second, "B");
        file(&format!("{}{both}{}", &ENTRY[..start], &ENTRY[end..]))
    };
    let read = statement(&details("4.00", "6.00")).unwrap();
    let parts: Vec<_> = read.entries[0].postings().iter().map(|entry| entry.amount.units).collect();
    assert_eq!(parts, [400, 600]);
    assert_eq!(read.entries[0].details[1].end_to_end_id, "B");
    assert!(read.entries[0].details[1].place.ends_with("TxDtls[2]"));
    for (first, second) in [("4.00", "5.00"), ("10.00", "0.00"), ("4.00", "x")] {
        let read = statement(&details(first, second)).unwrap();
        assert_eq!(read.entries.len(), 1);
        assert_eq!(read.entries[0].end_to_end_id, "");
        assert_eq!(read.warnings.kept().len(), 1);
    }
}

#[test]
fn what_others_wrote_badly_is_dropped_with_a_warning() {
    let odd = ENTRY.replace("R-1", "R_1").replace("eb6305c9", "EB6305C9");
    let text = file(&odd).replace("S-1", &"S".repeat(36)).replace("SETLCHZZ", "setl");
    let read = statement(&text.replace("CH93", "CH94")).unwrap();
    assert_eq!(read.entries[0].reference, "");
    assert_eq!((read.entries[0].uetr, read.servicer), (None, None));
    assert_eq!((read.id.as_str(), read.warnings.kept().len()), ("", 5));
}

#[test]
fn what_does_not_add_up_is_said() {
    let opening = bal("PRCD", "5.00", "CRDT", "2026-03-30");
    let closing = bal("CLBD", "5.00", "CRDT", "2026-03-31");
    let summary = "<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries></TxsSummry>";
    let text = file(&format!("{opening}{closing}{summary}{ENTRY}"));
    let read = statement(&text).unwrap();
    assert_eq!(read.difference(), Some(-1000));
    assert_eq!(read.stated.entries, Some(2));
    assert_eq!(read.warnings.kept().len(), 0);
    let start = text.find("<FrToDt>").unwrap();
    let end = text.find("<Acct>").unwrap();
    let read = statement(&format!("{}{}", &text[..start], &text[end..])).unwrap();
    assert_eq!((read.from, read.to, read.period_stated), (read.to, read.from, false));
    assert_eq!(read.warnings.kept().len(), 1);
    assert_eq!(read.from.yyyymmdd(), 20_260_331);
}

#[test]
fn pages_say_that_there_are_more() {
    let more = "<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>";
    assert!(!statement(&file(more)).unwrap().last_page);
    let late = file("").replace("</BkToCstmrStmt>", "<GrpHdr/></BkToCstmrStmt>");
    assert!(statement(&late.replacen("<GrpHdr/>", "", 1)).unwrap_err().fact.contains("behind"));
    assert!(statement(&late).unwrap_err().fact.contains("second time"));
    let text = file("")
        .replace("<GrpHdr/>", "<GrpHdr><MsgPgntn><LastPgInd>0</LastPgInd></MsgPgntn></GrpHdr>");
    assert!(!statement(&text).unwrap().last_page);
}

#[test]
fn every_error_names_its_element() {
    let closing = bal("CLBD", "5.00", "CRDT", "2026-03-31");
    let text = file(&format!("{closing}{ENTRY}"));
    let stmt = "Document/BkToCstmrStmt/Stmt";
    for (from, to, place) in [
        ("<Id>S-1</Id>", "", "/Id"),
        ("<Ccy>CHF", "<Ccy>XAU", "/Acct/Ccy"),
        ("Ccy=\"CHF\">5", "Ccy=\"SEK\">5", "/Bal/Amt/@Ccy"),
        ("Ccy=\"CHF\">10", "Ccy=\"EUR\">10", "/Ntry/Amt/@Ccy"),
        ("10.00", "10.001", "/Ntry/Amt"),
        ("CRDT</CdtDbtInd><Sts>", "PLUS</CdtDbtInd><Sts>", "/Ntry/CdtDbtInd"),
        ("<Sts><Cd>BOOK</Cd></Sts>", "", "/Ntry/Sts"),
        ("2026-04-01T00:00:00+02:00", "1.4.2026", "/Ntry/ValDt/DtTm"),
        ("2026-04-01T00:00:00<", "2026-03-01T00:00:00<", "/FrToDt"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = statement(&text.replace(from, to)).unwrap_err();
        assert_eq!(error.place, format!("{stmt}{place}"), "{error}");
    }
    let error = statement(&text.replace("camt.053", "camt.060")).unwrap_err();
    assert!(error.fact.contains("camt.060.001.08") && error.place == "Document");
    assert!(statement(&text.replace("001.08", "001.14")).is_ok(), "by rule, not by list");
    let late = text.replace("</Stmt>", &format!("{closing}</Stmt>"));
    let error = statement(&late).unwrap_err();
    assert_eq!(error.place, format!("{stmt}/Bal"));
    let start = text.find("<Stmt>").unwrap();
    let end = text.find("</BkToCstmrStmt>").unwrap();
    let twice = format!("{}{}{}", &text[..end], &text[start..end], &text[end..]);
    assert_eq!(statement(&twice).unwrap_err().place, format!("{stmt}[2]/Id"));
    let none = format!("{}{}", &text[..start], &text[end..]);
    assert_eq!(statement(&none).unwrap_err().place, stmt);
}

/// The same content as another message.
fn message(number: &str, root: &str, name: &str, content: &str) -> String {
    file(content)
        .replace("camt.053", number)
        .replace("BkToCstmrStmt", root)
        .replace("<Stmt>", &format!("<{name}>"))
        .replace("</Stmt>", &format!("</{name}>"))
}

#[test]
fn reports_and_notifications() {
    let report = message("camt.052", "BkToCstmrAcctRptV01", "Rpt", ENTRY);
    let read = statement(&report).unwrap();
    assert_eq!((read.kind, read.entries.len()), (StatementKind::Intraday, 1));
    assert_eq!((read.opening, read.difference()), (None, None));
    let notification = message("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn", ENTRY);
    let read = statement(&notification).unwrap();
    assert_eq!(read.kind, StatementKind::Notification);
    assert_eq!(read.place, "Document/BkToCstmrDbtCdtNtfctn/Ntfctn");
    let crossed = message("camt.052", "BkToCstmrStmt", "Stmt", ENTRY);
    assert_eq!(statement(&crossed).unwrap_err().place, "Document/BkToCstmrAcctRpt");
}

#[test]
fn a_notification_says_no_days() {
    let text = message("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn", ENTRY);
    let start = text.find("<FrToDt>").unwrap();
    let end = text.find("<Acct>").unwrap();
    let read = statement(&format!("{}{}", &text[..start], &text[end..])).unwrap();
    assert_eq!((read.from.yyyymmdd(), read.to.yyyymmdd()), (20_260_331, 20_260_331));
    let settled = ENTRY
        .replace("BookgDt", "X")
        .replace("ValDt", "Y")
        .replace("</Refs>", "</Refs><RltdDts><IntrBkSttlmDt>2026-03-31</IntrBkSttlmDt></RltdDts>");
    let text_of = |entry: &str| message("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn", entry);
    let read = statement(&text_of(&settled)).unwrap();
    assert_eq!(read.entries[0].booking_date.yyyymmdd(), 20_260_331);
    let dateless = settled.replace("IntrBkSttlmDt", "Z");
    let read = statement(&text_of(&dateless)).unwrap();
    assert!(read.entries.is_empty() && read.left_out[0].reason.contains("date"));
    assert_eq!(
        statement(&file(&dateless)).unwrap_err().place,
        "Document/BkToCstmrStmt/Stmt/Ntry/BookgDt"
    );
    let created = format!(
        "{}<CreDtTm>2026-04-02T08:00:00</CreDtTm>{}",
        &text[..start],
        text[end..].replace("BOOK", "INFO").replace("BookgDt", "X").replace("ValDt", "Y")
    );
    let read = statement(&created).unwrap();
    assert_eq!((read.from.yyyymmdd(), read.left_out.len()), (20_260_402, 1));
}

#[test]
fn every_reference_of_a_transaction() {
    let details = "<NtryDtls><Btch><MsgId>M</MsgId><PmtInfId>P</PmtInfId></Btch><TxDtls><Refs>\
        <MsgId>M2</MsgId><AcctSvcrRef>S-1</AcctSvcrRef><InstrId>I-1</InstrId>\
        <EndToEndId>E-1</EndToEndId><TxId>T-1</TxId></Refs><AmtDtls><InstdAmt><Amt Ccy='EUR'>9.5\
        </Amt></InstdAmt></AmtDtls><Chrgs><Rcrd><Amt Ccy='CHF'>0.30</Amt></Rcrd><Rcrd>\
        <Amt Ccy='CHF'>0.10</Amt><CdtDbtInd>CRDT</CdtDbtInd></Rcrd></Chrgs><RltdAgts><DbtrAgt>\
        <FinInstnId><BICFI>ALPSCHZZ</BICFI></FinInstnId></DbtrAgt><CdtrAgt><FinInstnId>\
        <BICFI>BRNECHZZ</BICFI></FinInstnId></CdtrAgt></RltdAgts></TxDtls></NtryDtls></Ntry>";
    let start = ENTRY.find("<NtryDtls>").unwrap();
    let entry = format!("{}{details}", &ENTRY[..start]);
    let read = |entry: &str| statement(&file(entry)).unwrap().entries.remove(0);
    let credit = read(&entry);
    assert_eq!(
        (credit.reference.as_str(), credit.servicer_reference.as_str(), credit.book_reference()),
        ("R-1", "S-1", "S-1")
    );
    assert_eq!(
        (credit.transaction_id.as_str(), credit.instruction_id.as_str(), credit.group_id.as_str()),
        ("T-1", "I-1", "P")
    );
    assert_eq!(credit.counterparty.unwrap().as_str(), "ALPSCHZZXXX");
    assert_eq!(credit.charges, Some(20));
    assert_eq!(credit.original_amount.unwrap().to_string(), "EUR 9.50");
    let debit = entry.replace("CRDT</CdtDbtInd><Sts>", "DBIT</CdtDbtInd><Sts>");
    assert_eq!(read(&debit).counterparty.unwrap().as_str(), "BRNECHZZXXX");
    let reversal = debit.replace("DBIT</CdtDbtInd>", "DBIT</CdtDbtInd><RvslInd>1</RvslInd>");
    assert_eq!(read(&reversal).counterparty.unwrap().as_str(), "ALPSCHZZXXX");
    let returned = debit.replace(
        "<RltdAgts>",
        "<RtrInf><OrgnlBkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd><SubFmlyCd>ESCT</SubFmlyCd>\
         </Fmly></Domn></OrgnlBkTxCd><Rsn><Cd>AC04</Cd></Rsn></RtrInf><RltdAgts>",
    );
    let read = read(&returned);
    assert_eq!(read.counterparty, None, "two are named, and which is meant is not known");
    let returned = read.returned.unwrap();
    assert_eq!(
        (returned.reason.as_str(), returned.original_code.as_str()),
        ("AC04", "PMNT/ICDT/ESCT")
    );
}

#[test]
fn numbers_and_stated_totals() {
    let head = "<ElctrncSeqNb>12</ElctrncSeqNb><LglSeqNb>x</LglSeqNb><StmtPgntn><PgNb>2</PgNb>\
        <LastPgInd>true</LastPgInd></StmtPgntn><TxsSummry><TtlNtries><NbOfNtries>1</NbOfNtries>\
        </TtlNtries><TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>10</Sum></TtlCdtNtries>\
        <TtlDbtNtries><Sum>0.001</Sum></TtlDbtNtries></TxsSummry>";
    let read = statement(&file(&format!("{head}{ENTRY}"))).unwrap();
    assert_eq!((read.sequence.electronic, read.sequence.legal), (Some(12), None));
    assert_eq!((read.sequence.page, read.first_page, read.last_page), (Some(2), false, true));
    assert_eq!((read.stated.credits.count, read.stated.credits.units), (Some(1), Some(1000)));
    assert_eq!((read.stated.debits.units, read.warnings.kept().len()), (None, 2));
}

/// Whole and as a stream, a file made to hurt is refused alike, and nothing of it comes.
#[test]
fn hostile_statements_are_refused() {
    let exponent_of = |code: &str| (code == "CHF").then_some(2);
    let good = file(ENTRY);
    let inside = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1).into_bytes()
    };
    let doctype = format!("<!DOCTYPE a [<!ENTITY b \"{}\">]>{good}", "&b;".repeat(10)).into_bytes();
    let utf16: Vec<u8> =
        format!("\u{feff}{good}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let declared = format!("<?xml version='1.0' encoding='ISO-8859-1'?>{good}").into_bytes();
    let deep = format!("<NtryRef>{}{}</NtryRef>", "<a>".repeat(40), "</a>".repeat(40));
    let many: String = (0..20).map(|number| format!(" a{number}=''")).collect();
    for (bytes, fact) in [
        (doctype, "DOCTYPE"),
        (utf16, "UTF-16"),
        (declared, "encoding"),
        (inside("R-1", "&lol;"), "entity"),
        (inside("R-1", "\u{1}"), "U+0001"),
        (inside("<NtryRef>R-1</NtryRef>", &deep), "deep"),
        (inside("<NtryRef>", &format!("<NtryRef{many}>")), "attributes"),
        (inside("10.00", "10.001"), "decimals"),
        (inside("10.00", "10.0000000000000000001"), "decimals"),
        (inside("10.00", "99999999999999999999"), "63 bits"),
        (inside("10.00", "1e3"), "refused"),
        (inside("10.00", "-10.00"), "refused"),
        (inside("2026-03-31</Dt>", "2026-02-30</Dt>"), "date"),
        (inside("Ccy=\"CHF\"", "Ccy=\"USD\""), "account in CHF"),
        (inside("<Amt Ccy", "<Amt Ccy=\"CHF\">1</Amt><Amt Ccy"), "second time"),
        (inside("</Ntry>", ""), "well-formed"),
        (good.as_bytes()[..good.len() - 11].to_vec(), "inside of an element"),
    ] {
        let whole = read(&bytes, &exponent_of).unwrap_err();
        let said = format!("{} {}", whole.fact, whole.fix);
        assert!(said.contains(fact), "{fact}: {whole}");
        let streamed = super::stream(bytes.as_slice(), &exponent_of);
        let streamed = streamed.and_then(crate::formats::stream::collect).unwrap_err();
        assert_eq!((&streamed.fact, &streamed.fix), (&whole.fact, &whole.fix));
    }
    let at = good.find("R-1").unwrap();
    let (before, after) = good.as_bytes().split_at(at);
    let latin = [before, &b"\xe9"[..], after].concat();
    assert!(read(&latin, &exponent_of).unwrap_err().fact.contains("UTF-8"));
    let streamed = super::stream(latin.as_slice(), &exponent_of);
    let streamed = streamed.and_then(crate::formats::stream::collect).unwrap_err();
    assert!(streamed.fact.contains("UTF-8"), "{streamed}");
}

/// Elements that are taken out leave nothing behind but the count of them.
#[test]
fn places_are_counted_on() {
    let bad = ENTRY.replace("10.00", "x");
    let text = file(&format!("{ENTRY}\n{ENTRY}\n{ENTRY}\n{bad}"));
    let place = statement(&text).unwrap_err().place;
    assert_eq!(place, "Document/BkToCstmrStmt/Stmt/Ntry[4]/Amt");
    let account = "<Id>S-2</Id><Acct><Id><BBAN>X</BBAN></Id></Acct>";
    let second = text.replace("</Stmt>", &format!("</Stmt><Stmt>{account}{bad}</Stmt>"));
    let place = statement(&second.replacen(">x<", ">1<", 1)).unwrap_err().place;
    assert_eq!(place, "Document/BkToCstmrStmt/Stmt[2]/Ntry/Amt");
}
