//! Files that people and other programs write: payments and statements, certificates, configuration,
//! exported ledgers.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use counterfoil_client::formats::camt;
use counterfoil_client::formats::csv;
use counterfoil_client::formats::detect;
use counterfoil_client::formats::payment;
use counterfoil_client::formats::payment::MissingUetr;
use counterfoil_client::formats::xml;
use counterfoil_node::config::Config;
use counterfoil_node::config::Sources;
use counterfoil_node::config::keys;
use counterfoil_node::identity::certificate;
use counterfoil_node::identity::spiffe::SpiffeId;
use counterfoil_proto::v1;
use rcgen::CertificateParams;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::KeyPair;
use rcgen::SanType;

use crate::ledger_file::LedgerReader;
use crate::ledger_file::LedgerWriter;
use crate::scene::scene;
use crate::support::Entry;

const CONSORTIUM: &str = "consortium.example";

fn exponent_of(code: &str) -> Option<u8> {
    match code {
        "CHF" | "EUR" => Some(2),
        "JPY" => Some(0),
        _ => None,
    }
}

/// Payments and books, XML or tables.
pub fn bank_file(bytes: &[u8]) {
    let _ = detect::detect(bytes);
    if let Ok(tree) = xml::parse(bytes) {
        let document = tree.document();
        assert!(document.children().all(|child| child.path().starts_with(&document.path())));
    }
    for missing in [MissingUetr::Refuse, MissingUetr::Accept] {
        for payment in payment::read(bytes, &exponent_of, missing).unwrap_or_default() {
            assert!(payment.amount.units > 0, "{payment:?}");
            assert!(missing == MissingUetr::Accept || payment.uetr.is_some());
            assert!(payment.end_to_end_id.len() <= 35);
        }
    }
    for statement in camt::read(bytes, &exponent_of).unwrap_or_default() {
        let _ = statement.difference();
        assert!(statement.entries.iter().all(|entry| entry.amount.units > 0));
    }
    if let Ok(table) = csv::read_book(bytes, &exponent_of) {
        assert!(table.rows.iter().all(|row| row.entry.reference.len() <= 35));
    }
}

/// Files of the demo's business day, which deploy/demo/generate.py makes.
pub fn bank_file_seeds() -> Vec<Vec<u8>> {
    let statement = include_str!("../../deploy/demo/books/ALPSCHZZ-chf-camt053.xml");
    // Four entries say what forty do.
    let entries: Vec<&str> = statement.split("<Ntry>").collect();
    let few = entries[..5.min(entries.len())].join("<Ntry>");
    let end = statement.rfind("</Ntry>").unwrap_or(0);
    let few = format!("{}{}", few.trim_end(), &statement[end + "</Ntry>".len()..]);
    let files: [&[u8]; 5] = [
        few.as_bytes(),
        include_bytes!("../../deploy/demo/morning/ALPSCHZZ-pacs009-chf.xml"),
        include_bytes!("../../deploy/demo/morning/ALPSCHZZ-pacs008.xml"),
        include_bytes!("../../deploy/demo/morning/ALPSCHZZ-payments.csv"),
        b"booking_date,value_date,side,currency,amount,entry_reference,uetr,end_to_end_id\n\
          2026-11-23,,credit,CHF,12.50,R1,,E2E-1\n2026-11-23,2026-11-24,debit,JPY,7,R2,,\n",
    ];
    files.map(<[u8]>::to_vec).to_vec()
}

/// Certificates, and the names in them.
pub fn identity(bytes: &[u8]) {
    if let Ok(found) = certificate::identify(CONSORTIUM, bytes) {
        assert!(!found.name.is_empty());
    }
    if let Ok(uri) = str::from_utf8(bytes)
        && let Ok(id) = SpiffeId::parse(uri, CONSORTIUM)
    {
        let (rest, name) = uri.rsplit_once('/').unwrap();
        assert!(name == id.name && rest.contains(id.institution.as_str()));
    }
}

/// Names of each role, and a certificate of each that was made for this.
pub fn identity_seeds() -> Vec<Vec<u8>> {
    let uri =
        |role| format!("spiffe://{CONSORTIUM}/institution/ALPSCHZZXXX/{role}/one").into_bytes();
    let mut seeds: Vec<_> = ["node", "client", "operator", "auditor"].map(uri).to_vec();
    let usages = [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    for (role, usages) in [("node", &usages[..]), ("client", &usages[..1])] {
        let uri = format!("spiffe://{CONSORTIUM}/institution/ALPSCHZZXXX/{role}/one");
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        parameters.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate().unwrap();
        seeds.push(parameters.self_signed(&key).unwrap().der().to_vec());
    }
    seeds
}

/// A node's configuration: first as a file, then as flags, line by line.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let flags = text.lines().take(16).map(str::to_owned).collect();
    for sources in [
        Sources { file: Some(file_of(bytes)), ..Sources::default() },
        Sources { flags, ..Sources::default() },
    ] {
        if let Err(faults) = Config::load(&sources) {
            assert!(!faults.is_empty(), "refused without a reason");
        }
    }
}

/// A file in memory, one for this process.
fn file_of(bytes: &[u8]) -> PathBuf {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap());
    let path = directory.path().join(format!("{:?}.toml", std::thread::current().id()));
    fs::write(&path, bytes).unwrap();
    path
}

/// The example with every key, a small file, and flags.
pub fn configuration_seeds() -> Vec<Vec<u8>> {
    let small = "[node]\nid = 3\ngenesis = \"genesis\"\ndata = \"data\"\n[listen]\nclient = \
        \"127.0.0.1:1\"\npeer = \"127.0.0.1:2\"\nmetrics = \"127.0.0.1:3\"\n[peers]\n1 = \
        \"127.0.0.1:4\"\n";
    let flags = "node.id=1\nraft.heartbeat_ms=50\nfinality.sign=false\nlog.format=json\n";
    [keys::example().as_bytes(), small.as_bytes(), flags.as_bytes()].map(<[u8]>::to_vec).to_vec()
}

/// An exported ledger.
pub fn ledger_file(bytes: &[u8]) {
    let Ok(mut reader) = LedgerReader::new(bytes) else { return };
    let mut read = reader.genesis().len();
    while let Ok(Some(block)) = reader.block() {
        read += block.header.len();
    }
    assert!(read <= bytes.len());
}

/// The scene's.
pub fn ledger_file_seeds() -> Vec<Vec<u8>> {
    let chain = &scene().archive.chain;
    let genesis = chain.consortium.genesis.bytes();
    let mut writer = LedgerWriter::new(Vec::new(), genesis).unwrap();
    for entry in &chain.entries {
        let Entry::Block { header, proposal, outcomes } = entry.clone() else { continue };
        let block = v1::ExportBlocksResponse {
            header: header.into(),
            proposal,
            outcomes: outcomes.into(),
            ..v1::ExportBlocksResponse::default()
        };
        writer.block(&block).unwrap();
    }
    vec![writer.finish().unwrap()]
}
