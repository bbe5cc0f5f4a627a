//! Planted faults: what clerks and programs do to a book, what has to be found of it, and how people
//! put it right.

use std::collections::BTreeMap;

use counterfoil_ledger::{
    agreement::Party,
    bic::Bic,
    block::Side,
    date::Date,
    hash::Hash,
    matching::{item::Source, pair::Category},
    reconciliation::orders::ResolutionKind,
    uetr::Uetr,
};

use super::{
    books::{Books, Carries, Entry, Payment},
    names::{self, Reference},
    plan::{Label, Mode, Named, Plan, Step, Story, Which, after, book, next_business_day, signed},
};

/// Amounts that belong together may differ by so many hellers.
pub const TOLERANCE: u64 = 5;

/// Exchanged ones by so many, and then it is called a rounding.
pub const EXCHANGE_ROUNDING: u64 = 50;

/// Value dates may differ by so many business days.
pub const WINDOW: u32 = 1;

/// Faults of each kind that are planted in payments.
pub const PER_KIND: usize = 22;

/// Differences that the terms allow, of each of two kinds.
pub const ALLOWED_PER_KIND: usize = 30;

/// What goes wrong with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The entry comes the next morning.
    Late,
    /// The payment itself settles the next morning. Where none settles: as the one before.
    PaidLate,
    /// The entry comes after the deadline.
    Forgotten,
    /// A payment is booked that nobody made.
    Invented,
    /// With another amount.
    Amount,
    /// The payer pays too little, and books that; the payee books what is owed.
    Underpaid,
    /// In another currency.
    Currency,
    /// With a value date of its own.
    ValueDate,
    /// On the other side.
    Direction,
    /// Twice.
    Duplicate,
    /// A credit is booked of which nothing is known.
    Unidentified,
    /// Less charges.
    Charges,
    /// With another counterparty.
    Counterparty,
    /// Exchanged, and rounded otherwise.
    Rounding,
    /// A return is booked that the other bank does not have, or not yet.
    Return,
}

impl Kind {
    /// All.
    pub const ALL: [Kind; 15] = [
        Kind::Late,
        Kind::PaidLate,
        Kind::Forgotten,
        Kind::Invented,
        Kind::Amount,
        Kind::Underpaid,
        Kind::Currency,
        Kind::ValueDate,
        Kind::Direction,
        Kind::Duplicate,
        Kind::Unidentified,
        Kind::Charges,
        Kind::Counterparty,
        Kind::Rounding,
        Kind::Return,
    ];
}

/// What is done to an entry.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Fault(Kind),
    /// A few hellers that the tolerance covers.
    SlightAmount,
    /// A day that the window covers.
    SlightDate,
}

/// A year with faults, and how many were planted. The seed decides which payments they hit.
pub fn plan(mode: Mode, payments: &[Payment], books: &Books, seed: u64) -> (Plan, usize) {
    let chosen = choose(payments, seed);
    let plan = Plan::right(mode, &[], &Books::new());
    let mut planter = Planter { plan, planted: 0, draw: Hash::ZERO };
    let mut entries: BTreeMap<(Bic, Party, Uetr), Entry> = BTreeMap::new();
    for ((partner, party), book) in books {
        entries.extend(book.iter().map(|it| ((*partner, *party, it.reference.uetr), it.clone())));
    }
    for payment in payments {
        let mut entry = |party| {
            let key = (payment.partner, party, payment.reference.uetr);
            entries.remove(&key).expect("both books have every payment")
        };
        let pair = [entry(Party::Servicer), entry(Party::Owner)];
        match chosen.get(&payment.reference.uetr) {
            None => planter.right(payment.clone(), pair),
            Some((deed, party, draw)) => {
                planter.draw = *draw;
                planter.spoil(*deed, *party, payment.clone(), pair);
            }
        }
    }
    planter.misstate(seed);
    (planter.plan, planter.planted)
}

