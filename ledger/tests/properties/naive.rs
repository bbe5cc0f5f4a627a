//! The ledger as the documents describe it, as plainly as possible: maps, lists and a search
//! through all of them for every question. It shares no code with what it checks. What belongs
//! together in the books is not its business: `matching/naive.rs` is the model of that.

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
    Open {
        key: AccountKey,
        servicer: Bank,
        owner: Bank,
        asset: String,
    },
    Transfer(Transfer),
    Batch {
        items: Vec<Transfer>,
        together: bool,
    },
    Entries {
        account: AccountKey,
        items: Vec<Entry>,
    },
    Statement {
        account: AccountKey,
        name: String,
        to: u32,
    },
    /// A run, a decision, a step of the work on a break with its transfer, or a signed position.
    Step {
        paid: Option<Transfer>,
    },
    Offer(Offer),
    Answer {
        number: u8,
        answer: AgreementAnswer,
    },
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub debit: AccountKey,
    pub credit: AccountKey,
    pub amount: u64,
    pub uetr: u8,
    /// 0 = the day of the block.
    pub date: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub date: u32,
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

/// The content of an id, when it was made, and where it was decided.
type Decided = (Vec<u8>, u64, Place);

#[derive(Clone, Default)]
pub struct Naive {
    members: BTreeSet<Bank>,
    assets: BTreeSet<String>,
    pub accounts: BTreeMap<AccountKey, Account>,
    /// How many an account has had.
    pub postings: BTreeMap<AccountKey, u64>,
    /// How many items the books of an account have had, by whose they are; the ledger's without.
    pub items: BTreeMap<(AccountKey, Option<Bank>), u64>,
    statements: BTreeSet<(AccountKey, Bank, String)>,
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

    /// What becomes of an order; `found` is what the ledger decided, if it decided.
    pub fn judge(&mut self, order: &Order, found: Option<Verdict>) -> Answer {
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
        if matches!(order.body, Body::Step { .. }) {
            return self.learn(order, found.expect("nothing speaks against deciding it"));
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
                    let refused = self.not_compared(account, &order.signer, entry.date);
                    if refused.is_none() {
                        let key = (*account, Some(order.signer.clone()));
                        *self.items.entry(key).or_default() += 1;
                    }
                    verdicts.push(refused.map_or(Verdict::Recorded, Verdict::Rejected));
                    self.leaves += 1;
                }
                verdicts
            }
            Body::Statement { account, name, to } => {
                self.leaves += 1;
                if let Some(reason) = self.not_compared(account, &order.signer, *to) {
                    return vec![Verdict::Rejected(reason)];
                }
                let key = (*account, order.signer.clone(), name.clone());
                let new = self.statements.insert(key);
                vec![if new { Verdict::Recorded } else { Verdict::Rejected(801) }]
            }
            Body::Step { .. } => unreachable!("what a step does is asked of the ledger"),
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

    /// What the ledger says of a step of reconciliation depends on everything before, so the model
    /// learns its verdict; but money moves only as a transfer of the same signer would move it.
    fn learn(&mut self, order: &Order, found: Verdict) -> Answer {
        let Body::Step { paid } = &order.body else { unreachable!("only of steps") };
        let place = (self.height, self.leaves);
        let key = (order.signer.clone(), order.id);
        let earlier = self.decided.insert(key, (order.content.clone(), order.made_ms, place));
        assert!(earlier.is_none(), "an id is decided once");
        let of_transfer = match found {
            Verdict::Settled => true,
            Verdict::Rejected(reason) => matches!(reason, 402..=407 | 501..=502),
            _ => false,
        };
        match paid.as_ref().filter(|_| of_transfer) {
            Some(transfer) => Answer::Decided(vec![self.pay(&order.signer, transfer)]),
            None => {
                self.leaves += 1;
                let expected = match found {
                    Verdict::Rejected(reason) => reason == 401 || (820..=833).contains(&reason),
                    found => found == Verdict::Recorded,
                };
                assert!(expected, "{order:?} became {found:?}");
                Answer::Decided(vec![found])
            }
        }
    }

    /// Why what a bank says of an account on a day is not taken.
    fn not_compared(&self, account: &AccountKey, signer: &Bank, date: u32) -> Option<u16> {
        if !self.is_party(account, signer) {
            Some(401)
        } else {
            self.deals.governing(account, date).is_none().then_some(820)
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
        for (account, balance) in [(transfer.debit, less), (transfer.credit, more)] {
            self.accounts.get_mut(&account).expect("found above").balance = balance;
            let date = if transfer.date == 0 { self.today } else { transfer.date };
            *self.postings.entry(account).or_default() += 1;
            if self.deals.governing(&account, date).is_some() {
                *self.items.entry((account, None)).or_default() += 1;
            }
        }
        Verdict::Settled
    }
}
