//! `recon explain`: why an item stands as it does, in sentences.

use counterfoil_client::reconciliation::{Explanation, StandsIn};
use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::account::Reconciled;
use super::breaks::break_json;
use super::decide::{match_json, proposal_json};
use super::item::{self, ItemName};
use super::words::{self, Between, both, category, counted, key_phrase, pass, pass_phrase, state};
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, as_of_json};
use crate::context::Connection;
use crate::error::Failure;
use crate::moment;
use crate::output::{Answer, printable};
use crate::session::Session;

/// Arguments of `recon explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// The item: ledger:N, owner:N or servicer:N
    #[arg(value_name = "ITEM")]
    item: ItemName,
    /// Between which sources; every two that are agreed and have the item, unless given
    #[arg(long, value_enum, value_name = "SOURCES")]
    comparison: Option<Between>,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Arguments {
    /// Explains it, in every comparison that it stands in.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let ItemName { source, number } = self.item;
        let mut list = Vec::new();
        let mut lines = Vec::new();
        let mut item = None;
        for comparison in self.compared(&of.comparisons(&session, self.comparison).await?)? {
            let found = session.client.explain(of.id, comparison, source, number).await?;
            let why = &found.value;
            let mut json = explanation_json(&session, &of, why);
            json["asOf"] = as_of_json(&found.as_of);
            list.push(json);
            lines.push(String::new());
            lines.extend(Told { session: &session, of: &of, why }.sentences());
            lines.extend([String::new(), as_of(&found.as_of)]);
            item = Some(found.value.item);
        }
        let answer = Answer::new(Value::Array(list));
        let answer = match &item {
            Some(item) => answer.table(item::table(&session, &[item])),
            None => answer,
        };
        // References are what banks wrote, as a node tells them.
        Ok(lines.iter().fold(answer, |answer, line| answer.line(printable(line))))
    }

    /// Those of some comparisons that have the item's source.
    fn compared(&self, agreed: &[v1::Comparison]) -> Result<Vec<v1::Comparison>, Failure> {
        let has = |comparison: &v1::Comparison| {
            let sources = counterfoil_client::reconciliation::sources(*comparison);
            sources.is_some_and(|sources| sources.contains(&self.item.source))
        };
        let compared: Vec<_> = agreed.iter().copied().filter(has).collect();
        if compared.is_empty() {
            let message = format!("{} is not compared there", self.item);
            return Err(Failure::usage("ITEM_NOT_COMPARED", message)
                .fact("the sources that are compared are those of the agreement")
                .fix("counterfoil recon status shows them"));
        }
        Ok(compared)
    }
}

/// An explanation with what it takes to tell it.
struct Told<'a> {
    session: &'a Session,
    of: &'a Reconciled,
    why: &'a Explanation,
}

