//! The year on the ledger: fund, settle day by day, book, and close every month with a statement.
//!
//! Banks send their books at different times, and must get the same breaks: the home bank with each
//! day's payments, in the same block; of the partners a third before the month begins, a third day by
//! day in the morning, before the payments, and a third when the month is over. The payments of each
//! month's last day of payments are late: they are ordered only after the statements, which have
//! found them missing by then.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    bic::Bic,
    block::{Position, Side},
    date::{Date, days_in_month},
    reconciliation::{
        Book, Status,
        report::{Report, report},
    },
    uetr::Uetr,
};
use counterfoil_proto::v1;

use super::{
    books::{Books, Carries, Entry, Payment},
    chain::Chain,
    errors::Difference,
    names,
};

/// 1993-01-01T00:00:00Z.
const NEW_YEAR_MS: u64 = 725_846_400_000;

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// The last day of 1992, on which the accounts are funded: no statement covers it, and the first one
/// opens with what it left.
const FUNDING_DATE: u32 = 19_921_231;

/// When a bank sends its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    /// A month's entries at its beginning: from standing orders they are known by then.
    Ahead,
    /// A day's entries in the morning.
    Mornings,
    /// A day's entries behind its payments, in their block.
    Evenings,
    /// A month's entries at its end.
    Behind,
}

/// The year, and how it came out.
pub struct Year {
    chain: Chain,
    banks: Vec<Bic>,
    statements: u32,
    uetrs: BTreeMap<Position, Uetr>,
    /// Balances of all accounts at the end of each month, by ordinal; the agent's first.
    month_ends: Vec<Vec<i128>>,
}

/// What is still to be sent, and what a bank's book has come to.
struct Desk<'a> {
    bank: Bic,
    sends: Sends,
    book: &'a [Entry],
    balance: i128,
}

impl Year {
    /// Runs the payments, in order of their dates, and the books through a new ledger.
    pub fn run(payments: &[Payment], books: &Books) -> Year {
        let banks: Vec<Bic> = books.keys().copied().collect();
        let mut year = Year {
            chain: Chain::found(&banks, NEW_YEAR_MS - 24 * HOUR_MS),
            banks,
            statements: 0,
            uetrs: BTreeMap::new(),
            month_ends: Vec::new(),
        };
        let funds = funds(payments);
        year.fund(&funds);
        let mut desks: Vec<Desk> = books
            .iter()
            .enumerate()
            .map(|(place, (bank, book))| Desk {
                bank: *bank,
                sends: sends(bank, place),
                book,
                balance: i128::from(funds.get(bank).copied().unwrap_or(0)),
            })
            .collect();
        let mut midnight = NEW_YEAR_MS;
        for month in 1..=12 {
            year.month(month, &mut midnight, payments, &mut desks);
        }
        year
    }

    /// Opens every bank's account and issues to it.
    fn fund(&mut self, funds: &BTreeMap<Bic, u64>) {
        let agent = names::agent();
        let now = NEW_YEAR_MS - 12 * HOUR_MS;
        let mut instructions = Vec::new();
        for bank in [agent].iter().chain(&self.banks.clone()) {
            let open = v1::OpenAccount {
                servicer: agent.as_str().to_owned(),
                owner: bank.as_str().to_owned(),
                asset: names::ASSET.to_owned(),
                name: names::account_name(bank).to_owned(),
            };
            let body = v1::instruction::Body::OpenAccount(open);
            instructions.push(self.chain.single(&agent, now, body));
        }
        for (bank, amount) in funds {
            let body = v1::instruction::Body::Transfer(v1::Transfer {
                debit_account: account(&agent),
                credit_account: account(bank),
                amount: *amount,
                uetr: bytes(names::funding_uetr(bank).as_bytes()),
                end_to_end_id: "FUNDING".to_owned(),
                settlement_date: FUNDING_DATE,
                commitment: Bytes::new(),
                salt: bytes(&names::salt(bank.as_str(), 0)),
            });
            instructions.push(self.chain.single(&agent, now, body));
        }
        self.commit(now, instructions);
    }

