//! What a block has done counts for what comes later in the same block, as it does for the next.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    agreement::AgreementId,
    apply::Decision,
    block::decode_leaves,
    header::Header,
    instruction::Draft,
    outcome::{Outcome, State as OutcomeState},
    proposal::Proposal,
    reason::Reason,
    reconciliation::finding::{Class, Says},
    state::State,
};
use counterfoil_proto::v1::{self, instruction::Body};
use support::{
    Chain, Consortium, Entry, NOON_MS,
    build::{self, HOUR_MS, id_of, sign_with, uetr_of},
    consortium::{bic_of, ed25519},
};

const TODAY: u32 = 20_261_123;

fn chain() -> Chain {
    Chain::new(Consortium::new(&["Central", "Alpha", "Beta"], &[("CHF", 2)]))
}

fn account(owner: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(owner), "CHF", "main")
}

fn plain(chain: &Chain, label: &str, signer: &str, body: Body) -> Bytes {
    let bic = bic_of(signer);
    let draft = Draft::new(id_of(label, NOON_MS), &bic, NOON_MS + HOUR_MS, body);
    chain.consortium.sign(&bic, draft)
}

fn open(chain: &Chain, owner: &str) -> Bytes {
    let body = build::open(&bic_of("Central"), &bic_of(owner), "CHF", "main");
    plain(chain, &format!("open {owner}"), "Central", body)
}

fn transfer(label: &str, from: &str, to: &str, amount: u64) -> v1::Transfer {
    build::transfer(label, &account(from), &account(to), amount)
}

fn pay(chain: &Chain, label: &str, from: &str, to: &str, amount: u64) -> Bytes {
    plain(chain, label, from, Body::Transfer(transfer(label, from, to, amount)))
}

fn opened_and_funded(chain: &Chain) -> Vec<Bytes> {
    vec![
        open(chain, "Central"),
        open(chain, "Alpha"),
        open(chain, "Beta"),
        pay(chain, "fund", "Central", "Alpha", 100),
    ]
}

/// Beta's book of its account is compared with the ledger.
fn agreed(chain: &Chain) -> [Bytes; 2] {
    let parties = (&bic_of("Central"), &bic_of("Beta"));
    let terms = build::terms("terms", parties, &[account("Beta")], TODAY);
    let terms = v1::AgreementTerms { servicer_book: false, ..terms };
    let agreement = AgreementId::of(&terms);
    let accept = build::answer("accept", &agreement, v1::AgreementAnswer::Accept);
    [
        plain(chain, "offer", "Beta", build::offer(terms, NOON_MS + HOUR_MS)),
        plain(chain, "accept", "Central", accept),
    ]
}

fn reasons(outcomes: impl Iterator<Item = Outcome>) -> Vec<Option<Reason>> {
    outcomes.map(|outcome| outcome.reason).collect()
}

#[test]
fn accounts_money_and_ids() {
    let mut chain = chain();
    let mut instructions = opened_and_funded(&chain);
    instructions.push(open(&chain, "Alpha"));
    instructions.push(pay(&chain, "first", "Alpha", "Beta", 60));
    instructions.push(pay(&chain, "second", "Alpha", "Beta", 60));
    instructions.push(pay(&chain, "first", "Alpha", "Beta", 60));
    instructions.push(pay(&chain, "first", "Alpha", "Beta", 61));
    instructions.push(pay(&chain, "back", "Beta", "Alpha", 60));
    let (block, decisions) = chain.execute(NOON_MS + 1_000, instructions);
    let found = reasons(block.leaves.iter().map(|leaf| leaf.outcome));
    let short = Some(Reason::InsufficientFunds);
    assert_eq!(found, [None, None, None, None, None, short, None]);
    assert_eq!(decisions[4], decisions_replayed(&decisions[1]));
    assert_eq!(decisions[7], decisions_replayed(&decisions[5]));
    assert_eq!(decisions[8], Decision::Refused(Reason::IdReused));
    assert_eq!(chain.state.account(&account("Alpha")).unwrap().balance, 100);
    chain.replay().unwrap();
}

