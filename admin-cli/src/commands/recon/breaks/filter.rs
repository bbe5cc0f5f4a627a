//! Which breaks are listed, and in which order.

use std::cmp::Reverse;

use counterfoil_proto::v1;

use super::list::at_stake;
use crate::commands::recon::words::{
    Between, category, category_named, chosen, is_ended, state, state_named,
};

/// Flags that choose.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Only this category, such as amount or missing-first; several, with commas or repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_category)]
    pub category: Vec<v1::BreakCategory>,
    /// Only this state, such as open or offered; several, with commas or repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_state)]
    pub state: Vec<v1::BreakState>,
    /// Only between these two sources
    #[arg(long, value_enum, value_name = "SOURCES")]
    pub comparison: Option<Between>,
    /// Ended ones too: resolved, written off, healed
    #[arg(long)]
    pub all: bool,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// The oldest, and of the same age the largest
    #[default]
    Age,
    /// The largest, and of the same amount the oldest
    Amount,
    /// As they were found
    Number,
}

fn parse_category(word: &str) -> Result<v1::BreakCategory, String> {
    let named = category_named(word).filter(|it| *it != v1::BreakCategory::Unspecified);
    named.ok_or_else(|| {
        let all = (1..).map_while(|number| v1::BreakCategory::try_from(number).ok());
        format!("one of {}", all.map(category).collect::<Vec<_>>().join(", "))
    })
}

fn parse_state(word: &str) -> Result<v1::BreakState, String> {
    state_named(word).ok_or_else(|| {
        let all = (1..).map_while(|number| v1::BreakState::try_from(number).ok());
        let all = all.map(|one| state(one).to_lowercase().replace('_', "-"));
        format!("one of {}", all.collect::<Vec<_>>().join(", "))
    })
}

impl Filter {
    /// The comparison to ask for.
    pub fn compared(&self) -> v1::Comparison {
        chosen(self.comparison)
    }

    /// Whether ended ones have to be asked for.
    pub fn wants_ended(&self) -> bool {
        self.all || self.state.iter().any(|state| is_ended(*state))
    }

    /// The breaks that are wanted.
    pub fn choose(&self, breaks: Vec<v1::Break>) -> Vec<v1::Break> {
        let wanted = |one: &v1::Break| {
            let category = self.category.is_empty() || self.category.contains(&one.category());
            let state = match self.state.as_slice() {
                [] => self.all || !is_ended(one.state()),
                some => some.contains(&one.state()),
            };
            category && state
        };
        breaks.into_iter().filter(wanted).collect()
    }
}

impl Sort {
    /// Puts them into order; what is equal stays in the order of the numbers.
    pub fn order(self, breaks: &mut [v1::Break], asset: &str) {
        match self {
            Sort::Age => breaks.sort_by_key(|one| {
                (Reverse(one.age_days), Reverse(at_stake(one, asset)), one.number)
            }),
            Sort::Amount => breaks.sort_by_key(|one| {
                (Reverse(at_stake(one, asset)), Reverse(one.age_days), one.number)
            }),
            Sort::Number => breaks.sort_by_key(|one| one.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(number: u64, age_days: u32, effect: i64, state: v1::BreakState) -> v1::Break {
        let category = v1::BreakCategory::Amount.into();
        v1::Break { number, age_days, effect, state: state.into(), category, ..Default::default() }
    }

    fn breaks() -> Vec<v1::Break> {
        vec![
            broken(1, 0, 900, v1::BreakState::Open),
            broken(2, 3, -100, v1::BreakState::Offered),
            broken(3, 3, 500, v1::BreakState::Open),
            broken(4, 9, 1, v1::BreakState::Healed),
        ]
    }

    fn numbers(breaks: &[v1::Break]) -> Vec<u64> {
        breaks.iter().map(|one| one.number).collect()
    }

    #[test]
    fn what_is_chosen() {
        let plain = Filter::default();
        assert_eq!(numbers(&plain.choose(breaks())), [1, 2, 3]);
        let all = Filter { all: true, ..Filter::default() };
        assert_eq!((all.wants_ended(), all.choose(breaks()).len()), (true, 4));
        let healed = Filter { state: vec![v1::BreakState::Healed], ..Filter::default() };
        assert_eq!((healed.wants_ended(), numbers(&healed.choose(breaks()))), (true, vec![4]));
        let other = Filter { category: vec![v1::BreakCategory::Currency], ..Filter::default() };
        assert!(other.choose(breaks()).is_empty());
    }

    #[test]
    fn what_comes_first() {
        let ordered = |sort: Sort| {
            let mut breaks = breaks();
            sort.order(&mut breaks, "CHF");
            numbers(&breaks)
        };
        assert_eq!(ordered(Sort::Age), [4, 3, 2, 1]);
        assert_eq!(ordered(Sort::Amount), [1, 3, 2, 4]);
        assert_eq!(ordered(Sort::Number), [1, 2, 3, 4]);
    }

    #[test]
    fn words_of_filters() {
        assert_eq!(parse_category("value-date"), Ok(v1::BreakCategory::ValueDate));
        assert_eq!(parse_state("written-off"), Ok(v1::BreakState::WrittenOff));
        assert!(parse_category("any").is_err() && parse_state("OPEN").is_err());
        assert!(parse_category("x").unwrap_err().contains("missing-first"));
    }
}
