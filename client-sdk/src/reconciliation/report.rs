//! Reports: one source against another for a range of value dates, in figures that add up.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;

use super::reconciliation;
use crate::client::{Answer, Client, answer};
use crate::error::Error;

/// One source against another. A node may tell figures that do not add up: see
/// [`Equation::holds`].
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Code.
    pub asset: String,
    /// Which sources.
    pub comparison: v1::Comparison,
    /// The value dates, first and last; none if nothing is known of any.
    pub dates: Option<(Date, Date)>,
    /// The first source's figures.
    pub first: v1::RangeFigures,
    /// The second source's figures.
    pub second: v1::RangeFigures,
    /// Breaks by category, those that there are.
    pub breaks: Vec<v1::BreakFigures>,
    /// Matches that have an item in the range.
    pub match_count: u64,
    /// Open proposals that have an item in the range.
    pub proposal_count: u64,
}

/// What the difference between the movements of two sources is made of, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equation {
    /// The first source's credits less its debits.
    pub first_movements: i128,
    /// The second source's.
    pub second_movements: i128,
    /// What differs within matches: tolerated differences, and matches across the range's ends.
    pub matched: i128,
    /// What stands in proposals, first less second.
    pub proposed: i128,
    /// What waits for its counterpart, first less second.
    pub waiting: i128,
    /// What stands in open breaks.
    pub open_breaks: i128,
    /// What is left in breaks that have ended, because the parties accepted it.
    pub ended_breaks: i128,
}

impl Equation {
    /// The first source's movements less the second's.
    pub fn difference(&self) -> i128 {
        self.first_movements - self.second_movements
    }

    /// What explains that difference.
    pub fn explained(&self) -> i128 {
        self.matched + self.proposed + self.waiting + self.open_breaks + self.ended_breaks
    }

    /// Whether all of it is explained.
    pub fn holds(&self) -> bool {
        self.difference() == self.explained()
    }
}

impl Report {
    /// What the difference between the two sources is made of.
    pub fn equation(&self) -> Equation {
        let (first, second) = (&self.first, &self.second);
        let less = |first: i64, second: i64| i128::from(first) - i128::from(second);
        let sum = |effect: fn(&v1::BreakFigures) -> i64| {
            self.breaks.iter().map(|figures| i128::from(effect(figures))).sum()
        };
        Equation {
            first_movements: less(first.credits, first.debits),
            second_movements: less(second.credits, second.debits),
            matched: less(first.matched_effect, second.matched_effect),
            proposed: less(first.proposed_effect, second.proposed_effect),
            waiting: less(first.waiting_effect, second.waiting_effect),
            open_breaks: sum(|figures| figures.effect),
            ended_breaks: sum(|figures| figures.ended_effect),
        }
    }

    /// How many items both sources have.
    pub fn item_count(&self) -> u64 {
        let of = |side: &v1::RangeFigures| side.credit_count.saturating_add(side.debit_count);
        of(&self.first).saturating_add(of(&self.second))
    }

    /// How many of them are matched.
    pub fn matched_count(&self) -> u64 {
        self.first.matched_count.saturating_add(self.second.matched_count)
    }

    /// How many of them stand in a proposal.
    pub fn proposed_count(&self) -> u64 {
        self.first.proposed_count.saturating_add(self.second.proposed_count)
    }

    /// How many of them wait for their counterpart.
    pub fn waiting_count(&self) -> u64 {
        self.first.waiting_count.saturating_add(self.second.waiting_count)
    }

    /// The share of items that are matched, in hundredths of a percent, rounded down: 10,000 only if
    /// all of them are. None without items.
    pub fn match_rate(&self) -> Option<u32> {
        let (matched, items) = (u128::from(self.matched_count()), u128::from(self.item_count()));
        u32::try_from((matched * 10_000).checked_div(items)?).ok()
    }

    /// How many breaks are open.
    pub fn open_break_count(&self) -> u64 {
        self.breaks.iter().fold(0, |sum, figures| sum.saturating_add(figures.open_count))
    }
}

impl Client {
    /// One source of an account against another for value dates, both included; without dates, every
    /// date of which anything is known.
    pub async fn report(
        &self,
        account: AccountId,
        comparison: v1::Comparison,
        dates: Option<(Date, Date)>,
    ) -> Result<Answer<Report>, Error> {
        let request = v1::GetReportRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            comparison: comparison.into(),
            from_date: dates.map(|(from, _)| from.yyyymmdd()).unwrap_or_default(),
            to_date: dates.map(|(_, to)| to.yyyymmdd()).unwrap_or_default(),
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::GetReportResponse| {
            if response.comparison() != comparison {
                return Err("a report of another comparison".to_owned());
            }
            let (Some(first), Some(second)) = (response.first, response.second) else {
                return Err("a report with one side only".to_owned());
            };
            let date = |yyyymmdd| Date::from_yyyymmdd(yyyymmdd).ok();
            let report = Report {
                asset: response.asset,
                comparison,
                dates: date(response.from_date).zip(date(response.to_date)),
                first,
                second,
                breaks: response.breaks,
                match_count: response.match_count,
                proposal_count: response.proposal_count,
            };
            answer(report, response.as_of)
        };
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).get_report(request).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let first = v1::RangeFigures {
            credit_count: 3,
            credits: 3_000,
            debit_count: 1,
            debits: 500,
            matched_count: 3,
            matched_effect: 2_000,
            waiting_count: 1,
            waiting_effect: 500,
            ..v1::RangeFigures::default()
        };
        let second = v1::RangeFigures {
            credit_count: 3,
            credits: 2_200,
            matched_count: 3,
            matched_effect: 2_000,
            ..v1::RangeFigures::default()
        };
        let broken = v1::BreakFigures { open_count: 1, effect: -200, ..Default::default() };
        Report {
            asset: "CHF".to_owned(),
            comparison: v1::Comparison::LedgerOwner,
            dates: None,
            first,
            second,
            breaks: vec![broken],
            match_count: 3,
            proposal_count: 0,
        }
    }

    #[test]
    fn figures_add_up_or_it_is_noticed() {
        let mut report = report();
        assert_eq!((report.equation().difference(), report.equation().explained()), (300, 300));
        assert!(report.equation().holds());
        report.breaks[0].ended_effect = 1;
        assert!(!report.equation().holds());
    }

    #[test]
    fn a_rate_is_rounded_down_and_needs_items() {
        let mut report = report();
        assert_eq!((report.match_rate(), report.open_break_count()), (Some(8_571), 1));
        report.first.credit_count = u64::MAX;
        assert_eq!(report.match_rate(), Some(0));
        report.first = v1::RangeFigures::default();
        report.second = v1::RangeFigures::default();
        assert_eq!(report.match_rate(), None);
    }
}
