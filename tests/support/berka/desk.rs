//! A bank's own record of one account: what it has told the ledger of its book, and what it says of a
//! day. Nothing here comes from the ledger's books.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use counterfoil_ledger::{agreement::Party, bic::Bic, block::Side, date::Date, hash::Hash};
use counterfoil_proto::v1;
use prost::Message;

use super::{
    books::{Carries, Entry},
    names,
    plan::Label,
};

/// The entries of a value date.
#[derive(Clone, Debug, Default)]
struct Valued {
    credits: (u64, u64),
    debits: (u64, u64),
    leaves: Vec<Hash>,
}

impl Valued {
    /// What they add to the balance.
    fn moved(&self) -> i128 {
        i128::from(self.credits.1) - i128::from(self.debits.1)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Which party of the account the bank is.
    pub party: Party,
    /// Whose account.
    pub partner: Bic,
    /// What the entries are called, in the order of their numbers.
    pub labels: Vec<Label>,
    /// Value dates of which the bank still has to sign what it says of them.
    pub unsigned: BTreeSet<Date>,
    /// Balance before the year, hellers.
    opening: i128,
    /// What was booked on a date.
    booked: BTreeMap<Date, i128>,
    valued: BTreeMap<Date, Valued>,
    signed: BTreeSet<Date>,
    statements: u64,
}

impl Desk {
    /// A book that begins with a balance.
    pub fn new(party: Party, partner: Bic, opening: i128) -> Desk {
        Desk {
            party,
            partner,
            labels: Vec::new(),
            unsigned: BTreeSet::new(),
            opening,
            booked: BTreeMap::new(),
            valued: BTreeMap::new(),
            signed: BTreeSet::new(),
            statements: 0,
        }
    }

    /// Which bank it is.
    pub fn bank(&self) -> Bic {
        match self.party {
            Party::Servicer => names::home(),
            Party::Owner => self.partner,
        }
    }

    /// Writes entries, and tells the ledger of them.
    pub fn write(&mut self, entries: &[Entry]) -> Vec<v1::BookEntry> {
        entries.iter().map(|entry| self.write_one(entry)).collect()
    }

    fn write_one(&mut self, entry: &Entry) -> v1::BookEntry {
        self.labels.push(Label::entry(self.party, entry));
        let number = self.labels.len();
        let salt = names::salt(&format!("{:?} {} {number}", self.party, self.partner), 0);
        let message = message(&self.partner, entry, salt);
        *self.booked.entry(entry.booked).or_default() += entry.counted();
        let valued = self.valued.entry(entry.valued).or_default();
        let (count, sum) = match entry.side {
            Side::Credit => &mut valued.credits,
            Side::Debit => &mut valued.debits,
        };
        let counted = u64::try_from(entry.counted().unsigned_abs()).expect("it is an amount");
        (*count, *sum) = (*count + 1, *sum + counted);
        valued.leaves.push(tree_leaf(&message.encode_to_vec()));
        // What the bank has said of this date and of those after it is no longer so.
        self.unsigned.append(&mut self.signed.split_off(&entry.valued));
        message
    }

    /// The balance at the beginning of a date, by booking dates, as statements have it.
    fn booked_opening(&self, date: Date) -> i128 {
        self.opening + self.booked.range(..date).map(|(_, amount)| amount).sum::<i128>()
    }

    /// The balance at the beginning of a date, by value dates, as positions have it.
    fn valued_opening(&self, date: Date) -> i128 {
        self.opening + self.valued.range(..date).map(|(_, valued)| valued.moved()).sum::<i128>()
    }

    /// The statement of a day, with the number that the day has; or, as one more of that day, none.
    pub fn statement(&mut self, date: Date, numbered: bool) -> v1::Statement {
        self.statements += 1;
        let new_year = Date::from_yyyymmdd(19_930_101).expect("a day").day_number();
        let sequence = u64::from(date.day_number() - new_year) + 1;
        let what = format!("statement {:?} {}", self.party, self.partner);
        v1::Statement {
            account: bytes(names::account(&self.partner).as_bytes()),
            statement_id: format!("{}/{}", date.yyyymmdd(), self.statements),
            from_date: date.yyyymmdd(),
            to_date: date.yyyymmdd(),
            opening_balance: hellers(self.booked_opening(date)),
            closing_balance: hellers(self.booked_opening(date.next())),
            salt: bytes(&names::salt(&what, self.statements)),
            sequence: if numbered { sequence } else { 0 },
            ..v1::Statement::default()
        }
    }

    /// What the bank says of a day.
    pub fn view(&mut self, date: Date, salt: u64) -> v1::SignPosition {
        let none = Valued::default();
        let valued = self.valued.get(&date).unwrap_or(&none);
        let opening = self.valued_opening(date);
        let what = format!("position {:?} {}", self.party, self.partner);
        self.unsigned.remove(&date);
        self.signed.insert(date);
        v1::SignPosition {
            account: bytes(names::account(&self.partner).as_bytes()),
            date: date.yyyymmdd(),
            opening_balance: hellers(opening),
            credit_count: valued.credits.0,
            credits: valued.credits.1,
            debit_count: valued.debits.0,
            debits: valued.debits.1,
            closing_balance: hellers(opening + valued.moved()),
            digest: bytes(tree(&valued.leaves).as_bytes()),
            salt: bytes(&names::salt(&what, salt)),
        }
    }
}

fn hellers(balance: i128) -> i64 {
    i64::try_from(balance).expect("a bank's hellers fit 63 bits")
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// An entry as it is told.
fn message(partner: &Bic, entry: &Entry, salt: [u8; 16]) -> v1::BookEntry {
    let (uetr, end_to_end) = match entry.carries {
        Carries::Uetr => (true, false),
        Carries::EndToEnd => (false, true),
        Carries::Both => (true, true),
        Carries::Nothing => (false, false),
    };
    let side = match entry.side {
        Side::Debit => v1::Side::Debit,
        Side::Credit => v1::Side::Credit,
    };
    v1::BookEntry {
        account: bytes(names::account(partner).as_bytes()),
        side: side.into(),
        amount: entry.amount,
        booking_date: entry.booked.yyyymmdd(),
        value_date: if entry.valued == entry.booked { 0 } else { entry.valued.yyyymmdd() },
        entry_reference: entry.own_reference.clone(),
        uetr: if uetr { bytes(entry.reference.uetr.as_bytes()) } else { Bytes::new() },
        end_to_end_id: match end_to_end {
            true => entry.reference.end_to_end_id.clone(),
            false => "NOTPROVIDED".to_owned(),
        },
        salt: bytes(&salt),
        counterparty: entry.counterparty.map_or(String::new(), |bic| bic.as_str().to_owned()),
        reversal: entry.reversal,
        returned: entry.returned,
        charges: entry.charges,
        exchanged: entry.exchanged,
        asset: entry.asset.unwrap_or_default().to_owned(),
        ..v1::BookEntry::default()
    }
}

/// RFC 6962, 2.1: the hash of a leaf.
fn tree_leaf(data: &[u8]) -> Hash {
    Hash::of(&[&[0], data].concat())
}

/// RFC 6962, 2.1: the hash of a list.
fn tree(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [leaf] => *leaf,
        _ => {
            let left = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(left);
            Hash::of(&[&[1][..], tree(left).as_bytes(), tree(right).as_bytes()].concat())
        }
    }
}
