//! A real year through the real core: every booking of 1993 to or from another bank settles, both
//! sides' books are matched against the ledger, planted errors are found, and every figure is compared
//! with sums that this file makes of the raw lines, without the ledger's code.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path};

use counterfoil_ledger::{bic::Bic, block::Side, date::Date, reconciliation::BreakKind};
use counterfoil_tests::{
    berka::{
        books::{self, Instalment},
        data::Data,
        errors::{self, Difference, ERRORS_PER_SIDE, Figure, KINDS},
        names::{self, Reference},
        year::{Year, month_range},
    },
    data,
};

/// The errors of every run are those of this seed.
const SEED: u64 = 1993;

/// Bookings of the file that the tests were written for: to other banks, and from them.
const OUTGOING: usize = 3_231;
const INCOMING: usize = 2_462;

#[test]
fn every_outgoing_booking_is_a_standing_orders_instalment_and_the_other_way_round() {
    let Some(folder) = data::folder_or_skip("berka", "orders against bookings") else { return };
    let data = Data::read(&folder).unwrap();
    let outgoing = data.bookings.iter().filter(|booking| booking.outgoing).count();
    assert_eq!((outgoing, data.bookings.len() - outgoing), (OUTGOING, INCOMING));

    let orders = books::orders_by_booking(&data.orders);
    let mut booked: Vec<Instalment> = data
        .bookings
        .iter()
        .filter(|booking| booking.outgoing)
        .map(|booking| Instalment {
            order: orders[&(&booking.parties, booking.amount)].id,
            date: booking.date,
            amount: booking.amount,
        })
        .collect();
    let mut ordered = books::instalments(&data);
    booked.sort();
    ordered.sort();
    assert_eq!(booked, ordered);
}

#[test]
fn correct_books_leave_nothing_open() {
    let Some(folder) = data::folder_or_skip("berka", "correct books") else { return };
    let data = Data::read(&folder).unwrap();
    let year = Year::run(&books::payments(&data), &books::books(&data));
    let all = 2 * (OUTGOING + INCOMING);
    assert_eq!(year.entry_counts(), (all, all));
    assert_eq!(year.differences(), Vec::new());
    // What was late was missing when the statements came, in both books, and has come since.
    let sums = Sums::of(&folder);
    let late: usize = (1..=12).map(|month| sums.on_last_day(month)).sum();
    assert!(late > 0);
    assert_eq!(year.healed_count(), late);
    reports_are_right(&year, &sums, &[]);
}

#[test]
fn planted_errors_are_found_with_their_kind_and_nothing_else() {
    let Some(folder) = data::folder_or_skip("berka", "planted errors") else { return };
    let data = Data::read(&folder).unwrap();
    let mut books = books::books(&data);
    let planted = errors::plant(&mut books, SEED);
    let mut by_kind: BTreeMap<(bool, BreakKind), usize> = BTreeMap::new();
    for difference in &planted {
        *by_kind.entry((difference.bank == names::home(), difference.kind)).or_default() += 1;
    }
    let expected = ERRORS_PER_SIDE / KINDS.len();
    assert_eq!(by_kind.len(), 2 * KINDS.len());
    assert!(by_kind.values().all(|count| *count == expected) && planted.len() >= 100);

    let year = Year::run(&books::payments(&data), &books);
    let found = year.differences();
    let missed: Vec<_> = planted.iter().filter(|it| !found.contains(it)).collect();
    let invented: Vec<_> = found.iter().filter(|it| !planted.contains(it)).collect();
    assert!(missed.is_empty() && invented.is_empty(), "missed {missed:#?}, invented {invented:#?}");
    assert_eq!(found, planted);
    let sums = Sums::of(&folder);
    assert_eq!(year.settled_count(), OUTGOING + INCOMING + year.banks().len());
    balances_are_right(&year, &sums);
    reports_are_right(&year, &sums, &planted);

    let replay = year.chain().replay().unwrap();
    assert_eq!(replay.state().header_hash(), year.chain().state().header_hash());
    assert_eq!(replay.state().accounts(), year.chain().state().accounts());
}

