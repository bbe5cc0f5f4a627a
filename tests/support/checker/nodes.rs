//! What the nodes say at the end: all are there, have the same, and have everything that was reported.

use std::collections::BTreeSet;

use super::history::{Answer, History, NodeEnd, View};
use super::receipts::{Fact, Facts, place};
use super::{Findings, Rule};

/// Compares the nodes with each other, and with what clients were told.
pub(super) fn check(history: &History, facts: &Facts, findings: &mut Findings) {
    let answering = history.nodes.len() == history.founding.node_count;
    findings.require(answering, Rule::NodeRuns, || {
        format!("{} of {} nodes", history.nodes.len(), history.founding.node_count)
    });
    for node in &history.nodes {
        if let Some(why) = &node.down {
            findings.add(Rule::NodeRuns, format!("node {}: {why}", node.node));
        }
    }
    let running: Vec<&NodeEnd> = history.nodes.iter().filter(|node| node.down.is_none()).collect();
    let Some(longest) = running.iter().max_by_key(|node| node.headers.len()) else { return };
    for node in &running {
        same_headers(longest, node, findings);
        same_content(longest, node, findings);
        has_everything(node, facts, findings);
        knows_every_id(node, facts, findings);
    }
    for call in &history.calls {
        if let Answer::Accounts(view) = &call.answer {
            is_of_this_history(&place(call), view, longest, findings);
        }
    }
}

fn same_headers(longest: &NodeEnd, node: &NodeEnd, findings: &mut Findings) {
    let mut pairs = node.headers.iter().zip(&longest.headers);
    if let Some(height) = pairs.position(|(one, other)| one != other) {
        findings.add(
            Rule::SameHeaders,
            format!(
                "height {height}: node {} has {}, node {} has {}",
                node.node, node.headers[height], longest.node, longest.headers[height]
            ),
        );
    }
}

/// Transfers up to the height that both have.
fn same_content(longest: &NodeEnd, node: &NodeEnd, findings: &mut Findings) {
    let common = node.accounts.height.min(longest.accounts.height);
    let below = |of: &NodeEnd| {
        of.transfers.iter().filter(|it| it.verdict.height <= common).cloned().collect::<Vec<_>>()
    };
    let (one, other) = (below(node), below(longest));
    if one != other {
        let differing = one.iter().zip(&other).find(|(one, other)| one != other);
        findings.add(
            Rule::SameContent,
            format!(
                "node {} lists {} transfers up to height {common}, node {} {}; the first that differ: \
                 {differing:?}",
                node.node,
                one.len(),
                longest.node,
                other.len()
            ),
        );
    }
}

/// What anybody was told is there, where it was said to be.
fn has_everything(node: &NodeEnd, facts: &Facts, findings: &mut Findings) {
    for ((id, item), fact) in facts {
        let height = usize::try_from(fact.verdict.height).unwrap_or(usize::MAX);
        let header = node.headers.get(height);
        findings.require(header == Some(&fact.header), Rule::NothingLost, || {
            format!(
                "{} of {}, item {item}, was reported{} at height {height} of header {}; node {} has {header:?}",
                id.1,
                id.0,
                if fact.is_final { " FINAL" } else { "" },
                fact.header,
                node.node
            )
        });
    }
    let places: BTreeSet<_> =
        node.transfers.iter().map(|it| (it.verdict.height, it.verdict.leaf)).collect();
    let settled = |fact: &&Fact| fact.verdict.state == super::history::State::Settled;
    for fact in facts.values().filter(settled) {
        let at = (fact.verdict.height, fact.verdict.leaf);
        findings.require(places.contains(&at), Rule::NothingLost, || {
            format!("node {} lists no transfer at {at:?}, where one settled", node.node)
        });
    }
}

/// An id that was reported is known to every node that is asked for it.
fn knows_every_id(node: &NodeEnd, facts: &Facts, findings: &mut Findings) {
    for known in &node.instructions {
        let key = ((known.institution.clone(), known.id.clone()), 0);
        let decided = matches!(known.answer, Answer::Decided { .. });
        if let (Some(fact), false) = (facts.get(&key), decided) {
            findings.add(
                Rule::NothingLost,
                format!(
                    "node {} says {:?} of {} of {}, which was reported: {fact:?}",
                    node.node, known.answer, known.id, known.institution
                ),
            );
        }
    }
}

/// What was read was true in the history that is there at the end.
fn is_of_this_history(place: &str, view: &View, longest: &NodeEnd, findings: &mut Findings) {
    let height = usize::try_from(view.height).unwrap_or(usize::MAX);
    let header = longest.headers.get(height);
    findings.require(header == Some(&view.header), Rule::NothingLost, || {
        format!("{place}: read at height {height} of header {}; there is {header:?}", view.header)
    });
}
