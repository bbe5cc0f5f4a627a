//! Sheets hold together after every block; and facts whose order must not matter.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    agreement::AgreementId,
    bic::Bic,
    id::InstructionId,
    instruction::Draft,
    matching::{
        desk::Standing,
        item::{Comparison, Id, Item, Place, Source, Strength},
        pair::Category,
    },
    reconciliation::{
        finding::{Class, Finding, Says},
        sheet::Sheet,
        work::WorkState,
    },
};
use counterfoil_proto::v1::{self, instruction::Body};
use proptest::prelude::*;

use super::{
    naive::Naive,
    random::{ACCOUNTS, account},
    support::{
        Chain, Consortium, NOON_MS,
        build::{self, HOUR_MS, bytes_of, id_of},
        consortium::bic_of,
    },
};

/// Every source has the items that were recorded, and every item stands in one place.
pub fn check(chain: &Chain, naive: &Naive) {
    for (number, (servicer, owner, ..)) in ACCOUNTS.iter().enumerate() {
        let id = account(number);
        let Some(found) = chain.state.account(&id) else { continue };
        let sheet = chain.state.reconciliation().sheet(found.ordinal);
        let books = [
            (Source::Ledger, None),
            (Source::OwnerBook, Some((*owner).to_owned())),
            (Source::ServicerBook, Some((*servicer).to_owned())),
        ];
        for (source, bank) in books {
            let book = sheet.and_then(|sheet| sheet.book(source));
            let items = naive.items.get(&(*id.as_bytes(), bank)).copied().unwrap_or(0);
            assert_eq!(book.map_or(0, |book| book.count()), items, "{source:?} of {number}");
        }
        if let Some(sheet) = sheet {
            Comparison::ALL.into_iter().for_each(|comparison| check_desk(sheet, comparison));
            check_breaks(sheet);
        }
    }
}

/// Whether a finding is about one item's standing: a statement's faults and a position's are not.
fn is_of_items(finding: &Finding) -> bool {
    let others = [Category::StatementGap, Category::StatementUnbalanced, Category::Position];
    !matches!(finding.says, Says::Break { category } if others.contains(&category))
}

/// What a desk says of an item is what the findings say, each in one place.
fn check_desk(sheet: &Sheet, comparison: Comparison) {
    let Some(desk) = sheet.desk(comparison) else { return };
    let mut named: BTreeMap<Id, Vec<&Finding>> = BTreeMap::new();
    let mut proposed: BTreeMap<Id, Vec<&Finding>> = BTreeMap::new();
    for class in Class::ALL {
        let findings = sheet.findings(class).filter(|it| it.comparison == comparison);
        for finding in findings.filter(|it| stands(sheet, it) && is_of_items(it)) {
            let into = if class == Class::Proposal { &mut proposed } else { &mut named };
            for (place, numbers) in Place::BOTH.into_iter().zip(&finding.items) {
                for number in numbers {
                    into.entry(Id { place, number: *number }).or_default().push(finding);
                }
            }
        }
    }
    for (id, standing) in desk.standings() {
        let found = named.remove(&id).unwrap_or_default();
        let proposals = proposed.remove(&id).unwrap_or_default();
        assert!(found.len() <= 1, "{comparison:?} {id:?} stands in {found:?}");
        let holds = holds(id, standing, found.first().copied(), !proposals.is_empty());
        assert!(holds, "{comparison:?} {id:?} is {standing:?}, in {found:?} and {proposals:?}");
    }
    assert!(named.is_empty() && proposed.is_empty(), "{named:?} {proposed:?}");
}

