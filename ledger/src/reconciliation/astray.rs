//! What went astray: an item that is missing its counterpart here, while on another account of the
//! agreement one is missing that would be it.
//!
//! Both have to be missing: before its deadline an item may still find its counterpart where it stands.
//! They have the same side, amount and asset, and the same UETR, or the same other reference on the same
//! value date; no stronger reference contradicts. Who has its like twice in one book is passed by: then
//! it is not certain which of them went astray. So the category of a break is a function of what is
//! missing, whichever came first; and since only what is missing is looked at, entries that find their
//! counterpart cost nothing here.

use std::collections::BTreeSet;

use super::{
    Governed, Reconciliation,
    effect::{Effect, Kind},
    finding::{Class, Says},
    sheet::Sheet,
};
use crate::{
    hash::Hash,
    header::Reader,
    matching::{
        item::{Comparison, Id, Item, Place, Source, Strength},
        pair::{self, Category},
    },
};

/// An item on another account of the agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// That account's ordinal.
    pub account: u32,
    /// Which of its sources.
    pub source: Source,
    /// The item's number in it.
    pub number: u64,
}

/// What two items have in common that may be one: a hash of it, so that however many are missing, each
/// takes few bytes.
type Likeness = [u8; 16];

/// All items that are missing their counterpart, by what identifies them: likeness, account, number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing(BTreeSet<(Likeness, u32, u64)>);

/// The items of an account that have one likeness.
#[derive(Clone, Copy, Debug)]
struct Alike {
    account: u32,
    /// The first of them.
    number: u64,
    /// There is no other.
    is_only: bool,
}

impl Missing {
    /// Puts an item of an account in or takes it out. Whether that changed anything.
    fn set(
        &mut self,
        account: u32,
        (comparison, id): (Comparison, Id),
        item: &Item,
        is: bool,
    ) -> bool {
        let mut changed = false;
        for (_, likeness) in likenesses(comparison, id.place, item) {
            let entry = (likeness, account, id.number);
            changed |= if is { self.0.insert(entry) } else { self.0.remove(&entry) };
        }
        changed
    }

    /// Those of a likeness on the first account from one on.
    fn next(&self, likeness: Likeness, from: u32) -> Option<Alike> {
        let mut alike = self.0.range((likeness, from, 0)..=(likeness, u32::MAX, u64::MAX));
        let (_, account, number) = *alike.next()?;
        let is_only = alike.next().is_none_or(|(_, other, _)| *other != account);
        Some(Alike { account, number, is_only })
    }

    /// Those of a likeness on an account.
    fn on(&self, likeness: Likeness, account: u32) -> Option<Alike> {
        self.next(likeness, account).filter(|it| it.account == account)
    }

    /// The only ones of a likeness on the accounts of a family, each with its account, ascending. Takes a
    /// step for each account that has one, and where others' have too, for each of the family.
    fn only(&self, likeness: Likeness, family: &[u32]) -> Vec<Alike> {
        let mut found = Vec::new();
        let mut from = Some(0);
        for _ in 0..=family.len() {
            let next = from.and_then(|from| self.next(likeness, from));
            let Some(alike) = next else { return found };
            from = alike.account.checked_add(1);
            if alike.is_only && family.binary_search(&alike.account).is_ok() {
                found.push(alike);
            }
        }
        let of_family = family.iter().filter_map(|account| self.on(likeness, *account));
        of_family.filter(|it| it.is_only).collect()
    }

    /// The first two of a likeness on an account.
    fn first_two(&self, likeness: Likeness, account: u32) -> impl Iterator<Item = u64> + '_ {
        let alike = self.0.range((likeness, account, 0)..=(likeness, account, u64::MAX));
        alike.take(2).map(|(.., number)| *number)
    }
}

/// What identifies an item in one source, the strongest first.
fn likenesses(
    comparison: Comparison,
    place: Place,
    item: &Item,
) -> impl Iterator<Item = (Strength, Likeness)> + '_ {
    Strength::ALL.into_iter().filter_map(move |strength| {
        let (value, date): (&[u8], u32) = match strength {
            Strength::Uetr => (item.uetr.as_ref()?.as_bytes(), 0),
            _ => (item.reference(strength).as_bytes(), item.date.yyyymmdd()),
        };
        if value.is_empty() {
            return None;
        }
        let length = u8::try_from(value.len()).expect("references are at most 35 bytes");
        let fixed = [
            comparison as u8,
            place as u8,
            strength as u8,
            item.side as u8,
            u8::from(item.reversal),
            length,
        ];
        let (amount, date) = (item.amount.to_be_bytes(), date.to_be_bytes());
        let asset = item.other_asset().as_bytes();
        let hash = Hash::of_parts(&[&fixed, &amount, &date, value, asset]);
        Some((strength, hash.0[..16].try_into().expect("a hash has 32 bytes")))
    })
}