/// What the raw lines say moved, for every bank.
struct Sums {
    movements: BTreeMap<Bic, Vec<Figure>>,
    funds: BTreeMap<Bic, i128>,
}

/// Hellers.
#[derive(Clone, Copy, Default)]
struct Range {
    opening: i128,
    credits: (u64, i128),
    debits: (u64, i128),
}

impl Range {
    fn closing(&self) -> i128 {
        self.opening + self.credits.1 - self.debits.1
    }

    /// Adds a movement, or takes it away.
    fn add(&mut self, figure: &Figure, from: Date, to: Date, times: i64) {
        let (side, amount, date) = figure;
        if *date < from {
            self.opening += i128::from(times) * signed(Some(figure));
        }
        if (from..=to).contains(date) {
            let (count, sum) = match side {
                Side::Credit => &mut self.credits,
                Side::Debit => &mut self.debits,
            };
            *count = count.checked_add_signed(times).unwrap();
            *sum += i128::from(times) * i128::from(*amount);
        }
    }
}

impl Sums {
    /// Reads the bookings' lines by their columns: 2 is the date, 3 the side, 5 the amount, 8 the
    /// bank.
    fn of(folder: &Path) -> Sums {
        let text = fs::read_to_string(folder.join("trans-1993.asc")).unwrap();
        let mut movements: BTreeMap<Bic, Vec<Figure>> = BTreeMap::new();
        let mut funds: BTreeMap<Bic, i128> = BTreeMap::new();
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(';').map(|cell| cell.trim_matches('"')).collect();
            if cells[8].is_empty() {
                continue;
            }
            let date = Date::parse(&format!(
                "19{}-{}-{}",
                &cells[2][..2],
                &cells[2][2..4],
                &cells[2][4..]
            ))
            .unwrap();
            let (koruny, hellers) = cells[5].split_once('.').unwrap();
            assert_eq!(hellers.len(), 2);
            let amount: u64 = format!("{koruny}{hellers}").parse().unwrap();
            let partner = Bic::parse(&format!("{}XXCZPP", cells[8])).unwrap();
            let (payer, payee) = match cells[3] {
                "VYDAJ" => (names::home(), partner),
                "PRIJEM" => (partner, names::home()),
                other => panic!("{other}"),
            };
            movements.entry(payer).or_default().push((Side::Debit, amount, date));
            movements.entry(payee).or_default().push((Side::Credit, amount, date));
            // Every bank is funded with what it pays in the whole year.
            *funds.entry(payer).or_default() += i128::from(amount);
        }
        Sums { movements, funds }
    }

    fn banks(&self) -> Vec<Bic> {
        self.movements.keys().copied().collect()
    }

    fn range(&self, bank: &Bic, from: Date, to: Date) -> Range {
        let mut range = Range { opening: self.funds[bank], ..Range::default() };
        self.movements[bank].iter().for_each(|figure| range.add(figure, from, to, 1));
        range
    }

    /// Movements on the last day of a month that has any.
    fn on_last_day(&self, month: u32) -> usize {
        let (from, to) = month_range(month);
        let dates = self.movements.values().flatten().map(|figure| figure.2);
        let dates: Vec<Date> = dates.filter(|date| (from..=to).contains(date)).collect();
        let last = dates.iter().max().unwrap();
        dates.iter().filter(|date| *date == last).count()
    }
}

/// Every account, at the end of every month, to the heller.
fn balances_are_right(year: &Year, sums: &Sums) {
    assert_eq!(year.banks(), sums.banks());
    assert_eq!(year.banks().len(), 14);
    let issued: i128 = sums.funds.values().sum();
    for (at, month) in (1..=12).zip(1..=12) {
        let (from, to) = month_range(month);
        for bank in sums.banks() {
            let expected = sums.range(&bank, from, to).closing();
            assert_eq!(year.month_end(&bank, at), expected, "{bank} in month {month}");
        }
        assert_eq!(year.month_end(&names::agent(), at), -issued, "issuance in month {month}");
    }
}

