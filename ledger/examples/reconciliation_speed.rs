//! A day of postings against a book of as many entries, of which each thousandth has another amount,
//! through the ledger: time and memory. `cargo run --release -p counterfoil-ledger --example
//! reconciliation_speed [payments]`. Debug builds measure nothing.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{fs, time::Instant};

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    agreement::AgreementId,
    apply::{Applied, LogPosition, Prepared},
    block::Facts,
    date::Date,
    instruction::Draft,
    matching::item::{Comparison, Source},
    proposal::{Proposal, ProposalHeader},
    reconciliation::{finding::Class, sheet::Sheet},
    state::State,
};
use counterfoil_proto::v1::{self, AgreementAnswer, instruction::Body};
use support::{
    Consortium, NOON_MS,
    build::{HOUR_MS, answer, book_entry, id_of, offer, open, terms, transfer, uetr_of},
    consortium::bic_of,
};

/// Items of an instruction; a block has one.
const BATCH: u64 = 4_096;

struct Ledger {
    consortium: Consortium,
    state: State,
    index: u64,
}

fn account(name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(name), "CHF", "main")
}

impl Ledger {
    fn sign(&self, label: &str, signer: &str, body: Body) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::new(id_of(label, NOON_MS), &bic, NOON_MS + HOUR_MS, body);
        self.consortium.sign(&bic, draft)
    }

    /// Executes one block; how many bytes of records storage would write for it.
    fn execute(&mut self, instructions: Vec<Bytes>) -> usize {
        let (previous, sequence) = self.state.last_proposal();
        let header = ProposalHeader {
            incarnation: 0,
            epoch: 0,
            proposer: 1,
            term: 1,
            sequence: sequence + 1,
            previous,
            stamp_ms: NOON_MS + 1_000 + self.index,
            count: u32::try_from(instructions.len()).unwrap(),
            instructions_root: Proposal::instructions_root(&instructions),
        };
        self.index += 1;
        let (registry, chain_id) = (self.state.registry(), self.state.chain_id());
        let prepared: Vec<_> = instructions
            .into_iter()
            .map(|bytes| Prepared::new(bytes, registry, &chain_id))
            .collect();
        let log = LogPosition { term: 1, node: 1, index: self.index };
        let applied = self.state.commit(&header, true, &prepared, &Facts::default(), log);
        let Applied::Block(block, _) = applied else { panic!("node 1 proposes as it should") };
        block.records.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    fn sheet(&self) -> Option<&Sheet> {
        let account = self.state.account(&account("Alpha")).unwrap();
        self.state.reconciliation().sheet(account.ordinal)
    }
}

/// Accounts, and an agreement that compares the ledger with the owner's book.
fn begun() -> Ledger {
    let consortium = Consortium::new(&["Central", "Alpha", "Beta"], &[("CHF", 2)]);
    let (state, _) = State::genesis(consortium.genesis.clone());
    let mut ledger = Ledger { consortium, state, index: 1 };
    let opened = ["Central", "Alpha", "Beta"].map(|name| {
        let body = open(&bic_of("Central"), &bic_of(name), "CHF", "main");
        ledger.sign(&format!("open {name}"), "Central", body)
    });
    ledger.execute(opened.to_vec());
    let fund = transfer("fund", &account("Central"), &account("Alpha"), 1 << 50);
    let fund = ledger.sign("fund", "Central", Body::Transfer(fund));
    let parties = (&bic_of("Central"), &bic_of("Alpha"));
    let today = Date::from_unix_ms(NOON_MS).yyyymmdd();
    let mut terms = terms("agreed", parties, &[account("Alpha")], today);
    (terms.servicer_book, terms.missing_after_days) = (false, 1);
    let id = AgreementId::of(&terms);
    let offered = ledger.sign("offer", "Alpha", offer(terms, NOON_MS + HOUR_MS));
    let answered = ledger.sign("answer", "Central", answer("answer", &id, AgreementAnswer::Accept));
    ledger.execute(vec![fund, offered]);
    ledger.execute(vec![answered]);
    ledger
}

fn label(number: u64) -> String {
    format!("payment {number:012}")
}

fn payments(ledger: &Ledger, numbers: &[u64]) -> Bytes {
    let payment = |number: &u64| {
        let label = label(*number);
        let mut payment = transfer(&label, &account("Alpha"), &account("Beta"), 1_000);
        payment.end_to_end_id = label;
        payment
    };
    let items: Vec<v1::Transfer> = numbers.iter().map(payment).collect();
    let id = id_of(&format!("payments {}", numbers[0]), NOON_MS);
    let alpha = bic_of("Alpha");
    let draft = Draft::transfers(id, &alpha, NOON_MS + HOUR_MS, &items, false);
    ledger.consortium.sign(&alpha, draft)
}

fn entries(ledger: &Ledger, numbers: &[u64]) -> Bytes {
    let today = Date::from_unix_ms(NOON_MS).yyyymmdd();
    let entry = |number: &u64| {
        let label = label(*number);
        let amount = if number.is_multiple_of(1_000) { 999 } else { 1_000 };
        let mut entry = book_entry(&label, &account("Alpha"), v1::Side::Debit, amount, today);
        entry.uetr = Bytes::copy_from_slice(uetr_of(&label).as_bytes());
        entry.entry_reference.clone_from(&label);
        entry.end_to_end_id = label;
        entry
    };
    let items: Vec<v1::BookEntry> = numbers.iter().map(entry).collect();
    let id = id_of(&format!("entries {}", numbers[0]), NOON_MS);
    let alpha = bic_of("Alpha");
    let draft = Draft::book_entries(id, &alpha, NOON_MS + HOUR_MS, &items);
    ledger.consortium.sign(&alpha, draft)
}

/// A figure of the kernel about this process, MiB.
fn mebibytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let mut ledger = begun();
    println!("at the beginning: {} MiB", mebibytes("VmRSS"));
    let numbers: Vec<u64> = (1..=count).collect();
    for (what, make) in [
        ("postings", payments as fn(&Ledger, &[u64]) -> Bytes),
        ("entries", entries as fn(&Ledger, &[u64]) -> Bytes),
    ] {
        let (mut seconds, mut written) = (0.0, 0);
        for numbers in numbers.chunks(usize::try_from(BATCH).unwrap()) {
            let instruction = make(&ledger, numbers);
            let started = Instant::now();
            written += ledger.execute(vec![instruction]);
            seconds += started.elapsed().as_secs_f64();
        }
        let each = seconds * 1e6 / count as f64;
        let (resident, bytes) = (mebibytes("VmRSS"), written as u64 / count);
        println!(
            "{count} {what}: {seconds:.1} s, {each:.1} µs each, {bytes} bytes of records each; {resident} MiB"
        );
    }
    let started = Instant::now();
    let sheet = ledger.sheet().unwrap();
    let found =
        [Class::Match, Class::Break].map(|class| sheet.open_findings_from(class, 0).count());
    let today = Date::from_unix_ms(NOON_MS);
    let held = ledger.state.account(&account("Alpha")).unwrap();
    let report = sheet.report(held, Comparison::LedgerOwner, (today, today));
    assert!(report.adds_up());
    assert_eq!(sheet.book(Source::OwnerBook).unwrap().count(), count);
    let [matches, breaks] = found;
    println!(
        "{matches} matches, {breaks} breaks; a report of the day in {:.2} s",
        started.elapsed().as_secs_f64()
    );
    println!("at most {} MiB", mebibytes("VmHWM"));
}
