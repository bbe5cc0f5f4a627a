//! Instructions and their fate, whatever happens on the way.

use std::fs;
use std::time::{Duration, Instant};

use counterfoil_client::{Error, Fate, Order, instructions, v1};
use counterfoil_ledger::header::Header;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::verify::{self, Trust};
use tonic::Code;

use crate::consortium::{AGENT, BANK};
use crate::first_transfer::first_transfer;
use crate::ledger::Ledger;
use crate::node::Reply;
use crate::world::{World, nobody};

#[tokio::test]
async fn the_first_example_runs() {
    let world = World::new();
    let node = world.node();
    // The example finds its nodes in the genesis file: here, one that names this node.
    let mut message = world.consortium.genesis.message().clone();
    for member in &mut message.nodes {
        member.client_address = node.address.to_string();
    }
    let genesis = counterfoil_ledger::genesis::Genesis::create(message).unwrap();
    fs::write(world.consortium.path("genesis.bin"), genesis.bytes()).unwrap();
    *world.ledger.lock().unwrap() = Ledger::found(&world.consortium, &genesis);
    let (agent, payee) = (world.consortium.bic(AGENT), world.consortium.bic(AGENT));
    let files = world.consortium.files.path();
    let outcome = first_transfer(files, agent, payee).await.unwrap();
    assert!(outcome.is_accepted() && world.decided(outcome.id));
}

#[tokio::test]
async fn a_batch_has_a_verdict_for_each_item() {
    let world = World::new();
    let node = world.node();
    let transfers: Vec<_> = (1..=100)
        .map(|amount| instructions::transfer(world.account(BANK), world.account(AGENT), amount))
        .collect();
    let outcome = world.client(&[&node]).submit(Order::transfers(transfers, false)).await.unwrap();
    assert_eq!(outcome.items.len(), 100);
    assert_eq!(outcome.items[99].item_number, 100);
    let trust = Trust::new(world.consortium.genesis.clone());
    for item in 0..=100 {
        let receipt = verify::receipt(&trust, &outcome.item_receipt(item).unwrap()).unwrap();
        assert_eq!((receipt.id, receipt.finality), (outcome.id, outcome.finality.clone()));
        assert_eq!(receipt.item.map_or(0, |item| item.number), item);
    }
    assert!(outcome.item_receipt(101).is_none());
}

