//! A bank's book as it leaves a file: statements and their entries.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::asset::format_amount;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::uetr::Uetr;

use crate::formats::error::Warnings;
use crate::formats::fields::Amount;

/// One statement of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The element.
    pub place: String,
    /// Its own identification; empty, with a warning, if it cannot stand in signed bytes.
    pub id: String,
    /// The account as the servicer names it.
    pub account: AccountIdentification,
    /// Who keeps the account, where a BIC says so.
    pub servicer: Option<Bic>,
    /// Whose money it is, where a BIC says so.
    pub owner: Option<Bic>,
    /// Of the account and of every entry.
    pub currency: AssetCode,
    /// Digits after the decimal point of one major unit of the currency.
    pub exponent: u8,
    /// First day that the statement covers.
    pub from: Date,
    /// Last day that it covers.
    pub to: Date,
    /// Whether the statement itself says what it covers; otherwise the days are those of its
    /// balances, or else of its entries, and a warning says so.
    pub period_stated: bool,
    /// Booked balance before the first entry (OPBD, or else PRCD).
    pub opening: Option<Balance>,
    /// Booked balance after the last entry (CLBD).
    pub closing: Option<Balance>,
    /// False if the statement goes on in another file: then nothing that it lacks is missing.
    pub last_page: bool,
    /// The booked entries in order.
    pub entries: Vec<Entry>,
    /// The entries that take no part in matching.
    pub left_out: Vec<LeftOut>,
    /// What was passed over.
    pub warnings: Warnings,
}

impl Statement {
    /// By how many minor units the closing balance differs from the opening balance and the
    /// entries; none if a balance is not given. Not zero means that the statement is wrong or cut.
    pub fn difference(&self) -> Option<i128> {
        let entries: i128 = self.entries.iter().map(Entry::signed_units).sum();
        let (opening, closing) = (self.opening?, self.closing?);
        Some(i128::from(closing.units) - i128::from(opening.units) - entries)
    }
}

/// How a statement names its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountIdentification {
    /// ISO 13616, as written.
    Iban(String),
    /// Anything else.
    Other(String),
}

/// A booked balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Minor units, positive = credit.
    pub units: i64,
    /// Digits after the decimal point of one major unit.
    pub exponent: u8,
    /// The day at whose beginning or end it stood, as the statement dates it.
    pub date: Date,
}

impl Balance {
    /// As a signed decimal.
    pub fn decimal(&self) -> String {
        format_amount(self.units.into(), self.exponent)
    }
}

/// One booked entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in its file: the element, or the row.
    pub place: String,
    /// The book's own reference; may be empty.
    pub reference: String,
    /// As booked. ISO 20022 gives a reversal the side on which it was in fact booked (the reversal
    /// of a credit is a DBIT), so this is never turned round.
    pub side: Side,
    /// Whether it takes back an earlier entry.
    pub reversal: bool,
    /// How much; not zero.
    pub amount: Amount,
    /// When it was booked.
    pub booking_date: Date,
    /// From when it counts; none = from the booking date.
    pub value_date: Option<Date>,
    /// Unique end-to-end reference, if the book has it.
    pub uetr: Option<Uetr>,
    /// The debtor's reference; may be empty or one that means none, such as NOTPROVIDED.
    pub end_to_end_id: String,
}

impl Entry {
    /// Minor units, positive = credit.
    pub fn signed_units(&self) -> i128 {
        match self.side {
            Side::Credit => i128::from(self.amount.units),
            Side::Debit => -i128::from(self.amount.units),
        }
    }
}

/// An entry that takes no part in matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The element.
    pub place: String,
    /// Why, with its status.
    pub reason: String,
}
