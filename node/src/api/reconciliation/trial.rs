//! A trial of other terms: what they would change. Nothing is recorded, and only a copy is tried.

use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::RULE_SET;
use counterfoil_ledger::agreement::Terms;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::matching::item::Place;
use counterfoil_ledger::matching::pair::Judgement;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::reconciliation::sheet::Recorded;
use counterfoil_ledger::reconciliation::sheet::Sheet;
use counterfoil_ledger::reconciliation::sheet::comparisons;
use counterfoil_ledger::reconciliation::trial::Trial;
use counterfoil_ledger::reconciliation::trial::Tried;
use counterfoil_ledger::reconciliation::trial::TriedPair;
use counterfoil_proto::v1;
use tonic::Status;

use super::as_of;
use super::explain::sees;
use super::findings;
use super::findings::Telling;
use crate::api::status;
use crate::api::visibility::Scope;
use crate::consensus::replica::Replica;

/// The terms that a request gives, in shape.
pub(super) fn terms(message: Option<v1::AgreementTerms>) -> Result<Terms, Status> {
    let message = message.ok_or_else(|| status::field("terms", "the terms to be tried"))?;
    let terms = Terms::of(&message).map_err(status::refused)?;
    match terms.rule_set {
        RULE_SET => Ok(terms),
        _ => Err(status::refused(Reason::RuleSetUnknown)),
    }
}

/// Tries terms on an account.
pub(super) fn tried(
    replica: &Arc<Replica>,
    account: &Account,
    scope: &Scope,
    terms: &Terms,
) -> Result<v1::TryTermsResponse, Status> {
    let parties = (&terms.servicer, &terms.owner) == (&account.servicer, &account.owner);
    if !parties || !terms.accounts.contains(&account.id) {
        let rule = "terms of the account's servicer and owner that name the account";
        return Err(status::field("terms", rule));
    }
    let (as_of, copies) = {
        let state = replica.state();
        let newest = state.agreements().newest(&account.id);
        let now = newest.into_iter().flat_map(|it| comparisons(&it.terms));
        let both = now.filter(|comparison| comparisons(terms).any(|it| it == *comparison));
        let sheet = state.reconciliation().sheet(account.ordinal);
        let copies = both.map(|it| (it, sheet.map(|sheet| sheet.copied_for_trial(it))));
        (as_of(&state), copies.collect::<Vec<_>>())
    };
    let telling = Telling { replica, account, now_ms: as_of.block_time_ms };
    let mut tried = Vec::new();
    for (comparison, copy) in copies {
        let found = match copy {
            None => Tried::default(),
            Some(copy) => done(copy.map(|copy| copy.try_terms(account, terms, comparison)))?,
        };
        tried.push(told(&telling, scope, comparison, &found)?);
    }
    Ok(v1::TryTermsResponse { tried, as_of: Some(as_of) })
}

fn done(trial: Option<Trial>) -> Result<Tried, Status> {
    match trial {
        Some(Trial::Done(tried)) => Ok(tried),
        Some(Trial::TooMany) | None => Err(status::impossible(
            "TOO_MANY_ITEMS",
            "The account has more items than a trial takes.",
            "Try the terms on an account that has fewer.",
        )),
    }
}

fn told(
    telling: &Telling<'_>,
    scope: &Scope,
    comparison: Comparison,
    tried: &Tried,
) -> Result<v1::TriedTerms, Status> {
    let changed = pairs(telling, scope, comparison, &tried.changed);
    let changed =
        changed.into_iter().map(|(pair, items)| told_pair(telling, comparison, pair, items));
    Ok(v1::TriedTerms {
        comparison: findings::comparison(comparison),
        item_count: tried.item_count,
        matches_now: tried.matches_now,
        matches_then: tried.matches_then,
        breaks_now: tried.breaks_now,
        breaks_then: tried.breaks_then,
        changed: changed.collect::<Result<_, _>>()?,
        changed_count: tried.changed_count,
    })
}

/// Pairs with those of their items that somebody sees.
fn pairs<'a>(
    telling: &Telling<'_>,
    scope: &Scope,
    comparison: Comparison,
    changed: &'a [TriedPair],
) -> Vec<(&'a TriedPair, [Option<Recorded>; 2])> {
    let state = telling.replica.state();
    let account = telling.account;
    let sheet = state.reconciliation().sheet(account.ordinal);
    let seen = |sheet: &Sheet, place: Place, number: u64| {
        let source = comparison.source(place);
        let recorded = sheet.recorded(source, number);
        recorded.filter(|_| sees(scope, account, sheet, source, number)).cloned()
    };
    let item = |place, number| sheet.and_then(|sheet| seen(sheet, place, number));
    let items =
        |pair: &TriedPair| [item(Place::First, pair.first), item(Place::Second, pair.second)];
    changed.iter().map(|pair| (pair, items(pair))).collect()
}

fn told_pair(
    telling: &Telling<'_>,
    comparison: Comparison,
    pair: &TriedPair,
    [first, second]: [Option<Recorded>; 2],
) -> Result<v1::TriedPair, Status> {
    let item = |place: Place, recorded: Option<Recorded>| {
        let source = comparison.source(place);
        recorded.map(|recorded| telling.item(source, &recorded)).transpose()
    };
    let category = |judgement: Option<Judgement>| {
        let category = judgement.and_then(|judgement| judgement.category);
        category.map_or(0, |category| i32::from(category as u8))
    };
    Ok(v1::TriedPair {
        first: item(Place::First, first)?,
        second: item(Place::Second, second)?,
        category_now: category(pair.now),
        category_then: category(pair.then),
        paired_now: pair.now.is_some(),
        paired_then: pair.then.is_some(),
    })
}
