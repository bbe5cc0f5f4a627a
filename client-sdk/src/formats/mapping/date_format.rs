//! How a table writes its dates: `dd.mm.yyyy`, `yymmdd`, `d/m/yyyy*`.

use counterfoil_ledger::date::Date;

use crate::formats::error::FormatError;
use crate::formats::error::quote;

/// A format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DateFormat {
    parts: Vec<Part>,
    /// Whether anything may follow, such as a time.
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Four digits or two; of two, those from 80 on are of the last century.
    Year(usize),
    /// Two digits, or with `m` one or two.
    Month(usize),
    /// Two digits, or with `d` one or two.
    Day(usize),
    Literal(char),
}

impl DateFormat {
    pub(super) fn iso() -> DateFormat {
        let parts = vec![
            Part::Year(4),
            Part::Literal('-'),
            Part::Month(2),
            Part::Literal('-'),
            Part::Day(2),
        ];
        DateFormat { parts, open: false }
    }

    pub(super) fn parse(text: &str) -> Result<DateFormat, FormatError> {
        let (pattern, open) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let length = rest.chars().take_while(|other| *other == first).count();
            let (part, taken) = match (first, length) {
                ('y', 2 | 4) => (Part::Year(length), length),
                ('m', 1 | 2) => (Part::Month(length), length),
                ('d', 1 | 2) => (Part::Day(length), length),
                ('.' | '-' | '/' | ' ', _) => (Part::Literal(first), 1),
                _ => return Err(refuse(text)),
            };
            parts.push(part);
            rest = &rest[taken..];
        }
        let one = |wanted: fn(&Part) -> bool| parts.iter().filter(|part| wanted(part)).count() == 1;
        let complete = one(|part| matches!(part, Part::Year(_)))
            && one(|part| matches!(part, Part::Month(_)))
            && one(|part| matches!(part, Part::Day(_)));
        if complete { Ok(DateFormat { parts, open }) } else { Err(refuse(text)) }
    }

    /// The date of a text that is written so, and exists.
    pub(super) fn read(&self, text: &str) -> Option<Date> {
        let (mut year, mut month, mut day, mut rest) = (0, 0, 0, text);
        for part in &self.parts {
            let (slot, least, most) = match part {
                Part::Literal(literal) => {
                    rest = rest.strip_prefix(*literal)?;
                    continue;
                }
                Part::Year(length) => (&mut year, *length, *length),
                Part::Month(length) => (&mut month, *length, 2),
                Part::Day(length) => (&mut day, *length, 2),
            };
            let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            if digits < least {
                return None;
            }
            let (number, after) = rest.split_at(digits);
            *slot = number.parse::<u32>().ok()?;
            rest = after;
        }
        if self.parts.contains(&Part::Year(2)) {
            year += if year >= 80 { 1900 } else { 2000 };
        }
        if !rest.is_empty() && !self.open {
            return None;
        }
        Date::from_yyyymmdd(year * 10_000 + month * 100 + day).ok()
    }
}

fn refuse(text: &str) -> FormatError {
    FormatError::new(
        "mapping, date_format",
        format!("{} is no format", quote(text)),
        "write day, month and year once each, such as dd.mm.yyyy, d/m/yy or yyyymmdd",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_are_written_as_the_format_says() {
        for (format, text, date) in [
            ("dd.mm.yyyy", "31.03.2026", 20_260_331),
            ("yyyymmdd", "20260331", 20_260_331),
            ("yymmdd", "930101", 19_930_101),
            ("d/m/yy", "1/3/26", 20_260_301),
            ("mm/dd/yyyy", "03/31/2026", 20_260_331),
            ("yyyy-mm-dd*", "2026-03-31 12:00", 20_260_331),
        ] {
            let format = DateFormat::parse(format).unwrap();
            assert_eq!(format.read(text).unwrap().yyyymmdd(), date, "{text}");
        }
        let format = DateFormat::parse("dd.mm.yyyy").unwrap();
        for bad in ["", "31.3.2026", "31.02.2026", "31.03.26", "31.03.2026 ", "2026-03-31", "é"] {
            assert_eq!(format.read(bad), None, "{bad}");
        }
        for bad in ["", "dd.mm", "dd.mm.yyy", "dd.mm.yyyy.dd", "dd mmm yyyy", "é", "*"] {
            assert!(DateFormat::parse(bad).is_err(), "{bad}");
        }
    }
}
