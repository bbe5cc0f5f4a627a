//! Reconciliation: what two institutions have agreed to compare of an account, kept as it comes.
//!
//! [`sheet`] is one account; [`crate::matching`] says what belongs together; findings, the work on
//! breaks and positions are the ledger's objects, and every change of them is an effect of a leaf.

pub mod ageing;
pub mod archive;
pub mod astray;
pub mod book;
mod closed;
mod closed_record;
mod closing;
mod correct;
pub mod day;
mod decide;
mod due;
pub mod effect;
pub mod explanation;
pub mod figures;
pub mod finding;
mod look;
mod lookup;
pub mod orders;
pub mod pass;
pub mod position;
mod record;
mod restore;
mod run;
pub mod sheet;
mod statement;
pub mod trial;
mod unclear;
mod whole;
pub mod work;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use due::DEADLINES_MAX;
use orders::{DecideMatch, SignPosition};
pub use record::KEY_LENGTH;
use sheet::{Moment, Sheet};
use work::Work;

use crate::{
    account::{Account, AccountId},
    agreement::{Agreement, Agreements, Party, Terms, calendar::Calendar},
    asset::AssetCode,
    bic::Bic,
    block::Side,
    date::Date,
    hash::Hash,
    instruction::{BookEntry, Statement},
    matching::{
        self,
        item::{EntryFields, Item, Source},
        terms::{Bounds, BusinessDays},
    },
    merkle,
    reason::Reason,
    uetr::Uetr,
};

/// Changed records for storage: key and value.
pub(crate) type Records = Vec<(Vec<u8>, Vec<u8>)>;

impl BusinessDays for Calendar {
    fn distance(&self, from: Date, to: Date) -> u32 {
        u32::try_from(Calendar::distance(self, from, to)).unwrap_or(0)
    }
}

/// All sheets.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    sheets: BTreeMap<u32, Sheet>,
    /// When each sheet next wants a block, Unix milliseconds.
    due: BTreeSet<(u64, u32)>,
    /// Sheets that have changed in this block.
    touched: BTreeSet<u32>,
    /// Items of all of them that are missing their counterpart.
    missing: astray::Missing,
}

/// A posting of the ledger, as its account sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posting<'a> {
    /// The account's own count of postings.
    pub number: u64,
    pub side: Side,
    pub amount: u64,
    pub date: Date,
    pub uetr: Uetr,
    pub end_to_end_id: &'a str,
    /// The other account's owner.
    pub counterparty: Bic,
    /// The break of this account that it ends, by the word of both parties.
    pub corrects: Option<u64>,
}

impl Posting<'_> {
    /// What a day's digest covers of it, 25 bytes: side u8 · amount u64 · UETR [16].
    fn hash(&self) -> Hash {
        let mut bytes = [0; 25];
        bytes[0] = self.side as u8;
        bytes[1..9].copy_from_slice(&self.amount.to_be_bytes());
        bytes[9..].copy_from_slice(self.uetr.as_bytes());
        merkle::leaf_hash(&bytes)
    }
}

/// The ledger's accounts.
#[derive(Clone, Copy)]
pub(crate) struct Accounts<'a> {
    /// By ordinal.
    pub all: &'a [Account],
    pub ordinals: &'a BTreeMap<AccountId, u32>,
}

impl<'a> Accounts<'a> {
    /// An account by its id.
    pub fn get(&self, id: &AccountId) -> Option<&'a Account> {
        self.all.get(usize::try_from(*self.ordinals.get(id)?).ok()?)
    }
}

/// What governs something that happens to an account.
#[derive(Clone, Copy)]
pub(crate) struct Governed<'a> {
    pub account: &'a Account,
    pub terms: &'a Terms,
    /// Among them the other accounts of the terms.
    pub accounts: Accounts<'a>,
}

impl<'a> Governed<'a> {
    /// By the agreement that is in force for a value date.
    pub(crate) fn on(
        agreements: &'a Agreements,
        accounts: Accounts<'a>,
        account: &'a Account,
        date: Date,
    ) -> Option<Governed<'a>> {
        let Agreement { terms, .. } = agreements.governing(&account.id, date)?;
        Some(Governed { account, terms, accounts })
    }

    /// The ordinals of all accounts of the terms that hold the account's asset, ascending.
    fn family(&self) -> Vec<u32> {
        let accounts = self.terms.accounts.iter().filter_map(|id| self.accounts.get(id));
        let alike = accounts.filter(|it| it.asset == self.account.asset);
        let mut family: Vec<u32> = alike.map(|it| it.ordinal).collect();
        family.sort_unstable();
        family
    }

    /// As matching wants to know it.
    fn rules(&self) -> matching::terms::Terms<'a> {
        rules(self.terms, &self.account.asset)
    }
}

