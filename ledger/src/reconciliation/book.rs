//! One source of one account: how many items it has had, what they come to day by day, and, of a
//! book, its statements and whether they hold together.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    block::{Position, Side},
    date::Date,
    hash::Hash,
    instruction::Statement,
    merkle::Frontier,
    purpose::Purpose,
};

/// A sum of each side, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Of credits.
    pub credits: u128,
    /// Of debits.
    pub debits: u128,
}

impl Sides {
    /// What went either way.
    pub fn total(&self) -> u128 {
        self.credits + self.debits
    }

    fn join(&mut self, other: Sides) {
        self.credits += other.credits;
        self.debits += other.debits;
    }

    fn of(&mut self, side: Side) -> &mut u128 {
        match side {
            Side::Credit => &mut self.credits,
            Side::Debit => &mut self.debits,
        }
    }
}

/// What the items of a date come to. Amounts in minor units of the account's asset: an item in another
/// asset is counted, and adds to no sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// How many credits.
    pub credit_count: u64,
    /// Their sum.
    pub credits: u128,
    /// How many debits.
    pub debit_count: u64,
    /// Their sum.
    pub debits: u128,
    /// Of the sums: what was lent.
    pub lent: Sides,
    /// Of the sums: what was repaid.
    pub repaid: Sides,
}

impl Day {
    pub(super) fn add(&mut self, side: Side, amount: u64, purpose: Option<Purpose>) {
        match purpose {
            None => {}
            Some(Purpose::Lending) => *self.lent.of(side) += u128::from(amount),
            Some(Purpose::Repayment) => *self.repaid.of(side) += u128::from(amount),
        }
        let (count, sum) = match side {
            Side::Credit => (&mut self.credit_count, &mut self.credits),
            Side::Debit => (&mut self.debit_count, &mut self.debits),
        };
        *count += 1;
        *sum += u128::from(amount);
    }

    /// How many items; none if that is beyond 64 bits.
    fn count(&self) -> Option<u64> {
        self.credit_count.checked_add(self.debit_count)
    }

    fn sums(&self) -> [u128; 6] {
        let Day { lent, repaid, .. } = self;
        let [credits, debits] = [self.credits, self.debits];
        [credits, debits, lent.credits, lent.debits, repaid.credits, repaid.debits]
    }

    fn join(&mut self, other: &Day) {
        self.credit_count += other.credit_count;
        self.credits += other.credits;
        self.debit_count += other.debit_count;
        self.debits += other.debits;
        self.lent.join(other.lent);
        self.repaid.join(other.repaid);
    }

    /// How many items are left without those of another day; none if that has something that this has
    /// not.
    fn without(&self, other: &Day) -> Option<u64> {
        let credits = self.credit_count.checked_sub(other.credit_count)?;
        let debits = self.debit_count.checked_sub(other.debit_count)?;
        let mut nothing = true;
        for (own, other) in self.sums().into_iter().zip(other.sums()) {
            nothing &= own.checked_sub(other)? == 0;
        }
        let count = credits.checked_add(debits)?;
        // Without items nothing is left of the sums.
        (count > 0 || nothing).then_some(count)
    }

    /// What came in and went out that was neither lent nor repaid: what is left of the sums.
    pub fn other(&self) -> Sides {
        Sides {
            credits: self.credits - self.lent.credits - self.repaid.credits,
            debits: self.debits - self.lent.debits - self.repaid.debits,
        }
    }

    /// What the day adds to the balance.
    pub fn movement(&self) -> i128 {
        let signed = |sum| i128::try_from(sum).expect("fewer than 2^63 items of 63 bits each");
        signed(self.credits) - signed(self.debits)
    }
}

/// A statement that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRecord {
    /// Its place in this book, from 1.
    pub number: u64,
    /// Its own identification.
    pub id: String,
    /// Its number in the servicer's sequence; 0 = none.
    pub sequence: u64,
    /// First booking date.
    pub from: Date,
    /// Last booking date.
    pub to: Date,
    /// Booked balance before the first date, minor units.
    pub opening: i64,
    /// Booked balance after the last date.
    pub closing: i64,
    /// SHA-256 of the file; zeros = not named.
    pub original: Hash,
    /// Where it was recorded.
    pub position: Position,
}

/// What is wrong with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementFault {
    /// Its number does not follow that of the one before it.
    Gap,
    /// It does not begin where the one before it ended, or does not add up.
    Unbalanced,
}

impl StatementFault {
    /// Both.
    pub const ALL: [StatementFault; 2] = [StatementFault::Gap, StatementFault::Unbalanced];
}

/// The items of a value date.
#[derive(Clone, Debug, Default)]
struct Valued {
    day: Day,
    /// The tree over them.
    items: Frontier,
    /// Numbers of those that have not closed.
    numbers: BTreeSet<u64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Items so far.
    pub(super) count: u64,
    /// By booking date: what statements are checked against.
    booked: BTreeMap<Date, Day>,
    /// By value date: what positions are checked against.
    valued: BTreeMap<Date, Valued>,
    statements: Vec<StatementRecord>,
    /// Statements with a fault, and the break that says so.
    pub(super) faults: BTreeMap<(u64, StatementFault), u64>,
}

