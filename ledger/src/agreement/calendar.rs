//! Business days in one place: a week with days off, holidays, and how far the clocks there are from
//! UTC. Every question takes the same bounded work, whatever the dates: dates are numbers of days, and
//! business days are counted, not walked.

use counterfoil_proto::v1;

use crate::{
    date::{DAYS_1900_TO_1970, Date},
    reason::Reason,
};

/// Most holidays of a calendar: some 25 years of them in a country that has many.
pub const HOLIDAYS_MAX: usize = 400;

/// Minutes of a day; as a time of day, its end.
pub const MINUTES_PER_DAY: u32 = 1_440;

/// How far west and east of UTC clocks are, minutes.
const OFFSET_MINUTES: std::ops::RangeInclusive<i32> = -720..=840;

const ALL_WEEK: u32 = 0x7f;
const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_DAY: i64 = 86_400_000;

/// A calendar whose shape holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    offset_minutes: i32,
    /// Bit 0 = Monday … bit 6 = Sunday.
    weekend: u8,
    holidays: Vec<Date>,
    /// Day numbers of those holidays that are not on a weekend: what they take away.
    days_off: Vec<u32>,
}

impl Calendar {
    /// Checks a calendar's shape: dates that exist (117), then everything else (135).
    pub fn of(message: &v1::Calendar) -> Result<Calendar, Reason> {
        if message.holidays.len() > HOLIDAYS_MAX {
            return Err(Reason::CalendarMalformed);
        }
        let dates = message.holidays.iter().map(|holiday| Date::from_yyyymmdd(holiday.date));
        let holidays = dates.collect::<Result<_, _>>().map_err(|_| Reason::DateMalformed)?;
        Calendar::new(message.utc_offset_minutes, message.weekend, holidays)
            .ok_or(Reason::CalendarMalformed)
    }

    /// A calendar of an offset in minutes, days off as bits (bit 0 = Monday), and at most 400 ascending
    /// holidays.
    pub fn new(offset_minutes: i32, weekend: u32, holidays: Vec<Date>) -> Option<Calendar> {
        let valid = OFFSET_MINUTES.contains(&offset_minutes)
            && weekend < ALL_WEEK
            && holidays.len() <= HOLIDAYS_MAX
            && holidays.is_sorted_by(|one, next| one < next);
        if !valid {
            return None;
        }
        let on_a_workday = |date: &&Date| weekend >> date.weekday() & 1 == 0;
        let days_off = holidays.iter().filter(on_a_workday).map(|date| date.day_number()).collect();
        let weekend = u8::try_from(weekend).ok()?;
        Some(Calendar { offset_minutes, weekend, holidays, days_off })
    }

    /// The calendar as it was offered.
    pub fn message(&self) -> v1::Calendar {
        v1::Calendar {
            utc_offset_minutes: self.offset_minutes,
            weekend: u32::from(self.weekend),
            holidays: self
                .holidays
                .iter()
                .map(|date| v1::Holiday { date: date.yyyymmdd() })
                .collect(),
        }
    }

    /// Minutes east of UTC.
    pub fn offset_minutes(&self) -> i32 {
        self.offset_minutes
    }

    /// Days off of every week, as bits: bit 0 = Monday.
    pub fn weekend(&self) -> u8 {
        self.weekend
    }

    /// Ascending.
    pub fn holidays(&self) -> &[Date] {
        &self.holidays
    }

    /// Whether business is done on a date.
    pub fn is_business_day(&self, date: Date) -> bool {
        let weekend = self.weekend >> date.weekday() & 1 == 1;
        !weekend && self.days_off.binary_search(&date.day_number()).is_err()
    }

    /// The first business day after a date. Where the calendar ends before there is one, 9999-12-31.
    pub fn next_business_day(&self, date: Date) -> Date {
        self.reaching(self.through(date) + 1, date)
    }

    /// The last business day before a date. Where there is none, 1900-01-01.
    pub fn previous_business_day(&self, date: Date) -> Date {
        let before = self.before(date.day_number());
        self.reaching(before, Date::from_day_number(0))
    }

    /// Business days from one date to another: how many lie after the first, up to and with the second.
    /// Negative where the second is the earlier one.
    pub fn distance(&self, from: Date, to: Date) -> i64 {
        i64::from(self.through(to)) - i64::from(self.through(from))
    }

