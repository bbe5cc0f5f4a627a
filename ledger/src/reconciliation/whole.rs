//! Whether what was restored of a sheet is whole: nothing that a later step relies on may be otherwise,
//! whatever storage or a snapshot says.

use std::collections::BTreeMap;

use super::{
    book::Day,
    finding::{About, Class, Says},
    sheet::{Sheet, ids_of},
};
use crate::{
    account::Account,
    date::Date,
    instruction::AMOUNT_MAX,
    matching::{
        item::{Id, Source},
        pair::Category,
    },
};

impl Sheet {
    /// Whether this is a sheet of an account, and everything in it names what there is.
    pub(super) fn is_whole(&self, account: &Account) -> bool {
        self.id == account.id
            && self.items_are_whole()
            && self.findings_are_whole()
            && self.books.keys().all(|source| self.book_is_whole(*source))
            && self.positions.iter().all(|(date, position)| {
                position.break_number.is_none_or(|it| self.is_about(it, About::Day(*date)))
            })
    }

    fn items_are_whole(&self) -> bool {
        self.items.values().all(|recorded| {
            let item = &recorded.item;
            (1..=AMOUNT_MAX).contains(&item.amount) && item.charges <= AMOUNT_MAX
        })
    }

    /// Findings of a class are numbered from 1; those that are missing have closed. Their items are
    /// there, but for those that a break about a statement or a day names, which may have closed; and
    /// they stand in nothing else.
    fn findings_are_whole(&self) -> bool {
        let counted = Class::ALL.into_iter().all(|class| {
            let count = self.finding_count(class);
            let there = u64::try_from(self.findings(class).count()).unwrap_or(u64::MAX);
            let closed = self.closing.findings[class as usize - 1];
            self.findings(class).all(|finding| (1..=count).contains(&finding.number))
                && there.checked_add(closed) == Some(count)
        });
        let named = self.findings.values().all(|finding| {
            let ids = ids_of(&finding.items);
            let there = |id: &Id| {
                self.items.contains_key(&(finding.comparison.source(id.place), id.number))
            };
            let may_be_closed = |id: &Id| {
                self.is_closed_item(finding.comparison.source(id.place), id.number)
                    && finding.about.is_some()
            };
            ids.iter().all(|id| there(id) || may_be_closed(id))
        });
        let worked = self.findings(Class::Break).all(|finding| {
            let work = self.works.get(&finding.number);
            work.is_some_and(|work| {
                work.is_whole(finding.opened_at)
                    && work.state.is_ended() == finding.closed_at.is_some()
            })
        });
        let stand = self.stands.iter().all(|((comparison, _), key)| {
            let found = self.findings.get(key);
            key.0 != Class::Proposal && found.is_some_and(|it| it.comparison == *comparison)
        });
        let astray = self
            .findings
            .values()
            .filter(|it| it.elsewhere.is_some())
            .all(|finding| finding.says == Says::Break { category: Category::WrongAccount });
        let about = self.findings.values().all(|finding| match (&finding.says, finding.about) {
            (Says::Break { category: Category::Position }, Some(About::Day(date))) => {
                self.positions.contains_key(&date)
            }
            (
                Says::Break { category: Category::StatementGap | Category::StatementUnbalanced },
                Some(About::Statement(source, number)),
            ) => self.books.get(&source).is_some_and(|book| book.statement_at(number).is_some()),
            (Says::Break { category }, None) => *category < Category::StatementGap,
            (says, about) => says.class() != Class::Break && about.is_none(),
        });
        counted && named && worked && stand && astray && about
    }

    /// A book's days are what its items come to, and as many that have closed; entries are numbered
    /// from 1, and those that are missing have closed.
    fn book_is_whole(&self, source: Source) -> bool {
        let book = &self.books[&source];
        let items = || self.items.range((source, 0)..=(source, u64::MAX));
        let mut booked: BTreeMap<Date, Day> = BTreeMap::new();
        let mut valued: BTreeMap<Date, Day> = BTreeMap::new();
        for (_, recorded) in items() {
            let item = &recorded.item;
            let (side, amount, purpose) = (item.side, item.counted(), recorded.purpose);
            booked.entry(recorded.booked).or_default().add(side, amount, purpose);
            valued.entry(item.date).or_default().add(side, amount, purpose);
        }
        let count = book.count();
        let numbered = source == Source::Ledger
            || items().all(|((_, number), _)| (1..=count).contains(number));
        let mut faults = book.faults.iter();
        numbered
            && book.is_of(&booked, &valued, self.closing.items[source as usize])
            && faults.all(|((number, _), opened)| {
                self.is_about(*opened, About::Statement(source, *number))
            })
    }
}