#[tokio::test]
async fn another_endpoint_is_tried_and_then_preferred() {
    let world = World::new();
    let node = world.node();
    let client = world.builder().endpoints([nobody(), node.endpoint()]).build().unwrap();
    for _ in 0..3 {
        assert!(!client.submit(world.order()).await.unwrap().replayed);
    }
    assert_eq!(node.script().seen.len(), 3);
    assert!(client.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_killed_node_is_left_and_its_successor_found() {
    let world = World::new();
    let (mut first, second) = (world.node(), world.node());
    let client = world.client(&[&first, &second]);
    client.submit(world.order()).await.unwrap();
    assert_eq!(first.script().seen.len(), 1);
    first.kill();
    for _ in 0..5 {
        client.submit(world.order()).await.unwrap();
    }
    assert_eq!(second.script().seen.len(), 5);
}

#[tokio::test]
async fn the_same_bytes_are_sent_again() {
    let world = World::new();
    let (first, second) = (world.node(), world.node());
    first.script().replies.push_back(Reply::TakeAndHang);
    let client = world.client(&[&first, &second]);
    let outcome = client.submit(world.order()).await.unwrap();
    assert!(outcome.replayed, "the first node had taken it");
    assert_eq!(first.script().seen, second.script().seen);
    assert!(world.decided(outcome.id));
    assert!(client.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_lost_on_the_way_may_have_carried_it() {
    let world = World::new();
    let (mut first, second) = (world.node(), world.node());
    first.script().replies.push_back(Reply::TakeAndHang);
    let client = world.client(&[&first, &second]);
    let order = world.order();
    let id = order.id();
    let submitted = tokio::spawn(async move { client.submit(order).await });
    while !world.decided(id) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.kill();
    assert!(submitted.await.unwrap().unwrap().replayed);
}

#[tokio::test]
async fn without_any_node_nothing_was_taken_and_nothing_is_kept() {
    let world = World::new();
    let builder = world.builder().deadline(Duration::from_millis(600));
    let client = builder.endpoints([nobody(), nobody()]).build().unwrap();
    let started = Instant::now();
    let error = client.submit(world.order()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert_eq!((error.outcome(), error.is_retryable()), (Fate::NotTaken, true));
    assert!(started.elapsed() < Duration::from_secs(2));
    // If it were kept, its owner's next order and this one might both be executed.
    assert!(client.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_fate_is_learnt_by_resuming() {
    let world = World::new();
    let node = world.node();
    node.script().replies.extend([Reply::TakeAndHang, Reply::Hang]);
    let client = world.client(&[&node]).with_deadline(Duration::from_millis(700));
    let error = client.submit(world.order()).await.unwrap_err();
    let Error::Unknown { id, .. } = error else { panic!("{error}") };
    assert_eq!((error.outcome(), error.is_retryable()), (Fate::Unknown, true));
    assert!(world.decided(id));
    drop(client);

    let restarted = world.client(&[&node]);
    assert_eq!(restarted.pending().await.unwrap()[0].id, id);
    let resumed = restarted.resume().await.unwrap();
    assert_eq!(resumed.len(), 1);
    assert!(resumed[0].result.as_ref().unwrap().replayed);
    assert!(restarted.pending().await.unwrap().is_empty());
    let seen = node.script().seen.clone();
    assert!(seen.len() >= 2 && seen.iter().all(|bytes| *bytes == seen[0]));
}

#[tokio::test]
async fn a_crash_between_sending_and_learning_loses_nothing() {
    let world = World::new();
    let node = world.node();
    node.script().replies.push_back(Reply::Hang);
    let client = world.client(&[&node]);
    let order = world.order();
    let id = order.id();
    // The program dies while it waits.
    let crashed = tokio::time::timeout(Duration::from_millis(200), client.submit(order)).await;
    assert!(crashed.is_err());
    assert!(!world.decided(id));
    let resumed = world.client(&[&node]).resume().await.unwrap();
    assert_eq!(resumed[0].id, id);
    assert!(!resumed[0].result.as_ref().unwrap().replayed);
    let seen = node.script().seen.clone();
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn resuming_without_nodes_keeps_everything() {
    let world = World::new();
    let node = world.node();
    node.script().replies.push_back(Reply::Hang);
    let client = world.client(&[&node]);
    let submitted = client.submit(world.order());
    assert!(tokio::time::timeout(Duration::from_millis(200), submitted).await.is_err());
    let builder = world.builder().deadline(Duration::from_millis(300));
    let alone = builder.endpoints([nobody()]).build().unwrap();
    let resumed = alone.resume().await.unwrap();
    // No node was reached now, but who knows what the crashed run had sent.
    assert_eq!(resumed[0].result.as_ref().unwrap_err().outcome(), Fate::Unknown);
    assert_eq!(alone.pending().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_brings_facts_and_remedy() {
    let world = World::new();
    let node = world.node();
    let refuse = Reply::Refuse(Code::PermissionDenied, "KEY_UNKNOWN");
    node.script().replies.push_back(refuse);
    let client = world.client(&[&node]);
    let error = client.submit(world.order()).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.known, Some(Reason::KeyUnknown));
    assert_eq!(refusal.facts["height"], "7");
    assert_eq!(refusal.remedy.as_deref(), Some("Do otherwise."));
    assert_eq!((error.outcome(), error.is_retryable()), (Fate::NotTaken, false));
    assert!(client.pending().await.unwrap().is_empty());
    assert_eq!(node.script().seen.len(), 1, "the only endpoint is asked once");
}

#[tokio::test]
async fn no_refusal_settles_what_an_earlier_attempt_may_have_brought() {
    let fate = Fate::Unknown;
    for reason in
        ["KEY_UNKNOWN", "ID_REUSED", "ID_IN_FUTURE", "SIGNER_NOT_CALLER", "SOMETHING_NEWER"]
    {
        let world = World::new();
        let node = world.node();
        let refuse = Reply::Refuse(Code::FailedPrecondition, reason);
        node.script().replies.extend([Reply::Hang, refuse]);
        let client = world.client(&[&node]);
        let error = client.submit(world.order()).await.unwrap_err();
        assert_eq!(error.outcome(), fate, "{reason}");
        assert_eq!(client.pending().await.unwrap().len(), 1, "{reason}");
        // An honest answer ends it.
        assert!(client.resume().await.unwrap()[0].result.is_ok(), "{reason}");
        assert!(client.pending().await.unwrap().is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn what_is_refused_for_ever_is_given_up_once_it_has_expired() {
    for reason in ["KEY_UNKNOWN", "ID_REUSED", "MALFORMED"] {
        let world = World::new();
        let node = world.node();
        let refuse = || Reply::Refuse(Code::FailedPrecondition, reason);
        node.script().replies.extend([Reply::Hang, refuse()]);
        let client = world.client(&[&node]).with_deadline(Duration::from_millis(700));
        node.script().replies.extend((0..99).map(|_| refuse()));
        let order = world.order().valid_for(Duration::from_millis(1_500));
        let error = client.submit(order).await.unwrap_err();
        assert_eq!(error.outcome(), Fate::Unknown, "{reason}: {error}");
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        let resumed = client.resume().await.unwrap();
        assert_eq!(resumed[0].result.as_ref().unwrap_err().outcome(), Fate::Unknown, "{reason}");
        world.ledger.lock().unwrap().pass();
        let resumed = client.resume().await.unwrap();
        let error = resumed[0].result.as_ref().unwrap_err();
        assert_eq!(error.outcome(), Fate::NotTaken, "{reason}: {error}");
        assert!(client.pending().await.unwrap().is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn one_nodes_refusal_is_not_the_ledgers() {
    // The first one lies: the second settles the very bytes.
    let lies = [
        Reply::Refuse(Code::PermissionDenied, "KEY_UNKNOWN"),
        Reply::Refuse(Code::FailedPrecondition, "EXPIRED"),
        Reply::Refuse(Code::InvalidArgument, "MALFORMED"),
        Reply::Busy(Duration::from_secs(3_600)),
    ];
    for lie in lies {
        let world = World::new();
        let (liar, honest) = (world.node(), world.node());
        liar.script().replies.push_back(lie);
        let client = world.client(&[&liar, &honest]);
        let started = Instant::now();
        let outcome = client.submit(world.order()).await.unwrap();
        assert!(outcome.is_final() && world.decided(outcome.id));
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(liar.script().seen, honest.script().seen);
        assert!(client.pending().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_counts_if_every_node_that_answers_refuses() {
    let world = World::new();
    let (first, second) = (world.node(), world.node());
    let refuse = || Reply::Refuse(Code::PermissionDenied, "KEY_UNKNOWN");
    let endpoints = [first.endpoint(), nobody(), second.endpoint()];
    let client = world.builder().endpoints(endpoints).build().unwrap();
    for node in [&first, &second] {
        node.script().replies.push_back(refuse());
    }
    let started = Instant::now();
    let error = client.submit(world.order()).await.unwrap_err();
    assert_eq!(error.outcome(), Fate::NotTaken, "{error}");
    assert_eq!(error.refusal().unwrap().known, Some(Reason::KeyUnknown));
    assert_eq!((first.script().seen.len(), second.script().seen.len()), (1, 1));
    assert!(client.pending().await.unwrap().is_empty());
    assert!(started.elapsed() < Duration::from_secs(2));

    // One that takes it and is silent leaves it open, whatever the other one says.
    first.script().replies.extend([refuse(), refuse(), refuse()]);
    second.script().replies.extend([Reply::TakeAndHang, Reply::TakeAndHang]);
    let error = client.submit(world.order()).await.unwrap_err();
    assert_eq!(error.outcome(), Fate::Unknown, "{error}");
    assert_eq!(client.pending().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_shape_that_holds_is_not_refused_by_an_honest_node() {
    let world = World::new();
    let node = world.node();
    let refuse = |_| Reply::Refuse(Code::InvalidArgument, "AMOUNT_ZERO");
    node.script().replies.extend((0..99).map(refuse));
    let client = world.client(&[&node]).with_deadline(Duration::from_millis(300));
    let error = client.submit(world.order()).await.unwrap_err();
    assert_eq!(error.outcome(), Fate::Unknown, "{error}");
    assert!(error.to_string().contains("it refuses the shape"), "{error}");
    assert_eq!(client.pending().await.unwrap().len(), 1);
}

#[tokio::test]
async fn that_a_node_does_not_say_who_signs_is_no_refusal_of_the_instruction() {
    let world = World::new();
    let node = world.node();
    node.script().hides_epochs = true;
    let later_epoch: fn(&mut Ledger, &mut v1::SubmitInstructionResponse) = |_, response| {
        let receipt = response.receipt.as_mut().unwrap();
        let certificate = receipt.certificate.as_mut().unwrap();
        let mut header = Header::decode(&certificate.header).unwrap();
        header.epoch += 1;
        certificate.header = header.encode().to_vec().into();
    };
    node.script().replies.extend((0..99).map(|_| Reply::Lie(later_epoch)));
    let client = world.client(&[&node]).with_deadline(Duration::from_millis(300));
    let error = client.submit(world.order()).await.unwrap_err();
    assert_eq!(error.outcome(), Fate::Unknown, "{error}");
    assert!(error.to_string().contains("its signers are not known"), "{error}");
    assert_eq!(client.pending().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_only_ordered_stays_in_the_journal_until_it_is_final() {
    let world = World::new();
    let node = world.node();
    let ordered: fn(&mut Ledger, &mut v1::SubmitInstructionResponse) = |_, response| {
        let receipt = response.receipt.as_mut().unwrap();
        receipt.certificate = None;
        receipt.history_path.clear();
    };
    node.script().replies.push_back(Reply::Lie(ordered));
    let client = world.client(&[&node]).with_finality(v1::Finality::Ordered);
    let outcome = client.submit(world.order()).await.unwrap();
    assert!(!outcome.is_final());
    assert_eq!(client.pending().await.unwrap()[0].id, outcome.id);
    // Resuming waits for what is final: another ordered answer is none.
    node.script().replies.push_back(Reply::Lie(ordered));
    let resumed = client.resume().await.unwrap();
    assert!(resumed[0].result.as_ref().unwrap().is_final());
    assert!(client.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_expired_instruction_is_given_up_only_by_the_word_of_a_quorum() {
    for (lost, passes, fate) in [
        // A block that was stamped in time may still be on its way.
        (Reply::Hang, false, Some(Fate::Unknown)),
        (Reply::TakeAndHang, false, None),
        (Reply::Hang, true, Some(Fate::NotTaken)),
        (Reply::TakeAndHang, true, None),
    ] {
        let world = World::new();
        let node = world.node();
        node.script().replies.extend([lost, Reply::Expire { passes }]);
        let client = world.client(&[&node]);
        let result = client.submit(world.order()).await;
        assert_eq!(result.as_ref().err().map(Error::outcome), fate, "{result:?}");
        assert!(result.is_err() || result.is_ok_and(|outcome| outcome.replayed));
        let kept = client.pending().await.unwrap().len();
        assert_eq!(kept, usize::from(fate == Some(Fate::Unknown)));
    }
}

#[tokio::test]
async fn one_node_cannot_deny_what_was_decided() {
    let world = World::new();
    let node = world.node();
    node.script().replies.extend([Reply::TakeAndHang, Reply::Expire { passes: true }]);
    (node.script().denies, node.script().too_few) = (true, true);
    let client = world.client(&[&node]).with_deadline(Duration::from_millis(900));
    let error = client.submit(world.order()).await.unwrap_err();
    assert_eq!(error.outcome(), Fate::Unknown, "{error}");
    assert!(error.to_string().contains("fewer institutions signed than a quorum"), "{error}");
    assert_eq!(client.pending().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_instruction_is_read_back() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    let outcome = client.submit(world.order()).await.unwrap();
    let found = client.instruction(outcome.id).await.unwrap().value;
    assert_eq!(found.outcome.verdict, outcome.verdict);
    assert_eq!(found.outcome.receipt, outcome.receipt);
    assert!(found.outcome.is_final());
    assert_eq!(found.signed.bytes(), &node.script().seen[0]);
    let missing = client.instruction(instructions::new_id()).await.unwrap_err();
    assert_eq!(missing.refusal().unwrap().code, Code::NotFound);
}

#[tokio::test]
async fn what_has_no_shape_is_never_sent() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    let zero = instructions::transfer(world.account(BANK), world.account(AGENT), 0);
    let error = client.submit(Order::transfer(zero)).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().known, Some(Reason::AmountZero));
    assert!(node.script().seen.is_empty());
    assert!(client.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_busy_ledger_is_given_the_time_it_asks_for() {
    let world = World::new();
    let (first, second) = (world.node(), world.node());
    let delay = Duration::from_millis(600);
    first.script().replies.push_back(Reply::Busy(delay));
    let started = Instant::now();
    world.client(&[&first, &second]).submit(world.order()).await.unwrap();
    // Jitter shortens it to a half at most.
    assert!(started.elapsed() >= delay / 2);
}

#[tokio::test]
async fn an_answer_about_something_else_is_no_answer() {
    let world = World::new();
    let (first, second) = (world.node(), world.node());
    first.script().replies.push_back(Reply::Lie(|_, response| {
        response.result.as_mut().unwrap().instruction_hash = vec![7; 32].into();
    }));
    let outcome = world.client(&[&first, &second]).submit(world.order()).await.unwrap();
    assert!(outcome.replayed);
    assert_eq!(second.script().seen.len(), 1);
}
