//! What reconciliation has found, as a bank's program reads it; and what it orders.

use std::io::Cursor;
use std::time::Duration;

use counterfoil_client::reconciliation::{Happened, StandsIn};
use counterfoil_client::sealed::About;
use counterfoil_client::watch::{Checkpoint, Position};
use counterfoil_client::{Error, Order, instructions, v1};
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use futures::TryStreamExt;
use futures::stream::StreamExt;

use crate::consortium::{AGENT, BANK};
use crate::world::World;

fn date(yyyymmdd: u32) -> Date {
    Date::from_yyyymmdd(yyyymmdd).unwrap()
}

fn broken(number: u64, ended: bool) -> v1::Break {
    let ended_at = ended.then_some(v1::Position { height: 8, leaf: 0 });
    v1::Break { number, ended_at, ..v1::Break::default() }
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let world = World::new();
    let node = world.node();
    let matched = |number, comparison: v1::Comparison| v1::Match {
        number,
        comparison: comparison.into(),
        ..v1::Match::default()
    };
    {
        let found = &mut world.ledger.lock().unwrap().found;
        found.breaks = (1..=7).map(|number| broken(number, number % 2 == 0)).collect();
        found.matches = vec![
            matched(1, v1::Comparison::LedgerOwner),
            matched(2, v1::Comparison::OwnerServicer),
        ];
        found.proposals = vec![v1::Proposal { number: 3, ..v1::Proposal::default() }];
        let day = |date| v1::DayPosition { date, ..v1::DayPosition::default() };
        found.positions = (20_261_101..=20_261_130).map(day).collect();
    }
    let (client, account) = (world.client(&[&node]), world.account(BANK));
    let any = v1::Comparison::Unspecified;
    let open = client.breaks(account, any, false).page_size(2).all().await.unwrap();
    let numbers: Vec<u64> = open.value.iter().map(|one| one.number).collect();
    assert_eq!((numbers, open.as_of.height), (vec![1, 3, 5, 7], 9));
    assert_eq!(client.breaks(account, any, true).all().await.unwrap().value.len(), 7);

    let own = client.matches(account, v1::Comparison::OwnerServicer, false).all().await.unwrap();
    assert_eq!((own.value.len(), own.value[0].number), (1, 2));
    let proposals = client.proposals(account, any, false).items();
    let proposals: Vec<_> = proposals.try_collect().await.unwrap();
    assert_eq!(proposals[0].number, 3);

    let (from, to) = (Some(date(20_261_110)), Some(date(20_261_119)));
    let days = client.positions(account, from, to).page_size(3).all().await.unwrap().value;
    assert_eq!((days.len(), days[0].date, days[9].date), (10, 20_261_110, 20_261_119));
}

#[tokio::test]
async fn another_answer_than_the_question_is_not_believed() {
    let world = World::new();
    let node = world.node();
    {
        let found = &mut world.ledger.lock().unwrap().found;
        found.breaks = vec![broken(1, false)];
        found.positions = vec![v1::DayPosition { date: 20_261_130, ..Default::default() }];
        found.explanation.item = Some(v1::Item { number: 1, ..v1::Item::default() });
        found.report.first = Some(v1::RangeFigures::default());
    }
    let (client, account) = (world.client(&[&node]), world.account(BANK));
    let comparison = v1::Comparison::LedgerOwner;
    assert_eq!(client.find_break(account, 1).await.unwrap().value.found.number, 1);
    let errors = [
        client.find_break(account, 2).await.unwrap_err(),
        client.position(account, Some(date(20_261_129))).await.unwrap_err(),
        client.explain(account, comparison, v1::Source::Ledger, 2).await.unwrap_err(),
        client.report(account, comparison, None).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Unavailable { .. } | Error::BadAnswer { .. }), "{error}");
    }
    assert!(client.position(account, None).await.is_ok());
}

#[tokio::test]
async fn an_item_is_explained() {
    let world = World::new();
    let node = world.node();
    let item = v1::Item { source: v1::Source::OwnerBook.into(), number: 12, ..Default::default() };
    let matched = v1::Match { number: 4, ..v1::Match::default() };
    world.ledger.lock().unwrap().found.explanation = v1::ExplainItemResponse {
        item: Some(item),
        comparison: v1::Comparison::OwnerServicer.into(),
        rule_set: 1,
        stands_in: Some(v1::explain_item_response::StandsIn::Matched(matched)),
        deadline_ms: 0,
        original: 7,
        ..v1::ExplainItemResponse::default()
    };
    let (client, account) = (world.client(&[&node]), world.account(BANK));
    let any = v1::Comparison::Unspecified;
    let why = client.explain(account, any, v1::Source::OwnerBook, 12).await.unwrap().value;
    assert_eq!(why.comparison, v1::Comparison::OwnerServicer);
    assert_eq!((why.rule_set, why.deadline_ms, why.original), (1, None, Some(7)));
    assert!(matches!(why.stands_in, StandsIn::Match(found) if found.number == 4));
}

