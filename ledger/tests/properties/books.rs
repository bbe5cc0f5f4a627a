//! Books against the model; reports that add up; and facts whose order must not matter.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    block::Position,
    date::Date,
    instruction::Draft,
    reconciliation::{
        Book, BreakKind, Status,
        report::{Report, report},
    },
};
use counterfoil_proto::v1::{self, instruction::Body};
use proptest::prelude::*;

use super::{
    naive::{Fate, Naive, Place},
    random::{ACCOUNTS, account},
    support::{
        Chain, Consortium, NOON_MS,
        build::{self, HOUR_MS, id_of},
        consortium::bic_of,
    },
};

fn place(position: &Position) -> Place {
    (position.height, position.leaf)
}

/// Every entry is in exactly one of matched, open and break, every posting is matched at most once,
/// and all of it is what the model says; reports of every range add up.
pub fn check(chain: &Chain, naive: &Naive) {
    for (number, (servicer, owner, ..)) in ACCOUNTS.iter().enumerate() {
        let id = account(number);
        let Some(found) = chain.state.account(&id) else { continue };
        for (book, bank) in [(Book::Servicer, servicer), (Book::Owner, owner)] {
            if book == Book::Owner && servicer == owner {
                continue;
            }
            check_book(chain, naive, &id, found.ordinal, book, bank);
            check_reports(chain, found.ordinal, book);
        }
    }
}

fn check_book(chain: &Chain, naive: &Naive, id: &AccountId, ordinal: u32, book: Book, bank: &str) {
    let reconciliation = chain.state.reconciliation();
    let breaks = reconciliation.breaks(ordinal);
    let mut matched = BTreeSet::new();
    let mut named = BTreeSet::new();
    let mut fates = Vec::new();
    for entry in reconciliation.book(ordinal, book).map_or(&[][..], |state| state.entries()) {
        fates.push(match &entry.status {
            Status::Open => Fate::Open,
            Status::Matched(item, _) => {
                assert!(matched.insert(place(&item.position)), "matched twice");
                Fate::Matched(place(&item.position))
            }
            Status::Broken(number) => {
                let found = &breaks[usize::try_from(*number).unwrap() - 1];
                assert_eq!((found.book, found.entry), (book, Some(entry.number)));
                assert_eq!(found.healed_at, None);
                assert!(named.insert(*number), "two entries in one break");
                let posting = || place(&found.ledger.unwrap().position);
                let differs = |kind| Fate::Differs(kind, posting());
                match found.kind {
                    BreakKind::Direction => differs("direction"),
                    BreakKind::Amount => differs("amount"),
                    BreakKind::Date => differs("date"),
                    BreakKind::Duplicate => Fate::Duplicate,
                    BreakKind::MissingHere => Fate::MissingHere,
                    BreakKind::MissingThere => panic!("an entry is not missing there"),
                }
            }
        });
    }
    assert_eq!(fates, naive.fates(id.as_bytes(), &bank.to_owned()));
    let mut missing_there = BTreeSet::new();
    for found in breaks.iter().filter(|found| found.book == book && found.healed_at.is_none()) {
        if found.kind == BreakKind::MissingThere {
            assert!(missing_there.insert(place(&found.ledger.unwrap().position)));
        } else {
            assert!(named.contains(&found.number), "an open break whose entry stands elsewhere");
        }
    }
    assert_eq!(missing_there, naive.missing_there(id.as_bytes(), &bank.to_owned()));
}

fn check_reports(chain: &Chain, ordinal: u32, book: Book) {
    let dates = [20_261_122, 20_261_123, 20_261_124, 20_261_125, 20_261_130];
    let dates = dates.map(|date| Date::from_yyyymmdd(date).unwrap());
    for from in dates {
        for to in dates.into_iter().filter(|to| from <= *to) {
            let movements = chain.history.movements(ordinal).to_vec();
            let report = report(chain.state.reconciliation(), ordinal, book, from, to, movements);
            adds_up(&report);
        }
    }
}

fn adds_up(report: &Report) {
    let breaks: i128 = report.breaks.iter().map(|(_, _, effect)| effect).sum();
    assert_eq!(
        report.ledger.closing
            + report.opening_difference
            + breaks
            + report.undecided_effect
            + report.unexplained,
        report.book.closing,
        "{report:?}"
    );
    for side in [&report.ledger, &report.book] {
        let unexplained = if std::ptr::eq(side, &report.book) { report.unexplained } else { 0 };
        assert_eq!(side.opening + side.credits - side.debits + unexplained, side.closing);
    }
}

/// Names of what became of the entries of all books.
pub fn fates(naive: &Naive) -> Vec<String> {
    let mut names = Vec::new();
    for (account, bank) in naive.books.keys() {
        names.extend(naive.fates(account, bank).iter().map(|fate| match fate {
            Fate::Open => "open".to_owned(),
            Fate::Matched(_) => "matched".to_owned(),
            Fate::Differs(kind, _) => (*kind).to_owned(),
            Fate::Duplicate => "duplicate".to_owned(),
            Fate::MissingHere => "missing here".to_owned(),
        }));
    }
    names
}

/// Something that happens once, in any order. A reference is used by one payment; a payment may
/// stand in the book as it is, twice, differently, or not at all.
#[derive(Clone, Debug)]
pub enum Fact {
    Payment { number: u8, date: u32 },
    Entry { number: u8, by_uetr: bool, amount: u64, date: u32, debit: bool, copy: u8 },
    Statement { name: u8, from: u32, to: u32 },
}

fn date(number: u8) -> u32 {
    20_261_123 + u32::from(number % 3)
}

