//! `recon breaks show`: one break with its items, its conversation and what is offered.

use counterfoil_client::reconciliation::WorkedBreak;
use counterfoil_ledger::agreement::Party;
use counterfoil_proto::v1;
use counterfoil_proto::v1::work_break::Action;
use serde_json::{Value, json};

use super::Show;
use super::list::{break_json, elsewhere, what};
use crate::commands::account::{as_of, as_of_json, date, position, position_json};
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::{self, category, is_ended, party, party_json, state};
use crate::commands::recon::{item, work};
use crate::error::Failure;
use crate::moment;
use crate::output::{Answer, Table, hex, uuid};
use crate::session::Session;

impl Show {
    /// Shows it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let found = session.client.find_break(of.id, self.number).await?;
        let WorkedBreak { found: one, steps } = &found.value;
        let mut json = break_json(&session, &of, one);
        json["steps"] = steps.iter().map(|step| step_json(&of, step)).collect();
        json["asOf"] = as_of_json(&found.as_of);
        let items: Vec<&v1::Item> = one.first.iter().chain(&one.second).collect();
        let mut answer = Answer::new(json)
            .title(format!("Break {} of {}", one.number, of.title()))
            .table(facts(&of, one));
        if !items.is_empty() {
            answer = answer.line("").table(item::table(&session, &items));
        }
        if !steps.is_empty() {
            answer = answer.line("").table(conversation(&of, steps));
        }
        for line in next(&self.account.to_string(), &of, one) {
            answer = answer.line("").line(line);
        }
        Ok(answer.line("").line(as_of(&found.as_of)))
    }
}

