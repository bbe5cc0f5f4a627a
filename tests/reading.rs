//! What members, operators and auditors read: pages of one height, watches that miss nothing,
//! books against the ledger, and for each only what it is party to.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::audit::HistoryFilter;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::reconciliation::Happened;
use counterfoil_client::watch::{Checkpoint, Event, Watch};
use counterfoil_client::{Client, Error, v1};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::{SETTLEMENT, accepted, account, agree, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};

const FUNDED: u64 = 1_000_000;

const COMPARED: v1::Comparison = v1::Comparison::LedgerOwner;

fn client_of(consortium: &Consortium, institution: &str, role: &str) -> Client {
    let home = consortium.path().join(institution).join(role);
    Client::builder()
        .genesis_file(consortium.path().join("genesis.bin"))
        .endpoints((0..consortium.node_count()).map(|node| consortium.client_address(node)))
        .identity(home.join("certificate.pem"), home.join("key.pem"))
        .institution(Bic::parse(institution).expect("a BIC"))
        .without_journal()
        .deadline(Duration::from_secs(20))
        .build()
        .expect("the client is well configured")
}

fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it was answered"),
        Err(error) => error.refusal().expect("a refusal").reason.clone(),
    }
}

/// The next events, without heartbeats.
async fn events<T: Send + 'static>(watch: &mut Watch<T>, count: usize) -> Vec<T> {
    let mut events = Vec::new();
    while events.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), watch.next());
        match next.await.expect("something in time").expect("the watch holds") {
            Event::New(event) => events.push(event),
            Event::Heartbeat => {}
        }
    }
    events
}

fn payment(from: &str, to: &str, amount: u64) -> v1::Transfer {
    let mut payment = instructions::transfer(account(from, "CHF"), account(to, "CHF"), amount);
    payment.settlement_date = 20_260_105;
    payment.end_to_end_id = format!("E2E-{amount}");
    payment
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_reads_what_is_theirs() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED).await;
    let first_day = Date::from_yyyymmdd(20_260_101).expect("a date");
    agree(&consortium, BANKS[0], "CHF", first_day).await;
    let [alps, brne, cant] = BANKS.map(|bank| consortium.client(bank));
    let own = account(BANKS[0], "CHF");
    let mut watch = alps.watch_movements(own, Checkpoint::START);

    let payments: Vec<_> = (1..=10).map(|amount| payment(BANKS[0], BANKS[1], amount)).collect();
    let batch = accepted(&alps, Order::transfers(payments.clone(), false)).await;
    let height_before = batch.verdict.height;
    accepted(&alps, Order::transfer(payment(BANKS[0], BANKS[1], 11))).await;
    let too_much = Order::transfer(payment(BANKS[0], BANKS[1], FUNDED * 2));
    let refused = alps.submit(too_much).await.expect("the ledger decides");
    assert!(!refused.is_accepted());

    // Pages of three say the same as one page, and the balances follow from each other.
    let all = alps.movements(own, None, None).all().await.expect("movements");
    let mut pages = alps.movements(own, None, None).page_size(3);
    let mut paged = Vec::new();
    let mut heights = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        heights.push(page.as_of.height);
        paged.extend(page.items);
        // What is posted meanwhile belongs to no page of this list.
        accepted(&brne, Order::transfer(payment(BANKS[1], BANKS[2], 1))).await;
    }
    assert_eq!(paged, all.value);
    assert!(heights.iter().all(|height| *height == heights[0]), "one height: {heights:?}");
    assert_eq!(all.value.len(), 12, "the funding and eleven payments");
    assert_eq!(all.value[11].sequence, 12);
    assert_eq!(all.value[5].counterparty, BANKS[1]);
    assert_eq!(all.value[5].uetr, payments[4].uetr);
    assert_eq!(all.value[5].end_to_end_id, "E2E-5");
    let some_dates = Date::from_yyyymmdd(20_260_105).expect("a date");
    let dated = alps.movements(own, Some(some_dates), Some(some_dates)).all().await;
    assert_eq!(dated.expect("movements").value.len(), 11);

    // Balances then and now.
    let balance = |answer: v1::Account| answer.balance.expect("a balance").minor_units;
    let then = alps.balance(own, Some(height_before)).await.expect("a balance");
    assert_eq!(then.as_of.height, height_before);
    assert_eq!(balance(then.value), 1_000_000 - 55);
    let now = alps.balance(own, None).await.expect("a balance");
    assert_eq!(balance(now.value), 1_000_000 - 66);
    assert_eq!(refusal(alps.balance(own, Some(1_000_000)).await), "HEIGHT_NOT_REACHED");
    assert_eq!(refusal(alps.balance(own, Some(1)).await), "NOT_FOUND");

    // A watch gives each posting once, and a second one goes on behind the first.
    let first = events(&mut watch, 5).await;
    assert_eq!(first, all.value[..5]);
    let checkpoint = watch.checkpoint();
    drop(watch);
    let mut resumed = alps.watch_movements(own, checkpoint);
    assert_eq!(events(&mut resumed, 7).await, all.value[5..]);
    accepted(&brne, Order::transfer(payment(BANKS[1], BANKS[0], 20))).await;
    assert_eq!(events(&mut resumed, 1).await[0].amount.as_ref().expect("one").minor_units, 20);

    others_see_nothing(&consortium, &cant, &payments[0]).await;
    history(&consortium, &alps, &brne, &cant).await;
    books(&consortium, &alps, &cant).await;
    roles(&consortium).await;
    cluster(&consortium).await;
}

