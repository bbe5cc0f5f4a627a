//! The ledger as the documents describe it, as plainly as possible: maps, lists and a search
//! through all of them for every question. It shares no code with what it checks, and it decides
//! breaks by looking at everything afresh, where the ledger keeps them up to date.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_proto::v1::AgreementAnswer;

use super::agreements::{Deals, Offer};

pub const DAY_MS: u64 = 86_400_000;
const LARGEST: i128 = 9_223_372_036_854_775_807;

pub type Bank = String;
pub type AccountKey = [u8; 16];
/// Height and leaf.
pub type Place = (u64, u32);

#[derive(Clone, Debug)]
pub struct Order {
    pub id: [u8; 16],
    pub made_ms: u64,
    pub until_ms: u64,
    pub signer: Bank,
    pub signed_well: bool,
    /// The signed bytes: the content that the id names.
    pub content: Vec<u8>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub enum Body {
    Open { key: AccountKey, servicer: Bank, owner: Bank, asset: String },
    Transfer(Transfer),
    Batch { items: Vec<Transfer>, together: bool },
    Entries { account: AccountKey, items: Vec<Entry> },
    Statement { account: AccountKey, name: String, from: u32, to: u32 },
    Offer(Offer),
    Answer { number: u8, answer: AgreementAnswer },
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub debit: AccountKey,
    pub credit: AccountKey,
    pub amount: u64,
    pub uetr: u8,
    pub reference: String,
    /// 0 = the day of the block.
    pub date: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub credit: bool,
    pub amount: u64,
    pub date: u32,
    pub uetr: Option<u8>,
    pub reference: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Settled,
    Rejected(u16),
    Recorded,
    Taken,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Refused(u16),
    /// Decided before, there.
    Again(Place),
    /// Decided now: one verdict for each leaf.
    Decided(Vec<Verdict>),
}

#[derive(Clone, Debug)]
pub struct Account {
    pub servicer: Bank,
    pub owner: Bank,
    pub asset: String,
    pub balance: i128,
}

#[derive(Clone, Debug)]
pub struct Posting {
    pub account: AccountKey,
    pub place: Place,
    pub credit: bool,
    pub amount: u64,
    pub date: u32,
    uetr: u8,
    reference: String,
}

#[derive(Clone, Debug, Default)]
pub struct Book {
    pub entries: Vec<Entry>,
    /// Entry (from 0) to posting (place in `postings`).
    pub pairs: BTreeMap<usize, usize>,
    statements: Vec<(String, u32, u32)>,
}

/// The content of an id, when it was made, and where it was decided.
type Decided = (Vec<u8>, u64, Place);

/// What has become of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Open,
    Matched(Place),
    Differs(&'static str, Place),
    Duplicate,
    MissingHere,
}

#[derive(Clone, Default)]
pub struct Naive {
    members: BTreeSet<Bank>,
    assets: BTreeSet<String>,
    pub accounts: BTreeMap<AccountKey, Account>,
    pub postings: Vec<Posting>,
    pub books: BTreeMap<(AccountKey, Bank), Book>,
    decided: BTreeMap<(Bank, [u8; 16]), Decided>,
    settled: BTreeSet<(u8, AccountKey)>,
    height: u64,
    time_ms: u64,
    before_ms: u64,
    leaves: u32,
    today: u32,
    pub deals: Deals,
}

impl Naive {
    pub fn new(members: &[&str], assets: &[&str]) -> Naive {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Naive { members: owned(members), assets: owned(assets), ..Naive::default() }
    }

    pub fn begin_block(&mut self, stamp_ms: u64, founded_ms: u64, date_of: impl Fn(u64) -> u32) {
        self.before_ms = if self.height == 0 { founded_ms } else { self.time_ms };
        self.time_ms = stamp_ms.max(self.before_ms + 1);
        self.height += 1;
        self.leaves = 0;
        self.today = date_of(self.time_ms);
    }

    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The UTC date of the block.
    pub fn today(&self) -> u32 {
        self.today
    }

    pub fn judge(&mut self, order: &Order) -> Answer {
        let key = (order.signer.clone(), order.id);
        if let Some((content, made_ms, place)) = self.decided.get(&key) {
            // Apply remembers a day of ids; older ones are answered from the index of the node.
            let remembered = *made_ms + DAY_MS >= self.before_ms || place.0 == self.height;
            if remembered && *content == order.content {
                return Answer::Again(*place);
            }
            if remembered {
                return Answer::Refused(301);
            }
        }
        if let Some(reason) = self.refusal(order) {
            return Answer::Refused(reason);
        }
        let place = (self.height, self.leaves);
        let earlier = self.decided.insert(key, (order.content.clone(), order.made_ms, place));
        assert!(earlier.is_none(), "an id is decided once");
        Answer::Decided(self.decide(order))
    }

