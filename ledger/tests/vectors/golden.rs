//! The golden chain: a short history with one of everything.

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId, apply::Decision, id::InstructionId, instruction::Draft, reason::Reason,
};
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;

use crate::support::{
    Chain, Consortium, NOON_MS,
    build::{HOUR_MS, book_entry, bytes_of, id_of, open, sign_with, statement, transfer, uetr_of},
    consortium::{bic_of, ed25519},
};

const DAY: u32 = 20_261_123;

pub fn consortium() -> Consortium {
    Consortium::new(&["Central", "Alpha", "Beta", "Gamma"], &[("CHF", 2), ("JPY", 0)])
}

pub fn account(owner: &str, name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(owner), "CHF", name)
}

fn id(label: &str) -> InstructionId {
    id_of(label, NOON_MS)
}

/// One instruction of each body, with every field set that may be.
pub fn drafts() -> Vec<(&'static str, Draft)> {
    let alpha = bic_of("Alpha");
    let until = NOON_MS + HOUR_MS;
    let (main, beta) = (account("Alpha", "main"), account("Beta", "main"));
    let mut full = transfer("full", &main, &beta, 123_456);
    full.end_to_end_id = "INV-2026/11-23".to_owned();
    full.settlement_date = DAY;
    full.commitment = Bytes::copy_from_slice(&[bytes_of("a"), bytes_of("b")].concat());
    let least = transfer("least", &main, &beta, 1);
    let mut entry = book_entry("full", &main, v1::Side::Debit, 123_456, DAY);
    entry.value_date = DAY + 1;
    entry.entry_reference = "ENTRY-1".to_owned();
    entry.uetr = Bytes::copy_from_slice(uetr_of("full").as_bytes());
    entry.end_to_end_id = "INV-2026/11-23".to_owned();
    entry.commitment = full.commitment.clone();
    let mut day = statement("STMT-1", &main, DAY, DAY + 1);
    (day.opening_balance, day.closing_balance) = (500_000, -1);
    let plain = |label: &str, body| Draft::new(id(label), &alpha, until, body);
    let mut anchored = plain("transfer", Body::Transfer(full.clone()));
    let mut message = v1::Instruction::decode(anchored.instruction.clone()).unwrap();
    message.anchor_height = 7;
    message.anchor = Bytes::copy_from_slice(&[bytes_of("c"), bytes_of("d")].concat());
    anchored.instruction = message.encode_to_vec().into();
    vec![
        ("open account", plain("open", open(&alpha, &bic_of("Beta"), "CHF", "nostro"))),
        ("transfer", anchored),
        (
            "transfers",
            Draft::transfers(id("batch"), &alpha, until, &[full.clone(), least, full], true),
        ),
        ("book entries", Draft::book_entries(id("book"), &alpha, until, &[entry])),
        ("statement", plain("statement", Body::Statement(day))),
    ]
}

/// Writes the golden chain, block by block.
struct Writer {
    chain: Chain,
    now_ms: u64,
}

impl Writer {
    fn plain(&self, label: &str, signer: &str, body: Body) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::new(id(label), &bic, NOON_MS + HOUR_MS, body);
        self.chain.consortium.sign(&bic, draft)
    }

    fn pay(&self, label: &str, from: &str, to: &str, amount: u64) -> Bytes {
        self.plain(label, from, Body::Transfer(payment(label, from, to, amount)))
    }

    fn batch(&self, label: &str, signer: &str, items: &[v1::Transfer], together: bool) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::transfers(id(label), &bic, NOON_MS + HOUR_MS, items, together);
        self.chain.consortium.sign(&bic, draft)
    }

    fn book(&self, label: &str, signer: &str, items: &[v1::BookEntry]) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::book_entries(id(label), &bic, NOON_MS + HOUR_MS, items);
        self.chain.consortium.sign(&bic, draft)
    }

    fn block(&mut self, instructions: Vec<Bytes>) -> Vec<Decision> {
        self.now_ms += 1_000;
        self.chain.execute(self.now_ms, instructions).1
    }
}

fn payment(label: &str, from: &str, to: &str, amount: u64) -> v1::Transfer {
    let mut transfer = transfer(label, &account(from, "main"), &account(to, "main"), amount);
    transfer.end_to_end_id = format!("E2E-{label}");
    transfer
}

fn debit(label: &str, amount: u64) -> v1::BookEntry {
    book_entry(label, &account("Alpha", "main"), v1::Side::Debit, amount, DAY)
}

fn by_uetr(label: &str, of: &str, amount: u64) -> v1::BookEntry {
    let uetr = Bytes::copy_from_slice(uetr_of(of).as_bytes());
    v1::BookEntry { uetr, ..debit(label, amount) }
}

