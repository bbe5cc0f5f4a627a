//! What waits for a block: a lane for each institution. A block takes from all lanes in turn, by what
//! it costs to execute (deficit round robin): whoever has much waiting waits behind itself.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::instruction::Instruction;
use tokio::sync::Notify;

use crate::limits;

/// What an instruction adds to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Its bytes.
    pub bytes: usize,
    /// Its leaves.
    pub leaves: usize,
}

impl Weight {
    /// Of an instruction.
    pub fn of(instruction: &Instruction) -> Weight {
        Weight { bytes: instruction.bytes.len(), leaves: instruction.leaf_count() }
    }

    /// What it costs each node, about, in microseconds.
    fn cost_us(self) -> u64 {
        let items = u64::try_from(self.leaves).unwrap_or(u64::MAX);
        items.saturating_mul(limits::ITEM_COST_US).saturating_add(limits::INSTRUCTION_COST_US)
    }
}

/// The lanes. Whoever puts something in holds room for it: that bounds them.
pub struct Queue<T> {
    lanes: Mutex<Lanes<T>>,
    filled: Notify,
}

struct Lanes<T> {
    by_institution: BTreeMap<Bic, Lane<T>>,
    /// Those with something in them, in the order of their turns.
    turns: VecDeque<Bic>,
    count: usize,
    /// What all that waits costs each node, in microseconds.
    cost_us: u64,
    /// The builder is woken only when so many wait.
    wanted: usize,
    is_closed: bool,
}

/// What waits of one institution.
struct Lane<T> {
    /// Taken first: what this node has promised.
    urgent: VecDeque<(Weight, T)>,
    usual: VecDeque<(Weight, T)>,
    /// What it may still bring in before the next has its turn, in microseconds.
    credit_us: u64,
    /// When something was last taken from it.
    ordered: Option<Instant>,
}

impl<T> Default for Lane<T> {
    fn default() -> Lane<T> {
        let (urgent, usual) = (VecDeque::new(), VecDeque::new());
        Lane { urgent, usual, credit_us: 0, ordered: None }
    }
}

impl<T> Lane<T> {
    fn next(&self) -> Option<Weight> {
        self.urgent.front().or_else(|| self.usual.front()).map(|(weight, _)| *weight)
    }

    fn take(&mut self) -> Option<T> {
        self.urgent.pop_front().or_else(|| self.usual.pop_front()).map(|(_, item)| item)
    }
}

/// What a block has taken so far.
struct Block<T> {
    items: Vec<T>,
    weight: Weight,
    cost_us: u64,
    cost_max_us: u64,
}

impl<T> Block<T> {
    // An instruction is smaller than what is left below the bounds, so they hold with it.
    fn is_full(&self) -> bool {
        self.weight.bytes >= limits::BLOCK_BYTES_TARGET
            || self.weight.leaves >= limits::BLOCK_ITEMS_TARGET
            || self.cost_us >= self.cost_max_us
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        let lanes = Lanes {
            by_institution: BTreeMap::new(),
            turns: VecDeque::new(),
            count: 0,
            cost_us: 0,
            wanted: 1,
            is_closed: false,
        };
        Queue { lanes: Mutex::new(lanes), filled: Notify::new() }
    }
}

impl<T> Queue<T> {
    /// Puts something into an institution's lane. False if nobody takes anything out any more.
    pub fn push(&self, institution: Bic, weight: Weight, item: T) -> bool {
        self.put(institution, weight, |lane| lane.usual.push_back((weight, item)))
    }

    /// The same, before everything else of this institution.
    pub fn push_urgent(&self, institution: Bic, weight: Weight, item: T) -> bool {
        self.put(institution, weight, |lane| lane.urgent.push_back((weight, item)))
    }

    fn put(&self, institution: Bic, weight: Weight, put: impl FnOnce(&mut Lane<T>)) -> bool {
        let is_enough = {
            let mut lanes = self.lock();
            if lanes.is_closed {
                return false;
            }
            let lanes = &mut *lanes;
            // Institutions are those of the registry: lanes are not made without end.
            let lane = lanes.by_institution.entry(institution).or_default();
            if lane.next().is_none() {
                lanes.turns.push_back(institution);
            }
            put(lane);
            lanes.count += 1;
            lanes.cost_us += weight.cost_us();
            lanes.holds(lanes.wanted)
        };
        if is_enough {
            self.filled.notify_one();
        }
        true
    }