    fn month(
        &mut self,
        month: u32,
        midnight: &mut u64,
        payments: &[Payment],
        desks: &mut [Desk<'_>],
    ) {
        let (first, last) = month_range(month);
        let late = payments.iter().map(|payment| payment.date).filter(|date| *date <= last).max();
        let sent = |sends: Sends| move |desk: &&Desk<'_>| desk.sends == sends;
        let mut ahead = Vec::new();
        for desk in desks.iter().filter(sent(Sends::Ahead)) {
            ahead.extend(self.entries(desk, first, last, *midnight + HOUR_MS));
        }
        self.commit(*midnight + HOUR_MS, ahead);

        let mut date = first;
        while date <= last {
            let (morning, evening) = (*midnight + 8 * HOUR_MS, *midnight + 18 * HOUR_MS);
            let mut before = Vec::new();
            for desk in desks.iter().filter(sent(Sends::Mornings)) {
                before.extend(self.entries(desk, date, date, morning));
            }
            self.commit(morning, before);
            let mut day = Vec::new();
            if Some(date) != late {
                day = self.payments(payments, date, evening);
            }
            for desk in desks.iter().filter(sent(Sends::Evenings)) {
                day.extend(self.entries(desk, date, date, evening));
            }
            self.commit(evening, day);
            *midnight += 24 * HOUR_MS;
            date = date.next();
        }

        let night = *midnight - HOUR_MS;
        let mut behind = Vec::new();
        for desk in desks.iter().filter(sent(Sends::Behind)) {
            behind.extend(self.entries(desk, first, last, night));
        }
        self.commit(night, behind);
        let statements =
            desks.iter_mut().map(|desk| self.statement(desk, first, last, night)).collect();
        self.commit(night + 1, statements);
        let late = late.filter(|date| *date >= first);
        let stragglers = late.map(|date| self.payments(payments, date, night + 2));
        self.commit(night + 2, stragglers.unwrap_or_default());
        self.month_ends
            .push(self.chain.state().accounts().iter().map(|account| account.balance).collect());
        self.chain.restart();
    }

    fn commit(&mut self, now: u64, instructions: Vec<Bytes>) {
        if instructions.is_empty() {
            return;
        }
        let block = self.chain.commit(now, instructions);
        for transfer in &block.transfers {
            let position = Position { height: block.header.height, leaf: transfer.leaf };
            self.uetrs.insert(position, transfer.uetr);
        }
    }

    /// A day's payments: one batch for each bank that pays.
    fn payments(&mut self, payments: &[Payment], date: Date, now: u64) -> Vec<Bytes> {
        let begin = payments.partition_point(|payment| payment.date < date);
        let end = payments.partition_point(|payment| payment.date <= date);
        let mut batches: BTreeMap<Bic, Vec<v1::Transfer>> = BTreeMap::new();
        for payment in &payments[begin..end] {
            batches.entry(payment.payer).or_default().push(transfer(payment));
        }
        batches.iter().map(|(bank, items)| self.chain.transfers(bank, now, items)).collect()
    }

    /// A bank's entries of some days, if there are any.
    fn entries(&mut self, desk: &Desk<'_>, from: Date, to: Date, now: u64) -> Option<Bytes> {
        let items: Vec<v1::BookEntry> = within(desk.book, from, to)
            .iter()
            .zip(1..)
            .map(|(entry, number)| book_entry(&desk.bank, entry, number))
            .collect();
        (!items.is_empty()).then(|| self.chain.book_entries(&desk.bank, now, &items))
    }

    fn statement(&mut self, desk: &mut Desk<'_>, from: Date, to: Date, now: u64) -> Bytes {
        let opening = desk.balance;
        for entry in within(desk.book, from, to) {
            desk.balance += entry.side.signed(entry.amount);
        }
        self.statements += 1;
        let hellers = |balance| i64::try_from(balance).expect("a bank's hellers fit 63 bits");
        let statement = v1::Statement {
            account: account(&desk.bank),
            statement_id: format!("1993/{:02}", from.yyyymmdd() / 100 % 100),
            from_date: from.yyyymmdd(),
            to_date: to.yyyymmdd(),
            opening_balance: hellers(opening),
            closing_balance: hellers(desk.balance),
            salt: bytes(&names::salt("statement", u64::from(self.statements))),
            ..v1::Statement::default()
        };
        self.chain.single(&desk.bank, now, v1::instruction::Body::Statement(statement))
    }
}

/// How it came out.
impl Year {
    /// The ledger.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The home bank and its partners.
    pub fn banks(&self) -> &[Bic] {
        &self.banks
    }

    /// How many transfers settled, the funding ones included.
    pub fn settled_count(&self) -> usize {
        self.uetrs.len()
    }

    /// A bank's balance at the end of a month, 1 to 12, in hellers.
    pub fn month_end(&self, bank: &Bic, month: usize) -> i128 {
        let ordinal = usize::try_from(self.ordinal(bank)).expect("32 bits fit");
        self.month_ends[month - 1][ordinal]
    }

    /// How many statements were recorded.
    pub fn statement_count(&self) -> u32 {
        self.statements
    }

    /// Entries recorded, and how many of them match.
    pub fn entry_counts(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for bank in &self.banks {
            let book = self.chain.state().reconciliation().book(self.ordinal(bank), Book::Owner);
            let entries = book.map_or(&[][..], |book| book.entries());
            counts.0 += entries.len();
            counts.1 +=
                entries.iter().filter(|it| matches!(it.status, Status::Matched(..))).count();
        }
        counts
    }

