//! `:61:`, the statement line: `6!n[4!n]2a[1!a]15d1!a3!c16x[//16x]` and a line of supplementary
//! details, as banks really write it.

use super::lines::Field;
use super::values::Part;
use super::values::amount;
use super::values::date;
use super::values::day_near;
use super::values::digits;
use super::values::mark;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::lenient_reference;
use crate::formats::statement::Entry;
use crate::formats::statement::EntryStatus;
use crate::formats::statement::Returned;

/// A reference has sixteen characters at most. Some banks fill it up with blanks and put a name
/// behind it.
fn first_column(text: &str) -> &str {
    const REFERENCE_LENGTH: usize = 16;
    match text.split_at_checked(REFERENCE_LENGTH) {
        Some((reference, _)) if reference.ends_with(' ') => reference,
        _ => text,
    }
}

/// Reads a statement line. Its amount may be zero.
pub(super) fn read(
    field: &Field,
    currency: &str,
    exponent_of: ExponentOf<'_>,
    warnings: &mut Warnings,
) -> Result<Entry, FormatError> {
    let text = field.text();
    let (value_day, rest) = text.split_at_checked(6).ok_or_else(|| {
        field.refuse(format!("{} is no statement line", quote(text)), "begin it with yymmdd")
    })?;
    let value_date = date(field, value_day)?;
    let (booking_date, rest) = match digits(rest) {
        ("", _) => (value_date, rest.trim_start()),
        (day, rest) if day.len() == 4 => (day_near(field, day, value_date)?, rest),
        (day, _) => {
            let fact = format!("{} is no entry date", quote(day));
            return Err(field.refuse(fact, "write mmdd, or leave it out"));
        }
    };
    let (mark, rest) = mark(field, rest)?;
    // The third letter of the currency, where the bank writes it.
    let rest = rest.strip_prefix(|code: char| code.is_ascii_uppercase()).unwrap_or(rest);
    let (amount, rest) = amount(field, rest, currency, exponent_of)?;
    let (kind, references) = rest.split_at_checked(4).ok_or_else(|| {
        let fact = format!("{} is no transaction type", quote(rest));
        field.refuse(fact, "write N, F or S and three characters behind the amount")
    })?;
    let (owner, servicer) = references.split_once("//").unwrap_or((references, ""));
    let mut reference = |text: &str| match text.trim() {
        "" => String::new(),
        text => lenient_reference(&Part { field, text }, warnings),
    };
    Ok(Entry {
        status: if mark.expected { EntryStatus::Pending } else { EntryStatus::Booked },
        reversal: mark.reversal,
        value_date: Some(value_date),
        reference: reference(first_column(owner)),
        servicer_reference: reference(servicer),
        returned: kind.ends_with("RTI").then(Returned::default),
        ..Entry::booked(field.place(), mark.side, amount, booking_date)
    })
}
