//! Offers of agreements and answers to them: orders drawn from a small table, and the rules as plainly
//! as possible. The model keeps what was accepted in a list and walks it for every question.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_ledger::{agreement::AgreementId, date::Date};
use counterfoil_proto::v1;

use super::{
    naive::{AccountKey, Bank, Body, Naive, Verdict},
    random::{ACCOUNTS, account},
};
use crate::support::{
    Chain, NOON_MS,
    build::{self, HOUR_MS},
    consortium::bic_of,
};

const DAY: u32 = 20_261_123;

/// Terms that are offered: everything that the rules look at.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its place in the table.
    pub number: u8,
    servicer: Bank,
    owner: Bank,
    accounts: Vec<AccountKey>,
    asset: &'static str,
    rules: u32,
    from: u32,
    supersedes: Option<u8>,
    accept_until_ms: u64,
}

/// What banks have offered each other, in order.
#[derive(Clone, Default)]
pub struct Deals {
    offers: Vec<(Offer, Bank)>,
    answered: BTreeSet<u8>,
    /// In the order of their acceptance.
    accepted: Vec<Offer>,
}

/// The table: places of accounts, from, what it supersedes, how long it stands. Every history offers and
/// accepts the first; the second has expired by then.
const TABLE: [(&[usize], u32, Option<u8>, u64); 14] = [
    (&[1, 3], DAY, None, 20 * HOUR_MS),
    (&[5], DAY, None, 1),
    (&[1, 3], DAY, Some(0), 20 * HOUR_MS),
    (&[1], DAY + 1, Some(0), 20 * HOUR_MS),
    (&[1, 3], DAY + 1, Some(0), 20 * HOUR_MS),
    (&[3], DAY + 1, None, 20 * HOUR_MS),
    (&[3], DAY, None, 20 * HOUR_MS),
    (&[2], DAY, None, 20 * HOUR_MS),
    (&[2], DAY + 1, Some(7), 20 * HOUR_MS),
    (&[5], DAY - 1, None, 20 * HOUR_MS),
    (&[5], DAY, Some(99), 20 * HOUR_MS),
    (&[5, 2], DAY, None, 20 * HOUR_MS),
    (&[5], DAY, None, 91 * 24 * HOUR_MS),
    (&[5], DAY, None, 20 * HOUR_MS),
];

/// An offer of the table with its message. A few are changed into ones that name what is not there.
fn offer(number: u8, change: u8) -> (Offer, v1::AgreementTerms) {
    let (places, from, supersedes, stands) = TABLE[usize::from(number)];
    let ids: Vec<_> = places.iter().map(|place| account(*place)).collect();
    let (servicer, owner, ..) = ACCOUNTS[places[0]];
    let (asset, rules) = match change {
        0..=23 => ("EUR", 1),
        24..=63 => ("CHF", 2),
        _ => ("CHF", 1),
    };
    let parties = (&bic_of(servicer), &bic_of(owner));
    let mut terms = build::terms(&format!("agreement {number}"), parties, &ids, from);
    terms.tolerances = vec![v1::Tolerance { asset: asset.to_owned(), ..Default::default() }];
    terms.rule_set = rules;
    let changed = change < 64;
    if let Some(other) = supersedes {
        let id = if TABLE.len() > usize::from(other) { id(other) } else { [9; 16] };
        terms.supersedes = Bytes::copy_from_slice(&id);
    }
    let offer = Offer {
        // What is changed is other terms, with another id.
        number: if changed { 100 + change } else { number },
        servicer: servicer.to_owned(),
        owner: owner.to_owned(),
        accounts: ids.iter().map(|id| *id.as_bytes()).collect(),
        asset,
        rules,
        from,
        supersedes,
        accept_until_ms: NOON_MS + 1_000 + stands,
    };
    (offer, terms)
}

fn id(number: u8) -> [u8; 16] {
    *AgreementId::of(&offer(number, u8::MAX).1).as_bytes()
}

/// The order that a draw stands for: the signer, what the model is told, and what is signed.
pub fn order(label: &str, draw: [u8; 5]) -> (&'static str, Body, v1::instruction::Body) {
    let places = u8::try_from(TABLE.len()).unwrap();
    let number = draw[1] % places;
    let (servicer, owner, ..) = ACCOUNTS[TABLE[usize::from(number)].0[0]];
    let signer = match draw[2] {
        0..=15 => "Beta",
        signer if signer % 2 == 0 => servicer,
        _ => owner,
    };
    if draw[0].is_multiple_of(2) {
        let (offer, terms) = offer(number, draw[3]);
        let wire = build::offer(terms, offer.accept_until_ms);
        return (signer, Body::Offer(offer), wire);
    }
    let answer = match draw[3] % 8 {
        0 => v1::AgreementAnswer::Withdraw,
        1 => v1::AgreementAnswer::Reject,
        _ => v1::AgreementAnswer::Accept,
    };
    let number = if draw[4] < 8 { 99 } else { number };
    let agreement = if number == 99 { [9; 16] } else { id(number) };
    let agreement = AgreementId::from_bytes(&agreement).unwrap();
    (signer, Body::Answer { number, answer }, build::answer(label, &agreement, answer))
}