#[tokio::test]
async fn a_report_tells_whether_it_adds_up() {
    let world = World::new();
    let node = world.node();
    let first = v1::RangeFigures {
        credit_count: 2,
        credits: 150,
        matched_count: 1,
        matched_effect: 100,
        ..v1::RangeFigures::default()
    };
    let second = v1::RangeFigures { credit_count: 1, credits: 100, ..first };
    let missing = v1::BreakFigures { open_count: 1, effect: 50, ..v1::BreakFigures::default() };
    let comparison = v1::Comparison::LedgerOwner;
    world.ledger.lock().unwrap().found.report = v1::GetReportResponse {
        asset: "CHF".to_owned(),
        comparison: comparison.into(),
        from_date: 20_261_101,
        to_date: 20_261_130,
        first: Some(first),
        second: Some(second),
        breaks: vec![missing],
        ..v1::GetReportResponse::default()
    };
    let (client, account) = (world.client(&[&node]), world.account(BANK));
    let report = client.report(account, comparison, None).await.unwrap().value;
    assert!(report.equation().holds());
    assert_eq!((report.match_rate(), report.open_break_count()), (Some(6_666), 1));
    assert_eq!(report.dates, Some((date(20_261_101), date(20_261_130))));
}

#[tokio::test]
async fn other_terms_are_tried_and_the_agreement_of_an_account_is_found() {
    let world = World::new();
    let node = world.node();
    let bic = |text| world.consortium.bic(text);
    let account = world.account(BANK);
    let terms =
        instructions::agreement_terms(&bic(AGENT), &bic(BANK), &[account], date(20_261_201));
    let id = AgreementId::of(&terms);
    let summary = v1::AgreementSummary {
        id: bytes::Bytes::copy_from_slice(id.as_bytes()),
        state: v1::AgreementState::Active.into(),
        ..v1::AgreementSummary::default()
    };
    {
        let mut ledger = world.ledger.lock().unwrap();
        ledger.agreement = Some(v1::GetAgreementResponse {
            summary: Some(summary),
            terms: Some(terms.clone()),
            as_of: Some(v1::AsOf::default()),
        });
        ledger.found.tried = vec![v1::TriedTerms { item_count: 3, ..Default::default() }];
    }
    let client = world.client(&[&node]);
    assert_eq!(client.agreement_of(account).await.unwrap().unwrap().id, id);
    assert!(client.agreement_of(world.account(AGENT)).await.unwrap().is_none());
    let tried = client.try_terms(account, terms.clone()).await.unwrap().value;
    assert_eq!(tried[0].item_count, 3);
    assert_eq!(world.ledger.lock().unwrap().found.terms, Some(terms));
}

#[tokio::test]
async fn a_watch_tells_positions_and_breaks_with_their_place() {
    use v1::watch_reconciliation_response::Event;
    let world = World::new();
    let node = world.node();
    let change = v1::PositionChange::Agreed.into();
    let day = v1::PositionEvent { date: 20_261_123, change, ..v1::PositionEvent::default() };
    let told = |event, height| v1::WatchReconciliationResponse {
        event: Some(event),
        at: Some(v1::Position { height, leaf: 0 }),
    };
    world.ledger.lock().unwrap().findings =
        vec![told(Event::Changed(broken(1, false)), 3), told(Event::Position(day), 4)];
    let client = world.client(&[&node]);
    let watch = client.watch_reconciliation(world.account(BANK), Checkpoint::START);
    let events: Vec<_> = watch.events().take(2).try_collect().await.unwrap();
    assert!(matches!(&events[0].0.what, Happened::Changed(found) if found.number == 1));
    assert!(matches!(&events[1].0.what, Happened::Position(it) if it.date == 20_261_123));
    assert_eq!(events[1].0.at, Position { height: 4, leaf: 0 });
}

#[tokio::test]
async fn an_order_of_reconciliation_has_an_outcome_that_is_proved() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    // Nothing is agreed and there is no such break: the ledger says so, for ever.
    let order = Order::reopen_break(world.account(BANK), 1, None);
    let outcome = client.submit(order).await.unwrap();
    assert!(!outcome.is_accepted(), "{:?}", outcome.verdict);
}

#[tokio::test]
async fn originals_go_and_come_in_parts() {
    let world = World::new();
    let node = world.node();
    let account = world.account(BANK);
    world.ledger.lock().unwrap().found.statements =
        (1..=3).map(|number| v1::RecordedStatement { number, ..Default::default() }).collect();
    let client = world.client(&[&node]);
    let listed = client.statements(account, v1::Source::OwnerBook).page_size(2).all().await;
    assert_eq!(listed.unwrap().value.len(), 3);

    let about = About {
        agreement: AgreementId::from_bytes(&[1; 16]).unwrap(),
        account,
        original: Hash::ZERO,
    };
    let sealed: Vec<u8> = (0..5_000_000_u32).map(|place| (place % 251) as u8).collect();
    let mut told = Vec::new();
    let put = client.put_original(&about, Cursor::new(&sealed), |done, of| told.push((done, of)));
    assert_eq!(put.await.unwrap().held_by, ["BANKCHZZXXX"]);
    assert_eq!(told.last(), Some(&(5_000_000, 5_000_000)));
    let mut got = Vec::new();
    assert_eq!(client.get_original(&about, &mut got, |_, _| {}).await.unwrap(), 5_000_000);
    assert!(got == sealed);

    // A node that gives parts of several files, or never comes to the end, is left.
    let short = client.with_deadline(Duration::from_millis(500));
    world.ledger.lock().unwrap().found.changes = true;
    assert!(short.get_original(&about, Vec::new(), |_, _| {}).await.is_err());
    assert_eq!(client.delete_original(&about).await.unwrap().deleted_at, ["BANKCHZZXXX"]);
    world.ledger.lock().unwrap().found.takes_no_part = true;
    assert!(client.put_original(&about, Cursor::new(&sealed), |_, _| {}).await.is_err());
    assert!(short.get_original(&about, Vec::new(), |_, _| {}).await.is_err(), "an empty part");
}
