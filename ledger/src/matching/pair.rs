//! Judging one pair: do the two share a key, how do they differ, and what is that called?

use super::{
    item::{Item, Place, Strength},
    terms::Terms,
};
use crate::block::Side;

/// What is wrong between two sources, numbered as in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Category {
    /// No counterpart yet, and the deadline has not passed.
    Timing = 1,
    /// The first source lacks it.
    MissingFirst = 2,
    /// The second source lacks it.
    MissingSecond = 3,
    /// Amounts apart by more than the tolerance.
    Amount = 4,
    /// Another asset.
    Currency = 5,
    /// Value dates apart by more than the window.
    ValueDate = 6,
    /// The other side.
    Direction = 7,
    /// A book has it once more.
    Duplicate = 8,
    /// A credit without a key and without a counterpart.
    UnidentifiedReceipt = 9,
    /// Amounts differ by the charges that one of them names.
    Charges = 10,
    /// Another counterparty, or another account of the agreement.
    WrongAccount = 11,
    /// Exchanged amounts differ by a rounding.
    ExchangeRounding = 12,
    /// A return without a counterpart.
    ReturnUnmatched = 13,
    /// A statement is missing between two, or came twice.
    StatementGap = 14,
    /// A statement does not add up.
    StatementUnbalanced = 15,
    /// The two views of a day differ.
    Position = 16,
}

impl Category {
    /// Reads the schema's number.
    pub fn from_number(number: u8) -> Option<Category> {
        use Category::*;
        [
            Timing,
            MissingFirst,
            MissingSecond,
            Amount,
            Currency,
            ValueDate,
            Direction,
            Duplicate,
            UnidentifiedReceipt,
            Charges,
            WrongAccount,
            ExchangeRounding,
            ReturnUnmatched,
            StatementGap,
            StatementUnbalanced,
            Position,
        ]
        .into_iter()
        .find(|category| *category as u8 == number)
    }

    /// What an item is that has no counterpart when its deadline has passed.
    pub fn of_missing(item: &Item, place: Place) -> Category {
        if item.returned {
            Category::ReturnUnmatched
        } else if item.side == Side::Credit && !item.has_key() {
            Category::UnidentifiedReceipt
        } else if place == Place::First {
            Category::MissingSecond
        } else {
            Category::MissingFirst
        }
    }
}

/// How a pair differs, the least first. Of several the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Defect {
    /// Not at all.
    None = 0,
    /// Value dates differ within the window.
    Date = 1,
    /// Amounts differ within the tolerance.
    Amount = 2,
    /// Both.
    DateAndAmount = 3,
    /// Both name a counterparty, and not the same.
    Counterparty = 4,
    /// Value dates are apart by more than the window.
    DateBeyond = 5,
    /// Amounts are apart by more than the tolerance.
    AmountBeyond = 6,
    /// The assets are not the same.
    Asset = 7,
    /// The sides are not the same.
    Side = 8,
}

impl Defect {
    /// Reads its number.
    pub fn from_number(number: u8) -> Option<Defect> {
        use Defect::*;
        let all = [
            None,
            Date,
            Amount,
            DateAndAmount,
            Counterparty,
            DateBeyond,
            AmountBeyond,
            Asset,
            Side,
        ];
        all.into_iter().find(|defect| *defect as u8 == number)
    }
}

/// How well two items go together. The order is that of the *score*: strength, defect, distance;
/// smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Judgement {
    /// The strongest key that they share.
    pub strength: Strength,
    /// The worst difference.
    pub defect: Defect,
    /// Business days between the value dates.
    pub distance: u32,
    /// None for a match; for a break its category.
    pub category: Option<Category>,
    /// Minor units between the amounts.
    pub amount_difference: u64,
}

impl Judgement {
    /// What decides between pairs: smaller is better.
    pub fn score(&self) -> (Strength, Defect, u32) {
        (self.strength, self.defect, self.distance)
    }
}

/// Whether two items go together by a key: they share it, and no stronger one contradicts.
pub fn share(one: &Item, two: &Item, strength: Strength) -> bool {
    one.same(two, strength) == Some(true)
        && Strength::ALL
            .into_iter()
            .take_while(|stronger| *stronger < strength)
            .all(|stronger| one.same(two, stronger) != Some(false))
}

