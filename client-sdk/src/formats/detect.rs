//! What a file is, by what it holds, not by its name.

use std::fmt;

use crate::formats::camt;
use crate::formats::csv;
use crate::formats::error::FormatError;
use crate::formats::mt;
use crate::formats::statement::StatementKind;
use crate::formats::xml;

/// A kind of file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Customer credit transfers.
    Pacs008,
    /// Credit transfers of financial institutions.
    Pacs009,
    /// Statements, reports or notifications of an account (camt.053, camt.052, camt.054).
    Camt(StatementKind),
    /// Statements of an account in SWIFT's older form (MT940, MT942, MT950).
    Mt,
    /// Another message of ISO 20022, by its name.
    OtherMessage(String),
    /// A table of payments.
    PaymentsCsv,
    /// A table of book entries.
    BookEntriesCsv,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Pacs008 => "pacs.008",
            Kind::Pacs009 => "pacs.009",
            Kind::Camt(StatementKind::Intraday) => "camt.052",
            Kind::Camt(StatementKind::EndOfDay) => "camt.053",
            Kind::Camt(StatementKind::Notification) => "camt.054",
            Kind::Mt => "MT940 or MT942",
            Kind::OtherMessage(name) => name,
            Kind::PaymentsCsv => "a payments CSV",
            Kind::BookEntriesCsv => "a book entries CSV",
        })
    }
}

/// Bytes in which an MT message begins, headers of a bank's own included.
const BEGINNING_SIZE: usize = 2_048;

/// Reads as much of a file as it takes to know what it is.
pub fn detect(bytes: &[u8]) -> Result<Kind, FormatError> {
    // These may have control characters, and need not be UTF-8.
    let beginning = &bytes[..bytes.len().min(BEGINNING_SIZE)];
    let beginning = String::from_utf8_lossy(beginning);
    let markup = beginning.trim_start_matches('\u{feff}').trim_start().starts_with('<');
    if !markup && mt::looks_like(&beginning) {
        return Ok(Kind::Mt);
    }
    let text = xml::utf8(bytes)?;
    if !text.trim_start().starts_with('<') {
        return csv::detect(text);
    }
    let message = xml::identify(bytes)?;
    Ok(if message.is("pacs", 8) {
        Kind::Pacs008
    } else if message.is("pacs", 9) {
        Kind::Pacs009
    } else if let Some(kind) = camt::kind_of(message) {
        Kind::Camt(kind)
    } else {
        Kind::OtherMessage(message.to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kinds() {
        let message = |name: &str| {
            format!("<E><Document xmlns='urn:iso:std:iso:20022:tech:xsd:{name}'><never ends")
        };
        for (name, kind) in [
            ("pacs.008.001.10", Kind::Pacs008),
            ("pacs.009.001.08", Kind::Pacs009),
            ("camt.053.001.02", Kind::Camt(StatementKind::EndOfDay)),
            ("camt.052.001.99", Kind::Camt(StatementKind::Intraday)),
            ("camt.054.001.08", Kind::Camt(StatementKind::Notification)),
            ("camt.060.001.05", Kind::OtherMessage("camt.060.001.05".to_owned())),
        ] {
            assert_eq!(detect(message(name).as_bytes()), Ok(kind));
        }
        let payments =
            "\u{feff}debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date";
        assert_eq!(detect(payments.as_bytes()), Ok(Kind::PaymentsCsv));
        assert_eq!(detect(b"value_date,booking_date,side"), Ok(Kind::BookEntriesCsv));
        let mt: [&[u8]; 4] = [
            b"{1:F01ALPSCHZZAXXX0000000000}{2:",
            b"\x01\r\n:20:R\r\n",
            b"ALPSCHZZ\n940\n:20:\xe9",
            b":940:\n:20:R",
        ];
        for text in mt {
            assert_eq!(detect(text), Ok(Kind::Mt));
        }
        for bad in [&b""[..], b"a,b", b"<a/>", b"\xff\xfe<", b"%PDF-1.7", b"<Document/>"] {
            assert!(detect(bad).is_err(), "{bad:?}");
        }
    }
}
