//! Why an item stands as it does, and why not with another one.

use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::matching::RULE_SET;
use counterfoil_ledger::matching::explain::Other;
use counterfoil_ledger::matching::explain::Why;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::matching::item::Id;
use counterfoil_ledger::matching::item::Source;
use counterfoil_ledger::matching::pair::Judgement;
use counterfoil_ledger::reconciliation::finding::Class;
use counterfoil_ledger::reconciliation::pass::Pass;
use counterfoil_ledger::reconciliation::sheet::Recorded;
use counterfoil_ledger::reconciliation::sheet::Sheet;
use counterfoil_ledger::state::State;
use counterfoil_proto::v1;
use counterfoil_proto::v1::explain_item_response::StandsIn;
use tonic::Status;

use super::as_of;
use super::closed::Closed;
use super::comparison_or_any;
use super::findings;
use super::findings::Found;
use super::findings::Telling;
use crate::api::status;
use crate::api::visibility::Scope;
use crate::consensus::replica::Replica;

/// Which item, in which comparison.
pub(super) struct Wanted {
    comparison: Option<Comparison>,
    source: Source,
    number: u64,
}

impl Wanted {
    /// What a request asks for.
    pub(super) fn of(request: &v1::ExplainItemRequest) -> Result<Wanted, Status> {
        let comparison = comparison_or_any(request.comparison)?;
        let source = match v1::Source::try_from(request.source) {
            Ok(v1::Source::Ledger) => Source::Ledger,
            Ok(v1::Source::OwnerBook) => Source::OwnerBook,
            Ok(v1::Source::ServicerBook) => Source::ServicerBook,
            Ok(v1::Source::Unspecified) | Err(_) => {
                return Err(status::field("source", "LEDGER, OWNER_BOOK or SERVICER_BOOK"));
            }
        };
        if comparison.is_some_and(|comparison| comparison.place(source).is_none()) {
            return Err(status::field("comparison", "one that compares the item's source"));
        }
        Ok(Wanted { comparison, source, number: request.number })
    }

    /// The place of the item in the comparison that it is explained in.
    fn place(&self, sheet: &Sheet) -> Result<(Comparison, Id), Status> {
        let stands = |comparison: Comparison| {
            let place = comparison.place(self.source)?;
            let id = Id { place, number: self.number };
            sheet.desk(comparison)?.standing(id).map(|_| (comparison, id))
        };
        self.one(Comparison::ALL.into_iter().filter_map(stands))
    }

    /// The one that is asked for of the comparisons that an item takes part in.
    fn one<T>(
        &self,
        all: impl Iterator<Item = (Comparison, T)>,
    ) -> Result<(Comparison, T), Status> {
        let asked = |(it, _): &(Comparison, T)| self.comparison.is_none_or(|asked| asked == *it);
        let mut found = all.filter(asked);
        let first = found.next().ok_or_else(|| status::not_found("item of that comparison"))?;
        match found.next() {
            None => Ok(first),
            Some(_) => Err(status::field("comparison", "which one; the item stands in several")),
        }
    }
}

/// An item's source, number and record.
type Named = (Source, u64, Option<Recorded>);

/// What the state says of an item, copied out of it.
struct Explained {
    as_of: v1::AsOf,
    recorded: Recorded,
    comparison: Comparison,
    rule_set: u32,
    stands_in: Option<Found>,
    proposals: Vec<Found>,
    deadline_ms: u64,
    original: u64,
    others: Vec<(Named, Why)>,
}

/// An item of the state, or what it takes to tell one that has closed.
enum Explaining {
    Open(Box<Explained>),
    Closed(v1::AsOf),
}

/// Explains an item to somebody. What it may not see is as if it were not there.
pub(super) fn item(
    replica: &Arc<Replica>,
    account: &Account,
    scope: &Scope,
    wanted: &Wanted,
) -> Result<v1::ExplainItemResponse, Status> {
    // The state is let go of before storage is read.
    let explaining = Explained::of(&replica.state(), account, scope, wanted)?;
    let it = match explaining {
        Explaining::Open(it) => *it,
        Explaining::Closed(as_of) => Explained::closed(replica, account, scope, wanted, as_of)?,
    };
    let telling = Telling { replica, account, now_ms: it.as_of.block_time_ms };
    let stands_in = match &it.stands_in {
        None => None,
        Some(found) if found.finding.says.class() == Class::Match => {
            Some(StandsIn::Matched(telling.matched(found)?))
        }
        Some(found) => Some(StandsIn::Broken(telling.broken(found)?)),
    };
    let proposals = it.proposals.iter().map(|found| telling.proposal(found));
    let others = it.others.iter().map(|(named, why)| other(&telling, named, why));
    Ok(v1::ExplainItemResponse {
        item: Some(telling.item(wanted.source, &it.recorded)?),
        comparison: findings::comparison(it.comparison),
        rule_set: it.rule_set,
        stands_in,
        proposals: proposals.collect::<Result<_, _>>()?,
        deadline_ms: it.deadline_ms,
        original: it.original,
        others: others.collect::<Result<_, _>>()?,
        as_of: Some(it.as_of),
    })
}

