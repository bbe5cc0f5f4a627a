//! Two banks reconcile an account between them on a consortium of real processes: what agrees is
//! matched at once, what does not is a break that both see, what never comes is missing when its time
//! has come though nobody instructs anything, and the day ends with a position that both have signed.

#![allow(clippy::unwrap_used)]

mod clerks;
mod closing;
mod desk;
mod originals;

use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::orders::{Saying, resolution};
use counterfoil_client::reconciliation::StandsIn;
use counterfoil_client::v1;
use counterfoil_client::watch::Checkpoint;
use counterfoil_ledger::agreement::Party;
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};

use desk::{Desk, FUNDED, OWNER, SERVICER, is_quiet, now_ms, only, refusal, told, words};

#[tokio::test(flavor = "multi_thread")]
async fn two_banks_agree_on_their_day() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let desk = Desk::open(consortium).await;

    let payments = [desk.pay(100).await, desk.pay(200).await, desk.pay(300).await];
    let [exact, other, late] = payments.each_ref().map(|payment| payment.uetr.clone());
    let servicers = payments.iter().map(|it| desk.entry(it.amount, &it.uetr)).collect();
    desk.post(&desk.servicer, servicers).await;
    let alone = desk.entry(77, &Bytes::new());
    desk.post(&desk.owner, vec![desk.entry(100, &exact), desk.entry(250, &other), alone]).await;

    what_agrees_is_matched(&desk).await;
    what_waits_is_its_books_keepers(&desk).await;
    strangers_see_nothing(&desk).await;
    other_terms_are_tried(&desk).await;
    a_break_ends_with_a_transfer(&desk).await;
    assert!(now_ms() < desk.deadline_ms, "all this came before the deadline");
    what_never_came_is_missing(&desk).await;
    what_comes_late_heals(&desk, &late).await;
    both_sign_the_day(&desk).await;
    figures_add_up(&desk).await;
    a_watch_goes_on_where_it_was(&desk).await;
    nothing_happens_any_more(&desk).await;
}

async fn what_agrees_is_matched(desk: &Desk) {
    let matched = only(desk.matches(&desk.owner, OWNER).await);
    let (first, second) = (only(matched.first.clone()), only(matched.second.clone()));
    assert_eq!(matched.pass(), v1::MatchPass::Uetr);
    assert_eq!((first.source(), first.number), (v1::Source::Ledger, 2), "behind the funding");
    assert_eq!((second.source(), second.number), (v1::Source::OwnerBook, 1));
    assert_eq!(first.amount, second.amount);
    assert_eq!(desk.matches(&desk.servicer, SERVICER).await.len(), 3);
    let pages = desk.owner.matches(desk.account, v1::Comparison::Unspecified, true);
    assert_eq!(pages.page_size(1).all().await.unwrap().value.len(), 4);

    // Each side sees the other one's entry that differs.
    for bank in [&desk.owner, &desk.servicer] {
        let broken = only(desk.breaks(bank, OWNER).await);
        assert_eq!(broken.category(), v1::BreakCategory::Amount);
        assert_eq!(broken.state(), v1::BreakState::Open);
        assert_eq!((broken.effect, broken.age_days), (50, 0), "a debit of 200 and one of 250");
        assert_eq!((broken.answers(), broken.escalation_level), (v1::Party::Owner, 0));
        assert_eq!(broken.answer_by, desk.today.next().next().yyyymmdd());
        assert_eq!(only(broken.second).amount.unwrap().minor_units, 250);
    }
    assert!(desk.breaks(&desk.owner, SERVICER).await.is_empty());
}

