//! What must hold at every moment, whatever has failed: looked at after every step, from outside.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_node::consensus::replica::Replica;
use counterfoil_proto::v1;
use counterfoil_proto::v1::NodeRole;

use crate::consortium;
use crate::history::Asked;
use crate::history::Mode;
use crate::history::Told;
use crate::history::What;
use crate::host::Host;

/// A rule that was broken, in words.
pub type Violation = String;

/// What has been seen so far.
#[derive(Default)]
pub struct Observer {
    /// The headers, as the first node that executed each has computed it.
    chain: Vec<Header>,
    hashes: Vec<Hash>,
    /// How far each life of a node has been looked at.
    seen: BTreeMap<(u64, u64), Seen>,
    /// What each node has signed, as it or another node holds it.
    signed: BTreeMap<(u64, u64), Hash>,
    /// The newest of those heights that left the node.
    released: BTreeMap<u64, u64>,
    /// Who led in which term. openraft lets a second node lead in a term, if its id is the greater one.
    leaders: BTreeSet<(u64, u64)>,
    /// The greatest height that a client was told to be final, and that any node has certified.
    reported: u64,
    certified: u64,
}

#[derive(Default)]
struct Seen {
    height: Option<u64>,
    certified: u64,
    applied: u64,
    term: u64,
    last: u64,
}

impl Observer {
    /// The greatest height that any node has executed.
    pub fn height(&self) -> u64 {
        self.chain.last().map_or(0, |header| header.height)
    }

    /// The greatest height that a client was told to be final.
    pub fn reported(&self) -> u64 {
        self.reported
    }

    /// The hash of the header of a height.
    pub fn hash(&self, height: u64) -> Option<&Hash> {
        self.hashes.get(usize::try_from(height).ok()?)
    }

    /// How many leaders there have been.
    pub fn leaders(&self) -> usize {
        self.leaders.len()
    }

    /// The height of the newest header of a node that another node holds.
    fn released(&self, node: u64) -> u64 {
        self.released.get(&node).copied().unwrap_or(0)
    }

    /// Looks at a node.
    pub fn look(&mut self, host: &Host) -> Result<(), Violation> {
        let Some(replica) = host.replica() else { return Ok(()) };
        let (role, term, _, applied) = replica.raft_figures();
        let last = replica.store().log().last().map_or(0, |last| last.index);
        if role == NodeRole::Leader {
            self.leaders.insert((term, host.node));
        }
        if applied > last {
            return Err(format!(
                "node {} has applied {applied} of a log that ends at {last}",
                host.node
            ));
        }
        let key = (host.node, host.lives);
        if !self.seen.contains_key(&key) {
            self.born(host, term, last)?;
        }
        let seen = self.seen.entry(key).or_default();
        (seen.term, seen.last) = (term, last);
        if applied < seen.applied {
            return Err(format!("node {} has gone back to entry {applied}", host.node));
        }
        seen.applied = applied;
        let height = *replica.height().borrow();
        let from = seen.height.map_or(0, |seen| seen + 1);
        seen.height = Some(height);
        for height in from..=height {
            self.executed(host.node, height, &replica)?;
        }
        self.look_at_finality(host, &replica)
    }

    /// Looks at a node that has just started: it knows what it knew.
    fn born(&self, host: &Host, term: u64, last: u64) -> Result<(), Violation> {
        let node = host.node;
        let (released, recorded) = (self.released(node), host.recorded());
        if recorded < released {
            return Err(format!(
                "node {node} has signed height {released}, and its record says {recorded}"
            ));
        }
        let lives = self.seen.range((node, 0)..(node, host.lives));
        let Some((_, before)) = lives.last() else { return Ok(()) };
        if term < before.term {
            return Err(format!("node {node} was in term {}, and starts in {term}", before.term));
        }
        // A leader's log may have been in the way of another's in between; a term later it may be cut.
        if last < before.last && term == before.term {
            let had = before.last;
            return Err(format!("node {node} had entries up to {had}, and starts with {last}"));
        }
        Ok(())
    }

