//! Terms as they are stored, and agreements that come back from storage.

use bytes::Bytes;
use counterfoil_proto::v1;

use super::{
    record,
    terms::{ACCOUNTS_MAX, DUTIES_MAX, RUN_TIMES_MAX, TERM_DAYS_MAX, TOLERANCES_MAX},
    *,
};
use crate::{
    agreement::{calendar::HOLIDAYS_MAX, tolerance::Tolerance},
    asset::AssetCode,
    hash::Hash,
    instruction::AMOUNT_MAX,
    reconciliation::KEY_LENGTH,
    snapshot::ITEM_BYTES_MAX,
};

fn bytes_of(label: &str) -> Bytes {
    Bytes::copy_from_slice(&Hash::of(label.as_bytes()).0[..16])
}

/// As long as terms can be.
fn longest() -> v1::AgreementTerms {
    let account = |number: usize| bytes_of(&format!("account {number}"));
    let tolerance = |number: usize| v1::Tolerance {
        asset: format!("LONGEST-{number:04}"),
        absolute: AMOUNT_MAX,
        basis_points: 10_000,
        exchange_rounding: AMOUNT_MAX,
    };
    let duty = |category: usize| v1::Duty {
        category: i32::try_from(category).unwrap(),
        answers: v1::Party::Owner.into(),
        answer_days: TERM_DAYS_MAX,
        escalate_days: TERM_DAYS_MAX,
    };
    let day = |number| Date::from_day_number(Date::LAST_DAY - 399 + number).yyyymmdd();
    let holidays = u32::try_from(HOLIDAYS_MAX).unwrap();
    let run_times = u32::try_from(RUN_TIMES_MAX).unwrap();
    v1::AgreementTerms {
        servicer: "CENTRALCXXX".to_owned(),
        owner: "ALPHALALXXX".to_owned(),
        accounts: (0..ACCOUNTS_MAX)
            .map(|number| v1::AgreementAccount { account: account(number) })
            .collect(),
        ledger: true,
        owner_book: true,
        servicer_book: true,
        rule_set: u32::MAX,
        effective_from: 99_991_231,
        tolerances: (0..TOLERANCES_MAX).map(tolerance).collect(),
        value_date_window: 30,
        missing_after_days: TERM_DAYS_MAX,
        missing_at_minute: 1_440,
        duties: (0..DUTIES_MAX).map(duty).collect(),
        calendar: Some(v1::Calendar {
            utc_offset_minutes: -720,
            weekend: 0b111_1110,
            holidays: (0..holidays).map(|number| v1::Holiday { date: day(number) }).collect(),
        }),
        run_times: (0..run_times).map(|number| v1::RunTime { minute: 1_439 - number }).collect(),
        keep_originals: true,
        supersedes: bytes_of("superseded"),
        salt: bytes_of("salt"),
        servicer_sealing_key: Bytes::from_static(&[1; 32]),
        owner_sealing_key: Bytes::from_static(&[2; 32]),
    }
}

fn shortest() -> v1::AgreementTerms {
    v1::AgreementTerms {
        accounts: vec![v1::AgreementAccount { account: bytes_of("account") }],
        ledger: false,
        tolerances: Vec::new(),
        duties: Vec::new(),
        calendar: Some(v1::Calendar::default()),
        run_times: Vec::new(),
        keep_originals: false,
        supersedes: Bytes::new(),
        servicer_sealing_key: Bytes::new(),
        owner_sealing_key: Bytes::new(),
        ..longest()
    }
}

