//! Whatever comes in, nothing panics: random bytes, and good bytes with changes, through everything
//! that reads bytes from outside or from disk.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use bytes::Bytes;
use counterfoil_ledger::{
    account::{Account, AccountId},
    agreement::AgreementId,
    apply::{Decision, LogPosition},
    block::{decode_leaves, encode_leaves},
    checkpoint::{Checkpoint, Note},
    genesis::Genesis,
    header::Header,
    instruction::{Draft, Instruction},
    outcome::Outcome,
    proposal::{Proposal, ProposalHeader},
    reconciliation::effect,
    replay::Replay,
    signature::{PublicKey, SoftwareSigner},
    state::{State, TIME_MAX_MS},
};
use counterfoil_proto::v1::{self, instruction::Body};
use proptest::prelude::*;
use prost::Message;
use support::{
    Chain, Consortium, Entry, NOON_MS,
    build::{self, HOUR_MS, id_of, uetr_of},
    chain::sign_proposal,
    consortium::bic_of,
    expect::{in_tests, unhex},
};

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Everything that reads bytes. What it takes, it writes back as it was.
fn read_as_everything(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    if let Ok(instruction) = Instruction::decode(shared.clone()) {
        let message = v1::SignedInstruction::decode(shared.clone()).unwrap();
        assert_eq!(message.encode_to_vec(), bytes);
        assert_eq!(instruction.bytes, shared);
        assert!(instruction.leaf_count() >= 1);
    }
    if let Some(proposal) = Proposal::decode(&shared) {
        assert_eq!(proposal.encode(), shared);
    }
    if let Some(header) = ProposalHeader::decode(bytes) {
        assert_eq!(header.encode()[..], *bytes);
    }
    if let Some(header) = Header::decode(bytes) {
        assert_eq!(header.encode()[..], *bytes);
    }
    if let Some(leaves) = decode_leaves(bytes) {
        assert_eq!(encode_leaves(&leaves), bytes);
    }
    if let Some(outcome) = Outcome::decode(bytes) {
        assert_eq!(outcome.encode()[..], *bytes);
    }
    if let Some(effects) = effect::decode(bytes) {
        assert!(effects.iter().all(|(_, effects)| !effects.is_empty()));
    }
    if let Ok(genesis) = Genesis::decode(bytes) {
        assert_eq!(genesis.bytes()[..], *bytes);
        // What is taken can be founded and goes on.
        let (mut state, _) = State::genesis(genesis.clone());
        let proposal = Proposal::decode(&good_chain().1).unwrap();
        let log = LogPosition { term: 1, node: 1, index: 1 };
        state.commit(&proposal.header, true, &[], &Default::default(), log);
    }
    if let Some(account) = Account::decode(bytes) {
        assert_eq!(account.encode(), bytes);
    }
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        if let Ok(checkpoint) = Checkpoint::parse(&note.text) {
            assert_eq!(checkpoint.text(), note.text);
        }
    }
    let _ = PublicKey::from_spki(bytes);
    let _ = SoftwareSigner::from_pkcs8_der(bytes);
    let _ = SoftwareSigner::from_pkcs8_pem(&String::from_utf8_lossy(bytes));
}

/// The golden bytes: genesis file and one proposal first.
fn good_chain() -> (Vec<u8>, Bytes) {
    let text = std::fs::read_to_string(in_tests("vectors/chain-1.hex")).unwrap();
    let mut sections = text.split("# ").skip(1).map(|section| section.split_once('\n').unwrap());
    let genesis = unhex(sections.next().unwrap().1);
    let (_, proposal) = sections.find(|(name, _)| *name == "proposal").unwrap();
    (genesis, unhex(proposal).into())
}

/// Every golden run of bytes, of every kind.
fn good_bytes() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(in_tests("vectors")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let text = std::fs::read_to_string(path).unwrap();
            let sections = text.split("# ").skip(1);
            all.extend(sections.map(|section| unhex(section.split_once('\n').unwrap().1)));
        }
    }
    all
}

/// One change of some bytes: overwrite, insert, delete, cut, repeat, or a great number.
#[derive(Clone, Debug)]
struct Change {
    kind: u8,
    at: prop::sample::Index,
    byte: u8,
    length: usize,
}

