//! Offers of agreements: what is signed, the id, and the records.

use counterfoil_ledger::{agreement::AgreementId, apply::Decision, instruction::Draft};
use counterfoil_proto::v1;
use prost::Message;

use super::{Sections, golden};
use crate::support::{
    Chain, NOON_MS,
    build::{HOUR_MS, answer, id_of, offer, open, terms},
    consortium::bic_of,
};

/// Terms with everything set that may be.
fn full() -> v1::AgreementTerms {
    let parties = (&bic_of("Central"), &bic_of("Alpha"));
    let accounts = [golden::account("Alpha", "main"), golden::account("Alpha", "second")];
    let tolerance = |asset: &str, absolute| v1::Tolerance {
        asset: asset.to_owned(),
        absolute,
        basis_points: 5,
        exchange_rounding: 2,
    };
    let duty = |category: v1::BreakCategory, answers: v1::Party, answer_days| v1::Duty {
        category: category.into(),
        answers: answers.into(),
        answer_days,
        escalate_days: 5,
    };
    let holidays = [20_261_225, 20_270_101].map(|date| v1::Holiday { date }).to_vec();
    v1::AgreementTerms {
        tolerances: vec![tolerance("CHF", 100), tolerance("JPY", 1)],
        value_date_window: 2,
        missing_after_days: 1,
        missing_at_minute: 1_080,
        duties: vec![
            duty(v1::BreakCategory::Unspecified, v1::Party::Owner, 2),
            duty(v1::BreakCategory::Charges, v1::Party::Servicer, 1),
        ],
        calendar: Some(v1::Calendar { utc_offset_minutes: 60, weekend: 0b110_0000, holidays }),
        run_times: [1_080, 720].map(|minute| v1::RunTime { minute }).to_vec(),
        keep_originals: true,
        servicer_sealing_key: vec![0x5e; 32].into(),
        owner_sealing_key: vec![0x0e; 32].into(),
        ..terms("full", parties, &accounts, 20_261_130)
    }
}

/// Two offers, the first of them accepted and superseded by the second.
pub fn agreements() -> Sections {
    let first = full();
    let id = AgreementId::of(&first);
    let accounts = [golden::account("Alpha", "main")];
    let parties = (&bic_of("Central"), &bic_of("Alpha"));
    let mut second = terms("second", parties, &accounts, 20_261_201);
    second.supersedes = id.as_bytes().to_vec().into();
    let mut chain = Chain::new(golden::consortium());
    let mut sections = vec![
        ("terms".to_owned(), first.encode_to_vec()),
        ("id".to_owned(), id.as_bytes().to_vec()),
    ];
    let until = NOON_MS + HOUR_MS;
    let central = bic_of("Central");
    let accept = |label: &str, id: &AgreementId| answer(label, id, v1::AgreementAnswer::Accept);
    let orders = [
        ("open main", "Central", open(&central, &bic_of("Alpha"), "CHF", "main")),
        ("open second", "Central", open(&central, &bic_of("Alpha"), "CHF", "second")),
        ("offer", "Alpha", offer(first, until)),
        ("accept", "Central", accept("accept", &id)),
        ("offer again", "Central", offer(second.clone(), until)),
        ("accept again", "Alpha", accept("accept again", &AgreementId::of(&second))),
    ];
    for (number, (label, bank, body)) in (1..).zip(orders) {
        let bank = bic_of(bank);
        let draft = Draft::new(id_of(label, NOON_MS), &bank, until, body);
        if !label.starts_with("open") {
            sections.push((format!("instruction: {label}"), draft.instruction.to_vec()));
        }
        let bytes = chain.consortium.sign(&bank, draft);
        let (block, decisions) = chain.execute(NOON_MS + number * 1_000, vec![bytes]);
        assert!(matches!(decisions[..], [Decision::Decided(_)]), "{label}: {decisions:?}");
        assert_eq!(block.leaves[0].outcome.reason, None, "{label}");
        for (key, value) in block.records {
            sections.push((format!("{label}: key"), key));
            sections.push((format!("{label}: value"), value));
        }
        let outcome = block.leaves[0].outcome.encode().to_vec();
        if !label.starts_with("open") {
            sections.push((format!("{label}: outcome"), outcome));
        }
    }
    chain.replay().unwrap();
    sections
}