#[test]
fn sealing_keys_are_there_with_originals_and_not_without() {
    let wrong = |change: fn(&mut v1::AgreementTerms), terms: v1::AgreementTerms| {
        let mut terms = terms;
        change(&mut terms);
        assert_eq!(Terms::of(&terms), Err(Reason::SealingKeysMalformed), "{terms:?}");
    };
    wrong(|it| it.servicer_sealing_key = Bytes::new(), longest());
    wrong(|it| it.owner_sealing_key = Bytes::new(), longest());
    wrong(|it| it.owner_sealing_key = Bytes::from_static(&[0; 32]), longest());
    wrong(|it| it.servicer_sealing_key = Bytes::from_static(&[1; 31]), longest());
    wrong(|it| it.servicer_sealing_key = Bytes::from_static(&[1; 33]), longest());
    wrong(|it| it.keep_originals = false, longest());
    wrong(|it| it.keep_originals = true, shortest());
    wrong(|it| it.owner_sealing_key = Bytes::from_static(&[1; 32]), shortest());
    let keys = Terms::of(&longest()).unwrap().originals.unwrap();
    assert_eq!(keys.of_party(Party::Servicer), &[1; 32]);
    assert_eq!(keys.of_party(Party::Owner), &[2; 32]);
    assert_eq!(Terms::of(&shortest()).unwrap().originals, None);
}

fn step(by: Party, leaf: u32) -> Step {
    let instruction = InstructionId::new(7, [leaf.to_be_bytes()[3]; 10]);
    Step { by, position: Position { height: 3, leaf }, time_ms: 1_000, instruction }
}

fn agreement(terms: &v1::AgreementTerms, answered: Option<(Answer, Step)>) -> Agreement {
    Agreement {
        number: 1,
        id: AgreementId::of(terms),
        terms: Terms::of(terms).unwrap(),
        proposed: step(Party::Owner, 1),
        accept_until_ms: u64::MAX,
        answered,
        superseded: None,
    }
}

#[test]
fn terms_keep_their_bytes() {
    for message in [longest(), shortest()] {
        assert_eq!(Terms::of(&message).unwrap().message(), message);
        for answered in [None, Some((Answer::Accept, step(Party::Servicer, 2)))] {
            let agreement = agreement(&message, answered);
            let (key, value) = record::encode(&agreement);
            assert_eq!(key.len(), KEY_LENGTH);
            assert!(key.len() + value.len() <= ITEM_BYTES_MAX, "{}", value.len());
            assert!(is_agreement(&key));
            assert_eq!(record::decode(&key, &value), Some(agreement));
        }
    }
}

#[test]
fn what_is_no_record_is_not_read() {
    let accepted = Some((Answer::Accept, step(Party::Servicer, 2)));
    let (key, value) = record::encode(&agreement(&longest(), accepted));
    for length in 0..value.len() {
        assert_eq!(record::decode(&key, &value[..length]), None, "{length}");
    }
    assert_eq!(record::decode(&key, &[&value[..], &[0]].concat()), None, "one byte more");
    assert_eq!(record::decode(&[&key[..], &[0]].concat(), &value), None, "a longer key");
    let wrong = Some((Answer::Accept, step(Party::Owner, 2)));
    let (key, value) = record::encode(&agreement(&shortest(), wrong));
    assert_eq!(record::decode(&key, &value), None, "accepted by who offered it");
}

/// Whatever is read is what it would be written as: a damaged record is none, or another agreement's.
#[test]
fn a_changed_record_is_none_or_another() {
    let accepted = Some((Answer::Accept, step(Party::Servicer, 2)));
    for (terms, answered) in [(longest(), accepted), (shortest(), None)] {
        let (key, value) = record::encode(&agreement(&terms, answered));
        let mut read = 0;
        for place in 0..value.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = value.clone();
                changed[place] ^= change;
                if let Some(found) = record::decode(&key, &changed) {
                    assert_eq!(record::encode(&found), (key.clone(), changed), "{place}");
                    read += 1;
                }
            }
        }
        assert!(read > 100, "most bytes are ids, salts and amounts");
    }
}

