//! Fate is certain: of an id that was never decided, and cannot be any more, a quorum of nodes states
//! that it is absent, to its institution alone.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::v1;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::verify::{self, Trust, Unproven};
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::consortium::{BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tonic::Code;
use tonic::transport::Channel;

const PROVE_ABSENCE: &str = "/counterfoil.v1.SettlementService/ProveAbsence";
const GET_CHECKPOINT: &str = "/counterfoil.v1.AuditService/GetCheckpoint";

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

/// A bank's connection to a node.
async fn desk(consortium: &Consortium, institution: &str, node: usize) -> Channel {
    let credential = consortium.credential(institution, "client");
    wire::connect(consortium.client_address(node), Some(&credential)).await.unwrap()
}

async fn prove(
    channel: &Channel,
    id: &InstructionId,
    valid_until_ms: u64,
) -> Result<v1::Absence, Told> {
    let id = id.as_bytes().to_vec().into();
    let request = v1::ProveAbsenceRequest { id, valid_until_ms };
    match wire::call(channel, PROVE_ABSENCE, request.encode_to_vec()).await {
        Ok(answer) => {
            let response = v1::ProveAbsenceResponse::decode(answer.unwrap()).unwrap();
            Ok(response.absence.unwrap())
        }
        Err(status) => Err(Told::of(&status)),
    }
}

fn payment(amount: u64) -> Order {
    let (from, to) = (account(BANKS[0], "CHF"), account(BANKS[1], "CHF"));
    Order::transfer(instructions::transfer(from, to, amount))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_decided_is_absent_for_certain() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", 1_000).await;
    let trust = Trust::new(consortium.client(BANKS[0]).genesis().clone());

    never_sent(&consortium, &trust).await;
    expired_before_it_was_ordered(&consortium, &trust).await;
    decided_or_not_yet_past(&consortium).await;
    anothers(&consortium, &trust).await;
    a_flood_is_bounded(&consortium).await;
    without_a_quorum_nobody_states_it(&consortium).await;
}

/// At every node, on a ledger on which nothing happens meanwhile.
async fn never_sent(consortium: &Consortium, trust: &Trust) {
    for node in 0..consortium.node_count() {
        let desk = desk(consortium, BANKS[0], node).await;
        let id = instructions::new_id();
        let valid_until_ms = now_ms();
        let absence = prove(&desk, &id, valid_until_ms).await.unwrap();
        let verdict = verify::absence(trust, &absence).unwrap();
        assert_eq!((verdict.institution.as_str(), verdict.id), (BANKS[0], id));
        assert!(verdict.is_final_for(valid_until_ms));
        assert!(verdict.signers.len() >= 3);
        every_change_is_noticed(trust, &absence);
    }
}

fn every_change_is_noticed(trust: &Trust, absence: &v1::Absence) {
    let refused = |changed: v1::Absence| verify::absence(trust, &changed).unwrap_err();
    let other = BANKS[1].to_owned();
    refused(v1::Absence { institution: other, ..absence.clone() });
    let id = instructions::new_id().as_bytes().to_vec().into();
    refused(v1::Absence { id, ..absence.clone() });
    let mut fewer = absence.clone();
    fewer.signatures.truncate(2);
    let Unproven { part, .. } = refused(fewer);
    assert_eq!(part, "signatures");
}

/// It was sent, and waited too long: the ledger refused it, which leaves no trace.
async fn expired_before_it_was_ordered(consortium: &Consortium, trust: &Trust) {
    let alps = consortium.client(BANKS[0]);
    let signed = alps.sign(payment(1).valid_for(Duration::from_millis(1))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let refusal = alps.send(&signed).await.unwrap_err();
    assert_eq!(refusal.refusal().unwrap().reason, "EXPIRED", "{refusal:?}");
    let desk = desk(consortium, BANKS[0], 2).await;
    let absence = prove(&desk, &signed.id, signed.valid_until_ms).await.unwrap();
    assert!(verify::absence(trust, &absence).unwrap().is_final_for(signed.valid_until_ms));
    // And it stays so.
    assert!(alps.send(&signed).await.is_err());
}

async fn decided_or_not_yet_past(consortium: &Consortium) {
    let order = payment(2);
    let id = order.id();
    accepted(&consortium.client(BANKS[0]), order).await;
    let desk = desk(consortium, BANKS[0], 1).await;
    // Whenever it is asked.
    for valid_until_ms in [1, now_ms(), now_ms() + 900_000] {
        let told = prove(&desk, &id, valid_until_ms).await.unwrap_err();
        assert!(told.is(Code::FailedPrecondition, "ID_DECIDED"), "{told:?}");
    }
    let told = prove(&desk, &instructions::new_id(), now_ms() + 60_000).await.unwrap_err();
    assert!(told.is(Code::FailedPrecondition, "NOT_EXPIRED"), "{told:?}");
    let wait = told.facts.iter().find(|(name, _)| name == "wait_ms").unwrap();
    assert!((50_000..=60_000).contains(&wait.1.parse::<u64>().unwrap()), "{wait:?}");
    for (id, valid_until_ms) in [(vec![1; 16], 1), (Vec::new(), 1), (id.as_bytes().to_vec(), 0)] {
        let request = v1::ProveAbsenceRequest { id: id.into(), valid_until_ms };
        let answer = wire::call(&desk, PROVE_ABSENCE, request.encode_to_vec()).await;
        let told = Told::of(&answer.unwrap_err());
        assert!(told.is(Code::InvalidArgument, "FIELD_INVALID"), "{told:?}");
    }
}

/// An id is its institution's: another bank that asks for it is told about an id of its own, and
/// learns nothing of the one that was decided.
async fn anothers(consortium: &Consortium, trust: &Trust) {
    let order = payment(3);
    let id = order.id();
    accepted(&consortium.client(BANKS[0]), order).await;
    let desk = desk(consortium, BANKS[1], 1).await;
    let absence = prove(&desk, &id, now_ms()).await.unwrap();
    assert_eq!(verify::absence(trust, &absence).unwrap().institution.as_str(), BANKS[1]);
    let claimed = v1::Absence { institution: BANKS[0].to_owned(), ..absence };
    assert!(verify::absence(trust, &claimed).is_err());
    for role in ["auditor", "operator"] {
        let credential = consortium.credential(BANKS[0], role);
        let address = consortium.client_address(1);
        let channel = wire::connect(address, Some(&credential)).await.unwrap();
        let told = prove(&channel, &id, 1).await.unwrap_err();
        assert!(told.is(Code::PermissionDenied, "ROLE_NOT_ALLOWED"), "{told:?}");
    }
}

async fn a_flood_is_bounded(consortium: &Consortium) {
    let desk = desk(consortium, BANKS[2], 1).await;
    let id = instructions::new_id();
    let asked = (0..100).map(|_| {
        tokio::spawn({
            let desk = desk.clone();
            async move { prove(&desk, &id, 1).await }
        })
    });
    let mut refused = 0;
    for answer in asked.collect::<Vec<_>>() {
        if let Err(told) = answer.await.unwrap() {
            assert!(told.is(Code::ResourceExhausted, "OVERLOADED"), "{told:?}");
            refused += 1;
        }
    }
    assert!(refused >= 20, "{refused}");
}

async fn without_a_quorum_nobody_states_it(consortium: &Consortium) {
    let desk = desk(consortium, BANKS[0], 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    consortium.kill_node(2);
    consortium.kill_node(3);
    // It would have been past long ago; but two are no quorum of four.
    let told = prove(&desk, &instructions::new_id(), 1).await.unwrap_err();
    assert!(told.is(Code::Unavailable, "QUORUM_NOT_REACHED"), "{told:?}");
    let names_both = |told: &Told| {
        let missing = told.facts.iter().find(|(name, _)| name == "missing_institutions").unwrap();
        assert_eq!(missing.1, format!("{},{}", BANKS[1], BANKS[2]));
        assert!(told.message.contains("quorum of 3"), "{told:?}");
    };
    names_both(&told);
    // A node that has not been asked yet has no checkpoint to give out.
    let told = Told::of(&wire::call(&desk, GET_CHECKPOINT, Vec::new()).await.unwrap_err());
    assert!(told.is(Code::Unavailable, "QUORUM_NOT_REACHED"), "{told:?}");
    names_both(&told);
}
