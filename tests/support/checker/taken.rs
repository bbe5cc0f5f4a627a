//! What was said not to be taken is not there, and what was ordered before the end is there or not.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Answer, Asked, History};
use super::receipts::Facts;
use super::{Findings, Id, Rule};

/// Looks for instructions that every answer called not taken, and that the ledger has.
pub(super) fn check(history: &History, facts: &Facts, findings: &mut Findings) {
    let mut refused: BTreeMap<Id, bool> = BTreeMap::new();
    for call in &history.calls {
        let Asked::Submit { institution, id, .. } = &call.asked else { continue };
        let not_taken = matches!(call.answer, Answer::Refused { not_taken: true, .. });
        let all = refused.entry((institution.clone(), id.clone())).or_insert(true);
        *all &= not_taken;
    }
    let mut there: BTreeSet<Id> = facts.keys().map(|(id, _)| id.clone()).collect();
    for node in &history.nodes {
        there.extend(node.transfers.iter().map(|it| (it.institution.clone(), it.id.clone())));
    }
    for (id, _) in refused.into_iter().filter(|(id, all)| *all && there.contains(id)) {
        findings.add(Rule::NotTakenStays, format!("{} of {} is on the ledger", id.1, id.0));
    }
}