    fn executed(&mut self, node: u64, height: u64, replica: &Replica) -> Result<(), Violation> {
        let header = replica.store().header(height).ok().flatten();
        let Some(header) = header else {
            return Err(format!(
                "node {node} has no header of height {height}, which it has executed"
            ));
        };
        let hash = header.hash();
        if let Some(known) = self.hash(height) {
            if *known != hash {
                return Err(format!("node {node} has another header of height {height}"));
            }
            return Ok(());
        }
        if let Some(last) = self.chain.last() {
            if header.height != last.height + 1 || header.previous != last.hash() {
                return Err(format!(
                    "height {height} of node {node} does not follow the one before"
                ));
            }
            if header.block_time_ms <= last.block_time_ms || header.raft_index <= last.raft_index {
                return Err(format!("time or log stands still at height {height} of node {node}"));
            }
        }
        self.chain.push(header);
        self.hashes.push(hash);
        Ok(())
    }

    fn look_at_finality(&mut self, host: &Host, replica: &Replica) -> Result<(), Violation> {
        let certified = *replica.finality().certified().borrow();
        let seen = self.seen.entry((host.node, host.lives)).or_default();
        if certified < seen.certified {
            return Err(format!(
                "node {} has lost the certificate of {}",
                host.node, seen.certified
            ));
        }
        if certified > seen.certified {
            seen.certified = certified;
            let newest = replica.finality().newest_certificate().ok().flatten();
            let header = newest.and_then(|it| Header::decode(&it.header));
            match header {
                Some(header) if header.height >= certified => self.certified(host.node, &header)?,
                _ => return Err(format!("node {} has no certificate of {certified}", host.node)),
            }
        }
        for node in 1..=consortium::NODES {
            if let Some(attestation) = replica.finality().last_attestation(node) {
                self.attested(node, host.node, &attestation)?;
            }
        }
        Ok(())
    }

    fn certified(&mut self, node: u64, header: &Header) -> Result<(), Violation> {
        if self.hash(header.height).is_some_and(|known| *known != header.hash()) {
            return Err(format!("node {node} has a certificate of another {}", header.height));
        }
        self.certified = self.certified.max(header.height);
        Ok(())
    }

    /// Takes what one node holds of another.
    fn attested(&mut self, of: u64, by: u64, told: &v1::Attestation) -> Result<(), Violation> {
        let Some(header) = Header::decode(&told.header) else {
            return Err(format!("node {by} holds an attestation that does not decode"));
        };
        let first = *self.signed.entry((of, header.height)).or_insert_with(|| header.hash());
        if first != header.hash() {
            return Err(format!("node {of} has signed two headers of height {}", header.height));
        }
        if of != by {
            let released = self.released.entry(of).or_default();
            *released = header.height.max(*released);
        }
        Ok(())
    }

    /// A client was told something.
    pub fn told(&mut self, asked: &Asked) -> Result<(), Violation> {
        match (&asked.what, asked.answer()) {
            (What::Submit(_), Some(Told::Final(position, _))) => {
                if position.height > self.certified {
                    let height = position.height;
                    return Err(format!(
                        "node {} calls {height} final, and no node has a certificate",
                        asked.node
                    ));
                }
                self.reported = self.reported.max(position.height);
            }
            (What::Read(mode, _), Some(Told::Balance(height, _))) => {
                let least = match mode {
                    Mode::Stale => 0,
                    Mode::Ordered => asked.executed_before,
                    Mode::Final => asked.executed_before.max(asked.final_before),
                };
                if *height < least {
                    return Err(format!(
                        "node {} answered a read {mode:?} at height {height}; {least} was ordered before it was asked",
                        asked.node
                    ));
                }
                if *mode == Mode::Final && *height > self.certified {
                    return Err(format!(
                        "node {} read at {height}, which is not final",
                        asked.node
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
