//! The small values of MT fields: dates of six digits, amounts with a comma, balances.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;

use super::lines::Field;
use crate::formats::error::FormatError;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::Amount;
use crate::formats::fields::ExponentOf;
use crate::formats::statement::Balance;

/// Longest amount: SWIFT's has 15 characters, and some banks fill it up with zeros.
const AMOUNT_LENGTH_MAX: usize = 40;

impl fields::Field for Field {
    fn value(&self) -> &str {
        self.text().trim()
    }

    fn place(&self) -> String {
        Field::place(self)
    }
}

/// A part of a field.
pub(super) struct Part<'f> {
    pub(super) field: &'f Field,
    pub(super) text: &'f str,
}

impl fields::Field for Part<'_> {
    fn value(&self) -> &str {
        self.text
    }

    fn place(&self) -> String {
        self.field.place()
    }
}

/// The digits at the beginning, and the rest.
pub(super) fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// yymmdd. As SWIFT has it, years from 80 on are of the last century.
pub(super) fn date(field: &Field, text: &str) -> Result<Date, FormatError> {
    let number =
        if text.len() == 6 && digits(text).1.is_empty() { text.parse().ok() } else { None };
    let date = number.and_then(|number: u32| {
        let century = if number / 10_000 >= 80 { 1900 } else { 2000 };
        Date::from_yyyymmdd(century * 10_000 + number).ok()
    });
    date.ok_or_else(|| {
        let fact = format!("{} is not a date that exists", quote(text));
        field.refuse(fact, "write yymmdd")
    })
}

/// The day of `mmdd` next to a date: in its year, the one before or the one after.
pub(super) fn day_near(field: &Field, text: &str, near: Date) -> Result<Date, FormatError> {
    let (year, month_and_day) = (near.yyyymmdd() / 10_000, text.parse::<u32>().unwrap_or(0));
    let years = [year, year.saturating_sub(1), year + 1];
    let days =
        years.iter().filter_map(|year| Date::from_yyyymmdd(year * 10_000 + month_and_day).ok());
    days.min_by_key(|day| days_since_1900(*day).abs_diff(days_since_1900(near))).ok_or_else(|| {
        field.refuse(format!("{} is not a day that exists", quote(text)), "write mmdd")
    })
}

/// Roughly, for comparing distances: months count 31 days.
fn days_since_1900(date: Date) -> u32 {
    let number = date.yyyymmdd();
    ((number / 10_000 - 1900) * 12 + number / 100 % 100) * 31 + number % 100
}

/// The amount at the beginning of a text, digits with a comma, and the rest. A number without the
/// comma is refused: what one of the samples has there is ten times too small.
pub(super) fn amount<'f>(
    field: &'f Field,
    text: &'f str,
    currency: &str,
    exponent_of: ExponentOf<'_>,
) -> Result<(Amount, &'f str), FormatError> {
    let end = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
    let (number, rest) = text.split_at(end);
    if number.matches(',').count() != 1
        || number.starts_with(',')
        || number.len() > AMOUNT_LENGTH_MAX
    {
        let fact = format!("{} is no amount", quote(if end == 0 { text } else { number }));
        return Err(field.refuse(fact, "write digits with one comma, such as 1250,50 or 1250,"));
    }
    let decimal = number.replace(',', ".");
    let amount =
        fields::amount(&Part { field, text: &decimal }, currency, &field.place(), exponent_of)?;
    Ok((amount, rest))
}

/// The currency at the beginning of a text, if the ledger knows it, and the rest.
pub(super) fn currency<'f>(
    field: &Field,
    text: &'f str,
    exponent_of: ExponentOf<'_>,
) -> Result<(AssetCode, u8, &'f str), FormatError> {
    let (code, rest) = text.split_at_checked(3).unwrap_or((text, ""));
    match AssetCode::parse(code).ok().zip(exponent_of(code)) {
        Some((code, exponent)) => Ok((code, exponent, rest)),
        None => Err(field.refuse(
            format!("{} is not an asset of this ledger", quote(code)),
            "import statements of registered assets, with their currency where it belongs",
        )),
    }
}

/// A balance and its currency: side, date, currency, amount.
pub(super) fn balance(
    field: &Field,
    exponent_of: ExponentOf<'_>,
) -> Result<(AssetCode, Balance), FormatError> {
    let text = field.text();
    let malformed = || {
        field.refuse(
            format!("{} is no balance", quote(text)),
            "write C or D, yymmdd, the currency and the amount",
        )
    };
    let (mark, rest) = text.split_at_checked(1).ok_or_else(malformed)?;
    let (day, rest) = rest.split_at_checked(6).ok_or_else(malformed)?;
    let date = date(field, day)?;
    let (code, exponent, rest) = currency(field, rest, exponent_of)?;
    let (amount, rest) = amount(field, rest, code.as_str(), exponent_of)?;
    let units = i64::try_from(amount.units).expect("parse_amount admits 63 bits");
    let units = match mark {
        "C" => units,
        "D" => -units,
        _ => return Err(malformed()),
    };
    if !rest.trim().is_empty() {
        return Err(malformed());
    }
    Ok((code, Balance { units, exponent, date }))
}

/// The side of a mark; whether it reverses; whether it is only expected.
pub(super) struct Mark {
    pub(super) side: Side,
    pub(super) reversal: bool,
    pub(super) expected: bool,
}

/// The mark at the beginning of a text, and the rest. The reversal of a credit is a debit.
pub(super) fn mark<'f>(field: &Field, text: &'f str) -> Result<(Mark, &'f str), FormatError> {
    const MARKS: [(&str, Side, bool, bool); 6] = [
        ("RC", Side::Debit, true, false),
        ("RD", Side::Credit, true, false),
        ("EC", Side::Credit, false, true),
        ("ED", Side::Debit, false, true),
        ("C", Side::Credit, false, false),
        ("D", Side::Debit, false, false),
    ];
    for (name, side, reversal, expected) in MARKS {
        if let Some(rest) = text.strip_prefix(name) {
            return Ok((Mark { side, reversal, expected }, rest));
        }
    }
    Err(field.refuse(
        format!("{} begins with no mark", quote(text)),
        "write C, D, RC or RD (EC or ED for what is expected) behind the dates",
    ))
}

/// Refuses a currency that is not the account's.
pub(super) fn refuse_other(
    field: &Field,
    currency: &AssetCode,
    account: &AssetCode,
) -> Result<(), FormatError> {
    if currency == account {
        return Ok(());
    }
    Err(field.refuse(
        format!("{} in a statement of an account in {account}", quote(currency.as_str())),
        "ask the servicer for a statement in the currency of the account",
    ))
}