    /// Breaks that are still open, sorted.
    pub fn differences(&self) -> Vec<Difference> {
        let mut all: Vec<Difference> =
            self.banks.iter().flat_map(|bank| self.differences_of(bank)).collect();
        all.sort();
        all
    }

    fn differences_of(&self, bank: &Bic) -> impl Iterator<Item = Difference> {
        let reconciliation = self.chain.state().reconciliation();
        let ordinal = self.ordinal(bank);
        let book = reconciliation.book(ordinal, Book::Owner).expect("every bank keeps a book");
        let open = reconciliation.breaks(ordinal).iter().filter(|found| found.healed_at.is_none());
        open.map(move |found| Difference {
            bank: *bank,
            kind: found.kind,
            posting: found
                .ledger
                .map(|item| ((item.side, item.amount, item.date), self.uetrs[&item.position])),
            entry: found.entry.map(|number| {
                let place = usize::try_from(number - 1).expect("entries are in memory");
                let entry = &book.entries()[place];
                ((entry.side, entry.amount, entry.date), entry.entry_reference.clone())
            }),
        })
    }

    /// How many breaks were opened and then healed by what came later.
    pub fn healed_count(&self) -> usize {
        let breaks = |bank| self.chain.state().reconciliation().breaks(self.ordinal(bank));
        let healed = |bank| breaks(bank).iter().filter(|it| it.healed_at.is_some()).count();
        self.banks.iter().map(healed).sum()
    }

    /// A bank's report.
    pub fn report(&self, bank: &Bic, from: Date, to: Date) -> Report {
        let ordinal = self.ordinal(bank);
        let movements = self.chain.history().movements(ordinal).iter().copied();
        report(self.chain.state().reconciliation(), ordinal, Book::Owner, from, to, movements)
    }

    fn ordinal(&self, bank: &Bic) -> u32 {
        let account = self.chain.state().account(&names::account(bank));
        account.expect("every bank has its account").ordinal
    }
}

/// What each bank is given: what it pays in the whole year.
fn funds(payments: &[Payment]) -> BTreeMap<Bic, u64> {
    let mut funds = BTreeMap::new();
    for payment in payments {
        *funds.entry(payment.payer).or_default() += payment.amount;
    }
    funds
}

fn sends(bank: &Bic, place: usize) -> Sends {
    if *bank == names::home() {
        return Sends::Evenings;
    }
    [Sends::Ahead, Sends::Mornings, Sends::Behind][place % 3]
}

/// First and last day of a month of 1993.
pub fn month_range(month: u32) -> (Date, Date) {
    let day = |day| Date::from_yyyymmdd(19_930_000 + month * 100 + day).expect("a day of 1993");
    (day(1), day(days_in_month(1993, month)))
}

/// A book is ordered by date.
fn within(book: &[Entry], from: Date, to: Date) -> &[Entry] {
    let begin = book.partition_point(|entry| entry.date < from);
    let end = book.partition_point(|entry| entry.date <= to);
    &book[begin..end]
}

fn account(bank: &Bic) -> Bytes {
    bytes(names::account(bank).as_bytes())
}

fn bytes(bytes: &[u8; 16]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn transfer(payment: &Payment) -> v1::Transfer {
    v1::Transfer {
        debit_account: account(&payment.payer),
        credit_account: account(&payment.payee),
        amount: payment.amount,
        uetr: bytes(payment.reference.uetr.as_bytes()),
        end_to_end_id: payment.reference.end_to_end_id.clone(),
        settlement_date: payment.date.yyyymmdd(),
        commitment: Bytes::new(),
        salt: bytes(&names::salt(&payment.reference.end_to_end_id, 0)),
    }
}

fn book_entry(bank: &Bic, entry: &Entry, number: u64) -> v1::BookEntry {
    let uetr = match entry.carries {
        Carries::EndToEnd => Bytes::new(),
        Carries::Uetr | Carries::Both => bytes(entry.reference.uetr.as_bytes()),
    };
    let end_to_end_id = match entry.carries {
        Carries::Uetr => "NOTPROVIDED".to_owned(),
        Carries::EndToEnd | Carries::Both => entry.reference.end_to_end_id.clone(),
    };
    let side = match entry.side {
        Side::Debit => v1::Side::Debit,
        Side::Credit => v1::Side::Credit,
    };
    v1::BookEntry {
        account: account(bank),
        side: side.into(),
        amount: entry.amount,
        booking_date: entry.date.yyyymmdd(),
        value_date: 0,
        entry_reference: entry.own_reference.clone(),
        uetr,
        end_to_end_id,
        commitment: Bytes::new(),
        salt: bytes(&names::salt(&entry.own_reference, number)),
        ..v1::BookEntry::default()
    }
}