/// What is another's looks like what does not exist.
async fn others_see_nothing(consortium: &Consortium, cant: &Client, payment: &v1::Transfer) {
    let others = account(BANKS[0], "CHF");
    let nobodys = account("NOBDCHZZXXX", "CHF");
    for id in [others, nobodys] {
        assert_eq!(refusal(cant.balance(id, None).await), "NOT_FOUND");
        assert_eq!(refusal(cant.movements(id, None, None).next().await), "NOT_FOUND");
        let breaks = cant.breaks(id, COMPARED, true).next().await;
        assert_eq!(refusal(breaks), "NOT_FOUND");
        assert_eq!(refusal(cant.report(id, COMPARED, None).await), "NOT_FOUND");
    }
    let uetr = counterfoil_ledger::uetr::Uetr::from_bytes(&payment.uetr).expect("a UETR");
    assert!(cant.transfers_by_uetr(uetr).await.expect("an answer").value.is_empty());
    let agent = consortium.client(AGENT);
    let seen = agent.transfers_by_uetr(uetr).await.expect("an answer").value;
    assert_eq!(seen.len(), 1, "the servicer sees it");
    assert!(seen[0].instruction_id.is_empty(), "not whose instruction it was");
    let names = |accounts: Vec<v1::Account>| -> Vec<String> {
        accounts.into_iter().map(|account| account.owner).collect()
    };
    let own = cant.accounts(None).all().await.expect("accounts").value;
    assert_eq!(names(own), [BANKS[2]]);
    let all = agent.accounts(None).page_size(1).all().await.expect("accounts").value;
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|account| account.name == SETTLEMENT && account.exponent == 2));
}

async fn history(consortium: &Consortium, alps: &Client, brne: &Client, cant: &Client) {
    let of = async |client: &Client, include_rejected| {
        let filter = HistoryFilter { include_rejected, ..HistoryFilter::default() };
        client.history(filter).page_size(4).all().await.expect("the history").value
    };
    let settled = of(alps, false).await;
    assert_eq!(settled.len(), 13, "funding, ten, one, and one back");
    assert!(settled.iter().filter(|it| it.institution == BANKS[0]).count() == 11);
    assert!(
        settled.iter().all(|it| it.instruction_id.is_empty() == (it.institution != BANKS[0])),
        "an instruction is its sender's"
    );
    assert_eq!(of(alps, true).await.len(), 14, "the refused one too");
    let brne_settled = of(brne, false).await.len();
    assert_eq!(of(brne, true).await.len(), brne_settled, "a refusal is its sender's alone");
    assert!(of(cant, true).await.iter().all(|it| it.debtor == BANKS[2] || it.creditor == BANKS[2]));
    let supervisor = client_of(consortium, AGENT, "auditor");
    let everything = of(&supervisor, true).await;
    assert!(
        everything.iter().filter(|it| it.verdict.as_ref().is_some_and(|it| it.state == 2)).count()
            == 1
    );
    assert!(everything.len() > settled.len());
    let auditor = client_of(consortium, BANKS[2], "auditor");
    assert_eq!(of(&auditor, true).await.len(), of(cant, true).await.len());
}