/// What every history begins with: two offers, and the first accepted.
pub fn prelude() -> [(&'static str, Body, v1::instruction::Body); 3] {
    [
        order("first offer", [0, 0, 255, 255, 255]),
        order("second offer", [0, 1, 255, 255, 255]),
        order("first answer", [1, 0, 254, 2, 255]),
    ]
}

impl Naive {
    pub fn offer(&mut self, signer: &Bank, offer: &Offer) -> Verdict {
        let of_both = |key| {
            let account = self.accounts.get(key);
            account.is_some_and(|it| it.servicer == offer.servicer && it.owner == offer.owner)
        };
        let party = [&offer.servicer, &offer.owner].contains(&signer);
        let latest = self.time_ms() + 90 * 24 * HOUR_MS;
        let reason = if !party || !offer.accounts.iter().all(of_both) {
            Some(401)
        } else if !["CHF", "JPY"].contains(&offer.asset) {
            Some(404)
        } else if self.deals.offers.iter().any(|(it, _)| it.number == offer.number) {
            Some(803)
        } else if offer.rules != 1 {
            Some(807)
        } else if offer.accept_until_ms < self.time_ms() || offer.accept_until_ms > latest {
            Some(808)
        } else {
            self.deals.conflict(offer)
        };
        if let Some(reason) = reason {
            return Verdict::Rejected(reason);
        }
        self.deals.offers.push((offer.clone(), signer.clone()));
        Verdict::Recorded
    }

    pub fn answer(&mut self, signer: &Bank, number: u8, answer: v1::AgreementAnswer) -> Verdict {
        let found = self.deals.offers.iter().find(|(it, _)| it.number == number).cloned();
        let Some((offer, by)) =
            found.filter(|(it, _)| it.servicer == *signer || it.owner == *signer)
        else {
            return Verdict::Rejected(802);
        };
        let accepts = answer == v1::AgreementAnswer::Accept;
        let withdraws = answer == v1::AgreementAnswer::Withdraw;
        let reason = if withdraws != (by == *signer) {
            Some(804)
        } else if self.deals.answered.contains(&number) {
            Some(805)
        } else if self.time_ms() > offer.accept_until_ms {
            Some(806)
        } else if accepts {
            self.deals.conflict(&offer)
        } else {
            None
        };
        if let Some(reason) = reason {
            return Verdict::Rejected(reason);
        }
        self.deals.answered.insert(number);
        if accepts {
            self.deals.accepted.push(offer);
        }
        Verdict::Recorded
    }
}

impl Deals {
    /// Which agreement governs an account's items with a value date: the last accepted one that says
    /// anything about it.
    pub fn governing(&self, account: &AccountKey, date: u32) -> Option<u8> {
        let mut current = None;
        for offer in self.accepted.iter().filter(|offer| offer.from <= date) {
            if offer.accounts.contains(account) {
                current = Some(offer.number);
            } else if current.is_some() && current == offer.supersedes {
                current = None;
            }
        }
        current
    }

    fn conflict(&self, offer: &Offer) -> Option<u16> {
        let named = |it: &&Offer| Some(it.number) == offer.supersedes;
        let replaced = self.accepted.iter().find(named).filter(|it| {
            (&it.servicer, &it.owner) == (&offer.servicer, &offer.owner)
                && self.accepted.iter().all(|other| other.supersedes != Some(it.number))
        });
        if offer.supersedes.is_some() && replaced.is_none() {
            return Some(810);
        }
        let others = |account: &AccountKey, date| {
            self.governing(account, date).is_some_and(|by| Some(by) != offer.supersedes)
        };
        if offer.accounts.iter().any(|account| others(account, 99_991_231)) {
            return Some(811);
        }
        let still = |date| offer.accounts.iter().any(|account| others(account, date));
        let late = replaced.is_none_or(|it| it.from < offer.from);
        (!late || (offer.from..=offer.from + 7).any(still)).then_some(812)
    }
}

/// Whether every account is governed on every day as the model says.
pub fn check(chain: &Chain, naive: &Naive) {
    for (place, named) in ACCOUNTS.iter().enumerate() {
        let account = account(place);
        for date in DAY - 1..DAY + 4 {
            let day = Date::from_yyyymmdd(date).unwrap();
            let found = chain.state.agreements().governing(&account, day);
            let found = found.map(|it| *it.id.as_bytes());
            let expected = naive.deals.governing(account.as_bytes(), date);
            assert_eq!(found, expected.map(id), "{named:?} on {date}");
        }
    }
}
