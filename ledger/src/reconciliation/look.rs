//! What others may see of a sheet.

use super::{
    book::Book,
    finding::{About, Class, Finding},
    position::DayPosition,
    sheet::{Recorded, Sheet, ids_of},
    unclear::effect,
    work::Work,
};
use crate::{
    date::Date,
    matching::{
        desk::Desk,
        item::{Comparison, Id, Item, Source},
    },
};

impl Sheet {
    /// A source, once it has had an item or a statement.
    pub fn book(&self, source: Source) -> Option<&Book> {
        self.books.get(&source)
    }

    /// A finding, open or ended, that has not closed.
    pub fn finding(&self, class: Class, number: u64) -> Option<&Finding> {
        self.findings.get(&(class, number))
    }

    /// The findings of a class that have not closed, open and ended, by number.
    pub fn findings(&self, class: Class) -> impl Iterator<Item = &Finding> {
        self.findings_from(class, 0)
    }

    /// Those of them from a number on. Finding the first takes
    /// log n steps for n findings, each further one takes one.
    pub fn findings_from(&self, class: Class, number: u64) -> impl Iterator<Item = &Finding> {
        self.findings.range((class, number)..=(class, u64::MAX)).map(|(_, finding)| finding)
    }

    /// Those of them that have not ended. Ended proposals and breaks cost nothing; undone matches,
    /// which are rare, a step each.
    pub fn open_findings_from(&self, class: Class, number: u64) -> impl Iterator<Item = &Finding> {
        let matches = (class == Class::Match).then(|| self.findings_from(class, number));
        let open = self.open.range((class, number)..=(class, u64::MAX));
        let others = open.filter_map(|key| self.findings.get(key));
        matches.into_iter().flatten().filter(|it| it.closed_at.is_none()).chain(others)
    }

    /// The work on a break.
    pub fn work(&self, number: u64) -> Option<&Work> {
        self.works.get(&number)
    }

    /// An item that has not closed.
    pub fn item(&self, source: Source, number: u64) -> Option<&Item> {
        self.recorded(source, number).map(|recorded| &*recorded.item)
    }

    /// An item that has not closed, with where and when it was recorded.
    pub fn recorded(&self, source: Source, number: u64) -> Option<&Recorded> {
        self.items.get(&(source, number))
    }

    /// The match or the break that an item stands in.
    pub fn stands_in(&self, comparison: Comparison, id: Id) -> Option<&Finding> {
        self.findings.get(self.stands.get(&(comparison, id))?)
    }

    /// The open proposals that name an item, by number.
    pub fn proposals_of(&self, comparison: Comparison, id: Id) -> impl Iterator<Item = &Finding> {
        let named = self.proposed.range((comparison, id, 0)..=(comparison, id, u64::MAX));
        named.filter_map(|(.., number)| self.findings.get(&(Class::Proposal, *number)))
    }

    /// When an item becomes missing if it has no counterpart by then, Unix milliseconds; none if it
    /// does not wait: it has one, or is missing already.
    pub fn waits_until(&self, comparison: Comparison, id: Id) -> Option<u64> {
        let deadline_ms = self.recorded(comparison.source(id.place), id.number)?.deadline_ms;
        self.deadlines.contains(&(deadline_ms, comparison, id)).then_some(deadline_ms)
    }

    /// What the items of a finding that has not closed add to the first source's balance minus the second's, minor units.
    /// A break about a statement or a day only names items, and adds nothing.
    pub fn effect_of(&self, finding: &Finding) -> i128 {
        if finding.about.is_some() {
            return 0;
        }
        let items = ids_of(&finding.items).into_iter();
        let effects = items.filter_map(|id| {
            let item = self.item(finding.comparison.source(id.place), id.number)?;
            Some(effect(id.place, item))
        });
        effects.sum()
    }

    /// A comparison.
    pub fn desk(&self, comparison: Comparison) -> Option<&Desk> {
        self.desks.get(&comparison)
    }

    /// What was signed of a day; none if nobody ever has.
    pub fn position(&self, date: Date) -> Option<&DayPosition> {
        self.positions.get(&date)
    }

    /// Days of which anything is known, from a date on: those that are the value date of an item, and
    /// those of which a party has signed a view. Takes log n steps a day.
    pub fn dates_from(&self, from: Date) -> impl Iterator<Item = Date> + '_ {
        let next = |from: Date| {
            let valued = self.books.values().filter_map(|book| book.date_from(from));
            let signed = self.positions.range(from..).next().map(|(date, _)| *date);
            valued.chain(signed).min()
        };
        let after = move |date: &Date| next(date.next()).filter(|next| next > date);
        std::iter::successors(next(from), after)
    }

    /// The last day of which anything is known.
    pub fn last_date(&self) -> Option<Date> {
        let valued = self.books.values().filter_map(Book::last_date);
        valued.chain(self.positions.last_key_value().map(|(date, _)| *date)).max()
    }

    /// How many items of a day the sources do not agree about: neither matched, nor in a break that the
    /// parties have ended. With three sources a posting counts once for each book.
    pub fn open_item_count(&self, date: Date) -> u64 {
        Comparison::ALL.into_iter().map(|comparison| self.unclear.count(comparison, date)).sum()
    }

    /// The break that says that the views of a day differ is about that day, and that about a statement
    /// about that statement of its book.
    pub(super) fn is_about(&self, number: u64, about: About) -> bool {
        let found = self.findings.get(&(Class::Break, number));
        found.is_some_and(|found| found.about == Some(about))
    }
}
