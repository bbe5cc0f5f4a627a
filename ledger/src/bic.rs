//! Business identifier codes (ISO 9362:2014).

use std::fmt;

/// A BIC of eleven characters; a BIC of eight is the same with the branch `XXX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bic([u8; 11]);

/// Why a text is not a BIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a BIC is 4 letters or digits, 2 letters of a country, 2 letters or digits, and optionally 3 more for a branch, in upper case"
)]
pub struct BicError;

impl Bic {
    /// Reads a BIC of eight or eleven characters.
    ///
    /// ```
    /// # use counterfoil_ledger::bic::Bic;
    /// assert_eq!(Bic::parse("BANKCHZZ").unwrap().as_str(), "BANKCHZZXXX");
    /// assert!(Bic::parse("bankchzz").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Bic, BicError> {
        let mut code = *b"XXXXXXXXXXX";
        if text.len() != 8 && text.len() != 11 {
            return Err(BicError);
        }
        code[..text.len()].copy_from_slice(text.as_bytes());
        let letter_or_digit = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if code.iter().all(letter_or_digit) && code[4..6].iter().all(u8::is_ascii_uppercase) {
            Ok(Bic(code))
        } else {
            Err(BicError)
        }
    }

    /// Reads only the form of eleven characters, the one in signed bytes.
    pub fn parse_canonical(text: &str) -> Result<Bic, BicError> {
        if text.len() == 11 { Bic::parse(text) } else { Err(BicError) }
    }

    /// The eleven characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("parse admits ASCII only")
    }
}

impl fmt::Display for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for good in ["AAAABB00", "1234CH56", "BANKCHZZ123", "BANKCHZZXXX"] {
            assert!(Bic::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "BANKCHZ", "BANKCHZZX", "BANKCHZZXX", "BANK0HZZ", "BANKCHZZ-12", "BÄNKCHZ"]
        {
            assert!(Bic::parse(bad).is_err(), "{bad}");
        }
        assert!(Bic::parse_canonical("BANKCHZZ").is_err());
    }
}
