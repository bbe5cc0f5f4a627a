//! Calendar dates (proleptic Gregorian), as the integer yyyymmdd.

use std::fmt;

/// A date that exists, from 1900-01-01 to 9999-12-31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

/// Why a number is not a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date is yyyymmdd, a day that exists from 19000101 to 99991231")]
pub struct DateError;

const MS_PER_DAY: u64 = 86_400_000;

/// From 0000-03-01 to 1900-01-01.
const DAYS_TO_1900: u32 = 693_901;

/// From 1900-01-01 to 1970-01-01: what stands between a day number and Unix days.
pub const DAYS_1900_TO_1970: u32 = 25_567;

impl Date {
    /// Takes yyyymmdd.
    pub fn from_yyyymmdd(value: u32) -> Result<Date, DateError> {
        let (year, month, day) = (value / 10_000, value / 100 % 100, value % 100);
        if (1900..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
        {
            Ok(Date(value))
        } else {
            Err(DateError)
        }
    }

    /// Reads `yyyy-mm-dd` (xs:date without a zone).
    pub fn parse(text: &str) -> Result<Date, DateError> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(DateError);
        }
        let mut value = 0;
        for (place, byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' => value = value * 10 + u32::from(byte - b'0'),
                b'-' if place == 4 || place == 7 => {}
                _ => return Err(DateError),
            }
        }
        Date::from_yyyymmdd(value)
    }

    /// The UTC date of a time in Unix milliseconds.
    pub fn from_unix_ms(time_ms: u64) -> Date {
        let days = (time_ms / MS_PER_DAY).min(u64::from(Date::LAST_DAY - DAYS_1900_TO_1970));
        let days = u32::try_from(days).expect("it is capped at the year 9999 above");
        Date::from_day_number(days + DAYS_1900_TO_1970)
    }

    /// Civil-from-days after Howard Hinnant, for days since 0000-03-01: years begin in March, so that
    /// the leap day is their last.
    fn from_shifted_days(days: u32) -> Date {
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
        let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
        let year = year_of_era + era * 400 + u32::from(month <= 2);
        Date(year * 10_000 + month * 100 + day)
    }

    /// yyyymmdd.
    pub fn yyyymmdd(self) -> u32 {
        self.0
    }

    /// Days since 1900-01-01, which was a Monday: 0 to [`Date::LAST_DAY`].
    pub fn day_number(self) -> u32 {
        let (year, month, day) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        let year = if month <= 2 { year - 1 } else { year };
        let month_shifted = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1900
    }

    /// The date with a day number; past the last one, the last.
    pub fn from_day_number(number: u32) -> Date {
        Date::from_shifted_days(number.min(Date::LAST_DAY) + DAYS_TO_1900)
    }

    /// The day number of 9999-12-31.
    pub const LAST_DAY: u32 = 2_958_463;

    /// The day of the week: 0 = Monday … 6 = Sunday.
    pub fn weekday(self) -> u32 {
        self.day_number() % 7
    }

    /// The day after; the last date stays what it is.
    pub fn next(self) -> Date {
        let (year, month, day) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        let next = if day < days_in_month(year, month) {
            self.0 + 1
        } else if month < 12 {
            year * 10_000 + (month + 1) * 100 + 1
        } else {
            (year + 1) * 10_000 + 101
        };
        Date(next.min(99_991_231))
    }
}

/// Days of a month of the Gregorian calendar.
pub fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_and_calendar_agree_day_by_day() {
        let mut date = Date::from_yyyymmdd(19_700_101).unwrap();
        for day in 0..60_000u64 {
            assert_eq!(Date::from_unix_ms(day * MS_PER_DAY), date);
            assert_eq!(Date::from_unix_ms(day * MS_PER_DAY + MS_PER_DAY - 1), date);
            assert_eq!(Date::parse(&date.to_string()), Ok(date));
            date = date.next();
        }
        assert_eq!(Date::from_unix_ms(u64::MAX).yyyymmdd(), 99_991_231);
    }

    #[test]
    fn day_numbers_and_calendar_agree_day_by_day() {
        let mut date = Date::from_yyyymmdd(19_000_101).unwrap();
        for number in 0..=Date::LAST_DAY {
            assert_eq!(date.day_number(), number);
            assert_eq!(Date::from_day_number(number), date);
            date = date.next();
        }
        assert_eq!(Date::from_day_number(u32::MAX).yyyymmdd(), 99_991_231);
        let sunday = Date::from_yyyymmdd(20_260_301).unwrap();
        assert_eq!((sunday.weekday(), sunday.next().weekday()), (6, 0));
        let first = Date::from_unix_ms(0);
        assert_eq!((first.day_number(), first.weekday()), (DAYS_1900_TO_1970, 3));
    }

    #[test]
    fn days_that_do_not_exist() {
        for bad in [0, 20_260_229, 20_261_301, 20_260_431, 20_260_100, 18_991_231, 21_000_229] {
            assert_eq!(Date::from_yyyymmdd(bad), Err(DateError), "{bad}");
        }
        assert!(Date::from_yyyymmdd(20_240_229).is_ok());
        assert!(Date::parse("2026-1-01").is_err());
    }
}
