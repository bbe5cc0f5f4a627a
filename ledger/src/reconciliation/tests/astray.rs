//! What stands on another account of the agreement.

use std::collections::BTreeSet;

use super::*;
use crate::reconciliation::astray::Elsewhere;

/// What is said of the other account's item.
fn elsewhere(account: u32, source: Source, number: u64) -> Option<Elsewhere> {
    Some(Elsewhere { account, source, number })
}

impl Scene {
    /// Goes on with the other account.
    fn change_account(&mut self) {
        std::mem::swap(&mut self.account, &mut self.other);
    }

    /// Does something on the other account.
    fn beside<T>(&mut self, act: impl FnOnce(&mut Scene) -> T) -> T {
        self.change_account();
        let done = act(self);
        self.change_account();
        done
    }

    /// Lets the deadlines of both accounts pass that are due by then.
    fn both_due(&mut self, time_ms: u64) -> Vec<Vec<Effect>> {
        let mut done = Vec::new();
        self.time_ms = self.time_ms.max(time_ms);
        while let Some(account) = self.all.due_account(self.time_ms) {
            let is_other = account != self.account.ordinal;
            let now = self.time_ms;
            done.push(if is_other { self.beside(|it| it.due(now)) } else { self.due(now) });
        }
        done
    }

    /// Where the counterpart of a break's item is found.
    fn found_on(&self, number: u64) -> Option<Elsewhere> {
        self.sheet().finding(Class::Break, number).unwrap().elsewhere
    }

    fn reference(&self, transaction_id: &str, amount: u64) -> BookEntry {
        let transaction_id = transaction_id.to_owned();
        BookEntry { uetr: None, transaction_id, ..self.entry(0, amount, [date(23); 2]) }
    }
}

/// Posted on one account, and entered for the other one; both deadlines have passed.
fn astray() -> Scene {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 500);
    scene.beside(|it| it.book(Source::OwnerBook, 1, 500));
    scene.both_due(hour(24 + 18));
    scene
}

#[test]
fn both_accounts_name_what_stands_on_the_other_one() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 500);
    scene.beside(|it| it.book(Source::OwnerBook, 1, 500));
    let due = scene.both_due(hour(24 + 18));
    assert_eq!(kinds(&due[0]), [Kind::BreakOpened], "one alone is missing");
    // Of the second account's leaf the first account is told, too.
    let both = [Kind::BreakOpened, Kind::BreakChanged, Kind::BreakChanged];
    assert_eq!(kinds(&due[1]), both);
    assert_eq!(scene.open_breaks(), [(1, Category::WrongAccount)]);
    assert_eq!(scene.found_on(1), elsewhere(4, Source::OwnerBook, 1));
    scene.beside(|it| {
        assert_eq!(it.open_breaks(), [(1, Category::WrongAccount)]);
        assert_eq!(it.found_on(1), elsewhere(3, Source::Ledger, 1));
    });
}

#[test]
fn who_finds_its_counterpart_leaves_the_other_one_missing() {
    // Entered again where it belongs; the wrong entry stays, and nothing has its like.
    let mut scene = astray();
    let healed = scene.book(Source::OwnerBook, 1, 500);
    let expected = [Kind::Recorded, Kind::BreakHealed, Kind::Matched, Kind::BreakChanged];
    assert_eq!(kinds(&healed), expected);
    assert_eq!(scene.open_breaks(), []);
    assert_eq!(scene.found_on(1), elsewhere(4, Source::OwnerBook, 1), "it says what it was");
    scene.beside(|it| {
        assert_eq!(it.open_breaks(), [(1, Category::MissingFirst)]);
        assert_eq!(it.found_on(1), None);
        // The bank takes the wrong entry back.
        let entry = it.entry(1, 500, [date(23); 2]);
        let reversal = BookEntry { side: Side::Credit, reversal: true, ..entry };
        it.record(Source::OwnerBook, &reversal);
        it.act(|all, governed, now| all.begin_run(governed, &[9; 16], now)).unwrap();
        assert_eq!(it.open_breaks(), []);
    });
    // The other way round: first the wrong entry is taken back.
    let mut scene = astray();
    scene.beside(|it| {
        let entry = it.entry(1, 500, [date(23); 2]);
        let reversal = BookEntry { side: Side::Credit, reversal: true, ..entry };
        it.record(Source::OwnerBook, &reversal);
        it.act(|all, governed, now| all.begin_run(governed, &[9; 16], now)).unwrap();
        assert_eq!(it.open_breaks(), []);
    });
    assert_eq!(scene.open_breaks(), [(1, Category::MissingSecond)]);
    scene.book(Source::OwnerBook, 1, 500);
    assert_eq!(scene.open_breaks(), []);
}