/// Whether an item may stand in a finding, or in none, by what its desk says.
fn holds(id: Id, standing: &Standing, found: Option<&Finding>, is_proposed: bool) -> bool {
    let says = found.map(|finding| &finding.says);
    match standing {
        Standing::Free => says.is_none_or(is_of_absence),
        Standing::Paired { with, judgement } => {
            let agrees = match (judgement.category, says) {
                (None, Some(Says::Match { confirmed: false, .. })) => true,
                (Some(is), Some(Says::Break { category })) => is == *category,
                _ => false,
            };
            let pair = match id.place {
                Place::First => [vec![id.number], vec![*with]],
                Place::Second => [vec![*with], vec![id.number]],
            };
            agrees && !is_proposed && found.is_some_and(|finding| finding.items == pair)
        }
        Standing::Proposed { .. } => says.is_none() && is_proposed,
        Standing::Duplicate => matches!(says, Some(Says::Break { category: Category::Duplicate })),
        Standing::Pinned => {
            let is_ended = |finding: &Finding| finding.closed_at.is_some();
            let is_matched = matches!(says, Some(Says::Match { .. }));
            (is_matched || found.is_some_and(is_ended)) && !is_proposed
        }
    }
}

fn is_of_absence(says: &Says) -> bool {
    let absent = [
        Category::Timing,
        Category::MissingFirst,
        Category::MissingSecond,
        Category::UnidentifiedReceipt,
        Category::ReturnUnmatched,
        // One that is missing on another account of the agreement, too.
        Category::WrongAccount,
    ];
    matches!(says, Says::Break { category } if absent.contains(category))
}

/// Whether items still stand in a finding: it is open, or ended by the parties' word.
fn stands(sheet: &Sheet, finding: &Finding) -> bool {
    let ended = [WorkState::Resolved, WorkState::WrittenOff];
    let by_word = finding.says.class() == Class::Break
        && sheet.work(finding.number).is_some_and(|work| ended.contains(&work.state));
    finding.closed_at.is_none() || by_word
}

fn check_breaks(sheet: &Sheet) {
    for finding in sheet.findings(Class::Break) {
        let work = sheet.work(finding.number).expect("a break has work");
        assert_eq!(finding.closed_at.is_some(), work.state.is_ended(), "{finding:?} {work:?}");
    }
}

/// Something that happens once, in any order. A reference is used by few payments; a payment may
/// stand in the book as it is, twice, differently, or not at all.
#[derive(Clone, Debug)]
pub enum Fact {
    Payment { number: u8, reference: u8, date: u32 },
    Entry { number: u8, told: Told, copy: u8 },
}

/// What a book says of a payment.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    reference: u8,
    by_uetr: bool,
    amount: u64,
    date: u32,
    debit: bool,
}

fn date(number: u8) -> u32 {
    20_261_123 + u32::from(number % 3)
}

/// Facts, and the same facts in another order.
pub fn facts() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    let payment = (any::<bool>(), 0..4u8, any::<bool>(), 0..6u8, 0..3u8, 0..3u8);
    prop::collection::vec((payment, 0..12u8), 1..10)
        .prop_map(|payments| {
            let mut facts = Vec::new();
            for (number, (drawn, reference)) in (0u8..).zip(payments) {
                let (paid, by_uetr, twice, change, day, other) = drawn;
                if paid {
                    facts.push(Fact::Payment { number, reference, date: date(day) });
                }
                let told = Told {
                    reference,
                    by_uetr: by_uetr > 0,
                    amount: if change == 1 { 11 } else { 10 },
                    date: if change == 2 { date(other) } else { date(day) },
                    debit: change != 3,
                };
                let copies = if change == 4 { 0 } else { 1 + u8::from(twice) };
                facts.extend((0..copies).map(|copy| Fact::Entry { number, told, copy }));
            }
            facts
        })
        .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle()))
}

/// Executes orders one after the other, a block each.
struct Teller {
    chain: Chain,
    now_ms: u64,
}

impl Teller {
    fn order(&mut self, label: &str, signer: &str, body: Body) {
        self.draft(label, signer, |id, bic, until| Draft::new(id, bic, until, body));
    }

    fn draft(
        &mut self,
        label: &str,
        signer: &str,
        draft: impl FnOnce(InstructionId, &Bic, u64) -> Draft,
    ) {
        self.now_ms += 1_000;
        let bic = bic_of(signer);
        let draft = draft(id_of(label, self.now_ms), &bic, self.now_ms + HOUR_MS);
        let bytes = self.chain.consortium.sign(&bic, draft);
        self.chain.execute(self.now_ms, vec![bytes]);
    }