    fn refusal(&self, order: &Order) -> Option<u16> {
        if !self.members.contains(&order.signer) {
            return Some(202);
        }
        if matches!(&order.body, Body::Open { servicer, .. } if *servicer != order.signer) {
            return Some(205);
        }
        if !order.signed_well {
            return Some(206);
        }
        let now = self.time_ms;
        if order.until_ms < now {
            Some(302)
        } else if order.made_ms + DAY_MS < now {
            Some(303)
        } else if order.made_ms > now + 5 * 60 * 1_000 {
            Some(304)
        } else if order.until_ms > order.made_ms + DAY_MS {
            Some(305)
        } else {
            None
        }
    }

    fn decide(&mut self, order: &Order) -> Vec<Verdict> {
        match &order.body {
            Body::Open { key, servicer, owner, asset } => {
                let reason = if !self.assets.contains(asset) {
                    Some(404)
                } else if !self.members.contains(owner) {
                    Some(405)
                } else {
                    self.accounts.contains_key(key).then_some(406)
                };
                self.leaves += 1;
                if let Some(reason) = reason {
                    return vec![Verdict::Rejected(reason)];
                }
                let (servicer, owner) = (servicer.clone(), owner.clone());
                let account = Account { servicer, owner, asset: asset.clone(), balance: 0 };
                self.accounts.insert(*key, account);
                vec![Verdict::Recorded]
            }
            Body::Transfer(transfer) => vec![self.pay(&order.signer, transfer)],
            Body::Batch { items, together } => {
                self.leaves += 1;
                let mut verdicts = vec![Verdict::Taken];
                verdicts.extend(self.pay_all(&order.signer, items, *together));
                verdicts
            }
            Body::Entries { account, items } => {
                self.leaves += 1;
                let mut verdicts = vec![Verdict::Taken];
                for entry in items {
                    let known = self.is_party(account, &order.signer);
                    verdicts.push(if known { Verdict::Recorded } else { Verdict::Rejected(401) });
                    if known {
                        self.book(account, &order.signer, entry);
                    }
                    self.leaves += 1;
                }
                verdicts
            }
            Body::Statement { account, name, from, to } => {
                self.leaves += 1;
                if !self.is_party(account, &order.signer) {
                    return vec![Verdict::Rejected(401)];
                }
                let book = self.books.entry((*account, order.signer.clone())).or_default();
                if book.statements.iter().any(|(other, ..)| other == name) {
                    return vec![Verdict::Rejected(801)];
                }
                book.statements.push((name.clone(), *from, *to));
                vec![Verdict::Recorded]
            }
            Body::Offer(offer) => {
                self.leaves += 1;
                vec![self.offer(&order.signer, offer)]
            }
            Body::Answer { number, answer } => {
                self.leaves += 1;
                vec![self.answer(&order.signer, *number, *answer)]
            }
        }
    }

    fn is_party(&self, account: &AccountKey, bank: &Bank) -> bool {
        let account = self.accounts.get(account);
        account.is_some_and(|account| account.owner == *bank || account.servicer == *bank)
    }

    fn pay_all(&mut self, signer: &Bank, items: &[Transfer], together: bool) -> Vec<Verdict> {
        let mut trial = self.clone();
        let verdicts: Vec<Verdict> = items.iter().map(|item| trial.pay(signer, item)).collect();
        let rejected = |verdict: &Verdict| matches!(verdict, Verdict::Rejected(_));
        if !together || !verdicts.iter().any(rejected) {
            *self = trial;
            return verdicts;
        }
        self.leaves = trial.leaves;
        let aborted = |verdict| match verdict {
            Verdict::Settled => Verdict::Rejected(601),
            other => other,
        };
        verdicts.into_iter().map(aborted).collect()
    }

