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

/// The items of a sheet that are missing their counterpart, by what identifies them.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    alike: BTreeSet<(Likeness, u64)>,
    /// Items that have come, or have gone because they were found.
    changed: BTreeSet<(Comparison, Id)>,
}

impl Missing {
    /// Puts an item in or takes it out. Whether that changed anything.
    fn set(&mut self, comparison: Comparison, id: Id, item: &Item, is: bool) -> bool {
        let mut changed = false;
        for (_, likeness) in likenesses(comparison, id.place, item) {
            let entry = (likeness, id.number);
            changed |= if is { self.alike.insert(entry) } else { self.alike.remove(&entry) };
        }
        changed
    }

    /// The first two of a likeness.
    fn first_two(&self, likeness: Likeness) -> [Option<u64>; 2] {
        let mut alike = self.alike.range((likeness, 0)..=(likeness, u64::MAX));
        [(); 2].map(|()| alike.next().map(|(_, number)| *number))
    }

    /// The only one of a likeness.
    fn only(&self, likeness: Likeness) -> Option<u64> {
        match self.first_two(likeness) {
            [Some(number), None] => Some(number),
            _ => None,
        }
    }

    /// What both parties would see of it, to compare it with what a restart gives.
    #[cfg(test)]
    pub(super) fn alike(&self) -> &BTreeSet<(Likeness, u64)> {
        &self.alike
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
    /// Whether anything is missing its counterpart.
    pub(super) fn misses_any(&self) -> bool {
        !self.missing.alike.is_empty()
    }

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

    /// Sees whether an item is missing now. What the parties have ended (`found` is false) leaves the
    /// breaks about its like on other accounts as they are.
    pub(super) fn note_missing(&mut self, comparison: Comparison, id: Id, found: bool) {
        let is = self.is_missing(comparison, id);
        if !is && self.missing.alike.is_empty() {
            return;
        }
        let Some(recorded) = self.items.get(&(comparison.source(id.place), id.number)) else {
            return;
        };
        if self.missing.set(comparison, id, &recorded.item, is) && (is || found) {
            self.missing.changed.insert((comparison, id));
        }
    }

    /// Finds everything that is missing, after a restart.
    pub(super) fn find_missing(&mut self) {
        let broken = self.stands.iter().filter(|(_, (class, _))| *class == Class::Break);
        let broken: Vec<(Comparison, Id)> = broken.map(|(key, _)| *key).collect();
        broken.into_iter().for_each(|(comparison, id)| self.note_missing(comparison, id, false));
        self.missing.changed.clear();
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
    /// Compares what has come to an account's missing items, or gone from them, with those of the other
    /// accounts of its agreement. Gives the accounts other than itself that this has changed. Takes for
    /// each such item a few look-ups an account of the agreement, and as many again for each of those
    /// that has its like. Where nothing governs the account any more, everything stays as it is.
    pub(super) fn follow_missing(
        &mut self,
        own: u32,
        governed: Option<Governed<'_>>,
    ) -> BTreeSet<u32> {
        let sheet = self.sheets.get_mut(&own);
        let changed = sheet.map(|sheet| std::mem::take(&mut sheet.missing.changed));
        let changed = changed.unwrap_or_default();
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
        changed: &BTreeSet<(Comparison, Id)>,
        family: &[u32],
    ) -> BTreeSet<(u32, Comparison, Id)> {
        let mut concerned = BTreeSet::new();
        let Some(sheet) = self.sheets.get(&own) else { return concerned };
        for (comparison, id) in changed {
            let Some(item) = sheet.item(comparison.source(id.place), id.number) else { continue };
            concerned.insert((own, *comparison, *id));
            for (_, likeness) in likenesses(*comparison, id.place, item) {
                let alike = sheet.missing.first_two(likeness).into_iter().flatten();
                concerned.extend(alike.map(|number| (own, *comparison, Id { number, ..*id })));
            }
            let place = id.place.opposite();
            for (_, likeness) in likenesses(*comparison, place, item) {
                for other in family.iter().filter(|other| **other != own) {
                    let sheet = self.sheets.get(other);
                    let number = sheet.and_then(|sheet| sheet.missing.only(likeness));
                    let id = number.map(|number| Id { place, number });
                    concerned.extend(id.map(|id| (*other, *comparison, id)));
                }
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
            sheet.missing.only(own)?;
            family.iter().filter(|other| **other != account).find_map(|other| {
                let sheet = self.sheets.get(other)?;
                let number = sheet.missing.only(likeness)?;
                let like = sheet.item(source, number)?;
                let elsewhere = Elsewhere { account: *other, source, number };
                pair::share(item, like, strength).then_some(elsewhere)
            })
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
