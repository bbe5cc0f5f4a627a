//! What following costs beside executing, in CPU time: `cargo run --release -p counterfoil-ledger
//! --example follow_speed`. Debug builds show the ratio alone.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{fs, time::Duration};

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    apply::{LogPosition, Prepared},
    block::{Facts, decode_leaves},
    header::Header,
    instruction::Draft,
    proposal::{Proposal, ProposalHeader},
    replay::proposal_holds,
    state::State,
};
use counterfoil_proto::v1::{self, instruction::Body};
use support::{
    Chain, Consortium, Entry, NOON_MS,
    build::{HOUR_MS, id_of, open, transfer},
    consortium::bic_of,
};

const BLOCKS: u64 = 8;
const TRANSFERS: usize = 4_096;

fn account(name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(name), "CHF", "main")
}

/// Blocks of transfers, so many under one signature.
fn chain(batch: usize) -> Chain {
    let mut chain = Chain::new(Consortium::new(&["Central", "Alpha", "Beta"], &[("CHF", 2)]));
    let until = NOON_MS + HOUR_MS;
    let sign = |chain: &Chain, label: &str, signer: &str, body: Body| {
        let bic = bic_of(signer);
        chain.consortium.sign(&bic, Draft::new(id_of(label, NOON_MS), &bic, until, body))
    };
    let mut first: Vec<Bytes> = ["Central", "Alpha", "Beta"]
        .iter()
        .map(|name| {
            let body = open(&bic_of("Central"), &bic_of(name), "CHF", "main");
            sign(&chain, &format!("open {name}"), "Central", body)
        })
        .collect();
    let fund = transfer("fund", &account("Central"), &account("Alpha"), 1_000_000);
    first.push(sign(&chain, "fund", "Central", Body::Transfer(fund)));
    chain.execute(NOON_MS + 1_000, first);
    for block in 1..=BLOCKS {
        let payment = |number: usize| {
            let label = format!("{batch} {block} {number}");
            let mut payment = transfer(&label, &account("Alpha"), &account("Beta"), 1);
            payment.end_to_end_id = label;
            payment
        };
        let numbers: Vec<usize> = (0..TRANSFERS).collect();
        let instructions = numbers.chunks(batch).map(|numbers| {
            let label = format!("{batch} {block} {}", numbers[0]);
            if batch == 1 {
                return sign(&chain, &label, "Alpha", Body::Transfer(payment(numbers[0])));
            }
            let items: Vec<v1::Transfer> = numbers.iter().map(|it| payment(*it)).collect();
            let alpha = bic_of("Alpha");
            let id = id_of(&label, NOON_MS);
            chain.consortium.sign(&alpha, Draft::transfers(id, &alpha, until, &items, false))
        });
        let instructions = instructions.collect();
        chain.execute(NOON_MS + 1_000 + block * 10, instructions);
    }
    chain
}

/// CPU time of this thread so far, by the kernel's count.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Checks and decides; what a node reads of its history is not in it.
fn executed(chain: &Chain) -> Duration {
    let (mut state, _) = State::genesis(chain.consortium.genesis.clone());
    let start = cpu();
    for entry in &chain.entries {
        let Entry::Block { header, proposal, .. } = entry else { continue };
        let header = Header::decode(header).unwrap();
        let proposal = Proposal::decode(proposal).unwrap();
        let signed = proposal_holds(&proposal, &state);
        let (registry, chain_id) = (state.registry(), state.chain_id());
        let prepared = proposal.instructions.iter();
        let prepared: Vec<_> =
            prepared.map(|bytes| Prepared::new(bytes.clone(), registry, &chain_id)).collect();
        let log =
            LogPosition { term: header.raft_term, node: header.proposer, index: header.raft_index };
        state.commit(&proposal.header, signed, &prepared, &Facts::default(), log);
    }
    assert_eq!(state.header_hash(), chain.state.header_hash());
    cpu() - start
}

fn followed(chain: &Chain) -> Duration {
    let (mut state, _) = State::genesis(chain.consortium.genesis.clone());
    let start = cpu();
    for entry in &chain.entries {
        match entry {
            Entry::Void { header } => state.follow(&ProposalHeader::decode(header).unwrap()),
            Entry::Block { header, proposal, outcomes } => {
                let header = Header::decode(header).unwrap();
                let proposal = Proposal::decode(proposal).unwrap();
                let leaves = decode_leaves(outcomes).unwrap();
                state.follow_block(&header, &proposal, &leaves).unwrap();
            }
        }
    }
    assert_eq!(state.header_hash(), chain.state.header_hash());
    cpu() - start
}

fn main() {
    println!("| transfers under a signature | executed, µs each | followed, µs each | ratio |");
    println!("|---|---|---|---|");
    let count = BLOCKS as f64 * TRANSFERS as f64;
    for batch in [1, 100, TRANSFERS] {
        let chain = chain(batch);
        let each = |of: Duration| of.as_secs_f64() * 1e6 / count;
        let best = |of: fn(&Chain) -> Duration| each((0..3).map(|_| of(&chain)).min().unwrap());
        let (executed, followed) = (best(executed), best(followed));
        println!("| {batch} | {executed:.1} | {followed:.1} | {:.1} |", executed / followed);
    }
}
