//! What the nodes have attested, by node and height, and the certificates that follow from it. Holds
//! a bounded number of heights of each node: one that signs nonsense pushes out only its own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_proto::v1;

use super::attested::Attested;
use crate::limits;

/// An attestation, and what this node's own header at its height says of it.
struct Held {
    attested: Attested,
    /// Whether it is this node's own header; nothing before that height is executed here.
    agrees: Option<bool>,
}

/// The attestations of all nodes.
pub struct Collector {
    quorum: usize,
    nodes: BTreeMap<u64, BTreeMap<u64, Held>>,
    /// Height and node of what is not judged yet.
    unjudged: BTreeSet<(u64, u64)>,
}

/// What became of an attestation.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is held now.
    New,
    /// It was held before, or is older than everything that is held of its node.
    Known,
    /// Its node has signed another header at this height, which stays.
    Contradicts(Box<Attested>),
}

impl Collector {
    /// For these nodes, of which so many are a quorum.
    pub fn new(quorum: usize, nodes: impl IntoIterator<Item = u64>) -> Collector {
        let nodes = nodes.into_iter().map(|node| (node, BTreeMap::new())).collect();
        Collector { quorum, nodes, unjudged: BTreeSet::new() }
    }

    /// Whether this very header is held of this node.
    pub fn holds(&self, attested: &Attested) -> bool {
        let held = self.nodes.get(&attested.node).and_then(|held| held.get(&attested.height()));
        held.is_some_and(|held| held.attested.hash == attested.hash)
    }

    /// Takes an attestation whose signature holds.
    pub fn take(&mut self, attested: Attested) -> Taken {
        let Some(heights) = self.nodes.get_mut(&attested.node) else { return Taken::Known };
        let height = attested.height();
        if let Some(held) = heights.get(&height) {
            if held.attested.hash == attested.hash {
                return Taken::Known;
            }
            return Taken::Contradicts(Box::new(held.attested.clone()));
        }
        let node = attested.node;
        self.unjudged.insert((height, node));
        heights.insert(height, Held { attested, agrees: None });
        if heights.len() > limits::ATTESTATIONS_HELD_MAX
            && let Some((lowest, _)) = heights.pop_first()
        {
            self.unjudged.remove(&(lowest, node));
            if lowest == height {
                return Taken::Known;
            }
        }
        Taken::New
    }

    /// Compares what is held with this node's own headers, as far as it has executed, and returns
    /// what differs from them.
    pub fn judge(&mut self, executed: u64, own: impl Fn(u64) -> Option<Hash>) -> Vec<Attested> {
        let mut differing = Vec::new();
        let later = self.unjudged.split_off(&(executed.saturating_add(1), 0));
        for (height, node) in std::mem::replace(&mut self.unjudged, later) {
            let held = self.nodes.get_mut(&node).and_then(|it| it.get_mut(&height));
            let Some(held) = held else { continue };
            held.agrees = own(height).map(|own| own == held.attested.hash);
            match held.agrees {
                Some(true) => {}
                Some(false) => differing.push(held.attested.clone()),
                None => drop(self.unjudged.insert((height, node))),
            }
        }
        differing
    }

    /// The certificate of the greatest height above one that a quorum signed as this node executed
    /// it.
    pub fn certificate(&self, above: u64) -> Option<v1::Certificate> {
        let from = above.checked_add(1)?;
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for (height, held) in self.nodes.values().flat_map(|it| it.range(from..)) {
            if held.agrees == Some(true) {
                *counts.entry(*height).or_default() += 1;
            }
        }
        let found = counts.into_iter().rev().find(|(_, count)| *count >= self.quorum);
        let (height, _) = found?;
        let signed = self.nodes.values().filter_map(|it| it.get(&height));
        certificate(signed.filter(|held| held.agrees == Some(true)))
    }

    /// A certificate of a header that differs from this node's own.
    pub fn contrary(&self) -> Option<v1::Certificate> {
        let differing = |held: &&Held| held.agrees == Some(false);
        let all = || self.nodes.values().flat_map(BTreeMap::values).filter(differing);
        let mut counts: BTreeMap<Hash, usize> = BTreeMap::new();
        for held in all() {
            *counts.entry(held.attested.hash).or_default() += 1;
        }
        let (hash, _) = counts.into_iter().find(|(_, count)| *count >= self.quorum)?;
        certificate(all().filter(|held| held.attested.hash == hash))
    }

    /// The attestation of the greatest height that is held of a node.
    pub fn newest(&self, node: u64) -> Option<&Attested> {
        self.nodes.get(&node)?.values().next_back().map(|held| &held.attested)
    }

    /// The attestation of the least height above one that is held of a node.
    pub fn after(&self, node: u64, above: u64) -> Option<&Attested> {
        let from = above.checked_add(1)?;
        self.nodes.get(&node)?.range(from..).next().map(|(_, held)| &held.attested)
    }

    /// The greatest height that each node has attested; 0 if it has none.
    pub fn attested_heights(&self) -> BTreeMap<u64, u64> {
        let newest = |node: &u64| self.newest(*node).map_or(0, Attested::height);
        self.nodes.keys().map(|node| (*node, newest(node))).collect()
    }

    /// The nodes whose signature is missing above a height: who has signed nothing there, or nothing of
    /// late; if there is nobody like that, who has not signed the greatest height that some node has. Only what
    /// this node has executed the same counts.
    pub fn missing(&self, above: u64) -> Vec<u64> {
        let agreed = |heights: &BTreeMap<u64, Held>| {
            let newest = heights.iter().rev().find(|(_, held)| held.agrees == Some(true));
            newest.map(|(height, _)| *height).filter(|height| *height > above)
        };
        let newest = self.nodes.values().filter_map(agreed).max();
        // While blocks come, nodes that differ in speed have not signed the same one last.
        let late = newest.map(|newest| newest.saturating_sub(limits::SIGNATURES_APART_MAX));
        let lacking = |least: Option<u64>| {
            let lacks = |it: &BTreeMap<u64, Held>| agreed(it).is_none_or(|it| Some(it) < least);
            let nodes = self.nodes.iter().filter(|(_, it)| lacks(it));
            nodes.map(|(node, _)| *node).collect::<Vec<_>>()
        };
        let long_since = lacking(late);
        if long_since.is_empty() { lacking(newest) } else { long_since }
    }

    /// Everything that is held, the newest of each node alone.
    pub fn all_newest(&self) -> impl Iterator<Item = &Attested> {
        self.nodes.keys().filter_map(|node| self.newest(*node))
    }
}

/// The certificate of attestations of one header, in the order of their nodes.
fn certificate<'a>(signed: impl Iterator<Item = &'a Held>) -> Option<v1::Certificate> {
    let mut header = Bytes::new();
    let mut signatures = Vec::new();
    for held in signed {
        header = held.attested.message.header.clone();
        signatures.extend(held.attested.message.signature.clone());
    }
    (!signatures.is_empty()).then_some(v1::Certificate { header, signatures })
}
