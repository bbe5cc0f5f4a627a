//! Who may call what, tried on the listeners themselves: every method of the descriptors, with every
//! role and with every certificate that is none. What is expected stands here, not in the node.

#![allow(clippy::unwrap_used)]

#[path = "authorisation/agreements.rs"]
mod agreements;
#[path = "authorisation/certificates.rs"]
mod certificates;
#[path = "authorisation/receipts.rs"]
mod receipts;
#[path = "authorisation/tables.rs"]
mod tables;

use std::collections::BTreeSet;

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::outcome::Outcome;
use counterfoil_client::v1;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_tests::banking::{accepted, account, agree, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use prost_types::FileDescriptorSet;
use rustls::AlertDescription;
use tonic::Code;
use tonic::transport::Channel;

use tables::{CLIENTS, PEERS, ROLES, Row};

/// The paths of all methods of a package.
fn methods_of(descriptors: &[u8], package: &str) -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut paths = BTreeSet::new();
    for file in set.file.iter().filter(|file| file.package() == package) {
        for service in &file.service {
            for method in &service.method {
                paths.insert(format!("/{package}.{}/{}", service.name(), method.name()));
            }
        }
    }
    paths
}

#[test]
fn the_tables_name_every_method_there_is() {
    let ours = counterfoil_proto::DESCRIPTORS;
    let mut clients = methods_of(ours, "counterfoil.v1");
    let health = methods_of(tonic_health::pb::FILE_DESCRIPTOR_SET, "grpc.health.v1");
    clients.extend(health.into_iter().filter(|path| !path.ends_with("/List")));
    clients.extend(methods_of(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET, "grpc.reflection.v1"));
    let paths = |table: &[Row]| table.iter().map(|row| row.0.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(paths(CLIENTS), clients);
    assert_eq!(paths(PEERS), methods_of(ours, "counterfoil.peer.v1"));
    assert_eq!(clients.len() + PEERS.len(), CLIENTS.len() + PEERS.len(), "each method once");
    // No package of ours has services elsewhere.
    let set = FileDescriptorSet::decode(ours).unwrap();
    for file in set.file.iter().filter(|file| !file.service.is_empty()) {
        assert!(["counterfoil.v1", "counterfoil.peer.v1"].contains(&file.package()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_what_is_theirs() {
    let consortium = Consortium::start();
    let business = Business::day(&consortium).await;
    every_role_on_every_method(&consortium).await;
    certificates::are_refused(&consortium).await;
    certificates::expire_while_they_are_used(&consortium).await;
    others_data_is_like_no_data(&consortium, &business).await;
    receipts::are_their_parties(&consortium, &business).await;
    lists_have_what_is_ones_own(&consortium, &business).await;
    orders_for_others_are_not_taken(&consortium, &business).await;
    agreements::are_their_parties(&consortium).await;
    a_token_is_its_askers(&consortium).await;
    monitoring_names_nobody(&consortium);
    for node in 0..consortium.node_count() {
        assert!(consortium.is_running(node));
        assert!(!consortium.log(node).contains("panicked"), "{}", consortium.log(node));
    }
}

/// What the method itself, or the gate before it, says to an empty message.
async fn empty_call(channel: &Channel, path: &str) -> (Code, Told) {
    match wire::call(channel, path, Vec::new()).await {
        Ok(_) => (
            Code::Ok,
            Told { code: 0, reason: String::new(), message: String::new(), facts: Vec::new() },
        ),
        Err(status) => (status.code(), Told::of(&status)),
    }
}

async fn every_role_on_every_method(consortium: &Consortium) {
    let bank = BANKS[0];
    let node = 1;
    for (column, role) in ROLES.into_iter().enumerate() {
        let credential = consortium.credential(bank, role);
        let channel =
            wire::connect(consortium.client_address(node), Some(&credential)).await.unwrap();
        for (path, roles, (code, reason)) in CLIENTS {
            let (answer, told) = empty_call(&channel, path).await;
            if roles.as_bytes()[column] == b'Y' {
                assert_eq!(
                    (answer, told.reason.as_str()),
                    (*code, *reason),
                    "{role} {path}: {told:?}"
                );
            } else {
                assert!(
                    told.is(Code::PermissionDenied, "ROLE_NOT_ALLOWED"),
                    "{role} {path}: {told:?}"
                );
                assert!(told.facts.contains(&("role".to_owned(), role.to_owned())));
            }
        }
        // What belongs to the nodes, and what there is not, is the same to all.
        let peers = PEERS.iter().map(|row| row.0);
        for path in peers.chain(["/counterfoil.v1.GovernanceService/Propose", "/", "/a/b"]) {
            let (_, told) = empty_call(&channel, path).await;
            assert!(told.is(Code::Unimplemented, "METHOD_UNKNOWN"), "{role} {path}: {told:?}");
        }

        let peer = wire::connect(consortium.peer_address(node), Some(&credential)).await;
        if role != "node" {
            let alert = peer.map(|_| ()).map_err(|error| wire::alert(&error));
            assert_eq!(alert, Err(Some(AlertDescription::AccessDenied)), "{role}");
            continue;
        }
        let peer = peer.unwrap();
        for (path, roles, (code, reason)) in PEERS {
            assert_eq!(roles.as_bytes()[column], b'Y');
            let (answer, told) = empty_call(&peer, path).await;
            // Only the leader has a read index.
            let leads = consortium.leader() == node || !path.ends_with("GetReadIndex");
            let code = if leads { *code } else { Code::Unavailable };
            assert_eq!((answer, told.reason.as_str()), (code, *reason), "{path}: {told:?}");
        }
        for (path, ..) in CLIENTS {
            assert_eq!(empty_call(&peer, path).await.0, Code::Unimplemented, "{path}");
        }
    }
}

/// What has happened at the victim, the first bank: a payment to the second one, one that was
/// refused, and a book that matches the one payment and has a break.
struct Business {
    paid: InstructionId,
    paid_at: v1::Position,
    refused_at: v1::Position,
    uetr: Uetr,
    refused: InstructionId,
    refused_uetr: Uetr,
}

impl Business {
    async fn day(consortium: &Consortium) -> Business {
        open_and_fund(consortium, "CHF", 1_000).await;
        let [victim, partner, _] = BANKS;
        let client = consortium.client(victim);
        let own = account(victim, "CHF");
        agree(consortium, victim, "CHF", Date::from_yyyymmdd(20_260_101).unwrap()).await;
        let payment = instructions::transfer(own, account(partner, "CHF"), 300);
        let uetr = Uetr::from_bytes(&payment.uetr).unwrap();
        let paid = accepted(&client, Order::transfer(payment)).await;
        let at = |outcome: &Outcome| v1::Position {
            height: outcome.verdict.height,
            leaf: outcome.verdict.leaf,
        };
        let large = instructions::transfer(own, account(partner, "CHF"), 5_000);
        let refused_uetr = Uetr::from_bytes(&large.uetr).unwrap();
        let refused = client.submit(Order::transfer(large)).await.unwrap();
        assert!(!refused.is_accepted());
        let movements = client.movements(own, None, None).all().await.unwrap().value;
        let date = Date::from_yyyymmdd(movements[1].settlement_date).unwrap();
        let matched = v1::BookEntry {
            uetr: uetr.as_bytes().to_vec().into(),
            ..instructions::book_entry(own, Side::Debit, 300, date)
        };
        let missing = instructions::book_entry(own, Side::Credit, 77, date);
        accepted(&client, Order::book_entries(vec![matched, missing])).await;
        let statement = instructions::statement(own, "DAY", (date, date), 0, 777);
        accepted(&client, Order::statement(statement)).await;
        let compared = v1::Comparison::LedgerOwner;
        assert_eq!(client.matches(own, compared, false).all().await.unwrap().value.len(), 1);
        let breaks = client.breaks(own, compared, false).all().await.unwrap().value;
        assert_eq!(breaks.len(), 2, "the entry of 77, and the statement that does not add up");
        let (paid_at, refused_at) = (at(&paid), at(&refused));
        Business { paid: paid.id, paid_at, refused_at, uetr, refused: refused.id, refused_uetr }
    }
}

/// Requests that name an account, for any account.
fn about_account(id: &AccountId) -> Vec<(&'static str, Vec<u8>)> {
    let account = bytes::Bytes::copy_from_slice(id.as_bytes());
    let comparison = i32::from(v1::Comparison::LedgerOwner);
    // Each account was opened and funded in a block of its own: at this height all of them were.
    let past = v1::GetBalanceRequest { account: account.clone(), at_height: 7, read_mode: 0 };
    let balance = v1::GetBalanceRequest { account: account.clone(), ..Default::default() };
    let movements = v1::ListMovementsRequest { account: account.clone(), ..Default::default() };
    let proof = v1::ProveAccountRequest { account: account.clone(), ..Default::default() };
    let old_proof = v1::ProveAccountRequest { from_height: 2, to_height: 7, ..proof.clone() };
    let watch = v1::WatchMovementsRequest {
        account: account.clone(),
        start_after: None,
        ..Default::default()
    };
    let reconciliation = v1::WatchReconciliationRequest {
        account: account.clone(),
        start_after: None,
        ..Default::default()
    };
    let report =
        v1::GetReportRequest { account: account.clone(), comparison, ..Default::default() };
    let days =
        v1::GetReportRequest { from_date: 20_260_101, to_date: 20_261_231, ..report.clone() };
    let others = about_findings(id).into_iter();
    vec![
        ("/counterfoil.v1.AccountService/GetBalance", balance.encode_to_vec()),
        ("/counterfoil.v1.AccountService/GetBalance", past.encode_to_vec()),
        ("/counterfoil.v1.AccountService/ListMovements", movements.encode_to_vec()),
        ("/counterfoil.v1.AccountService/ProveAccount", proof.encode_to_vec()),
        ("/counterfoil.v1.AccountService/ProveAccount", old_proof.encode_to_vec()),
        ("/counterfoil.v1.AccountService/WatchMovements", watch.encode_to_vec()),
        (
            "/counterfoil.v1.ReconciliationService/WatchReconciliation",
            reconciliation.encode_to_vec(),
        ),
        ("/counterfoil.v1.ReconciliationService/GetReport", report.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/GetReport", days.encode_to_vec()),
    ]
    .into_iter()
    .chain(others)
    .collect()
}

/// The same for what was found, and for days.
fn about_findings(id: &AccountId) -> Vec<(&'static str, Vec<u8>)> {
    let account = bytes::Bytes::copy_from_slice(id.as_bytes());
    let matches = v1::ListMatchesRequest { account: account.clone(), ..Default::default() };
    let proposals = v1::ListProposalsRequest { account: account.clone(), ..Default::default() };
    let breaks = v1::ListBreaksRequest { account: account.clone(), ..Default::default() };
    let one = v1::GetBreakRequest { account: account.clone(), number: 1, ..Default::default() };
    let positions = v1::ListPositionsRequest { account: account.clone(), ..Default::default() };
    let position = v1::GetPositionRequest { account: account.clone(), ..Default::default() };
    let explain = v1::ExplainItemRequest {
        account: account.clone(),
        source: v1::Source::OwnerBook.into(),
        number: 1,
        ..Default::default()
    };
    let (agent, bank) = (Bic::parse(AGENT).unwrap(), Bic::parse(BANKS[0]).unwrap());
    let date = Date::from_yyyymmdd(20_260_101).unwrap();
    let terms = Some(instructions::agreement_terms(&agent, &bank, &[*id], date));
    let trial = v1::TryTermsRequest { account: account.clone(), terms, read_mode: 0 };
    let source = v1::Source::OwnerBook.into();
    let statements = v1::ListStatementsRequest { account, source, ..Default::default() };
    vec![
        ("/counterfoil.v1.ReconciliationService/ListMatches", matches.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/ListProposals", proposals.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/ListBreaks", breaks.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/GetBreak", one.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/ListPositions", positions.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/GetPosition", position.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/ExplainItem", explain.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/TryTerms", trial.encode_to_vec()),
        ("/counterfoil.v1.ReconciliationService/ListStatements", statements.encode_to_vec()),
    ]
}

fn about_instruction(id: &InstructionId) -> Vec<u8> {
    v1::GetInstructionRequest { id: id.as_bytes().to_vec().into(), read_mode: 0 }.encode_to_vec()
}

async fn channel(consortium: &Consortium, institution: &str, role: &str) -> Channel {
    let credential = consortium.credential(institution, role);
    wire::connect(consortium.client_address(3), Some(&credential)).await.unwrap()
}

async fn refusal(channel: &Channel, path: &str, message: Vec<u8>) -> Told {
    match wire::call(channel, path, message).await {
        Ok(answer) => panic!("{path} answers {answer:?}"),
        Err(status) => Told::of(&status),
    }
}

async fn others_data_is_like_no_data(consortium: &Consortium, business: &Business) {
    let [victim, partner, third] = BANKS;
    let existing = account(victim, "CHF");
    let nothing = AccountId::from_bytes(&[7; 16]).unwrap();
    let get_instruction = "/counterfoil.v1.SettlementService/GetInstruction";
    for outsider in [partner, third] {
        for role in ["client", "operator", "auditor"] {
            let channel = channel(consortium, outsider, role).await;
            let requests = about_account(&existing).into_iter().zip(about_account(&nothing));
            for ((path, theirs), (_, nobodys)) in requests {
                let told = refusal(&channel, path, theirs).await;
                assert_eq!(
                    told,
                    refusal(&channel, path, nobodys).await,
                    "{outsider} {role} {path}"
                );
                let allowed = role != "operator" || !path.contains("Reconciliation");
                let (code, reason) = match allowed {
                    true => (Code::NotFound, "NOT_FOUND"),
                    false => (Code::PermissionDenied, "ROLE_NOT_ALLOWED"),
                };
                assert!(told.is(code, reason), "{outsider} {role} {path}: {told:?}");
            }
            if role == "operator" {
                continue;
            }
            for id in [&business.paid, &business.refused] {
                let told = refusal(&channel, get_instruction, about_instruction(id)).await;
                let random = about_instruction(&instructions::new_id());
                assert_eq!(told, refusal(&channel, get_instruction, random).await);
                assert!(told.is(Code::NotFound, "NOT_FOUND"), "{told:?}");
            }
        }
    }
    // The refusals above are the outsider's doing, not the method's: whose it is gets an answer.
    for (institution, role) in [(victim, "client"), (victim, "auditor"), (AGENT, "client")] {
        let channel = channel(consortium, institution, role).await;
        for (path, message) in about_account(&existing) {
            let answer = wire::call(&channel, path, message).await;
            assert!(answer.unwrap().is_some(), "{institution} {role} {path}");
        }
    }
    let own = channel(consortium, victim, "client").await;
    for id in [&business.paid, &business.refused] {
        assert!(wire::call(&own, get_instruction, about_instruction(id)).await.is_ok());
    }
}

/// Who reads what the first bank paid to the second: the roles of each institution, whether it sees
/// the payment, and whether it sees the one that was refused.
const READERS: [(&str, &str, bool, bool); 8] = [
    (BANKS[0], "client", true, true),
    (BANKS[0], "auditor", true, true),
    (BANKS[1], "client", true, false),
    (BANKS[1], "auditor", true, false),
    (BANKS[2], "client", false, false),
    (BANKS[2], "auditor", false, false),
    // The servicer of both accounts, and the supervisor.
    (AGENT, "client", true, false),
    (AGENT, "auditor", true, true),
];

async fn lists_have_what_is_ones_own(consortium: &Consortium, business: &Business) {
    let [victim, partner, third] = BANKS;
    for (institution, role, paid, refused) in READERS {
        let channel = channel(consortium, institution, role).await;
        let who = format!("{institution} {role}");
        let by_uetr = |uetr: &Uetr| {
            let uetr = uetr.as_bytes().to_vec().into();
            v1::ListTransfersByUetrRequest { uetr, read_mode: 0 }.encode_to_vec()
        };
        for (uetr, sees) in [
            (business.uetr, paid),
            (business.refused_uetr, false),
            (instructions::new_uetr(), false),
        ] {
            let path = "/counterfoil.v1.SettlementService/ListTransfersByUetr";
            let found = wire::call(&channel, path, by_uetr(&uetr)).await.unwrap().unwrap();
            let found = v1::ListTransfersByUetrResponse::decode(found).unwrap().transfers;
            assert_eq!(found.len(), usize::from(sees), "{who}");
            for transfer in found {
                assert_eq!(transfer.instruction_id.is_empty(), institution != victim, "{who}");
            }
        }
        for asked in ["", victim] {
            let request = v1::ListHistoryRequest {
                institution: asked.to_owned(),
                include_rejected: true,
                ..Default::default()
            };
            let path = "/counterfoil.v1.AuditService/ListHistory";
            let page = wire::call(&channel, path, request.encode_to_vec()).await.unwrap().unwrap();
            let transfers = v1::ListHistoryResponse::decode(page).unwrap().transfers;
            let has = |uetr: &Uetr| {
                let named = |it: &v1::TransferRecord| {
                    it.transfer.as_ref().is_some_and(|it| it.uetr == uetr.as_bytes()[..])
                };
                transfers.iter().any(named)
            };
            assert_eq!(
                (has(&business.uetr), has(&business.refused_uetr)),
                (paid, refused),
                "{who}"
            );
            for transfer in &transfers {
                let is_party = [&transfer.institution, &transfer.debtor, &transfer.creditor]
                    .contains(&&institution.to_owned());
                assert!(is_party || institution == AGENT, "{who} sees {transfer:?}");
            }
        }
        let path = "/counterfoil.v1.AccountService/ListAccounts";
        let page = wire::call(&channel, path, Vec::new()).await.unwrap().unwrap();
        let accounts = v1::ListAccountsResponse::decode(page).unwrap().accounts;
        let owners: Vec<&str> = accounts.iter().map(|it| it.owner.as_str()).collect();
        match institution {
            AGENT => assert_eq!(owners, [AGENT, victim, partner, third], "{who}"),
            bank => assert_eq!(owners, [bank], "{who}"),
        }
    }
    let export = v1::ExportBlocksRequest { from_height: 1, to_height: 0 }.encode_to_vec();
    let path = "/counterfoil.v1.AuditService/ExportBlocks";
    let supervisor = channel(consortium, AGENT, "auditor").await;
    assert!(wire::call(&supervisor, path, export).await.unwrap().is_some());
}

async fn orders_for_others_are_not_taken(consortium: &Consortium, business: &Business) {
    let [victim, _, thief] = BANKS;
    let (victim_account, thief_account) = (account(victim, "CHF"), account(thief, "CHF"));
    let client = consortium.client(thief);
    // Debiting what is somebody's is like debiting what is nobody's.
    let nothing = AccountId::from_bytes(&[7; 16]).unwrap();
    for debit in [victim_account, nothing] {
        let theft = Order::transfer(instructions::transfer(debit, thief_account, 1));
        let refused = client.submit(theft).await.unwrap().verdict.rejection.unwrap();
        assert_eq!(refused.name, "DEBIT_ACCOUNT_UNKNOWN");
    }
    let day = Date::from_yyyymmdd(20_260_102).unwrap();
    for book_of in [victim_account, nothing] {
        let entry = instructions::book_entry(book_of, Side::Credit, 1, day);
        let refused = client.submit(Order::book_entries(vec![entry])).await.unwrap();
        assert_eq!(refused.items[0].rejection.as_ref().unwrap().name, "ACCOUNT_UNKNOWN");
        let statement = instructions::statement(book_of, "S", (day, day), 0, 0);
        let refused = client.submit(Order::statement(statement)).await.unwrap();
        assert_eq!(refused.verdict.rejection.unwrap().name, "ACCOUNT_UNKNOWN");
    }
    // What the victim has signed is not to be sent by others, be it new or decided before.
    let owner = consortium.client(victim);
    let payment = instructions::transfer(victim_account, thief_account, 1);
    let stolen = owner.sign(Order::transfer(payment)).await.unwrap();
    let decided = owner.instruction(business.paid).await.unwrap().value.signed;
    let path = "/counterfoil.v1.SettlementService/SubmitInstruction";
    let thiefs = channel(consortium, thief, "client").await;
    for signed in [&stolen, &decided] {
        let message = v1::SignedInstruction::decode(signed.bytes().clone()).unwrap();
        let request = v1::SubmitInstructionRequest {
            signed_instruction: Some(message),
            ..Default::default()
        };
        let told = refusal(&thiefs, path, request.encode_to_vec()).await;
        assert!(told.is(Code::PermissionDenied, "SIGNER_NOT_CALLER"), "{told:?}");
    }
    let balance = owner.balance(victim_account, None).await.unwrap().value.balance.unwrap();
    assert_eq!(balance.minor_units, 700);
}

async fn a_token_is_its_askers(consortium: &Consortium) {
    let request = |page_token: &str| {
        let page_token = page_token.to_owned();
        v1::ListAccountsRequest { page_size: 1, page_token, ..Default::default() }.encode_to_vec()
    };
    let path = "/counterfoil.v1.AccountService/ListAccounts";
    let agent = channel(consortium, AGENT, "client").await;
    let first = wire::call(&agent, path, request("")).await.unwrap().unwrap();
    let token = v1::ListAccountsResponse::decode(first).unwrap().next_page_token;
    assert!(!token.is_empty());
    assert!(wire::call(&agent, path, request(&token)).await.is_ok());
    let bank = channel(consortium, BANKS[2], "client").await;
    let told = refusal(&bank, path, request(&token)).await;
    assert!(told.is(Code::InvalidArgument, "FIELD_INVALID"), "{told:?}");
}

fn monitoring_names_nobody(consortium: &Consortium) {
    for node in 0..consortium.node_count() {
        let metrics = consortium.http_get(node, "/metrics").unwrap();
        for institution in std::iter::once(AGENT).chain(BANKS) {
            assert!(!metrics.contains(institution), "{institution}");
        }
    }
}