fn rules<'a>(terms: &'a Terms, asset: &AssetCode) -> matching::terms::Terms<'a> {
    matching::terms::Terms {
        tolerance: terms.tolerance(asset),
        window: terms.value_date_window,
        days: &terms.calendar,
        bounds: Bounds::RULE_SET_1,
    }
}

impl Reconciliation {
    /// The sheet of an account, once something was recorded for it.
    pub fn sheet(&self, account: u32) -> Option<&Sheet> {
        self.sheets.get(&account)
    }

    /// When the next work is due, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Shows a posting to the sheet of its account.
    pub(crate) fn posting(
        &mut self,
        governed: Governed<'_>,
        posting: &Posting<'_>,
        drawn: &[u8; 16],
        now: Moment,
    ) -> Vec<u8> {
        if !governed.terms.sources.ledger {
            return Vec::new();
        }
        let Posting { number, side, amount, date, uetr, end_to_end_id, counterparty, .. } =
            *posting;
        let item = Item::of_posting(number, side, amount, date, uetr, end_to_end_id, counterparty);
        let counted = book::Counted { side, amount, booked: date, valued: date, purpose: None };
        let counted = (Source::Ledger, counted, posting.hash());
        self.change(governed, drawn, now, |sheet| {
            let rules = (governed.terms, &governed.rules());
            sheet.arrive(counted, item, posting.corrects, rules, now);
        })
    }

    /// Takes an entry into a book. `hash` is the RFC 6962 leaf hash of its bytes.
    pub(crate) fn entry(
        &mut self,
        governed: Governed<'_>,
        source: Source,
        (entry, hash): (&BookEntry, Hash),
        now: Moment,
    ) -> Vec<u8> {
        let sheet = self.sheets.get(&governed.account.ordinal);
        let number = sheet.and_then(|it| it.book(source)).map_or(0, |book| book.count()) + 1;
        let item = item_of(number, entry, &governed.account.asset);
        let counted = book::Counted {
            side: entry.side,
            amount: item.counted(),
            booked: entry.booking_date,
            valued: entry.date,
            purpose: entry.purpose,
        };
        self.change(governed, &entry.salt, now, |sheet| {
            let counted = (source, counted, hash);
            sheet.arrive(counted, item, None, (governed.terms, &governed.rules()), now);
        })
    }

    /// Does something to an account's sheet, and gives the effects.
    fn change(
        &mut self,
        governed: Governed<'_>,
        drawn: &[u8; 16],
        now: Moment,
        change: impl FnOnce(&mut Sheet),
    ) -> Vec<u8> {
        let Account { ordinal, id, .. } = governed.account;
        let sheet = self.sheets.entry(*ordinal).or_insert_with(|| Sheet::new(*ordinal, *id));
        let before = sheet.due_ms();
        change(sheet);
        self.changed(*ordinal, Some(governed), before, drawn, now)
    }

    /// Follows up what was done to an account's sheet, which before was due at a time. Gives the effects:
    /// its own, and those on other accounts of its agreement.
    fn changed(
        &mut self,
        ordinal: u32,
        governed: Option<Governed<'_>>,
        due_before: Option<u64>,
        drawn: &[u8; 16],
        now: Moment,
    ) -> Vec<u8> {
        let others = self.follow_missing(ordinal, governed);
        let mut effects = Vec::new();
        for changed in std::iter::once(ordinal).chain(others) {
            let Some(sheet) = self.sheets.get_mut(&changed) else { continue };
            let before = if changed == ordinal { due_before } else { sheet.due_ms() };
            effects.append(&mut sheet.effects(drawn, now));
            let after = sheet.due_ms();
            self.touched.insert(changed);
            self.reschedule(changed, before, after);
        }
        effects
    }

    fn reschedule(&mut self, ordinal: u32, before: Option<u64>, after: Option<u64>) {
        if before != after {
            if let Some(due) = before {
                self.due.remove(&(due, ordinal));
            }
            self.due.extend(after.map(|due| (due, ordinal)));
        }
    }

    /// As [`Reconciliation::change`], for what may be refused: then nothing has changed.
    fn try_change(
        &mut self,
        governed: Governed<'_>,
        drawn: &[u8; 16],
        now: Moment,
        change: impl FnOnce(&mut Sheet) -> Result<(), Reason>,
    ) -> Result<Vec<u8>, Reason> {
        let ordinal = governed.account.ordinal;
        let sheet = self.sheets.get_mut(&ordinal).ok_or(Reason::NotReconciled)?;
        let before = sheet.due_ms();
        change(sheet)?;
        Ok(self.changed(ordinal, Some(governed), before, drawn, now))
    }

