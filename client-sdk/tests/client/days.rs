//! An account's day: opening, entries and closing that add up, and nodes that tell other ones.

use bytes::Bytes;
use counterfoil_client::account_day::{AccountDay, DayQuery};
use counterfoil_client::formats::outgoing::{Balances, Format, LedgerEntry, StatementWriter};
use counterfoil_client::formats::statement::StatementKind;
use counterfoil_client::watch::Position;
use counterfoil_client::{Error, v1};
use counterfoil_ledger::date::Date;
use counterfoil_ledger::uetr::Uetr;

use crate::consortium::{AGENT, BANK};
use crate::world::World;

/// The height at which the fake node's lists are true.
const HEIGHT: u64 = 9;

const DAY: u32 = 20_260_331;

/// Postings as (height, settlement date, minor units): one dated late, and one at a later height.
const POSTINGS: [(u64, u32, i64); 7] = [
    (1, DAY - 1, 1_000),
    (2, DAY, 50),
    (3, DAY + 70, -7),
    (4, DAY, -30),
    (5, DAY - 1, 100),
    (6, DAY, 5),
    (HEIGHT + 1, DAY, 1),
];

fn money(units: i64) -> Option<v1::Money> {
    Some(v1::Money { asset: "CHF".to_owned(), minor_units: units })
}

fn movements(world: &World) -> Vec<v1::Movement> {
    let uetr = Uetr::parse("eb6305c9-1f7f-49de-aed0-16487c27b42d").unwrap();
    let mut balance = 0;
    let movement = |(sequence, (height, date, units)): (u64, (u64, u32, i64))| {
        balance += units;
        let side = if units < 0 { v1::Side::Debit } else { v1::Side::Credit };
        v1::Movement {
            position: Some(v1::Position { height, leaf: 1 }),
            sequence,
            side: side.into(),
            amount: money(units.abs()),
            balance: money(balance),
            settlement_date: date,
            counterparty: world.consortium.bic(AGENT).to_string(),
            counterparty_account: Bytes::copy_from_slice(world.account(AGENT).as_bytes()),
            uetr: Bytes::copy_from_slice(uetr.as_bytes()),
            end_to_end_id: format!("E{sequence}"),
            block_time_ms: 1_000 * height,
        }
    };
    (1..).zip(POSTINGS).map(movement).collect()
}

fn tell(world: &World, movements: Vec<v1::Movement>) {
    let event = |movement| v1::WatchMovementsResponse {
        event: Some(v1::watch_movements_response::Event::Movement(movement)),
    };
    world.ledger.lock().unwrap().movements = movements.into_iter().map(event).collect();
}

fn balance(world: &World) -> v1::GetBalanceResponse {
    let account = v1::Account {
        id: Bytes::copy_from_slice(world.account(BANK).as_bytes()),
        servicer: world.consortium.bic(AGENT).to_string(),
        owner: world.consortium.bic(BANK).to_string(),
        asset: "CHF".to_owned(),
        exponent: 2,
        name: "settlement".to_owned(),
        balance: money(1_118),
        posting_count: 6,
        ..v1::Account::default()
    };
    let as_of = v1::AsOf {
        height: HEIGHT,
        header_hash: Bytes::copy_from_slice(&[7; 32]),
        block_time_ms: 1_775_000_000_000,
        finality: v1::Finality::Final.into(),
    };
    v1::GetBalanceResponse { account: Some(account), as_of: Some(as_of) }
}

fn query(world: &World, kind: StatementKind, after: Option<Position>) -> DayQuery {
    let date = Date::from_yyyymmdd(DAY).unwrap();
    DayQuery { account: world.account(BANK), kind, date, at_height: None, after }
}

async fn listed(day: &AccountDay) -> Result<Vec<LedgerEntry>, Error> {
    let (mut entries, mut list) = (day.entries(), Vec::new());
    while let Some(entry) = entries.next().await? {
        list.push(entry);
    }
    Ok(list)
}

#[tokio::test]
async fn a_day_has_what_was_posted_for_it_up_to_a_height() {
    let world = World::new();
    let node = world.node();
    tell(&world, movements(&world));
    world.ledger.lock().unwrap().balance = Some(balance(&world));
    let client = world.client(&[&node]);
    let mut seen = Vec::new();
    let whole = query(&world, StatementKind::EndOfDay, None);
    let day = client.account_day(&whole, |read, of| seen.push((read, of))).await.unwrap();
    assert_eq!(day.statement.balances, Some(Balances { opening: 1_100, closing: 1_125 }));
    assert_eq!(seen, [(2, 6), (3, 6), (4, 6), (6, 6)]);
    let entries = listed(&day).await.unwrap();
    let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [2, 4, 6]);
    let mut writer =
        StatementWriter::begin(day.statement.clone(), Format::Camt, Vec::new()).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    assert!(writer.finish().is_ok());

    let after = Some(Position { height: 2, leaf: 1 });
    let rest = query(&world, StatementKind::Notification, after);
    let day = client.account_day(&rest, |_, _| {}).await.unwrap();
    assert_eq!((day.statement.balances, day.statement.totals.count()), (None, 2));
    assert_eq!(listed(&day).await.unwrap().len(), 2);
    assert!(matches!(day.prove().await, Err(Error::Configuration(_))));
    let above = Some(Position { height: HEIGHT + 1, leaf: 0 });
    for (kind, after) in [(StatementKind::EndOfDay, after), (StatementKind::Notification, above)] {
        let refused = client.account_day(&query(&world, kind, after), |_, _| {}).await;
        assert!(matches!(refused, Err(Error::Configuration(_))));
    }
}