#[test]
fn what_the_parties_have_ended_leaves_the_other_side_as_it_is() {
    let mut scene = astray();
    let resolution =
        Resolution { kind: ResolutionKind::NoAction, transfer: None, commitment: Hash::ZERO };
    let step = |scene: &mut Scene, party, step: &dyn Fn(&mut Work) -> Result<(), Reason>| {
        let done =
            scene.act(|all, governed, now| all.work(governed, (1, party, &[6; 16]), now, step));
        read(&done.unwrap())
    };
    let hand = Hand { party: Party::Owner, key_id: Hash::ZERO };
    step(&mut scene, Party::Owner, &|work| work.propose(hand, resolution.clone()));
    step(&mut scene, Party::Servicer, &|work| {
        work.agree(Agreed::Ended);
        Ok(())
    });
    assert_eq!(scene.open_breaks(), []);
    scene.beside(|it| assert_eq!(it.open_breaks(), [(1, Category::WrongAccount)]));
    // The entry is taken back: what was signed stays as it was signed, until it is opened again.
    scene.beside(|it| {
        let entry = it.entry(1, 500, [date(23); 2]);
        let reversal = BookEntry { side: Side::Credit, reversal: true, ..entry };
        it.record(Source::OwnerBook, &reversal);
        it.act(|all, governed, now| all.begin_run(governed, &[9; 16], now)).unwrap();
    });
    assert_eq!(scene.found_on(1), elsewhere(4, Source::OwnerBook, 1));
    step(&mut scene, Party::Servicer, &|work| work.reopen(Party::Servicer));
    assert_eq!(scene.open_breaks(), [(1, Category::MissingSecond)]);
}

#[test]
fn other_references_need_the_same_day_and_no_contradiction() {
    let (here, there) = (Source::OwnerBook, Source::ServicerBook);
    let category = |change: &dyn Fn(BookEntry) -> BookEntry| {
        let mut scene = Scene::of(BOOKS);
        let entry = scene.reference("TX", 500);
        scene.record(here, &entry);
        let other = change(scene.reference("tx", 500));
        scene.beside(|it| it.record(there, &other));
        scene.both_due(hour(100));
        let [(_, category)] = scene.open_breaks()[..] else { panic!("one break") };
        scene.beside(|it| {
            let wrong = it.open_breaks() == [(1, Category::WrongAccount)];
            assert_eq!(wrong, category == Category::WrongAccount);
        });
        category
    };
    let uetr = |number| Some(Uetr::from_random([number; 16]));
    assert_eq!(category(&|it| it), Category::WrongAccount);
    for change in [
        &|it| BookEntry { amount: 501, ..it } as BookEntry,
        &|it| BookEntry { side: Side::Credit, ..it },
        &|it| BookEntry { date: date(24), ..it },
        &|it| BookEntry { transaction_id: "OTHER".to_owned(), ..it },
        &|it| BookEntry { asset: Some(AssetCode::parse("EUR").unwrap()), ..it },
        &|it| BookEntry { reversal: true, ..it },
    ] as [&dyn Fn(BookEntry) -> BookEntry; 6]
    {
        assert_eq!(category(change), Category::MissingSecond);
    }
    // A UETR that only one has contradicts nothing; the other bank's other one does.
    assert_eq!(category(&|it| BookEntry { uetr: uetr(1), ..it }), Category::WrongAccount);
    let mut scene = Scene::of(BOOKS);
    let entry = BookEntry { uetr: uetr(1), ..scene.reference("TX", 500) };
    scene.record(here, &entry);
    scene.beside(|it| it.record(there, &BookEntry { uetr: uetr(2), ..entry.clone() }));
    scene.both_due(hour(100));
    assert_eq!(scene.open_breaks(), [(1, Category::MissingSecond)]);
}

