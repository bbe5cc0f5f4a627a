//! pacs.008 (customer credit transfer) and pacs.009 (credit transfer of financial institutions),
//! every version, by rule instead of by schema: the elements that this reads have kept their names
//! and places since version 1, except for `BIC`, now `BICFI`.
//!
//! Refused is what moves no money between the two agents: an advice (pacs.009 ADV), and a pacs.008
//! whose settlement method is COVE. Their cover is a pacs.009 of its own; settling both would pay
//! twice. The cover (pacs.009 COV) is read as the transfer between its two institutions.

use std::fmt::Write;

use counterfoil_ledger::asset::format_amount;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;

use crate::formats::error::FormatError;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::canonical_decimal;
use crate::formats::fields::element_amount;
use crate::formats::message::MessageName;
use crate::formats::payment::MissingUetr;
use crate::formats::payment::Payment;
use crate::formats::payment::refuse_repeated_uetr;
use crate::formats::xml;
use crate::formats::xml::Element;
use crate::formats::xml::Tree;

/// Which element of a transaction names whom to debit and whom to credit.
struct Layout {
    /// Names of the message's element below `Document`, by version.
    roots: &'static [&'static str],
    debtor: &'static str,
    creditor: &'static str,
}

const CUSTOMER: Layout = Layout {
    roots: &["FIToFICstmrCdtTrf", "pacs.008.001.01"],
    debtor: "DbtrAgt",
    creditor: "CdtrAgt",
};

const INSTITUTION: Layout = Layout {
    roots: &["FICdtTrf", "FinInstnCdtTrf", "pacs.009.001.01"],
    debtor: "Dbtr",
    creditor: "Cdtr",
};

/// Elements of a transaction that are read into fields of their own; the rest is party data.
const OWN_FIELDS: [&str; 5] = ["PmtId", "IntrBkSttlmAmt", "IntrBkSttlmDt", "InstgAgt", "InstdAgt"];

/// Most party data of one payment, in bytes. Paths repeat what the message nests, so that without a
/// bound a small file could fill memory.
pub const PARTY_DATA_SIZE_MAX: usize = 256 * 1024;

/// Most party data of one file, in bytes.
pub const FILE_PARTY_DATA_SIZE_MAX: usize = 64 * 1024 * 1024;

/// The digits to which amounts are scaled for control sums: the most that an asset can have.
const SUM_EXPONENT: u8 = 9;

/// Reads the payments of one message. All or none are read.
pub fn read(
    bytes: &[u8],
    exponent_of: ExponentOf<'_>,
    missing_uetr: MissingUetr,
) -> Result<Vec<Payment>, FormatError> {
    let tree = xml::parse(bytes)?;
    check_header(&tree)?;
    let layout = layout_of(tree.message())?;
    let root = root_of(&tree, layout)?;
    let header = root.require(&["GrpHdr"])?;
    refuse_advice(&tree, header)?;
    let mut payments = Vec::new();
    let mut party_data_size = 0;
    for transaction in root.all("CdtTrfTxInf") {
        let payment = payment(transaction, header, layout, exponent_of, missing_uetr)?;
        party_data_size += payment.party_data.len();
        if party_data_size > FILE_PARTY_DATA_SIZE_MAX {
            let fact =
                format!("the file has more than {FILE_PARTY_DATA_SIZE_MAX} bytes of party data");
            return Err(transaction.error(fact, "split the message into several files"));
        }
        payments.push(payment);
    }
    if payments.is_empty() {
        return Err(root.missing("CdtTrfTxInf"));
    }
    check_totals(header, &payments, exponent_of)?;
    refuse_repeated_uetr(&payments)?;
    Ok(payments)
}

/// The header of an envelope must speak of the message that is in it.
pub(crate) fn check_header(tree: &Tree) -> Result<(), FormatError> {
    let Some(header) = tree.header() else { return Ok(()) };
    match header.find("MsgDefIdr")? {
        Some(definition) if definition.text() != tree.message().to_string() => Err(definition
            .error(
                format!("{} in front of a {}", quote(definition.text()), tree.message()),
                "make the header and the Document agree",
            )),
        _ => Ok(()),
    }
}

fn layout_of(message: MessageName) -> Result<&'static Layout, FormatError> {
    if message.is("pacs", 8) {
        Ok(&CUSTOMER)
    } else if message.is("pacs", 9) {
        Ok(&INSTITUTION)
    } else {
        Err(FormatError::new(
            "Document",
            format!("it is {message}, not a credit transfer"),
            "give pacs.008 or pacs.009",
        ))
    }
}

