//! A real year through the real core, day by day, in both modes: every booking of 1993 to or from
//! another bank, planted faults of every category, what was found on every evening, and every figure
//! against sums that this file makes of the raw lines, without the ledger's code.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use counterfoil_ledger::{
    agreement::Party,
    bic::Bic,
    date::{Date, days_in_month},
    matching::{
        item::{Comparison, Place, Source},
        pair::Category,
    },
    reason::Reason,
    reconciliation::orders::View,
};
use counterfoil_tests::{
    berka::{
        books::{self, Instalment},
        data::Data,
        faults::{self, Kind, PER_KIND},
        names::Reference,
        plan::{Mode, Open, Plan, book},
        year::Year,
    },
    data,
};

/// The faults of two runs are those of these seeds.
const SEEDS: [u64; 2] = [1993, 7];

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
fn right_books_that_settle_on_the_ledger_leave_nothing_open() {
    right_books_leave_nothing_open(Mode::Settle);
}

#[test]
fn right_books_that_are_only_recorded_leave_nothing_open() {
    right_books_leave_nothing_open(Mode::Record);
}

fn right_books_leave_nothing_open(mode: Mode) {
    let Some(folder) = data::folder_or_skip("berka", "right books") else { return };
    let data = Data::read(&folder).unwrap();
    let plan = Plan::right(mode, &books::payments(&data), &books::books(&data));
    let sums = Sums::of(&folder);
    let year = Year::run(&plan, &sums.funds, 0);
    assert_eq!(year.evenings, BTreeMap::new());
    assert_eq!(year.disagreed, BTreeMap::new());
    let pairs = OUTGOING + INCOMING;
    let matches = if mode == Mode::Settle { 2 * pairs } else { pairs };
    assert_eq!((year.item_count(), year.counts()), (2 * pairs, [matches, 0, 0]));
    // Two weeks into the next one nothing of the year is in memory any more.
    assert_eq!(year.open_item_count(), 0);
    figures_are_right(&year, &plan, &sums);
    for (partner, days) in &sums.days {
        for (date, expected) in days {
            for party in [Party::Servicer, Party::Owner] {
                let view = view(&year, partner, *date, party);
                let counts = (view.credit_count, view.credits, view.debit_count, view.debits);
                assert_eq!(counts, *expected, "{partner} {date} {party:?}");
            }
        }
    }
}

#[test]
fn planted_faults_between_the_ledger_and_both_books_are_found_and_nothing_else() {
    planted_faults_are_found_and_nothing_else(Mode::Settle);
}

#[test]
fn planted_faults_between_two_books_are_found_and_nothing_else() {
    planted_faults_are_found_and_nothing_else(Mode::Record);
}

fn planted_faults_are_found_and_nothing_else(mode: Mode) {
    let Some(folder) = data::folder_or_skip("berka", "planted faults") else { return };
    let data = Data::read(&folder).unwrap();
    let (payments, books) = (books::payments(&data), books::books(&data));
    let sums = Sums::of(&folder);
    // The second run has the faults of the first, and everything comes in another order.
    for (seed, order) in [(SEEDS[0], 0), (SEEDS[0], 1), (SEEDS[1], 2)] {
        let (plan, planted) = faults::plan(mode, &payments, &books, seed);
        assert_eq!(planted, Kind::ALL.len() * PER_KIND + 3 * sums.funds.len());
        assert!(planted >= 300);
        let year = Year::run(&plan, &sums.funds, order);
        found_is_planted(&year, &plan);
        figures_are_right(&year, &plan, &sums);
        assert_eq!(year.refused_views, vec![Reason::PositionWrong; sums.funds.len()]);
        if order == 1 {
            let replay = year.chain.replay().unwrap();
            assert_eq!(replay.state().header_hash(), year.chain.state().header_hash());
            assert_eq!(replay.state().accounts(), year.chain.state().accounts());
        }
    }
}

/// Every evening's list of open breaks, and every day's position.
fn found_is_planted(year: &Year, plan: &Plan) {
    let mut categories: BTreeMap<Category, usize> = BTreeMap::new();
    let mut before: Vec<Open> = Vec::new();
    for evening in year.dates() {
        let expected = plan.open(evening);
        let found = year.evenings.get(&evening).cloned().unwrap_or_default();
        let missed: Vec<_> = expected.iter().filter(|it| !found.contains(it)).collect();
        let invented: Vec<_> = found.iter().filter(|it| !expected.contains(it)).collect();
        assert!(
            missed.is_empty() && invented.is_empty(),
            "{evening}: missed {missed:#?}, invented {invented:#?}"
        );
        assert_eq!(found, expected, "{evening}");
        for new in expected.iter().filter(|it| !before.contains(it)) {
            *categories.entry(new.category).or_default() += 1;
        }
        let wrong: BTreeSet<(Bic, Date)> = plan.positions(evening).into_keys().collect();
        let disagreed = year.disagreed.get(&evening).cloned().unwrap_or_default();
        assert_eq!(disagreed, wrong, "{evening}");
        before = expected;
    }
    assert!(before.is_empty() && year.counts()[1] == 0, "everything was worked");
    for number in 1..=16 {
        let category = Category::from_number(number).unwrap();
        let count = categories.get(&category).copied().unwrap_or(0);
        assert!(count >= 10, "{count} of {category:?}");
    }
}

/// Credits and debits of a day: how many, and hellers.
type Figures = (u64, u64, u64, u64);

/// What the raw lines say moved on every partner's account.
struct Sums {
    days: BTreeMap<Bic, BTreeMap<Date, Figures>>,
    /// With what every account begins: twice what it pays in the year.
    funds: BTreeMap<Bic, u64>,
}