/// Which payments: those with the smallest hashes. Kinds take turns, and so do the books.
fn choose(payments: &[Payment], seed: u64) -> BTreeMap<Uetr, (Deed, Party, Hash)> {
    let mut drawn: Vec<(Hash, &Payment)> = payments
        .iter()
        .filter(|payment| payment.amount > 10_000)
        .map(|payment| {
            let uetr = payment.reference.uetr.to_string();
            (names::derived(&["fault", &seed.to_string(), &uetr]), payment)
        })
        .collect();
    drawn.sort_unstable_by_key(|(draw, _)| *draw);
    let faults = Kind::ALL.into_iter().flat_map(|kind| vec![Deed::Fault(kind); PER_KIND]);
    let allowed = [Deed::SlightAmount, Deed::SlightDate];
    let allowed = allowed.into_iter().flat_map(|deed| vec![deed; ALLOWED_PER_KIND]);
    let parties = [Party::Owner, Party::Servicer].into_iter().cycle();
    let mut chosen = BTreeMap::new();
    for ((deed, party), (draw, payment)) in faults.chain(allowed).zip(parties).zip(drawn) {
        chosen.insert(payment.reference.uetr, (deed, party, draw));
    }
    chosen
}

/// A payment and the two entries of it, the servicer's first.
type Pair = [Entry; 2];

fn seat(party: Party) -> usize {
    match party {
        Party::Servicer => 0,
        Party::Owner => 1,
    }
}

/// A plan in the making.
pub(super) struct Planter {
    pub(super) plan: Plan,
    pub(super) planted: usize,
    draw: Hash,
}

impl Planter {
    fn right(&mut self, payment: Payment, [servicers, owners]: Pair) {
        let day = self.plan.day(payment.date, payment.partner);
        day.entries.push((Party::Servicer, servicers));
        day.entries.push((Party::Owner, owners));
        day.payments.push(payment);
    }

    /// A number below a bound, out of the draw.
    fn draw(&self, place: usize, below: u64) -> u64 {
        u64::from(self.draw.as_bytes()[place]) % below
    }

    /// The morning on which what is wrong on a date, and may still come, is put right: after it counts as
    /// missing.
    fn overdue(&self, date: Date) -> Date {
        after(next_business_day(date), 1 + self.draw_days())
    }

    /// The morning on which what is plainly wrong is put right.
    fn soon(&self, date: Date) -> Date {
        after(date, 1 + self.draw_days())
    }

    fn draw_days(&self) -> u32 {
        u32::from(self.draw.as_bytes()[1] % 4)
    }

    /// Of two ways to put something right.
    fn other_way(&self) -> bool {
        self.draw.as_bytes()[2] < 128
    }

    /// Does something wrong in a party's book of a payment.
    fn spoil(&mut self, deed: Deed, party: Party, payment: Payment, pair: Pair) {
        let case = Case { party, partner: payment.partner, date: payment.date };
        let kind = match deed {
            Deed::SlightAmount => return self.slight_amount(case, payment, pair),
            Deed::SlightDate => return self.slight_date(case, payment, pair),
            Deed::Fault(kind) => kind,
        };
        self.planted += 1;
        match kind {
            Kind::PaidLate if self.plan.mode == Mode::Settle => self.paid_late(case, payment, pair),
            Kind::Late | Kind::PaidLate | Kind::Forgotten => {
                self.not_booked(kind, case, payment, pair);
            }
            Kind::Invented | Kind::Unidentified => {
                self.booked_of_nothing(kind, case, payment, pair)
            }
            Kind::Amount | Kind::Currency | Kind::Direction => {
                self.booked_wrongly(kind, case, payment, pair);
            }
            Kind::Underpaid => self.underpaid(payment, pair),
            Kind::ValueDate | Kind::Charges | Kind::Counterparty | Kind::Rounding => {
                self.booked_otherwise(kind, case, payment, pair);
            }
            Kind::Duplicate => self.booked_twice(case, payment, pair),
            Kind::Return => self.returned(case, payment, pair),
        }
    }

    fn slight_amount(&mut self, case: Case, payment: Payment, mut pair: Pair) {
        let entry = &mut pair[seat(case.party)];
        let before = signed(entry.side, entry.amount);
        entry.amount += 1 + self.draw(3, TOLERANCE);
        let more = signed(entry.side, entry.amount) - before;
        self.shift(case, book(case.party), case.date, more);
        self.right(payment, pair);
    }

    fn slight_date(&mut self, case: Case, payment: Payment, mut pair: Pair) {
        let entry = &mut pair[seat(case.party)];
        entry.valued = after(entry.valued, 1);
        self.move_date(case, &entry.clone());
        self.right(payment, pair);
    }