impl Sheet {
    /// Whether an item stands in an open break that says no more than that its counterpart is missing.
    fn is_missing(&self, comparison: Comparison, id: Id) -> bool {
        let Some(key) = self.stands.get(&(comparison, id)) else { return false };
        if key.0 != Class::Break || !self.open.contains(key) {
            return false;
        }
        self.findings.get(key).is_some_and(|finding| {
            let says = matches!(
                finding.says,
                Says::Break {
                    category: Category::MissingFirst
                        | Category::MissingSecond
                        | Category::ReturnUnmatched
                        | Category::WrongAccount
                }
            );
            says && finding.items.iter().map(Vec::len).sum::<usize>() == 1
        })
    }

    /// Has it seen whether an item is missing now. What the parties have ended (`found` is false) leaves
    /// the breaks about its like on other accounts as they are.
    pub(super) fn note_missing(&mut self, comparison: Comparison, id: Id, found: bool) {
        *self.noted.entry((comparison, id)).or_default() |= found;
    }

    /// Everything that is missing.
    fn missing(&self) -> impl Iterator<Item = (Comparison, Id)> + '_ {
        let broken = self.stands.iter().filter(|(_, (class, _))| *class == Class::Break);
        let broken = broken.map(|(key, _)| *key);
        broken.filter(|(comparison, id)| self.is_missing(*comparison, *id))
    }

    /// Says where an item that is missing its counterpart stands instead, or that it does nowhere.
    /// Whether that is new.
    fn set_elsewhere(
        &mut self,
        comparison: Comparison,
        id: Id,
        elsewhere: Option<Elsewhere>,
    ) -> bool {
        let Some(key) = self.stands.get(&(comparison, id)).copied() else { return false };
        let recorded = self.items.get(&(comparison.source(id.place), id.number));
        let (Some(recorded), Some(finding)) = (recorded, self.findings.get_mut(&key)) else {
            return false;
        };
        let category = match elsewhere {
            Some(_) => Category::WrongAccount,
            None => Category::of_missing(&recorded.item, id.place),
        };
        let says = Says::Break { category };
        if (finding.elsewhere, &finding.says) == (elsewhere, &says) {
            return false;
        }
        if finding.says != says {
            let code = category as u8;
            self.effects.push(Effect::new(Kind::BreakChanged, Some(comparison), code, key.1));
        }
        (finding.elsewhere, finding.says) = (elsewhere, says);
        self.touched.findings.insert(key);
        true
    }
}

impl Reconciliation {
    /// Finds everything that is missing, after a restart.
    pub(super) fn find_missing(&mut self) {
        for (account, sheet) in &self.sheets {
            for (comparison, id) in sheet.missing() {
                if let Some(item) = sheet.item(comparison.source(id.place), id.number) {
                    self.missing.set(*account, (comparison, id), item, true);
                }
            }
        }
    }

    /// Compares what has come to an account's missing items, or gone from them, with those of the other
    /// accounts of its agreement. Gives the accounts other than itself that this has changed. Takes for
    /// each such item a few look-ups, and as many again for each account that has its like. Where nothing
    /// governs the account any more, every break stays as it is.
    pub(super) fn follow_missing(
        &mut self,
        own: u32,
        governed: Option<Governed<'_>>,
    ) -> BTreeSet<u32> {
        let Some(sheet) = self.sheets.get_mut(&own) else { return BTreeSet::new() };
        let mut changed = Vec::new();
        for ((comparison, id), found) in std::mem::take(&mut sheet.noted) {
            let is = sheet.is_missing(comparison, id);
            let item = sheet.item(comparison.source(id.place), id.number);
            let is_new = item.is_some_and(|item| self.missing.set(own, (comparison, id), item, is));
            if is_new && (is || found) {
                changed.push((comparison, id));
            }
        }
        let Some(governed) = governed.filter(|_| !changed.is_empty()) else {
            return BTreeSet::new();
        };
        let family = governed.family();
        let mut others = BTreeSet::new();
        for (account, comparison, id) in self.concerned(own, &changed, &family) {
            let elsewhere = self.elsewhere(account, (comparison, id), &family);
            let Some(sheet) = self.sheets.get_mut(&account) else { continue };
            if sheet.is_missing(comparison, id) && sheet.set_elsewhere(comparison, id, elsewhere) {
                others.insert(account);
            }
        }
        others.remove(&own);
        others
    }

