//! A day of postings against a book of as many entries, of which each thousandth has another amount,
//! through the ledger: time and memory. `cargo run --release -p counterfoil-ledger --example
//! reconciliation_speed [payments]`. With a number of business days as well, `[payments] [days]`, each
//! day has as many, its breaks are ended and both banks sign it: what memory a day costs for ever, once the
//! first of them have closed. Debug builds measure nothing.

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
use counterfoil_proto::v1::{self, AgreementAnswer, instruction::Body, work_break::Action};
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
    /// When the day's orders are made.
    now_ms: u64,
}

fn account(name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(name), "CHF", "main")
}

impl Ledger {
    fn sign(&self, label: &str, signer: &str, body: Body) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::new(id_of(label, self.now_ms), &bic, self.now_ms + HOUR_MS, body);
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
            stamp_ms: self.now_ms + 1_000 + self.index,
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
    let mut ledger = Ledger { consortium, state, index: 1, now_ms: NOON_MS };
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
    let id = id_of(&format!("payments {}", numbers[0]), ledger.now_ms);
    let alpha = bic_of("Alpha");
    let draft = Draft::transfers(id, &alpha, ledger.now_ms + HOUR_MS, &items, false);
    ledger.consortium.sign(&alpha, draft)
}

fn entries(ledger: &Ledger, numbers: &[u64]) -> Bytes {
    let today = Date::from_unix_ms(ledger.now_ms).yyyymmdd();
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
    let id = id_of(&format!("entries {}", numbers[0]), ledger.now_ms);
    let alpha = bic_of("Alpha");
    let draft = Draft::book_entries(id, &alpha, ledger.now_ms + HOUR_MS, &items);
    ledger.consortium.sign(&alpha, draft)
}

/// A figure of the kernel about this process, MiB.
fn mebibytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

/// Ends the open breaks by the word of both banks, a few thousand instructions a block.
fn end_breaks(ledger: &mut Ledger) {
    let sheet = ledger.sheet().unwrap();
    let numbers: Vec<u64> =
        sheet.open_findings_from(Class::Break, 0).map(|finding| finding.number).collect();
    let offer = v1::ProposeResolution {
        kind: v1::ResolutionKind::NoAction.into(),
        ..v1::ProposeResolution::default()
    };
    let agreed = v1::AgreeResolution { offer: Some(offer.clone()), transfer: None };
    let steps = [("Alpha", Action::Propose(offer)), ("Central", Action::Agree(agreed))];
    for numbers in numbers.chunks(1_024) {
        for (signer, action) in &steps {
            let step = |number: &u64| {
                let step = v1::WorkBreak {
                    account: Bytes::copy_from_slice(account("Alpha").as_bytes()),
                    number: *number,
                    salt: Bytes::copy_from_slice(&[1; 16]),
                    action: Some(action.clone()),
                };
                let label = format!("break {number} {signer}");
                ledger.sign(&label, signer, Body::WorkBreak(Box::new(step)))
            };
            let instructions = numbers.iter().map(step).collect();
            ledger.execute(instructions);
        }
    }
}

/// Both banks sign the day. The owner's book began with what the account held then.
fn sign(ledger: &mut Ledger) {
    let today = Date::from_unix_ms(ledger.now_ms);
    for (signer, source) in [("Central", Source::Ledger), ("Alpha", Source::OwnerBook)] {
        let (sheet, held) = (ledger.sheet().unwrap(), ledger.state.account(&account("Alpha")));
        let ever = Date::from_day_number(0);
        let book = sheet.book(source).unwrap();
        let before = book.movement_from(ever) - book.movement_from(today);
        let own = i64::try_from((1 << 50) + before).unwrap();
        let view = sheet.figures(held.unwrap(), source, today).view(own).unwrap();
        let body = Body::SignPosition(v1::SignPosition {
            account: Bytes::copy_from_slice(account("Alpha").as_bytes()),
            date: today.yyyymmdd(),
            opening_balance: view.opening,
            credit_count: view.credit_count,
            credits: view.credits,
            debit_count: view.debit_count,
            debits: view.debits,
            closing_balance: view.closing,
            digest: Bytes::copy_from_slice(view.digest.as_bytes()),
            salt: Bytes::copy_from_slice(&[1; 16]),
        });
        let signed = ledger.sign(&format!("sign {today} {signer}"), signer, body);
        ledger.execute(vec![signed]);
    }
    let position = ledger.sheet().unwrap().position(today).unwrap();
    assert!(position.agreed_at.is_some(), "{position:?}");
}

/// One business day after the other.
fn days(count: u64, days: u64) {
    let mut ledger = begun();
    println!("day: orders, closing; items and findings in memory; MiB in memory");
    for day in 0..days {
        let started = Instant::now();
        let numbers: Vec<u64> = (day * count + 1..=(day + 1) * count).collect();
        for numbers in numbers.chunks(usize::try_from(BATCH).unwrap()) {
            for instruction in [payments(&ledger, numbers), entries(&ledger, numbers)] {
                ledger.execute(vec![instruction]);
            }
        }
        end_breaks(&mut ledger);
        sign(&mut ledger);
        let ordered = started.elapsed().as_secs_f64();
        let (started, mut blocks, mut longest) = (Instant::now(), 0, 0.0_f64);
        let is_due = |ledger: &Ledger| {
            let due_ms = ledger.state.reconciliation().due_ms();
            due_ms.is_some_and(|due_ms| due_ms <= ledger.now_ms + 1_000 + ledger.index)
        };
        while is_due(&ledger) {
            let block = Instant::now();
            ledger.execute(Vec::new());
            (blocks, longest) = (blocks + 1, longest.max(block.elapsed().as_secs_f64()));
        }
        let sheet = ledger.sheet().unwrap();
        let ever = (Date::from_day_number(0), Date::from_day_number(Date::LAST_DAY));
        let items = [Source::Ledger, Source::OwnerBook].map(|source| {
            sheet.book(source).map_or(0, |book| book.numbers_between(ever.0, ever.1).count())
        });
        let findings: usize = Class::ALL.map(|class| sheet.findings(class).count()).iter().sum();
        println!(
            "{}: {ordered:.1} s, {:.1} s in {blocks} blocks of at most {:.0} ms; {} items, {findings} findings; {} MiB",
            Date::from_unix_ms(ledger.now_ms),
            started.elapsed().as_secs_f64(),
            longest * 1e3,
            items.iter().sum::<usize>(),
            mebibytes("VmRSS"),
        );
        let agreement = ledger.state.agreements().newest(&account("Alpha")).unwrap();
        let today = Date::from_unix_ms(ledger.now_ms);
        let next = agreement.terms.calendar.next_business_day(today);
        let days = u64::from(next.day_number() - today.day_number());
        ledger.now_ms += days * 24 * HOUR_MS;
    }
}

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    if let Some(count_of_days) = std::env::args().nth(2) {
        return days(count, count_of_days.parse().unwrap());
    }
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