impl Book {
    /// Statements in the order of their recording.
    pub fn statements(&self) -> &[StatementRecord] {
        &self.statements
    }

    /// How many items it has had.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What the items of a value date come to, and the root over them in the order of their numbers:
    /// of a book over the entries' bytes, of the ledger over the postings'.
    pub fn day(&self, date: Date) -> (Day, Hash) {
        match self.valued.get(&date) {
            Some(Valued { day, items, .. }) => (day.clone(), items.root()),
            None => (Day::default(), Frontier::default().root()),
        }
    }

    /// What the items from one value date on come to. Takes one step a date.
    pub fn movement_from(&self, date: Date) -> i128 {
        self.valued.range(date..).map(|(_, valued)| valued.day.movement()).sum()
    }

    /// What the items before a value date come to. Takes one step a date.
    pub(super) fn movement_before(&self, date: Date) -> i128 {
        self.valued.range(..date).map(|(_, valued)| valued.day.movement()).sum()
    }

    /// Numbers of the items that have not closed, with value dates from one to another, both included,
    /// by date.
    pub fn numbers_between(&self, from: Date, to: Date) -> impl Iterator<Item = u64> + '_ {
        let valued = if from <= to { Some(self.valued.range(from..=to)) } else { None };
        valued.into_iter().flatten().flat_map(|(_, valued)| valued.numbers.iter().copied())
    }

    /// The first item that has not closed, at or after a date and a number: its date and number.
    pub(super) fn next_item(&self, from: (Date, u64), to: Date) -> Option<(Date, u64)> {
        if from.0 > to {
            return None;
        }
        let mut dates = self.valued.range(from.0..=to);
        dates.find_map(|(date, valued)| {
            let after = if *date == from.0 { from.1 } else { 0 };
            valued.numbers.range(after..).next().map(|number| (*date, *number))
        })
    }

    /// Lets go of an item that closes; the day keeps its figures.
    pub(super) fn close_item(&mut self, number: u64, valued: Date) {
        if let Some(valued) = self.valued.get_mut(&valued) {
            valued.numbers.remove(&number);
        }
    }

    /// What the items of value dates from one to another come to. Takes one step a date.
    pub(super) fn between(&self, from: Date, to: Date) -> Day {
        let mut sum = Day::default();
        if from <= to {
            self.valued.range(from..=to).for_each(|(_, valued)| sum.join(&valued.day));
        }
        sum
    }

    /// The first value date of an item, not before a date.
    pub(super) fn date_from(&self, date: Date) -> Option<Date> {
        self.valued.range(date..).next().map(|(date, _)| *date)
    }

    /// The last value date of an item.
    pub(super) fn last_date(&self) -> Option<Date> {
        self.valued.last_key_value().map(|(date, _)| *date)
    }

    /// Takes the next item in.
    pub(super) fn add(&mut self, number: u64, item: &Counted, hash: Hash) {
        self.count += 1;
        let Counted { side, amount, purpose, .. } = *item;
        self.booked.entry(item.booked).or_default().add(side, amount, purpose);
        let valued = self.valued.entry(item.valued).or_default();
        valued.day.add(side, amount, purpose);
        valued.items.push(hash);
        valued.numbers.insert(number);
    }

    /// Whether its days are these, and what so many items that have closed came to; and whether their
    /// trees have as many leaves.
    pub(super) fn is_of(
        &self,
        booked: &BTreeMap<Date, Day>,
        valued: &BTreeMap<Date, Day>,
        closed: u64,
    ) -> bool {
        let leaves = |it: &Valued| it.day.count() == Some(it.items.size());
        let figures = self.valued.iter().map(|(date, it)| (date, &it.day));
        rest(self.booked.iter(), booked) == Some(closed)
            && rest(figures, valued) == Some(closed)
            && self.valued.values().all(leaves)
    }

    /// A statement by its place in the book, from 1.
    pub fn statement_at(&self, number: u64) -> Option<&StatementRecord> {
        self.statements.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(super) fn statement(&self, id: &str) -> Option<&StatementRecord> {
        self.statements.iter().find(|statement| statement.id == id)
    }

    /// Whether a statement covers a date.
    pub(super) fn covers(&self, date: Date) -> bool {
        self.statements.iter().any(|statement| statement.from <= date && date <= statement.to)
    }

    pub(super) fn add_statement(&mut self, statement: &Statement, position: Position) -> u64 {
        let number = u64::try_from(self.statements.len()).expect("a count fits 64 bits") + 1;
        self.statements.push(StatementRecord {
            number,
            id: statement.id.clone(),
            sequence: statement.sequence,
            from: statement.from,
            to: statement.to,
            opening: statement.opening,
            closing: statement.closing,
            original: statement.original,
            position,
        });
        number
    }

    /// What is wrong with a statement, as far as its book has come.
    pub(super) fn faults_of(&self, number: u64) -> [Option<StatementFault>; 2] {
        let statement = &self.statements[place(number)];
        let others = || self.statements.iter().filter(|other| other.number != number);
        // In a sequence the one before has the number before; of the dates it is the last that ends
        // before this one begins.
        let numbered = statement.sequence != 0;
        let gap = numbered
            && others().any(|other| other.sequence != 0)
            && !others().any(|other| other.sequence.checked_add(1) == Some(statement.sequence))
            && others().any(|other| other.sequence != 0 && other.sequence < statement.sequence)
            // Of two with one number the second came twice.
            || numbered
                && others()
                    .any(|it| it.sequence == statement.sequence && it.number < statement.number);
        let before = others().filter(|other| other.to < statement.from).max_by_key(|it| it.to);
        let joins = before.is_none_or(|before| before.closing == statement.opening);
        let days = self.booked.range(statement.from..=statement.to);
        let moved: i128 = days.map(|(_, day)| day.movement()).sum();
        let adds_up = i128::from(statement.opening) + moved == i128::from(statement.closing);
        [
            gap.then_some(StatementFault::Gap),
            (!joins || !adds_up).then_some(StatementFault::Unbalanced),
        ]
    }

    /// Statements that a new one now stands before: the next by date, and the next by its number.
    pub(super) fn followers(&self, number: u64) -> Vec<u64> {
        let statement = &self.statements[place(number)];
        let later = self.statements.iter().filter(|other| other.from > statement.to);
        let next = later.map(|other| other.from).min();
        let higher = self.statements.iter().map(|other| other.sequence);
        let higher = higher.filter(|it| statement.sequence != 0 && *it > statement.sequence).min();
        let follows =
            |other: &&StatementRecord| Some(other.from) == next || Some(other.sequence) == higher;
        self.statements.iter().filter(follows).map(|other| other.number).collect()
    }

    /// The balance by value dates at the beginning of a date; none where no statement tells one. It is
    /// told by the statement that covers the date, or by the last one before: what that had before its
    /// first entry, less what had been booked by then, is what the book held before any entry that was
    /// recorded; and from there the entries lead to the date. Takes one step a date and statement.
    pub fn opening(&self, date: Date) -> Option<i128> {
        let begun = self.statements.iter().filter(|it| it.from <= date);
        let told = begun.max_by_key(|it| (it.to.min(date), it.number))?;
        let beginning = i128::from(told.opening) - self.booked_before(told.from);
        Some(beginning + self.movement_before(date))
    }

    /// What the items that were booked before a date come to. Takes one step a date.
    pub(super) fn booked_before(&self, date: Date) -> i128 {
        self.booked.range(..date).map(|(_, day)| day.movement()).sum()
    }

    #[cfg(test)]
    pub(super) fn dates(&self) -> impl Iterator<Item = Date> + '_ {
        self.booked.keys().chain(self.valued.keys()).copied()
    }

    /// What is kept of a date: as booked, as valued, and the tree over what is valued then.
    pub(super) fn parts(&self, date: Date) -> (Day, Day, Frontier) {
        let booked = self.booked.get(&date).cloned().unwrap_or_default();
        let valued = self.valued.get(&date).map(|it| (it.day.clone(), it.items.clone()));
        let (valued, items) = valued.unwrap_or_default();
        (booked, valued, items)
    }

    pub(super) fn restore_day(&mut self, date: Date, booked: Day, valued: Day, items: Frontier) {
        if booked != Day::default() {
            self.booked.insert(date, booked);
        }
        if items.size() > 0 {
            let restored = self.valued.entry(date).or_default();
            (restored.day, restored.items) = (valued, items);
        }
    }

    /// Takes an item that was recorded before; its day comes with a record of its own.
    pub(super) fn restore_item(&mut self, number: u64, valued: Date) {
        self.count += 1;
        self.valued.entry(valued).or_default().numbers.insert(number);
    }

    /// Counts items that have closed.
    pub(super) fn restore_closed(&mut self, count: u64) -> Option<()> {
        self.count = self.count.checked_add(count)?;
        Some(())
    }

    pub(super) fn restore_statement(&mut self, statement: StatementRecord) -> Option<()> {
        (place(statement.number) == self.statements.len()).then(|| self.statements.push(statement))
    }
}

/// How many items some days have beyond those of others; none if one of the others has more.
fn rest<'a>(
    days: impl Iterator<Item = (&'a Date, &'a Day)>,
    others: &BTreeMap<Date, Day>,
) -> Option<u64> {
    let (mut count, mut found) = (0_u64, 0);
    for (date, day) in days {
        let nothing = Day::default();
        found += usize::from(others.contains_key(date));
        count = count.checked_add(day.without(others.get(date).unwrap_or(&nothing))?)?;
    }
    (found == others.len()).then_some(count)
}

/// What an item counts as; the amount is zero if it is one of another asset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub side: Side,
    pub amount: u64,
    pub booked: Date,
    pub valued: Date,
    pub purpose: Option<Purpose>,
}

/// Statements are numbered from 1.
fn place(number: u64) -> usize {
    usize::try_from(number - 1).expect("statements are in memory")
}