/// An entry that stands in nothing is nobody else's business.
async fn what_waits_is_its_books_keepers(desk: &Desk) {
    let any = v1::Comparison::Unspecified;
    let alone = desk.owner.explain(desk.account, any, v1::Source::OwnerBook, 3).await.unwrap();
    let alone = alone.value;
    assert_eq!(alone.comparison, OWNER);
    assert_eq!(alone.stands_in, StandsIn::Nothing);
    assert_eq!(alone.deadline_ms, Some(desk.deadline_ms));
    let others = desk.servicer.explain(desk.account, any, v1::Source::OwnerBook, 3).await;
    assert_eq!(refusal(others), "NOT_FOUND");
    let broken = desk.servicer.explain(desk.account, any, v1::Source::OwnerBook, 2).await.unwrap();
    assert!(matches!(broken.value.stands_in, StandsIn::Break(_)), "it is in a break");
    // The ledger's are both's; a posting stands in two comparisons.
    let posting = desk.servicer.explain(desk.account, OWNER, v1::Source::Ledger, 4).await.unwrap();
    assert_eq!(posting.value.stands_in, StandsIn::Nothing);
    let posting = desk.servicer.explain(desk.account, any, v1::Source::Ledger, 4).await;
    assert_eq!(refusal(posting), "FIELD_INVALID");
    let nothing = desk.owner.explain(desk.account, any, v1::Source::OwnerBook, 9).await;
    assert_eq!(refusal(nothing), "NOT_FOUND");
}

async fn strangers_see_nothing(desk: &Desk) {
    let stranger = desk.consortium.client(BANKS[2]);
    for id in [desk.account, account("NOBDCHZZXXX", "CHF")] {
        assert_eq!(refusal(stranger.matches(id, OWNER, true).next().await), "NOT_FOUND");
        assert_eq!(refusal(stranger.proposals(id, OWNER, true).next().await), "NOT_FOUND");
        assert_eq!(refusal(stranger.breaks(id, OWNER, true).next().await), "NOT_FOUND");
        assert_eq!(refusal(stranger.find_break(id, 1).await), "NOT_FOUND");
        assert_eq!(refusal(stranger.positions(id, None, None).next().await), "NOT_FOUND");
        assert_eq!(refusal(stranger.position(id, None).await), "NOT_FOUND");
        let item = stranger.explain(id, OWNER, v1::Source::Ledger, 2).await;
        assert_eq!(refusal(item), "NOT_FOUND");
        assert_eq!(refusal(stranger.report(id, OWNER, None).await), "NOT_FOUND");
        assert_eq!(refusal(stranger.try_terms(id, desk.terms.clone()).await), "NOT_FOUND");
    }
    let supervisor = desk.consortium.reader(AGENT, "auditor");
    let item = supervisor.explain(desk.account, OWNER, v1::Source::OwnerBook, 3).await;
    assert_eq!(item.unwrap().value.stands_in, StandsIn::Nothing, "it sees everything");
}

async fn other_terms_are_tried(desk: &Desk) {
    let tolerance = v1::Tolerance { asset: "CHF".to_owned(), absolute: 50, ..Default::default() };
    let terms = v1::AgreementTerms { tolerances: vec![tolerance], ..desk.terms.clone() };
    let tried = desk.owner.try_terms(desk.account, terms).await.unwrap().value;
    let [owner, servicer] = &tried[..] else { panic!("{tried:?}") };
    assert_eq!((owner.comparison(), servicer.comparison()), (OWNER, SERVICER));
    assert_eq!((owner.matches_now, owner.breaks_now), (1, 1));
    assert_eq!((owner.matches_then, owner.breaks_then), (2, 0));
    let changed = only(owner.changed.clone());
    assert_eq!(changed.category_now(), v1::BreakCategory::Amount);
    assert!(changed.first.is_some() && changed.second.is_some());
    assert_eq!((servicer.matches_then, servicer.changed_count), (3, 0));
    let others = v1::AgreementTerms { owner: BANKS[1].to_owned(), ..desk.terms.clone() };
    assert_eq!(refusal(desk.owner.try_terms(desk.account, others).await), "FIELD_INVALID");
}

