//! Whether a statement is whole and follows the one before it: what is checked before any entry is
//! matched, because a statement that lacks entries makes breaks of what it lacks.
//!
//! Nothing is refused here. What does not hold is a list of findings, each with what was expected
//! and what was found, and the caller decides.

use std::collections::BTreeMap;
use std::fmt;

use counterfoil_ledger::asset::format_amount;

use crate::formats::error::Warnings;
use crate::formats::statement::AccountIdentification;
use crate::formats::statement::Movements;
use crate::formats::statement::StatedTotal;
use crate::formats::statement::Statement;
use crate::formats::statement::StatementKind;
use crate::formats::statement::Total;
use crate::formats::stream::STATEMENTS_MAX;

/// What does not hold. The numbers stay what they are; people and programs refer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// 1: numbers between the previous statement and this one are missing.
    SequenceGap = 1,
    /// 2: the number is that of the previous statement, or a lower one.
    SequenceRepeated = 2,
    /// 3: the opening balance is not the previous closing balance.
    OpeningDiffers = 3,
    /// 4: the opening balance and the entries do not come to the closing balance.
    Unbalanced = 4,
    /// 5: there are more or fewer entries than the statement says.
    CountDiffers = 5,
    /// 6: the entries come to another sum than the statement says.
    SumDiffers = 6,
    /// 7: an entry or the previous statement is in another currency than the account.
    CurrencyDiffers = 7,
    /// 8: the previous statement has the same identification.
    IdRepeated = 8,
    /// 9: dates do not run: the days of two statements overlap, or one lies outside of its own.
    DatesDiffer = 9,
    /// 10: a statement of the end of a day lacks a balance, so that nothing can be proved.
    BalanceMissing = 10,
    /// 11: the previous statement is of another account.
    AccountDiffers = 11,
}

impl FindingKind {
    /// Its number.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// The statement or the entry.
    pub place: String,
    /// What should have been there.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { kind, place, expected, found } = self;
        write!(f, "{place}: {kind:?} ({}): expected {expected}, found {found}", kind.number())
    }
}

/// The latest statement of each account and kind in a row of statements, so that each is compared
/// with the one before it.
#[derive(Clone, Debug, Default)]
pub struct History {
    latest: BTreeMap<(String, u8), Statement>,
}

impl History {
    /// Checks a statement against the latest one of its account, and remembers it instead. Beyond
    /// [`STATEMENTS_MAX`] accounts, a new one is checked by itself and not remembered.
    pub fn check(&mut self, statement: &Statement, movements: &Movements) -> Vec<Finding> {
        let key = key(statement);
        let findings = check(statement, movements, self.latest.get(&key));
        if self.latest.len() < STATEMENTS_MAX || self.latest.contains_key(&key) {
            let bare = Statement {
                entries: Vec::new(),
                expectations: Vec::new(),
                left_out: Vec::new(),
                warnings: Warnings::default(),
                ..statement.clone()
            };
            self.latest.insert(key, bare);
        }
        findings
    }
}

fn key(statement: &Statement) -> (String, u8) {
    let kind = match statement.kind {
        StatementKind::EndOfDay => 0,
        StatementKind::Intraday => 1,
        StatementKind::Notification => 2,
    };
    (account_text(&statement.account).to_owned(), kind)
}

fn account_text(account: &AccountIdentification) -> &str {
    match account {
        AccountIdentification::Iban(text) | AccountIdentification::Other(text) => text,
    }
}

/// Checks a statement by itself and against the previous one of its account and kind, if that is
/// given. `movements` are what its entries came to: [`Statement::movements`], or what the stream
/// told at its end.
pub fn check(
    statement: &Statement,
    movements: &Movements,
    previous: Option<&Statement>,
) -> Vec<Finding> {
    let mut findings = Findings { statement, found: Vec::new() };
    findings.balances(movements);
    findings.stated(movements);
    findings.entries();
    if let Some(previous) = previous {
        findings.follows(previous);
    }
    findings.found.sort_by_key(|finding| finding.kind);
    findings.found
}

