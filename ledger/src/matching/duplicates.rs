//! What a book has twice.
//!
//! Two items of one book are the same, booked twice, if side, amount and asset are equal and they
//! have the same UETR, or the same entry reference on the same date. An entry and its reversal are
//! not. Of such a *class* the first in intrinsic order is the original, all others are duplicates.
//! An item may be in two classes; it is a duplicate if in one of them another one stands before it.
//! So an arrival changes at most two other items, however many there are.

use std::collections::BTreeMap;

use super::item::{ASSET_LENGTH_MAX, Item};
use crate::{block::Side, date::Date, text::TEXT_LENGTH_MAX, uetr::Uetr};

/// What equal items have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    name: Name,
    amount: u64,
    side: Side,
    reversal: bool,
    asset: [u8; ASSET_LENGTH_MAX],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Uetr(Uetr),
    Reference([u8; TEXT_LENGTH_MAX], Date),
}

impl Class {
    /// The classes of an item, that of its UETR first.
    pub fn of(item: &Item) -> impl Iterator<Item = Class> + use<> {
        let mut asset = [0; ASSET_LENGTH_MAX];
        asset[..item.other_asset().len()].copy_from_slice(item.other_asset().as_bytes());
        let (amount, side, reversal) = (item.amount, item.side, item.reversal);
        let reference = item.entry_reference().as_bytes();
        let reference = (!reference.is_empty()).then(|| {
            let mut value = [0; TEXT_LENGTH_MAX];
            value[..reference.len()].copy_from_slice(reference);
            Name::Reference(value, item.date)
        });
        let names = item.uetr.map(Name::Uetr).into_iter().chain(reference);
        names.map(move |name| Class { name, amount, side, reversal, asset })
    }
}

/// The duplicates among the items of one book: the index of each, with that of its original.
pub fn find(items: &[&Item]) -> Vec<(usize, usize)> {
    let members = items.iter().enumerate();
    let mut members: Vec<(Class, usize)> = members
        .flat_map(|(index, item)| Class::of(item).map(move |class| (class, index)))
        .collect();
    members.sort_unstable_by(|one, two| {
        one.0.cmp(&two.0).then_with(|| items[one.1].cmp(items[two.1]))
    });
    let mut found: Vec<(usize, usize)> = members
        .chunk_by(|one, two| one.0 == two.0)
        .flat_map(|class| class[1..].iter().map(|(_, index)| (*index, class[0].1)))
        .collect();
    // Stable: of two originals that of the UETR stays.
    found.sort_by_key(|(index, _)| *index);
    found.dedup_by_key(|(index, _)| *index);
    found
}

/// The classes of a book, as items come and go.
#[derive(Clone, Debug, Default)]
pub struct Classes(BTreeMap<Class, Members>);

/// Numbers of the items of a class, in intrinsic order. Nearly every class has one.
#[derive(Clone, Debug)]
enum Members {
    One(u64),
    Many(Vec<u64>),
}

impl Members {
    fn as_slice(&self) -> &[u64] {
        match self {
            Members::One(number) => std::slice::from_ref(number),
            Members::Many(numbers) => numbers,
        }
    }
}