/// The owner pays what its book says was paid: the transfer settles in the step in which it agrees.
async fn a_break_ends_with_a_transfer(desk: &Desk) {
    let number = only(desk.breaks(&desk.owner, OWNER).await).number;
    accepted(&desk.owner, Order::assign_break(desk.account, number, Party::Owner)).await;
    let said = Saying { code: "SMTC".to_owned(), ..Saying::default() };
    accepted(&desk.owner, Order::say_of_break(desk.account, number, &said)).await;
    let transfer = instructions::transfer(desk.account, account(AGENT, "CHF"), 50);
    let offer = v1::ProposeResolution {
        amount: transfer.amount,
        debit_account: transfer.debit_account.clone(),
        credit_account: transfer.credit_account.clone(),
        ..resolution(v1::ResolutionKind::CorrectingTransfer)
    };
    accepted(&desk.servicer, Order::propose_resolution(desk.account, number, offer.clone())).await;
    let offered = desk.servicer.find_break(desk.account, number).await.unwrap().value;
    assert_eq!(offered.found.state(), v1::BreakState::Offered);
    let told = offered.found.offer.unwrap();
    assert_eq!((told.by(), told.resolution), (v1::Party::Servicer, Some(offer.clone())));

    let paid = v1::Transfer { settlement_date: desk.today.yyyymmdd(), ..transfer };
    let uetr = paid.uetr.clone();
    let agree = Order::agree_resolution(desk.account, number, offer, Some(paid));
    accepted(&desk.owner, agree).await;
    let ended = desk.owner.find_break(desk.account, number).await.unwrap().value;
    assert_eq!(ended.found.state(), v1::BreakState::Resolved);
    assert_eq!((ended.found.step_count, ended.found.owner()), (4, v1::Party::Owner));
    let by: Vec<_> = ended.steps.iter().map(v1::BreakStep::by).collect();
    let (owner, servicer) = (v1::Party::Owner, v1::Party::Servicer);
    assert_eq!(by, [owner, owner, servicer, owner]);
    assert_eq!(ended.steps[3].position, ended.found.ended_at);
    let balance = desk.owner.balance(desk.account, None).await.unwrap().value.balance.unwrap();
    assert_eq!(balance.minor_units, 1_000_000 - 650);
    // The owner's book had it all along: the transfer belongs to the break. The servicer's gets it now.
    desk.post(&desk.servicer, vec![desk.entry(50, &uetr)]).await;
    assert_eq!(desk.matches(&desk.owner, OWNER).await.len(), 1);
    assert_eq!(desk.matches(&desk.owner, SERVICER).await.len(), 4);
}