struct Findings<'s> {
    statement: &'s Statement,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, kind: FindingKind, expected: impl fmt::Display, found: impl fmt::Display) {
        let place = self.statement.place.clone();
        let (expected, found) = (expected.to_string(), found.to_string());
        self.found.push(Finding { kind, place, expected, found });
    }

    fn decimal(&self, units: i128) -> String {
        let amount = format_amount(units, self.statement.exponent);
        format!("{} {amount}", self.statement.currency)
    }

    fn balances(&mut self, movements: &Movements) {
        let Statement { kind, opening, closing, from, to, .. } = self.statement;
        if let (Some(opening), Some(closing)) = (opening, closing) {
            let expected = i128::from(opening.units) + movements.net();
            if expected != i128::from(closing.units) {
                let (expected, found) =
                    (self.decimal(expected), self.decimal(closing.units.into()));
                self.add(FindingKind::Unbalanced, expected, found);
            }
            if opening.date > closing.date {
                let expected = format!("an opening balance not after {}", closing.date);
                self.add(FindingKind::DatesDiffer, expected, opening.date);
            }
        } else if *kind == StatementKind::EndOfDay {
            let missing =
                if opening.is_none() { "an opening balance" } else { "a closing balance" };
            self.add(FindingKind::BalanceMissing, missing, "none");
        }
        if let Some((first, last)) = movements.days
            && (first < *from || last > *to)
        {
            let expected = format!("bookings from {from} to {to}");
            self.add(FindingKind::DatesDiffer, expected, format!("{first} to {last}"));
        }
        if from > to {
            self.add(FindingKind::DatesDiffer, format!("a first day not after {to}"), from);
        }
    }

    /// Banks count all entries of a statement, or only the booked ones.
    fn stated(&mut self, movements: &Movements) {
        let Movements { credits, debits, expected_credits, expected_debits, others, .. } =
            movements;
        let stated = self.statement.stated;
        self.total("credits", stated.credits, credits, expected_credits, *others);
        self.total("debits", stated.debits, debits, expected_debits, *others);
        let booked = credits.count + debits.count;
        let all = booked + expected_credits.count + expected_debits.count + others;
        if let Some(count) = stated.entries.filter(|count| *count != booked && *count != all) {
            self.add(FindingKind::CountDiffers, format!("{count} entries"), all);
        }
    }

    /// What was left out has no known side: it may be on this one.
    fn total(
        &mut self,
        name: &str,
        stated: StatedTotal,
        booked: &Total,
        expected: &Total,
        others: u64,
    ) {
        let all = booked.count + expected.count;
        let counts = |count: &u64| *count != booked.count && !(all..=all + others).contains(count);
        if let Some(count) = stated.count.filter(counts) {
            self.add(FindingKind::CountDiffers, format!("{count} {name}"), booked.count);
        }
        let sums = |sum: &u64| {
            u128::from(*sum) != booked.units && u128::from(*sum) != booked.units + expected.units
        };
        if let Some(sum) = stated.units.filter(sums) {
            let found = i128::try_from(booked.units).unwrap_or(i128::MAX);
            let (expected, found) = (self.decimal(sum.into()), self.decimal(found));
            self.add(FindingKind::SumDiffers, format!("{name} of {expected}"), found);
        }
    }

    /// Currencies of the entries, where they were kept. The readers of files refuse a foreign one;
    /// a statement may come from elsewhere.
    fn entries(&mut self) {
        let currency = &self.statement.currency;
        let balances = [self.statement.opening, self.statement.closing];
        for balance in balances.into_iter().flatten() {
            if balance.exponent != self.statement.exponent {
                let expected = format!("balances of {} decimals", self.statement.exponent);
                self.add(FindingKind::CurrencyDiffers, expected, balance.exponent);
            }
        }
        for entry in &self.statement.entries {
            let all = std::iter::once(entry).chain(&entry.details);
            for one in all.filter(|one| one.amount.currency != *currency) {
                self.found.push(Finding {
                    kind: FindingKind::CurrencyDiffers,
                    place: one.place.clone(),
                    expected: currency.to_string(),
                    found: one.amount.currency.to_string(),
                });
            }
        }
    }

    fn follows(&mut self, previous: &Statement) {
        let statement = self.statement;
        if statement.account != previous.account || statement.kind != previous.kind {
            let (expected, found) =
                (account_text(&previous.account), account_text(&statement.account));
            self.add(
                FindingKind::AccountDiffers,
                format!("{expected} ({:?})", previous.kind),
                format!("{found} ({:?})", statement.kind),
            );
            return;
        }
        if statement.currency != previous.currency {
            self.add(FindingKind::CurrencyDiffers, &previous.currency, &statement.currency);
            return;
        }
        if !statement.id.is_empty() && statement.id == previous.id {
            self.add(FindingKind::IdRepeated, "an identification of its own", &statement.id);
        }
        let next_page = is_next_page(statement, previous);
        let year_turned = statement.to.yyyymmdd() / 10_000 > previous.to.yyyymmdd() / 10_000;
        if !next_page {
            let (ours, theirs) = (statement.sequence, previous.sequence);
            self.number("number", theirs.electronic, ours.electronic, year_turned);
            self.number("legal number", theirs.legal, ours.legal, year_turned);
        }
        if let (Some(before), Some(after)) = (previous.closing, statement.opening)
            && before.units != after.units
        {
            let (expected, found) =
                (self.decimal(before.units.into()), self.decimal(after.units.into()));
            self.add(FindingKind::OpeningDiffers, expected, found);
        }
        let whole_days = statement.kind == StatementKind::EndOfDay && !next_page;
        if whole_days && statement.from <= previous.to {
            let expected = format!("a first day after {}", previous.to);
            self.add(FindingKind::DatesDiffer, expected, statement.from);
        }
    }

    /// One more than before, or 1 in a new year or where five digits are used up.
    fn number(&mut self, name: &str, before: Option<u64>, number: Option<u64>, year_turned: bool) {
        const FIVE_DIGITS: u64 = 99_999;
        let (Some(before), Some(number)) = (before, number) else { return };
        let restarted = number == 1 && (year_turned || before == FIVE_DIGITS);
        let next = before.saturating_add(1);
        if number == next || restarted {
            return;
        }
        let kind =
            if number > next { FindingKind::SequenceGap } else { FindingKind::SequenceRepeated };
        self.add(kind, format!("{name} {next}"), number);
    }
}

