//! camt.053, the bank to customer statement, versions 1 to 13, by rule instead of by schema: a
//! status is plain text or a `Cd`, a date `Dt` or `DtTm`, a BIC `BIC` or `BICFI`, whatever the
//! version.
//!
//! Only booked entries count; the others are listed as left out. References that cannot stand in
//! signed bytes are dropped with a warning: somebody else wrote them, and the entry is true all the
//! same. Amounts, sides, dates and currencies are never guessed.

mod account;
mod entry;

use std::collections::HashSet;

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;

use crate::formats::camt053::account::identification;
use crate::formats::camt053::account::lenient_bic;
use crate::formats::camt053::entry::read_entry;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::element_amount;
use crate::formats::fields::lenient_reference;
use crate::formats::pacs::check_header;
use crate::formats::statement::Balance;
use crate::formats::statement::Entry;
use crate::formats::statement::LeftOut;
use crate::formats::statement::Sequence;
use crate::formats::statement::Stated;
use crate::formats::statement::Statement;
use crate::formats::statement::StatementKind;
use crate::formats::xml;
use crate::formats::xml::Element;

/// Versions whose places this knows.
const VERSIONS: std::ops::RangeInclusive<u16> = 1..=13;

/// Names of the message's element below `Document`, by version.
const ROOTS: [&str; 2] = ["BkToCstmrStmt", "BkToCstmrStmtV01"];

/// Reads the statements of one message. All or none are read.
pub fn read(bytes: &[u8], exponent_of: ExponentOf<'_>) -> Result<Vec<Statement>, FormatError> {
    let tree = xml::parse(bytes)?;
    check_header(&tree)?;
    let (message, document) = (tree.message(), tree.document());
    if !message.is("camt", 53) {
        return Err(document.error(
            format!("it is {message}, not a statement of account"),
            "import camt.053: reports and notifications (camt.052, camt.054) are not final",
        ));
    }
    if !VERSIONS.contains(&message.version()) {
        let fact = format!("{message} is not a known version of camt.053");
        return Err(FormatError::new("Document/@xmlns", fact, "use one of versions 1 to 13"));
    }
    let mut root = None;
    for name in ROOTS {
        root = root.or(document.find(name)?);
    }
    let root = root.ok_or_else(|| document.missing(ROOTS[0]))?;
    let more_pages = match root.descend(&["GrpHdr", "MsgPgntn", "LastPgInd"])? {
        Some(last) => !boolean(last)?,
        None => false,
    };
    let mut statements = Vec::new();
    let mut ids = HashSet::new();
    for element in root.all("Stmt") {
        let mut statement = statement(element, exponent_of)?;
        statement.last_page &= !more_pages;
        if !statement.id.is_empty() && !ids.insert(statement.id.clone()) {
            let id = element.require(&["Id"])?;
            return Err(id.error("another statement of the file has it too", "keep one of them"));
        }
        statements.push(statement);
    }
    if statements.is_empty() {
        return Err(root.missing("Stmt"));
    }
    Ok(statements)
}

fn statement(element: Element<'_>, exponent_of: ExponentOf<'_>) -> Result<Statement, FormatError> {
    let mut warnings = Warnings::default();
    let account = element.require(&["Acct"])?;
    let balances = booked_balances(element)?;
    let (currency, exponent) = currency_of(element, account, &balances, exponent_of)?;
    let of_currency = |element| amount_in(element, &currency, exponent_of);
    let opening = balances.opening().map(|bal| balance(bal, of_currency)).transpose()?;
    let closing = balances.closing.map(|bal| balance(bal, of_currency)).transpose()?;
    let mut entries = Vec::new();
    let mut left_out = Vec::new();
    for entry in element.all("Ntry") {
        let booked = read_entry(entry, &of_currency, &mut warnings)?;
        match booked {
            Ok(booked) => entries.push(booked),
            Err(reason) => left_out.push(LeftOut { place: entry.path(), reason }),
        }
    }
    let last_page = match element.descend(&["StmtPgntn", "LastPgInd"])? {
        Some(last) => boolean(last)?,
        None => true,
    };
    let (from, to, period_stated) = period(element, &balances, &entries)?;
    let statement = Statement {
        place: element.path(),
        kind: StatementKind::EndOfDay,
        sequence: Sequence::default(),
        stated: Stated::default(),
        first_page: true,
        id: lenient_reference(&element.require(&["Id"])?, &mut warnings),
        account: identification(account, &mut warnings)?,
        servicer: lenient_bic(account, &["Svcr", "FinInstnId"], &mut warnings)?,
        owner: lenient_bic(account, &["Ownr", "Id", "OrgId"], &mut warnings)?,
        currency,
        exponent,
        from,
        to,
        period_stated,
        opening,
        closing,
        last_page,
        entries,
        expectations: Vec::new(),
        left_out,
        warnings,
    };
    check(statement, element)
}