/// Nobody instructs anything, and no clock ticks faster for it.
async fn what_never_came_is_missing(desk: &Desk) {
    let before = desk.owner.node_status().await.unwrap().height;
    let left = desk.deadline_ms.saturating_sub(now_ms());
    tokio::time::sleep(Duration::from_millis(left)).await;
    let missing = async {
        loop {
            let breaks = desk.breaks(&desk.servicer, OWNER).await;
            if !breaks.is_empty() {
                return breaks;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let missing = tokio::time::timeout(Duration::from_secs(10), missing).await.unwrap();
    let mut categories: Vec<_> = missing.iter().map(v1::Break::category).collect();
    categories.sort();
    use v1::BreakCategory::{MissingFirst, MissingSecond};
    assert_eq!(categories, [MissingFirst, MissingSecond]);
    assert!(missing.iter().all(|it| it.opened_at.as_ref().unwrap().height == before + 1));
    assert!(missing.iter().all(|it| it.opened_ms >= desk.deadline_ms));
    // In a break, the entry is both parties' to see.
    let any = v1::Comparison::Unspecified;
    let alone = desk.servicer.explain(desk.account, any, v1::Source::OwnerBook, 3).await.unwrap();
    assert!(matches!(alone.value.stands_in, StandsIn::Break(_)));
    for node in 0..desk.consortium.node_count() {
        let client = desk.consortium.client_at(BANKS[0], &[node]);
        assert_eq!(desk.breaks(&client, OWNER).await, missing, "node {node}");
    }
}

async fn what_comes_late_heals(desk: &Desk, late: &Bytes) {
    desk.post(&desk.owner, vec![desk.entry(300, late)]).await;
    let left = only(desk.breaks(&desk.owner, OWNER).await);
    assert_eq!(left.category(), v1::BreakCategory::MissingFirst);
    let all = desk.owner.breaks(desk.account, OWNER, true).all().await.unwrap().value;
    let healed: Vec<_> = all.iter().filter(|it| it.state() == v1::BreakState::Healed).collect();
    assert_eq!(only(healed).category(), v1::BreakCategory::MissingSecond);
    let offer = resolution(v1::ResolutionKind::NoAction);
    let number = left.number;
    accepted(&desk.owner, Order::propose_resolution(desk.account, number, offer.clone())).await;
    accepted(&desk.servicer, Order::agree_resolution(desk.account, number, offer, None)).await;
    assert!(desk.breaks(&desk.owner, v1::Comparison::Unspecified).await.is_empty());
}

async fn both_sign_the_day(desk: &Desk) {
    let day = desk.owner.position(desk.account, None).await.unwrap().value;
    assert_eq!((day.date, day.open_item_count), (desk.today.yyyymmdd(), 0));
    let figures = |source| {
        let found = day.sources.iter().find(|it| it.source() == source);
        found.unwrap().figures.clone().unwrap()
    };
    let ledger = figures(v1::Source::Ledger);
    assert_eq!((ledger.opening_balance, ledger.closing_balance), (1_000_000, 1_000_000 - 650));
    assert_eq!((ledger.debit_count, ledger.debits), (4, 650));
    for (bank, source, closing) in [
        (&desk.owner, v1::Source::OwnerBook, 1_000_000 - 727),
        (&desk.servicer, v1::Source::ServicerBook, 1_000_000 - 650),
    ] {
        let own = figures(source);
        assert!(!own.opening_is_known, "it has no statement");
        let (opening_balance, closing_balance) = (1_000_000, 1_000_000 + own.closing_balance);
        assert_eq!(closing_balance, closing);
        let view = v1::DayFigures { opening_balance, closing_balance, ..own };
        accepted(bank, Order::sign_position(desk.account, desk.today, &view)).await;
    }
    let days = desk.servicer.positions(desk.account, None, None).all().await.unwrap().value;
    let day = only(days);
    assert!(day.agreed_at.is_some(), "{day:?}");
    let signed = day.owner.unwrap();
    assert_eq!(signed.figures.unwrap().closing_balance, 1_000_000 - 727);
    assert_eq!(day.servicer.unwrap().signed_at, day.agreed_at);
}

async fn figures_add_up(desk: &Desk) {
    for (comparison, match_count) in [(OWNER, 2), (SERVICER, 4)] {
        let report = desk.owner.report(desk.account, comparison, None).await.unwrap().value;
        assert_eq!(report.dates, Some((desk.today, desk.today)));
        assert!(report.equation().holds(), "{report:?}");
        assert_eq!((report.match_count, report.proposal_count), (match_count, 0));
        assert_eq!(report.open_break_count(), 0);
    }
}

/// Everything is told once, in order, whether a watch goes on or begins anew in the middle.
async fn a_watch_goes_on_where_it_was(desk: &Desk) {
    let mut watch = desk.watch(Checkpoint::START);
    let all = told(&mut watch, EVENTS.len()).await;
    let told_words: Vec<String> = all.iter().map(words).collect();
    assert_eq!(told_words, EVENTS);
    assert!(is_quiet(&mut watch).await);
    assert!(all.is_sorted_by_key(|finding| finding.at));
    for count in [1, 6, 14] {
        let mut first = desk.watch(Checkpoint::START);
        assert_eq!(told(&mut first, count).await, all[..count]);
        let mut rest = desk.watch(first.checkpoint());
        assert_eq!(told(&mut rest, all.len() - count).await, all[count..], "after {count}");
        assert!(is_quiet(&mut rest).await);
    }
}

/// What the owner is told of the whole day.
const EVENTS: [&str; 19] = [
    "matched 1 LedgerServicer",
    "matched 2 LedgerServicer",
    "matched 3 LedgerServicer",
    "matched 4 LedgerOwner",
    "opened 1 Amount Open",
    "changed 1 Amount Assigned",
    "changed 1 Amount Awaiting",
    "changed 1 Amount Offered",
    // With the posting of its transfer, which is no news of its own.
    "changed 1 Amount Resolved",
    "matched 5 LedgerServicer",
    "opened 2 MissingSecond Open",
    "opened 3 MissingFirst Open",
    "healed 2 MissingSecond Healed",
    "matched 6 LedgerOwner",
    "changed 3 MissingFirst Offered",
    "changed 3 MissingFirst Resolved",
    "position Signed Owner",
    "position Signed Servicer",
    "position Agreed Unspecified",
];

/// What was due is done: no more blocks come by themselves.
async fn nothing_happens_any_more(desk: &Desk) {
    let height = || async { desk.owner.node_status().await.unwrap().height };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = height().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(height().await, before);
    for node in 0..desk.consortium.node_count() {
        assert!(!desk.consortium.log(node).contains("panicked"), "{}", desk.consortium.log(node));
    }
}
