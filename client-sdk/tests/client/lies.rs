//! Nodes that lie: none of it is believed, an honest node is found, and without one the fate of the
//! instruction is said to be unknown.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::{Bic, Client, Error, Fate, Order, instructions, v1};
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::verify::Finality;

use crate::consortium::{AGENT, BANK};
use crate::ledger::Ledger;
use crate::node::Reply;
use crate::world::World;

type Lie = fn(&mut Ledger, &mut v1::SubmitInstructionResponse);

fn flip(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}

fn verdict(response: &mut v1::SubmitInstructionResponse) -> &mut v1::Verdict {
    response.result.as_mut().unwrap().verdict.as_mut().unwrap()
}

fn receipt(response: &mut v1::SubmitInstructionResponse) -> &mut v1::Receipt {
    response.receipt.as_mut().unwrap()
}

/// A liar first, an honest node second; then the liar alone.
async fn tells(name: &str, lie: Lie, order: fn(&World) -> Order, rule: &str) {
    let world = World::new();
    let (liar, honest) = (world.node(), world.node());
    liar.script().replies.push_back(Reply::Lie(lie));
    let client = world.client(&[&liar, &honest]);
    let outcome = client.submit(order(&world)).await.unwrap();
    assert!(outcome.is_final() && outcome.replayed, "{name}");
    assert_eq!((liar.script().seen.len(), honest.script().seen.len()), (1, 1), "{name}");
    assert!(client.pending().await.unwrap().is_empty(), "{name}");

    let alone = world.client(&[&liar]).with_deadline(Duration::from_millis(300));
    liar.script().replies.extend((0..99).map(|_| Reply::Lie(lie)));
    let error = alone.submit(order(&world)).await.unwrap_err();
    assert_eq!(error.outcome(), Fate::Unknown, "{name}: {error}");
    assert!(error.to_string().contains(rule), "{name}: {error}");
    assert_eq!(alone.pending().await.unwrap().len(), 1, "{name}");
}

#[tokio::test]
async fn lies_about_one_instruction() {
    let lies: [(&str, Lie, &str); 12] = [
        ("no receipt", |_, it| it.receipt = None, "receipt: there is none"),
        (
            "rejected, it says",
            |_, it| {
                verdict(it).state = v1::State::Rejected.into();
                verdict(it).reason = Some(v1::Reason { code: 501, ..v1::Reason::default() });
            },
            "the outcome that is proved is another one",
        ),
        ("another place", |_, it| verdict(it).position.as_mut().unwrap().leaf += 1, "position"),
        ("other postings", |_, it| verdict(it).first_posting += 2, "postings"),
        ("another time", |_, it| it.result.as_mut().unwrap().block_time_ms += 1, "block_time_ms"),
        (
            "another instruction's receipt",
            |ledger, it| it.receipt = Some(ledger.chain.receipt(3, 0, 3)),
            "it is another instruction's",
        ),
        (
            "only ordered",
            |_, it| {
                receipt(it).certificate = None;
                receipt(it).history_path.clear();
            },
            "it is ordered, and not final",
        ),
        (
            "too few signatures",
            |_, it| {
                receipt(it).certificate.as_mut().unwrap().signatures.pop();
            },
            "fewer institutions signed than a quorum",
        ),
        (
            "a signature that is none",
            |_, it| {
                let signatures = &mut receipt(it).certificate.as_mut().unwrap().signatures;
                signatures[1].value = flip(&signatures[1].value, 9);
            },
            "one is not its node's",
        ),
        (
            "a key proof that is none",
            |_, it| {
                let path = &mut receipt(it).keys[0].path;
                path[0] = flip(&path[0], 3);
            },
            "it does not lead to the root",
        ),
        (
            "another header",
            |_, it| receipt(it).header = flip(&receipt(it).header.clone(), 100),
            "not proved",
        ),
        (
            "a changed outcome",
            |_, it| receipt(it).outcome = flip(&receipt(it).outcome.clone(), 15),
            "",
        ),
    ];
    for (name, lie, rule) in lies {
        tells(name, lie, World::order, rule).await;
    }
}