/// What a statement says of itself and of its entries is compared; a difference is a warning,
/// because the entries may be true even where their sum is not.
fn check(mut statement: Statement, element: Element<'_>) -> Result<Statement, FormatError> {
    let mut warnings = std::mem::take(&mut statement.warnings);
    if let Some(difference) = statement.difference().filter(|difference| *difference != 0) {
        let difference = counterfoil_ledger::asset::format_amount(difference, statement.exponent);
        warnings.add(
            format!("{}/Bal", statement.place),
            format!("the closing balance is {difference} off the opening balance and the entries"),
        );
    }
    if !statement.period_stated {
        warnings.add(
            format!("{}/FrToDt", statement.place),
            format!("it is missing; {} to {} was assumed", statement.from, statement.to),
        );
    }
    let outside = |entry: &&Entry| !(statement.from..=statement.to).contains(&entry.booking_date);
    for entry in statement.entries.iter().filter(outside) {
        let fact = format!(
            "booked on {}, outside of the statement's {} to {}",
            entry.booking_date, statement.from, statement.to
        );
        warnings.add(entry.place.as_str(), fact);
    }
    if let Some(count) = element.descend(&["TxsSummry", "TtlNtries", "NbOfNtries"])? {
        let entries = element.all("Ntry").count();
        if count.text().parse() != Ok(entries) {
            let fact = format!("{} announced, {entries} in the statement", quote(count.text()));
            warnings.add(count.path(), fact);
        }
    }
    statement.warnings = warnings;
    Ok(statement)
}

/// The `Bal` elements that matter.
#[derive(Default)]
struct BookedBalances<'t> {
    opening_booked: Option<Element<'t>>,
    previously_closed: Option<Element<'t>>,
    closing: Option<Element<'t>>,
}

impl<'t> BookedBalances<'t> {
    fn opening(&self) -> Option<Element<'t>> {
        self.opening_booked.or(self.previously_closed)
    }
}

fn booked_balances(statement: Element<'_>) -> Result<BookedBalances<'_>, FormatError> {
    let mut balances = BookedBalances::default();
    for element in statement.all("Bal") {
        let code = match element.descend(&["Tp", "CdOrPrtry", "Cd"])? {
            Some(code) => Some(code),
            None => element.descend(&["Tp", "Cd"])?,
        };
        let slot = match code.map(|code| code.text()) {
            Some("OPBD") => &mut balances.opening_booked,
            Some("PRCD") => &mut balances.previously_closed,
            Some("CLBD") => &mut balances.closing,
            _ => continue,
        };
        if slot.replace(element).is_some() {
            return Err(element.error("a second balance of its type", "keep one of them"));
        }
    }
    Ok(balances)
}

/// The account's own currency, or else that of its booked balances, or else of its first entry.
fn currency_of(
    statement: Element<'_>,
    account: Element<'_>,
    balances: &BookedBalances<'_>,
    exponent_of: ExponentOf<'_>,
) -> Result<(AssetCode, u8), FormatError> {
    let (place, code) = if let Some(currency) = account.find("Ccy")? {
        (currency.path(), currency.text())
    } else {
        let first_entry = statement.all("Ntry").next();
        let holder = balances.opening().or(balances.closing).or(first_entry);
        let amount = holder.map(|holder| holder.require(&["Amt"])).transpose()?;
        let found = amount.and_then(|amount| Some((amount, amount.currency()?)));
        let (amount, code) = found.ok_or_else(|| account.missing("Ccy"))?;
        (format!("{}/@Ccy", amount.path()), code)
    };
    match AssetCode::parse(code).ok().zip(exponent_of(code)) {
        Some(known) => Ok(known),
        None => Err(FormatError::new(
            place,
            format!("{} is not an asset of this ledger", quote(code)),
            "import statements of registered assets",
        )),
    }
}

/// An amount in the currency of the account.
fn amount_in(
    element: Element<'_>,
    currency: &AssetCode,
    exponent_of: ExponentOf<'_>,
) -> Result<Amount, FormatError> {
    if let Some(other) = element.currency().filter(|other| *other != currency.as_str()) {
        return Err(FormatError::new(
            format!("{}/@Ccy", element.path()),
            format!("{} in a statement of an account in {currency}", quote(other)),
            "ask the servicer for a statement in the currency of the account",
        ));
    }
    element_amount(element, exponent_of)
}

fn balance<'t>(
    element: Element<'t>,
    amount_of: impl Fn(Element<'t>) -> Result<Amount, FormatError>,
) -> Result<Balance, FormatError> {
    let amount = amount_of(element.require(&["Amt"])?)?;
    let units = i64::try_from(amount.units).expect("parse_amount admits 63 bits");
    let units = match side(element)? {
        Side::Credit => units,
        Side::Debit => -units,
    };
    Ok(Balance { units, exponent: amount.exponent, date: date_in(element, "Dt")? })
}

/// What the statement says, or else the days of its balances, or else of its entries.
fn period(
    statement: Element<'_>,
    balances: &BookedBalances<'_>,
    entries: &[Entry],
) -> Result<(Date, Date, bool), FormatError> {
    if let Some(period) = statement.find("FrToDt")? {
        let (from, to) = (date_or_time(period, "FrDt")?, date_or_time(period, "ToDt")?);
        if from > to {
            return Err(period.error(format!("it runs from {from} to {to}"), "turn it round"));
        }
        return Ok((from, to, true));
    }
    let mut days = Vec::new();
    if let Some(opening) = balances.opening_booked {
        days.push(date_in(opening, "Dt")?);
    } else if let Some(previous) = balances.previously_closed {
        days.push(date_in(previous, "Dt")?.next());
    }
    if let Some(closing) = balances.closing {
        days.push(date_in(closing, "Dt")?);
    }
    if days.is_empty() {
        days.extend(entries.iter().map(|entry| entry.booking_date));
    }
    match (days.iter().min(), days.iter().max()) {
        (Some(from), Some(to)) => Ok((*from, *to, false)),
        _ => Err(statement.missing("FrToDt")),
    }
}

fn side(holder: Element<'_>) -> Result<Side, FormatError> {
    let indicator = holder.require(&["CdtDbtInd"])?;
    match indicator.text() {
        "CRDT" => Ok(Side::Credit),
        "DBIT" => Ok(Side::Debit),
        other => Err(indicator.error(format!("{} is no side", quote(other)), "write CRDT or DBIT")),
    }
}

fn boolean(element: Element<'_>) -> Result<bool, FormatError> {
    match element.text() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => {
            Err(element.error(format!("{} is no boolean", quote(other)), "write true or false"))
        }
    }
}