fn facts(of: &Reconciled, one: &v1::Break) -> Table {
    let mut table = Table::new(&["", ""]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("category", category(one.category()));
    fact("state", state(one.state()).to_owned());
    fact("between", words::both(one.comparison()).join(" and "));
    fact("about", what(one));
    if let Some(elsewhere) = elsewhere(of, one) {
        fact("its counterpart", elsewhere);
    }
    fact("effect", of.amount(one.effect.into()));
    let opened = position(one.opened_at.as_ref());
    fact("opened", format!("{}, at {opened}", moment::utc(one.opened_ms)));
    if one.ended_at.is_some() {
        fact("ended", format!("at {}", position(one.ended_at.as_ref())));
    }
    fact("age", words::counted(one.age_days.into(), "business day"));
    if one.answers() != v1::Party::Unspecified {
        let level = match one.escalation_level {
            0 => String::new(),
            level => format!(", {} up", words::counted(level.into(), "level")),
        };
        let by = date(one.answer_by);
        fact("answers", format!("the {}, by the end of {by}{level}", party(one.answers())));
    }
    if one.owner() != v1::Party::Unspecified {
        fact("assigned to", format!("the {}", party(one.owner())));
    }
    if let Some(offer) = &one.offer {
        fact("offered", work::offer_sentence(of, offer));
    }
    table
}

fn conversation(of: &Reconciled, steps: &[v1::BreakStep]) -> Table {
    let mut table = Table::new(&["WHEN", "AT", "BY", "WHAT"]);
    for step in steps {
        table.row([
            moment::utc(step.block_time_ms),
            position(step.position.as_ref()),
            party(step.by()).to_owned(),
            step_sentence(of, step),
        ]);
    }
    table
}

/// What a step says; of texts the ledger has the hash alone.
fn step_sentence(of: &Reconciled, step: &v1::BreakStep) -> String {
    let reason = |commitment: &[u8]| match commitment {
        [] => String::new(),
        hash => format!(", reason {}", hex(hash)),
    };
    let Some(action) = step.step.as_ref().and_then(|step| step.action.as_ref()) else {
        return "a step that this program does not know".to_owned();
    };
    match action {
        Action::Assign(assigned) => format!("assigned to the {}", party(assigned.owner())),
        Action::Say(said) => {
            let mut parts = Vec::new();
            if !said.code.is_empty() {
                parts.push(said.code.clone());
            }
            if !said.commitment.is_empty() {
                parts.push(format!("text {}", hex(&said.commitment)));
            }
            if !said.attachment.is_empty() {
                parts.push(format!("document {}", hex(&said.attachment)));
            }
            format!("said {}", parts.join(", "))
        }
        Action::Propose(offer) => format!("offered {}", work::resolution_sentence(of, offer)),
        Action::Agree(agreed) => {
            let paid = if agreed.transfer.is_some() { ", and paid" } else { "" };
            let kind = agreed.offer.as_ref().map(|offer| words::ending(offer.kind()));
            format!("agreed to {}{paid}", kind.unwrap_or("-"))
        }
        Action::Decline(declined) => format!("declined{}", reason(&declined.commitment)),
        Action::Reopen(reopened) => format!("reopened{}", reason(&reopened.commitment)),
    }
}

fn step_json(of: &Reconciled, step: &v1::BreakStep) -> Value {
    let action = step.step.as_ref().and_then(|step| step.action.as_ref());
    let hash = |bytes: &[u8]| Some(hex(bytes)).filter(|text| !text.is_empty());
    let done = match action {
        None => Value::Null,
        Some(Action::Assign(it)) => json!({ "assign": party_json(it.owner()) }),
        Some(Action::Say(it)) => json!({ "say": {
            "code": it.code,
            "commitment": hash(&it.commitment),
            "attachment": hash(&it.attachment),
        }}),
        Some(Action::Propose(it)) => json!({ "propose": work::resolution_json(of, it) }),
        Some(Action::Agree(it)) => json!({ "agree": {
            "offer": it.offer.as_ref().map(|offer| work::resolution_json(of, offer)),
            "paid": it.transfer.is_some(),
        }}),
        Some(Action::Decline(it)) => json!({ "decline": { "commitment": hash(&it.commitment) }}),
        Some(Action::Reopen(it)) => json!({ "reopen": { "commitment": hash(&it.commitment) }}),
    };
    json!({
        "by": party_json(step.by()),
        "instruction": uuid(&step.instruction_id),
        "position": position_json(step.position.as_ref()),
        "blockTime": moment::utc_ms(step.block_time_ms),
        "did": done,
    })
}

/// What can be done now.
fn next(word: &str, of: &Reconciled, one: &v1::Break) -> Vec<String> {
    let number = one.number;
    let own = of.own.map(Party::message);
    let own_offer = one.offer.as_ref().is_some_and(|offer| Some(offer.by()) == own);
    let write_off = one.offer.as_ref().and_then(|offer| offer.resolution.as_ref());
    let write_off = write_off.is_some_and(|it| it.kind() == v1::ResolutionKind::WriteOff);
    let line = match (one.state(), own_offer) {
        _ if own.is_none() => return Vec::new(),
        (state, _) if is_ended(state) => match state {
            v1::BreakState::Healed => return Vec::new(),
            _ => format!("if that was none: counterfoil recon reopen {word} {number}"),
        },
        (v1::BreakState::Offered, true) if write_off => format!(
            "another key of your institution agrees: counterfoil recon agree {word} {number}"
        ),
        (v1::BreakState::Offered, true) => {
            format!("to take the offer back: counterfoil recon decline {word} {number}")
        }
        (v1::BreakState::Offered | v1::BreakState::Agreed, _) => format!(
            "to answer: counterfoil recon agree {word} {number}, or recon decline {word} {number}"
        ),
        _ => format!(
            "to end it: counterfoil recon propose {word} {number} --as HOW; to ask: \
             recon say {word} {number} --text TEXT"
        ),
    };
    vec![line]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::recon::account::tests::reconciled;

    fn step(action: Action) -> v1::BreakStep {
        let done = v1::WorkBreak { action: Some(action), ..v1::WorkBreak::default() };
        v1::BreakStep { step: Some(done), by: v1::Party::Owner.into(), ..v1::BreakStep::default() }
    }

    #[test]
    fn steps_are_told() {
        let of = reconciled();
        let said = v1::SayOfBreak {
            code: "IPAY".to_owned(),
            commitment: vec![0xab; 2].into(),
            ..v1::SayOfBreak::default()
        };
        assert_eq!(step_sentence(&of, &step(Action::Say(said))), "said IPAY, text abab");
        let assigned = v1::AssignBreak { owner: v1::Party::Servicer.into() };
        let assigned = step(Action::Assign(assigned));
        assert_eq!(step_sentence(&of, &assigned), "assigned to the servicer");
        assert_eq!(step_json(&of, &assigned)["did"]["assign"], "servicer");
        let unknown = v1::BreakStep::default();
        assert_eq!(step_sentence(&of, &unknown), "a step that this program does not know");
    }

    #[test]
    fn what_can_be_done_next() {
        let of = reconciled();
        let offer = |by: v1::Party, kind: v1::ResolutionKind| v1::ResolutionOffer {
            by: by.into(),
            resolution: Some(v1::ProposeResolution { kind: kind.into(), ..Default::default() }),
        };
        let at = |state: v1::BreakState, offer| v1::Break {
            number: 3,
            state: state.into(),
            offer,
            ..v1::Break::default()
        };
        let told = |one: &v1::Break| next("CHF", &of, one).join("");
        let no_action = v1::ResolutionKind::NoAction;
        let offered = v1::BreakState::Offered;
        assert!(told(&at(v1::BreakState::Open, None)).contains("recon propose CHF 3"));
        let theirs = at(offered, Some(offer(v1::Party::Servicer, no_action)));
        assert!(told(&theirs).contains("recon agree CHF 3"));
        let own = at(offered, Some(offer(v1::Party::Owner, no_action)));
        assert!(told(&own).contains("take the offer back"));
        let write_off = v1::ResolutionKind::WriteOff;
        let own = at(offered, Some(offer(v1::Party::Owner, write_off)));
        assert!(told(&own).contains("another key"));
        assert!(told(&at(v1::BreakState::Resolved, None)).contains("reopen CHF 3"));
        assert!(told(&at(v1::BreakState::Healed, None)).is_empty());
    }
}
