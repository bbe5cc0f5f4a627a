//! A second reading of camt files: events in a row, no tree, no checks, decimals as text.

use std::collections::BTreeMap;

use quick_xml::{Reader, events::Event};

/// A statement, report or notification.
#[derive(Default)]
pub struct Scanned {
    /// By type: the decimal, and CRDT or DBIT.
    pub balances: BTreeMap<String, (String, String)>,
    pub entries: Vec<ScannedEntry>,
}

#[derive(Default)]
pub struct ScannedEntry {
    pub amount: String,
    pub side: String,
    pub status: String,
    pub reversal: bool,
    pub reference: String,
    /// The first ten characters of the booking date, or else of the value date.
    pub booked: String,
    /// How many TxDtls it has.
    pub transactions: usize,
    /// Of the last of them.
    pub references: BTreeMap<String, String>,
}

pub fn scan(text: &str) -> Vec<Scanned> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut statements): (Vec<String>, Vec<Scanned>) = (Vec::new(), Vec::new());
    let (mut balance, mut content) = (BTreeMap::<String, String>::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                let name = tag.local_name().into_inner().to_owned();
                match name.as_str() {
                    "Stmt" | "Rpt" | "Ntfctn"
                        if path.last().is_some_and(|up| up.starts_with("BkTo")) =>
                    {
                        statements.push(Scanned::default());
                    }
                    "Ntry" => statements.last_mut().unwrap().entries.push(ScannedEntry::default()),
                    "TxDtls" => {
                        let entry = statements.last_mut().unwrap().entries.last_mut().unwrap();
                        entry.transactions += 1;
                        entry.references.clear();
                    }
                    "Bal" => balance.clear(),
                    _ => {}
                }
                path.push(name);
                content.clear();
            }
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(_) | Event::CData(_) => content.push('&'),
            Event::End(_) => {
                let joined = path.join("/");
                if joined.ends_with("/Bal") {
                    let found = (balance["Amt"].clone(), balance["CdtDbtInd"].clone());
                    statements.last_mut().unwrap().balances.insert(balance["Cd"].clone(), found);
                }
                if let Some((_, below)) = joined.split_once("/Bal/") {
                    let name = below.rsplit('/').next().unwrap();
                    let kept = !below.contains("SubTp") && !below.contains("CdtLine");
                    if kept && ["Amt", "CdtDbtInd", "Cd"].contains(&name) {
                        balance.insert(name.to_owned(), content.trim().to_owned());
                    }
                }
                if let Some((_, below)) = joined.split_once("/Ntry/") {
                    let entry = statements.last_mut().unwrap().entries.last_mut().unwrap();
                    entry.take(below, content.trim());
                }
                path.pop();
                content.clear();
            }
            Event::Eof => return statements,
            _ => {}
        }
    }
}

impl ScannedEntry {
    fn take(&mut self, below: &str, text: &str) {
        match below {
            "Amt" => self.amount = text.to_owned(),
            "CdtDbtInd" => self.side = text.to_owned(),
            "Sts" if self.status.is_empty() => self.status = text.to_owned(),
            "Sts/Cd" => self.status = text.to_owned(),
            "RvslInd" => self.reversal = text == "true" || text == "1",
            "NtryRef" => self.reference = text.to_owned(),
            "BookgDt/Dt" | "BookgDt/DtTm" => self.booked = text[..10].to_owned(),
            "ValDt/Dt" | "ValDt/DtTm" if self.booked.is_empty() => {
                self.booked = text[..10].to_owned();
            }
            "NtryDtls/TxDtls/RltdDts/IntrBkSttlmDt" if self.booked.is_empty() => {
                self.booked = text[..10].to_owned();
            }
            _ => {
                if let Some((_, name)) = below.split_once("TxDtls/Refs/") {
                    self.references.insert(name.to_owned(), text.to_owned());
                }
            }
        }
    }
}