#[tokio::test]
async fn figures_that_no_quorum_signed_are_not_proved() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    // The chain of the fake node funds the bank with one posting, of the day of its block.
    let (height, date, block_time_ms) = {
        let ledger = world.ledger.lock().unwrap();
        let header = &ledger.chain.blocks.last().unwrap().header;
        (ledger.chain.height(), Date::from_unix_ms(header.block_time_ms), header.block_time_ms)
    };
    for (units, proved) in [(1_000_000, true), (1_000_001, false)] {
        let mut told = balance(&world);
        let account = told.account.as_mut().unwrap();
        (account.balance, account.posting_count) = (money(units), 1);
        let as_of = told.as_of.as_mut().unwrap();
        (as_of.height, as_of.block_time_ms) = (height, block_time_ms);
        let mut movement = movements(&world).remove(0);
        movement.settlement_date = date.yyyymmdd();
        movement.position = Some(v1::Position { height, leaf: 0 });
        (movement.amount, movement.balance) = (money(units), money(units));
        tell(&world, vec![movement]);
        world.ledger.lock().unwrap().balance = Some(told);
        let query = DayQuery { date, ..query(&world, StatementKind::EndOfDay, None) };
        let day = client.account_day(&query, |_, _| {}).await.unwrap();
        assert_eq!(day.prove().await.is_ok(), proved, "{units}");
    }
}

/// A lie about the account, and about its postings.
type Lie = (&'static str, fn(&mut v1::GetBalanceResponse), fn(&mut Vec<v1::Movement>));

#[tokio::test]
async fn what_cannot_be_is_not_believed() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    fn account(told: &mut v1::GetBalanceResponse) -> &mut v1::Account {
        told.account.as_mut().unwrap()
    }
    let lies: [Lie; 18] = [
        ("another name", |told| account(told).name.push('X'), |_| {}),
        ("another owner", |told| account(told).owner = "NOBODYZZXXX".to_owned(), |_| {}),
        ("other decimals", |told| account(told).exponent = 3, |_| {}),
        ("no balance", |told| account(told).balance = None, |_| {}),
        ("another balance", |told| account(told).balance = money(1_119), |_| {}),
        ("fewer postings", |told| account(told).posting_count = 5, |_| {}),
        ("not final", |told| told.as_of.as_mut().unwrap().finality = 1, |_| {}),
        ("no header", |told| told.as_of.as_mut().unwrap().header_hash.clear(), |_| {}),
        ("a height that the list has not", |told| told.as_of.as_mut().unwrap().height = 10, |_| {}),
        ("a posting twice", |_| {}, |list| list.insert(2, list[1].clone())),
        ("out of order", |_| {}, |list| list.swap(1, 3)),
        ("another amount", |_| {}, |list| list[3].amount = money(31)),
        ("no amount", |_| {}, |list| list[3].amount = money(0)),
        ("less than nothing", |_| {}, |list| list[3].amount = money(-30)),
        ("another asset", |_| {}, |list| list[3].amount.as_mut().unwrap().asset.push('X')),
        ("no side", |_| {}, |list| list[3].side = 0),
        ("no reference", |_| {}, |list| list[3].uetr.clear()),
        ("no place", |_| {}, |list| list[3].position = None),
    ];
    for (what, of_account, of_postings) in lies {
        let (mut told, mut list) = (balance(&world), movements(&world));
        of_account(&mut told);
        of_postings(&mut list);
        tell(&world, list);
        world.ledger.lock().unwrap().balance = Some(told);
        let query = query(&world, StatementKind::EndOfDay, None);
        let read = client.account_day(&query, |_, _| {}).await;
        assert!(matches!(read, Err(Error::BadAnswer { .. })), "{what}");
    }
    // Another list than the first time: the statement does not end.
    tell(&world, movements(&world));
    world.ledger.lock().unwrap().balance = Some(balance(&world));
    let query = query(&world, StatementKind::EndOfDay, None);
    let day = client.account_day(&query, |_, _| {}).await.unwrap();
    let mut list = movements(&world);
    list.remove(1);
    tell(&world, list);
    let entries = listed(&day).await.unwrap();
    let mut writer =
        StatementWriter::begin(day.statement.clone(), Format::Camt, Vec::new()).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    assert!(writer.finish().is_err());
}
