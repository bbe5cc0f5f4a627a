//! The report: one book against the ledger for a range of dates, with figures that add up.

use super::{Book, BookState, BreakKind, Reconciliation, Status};
use crate::{
    block::{Movement, Side},
    date::Date,
};

/// One side's figures, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Balance before the first date.
    pub opening: i128,
    /// How many credits.
    pub credit_count: u64,
    /// Their sum.
    pub credits: i128,
    /// How many debits.
    pub debit_count: u64,
    /// Their sum, positive.
    pub debits: i128,
    /// Balance after the last date.
    pub closing: i128,
}

impl Figures {
    fn add(&mut self, side: Side, amount: u64) {
        match side {
            Side::Credit => {
                self.credit_count += 1;
                self.credits += i128::from(amount);
            }
            Side::Debit => {
                self.debit_count += 1;
                self.debits += i128::from(amount);
            }
        }
    }
}

/// What the report says. Ledger closing + opening difference + effects of breaks and of undecided
/// items + what is unexplained = the book's closing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// First date.
    pub from: Date,
    /// Last date.
    pub to: Date,
    /// The ledger's figures, by settlement date.
    pub ledger: Figures,
    /// The book's: opening and closing as its statements say, movements as its entries say.
    pub book: Figures,
    /// Pairs that agree.
    pub matched_count: u64,
    /// Sum of their amounts.
    pub matched_amount: i128,
    /// Open breaks of each kind, every kind in order: count and effect on the book's closing.
    pub breaks: Vec<(BreakKind, u64, i128)>,
    /// Entries and postings that no statement has decided yet.
    pub undecided_count: u64,
    /// Their effect.
    pub undecided_effect: i128,
    /// Book opening − ledger opening.
    pub opening_difference: i128,
    /// What nothing explains: the statement's closing is not its opening plus its entries.
    pub unexplained: i128,
    /// Statements that cover dates in the range.
    pub statement_count: u32,
}

const KINDS: [BreakKind; 6] = [
    BreakKind::MissingHere,
    BreakKind::MissingThere,
    BreakKind::Amount,
    BreakKind::Direction,
    BreakKind::Date,
    BreakKind::Duplicate,
];

/// Dates from the first to the last that statements of a book cover.
pub fn covered_range(state: &BookState) -> Option<(Date, Date)> {
    let from = state.statements().iter().map(|statement| statement.from).min()?;
    let to = state.statements().iter().map(|statement| statement.to).max()?;
    Some((from, to))
}

/// Makes the report of an account's book. `movements` are all of the account's, in any order.
pub fn report(
    reconciliation: &Reconciliation,
    account: u32,
    book: Book,
    from: Date,
    to: Date,
    movements: impl IntoIterator<Item = Movement>,
) -> Report {
    let mut opening = 0;
    let mut within = Vec::new();
    for movement in movements {
        if movement.date < from {
            opening += movement.side.signed(movement.amount);
        } else if movement.date <= to {
            within.push(movement);
        }
    }
    report_from(reconciliation, account, book, (from, to), opening, within)
}

/// As [`report`], of the ledger's balance before the first date and the movements of the range
/// alone: an account may have more history than fits into memory.
pub fn report_from(
    reconciliation: &Reconciliation,
    account: u32,
    book: Book,
    (from, to): (Date, Date),
    opening: i128,
    movements: impl IntoIterator<Item = Movement>,
) -> Report {
    let nothing = BookState::default();
    let state = reconciliation.book(account, book).unwrap_or(&nothing);
    let within = |date: Date| from <= date && date <= to;
    let mut report = Report {
        from,
        to,
        ledger: Figures { opening, ..Figures::default() },
        book: Figures::default(),
        matched_count: 0,
        matched_amount: 0,
        breaks: KINDS.iter().map(|kind| (*kind, 0, 0)).collect(),
        undecided_count: 0,
        undecided_effect: 0,
        opening_difference: 0,
        unexplained: 0,
        statement_count: 0,
    };
    for movement in movements.into_iter().filter(|movement| within(movement.date)) {
        report.ledger.add(movement.side, movement.amount);
        if !state.is_taken(&movement.position) && !state.is_missing(&movement.position) {
            report.undecided_count += 1;
            report.undecided_effect -= movement.side.signed(movement.amount);
        }
    }
    for entry in state.entries().iter().filter(|entry| within(entry.date)) {
        report.book.add(entry.side, entry.amount);
        match entry.status {
            Status::Open => {
                report.undecided_count += 1;
                report.undecided_effect += entry.side.signed(entry.amount);
            }
            Status::Matched(..) => {
                report.matched_count += 1;
                report.matched_amount += i128::from(entry.amount);
            }
            Status::Broken(_) => {}
        }
    }
    add_breaks(&mut report, reconciliation, account, book, state);
    close(&mut report, state);
    report
}

/// A break moves the book away from the ledger by what the book has in the range minus what the
/// ledger has in it.
fn add_breaks(
    report: &mut Report,
    reconciliation: &Reconciliation,
    account: u32,
    book: Book,
    state: &BookState,
) {
    let within = |date: Date| report.from <= date && date <= report.to;
    for found in reconciliation.breaks(account) {
        if found.book != book || found.healed_at.is_some() {
            continue;
        }
        let entry = found.entry.map(|number| state.entry(number)).filter(|it| within(it.date));
        // A duplicate's posting is another entry's counterpart: it is shown, not counted.
        let own = found.ledger.filter(|_| found.kind != BreakKind::Duplicate);
        let item = own.filter(|item| within(item.date));
        if entry.is_none() && item.is_none() {
            continue;
        }
        let effect = entry.map_or(0, |entry| entry.side.signed(entry.amount))
            - item.map_or(0, |item| item.side.signed(item.amount));
        let line = report.breaks.iter_mut().find(|(kind, ..)| *kind == found.kind);
        let (_, count, sum) = line.expect("every kind has a line");
        *count += 1;
        *sum += effect;
    }
}

fn close(report: &mut Report, state: &BookState) {
    report.ledger.closing = report.ledger.opening + report.ledger.credits - report.ledger.debits;
    let covering = || {
        state
            .statements()
            .iter()
            .filter(|statement| statement.from <= report.to && report.from <= statement.to)
    };
    report.statement_count = u32::try_from(covering().count()).unwrap_or(u32::MAX);
    // Without a statement the book's own balances are unknown: taken as the ledger's opening and
    // what the entries make of it, so that the movements alone are compared.
    let first = covering().min_by_key(|statement| statement.from);
    let last = covering().max_by_key(|statement| statement.to);
    // A statement may begin or end on another date than the report: the book's own entries lead
    // from the one to the other.
    let booked = |counts: &dyn Fn(Date) -> bool| -> i128 {
        let entries = state.entries().iter().filter(|entry| counts(entry.date));
        entries.map(|entry| entry.side.signed(entry.amount)).sum()
    };
    let opening = first.map_or(report.ledger.opening, |statement| {
        i128::from(statement.opening) + booked(&|date| date < report.from)
            - booked(&|date| date < statement.from)
    });
    let moved = opening + report.book.credits - report.book.debits;
    let closing = last.map_or(moved, |statement| {
        i128::from(statement.closing) + booked(&|date| date <= report.to)
            - booked(&|date| date <= statement.to)
    });
    report.book.opening = opening;
    report.book.closing = closing;
    report.opening_difference = opening - report.ledger.opening;
    report.unexplained = closing - moved;
}