    /// The first business day, not before a date, that is at least `days` business days from it: with 0
    /// the date itself, or the next business day. Where the calendar ends before, 9999-12-31.
    pub fn add(&self, date: Date, days: u32) -> Date {
        let itself = self.before(date.day_number()) + 1;
        self.reaching(itself.max(self.through(date).saturating_add(days)), date)
    }

    /// Date and minute there at a Unix time in milliseconds.
    pub fn local(&self, time_ms: u64) -> (Date, u32) {
        let time_ms = i64::try_from(time_ms).unwrap_or(i64::MAX);
        let local = time_ms.saturating_add(i64::from(self.offset_minutes) * MS_PER_MINUTE);
        let day = local.div_euclid(MS_PER_DAY) + i64::from(DAYS_1900_TO_1970);
        let minute = local.rem_euclid(MS_PER_DAY) / MS_PER_MINUTE;
        let day = u32::try_from(day.max(0)).unwrap_or(u32::MAX);
        (Date::from_day_number(day), u32::try_from(minute).expect("less than a day"))
    }

    /// The Unix time in milliseconds at which a minute of a date begins there; minute 1440 is the end of
    /// the day. 0 for what lies before 1970.
    pub fn instant(&self, date: Date, minute: u32) -> u64 {
        let day = i64::from(date.day_number()) - i64::from(DAYS_1900_TO_1970);
        let minutes = i64::from(minute) - i64::from(self.offset_minutes);
        u64::try_from(day * MS_PER_DAY + minutes * MS_PER_MINUTE).unwrap_or(0)
    }

    /// Business days up to a date, and with it.
    fn through(&self, date: Date) -> u32 {
        self.before(date.day_number() + 1)
    }

    /// Business days before a day number.
    fn before(&self, number: u32) -> u32 {
        // Day 0 is a Monday, so that a week of numbers is a week.
        let (weeks, rest) = (number / 7, number % 7);
        let part = u32::from(self.weekend) & ((1 << rest) - 1);
        let in_week = 7 - self.weekend.count_ones();
        let off = self.days_off.partition_point(|day| *day < number);
        let off = u32::try_from(off).expect("at most 400");
        weeks * in_week + rest - part.count_ones() - off
    }

