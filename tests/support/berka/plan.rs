//! What everybody does on each day, and what has to be found of it: written before the ledger has
//! seen anything.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_ledger::{
    agreement::Party,
    bic::Bic,
    block::Side,
    date::Date,
    matching::{
        item::{Comparison, Source},
        pair::Category,
    },
    reconciliation::orders::ResolutionKind,
};

use super::books::{Books, Entry, Payment};

/// How the two banks of an account use the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Payments settle here; the ledger's postings are compared with both books.
    Settle,
    /// Payments flow elsewhere; the two books are compared with each other.
    Record,
}

impl Mode {
    /// In which comparison a book stands.
    pub fn comparison(self, party: Party) -> Comparison {
        match (self, party) {
            (Mode::Settle, Party::Owner) => Comparison::LedgerOwner,
            (Mode::Settle, Party::Servicer) => Comparison::LedgerServicer,
            (Mode::Record, _) => Comparison::OwnerServicer,
        }
    }

    /// What it is called when a book, or what it is compared with, lacks something.
    pub fn missing(self, party: Party, book_lacks: bool) -> Category {
        let is_first = self == Mode::Record && party == Party::Owner;
        match is_first == book_lacks {
            true => Category::MissingFirst,
            false => Category::MissingSecond,
        }
    }
}

/// A party's book.
pub fn book(party: Party) -> Source {
    match party {
        Party::Owner => Source::OwnerBook,
        Party::Servicer => Source::ServicerBook,
    }
}

/// What people call an item: the UETR of a posting, the own reference of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Whose.
    pub source: Source,
    /// Its name there.
    pub name: String,
}

impl Label {
    /// Of an entry.
    pub fn entry(party: Party, entry: &Entry) -> Label {
        let mark = if entry.reversal { " REVERSAL" } else { "" };
        Label { source: book(party), name: format!("{}{mark}", entry.own_reference) }
    }
}

/// An item of which something is wrong.
#[derive(Clone, Debug)]
pub struct Named {
    /// What it is called.
    pub label: Label,
    /// Value date.
    pub date: Date,
    /// What it adds to its source's balance, hellers.
    pub amount: i128,
}

impl Named {
    /// An entry.
    pub fn entry(party: Party, entry: &Entry) -> Named {
        let label = Label::entry(party, entry);
        Named { label, date: entry.valued, amount: entry.counted() }
    }

    /// A payment's posting.
    pub fn posting(payment: &Payment) -> Named {
        let name = payment.reference.uetr.to_string();
        let label = Label { source: Source::Ledger, name };
        Named { label, date: payment.date, amount: signed(payment.side, payment.amount) }
    }
}

/// A break, as it has to be open on an evening.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open {
    /// Whose account.
    pub partner: Bic,
    /// Between which sources.
    pub comparison: Comparison,
    /// What is wrong.
    pub category: Category,
    /// The items that it names, sorted.
    pub items: Vec<Label>,
}

/// What becomes of one thing that is wrong.
#[derive(Clone, Debug)]
pub struct Story {
    /// Whose account.
    pub partner: Bic,
    /// In which comparison.
    pub comparison: Comparison,
    /// The items that are wrong; none of a statement.
    pub items: Vec<Named>,
    /// From which evening on it is called what.
    pub stages: Vec<(Date, Category)>,
    /// On the morning of this day it is put right.
    pub until: Date,
}

impl Story {
    /// Whether it is untold on an evening.
    pub fn is_open(&self, evening: Date) -> bool {
        self.stages[0].0 <= evening && evening < self.until
    }

    /// The break that it is on an evening.
    pub fn open(&self, evening: Date) -> Option<Open> {
        let stage = self.stages.iter().rev().find(|(from, _)| *from <= evening)?;
        let mut items: Vec<Label> = self.items.iter().map(|item| item.label.clone()).collect();
        items.sort();
        let (partner, comparison, category) = (self.partner, self.comparison, stage.1);
        self.is_open(evening).then_some(Open { partner, comparison, category, items })
    }
}

/// Which break: what is told of it on the evening before it is worked.
#[derive(Clone, Debug)]
pub struct Which {
    /// Between which sources.
    pub comparison: Comparison,
    /// Items that it names, sorted.
    pub items: Vec<Label>,
    /// What is wrong.
    pub category: Category,
}

/// Something that is done in the morning.
#[derive(Clone, Debug)]
pub enum Step {
    /// A bank writes an entry.
    Book(Party, Entry),
    /// A payment settles, where payments settle.
    Pay(Payment),
    /// A party has the passes run over all open items.
    Run(Party),
    /// People say that items belong together.
    Confirm(Comparison, Vec<Label>),
    /// A party offers to end a break, and the other one agrees.
    Resolve(Which, ResolutionKind, Party),
    /// A party bears it, by two of its keys.
    WriteOff(Which, Party),
    /// The payee offers that a payment corrects it, and the payer agrees by paying.
    Correct(Which, Payment),
    /// A party states a day of which it has said nothing.
    StateLate(Party, Date),
    /// A party states a day once more.
    StateAgain(Party, Date),
    /// A party states a day rightly of which it has said something wrong.
    StateRightly(Party, Date),
}

/// What is wrong with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misstated {
    /// It is not sent.
    Absent,
    /// Its closing balance has a digit too much.
    Closing,
}

