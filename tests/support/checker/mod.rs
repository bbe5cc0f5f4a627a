//! The checker of histories. It shares nothing with the node's own code but the verifier of receipts,
//! which every bank has; what the ledger may decide it computes again from a model of its own.
//!
//! The ledger says in which order everything happened, so that nothing has to be searched for: that
//! order is a linearisation if every answer is what the model gives at its place, and if no call that
//! began after another was answered stands before it. A call without an answer may stand anywhere, or
//! nowhere.

pub mod history;
mod model;
mod nodes;
pub mod order;
mod receipts;
mod taken;
#[cfg(test)]
mod tests;
mod watches;

use std::collections::BTreeMap;
use std::fmt;

use history::History;

/// What a history must never show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Every FINAL receipt verifies offline.
    ReceiptHolds,
    /// What was told is what the receipt proves.
    AnswerIsProved,
    /// An id has one outcome, whoever says it and whenever.
    OneOutcome,
    /// A refusal that burnt its id stays.
    RefusalStays,
    /// No id or item is decided at two places.
    DecidedOnce,
    /// What was reported stays, on every node.
    NothingLost,
    /// Headers of one height are the same everywhere.
    SameHeaders,
    /// Each header names the one before it, and time goes on.
    HeadersChain,
    /// What nodes list at one height is the same everywhere.
    SameContent,
    /// Balances of a servicer and asset add up to zero.
    MoneyConserved,
    /// Nobody but an issuer owes.
    NoOverdraft,
    /// Every balance is what the postings before it give.
    BalanceFollows,
    /// Every verdict is what the rules give at its place.
    VerdictFollows,
    /// Postings are numbered without a gap.
    PostingsNumbered,
    /// Nothing settles that nobody ordered.
    OnlyOrdered,
    /// No account is debited but by its owner.
    OwnerOrders,
    /// What was said not to be taken is not on the ledger.
    NotTakenStays,
    /// A read reflects what was reported before it began.
    ReadsFresh,
    /// What began after something was reported is ordered behind it.
    OrderIsReal,
    /// A watch gives each posting once, in order, and leaves none out.
    WatchComplete,
    /// After the faults have ended writes become final in time.
    Recovers,
    /// Every node is there at the end.
    NodeRuns,
}

/// A rule that a history breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// Where, with the facts.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Violations of one rule that are told one by one; a broken ledger has thousands of one kind.
const TOLD_MAX: usize = 20;

/// What was found so far.
#[derive(Default)]
struct Findings {
    found: Vec<Violation>,
    counts: BTreeMap<Rule, usize>,
}

impl Findings {
    fn add(&mut self, rule: Rule, what: impl Into<String>) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            self.found.push(Violation { rule, what: what.into() });
        }
    }

    /// Unless a condition holds.
    fn require(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, what());
        }
    }
}

/// An instruction: who signed, and its id.
type Id = (String, String);

/// Everything in a history that must not be there; nothing if all is well.
pub fn check(history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    let facts = receipts::facts(history, &mut findings);
    nodes::check(history, &facts, &mut findings);
    let ledger = model::replay(history, &mut findings);
    model::views(history, &ledger, &mut findings);
    watches::check(history, &ledger, &mut findings);
    taken::check(history, &facts, &mut findings);
    order::check(history, &facts, &mut findings);
    for (rule, count) in &findings.counts {
        if *count > TOLD_MAX {
            let what = format!("{} more", count - TOLD_MAX);
            findings.found.push(Violation { rule: *rule, what });
        }
    }
    findings.found.sort();
    findings.found
}
