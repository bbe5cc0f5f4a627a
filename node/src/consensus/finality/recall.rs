//! What the other nodes recall of this one: how far its log must have reached, by the headers that it
//! has signed. A log that ends before that was put back from an older copy.

use tokio::sync::watch;

use super::attested::Attested;

/// What was told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    answers: usize,
    reached: Reached,
}

/// An entry of the log: the last one that a header names which this node has signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached {
    /// Its term.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// Takes what others tell.
pub struct Recall {
    /// So many answers make a majority together with this node.
    needed: usize,
    told: watch::Sender<Told>,
}

impl Recall {
    /// Of one node among so many.
    pub fn among(nodes: usize) -> Recall {
        Recall { needed: nodes / 2, told: watch::Sender::default() }
    }

    /// Takes this node's own record of the last header that it has signed.
    pub fn remember(&self, own: &Attested) {
        let reached = Reached { term: own.header.raft_term, index: own.header.raft_index };
        self.told.send_modify(|told| told.reached = told.reached.max(reached));
    }

    /// Takes the answer of another node.
    pub fn take(&self, answer: Option<&Attested>) {
        if let Some(attested) = answer {
            self.remember(attested);
        }
        self.told.send_modify(|told| told.answers += 1);
    }

    /// How far the log has reached; none before enough have told.
    pub fn reached(&self) -> Option<Reached> {
        let told = *self.told.borrow();
        (told.answers >= self.needed).then_some(told.reached)
    }

    /// Changes with each answer.
    pub fn watch(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_has_to_tell() {
        for (nodes, needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)] {
            let recall = Recall::among(nodes);
            for _ in 0..needed {
                assert_eq!(recall.reached(), None, "{nodes}");
                recall.take(None);
            }
            assert_eq!(recall.reached(), Some(Reached::default()), "{nodes}");
        }
    }
}
