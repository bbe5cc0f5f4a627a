//! `recon try-terms`: what other terms would change, before anybody signs them.

use std::path::PathBuf;

use counterfoil_client::Error;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::agreement::terms_file::TermsFile;
use super::item;
use super::words::{self, category, counted};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, as_of_json};
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Table};
use crate::session::{self, Session};

/// Arguments of `recon try-terms`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// The terms, TOML, as recon agreement propose reads them
    #[arg(value_name = "TERMS")]
    terms: PathBuf,
    /// End with exit code 10 if anything would change
    #[arg(long)]
    exit_code: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// Tries them.
    pub fn run(&self) -> Result<Answer, Failure> {
        let file = TermsFile::read(&self.terms)?;
        session::run(self.tried(&file))
    }

    async fn tried(&self, file: &TermsFile) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let (message, _) = file.terms(|asset| session.exponent(asset))?;
        let of = Reconciled::find(&session, &self.account).await?;
        let tried = session.client.try_terms(of.id, message).await;
        let found = tried.map_err(|error: Error| {
            Failure::from(error).fact(format!("the terms are tried on {}", of.title()))
        })?;
        let changes = found.value.iter().any(|one| one.changed_count > 0);
        let exit = if self.exit_code && changes { Exit::Differences } else { Exit::Success };
        let mut answer = Answer::new(json!({
            "account": of.json(),
            "tried": found.value.iter().map(|one| tried_json(&session, one)).collect::<Vec<_>>(),
            "asOf": as_of_json(&found.as_of),
        }))
        .title(format!("What these terms would change of {}", of.title()))
        .table(totals(&found.value));
        let changed =
            found.value.iter().flat_map(|one| one.changed.iter().map(move |it| (one, it)));
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            answer = answer.line("").table(changes_table(&session, &changed));
        }
        let (shown, all) = (
            u64::try_from(changed.len()).unwrap_or(u64::MAX),
            found.value.iter().fold(0, |sum: u64, one| sum.saturating_add(one.changed_count)),
        );
        let more = match all.checked_sub(shown).filter(|more| *more > 0) {
            Some(more) => format!(", {more} of them not shown"),
            None => String::new(),
        };
        let would = format!(
            "{} would be judged otherwise{more}; nothing was recorded",
            counted(all, "pair")
        );
        Ok(answer.line("").line(would).line(as_of(&found.as_of)).exit(exit))
    }
}

fn totals(tried: &[v1::TriedTerms]) -> Table {
    let mut table = Table::new(&[
        "BETWEEN",
        ">ITEMS",
        ">MATCHES NOW",
        ">THEN",
        ">BREAKS NOW",
        ">THEN",
        ">CHANGED",
    ]);
    for one in tried {
        table.row([
            words::comparison(one.comparison()).to_owned(),
            one.item_count.to_string(),
            one.matches_now.to_string(),
            one.matches_then.to_string(),
            one.breaks_now.to_string(),
            one.breaks_then.to_string(),
            one.changed_count.to_string(),
        ]);
    }
    table
}

fn changes_table(session: &Session, changed: &[(&v1::TriedTerms, &v1::TriedPair)]) -> Table {
    let mut table =
        Table::new(&["BETWEEN", "ITEMS", ">FIRST", ">SECOND", "REFERENCE", "NOW", "THEN"]);
    for (of, pair) in changed {
        let (first, second) = (pair.first.as_slice(), pair.second.as_slice());
        let money = |item: Option<&v1::Item>| session.money(item.and_then(|it| it.amount.as_ref()));
        table.row([
            words::comparison(of.comparison()).to_owned(),
            item::names(first, second),
            money(pair.first.as_ref()),
            money(pair.second.as_ref()),
            item::first_reference(first, second),
            finding(pair.paired_now, pair.category_now()),
            finding(pair.paired_then, pair.category_then()),
        ]);
    }
    table
}

/// What a pair is: a match, no pair, or a break of a category.
fn finding(paired: bool, broken: v1::BreakCategory) -> String {
    match (broken, paired) {
        (v1::BreakCategory::Unspecified, true) => "match".to_owned(),
        (v1::BreakCategory::Unspecified, false) => "no pair".to_owned(),
        (broken, _) => category(broken),
    }
}

fn tried_json(session: &Session, one: &v1::TriedTerms) -> Value {
    let pair = |it: &v1::TriedPair| {
        json!({
            "first": it.first.as_ref().map(|one| item::json(session, one)),
            "second": it.second.as_ref().map(|one| item::json(session, one)),
            "now": finding(it.paired_now, it.category_now()),
            "then": finding(it.paired_then, it.category_then()),
        })
    };
    json!({
        "comparison": words::comparison(one.comparison()),
        "itemCount": one.item_count.to_string(),
        "matchesNow": one.matches_now.to_string(),
        "matchesThen": one.matches_then.to_string(),
        "breaksNow": one.breaks_now.to_string(),
        "breaksThen": one.breaks_then.to_string(),
        "changedCount": one.changed_count.to_string(),
        "changed": one.changed.iter().map(pair).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told() {
        assert_eq!(finding(true, v1::BreakCategory::Unspecified), "match");
        assert_eq!(finding(false, v1::BreakCategory::Unspecified), "no pair");
        assert_eq!(finding(true, v1::BreakCategory::ValueDate), "value-date");
        let tried = v1::TriedTerms { matches_now: 3, matches_then: 4, ..Default::default() };
        let text = Answer::new(Value::Null).table(totals(&[tried]));
        let text = text.render(crate::output::Format::Table);
        assert!(
            text.lines().nth(1).unwrap().split_whitespace().eq(["-", "0", "3", "4", "0", "0", "0"])
        );
    }
}
