//! Assets and the decimal text of their amounts.

use std::fmt;

/// The code of an asset: ISO 4217, or 1 to 12 of A–Z, 0–9 and '-'.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AssetCode(String);

/// Why an asset or an amount is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a code.
    #[error("an asset code is 1 to 12 of A-Z, 0-9 and '-'")]
    Code,
    /// Not a decimal number.
    #[error("an amount is digits with at most one decimal point, without sign or spaces")]
    Syntax,
    /// More decimals than the asset has.
    #[error("the amount has more decimals than the asset's exponent allows")]
    Decimals,
    /// Too large.
    #[error("the amount does not fit 63 bits of minor units")]
    TooLarge,
}

/// An asset as the registry knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asset {
    /// Its code.
    pub code: AssetCode,
    /// Digits after the decimal point of one major unit: 0 to 9.
    pub exponent: u8,
}

impl AssetCode {
    /// Reads a code.
    pub fn parse(text: &str) -> Result<AssetCode, AmountError> {
        let valid = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=12).contains(&text.len()) && text.bytes().all(valid) {
            Ok(AssetCode(text.to_owned()))
        } else {
            Err(AmountError::Code)
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads a decimal amount into minor units. Zeros beyond the exponent are harmless (banks write
/// `18.150`), other digits there are refused. At most 2^63 − 1, the range of the API's amounts.
///
/// ```
/// # use counterfoil_ledger::asset::{parse_amount, AmountError};
/// assert_eq!(parse_amount("1250.5", 2), Ok(125_050));
/// assert_eq!(parse_amount("18.155", 2), Err(AmountError::Decimals));
/// ```
pub fn parse_amount(text: &str, exponent: u8) -> Result<u64, AmountError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(AmountError::Syntax);
    }
    let fraction = fraction.trim_end_matches('0');
    let exponent = usize::from(exponent);
    if fraction.len() > exponent {
        return Err(AmountError::Decimals);
    }
    let padding = std::iter::repeat_n(b'0', exponent - fraction.len());
    let mut units: u64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
        units = units
            .checked_mul(10)
            .and_then(|units| units.checked_add(u64::from(digit - b'0')))
            .filter(|units| i64::try_from(*units).is_ok())
            .ok_or(AmountError::TooLarge)?;
    }
    Ok(units)
}

/// Writes minor units as a decimal with exactly the exponent's digits.
pub fn format_amount(units: i128, exponent: u8) -> String {
    let digits = units.unsigned_abs().to_string();
    let sign = if units < 0 { "-" } else { "" };
    let exponent = usize::from(exponent);
    if exponent == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = exponent + 1);
    let (whole, fraction) = digits.split_at(digits.len() - exponent);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!(parse_amount("0.01", 2), Ok(1));
        assert_eq!(parse_amount(".5", 2), Ok(50));
        assert_eq!(parse_amount("18.150", 2), Ok(1815));
        assert_eq!(parse_amount("7", 0), Ok(7));
        assert_eq!(parse_amount("7.0", 0), Ok(7));
        assert_eq!(parse_amount("9223372036854775807", 0), Ok(i64::MAX.unsigned_abs()));
        assert_eq!(parse_amount("9223372036854775808", 0), Err(AmountError::TooLarge));
        for bad in ["", ".", "-1", "+1", "1,00", "1e2", "1.2.3", " 1", "１"] {
            assert_eq!(parse_amount(bad, 2), Err(AmountError::Syntax), "{bad}");
        }
        assert_eq!(format_amount(-5, 2), "-0.05");
        assert_eq!(format_amount(123_456, 3), "123.456");
        assert_eq!(format_amount(7, 0), "7");
    }

    #[test]
    fn codes() {
        assert!(AssetCode::parse("CHF").is_ok() && AssetCode::parse("ISIN-CH00123").is_ok());
        for bad in ["", "chf", "CHF ", "ABCDEFGHIJKLM"] {
            assert_eq!(AssetCode::parse(bad), Err(AmountError::Code));
        }
    }
}
