//! Items that come and go, one by one.

use super::{
    super::{
        explain::{By, Why},
        item::EntryFields,
        pair::{Category, Defect},
        runs::Pass,
        terms::{Bounds, Tolerance, tests::Weekdays},
    },
    *,
};
use crate::uetr::Uetr;

fn terms() -> Terms<'static> {
    let bounds = Bounds::RULE_SET_1;
    Terms { tolerance: Tolerance::default(), window: 2, days: &Weekdays, bounds }
}

fn first(number: u64) -> Id {
    Id { place: Place::First, number }
}

fn second(number: u64) -> Id {
    Id { place: Place::Second, number }
}

fn plain() -> EntryFields<'static> {
    let date = Date::from_yyyymmdd(20_240_102).unwrap();
    EntryFields { end_to_end_id: "RENT", ..EntryFields::plain(Side::Credit, 100, date) }
}

fn with_uetr(byte: u8) -> EntryFields<'static> {
    EntryFields { uetr: Some(Uetr::from_random([byte; 16])), ..plain() }
}

fn arrive(desk: &mut Desk, id: Id, fields: EntryFields<'_>) -> Vec<Change> {
    desk.arrive(id.place, Arc::new(Item::of_entry(id.number, &fields)), &terms())
}

fn partner(desk: &Desk, id: Id) -> Option<u64> {
    match desk.standing(id) {
        Some(Standing::Paired { with, .. }) => Some(*with),
        _ => None,
    }
}

#[test]
fn a_late_better_one_takes_over() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    arrive(&mut desk, first(1), with_uetr(1));
    arrive(&mut desk, second(1), plain());
    assert_eq!(partner(&desk, first(1)), Some(1));
    let changes = arrive(&mut desk, second(2), with_uetr(1));
    assert_eq!(partner(&desk, first(1)), Some(2));
    assert_eq!(desk.standing(second(1)), Some(&Standing::Free));
    assert_eq!(
        changes.iter().map(|change| change.id).collect::<Vec<_>>(),
        [first(1), second(1), second(2)]
    );
    let changes = desk.leave(second(2), &terms());
    assert_eq!(changes.len(), 3);
    assert_eq!(partner(&desk, second(1)), Some(1));
}

#[test]
fn a_number_that_is_there_changes_nothing() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    assert_eq!(arrive(&mut desk, first(1), plain()).len(), 1);
    assert!(arrive(&mut desk, first(1), with_uetr(1)).is_empty());
    assert!(desk.leave(first(9), &terms()).is_empty());
    assert!(desk.unpin(first(1), &terms()).is_empty());
}

/// Thousands of items share a reference and have a UETR each: one that has the reference alone
/// touches none of them.
#[test]
fn a_common_reference_leaves_stronger_keys_alone() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    for number in 1..=200u8 {
        arrive(&mut desk, first(number.into()), with_uetr(number));
        arrive(&mut desk, second(number.into()), with_uetr(number));
    }
    let changes = arrive(&mut desk, second(999), plain());
    assert_eq!(changes.len(), 1);
    assert_eq!(desk.standing(second(999)), Some(&Standing::Free));
    assert_eq!(partner(&desk, first(7)), Some(7));
}

#[test]
fn beyond_the_bound_a_reference_tells_nothing() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    let priced = |amount| EntryFields { amount, ..plain() };
    for number in 1..=64 {
        arrive(&mut desk, first(number), priced(number));
        arrive(&mut desk, second(number), priced(number));
    }
    assert_eq!(partner(&desk, first(64)), Some(64));
    let changes = arrive(&mut desk, first(65), priced(65));
    assert_eq!(changes.len(), 129);
    assert_eq!(desk.open(Place::First).len(), 65);
    // From then on an arrival changes nothing else.
    assert_eq!(arrive(&mut desk, second(65), priced(65)).len(), 1);
    let explained = desk.explain(second(65), None, &terms()).unwrap();
    assert_eq!(explained.others.len(), 16);
    assert!(
        explained.others.iter().all(|other| { other.why == Why::TooMany(Strength::EndToEndId) })
    );
    desk.leave(second(65), &terms());
    // The last two left over differ in the amount: a break.
    assert_eq!(desk.leave(first(1), &terms()).len(), 129);
    assert_eq!(partner(&desk, first(65)), Some(1));
    assert_eq!(partner(&desk, first(64)), Some(64));
}