impl Sums {
    /// Reads the bookings' lines by their columns: 2 is the date, 3 the side, 5 the amount, 8 the
    /// bank.
    fn of(folder: &Path) -> Sums {
        let text = fs::read_to_string(folder.join("trans-1993.asc")).unwrap();
        let mut sums = Sums { days: BTreeMap::new(), funds: BTreeMap::new() };
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(';').map(|cell| cell.trim_matches('"')).collect();
            if cells[8].is_empty() {
                continue;
            }
            let date: u32 = cells[2].parse().unwrap();
            let date = Date::from_yyyymmdd(19_000_000 + date).unwrap();
            let (koruny, hellers) = cells[5].split_once('.').unwrap();
            assert_eq!(hellers.len(), 2);
            let amount: u64 = format!("{koruny}{hellers}").parse().unwrap();
            let partner = Bic::parse(&format!("{}XXCZPP", cells[8])).unwrap();
            let day = sums.days.entry(partner).or_default().entry(date).or_default();
            let funds = sums.funds.entry(partner).or_default();
            match cells[3] {
                "VYDAJ" => (day.0, day.1) = (day.0 + 1, day.1 + amount),
                "PRIJEM" => {
                    (day.2, day.3) = (day.2 + 1, day.3 + amount);
                    *funds += 2 * amount;
                }
                other => panic!("{other}"),
            }
        }
        sums
    }

    /// What a day added to an account.
    fn movement(&self, partner: &Bic, date: Date) -> i128 {
        let day = self.days[partner].get(&date).copied().unwrap_or_default();
        i128::from(day.1) - i128::from(day.3)
    }
}

/// A party's signed view of an agreed day.
fn view(year: &Year, partner: &Bic, date: Date, party: Party) -> View {
    let position = year.sheet(partner).position(date).unwrap();
    assert!(position.agreed_at.is_some(), "{partner} {date}");
    position.view(party).unwrap().0
}

/// Every day of the year is agreed, and both views come to what the raw lines say, but for what stays
/// of the planted faults; and so does the ledger's own balance.
fn figures_are_right(year: &Year, plan: &Plan, sums: &Sums) {
    assert_eq!(sums.funds.len(), 13);
    for (partner, funds) in &sums.funds {
        let mut balances = [i128::from(*funds); 3];
        for date in year.dates() {
            let raw = sums.movement(partner, date);
            for (party, balance) in [Party::Servicer, Party::Owner].into_iter().zip(&mut balances) {
                let view = view(year, partner, date, party);
                let moved = i128::from(view.credits) - i128::from(view.debits);
                let expected = raw + plan.shift(partner, book(party), date);
                assert_eq!(moved, expected, "{partner} {date} {party:?}");
                assert_eq!(view.opening + i64::try_from(moved).unwrap(), view.closing);
                assert_eq!(i128::from(view.opening), *balance, "{partner} {date} {party:?}");
                *balance += expected;
            }
            balances[2] += raw + plan.shift(partner, Source::Ledger, date);
        }
        for (party, balance) in [Party::Servicer, Party::Owner].into_iter().zip(balances) {
            let last = year.dates().last().unwrap();
            let view = view(year, partner, last, party);
            assert_eq!(i128::from(view.closing), balance, "{partner} {party:?}");
        }
        let settled = if plan.mode == Mode::Settle { balances[2] } else { i128::from(*funds) };
        assert_eq!(year.balance(partner), settled, "{partner}");
        reports_are_right(year, plan, sums, partner);
    }
}

/// The reports of every month, of some days that lie across months, and of the year.
fn reports_are_right(year: &Year, plan: &Plan, sums: &Sums, partner: &Bic) {
    let day = |yyyymmdd| Date::from_yyyymmdd(yyyymmdd).unwrap();
    let months = (1..=12).map(|month| {
        let last = days_in_month(1993, month);
        (day(19_930_001 + month * 100), day(19_930_000 + month * 100 + last))
    });
    let others = [(19_930_111, 19_930_111), (19_930_309, 19_930_812), (19_930_101, 19_940_115)];
    let others = others.into_iter().map(|(from, to)| (day(from), day(to)));
    let parties = [Party::Owner, Party::Servicer].map(|party| plan.mode.comparison(party));
    let comparisons: BTreeSet<Comparison> = parties.into_iter().collect();
    let moved = [Source::Ledger, Source::OwnerBook, Source::ServicerBook].map(|source| {
        let of = |date| sums.movement(partner, date) + plan.shift(partner, source, date);
        (source, year.dates().map(|date| (date, of(date))).collect::<BTreeMap<Date, i128>>())
    });
    let moved = BTreeMap::from(moved);
    for (from, to) in months.chain(others) {
        for comparison in &comparisons {
            let report = year.report(partner, *comparison, (from, to));
            assert!(report.adds_up(), "{partner} {from} {to}");
            for (place, figures) in Place::BOTH.into_iter().zip([&report.first, &report.second]) {
                let source = comparison.source(place);
                let within: i128 = moved[&source].range(from..=to).map(|(_, sum)| sum).sum();
                assert_eq!(figures.day.movement(), within, "{partner} {from} {to} {source:?}");
                let before: i128 = moved[&source].range(..from).map(|(_, sum)| sum).sum();
                let opening = i128::from(sums.funds[partner]) + before;
                assert_eq!(figures.opening, Some(opening), "{partner} {from} {to} {source:?}");
                assert_eq!((figures.waiting.count, figures.proposed.count), (0, 0));
            }
            assert!(report.breaks.values().all(|breaks| breaks.open_count == 0));
            assert_eq!(report.proposal_count, 0);
        }
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
        Reference::of_fault("RETURN", "29401"),
    ] {
        assert_ne!(of.uetr, other.uetr);
        assert_ne!(of.end_to_end_id, other.end_to_end_id);
    }
}