fn decisions_replayed(decision: &Decision) -> Decision {
    let Decision::Decided(position) = decision else { panic!("{decision:?}") };
    Decision::Replayed(*position)
}

#[test]
fn uetrs_settle_once_and_an_aborted_batch_frees_its_own() {
    let mut chain = chain();
    let mut instructions = opened_and_funded(&chain);
    let first = transfer("first", "Alpha", "Beta", 10);
    let mut same_uetr = transfer("other", "Alpha", "Beta", 11);
    same_uetr.uetr = first.uetr.clone();
    let aborted = [transfer("freed", "Alpha", "Beta", 10), same_uetr.clone()];
    let alpha = bic_of("Alpha");
    instructions.push(plain(&chain, "1", "Alpha", Body::Transfer(first)));
    instructions.push(plain(&chain, "2", "Alpha", Body::Transfer(same_uetr)));
    let until = NOON_MS + HOUR_MS;
    let batch = Draft::transfers(id_of("3", NOON_MS), &alpha, until, &aborted, true);
    instructions.push(chain.consortium.sign(&alpha, batch));
    instructions.push(pay(&chain, "freed", "Alpha", "Beta", 12));
    let (block, _) = chain.execute(NOON_MS + 1_000, instructions);
    let found = reasons(block.leaves[4..].iter().map(|leaf| leaf.outcome));
    let (settled, aborted) = (Some(Reason::UetrSettled), Some(Reason::BatchAborted));
    assert_eq!(found, [None, settled, None, aborted, settled, None]);
    assert_eq!(chain.state.account(&account("Beta")).unwrap().balance, 22);
    chain.replay().unwrap();
}

#[test]
fn entries_and_statements() {
    let mut chain = chain();
    let mut instructions = opened_and_funded(&chain);
    instructions.extend(agreed(&chain));
    let beta = bic_of("Beta");
    let entry = |label: &str, amount| {
        build::book_entry(label, &account("Beta"), v1::Side::Credit, amount, TODAY)
    };
    let by_uetr = |label: &str, amount| v1::BookEntry {
        uetr: Bytes::copy_from_slice(uetr_of(label).as_bytes()),
        ..entry(label, amount)
    };
    let by_reference = |label: &str, amount| v1::BookEntry {
        end_to_end_id: "R1".to_owned(),
        ..entry(label, amount)
    };
    let entries = [by_uetr("before", 10), by_reference("reference", 20), by_uetr("after", 30)];
    let mut referring = transfer("referring", "Alpha", "Beta", 20);
    referring.end_to_end_id = "R1".to_owned();
    instructions.push(pay(&chain, "before", "Alpha", "Beta", 10));
    instructions.push(plain(&chain, "referring", "Alpha", Body::Transfer(referring)));
    let until = NOON_MS + HOUR_MS;
    let book = Draft::book_entries(id_of("book", NOON_MS), &beta, until, &entries);
    instructions.push(chain.consortium.sign(&beta, book));
    instructions.push(pay(&chain, "after", "Alpha", "Beta", 30));
    instructions.push(pay(&chain, "unknown", "Alpha", "Beta", 1));
    let statement = build::statement("S1", &account("Beta"), TODAY, TODAY);
    instructions.push(plain(&chain, "statement", "Beta", Body::Statement(statement)));
    instructions.push(pay(&chain, "late", "Alpha", "Beta", 2));
    let (block, _) = chain.execute(NOON_MS + 1_000, instructions);
    assert!(block.leaves.iter().all(|leaf| leaf.outcome.state != OutcomeState::Rejected));
    let ordinal = chain.state.account(&account("Beta")).unwrap().ordinal;
    let sheet = chain.state.reconciliation().sheet(ordinal).unwrap();
    let matched: Vec<_> = sheet.findings(Class::Match).map(|it| it.items.clone()).collect();
    let pair = |posting, entry| [vec![posting], vec![entry]];
    assert_eq!(matched, [pair(1, 1), pair(2, 2), pair(3, 3)]);
    let late: Vec<_> = sheet.findings(Class::Break).map(|it| it.items[0].clone()).collect();
    assert_eq!(late, [vec![], vec![4], vec![5]], "a statement, and what it has not");
    chain.replay().unwrap();
}

