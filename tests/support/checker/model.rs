//! A model of the ledger, as simple as can be: balances, and which UETR has settled from which account.
//! It decides every transfer again, in the ledger's order.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Account, Answer, Asked, History, NodeEnd, State, Transfer, Verdict, View};
use super::receipts::place;
use super::{Findings, Id, Rule};

/// Reasons that the model can judge; the numbers are those of docs/reference/reasons.md.
const UETR_SETTLED: u32 = 407;
const INSUFFICIENT_FUNDS: u32 = 501;
const BATCH_ABORTED: u32 = 601;

/// An account after one of its postings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Where the posting stands.
    pub(super) at: (u64, u32),
    /// By how much it changed the balance.
    pub(super) change: i64,
    /// The balance after it.
    pub(super) balance: i64,
}

/// What the ledger's order gives.
#[derive(Default)]
pub(super) struct Ledger {
    /// Every posting of each account.
    pub(super) accounts: BTreeMap<String, Vec<Standing>>,
    /// Up to this height.
    pub(super) height: u64,
}

impl Ledger {
    /// The balance and the number of postings of an account after a block.
    fn after(&self, account: &str, height: u64) -> (i64, u64) {
        let postings = self.accounts.get(account).map_or(&[][..], Vec::as_slice);
        let count = postings.partition_point(|posting| posting.at.0 <= height);
        let balance = count.checked_sub(1).map_or(0, |last| postings[last].balance);
        (balance, u64::try_from(count).unwrap_or(u64::MAX))
    }
}

/// Decides again what a node lists; all nodes list the same, or that is a violation of its own.
pub(super) fn replay(history: &History, findings: &mut Findings) -> Ledger {
    let running = history.nodes.iter().filter(|node| node.down.is_none());
    let Some(node) = running.max_by_key(|node| node.accounts.height) else {
        return Ledger::default();
    };
    let mut orders: BTreeMap<Id, bool> = BTreeMap::new();
    for call in &history.calls {
        if let Asked::Submit { institution, id, all_or_nothing, .. } = &call.asked {
            *orders.entry((institution.clone(), id.clone())).or_default() |= all_or_nothing;
        }
    }
    let mut replay = Replay::of(node, &orders);
    let mut from = 0;
    while let Some(first) = node.transfers.get(from) {
        let same = |it: &&Transfer| (&it.institution, &it.id) == (&first.institution, &first.id);
        let count = node.transfers[from..].iter().take_while(same).count();
        replay.instruction(&node.transfers[from..from + count], findings);
        from += count;
    }
    Ledger { accounts: replay.accounts, height: node.accounts.height }
}

struct Replay<'a> {
    issuers: BTreeSet<&'a str>,
    owners: BTreeMap<&'a str, &'a str>,
    /// Everything that was ordered, and whether one refused item refuses all.
    orders: &'a BTreeMap<Id, bool>,
    accounts: BTreeMap<String, Vec<Standing>>,
    settled: BTreeSet<(&'a str, &'a str)>,
    decided: BTreeMap<(&'a str, &'a str, u32), (u64, u32)>,
    next_posting: u64,
}

