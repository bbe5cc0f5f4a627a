//! How old a break is, and what its terms ask for by when.

use counterfoil_proto::v1;

use super::{
    finding::{About, Finding, Says},
    sheet::{Sheet, ids_of},
};
use crate::{
    account::AccountId,
    agreement::{Agreements, Party, Terms},
    date::Date,
    matching::pair::Category,
};

/// The age of a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ageing {
    /// Business days from the day on which it was found to the day on which it ended, or to today.
    pub age_days: u32,
    /// What is asked for; none where no duty is agreed, neither of its category nor of all.
    pub due: Option<Due>,
}

/// What a duty asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Who answers first.
    pub answers: Party,
    /// The business day by whose end.
    pub answer_by: Date,
    /// Levels up that it has gone: the first after the duty's days of escalation, the second after
    /// twice as many.
    pub level: u32,
}

impl Ageing {
    /// The age of a break of a category that was found at one time and ended at another, or is looked
    /// at then if it has not ended: Unix milliseconds, days as the terms' calendar has them. A break
    /// that is looked at before it was found has the age 0.
    pub fn of(terms: &Terms, category: Category, opened_ms: u64, until_ms: u64) -> Ageing {
        let calendar = &terms.calendar;
        let (opened, _) = calendar.local(opened_ms);
        let (until, _) = calendar.local(until_ms);
        let age_days = u32::try_from(calendar.distance(opened, until)).unwrap_or(0);
        let category = v1::BreakCategory::try_from(i32::from(category as u8)).unwrap_or_default();
        let due = terms.duty(category).map(|duty| Due {
            answers: duty.answers,
            answer_by: calendar.add(opened, duty.answer_days),
            level: duty.escalate_days.and_then(|days| age_days.checked_div(days)).unwrap_or(0),
        });
        Ageing { age_days, due }
    }
}

impl Sheet {
    /// The terms that a break is aged by: of the agreement that governs its date, or else of the newest
    /// one of the account.
    pub fn terms_of<'a>(
        &self,
        finding: &Finding,
        agreements: &'a Agreements,
        account: &AccountId,
    ) -> Option<&'a Terms> {
        let governing = self.date_of(finding).and_then(|date| agreements.governing(account, date));
        Some(&governing.or_else(|| agreements.newest(account))?.terms)
    }

    /// The date that a finding is about: the first value date of its items, the last day of its
    /// statement, or its day.
    pub fn date_of(&self, finding: &Finding) -> Option<Date> {
        match finding.about {
            Some(About::Day(date)) => return Some(date),
            Some(About::Statement(source, number)) => {
                return Some(self.book(source)?.statement_at(number)?.to);
            }
            None => {}
        }
        let ids = ids_of(&finding.items).into_iter();
        let item = |id: crate::matching::item::Id| {
            self.item(finding.comparison.source(id.place), id.number)
        };
        ids.filter_map(item).map(|item| item.date).min()
    }

    /// The age of a break; see [`Ageing::of`]. None of another finding, and without any agreement.
    pub fn ageing(
        &self,
        finding: &Finding,
        agreements: &Agreements,
        account: &AccountId,
        (opened_ms, until_ms): (u64, u64),
    ) -> Option<Ageing> {
        let Says::Break { category } = finding.says else { return None };
        let terms = self.terms_of(finding, agreements, account)?;
        Some(Ageing::of(terms, category, opened_ms, until_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    /// Midnight of 20 November 2026, a Friday.
    const FRIDAY: u64 = 20_777 * DAY_MS;

    fn terms(duties: &[(v1::BreakCategory, v1::Party, u32, u32)]) -> Terms {
        let (servicer, owner) = ("SETLCHZZXXX", "ALPSCHZZXXX");
        let duties =
            duties.iter().map(|(category, answers, answer_days, escalate_days)| v1::Duty {
                category: (*category).into(),
                answers: (*answers).into(),
                answer_days: *answer_days,
                escalate_days: *escalate_days,
            });
        let holidays = vec![v1::Holiday { date: 20_261_125 }];
        Terms::of(&v1::AgreementTerms {
            servicer: servicer.into(),
            owner: owner.into(),
            accounts: vec![v1::AgreementAccount { account: vec![1; 16].into() }],
            ledger: true,
            owner_book: true,
            rule_set: 1,
            effective_from: 20_261_101,
            missing_at_minute: 1,
            duties: duties.collect(),
            calendar: Some(v1::Calendar { weekend: 0b110_0000, utc_offset_minutes: 60, holidays }),
            salt: vec![7; 16].into(),
            ..Default::default()
        })
        .unwrap()
    }

    fn age(terms: &Terms, opened_ms: u64, until_ms: u64) -> u32 {
        Ageing::of(terms, Category::Amount, opened_ms, until_ms).age_days
    }

    #[test]
    fn only_business_days_make_it_older() {
        let terms = terms(&[]);
        let after = |days: u64| FRIDAY + days * DAY_MS;
        assert_eq!(age(&terms, FRIDAY, FRIDAY), 0);
        assert_eq!(age(&terms, FRIDAY, after(1)), 0, "Saturday");
        assert_eq!(age(&terms, FRIDAY, after(3)), 1, "Monday");
        assert_eq!(age(&terms, after(1), after(3)), 1, "from Saturday");
        assert_eq!(age(&terms, FRIDAY, after(5)), 2, "Wednesday is a holiday");
        assert_eq!(age(&terms, FRIDAY, after(6)), 3);
        assert_eq!(age(&terms, after(6), FRIDAY), 0, "before it was found");
        // The day begins an hour before that of UTC.
        assert_eq!(age(&terms, FRIDAY - 3_600_001, FRIDAY), 1);
        assert_eq!(age(&terms, FRIDAY - 3_600_000, FRIDAY), 0);
        assert_eq!(Ageing::of(&terms, Category::Amount, 0, u64::MAX).due, None);
    }

    #[test]
    fn its_own_duty_holds_or_the_one_for_all_others_or_none() {
        use v1::{BreakCategory as Of, Party::*};
        let both = terms(&[(Of::Amount, Owner, 2, 3), (Of::Unspecified, Servicer, 1, 0)]);
        let after = |days: u64| FRIDAY + days * DAY_MS;
        let due = |terms: &Terms, category, days| {
            let due = Ageing::of(terms, category, FRIDAY, after(days)).due;
            due.map(|due| (due.answers, due.answer_by.yyyymmdd(), due.level))
        };
        let (owner, servicer) = (Party::Owner, Party::Servicer);
        assert_eq!(due(&both, Category::Amount, 0), Some((owner, 20_261_124, 0)));
        assert_eq!(due(&both, Category::Amount, 5), Some((owner, 20_261_124, 0)));
        assert_eq!(due(&both, Category::Amount, 6), Some((owner, 20_261_124, 1)));
        assert_eq!(due(&both, Category::Amount, 11), Some((owner, 20_261_124, 2)));
        let never = due(&both, Category::Charges, 300);
        assert_eq!(never, Some((servicer, 20_261_123, 0)), "it does not go up");
        let one = terms(&[(Of::Amount, Owner, 2, 3)]);
        assert_eq!(due(&one, Category::Charges, 9), None);
        // Who has found it on a weekend has the business days after it.
        let saturday = Ageing::of(&both, Category::Amount, after(1), after(1)).due.unwrap();
        assert_eq!(saturday.answer_by.yyyymmdd(), 20_261_124);
    }
}
