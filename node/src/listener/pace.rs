//! How fast the connections of an institution are read: so that what it sends keeps half of this
//! machine's cores busy at most. Whoever sends faster is not refused but read later, and TCP holds it
//! back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use counterfoil_ledger::bic::Bic;

use crate::budget::Budget;
use crate::limits;

/// The pace of each institution.
pub struct Paces {
    /// Cores that one institution may keep busy, twice.
    half_cores: u32,
    by_institution: Mutex<HashMap<Bic, Arc<Budget>>>,
}

impl Default for Paces {
    fn default() -> Paces {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let half_cores = u32::try_from(cores).unwrap_or(u32::MAX);
        Paces { half_cores, by_institution: Mutex::default() }
    }
}

/// The pace of one, as each of its connections has it.
#[derive(Clone)]
pub struct Pace {
    budget: Arc<Budget>,
    half_cores: u32,
}

impl Paces {
    /// Of an institution.
    pub fn of(&self, institution: Bic) -> Pace {
        let mut paces = self.by_institution.lock().unwrap_or_else(PoisonError::into_inner);
        // Members, whose certificates were checked: not without end.
        let budget = paces
            .entry(institution)
            .or_insert_with(|| Arc::new(Budget::new(limits::READING_BURST)));
        Pace { budget: Arc::clone(budget), half_cores: self.half_cores }
    }
}

impl Pace {
    /// Spends CPU time of one core. Returns how long nothing more is read.
    pub fn spend(&self, cost: Duration) -> Duration {
        self.budget.spend(cost.saturating_mul(2) / self.half_cores.max(1))
    }
}