    /// The missing items for which those that changed may matter: these themselves, their only like in
    /// their own book, and their only like in the other accounts' opposite books.
    fn concerned(
        &self,
        own: u32,
        changed: &[(Comparison, Id)],
        family: &[u32],
    ) -> BTreeSet<(u32, Comparison, Id)> {
        let mut concerned = BTreeSet::new();
        let Some(sheet) = self.sheets.get(&own) else { return concerned };
        for (comparison, id) in changed {
            let Some(item) = sheet.item(comparison.source(id.place), id.number) else { continue };
            concerned.insert((own, *comparison, *id));
            for (_, likeness) in likenesses(*comparison, id.place, item) {
                let alike = self.missing.first_two(likeness, own);
                concerned.extend(alike.map(|number| (own, *comparison, Id { number, ..*id })));
            }
            let place = id.place.opposite();
            for (_, likeness) in likenesses(*comparison, place, item) {
                let alike = self.missing.only(likeness, family).into_iter();
                let others = alike.filter(|it| it.account != own);
                concerned.extend(
                    others.map(|it| (it.account, *comparison, Id { place, number: it.number })),
                );
            }
        }
        concerned
    }

    /// Where the counterpart of a missing item stands instead: on the first account that has its like,
    /// by its strongest reference.
    fn elsewhere(
        &self,
        account: u32,
        (comparison, id): (Comparison, Id),
        family: &[u32],
    ) -> Option<Elsewhere> {
        let sheet = self.sheets.get(&account)?;
        let item = sheet.item(comparison.source(id.place), id.number)?;
        let place = id.place.opposite();
        let source = comparison.source(place);
        let own = likenesses(comparison, id.place, item);
        let mut by_strength = own.zip(likenesses(comparison, place, item));
        by_strength.find_map(|((strength, own), (_, likeness))| {
            self.missing.on(own, account).filter(|it| it.is_only)?;
            let alike = self.missing.only(likeness, family).into_iter();
            alike.filter(|it| it.account != account).find_map(
                |Alike { account, number, .. }| {
                    let like = self.sheets.get(&account)?.item(source, number)?;
                    let elsewhere = Elsewhere { account, source, number };
                    pair::share(item, like, strength).then_some(elsewhere)
                },
            )
        })
    }
}

/// In a break's record: has u8 · account u32 · source u8 · number u64.
pub(super) fn write(value: &mut Vec<u8>, elsewhere: Option<Elsewhere>) {
    value.push(u8::from(elsewhere.is_some()));
    if let Some(Elsewhere { account, source, number }) = elsewhere {
        value.extend(account.to_be_bytes());
        value.push(source as u8);
        value.extend(number.to_be_bytes());
    }
}

/// Reads what [`write`] wrote.
pub(super) fn read(value: &mut Reader<'_>) -> Option<Option<Elsewhere>> {
    match value.take()? {
        [0] => Some(None),
        [1] => {
            let account = u32::from_be_bytes(value.take()?);
            let [source] = value.take()?;
            let source = super::restore::source(source)?;
            let number = u64::from_be_bytes(value.take()?);
            Some(Some(Elsewhere { account, source, number }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_do_not_stand_in_the_way_of_a_family() {
        let likeness = [7; 16];
        let family = [3, 50, 99];
        let only = |accounts: &[(u32, u64)]| -> Vec<(u32, u64)> {
            let entries = accounts.iter().map(|(account, number)| (likeness, *account, *number));
            let missing = Missing(entries.collect());
            let found = missing.only(likeness, &family).into_iter();
            found.map(|it| (it.account, it.number)).collect()
        };
        assert_eq!(only(&[]), []);
        assert_eq!(only(&[(3, 8), (50, 1), (50, 2), (99, 5)]), [(3, 8), (99, 5)]);
        assert_eq!(only(&[(1, 1), (2, 1), (50, 6)]), [(50, 6)]);
        // Two hundred accounts of others have the like, too.
        let mut crowd: Vec<(u32, u64)> = (100..300).map(|account| (account, 1)).collect();
        crowd.extend((4..49).map(|account| (account, 1)));
        crowd.extend([(3, 8), (50, 1), (50, 2), (99, 5), (u32::MAX, 1)]);
        assert_eq!(only(&crowd), [(3, 8), (99, 5)]);
    }
}
