//! Statements come in any order.

use super::*;

impl Scene {
    fn numbered(&mut self, sequence: u64, day: u32, [opening, closing]: [i64; 2]) {
        let statement = Statement {
            account: self.account.id,
            id: format!("ST{}", self.height),
            from: date(day),
            to: date(day),
            opening,
            closing,
            sequence,
            original: Hash::ZERO,
            salt: [3; 16],
        };
        let (source, statement) = (Source::OwnerBook, &statement);
        self.act(|all, governed, now| all.statement(governed, source, statement, now).unwrap());
    }

    fn categories(&self) -> Vec<Category> {
        self.open_breaks().into_iter().map(|(_, category)| category).collect()
    }
}

#[test]
fn a_gap_is_seen_whichever_comes_first() {
    for order in [[1, 3], [3, 1]] {
        let mut scene = Scene::of(LEDGER_OWNER);
        order.into_iter().for_each(|number| scene.numbered(number, 20 + number as u32, [0; 2]));
        assert_eq!(scene.categories(), [Category::StatementGap], "{order:?}");
        scene.numbered(2, 22, [0; 2]);
        assert_eq!(scene.categories(), []);
    }
}

#[test]
fn a_balance_that_does_not_follow_is_seen_whichever_comes_first() {
    for order in [[22, 24, 23], [24, 22, 23], [23, 24, 22], [23, 22, 24]] {
        let mut scene = Scene::of(LEDGER_OWNER);
        scene.book(Source::OwnerBook, 1, 200);
        for day in order {
            // The third day begins with 700 where the second has ended with 500.
            let balances = [[700; 2], [700, 500], [700; 2]][day as usize - 22];
            scene.numbered(0, day, balances);
        }
        let unbalanced = scene.categories();
        let count = unbalanced.iter().filter(|it| **it == Category::StatementUnbalanced).count();
        assert_eq!(count, 1, "{order:?} {unbalanced:?}");
    }
}

#[test]
fn of_two_statements_with_one_number_the_second_came_twice() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.numbered(1, 21, [0, 9]);
    scene.numbered(1, 21, [0; 2]);
    // The first does not add up, and is looked at again with every entry.
    scene.book(Source::OwnerBook, 1, 500);
    let gaps = scene.categories().into_iter().filter(|it| *it == Category::StatementGap);
    assert_eq!(gaps.count(), 1);
}
