//! The year on the ledger, day by day: in the morning people work what is wrong, then payments settle
//! and both banks write their books, in the evening each states the day and signs its view of it.
//!
//! In which order a day's payments and entries come, in how many pieces and blocks, an order's number
//! decides; what is found must not depend on it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use counterfoil_ledger::{
    agreement::{AgreementId, Party},
    bic::Bic,
    block::Block,
    date::Date,
    matching::item::{Comparison, Place, Source},
    reason::Reason,
    reconciliation::{
        figures::Report,
        finding::{Class, Finding, Says},
        sheet::Sheet,
    },
    uetr::Uetr,
};
use counterfoil_proto::v1::{self, instruction::Body};

use super::{
    books::{Entry, Payment},
    chain::Chain,
    desk::Desk,
    faults::{EXCHANGE_ROUNDING, TOLERANCE, WINDOW},
    names,
    plan::{Day, Label, Misstated, Mode, Open, Plan},
};

/// 1993-01-01T00:00:00Z.
const NEW_YEAR_MS: u64 = 725_846_400_000;

const HOUR_MS: u64 = 60 * 60 * 1_000;

const DAY_MS: u64 = 24 * HOUR_MS;

/// By this minute of the next business day an item has a counterpart, or it is missing.
const MISSING_AT_MINUTE: u32 = 18 * 60;

/// The last day of 1992, on which the accounts are funded: no agreement governs it.
const FUNDING_DATE: u32 = 19_921_231;

/// The last evening: what was wrong in December is worked until then.
const LAST_EVENING: u32 = 19_940_115;

/// The year, and how it came out.
pub struct Year {
    /// The ledger.
    pub chain: Chain,
    /// The open breaks of every evening on which there were any, sorted.
    pub evenings: BTreeMap<Date, Vec<Open>>,
    /// Days up to an evening whose positions were not agreed on that evening, where there were any.
    pub disagreed: BTreeMap<Date, BTreeSet<(Bic, Date)>>,
    /// Why views were refused.
    pub refused_views: Vec<Reason>,
    pub(super) mode: Mode,
    pub(super) desks: BTreeMap<(Bic, Party), Desk>,
    /// The payment of a posting, by account and the account's count.
    pub(super) postings: BTreeMap<(Bic, u64), Uetr>,
    partners: BTreeMap<u32, Bic>,
    order: u64,
    pub(super) drawn: u64,
}

impl Year {
    /// Runs a plan through a new ledger. Every account begins with its funds.
    pub fn run(plan: &Plan, funds: &BTreeMap<Bic, u64>, order: u64) -> Year {
        let mut banks: Vec<Bic> = funds.keys().copied().collect();
        banks.push(names::home());
        let chain = Chain::found(&banks, NEW_YEAR_MS - DAY_MS);
        let mut year = Year {
            chain,
            evenings: BTreeMap::new(),
            disagreed: BTreeMap::new(),
            refused_views: Vec::new(),
            mode: plan.mode,
            desks: BTreeMap::new(),
            postings: BTreeMap::new(),
            partners: BTreeMap::new(),
            order,
            drawn: 0,
        };
        year.open(funds);
        for date in year.dates() {
            year.live(date, plan);
            if date.next().yyyymmdd() % 100 == 1 {
                year.chain.restart();
            }
        }
        year
    }