#[tokio::test]
async fn lies_about_a_batch() {
    fn batch(world: &World) -> Order {
        let pay =
            |amount| instructions::transfer(world.account(BANK), world.account(AGENT), amount);
        // The last one is more than there is.
        Order::transfers(vec![pay(1), pay(2), pay(3), pay(10_000_000)], false)
    }
    let lies: [(&str, Lie, &str); 4] = [
        ("no proof of the items", |_, it| it.batch = None, "there is no proof of the items"),
        (
            "a rejected item settled, it says",
            |_, it| {
                let item = &mut it.result.as_mut().unwrap().items[3];
                item.state = v1::State::Settled.into();
                item.reason = None;
            },
            "the outcome that is proved is another one",
        ),
        (
            "an item's outcome changed in the proof too",
            |_, it| {
                it.result.as_mut().unwrap().items[0].first_posting += 2;
                let proof = it.batch.as_mut().unwrap();
                proof.outcomes = flip(&proof.outcomes, 15);
            },
            "range_path",
        ),
        (
            "items in another order",
            |_, it| it.result.as_mut().unwrap().items.swap(0, 1),
            "position",
        ),
    ];
    for (name, lie, rule) in lies {
        tells(name, lie, batch, rule).await;
    }
}

#[tokio::test]
async fn who_asks_for_ordered_takes_an_ordered_receipt() {
    let world = World::new();
    let node = world.node();
    node.script().replies.push_back(Reply::Lie(|_, it| {
        receipt(it).certificate = None;
        receipt(it).history_path.clear();
    }));
    let client: Client = world.client(&[&node]).with_finality(v1::Finality::Ordered);
    let outcome = client.submit(world.order()).await.unwrap();
    assert_eq!(outcome.finality, Finality::Ordered);
    assert!(!outcome.is_final() && outcome.is_accepted());
}

#[tokio::test]
async fn that_others_are_away_does_not_hide_the_lie() {
    let world = World::new();
    let liar = world.node();
    liar.script().replies.extend((0..99).map(|_| Reply::Lie(|_, it| it.receipt = None)));
    let endpoints = [crate::world::nobody(), liar.endpoint()];
    let builder = world.builder().deadline(Duration::from_millis(400));
    let client = builder.endpoints(endpoints).build().unwrap();
    let error = client.submit(world.order()).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error}");
    assert!(error.to_string().contains("receipt: there is none"), "{error}");
}

/// What is accepted is what was shown: terms that the id does not name are not shown.
#[tokio::test]
async fn other_terms_than_the_id_names_are_not_believed() {
    let world = World::new();
    let node = world.node();
    let (agent, bank) = (Bic::parse(AGENT).unwrap(), Bic::parse(BANK).unwrap());
    let day = Date::from_yyyymmdd(20_261_201).unwrap();
    let terms = instructions::agreement_terms(&agent, &bank, &[world.account(BANK)], day);
    let id = AgreementId::of(&terms);
    let summary = v1::AgreementSummary {
        id: Bytes::copy_from_slice(id.as_bytes()),
        state: v1::AgreementState::Proposed.into(),
        ..v1::AgreementSummary::default()
    };
    let as_of = Some(v1::AsOf { height: 1, ..v1::AsOf::default() });
    let honest = v1::GetAgreementResponse { summary: Some(summary), terms: Some(terms), as_of };
    let client = world.client(&[&node]).with_deadline(Duration::from_millis(300));
    let asked = async |told: v1::GetAgreementResponse| {
        world.ledger.lock().unwrap().agreement = Some(told);
        client.agreement(id).await
    };
    assert_eq!(asked(honest.clone()).await.unwrap().value.id, id);
    let lies: [fn(&mut v1::GetAgreementResponse); 4] = [
        |it| it.terms.as_mut().unwrap().missing_after_days += 1,
        |it| it.terms = None,
        |it| it.summary.as_mut().unwrap().id = Bytes::from_static(&[7; 16]),
        |it| it.summary = None,
    ];
    for lie in lies {
        let mut told = honest.clone();
        lie(&mut told);
        let error = asked(told).await.unwrap_err();
        assert!(matches!(error, Error::BadAnswer { .. }), "{error}");
    }
}