impl<'a> Replay<'a> {
    fn of(node: &'a NodeEnd, orders: &'a BTreeMap<Id, bool>) -> Replay<'a> {
        let issues = |it: &&Account| it.owner == it.servicer;
        let issuers = node.accounts.accounts.iter().filter(issues);
        let owner = |it: &'a Account| (it.id.as_str(), it.owner.as_str());
        Replay {
            owners: node.accounts.accounts.iter().map(owner).collect(),
            issuers: issuers.map(|it| it.id.as_str()).collect(),
            orders,
            accounts: BTreeMap::new(),
            settled: BTreeSet::new(),
            decided: BTreeMap::new(),
            next_posting: 1,
        }
    }

    /// The transfers of one instruction.
    fn instruction(&mut self, transfers: &'a [Transfer], findings: &mut Findings) {
        let Some(first) = transfers.first() else { return };
        let order = self.orders.get(&(first.institution.clone(), first.id.clone()));
        let told = format!("{} of {}", first.id, first.institution);
        findings.require(order.is_some(), Rule::OnlyOrdered, || {
            format!("{told} is at {:?}, and nobody has submitted it", at(&first.verdict))
        });
        let all_or_nothing = order.copied().unwrap_or_default();
        let settled = transfers.iter().filter(|it| it.verdict.state == State::Settled).count();
        let whole = settled == 0 || settled == transfers.len();
        findings.require(!all_or_nothing || whole, Rule::VerdictFollows, || {
            format!("{told}: {settled} of {} items settled, all or nothing", transfers.len())
        });
        for transfer in transfers {
            self.once(transfer, findings);
            match transfer.verdict.state {
                State::Settled => self.settle(transfer, findings),
                // Of a batch that is refused as a whole each item was judged behind those before it.
                State::Rejected if all_or_nothing => {}
                State::Rejected => self.refuse(transfer, findings),
                State::Recorded | State::Itemised => {
                    findings.add(Rule::VerdictFollows, format!("{told}: a transfer is neither"));
                }
            }
        }
    }

    fn once(&mut self, transfer: &'a Transfer, findings: &mut Findings) {
        let key = (&transfer.institution[..], &transfer.id[..], transfer.verdict.item);
        if let Some(before) = self.decided.insert(key, at(&transfer.verdict)) {
            findings.add(
                Rule::DecidedOnce,
                format!("{key:?} at {before:?} and again at {:?}", at(&transfer.verdict)),
            );
        }
    }

    fn settle(&mut self, transfer: &'a Transfer, findings: &mut Findings) {
        let told = || format!("{} of {}", transfer.id, transfer.institution);
        let covered = self.balance(&transfer.debit) >= i128::from(transfer.amount);
        findings.require(covered || self.issues(&transfer.debit), Rule::NoOverdraft, || {
            format!("{} at {:?} debits more than there is", told(), at(&transfer.verdict))
        });
        let owner = self.owners.get(transfer.debit.as_str());
        findings.require(owner == Some(&transfer.institution.as_str()), Rule::OwnerOrders, || {
            format!("{} debits an account of {owner:?}", told())
        });
        let new = self.settled.insert((&transfer.debit, &transfer.uetr));
        findings.require(new, Rule::VerdictFollows, || {
            format!("{}: UETR {} settles once more", told(), transfer.uetr)
        });
        findings.require(
            transfer.first_posting == self.next_posting,
            Rule::PostingsNumbered,
            || format!("{}: {} after {}", told(), transfer.first_posting, self.next_posting),
        );
        self.next_posting = transfer.first_posting.saturating_add(2);
        let amount = i64::try_from(transfer.amount).unwrap_or(i64::MAX);
        self.post(&transfer.debit, -amount, at(&transfer.verdict));
        self.post(&transfer.credit, amount, at(&transfer.verdict));
    }

    fn refuse(&self, transfer: &Transfer, findings: &mut Findings) {
        let covered = self.balance(&transfer.debit) >= i128::from(transfer.amount)
            || self.issues(&transfer.debit);
        let wrong = match transfer.verdict.reason {
            INSUFFICIENT_FUNDS => covered,
            UETR_SETTLED => !self.settled.contains(&(&transfer.debit[..], &transfer.uetr[..])),
            BATCH_ABORTED => true,
            _ => false,
        };
        findings.require(!wrong, Rule::VerdictFollows, || {
            format!(
                "{} of {} is refused for {} at {:?} without cause",
                transfer.id,
                transfer.institution,
                transfer.verdict.reason,
                at(&transfer.verdict)
            )
        });
    }

    fn issues(&self, account: &str) -> bool {
        self.issuers.contains(account)
    }

    fn balance(&self, account: &str) -> i128 {
        let last = self.accounts.get(account).and_then(|it| it.last());
        last.map_or(0, |last| i128::from(last.balance))
    }

    fn post(&mut self, account: &str, change: i64, at: (u64, u32)) {
        let balance = i64::try_from(self.balance(account)).unwrap_or(i64::MAX);
        let balance = balance.saturating_add(change);
        let standing = Standing { at, change, balance };
        self.accounts.entry(account.to_owned()).or_default().push(standing);
    }
}

/// The place of a verdict.
pub(super) fn at(verdict: &Verdict) -> (u64, u32) {
    (verdict.height, verdict.leaf)
}

/// Every view of accounts, during the run and at the end, is what the ledger's order gives.
pub(super) fn views(history: &History, ledger: &Ledger, findings: &mut Findings) {
    for call in &history.calls {
        if let (Asked::Accounts { all, .. }, Answer::Accounts(view)) = (&call.asked, &call.answer) {
            judge(&place(call), view, *all, ledger, findings);
        }
    }
    for node in history.nodes.iter().filter(|node| node.down.is_none()) {
        judge(&format!("node {} at the end", node.node), &node.accounts, true, ledger, findings);
    }
}

fn judge(place: &str, view: &View, all: bool, ledger: &Ledger, findings: &mut Findings) {
    let mut sums: BTreeMap<(&str, &str), i128> = BTreeMap::new();
    for account in &view.accounts {
        let sum = sums.entry((&account.servicer, &account.asset)).or_default();
        *sum += i128::from(account.balance);
        let owes = account.balance < 0 && account.owner != account.servicer;
        findings.require(!owes, Rule::NoOverdraft, || format!("{place}: {account:?}"));
        if view.height <= ledger.height {
            let (balance, postings) = ledger.after(&account.id, view.height);
            let same = (account.balance, account.postings) == (balance, postings);
            findings.require(same, Rule::BalanceFollows, || {
                format!(
                    "{place}, height {}: {account:?}, not {balance} after {postings}",
                    view.height
                )
            });
        }
    }
    for ((servicer, asset), sum) in sums.into_iter().filter(|(_, sum)| all && *sum != 0) {
        let what =
            format!("{place}, height {}: {asset} of {servicer} add up to {sum}", view.height);
        findings.add(Rule::MoneyConserved, what);
    }
}
