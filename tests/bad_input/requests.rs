//! Requests that no client of ours would make: fields out of range, forged page tokens, messages too
//! large or cut, methods that are none, HTTP that is no gRPC.

use std::time::{Duration, Instant};

use bytes::Bytes;
use counterfoil_client::{instructions, v1};
use counterfoil_ledger::hash::Hash;
use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::Code;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use crate::forger::{Forger, SUBMIT};

const LIST_ACCOUNTS: &str = "/counterfoil.v1.AccountService/ListAccounts";
const GET_BALANCE: &str = "/counterfoil.v1.AccountService/GetBalance";
const LIST_MOVEMENTS: &str = "/counterfoil.v1.AccountService/ListMovements";
const WATCH_MOVEMENTS: &str = "/counterfoil.v1.AccountService/WatchMovements";
const LIST_MATCHES: &str = "/counterfoil.v1.ReconciliationService/ListMatches";
const LIST_AGREEMENTS: &str = "/counterfoil.v1.ReconciliationService/ListAgreements";
const GET_AGREEMENT: &str = "/counterfoil.v1.ReconciliationService/GetAgreement";
const LIST_BREAKS: &str = "/counterfoil.v1.ReconciliationService/ListBreaks";
const WATCH_RECONCILIATION: &str = "/counterfoil.v1.ReconciliationService/WatchReconciliation";
const LIST_PROPOSALS: &str = "/counterfoil.v1.ReconciliationService/ListProposals";
const GET_BREAK: &str = "/counterfoil.v1.ReconciliationService/GetBreak";
const LIST_POSITIONS: &str = "/counterfoil.v1.ReconciliationService/ListPositions";
const GET_POSITION: &str = "/counterfoil.v1.ReconciliationService/GetPosition";
const EXPLAIN_ITEM: &str = "/counterfoil.v1.ReconciliationService/ExplainItem";
const TRY_TERMS: &str = "/counterfoil.v1.ReconciliationService/TryTerms";
const GET_REPORT: &str = "/counterfoil.v1.ReconciliationService/GetReport";
const LIST_BLOCKS: &str = "/counterfoil.v1.AuditService/ListBlocks";
const EXPORT_BLOCKS: &str = "/counterfoil.v1.AuditService/ExportBlocks";
const LIST_HISTORY: &str = "/counterfoil.v1.AuditService/ListHistory";

pub async fn are_refused(consortium: &Consortium) {
    let bank = Forger::of(consortium, BANKS[0]).await.channel;
    let auditor = consortium.credential(AGENT, "auditor");
    let auditor = wire::connect(consortium.client_address(0), Some(&auditor)).await.unwrap();
    fields_out_of_range(&bank).await;
    heights_to_come(&bank, &auditor).await;
    forged_tokens(&bank, &auditor).await;
    positions_to_come(&bank).await;
    garbage_for_every_method(&bank).await;
    messages_too_large(&bank).await;
    no_grpc(&bank).await;
}

fn own() -> Bytes {
    account(BANKS[0], "CHF").as_bytes().to_vec().into()
}

