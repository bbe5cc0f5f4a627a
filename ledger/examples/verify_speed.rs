//! How fast the verifier is, and how large what it verifies: `cargo run --release -p
//! counterfoil-ledger --example verify_speed`. Debug builds measure nothing.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId, hash::Hash, header::Header, instruction::Draft, merkle, prove, verify,
};
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;
use support::{
    Archive, Chain, Consortium, NOON_MS,
    build::{HOUR_MS, id_of, open, transfer},
    consortium::bic_of,
};

const NAMES: [&str; 7] = ["Central", "Alpha", "Beta", "Gamma", "Delta", "Epsi", "Zeta"];

/// Items of the batch that is verified.
const ITEMS: usize = 8_192;

fn account(name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(name), "CHF", "main")
}

/// Two members with accounts, a batch between them, and some single payments.
fn archive() -> Archive {
    let mut chain = Chain::new(Consortium::new(&NAMES, &[("CHF", 2)]));
    let until = NOON_MS + HOUR_MS;
    let plain = |chain: &Chain, label: &str, signer: &str, body: Body| {
        let bic = bic_of(signer);
        chain.consortium.sign(&bic, Draft::new(id_of(label, NOON_MS), &bic, until, body))
    };
    let mut first = Vec::new();
    for name in ["Central", "Alpha", "Beta"] {
        let body = open(&bic_of("Central"), &bic_of(name), "CHF", "main");
        first.push(plain(&chain, &format!("open {name}"), "Central", body));
    }
    let fund = transfer("fund", &account("Central"), &account("Alpha"), 1_000_000);
    first.push(plain(&chain, "fund", "Central", Body::Transfer(fund)));
    chain.execute(NOON_MS + 1_000, first);
    let items: Vec<v1::Transfer> = (0..ITEMS)
        .map(|item| transfer(&format!("item {item}"), &account("Alpha"), &account("Beta"), 1))
        .collect();
    let alpha = bic_of("Alpha");
    let batch = Draft::transfers(id_of("batch", NOON_MS), &alpha, until, &items, false);
    let batch = chain.consortium.sign(&alpha, batch);
    chain.execute(NOON_MS + 2_000, vec![batch]);
    let payments = (0..256).map(|number| {
        let label = format!("payment {number}");
        let payment = transfer(&label, &account("Alpha"), &account("Beta"), 1);
        plain(&chain, &label, "Alpha", Body::Transfer(payment))
    });
    let payments = payments.collect();
    chain.execute(NOON_MS + 3_000, payments);
    for number in 0..8 {
        chain.execute(NOON_MS + 4_000 + number * 1_000, Vec::new());
    }
    Archive::of(chain)
}

/// Calls something for about a second; returns calls in a second.
fn rate(mut call: impl FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0u32);
    while start.elapsed().as_millis() < 1_000 {
        call();
        calls += 1;
    }
    f64::from(calls) / start.elapsed().as_secs_f64()
}

fn row(what: &str, bytes: usize, rate: f64) {
    println!("| {what} | {bytes} | {rate:.0} | {:.3} |", 1_000.0 / rate);
}

/// Headers as a replay reads them: decoded, hashed, taken into the tree of the history.
fn headers() -> f64 {
    const COUNT: u64 = 100_000;
    let (_, block) =
        counterfoil_ledger::state::State::genesis(Consortium::new(&NAMES, &[("CHF", 2)]).genesis);
    let mut history = merkle::Frontier::default();
    let mut last = block.header;
    let mut headers = vec![last.encode()];
    for height in 1..COUNT {
        history.push(prove::history_leaf(&last));
        last = Header { height, previous: last.hash(), history_root: history.root(), ..last };
        headers.push(last.encode());
    }
    let start = Instant::now();
    let mut history = merkle::Frontier::default();
    let mut previous = Hash::ZERO;
    for bytes in &headers {
        let header = Header::decode(bytes).unwrap();
        assert!(header.height == 0 || header.previous == previous);
        assert_eq!(header.history_root, history.root());
        previous = header.hash();
        history.push(merkle::leaf_hash(previous.as_bytes()));
    }
    let bytes: usize = headers.iter().map(|header| header.len()).sum();
    f64::from(u32::try_from(bytes).unwrap()) / 1_000_000.0 / start.elapsed().as_secs_f64()
}

fn main() {
    let archive = archive();
    let (trust, tip) = (archive.trust(), archive.height());
    println!("| what | bytes | a second | ms each |\n|---|---|---|---|");
    let receipt = |name: &str, receipt: v1::Receipt| {
        let bytes = Bytes::from(receipt.encode_to_vec());
        let rate = rate(|| {
            let receipt = verify::read::<v1::Receipt>(&bytes).unwrap();
            black_box(verify::receipt(&trust, &receipt).unwrap());
        });
        row(name, bytes.len(), rate);
    };
    receipt("receipt, ordered", archive.receipt(3, 100, None));
    receipt("receipt, five of seven signed", archive.receipt(3, 100, Some(tip)));
    receipt("receipt of an item of 8,192", archive.receipt(2, 5_000, Some(tip)));
    let instruction = archive.receipt(2, 0, Some(tip));
    let proof = prove::batch(archive.stored(2), 0).unwrap();
    let items = archive.stored(2).instruction(0).unwrap().1.items;
    let checked = rate(|| {
        black_box(verify::batch(&trust, &instruction, &items, &proof).unwrap());
    });
    row("batch of 8,192", proof.encoded_len(), checked);
    let batch = verify::batch(&trust, &instruction, &items, &proof).unwrap();
    let cut = rate(|| {
        black_box(batch.item_receipt(4_711).unwrap());
    });
    row(
        "receipt of an item, made of a batch",
        batch.item_receipt(4_711).unwrap().encoded_len(),
        cut,
    );
    let account = archive.account_proof(1, (0, tip), tip, Some(tip));
    let proved = rate(|| {
        black_box(verify::account(&trust, &account).unwrap());
    });
    row("account with 8,449 postings", account.encoded_len(), proved);
    println!("\nchain of headers: {:.0} MB/s", headers());
}