/// The date in a child that holds `Dt` or `DtTm`.
fn date_in(holder: Element<'_>, name: &str) -> Result<Date, FormatError> {
    date_or_time(holder.require(&[name])?, "Dt")
}

/// The date of a child such as `Dt`, or of `DtTm`.
fn date_or_time(holder: Element<'_>, name: &str) -> Result<Date, FormatError> {
    match holder.find(name)? {
        Some(date) => fields::date(&date),
        None => fields::date(&holder.require(&[&format!("{name}Tm")])?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::formats::statement::AccountIdentification;

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
        assert_eq!(
            (read.id.as_str(), read.currency.as_str(), read.last_page),
            ("S-1", "CHF", true)
        );
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
        let read = statement(&file(&format!("{pending}{zero}{old}"))).unwrap();
        assert_eq!((read.entries.len(), read.left_out.len()), (1, 2));
        assert!(read.left_out[0].reason.contains("PDNG"));
        assert!(read.left_out[1].place.ends_with("Stmt/Ntry[2]"));
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
        let parts: Vec<_> =
            read.entries[0].postings().iter().map(|entry| entry.amount.units).collect();
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
        assert_eq!(read.warnings.kept().len(), 2);
        let start = text.find("<FrToDt>").unwrap();
        let end = text.find("<Acct>").unwrap();
        let read = statement(&format!("{}{}", &text[..start], &text[end..])).unwrap();
        assert_eq!((read.from, read.to, read.period_stated), (read.to, read.from, false));
        assert_eq!(read.from.yyyymmdd(), 20_260_331);
    }

    #[test]
    fn pages_say_that_there_are_more() {
        let more = "<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>";
        assert!(!statement(&file(more)).unwrap().last_page);
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
        let error = statement(&text.replace("camt.053", "camt.054")).unwrap_err();
        assert!(error.fact.contains("camt.054.001.08") && error.place == "Document");
        assert_eq!(
            statement(&text.replace("001.08", "001.14")).unwrap_err().place,
            "Document/@xmlns"
        );
        let start = text.find("<Stmt>").unwrap();
        let end = text.find("</BkToCstmrStmt>").unwrap();
        let twice = format!("{}{}{}", &text[..end], &text[start..end], &text[end..]);
        assert_eq!(statement(&twice).unwrap_err().place, format!("{stmt}[2]/Id"));
        let none = format!("{}{}", &text[..start], &text[end..]);
        assert_eq!(statement(&none).unwrap_err().place, stmt);
    }
}