    /// Returns when so many wait, at least one, or as much as a block takes that several share; one task
    /// asks. Loses nothing when it is dropped.
    pub async fn filled(&self, count: usize) {
        let count = count.max(1);
        loop {
            {
                let mut lanes = self.lock();
                if lanes.holds(count) {
                    return;
                }
                lanes.wanted = count;
            }
            self.filled.notified().await;
        }
    }

    /// How much waits.
    pub fn len(&self) -> usize {
        self.lock().count
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a block's worth.
    pub fn take(&self, now: Instant) -> Vec<T> {
        self.lock().take(now)
    }

    /// Takes everything.
    pub fn drain(&self) -> Vec<T> {
        let mut lanes = self.lock();
        lanes.turns.clear();
        (lanes.count, lanes.cost_us) = (0, 0);
        let drained = lanes.by_institution.values_mut().flat_map(|lane| {
            lane.credit_us = 0;
            lane.urgent.drain(..).chain(lane.usual.drain(..)).map(|(_, item)| item)
        });
        drained.collect()
    }

    /// Takes everything, and nothing more is put in.
    pub fn close(&self) -> Vec<T> {
        self.lock().is_closed = true;
        self.drain()
    }

    fn lock(&self) -> MutexGuard<'_, Lanes<T>> {
        // Nothing panics while it is held.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lanes<T> {
    fn holds(&self, count: usize) -> bool {
        self.count >= count || self.cost_us >= limits::SHARED_BLOCK_COST_US
    }

    fn take(&mut self, now: Instant) -> Vec<T> {
        let cost_max_us = if self.is_shared(now) { limits::SHARED_BLOCK_COST_US } else { u64::MAX };
        let weight = Weight { bytes: 0, leaves: 0 };
        let mut block = Block { items: Vec::new(), weight, cost_us: 0, cost_max_us };
        while !block.is_full()
            && let Some(institution) = self.turns.pop_front()
        {
            let Some(lane) = self.by_institution.get_mut(&institution) else { continue };
            lane.credit_us += limits::TURN_COST_US;
            while let Some(weight) = lane.next()
                && weight.cost_us() <= lane.credit_us
                && !block.is_full()
            {
                lane.credit_us -= weight.cost_us();
                block.weight.bytes += weight.bytes;
                block.weight.leaves += weight.leaves;
                block.cost_us += weight.cost_us();
                block.items.extend(lane.take());
            }
            if lane.next().is_some() {
                self.turns.push_back(institution);
            } else {
                // Who has nothing waiting saves nothing up.
                lane.credit_us = 0;
            }
        }
        self.count -= block.items.len();
        self.cost_us -= block.cost_us;
        block.items
    }

    /// Whether several institutions order just now.
    fn is_shared(&mut self, now: Instant) -> bool {
        for institution in &self.turns {
            if let Some(lane) = self.by_institution.get_mut(institution) {
                lane.ordered = Some(now);
            }
        }
        let is_lately =
            |at: Instant| now.saturating_duration_since(at) <= limits::SHARED_BLOCK_TIME;
        let order = self.by_institution.values().filter(|lane| lane.ordered.is_some_and(is_lately));
        order.take(2).count() > 1
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SINGLE: Weight = Weight { bytes: 300, leaves: 1 };

    fn bic(letter: char) -> Bic {
        Bic::parse(&format!("BANKCH{letter}{letter}")).unwrap()
    }

    fn count(block: &[char], letter: char) -> usize {
        block.iter().filter(|it| **it == letter).count()
    }

    #[test]
    fn who_is_alone_fills_the_block() {
        let queue = Queue::default();
        for number in 0..20_000 {
            queue.push(bic('A'), SINGLE, number);
        }
        let now = Instant::now();
        let block = queue.take(now);
        assert_eq!(block.len(), limits::BLOCK_BYTES_TARGET / 300 + 1);
        assert!(block.is_sorted(), "in the order in which they came");
        let full = Weight { bytes: 1 << 20, leaves: 8_193 };
        (0..2).for_each(|number| assert!(queue.push(bic('A'), full, number)));
        while queue.take(now).len() > 2 {}
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_flood_leaves_the_others_their_turns() {
        let queue = Queue::default();
        for _ in 0..30_000 {
            queue.push(bic('A'), SINGLE, 'a');
        }
        for _ in 0..10 {
            queue.push(bic('B'), SINGLE, 'b');
        }
        queue.push(bic('C'), SINGLE, 'c');
        let now = Instant::now();
        let block = queue.take(now);
        assert_eq!((count(&block, 'b'), count(&block, 'c')), (10, 1), "{}", block.len());
        let cost = |block: &[char]| block.len() as u64 * SINGLE.cost_us();
        assert!(cost(&block) < limits::SHARED_BLOCK_COST_US + SINGLE.cost_us());
        // For a while the next may come again at any moment; then blocks are as large as they can be.
        let soon = now + limits::SHARED_BLOCK_TIME;
        assert!(cost(&queue.take(soon)) < limits::SHARED_BLOCK_COST_US + SINGLE.cost_us());
        let later = soon + Duration::from_millis(1);
        assert!(cost(&queue.take(later)) > 5 * limits::SHARED_BLOCK_COST_US);
    }

    #[test]
    fn capacity_is_divided_by_cost_and_not_by_count() {
        let queue = Queue::default();
        let batch = Weight { bytes: 20_000, leaves: 101 };
        for _ in 0..5_000 {
            queue.push(bic('A'), batch, 'a');
            queue.push(bic('B'), SINGLE, 'b');
        }
        let now = Instant::now();
        let (mut batches, mut singles) = (0, 0);
        for _ in 0..20 {
            let block = queue.take(now);
            batches += count(&block, 'a') as u64;
            singles += count(&block, 'b') as u64;
        }
        let (of_batches, of_singles) = (batches * batch.cost_us(), singles * SINGLE.cost_us());
        let ratio = of_batches as f64 / of_singles as f64;
        assert!((0.8..1.25).contains(&ratio), "{batches} {singles}");
    }

    #[test]
    fn what_costs_more_than_a_block_gets_one_and_its_lane_then_waits() {
        let queue = Queue::default();
        let full = Weight { bytes: 1 << 20, leaves: 8_193 };
        for _ in 0..3 {
            queue.push(bic('A'), full, 'a');
        }
        for _ in 0..8_000 {
            queue.push(bic('B'), SINGLE, 'b');
        }
        let now = Instant::now();
        let mut blocks = Vec::new();
        while !queue.is_empty() {
            blocks.push(queue.take(now));
        }
        assert!(blocks.iter().all(|block| count(block, 'a') <= 1));
        let with: Vec<_> = (0..).zip(&blocks).filter(|(_, it)| count(it, 'a') == 1).collect();
        assert_eq!(with.len(), 3);
        let apart = with.windows(2).map(|two| two[1].0 - two[0].0).min().unwrap();
        assert!(apart > 3, "a batch pays with its turns: {apart}");
    }

    #[test]
    fn what_is_urgent_comes_first_among_its_own_alone() {
        let queue = Queue::default();
        queue.push(bic('A'), SINGLE, "usual");
        queue.push(bic('B'), SINGLE, "other");
        queue.push_urgent(bic('A'), SINGLE, "urgent");
        assert_eq!(queue.take(Instant::now()), ["urgent", "usual", "other"]);
        queue.push(bic('A'), SINGLE, "last");
        assert_eq!(queue.close(), ["last"]);
        assert!(!queue.push(bic('A'), SINGLE, "late") && queue.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let queue = std::sync::Arc::new(Queue::default());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.filled(1).await }
        });
        tokio::task::yield_now().await;
        queue.push(bic('A'), SINGLE, 1);
        waiting.await.unwrap();
        queue.filled(1).await;
        assert_eq!(queue.take(Instant::now()), [1]);
        assert!(tokio::time::timeout(Duration::from_millis(10), queue.filled(1)).await.is_err());
    }

    #[tokio::test]
    async fn whoever_waits_for_several_is_told_of_several_or_of_much() {
        let queue = Queue::default();
        let soon = Duration::from_millis(10);
        for number in 0..2 {
            queue.push(bic('A'), SINGLE, number);
            assert!(tokio::time::timeout(soon, queue.filled(3)).await.is_err());
        }
        queue.filled(1).await;
        queue.push(bic('B'), SINGLE, 2);
        queue.filled(3).await;
        assert_eq!(queue.take(Instant::now()).len(), 3);
        queue.push(bic('A'), Weight { bytes: 9, leaves: 8_193 }, 3);
        queue.filled(3).await;
        queue.drain();
        assert!(tokio::time::timeout(soon, queue.filled(1)).await.is_err());
    }
}
