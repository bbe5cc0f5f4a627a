//! What the client has proved, and what it keeps of it.

use std::fs;

use counterfoil_client::trusted::Fork;
use counterfoil_client::watch::Position;
use counterfoil_client::{Error, Fate, instructions};
use counterfoil_ledger::verify::evidence::Misbehaviour;
use counterfoil_ledger::verify::{self, Finality, Trust};
use prost::Message;

use crate::consortium::BANK;
use crate::ledger::{FUNDED, Ledger};
use crate::world::World;

#[tokio::test]
async fn everything_that_can_be_proved_is() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    let outcome = client.submit(world.order()).await.unwrap();
    client.submit(world.order()).await.unwrap();
    let trust = Trust::new(world.consortium.genesis.clone());

    let receipt = client.receipt(outcome.id, 0).await.unwrap();
    assert_eq!(receipt.verified.header.height, outcome.verdict.height);
    let again = verify::receipt(&trust, &verify::read(&receipt.bytes()).unwrap()).unwrap();
    assert_eq!(again, receipt.verified);
    let place = Position { height: 3, leaf: 0 };
    let issue = client.receipt_at(place).await.unwrap();
    assert_eq!(issue.verified.transfer().unwrap().amount, FUNDED);

    let account = world.account(BANK);
    let statement = client.account_proof(account, 0, None).await.unwrap().verified;
    assert_eq!((statement.opening.balance, statement.postings.len()), (0, 3));
    assert_eq!(statement.closing.balance, i128::from(FUNDED) - 200);
    let later = client.account_proof(account, 3, Some(4)).await.unwrap().verified;
    assert_eq!(later.opening.balance, i128::from(FUNDED));
    assert_eq!((later.closing.balance, later.postings.len()), (i128::from(FUNDED) - 100, 1));

    let history = client.history_proof(2, None).await.unwrap().verified;
    assert_eq!((history.header.height, history.certified.height), (2, 5));

    let signed = client.sign(world.order()).await.unwrap();
    let promise = client.request_inclusion(&signed).await.unwrap().verified;
    assert_eq!((promise.node, promise.institution.as_str()), (2, BANK));
    world.ledger.lock().unwrap().pass();
    let absence = client.absence(signed.id, signed.valid_until_ms).await.unwrap();
    let instruction = v1_instruction(&signed);
    assert!(promise.is_broken(&instruction, &absence.verified));
    let early = client.absence(instructions::new_id(), u64::MAX).await.unwrap_err();
    assert!(early.refusal().is_some(), "{early}");
}

fn v1_instruction(signed: &instructions::Signed) -> bytes::Bytes {
    counterfoil_client::v1::SignedInstruction::decode(signed.bytes().clone()).unwrap().instruction
}

#[tokio::test]
async fn the_trusted_state_goes_on_where_it_was() {
    let world = World::new();
    let node = world.node();
    let path = world.consortium.path("kept/trusted.bin");
    let build = || {
        let builder = world.builder().endpoints([node.endpoint()]);
        builder.trusted_state(&path).build()
    };
    let client = build().unwrap();
    assert!(client.trust().newest().is_none() && !path.exists());
    assert_eq!(client.update_trust().await.unwrap(), 3);
    client.submit(world.order()).await.unwrap();
    assert_eq!(client.update_trust().await.unwrap(), 4);
    assert_eq!(client.update_trust().await.unwrap(), 4, "nothing is newer");
    let reopened = build().unwrap();
    assert_eq!(reopened.trust().newest().unwrap().height, 4);

    // Another consortium's, or one that was changed, is no trusted state.
    let bytes = fs::read(&path).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bad in [&changed[..], &bytes[..bytes.len() - 1], b"nonsense"] {
        fs::write(&path, bad).unwrap();
        assert!(matches!(build(), Err(Error::File { .. })));
    }
    fs::write(&path, &bytes).unwrap();
    let other = World::new();
    let builder = other.builder().endpoints([node.endpoint()]).trusted_state(&path);
    assert!(builder.build().is_err_and(|error| error.to_string().contains("chain_id")));
}

/// A world whose nodes come to sign another history.
async fn forked() -> (World, Ledger) {
    let world = World::new();
    let mut other = Ledger::found(&world.consortium, &world.consortium.genesis);
    let client = world.builder().endpoints(["127.0.0.1:1"]).build().unwrap();
    for _ in 0..2 {
        let signed = client.sign(world.order()).await.unwrap();
        let message = counterfoil_client::v1::SignedInstruction::decode(signed.bytes().clone());
        other.submit(&message.unwrap());
    }
    (world, other)
}