    /// Opens and funds every account, and agrees with its owner what is compared.
    fn open(&mut self, funds: &BTreeMap<Bic, u64>) {
        let now = NEW_YEAR_MS - 12 * HOUR_MS;
        let home = names::home();
        let names = funds.keys().map(|partner| (partner, names::ACCOUNT_NAME));
        let names: Vec<_> = names.chain([(&home, names::ISSUANCE_NAME)]).collect();
        let mut instructions = Vec::new();
        for (owner, name) in names {
            let open = v1::OpenAccount {
                servicer: home.as_str().to_owned(),
                owner: owner.as_str().to_owned(),
                asset: names::ASSET.to_owned(),
                name: name.to_owned(),
            };
            instructions.push(self.chain.single(&home, now, Body::OpenAccount(open)));
        }
        for (partner, amount) in funds {
            let transfer = v1::Transfer {
                debit_account: bytes(names::issuance().as_bytes()),
                credit_account: account(partner),
                amount: *amount,
                uetr: bytes(names::funding_uetr(partner).as_bytes()),
                end_to_end_id: "FUNDING".to_owned(),
                settlement_date: FUNDING_DATE,
                commitment: Bytes::new(),
                salt: bytes(&names::salt(partner.as_str(), 0)),
            };
            instructions.push(self.chain.single(&home, now, Body::Transfer(transfer)));
            for party in [Party::Servicer, Party::Owner] {
                let desk = Desk::new(party, *partner, i128::from(*amount));
                self.desks.insert((*partner, party), desk);
            }
        }
        for partner in funds.keys() {
            let terms = terms(self.mode, partner);
            let answer = v1::AnswerAgreement {
                agreement: bytes(AgreementId::of(&terms).as_bytes()),
                answer: v1::AgreementAnswer::Accept.into(),
                salt: self.salt(),
            };
            let accept_until_ms = now + DAY_MS;
            let offer = v1::ProposeAgreement { terms: Some(terms), accept_until_ms };
            let offer = Body::ProposeAgreement(Box::new(offer));
            instructions.push(self.chain.single(&home, now, offer));
            instructions.push(self.chain.single(partner, now, Body::AnswerAgreement(answer)));
        }
        self.commit(now, instructions);
        for partner in funds.keys() {
            let opened = self.chain.state().account(&names::account(partner));
            self.partners.insert(opened.expect("it was just opened").ordinal, *partner);
        }
    }

    fn live(&mut self, date: Date, plan: &Plan) {
        let midnight = midnight_ms(date);
        let none = BTreeMap::new();
        let days = plan.days.get(&date).unwrap_or(&none);
        self.morning(midnight + 8 * HOUR_MS, days);
        self.business(midnight + 12 * HOUR_MS, date, days);
        self.statements(midnight + 19 * HOUR_MS, date, days);
        self.positions(midnight + 20 * HOUR_MS, date, days);
        self.look(date);
    }

