//! A bank's book as it leaves a file: statements and their entries.
//!
//! One shape for camt.052, camt.053, camt.054, MT940, MT942 and tables. References keep what the
//! file says, sentinels such as NOTPROVIDED included; the ledger knows that those match nothing.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::asset::format_amount;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::uetr::Uetr;

use crate::formats::error::Warnings;
use crate::formats::fields::Amount;

/// What a statement is of, which decides what may be concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// The whole book of its days, final (camt.053, MT940): what it lacks is missing.
    EndOfDay,
    /// A part of a day that is not over (camt.052, MT942): nothing that it lacks is missing.
    Intraday,
    /// Single entries (camt.054), without balances: nothing that it lacks is missing.
    Notification,
}

/// One statement, report or notification of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The element, or the field with its line.
    pub place: String,
    /// What it is of.
    pub kind: StatementKind,
    /// Its own identification; empty, with a warning, if it cannot stand in signed bytes.
    pub id: String,
    /// Its place among the statements of the account.
    pub sequence: Sequence,
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
    /// balances, or else of its entries, or else the day on which it was made.
    pub period_stated: bool,
    /// Booked balance before the first entry (OPBD or else PRCD; :60F: or :60M:). A notification
    /// has none, and a report during the day need not have one.
    pub opening: Option<Balance>,
    /// Booked balance after the last entry (CLBD; :62F: or :62M:).
    pub closing: Option<Balance>,
    /// What the statement says that its entries come to.
    pub stated: Stated,
    /// False if the statement began in another file.
    pub first_page: bool,
    /// False if the statement goes on in another file: then nothing that it lacks is missing.
    pub last_page: bool,
    /// The booked entries in order.
    pub entries: Vec<Entry>,
    /// The entries that are not booked: pending, future, for information. They match nothing.
    pub expectations: Vec<Entry>,
    /// The entries that are neither, such as those of no amount.
    pub left_out: Vec<LeftOut>,
    /// What was passed over.
    pub warnings: Warnings,
}

impl Statement {
    /// What the booked entries come to.
    pub fn movements(&self) -> Movements {
        let mut movements = Movements::default();
        for entry in &self.entries {
            movements.add(entry);
        }
        for entry in &self.expectations {
            movements.add(entry);
        }
        movements.others += u64::try_from(self.left_out.len()).unwrap_or(u64::MAX);
        movements
    }

    /// By how many minor units the closing balance differs from the opening balance and the
    /// entries; none if a balance is not given. Not zero means that the statement is wrong or cut.
    pub fn difference(&self) -> Option<i128> {
        self.difference_of(&self.movements())
    }

    /// The same, where the entries were not kept but counted.
    pub fn difference_of(&self, movements: &Movements) -> Option<i128> {
        let (opening, closing) = (self.opening?, self.closing?);
        Some(i128::from(closing.units) - i128::from(opening.units) - movements.net())
    }
}

/// The numbers of a statement. A servicer uses one of the first two or both, each without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// ElctrncSeqNb, or the statement number of :28C:.
    pub electronic: Option<u64>,
    /// LglSeqNb.
    pub legal: Option<u64>,
    /// PgNb, or the second number of :28C:.
    pub page: Option<u64>,
}

/// What a statement says that its entries come to (TxsSummry; :90C: and :90D:).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// Number of all entries.
    pub entries: Option<u64>,
    /// Of the credits.
    pub credits: StatedTotal,
    /// Of the debits.
    pub debits: StatedTotal,
}

/// A number and a sum as stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatedTotal {
    /// How many.
    pub count: Option<u64>,
    /// Their sum in minor units of the account's currency.
    pub units: Option<u64>,
}

/// What entries that were read come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movements {
    /// The booked credits.
    pub credits: Total,
    /// The booked debits.
    pub debits: Total,
    /// The credits that are not booked.
    pub expected_credits: Total,
    /// The debits that are not booked.
    pub expected_debits: Total,
    /// Number of entries that were left out.
    pub others: u64,
    /// First and last day on which a booked entry was booked.
    pub days: Option<(Date, Date)>,
}

/// A number and a sum as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub count: u64,
    /// Their sum in minor units; it holds 2^63 entries of the largest amount.
    pub units: u128,
}

impl Movements {
    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        let total = match (entry.status, entry.side) {
            (EntryStatus::Booked, Side::Credit) => &mut self.credits,
            (EntryStatus::Booked, Side::Debit) => &mut self.debits,
            (_, Side::Credit) => &mut self.expected_credits,
            (_, Side::Debit) => &mut self.expected_debits,
        };
        total.count += 1;
        total.units += u128::from(entry.amount.units);
        if entry.status == EntryStatus::Booked {
            let day = entry.booking_date;
            let (first, last) = self.days.unwrap_or((day, day));
            self.days = Some((first.min(day), last.max(day)));
        }
    }

    /// The booked credits less the booked debits.
    pub fn net(&self) -> i128 {
        let signed = |units: u128| i128::try_from(units).unwrap_or(i128::MAX);
        signed(self.credits.units) - signed(self.debits.units)
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

/// How far an entry has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryStatus {
    /// BOOK, and every entry of an MT statement: final, and what is matched.
    Booked,
    /// PDNG: not booked yet, and may never be.
    Pending,
    /// FUTR: it is to be booked on a later day.
    Future,
    /// INFO: said of something that is not booked on this account.
    Information,
}