impl Classes {
    /// Adds an item. Says who stood first in one of its classes and does not any more. `item_of`
    /// knows the other items.
    pub fn insert<'a>(
        &mut self,
        item: &'a Item,
        item_of: impl Fn(u64) -> Option<&'a Item>,
    ) -> Vec<u64> {
        let mut displaced = Vec::new();
        for class in Class::of(item) {
            let Some(members) = self.0.get_mut(&class) else {
                self.0.insert(class, Members::One(item.number));
                continue;
            };
            let numbers = members.as_slice();
            let place =
                numbers.partition_point(|number| item_of(*number).is_some_and(|old| old < item));
            if place == 0 {
                displaced.extend(numbers.first());
            }
            match members {
                Members::One(other) => {
                    let mut numbers = vec![*other];
                    numbers.insert(place, item.number);
                    *members = Members::Many(numbers);
                }
                Members::Many(numbers) => numbers.insert(place, item.number),
            }
        }
        displaced
    }

    /// Takes an item out. Says who stands first in one of its classes now and did not before.
    /// `item_of` still knows the item.
    pub fn remove<'a>(
        &mut self,
        item: &Item,
        item_of: impl Fn(u64) -> Option<&'a Item>,
    ) -> Vec<u64> {
        let mut promoted = Vec::new();
        for class in Class::of(item) {
            let Some(members) = self.0.get_mut(&class) else { continue };
            let numbers = members.as_slice();
            let place =
                numbers.partition_point(|number| item_of(*number).is_some_and(|old| old < item));
            if numbers.get(place) != Some(&item.number) {
                continue;
            }
            if place == 0 {
                promoted.extend(numbers.get(1));
            }
            match members {
                Members::Many(numbers) => {
                    numbers.remove(place);
                    if let [only] = numbers[..] {
                        *members = Members::One(only);
                    }
                }
                Members::One(_) => drop(self.0.remove(&class)),
            }
        }
        promoted
    }

    /// Numbers of the items that are the same as an item, that one included.
    pub fn members(&self, item: &Item) -> impl Iterator<Item = u64> + '_ {
        let classes = Class::of(item).filter_map(|class| self.0.get(&class));
        classes.flat_map(|members| members.as_slice().iter().copied())
    }

    /// The original, if the item is a duplicate.
    pub fn original(&self, item: &Item) -> Option<u64> {
        Class::of(item)
            .filter_map(|class| self.0.get(&class)?.as_slice().first().copied())
            .find(|first| *first != item.number)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::item::EntryFields, *};

    fn date(day: u32) -> Date {
        Date::from_yyyymmdd(20_261_100 + day).unwrap()
    }

    fn plain() -> EntryFields<'static> {
        let fields = EntryFields::plain(Side::Credit, 100, date(2));
        EntryFields { uetr: Some(Uetr::from_random([1; 16])), entry_reference: "R", ..fields }
    }

    fn items(fields: &[EntryFields<'_>]) -> Vec<Item> {
        (1..).zip(fields).map(|(number, fields)| Item::of_entry(number, fields)).collect()
    }

    fn found(fields: &[EntryFields<'_>]) -> Vec<(usize, usize)> {
        let items = items(fields);
        find(&items.iter().collect::<Vec<_>>())
    }

    #[test]
    fn what_is_the_same_and_what_is_not() {
        let p = plain();
        let none = EntryFields { uetr: None, entry_reference: "", ..p };
        for (other, same) in [
            (p, true),
            (EntryFields { date: date(3), ..p }, true),
            (EntryFields { uetr: None, ..p }, true),
            (EntryFields { uetr: None, date: date(3), ..p }, false),
            (EntryFields { entry_reference: "", transaction_id: "T", ..p }, true),
            (EntryFields { amount: 101, ..p }, false),
            (EntryFields { side: Side::Debit, ..p }, false),
            (EntryFields { reversal: true, ..p }, false),
            (EntryFields { other_asset: "EUR", ..p }, false),
            (none, false),
        ] {
            assert_eq!(found(&[p, other]).len(), usize::from(same), "{other:?}");
        }
        assert!(found(&[none, none]).is_empty(), "without a name nothing is the same");
        let reversal = EntryFields { reversal: true, ..p };
        assert_eq!(found(&[p, reversal, reversal, p]), [(2, 1), (3, 0)]);
    }

    #[test]
    fn the_first_in_intrinsic_order_is_the_original() {
        let p = plain();
        let late = EntryFields { date: date(9), ..p };
        assert_eq!(found(&[late, p, p]), [(0, 1), (2, 1)]);
    }

    #[test]
    fn coming_and_going_is_the_same_as_all_at_once() {
        let p = plain();
        let other = EntryFields { uetr: Some(Uetr::from_random([2; 16])), ..p };
        let later = EntryFields { date: date(4), entry_reference: "S", ..other };
        let items = items(&[later, other, p, p, later, EntryFields { uetr: None, ..p }]);
        let item_of = |number: u64| items.get(usize::try_from(number).ok()? - 1);
        let mut classes = Classes::default();
        let mut present: Vec<&Item> = Vec::new();
        let check = |classes: &Classes, present: &[&Item]| {
            let all = find(present);
            for (index, item) in present.iter().enumerate() {
                let original = all.iter().find(|(duplicate, _)| *duplicate == index);
                let original = original.map(|(_, original)| present[*original].number);
                assert_eq!(classes.original(item), original);
            }
        };
        for item in &items {
            classes.insert(item, item_of);
            present.push(item);
            check(&classes, &present);
        }
        while !present.is_empty() {
            classes.remove(present.remove(0), item_of);
            check(&classes, &present);
        }
        assert!(classes.0.is_empty());
    }
}