    /// Takes a statement of a book.
    pub(crate) fn statement(
        &mut self,
        governed: Governed<'_>,
        source: Source,
        statement: &Statement,
        now: Moment,
    ) -> Result<Vec<u8>, Reason> {
        self.refuse_twice(governed.account, source, statement)?;
        if governed.terms.originals.is_some() && statement.original == Hash::ZERO {
            return Err(Reason::OriginalMissing);
        }
        Ok(self.change(governed, &statement.salt, now, |sheet| {
            sheet.state(source, statement, governed.terms, now);
            sheet.begin_run();
            sheet.run(&governed.rules(), now);
        }))
    }

    /// Refuses a statement whose identification the book has.
    fn refuse_twice(
        &self,
        account: &Account,
        source: Source,
        statement: &Statement,
    ) -> Result<(), Reason> {
        let book = self.sheets.get(&account.ordinal).and_then(|sheet| sheet.book(source));
        match book.and_then(|book| book.statement(&statement.id)) {
            Some(_) => Err(Reason::StatementDuplicate),
            None => Ok(()),
        }
    }

    /// Runs the passes over all open items of an account.
    pub(crate) fn begin_run(
        &mut self,
        governed: Governed<'_>,
        drawn: &[u8; 16],
        now: Moment,
    ) -> Result<Vec<u8>, Reason> {
        self.try_change(governed, drawn, now, |sheet| {
            sheet.begin_run();
            sheet.run(&governed.rules(), now);
            Ok(())
        })
    }

    /// Does what a person decides of items.
    pub(crate) fn decide(
        &mut self,
        governed: Governed<'_>,
        order: &DecideMatch,
        party: Party,
        now: Moment,
    ) -> Result<Vec<u8>, Reason> {
        self.try_change(governed, &order.salt, now, |sheet| {
            sheet.decide(order, party, &governed.rules(), now)
        })
    }

    /// Takes a party's view of a day.
    pub(crate) fn sign_position(
        &mut self,
        governed: Governed<'_>,
        order: &SignPosition,
        party: Party,
        now: Moment,
    ) -> Result<Vec<u8>, Reason> {
        self.try_change(governed, &order.salt, now, |sheet| {
            sheet.sign_position(order, party, governed, now)
        })
    }

    /// A break, for a step of the work on it.
    pub(crate) fn work_of(&self, account: u32, number: u64) -> Result<&Work, Reason> {
        let sheet = self.sheets.get(&account).ok_or(Reason::BreakUnknown)?;
        sheet.refuse_closed_break(number)?;
        sheet.work(number).ok_or(Reason::BreakUnknown)
    }

    /// Changes the work on a break.
    pub(crate) fn work(
        &mut self,
        governed: Governed<'_>,
        (number, by, drawn): (u64, Party, &[u8; 16]),
        now: Moment,
        step: impl FnOnce(&mut Work) -> Result<(), Reason>,
    ) -> Result<Vec<u8>, Reason> {
        self.try_change(governed, drawn, now, |sheet| {
            sheet.work_on((number, by), &governed.rules(), now, step)
        })
    }

    /// The records of everything that has changed since this was last asked.
    pub(crate) fn take_records(&mut self) -> Records {
        let mut records = Records::new();
        for ordinal in std::mem::take(&mut self.touched) {
            if let Some(sheet) = self.sheets.get_mut(&ordinal) {
                record::write(sheet, &mut records);
            }
        }
        records
    }
}

fn item_of(number: u64, entry: &BookEntry, asset: &AssetCode) -> Item {
    let other = entry.asset.as_ref().filter(|other| *other != asset);
    let fields = EntryFields {
        side: entry.side,
        amount: entry.amount,
        date: entry.date,
        uetr: entry.uetr,
        transaction_id: &entry.transaction_id,
        end_to_end_id: &entry.end_to_end_id,
        instruction_id: &entry.instruction_id,
        entry_reference: &entry.entry_reference,
        group_id: &entry.group_id,
        counterparty: entry.counterparty,
        reversal: entry.reversal,
        returned: entry.returned,
        exchanged: entry.exchanged,
        charges: entry.charges,
        other_asset: other.map_or("", AssetCode::as_str),
    };
    Item::of_entry(number, &fields)
}

/// Whose book of an account an institution keeps; of an issuance account, the servicer's.
pub(crate) fn book_of(account: &Account, institution: &Bic) -> Option<Source> {
    if account.servicer == *institution {
        Some(Source::ServicerBook)
    } else if account.owner == *institution {
        Some(Source::OwnerBook)
    } else {
        None
    }
}

/// Whether terms compare a source.
pub(crate) fn compares(terms: &Terms, source: Source) -> bool {
    match source {
        Source::Ledger => terms.sources.ledger,
        Source::OwnerBook => terms.sources.owner_book,
        Source::ServicerBook => terms.sources.servicer_book,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
