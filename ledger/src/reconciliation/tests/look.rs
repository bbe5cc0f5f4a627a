//! What others may see of a sheet.

use super::{
    super::{
        day::viewed,
        finding::About,
        trial::{CHANGED_MAX, ITEMS_MAX, Trial},
    },
    *,
};
use crate::{
    matching::{
        desk::{Desk, Standing},
        explain::Why,
        item::Strength,
    },
    purpose::Purpose,
};

fn on(day: u32) -> [Date; 2] {
    [date(day); 2]
}

#[test]
fn a_day_says_what_a_view_has_to_say() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.account.balance = 1_000;
    scene.post(1, 300);
    scene.post_on(2, 50, date(24));
    let entry = BookEntry { purpose: Some(Purpose::Lending), ..scene.entry(1, 300, [date(23); 2]) };
    scene.record(Source::OwnerBook, &entry);
    // Booked on one day, and valued on the next one.
    let entry = scene.entry(2, 50, [date(23), date(24)]);
    let entry = BookEntry { purpose: Some(Purpose::Repayment), ..entry };
    scene.record(Source::OwnerBook, &entry);
    let figures = |scene: &Scene, source, day| {
        let figures = scene.sheet().figures(&scene.account, source, date(day));
        (figures.opening, figures.closing())
    };
    assert_eq!(figures(&scene, Source::Ledger, 23), (Some(1_000), 700));
    assert_eq!(figures(&scene, Source::Ledger, 24), (Some(700), 650));
    assert_eq!(figures(&scene, Source::OwnerBook, 23), (None, -300));
    scene.state_between(Source::OwnerBook, on(23), [1_000, 650]);
    assert_eq!(scene.open_breaks(), []);
    assert_eq!(figures(&scene, Source::OwnerBook, 22), (None, 0));
    assert_eq!(figures(&scene, Source::OwnerBook, 23), (Some(1_000), 700));
    // The statement of the day before leads to this one, and one of its own says the same.
    assert_eq!(figures(&scene, Source::OwnerBook, 24), (Some(700), 650));
    scene.state_between(Source::OwnerBook, on(24), [650, 650]);
    assert_eq!(figures(&scene, Source::OwnerBook, 24), (Some(700), 650));
    let sheet = scene.sheet();
    let day = sheet.figures(&scene.account, Source::OwnerBook, date(23));
    assert_eq!((day.day.lent.total(), day.day.repaid.total()), (300, 0));
    let next = sheet.figures(&scene.account, Source::OwnerBook, date(24));
    assert_eq!((next.day.lent.total(), next.day.repaid.total()), (0, 50));
    let dates: Vec<Date> = sheet.dates_from(date(1)).collect();
    assert_eq!((dates, sheet.last_date()), (vec![date(23), date(24)], Some(date(24))));
    assert_eq!(sheet.dates_from(date(25)).count(), 0);
    assert_eq!(sheet.open_item_count(date(23)), 0);
    // What it says is right: both sign it, and agree.
    assert_eq!(viewed(Party::Owner, &scene.terms), Source::OwnerBook);
    for party in [Party::Owner, Party::Servicer] {
        let source = viewed(party, &scene.terms);
        let view = scene.sheet().figures(&scene.account, source, date(23)).view(7).unwrap();
        assert_eq!((view.opening, view.closing), (1_000, 700));
        scene.sign(party, view).unwrap();
    }
    assert!(scene.sheet().position(date(23)).unwrap().agreed_at.is_some());
}

#[test]
fn findings_are_found_from_a_number_on() {
    let mut scene = Scene::of(LEDGER_OWNER);
    for uetr in 1..=6 {
        scene.post(uetr, 100);
        scene.book(Source::OwnerBook, uetr, if uetr % 2 == 0 { 100 } else { 200 });
    }
    // The third break heals.
    scene.book(Source::OwnerBook, 5, 100);
    let sheet = scene.sheet();
    let all = |class, from| -> Vec<u64> {
        sheet.findings_from(class, from).map(|it| it.number).collect()
    };
    let open = |class, from| -> Vec<u64> {
        sheet.open_findings_from(class, from).map(|it| it.number).collect()
    };
    assert_eq!((all(Class::Break, 2), open(Class::Break, 2)), (vec![2, 3], vec![2]));
    assert_eq!((all(Class::Match, 3), open(Class::Match, 3)), (vec![3, 4], vec![3, 4]));
    assert_eq!(open(Class::Break, u64::MAX), Vec::<u64>::new());
    let found = sheet.finding(Class::Break, 1).unwrap();
    assert_eq!((sheet.effect_of(found), sheet.date_of(found)), (100, Some(date(23))));
    let first = Id { place: Place::First, number: 1 };
    assert_eq!(sheet.stands_in(Comparison::LedgerOwner, first), Some(found));
}

