//! One message from its `:20:` on: what its fields have said so far.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::date::Date;

use super::details::Details;
use super::lines::Envelope;
use super::lines::Field;
use super::values;
use super::values::Part;
use super::values::refuse_other;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::account_text;
use crate::formats::fields::is_iban;
use crate::formats::fields::lenient_reference;
use crate::formats::statement::AccountIdentification;
use crate::formats::statement::Balance;
use crate::formats::statement::Entry;
use crate::formats::statement::Sequence;
use crate::formats::statement::Stated;
use crate::formats::statement::Statement;
use crate::formats::statement::StatementKind;
use crate::formats::stream::Event;
use crate::formats::stream::OpenStatement;

/// The messages that are read.
const TYPES: [&str; 3] = ["940", "942", "950"];

/// A message from `:20:` on.
pub(super) struct Message {
    pub(super) reference: Field,
    pub(super) envelope: Envelope,
    pub(super) account: Option<Field>,
    pub(super) sequence: Sequence,
    /// `:60F:` or `:60M:`.
    pub(super) opening: Option<Opening>,
    /// Of `:34F:`.
    pub(super) floor: Option<(AssetCode, u8)>,
    /// The day of `:13D:`, and its digits.
    pub(super) made: Option<(Date, String)>,
    pub(super) open: Option<OpenStatement>,
    /// The entry whose details may follow.
    pub(super) entry: Option<Entry>,
    pub(super) entries: u64,
    /// Whether `:62F:` or `:62M:` has come.
    pub(super) closed: bool,
}

pub(super) struct Opening {
    pub(super) currency: AssetCode,
    pub(super) balance: Balance,
    /// `:60F:`.
    pub(super) first: bool,
}

/// What pages of one statement have in common.
pub(super) struct Pages {
    pub(super) open: OpenStatement,
    pub(super) account: String,
    pub(super) number: Option<u64>,
}

impl OpenStatement {
    /// The opening balance is that of the end of the day before by SWIFT's rule, and that of the
    /// beginning of the first day by the custom of many banks: the day counts as covered if
    /// something was booked on it, or if there is no other.
    pub(super) fn after(&mut self, opened: Option<Date>) {
        let Some(opened) = opened else { return };
        let booked_later = self.first_booked().is_none_or(|first| first > opened);
        if booked_later && self.statement.from == opened && opened < self.statement.to {
            self.statement.from = opened.next();
        }
    }
}

impl Message {
    pub(super) fn new(reference: Field, envelope: Envelope) -> Result<Message, FormatError> {
        if let Some(other) = envelope.message_type.as_deref().filter(|name| !TYPES.contains(name)) {
            return Err(reference.refuse(
                format!("it begins an MT{other}, which says nothing of an account's entries"),
                "give MT940, MT942 or MT950",
            ));
        }
        Ok(Message {
            reference,
            envelope,
            account: None,
            sequence: Sequence::default(),
            opening: None,
            floor: None,
            made: None,
            open: None,
            entry: None,
            entries: 0,
            closed: false,
        })
    }

    /// A field of this message, for an error.
    pub(super) fn place(&self, field: &str) -> String {
        format!("line {}, {field}", self.reference.line)
    }

    pub(super) fn account_text(&self) -> String {
        self.account.as_ref().map(|field| field.text().trim().to_owned()).unwrap_or_default()
    }

