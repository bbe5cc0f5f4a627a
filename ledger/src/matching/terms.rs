//! What an agreement says about one account's comparison.

pub use crate::agreement::tolerance::Tolerance;
use crate::date::Date;

/// Business days of a calendar.
pub trait BusinessDays {
    /// Business days after `from` up to and including `to`, where `from` is not after `to`. Never
    /// smaller for a later `to` or an earlier `from`.
    fn distance(&self, from: Date, to: Date) -> u32;
}

/// How much work the rules may cause. Another rule set may have others, and then another result,
/// so they are part of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items of a side that share a key's value, and judged pair by pair. Where there are more, the
    /// value tells nothing, like NOTPROVIDED.
    pub bucket: usize,
    /// Items of a group.
    pub group: usize,
    /// Items within reach of one that may be their sum.
    pub sum_window: usize,
    /// Items that are looked at to find these.
    pub sum_scan: usize,
    /// Items of a sum.
    pub sum_items: usize,
}

impl Bounds {
    /// Those of rule set 1.
    pub const RULE_SET_1: Bounds = Bounds {
        // 64 × 64 judgements take some 0.1 ms.
        bucket: 64,
        group: 4_096,
        // At most 768,212 subsets of 2 to 6.
        sum_window: 30,
        sum_scan: 1_024,
        sum_items: 6,
    };
}

/// What the rules need to know beyond the items.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// For the account's asset.
    pub tolerance: Tolerance,
    /// Business days by which value dates may differ.
    pub window: u32,
    /// The agreement's calendar.
    pub days: &'a dyn BusinessDays,
    /// How much work.
    pub bounds: Bounds,
}

impl Terms<'_> {
    /// Business days between two dates, whichever is first.
    pub fn distance(&self, one: Date, two: Date) -> u32 {
        if one == two { 0 } else { self.days.distance(one.min(two), one.max(two)) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Monday to Friday, one day at a time.
    pub struct Weekdays;

    impl BusinessDays for Weekdays {
        fn distance(&self, from: Date, to: Date) -> u32 {
            // 2024-01-01 was a Monday.
            let monday = Date::from_yyyymmdd(20_240_101).unwrap();
            let (mut day, mut weekday, mut count) = (monday, 0, 0);
            while day < to {
                day = day.next();
                weekday = (weekday + 1) % 7;
                count += u32::from(day > from && weekday < 5);
            }
            count
        }
    }

    #[test]
    fn weekends_do_not_count() {
        let date = |value| Date::from_yyyymmdd(value).unwrap();
        // 2026-11-20 is a Friday.
        assert_eq!(Weekdays.distance(date(20_261_120), date(20_261_123)), 1);
        assert_eq!(Weekdays.distance(date(20_261_120), date(20_261_121)), 0);
        assert_eq!(Weekdays.distance(date(20_261_121), date(20_261_123)), 1);
        assert_eq!(Weekdays.distance(date(20_261_116), date(20_261_123)), 5);
    }
}