/// One entry, or one transaction of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in its file: the element, the field with its line, or the row.
    pub place: String,
    /// How far it has come.
    pub status: EntryStatus,
    /// As booked. ISO 20022 gives a reversal the side on which it was in fact booked (the reversal
    /// of a credit is a DBIT), so this is never turned round.
    pub side: Side,
    /// Whether it takes back an earlier entry.
    pub reversal: bool,
    /// How much; not zero.
    pub amount: Amount,
    /// When it was booked; of an entry that is not booked, when that is expected.
    pub booking_date: Date,
    /// From when it counts; none = from the booking date.
    pub value_date: Option<Date>,
    /// The entry's reference (NtryRef; :61: reference for the account owner); may be empty.
    pub reference: String,
    /// The servicer's own reference (AcctSvcrRef, of the transaction if it has one; :61: after
    /// `//`); may be empty.
    pub servicer_reference: String,
    /// Unique end-to-end reference, if the book has it.
    pub uetr: Option<Uetr>,
    /// The debtor's reference; may be empty or one that means none, such as NOTPROVIDED.
    pub end_to_end_id: String,
    /// The first instructing agent's reference (TxId); may be empty.
    pub transaction_id: String,
    /// The instructing party's reference (InstrId); may be empty.
    pub instruction_id: String,
    /// What entries of one batch have in common (Btch or Refs: PmtInfId, or else MsgId); may be
    /// empty.
    pub group_id: String,
    /// The other side's bank: the debtor's agent of a credit, the creditor's agent of a debit.
    pub counterparty: Option<Bic>,
    /// Why an earlier payment comes back, if this is a return. The references are then those of
    /// the original payment, as far as the servicer gives them.
    pub returned: Option<Returned>,
    /// Charges that the amount includes or was lessened by, in minor units of the amount's
    /// currency, where they are stated in it.
    pub charges: Option<u64>,
    /// The amount before an exchange, in another currency than the account's.
    pub original_amount: Option<Amount>,
    /// What it was booked for, as far as the bank transaction code says.
    pub purpose: Purpose,
    /// The transactions of a batch, each of which has an amount; together they come to this
    /// entry's. They stand here instead of as entries because the book made one entry of them:
    /// balances and stated counts are of entries, but what the other side booked may be either.
    /// [`Entry::postings`] gives them singly. Empty if there is one transaction, whose references
    /// are then the entry's, and where the amounts do not come to the entry's.
    pub details: Vec<Entry>,
}

/// What an entry is for, in the relationship of the two institutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Anything else, or not said.
    #[default]
    Other,
    /// Money that is lent: a drawdown (DDWN) of the domain of loans and deposits (LDAS).
    Lending,
    /// Money that is paid back: a payment of principal (PPAY) or a repayment (RPMT) of that domain.
    Repayment,
}

/// The return of an earlier payment (RtrInf).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The external return reason code, such as AC04, or a proprietary one; may be empty.
    pub reason: String,
    /// The transaction code under which the original was booked (OrgnlBkTxCd: domain, family and
    /// sub-family with `/` between, or a proprietary code); may be empty.
    pub original_code: String,
}

impl Entry {
    /// A booked entry without references.
    pub fn booked(
        place: impl Into<String>,
        side: Side,
        amount: Amount,
        booking_date: Date,
    ) -> Entry {
        Entry {
            place: place.into(),
            status: EntryStatus::Booked,
            side,
            reversal: false,
            amount,
            booking_date,
            value_date: None,
            reference: String::new(),
            servicer_reference: String::new(),
            uetr: None,
            end_to_end_id: String::new(),
            transaction_id: String::new(),
            instruction_id: String::new(),
            group_id: String::new(),
            counterparty: None,
            returned: None,
            charges: None,
            original_amount: None,
            purpose: Purpose::Other,
            details: Vec::new(),
        }
    }

    /// Minor units, positive = credit.
    pub fn signed_units(&self) -> i128 {
        match self.side {
            Side::Credit => i128::from(self.amount.units),
            Side::Debit => -i128::from(self.amount.units),
        }
    }

    /// The reference under which the book itself knows the entry: the servicer's, or else the
    /// entry's.
    pub fn book_reference(&self) -> &str {
        match self.servicer_reference.as_str() {
            "" => &self.reference,
            own => own,
        }
    }

    /// The transactions of a batch, or else the entry itself.
    pub fn postings(&self) -> &[Entry] {
        match self.details.as_slice() {
            [] => std::slice::from_ref(self),
            details => details,
        }
    }
}

/// An entry that takes no part in anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The element, or the field with its line.
    pub place: String,
    /// Why.
    pub reason: String,
}