    fn fact(&mut self, fact: &Fact) {
        let main = account(1);
        let label = format!("{fact:?}");
        match fact {
            Fact::Payment { number, reference, date } => {
                let mut transfer = build::transfer(&number.to_string(), &main, &account(2), 10);
                transfer.settlement_date = *date;
                transfer.end_to_end_id = format!("R{reference}");
                self.order(&label, "Alpha", Body::Transfer(transfer));
            }
            Fact::Entry { number, told, copy } => {
                let side = if told.debit { v1::Side::Debit } else { v1::Side::Credit };
                let mut entry = build::book_entry(&label, &main, side, told.amount, told.date);
                entry.end_to_end_id = format!("R{}", told.reference);
                entry.entry_reference = format!("COPY-{copy}");
                if told.by_uetr {
                    let uetr = build::uetr_of(&number.to_string());
                    entry.uetr = Bytes::copy_from_slice(uetr.as_bytes());
                }
                self.draft(&label, "Alpha", |id, bic, until| {
                    Draft::book_entries(id, bic, until, &[entry])
                });
            }
        }
    }
}

/// What is left when all facts have arrived, a run has gone over them, and every deadline has passed: each
/// match, proposal and break, with what it is about.
pub fn outcome(facts: &[Fact]) -> Vec<String> {
    let names = ["Central", "Alpha", "Beta"];
    let chain = Chain::new(Consortium::new(&names, &[("CHF", 2)]));
    let mut teller = Teller { chain, now_ms: NOON_MS };
    let (central, alpha) = (bic_of("Central"), bic_of("Alpha"));
    for (owner, name) in [(central, "contra"), (alpha, "main"), (bic_of("Beta"), "main")] {
        let body = build::open(&central, &owner, "CHF", name);
        teller.order(&format!("open {owner}"), "Central", body);
    }
    let fund = build::transfer("fund", &account(0), &account(1), 1_000_000);
    teller.order("fund", "Central", Body::Transfer(fund));
    let terms = build::terms("terms", (&central, &alpha), &[account(1)], 20_261_101);
    let terms = v1::AgreementTerms { servicer_book: false, ..terms };
    let agreement = AgreementId::of(&terms);
    teller.order("offer", "Alpha", build::offer(terms, NOON_MS + HOUR_MS));
    let accept = build::answer("accept", &agreement, v1::AgreementAnswer::Accept);
    teller.order("accept", "Central", accept);
    facts.iter().for_each(|fact| teller.fact(fact));
    let run = v1::RunMatching {
        account: Bytes::copy_from_slice(account(1).as_bytes()),
        salt: Bytes::copy_from_slice(&bytes_of("run")),
    };
    teller.order("run", "Alpha", Body::RunMatching(run));
    teller.now_ms += 7 * 24 * HOUR_MS;
    teller.chain.execute(teller.now_ms, Vec::new());
    let ordinal = teller.chain.state.account(&account(1)).unwrap().ordinal;
    teller.chain.state.reconciliation().sheet(ordinal).map(summary).unwrap_or_default()
}

fn summary(sheet: &Sheet) -> Vec<String> {
    let text = |item: &Item| {
        let reference = item.reference(Strength::EndToEndId);
        format!("{:?} {} {} {:?} {reference}", item.side, item.amount, item.date, item.uetr)
    };
    let mut lines = Vec::new();
    for finding in Class::ALL.into_iter().flat_map(|class| sheet.findings(class)) {
        if finding.closed_at.is_some() {
            continue;
        }
        let sides = Place::BOTH.into_iter().zip(&finding.items).map(|(place, numbers)| {
            let source = finding.comparison.source(place);
            let items = numbers.iter().filter_map(|number| sheet.item(source, *number));
            let mut items: Vec<String> = items.map(text).collect();
            items.sort();
            items
        });
        lines.push(format!("{:?} {:?}", finding.says, sides.collect::<Vec<_>>()));
    }
    lines.sort();
    lines
}