#[test]
fn a_break_names_the_statement_or_the_day_that_it_is_about() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.book(Source::OwnerBook, 1, 500);
    scene.state(Source::OwnerBook, 1_000, 400);
    let about = |scene: &Scene, number| {
        let found = scene.sheet().finding(Class::Break, number).unwrap();
        (found.about, scene.sheet().date_of(found), scene.sheet().effect_of(found))
    };
    let statement = Some(About::Statement(Source::OwnerBook, 1));
    assert_eq!(about(&scene, 1), (statement, Some(date(23)), 0));
    for party in [Party::Owner, Party::Servicer] {
        let source = viewed(party, &scene.terms);
        let view = scene.sheet().figures(&scene.account, source, date(23)).view(0).unwrap();
        scene.sign(party, view).unwrap();
    }
    let number = scene.sheet().position(date(23)).unwrap().break_number.unwrap();
    assert_eq!(about(&scene, number), (Some(About::Day(date(23))), Some(date(23)), 0));
}

#[test]
fn an_item_is_explained() {
    let mut scene = Scene::of(LEDGER_OWNER);
    let explained = |scene: &Scene, place, number| {
        let id = Id { place, number };
        let explained =
            scene.sheet().explain(&scene.account, &scene.terms, Comparison::LedgerOwner, id);
        let explained = explained.unwrap();
        let others: Vec<(u64, Why)> =
            explained.others.into_iter().map(|it| (it.id.number, it.why)).collect();
        let stands = explained.stands_in.map(|it| (it.says.class(), it.number));
        (stands, explained.deadline_ms, explained.original, others)
    };
    scene.post(1, 500);
    let missing = hour(24 + 18);
    assert_eq!(explained(&scene, Place::First, 1), (None, Some(missing), None, vec![]));
    // The same amount a day later, by another key.
    let entry = scene.entry(2, 500, on(24));
    scene.record(Source::OwnerBook, &entry);
    let why = vec![(1, Why::Contradicts(Strength::Uetr))];
    assert_eq!(explained(&scene, Place::First, 1), (None, Some(missing), None, why));
    // By the same key, a better one and a worse one.
    scene.book(Source::OwnerBook, 1, 500);
    let entry = BookEntry { amount: 499, ..scene.entry(1, 500, on(23)) };
    scene.record(Source::OwnerBook, &entry);
    let (stands, deadline, _, others) = explained(&scene, Place::First, 1);
    assert_eq!((stands, deadline), (Some((Class::Match, 1)), None));
    assert!(matches!(others[..], [(3, Why::Worse(_))]), "{others:?}");
    let (stands, .., others) = explained(&scene, Place::Second, 3);
    assert_eq!(stands, None);
    assert!(matches!(others[..], [(1, Why::Taken { with: 2, .. })]), "{others:?}");
    // What the book has twice.
    let entry = scene.entry(7, 70, on(23));
    scene.record(Source::OwnerBook, &entry);
    scene.record(Source::OwnerBook, &entry);
    assert_eq!(explained(&scene, Place::Second, 5).2, Some(4));
    let unknown = Id { place: Place::First, number: 9 };
    let terms = &scene.terms;
    let sheet = scene.sheet();
    assert!(sheet.explain(&scene.account, terms, Comparison::LedgerOwner, unknown).is_none());
    assert!(sheet.explain(&scene.account, terms, Comparison::OwnerServicer, unknown).is_none());
}

