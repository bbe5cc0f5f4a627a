//! When a position is agreed, and when it is not although nothing of its day is open.

use super::{super::day::viewed, *};

impl Scene {
    /// Both sign a day as their books have it, with their own opening balances.
    fn sign_both(&mut self, day: u32, servicer: i64, owner: i64) -> Vec<Kind> {
        let mut effects = Vec::new();
        for (party, own) in [(Party::Servicer, servicer), (Party::Owner, owner)] {
            let source = viewed(party, &self.terms);
            let figures = self.sheet().figures(&self.account, source, date(day));
            effects = self.sign_on(party, figures.view(own).unwrap(), date(day)).unwrap();
        }
        kinds(&effects)
    }

    fn is_agreed(&self, day: u32) -> bool {
        self.sheet().position(date(day)).unwrap().agreed_at.is_some()
    }

    fn reopen(&mut self, number: u64) {
        let order = (number, Party::Owner, &[6; 16]);
        let reopened = self.act(|all, governed, now| {
            all.work(governed, order, now, |work| work.reopen(Party::Owner))
        });
        reopened.unwrap();
    }
}

#[test]
fn balances_that_began_with_a_difference_agree_when_both_accept_it() {
    for sources in [LEDGER_OWNER, BOOKS, [true; 3]] {
        let mut scene = Scene::of(sources);
        scene.account.balance = 1_000;
        for (source, is) in [(Source::OwnerBook, true), (Source::ServicerBook, sources[2])] {
            if is {
                scene.book(source, 1, 500);
            }
        }
        if sources[0] {
            scene.post(1, 500);
        }
        let signed = scene.sign_both(23, 1_000, 993);
        assert_eq!(signed, [Kind::PositionSigned, Kind::BreakOpened]);
        let found = scene.sheet().position(date(23)).unwrap().break_number.unwrap();
        assert!(scene.sheet().finding(Class::Break, found).unwrap().items.concat().is_empty());
        // The day after has the same difference, and a break of its own.
        assert_eq!(scene.sign_both(24, 500, 493), [Kind::PositionSigned, Kind::BreakOpened]);
        let ended = kinds(&scene.end_break(found).unwrap());
        let both =
            [Kind::BreakWorked, Kind::PositionAgreed, Kind::PositionAgreed, Kind::BreakHealed];
        assert_eq!(ended, both);
        assert_eq!(scene.sheet().position(date(23)).unwrap().break_number, Some(found));
        // What was accepted holds from then on; another difference was not.
        let agreed = [Kind::PositionSigned, Kind::PositionAgreed];
        assert_eq!(scene.sign_both(25, 500, 493), agreed);
        assert_eq!(scene.sign_both(26, 500, 494), [Kind::PositionSigned, Kind::BreakOpened]);
        let before = scene.sign_both(20, 1_000, 993);
        assert_eq!(before, [Kind::PositionSigned, Kind::BreakOpened], "not accepted so early");
    }
}

#[test]
fn what_is_open_of_an_earlier_day_is_carried_into_the_next() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 504);
    scene.book(Source::OwnerBook, 2, 300);
    // Matched within the tolerance: the balances differ by what was agreed beforehand.
    let signed = scene.sign_both(24, 0 - 504, 0 - 800);
    assert_eq!(signed, [Kind::PositionSigned, Kind::BreakOpened]);
    let number = scene.sheet().position(date(24)).unwrap().break_number.unwrap();
    let named = &scene.sheet().finding(Class::Break, number).unwrap().items;
    assert_eq!(*named, [vec![2], vec![]], "the item of the day before");
    // It comes with the value date of its day: what was signed of the next day is outdated.
    let came = scene.book(Source::ServicerBook, 2, 300);
    assert_eq!(kinds(&came), [Kind::Recorded, Kind::PositionOutdated, Kind::Matched]);
    scene.sign_both(24, 0 - 804, 0 - 800);
    assert!(scene.is_agreed(24));
}

#[test]
fn a_difference_that_the_parties_ended_does_not_keep_days_apart() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 900);
    assert_eq!(scene.open_breaks(), [(1, Category::Amount)]);
    scene.sign_both(23, 0, 0);
    scene.sign_both(24, -900, -500);
    assert!(!scene.is_agreed(23) && !scene.is_agreed(24));
    let ended = kinds(&scene.end_break(1).unwrap());
    assert_eq!(ended.iter().filter(|kind| **kind == Kind::PositionAgreed).count(), 2);
    // Opened again it is a difference again, for what is signed from then on.
    scene.reopen(1);
    assert!(scene.is_agreed(23), "both have signed it");
    assert_eq!(scene.sign_both(25, -900, -500), [Kind::PositionSigned, Kind::BreakOpened]);
}

#[test]
fn a_break_about_a_day_that_was_ended_does_not_come_again_for_the_same() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.sign_both(23, 0, 0);
    let position = scene.sheet().position(date(23)).unwrap().break_number.unwrap();
    assert_eq!(kinds(&scene.end_break(position).unwrap()), [Kind::BreakWorked]);
    assert!(!scene.is_agreed(23), "its item is open as before");
    let came = scene.book(Source::ServicerBook, 1, 500);
    assert!(kinds(&came).contains(&Kind::PositionOutdated));
    scene.sign_both(23, 0, 0);
    assert!(scene.is_agreed(23));
}

#[test]
fn what_is_signed_anew_and_otherwise_is_agreed_anew() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 500);
    scene.sign_both(23, 7, 7);
    let agreed_at = scene.sheet().position(date(23)).unwrap().agreed_at;
    scene.sign_both(23, 7, 7);
    assert!(agreed_at.is_some());
    assert_eq!(scene.sheet().position(date(23)).unwrap().agreed_at, agreed_at);
    let other = scene.sign_both(23, 7, 8);
    assert_eq!(other, [Kind::PositionSigned, Kind::BreakOpened]);
    assert!(!scene.is_agreed(23));
}

#[test]
fn a_statement_that_tells_another_balance_outdates_what_was_signed() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 500);
    scene.sign_both(23, 1_000, 1_000);
    assert!(scene.is_agreed(23));
    let same = scene.state(Source::OwnerBook, 1_000, 500);
    assert!(!kinds(&same).contains(&Kind::PositionOutdated));
    let other = scene.state_between(Source::ServicerBook, [date(23); 2], [900, 400]);
    assert!(kinds(&other).contains(&Kind::PositionOutdated));
    assert!(!scene.is_agreed(23));
}
