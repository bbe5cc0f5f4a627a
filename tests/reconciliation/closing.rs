//! A day that both banks have agreed closes once another one is agreed that lies far enough behind it:
//! everything is told as before, by every node and after a restart, and nothing is changed any more.

use std::time::Duration;

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::orders::resolution;
use counterfoil_client::reconciliation::StandsIn;
use counterfoil_client::watch::Checkpoint;
use counterfoil_client::{Client, v1};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};

use crate::desk::{FUNDED, now_ms, refusal, told, words};

const BOOKS: v1::Comparison = v1::Comparison::OwnerServicer;

/// Days before today on which the payments were.
const DAYS_AGO: u32 = 20;

/// What is asked of a day, and what a client is told.
#[derive(Debug, PartialEq)]
struct Told {
    matches: Vec<v1::Match>,
    breaks: Vec<v1::Break>,
    steps: Vec<v1::BreakStep>,
    stands_in: Vec<StandsIn>,
    day: v1::DayPosition,
    figures: (u64, u64, [u64; 2]),
    events: Vec<String>,
}

async fn tell(client: &Client, id: AccountId, day: Date) -> Told {
    let items = [(v1::Source::OwnerBook, 1), (v1::Source::ServicerBook, 2)];
    let mut stands_in = Vec::new();
    for (source, number) in items {
        stands_in.push(client.explain(id, BOOKS, source, number).await.unwrap().value.stands_in);
    }
    let report = client.report(id, BOOKS, Some((day, day))).await.unwrap().value;
    assert!(report.equation().holds(), "{report:?}");
    let ended = report.breaks.iter().map(|it| it.ended_count).sum();
    let counts = [report.first.matched_count, report.second.matched_count];
    let mut watch = client.watch_reconciliation(id, Checkpoint::START);
    let matches = client.matches(id, BOOKS, true).page_size(1);
    Told {
        matches: matches.all().await.unwrap().value,
        breaks: client.breaks(id, BOOKS, true).all().await.unwrap().value,
        steps: client.find_break(id, 1).await.unwrap().value.steps,
        stands_in,
        day: client.position(id, Some(day)).await.unwrap().value,
        figures: (report.match_count, ended, counts),
        events: told(&mut watch, EVENTS.len()).await.iter().map(words).collect(),
    }
}

const EVENTS: [&str; 7] = [
    "matched 1 OwnerServicer",
    "opened 1 Amount Open",
    "changed 1 Amount Offered",
    "changed 1 Amount Resolved",
    "position Signed Owner",
    "position Signed Servicer",
    "position Agreed Unspecified",
];

/// A bank signs a day as its book has it.
async fn sign(bank: &Client, source: v1::Source, id: AccountId, day: Date, opening_balance: i64) {
    let told = bank.position(id, Some(day)).await.unwrap().value;
    let own = told.sources.into_iter().find(|it| it.source() == source).unwrap().figures.unwrap();
    let moved = own.closing_balance - own.opening_balance;
    let closing_balance = opening_balance + moved;
    let view = v1::DayFigures { opening_balance, closing_balance, ..own };
    accepted(bank, Order::sign_position(id, day, &view)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_closed_is_told_as_before() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let (owner, servicer) = (consortium.client(BANKS[0]), consortium.client(AGENT));
    let id = account(BANKS[0], "CHF");
    let today = Date::from_unix_ms(now_ms());
    let day = Date::from_day_number(today.day_number() - DAYS_AGO);
    agree_on_terms(&owner, &servicer, id, day).await;

    for (bank, amounts) in [(&owner, [100, 200]), (&servicer, [100, 250])] {
        let entries = amounts.iter().zip(["A", "B"]).map(|(amount, reference)| {
            let entry = instructions::book_entry(id, Side::Debit, *amount, day);
            v1::BookEntry { end_to_end_id: reference.to_owned(), ..entry }
        });
        accepted(bank, Order::book_entries(entries.collect())).await;
    }
    let offer = resolution(v1::ResolutionKind::NoAction);
    accepted(&owner, Order::propose_resolution(id, 1, offer.clone())).await;
    accepted(&servicer, Order::agree_resolution(id, 1, offer, None)).await;
    let (owners, servicers) = (v1::Source::OwnerBook, v1::Source::ServicerBook);
    sign(&owner, owners, id, day, 1_000).await;
    sign(&servicer, servicers, id, day, 1_000).await;
    let before = tell(&owner, id, day).await;
    assert_eq!(before.events, EVENTS);
    assert!(before.day.agreed_at.is_some());
    assert_eq!(before.figures, (1, 1, [1, 1]));

    sign(&owner, owners, id, today, 700).await;
    sign(&servicer, servicers, id, today, 650).await;
    nothing_is_changed_any_more(&owner, id).await;
    assert_eq!(tell(&owner, id, day).await, before);
    // From disk, too, when the node has started again.
    assert_eq!(consortium.stop_node(1), Some(0));
    consortium.start_node(1);
    consortium.wait_ready();
    for node in 0..consortium.node_count() {
        let client = consortium.client_at(BANKS[0], &[node]);
        assert_eq!(tell(&client, id, day).await, before, "node {node}");
    }
    let unknown = owner.explain(id, BOOKS, owners, 3).await;
    assert_eq!(refusal(unknown), "NOT_FOUND");
    let stranger = consortium.client(BANKS[2]);
    assert_eq!(refusal(stranger.explain(id, BOOKS, owners, 1).await), "NOT_FOUND");
    assert_eq!(refusal(stranger.find_break(id, 1).await), "NOT_FOUND");
}

async fn agree_on_terms(owner: &Client, servicer: &Client, id: AccountId, from: Date) {
    let bic = |text| Bic::parse(text).unwrap();
    let terms = v1::AgreementTerms {
        ledger: false,
        ..instructions::agreement_terms(&bic(AGENT), &bic(BANKS[0]), &[id], from)
    };
    let until = now_ms() + 3_600_000;
    accepted(owner, Order::propose_agreement(terms.clone(), until)).await;
    let answer = v1::AgreementAnswer::Accept;
    accepted(servicer, Order::answer_agreement(AgreementId::of(&terms), answer)).await;
}

/// The day closes in the block of the last signature, or in one of the next.
async fn nothing_is_changed_any_more(owner: &Client, id: AccountId) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let undo = v1::MatchDecision::Undo;
    let order = Order::decide_match(id, BOOKS, [&[1], &[1]], undo, None);
    let refused = owner.submit(order).await.unwrap();
    assert_eq!(refused.verdict.rejection.unwrap().name, "DAY_CLOSED");
    let offer = resolution(v1::ResolutionKind::NoAction);
    let refused = owner.submit(Order::propose_resolution(id, 1, offer)).await.unwrap();
    assert_eq!(refused.verdict.rejection.unwrap().name, "DAY_CLOSED");
}