fn root_of<'t>(tree: &'t Tree, layout: &Layout) -> Result<Element<'t>, FormatError> {
    let document = tree.document();
    for name in layout.roots {
        if let Some(root) = document.find(name)? {
            return Ok(root);
        }
    }
    Err(document.missing(layout.roots[0]))
}

fn refuse_advice(tree: &Tree, header: Element<'_>) -> Result<(), FormatError> {
    let service = match tree.header() {
        Some(header) => header.find("BizSvc")?,
        None => None,
    };
    if let Some(service) = service.filter(|service| service.text().contains(".adv.")) {
        return Err(service.error(
            "the message is an advice (ADV), which moves no money",
            "submit the cover (pacs.009 COV), which does",
        ));
    }
    match header.descend(&["SttlmInf", "SttlmMtd"])? {
        Some(method) if method.text() == "COVE" => Err(method.error(
            "COVE: the message only announces a payment that settles by its cover",
            "submit the cover (pacs.009 COV); settling both would pay twice",
        )),
        _ => Ok(()),
    }
}

fn payment(
    transaction: Element<'_>,
    header: Element<'_>,
    layout: &Layout,
    exponent_of: ExponentOf<'_>,
    missing_uetr: MissingUetr,
) -> Result<Payment, FormatError> {
    let ids = transaction.require(&["PmtId"])?;
    let uetr = ids.find("UETR")?.map(|uetr| fields::uetr(&uetr)).transpose()?;
    if uetr.is_none() && missing_uetr == MissingUetr::Refuse {
        return Err(FormatError::new(
            format!("{}/UETR", ids.path()),
            "it is missing: a transfer settles under its UETR, once",
            "add a UETR (in pacs.008 and pacs.009 since version 8), or ask for one to be derived",
        ));
    }
    let instruction_id = ids.find("InstrId")?.map(|id| fields::reference(&id)).transpose()?;
    let amount_element = transaction.require(&["IntrBkSttlmAmt"])?;
    let amount = element_amount(amount_element, exponent_of)?;
    if amount.units == 0 {
        return Err(amount_element.error("the amount is zero", "remove the transaction"));
    }
    Ok(Payment {
        place: transaction.path(),
        debtor_agent: institution(transaction.require(&[layout.debtor])?)?,
        creditor_agent: institution(transaction.require(&[layout.creditor])?)?,
        instructing_agent: agent(transaction, header, "InstgAgt")?,
        instructed_agent: agent(transaction, header, "InstdAgt")?,
        amount,
        uetr,
        end_to_end_id: end_to_end_id(ids)?,
        instruction_id: instruction_id.unwrap_or_default(),
        settlement_date: settlement_date(transaction, header)?,
        party_data: party_data(transaction)?,
    })
}

fn end_to_end_id(ids: Element<'_>) -> Result<String, FormatError> {
    let element = ids.require(&["EndToEndId"])?;
    let reference = fields::reference(&element)?;
    if reference.is_empty() {
        return Err(element.error("it is empty", "write NOTPROVIDED if there is none"));
    }
    Ok(reference)
}

/// The BIC of an element that holds a `FinInstnId`.
fn institution(element: Element<'_>) -> Result<Bic, FormatError> {
    match institution_bic(element)? {
        Some(bic) => fields::bic(&bic),
        None => Err(FormatError::new(
            format!("{}/FinInstnId/BICFI", element.path()),
            "it is missing: accounts are found by BIC",
            "add the BIC of the institution",
        )),
    }
}

fn institution_bic(element: Element<'_>) -> Result<Option<Element<'_>>, FormatError> {
    match element.descend(&["FinInstnId", "BICFI"])? {
        Some(bic) => Ok(Some(bic)),
        None => element.descend(&["FinInstnId", "BIC"]),
    }
}

/// An agent of the transaction, or else of the group.
fn agent(
    transaction: Element<'_>,
    header: Element<'_>,
    name: &str,
) -> Result<Option<Bic>, FormatError> {
    let element = match transaction.find(name)? {
        Some(element) => Some(element),
        None => header.find(name)?,
    };
    let bic = element.map(institution_bic).transpose()?.flatten();
    bic.map(|bic| fields::bic(&bic)).transpose()
}

fn settlement_date(
    transaction: Element<'_>,
    header: Element<'_>,
) -> Result<Option<Date>, FormatError> {
    let read = |holder: Element<'_>| match holder.find("IntrBkSttlmDt")? {
        Some(element) => fields::date(&element).map(Some),
        None => Ok(None),
    };
    match (read(transaction)?, read(header)?) {
        (Some(own), Some(group)) if own != group => Err(FormatError::new(
            format!("{}/IntrBkSttlmDt", transaction.path()),
            format!("{own} here, {group} in the group header"),
            "keep one of them",
        )),
        (own, group) => Ok(own.or(group)),
    }
}

