//! Lists, watches and exports that outlive their connections.

use std::time::Duration;

use counterfoil_client::reconciliation::Happened;
use counterfoil_client::watch::{Checkpoint, Event, Position};
use counterfoil_client::{Error, v1};
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use futures::{StreamExt, TryStreamExt};

use crate::consortium::BANK;
use crate::world::World;

fn movement(height: u64, leaf: u32) -> v1::WatchMovementsResponse {
    let position = Some(v1::Position { height, leaf });
    let movement = v1::Movement { position, ..v1::Movement::default() };
    let event = Some(v1::watch_movements_response::Event::Movement(movement));
    v1::WatchMovementsResponse { event }
}

fn opened(number: u64, height: u64, leaf: u32) -> v1::WatchReconciliationResponse {
    let opened = v1::Break { number, ..v1::Break::default() };
    let event = Some(v1::watch_reconciliation_response::Event::Opened(opened));
    v1::WatchReconciliationResponse { event, at: Some(v1::Position { height, leaf }) }
}

#[tokio::test]
async fn a_watch_goes_on_elsewhere_without_loss_or_repetition() {
    let world = World::new();
    let (first, second) = (world.node(), world.node());
    world.ledger.lock().unwrap().movements = (1..=6).map(|height| movement(height, 3)).collect();
    first.script().breaks.extend([2, 0, 1]);
    second.script().breaks.extend([0, 1]);
    let client = world.client(&[&first, &second]);
    let watch = client.watch_movements(world.account(BANK), Checkpoint::START);
    let events: Vec<_> = watch.events().take(6).try_collect().await.unwrap();
    let heights: Vec<_> =
        events.iter().map(|(movement, _)| movement.position.as_ref().unwrap().height).collect();
    assert_eq!(heights, [1, 2, 3, 4, 5, 6]);

    // A program that kept the checkpoint goes on behind it.
    let kept: Checkpoint = events[3].1.to_string().parse().unwrap();
    let watch = client.watch_movements(world.account(BANK), kept);
    let (next, _) = watch.events().next().await.unwrap().unwrap();
    assert_eq!(next.position.unwrap().height, 5);
}

#[tokio::test]
async fn events_at_one_position_are_told_apart() {
    let world = World::new();
    let node = world.node();
    // A statement at (2, 0) opens three breaks at once.
    world.ledger.lock().unwrap().findings =
        vec![opened(1, 1, 0), opened(2, 2, 0), opened(3, 2, 0), opened(4, 2, 0), opened(5, 3, 0)];
    node.script().breaks.extend([3, 1, 2]);
    let client = world.client(&[&node]);
    let watch = client.watch_reconciliation(world.account(BANK), Checkpoint::START);
    let findings: Vec<_> = watch.events().take(5).try_collect().await.unwrap();
    let numbers: Vec<_> = findings
        .iter()
        .map(|(finding, _)| match &finding.what {
            Happened::Opened(opened) => opened.number,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(findings[2].1.to_string(), "1.0/2.0+2");
    assert_eq!(node.script().starts[1].as_ref().map(|at| at.height), Some(1));
}

#[tokio::test]
async fn a_heartbeat_advances_the_checkpoint() {
    let world = World::new();
    let node = world.node();
    let heartbeat =
        v1::watch_movements_response::Event::Heartbeat(v1::Position { height: 40, leaf: 7 });
    world.ledger.lock().unwrap().movements =
        vec![movement(1, 1), v1::WatchMovementsResponse { event: Some(heartbeat) }];
    let mut watch = world.client(&[&node]).watch_movements(world.account(BANK), Checkpoint::START);
    assert!(matches!(watch.next().await.unwrap(), Event::New(_)));
    assert!(matches!(watch.next().await.unwrap(), Event::Heartbeat));
    assert_eq!(watch.checkpoint(), Checkpoint::after(Position { height: 40, leaf: 7 }));
}

#[tokio::test]
async fn a_watch_that_cannot_go_on_says_so_and_can_be_asked_again() {
    let world = World::new();
    let mut node = world.node();
    world.ledger.lock().unwrap().movements = vec![movement(1, 1)];
    let client = world.client(&[&node]).with_deadline(Duration::from_millis(500));
    let mut watch = client.watch_movements(world.account(BANK), Checkpoint::START);
    watch.next().await.unwrap();
    node.kill();
    for _ in 0..2 {
        let error = watch.next().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn pages_join_into_one_list() {
    let world = World::new();
    let node = world.node();
    world.ledger.lock().unwrap().movements = (1..=25).map(|height| movement(height, 0)).collect();
    let client = world.client(&[&node]);
    let pages = client.movements(world.account(BANK), None, None).page_size(10);
    let all = pages.all().await.unwrap();
    assert_eq!((all.value.len(), all.as_of.height), (25, 9));
    let items = client.movements(world.account(BANK), None, None).page_size(10).items();
    assert_eq!(items.try_collect::<Vec<_>>().await.unwrap(), all.value);
}

fn block(height: u64) -> v1::ExportBlocksResponse {
    let header = Header {
        chain_id: Hash::ZERO,
        incarnation: 0,
        epoch: 0,
        rule_version: 1,
        height,
        previous: Hash::ZERO,
        raft_term: 1,
        raft_index: height,
        proposer: 1,
        proposal_hash: Hash::ZERO,
        block_time_ms: height,
        leaf_count: 0,
        account_count: 0,
        registry_count: 0,
        tx_root: Hash::ZERO,
        history_root: Hash::ZERO,
        accounts_root: None,
        registry_root: Hash::ZERO,
    };
    v1::ExportBlocksResponse {
        header: header.encode().to_vec().into(),
        ..v1::ExportBlocksResponse::default()
    }
}

#[tokio::test]
async fn an_export_has_every_block_or_says_that_it_has_not() {
    let world = World::new();
    let (first, second) = (world.node(), world.node());
    world.ledger.lock().unwrap().blocks = (1..=9).map(block).collect();
    first.script().breaks.extend([3, 1]);
    let client = world.client(&[&first, &second]).with_deadline(Duration::from_millis(700));
    let mut export = client.export(2, Some(9)).await.unwrap();
    let mut heights = Vec::new();
    while let Some(block) = export.next().await.unwrap() {
        heights.push(Header::decode(&block.header).unwrap().height);
    }
    assert_eq!(heights, [2, 3, 4, 5, 6, 7, 8, 9]);

    // Nodes that leave a block out, or end before the last height, are not believed.
    world.ledger.lock().unwrap().blocks.remove(4);
    let mut export = client.export(4, Some(9)).await.unwrap();
    assert!(export.next().await.unwrap().is_some());
    let error = export.next().await.unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error}");
}