    /// `:28C:`: the statement's number and the page's. Zero means that the bank does not number.
    pub(super) fn number(&mut self, field: &Field) -> Result<(), FormatError> {
        if self.sequence != Sequence::default() {
            return Err(field.refuse("it stands here a second time", "keep one of them"));
        }
        let (number, page) = field.text().split_once('/').unwrap_or((field.text(), ""));
        let number_of = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0);
        self.sequence =
            Sequence { electronic: number_of(number), legal: None, page: number_of(page) };
        Ok(())
    }

    pub(super) fn opening(
        &mut self,
        field: &Field,
        exponent_of: ExponentOf<'_>,
    ) -> Result<(), FormatError> {
        if self.opening.is_some() || self.open.is_some() {
            return Err(field.refuse("it stands here too late or a second time", "keep one"));
        }
        let (currency, balance) = values::balance(field, exponent_of)?;
        self.opening = Some(Opening { currency, balance, first: field.tag == "60F" });
        Ok(())
    }

    /// `:34F:`, of which only the currency counts.
    pub(super) fn floor(
        &mut self,
        field: &Field,
        exponent_of: ExponentOf<'_>,
    ) -> Result<(), FormatError> {
        let (currency, exponent, _) = values::currency(field, field.text(), exponent_of)?;
        if let Some((other, _)) = &self.floor {
            refuse_other(field, &currency, other)?;
        }
        self.floor = Some((currency, exponent));
        Ok(())
    }

    pub(super) fn made(&mut self, field: &Field) -> Result<(), FormatError> {
        let (digits, _) = values::digits(field.text());
        let day = values::date(field, digits.get(..6).unwrap_or(digits))?;
        self.made = Some((day, digits.chars().take(10).collect()));
        Ok(())
    }

    pub(super) fn details(
        &mut self,
        field: &Field,
        exponent_of: ExponentOf<'_>,
    ) -> Result<(), FormatError> {
        if let (Some(entry), Some(open), false) = (&mut self.entry, &mut self.open, self.closed) {
            let warnings = &mut open.statement.warnings;
            Details { entry, field, exponent_of, warnings }.read(&field.lines);
        }
        Ok(())
    }

    /// The header's UETR is that of an entry only if there is no other entry.
    pub(super) fn uetr_of_the_only_entry(&mut self) {
        let begins = self.opening.as_ref().is_none_or(|opening| opening.first);
        let ends = self.open.as_ref().is_some_and(|open| open.statement.last_page);
        let whole = begins && ends;
        if let Some(entry) = self.entry.as_mut().filter(|_| whole && self.entries == 1) {
            entry.uetr = entry.uetr.or(self.envelope.uetr);
        }
    }

    /// The entry that is complete now.
    pub(super) fn take_entry(&mut self) -> Option<Event> {
        let (entry, open) = (self.entry.take()?, self.open.as_mut()?);
        Some(if entry.amount.units == 0 {
            open.left_out(entry.place, "its amount is zero".to_owned())
        } else {
            open.entry(entry)
        })
    }

    pub(super) fn goes_on_with(&self, pages: &Pages) -> bool {
        let Some(opening) = self.opening.as_ref().filter(|opening| !opening.first) else {
            return false;
        };
        let before = &pages.open.statement;
        let ended = before.closing.is_some_and(|closing| closing.units == opening.balance.units);
        ended
            && opening.currency == before.currency
            && self.account_text() == pages.account
            && self.sequence.electronic == pages.number
    }

    /// What stands before the entries.
    pub(super) fn begin(&self) -> Result<OpenStatement, FormatError> {
        let mut warnings = Warnings::default();
        let missing = |field: &str| {
            FormatError::new(self.place(field), "it is missing", "add it before the entries")
        };
        let account = self.account.as_ref().ok_or_else(|| missing(":25:"))?;
        let currency = match (&self.opening, &self.floor) {
            (Some(opening), _) => (opening.currency.clone(), opening.balance.exponent),
            (None, Some(floor)) => floor.clone(),
            (None, None) => return Err(missing(":60F: (or :34F:)")),
        };
        let (currency, exponent) = currency;
        let opened = self.opening.as_ref().map(|opening| opening.balance.date);
        let made = self.made.as_ref().map(|(day, _)| *day);
        let day = opened.or(made).ok_or_else(|| missing(":13D:"))?;
        let first_page = self.opening.as_ref().is_none_or(|opening| opening.first);
        let statement = Statement {
            place: self.reference.place(),
            kind: match self.opening {
                Some(_) => StatementKind::EndOfDay,
                None => StatementKind::Intraday,
            },
            id: self.id(day, &mut warnings),
            sequence: self.sequence,
            account: identification(&account_text(account)?, currency.as_str()),
            servicer: self.envelope.sender,
            owner: None,
            currency,
            exponent,
            from: day,
            to: day,
            period_stated: false,
            opening: self.opening.as_ref().map(|opening| opening.balance),
            closing: None,
            stated: Stated::default(),
            first_page,
            last_page: true,
            entries: Vec::new(),
            expectations: Vec::new(),
            left_out: Vec::new(),
            warnings,
        };
        Ok(OpenStatement::new(statement, false))
    }

    /// Many banks write the same `:20:` into every statement, so its number and its day go with it:
    /// `STARTUMS/17/260331`, and of MT942 the time, too.
    pub(super) fn id(&self, day: Date, warnings: &mut Warnings) -> String {
        let mut id = self.reference.text().trim().to_owned();
        if let Some(number) = self.sequence.electronic {
            id.push_str(&format!("/{number}"));
        }
        match &self.made {
            Some((_, digits)) if self.opening.is_none() => id.push_str(&format!("/{digits}")),
            _ => id.push_str(&format!("/{:06}", day.yyyymmdd() % 1_000_000)),
        }
        lenient_reference(&Part { field: &self.reference, text: &id }, warnings)
    }
}

/// An IBAN, with or without the currency behind it, or anything else.
fn identification(text: &str, currency: &str) -> AccountIdentification {
    let bare = text.strip_suffix(currency).unwrap_or(text);
    match [text, bare].into_iter().find(|text| is_iban(text)) {
        Some(iban) => AccountIdentification::Iban(iban.to_owned()),
        None => AccountIdentification::Other(text.to_owned()),
    }
}

pub(super) fn put_once(slot: &mut Option<Field>, field: Field) -> Result<(), FormatError> {
    if slot.is_some() {
        return Err(field.refuse("it stands here a second time", "keep one of them"));
    }
    *slot = Some(field);
    Ok(())
}
