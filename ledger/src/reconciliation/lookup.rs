//! What it takes to tell findings to others: their items with where these were recorded, who may know of
//! an item, and where an account's history begins.

use super::{
    finding::{Class, Finding},
    sheet::{Recorded, Sheet},
};
use crate::{
    block::Position,
    matching::item::{Comparison, Id, Place, Source},
};

impl Sheet {
    /// The items of a finding that have not closed, with their sources: those of the first source, and
    /// those of the second.
    pub fn items_of(&self, finding: &Finding) -> [Vec<(Source, Recorded)>; 2] {
        let of = |place: Place| {
            let source = finding.comparison.source(place);
            let numbers = finding.items[usize::from(place as u8) - 1].iter();
            let found = numbers.filter_map(|number| self.recorded(source, *number));
            found.map(|recorded| (source, recorded.clone())).collect()
        };
        Place::BOTH.map(of)
    }

    /// Where the first of what it has was recorded: before that, nothing happened to it.
    pub fn first_position(&self) -> Option<Position> {
        let of = |source| {
            let mut items = self.items.range((source, 0)..=(source, u64::MAX));
            let item = items.next().map(|(_, recorded)| recorded.position);
            let book = self.book(source);
            let statement = book.and_then(|book| book.statements().first());
            item.into_iter().chain(statement.map(|it| it.position)).min()
        };
        let open = [Source::Ledger, Source::OwnerBook, Source::ServicerBook].into_iter();
        open.filter_map(of).chain(self.closing.first).min()
    }

    /// Whether an item stands in a match or a break, or an open proposal or the break about its day names
    /// it: then whoever sees findings knows of it.
    pub fn is_in_finding(&self, source: Source, number: u64) -> bool {
        let Some(recorded) = self.recorded(source, number) else { return false };
        let of_day = self.position(recorded.item.date).and_then(|it| it.break_number);
        let of_day = of_day.and_then(|number| self.finding(Class::Break, number));
        let in_any = |comparison: Comparison| {
            let Some(place) = comparison.place(source) else { return false };
            let id = Id { place, number };
            let named = of_day.is_some_and(|it| it.comparison == comparison && it.has(id));
            named
                || self.stands_in(comparison, id).is_some()
                || self.proposals_of(comparison, id).next().is_some()
        };
        Comparison::ALL.into_iter().any(in_any)
    }
}