/// An entry that may have several postings is nobody's, and likewise the other way round.
#[test]
fn of_several_none_is_taken() {
    let mut chain = chain();
    let mut instructions = opened_and_funded(&chain);
    instructions.extend(agreed(&chain));
    let beta = bic_of("Beta");
    let paid = |label: &str, reference: &str| v1::Transfer {
        end_to_end_id: reference.to_owned(),
        ..transfer(label, "Alpha", "Beta", 5)
    };
    let entry = |label: &str, reference: &str| v1::BookEntry {
        end_to_end_id: reference.to_owned(),
        ..build::book_entry(label, &account("Beta"), v1::Side::Credit, 5, TODAY)
    };
    for label in ["old", "new"] {
        instructions.push(plain(&chain, label, "Alpha", Body::Transfer(paid(label, "R1"))));
    }
    let until = NOON_MS + HOUR_MS;
    let entries = [entry("one", "R1"), entry("two", "R2"), entry("three", "R2")];
    let book = Draft::book_entries(id_of("book", NOON_MS), &beta, until, &entries);
    instructions.push(chain.consortium.sign(&beta, book));
    instructions.push(plain(&chain, "late", "Alpha", Body::Transfer(paid("late", "R2"))));
    let (block, _) = chain.execute(NOON_MS + 1_000, instructions);
    let ordinal = chain.state.account(&account("Beta")).unwrap().ordinal;
    let sheet = chain.state.reconciliation().sheet(ordinal).unwrap();
    let proposed: Vec<_> = sheet
        .findings(Class::Proposal)
        .filter(|it| it.closed_at.is_none())
        .map(|it| it.items.clone())
        .collect();
    let settled = block.transfers.len();
    assert_eq!(settled, 4, "funds, old, new and late");
    assert_eq!(proposed, [[vec![1], vec![1]], [vec![2], vec![1]], [vec![3], vec![2, 3]]]);
    let duplicates = sheet.findings(Class::Break).filter(|it| it.closed_at.is_none());
    assert!(duplicates.map(|it| &it.says).all(|says| matches!(says, Says::Break { .. })));
}

/// No root says which copy of an instruction has its leaf: whoever follows finds out a wrong one.
#[test]
fn the_first_copy_whose_signature_holds_has_the_leaf() {
    let mut chain = chain();
    let opened = opened_and_funded(&chain);
    chain.execute(NOON_MS + 1_000, opened);
    let alpha = bic_of("Alpha");
    let body = Body::Transfer(transfer("pay", "Alpha", "Beta", 7));
    let draft = || Draft::new(id_of("pay", NOON_MS), &alpha, NOON_MS + HOUR_MS, body.clone());
    let forged = sign_with(&ed25519("stranger"), &chain.consortium.chain_id(), draft());
    let signed = chain.consortium.sign(&alpha, draft());
    let before = chain.state.clone();
    let copies = vec![forged.clone(), signed.clone(), forged, signed];
    let (block, decisions) = chain.execute(NOON_MS + 2_000, copies);
    assert!(matches!(decisions[1], Decision::Decided(_)), "{decisions:?}");
    let Some(Entry::Block { header, proposal, outcomes }) = chain.entries.last() else {
        panic!("it is a block")
    };
    let header = Header::decode(header).unwrap();
    let proposal = Proposal::decode(proposal).unwrap();
    let mut leaves = decode_leaves(outcomes).unwrap();
    let follow =
        |state: &State, leaves: &[_]| state.clone().follow_block(&header, &proposal, leaves);
    assert_eq!(follow(&before, &leaves).unwrap().hash, block.hash);
    for place in [0, 2, 3, 4] {
        leaves[0].instruction = place;
        assert!(follow(&before, &leaves).is_err(), "copy {place}");
    }
}
