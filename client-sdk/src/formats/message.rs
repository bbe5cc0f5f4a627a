//! The name of an ISO 20022 message: business area, number, variant and version.

use std::fmt;

use crate::formats::error::FormatError;
use crate::formats::error::quote;

/// What every message's namespace begins with.
pub(super) const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:";

/// Such as `pacs.009.001.08`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageName {
    /// `pacs`, `camt` …
    area: [u8; 4],
    /// 9 in `pacs.009.001.08`.
    number: u16,
    /// 1 in `pacs.009.001.08`.
    variant: u16,
    /// 8 in `pacs.009.001.08`.
    version: u16,
}

impl MessageName {
    /// Reads the namespace of a `Document`.
    pub fn of_namespace(namespace: &str) -> Result<MessageName, FormatError> {
        let name = namespace.strip_prefix(NAMESPACE).and_then(MessageName::parse);
        name.ok_or_else(|| {
            FormatError::new(
                "Document/@xmlns",
                format!("{} is not the namespace of an ISO 20022 message", quote(namespace)),
                format!("declare it, for example xmlns=\"{NAMESPACE}pacs.009.001.08\""),
            )
        })
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<MessageName> {
        let mut parts = text.split('.');
        let area: [u8; 4] = parts.next()?.as_bytes().try_into().ok()?;
        let mut number = |digits: usize| -> Option<u16> {
            let part = parts.next()?;
            let valid = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            if valid { part.parse().ok() } else { None }
        };
        let (number, variant, version) = (number(3)?, number(3)?, number(2)?);
        let valid = area.iter().all(u8::is_ascii_lowercase) && parts.next().is_none();
        valid.then_some(MessageName { area, number, variant, version })
    }

    /// Whether this is a version of a message, named by area and number.
    pub fn is(&self, area: &str, number: u16) -> bool {
        self.area == area.as_bytes() && self.number == number && self.variant == 1
    }

    /// Its version.
    pub fn version(&self) -> u16 {
        self.version
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let area = std::str::from_utf8(&self.area).expect("parse admits ASCII letters only");
        write!(f, "{area}.{:03}.{:03}.{:02}", self.number, self.variant, self.version)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names() {
        let name = MessageName::of_namespace("urn:iso:std:iso:20022:tech:xsd:pacs.009.001.08");
        let name = name.unwrap();
        assert!(name.is("pacs", 9) && !name.is("pacs", 8) && name.version() == 8);
        assert_eq!(name.to_string(), "pacs.009.001.08");
        for bad in [
            "",
            "pacs.009",
            "pacs.9.1.8",
            "PACS.009.001.08",
            "pacs.009.001.08.1",
            "pacs.+09.001.08",
        ] {
            assert_eq!(MessageName::parse(bad), None, "{bad}");
        }
        assert!(MessageName::of_namespace("urn:iso:std:iso:20022:tech:xsd:x").is_err());
        assert!(MessageName::of_namespace("pacs.009.001.08").is_err());
    }
}