fn check_totals(
    header: Element<'_>,
    payments: &[Payment],
    exponent_of: ExponentOf<'_>,
) -> Result<(), FormatError> {
    let count = header.require(&["NbOfTxs"])?;
    if count.text().parse() != Ok(payments.len()) {
        return Err(count.error(
            format!("{} announced, {} in the file", quote(count.text()), payments.len()),
            "the file may be cut off: fetch it again, or correct the number",
        ));
    }
    let scaled = |payment: &Payment| {
        let factor = 10i128.pow(u32::from(SUM_EXPONENT.saturating_sub(payment.amount.exponent)));
        i128::from(payment.amount.units) * factor
    };
    // At most ELEMENTS_MAX amounts of 63 bits, times 10^9: far below 127 bits.
    let sum = format_amount(payments.iter().map(scaled).sum(), SUM_EXPONENT);
    if let Some(control) = header.find("CtrlSum")? {
        check_sum(control, &sum)?;
    }
    let Some(total) = header.find("TtlIntrBkSttlmAmt")? else { return Ok(()) };
    let currency = element_amount(total, exponent_of)?.currency;
    match payments.iter().find(|payment| payment.amount.currency != currency) {
        Some(other) => Err(FormatError::new(
            format!("{}/IntrBkSttlmAmt/@Ccy", other.place),
            format!("{} under a total in {currency}", other.amount.currency),
            "give one file a currency, or leave out the total",
        )),
        None => check_sum(total, &sum),
    }
}

fn check_sum(element: Element<'_>, sum: &str) -> Result<(), FormatError> {
    let sum = canonical_decimal(sum);
    if canonical_decimal(element.text()) == sum {
        return Ok(());
    }
    Err(element.error(
        format!(
            "{} announced, {} in the file",
            quote(element.text()),
            sum.as_deref().unwrap_or_default()
        ),
        "the file may be cut off or altered: fetch it again, or correct the sum",
    ))
}

/// One line `path=value` for each element with text and each `Ccy` attribute of a transaction, but
/// for those with fields of their own.
fn party_data(transaction: Element<'_>) -> Result<String, FormatError> {
    let mut lines = String::new();
    for child in transaction.children().filter(|child| !OWN_FIELDS.contains(&child.name())) {
        write_leaves(child, child.name(), &mut lines);
    }
    if lines.len() > PARTY_DATA_SIZE_MAX {
        let fact = format!("it has more than {PARTY_DATA_SIZE_MAX} bytes of party data");
        return Err(transaction.error(fact, "shorten the remittance information"));
    }
    Ok(lines)
}

/// Depth is bounded by `xml::DEPTH_MAX`.
fn write_leaves(element: Element<'_>, path: &str, lines: &mut String) {
    if lines.len() > PARTY_DATA_SIZE_MAX {
        return;
    }
    if let Some(currency) = element.currency() {
        write_line(&format!("{path}@Ccy"), currency, lines);
    }
    if !element.text().is_empty() {
        write_line(path, element.text(), lines);
    }
    for child in element.children() {
        write_leaves(child, &format!("{path}/{}", child.name()), lines);
    }
}

