//! Proofs from real nodes, checked with the genesis file and nothing else.

#![allow(clippy::unwrap_used)]

mod books;
mod node;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::instructions::{self, Order, Signed};
use counterfoil_client::v1;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::outcome::{Event, State};
use counterfoil_ledger::verify::{self, Finality, Trust, VerifiedReceipt};
use counterfoil_tests::banking::{account, agree, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use prost::Message;
use tonic::Code;

use node::Node;

const FINAL: v1::ReadMode = v1::ReadMode::Final;

/// Payments in each of the batches that make an account busy.
const BUSY: u64 = 250;

/// A consortium and what its genesis file alone lets one check.
struct World {
    consortium: Consortium,
    trust: Trust,
}

/// An instruction that was submitted, and what its receipt said then.
struct Submitted {
    signed: Signed,
    items: Vec<Bytes>,
    verified: VerifiedReceipt,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nodes_say_can_be_proved() {
    let consortium = Consortium::start();
    let genesis = std::fs::read(consortium.path().join("genesis.bin")).unwrap();
    let trust = Trust::new(Genesis::decode(&genesis).unwrap());
    let world = World { consortium, trust };
    open_and_fund(&world.consortium, "CHF", 1_000_000).await;
    let first_day = Date::from_yyyymmdd(20_260_101).unwrap();
    for bank in &BANKS[..2] {
        agree(&world.consortium, bank, "CHF", first_day).await;
    }
    let submitted = every_kind_of_receipt(&world).await;
    what_is_ordered_says_so(&world).await;
    by_position_for_its_parties_alone(&world, &submitted[0]).await;
    books::of_another_are_not_told(&world).await;
    an_opening_for_its_owner(&world).await;
    a_busy_account(&world).await;
    an_account_under_load(&world).await;
    accounts_at_any_height(&world).await;
    histories_between_any_heights(&world).await;
    for stopped in [false, true] {
        if stopped {
            restart(&world.consortium);
        }
        for (place, submitted) in submitted.iter().enumerate() {
            again_later(&world, submitted, place % world.consortium.node_count()).await;
        }
    }
    accounts_at_any_height(&world).await;
    histories_between_any_heights(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_final_is_not_called_so() {
    let consortium = Consortium::start();
    let genesis = std::fs::read(consortium.path().join("genesis.bin")).unwrap();
    let trust = Trust::new(Genesis::decode(&genesis).unwrap());
    let world = World { consortium, trust };
    open_and_fund(&world.consortium, "CHF", 1_000_000).await;
    let [payer, payee, _] = BANKS;
    let id = account(payer, "CHF");
    let before = world.node(0, payer).await.balance(&id, 0, FINAL).await.unwrap();
    let before = before.as_of.unwrap();
    // Two that execute and do not sign: blocks are ordered, and no certificate comes.
    for node in [2, 3] {
        assert_eq!(world.consortium.stop_node(node), Some(0));
        world.consortium.start_node_with(node, &["finality.sign=false"]);
    }
    world.consortium.wait_ready();
    let asked = world.node(0, payer).await;
    let client = world.consortium.client(payer);
    let signed = client.sign(Order::transfer(pay(payer, payee, 300))).await.unwrap();
    let answer = asked.submit(&signed, v1::Finality::Ordered).await.unwrap();
    let ordered = world.check(signed, answer);
    assert_eq!(ordered.verified.finality, Finality::Ordered);
    let (height, leaf) = (ordered.verified.header.height, ordered.verified.leaf);

    waits_in_vain(&world, &asked, &ordered, &before).await;
    let told = asked.receipt_at(height, leaf).await.unwrap_err();
    assert!(told.is(Code::Unavailable, "NOT_FINAL"), "{told:?}");
    let receipt = asked.ordered_receipt_at(height, leaf).await.unwrap();
    assert_eq!(world.receipt(&receipt).finality, Finality::Ordered);
    let told = world.node(0, BANKS[2]).await.receipt_at(height, leaf).await.unwrap_err();
    assert!(told.is(Code::NotFound, "NOT_FOUND"), "an outsider does not wait: {told:?}");
    // Of the funding both watches tell, of the payment the one that may.
    let seconds = Duration::from_secs(2);
    let waiting = asked.watch(&id, v1::Finality::Unspecified, seconds).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(asked.watch(&id, v1::Finality::Ordered, seconds).await.len(), 2);

    for node in [2, 3] {
        assert_eq!(world.consortium.stop_node(node), Some(0));
        world.consortium.start_node(node);
    }
    let answer = asked.submit(&ordered.signed, v1::Finality::Final).await.unwrap();
    assert!(answer.result.as_ref().unwrap().replayed);
    let answer = world.check(ordered.signed, answer);
    assert_final(&answer.verified);
    assert_eq!(asked.watch(&id, v1::Finality::Unspecified, seconds).await.len(), 2);
}

/// What waits for a certificate is told that there is none, and by whom; what does not says so.
async fn waits_in_vain(world: &World, asked: &Node, ordered: &Submitted, before: &v1::AsOf) {
    let id = account(BANKS[0], "CHF");
    let height = ordered.verified.header.height;
    let told = asked.submit_within(&ordered.signed, Duration::from_secs(3)).await.unwrap_err();
    assert!(told.is(Code::Unavailable, "NOT_FINAL_YET"), "{told:?}");
    let fact = |name: &str, value: String| {
        assert!(told.facts.contains(&(name.to_owned(), value)), "{told:?}");
    };
    fact("fate", "ordered".to_owned());
    fact("height", height.to_string());
    fact("missing_institutions", [2, 3].map(|it| world.consortium.institution(it)).join(","));
    let told = asked.balance(&id, 0, FINAL).await.unwrap_err();
    assert!(told.is(Code::Unavailable, "NOT_FINAL"), "{told:?}");
    for mode in [v1::ReadMode::Ordered, v1::ReadMode::Stale] {
        let answer = asked.balance(&id, 0, mode).await.unwrap();
        assert_eq!(answer.as_of.as_ref().unwrap().finality(), v1::Finality::Ordered);
        assert_eq!(answer.account.unwrap().balance.unwrap().minor_units, 999_700);
    }
    let then = asked.balance(&id, before.height, FINAL).await.unwrap();
    assert_eq!(then.as_of.as_ref(), Some(before));
    assert_eq!(then.account.unwrap().balance.unwrap().minor_units, 1_000_000);
}

/// All nodes go down in good order and come back.
fn restart(consortium: &Consortium) {
    for node in 0..consortium.node_count() {
        assert_eq!(consortium.stop_node(node), Some(0), "{}", consortium.log(node));
    }
    (0..consortium.node_count()).for_each(|node| consortium.start_node(node));
    consortium.wait_ready();
}

impl World {
    async fn node(&self, node: usize, institution: &str) -> Node {
        Node::connect(&self.consortium, node, institution).await
    }

    fn receipt(&self, receipt: &v1::Receipt) -> VerifiedReceipt {
        // As a file: nothing but its bytes.
        let bytes = Bytes::from(receipt.encode_to_vec());
        let receipt = verify::read::<v1::Receipt>(&bytes).unwrap();
        verify::receipt(&self.trust, &receipt).unwrap()
    }

    /// Signs an order and submits it at a node; checks what comes back.
    async fn submit(&self, institution: &str, order: Order, node: usize) -> Submitted {
        let signed = self.consortium.client(institution).sign(order).await.unwrap();
        let asked = self.node(node, institution).await;
        let answer = asked.submit(&signed, v1::Finality::Unspecified).await.unwrap();
        let submitted = self.check(signed, answer);
        assert_final(&submitted.verified);
        submitted
    }

    fn check(&self, signed: Signed, answer: v1::SubmitInstructionResponse) -> Submitted {
        let items = v1::SignedInstruction::decode(signed.bytes().clone()).unwrap().items;
        let (result, receipt) = (answer.result.unwrap(), answer.receipt.unwrap());
        let verified = self.receipt(&receipt);
        let verdict = result.verdict.clone().unwrap();
        let position = verdict.position.unwrap();
        assert_eq!((verified.header.height, verified.leaf), (position.height, position.leaf));
        assert_eq!(verified.id.as_bytes()[..], result.id);
        assert_eq!(verified.instruction_hash.as_bytes()[..], result.instruction_hash);
        assert_eq!(i32::from(verified.outcome.state as u8), verdict.state);
        let code = verified.outcome.reason.map_or(0, |reason| u32::from(reason.code()));
        assert_eq!(code, verdict.reason.map_or(0, |reason| reason.code));
        let is_final = result.finality() == v1::Finality::Final;
        assert_eq!(is_final, verified.finality != Finality::Ordered);
        assert_eq!(answer.batch.is_some(), !items.is_empty());
        if let Some(proof) = &answer.batch {
            self.check_batch(&receipt, &items, proof, &result.items);
        }
        Submitted { signed, items, verified }
    }

    fn check_batch(
        &self,
        receipt: &v1::Receipt,
        items: &[Bytes],
        proof: &v1::BatchProof,
        verdicts: &[v1::Verdict],
    ) {
        let batch = verify::batch(&self.trust, receipt, items, proof).unwrap();
        assert_eq!(batch.outcomes.len(), verdicts.len());
        for (number, verdict) in (1..).zip(verdicts) {
            let item = self.receipt(&batch.item_receipt(number).unwrap());
            assert_eq!(item.item.as_ref().unwrap().number, number);
            assert_eq!(i32::from(item.outcome.state as u8), verdict.state);
            assert_eq!(item.leaf, verdict.position.unwrap().leaf);
            assert_eq!(item.finality, batch.instruction.finality);
        }
    }
}

fn assert_final(verified: &VerifiedReceipt) {
    let Finality::Final { certified_height, signers } = &verified.finality else {
        panic!("{verified:?}")
    };
    assert!(*certified_height >= verified.header.height && signers.len() >= 3);
}

fn pay(from: &str, to: &str, amount: u64) -> v1::Transfer {
    instructions::transfer(account(from, "CHF"), account(to, "CHF"), amount)
}

async fn every_kind_of_receipt(world: &World) -> Vec<Submitted> {
    let [payer, payee, _] = BANKS;
    let payment = pay(payer, payee, 300);
    let uetr = payment.uetr.clone();
    let single = world.submit(payer, Order::transfer(payment), 0).await;
    assert_eq!(single.verified.outcome.state, State::Settled);
    let refused = world.submit(payer, Order::transfer(pay(payer, payee, 5_000_000)), 1).await;
    assert_eq!(refused.verified.outcome.state, State::Rejected);
    let mut payments: Vec<v1::Transfer> = (1..40).map(|amount| pay(payer, payee, amount)).collect();
    payments[7].amount = 5_000_000;
    let batch = world.submit(payer, Order::transfers(payments, false), 2).await;
    assert_eq!(batch.verified.outcome.event, Event::BatchTaken);
    let today = Date::from_unix_ms(single.verified.header.block_time_ms);
    let own = account(payer, "CHF");
    let entry = v1::BookEntry { uetr, ..instructions::book_entry(own, Side::Debit, 300, today) };
    let other = instructions::book_entry(own, Side::Credit, 77, today);
    let entries = world.submit(payer, Order::book_entries(vec![entry, other]), 3).await;
    assert_eq!(entries.verified.outcome.state, State::Itemised);
    let statement = instructions::statement(own, "DAY", (today, today), 0, 777);
    let statement = world.submit(payer, Order::statement(statement), 1).await;
    assert_eq!(statement.verified.outcome.event, Event::StatementRecorded);
    assert!(!statement.verified.effects.is_empty());
    vec![single, refused, batch, entries, statement]
}

async fn what_is_ordered_says_so(world: &World) {
    let [payer, payee, _] = BANKS;
    for number in 0..10 {
        let node = number % world.consortium.node_count();
        let client = world.consortium.client(payer);
        let signed = client.sign(Order::transfer(pay(payer, payee, 1))).await.unwrap();
        let asked = world.node(node, payer).await;
        let answer = asked.submit(&signed, v1::Finality::Ordered).await.unwrap();
        // Whether its certificate was quicker is for the answer to say.
        let ordered = world.check(signed, answer);
        let answer = asked.submit(&ordered.signed, v1::Finality::Final).await.unwrap();
        assert!(answer.result.as_ref().unwrap().replayed);
        assert_final(&world.check(ordered.signed, answer).verified);
    }
}

async fn by_position_for_its_parties_alone(world: &World, single: &Submitted) {
    let (height, leaf) = (single.verified.header.height, single.verified.leaf);
    let [payer, payee, third] = BANKS;
    for institution in [payer, payee] {
        let receipt = world.node(3, institution).await.receipt_at(height, leaf).await.unwrap();
        let verified = world.receipt(&receipt);
        assert_final(&verified);
        assert_eq!(verified.instruction_hash, single.verified.instruction_hash);
    }
    let outsider = world.node(3, third).await;
    let told = outsider.receipt_at(height, leaf).await.unwrap_err();
    assert!(told.is(Code::NotFound, "NOT_FOUND"), "{told:?}");
    assert_eq!(told, outsider.receipt_at(u64::MAX, 0).await.unwrap_err());
    assert_eq!(told, outsider.receipt_at(height, u32::MAX).await.unwrap_err());
}

/// An account that one node has called open is known to all, and its owner has the receipt of that.
async fn an_opening_for_its_owner(world: &World) {
    let [owner, outsider, _] = BANKS;
    let (agent, named) = (Bic::parse(AGENT).unwrap(), Bic::parse(owner).unwrap());
    let asset = AssetCode::parse("CHF").unwrap();
    let order = Order::open_account(&agent, &named, &asset, "second");
    let opened = world.submit(AGENT, order, 0).await.verified;
    let account = AccountId::of(&agent, &named, "CHF", "second");
    let (height, leaf) = (opened.header.height, opened.leaf);
    for node in (0..world.consortium.node_count()).rev() {
        let asked = world.node(node, owner).await;
        let time = Duration::from_millis(50);
        assert!(asked.watch(&account, v1::Finality::Final, time).await.is_empty());
        let receipt = asked.receipt_at(height, leaf).await.unwrap();
        assert_eq!(world.receipt(&receipt).instruction_hash, opened.instruction_hash);
    }
    let told = world.node(1, outsider).await.receipt_at(height, leaf).await.unwrap_err();
    assert!(told.is(Code::NotFound, "NOT_FOUND"), "{told:?}");
}

/// Asks for everything about an instruction again, at another node.
async fn again_later(world: &World, submitted: &Submitted, node: usize) {
    let payer = BANKS[0];
    let asked = world.node(node, payer).await;
    let id = submitted.verified.id;
    let same = |verified: &VerifiedReceipt| {
        assert_final(verified);
        let then = &submitted.verified;
        assert_eq!((&verified.header, verified.leaf), (&then.header, then.leaf));
        assert_eq!((verified.outcome, &verified.effects), (then.outcome, &then.effects));
        assert_eq!(verified.effects_hash, then.effects_hash);
    };
    same(&world.receipt(&asked.receipt_of(&id, 0).await.unwrap()));
    let answer = asked.instruction(&id).await;
    assert_eq!(answer.as_of.unwrap().finality(), v1::Finality::Final);
    assert_eq!(answer.result.as_ref().unwrap().finality(), v1::Finality::Final);
    let receipt = answer.receipt.unwrap();
    same(&world.receipt(&receipt));
    if let Some(proof) = &answer.batch {
        world.check_batch(&receipt, &submitted.items, proof, &answer.result.unwrap().items);
    }
    let again = asked.submit(&submitted.signed, v1::Finality::Unspecified).await.unwrap();
    assert!(again.result.as_ref().unwrap().replayed);
    same(&world.check(submitted.signed.clone(), again).verified);
    let items = u32::try_from(submitted.items.len()).unwrap();
    for item in 1..=items {
        let verified = world.receipt(&asked.receipt_of(&id, item).await.unwrap());
        assert_final(&verified);
        assert_eq!(verified.leaf, submitted.verified.leaf + item);
        assert_eq!(verified.item.unwrap().number, item);
    }
    for nothing in [items + 1, u32::MAX] {
        let told = asked.receipt_of(&id, nothing).await.unwrap_err();
        assert!(told.is(Code::NotFound, "NOT_FOUND"), "{told:?}");
    }
    let stranger: InstructionId = instructions::new_id();
    let told = asked.receipt_of(&stranger, 0).await.unwrap_err();
    assert!(told.is(Code::NotFound, "NOT_FOUND"), "{told:?}");
}

/// More postings than lie between two stored heads, several times over.
async fn a_busy_account(world: &World) {
    let [payer, payee, _] = BANKS;
    for node in 0..3 {
        let payments = (0..BUSY).map(|amount| pay(payer, payee, amount + 1)).collect();
        let client = world.consortium.client(payer);
        let batch = world.submit(payer, Order::transfers(payments, false), node).await;
        assert_eq!(batch.verified.outcome.event, Event::BatchTaken);
        for _ in 0..5 {
            client.submit(Order::transfer(pay(payer, payee, 1))).await.unwrap();
        }
    }
}

/// Blocks of so many leaves carry the accounts once in a second.
async fn an_account_under_load(world: &World) {
    let [payer, payee, third] = BANKS;
    let stop = Arc::new(AtomicBool::new(false));
    let (client, stopped) = (world.consortium.client(third), stop.clone());
    let paying = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let payments = (0..100).map(|_| pay(third, payee, 1)).collect();
            client.submit(Order::transfers(payments, false)).await.unwrap();
        }
    });
    let asked = world.node(1, payee).await;
    for _ in 0..6 {
        let newest = asked.balance(&account(payee, "CHF"), 0, FINAL).await.unwrap();
        let then = newest.account.unwrap();
        let height = newest.as_of.unwrap().height;
        for from in [0, height - 1, height] {
            let proof = asked.prove_account(&account(payee, "CHF"), from, height).await.unwrap();
            let verified = verify::account(&world.trust, &proof).unwrap();
            assert_eq!(verified.closing.posting_count, then.posting_count);
            let balance = then.balance.as_ref().unwrap().minor_units;
            assert_eq!(verified.closing.balance, i128::from(balance));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Who was not posted to has the same leaf in an older tree.
    let proof = world.node(2, payer).await.prove_account(&account(payer, "CHF"), 0, 0).await;
    verify::account(&world.trust, &proof.unwrap()).unwrap();
    stop.store(true, Ordering::Relaxed);
    paying.await.unwrap();
}

async fn accounts_at_any_height(world: &World) {
    let [payer, payee, third] = BANKS;
    for (place, bank) in [payer, payee, third].into_iter().enumerate() {
        let asked = world.node(place + 1, bank).await;
        let id = account(bank, "CHF");
        let newest = asked.balance(&id, 0, FINAL).await.unwrap().as_of.unwrap().height;
        let movements = asked.movements(&id).await;
        let last = movements.last().unwrap().position.unwrap().height;
        let first = movements[0].position.unwrap().height;
        let middle = movements[movements.len() / 2].position.unwrap().height;
        let ranges = [
            (0, 0),
            (0, 1),
            (1, first),
            (first - 1, first),
            (first, first),
            (first, last),
            (middle, middle),
            (middle - 1, middle + 1),
            (middle, 0),
            (last, last),
            (last - 1, newest),
            (newest, newest),
            (newest, 0),
        ];
        for (from, to) in ranges {
            prove_account(world, &asked, &id, (from, to), &movements).await;
        }
    }
    let outsider = world.node(0, third).await;
    let nothing = AccountId::from_bytes(&[7; 16]).unwrap();
    let told = outsider.prove_account(&account(payer, "CHF"), 0, 0).await.unwrap_err();
    assert!(told.is(Code::NotFound, "NOT_FOUND"), "{told:?}");
    assert_eq!(told, outsider.prove_account(&nothing, 0, 0).await.unwrap_err());
    let turned = outsider.prove_account(&account(third, "CHF"), 3, 2).await.unwrap_err();
    assert!(turned.is(Code::InvalidArgument, "FIELD_INVALID"), "{turned:?}");
}

async fn prove_account(
    world: &World,
    asked: &Node,
    id: &AccountId,
    (from, to): (u64, u64),
    movements: &[v1::Movement],
) {
    let proof = asked.prove_account(id, from, to).await.unwrap();
    let proof: v1::AccountProof = verify::read(&proof.encode_to_vec().into()).unwrap();
    let verified = verify::account(&world.trust, &proof).unwrap();
    assert!(matches!(verified.finality, Finality::Final { .. }));
    assert_eq!((verified.id, verified.opening.height), (*id, from));
    assert!(to == 0 || verified.closing.height == to);
    let height_of = |movement: &v1::Movement| movement.position.unwrap().height;
    for standing in [verified.opening, verified.closing] {
        let before = movements.iter().filter(|it| height_of(it) <= standing.height);
        let balance = before.clone().last().map_or(0, |it| it.balance.clone().unwrap().minor_units);
        assert_eq!(standing.balance, i128::from(balance), "{standing:?}");
        assert_eq!(standing.posting_count, u64::try_from(before.count()).unwrap());
    }
    let within = movements
        .iter()
        .filter(|it| from < height_of(it) && height_of(it) <= verified.closing.height);
    let told: Vec<(u64, u64)> = within
        .map(|it| {
            let amount = it.amount.clone().unwrap().minor_units;
            (height_of(it), u64::try_from(amount).unwrap())
        })
        .collect();
    let proved: Vec<(u64, u64)> =
        verified.postings.iter().map(|it| (it.height, it.posting.amount)).collect();
    assert_eq!(told, proved);
}

async fn histories_between_any_heights(world: &World) {
    let asked = world.node(2, BANKS[0]).await;
    assert_eq!(asked.epochs().await, v1::EpochChain::default());
    let newest = asked.balance(&account(BANKS[0], "CHF"), 0, FINAL).await.unwrap();
    let newest = newest.as_of.unwrap().height;
    for (height, to) in [
        (0, 0),
        (0, 1),
        (1, 1),
        (1, 0),
        (newest / 2, newest / 2 + 1),
        (newest / 2, newest),
        (newest - 1, 0),
        (newest, newest),
        (newest, 0),
    ] {
        let proof = asked.history_proof(height, to).await.unwrap();
        let proof: v1::HistoryProof = verify::read(&proof.encode_to_vec().into()).unwrap();
        let verified = verify::history(&world.trust, &proof).unwrap();
        assert_eq!(verified.header.height, height);
        assert!(verified.certified.height >= height.max(to));
        assert!(verified.certified.height >= newest || to != 0);
        let mut trust = world.trust.clone();
        trust.advance(&proof).unwrap();
        assert_ne!(trust.newest().unwrap().hash(), Hash::ZERO);
    }
    let turned = asked.history_proof(2, 1).await.unwrap_err();
    assert!(turned.is(Code::InvalidArgument, "FIELD_INVALID"), "{turned:?}");
    let beyond = asked.history_proof(u64::MAX, 0).await.unwrap_err();
    assert!(beyond.is(Code::OutOfRange, "HEIGHT_NOT_REACHED"), "{beyond:?}");
}