/// The order in which storage gives records is that of offers; they take effect in that of acceptance.
#[test]
fn agreements_come_back_as_they_were() {
    let mut agreements = Agreements::default();
    let mut records = BTreeMap::new();
    let first = v1::AgreementTerms { effective_from: 20_261_201, ..shortest() };
    let second =
        v1::AgreementTerms { effective_from: 20_261_101, salt: bytes_of("another"), ..shortest() };
    let first = v1::AgreementTerms {
        supersedes: Bytes::copy_from_slice(AgreementId::of(&second).as_bytes()),
        ..first
    };
    for (leaf, terms) in (1..).zip([&first, &second]) {
        let offer = v1::ProposeAgreement { terms: Some(terms.clone()), accept_until_ms: 9 };
        let offer = ProposeAgreement::of(&offer).unwrap();
        records.extend([agreements.propose(offer, step(Party::Owner, leaf))]);
    }
    let (first, second) = (Terms::of(&first).unwrap(), Terms::of(&second).unwrap());
    assert_eq!(agreements.admit(&first), Err(Reason::SupersededNotInForce));
    agreements.admit(&second).unwrap();
    records.extend([agreements.answer(2, Answer::Accept, step(Party::Servicer, 3))]);
    agreements.admit(&first).unwrap();
    records.extend([agreements.answer(1, Answer::Accept, step(Party::Servicer, 4))]);

    let again = Agreements::restore(records.clone()).unwrap();
    assert_eq!(again.all(), agreements.all());
    assert_eq!(again.reigns, agreements.reigns);
    let account = first.accounts[0];
    let governing = |date| {
        let date = Date::from_yyyymmdd(date).unwrap();
        again.governing(&account, date).map(|it| it.number)
    };
    let governed = [20_261_031, 20_261_101, 20_261_130, 20_261_201].map(governing);
    assert_eq!(governed, [None, Some(2), Some(2), Some(1)]);
    assert_eq!(again.newest(&account).map(|it| it.number), Some(1));

    let mut gap = records.clone();
    gap.pop_first();
    assert!(Agreements::restore(gap).is_none(), "the first offer is missing");
    let (key, value) = records.first_key_value().unwrap();
    let twice = [(key.clone(), value.clone()), (key.clone(), value.clone())];
    assert!(Agreements::restore(twice).is_none(), "an offer twice");
}

#[test]
fn terms_answer_what_is_asked_of_them() {
    let terms = Terms::of(&longest()).unwrap();
    let asset = |code: &str| AssetCode::parse(code).unwrap();
    assert_eq!(terms.tolerance(&asset("LONGEST-0031")).absolute, AMOUNT_MAX);
    assert_eq!(terms.tolerance(&asset("CHF")), Tolerance::default());
    assert_eq!(terms.party(&terms.owner), Some(Party::Owner));
    assert_eq!(terms.institution(Party::Servicer.other()), &terms.owner);
    assert_eq!(terms.party(&Bic::parse("GAMMACHZ").unwrap()), None);
    let duty = |terms: &Terms, category| terms.duty(category).map(|duty| duty.category);
    let amount = v1::BreakCategory::Amount;
    assert_eq!(duty(&terms, amount), Some(amount));
    let mut terms = terms;
    terms.duties.truncate(1);
    assert_eq!(
        duty(&terms, amount),
        Some(v1::BreakCategory::Unspecified),
        "the one for all others"
    );
    terms.duties.clear();
    assert_eq!(duty(&terms, amount), None);

    // Friday. Monday is a holiday: an item is missing at the end of Tuesday, two hours east of UTC.
    let calendar = v1::Calendar {
        utc_offset_minutes: 120,
        weekend: 0b110_0000,
        holidays: vec![v1::Holiday { date: 20_261_123 }],
    };
    let terms =
        v1::AgreementTerms { missing_after_days: 1, calendar: Some(calendar), ..shortest() };
    let terms = Terms::of(&terms).unwrap();
    let friday = Date::from_yyyymmdd(20_261_120).unwrap();
    let noon = 1_795_435_200_000; // 2026-11-23T12:00:00Z
    assert_eq!(terms.missing_from_ms(friday), noon + (12 + 24 - 2) * 3_600_000);
}