#[test]
fn a_break_that_was_opened_again_is_tried() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 1_000);
    scene.book(Source::OwnerBook, 1, 1_010);
    let resolution =
        Resolution { kind: ResolutionKind::NoAction, transfer: None, commitment: Hash::ZERO };
    let hand = Hand { party: Party::Owner, key_id: Hash::ZERO };
    let step = |scene: &mut Scene, step: &dyn Fn(&mut Work) -> Result<(), Reason>| {
        let work = (1, Party::Owner, &[6; 16]);
        scene.act(|all, governed, now| all.work(governed, work, now, step)).unwrap();
    };
    let tried = |scene: &Scene| {
        let mut message = scene.terms.message();
        message.tolerances[0].absolute = 10;
        let terms = Terms::of(&message).unwrap();
        let copy = scene.sheet().copied_for_trial(Comparison::LedgerOwner).unwrap();
        let [copied, own] = [&copy, scene.sheet()]
            .map(|it| it.try_terms(&scene.account, &terms, Comparison::LedgerOwner));
        assert_eq!(copied, own);
        let Trial::Done(tried) = own else { panic!("there are two") };
        (tried.item_count, tried.breaks_now, tried.matches_then, tried.changed_count)
    };
    assert_eq!(tried(&scene), (2, 1, 1, 1));
    step(&mut scene, &|work| work.propose(hand, resolution.clone()));
    step(&mut scene, &|work| {
        work.agree(Agreed::Ended);
        Ok(())
    });
    assert_eq!(tried(&scene), (0, 0, 0, 0), "it was decided");
    step(&mut scene, &|work| work.reopen(Party::Owner));
    assert_eq!(tried(&scene), (2, 1, 1, 1), "it is open again");
}

#[test]
fn a_trial_takes_so_many_items_and_no_more() {
    let scene = Scene::of(LEDGER_OWNER);
    let comparison = Comparison::LedgerOwner;
    let of = |count: usize| {
        let items = (1..=u64::try_from(count).unwrap()).map(|number| {
            let item = Item::of_entry(number, &EntryFields::plain(Side::Credit, 1, date(23)));
            (Place::First, std::sync::Arc::new(item), Standing::Free, false)
        });
        let mut sheet = Sheet::new(3, scene.account.id);
        sheet
            .desks
            .insert(comparison, Desk::restore(comparison, items, Default::default()).unwrap());
        sheet
    };
    let most = of(ITEMS_MAX);
    let copy = most.copied_for_trial(comparison).unwrap();
    let tried = copy.try_terms(&scene.account, &scene.terms, comparison);
    assert!(matches!(tried, Trial::Done(tried) if tried.item_count == 200_000));
    let more = of(ITEMS_MAX + 1);
    assert!(more.copied_for_trial(comparison).is_none());
    assert_eq!(more.try_terms(&scene.account, &scene.terms, comparison), Trial::TooMany);
}

#[test]
fn other_terms_are_tried_without_a_trace() {
    let mut scene = Scene::of(LEDGER_OWNER);
    for uetr in 1..=150 {
        scene.post(uetr, 1_000);
        // A third each: equal, within the tolerance of 5, beyond it.
        scene.book(Source::OwnerBook, uetr, 1_000 + 5 * u64::from(uetr % 3));
    }
    scene.book(Source::OwnerBook, 200, 7);
    let before = scene.all.sheet(3).unwrap().counts.clone();
    let tried = |tolerance| {
        let mut message = scene.terms.message();
        message.tolerances[0].absolute = tolerance;
        let terms = Terms::of(&message).unwrap();
        match scene.sheet().try_terms(&scene.account, &terms, Comparison::LedgerOwner) {
            Trial::Done(tried) => tried,
            Trial::TooMany => panic!("there are few, not {ITEMS_MAX}"),
        }
    };
    let same = tried(5);
    assert_eq!((same.item_count, same.changed_count), (301, 0));
    assert_eq!((same.matches_now, same.breaks_now), (100, 50));
    let wide = tried(10);
    assert_eq!((wide.matches_then, wide.breaks_then, wide.changed_count), (150, 0, 50));
    let pair = wide.changed[0];
    assert_eq!((pair.first, pair.second), (2, 2));
    assert_eq!(pair.now.and_then(|it| it.category), Some(Category::Amount));
    assert_eq!(pair.then.and_then(|it| it.category), None);
    let none = tried(0);
    assert_eq!((none.matches_then, none.breaks_then, none.changed_count), (50, 100, 50));
    assert!(none.changed.len() <= CHANGED_MAX);
    assert_eq!(scene.sheet().counts, before);
}