impl Explained {
    fn of(
        state: &State,
        account: &Account,
        scope: &Scope,
        wanted: &Wanted,
    ) -> Result<Explaining, Status> {
        let nothing = || status::not_found("item");
        let sheet = state.reconciliation().sheet(account.ordinal).ok_or_else(nothing)?;
        if sheet.is_closed_item(wanted.source, wanted.number) {
            return Ok(Explaining::Closed(as_of(state)));
        }
        let recorded = sheet.recorded(wanted.source, wanted.number).ok_or_else(nothing)?;
        if !sees(scope, account, sheet, wanted.source, wanted.number) {
            return Err(nothing());
        }
        let (comparison, id) = wanted.place(sheet)?;
        let agreements = state.agreements();
        let governing = agreements.governing(&account.id, recorded.item.date);
        let governing = governing.or_else(|| agreements.newest(&account.id)).ok_or_else(nothing)?;
        let explanation = sheet.explain(account, &governing.terms, comparison, id);
        let explanation = explanation.ok_or_else(nothing)?;
        let found = |finding| Found::of(state, account, sheet, finding);
        let others = explanation.others.into_iter().map(|Other { id, why }| {
            let source = comparison.source(id.place);
            let seen = sees(scope, account, sheet, source, id.number);
            let recorded = sheet.recorded(source, id.number).filter(|_| seen).cloned();
            ((source, id.number, recorded), why)
        });
        Ok(Explaining::Open(Box::new(Explained {
            as_of: as_of(state),
            recorded: recorded.clone(),
            comparison,
            rule_set: explanation.rule_set,
            stands_in: explanation.stands_in.map(found),
            proposals: explanation.proposals.into_iter().map(found).collect(),
            deadline_ms: explanation.deadline_ms.unwrap_or(0),
            original: explanation.original.unwrap_or(0),
            others: others.collect(),
        })))
    }

    /// An item that has closed: what it stands in is told, and it is compared with others no more.
    fn closed(
        replica: &Replica,
        account: &Account,
        scope: &Scope,
        wanted: &Wanted,
        as_of: v1::AsOf,
    ) -> Result<Explained, Status> {
        let nothing = || status::not_found("item");
        let closed = Closed::of(replica, account);
        let item = closed.item(wanted.source, wanted.number)?.ok_or_else(nothing)?;
        let is_in_finding = item.stood.iter().any(|stood| stood.finding.is_some());
        if !is_in_finding && !keeps(scope, account, wanted.source) {
            return Err(nothing());
        }
        let stood = item.stood.iter().map(|stood| (stood.comparison, *stood));
        let (comparison, stood) = wanted.one(stood)?;
        let stands_in = stood.finding.map(|(class, number)| closed.found(class, number));
        Ok(Explained {
            as_of,
            recorded: item.recorded,
            comparison,
            rule_set: RULE_SET,
            stands_in: stands_in.transpose()?,
            proposals: Vec::new(),
            deadline_ms: 0,
            original: stood.original.unwrap_or(0),
            others: Vec::new(),
        })
    }
}

/// Whether a scope sees every item of a source of an account that it sees: it is the ledger's, or of a
/// book that the scope's institution keeps.
fn keeps(scope: &Scope, account: &Account, source: Source) -> bool {
    let kept = match source {
        Source::Ledger => true,
        Source::OwnerBook => scope.is(&account.owner),
        Source::ServicerBook => scope.is(&account.servicer),
    };
    kept || scope.consortium
}

/// Whether an item of an account that a scope sees is seen: it is the ledger's, of a book that the scope's
/// institution keeps, or in a finding, which both parties see.
pub(super) fn sees(
    scope: &Scope,
    account: &Account,
    sheet: &Sheet,
    source: Source,
    number: u64,
) -> bool {
    keeps(scope, account, source) || sheet.is_in_finding(source, number)
}

fn other(
    telling: &Telling<'_>,
    (source, number, recorded): &Named,
    why: &Why,
) -> Result<v1::OtherItem, Status> {
    let recorded = recorded.as_ref();
    let (word, judgement, instead) = reason(why);
    let key = match why {
        Why::Contradicts(strength) | Why::TooMany(strength) => Some(*strength),
        _ => judgement.map(|judgement| judgement.strength),
    };
    Ok(v1::OtherItem {
        source: findings::source(*source),
        number: *number,
        item: recorded.map(|recorded| telling.item(*source, recorded)).transpose()?,
        why: word.into(),
        pass: key.map_or(0, |strength| i32::from(Pass::from(strength) as u8)),
        judgement: judgement.map(findings::judgement),
        instead: instead.iter().map(|number| v1::ItemNumber { number: *number }).collect(),
    })
}

/// Why, how the two would go together, and with whom the other one goes instead.
fn reason(why: &Why) -> (v1::WhyNot, Option<&Judgement>, &[u64]) {
    match why {
        Why::Refused => (v1::WhyNot::Refused, None, &[]),
        Why::Duplicate => (v1::WhyNot::Duplicate, None, &[]),
        Why::Decided => (v1::WhyNot::Decided, None, &[]),
        Why::Contradicts(_) => (v1::WhyNot::Contradicts, None, &[]),
        Why::NothingShared => (v1::WhyNot::NothingShared, None, &[]),
        Why::Worse(judgement) => (v1::WhyNot::Worse, Some(judgement), &[]),
        Why::Taken { judgement, with, .. } => {
            (v1::WhyNot::Taken, Some(judgement), std::slice::from_ref(with))
        }
        Why::Ambiguous(judgement) => (v1::WhyNot::Ambiguous, Some(judgement), &[]),
        Why::Undecided { judgement, with } => (v1::WhyNot::Undecided, Some(judgement), with),
        Why::TooMany(_) => (v1::WhyNot::TooMany, None, &[]),
    }
}