    /// Payments and entries, in pieces that come in some order.
    fn business(&mut self, now: u64, date: Date, days: &BTreeMap<Bic, Day>) {
        let mut pieces: Vec<Piece> = Vec::new();
        for (partner, day) in days {
            for party in [Party::Servicer, Party::Owner] {
                let entries = day.entries.iter().filter(|(of, _)| *of == party);
                let entries =
                    self.shuffled(date, entries.map(|(_, entry)| entry.clone()).collect());
                let (one, two) = entries.split_at(entries.len() / 2);
                pieces.push(Piece::Entries(*partner, party, one.to_vec()));
                pieces.push(Piece::Entries(*partner, party, two.to_vec()));
                let paid = day.payments.iter().filter(|payment| payment.payer() == party);
                let paid = self.shuffled(date, paid.cloned().collect());
                pieces.push(Piece::Payments(*partner, party, paid));
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        let pieces = self.shuffled(date, pieces);
        let size = pieces.len().div_ceil(3).max(1);
        for (place, pieces) in (0..).zip(pieces.chunks(size)) {
            let instructions = pieces.iter().filter_map(|piece| self.send(piece, now)).collect();
            self.commit(now + place, instructions);
        }
    }

    fn send(&mut self, piece: &Piece, now: u64) -> Option<Bytes> {
        match piece {
            Piece::Entries(partner, party, entries) => {
                Some(self.write(*partner, *party, entries, now))
            }
            Piece::Payments(partner, payer, payments) if self.mode == Mode::Settle => {
                let payer = self.desks[&(*partner, *payer)].bank();
                let items: Vec<v1::Transfer> = payments.iter().map(transfer).collect();
                Some(self.chain.transfers(&payer, now, &items))
            }
            Piece::Payments(..) => None,
        }
    }

    pub(super) fn write(
        &mut self,
        partner: Bic,
        party: Party,
        entries: &[Entry],
        now: u64,
    ) -> Bytes {
        let desk = self.desks.get_mut(&(partner, party)).expect("every account has two");
        let (bank, items) = (desk.bank(), desk.write(entries));
        self.chain.book_entries(&bank, now, &items)
    }

    /// Every bank states its day.
    fn statements(&mut self, now: u64, date: Date, days: &BTreeMap<Bic, Day>) {
        let mut instructions = Vec::new();
        let keys: Vec<(Bic, Party)> = self.desks.keys().copied().collect();
        for key in self.shuffled(date, keys) {
            let misstated =
                days.get(&key.0).and_then(|day| day.misstated.iter().find(|(of, _)| *of == key.1));
            let misstated = misstated.map(|(_, misstated)| *misstated);
            if misstated == Some(Misstated::Absent) {
                continue;
            }
            let desk = self.desks.get_mut(&key).expect("it is one of them");
            let (bank, mut statement) = (desk.bank(), desk.statement(date, true));
            if misstated == Some(Misstated::Closing) {
                statement.closing_balance += 10_000;
            }
            instructions.push(self.chain.single(&bank, now, Body::Statement(statement)));
        }
        self.commit(now, instructions);
    }

    /// Every bank signs what it says of the day, and again of those days before it about which what it
    /// says has changed.
    fn positions(&mut self, now: u64, date: Date, days: &BTreeMap<Bic, Day>) {
        let (mut slips, mut instructions) = (Vec::new(), Vec::new());
        let keys: Vec<(Bic, Party)> = self.desks.keys().copied().collect();
        for key in self.shuffled(date, keys) {
            let slipped = days.get(&key.0).is_some_and(|day| day.slips.contains(&key.1));
            let desk = self.desks.get_mut(&key).expect("it is one of them");
            desk.unsigned.insert(date);
            let unsigned: Vec<Date> = desk.unsigned.range(..=date).copied().collect();
            for date in unsigned {
                self.drawn += 1;
                let desk = self.desks.get_mut(&key).expect("it is one of them");
                let (bank, view) = (desk.bank(), desk.view(date, self.drawn));
                if slipped {
                    let wrong = v1::SignPosition { debits: view.debits + 1, ..view.clone() };
                    slips.push(self.chain.single(&bank, now, Body::SignPosition(wrong)));
                }
                instructions.push(self.chain.single(&bank, now + 1, Body::SignPosition(view)));
            }
        }
        if !slips.is_empty() {
            let block = self.chain.judge(now, slips);
            self.refused_views.extend(block.leaves.iter().filter_map(|leaf| leaf.outcome.reason));
        }
        self.commit(now + 1, instructions);
    }

    /// What is open on an evening.
    fn look(&mut self, evening: Date) {
        let mut open: Vec<Open> = self.open_breaks().into_iter().map(|(_, open)| open).collect();
        open.sort();
        if !open.is_empty() {
            self.evenings.insert(evening, open);
        }
        let mut disagreed = BTreeSet::new();
        for partner in self.partners.values() {
            let sheet = self.sheet(partner);
            let dates = self.dates().take_while(|date| *date <= evening);
            let agreed =
                |date: &Date| sheet.position(*date).is_some_and(|it| it.agreed_at.is_some());
            disagreed.extend(dates.filter(|date| !agreed(date)).map(|date| (*partner, date)));
        }
        if !disagreed.is_empty() {
            self.disagreed.insert(evening, disagreed);
        }
    }

    pub(super) fn commit(&mut self, now: u64, instructions: Vec<Bytes>) {
        if instructions.is_empty() {
            return;
        }
        let block = self.chain.commit(now, instructions);
        self.remember(&block);
    }

    /// Which posting is of which payment.
    fn remember(&mut self, block: &Block) {
        let uetrs: BTreeMap<u32, Uetr> =
            block.transfers.iter().map(|transfer| (transfer.leaf, transfer.uetr)).collect();
        for movement in &block.movements {
            if let Some(partner) = self.partners.get(&movement.account) {
                let uetr = uetrs[&movement.position.leaf];
                self.postings.insert((*partner, movement.sequence), uetr);
            }
        }
    }

    /// Random in everything but that it is always the same.
    pub(super) fn salt(&mut self) -> Bytes {
        self.drawn += 1;
        bytes(&names::salt("order", self.drawn))
    }

    /// Some order of things, which the run's number decides.
    fn shuffled<T>(&self, date: Date, things: Vec<T>) -> Vec<T> {
        let draw = |place: usize| {
            let parts = [self.order.to_string(), date.to_string(), place.to_string()];
            names::derived(&["order", &parts[0], &parts[1], &parts[2]])
        };
        let mut drawn: Vec<_> =
            things.into_iter().enumerate().map(|(place, it)| (draw(place), it)).collect();
        drawn.sort_by_key(|(draw, _)| *draw);
        drawn.into_iter().map(|(_, it)| it).collect()
    }
}

/// How it came out.
impl Year {
    /// Its evenings.
    pub fn dates(&self) -> impl Iterator<Item = Date> + use<> {
        let (first, last) = (day(19_930_101), day(LAST_EVENING));
        (first.day_number()..=last.day_number()).map(Date::from_day_number)
    }

    /// An account's sheet.
    pub fn sheet(&self, partner: &Bic) -> &Sheet {
        let account = self.chain.state().account(&names::account(partner));
        let ordinal = account.expect("every partner has its account").ordinal;
        self.chain.state().reconciliation().sheet(ordinal).expect("its day was stated")
    }

    /// A partner's balance, hellers.
    pub fn balance(&self, partner: &Bic) -> i128 {
        let account = self.chain.state().account(&names::account(partner));
        account.expect("every partner has its account").balance
    }

    /// A report of an account.
    pub fn report(&self, partner: &Bic, comparison: Comparison, range: (Date, Date)) -> Report {
        let account = self.chain.state().account(&names::account(partner));
        let account = account.expect("every partner has its account");
        self.sheet(partner).report(account, comparison, range)
    }

    /// Open breaks with their numbers.
    pub(super) fn open_breaks(&self) -> Vec<(u64, Open)> {
        let of = |partner: &Bic| {
            let (partner, sheet) = (*partner, self.sheet(partner));
            let open = sheet.findings(Class::Break).filter(|it| it.closed_at.is_none());
            open.map(move |finding| (finding.number, self.told(partner, finding)))
        };
        self.partners.values().flat_map(of).collect()
    }

    fn told(&self, partner: Bic, finding: &Finding) -> Open {
        let Says::Break { category } = finding.says else { panic!("{finding:?} is no break") };
        let mut items = Vec::new();
        for (place, numbers) in Place::BOTH.into_iter().zip(&finding.items) {
            let source = finding.comparison.source(place);
            items.extend(numbers.iter().map(|number| self.label(partner, source, *number)));
        }
        items.sort();
        Open { partner, comparison: finding.comparison, category, items }
    }

    fn label(&self, partner: Bic, source: Source, number: u64) -> Label {
        let party = match source {
            Source::Ledger => {
                let name = self.postings[&(partner, number)].to_string();
                return Label { source, name };
            }
            Source::OwnerBook => Party::Owner,
            Source::ServicerBook => Party::Servicer,
        };
        let place = usize::try_from(number - 1).expect("entries are in memory");
        self.desks[&(partner, party)].labels[place].clone()
    }

    /// The number of an item; of those that are called the same, the last one's.
    pub(super) fn number(&self, partner: Bic, label: &Label) -> u64 {
        let party = match label.source {
            Source::Ledger => {
                let named = |(key, uetr): &(&(Bic, u64), &Uetr)| {
                    key.0 == partner && uetr.to_string() == label.name
                };
                return self.postings.iter().find(named).expect("it was posted").0.1;
            }
            Source::OwnerBook => Party::Owner,
            Source::ServicerBook => Party::Servicer,
        };
        let labels = &self.desks[&(partner, party)].labels;
        let place = labels.iter().rposition(|other| other == label).expect("it was written");
        u64::try_from(place).expect("64 bits fit") + 1
    }

    /// Matches, open proposals, and breaks, ended ones included.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for partner in self.partners.values() {
            let sheet = self.sheet(partner);
            // Most of the year has closed, and is no longer among the findings.
            let ever = (Date::from_day_number(0), Date::from_day_number(Date::LAST_DAY));
            let matches = Comparison::ALL.map(|it| self.report(partner, it, ever).match_count);
            counts[0] += usize::try_from(matches.iter().sum::<u64>()).expect("64 bits fit");
            counts[1] += sheet.open_findings_from(Class::Proposal, 0).count();
            counts[2] += usize::try_from(sheet.finding_count(Class::Break)).expect("64 bits fit");
        }
        counts
    }