fn change() -> impl Strategy<Value = Change> {
    (0..6u8, any::<prop::sample::Index>(), any::<u8>(), 1..40usize)
        .prop_map(|(kind, at, byte, length)| Change { kind, at, byte, length })
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let at = change.at.index(bytes.len());
        let end = (at + change.length).min(bytes.len());
        match change.kind {
            0 => bytes[at] = change.byte,
            1 => bytes.insert(at, change.byte),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => bytes.extend_from_within(at..end),
            _ => bytes[at..end].fill(0xff),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn changed_bytes(changes in prop::collection::vec(change(), 1..5)) {
        for bytes in GOOD.with(Clone::clone) {
            read_as_everything(&changed(&bytes, &changes));
        }
    }

    /// An instruction with changes is refused, or decided; the ledger goes on and is whole.
    #[test]
    fn changed_instructions_execute(
        kind in 0..7usize,
        signed in prop::collection::vec(change(), 0..3),
        inner in prop::collection::vec(change(), 0..3),
    ) {
        let mut chain = opened();
        let draft = draft(kind);
        let alpha = bic_of("Alpha");
        // Changes under a good signature reach further in than changes of the signed bytes.
        let inside = Draft {
            instruction: changed(&draft.instruction, &inner).into(),
            items: draft.items.iter().map(|item| changed(item, &inner).into()).collect(),
        };
        let outside = changed(&chain.consortium.sign(&alpha, inside.clone()), &signed).into();
        let inside = chain.consortium.sign(&alpha, inside);
        let good = chain.consortium.sign(&alpha, draft);
        let (_, decisions) = chain.execute(NOON_MS + 2_000, vec![inside, outside, good]);
        prop_assert_eq!(decisions.len(), 3);
        let sum: i128 = chain.state.accounts().iter().map(|account| account.balance).sum();
        prop_assert_eq!(sum, 0);
        let replay = chain.replay().unwrap();
        prop_assert_eq!(replay.state().core(), chain.state.core());
    }

    /// A chain with changes anywhere is refused, and the verifier survives it.
    #[test]
    fn changed_chains_replay_without_panic(
        place in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..4),
        part in 0..3u8,
    ) {
        let mut chain = opened();
        for (number, kind) in (1..).zip(0..7) {
            let bytes = chain.consortium.sign(&bic_of("Alpha"), draft(kind));
            chain.execute(NOON_MS + 2_000 + number, vec![bytes]);
        }
        let place = place.index(chain.entries.len());
        let mut replay = Replay::new(chain.consortium.genesis.clone());
        let mut held = true;
        for (number, entry) in chain.entries.iter().enumerate() {
            let mut entry = entry.clone();
            if let (true, Entry::Block { header, proposal, outcomes }) = (number == place, &mut entry) {
                match part {
                    0 => *header = changed(header, &changes),
                    1 => *proposal = changed(proposal, &changes).into(),
                    _ => *outcomes = changed(outcomes, &changes),
                }
            }
            // Even a verifier that goes on after an error does not panic.
            held &= entry.replay(&mut replay).is_ok();
        }
        if held {
            let untouched = replay.state().core() == chain.state.core();
            let tip = replay.state().header_hash();
            prop_assert!(untouched || tip != chain.state.header_hash());
        }
    }

    /// Storage that was damaged is refused, or gives a state that goes on.
    #[test]
    fn damaged_storage_is_refused_or_goes_on(
        what in 0..3u8,
        place in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let mut chain = opened();
        for (number, kind) in (1..).zip(0..7) {
            let bytes = chain.consortium.sign(&bic_of("Alpha"), draft(kind));
            chain.execute(NOON_MS + 2_000 + number, vec![bytes]);
        }
        let mut accounts: Vec<Vec<u8>> = chain.accounts.values().cloned().collect();
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = chain.records.clone().into_iter().collect();
        match what {
            0 => {
                let place = place.index(accounts.len());
                accounts[place] = changed(&accounts[place], &changes);
            }
            1 => {
                let place = place.index(records.len());
                records[place].1 = changed(&records[place].1, &changes);
            }
            _ => {
                let place = place.index(records.len());
                records[place].0 = changed(&records[place].0, &changes);
            }
        }
        let genesis = chain.consortium.genesis.clone();
        let core = chain.state.core();
        let restored = State::restore(genesis, &core, accounts, records);
        if let Ok(state) = restored {
            chain.state = state;
            let bytes = chain.consortium.sign(&bic_of("Alpha"), payment("after", 6));
            chain.execute(NOON_MS + 9_000, vec![bytes]);
        }
    }
}

thread_local! {
    static GOOD: Vec<Vec<u8>> = good_bytes();
}

fn account(owner: &str) -> AccountId {
    let (servicer, owner) = (bic_of("Alpha"), bic_of(owner));
    AccountId::of(&servicer, &owner, "CHF", "main")
}

/// Terms between Alpha and Beta, and Beta's answer.
fn agreement() -> [Draft; 2] {
    let (alpha, beta) = (bic_of("Alpha"), bic_of("Beta"));
    let terms = build::terms("terms", (&alpha, &beta), &[account("Beta")], 20_261_101);
    let accept = AgreementId::of(&terms);
    let accept = build::answer("accept", &accept, v1::AgreementAnswer::Accept);
    let until = NOON_MS + HOUR_MS;
    [
        Draft::new(id_of("offer", NOON_MS), &alpha, until, build::offer(terms, until)),
        Draft::new(id_of("accept", NOON_MS), &beta, until, accept),
    ]
}

