//! `recon proposals`, `recon match`, `recon run`: what a person has to decide, and decides.

use counterfoil_client::{Order, reconciliation};
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::item::{self, ItemName};
use super::words::{self, Between, chosen, counted, party, pass, pass_phrase};
use super::work::{committed, kept, kept_json};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, position_json};
use crate::context::Connection;
use crate::error::Failure;
use crate::output::{Answer, Table, extend};
use crate::session::Session;
use crate::verdict;
use crate::waiting::Waiting;

/// Arguments of `recon proposals`.
#[derive(Debug, clap::Args)]
pub struct Proposals {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// Only between these two sources
    #[arg(long, value_enum, value_name = "SOURCES")]
    comparison: Option<Between>,
    /// Decided ones too
    #[arg(long)]
    all: bool,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `recon match`.
#[derive(Debug, clap::Args)]
pub struct Decide {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    #[command(flatten)]
    decision: Decision,
    /// The items: ledger:N, owner:N or servicer:N, at most 64 of each of two sources
    #[arg(value_name = "ITEMS", required = true)]
    items: Vec<ItemName>,
    /// Between which sources, where the items do not say
    #[arg(long, value_enum, value_name = "SOURCES")]
    comparison: Option<Between>,
    /// Why; the ledger keeps a salted hash of it, the text and its salt are printed
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// What is decided: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Decision {
    /// They belong together; where two books are compared, both parties have to say so
    #[arg(long)]
    confirm: bool,
    /// They do not: nothing proposes or pairs them again
    #[arg(long)]
    refuse: bool,
    /// Their match was none: they are open again
    #[arg(long)]
    undo: bool,
}

/// Arguments of `recon run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Proposals {
    /// Lists them.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let found = session.client.proposals(of.id, chosen(self.comparison), self.all);
        let found = found.all().await?;
        let mut table = Table::new(&[
            ">NO",
            "BETWEEN",
            "FOUND",
            "CONFIRMED BY",
            "ITEM",
            "VALUE DATE",
            ">AMOUNT",
            "REFERENCE",
        ]);
        for one in &found.value {
            // A line an item: what a person compares stands one below the other.
            for (at, it) in one.first.iter().chain(&one.second).enumerate() {
                let once = |text: String| if at == 0 { text } else { String::new() };
                let by: Vec<&str> = one.confirmed_by().map(party).collect();
                table.row([
                    once(one.number.to_string()),
                    once(words::comparison(one.comparison()).to_owned()),
                    once(pass(one.pass()).to_owned()),
                    once(if by.is_empty() { "-".to_owned() } else { by.join(", ") }),
                    item::name(it).to_string(),
                    crate::commands::account::date(it.value_date),
                    session.money(it.amount.as_ref()),
                    item::reference(it),
                ]);
            }
        }
        let json = found.value.iter().map(|one| proposal_json(&session, one)).collect();
        let count = u64::try_from(found.value.len()).unwrap_or(u64::MAX);
        let mut answer = Answer::new(Value::Array(json)).table(table).line("").line(format!(
            "{}; {}",
            counted(count, "proposal"),
            as_of(&found.as_of)
        ));
        if let Some(one) = found.value.iter().find(|one| one.closed_at.is_none()) {
            let (word, names) = (&self.account, item::names(&one.first, &one.second));
            answer = answer.line(format!(
                "to decide on {}: counterfoil recon match {word} --confirm {names}",
                one.number
            ));
        }
        Ok(answer)
    }
}

impl Decision {
    fn message(&self) -> (v1::MatchDecision, &'static str) {
        match (self.confirm, self.refuse) {
            (true, _) => (v1::MatchDecision::Confirm, "confirmed as a match"),
            (_, true) => (v1::MatchDecision::Refuse, "refused as a match"),
            _ => (v1::MatchDecision::Undo, "open again"),
        }
    }
}

impl Decide {
    /// Decides it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let reason = committed(self.reason.as_deref())?;
        let session = Session::signing(&self.connection, self.waiting).await?;
        let of = Reconciled::find(&session, &self.account).await?;
        let comparison = match compared(&self.items, self.comparison)? {
            Some(comparison) => comparison,
            None => self.only(&of.comparisons(&session, None).await?)?,
        };
        let [first, second] = split(&self.items, comparison)?;
        let (decision, done) = self.decision.message();
        let items = [first.as_slice(), second.as_slice()];
        let order = Order::decide_match(of.id, comparison, items, decision, reason.as_ref());
        let outcome = session.submit(order).await?;
        let names: Vec<String> = self.items.iter().map(ToString::to_string).collect();
        let what = match outcome.is_accepted() {
            true => format!("{}: {done}", names.join(" ")),
            false => format!("{}: not {done}", names.join(" ")),
        };
        let mut more = json!({ "items": names, "comparison": words::comparison(comparison) });
        if let Some(reason) = &reason {
            extend(&mut more, kept_json(reason));
        }
        let answer = verdict::answer(&outcome, &what, more);
        Ok(match reason.filter(|_| outcome.is_accepted()) {
            Some(reason) => kept(answer, &reason),
            None => answer,
        })
    }

    /// The only agreed comparison that has the source of the items.
    fn only(&self, agreed: &[v1::Comparison]) -> Result<v1::Comparison, Failure> {
        let has = |comparison: &&v1::Comparison| {
            let sources = reconciliation::sources(**comparison).unwrap_or_default();
            self.items.iter().all(|item| sources.contains(&item.source))
        };
        match agreed.iter().filter(has).collect::<Vec<_>>().as_slice() {
            [only] => Ok(**only),
            _ => Err(Failure::usage("COMPARISON_MISSING", "the items are of one source")
                .fact("that source is compared with none or with two")
                .fix("give --comparison")),
        }
    }
}

