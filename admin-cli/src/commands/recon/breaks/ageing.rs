//! Breaks by category and age: how many, and how much is at stake.

use std::collections::BTreeMap;

use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::list::at_stake;
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::category;
use crate::output::{Csv, Table};

/// Ages in business days, each up to and with its last.
pub const BUCKETS: [(&str, u32); 6] =
    [("0", 0), ("1", 1), ("2-3", 3), ("4-7", 7), ("8-30", 30), (">30", u32::MAX)];

/// What a cell holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How many breaks.
    pub count: u64,
    /// How much is at stake, minor units of the account's asset.
    pub amount: u128,
}

impl Cell {
    fn add(&mut self, other: Cell) {
        self.count = self.count.saturating_add(other.count);
        self.amount = self.amount.saturating_add(other.amount);
    }
}

/// Open breaks by category and age.
#[derive(Debug, Default)]
pub struct Ageing {
    /// By the number of the category, in the order of the schema.
    rows: BTreeMap<i32, [Cell; BUCKETS.len()]>,
}

impl Ageing {
    /// Counts breaks of an account in an asset.
    pub fn of<'b>(breaks: impl IntoIterator<Item = &'b v1::Break>, asset: &str) -> Ageing {
        let mut ageing = Ageing::default();
        for one in breaks {
            // A category that this program does not know is one row with all others of the kind.
            let cells = ageing.rows.entry(one.category() as i32).or_default();
            let fits = |(_, last): &(&str, u32)| one.age_days <= *last;
            let at = BUCKETS.iter().position(fits).unwrap_or(BUCKETS.len() - 1);
            cells[at].add(Cell { count: 1, amount: at_stake(one, asset) });
        }
        ageing
    }

    /// The rows, by category.
    pub fn rows(&self) -> impl Iterator<Item = (v1::BreakCategory, &[Cell; BUCKETS.len()])> {
        self.rows.iter().map(|(number, cells)| {
            (v1::BreakCategory::try_from(*number).unwrap_or_default(), cells)
        })
    }

    /// The sum of a row.
    pub fn sum(cells: &[Cell]) -> Cell {
        let mut sum = Cell::default();
        cells.iter().for_each(|cell| sum.add(*cell));
        sum
    }

    /// For people: count and amount in each cell.
    pub fn table(&self, of: &Reconciled) -> Table {
        let shown = |cell: &Cell| match cell.count {
            0 => "-".to_owned(),
            count => format!("{count} / {}", figure(of, cell.amount)),
        };
        let mut table =
            Table::new(&["CATEGORY", ">0", ">1", ">2-3", ">4-7", ">8-30", ">over 30", ">ALL"]);
        let mut row = |name: String, cells: &[Cell; BUCKETS.len()]| {
            let [a, b, c, d, e, f] = cells.each_ref().map(shown);
            table.row([name, a, b, c, d, e, f, shown(&Ageing::sum(cells))]);
        };
        let mut all = [Cell::default(); BUCKETS.len()];
        for (name, cells) in self.rows() {
            row(category(name), cells);
            all.iter_mut().zip(cells).for_each(|(sum, cell)| sum.add(*cell));
        }
        row("all".to_owned(), &all);
        table
    }

    /// For programs.
    pub fn json(&self, of: &Reconciled) -> Value {
        let cell = |cell: &Cell| {
            let amount = of.amount_json(i128::try_from(cell.amount).unwrap_or(i128::MAX));
            json!({ "count": cell.count.to_string(), "amount": amount })
        };
        let row = |(name, cells): (v1::BreakCategory, &[Cell; BUCKETS.len()])| {
            let buckets: Vec<Value> = BUCKETS
                .iter()
                .zip(cells)
                .map(|((age, _), one)| {
                    let mut json = cell(one);
                    json["businessDays"] = json!(age);
                    json
                })
                .collect();
            json!({
                "category": category(name),
                "all": cell(&Ageing::sum(cells)),
                "byAge": buckets,
            })
        };
        self.rows().map(row).collect()
    }

    /// For a spreadsheet: a line for each category and age that has any.
    pub fn csv(&self, of: &Reconciled) -> Csv {
        let mut csv = Csv::new(&[
            "category",
            "business_days",
            "count",
            "amount",
            "amount_minor_units",
            "asset",
        ]);
        for (name, cells) in self.rows() {
            for ((age, _), cell) in BUCKETS.iter().zip(cells).filter(|(_, cell)| cell.count > 0) {
                csv.row([
                    category(name),
                    (*age).to_owned(),
                    cell.count.to_string(),
                    figure(of, cell.amount),
                    cell.amount.to_string(),
                    of.account.asset.clone(),
                ]);
            }
        }
        csv
    }
}

fn figure(of: &Reconciled, units: u128) -> String {
    of.figure(i128::try_from(units).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::recon::account::tests::reconciled;
    use crate::output::{Answer, Format};

    fn broken(category: v1::BreakCategory, age_days: u32, effect: i64) -> v1::Break {
        v1::Break { category: category.into(), age_days, effect, ..v1::Break::default() }
    }

    #[test]
    fn every_age_has_its_bucket() {
        let ages = [0, 1, 2, 3, 4, 7, 8, 30, 31, u32::MAX];
        let breaks: Vec<_> =
            ages.iter().map(|age| broken(v1::BreakCategory::Amount, *age, -5)).collect();
        let ageing = Ageing::of(&breaks, "CHF");
        let (_, cells) = ageing.rows().next().unwrap();
        assert_eq!(cells.map(|cell| cell.count), [1, 1, 2, 2, 2, 2]);
        assert_eq!(Ageing::sum(cells), Cell { count: 10, amount: 50 });
    }

    #[test]
    fn the_table_has_counts_and_amounts() {
        let breaks = [
            broken(v1::BreakCategory::MissingFirst, 0, 12_50),
            broken(v1::BreakCategory::MissingFirst, 40, -1_00),
            broken(v1::BreakCategory::Amount, 2, 5),
        ];
        let of = reconciled();
        let ageing = Ageing::of(&breaks, "CHF");
        let text = Answer::new(ageing.json(&of)).table(ageing.table(&of)).render(Format::Table);
        let expected = "\
            CATEGORY               0  1       2-3  4-7  8-30   over 30        ALL\n\
            missing-first  1 / 12.50  -         -    -     -  1 / 1.00  2 / 13.50\n\
            amount                 -  -  1 / 0.05    -     -         -   1 / 0.05\n\
            all            1 / 12.50  -  1 / 0.05    -     -  1 / 1.00  3 / 13.55\n";
        assert_eq!(text, expected);
        assert_eq!(ageing.json(&of)[0]["byAge"][0]["businessDays"], "0");
    }
}