/// Facts, and the same facts in another order.
pub fn facts() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    let payment = (any::<bool>(), any::<bool>(), any::<bool>(), 0..6u8, 0..3u8, 0..3u8);
    let statement = (0..3u8, 0..3u8);
    let drawn = (prop::collection::vec(payment, 1..10), prop::collection::vec(statement, 0..4));
    drawn
        .prop_map(|(payments, statements)| {
            let mut facts = Vec::new();
            for (number, (paid, by_uetr, twice, change, day, other)) in (0u8..).zip(payments) {
                if paid {
                    facts.push(Fact::Payment { number, date: date(day) });
                }
                let amount = if change == 1 { 11 } else { 10 };
                let entry_date = if change == 2 { date(other) } else { date(day) };
                let debit = change != 3;
                let copies = if change == 4 { 0 } else { 1 + u8::from(twice) };
                for copy in 0..copies {
                    let date = entry_date;
                    facts.push(Fact::Entry { number, by_uetr, amount, date, debit, copy });
                }
            }
            for (name, (from, to)) in (0u8..).zip(statements) {
                let (from, to) = (date(from.min(to)), date(from.max(to)));
                facts.push(Fact::Statement { name, from, to });
            }
            facts
        })
        .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle()))
}

/// What is left when all facts have arrived: each kind of pair and break, with what it is about.
pub fn outcome(facts: &[Fact]) -> Vec<String> {
    let names = ["Central", "Alpha", "Beta"];
    let mut chain = Chain::new(Consortium::new(&names, &[("CHF", 2)]));
    let (central, alpha) = (bic_of("Central"), bic_of("Alpha"));
    let mut now_ms = NOON_MS;
    let mut order = |chain: &mut Chain, label: &str, signer: &str, plain: Plain| {
        now_ms += 1_000;
        let bic = bic_of(signer);
        let (id, until) = (id_of(label, now_ms), now_ms + HOUR_MS);
        let draft = match plain {
            Plain::Body(body) => Draft::new(id, &bic, until, body),
            Plain::Entry(entry) => Draft::book_entries(id, &bic, until, &[*entry]),
        };
        let bytes = chain.consortium.sign(&bic, draft);
        chain.execute(now_ms, vec![bytes]).0
    };
    for (owner, name) in [(central, "contra"), (alpha, "main"), (bic_of("Beta"), "main")] {
        let body = build::open(&central, &owner, "CHF", name);
        order(&mut chain, &format!("open {owner}"), "Central", Plain::Body(body));
    }
    let (contra, main, beta) = (account(0), account(1), account(2));
    let mut fund = build::transfer("fund", &contra, &main, 1_000_000);
    fund.settlement_date = 20_261_101;
    order(&mut chain, "fund", "Central", Plain::Body(Body::Transfer(fund)));
    let mut labels: BTreeMap<Place, u8> = BTreeMap::new();
    for fact in facts {
        let label = format!("{fact:?}");
        match fact {
            Fact::Payment { number, date } => {
                let mut transfer = build::transfer(&number.to_string(), &main, &beta, 10);
                transfer.settlement_date = *date;
                transfer.end_to_end_id = format!("R{number}");
                let body = Plain::Body(Body::Transfer(transfer));
                let block = order(&mut chain, &label, "Alpha", body);
                labels.insert((block.header.height, 0), *number);
            }
            Fact::Entry { number, by_uetr, amount, date, debit, copy } => {
                let side = if *debit { v1::Side::Debit } else { v1::Side::Credit };
                let mut entry = build::book_entry(&label, &main, side, *amount, *date);
                entry.end_to_end_id = format!("R{number}");
                entry.entry_reference = format!("COPY-{copy}");
                if *by_uetr {
                    let uetr = build::uetr_of(&number.to_string());
                    entry.uetr = Bytes::copy_from_slice(uetr.as_bytes());
                }
                order(&mut chain, &label, "Alpha", Plain::Entry(Box::new(entry)));
            }
            Fact::Statement { name, from, to } => {
                let statement = build::statement(&format!("S{name}"), &main, *from, *to);
                order(&mut chain, &label, "Alpha", Plain::Body(Body::Statement(statement)));
            }
        }
    }
    summary(&chain, &labels)
}

enum Plain {
    Body(Body),
    Entry(Box<v1::BookEntry>),
}

fn summary(chain: &Chain, labels: &BTreeMap<Place, u8>) -> Vec<String> {
    let ordinal = chain.state.account(&account(1)).unwrap().ordinal;
    let reconciliation = chain.state.reconciliation();
    let breaks = reconciliation.breaks(ordinal);
    let mut lines = Vec::new();
    let book = reconciliation.book(ordinal, Book::Owner);
    for entry in book.map_or(&[][..], |state| state.entries()) {
        let what =
            format!("{} {:?} {} {}", entry.end_to_end_id, entry.side, entry.amount, entry.date);
        lines.push(match &entry.status {
            Status::Open => format!("{what} open"),
            Status::Matched(item, _) => {
                format!("{what} matches {}", labels[&place(&item.position)])
            }
            Status::Broken(number) => {
                let found = &breaks[usize::try_from(*number).unwrap() - 1];
                let posting = found.ledger.map(|item| labels[&place(&item.position)]);
                format!("{what} {:?} {posting:?}", found.kind)
            }
        });
    }
    for found in breaks.iter().filter(|found| found.healed_at.is_none() && found.entry.is_none()) {
        let posting = found.ledger.map(|item| labels.get(&place(&item.position)));
        lines.push(format!("{:?} {posting:?}", found.kind));
    }
    lines.sort();
    lines
}
