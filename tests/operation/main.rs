//! What the people who run a node, and the programs of a bank, rely on: health, monitoring, documented
//! exit codes, certificates that are replaced while the node runs, reads that say how fresh they are,
//! watches that lose nothing, and business that goes on when the leader dies.

#![allow(clippy::unwrap_used)]

mod process;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::reconciliation::Happened;
use counterfoil_client::watch::{Checkpoint, Event, Watch};
use counterfoil_client::{Client, Error, v1};
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::{accepted, account, agree, balance, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, CONSORTIUM, Consortium, binary, counterfoil};
use counterfoil_tests::wire;
use prost::Message;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// After the leader's death, business goes on within this time.
const FAILOVER: Duration = Duration::from_secs(15);

/// What each bank has at first, minor units.
const FUNDED: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_consortium_in_operation() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", FUNDED.unsigned_abs()).await;
    monitoring_answers(&consortium);
    health_answers(&consortium).await;
    reflection_answers(&consortium).await;
    reads_are_as_fresh_as_they_say(&consortium).await;
    a_watch_tells_matches_and_breaks(&consortium).await;
    certificates_are_replaced_while_the_node_runs(&consortium).await;
    a_watch_survives_its_node(&consortium).await;
    business_survives_the_leader(&consortium).await;
    sigterm_drains(&consortium).await;
    process::exit_codes_are_those_documented(&consortium);
    process::check_finds_what_is_wrong(&consortium);
    without_a_quorum_only_stale_reads_are_answered(&consortium).await;
    for node in 0..consortium.node_count() {
        assert!(!consortium.log(node).contains("panicked"), "{}", consortium.log(node));
    }
}

/// Pays one unit from the first bank to the second.
fn pay() -> Order {
    Order::transfer(instructions::transfer(account(BANKS[0], "CHF"), account(BANKS[1], "CHF"), 1))
}

fn monitoring_answers(consortium: &Consortium) {
    for node in 0..consortium.node_count() {
        for (path, words) in [("/livez", "alive"), ("/readyz", "ready"), ("/metrics", "# TYPE")] {
            let answer = consortium.http_get(node, path).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains(words),
                "{path}: {answer}"
            );
        }
        assert!(consortium.http_get(node, "/").unwrap().starts_with("HTTP/1.1 404"));
        assert_eq!(consortium.metric(node, "counterfoil_ready"), Some(1.0));
        // Seven instructions, each of them a block; the gauge may be a moment old.
        let deadline = Instant::now() + Duration::from_secs(5);
        while consortium.metric(node, "counterfoil_height").unwrap() < 7.0 {
            assert!(Instant::now() < deadline, "node {} lags", node + 1);
            std::thread::sleep(Duration::from_millis(50));
        }
        // What is served is what is documented.
        let table = Command::new(binary("counterfoil-node")).arg("metrics").output().unwrap();
        let table = String::from_utf8(table.stdout).unwrap();
        let metrics = consortium.http_get(node, "/metrics").unwrap();
        for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().unwrap();
            assert!(table.contains(&format!("| {name} |")), "{name} is not documented");
        }
    }
}