/// The strongest key by which two items go together.
pub fn strongest(one: &Item, two: &Item) -> Option<Strength> {
    Strength::ALL.into_iter().find(|strength| share(one, two, *strength))
}

/// The strongest key that both have and that differs.
pub fn contradiction(one: &Item, two: &Item) -> Option<Strength> {
    Strength::ALL.into_iter().find(|strength| one.same(two, *strength) == Some(false))
}

/// Whether nothing speaks against the other side's agents being the same.
pub fn counterparties_agree(one: &Item, two: &Item) -> bool {
    match (one.counterparty, two.counterparty) {
        (Some(one), Some(two)) => one == two,
        _ => true,
    }
}

/// Judges two items that share a key.
pub fn judge(one: &Item, two: &Item, strength: Strength, terms: &Terms<'_>) -> Judgement {
    let distance = terms.distance(one.date, two.date);
    let amount_difference = one.amount.abs_diff(two.amount);
    let tolerated = amount_difference == 0
        || terms.tolerance.covers(u128::from(one.amount), u128::from(two.amount));
    let (defect, category) = if one.side != two.side {
        (Defect::Side, Some(Category::Direction))
    } else if one.other_asset() != two.other_asset() {
        (Defect::Asset, Some(Category::Currency))
    } else if !tolerated {
        (Defect::AmountBeyond, Some(amount_category(one, two, terms)))
    } else if distance > terms.window {
        (Defect::DateBeyond, Some(Category::ValueDate))
    } else if !counterparties_agree(one, two) {
        (Defect::Counterparty, Some(Category::WrongAccount))
    } else {
        let defect = match (one.date == two.date, amount_difference == 0) {
            (true, true) => Defect::None,
            (false, true) => Defect::Date,
            (true, false) => Defect::Amount,
            (false, false) => Defect::DateAndAmount,
        };
        (defect, None)
    };
    Judgement { strength, defect, distance, category, amount_difference }
}