    /// An entry counts from another date than the payment's.
    fn move_date(&mut self, case: Case, entry: &Entry) {
        let amount = signed(entry.side, entry.amount);
        self.shift(case, book(case.party), case.date, -amount);
        self.shift(case, book(case.party), entry.valued, amount);
    }

    /// The posting settles a day late: both books are without a counterpart.
    fn paid_late(&mut self, case: Case, payment: Payment, pair: Pair) {
        let until = after(case.date, 1);
        for party in [Party::Servicer, Party::Owner] {
            let item = Named::entry(party, &pair[seat(party)]);
            let stages = vec![(case.date, Category::Timing)];
            self.story(Case { party, ..case }, vec![item], stages, until);
            let entry = pair[seat(party)].clone();
            self.plan.day(case.date, case.partner).entries.push((party, entry));
        }
        self.plan.day(until, case.partner).morning.push(Step::Pay(payment));
    }

    /// The entry comes later, or much later.
    fn not_booked(&mut self, kind: Kind, case: Case, payment: Payment, pair: Pair) {
        let until = match kind {
            Kind::Forgotten => self.overdue(case.date),
            _ => after(case.date, 1),
        };
        let item = self.counterpart(case, &payment, &pair);
        let missing = self.plan.mode.missing(case.party, true);
        self.lone(case, item, missing, until);
        let [mut entry, other] = split(case.party, pair);
        entry.booked = until;
        let day = self.plan.day(case.date, case.partner);
        day.entries.push((case.party.other(), other));
        day.payments.push(payment);
        self.plan.day(until, case.partner).morning.push(Step::Book(case.party, entry));
    }

    /// An entry without a payment; it is taken back.
    fn booked_of_nothing(&mut self, kind: Kind, case: Case, payment: Payment, pair: Pair) {
        let right = &pair[seat(case.party)];
        let mut entry = Entry::of(&payment, Carries::Both, String::new());
        let missing = match kind {
            Kind::Unidentified => {
                (entry.side, entry.carries) = (Side::Credit, Carries::Nothing);
                entry.amount += 700 + self.draw(3, 256);
                entry.own_reference = format!("{} WHOSE", right.own_reference);
                Category::UnidentifiedReceipt
            }
            _ => {
                entry.reference = Reference::of_fault("INVENTED", &right.own_reference);
                entry.own_reference = format!("{} NOBODY", right.own_reference);
                self.plan.mode.missing(case.party, false)
            }
        };
        self.right(payment, pair);
        self.lone_entry(case, entry, missing);
    }

    /// Writes an entry without a counterpart, which is taken back.
    fn lone_entry(&mut self, case: Case, entry: Entry, missing: Category) {
        let until = self.overdue(case.date);
        self.lone(case, Named::entry(case.party, &entry), missing, until);
        let reversal = Step::Book(case.party, entry.reversal(until));
        self.plan.day(case.date, case.partner).entries.push((case.party, entry));
        let morning = &mut self.plan.day(until, case.partner).morning;
        morning.extend([reversal, Step::Run(case.party)]);
    }

    /// A wrong entry, which is taken back and written anew.
    fn booked_wrongly(&mut self, kind: Kind, case: Case, payment: Payment, mut pair: Pair) {
        let until = self.soon(case.date);
        let right = pair[seat(case.party)].clone();
        let wrong = &mut pair[seat(case.party)];
        let category = match kind {
            Kind::Currency => {
                wrong.asset = Some("EUR");
                Category::Currency
            }
            Kind::Direction => {
                wrong.side = wrong.side.opposite();
                Category::Direction
            }
            _ => {
                wrong.amount = other_amount(wrong.amount, &self.draw);
                Category::Amount
            }
        };
        let wrong = wrong.clone();
        let other = self.counterpart(case, &payment, &pair);
        let items = vec![other, Named::entry(case.party, &wrong)];
        self.story(case, items, vec![(case.date, category)], until);
        self.right(payment, pair);
        let own_reference = format!("{} RIGHT", right.own_reference);
        let anew = Entry { booked: until, own_reference, ..right };
        self.plan.day(until, case.partner).morning.extend([
            Step::Book(case.party, wrong.reversal(until)),
            Step::Book(case.party, anew),
            Step::Run(case.party),
        ]);
    }