/// The comparison of the two sources that items name; none if they name one only.
fn compared(
    items: &[ItemName],
    chosen: Option<Between>,
) -> Result<Option<v1::Comparison>, Failure> {
    if let Some(between) = chosen {
        return Ok(Some(between.message()));
    }
    use v1::Comparison::{LedgerOwner, LedgerServicer, OwnerServicer};
    let named = |source: v1::Source| items.iter().any(|item| item.source == source);
    let (ledger, owner, servicer) =
        (named(v1::Source::Ledger), named(v1::Source::OwnerBook), named(v1::Source::ServicerBook));
    match (ledger, owner, servicer) {
        (true, true, false) => Ok(Some(LedgerOwner)),
        (true, false, true) => Ok(Some(LedgerServicer)),
        (false, true, true) => Ok(Some(OwnerServicer)),
        (true, true, true) => Err(Failure::usage("SOURCES_THREE", "items of three sources")
            .fact("a match is between two")
            .fix("decide on them two sources at a time")),
        _ => Ok(None),
    }
}

/// The numbers of items by the place of their source in a comparison.
fn split(items: &[ItemName], comparison: v1::Comparison) -> Result<[Vec<u64>; 2], Failure> {
    let sources = reconciliation::sources(comparison).unwrap_or_default();
    let mut split = [Vec::new(), Vec::new()];
    for item in items {
        let place = sources.iter().position(|source| *source == item.source);
        let place = place.ok_or_else(|| {
            let message = format!("{item} is not compared there");
            Failure::usage("ITEM_NOT_COMPARED", message).fact(format!(
                "{} compares {}",
                words::comparison(comparison),
                sources.map(words::source_phrase).join(" and ")
            ))
        })?;
        split[place].push(item.number);
    }
    Ok(split)
}

impl Run {
    /// Starts it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::signing(&self.connection, self.waiting).await?;
        let of = Reconciled::find(&session, &self.account).await?;
        let outcome = session.submit(Order::run_matching(of.id)).await?;
        let what = match outcome.is_accepted() {
            true => format!("matching ran over the open items of {}", of.title()),
            false => format!("matching did not run over {}", of.title()),
        };
        let answer = verdict::answer(&outcome, &what, json!({ "account": of.json() }));
        match outcome.is_accepted() {
            true => {
                Ok(answer
                    .line(format!("what came of it: counterfoil recon status {}", self.account)))
            }
            false => Ok(answer),
        }
    }
}

/// A match for programs.
pub fn match_json(session: &Session, of: &Reconciled, one: &v1::Match) -> Value {
    let judgement = one.judgement.as_ref();
    json!({
        "number": one.number.to_string(),
        "comparison": words::comparison(one.comparison()),
        "pass": pass(one.pass()),
        "found": pass_phrase(one.pass()),
        "confirmed": one.confirmed,
        "first": item::list_json(session, &one.first),
        "second": item::list_json(session, &one.second),
        "judgement": item::judgement_json(judgement, of.exponent(), &of.account.asset),
        "matchedAt": position_json(one.matched_at.as_ref()),
        "undoneAt": position_json(one.undone_at.as_ref()),
    })
}

/// A proposal for programs.
pub fn proposal_json(session: &Session, one: &v1::Proposal) -> Value {
    json!({
        "number": one.number.to_string(),
        "comparison": words::comparison(one.comparison()),
        "pass": pass(one.pass()),
        "confirmedBy": one.confirmed_by().filter_map(words::party_json).collect::<Vec<_>>(),
        "first": item::list_json(session, &one.first),
        "second": item::list_json(session, &one.second),
        "proposedAt": position_json(one.proposed_at.as_ref()),
        "closedAt": position_json(one.closed_at.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(words: &str) -> Vec<ItemName> {
        words.split(' ').map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn items_say_what_is_compared() {
        let told = |words: &str| compared(&items(words), None).unwrap();
        assert_eq!(told("ledger:1 owner:2 owner:3"), Some(v1::Comparison::LedgerOwner));
        assert_eq!(told("servicer:1 owner:2"), Some(v1::Comparison::OwnerServicer));
        assert_eq!(told("owner:1 owner:2"), None, "an entry and its reversal");
        let three = compared(&items("ledger:1 owner:1 servicer:1"), None).unwrap_err();
        assert_eq!(three.code, "SOURCES_THREE");
    }

    #[test]
    fn items_are_split_by_source() {
        let both = split(&items("owner:9 ledger:4 owner:2"), v1::Comparison::LedgerOwner).unwrap();
        assert_eq!(both, [vec![4], vec![9, 2]]);
        let error = split(&items("servicer:1"), v1::Comparison::LedgerOwner).unwrap_err();
        assert_eq!(error.code, "ITEM_NOT_COMPARED");
    }
}