/// The owner's book: nine that agree, one with another amount, one too many, one missing.
async fn books(consortium: &Consortium, alps: &Client, cant: &Client) {
    let own = account(BANKS[0], "CHF");
    let date = Date::from_yyyymmdd(20_260_105).expect("a date");
    let mut watch = alps.watch_reconciliation(own, Checkpoint::START);
    let movements = alps.movements(own, Some(date), Some(date)).all().await.expect("movements");
    let entry = |movement: &v1::Movement, amount: i64| {
        let side = if movement.side == 1 { Side::Debit } else { Side::Credit };
        let amount = u64::try_from(amount).expect("positive");
        let mut entry = instructions::book_entry(own, side, amount, date);
        entry.uetr = Bytes::clone(&movement.uetr);
        entry
    };
    let amount = |movement: &v1::Movement| movement.amount.as_ref().expect("one").minor_units;
    let posted = movements.value;
    let mut entries: Vec<_> = posted[..9].iter().map(|it| entry(it, amount(it))).collect();
    entries.push(entry(&posted[9], 777));
    let mut unknown = instructions::book_entry(own, Side::Debit, 5, date);
    unknown.entry_reference = "ONLY-HERE".to_owned();
    entries.push(unknown);
    accepted(alps, Order::book_entries(entries)).await;
    let statement = instructions::statement(own, "DAY-1", (date, date), 0, -827);
    accepted(alps, Order::statement(statement)).await;

    let matches = alps.matches(own, COMPARED, false).page_size(4).all().await.expect("matches");
    assert_eq!(matches.value.len(), 9);
    assert_eq!(matches.value[0].first[0].uetr, posted[0].uetr);
    let any = v1::Comparison::Unspecified;
    let breaks = alps.breaks(own, any, false).page_size(1).all().await.expect("breaks").value;
    let categories: Vec<_> = breaks.iter().map(v1::Break::category).collect();
    use v1::BreakCategory::{Amount, MissingFirst, MissingSecond};
    assert_eq!(categories, [Amount, MissingSecond, MissingSecond, MissingFirst]);

    let found = events(&mut watch, 13).await;
    let matched = found.iter().filter(|it| matches!(it.what, Happened::Matched(_))).count();
    assert_eq!(matched, 9);
    let report = alps.report(own, COMPARED, None).await.expect("a report").value;
    assert!(report.equation().holds(), "{report:?}");
    assert_eq!((report.match_count, report.second.statement_count), (9, 1));
    let (ledger, book) = (&report.first, &report.second);
    assert_eq!((ledger.opening, ledger.closing), (1_000_000, 1_000_000 - 66 + 20));
    assert_eq!((book.opening, book.opening_is_known, book.closing), (0, true, -827));
    let agent = consortium.client(AGENT);
    let seen = agent.breaks(own, COMPARED, true).all().await.expect("breaks").value;
    assert_eq!(seen, breaks, "the servicer sees the breaks of its accounts");
    assert_eq!(refusal(cant.matches(own, COMPARED, true).next().await), "NOT_FOUND");
    let servicers = v1::Comparison::LedgerServicer;
    let report = agent.report(own, servicers, None).await.expect("a report").value;
    assert_eq!((report.first.waiting_count, report.match_count), (12, 0));
}

async fn roles(consortium: &Consortium) {
    let supervisor = client_of(consortium, AGENT, "auditor");
    let last = supervisor.node_status().await.expect("a status").height;
    let mut export = supervisor.export(1, Some(last)).await.expect("an export");
    let mut blocks = 0;
    while let Some(block) = export.next().await.expect("a block") {
        let proposal = counterfoil_ledger::proposal::Proposal::decode(&block.proposal);
        assert!(proposal.is_some() && block.void_proposals.is_empty());
        blocks += 1;
    }
    assert_eq!(blocks, last);
    let headers = supervisor.blocks(0).page_size(2).all().await.expect("headers").value;
    assert!(headers.windows(2).all(|pair| pair[1].previous == pair[0].hash()));
    let auditor = client_of(consortium, BANKS[0], "auditor");
    let mut denied = auditor.export(1, Some(last)).await.expect("it is asked for with the first");
    assert_eq!(refusal(denied.next().await), "SCOPE_NOT_ALLOWED");
    let operator = client_of(consortium, BANKS[0], "operator");
    assert!(operator.balance(account(BANKS[0], "CHF"), None).await.is_ok());
    let history = operator.history(HistoryFilter::default()).next().await;
    assert_eq!(refusal(history), "ROLE_NOT_ALLOWED");
}

async fn cluster(consortium: &Consortium) {
    let operator = client_of(consortium, AGENT, "operator");
    let status = operator.cluster_status().await.expect("a status");
    assert_eq!((status.voter_count, status.ordering_quorum), (4, 3));
    assert!(status.members.iter().all(|member| member.reachable), "{status:?}");
    let follower = usize::from(status.leader == 1);
    consortium.kill_node(follower);
    let status = operator.cluster_status().await.expect("a status");
    let lost: Vec<_> = status.members.iter().filter(|member| !member.reachable).collect();
    assert_eq!(lost.len(), 1);
    let id = u64::try_from(follower + 1).expect("small");
    assert_eq!(lost[0].status.as_ref().expect("who it is").id, id);
}