async fn health_answers(consortium: &Consortium) {
    let path = "/grpc.health.v1.Health/Check";
    for node in 0..consortium.node_count() {
        let credential = consortium.credential(BANKS[0], "operator");
        let address = consortium.client_address(node);
        let channel = wire::connect(address, Some(&credential)).await.unwrap();
        let services = ["Settlement", "Account", "Reconciliation", "Audit", "Node"]
            .map(|name| format!("counterfoil.v1.{name}Service"));
        for service in std::iter::once(String::new()).chain(services) {
            let request = HealthCheckRequest { service: service.clone() };
            let answer =
                wire::call(&channel, path, request.encode_to_vec()).await.unwrap().unwrap();
            let answer = HealthCheckResponse::decode(answer).unwrap();
            assert_eq!(answer.status, 1, "{service} serves");
        }
        let unknown = HealthCheckRequest { service: "x".to_owned() }.encode_to_vec();
        let status = wire::call(&channel, path, unknown).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

async fn reflection_answers(consortium: &Consortium) {
    let credential = consortium.credential(BANKS[0], "client");
    let channel = wire::connect(consortium.client_address(0), Some(&credential)).await.unwrap();
    let ask = async |question| {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let answer = wire::call(&channel, path, request.encode_to_vec()).await?.unwrap();
        Ok::<_, tonic::Status>(ServerReflectionResponse::decode(answer).unwrap().message_response)
    };
    let list = ask(MessageRequest::ListServices(String::new())).await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = list else { panic!("{list:?}") };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "counterfoil.v1.AccountService",
            "counterfoil.v1.AuditService",
            "counterfoil.v1.NodeService",
            "counterfoil.v1.ReconciliationService",
            "counterfoil.v1.SettlementService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
        ]
    );
    let symbol = "counterfoil.v1.SettlementService.SubmitInstruction".to_owned();
    let file = ask(MessageRequest::FileContainingSymbol(symbol)).await.unwrap();
    let Some(MessageResponse::FileDescriptorResponse(file)) = file else { panic!("{file:?}") };
    let file =
        prost_types::FileDescriptorProto::decode(&file.file_descriptor_proto[0][..]).unwrap();
    assert_eq!(file.name(), "counterfoil/v1/settlement_service.proto");
    // What nodes say to each other is not a client's to see.
    let symbol = "counterfoil.peer.v1.PeerService".to_owned();
    let status = ask(MessageRequest::FileContainingSymbol(symbol)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

async fn reads_are_as_fresh_as_they_say(consortium: &Consortium) {
    let count = consortium.node_count();
    let writers: Vec<Client> =
        (0..count).map(|node| consortium.client_at(BANKS[0], &[node])).collect();
    let readers: Vec<Client> =
        (0..count).map(|node| consortium.client_at(BANKS[1], &[node])).collect();
    let own = account(BANKS[1], "CHF");
    let units = |account: &v1::Account| account.balance.as_ref().unwrap().minor_units;
    let mut expected = FUNDED;
    let mut history = Vec::new();
    for round in 0..24 {
        let outcome = accepted(&writers[round % count], pay()).await;
        expected += 1;
        // Another node each time, followers among them, and without a pause.
        let reader = &readers[(round + 1 + round / count) % count];
        let answer = reader.balance(own, None).await.unwrap();
        assert_eq!(units(&answer.value), expected, "round {round}");
        assert!(answer.as_of.height >= outcome.verdict.height);
        history.push((outcome.verdict.height, expected));
    }
    for (height, expected) in &history {
        for reader in &readers {
            let answer = reader.balance(own, Some(*height)).await.unwrap();
            assert_eq!((units(&answer.value), answer.as_of.height), (*expected, *height));
        }
    }
    // What is stale is true of the height that it names, and does not stay behind.
    for reader in &readers {
        let stale = reader.with_read_mode(v1::ReadMode::Stale);
        let caught_up = async {
            loop {
                let answer = stale.balance(own, None).await.unwrap();
                let ordered = reader.balance(own, Some(answer.as_of.height)).await.unwrap();
                assert_eq!(answer, ordered);
                if units(&answer.value) == expected {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(5), caught_up).await.unwrap();
    }
    let ahead = history.last().unwrap().0 + 1_000;
    let refused = readers[0].balance(own, Some(ahead)).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().reason, "HEIGHT_NOT_REACHED");
}

async fn a_watch_tells_matches_and_breaks(consortium: &Consortium) {
    let client = consortium.client(BANKS[2]);
    let own = account(BANKS[2], "CHF");
    let first_day = Date::from_yyyymmdd(20_260_101).unwrap();
    agree(consortium, BANKS[2], "CHF", first_day).await;
    let mut watch = client.watch_reconciliation(own, Checkpoint::START);
    let order = instructions::transfer(own, account(BANKS[1], "CHF"), 5);
    accepted(&client, Order::transfer(order.clone())).await;
    let movements = client.movements(own, None, None).all().await.unwrap().value;
    let day = Date::from_yyyymmdd(movements.last().unwrap().settlement_date).unwrap();
    let entry = |amount, uetr: &bytes::Bytes| v1::BookEntry {
        uetr: uetr.clone(),
        ..instructions::book_entry(own, Side::Debit, amount, day)
    };
    let none = bytes::Bytes::new();
    let missing = bytes::Bytes::copy_from_slice(instructions::new_uetr().as_bytes());
    let book =
        vec![entry(5, &order.uetr), entry(5, &order.uetr), entry(7, &missing), entry(8, &none)];
    accepted(&client, Order::book_entries(book)).await;
    let statement = instructions::statement(own, "DAY", (day, day), 0, -25);
    accepted(&client, Order::statement(statement)).await;
    // What the book had and the ledger did not: now it has.
    let late =
        v1::Transfer { uetr: missing, ..instructions::transfer(own, account(BANKS[1], "CHF"), 7) };
    accepted(&client, Order::transfer(late)).await;

    let mut told = Vec::new();
    let following = async {
        while told.len() < 6 {
            let Event::New(finding) = watch.next().await.unwrap() else { continue };
            told.push(match finding.what {
                Happened::Matched(it) => {
                    format!("matched {}", it.second[0].amount.as_ref().unwrap().minor_units)
                }
                Happened::Opened(it) => format!("opened {:?}", it.category()),
                Happened::Healed(it) => format!("healed {:?}", it.category()),
                other => format!("{other:?}"),
            });
        }
    };
    timeout(Duration::from_secs(10), following).await.unwrap();
    // 7 and 8 have no counterpart on the ledger, and there is time yet; then 7 comes.
    assert_eq!(
        told,
        [
            "matched 5",
            "opened Duplicate",
            "opened Timing",
            "opened Timing",
            "healed Timing",
            "matched 7",
        ]
    );
    // Whoever comes later is told the same.
    let mut again = client.watch_reconciliation(own, Checkpoint::START);
    let mut count = 0;
    while count < 6 {
        if let Event::New(_) =
            timeout(Duration::from_secs(10), again.next()).await.unwrap().unwrap()
        {
            count += 1;
        }
    }
}

/// Puts files in the place of others, as a careful operator does.
fn replace(from: &Path, to: &Path) {
    for name in ["key.pem", "certificate.pem"] {
        fs::rename(from.join(name), to.join(name)).unwrap();
    }
}

fn issue(consortium: &Consortium, institution: &str, role: &str, out: &Path) {
    let authority = consortium.home(institution).join("authority");
    counterfoil(&[
        "pki",
        "issue",
        "--authority",
        authority.to_str().unwrap(),
        "--consortium",
        CONSORTIUM,
        "--role",
        role,
        "--name",
        "one",
        "--out",
        out.to_str().unwrap(),
    ]);
}

async fn certificates_are_replaced_while_the_node_runs(consortium: &Consortium) {
    let node = 1;
    let institution = consortium.institution(node);
    let home = consortium.home(institution);
    let credential = consortium.credential(BANKS[0], "client");
    let client = consortium.client_at(BANKS[0], &[node]);
    let own = account(BANKS[0], "CHF");
    let mut watch = client.watch_movements(own, Checkpoint::START);
    timeout(Duration::from_secs(5), watch.next()).await.unwrap().unwrap();
    let served =
        async |address: &str| wire::served_certificate(address, &credential).await.unwrap();
    let address = consortium.client_address(node);
    let channel = wire::connect(address, Some(&credential)).await.unwrap();
    let first = served(address).await;

    issue(consortium, institution, "node", &home.join("renewed"));
    replace(&home.join("renewed"), &home.join("node"));
    let changed = async {
        loop {
            let now = served(address).await;
            if now != first {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let second = timeout(Duration::from_secs(8), changed).await.expect("the new one is served");
    let peer = consortium.credential(BANKS[2], "node");
    let peer_side = wire::served_certificate(consortium.peer_address(node), &peer).await.unwrap();
    assert_eq!(peer_side, second, "to the other nodes as well");
    // What was connected before stays so.
    let path = "/counterfoil.v1.AccountService/ListAccounts";
    assert!(wire::call(&channel, path, Vec::new()).await.is_ok());
    accepted(&client, pay()).await;
    let told = async {
        while !matches!(watch.next().await.unwrap(), Event::New(it) if it.sequence >= 26) {}
    };
    timeout(Duration::from_secs(5), told).await.unwrap();

    // What does not fit is not used: another bank's, then no certificate at all.
    let before = consortium.log(node).len();
    issue(consortium, BANKS[2], "node", &home.join("strange"));
    replace(&home.join("strange"), &home.join("node"));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    fs::write(home.join("node/certificate.pem"), "no certificate").unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(served(address).await, second);
    let log = consortium.log(node).split_off(before);
    assert!(log.matches("the new certificate is not used").count() >= 2, "{log}");
    issue(consortium, institution, "node", &home.join("good"));
    replace(&home.join("good"), &home.join("node"));
    let changed = async {
        while served(address).await == second {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(8), changed).await.expect("the last one is served");
    accepted(&client, pay()).await;
}

/// Payments, one after the other, until they are stopped; how many were made.
fn payments(client: Client) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u64>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let paying = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            accepted(&client, pay()).await;
            count += 1;
        }
        count
    });
    (stop, paying)
}

async fn a_watch_survives_its_node(consortium: &Consortium) {
    let own = account(BANKS[1], "CHF");
    let leader = consortium.leader();
    let watched = (leader + 1) % consortium.node_count();
    let others: Vec<usize> = (0..consortium.node_count()).filter(|node| *node != watched).collect();
    let preferring = [&[watched], &others[..]].concat();
    let mut watch =
        consortium.client_at(BANKS[1], &preferring).watch_movements(own, Checkpoint::START);
    let (stop, paying) = payments(consortium.client_at(BANKS[0], &others));
    let mut next = 1;
    let follow = async |watch: &mut Watch<v1::Movement>, next: &mut u64, until: u64| {
        while *next <= until {
            match timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap() {
                Event::New(movement) => {
                    assert_eq!(movement.sequence, *next, "each once, none left out");
                    *next += 1;
                }
                Event::Heartbeat => {}
            }
        }
        watch.checkpoint()
    };
    follow(&mut watch, &mut next, 40).await;
    consortium.kill_node(watched);
    follow(&mut watch, &mut next, 80).await;
    consortium.start_node(watched);
    let checkpoint = follow(&mut watch, &mut next, 100).await;
    // A program that died resumes from what it had kept.
    drop(watch);
    let kept: Checkpoint = checkpoint.to_string().parse().unwrap();
    let mut resumed = consortium.client_at(BANKS[1], &others).watch_movements(own, kept);
    follow(&mut resumed, &mut next, 120).await;
    stop.store(true, Ordering::Relaxed);
    assert!(paying.await.unwrap() > 50);
}

async fn business_survives_the_leader(consortium: &Consortium) {
    let observer = consortium.client(AGENT);
    let before = balance(&observer, BANKS[1], "CHF").await;
    let leader = consortium.leader();
    let others = (0..consortium.node_count()).filter(|node| *node != leader);
    let preferring: Vec<usize> = std::iter::once(leader).chain(others).collect();
    let (stop, paying) = payments(consortium.client_at(BANKS[0], &preferring));
    let client = consortium.client_at(BANKS[0], &preferring);
    for _ in 0..10 {
        accepted(&client, pay()).await;
    }
    consortium.kill_node(leader);
    let begun = Instant::now();
    timeout(FAILOVER, accepted(&client, pay())).await.expect("business goes on");
    println!("after the leader's death a payment settles within {:?}", begun.elapsed());
    assert_ne!(consortium.leader(), leader);
    stop.store(true, Ordering::Relaxed);
    let paid = timeout(FAILOVER, paying).await.unwrap().unwrap() + 11;
    consortium.start_node(leader);
    let told = balance(&observer, BANKS[1], "CHF").await - before;
    assert_eq!(told.unsigned_abs(), paid, "each payment once");
    // Who was away catches up.
    let back = consortium.client_at(BANKS[1], &[leader]);
    let answer = back.balance(account(BANKS[1], "CHF"), None).await.unwrap();
    assert_eq!(answer.value.balance.unwrap().minor_units, before + told);
}

async fn sigterm_drains(consortium: &Consortium) {
    let observer = consortium.client(AGENT);
    let before = balance(&observer, BANKS[1], "CHF").await;
    let node = consortium.leader();
    let others = (0..consortium.node_count()).filter(|other| *other != node);
    let preferring: Vec<usize> = std::iter::once(node).chain(others).collect();
    let paying: Vec<_> =
        (0..8).map(|_| payments(consortium.client_at(BANKS[0], &preferring))).collect();
    let credential = consortium.credential(BANKS[0], "client");
    let channel = wire::connect(consortium.client_address(node), Some(&credential)).await.unwrap();
    let request = v1::WatchMovementsRequest {
        account: account(BANKS[0], "CHF").as_bytes().to_vec().into(),
        start_after: Some(v1::Position { height: 1 << 40, leaf: 0 }),
        ..Default::default()
    };
    let path = "/counterfoil.v1.AccountService/WatchMovements";
    let mut watch = wire::open(&channel, path, request.encode_to_vec()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;

    let begun = Instant::now();
    let code = tokio::task::block_in_place(|| consortium.stop_node(node));
    println!("a node that is asked to stop under load ends within {:?}", begun.elapsed());
    assert_eq!(code, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let log = consortium.log(node);
    assert!(log.lines().rev().take(5).any(|line| line.ends_with(": stopped")), "{log}");
    assert!(!log.contains("stopped before everything"), "it had the time");
    let ended = loop {
        match timeout(Duration::from_secs(2), watch.message()).await.unwrap() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a watch has no end"),
            Err(status) => break wire::Told::of(&status),
        }
    };
    assert!(ended.is(Code::Unavailable, "UNAVAILABLE_STOPPING"), "{ended:?}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut paid = 0;
    for (stop, paying) in paying {
        stop.store(true, Ordering::Relaxed);
        paid += timeout(FAILOVER, paying).await.unwrap().unwrap();
    }
    let told = balance(&observer, BANKS[1], "CHF").await - before;
    assert_eq!(told.unsigned_abs(), paid, "each payment once");
    consortium.start_node(node);
    let back = consortium.client_at(BANKS[1], &[node]);
    assert!(back.balance(account(BANKS[1], "CHF"), None).await.is_ok());
}

async fn without_a_quorum_only_stale_reads_are_answered(consortium: &Consortium) {
    let own = account(BANKS[0], "CHF");
    let client = consortium.client_at(BANKS[0], &[0, 1]);
    let before = client.balance(own, None).await.unwrap();
    for node in [2, 3] {
        consortium.kill_node(node);
    }
    let impatient = client.with_deadline(Duration::from_secs(4));
    let signed = client.sign(pay()).await.unwrap();
    let (read, written) = tokio::join!(impatient.balance(own, None), impatient.send(&signed));
    let error = read.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable(), "{error}");
    let error = written.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    for node in [0, 1] {
        let stale = consortium.client_at(BANKS[0], &[node]).with_read_mode(v1::ReadMode::Stale);
        let answer = stale.balance(own, None).await.unwrap();
        assert_eq!(answer.value.balance, before.value.balance);
        let members = stale.cluster_status().await.unwrap().members;
        let reachable: Vec<bool> = members.iter().map(|member| member.reachable).collect();
        assert_eq!(reachable, [true, true, false, false]);
        assert!(members[2..].iter().all(|member| !member.problem.is_empty()));
    }
    for node in [2, 3] {
        consortium.start_node(node);
    }
    // Whatever has become of it meanwhile: sent again, it is executed once.
    let outcome = timeout(FAILOVER, client.send(&signed)).await.unwrap().unwrap();
    assert!(outcome.is_accepted());
    let after = client.balance(own, None).await.unwrap().value.balance.unwrap().minor_units;
    assert_eq!(after, before.value.balance.unwrap().minor_units - 1);
}