fn is_next_page(statement: &Statement, previous: &Statement) -> bool {
    let (ours, theirs) = (statement.sequence, previous.sequence);
    let same = ours.electronic == theirs.electronic && ours.legal == theirs.legal;
    !previous.last_page && same && ours.page == theirs.page.map(|page| page.saturating_add(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::formats::mt;

    fn statements(text: &str) -> Vec<Statement> {
        mt::read(text.as_bytes(), &|code| matches!(code, "CHF" | "EUR").then_some(2)).unwrap()
    }

    fn day(number: u32, day: u32, opening: u32, closing: u32) -> Statement {
        let text = format!(
            ":20:R\n:25:A\n:28C:{number}/1\n:60F:C{}CHF{opening},\n:61:{day}C10,NTRFR\n\
             :62F:C{day}CHF{closing},\n",
            day - 1
        );
        statements(&text).remove(0)
    }

    fn kinds(statement: &Statement, previous: Option<&Statement>) -> Vec<u8> {
        let findings = check(statement, &statement.movements(), previous);
        findings.iter().map(|finding| finding.kind.number()).collect()
    }

    #[test]
    fn a_statement_that_follows() {
        let (first, second) = (day(7, 260_330, 0, 10), day(8, 260_331, 10, 20));
        assert_eq!(kinds(&first, None), [0; 0]);
        assert_eq!(kinds(&second, Some(&first)), [0; 0]);
        let new_year = day(1, 270_102, 10, 20);
        assert_eq!(kinds(&new_year, Some(&first)), [0; 0]);
    }

    #[test]
    fn what_does_not_hold_has_a_number() {
        let first = day(7, 260_330, 0, 10);
        assert_eq!(kinds(&day(9, 260_331, 10, 20), Some(&first)), [1]);
        assert_eq!(kinds(&day(7, 260_331, 10, 20), Some(&first)), [2]);
        assert_eq!(kinds(&day(8, 260_331, 11, 21), Some(&first)), [3]);
        assert_eq!(kinds(&day(8, 260_331, 10, 21), Some(&first)), [4]);
        assert_eq!(kinds(&day(8, 260_330, 10, 20), Some(&first)), [9]);
        assert_eq!(kinds(&first, Some(&first)), [2, 3, 8, 9]);
        let missing = Statement { closing: None, ..first.clone() };
        assert_eq!(kinds(&missing, None), [10]);
        let other = Statement {
            account: AccountIdentification::Other("B".to_owned()),
            ..day(8, 260_331, 10, 20)
        };
        assert_eq!(kinds(&other, Some(&first)), [11]);
        let mut foreign = day(8, 260_331, 10, 20);
        foreign.entries[0].amount.currency =
            counterfoil_ledger::asset::AssetCode::parse("EUR").unwrap();
        assert_eq!(kinds(&foreign, Some(&first)), [7]);
    }

    #[test]
    fn stated_counts_and_sums() {
        let text = ":20:R\n:25:A\n:34F:CHF0,\n:13D:2603311200\n:61:260331C10,NTRFR\n\
            :61:260331EC5,NTRFR\n:90C:1CHF10,\n:90D:0CHF0,\n";
        let stated = |from: &str, to: &str| {
            let read = statements(&text.replace(from, to)).remove(0);
            kinds(&read, None)
        };
        assert_eq!(stated("", ""), [0; 0]);
        assert_eq!(stated("90C:1CHF10", "90C:2CHF15"), [0; 0], "with what is expected");
        assert_eq!(stated("90C:1CHF10", "90C:3CHF10"), [5]);
        assert_eq!(stated("90C:1CHF10", "90C:1CHF11"), [6]);
        assert_eq!(stated("90D:0CHF0", "90D:1CHF1"), [5, 6]);
    }

    #[test]
    fn a_history_goes_by_account() {
        let mut history = History::default();
        let mut check =
            |statement: &Statement| history.check(statement, &statement.movements()).len();
        let other = |statement: Statement| Statement {
            account: AccountIdentification::Other("B".to_owned()),
            ..statement
        };
        assert_eq!(check(&day(7, 260_330, 0, 10)), 0);
        assert_eq!(check(&other(day(70, 260_330, 5, 15))), 0);
        assert_eq!(check(&day(8, 260_331, 10, 20)), 0);
        assert_eq!(check(&other(day(72, 260_331, 15, 25))), 1);
    }
}
