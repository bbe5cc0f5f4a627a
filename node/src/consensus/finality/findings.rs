//! What was found to contradict, until the sentinel has looked at it. Each node has its own room, and
//! in it a place for the one thing that convicts by itself: no flood of others keeps that out.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::Notify;

use super::attested::Attested;
use crate::limits;

/// Something that contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// One node signed two headers of one height.
    Double(Box<Attested>, Box<Attested>),
    /// A node signed a header that is not this node's own.
    Differs(Box<Attested>),
}

impl Finding {
    /// Height and node.
    pub fn place(&self) -> (u64, u64) {
        match self {
            Finding::Double(it, _) | Finding::Differs(it) => (it.height(), it.node),
        }
    }
}

/// What was found of all nodes.
#[derive(Default)]
pub struct Findings {
    nodes: Mutex<BTreeMap<u64, Room>>,
    news: Notify,
}

/// What was found of one.
#[derive(Default)]
struct Room {
    double: Option<Finding>,
    differs: VecDeque<Finding>,
}

impl Findings {
    /// Takes a finding, if its node has room for it.
    pub fn put(&self, finding: Finding) {
        let (_, node) = finding.place();
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = nodes.entry(node).or_default();
        match finding {
            Finding::Double(..) => {
                room.double.get_or_insert(finding);
            }
            Finding::Differs(_) if room.differs.len() < limits::FINDINGS_PER_NODE_MAX => {
                room.differs.push_back(finding);
            }
            Finding::Differs(_) => {}
        }
        drop(nodes);
        self.news.notify_one();
    }

    /// Everything that was found since; what convicts by itself comes first.
    pub fn take(&self) -> Vec<Finding> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let doubles: Vec<_> = nodes.values_mut().filter_map(|room| room.double.take()).collect();
        let differs = nodes.values_mut().flat_map(|room| room.differs.drain(..));
        doubles.into_iter().chain(differs).collect()
    }

    /// Returns when something may have been found since it was taken last.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}
