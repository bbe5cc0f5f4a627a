//! camt.053.001.08, camt.052.001.08 and camt.054.001.08, in the order of elements of their schemas.
//!
//! A bank is the debtor and the creditor of what it settles; the other one is named as agent,
//! because that is where readers look for a BIC. The settlement date is booking date and value
//! date: the ledger books for the day that the transfer names. When it was ordered stands in
//! `TxDtTm`.

use std::io::Write;

use counterfoil_ledger::block::Side;

use crate::formats::error::FormatError;
use crate::formats::message::NAMESPACE;
use crate::formats::outgoing::LedgerEntry;
use crate::formats::outgoing::LedgerStatement;
use crate::formats::outgoing::Totals;
use crate::formats::outgoing::WriteError;
use crate::formats::outgoing::date_time;
use crate::formats::outgoing::signed;
use crate::formats::statement::StatementKind;
use crate::formats::statement::Total;
use crate::formats::xml::writer::XmlWriter;

/// totalDigits of amounts and sums.
const DIGITS_MAX: usize = 18;

/// fractionDigits of amounts.
const DECIMALS_MAX: u8 = 5;

/// What a kind is called.
struct Names {
    message: &'static str,
    root: &'static str,
    holder: &'static str,
    note: &'static str,
    /// The code of the balance after the entries.
    closing: &'static str,
}

fn names(kind: StatementKind) -> Names {
    match kind {
        StatementKind::EndOfDay => Names {
            message: "camt.053.001.08",
            root: "BkToCstmrStmt",
            holder: "Stmt",
            note: "AddtlStmtInf",
            closing: "CLBD",
        },
        StatementKind::Intraday => Names {
            message: "camt.052.001.08",
            root: "BkToCstmrAcctRpt",
            holder: "Rpt",
            note: "AddtlRptInf",
            closing: "ITBD",
        },
        StatementKind::Notification => Names {
            message: "camt.054.001.08",
            root: "BkToCstmrDbtCdtNtfctn",
            holder: "Ntfctn",
            note: "AddtlNtfctnInf",
            closing: "ITBD",
        },
    }
}

/// A message with one statement.
pub(super) struct CamtWriter<W: Write> {
    xml: XmlWriter<W>,
}

impl<W: Write> CamtWriter<W> {
    /// Writes all that stands before the entries.
    pub(super) fn begin(statement: &LedgerStatement, out: W) -> Result<CamtWriter<W>, WriteError> {
        fits(statement)?;
        let names = names(statement.kind);
        let namespace = format!("{NAMESPACE}{}", names.message);
        let (id, created) = (statement.id(), date_time(statement.as_of.block_time_ms));
        let mut xml = XmlWriter::new(out)?;
        xml.open_with("Document", Some(("xmlns", &namespace)))?;
        xml.open(names.root)?;
        xml.open("GrpHdr")?;
        xml.text("MsgId", &id)?;
        xml.text("CreDtTm", &created)?;
        xml.close()?;
        xml.open(names.holder)?;
        xml.text("Id", &id)?;
        if let Some(sequence) = statement.sequence() {
            xml.text("ElctrncSeqNb", &sequence.to_string())?;
        }
        xml.text("CreDtTm", &created)?;
        let (from, to) = statement.period();
        xml.open("FrToDt")?;
        xml.text("FrDtTm", &from)?;
        xml.text("ToDtTm", &to)?;
        xml.close()?;
        let mut camt = CamtWriter { xml };
        camt.account(statement)?;
        if let Some(balances) = statement.balances {
            camt.balance(statement, "OPBD", balances.opening)?;
            camt.balance(statement, names.closing, balances.closing)?;
        }
        camt.totals(statement)?;
        Ok(camt)
    }

    fn account(&mut self, statement: &LedgerStatement) -> Result<(), WriteError> {
        let (xml, account) = (&mut self.xml, &statement.account);
        xml.open("Acct")?;
        xml.nested(&["Id", "Othr", "Id"], &account.id().to_string())?;
        xml.text("Ccy", account.asset.as_str())?;
        xml.text("Nm", &account.name)?;
        xml.nested(&["Ownr", "Id", "OrgId", "AnyBIC"], account.owner.as_str())?;
        xml.nested(&["Svcr", "FinInstnId", "BICFI"], account.servicer.as_str())?;
        Ok(xml.close()?)
    }

    /// A balance at the day's beginning or end. Zero is a credit.
    fn balance(
        &mut self,
        statement: &LedgerStatement,
        code: &str,
        units: i128,
    ) -> Result<(), WriteError> {
        let side = if units < 0 { Side::Debit } else { Side::Credit };
        self.xml.open("Bal")?;
        self.xml.nested(&["Tp", "CdOrPrtry", "Cd"], code)?;
        self.amount(statement, units.unsigned_abs())?;
        self.xml.text("CdtDbtInd", indicator(side))?;
        self.xml.nested(&["Dt", "Dt"], &statement.date.to_string())?;
        Ok(self.xml.close()?)
    }

    fn amount(&mut self, statement: &LedgerStatement, units: u128) -> Result<(), WriteError> {
        let decimal = decimal(statement, units)?;
        let currency = Some(("Ccy", statement.account.asset.as_str()));
        Ok(self.xml.text_with("Amt", currency, &decimal)?)
    }