/// An account's day.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// Before business, in this order.
    pub morning: Vec<Step>,
    /// Payments, where payments settle.
    pub payments: Vec<Payment>,
    /// What banks write.
    pub entries: Vec<(Party, Entry)>,
    /// Statements that are not as they should be.
    pub misstated: Vec<(Party, Misstated)>,
    /// Parties that first sign a view with a slip of the pen.
    pub slips: Vec<Party>,
}

/// The year as it is meant.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In which mode.
    pub mode: Mode,
    /// By date and account.
    pub days: BTreeMap<Date, BTreeMap<Bic, Day>>,
    /// What has to be found.
    pub stories: Vec<Story>,
    /// By how many hellers a source stays away from what the raw lines say, by account and value date.
    pub shifts: BTreeMap<(Bic, Source, Date), i128>,
}

impl Plan {
    /// A year without a fault.
    pub fn right(mode: Mode, payments: &[Payment], books: &Books) -> Plan {
        let (stories, shifts) = (Vec::new(), BTreeMap::new());
        let mut plan = Plan { mode, days: BTreeMap::new(), stories, shifts };
        for payment in payments {
            plan.day(payment.date, payment.partner).payments.push(payment.clone());
        }
        for ((partner, party), book) in books {
            for entry in book {
                plan.day(entry.booked, *partner).entries.push((*party, entry.clone()));
            }
        }
        plan
    }

    /// An account's day.
    pub fn day(&mut self, date: Date, partner: Bic) -> &mut Day {
        self.days.entry(date).or_default().entry(partner).or_default()
    }

    /// All partners.
    pub fn partners(&self) -> BTreeSet<Bic> {
        self.days.values().flat_map(|days| days.keys().copied()).collect()
    }

    /// Days that are not agreed on an evening, with the break that says so. A day is not agreed if an item
    /// of it is wrong, or if those that are wrong of it and of the days before it come to something. The
    /// break is that of the day's own evening.
    pub fn positions(&self, evening: Date) -> BTreeMap<(Bic, Date), Open> {
        let mut all = BTreeMap::new();
        for partner in self.partners() {
            let wrong: Vec<(Comparison, &Named)> = self.wrong(partner, evening).collect();
            let Some(mut date) = wrong.iter().map(|(_, item)| item.date).min() else { continue };
            while date <= evening {
                let of_day = wrong.iter().any(|(_, item)| item.date == date);
                let through = wrong.iter().filter(|(_, item)| item.date <= date);
                let carried: i128 =
                    through.map(|(comparison, item)| apart(*comparison, item)).sum();
                if of_day || carried != 0 {
                    all.insert((partner, date), self.position(partner, date));
                }
                date = date.next();
            }
        }
        all
    }

    /// What is wrong with an account on an evening.
    fn wrong(&self, partner: Bic, evening: Date) -> impl Iterator<Item = (Comparison, &Named)> {
        let open =
            self.stories.iter().filter(move |it| it.partner == partner && it.is_open(evening));
        open.flat_map(|story| story.items.iter().map(move |item| (story.comparison, item)))
    }

    /// The break about an account's day as it is opened in the evening of it: it names what is wrong of
    /// the day, or else of the days before it, in the first comparison that has any.
    fn position(&self, partner: Bic, date: Date) -> Open {
        let mut wrong: Vec<(Comparison, &Named)> = self.wrong(partner, date).collect();
        wrong.retain(|(_, item)| item.date <= date);
        let comparison = wrong.iter().map(|(comparison, _)| *comparison).min();
        let comparison = comparison.expect("something is wrong with the day");
        wrong.retain(|(of, _)| *of == comparison);
        if wrong.iter().any(|(_, item)| item.date == date) {
            wrong.retain(|(_, item)| item.date == date);
        }
        let mut items: Vec<Label> = wrong.iter().map(|(_, item)| item.label.clone()).collect();
        items.sort();
        Open { partner, comparison, category: Category::Position, items }
    }

    /// Every break that has to be open on an evening, sorted.
    pub fn open(&self, evening: Date) -> Vec<Open> {
        let mut all: Vec<Open> =
            self.stories.iter().filter_map(|story| story.open(evening)).collect();
        all.extend(self.positions(evening).into_values());
        all.sort();
        all
    }

    /// By how much a source differs from the raw lines on a date.
    pub fn shift(&self, partner: &Bic, source: Source, date: Date) -> i128 {
        self.shifts.get(&(*partner, source, date)).copied().unwrap_or(0)
    }
}

/// By how much an item that is wrong has the servicer's balance above the owner's; where the ledger is
/// compared with both, it stands between them.
fn apart(comparison: Comparison, item: &Named) -> i128 {
    match (comparison, item.label.source) {
        (_, Source::ServicerBook) | (Comparison::LedgerOwner, Source::Ledger) => item.amount,
        _ => -item.amount,
    }
}

/// As the account sees it.
pub fn signed(side: Side, amount: u64) -> i128 {
    match side {
        Side::Credit => i128::from(amount),
        Side::Debit => -i128::from(amount),
    }
}

/// Days later.
pub fn after(date: Date, days: u32) -> Date {
    Date::from_day_number(date.day_number() + days)
}

/// The first day after a date that is neither a Saturday nor a Sunday: 1993 began on a Friday.
pub fn next_business_day(date: Date) -> Date {
    let friday = Date::from_yyyymmdd(19_930_101).expect("a day").day_number();
    let is_weekend = |date: Date| matches!((date.day_number() - friday) % 7, 1 | 2);
    let mut next = after(date, 1);
    while is_weekend(next) {
        next = after(next, 1);
    }
    next
}
