//! Statements: whether a book holds together, and what its completeness decides.

use super::{
    book::StatementFault,
    effect::{Effect, Kind},
    finding::{About, Class, Says},
    sheet::{Moment, Sheet, comparisons},
};
use crate::{
    agreement::Terms,
    date::Date,
    instruction::Statement,
    matching::{
        desk::{Desk, Standing},
        item::{Comparison, Id, Place, Source},
        pair::Category,
    },
};

impl Sheet {
    /// Takes a statement of a book: what it leaves without a counterpart is late, or missing.
    pub(super) fn state(
        &mut self,
        source: Source,
        statement: &Statement,
        terms: &Terms,
        now: Moment,
    ) {
        for comparison in comparisons(terms) {
            self.desks.entry(comparison).or_insert_with(|| Desk::new(comparison));
        }
        let number = self.books.entry(source).or_default().add_statement(statement, now.at);
        self.touched.statements.insert((source, number));
        let booked = self.books[&source].booked_before(statement.from);
        let beginning = i128::from(statement.opening) - booked;
        self.outdate_openings(source, (statement.from, beginning), terms);
        self.check_statement(source, number, now);
        // Statements may come in any order: what follows this one had nothing to follow before.
        for follower in self.books[&source].followers(number) {
            self.check_statement(source, follower, now);
        }
        self.check_statements(source, now);
        for comparison in comparisons(terms) {
            if comparison.place(source).is_none() {
                continue;
            }
            for place in Place::BOTH {
                let open = self.open_between(comparison, place, statement.from, statement.to);
                for id in open {
                    let date = self.items[&(comparison.source(place), id.number)].item.date;
                    if self.other_is_complete(comparison, place, date) {
                        self.judge_absence(comparison, id, now);
                    }
                }
            }
        }
    }

    fn open_between(&self, comparison: Comparison, place: Place, from: Date, to: Date) -> Vec<Id> {
        let Some(desk) = self.desks.get(&comparison) else { return Vec::new() };
        let open = desk.free_between(place, from, to);
        open.map(|number| Id { place, number }).collect()
    }

    /// Whether the source opposite an item's has everything of a date: a book by its statement, the
    /// ledger always has what it has, and is asked when the book that is compared with it says so.
    pub(super) fn other_is_complete(
        &self,
        comparison: Comparison,
        place: Place,
        date: Date,
    ) -> bool {
        let other = comparison.source(place.opposite());
        let says = if other == Source::Ledger { comparison.source(place) } else { other };
        self.books.get(&says).is_some_and(|book| book.covers(date))
    }

    /// Says of an item without a counterpart that it is late, or, after its deadline, missing.
    pub(super) fn judge_absence(&mut self, comparison: Comparison, id: Id, now: Moment) {
        let Some(desk) = self.desks.get(&comparison) else { return };
        if desk.standing(id) != Some(&Standing::Free) {
            return;
        }
        let source = comparison.source(id.place);
        let recorded = &self.items[&(source, id.number)];
        let (deadline_ms, item) = (recorded.deadline_ms, recorded.item.clone());
        // What was recorded after its date's deadline is judged by the statement alone.
        let late = deadline_ms <= now.time_ms || recorded.is_late;
        let category = match late {
            true => Category::of_missing(&item, id.place),
            false => Category::Timing,
        };
        match self.stands.get(&(comparison, id)).copied() {
            None => {
                self.open(comparison, &[id], Says::Break { category }, now);
                if category == Category::Timing {
                    self.deadlines.insert((deadline_ms, comparison, id));
                }
            }
            Some((Class::Break, number)) => self.change_category(number, category),
            Some(_) => {}
        }
        if late {
            self.note_missing(comparison, id, true);
        }
    }

    /// A break is of another category now.
    fn change_category(&mut self, number: u64, category: Category) {
        let key = (Class::Break, number);
        let Some(finding) = self.findings.get_mut(&key) else { return };
        let is_timing = finding.says == Says::Break { category: Category::Timing };
        if is_timing && category != Category::Timing && finding.closed_at.is_none() {
            finding.says = Says::Break { category };
            let comparison = Some(finding.comparison);
            self.effects.push(Effect::new(Kind::BreakChanged, comparison, category as u8, number));
            self.touched.findings.insert(key);
        }
    }

    /// Looks at all statements with a fault again.
    pub(super) fn check_statements(&mut self, source: Source, now: Moment) {
        let Some(book) = self.books.get(&source) else { return };
        let faulty: Vec<u64> = book.faults.keys().map(|(number, _)| *number).collect();
        faulty.into_iter().for_each(|number| self.check_statement(source, number, now));
    }

    /// Opens a break for each fault of a statement, and ends those that are none any more.
    fn check_statement(&mut self, source: Source, number: u64, now: Moment) {
        let Some(comparison) = self.desks.keys().copied().find(|it| it.place(source).is_some())
        else {
            return;
        };
        let found = self.books[&source].faults_of(number);
        for (fault, category) in [
            (StatementFault::Gap, Category::StatementGap),
            (StatementFault::Unbalanced, Category::StatementUnbalanced),
        ] {
            let is = found.contains(&Some(fault));
            let key = (number, fault);
            let was = self.books[&source].faults.get(&key).copied();
            if is != was.is_some() {
                self.touched.statements.insert((source, number));
            }
            match (is, was) {
                (true, None) => {
                    let opened = self.open(comparison, &[], Says::Break { category }, now);
                    let about = Some(About::Statement(source, number));
                    let finding = self.findings.get_mut(&(Class::Break, opened));
                    finding.expect("it was just opened").about = about;
                    let book = self.books.get_mut(&source).expect("it has a statement");
                    book.faults.insert(key, opened);
                }
                (false, Some(opened)) => {
                    self.heal(opened, now);
                    let book = self.books.get_mut(&source).expect("it has a statement");
                    book.faults.remove(&key);
                }
                _ => {}
            }
        }
    }
}