#[test]
fn pinned_items_still_have_duplicates() {
    let mut desk = Desk::new(Comparison::LedgerOwner);
    arrive(&mut desk, first(1), with_uetr(1));
    arrive(&mut desk, second(1), with_uetr(1));
    desk.pin_all(&[first(1), second(1)], &terms());
    arrive(&mut desk, second(2), with_uetr(1));
    assert_eq!(desk.standing(second(2)), Some(&Standing::Duplicate));
    assert_eq!(desk.original(second(2)), Some(1));
    // The ledger has none.
    arrive(&mut desk, first(2), with_uetr(1));
    assert_eq!(desk.standing(first(2)), Some(&Standing::Free));
}

#[test]
fn runs_pass_by_what_is_set_aside_and_keys_do_not() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    arrive(&mut desk, first(1), with_uetr(1));
    desk.set_aside(first(1), true);
    assert!(desk.open(Place::First).is_empty());
    assert_eq!(
        desk.explain(first(1), Some(Pass::Sums), &terms()).unwrap().by,
        Some(By::Run(Pass::Sums))
    );
    arrive(&mut desk, second(1), with_uetr(1));
    assert_eq!(partner(&desk, first(1)), Some(1));
    desk.leave(second(1), &terms());
    assert!(desk.open(Place::First).is_empty());
    desk.set_aside(first(1), false);
    assert_eq!(desk.open(Place::First).len(), 1);
}

#[test]
fn an_explanation_says_why_and_why_not() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    let all = [
        (first(1), EntryFields { transaction_id: "T", ..plain() }),
        (second(1), EntryFields { transaction_id: "T", ..plain() }),
        (second(2), EntryFields { transaction_id: "T", amount: 90, charges: 10, ..plain() }),
        (second(3), EntryFields { transaction_id: "U", ..plain() }),
    ];
    for (id, fields) in all {
        arrive(&mut desk, id, fields);
    }
    let explained = desk.explain(first(1), None, &terms()).unwrap();
    assert_eq!(explained.by, Some(By::Key(Strength::TransactionId)));
    assert_eq!(partner(&desk, first(1)), Some(1));
    let [other, unlike] = &explained.others[..] else { panic!("{explained:?}") };
    assert_eq!(unlike.why, Why::Contradicts(Strength::TransactionId));
    let Why::Worse(judgement) = &other.why else { panic!("{other:?}") };
    assert_eq!((other.id, judgement.defect), (second(2), Defect::AmountBeyond));
    assert_eq!(judgement.category, Some(Category::Charges));
    let explained = desk.explain(second(2), None, &terms()).unwrap();
    assert_eq!(explained.by, None);
    assert!(matches!(explained.others[0].why, Why::Taken { with: 1, .. }));
    desk.refuse(first(1), second(1), &terms());
    assert_eq!(partner(&desk, first(1)), Some(2));
    let explained = desk.explain(second(1), None, &terms()).unwrap();
    assert_eq!(explained.others[0].why, Why::Refused);
}

#[test]
fn what_is_ambiguous_names_the_others() {
    let mut desk = Desk::new(Comparison::OwnerServicer);
    for id in [first(1), second(1), second(2)] {
        arrive(&mut desk, id, plain());
    }
    let proposed =
        |with: &[u64]| Standing::Proposed { strength: Strength::EndToEndId, with: with.to_vec() };
    assert_eq!(desk.standing(first(1)), Some(&proposed(&[1, 2])));
    assert_eq!(desk.standing(second(2)), Some(&proposed(&[1])));
    let explained = desk.explain(first(1), None, &terms()).unwrap();
    assert!(matches!(
        explained.others[..],
        [
            super::super::explain::Other { why: Why::Ambiguous(_), .. },
            super::super::explain::Other { why: Why::Ambiguous(_), .. }
        ]
    ));
    arrive(&mut desk, second(3), EntryFields { amount: 99, ..plain() });
    let explained = desk.explain(second(3), None, &terms()).unwrap();
    assert!(matches!(&explained.others[0].why, Why::Undecided { with, .. } if *with == [1, 2]));
}