    /// An entry that differs, and stays: both parties, or one with two keys, say that this ends it.
    fn booked_otherwise(&mut self, kind: Kind, case: Case, payment: Payment, mut pair: Pair) {
        let until = self.soon(case.date);
        let (mine, others) = (seat(case.party), seat(case.party.other()));
        let right = signed(pair[mine].side, pair[mine].amount);
        let entry = &mut pair[mine];
        let (category, kind) = match kind {
            Kind::ValueDate => {
                let later = 7 + u32::from(self.draw.as_bytes()[3] % 8);
                entry.valued = after(entry.valued, later);
                (Category::ValueDate, ResolutionKind::NoAction)
            }
            Kind::Charges => {
                entry.charges = 500 + self.draw(3, 256);
                entry.amount -= entry.charges;
                (Category::Charges, ResolutionKind::ChargeAccepted)
            }
            Kind::Rounding => {
                entry.exchanged = true;
                entry.amount += TOLERANCE + 1 + self.draw(3, EXCHANGE_ROUNDING - TOLERANCE);
                (Category::ExchangeRounding, ResolutionKind::WriteOff)
            }
            _ => {
                entry.counterparty = Some(names::operator());
                pair[others].counterparty = Some(names::home());
                (Category::WrongAccount, ResolutionKind::BookCorrected)
            }
        };
        let entry = pair[mine].clone();
        match category {
            Category::ValueDate => self.move_date(case, &entry),
            _ => {
                let more = signed(entry.side, entry.amount) - right;
                self.shift(case, book(case.party), case.date, more);
            }
        }
        let other = self.counterpart(case, &payment, &pair);
        let items = vec![other, Named::entry(case.party, &entry)];
        let which = self.story(case, items, vec![(case.date, category)], until);
        self.right(payment, pair);
        let step = match kind {
            ResolutionKind::WriteOff => Step::WriteOff(which, case.party),
            _ => Step::Resolve(which, kind, case.party),
        };
        self.plan.day(until, case.partner).morning.push(step);
    }

    /// The entry is there twice; one of the two is taken back, and people say so.
    fn booked_twice(&mut self, case: Case, payment: Payment, pair: Pair) {
        let until = self.soon(case.date);
        let entry = pair[seat(case.party)].clone();
        let item = Named::entry(case.party, &entry);
        let label = item.label.clone();
        self.story(case, vec![item], vec![(case.date, Category::Duplicate)], until);
        self.right(payment, pair);
        self.plan.day(case.date, case.partner).entries.push((case.party, entry.clone()));
        let reversal = entry.reversal(until);
        let items = vec![label, Label::entry(case.party, &reversal)];
        let comparison = self.plan.mode.comparison(case.party);
        let morning = &mut self.plan.day(until, case.partner).morning;
        let confirm = Step::Confirm(comparison, items);
        morning.extend([Step::Book(case.party, reversal), confirm]);
    }

    /// The payer pays less than the payee books; the rest is paid when both have seen it.
    fn underpaid(&mut self, mut payment: Payment, mut pair: Pair) {
        let payer = payment.payer();
        let case = Case { party: payer.other(), partner: payment.partner, date: payment.date };
        let until = self.soon(case.date);
        let short = 1_000 + 20 * self.draw(3, 256);
        payment.amount -= short;
        pair[seat(payer)].amount -= short;
        let mut rest = Payment { amount: short, date: until, ..payment.clone() };
        rest.reference = Reference::of_fault("REST", &pair[seat(payer)].own_reference);
        let own_reference = format!("{} REST", pair[seat(payer)].own_reference);
        let entry = Entry::of(&rest, Carries::Both, own_reference);
        let paid = self.counterpart(case, &payment, &pair);
        let claim = Named::entry(case.party, &pair[seat(case.party)]);
        let labels = vec![paid.label.clone(), claim.label.clone(), Label::entry(payer, &entry)];
        let items = vec![paid, claim];
        let which = self.story(case, items, vec![(case.date, Category::Amount)], until);
        self.right(payment, pair);
        // Money comes when it is paid; until then the payer's book says so.
        let late = signed(rest.side, short);
        self.shift(case, book(payer), case.date, -late);
        self.shift(case, book(payer), until, late);
        match self.plan.mode {
            Mode::Settle => {
                self.shift(case, Source::Ledger, case.date, -late);
                self.shift(case, Source::Ledger, until, late);
                let morning = &mut self.plan.day(until, case.partner).morning;
                morning.extend([Step::Correct(which, rest), Step::Book(payer, entry)]);
            }
            Mode::Record => {
                let comparison = self.plan.mode.comparison(payer);
                let confirm = Step::Confirm(comparison, labels);
                let morning = &mut self.plan.day(until, case.partner).morning;
                morning.extend([Step::Book(payer, entry), confirm]);
            }
        }
    }

