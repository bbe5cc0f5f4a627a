//! Planted errors: what clerks and programs do to a book, and the break that each must become.

use std::collections::BTreeMap;

use counterfoil_ledger::{
    bic::Bic,
    block::Side,
    date::{Date, days_in_month},
    hash::Hash,
    reconciliation::BreakKind,
    uetr::Uetr,
};

use super::{
    books::{Books, Entry},
    names::{self, Reference},
};

/// Errors planted in the home bank's book, and as many in the partners' together: fifteen a kind.
pub const ERRORS_PER_SIDE: usize = 90;

/// What is planted, by the break that it becomes.
pub const KINDS: [BreakKind; 6] = [
    // The entry was never booked.
    BreakKind::MissingThere,
    // It was booked twice.
    BreakKind::Duplicate,
    // With another amount.
    BreakKind::Amount,
    // On another day, or in another month.
    BreakKind::Date,
    // On the other side.
    BreakKind::Direction,
    // A payment was booked that nobody made.
    BreakKind::MissingHere,
];

/// A break as the people who work it see it: what the ledger has, and what the book has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Whose book.
    pub bank: Bic,
    /// What differs.
    pub kind: BreakKind,
    /// The ledger's side, and the payment's UETR.
    pub posting: Option<(Figure, Uetr)>,
    /// The book's side, and its own number of the entry.
    pub entry: Option<(Figure, String)>,
}

/// Side, hellers, date.
pub type Figure = (Side, u64, Date);

/// Plants errors in the books. The seed decides which entries, and what becomes of them.
pub fn plant(books: &mut Books, seed: u64) -> Vec<Difference> {
    let mut planted = Vec::new();
    let chosen = choose(books, seed);
    for (bank, book) in books.iter_mut() {
        let correct = std::mem::take(book);
        for (place, entry) in correct.into_iter().enumerate() {
            match chosen.get(&(*bank, place)) {
                Some((kind, draw)) => planted.push(spoil(*bank, book, entry, *kind, draw)),
                None => book.push(entry),
            }
        }
        // Every bank writes its book by date.
        book.sort_by_key(|entry| entry.date);
    }
    planted.sort();
    planted
}

/// Which entries: those with the smallest hashes, as many from the home bank's book as from all the
/// partners'. The kinds take turns.
fn choose(books: &Books, seed: u64) -> BTreeMap<(Bic, usize), (BreakKind, Hash)> {
    let mut sides: [Vec<(Hash, Bic, usize)>; 2] = Default::default();
    for (bank, book) in books {
        for (place, entry) in book.iter().enumerate() {
            let draw = names::derived(&[
                "error",
                &seed.to_string(),
                bank.as_str(),
                &entry.reference.uetr.to_string(),
            ]);
            sides[usize::from(*bank != names::home())].push((draw, *bank, place));
        }
    }
    let mut chosen = BTreeMap::new();
    for mut side in sides {
        side.sort_unstable();
        for ((draw, bank, place), kind) in
            side.into_iter().take(ERRORS_PER_SIDE).zip(KINDS.into_iter().cycle())
        {
            chosen.insert((bank, place), (kind, draw));
        }
    }
    chosen
}

/// Writes an entry wrongly, and says what must be found.
fn spoil(
    bank: Bic,
    book: &mut Vec<Entry>,
    correct: Entry,
    kind: BreakKind,
    draw: &Hash,
) -> Difference {
    let posting = Some((figure(&correct), correct.reference.uetr));
    let mut wrong = correct.clone();
    match kind {
        BreakKind::MissingThere => return Difference { bank, kind, posting, entry: None },
        BreakKind::Duplicate => {
            wrong.own_reference.push_str(" AGAIN");
            book.push(correct);
        }
        BreakKind::Amount => wrong.amount = other_amount(correct.amount, draw),
        BreakKind::Date => wrong.date = other_date(correct.date, draw),
        BreakKind::Direction => wrong.side = correct.side.opposite(),
        BreakKind::MissingHere => {
            wrong.reference = Reference::of_nothing(&correct.own_reference);
            wrong.own_reference.push_str(" NOBODY");
            book.push(correct);
        }
    }
    let entry = Some((figure(&wrong), wrong.own_reference.clone()));
    book.push(wrong);
    let posting = posting.filter(|_| kind != BreakKind::MissingHere);
    Difference { bank, kind, posting, entry }
}

/// What an entry says.
pub fn figure(entry: &Entry) -> Figure {
    (entry.side, entry.amount, entry.date)
}

/// One heller too much or too little, ten times as much, or two digits exchanged; whatever the draw
/// says and is another amount.
fn other_amount(amount: u64, draw: &Hash) -> u64 {
    let exchanged = amount / 100 * 100 + amount % 10 * 10 + amount / 10 % 10;
    let wrong = match draw.as_bytes()[2] % 4 {
        0 => amount + 1,
        1 => amount - 1,
        2 => amount * 10,
        _ => exchanged,
    };
    if wrong == 0 || wrong == amount { amount + 1 } else { wrong }
}

/// One to three days too early or too late, or the same day of a neighbouring month; within 1993.
fn other_date(date: Date, draw: &Hash) -> Date {
    let value = date.yyyymmdd();
    let (month, day) = (value / 100 % 100, value % 100);
    let later = draw.as_bytes()[3] < 128;
    let days = u32::from(draw.as_bytes()[4] % 3) + 1;
    let other_month = draw.as_bytes()[5] < 128;
    let (month, day) = match (other_month, later) {
        (true, true) if month < 12 => (month + 1, day),
        (true, false) if month > 1 => (month - 1, day),
        (_, true) if day + days <= days_in_month(1993, month) => (month, day + days),
        _ if day > days => (month, day - days),
        _ => (month, day + days),
    };
    let day = day.min(days_in_month(1993, month));
    Date::from_yyyymmdd(19_930_000 + month * 100 + day).expect("a day that the month has")
}