/// A ledger on which Alpha may issue to Beta, and both compare their books with it.
fn opened() -> Chain {
    let mut chain = Chain::new(Consortium::new(&["Alpha", "Beta"], &[("CHF", 2)]));
    let alpha = bic_of("Alpha");
    let opening = ["Alpha", "Beta"].map(|owner| {
        let body = build::open(&alpha, &bic_of(owner), "CHF", "main");
        let label = format!("open {owner}");
        let id = id_of(&label, NOON_MS);
        let draft = Draft::new(id, &alpha, NOON_MS + HOUR_MS, body);
        chain.consortium.sign(&alpha, draft)
    });
    let mut instructions = opening.to_vec();
    let signers = ["Alpha", "Beta"].map(bic_of);
    let agreed = signers.iter().zip(agreement());
    instructions.extend(agreed.map(|(signer, draft)| chain.consortium.sign(signer, draft)));
    let (block, _) = chain.execute(NOON_MS + 1_000, instructions);
    assert!(block.leaves.iter().all(|leaf| leaf.outcome.reason.is_none()));
    chain
}

fn payment(label: &str, amount: u64) -> Draft {
    let mut transfer = build::transfer(label, &account("Alpha"), &account("Beta"), amount);
    transfer.end_to_end_id = "R1".to_owned();
    let body = Body::Transfer(transfer);
    let (id, until) = (id_of(label, NOON_MS), NOON_MS + HOUR_MS);
    Draft::new(id, &bic_of("Alpha"), until, body)
}

fn draft(kind: usize) -> Draft {
    let alpha = bic_of("Alpha");
    let id = id_of(&format!("draft {kind}"), NOON_MS);
    let until = NOON_MS + HOUR_MS;
    let transfer = |label: &str| build::transfer(label, &account("Alpha"), &account("Beta"), 5);
    let entry = |label: &str| {
        let beta = account("Beta");
        let entry = build::book_entry(label, &beta, v1::Side::Credit, 5, 20_261_123);
        v1::BookEntry { uetr: Bytes::copy_from_slice(uetr_of("one").as_bytes()), ..entry }
    };
    match kind {
        0 => payment("payment", 5),
        1 => Draft::transfers(id, &alpha, until, &[transfer("one"), transfer("two")], true),
        2 => Draft::book_entries(id, &alpha, until, &[entry("one"), entry("again")]),
        3 => {
            let day = build::statement("S1", &account("Beta"), 20_261_123, 20_261_123);
            Draft::new(id, &alpha, until, Body::Statement(day))
        }
        4 => Draft::new(id, &alpha, until, build::open(&alpha, &alpha, "CHF", "third")),
        5 => {
            let run = v1::RunMatching {
                account: Bytes::copy_from_slice(account("Beta").as_bytes()),
                salt: vec![7; 16].into(),
            };
            Draft::new(id, &alpha, until, Body::RunMatching(run))
        }
        _ => {
            let step = v1::WorkBreak {
                account: Bytes::copy_from_slice(account("Beta").as_bytes()),
                number: 1,
                salt: vec![7; 16].into(),
                action: Some(v1::work_break::Action::Reopen(v1::ReopenBreak::default())),
            };
            Draft::new(id, &alpha, until, Body::WorkBreak(Box::new(step)))
        }
    }
}

/// A leader that stamps or counts absurdly is void; those after it are not.
#[test]
fn absurd_stamps_and_sequences_are_void() {
    let mut chain = opened();
    let mut absurd = chain.proposal(TIME_MAX_MS + 1, Vec::new());
    assert!(chain.commit(absurd.clone()).is_none());
    absurd = chain.proposal(NOON_MS, Vec::new());
    absurd.header.sequence = u64::MAX;
    let absurd = sign_proposal(&chain.consortium, absurd.header, Vec::new());
    assert!(chain.commit(absurd).is_none());
    let bytes = chain.consortium.sign(&bic_of("Alpha"), payment("after", 6));
    let (block, decisions) = chain.execute(NOON_MS + 5_000, vec![bytes]);
    assert!(matches!(decisions[..], [Decision::Decided(_)]));
    assert_eq!(block.header.height, 2);
    let last = chain.proposal(TIME_MAX_MS, Vec::new());
    assert!(chain.commit(last).is_some());
    chain.execute(TIME_MAX_MS, Vec::new());
    chain.replay().unwrap();
}

/// A book that names one reference thousands of times costs a posting no more than a bounded look.
#[test]
fn a_reference_that_a_book_repeats_is_looked_at_within_bounds() {
    let mut chain = opened();
    let alpha = bic_of("Alpha");
    let entries: Vec<v1::BookEntry> = (0..2_000)
        .map(|number| {
            let label = number.to_string();
            let entry =
                build::book_entry(&label, &account("Beta"), v1::Side::Credit, 5, 20_261_123);
            v1::BookEntry { end_to_end_id: "R1".to_owned(), ..entry }
        })
        .collect();
    let id = id_of("many", NOON_MS);
    let draft = Draft::book_entries(id, &alpha, NOON_MS + HOUR_MS, &entries);
    let bytes = chain.consortium.sign(&alpha, draft);
    chain.execute(NOON_MS + 2_000, vec![bytes]);
    let bytes = chain.consortium.sign(&alpha, payment("one", 5));
    let (block, _) = chain.execute(NOON_MS + 3_000, vec![bytes]);
    assert!(block.records.len() <= 200, "{} records for one posting", block.records.len());
    assert_eq!(chain.restored().core(), chain.state.core());
}
