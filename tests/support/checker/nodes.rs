//! What the nodes say at the end: all are there, have the same, and have everything that was reported.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use counterfoil_ledger::header::Header;

use super::history::{Answer, History, NodeEnd, View};
use super::receipts::{Fact, Facts, place};
use super::{Findings, Rule};

/// What a node says, and the hashes of the headers that it has.
struct Said<'a> {
    node: &'a NodeEnd,
    hashes: Vec<String>,
}

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
    let running = history.nodes.iter().filter(|node| node.down.is_none());
    let running: Vec<Said<'_>> = running.map(|node| Said::of(node, findings)).collect();
    let Some(longest) = running.iter().max_by_key(|said| said.hashes.len()) else { return };
    for said in &running {
        same_headers(longest, said, findings);
        same_content(longest.node, said.node, findings);
        has_everything(said, facts, findings);
        knows_every_id(said.node, facts, findings);
    }
    for call in &history.calls {
        if let Answer::Accounts(view) = &call.answer {
            is_of_this_history(&place(call), view, longest, findings);
        }
    }
}

impl<'a> Said<'a> {
    /// Reads a node's headers, each of which must follow the one before.
    fn of(node: &'a NodeEnd, findings: &mut Findings) -> Said<'a> {
        let decode = |text: &String| Header::decode(&Base64::decode_vec(text).ok()?);
        let headers: Vec<Option<Header>> = node.headers.iter().map(decode).collect();
        for (height, pair) in (1u64..).zip(headers.windows(2)) {
            let follows = match pair {
                [Some(before), Some(header)] => {
                    header.height == height
                        && header.previous == before.hash()
                        && header.block_time_ms > before.block_time_ms
                        && header.epoch >= before.epoch
                }
                _ => false,
            };
            findings.require(follows, Rule::HeadersChain, || {
                format!("node {}: the header at height {height} does not follow", node.node)
            });
        }
        let hash = |header: &Option<Header>| match header {
            Some(header) => header.hash().to_string(),
            None => "no header".to_owned(),
        };
        Said { node, hashes: headers.iter().map(hash).collect() }
    }

    fn hash(&self, height: u64) -> Option<&String> {
        self.hashes.get(usize::try_from(height).ok()?)
    }
}

fn same_headers(longest: &Said<'_>, said: &Said<'_>, findings: &mut Findings) {
    let mut pairs = said.hashes.iter().zip(&longest.hashes);
    if let Some(height) = pairs.position(|(one, other)| one != other) {
        findings.add(
            Rule::SameHeaders,
            format!(
                "height {height}: node {} has {}, node {} has {}",
                said.node.node, said.hashes[height], longest.node.node, longest.hashes[height]
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
fn has_everything(said: &Said<'_>, facts: &Facts, findings: &mut Findings) {
    let node = said.node;
    for ((id, item), fact) in facts {
        let header = said.hash(fact.verdict.height);
        findings.require(header == Some(&fact.header), Rule::NothingLost, || {
            format!(
                "{} of {}, item {item}, was reported{} at height {} of header {}; node {} has {header:?}",
                id.1,
                id.0,
                if fact.is_final { " FINAL" } else { "" },
                fact.verdict.height,
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
fn is_of_this_history(place: &str, view: &View, longest: &Said<'_>, findings: &mut Findings) {
    let header = longest.hash(view.height);
    findings.require(header == Some(&view.header), Rule::NothingLost, || {
        let View { height, header: read, .. } = view;
        format!("{place}: read at height {height} of header {read}; there is {header:?}")
    });
}