fn write_line(path: &str, value: &str, lines: &mut String) {
    let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    writeln!(lines, "{path}={value}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TRANSACTION: &str = "<CdtTrfTxInf><PmtId><InstrId>I-1</InstrId><EndToEndId>E-1</EndToEndId>\
        <UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR></PmtId>\
        <IntrBkSttlmAmt Ccy=\"CHF\">1250.50</IntrBkSttlmAmt>\
        <Dbtr><FinInstnId><BICFI>ALPSCHZZ</BICFI></FinInstnId></Dbtr>\
        <Cdtr><FinInstnId><BICFI>BRNECHZZXXX</BICFI></FinInstnId></Cdtr>\
        <RmtInf><Ustrd>one &amp; two</Ustrd><Ustrd>three\nfour</Ustrd></RmtInf></CdtTrfTxInf>";

    fn file(header: &str, transactions: &str) -> String {
        format!(
            "<x:Document xmlns:x=\"urn:iso:std:iso:20022:tech:xsd:pacs.009.001.08\"><FICdtTrf>\
             <GrpHdr>{header}</GrpHdr>{transactions}</FICdtTrf></x:Document>"
        )
    }

    fn read_text(text: &str) -> Result<Vec<Payment>, FormatError> {
        let exponent_of = |code: &str| match code {
            "CHF" | "EUR" => Some(2),
            _ => None,
        };
        read(text.as_bytes(), &exponent_of, MissingUetr::Refuse)
    }

    fn one(header: &str, from: &str, to: &str) -> Result<Vec<Payment>, FormatError> {
        assert!(TRANSACTION.contains(from));
        read_text(&file(header, &TRANSACTION.replace(from, to)))
    }

    #[test]
    fn a_transfer_between_institutions() {
        let header = "<NbOfTxs>1</NbOfTxs><CtrlSum>1250.5</CtrlSum>\
            <TtlIntrBkSttlmAmt Ccy=\"CHF\">1250.50</TtlIntrBkSttlmAmt>\
            <IntrBkSttlmDt>2026-03-31</IntrBkSttlmDt>";
        let payments = read_text(&file(header, TRANSACTION)).unwrap();
        let payment = &payments[0];
        assert_eq!(payment.place, "Document/FICdtTrf/CdtTrfTxInf");
        assert_eq!(payment.debtor_agent.as_str(), "ALPSCHZZXXX");
        assert_eq!(payment.creditor_agent.as_str(), "BRNECHZZXXX");
        assert_eq!(payment.amount.to_string(), "CHF 1250.50");
        assert_eq!(payment.settlement_date.unwrap().yyyymmdd(), 20_260_331);
        assert_eq!((&*payment.end_to_end_id, &*payment.instruction_id), ("E-1", "I-1"));
        assert_eq!(
            payment.party_data,
            "Dbtr/FinInstnId/BICFI=ALPSCHZZ\nCdtr/FinInstnId/BICFI=BRNECHZZXXX\n\
             RmtInf/Ustrd=one & two\nRmtInf/Ustrd=three\\nfour\n"
        );
    }

    #[test]
    fn a_customer_transfer_settles_between_the_agents() {
        let text = file("<NbOfTxs>1</NbOfTxs>", TRANSACTION)
            .replace("pacs.009", "pacs.008")
            .replace("FICdtTrf", "FIToFICstmrCdtTrf")
            .replace("<Dbtr>", "<Dbtr><Nm>Anna</Nm></Dbtr><DbtrAgt>")
            .replace(
                "BICFI>ALPSCHZZ</BICFI></FinInstnId></Dbtr>",
                "BICFI>ALPSCHZZ</BICFI></FinInstnId></DbtrAgt>",
            )
            .replace("<Cdtr>", "<CdtrAgt>")
            .replace("</Cdtr>", "</CdtrAgt><Cdtr><Nm>Bruno</Nm></Cdtr>");
        let payments = read_text(&text).unwrap();
        assert_eq!(payments[0].debtor_agent.as_str(), "ALPSCHZZXXX");
        assert!(payments[0].party_data.contains("Dbtr/Nm=Anna\n"));
        let cover =
            text.replace("</NbOfTxs>", "</NbOfTxs><SttlmInf><SttlmMtd>COVE</SttlmMtd></SttlmInf>");
        assert!(read_text(&cover).unwrap_err().place.ends_with("GrpHdr/SttlmInf/SttlmMtd"));
    }

    #[test]
    fn every_error_names_its_element() {
        let transaction = "Document/FICdtTrf/CdtTrfTxInf";
        for (from, to, place) in [
            ("ALPSCHZZ<", "alpsch<", "/Dbtr/FinInstnId/BICFI"),
            ("<BICFI>ALPSCHZZ</BICFI>", "", "/Dbtr/FinInstnId/BICFI"),
            ("<UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR>", "", "/PmtId/UETR"),
            ("eb6305c9", "EB6305C9", "/PmtId/UETR"),
            (">E-1<", ">E_1<", "/PmtId/EndToEndId"),
            (">E-1<", "><", "/PmtId/EndToEndId"),
            ("<EndToEndId>E-1</EndToEndId>", "", "/PmtId/EndToEndId"),
            ("1250.50", "1250.505", "/IntrBkSttlmAmt"),
            ("1250.50", "0.00", "/IntrBkSttlmAmt"),
            ("1250.50", "92233720368547758.08", "/IntrBkSttlmAmt"),
            ("\"CHF\"", "\"XAU\"", "/IntrBkSttlmAmt/@Ccy"),
            (" Ccy=\"CHF\"", "", "/IntrBkSttlmAmt/@Ccy"),
            ("<RmtInf>", "<IntrBkSttlmDt>2026-02-30</IntrBkSttlmDt><RmtInf>", "/IntrBkSttlmDt"),
            (
                "<InstrId>I-1</InstrId>",
                "<InstrId>a</InstrId><InstrId>b</InstrId>",
                "/PmtId/InstrId[2]",
            ),
        ] {
            let error = one("<NbOfTxs>1</NbOfTxs>", from, to).unwrap_err();
            assert_eq!(error.place, format!("{transaction}{place}"), "{error}");
        }
    }

    #[test]
    fn the_group_is_checked() {
        let group = "Document/FICdtTrf/GrpHdr";
        for (header, place) in [
            ("", "/NbOfTxs"),
            ("<NbOfTxs>2</NbOfTxs>", "/NbOfTxs"),
            ("<NbOfTxs>1</NbOfTxs><CtrlSum>1250.51</CtrlSum>", "/CtrlSum"),
            (
                "<NbOfTxs>1</NbOfTxs><TtlIntrBkSttlmAmt Ccy=\"CHF\">1</TtlIntrBkSttlmAmt>",
                "/TtlIntrBkSttlmAmt",
            ),
        ] {
            let error = read_text(&file(header, TRANSACTION)).unwrap_err();
            assert_eq!(error.place, format!("{group}{place}"), "{error}");
        }
        let total =
            "<NbOfTxs>1</NbOfTxs><TtlIntrBkSttlmAmt Ccy=\"EUR\">1250.50</TtlIntrBkSttlmAmt>";
        let error = read_text(&file(total, TRANSACTION)).unwrap_err();
        assert_eq!(error.place, "Document/FICdtTrf/CdtTrfTxInf/IntrBkSttlmAmt/@Ccy");
        let dated =
            TRANSACTION.replace("<RmtInf>", "<IntrBkSttlmDt>2026-03-30</IntrBkSttlmDt><RmtInf>");
        let header = "<NbOfTxs>1</NbOfTxs><IntrBkSttlmDt>2026-03-31</IntrBkSttlmDt>";
        assert!(read_text(&file(header, &dated)).unwrap_err().place.ends_with("IntrBkSttlmDt"));
        let twice = format!("{TRANSACTION}{TRANSACTION}");
        let error = read_text(&file("<NbOfTxs>2</NbOfTxs>", &twice)).unwrap_err();
        assert_eq!(error.place, "Document/FICdtTrf/CdtTrfTxInf[2]");
    }

    #[test]
    fn the_envelope_must_agree() {
        let message = file("<NbOfTxs>1</NbOfTxs>", TRANSACTION);
        let wrap = |header: &str| {
            format!("<?xml version=\"1.0\"?><E><h:AppHdr>{header}</h:AppHdr>{message}</E>")
        };
        assert!(read_text(&wrap("<h:MsgDefIdr>pacs.009.001.08</h:MsgDefIdr>")).is_ok());
        let error = read_text(&wrap("<MsgDefIdr>pacs.008.001.08</MsgDefIdr>")).unwrap_err();
        assert_eq!(error.place, "E/AppHdr/MsgDefIdr");
        let error = read_text(&wrap("<BizSvc>swift.cbprplus.adv.03</BizSvc>")).unwrap_err();
        assert_eq!(error.place, "E/AppHdr/BizSvc");
    }

    #[test]
    fn party_data_is_bounded() {
        let deep = format!("{}<a>x</a>", "<nnnnnnnnnn>".repeat(20));
        let deep =
            deep.replace("<a>x</a>", &"<a>x</a>".repeat(5_000)) + &"</nnnnnnnnnn>".repeat(20);
        let error = one("<NbOfTxs>1</NbOfTxs>", "<RmtInf>", &format!("{deep}<RmtInf>"));
        assert!(error.unwrap_err().fact.contains("party data"));
    }

    #[test]
    fn a_caller_may_accept_a_missing_uetr() {
        let text = file("<NbOfTxs>1</NbOfTxs>", TRANSACTION)
            .replace("<UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR>", "");
        let exponent_of = |_: &str| Some(2);
        let payments = read(text.as_bytes(), &exponent_of, MissingUetr::Accept).unwrap();
        assert_eq!(payments[0].uetr, None);
    }
}