#[test]
fn of_two_that_look_alike_nobody_knows_which_went_astray() {
    let mut scene = Scene::of(BOOKS);
    let entry = scene.reference("TX", 500);
    scene.record(Source::OwnerBook, &entry);
    let wrong = BookEntry { entry_reference: "A".to_owned(), ..entry.clone() };
    let again = BookEntry { entry_reference: "B".to_owned(), ..entry.clone() };
    scene.beside(|it| it.record(Source::ServicerBook, &wrong));
    scene.both_due(hour(24 + 18));
    assert_eq!(scene.open_breaks(), [(1, Category::WrongAccount)]);
    scene.beside(|it| it.record(Source::ServicerBook, &again));
    assert_eq!(scene.open_breaks(), [(1, Category::WrongAccount)], "it still has time");
    scene.both_due(hour(100));
    assert_eq!(scene.open_breaks(), [(1, Category::MissingSecond)]);
    scene.beside(|it| {
        let missing = [(1, Category::MissingFirst), (2, Category::MissingFirst)];
        assert_eq!(it.open_breaks(), missing);
        // People choose which of them is the counterpart of a third: the other one is alone again.
        it.record(Source::OwnerBook, &entry);
        for party in [Party::Owner, Party::Servicer] {
            it.decide(party, Decision::Confirm, [vec![1], vec![2]]).unwrap();
        }
    });
    scene.both_due(hour(200));
    assert_eq!(scene.open_breaks(), [(1, Category::WrongAccount)]);
    assert_eq!(scene.found_on(1), elsewhere(4, Source::ServicerBook, 1));
}

/// Six facts in every order, early ones and such as come after the deadline: what is said in the end, and
/// of whom, is the same.
#[test]
fn what_went_astray_does_not_depend_on_the_order_of_arrival() {
    type Said = BTreeSet<(bool, u8, Vec<u64>, Option<(u32, u8, u64)>)>;
    // Whether it happens on the other account, of the ledger or the owner's book, UETR, amount.
    let facts: [(bool, bool, u8, u64); 6] = [
        (false, true, 1, 500),
        (true, false, 1, 500),
        (false, true, 2, 600),
        (false, false, 2, 600),
        (true, true, 3, 700),
        (false, false, 3, 700),
    ];
    let said = |order: &[usize], on_time: usize| -> Said {
        let mut scene = Scene::of(LEDGER_OWNER);
        for (place, fact) in order.iter().enumerate() {
            if place == on_time {
                scene.both_due(hour(24 + 18));
            }
            let (beside, posted, uetr, amount) = facts[*fact];
            let act = |it: &mut Scene| match posted {
                true => it.post(uetr, amount),
                false => it.book(Source::OwnerBook, uetr, amount),
            };
            if beside {
                scene.beside(act)
            } else {
                act(&mut scene)
            };
        }
        scene.both_due(hour(48 + 18));
        let mut said = Said::new();
        let mut tell = |scene: &Scene, beside| {
            let amount = |ordinal, source, number| {
                scene.all.sheet(ordinal).unwrap().item(source, number).unwrap().amount
            };
            for (number, category) in scene.open_breaks() {
                let finding = scene.sheet().finding(Class::Break, number).unwrap();
                let items = scene.sheet().items_of(finding).into_iter().flatten();
                let items = items.map(|(_, recorded)| recorded.item.amount).collect();
                let found = finding.elsewhere.map(|it| {
                    (it.account, it.source as u8, amount(it.account, it.source, it.number))
                });
                said.insert((beside, category as u8, items, found));
            }
        };
        tell(&scene, false);
        scene.change_account();
        tell(&scene, true);
        said
    };
    let expected = said(&[0, 1, 2, 3, 4, 5], 6);
    assert_eq!(expected.len(), 4, "two went astray, and each is seen on both accounts");
    assert!(expected.iter().all(|(_, category, ..)| *category == Category::WrongAccount as u8));
    let mut order = [0, 1, 2, 3, 4, 5];
    let mut orders = Vec::new();
    permute(&mut order, 0, &mut |order| orders.push(order.to_vec()));
    for (place, order) in orders.iter().enumerate() {
        assert_eq!(said(order, place % 7), expected, "{order:?}");
    }
}

fn permute(order: &mut [usize], from: usize, take: &mut impl FnMut(&[usize])) {
    if from == order.len() {
        take(order);
        return;
    }
    for other in from..order.len() {
        order.swap(from, other);
        permute(order, from + 1, take);
        order.swap(from, other);
    }
}