    /// The first date, not before one, by which there have been so many business days.
    fn reaching(&self, count: u32, not_before: Date) -> Date {
        let (mut low, mut high) = (not_before.day_number(), Date::LAST_DAY);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.before(middle + 1) < count {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Date::from_day_number(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(yyyymmdd: u32) -> Date {
        Date::from_yyyymmdd(yyyymmdd).unwrap()
    }

    /// Saturday and Sunday off, with holidays on workdays and on weekends.
    fn calendar() -> Calendar {
        let holidays = [20_251_225, 20_251_226, 20_260_101, 20_260_403, 20_260_801, 20_261_225];
        Calendar::new(60, 0b110_0000, holidays.map(date).to_vec()).unwrap()
    }

    /// The same questions, answered by walking from day to day.
    mod naive {
        use super::*;

        pub fn is_business_day(calendar: &Calendar, date: Date) -> bool {
            calendar.weekend() >> date.weekday() & 1 == 0 && !calendar.holidays().contains(&date)
        }

        fn walk(calendar: &Calendar, from: Date, forward: bool) -> Date {
            let step = |number: u32| if forward { number + 1 } else { number.saturating_sub(1) };
            let mut number = step(from.day_number());
            let end = if forward { Date::LAST_DAY } else { 0 };
            while number != end && !is_business_day(calendar, Date::from_day_number(number)) {
                number = step(number);
            }
            Date::from_day_number(number)
        }

        pub fn next(calendar: &Calendar, from: Date) -> Date {
            walk(calendar, from, true)
        }

        pub fn previous(calendar: &Calendar, from: Date) -> Date {
            walk(calendar, from, false)
        }

        pub fn distance(calendar: &Calendar, from: Date, to: Date) -> i64 {
            let between = |from: Date, to: Date| {
                let days = from.day_number() + 1..=to.day_number();
                days.filter(|day| is_business_day(calendar, Date::from_day_number(*day))).count()
            };
            let between = |from, to| i64::try_from(between(from, to)).unwrap();
            if from <= to { between(from, to) } else { -between(to, from) }
        }

        pub fn add(calendar: &Calendar, from: Date, days: u32) -> Date {
            let mut found = from;
            let mut left = days;
            if !is_business_day(calendar, found) {
                found = next(calendar, found);
                left = left.saturating_sub(1);
            }
            for _ in 0..left {
                found = next(calendar, found);
            }
            found
        }
    }

    #[test]
    fn it_agrees_with_walking_from_day_to_day() {
        let sparse = Calendar::new(-720, 0b011_1111, vec![date(20_260_104)]).unwrap();
        let always = Calendar::new(840, 0, Vec::new()).unwrap();
        for calendar in [calendar(), sparse, always] {
            let start = date(20_251_215).day_number();
            for number in start..start + 400 {
                let day = Date::from_day_number(number);
                let is_business_day = naive::is_business_day(&calendar, day);
                assert_eq!(calendar.is_business_day(day), is_business_day, "{day}");
                assert_eq!(calendar.next_business_day(day), naive::next(&calendar, day), "{day}");
                let previous = naive::previous(&calendar, day);
                assert_eq!(calendar.previous_business_day(day), previous, "{day}");
                for days in 0..12 {
                    let later = naive::add(&calendar, day, days);
                    assert_eq!(calendar.add(day, days), later, "{day} + {days}");
                }
                for other in [number - 9, number, number + 1, number + 30] {
                    let other = Date::from_day_number(other);
                    let distance = naive::distance(&calendar, day, other);
                    assert_eq!(calendar.distance(day, other), distance, "{day} {other}");
                }
            }
        }
    }

    #[test]
    fn distances_add_up_and_the_ends_of_the_calendar_hold() {
        let calendar = calendar();
        let (first, last) = (date(19_000_101), date(99_991_231));
        assert_eq!(
            calendar.distance(first, last),
            calendar.distance(first, date(20_260_101)) + calendar.distance(date(20_260_101), last)
        );
        assert_eq!(calendar.distance(last, first), -calendar.distance(first, last));
        assert_eq!(calendar.next_business_day(last), last);
        assert_eq!(calendar.previous_business_day(first), first);
        assert_eq!(calendar.add(last, u32::MAX), last);
        assert_eq!(calendar.add(first, 0), first);
        let full: Vec<Date> =
            (0..400).map(|day| Date::from_day_number(Date::LAST_DAY - 399 + day)).collect();
        let closed = Calendar::new(0, 0, full).unwrap();
        assert_eq!(closed.next_business_day(date(99_990_101)), last);
    }

    #[test]
    fn time_of_day_goes_there_and_back() {
        let noon = 1_795_435_200_000; // 2026-11-23T12:00:00Z
        for (offset, local) in [
            (0, (20_261_123, 720)),
            (60, (20_261_123, 780)),
            (-720, (20_261_123, 0)),
            (720, (20_261_124, 0)),
            (840, (20_261_124, 120)),
        ] {
            let calendar = Calendar::new(offset, 0b110_0000, Vec::new()).unwrap();
            let (day, minute) = calendar.local(noon + 59_999);
            assert_eq!((day.yyyymmdd(), minute), local, "{offset}");
            assert_eq!(calendar.instant(day, minute), noon, "{offset}");
        }
        let east = Calendar::new(840, 0, Vec::new()).unwrap();
        assert_eq!(east.instant(date(20_261_123), 1_440), east.instant(date(20_261_124), 0));
        assert_eq!(east.instant(date(19_700_101), 0), 0, "before 1970");
        let west = Calendar::new(-720, 0, Vec::new()).unwrap();
        assert_eq!(west.local(0), (date(19_691_231), 720));
        assert_eq!(east.local(u64::MAX).0, date(99_991_231));
    }

    #[test]
    fn what_is_no_calendar() {
        let day = date(20_260_101);
        assert!(Calendar::new(-721, 0, Vec::new()).is_none());
        assert!(Calendar::new(841, 0, Vec::new()).is_none());
        assert!(Calendar::new(0, 0x7f, Vec::new()).is_none(), "no business at all");
        assert!(Calendar::new(0, 0x80, Vec::new()).is_none(), "an eighth day");
        assert!(Calendar::new(0, 0, vec![day, day]).is_none(), "twice");
        assert!(Calendar::new(0, 0, vec![day.next(), day]).is_none(), "descending");
        let many = (0..401).map(Date::from_day_number).collect();
        assert!(Calendar::new(0, 0, many).is_none());
    }
}
