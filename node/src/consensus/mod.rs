//! Consensus: one Raft entry is one proposal, one proposal is at most one block. openraft is known
//! only here.
//!
//! A write goes [`replica`] → [`builder`] → openraft → [`log`] and [`network`] ⇄ [`peer_service`]
//! → [`state_machine`] → [`executor`], which runs the ledger.

pub mod admission;
pub mod answer;
pub mod archive;
pub mod builder;
pub mod candidacy;
pub mod catch_up;
mod checked;
pub mod distrust;
mod due;
pub mod executor;
pub mod finality;
mod firewall;
pub mod first_start;
pub mod forwarder;
pub mod group;
mod held;
pub mod inclusion;
mod join;
pub mod log;
pub mod network;
pub mod originals;
pub mod oversight;
pub mod peer_service;
pub mod preparer;
#[doc(hidden)]
pub mod probe;
mod progress;
pub mod rebuild;
pub mod replica;
pub mod snapshots;
pub mod space;
pub mod state_machine;
pub mod statements;
pub mod term_bound;
pub mod wanted_block;
pub mod wire;

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::apply::Decision;
use counterfoil_ledger::block::Block;
use openraft::EmptyNode;
use openraft::TokioRuntime;

use crate::exit;
use crate::exit::Stop;
use crate::storage::Failure;
use crate::storage::StorageError;

openraft::declare_raft_types!(
    /// What our Raft is made of. Addresses are configuration, not membership: a node is its id.
    pub Types:
        D = ProposalBytes,
        R = Executed,
        NodeId = u64,
        Node = EmptyNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = TokioRuntime,
);

/// The Raft of this product.
pub type Raft = openraft::Raft<Types>;

/// A proposal as it stands in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct ProposalBytes(pub Bytes);

impl fmt::Debug for ProposalBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal of {} bytes", self.0.len())
    }
}

/// What executing an entry came to.
#[derive(Clone, Debug, Default)]
pub struct Executed(pub Option<Arc<ExecutedBlock>>);

/// A block that an entry yielded.
#[derive(Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// What became of each of the proposal's instructions.
    pub decisions: Vec<Decision>,
}

/// Storage failed under a reader, who must not be told less than the truth. What is damaged is read no
/// further: the process ends here. After any other failure the group stops the node.
pub fn read_failed(error: &StorageError) {
    if error.failure() == Some(Failure::Corrupt) {
        let stop = Stop::from(error);
        exit::exit(stop.code, &stop.message);
    }
    tracing::error!(%error, "storage failed while reading");
}

#[cfg(test)]
mod quorum;
#[cfg(test)]
mod suite;