    /// A return is booked. Either it is paid later, or it is taken back.
    fn returned(&mut self, case: Case, payment: Payment, pair: Pair) {
        let own = pair[seat(case.party)].own_reference.clone();
        let mut back = payment.clone();
        back.side = payment.side.opposite();
        back.reference = Reference::of_fault("RETURN", &own);
        let mut entry = Entry::of(&back, Carries::Both, format!("{own} RETURN"));
        entry.returned = true;
        self.right(payment, pair);
        if self.other_way() {
            self.lone_entry(case, entry, Category::ReturnUnmatched);
            return;
        }
        let until = self.overdue(case.date);
        let item = Named::entry(case.party, &entry);
        self.lone(case, item, Category::ReturnUnmatched, until);
        let amount = signed(back.side, back.amount);
        for source in [Source::Ledger, Source::OwnerBook, Source::ServicerBook] {
            self.shift(case, source, case.date, amount);
        }
        let theirs = Entry { booked: until, ..entry.clone() };
        self.plan.day(case.date, case.partner).entries.push((case.party, entry));
        let morning = &mut self.plan.day(until, case.partner).morning;
        morning.extend([Step::Pay(back), Step::Book(case.party.other(), theirs)]);
    }

    /// An item without a counterpart: late, and then missing.
    fn lone(&mut self, case: Case, item: Named, missing: Category, until: Date) {
        let stages = vec![(case.date, Category::Timing), (next_business_day(case.date), missing)];
        self.story(case, vec![item], stages, until);
    }

    /// What has to be found.
    pub(super) fn story(
        &mut self,
        case: Case,
        items: Vec<Named>,
        stages: Vec<(Date, Category)>,
        until: Date,
    ) -> Which {
        let comparison = self.plan.mode.comparison(case.party);
        let mut labels: Vec<Label> = items.iter().map(|item| item.label.clone()).collect();
        labels.sort();
        let category = stages[stages.len() - 1].1;
        let story = Story { partner: case.partner, comparison, items, stages, until };
        self.plan.stories.push(story);
        Which { comparison, items: labels, category }
    }

    /// What a party's entry of a payment is compared with.
    fn counterpart(&self, case: Case, payment: &Payment, pair: &Pair) -> Named {
        let other = case.party.other();
        match self.plan.mode {
            Mode::Settle => Named::posting(payment),
            Mode::Record => Named::entry(other, &pair[seat(other)]),
        }
    }

    fn shift(&mut self, case: Case, source: Source, date: Date, amount: i128) {
        *self.plan.shifts.entry((case.partner, source, date)).or_default() += amount;
    }
}

/// Whose book of which account is wrong, on which date.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) party: Party,
    pub(super) partner: Bic,
    pub(super) date: Date,
}

/// A party's own entry, and the other one's.
fn split(party: Party, [servicers, owners]: Pair) -> Pair {
    match party {
        Party::Servicer => [servicers, owners],
        Party::Owner => [owners, servicers],
    }
}

/// A koruna too much or too little, ten times as much, or two digits exchanged; whatever the draw says
/// and is another amount.
fn other_amount(amount: u64, draw: &Hash) -> u64 {
    let koruny = amount / 100;
    let wrong = match draw.as_bytes()[3] % 4 {
        0 => amount + 100,
        1 => amount - 100,
        2 => amount * 10,
        _ => (koruny / 100 * 100 + koruny % 10 * 10 + koruny / 10 % 10) * 100 + amount % 100,
    };
    if wrong == amount { amount + 100 } else { wrong }
}