    /// Entries of all books that have not closed.
    pub fn open_item_count(&self) -> usize {
        let ever = (Date::from_day_number(0), Date::from_day_number(Date::LAST_DAY));
        let of = |partner: &Bic| -> usize {
            let sheet = self.sheet(partner);
            let books = [Source::OwnerBook, Source::ServicerBook].map(|it| sheet.book(it));
            let open = books.into_iter().flatten();
            open.map(|book| book.numbers_between(ever.0, ever.1).count()).sum()
        };
        self.partners.values().map(of).sum()
    }

    /// Entries of all books.
    pub fn item_count(&self) -> usize {
        self.desks.values().map(|desk| desk.labels.len()).sum()
    }
}

/// What a day brings, as it is sent.
#[derive(Clone)]
enum Piece {
    Entries(Bic, Party, Vec<Entry>),
    Payments(Bic, Party, Vec<Payment>),
}

impl Piece {
    fn is_empty(&self) -> bool {
        match self {
            Piece::Entries(.., entries) => entries.is_empty(),
            Piece::Payments(.., payments) => payments.is_empty(),
        }
    }
}

/// What the home bank and a partner agree on.
fn terms(mode: Mode, partner: &Bic) -> v1::AgreementTerms {
    let tolerance = v1::Tolerance {
        asset: names::ASSET.to_owned(),
        absolute: TOLERANCE,
        basis_points: 0,
        exchange_rounding: EXCHANGE_ROUNDING,
    };
    v1::AgreementTerms {
        servicer: names::home().as_str().to_owned(),
        owner: partner.as_str().to_owned(),
        accounts: vec![v1::AgreementAccount { account: account(partner) }],
        ledger: mode == Mode::Settle,
        owner_book: true,
        servicer_book: true,
        rule_set: 1,
        effective_from: 19_930_101,
        tolerances: vec![tolerance],
        value_date_window: WINDOW,
        missing_after_days: 1,
        missing_at_minute: MISSING_AT_MINUTE,
        calendar: Some(v1::Calendar { weekend: 0b110_0000, ..v1::Calendar::default() }),
        salt: bytes(&names::salt("terms", 0)),
        ..v1::AgreementTerms::default()
    }
}

fn midnight_ms(date: Date) -> u64 {
    let days = date.day_number() - day(19_930_101).day_number();
    NEW_YEAR_MS + u64::from(days) * DAY_MS
}

fn day(yyyymmdd: u32) -> Date {
    Date::from_yyyymmdd(yyyymmdd).expect("a day")
}

pub(super) fn account(partner: &Bic) -> Bytes {
    bytes(names::account(partner).as_bytes())
}

pub(super) fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A payment as its payer orders it.
pub(super) fn transfer(payment: &Payment) -> v1::Transfer {
    let home = bytes(names::issuance().as_bytes());
    let (debit_account, credit_account) = match payment.payer() {
        Party::Servicer => (home, account(&payment.partner)),
        Party::Owner => (account(&payment.partner), home),
    };
    v1::Transfer {
        debit_account,
        credit_account,
        amount: payment.amount,
        uetr: bytes(payment.reference.uetr.as_bytes()),
        end_to_end_id: payment.reference.end_to_end_id.clone(),
        settlement_date: payment.date.yyyymmdd(),
        commitment: Bytes::new(),
        salt: bytes(&names::salt(&payment.reference.end_to_end_id, 0)),
    }
}
