//! The values that messages and tables share: amounts, references, dates, BICs, UETRs.
//!
//! Each is read from a [`Field`], which knows its place, so that every error names it.

use std::fmt;

use counterfoil_ledger::asset::AmountError;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::asset::format_amount;
use counterfoil_ledger::asset::parse_amount;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::text::is_max35;
use counterfoil_ledger::uetr::Uetr;

use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::xml::Element;

/// The exponent of an asset by its code; none if the ledger does not know it.
pub type ExponentOf<'a> = &'a dyn Fn(&str) -> Option<u8>;

/// An amount of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// ISO 4217, or the code of another asset of the ledger.
    pub currency: AssetCode,
    /// Minor units.
    pub units: u64,
    /// Digits after the decimal point of one major unit.
    pub exponent: u8,
}

impl Amount {
    /// As a decimal with exactly the exponent's digits.
    pub fn decimal(&self) -> String {
        format_amount(self.units.into(), self.exponent)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.currency, self.decimal())
    }
}

/// A text and where it stands.
pub trait Field {
    /// The text, trimmed.
    fn value(&self) -> &str;
    /// The element, or the row and column.
    fn place(&self) -> String;

    /// An error about it.
    fn refuse(&self, fact: impl Into<String>, fix: impl Into<String>) -> FormatError {
        FormatError::new(self.place(), fact, fix)
    }
}

impl Field for Element<'_> {
    fn value(&self) -> &str {
        self.text()
    }

    fn place(&self) -> String {
        self.path()
    }
}

/// Reads a BIC.
pub fn bic(field: &impl Field) -> Result<Bic, FormatError> {
    Bic::parse(field.value()).map_err(|error| {
        field.refuse(format!("{} is no BIC: {error}", quote(field.value())), "correct the BIC")
    })
}

/// Reads a UETR.
pub fn uetr(field: &impl Field) -> Result<Uetr, FormatError> {
    Uetr::parse(field.value()).map_err(|error| {
        field.refuse(format!("{} is no UETR: {error}", quote(field.value())), "correct the UETR")
    })
}

