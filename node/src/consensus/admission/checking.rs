//! Checking instructions costs work before it is known whose they are. Each sender has its own turns
//! for that, and its own patience for what does not hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::reason::Reason;
use tokio::sync::Semaphore;

use crate::blocking;
use crate::budget::Budget;
use crate::consensus::preparer::Preparer;
use crate::limits;
use crate::telemetry::excess;
use crate::telemetry::excess::Bound;

/// Who hands in an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// A client of an institution.
    Client(Bic),
    /// A node that forwards or shares it.
    Node(u64),
}

/// Why an instruction was not checked to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// It is not one.
    Refused(Reason),
    /// This sender has handed in too many that were none; it was not looked at.
    Impatient(Sender),
}

/// Checks instructions.
pub struct Checking {
    preparer: Arc<Preparer>,
    senders: Mutex<BTreeMap<Sender, Arc<Turns>>>,
}

/// What one sender may take.
struct Turns {
    small: Semaphore,
    large: Arc<Semaphore>,
    faults: Budget,
}

impl Checking {
    /// By one node's rules.
    pub fn new(preparer: Arc<Preparer>) -> Checking {
        Checking { preparer, senders: Mutex::default() }
    }

    /// Shape and signature; large ones off the threads that serve. Whether the signature holds is in
    /// what comes back.
    pub async fn check(&self, bytes: Bytes, sender: Sender) -> Result<Prepared, Unchecked> {
        let turns = self.turns(sender);
        if !turns.faults.lacking().is_zero() {
            if let Sender::Client(institution) = sender {
                excess::note(institution.as_str(), Bound::Signatures);
            }
            return Err(Unchecked::Impatient(sender));
        }
        let size = bytes.len();
        let checked = if size > limits::INLINE_CHECK_BYTES_MAX {
            let turn = turns.large.clone().acquire_owned().await;
            let preparer = self.preparer.clone();
            // Whoever gives up does not end the work, so the turn lasts as long as that.
            blocking::aside(move || {
                let checked = preparer.instruction(bytes);
                drop(turn);
                checked
            })
            .await
            .expect("checking an instruction does not panic")
        } else {
            let _turn = turns.small.acquire().await;
            self.preparer.instruction(bytes)
        };
        if !checked.as_ref().is_ok_and(|prepared| prepared.signature_valid) {
            turns.faults.spend(limits::fault_cost(size));
        }
        checked.map_err(Unchecked::Refused)
    }

    fn turns(&self, sender: Sender) -> Arc<Turns> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        // Members and nodes of the registry, whose certificates were checked: not without end.
        let turns = senders.entry(sender).or_insert_with(|| {
            Arc::new(Turns {
                small: Semaphore::new(limits::CHECKS_AT_ONCE),
                large: Arc::new(Semaphore::new(limits::LARGE_CHECKS_AT_ONCE)),
                faults: Budget::new(limits::FAULTS_BURST),
            })
        });
        turns.clone()
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::registry::Registry;

    use super::*;
    use crate::consensus::suite;

    #[tokio::test]
    async fn patience_ends_for_one_sender_alone() {
        let genesis = suite::genesis();
        let registry = Arc::new(Registry::of(&genesis));
        let checking = Checking::new(Arc::new(Preparer::new(registry, genesis.chain_id())));
        let (one, other) = (Sender::Client(Bic::parse("BANKCHZZ").unwrap()), Sender::Node(1));
        let garbage = || Bytes::from_static(b"garbage");
        let is_impatient =
            |it: Result<Prepared, Unchecked>| matches!(it, Err(Unchecked::Impatient(_)));
        let fair = limits::FAULTS_BURST.as_millis() / limits::FAULT_COST.as_millis();
        for _ in 0..fair {
            let checked = checking.check(garbage(), one).await;
            assert!(matches!(checked, Err(Unchecked::Refused(_))));
        }
        let mut more = 0;
        while !is_impatient(checking.check(garbage(), one).await) {
            more += 1;
            assert!(more < fair, "patience without end");
        }
        assert!(matches!(checking.check(garbage(), other).await, Err(Unchecked::Refused(_))));
        // A large one takes more.
        let large = Bytes::from(vec![0xff; limits::INSTRUCTION_BYTES_MAX]);
        let mut count = 0;
        while !is_impatient(checking.check(large.clone(), other).await) {
            count += 1;
        }
        assert!(count < 100, "{count}");
    }
}