    fn pay(&mut self, signer: &Bank, transfer: &Transfer) -> Verdict {
        let place = (self.height, self.leaves);
        self.leaves += 1;
        let Some(debit) = self.accounts.get(&transfer.debit).filter(|it| it.owner == *signer)
        else {
            return Verdict::Rejected(402);
        };
        let beside = |it: &&Account| it.servicer == debit.servicer && it.asset == debit.asset;
        let Some(credit) = self.accounts.get(&transfer.credit).filter(beside) else {
            return Verdict::Rejected(403);
        };
        if self.settled.contains(&(transfer.uetr, transfer.debit)) {
            return Verdict::Rejected(407);
        }
        let (less, more) = (
            debit.balance - i128::from(transfer.amount),
            credit.balance + i128::from(transfer.amount),
        );
        if less < 0 && debit.owner != debit.servicer {
            return Verdict::Rejected(501);
        }
        if less < -LARGEST || more > LARGEST {
            return Verdict::Rejected(502);
        }
        self.settled.insert((transfer.uetr, transfer.debit));
        for (account, credit, balance) in
            [(transfer.debit, false, less), (transfer.credit, true, more)]
        {
            self.accounts.get_mut(&account).expect("found above").balance = balance;
            let date = if transfer.date == 0 { self.today } else { transfer.date };
            let (amount, uetr) = (transfer.amount, transfer.uetr);
            let reference = transfer.reference.clone();
            self.postings.push(Posting { account, place, credit, amount, date, uetr, reference });
            self.show(self.postings.len() - 1);
        }
        Verdict::Settled
    }

    /// Pairs an entry with the posting that is free and differs least, the oldest of several.
    fn book(&mut self, account: &AccountKey, bank: &Bank, entry: &Entry) {
        let book = self.books.entry((*account, bank.clone())).or_default();
        book.entries.push(entry.clone());
        let taken: BTreeSet<usize> = book.pairs.values().copied().collect();
        let free = self.postings.iter().enumerate().filter(|(place, posting)| {
            !taken.contains(place) && posting.account == *account && belongs(entry, posting)
        });
        if let Some((place, _)) = free.min_by_key(|(_, posting)| severity(entry, posting)) {
            book.pairs.insert(book.entries.len() - 1, place);
        }
    }

    /// Pairs a posting with the entry that waits for it: one that names the UETR before one that
    /// names the reference, then the least difference, then the oldest.
    fn show(&mut self, place: usize) {
        let posting = &self.postings[place];
        for ((account, _), book) in &mut self.books {
            if *account != posting.account {
                continue;
            }
            let waiting = book.entries.iter().enumerate().filter(|(number, entry)| {
                !book.pairs.contains_key(number) && belongs(entry, posting)
            });
            let best =
                waiting.min_by_key(|(_, entry)| (entry.uetr.is_none(), severity(entry, posting)));
            if let Some((number, _)) = best {
                book.pairs.insert(number, place);
            }
        }
    }

    /// What has become of each entry of a book.
    pub fn fates(&self, account: &AccountKey, bank: &Bank) -> Vec<Fate> {
        let Some(book) = self.books.get(&(*account, bank.clone())) else { return Vec::new() };
        let fate = |(number, entry): (usize, &Entry)| match book.pairs.get(&number) {
            Some(place) => {
                let posting = &self.postings[*place];
                match difference(entry, posting) {
                    None => Fate::Matched(posting.place),
                    Some(kind) => Fate::Differs(kind, posting.place),
                }
            }
            None if self.postings.iter().any(|it| it.account == *account && belongs(entry, it)) => {
                Fate::Duplicate
            }
            None if book.covers(entry.date) => Fate::MissingHere,
            None => Fate::Open,
        };
        book.entries.iter().enumerate().map(fate).collect()
    }

    /// Postings that a book should have and has not.
    pub fn missing_there(&self, account: &AccountKey, bank: &Bank) -> BTreeSet<Place> {
        let Some(book) = self.books.get(&(*account, bank.clone())) else { return BTreeSet::new() };
        let taken: BTreeSet<usize> = book.pairs.values().copied().collect();
        let missing = self.postings.iter().enumerate().filter(|(place, posting)| {
            posting.account == *account && !taken.contains(place) && book.covers(posting.date)
        });
        missing.map(|(_, posting)| posting.place).collect()
    }
}

impl Book {
    fn covers(&self, date: u32) -> bool {
        self.statements.iter().any(|(_, from, to)| (*from..=*to).contains(&date))
    }
}

fn belongs(entry: &Entry, posting: &Posting) -> bool {
    let says_something = !["", "NOTPROVIDED", "NONREF", "NOREF"].contains(&&*entry.reference);
    match entry.uetr {
        Some(uetr) => uetr == posting.uetr,
        None => says_something && entry.reference == posting.reference,
    }
}

fn difference(entry: &Entry, posting: &Posting) -> Option<&'static str> {
    if entry.credit != posting.credit {
        Some("direction")
    } else if entry.amount != posting.amount {
        Some("amount")
    } else if entry.date != posting.date {
        Some("date")
    } else {
        None
    }
}

fn severity(entry: &Entry, posting: &Posting) -> u8 {
    match difference(entry, posting) {
        None => 0,
        Some("date") => 1,
        Some("amount") => 2,
        Some(_) => 3,
    }
}