async fn refused(channel: &Channel, path: &str, message: Vec<u8>, code: Code, reason: &str) {
    let begun = Instant::now();
    match wire::call(channel, path, message).await {
        Ok(answer) => panic!("{path} answers {answer:?}"),
        Err(status) => {
            let told = Told::of(&status);
            assert!(told.is(code, reason), "{path}: {told:?}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{path} took {:?}", begun.elapsed());
}

async fn fields_out_of_range(channel: &Channel) {
    let balance = |account: Bytes, read_mode| {
        v1::GetBalanceRequest { account, at_height: 0, read_mode }.encode_to_vec()
    };
    let movements = |from_date, to_date| {
        v1::ListMovementsRequest { account: own(), from_date, to_date, ..Default::default() }
            .encode_to_vec()
    };
    let report = |comparison, from_date, to_date| {
        v1::GetReportRequest { account: own(), comparison, from_date, to_date, read_mode: 0 }
            .encode_to_vec()
    };
    let history = |institution: &str| {
        v1::ListHistoryRequest { institution: institution.to_owned(), ..Default::default() }
            .encode_to_vec()
    };
    let token = |page_token: &str| {
        v1::ListAccountsRequest { page_token: page_token.to_owned(), ..Default::default() }
            .encode_to_vec()
    };
    let matches = v1::ListMatchesRequest { account: own(), comparison: 9, ..Default::default() };
    let breaks = v1::ListBreaksRequest { account: own(), comparison: -1, ..Default::default() };
    let proposals =
        v1::ListProposalsRequest { account: own(), comparison: i32::MAX, ..Default::default() };
    let positions = |from_date, to_date| {
        v1::ListPositionsRequest { account: own(), from_date, to_date, ..Default::default() }
            .encode_to_vec()
    };
    let position = v1::GetPositionRequest { account: own(), date: 20_260_229, read_mode: 0 };
    let explain = |comparison, source| {
        v1::ExplainItemRequest { account: own(), comparison, source, number: 1, read_mode: 0 }
            .encode_to_vec()
    };
    let trial = v1::TryTermsRequest { account: own(), ..Default::default() };
    let uetr = v1::ListTransfersByUetrRequest { uetr: vec![4; 17].into(), read_mode: 0 };
    let agreement = v1::GetAgreementRequest { id: vec![4; 15].into(), read_mode: 0 };
    let uetr_path = "/counterfoil.v1.SettlementService/ListTransfersByUetr";
    for (path, message) in [
        (GET_BALANCE, balance(own().slice(1..), 0)),
        (GET_BALANCE, balance(vec![1; 1 << 20].into(), 0)),
        (GET_BALANCE, balance(own(), 99)),
        (GET_BALANCE, balance(own(), -1)),
        (LIST_MOVEMENTS, movements(20_260_132, 0)),
        (LIST_MOVEMENTS, movements(0, u32::MAX)),
        (LIST_MOVEMENTS, movements(20_260_102, 20_260_101)),
        (LIST_MATCHES, matches.encode_to_vec()),
        (LIST_BREAKS, breaks.encode_to_vec()),
        (LIST_PROPOSALS, proposals.encode_to_vec()),
        (LIST_POSITIONS, positions(20_260_229, 0)),
        (LIST_POSITIONS, positions(20_260_102, 20_260_101)),
        (GET_POSITION, position.encode_to_vec()),
        (EXPLAIN_ITEM, explain(0, 0)),
        (EXPLAIN_ITEM, explain(0, 4)),
        (EXPLAIN_ITEM, explain(7, 1)),
        (EXPLAIN_ITEM, explain(v1::Comparison::OwnerServicer.into(), 1)),
        (TRY_TERMS, trial.encode_to_vec()),
        (GET_AGREEMENT, agreement.encode_to_vec()),
        (GET_REPORT, report(0, 0, 0)),
        (GET_REPORT, report(4, 0, 0)),
        (GET_REPORT, report(1, 20_260_101, 0)),
        (GET_REPORT, report(1, 0, 20_260_101)),
        (GET_REPORT, report(1, 20_260_102, 20_260_101)),
        (LIST_HISTORY, history("ALPSCHZZ")),
        (LIST_HISTORY, history("nobody")),
        (LIST_ACCOUNTS, token("0")),
        (LIST_ACCOUNTS, token(&"0".repeat(58))),
        (LIST_ACCOUNTS, token(&"\u{e9}".repeat(29))),
        (LIST_ACCOUNTS, token(&"f".repeat(1 << 20))),
        (uetr_path, uetr.encode_to_vec()),
    ] {
        refused(channel, path, message, Code::InvalidArgument, "FIELD_INVALID").await;
    }
    // Nothing is compared of the account: there is nothing to tell, and no day to tell it of.
    let nothing = wire::call(channel, GET_REPORT, report(1, 0, 0)).await.unwrap().unwrap();
    let nothing = v1::GetReportResponse::decode(nothing).unwrap();
    assert_eq!((nothing.from_date, nothing.to_date, nothing.match_count), (0, 0, 0));
    let today = v1::GetPositionRequest { account: own(), ..Default::default() }.encode_to_vec();
    refused(channel, GET_POSITION, today, Code::FailedPrecondition, "NOT_RECONCILED").await;
    let one = v1::GetBreakRequest { account: own(), number: u64::MAX, read_mode: 0 };
    refused(channel, GET_BREAK, one.encode_to_vec(), Code::NotFound, "NOT_FOUND").await;
}

/// A height that is not there yet is not guessed at.
async fn heights_to_come(bank: &Channel, auditor: &Channel) {
    let balance = v1::GetBalanceRequest { account: own(), at_height: u64::MAX, read_mode: 0 };
    let history = v1::ListHistoryRequest { to_height: u64::MAX, ..Default::default() };
    let export = v1::ExportBlocksRequest { from_height: 1, to_height: u64::MAX };
    let reason = "HEIGHT_NOT_REACHED";
    tokio::join!(
        refused(bank, GET_BALANCE, balance.encode_to_vec(), Code::OutOfRange, reason),
        refused(bank, LIST_HISTORY, history.encode_to_vec(), Code::OutOfRange, reason),
        refused(auditor, EXPORT_BLOCKS, export.encode_to_vec(), Code::OutOfRange, reason),
    );
    let blocks = v1::ListBlocksRequest { from_height: u64::MAX, page_size: u32::MAX, read_mode: 0 };
    let page = wire::call(bank, LIST_BLOCKS, blocks.encode_to_vec()).await.unwrap().unwrap();
    let page = v1::ListBlocksResponse::decode(page).unwrap();
    assert_eq!((page.headers.len(), page.next_height), (0, 0));
    for (from_height, to_height) in [(u64::MAX, 0), (u64::MAX, 1), (5, 3)] {
        let history = v1::ListHistoryRequest { from_height, to_height, ..Default::default() };
        let page = wire::call(bank, LIST_HISTORY, history.encode_to_vec()).await.unwrap().unwrap();
        assert!(v1::ListHistoryResponse::decode(page).unwrap().transfers.is_empty());
        if to_height > 0 {
            let export = v1::ExportBlocksRequest { from_height, to_height }.encode_to_vec();
            assert!(wire::call(auditor, EXPORT_BLOCKS, export).await.unwrap().is_none());
        }
    }
}

/// A token is checked against mistakes; whoever can read our source can make one.
fn forge(
    method: &str,
    institution: &str,
    consortium: bool,
    request: &impl Message,
    height: u64,
    key: (u64, u32),
) -> String {
    let (institution, consortium) = (institution.as_bytes(), [u8::from(consortium)]);
    let request = request.encode_to_vec();
    let question = Hash::of_parts(&[method.as_bytes(), &[0], institution, &consortium, &request]);
    let mut bytes = vec![1];
    bytes.extend(height.to_be_bytes());
    bytes.extend(key.0.to_be_bytes());
    bytes.extend(key.1.to_be_bytes());
    let check = Hash::of_parts(&[question.as_bytes(), &bytes]);
    bytes.extend(&check.as_bytes()[..8]);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Such a token gets an answer or a refusal; what it does not get is a node that dies.
async fn forged_tokens(bank: &Channel, auditor: &Channel) {
    let accounts = v1::ListAccountsRequest::default();
    let movements = v1::ListMovementsRequest { account: own(), ..Default::default() };
    let matches = v1::ListMatchesRequest { account: own(), ..Default::default() };
    let breaks = v1::ListBreaksRequest { account: own(), ..Default::default() };
    let proposals = v1::ListProposalsRequest { account: own(), ..Default::default() };
    let positions = v1::ListPositionsRequest { account: own(), ..Default::default() };
    let history = v1::ListHistoryRequest::default();
    let agreements = v1::ListAgreementsRequest::default();
    // One that is honest, to show that the others are judged for what they say.
    let one = forge("ListAccounts", BANKS[0], false, &accounts, 1, (0, 0));
    let honest = v1::ListAccountsRequest { page_token: one, ..accounts.clone() }.encode_to_vec();
    assert!(wire::call(bank, LIST_ACCOUNTS, honest).await.is_ok());
    for height in [0, 1, 5] {
        for major in [0, 1, 7, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            for minor in [0, 1, u32::MAX] {
                for (channel, who, all) in [(bank, BANKS[0], false), (auditor, AGENT, true)] {
                    macro_rules! try_token {
                        ($path:expr, $method:expr, $request:expr) => {
                            let key = (major, minor);
                            let page_token = forge($method, who, all, $request, height, key);
                            let forged = (*$request).clone();
                            let forged = {
                                let mut it = forged;
                                it.page_token = page_token;
                                it
                            };
                            let answer = wire::call(channel, $path, forged.encode_to_vec()).await;
                            let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
                            let fine = [Code::Ok, Code::InvalidArgument, Code::NotFound];
                            assert!(fine.contains(&code), "{} {height} {key:?}: {code:?}", $method);
                        };
                    }
                    try_token!(LIST_ACCOUNTS, "ListAccounts", &accounts);
                    try_token!(LIST_MOVEMENTS, "ListMovements", &movements);
                    try_token!(LIST_MATCHES, "ListMatches", &matches);
                    try_token!(LIST_BREAKS, "ListBreaks", &breaks);
                    try_token!(LIST_PROPOSALS, "ListProposals", &proposals);
                    try_token!(LIST_POSITIONS, "ListPositions", &positions);
                    try_token!(LIST_HISTORY, "ListHistory", &history);
                    try_token!(LIST_AGREEMENTS, "ListAgreements", &agreements);
                }
            }
        }
    }
}

/// A watch behind the end of the ledger says that it is there, and waits.
async fn positions_to_come(bank: &Channel) {
    for height in [100, u64::MAX - 1, u64::MAX] {
        for leaf in [0, u32::MAX] {
            let start_after = Some(v1::Position { height, leaf });
            let movements =
                v1::WatchMovementsRequest { account: own(), start_after, ..Default::default() };
            let books = v1::WatchReconciliationRequest {
                account: own(),
                start_after,
                ..Default::default()
            };
            for (path, message) in [
                (WATCH_MOVEMENTS, movements.encode_to_vec()),
                (WATCH_RECONCILIATION, books.encode_to_vec()),
            ] {
                let first = wire::call(bank, path, message).await.unwrap().unwrap();
                let movement = v1::WatchMovementsResponse::decode(first.clone()).unwrap();
                let books = v1::WatchReconciliationResponse::decode(first).unwrap();
                let at = match (path, movement.event, books.event) {
                    (
                        WATCH_MOVEMENTS,
                        Some(v1::watch_movements_response::Event::Heartbeat(at)),
                        _,
                    ) => at,
                    (_, _, Some(v1::watch_reconciliation_response::Event::Heartbeat(at))) => at,
                    (_, movement, books) => panic!("{path}: {movement:?} {books:?}"),
                };
                assert_eq!((at.height, at.leaf), (height, leaf), "never behind its reader");
            }
        }
    }
}

async fn garbage_for_every_method(channel: &Channel) {
    for path in [
        SUBMIT,
        LIST_ACCOUNTS,
        GET_BALANCE,
        LIST_MOVEMENTS,
        WATCH_MOVEMENTS,
        LIST_MATCHES,
        LIST_BREAKS,
        LIST_PROPOSALS,
        GET_BREAK,
        LIST_POSITIONS,
        GET_POSITION,
        EXPLAIN_ITEM,
        TRY_TERMS,
        WATCH_RECONCILIATION,
        GET_REPORT,
        LIST_BLOCKS,
        LIST_HISTORY,
    ] {
        // No tag; a length beyond the end; a varint without end; a group that never ends, in groups.
        for garbage in [vec![0; 64], vec![0x0a, 0xff], vec![0xff; 64], vec![0x0b; 4_096]] {
            let answer = wire::call(channel, path, garbage).await;
            let told = Told::of(&answer.expect_err(path));
            assert!(told.is(Code::InvalidArgument, "MALFORMED"), "{path}: {told:?}");
        }
    }
    let mut pseudo_random = Hash::of(b"seed");
    for round in 0..200 {
        pseudo_random = Hash::of(pseudo_random.as_bytes());
        let length = usize::from(pseudo_random.as_bytes()[0]);
        let garbage = pseudo_random.as_bytes().repeat(8)[..length].to_vec();
        let answer = wire::call(channel, SUBMIT, garbage).await;
        assert_eq!(answer.expect_err("garbage").code(), Code::InvalidArgument, "round {round}");
    }
}

async fn messages_too_large(channel: &Channel) {
    // Under the bound of messages, above that of instructions; then above both.
    for megabytes in [3, 4, 8] {
        let signed = v1::SignedInstruction {
            instruction: vec![0x0a; (megabytes << 20) + 1].into(),
            ..Default::default()
        };
        let request =
            v1::SubmitInstructionRequest { signed_instruction: Some(signed), ..Default::default() };
        refused(channel, SUBMIT, request.encode_to_vec(), Code::InvalidArgument, "TOO_LARGE").await;
    }
    // As many items as fit, each of them nothing.
    let signed = v1::SignedInstruction { items: vec![Bytes::new(); 1 << 20], ..Default::default() };
    let request =
        v1::SubmitInstructionRequest { signed_instruction: Some(signed), ..Default::default() };
    refused(channel, SUBMIT, request.encode_to_vec(), Code::InvalidArgument, "BODY_MISSING").await;
    // Or as many signatures.
    let signatures = vec![v1::Signature::default(); 1 << 20];
    let signed = v1::SignedInstruction { signatures, ..Default::default() };
    let request =
        v1::SubmitInstructionRequest { signed_instruction: Some(signed), ..Default::default() };
    refused(channel, SUBMIT, request.encode_to_vec(), Code::InvalidArgument, "BODY_MISSING").await;
}

/// HTTP/2 requests that gRPC would not make.
async fn no_grpc(channel: &Channel) {
    let id = instructions::new_id();
    let message = v1::GetInstructionRequest { id: id.as_bytes().to_vec().into(), read_mode: 0 };
    let message = message.encode_to_vec();
    let path = "/counterfoil.v1.SettlementService/GetInstruction";
    let frame = |flag: u8, length: usize| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        [&[flag], &length[..], &message[..]].concat()
    };
    let whole = frame(0, message.len());
    let grpc = "application/grpc";
    let ask = async |method: &str, path: &str, content_type: &str, body: Vec<u8>| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://node.invalid{path}"))
            .header("content-type", content_type)
            .header("te", "trailers")
            .body(tonic::body::Body::new(
                Full::new(Bytes::from(body)).map_err(|never| match never {}),
            ))
            .unwrap();
        let mut channel = channel.clone();
        let answered = async {
            let answer = channel.ready().await.unwrap().call(request).await.unwrap();
            let (head, body) = answer.into_parts();
            let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
            let status = head.headers.get("grpc-status").or(trailers.get("grpc-status")).cloned();
            let code = status.map(|it| Code::from_bytes(it.as_bytes()));
            (head.status.as_u16(), code)
        };
        tokio::time::timeout(Duration::from_secs(40), answered).await.unwrap()
    };
    let found = (200, Some(Code::NotFound));
    assert_eq!(ask("POST", path, grpc, whole.clone()).await, found, "this is how it is done");
    for content_type in ["application/json", "text/html", "application/grpc-web", ""] {
        let (http, code) = ask("POST", path, content_type, whole.clone()).await;
        assert!(
            http == 415 || code.is_some_and(|it| it != Code::Ok),
            "{content_type}: {http} {code:?}"
        );
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let (http, code) = ask(method, path, grpc, whole.clone()).await;
        assert!(http >= 400 || code.is_some_and(|it| it != Code::Ok), "{method}: {http} {code:?}");
    }
    let unknown = (200, Some(Code::Unimplemented));
    for path in ["/", "/counterfoil.v1.SettlementService/", "/x", "/a/b/c", "/%00", "//"] {
        assert_eq!(ask("POST", path, grpc, whole.clone()).await, unknown, "{path}");
    }
    for (what, body) in [
        ("no frame", Vec::new()),
        ("half a head", whole[..3].to_vec()),
        ("a head alone", whole[..5].to_vec()),
        ("half a message", whole[..12].to_vec()),
        ("less than it says", frame(0, message.len() + 1)),
        ("four gigabytes, it says", frame(0, usize::try_from(u32::MAX).unwrap())),
        ("compressed, it says", frame(1, message.len())),
        ("a flag that is none", frame(0xff, message.len())),
        ("garbage", vec![0xff; 1_000]),
    ] {
        let (http, code) = ask("POST", path, grpc, body).await;
        let code = code.unwrap_or(Code::Ok);
        assert_eq!(http, 200, "{what}");
        let typed = [Code::InvalidArgument, Code::Unimplemented];
        assert!(typed.contains(&code), "{what}: {code:?}");
    }
    assert_eq!(ask("POST", path, grpc, whole).await, found, "the connection still serves");
}