/// Every bank's reports, of every month, of some days of it, of the year.
fn reports_are_right(year: &Year, sums: &Sums, planted: &[Difference]) {
    let day = |month, day| Date::from_yyyymmdd(19_930_000 + month * 100 + day).unwrap();
    for bank in sums.banks() {
        for month in 1..=12 {
            let (first, last) = month_range(month);
            report_is_right(year, sums, planted, &bank, (first, last), 1);
            report_is_right(year, sums, planted, &bank, (day(month, 9), day(month, 12)), 1);
        }
        report_is_right(year, sums, planted, &bank, (day(3, 11), day(8, 9)), 6);
        report_is_right(year, sums, planted, &bank, (day(1, 1), day(12, 31)), 12);
    }
}

/// The ledger's figures are the file's, the book's are those with the planted errors, and the breaks
/// are what lies between.
fn report_is_right(
    year: &Year,
    sums: &Sums,
    planted: &[Difference],
    bank: &Bic,
    (from, to): (Date, Date),
    statement_count: u32,
) {
    let report = year.report(bank, from, to);
    let ledger = sums.range(bank, from, to);
    let mut book = ledger;
    let mut lines: BTreeMap<BreakKind, (u64, i128)> = BTreeMap::new();
    let mut matched = (ledger.credits.0 + ledger.debits.0, ledger.credits.1 + ledger.debits.1);
    for it in planted.iter().filter(|it| it.bank == *bank) {
        let within = |figure: &&Figure| (from..=to).contains(&figure.2);
        let entry = it.entry.as_ref().map(|(figure, _)| figure);
        let own = it.posting.as_ref().filter(|_| it.kind != BreakKind::Duplicate);
        let posting = own.map(|(figure, _)| figure);
        entry.into_iter().for_each(|figure| book.add(figure, from, to, 1));
        posting.into_iter().for_each(|figure| book.add(figure, from, to, -1));
        let (entry, posting) = (entry.filter(within), posting.filter(within));
        if let Some((_, amount, _)) = posting {
            matched = (matched.0 - 1, matched.1 - i128::from(*amount));
        }
        if entry.is_some() || posting.is_some() {
            let (count, effect) = lines.entry(it.kind).or_default();
            *count += 1;
            *effect += signed(entry) - signed(posting);
        }
    }
    assert_eq!((report.matched_count, report.matched_amount), matched, "{bank} {from} {to}");
    for (kind, count, effect) in &report.breaks {
        let expected = lines.get(kind).copied().unwrap_or_default();
        assert_eq!((*count, *effect), expected, "{bank} {from} {to} {kind:?}");
    }
    for (figures, sums) in [(&report.ledger, ledger), (&report.book, book)] {
        assert_eq!(figures.opening, sums.opening, "{bank} {from} {to}");
        assert_eq!((figures.credit_count, figures.credits), sums.credits);
        assert_eq!((figures.debit_count, figures.debits), sums.debits);
        assert_eq!(figures.closing, sums.closing());
    }
    assert_eq!(report.statement_count, statement_count);
    assert_eq!((report.undecided_count, report.undecided_effect, report.unexplained), (0, 0, 0));
    let effects: i128 = report.breaks.iter().map(|(_, _, effect)| effect).sum();
    assert_eq!(report.ledger.closing + report.opening_difference + effects, report.book.closing);
}

fn signed(figure: Option<&Figure>) -> i128 {
    match figure {
        None => 0,
        Some((Side::Credit, amount, _)) => i128::from(*amount),
        Some((Side::Debit, amount, _)) => -i128::from(*amount),
    }
}

#[test]
fn references_are_derived_and_differ() {
    let of = Reference::of_instalment(29_401, 6);
    assert_eq!(of, Reference::of_instalment(29_401, 6));
    assert_eq!(of.end_to_end_id, "ORDER 29401/1993-06");
    for other in [
        Reference::of_instalment(29_401, 7),
        Reference::of_instalment(29_402, 6),
        Reference::of_incoming(29_401),
        Reference::of_nothing("29401"),
    ] {
        assert_ne!(of.uetr, other.uetr);
        assert_ne!(of.end_to_end_id, other.end_to_end_id);
    }
}