/// What a difference beyond the tolerance is called.
fn amount_category(one: &Item, two: &Item, terms: &Terms<'_>) -> Category {
    let difference = one.amount.abs_diff(two.amount);
    if difference == one.charges || difference == two.charges {
        Category::Charges
    } else if (one.exchanged || two.exchanged) && difference <= terms.tolerance.exchange_rounding {
        Category::ExchangeRounding
    } else {
        Category::Amount
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            item::EntryFields,
            terms::{Bounds, Tolerance, tests::Weekdays},
        },
        *,
    };
    use crate::{bic::Bic, date::Date, uetr::Uetr};

    fn terms() -> Terms<'static> {
        let tolerance = Tolerance { absolute: 2, basis_points: 0, exchange_rounding: 9 };
        Terms { tolerance, window: 2, days: &Weekdays, bounds: Bounds::RULE_SET_1 }
    }

    fn date(day: u32) -> Date {
        Date::from_yyyymmdd(20_261_100 + day).unwrap()
    }

    /// Monday 2026-11-16, credit of 100.
    fn plain() -> EntryFields<'static> {
        let fields = EntryFields::plain(Side::Credit, 100, date(16));
        EntryFields { transaction_id: "T", ..fields }
    }

    #[test]
    fn every_defect_and_category() {
        let bic = |text| Some(Bic::parse(text).unwrap());
        let (one, two) = (bic("AAAABB00"), bic("CCCCDD00"));
        let p = plain();
        for (change, defect, category) in [
            (p, Defect::None, None),
            (EntryFields { counterparty: one, ..p }, Defect::None, None),
            (EntryFields { date: date(18), ..p }, Defect::Date, None),
            (EntryFields { date: date(12), ..p }, Defect::Date, None),
            (EntryFields { amount: 98, ..p }, Defect::Amount, None),
            (EntryFields { amount: 102, date: date(13), ..p }, Defect::DateAndAmount, None),
            (
                EntryFields { counterparty: two, date: date(17), ..p },
                Defect::Counterparty,
                Some(Category::WrongAccount),
            ),
            (
                EntryFields { counterparty: two, date: date(19), amount: 99, ..p },
                Defect::DateBeyond,
                Some(Category::ValueDate),
            ),
            (
                EntryFields { amount: 103, date: date(30), ..p },
                Defect::AmountBeyond,
                Some(Category::Amount),
            ),
            (
                EntryFields { amount: 90, charges: 10, ..p },
                Defect::AmountBeyond,
                Some(Category::Charges),
            ),
            (
                EntryFields { amount: 90, charges: 9, exchanged: true, ..p },
                Defect::AmountBeyond,
                Some(Category::Amount),
            ),
            (
                EntryFields { amount: 91, exchanged: true, ..p },
                Defect::AmountBeyond,
                Some(Category::ExchangeRounding),
            ),
            (
                EntryFields { other_asset: "EUR", amount: 7, ..p },
                Defect::Asset,
                Some(Category::Currency),
            ),
            (
                EntryFields { side: Side::Debit, other_asset: "EUR", ..p },
                Defect::Side,
                Some(Category::Direction),
            ),
        ] {
            let first = Item::of_entry(1, &EntryFields { counterparty: one, ..p });
            let second = Item::of_entry(1, &change);
            for (one, two) in [(&first, &second), (&second, &first)] {
                let judged = judge(one, two, Strength::TransactionId, &terms());
                assert_eq!((judged.defect, judged.category), (defect, category), "{change:?}");
                assert_eq!(judged.category.is_some(), judged.defect >= Defect::Counterparty);
            }
        }
    }

    #[test]
    fn a_weekend_apart_is_a_difference_of_no_business_day() {
        let first = Item::of_entry(1, &EntryFields { date: date(14), ..plain() });
        let second = Item::of_entry(1, &EntryFields { date: date(15), ..plain() });
        let judged = judge(&first, &second, Strength::TransactionId, &terms());
        assert_eq!((judged.defect, judged.distance), (Defect::Date, 0));
    }

    #[test]
    fn stronger_keys_contradict_weaker_ones_do_not() {
        let (one, two) = (Uetr::from_random([1; 16]), Uetr::from_random([2; 16]));
        let full = EntryFields { uetr: Some(one), end_to_end_id: "E", ..plain() };
        let first = Item::of_entry(1, &full);
        for (change, shared, differs) in [
            (full, Some(Strength::Uetr), None),
            (
                EntryFields { transaction_id: "U", ..full },
                Some(Strength::Uetr),
                Some(Strength::TransactionId),
            ),
            (EntryFields { uetr: Some(two), ..full }, None, Some(Strength::Uetr)),
            (EntryFields { uetr: None, ..full }, Some(Strength::TransactionId), None),
            (
                EntryFields { uetr: None, transaction_id: "", ..full },
                Some(Strength::EndToEndId),
                None,
            ),
            (
                EntryFields { uetr: None, transaction_id: "U", ..full },
                None,
                Some(Strength::TransactionId),
            ),
            (EntryFields { uetr: None, transaction_id: "", end_to_end_id: "", ..full }, None, None),
        ] {
            let second = Item::of_entry(1, &change);
            assert_eq!(strongest(&first, &second), shared, "{change:?}");
            assert_eq!(contradiction(&first, &second), differs, "{change:?}");
        }
    }

    #[test]
    fn what_is_missing_has_a_name() {
        let item = |fields| Item::of_entry(1, &fields);
        let none = EntryFields { transaction_id: "", ..plain() };
        for (fields, first, second) in [
            (plain(), Category::MissingSecond, Category::MissingFirst),
            (none, Category::UnidentifiedReceipt, Category::UnidentifiedReceipt),
            (
                EntryFields { side: Side::Debit, ..none },
                Category::MissingSecond,
                Category::MissingFirst,
            ),
            (
                EntryFields { returned: true, ..none },
                Category::ReturnUnmatched,
                Category::ReturnUnmatched,
            ),
        ] {
            assert_eq!(Category::of_missing(&item(fields), Place::First), first);
            assert_eq!(Category::of_missing(&item(fields), Place::Second), second);
        }
        for number in 1..=16 {
            assert_eq!(Category::from_number(number).map(|found| found as u8), Some(number));
        }
        assert_eq!(Category::from_number(17), None);
    }
}