pub fn golden_chain() -> Chain {
    let mut writer = Writer { chain: Chain::new(consortium()), now_ms: NOON_MS };
    open_and_fund(&mut writer);
    pay(&mut writer);
    writer.chain.execute_void(writer.now_ms, Vec::new());
    reconcile(&mut writer);
    load_and_repeat(&mut writer);
    writer.chain
}

fn open_and_fund(writer: &mut Writer) {
    let central = bic_of("Central");
    let mut opening = Vec::new();
    for bank in ["Central", "Alpha", "Beta", "Gamma"] {
        let body = open(&central, &bic_of(bank), "CHF", "main");
        opening.push(writer.plain(&format!("open {bank}"), "Central", body));
    }
    let body = open(&central, &bic_of("Alpha"), "USD", "main");
    opening.push(writer.plain("open dollars", "Central", body));
    writer.block(opening);
    let funding = vec![
        writer.pay("fund Alpha", "Central", "Alpha", 100_000),
        writer.pay("fund Beta", "Central", "Beta", 50_000),
    ];
    writer.block(funding);
}

fn pay(writer: &mut Writer) {
    let mut dated = payment("dated", "Alpha", "Beta", 1_000);
    dated.settlement_date = DAY + 1;
    dated.commitment = Bytes::copy_from_slice(&[bytes_of("a"), bytes_of("b")].concat());
    let payments = vec![
        writer.plain("dated", "Alpha", Body::Transfer(dated)),
        writer.pay("by P-256", "Beta", "Gamma", 2_000),
        writer.pay("too much", "Gamma", "Beta", 2_001),
        writer.pay("redeem", "Gamma", "Central", 500),
    ];
    writer.block(payments);
    let items = [
        payment("one", "Alpha", "Beta", 10),
        payment("two", "Alpha", "Gamma", 20),
        payment("one", "Alpha", "Gamma", 30),
    ];
    let batch = writer.batch("batch", "Alpha", &items, false);
    let aborted = [payment("three", "Alpha", "Beta", 10), payment("one", "Alpha", "Beta", 10)];
    let aborted = writer.batch("aborted", "Alpha", &aborted, true);
    writer.block(vec![batch, aborted]);
    writer.block(Vec::new());
}

fn reconcile(writer: &mut Writer) {
    let mut by_reference = debit("by reference", 20);
    by_reference.end_to_end_id = "E2E-two".to_owned();
    let entries = [
        by_uetr("agrees", "one", 10),
        by_reference,
        by_uetr("differs in date", "dated", 1_000),
        by_uetr("once more", "one", 10),
        by_uetr("comes late", "late", 700),
        debit("nameless", 5),
    ];
    let book = writer.book("book", "Alpha", &entries);
    writer.block(vec![book]);
    let mut day = statement("STMT-1", &account("Alpha", "main"), DAY, DAY);
    (day.opening_balance, day.closing_balance) = (0, 98_255);
    let day = writer.plain("statement", "Alpha", Body::Statement(day));
    writer.block(vec![day]);
    let late = writer.pay("late", "Alpha", "Beta", 700);
    let missing = by_uetr("missing there until now", "fund Alpha", 100_000);
    let missing = v1::BookEntry { side: v1::Side::Credit.into(), ..missing };
    let missing = writer.book("missing", "Alpha", &[missing]);
    writer.block(vec![late, missing]);
}

fn load_and_repeat(writer: &mut Writer) {
    let items: Vec<v1::Transfer> =
        (0..64).map(|item| payment(&format!("load {item}"), "Alpha", "Gamma", 1)).collect();
    let load = writer.batch("load", "Alpha", &items, false);
    writer.now_ms -= 700;
    writer.block(vec![load]);
    let height = writer.chain.state.height();
    let hash = writer.chain.state.header_hash();
    let body = Body::Transfer(payment("anchored", "Alpha", "Beta", 3));
    let draft = Draft::new(id("anchored"), &bic_of("Alpha"), NOON_MS + HOUR_MS, body);
    let mut message = v1::Instruction::decode(draft.instruction).unwrap();
    message.anchor_height = height;
    message.anchor = Bytes::copy_from_slice(hash.as_bytes());
    let draft = Draft { instruction: message.encode_to_vec().into(), items: Vec::new() };
    let forged =
        sign_with(&ed25519("stranger"), &writer.chain.consortium.chain_id(), draft.clone());
    let repeated = vec![
        writer.pay("late", "Alpha", "Beta", 700),
        writer.pay("late", "Alpha", "Beta", 701),
        forged,
        Bytes::from_static(b"not an instruction"),
        writer.chain.consortium.sign(&bic_of("Alpha"), draft),
    ];
    let decisions = writer.block(repeated);
    assert!(matches!(
        decisions[..],
        [
            Decision::Replayed(_),
            Decision::Refused(Reason::IdReused),
            Decision::Refused(Reason::KeyUnknown),
            Decision::Refused(Reason::Malformed),
            Decision::Decided(_),
        ]
    ));
    writer.block(Vec::new());
}