/// Reads a date, or the date of a date and time, as it is written there: banks date by their own
/// zone, and turning it into another would move the day.
pub fn date(field: &impl Field) -> Result<Date, FormatError> {
    let text = field.value();
    let (day, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let time = rest.strip_prefix('T').map_or(Some(rest), after_time);
    let zone = time.is_some_and(is_zone);
    match Date::parse(day) {
        Ok(date) if zone => Ok(date),
        _ => Err(field.refuse(
            format!("{} is not a date that exists", quote(text)),
            "write yyyy-mm-dd, or yyyy-mm-ddThh:mm:ss with or without a zone",
        )),
    }
}

/// What follows hh:mm:ss and a fraction.
fn after_time(text: &str) -> Option<&str> {
    let (time, rest) = text.split_at_checked(8)?;
    let shape = time.bytes().enumerate().all(|(place, byte)| match place {
        2 | 5 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let rest = rest.strip_prefix('.').map_or(rest, |fraction| {
        fraction.trim_start_matches(|character: char| character.is_ascii_digit())
    });
    shape.then_some(rest)
}

fn is_zone(text: &str) -> bool {
    let offset = text.as_bytes();
    text.is_empty()
        || text == "Z"
        || offset.len() == 6
            && matches!(offset[0], b'+' | b'-')
            && offset[3] == b':'
            && [1, 2, 4, 5].iter().all(|place| offset[*place].is_ascii_digit())
}

/// Reads a reference for signed bytes; strict, because altering it would break the chain of
/// references between banks.
pub fn reference(field: &impl Field) -> Result<String, FormatError> {
    let text = field.value();
    if is_max35(text) {
        return Ok(text.to_owned());
    }
    Err(field.refuse(
        format!("{} is not a reference: {}", quote(text), reference_fault(text)),
        "use at most 35 characters of A-Z a-z 0-9 / - ? : ( ) . , ' + and space",
    ))
}

/// Reads a reference of somebody else's statement: what cannot stand in signed bytes is dropped
/// with a warning. Sentinels such as NOTPROVIDED stay; the ledger knows that they match nothing.
pub fn lenient_reference(field: &impl Field, warnings: &mut Warnings) -> String {
    let text = field.value();
    if is_max35(text) {
        return text.to_owned();
    }
    let fact = format!("{} was dropped: {}", quote(text), reference_fault(text));
    warnings.add(field.place(), fact);
    String::new()
}

fn reference_fault(text: &str) -> String {
    match text.chars().count() {
        length if length > 35 => format!("it has {length} characters, 35 at most are allowed"),
        _ => "it has a character outside of the SWIFT X set".to_owned(),
    }
}

/// Reads an amount of a currency. Zero is for the caller to judge.
pub fn amount(
    field: &impl Field,
    currency: &str,
    currency_place: &str,
    exponent_of: ExponentOf<'_>,
) -> Result<Amount, FormatError> {
    let known = AssetCode::parse(currency).ok().zip(exponent_of(currency));
    let Some((code, exponent)) = known else {
        return Err(FormatError::new(
            currency_place,
            format!("{} is not an asset of this ledger", quote(currency)),
            "use the code of a registered asset, such as an ISO 4217 currency",
        ));
    };
    let text = field.value();
    let units = parse_amount(text, exponent).map_err(|error| {
        let fact = format!("{} {} is refused: {error}", code, quote(text));
        let fix = match error {
            AmountError::Decimals => format!("{code} has {exponent} decimals: round the amount"),
            _ => "write a decimal number such as 1250.50".to_owned(),
        };
        field.refuse(fact, fix)
    })?;
    Ok(Amount { currency: code, units, exponent })
}

/// Reads the amount of an element with a `Ccy` attribute.
pub fn element_amount(
    element: Element<'_>,
    exponent_of: ExponentOf<'_>,
) -> Result<Amount, FormatError> {
    let place = format!("{}/@Ccy", element.path());
    let currency = element
        .currency()
        .ok_or_else(|| FormatError::new(place.as_str(), "it is missing", "add the currency"))?;
    amount(&element, currency, &place, exponent_of)
}

/// A decimal without zeros that say nothing, so that equal numbers are equal texts; none if it is
/// not a decimal. For control sums, whose digits may exceed any integer type.
pub fn canonical_decimal(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// Longest identification of an account: twice what ISO 20022 and SWIFT give it.
const ACCOUNT_LENGTH_MAX: usize = 70;

/// Reads an identification of an account, which is kept as it is written.
pub fn account_text(field: &impl Field) -> Result<String, FormatError> {
    let text = field.value();
    if text.is_empty() || text.len() > ACCOUNT_LENGTH_MAX {
        let fact = format!("{} has 0 or more than {ACCOUNT_LENGTH_MAX} bytes", quote(text));
        return Err(field.refuse(fact, "write the number of the account"));
    }
    Ok(text.to_owned())
}

/// ISO 13616: the letters as numbers from 10, the first four characters last, 1 modulo 97.
pub fn is_iban(text: &str) -> bool {
    let Some((head, tail)) = text.split_at_checked(4) else { return false };
    let mut remainder = 0;
    for character in tail.chars().chain(head.chars()) {
        let Some(value) = character.to_digit(36).filter(|_| !character.is_ascii_lowercase()) else {
            return false;
        };
        remainder = (remainder * if value < 10 { 10 } else { 100 } + value) % 97;
    }
    (15..=34).contains(&text.len()) && remainder == 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Text(&'static str);

    impl Field for Text {
        fn value(&self) -> &str {
            self.0
        }

        fn place(&self) -> String {
            "here".to_owned()
        }
    }

    #[test]
    fn dates_are_read_as_written() {
        for good in [
            "2026-03-31",
            "2026-03-31Z",
            "2026-03-31+02:00",
            "2026-03-31T23:59:59",
            "2026-03-31T23:59:59.000000000",
            "2026-03-31T23:59:59.5-11:00",
        ] {
            assert_eq!(date(&Text(good)).unwrap().yyyymmdd(), 20_260_331, "{good}");
        }
        for bad in [
            "",
            "2026-02-30",
            "31.03.2026",
            "2026-03-31T",
            "2026-03-31T12",
            "2026-03-31x",
            "2026-03-3é1",
        ] {
            assert!(date(&Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_name_the_rule() {
        let exponent_of = |code: &str| (code == "CHF").then_some(2);
        let read = |text| amount(&Text(text), "CHF", "there", &exponent_of);
        assert_eq!(read("12.5").unwrap().to_string(), "CHF 12.50");
        assert!(read("12.505").unwrap_err().fix.contains("2 decimals"));
        assert!(read("-1").is_err());
        let unknown = amount(&Text("1"), "XAU", "there", &exponent_of).unwrap_err();
        assert_eq!(unknown.place, "there");
    }

    #[test]
    fn references() {
        assert_eq!(reference(&Text("E2E/1")).unwrap(), "E2E/1");
        assert!(reference(&Text("a_b")).is_err());
        let mut warnings = Warnings::default();
        assert_eq!(lenient_reference(&Text("NOTPROVIDED"), &mut warnings), "NOTPROVIDED");
        assert!(warnings.is_empty());
        assert_eq!(lenient_reference(&Text("a_b"), &mut warnings), "");
        assert_eq!(warnings.kept().len(), 1);
    }

    #[test]
    fn decimals() {
        for (text, canonical) in [("007.500", "7.5"), ("0", "0"), (".50", "0.5"), ("3.", "3")] {
            assert_eq!(canonical_decimal(text).as_deref(), Some(canonical));
        }
        for bad in ["", ".", "-1", "1e3", "1.2.3"] {
            assert_eq!(canonical_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn check_digits() {
        assert!(is_iban("CH9300762011623852957") && is_iban("NL91ABNA0417164300"));
        for bad in
            ["", "CH93", "CH9400762011623852957", "ch9300762011623852957", "CH93é0762011623852957"]
        {
            assert!(!is_iban(bad), "{bad}");
        }
    }
}