fn fork(error: Error) -> Box<Fork> {
    assert_eq!((error.outcome(), error.is_retryable()), (Fate::Unknown, false));
    match error {
        Error::Fork(fork) => fork,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_fork_is_an_error_and_the_evidence_is_kept() {
    let (world, other) = forked().await;
    let node = world.node();
    let path = world.consortium.path("trusted.bin");
    let builder = world.builder().endpoints([node.endpoint()]).trusted_state(&path);
    let client = builder.build().unwrap();
    client.submit(world.order()).await.unwrap();
    assert_eq!(client.update_trust().await.unwrap(), 4);

    let kept = fs::read(&path).unwrap();
    *world.ledger.lock().unwrap() = other;
    let fork = fork(client.update_trust().await.unwrap_err());
    assert_eq!((fork.known.height, fork.found.height), (4, 4));
    assert_ne!(fork.known, fork.found);
    assert_eq!(fs::read(&path).unwrap(), kept, "what was known stays");

    let evidence = fs::read(fork.file.unwrap()).unwrap();
    let evidence = verify::read(&evidence.into()).unwrap();
    assert_eq!(Some(&evidence), fork.evidence.as_ref());
    let trust = Trust::new(world.consortium.genesis.clone());
    let conviction = verify::evidence(&trust, &evidence).unwrap();
    assert_eq!(conviction.kind, Misbehaviour::ConflictingCertificates);
    assert_eq!(conviction.nodes.len(), 2);
}

#[tokio::test]
async fn a_certificate_of_another_history_is_a_fork_too() {
    let (world, mut other) = forked().await;
    let node = world.node();
    let path = world.consortium.path("trusted.bin");
    let builder = world.builder().endpoints([node.endpoint()]).trusted_state(&path);
    let client = builder.build().unwrap();
    client.submit(world.order()).await.unwrap();
    client.submit(world.order()).await.unwrap();
    assert_eq!(client.update_trust().await.unwrap(), 5);
    let known = client.trust().newest().cloned();

    // The header stands below the known one; the certificate that proves it at its height.
    std::mem::swap(&mut *world.ledger.lock().unwrap(), &mut other);
    let early = Position { height: 3, leaf: 0 };
    let found = fork(client.receipt_at(early).await.unwrap_err());
    assert_eq!(Some(&found.known), known.as_ref());
    assert_eq!(found.found.height, 5);
    let evidence = verify::read(&fs::read(found.file.unwrap()).unwrap().into()).unwrap();
    let trust = Trust::new(world.consortium.genesis.clone());
    assert_eq!(verify::evidence(&trust, &evidence).unwrap().nodes.len(), 2);

    // A statement of absence is made of a history, too.
    let error = client.absence(instructions::new_id(), 0).await.unwrap_err();
    let found = fork(error);
    assert!(found.evidence.is_none() && found.file.unwrap().exists());
}

#[tokio::test]
async fn processes_that_share_a_trusted_state_never_take_it_back() {
    let world = World::new();
    let node = world.node();
    let path = world.consortium.path("trusted.bin");
    let build = || {
        let builder = world.builder().endpoints([node.endpoint()]);
        builder.trusted_state(&path).build().unwrap()
    };
    let (first, second) = (build(), build());
    assert_eq!(first.update_trust().await.unwrap(), 3);
    let stale = first.history_proof(0, None).await.unwrap();
    first.submit(world.order()).await.unwrap();
    assert_eq!(first.update_trust().await.unwrap(), 4);
    // The second one knows nothing yet, and learns what the file holds.
    first.submit(world.order()).await.unwrap();
    assert_eq!(second.update_trust().await.unwrap(), 5);
    assert_eq!(build().trust().newest().unwrap().height, 5);
    assert_eq!(stale.verified.certified.height, 3);
    assert_eq!(first.update_trust().await.unwrap(), 5);
    assert_eq!(build().trust().newest().unwrap().height, 5);
}

#[tokio::test]
async fn a_receipt_of_another_history_is_a_fork_too() {
    let (world, other) = forked().await;
    let node = world.node();
    let client = world.client(&[&node]);
    client.submit(world.order()).await.unwrap();
    client.update_trust().await.unwrap();
    *world.ledger.lock().unwrap() = other;
    // The block that decides this one stands above the known header: its place tells nothing yet.
    let outcome = client.submit(world.order()).await.unwrap();
    assert_ne!(outcome.finality, Finality::Ordered);
    let at_known_height = Position { height: 4, leaf: 0 };
    let fork = fork(client.receipt_at(at_known_height).await.unwrap_err());
    assert_eq!((fork.known.height, fork.file), (4, None));
}