    fn totals(&mut self, statement: &LedgerStatement) -> Result<(), WriteError> {
        let Totals { credits, debits } = statement.totals;
        let net = statement.totals.net();
        let side = if net < 0 { Side::Debit } else { Side::Credit };
        let all = credits.units.saturating_add(debits.units);
        self.xml.open("TxsSummry")?;
        self.xml.open("TtlNtries")?;
        self.xml.text("NbOfNtries", &statement.totals.count().to_string())?;
        self.xml.text("Sum", &decimal(statement, all)?)?;
        self.xml.open("TtlNetNtry")?;
        self.xml.text("Amt", &decimal(statement, net.unsigned_abs())?)?;
        self.xml.text("CdtDbtInd", indicator(side))?;
        self.xml.close()?;
        self.xml.close()?;
        self.total(statement, "TtlCdtNtries", credits)?;
        self.total(statement, "TtlDbtNtries", debits)?;
        Ok(self.xml.close()?)
    }

    fn total(
        &mut self,
        statement: &LedgerStatement,
        name: &'static str,
        total: Total,
    ) -> Result<(), WriteError> {
        self.xml.open(name)?;
        self.xml.text("NbOfNtries", &total.count.to_string())?;
        self.xml.text("Sum", &decimal(statement, total.units)?)?;
        Ok(self.xml.close()?)
    }

    /// Writes an entry, which is one transaction.
    pub(super) fn entry(
        &mut self,
        statement: &LedgerStatement,
        entry: &LedgerEntry,
    ) -> Result<(), WriteError> {
        let date = statement.date.to_string();
        self.xml.open("Ntry")?;
        self.xml.text("NtryRef", &entry.sequence.to_string())?;
        self.amount(statement, entry.units.into())?;
        self.xml.text("CdtDbtInd", indicator(entry.side))?;
        self.xml.nested(&["Sts", "Cd"], "BOOK")?;
        self.xml.nested(&["BookgDt", "Dt"], &date)?;
        self.xml.nested(&["ValDt", "Dt"], &date)?;
        self.xml.text("AcctSvcrRef", &entry.reference())?;
        self.transaction_code(entry.side)?;
        self.xml.open("NtryDtls")?;
        self.transaction(entry)?;
        self.xml.close()?;
        Ok(self.xml.close()?)
    }

    /// Payments, issued or received credit transfers, between financial institutions.
    fn transaction_code(&mut self, side: Side) -> Result<(), WriteError> {
        self.xml.open("BkTxCd")?;
        self.xml.open("Domn")?;
        self.xml.text("Cd", "PMNT")?;
        self.xml.open("Fmly")?;
        self.xml.text("Cd", if side == Side::Credit { "RCDT" } else { "ICDT" })?;
        self.xml.text("SubFmlyCd", "FICT")?;
        self.xml.close()?;
        self.xml.close()?;
        Ok(self.xml.close()?)
    }

    fn transaction(&mut self, entry: &LedgerEntry) -> Result<(), WriteError> {
        self.xml.open("TxDtls")?;
        self.xml.open("Refs")?;
        if !entry.end_to_end_id.is_empty() {
            self.xml.text("EndToEndId", &entry.end_to_end_id)?;
        }
        self.xml.text("UETR", &entry.uetr.to_string())?;
        self.xml.close()?;
        let (agent, account) = match entry.side {
            Side::Credit => ("DbtrAgt", "DbtrAcct"),
            Side::Debit => ("CdtrAgt", "CdtrAcct"),
        };
        let other = entry.counterparty_account.to_string();
        self.xml.nested(&["RltdPties", account, "Id", "Othr", "Id"], &other)?;
        let bic = entry.counterparty.as_str();
        self.xml.nested(&["RltdAgts", agent, "FinInstnId", "BICFI"], bic)?;
        self.xml.nested(&["RltdDts", "TxDtTm"], &date_time(entry.block_time_ms))?;
        Ok(self.xml.close()?)
    }

    /// Writes what stands after the entries.
    pub(super) fn finish(mut self, statement: &LedgerStatement) -> Result<W, WriteError> {
        let as_of = statement.as_of;
        let mut note = format!(
            "True of ledger height {}, header {}. Entries by settlement date, in ledger order",
            as_of.height, as_of.header_hash
        );
        if let Some(after) = statement.after {
            // The last leaf that there can be means a whole block.
            match after.leaf {
                u32::MAX => note.push_str(&format!(", behind height {}", after.height)),
                leaf => note.push_str(&format!(", behind {}/{leaf}", after.height)),
            }
        }
        note.push('.');
        self.xml.text(names(statement.kind).note, &note)?;
        Ok(self.xml.finish()?)
    }
}

fn indicator(side: Side) -> &'static str {
    match side {
        Side::Credit => "CRDT",
        Side::Debit => "DBIT",
    }
}

/// The asset, in what the schemas take for a currency.
fn fits(statement: &LedgerStatement) -> Result<(), FormatError> {
    let (asset, exponent) = (&statement.account.asset, statement.account.exponent);
    let code = asset.as_str().as_bytes();
    if code.len() == 3 && code.iter().all(u8::is_ascii_uppercase) && exponent <= DECIMALS_MAX {
        return Ok(());
    }
    Err(FormatError::new(
        "account",
        format!("{asset} with {exponent} decimals is no currency of ISO 20022"),
        format!(
            "use CSV or JSON: currencies are three letters, with {DECIMALS_MAX} decimals at most"
        ),
    ))
}

/// A decimal of as many digits as the schemas allow.
fn decimal(statement: &LedgerStatement, units: u128) -> Result<String, FormatError> {
    let decimal = statement.account.decimal(signed(units));
    if decimal.bytes().filter(u8::is_ascii_digit).count() <= DIGITS_MAX {
        return Ok(decimal);
    }
    Err(FormatError::new(
        "statement",
        format!("{decimal} has more than {DIGITS_MAX} digits, which ISO 20022 has no place for"),
        "use CSV or JSON",
    ))
}
