//! Instructions that this node has checked when it took them, until a proposal brings them back:
//! a signature is verified once a node.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::hash::Hash;

use crate::limits;

/// The latest of them, bounded in bytes.
#[derive(Default)]
pub struct Checked(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_leaf: HashMap<Hash, Prepared>,
    oldest_first: VecDeque<Hash>,
    bytes: usize,
}

impl Checked {
    /// Keeps an instruction by the leaf hash of its bytes.
    pub fn keep(&self, leaf: Hash, prepared: Prepared) {
        let mut kept = self.lock();
        kept.bytes += prepared.instruction.bytes.len();
        if let Some(same) = kept.by_leaf.insert(leaf, prepared) {
            kept.bytes -= same.instruction.bytes.len();
            return;
        }
        kept.oldest_first.push_back(leaf);
        while kept.bytes > limits::CHECKED_BYTES_MAX {
            let Some(oldest) = kept.oldest_first.pop_front() else { return };
            if let Some(oldest) = kept.by_leaf.remove(&oldest) {
                kept.bytes -= oldest.instruction.bytes.len();
            }
        }
    }

    /// Takes an instruction out, if these very bytes were checked.
    pub fn take(&self, leaf: &Hash, bytes: &Bytes) -> Option<Prepared> {
        let mut kept = self.lock();
        let prepared = kept.by_leaf.remove(leaf)?;
        kept.bytes -= prepared.instruction.bytes.len();
        (prepared.instruction.bytes == bytes).then_some(prepared)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