impl Told<'_> {
    fn sentences(&self) -> Vec<String> {
        let [first, second] = both(self.why.comparison);
        let mut lines = vec![
            format!("Compared: {first} and {second}, by rule set {}.", self.why.rule_set),
            self.standing(),
        ];
        if let Some(original) = self.why.original {
            let name = ItemName { source: self.why.item.source(), number: original };
            lines.push(format!("It repeats {name} of the same book."));
        }
        for proposal in &self.why.proposals {
            lines.push(self.proposal(proposal));
        }
        if self.why.others.is_empty() {
            lines.push("No other item came into question.".to_owned());
        }
        let others = self.why.others.iter().filter(|other| !self.is_proposed(other));
        lines.extend(others.map(|other| self.other(other)));
        lines
    }

    /// Whether an open proposal names another item, too: then it is not out of the question.
    fn is_proposed(&self, other: &v1::OtherItem) -> bool {
        let named = |proposal: &v1::Proposal| {
            let mut items = proposal.first.iter().chain(&proposal.second);
            items.any(|it| it.source() == other.source() && it.number == other.number)
        };
        self.why.proposals.iter().any(named)
    }

    fn standing(&self) -> String {
        match &self.why.stands_in {
            StandsIn::Match(found) => self.matched(found),
            StandsIn::Break(found) => self.broken(found),
            StandsIn::Nothing => match self.why.deadline_ms {
                Some(deadline) => format!(
                    "It waits for its counterpart, and is missing if none has come by {}.",
                    moment::utc(deadline)
                ),
                None => "It stands in nothing, and waits for nothing.".to_owned(),
            },
        }
    }

    fn broken(&self, found: &v1::Break) -> String {
        let text = format!(
            "It stands in break {}: {}, {}, {} old.",
            found.number,
            category(found.category()),
            state(found.state()),
            counted(found.age_days.into(), "business day"),
        );
        let elsewhere = found.elsewhere.as_ref();
        let Some((elsewhere, item)) = elsewhere.and_then(|it| Some((it, it.item.as_ref()?))) else {
            return text;
        };
        let account = self.of.sibling(&elsewhere.name);
        let item = item::sentence(self.session, item);
        format!("{text} Its counterpart is missing here, and stands on {account}: {item}.")
    }

    fn matched(&self, found: &v1::Match) -> String {
        let own = item::name(&self.why.item);
        let items = found.first.iter().chain(&found.second);
        let others: Vec<String> = items
            .filter(|it| item::name(it) != own)
            .map(|it| item::sentence(self.session, it))
            .collect();
        let confirmed = if found.confirmed { ", confirmed by people" } else { "" };
        format!(
            "It is matched with {} (match {}), {}{}{confirmed}.",
            others.join(" and "),
            found.number,
            pass_phrase(found.pass()),
            self.judgement(found.judgement.as_ref()),
        )
    }

    /// By how much a pair differs, if it differs.
    fn judgement(&self, judgement: Option<&v1::Judgement>) -> String {
        let Some(judgement) = judgement else { return String::new() };
        let mut parts = Vec::new();
        if judgement.amount_difference > 0 {
            let amount = self.of.amount(judgement.amount_difference.into());
            parts.push(format!("the amounts {amount} apart"));
        }
        if judgement.days_apart > 0 {
            let days = counted(judgement.days_apart.into(), "business day");
            parts.push(format!("the value dates {days} apart"));
        }
        match parts.is_empty() {
            true => ", amount and value date the same".to_owned(),
            false => format!(", {}", parts.join(" and ")),
        }
    }

    fn proposal(&self, proposal: &v1::Proposal) -> String {
        let by: Vec<&str> = proposal.confirmed_by().map(words::party).collect();
        let confirmed = match by.is_empty() {
            true => "nobody has confirmed it".to_owned(),
            false => format!("the {} has confirmed it", by.join(" and the ")),
        };
        format!(
            "Proposal {} names it: {}, {}; {confirmed}.",
            proposal.number,
            item::names(&proposal.first, &proposal.second),
            pass_phrase(proposal.pass()),
        )
    }

    /// Why not the other one.
    fn other(&self, other: &v1::OtherItem) -> String {
        let name = match &other.item {
            Some(item) => item::sentence(self.session, item),
            None => ItemName { source: other.source(), number: other.number }.to_string(),
        };
        let key = key_phrase(other.pass());
        let apart = self.judgement(other.judgement.as_ref());
        let opposite = self.opposite(other.source());
        let instead: Vec<String> = other
            .instead
            .iter()
            .map(|it| ItemName { source: opposite, number: it.number }.to_string())
            .collect();
        let instead = instead.join(" ");
        let why = match other.why() {
            v1::WhyNot::Unspecified => "the node gives no reason".to_owned(),
            v1::WhyNot::Refused => "a person said that they do not belong together".to_owned(),
            v1::WhyNot::Duplicate => "that one is a duplicate".to_owned(),
            v1::WhyNot::Decided => "people decided on that one".to_owned(),
            v1::WhyNot::Contradicts => format!("both have a {key}, and it differs"),
            v1::WhyNot::NothingShared => "they share no reference".to_owned(),
            v1::WhyNot::Worse => format!("the item goes better with what it stands with{apart}"),
            v1::WhyNot::Taken => format!("that one goes better with {instead}{apart}"),
            v1::WhyNot::Ambiguous => {
                format!("it is one of several that are equally good: a person has to choose{apart}")
            }
            v1::WhyNot::Undecided => {
                format!("that one is a choice between others that are better: {instead}{apart}")
            }
            v1::WhyNot::TooMany => format!("more items share the {key} than are compared"),
        };
        format!("Not with {name}: {why}.")
    }

    /// The other source of the comparison.
    fn opposite(&self, source: v1::Source) -> v1::Source {
        let both = counterfoil_client::reconciliation::sources(self.why.comparison);
        let mut both = both.unwrap_or_default().into_iter();
        both.find(|one| *one != source).unwrap_or_default()
    }
}

fn explanation_json(session: &Session, of: &Reconciled, why: &Explanation) -> Value {
    let stands_in = match &why.stands_in {
        StandsIn::Match(found) => json!({ "match": match_json(session, of, found) }),
        StandsIn::Break(found) => json!({ "break": break_json(session, of, found) }),
        StandsIn::Nothing => Value::Null,
    };
    let other = |other: &v1::OtherItem| {
        let reason = other.why().as_str_name().trim_start_matches("WHY_NOT_").to_owned();
        let named = ItemName { source: other.source(), number: other.number };
        let key = Some(other.pass()).filter(|it| *it != v1::MatchPass::Unspecified);
        json!({
            "item": named.to_string(),
            "details": other.item.as_ref().map(|it| item::json(session, it)),
            "why": reason,
            "key": key.map(pass),
            "judgement": item::judgement_json(
                other.judgement.as_ref(), of.exponent(), &of.account.asset),
            "instead": other.instead.iter().map(|it| it.number.to_string()).collect::<Vec<_>>(),
        })
    };
    let proposals = why.proposals.iter().map(|it| proposal_json(session, it));
    json!({
        "item": item::json(session, &why.item),
        "comparison": words::comparison(why.comparison),
        "ruleSet": why.rule_set,
        "standsIn": stands_in,
        "proposals": proposals.collect::<Vec<_>>(),
        "deadline": why.deadline_ms.map(moment::utc),
        "original": why.original.map(|number| number.to_string()),
        "others": why.others.iter().map(other).collect::<Vec<_>>(),
    })
}
