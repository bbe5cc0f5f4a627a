//! Random histories against a naive model, and against themselves after restarts. `PROPTEST_CASES`
//! raises the number of histories.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "properties/agreements.rs"]
mod agreements;
#[path = "properties/books.rs"]
mod books;
#[path = "properties/checks.rs"]
mod checks;
#[path = "properties/following.rs"]
mod following;
#[path = "properties/naive.rs"]
mod naive;
#[path = "properties/proofs.rs"]
mod proofs;
#[path = "properties/random.rs"]
mod random;
#[path = "properties/steps.rs"]
mod steps;
mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    apply::{Applied, Decision},
    block::{Block, NO_INSTRUCTION, Position},
    date::Date,
    hash::Hash,
    merkle::{Tree, leaf_hash},
    outcome::{Event, Outcome, State as OutcomeState},
    reason::Reason,
    reconciliation::effect,
    state::State,
};
use naive::{Answer, Naive, Order, Verdict};
use proptest::prelude::*;
use random::{Sender, Step};
use support::{
    Chain, Consortium, NOON_MS,
    chain::{execute, root_by_definition},
};

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(64),
        // A failing history is printed in full; no file is left behind.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn consortium() -> Consortium {
    Consortium::new(&["Central", "Alpha", "Beta"], &[("CHF", 2), ("JPY", 0)])
}

/// A ledger that never restarts, one that does, and the model.
struct World {
    chain: Chain,
    restarted: State,
    naive: Naive,
    /// What each id was decided to be, for ever.
    verdicts: BTreeMap<(String, [u8; 16]), Position>,
}

impl World {
    fn new() -> World {
        let chain = Chain::new(consortium());
        let naive = Naive::new(&["Central", "Alpha", "Beta"], &["CHF", "JPY"]);
        let restarted = chain.restored();
        World { chain, restarted, naive, verdicts: BTreeMap::new() }
    }

    fn block(&mut self, stamp_ms: u64, orders: &[(Order, Bytes)]) {
        let instructions = orders.iter().map(|(_, bytes)| bytes.clone()).collect();
        let proposal = self.chain.proposal(stamp_ms, instructions);
        let history = self.chain.history.clone();
        let (block, decisions) = self.chain.commit(proposal.clone()).expect("not void");
        self.same_after_restart(&proposal, &history, &block, &decisions);

        self.naive.begin_block(stamp_ms, NOON_MS, |ms| Date::from_unix_ms(ms).yyyymmdd());
        assert_eq!(block.header.block_time_ms, self.naive.time_ms());
        let mut leaves = block.leaves.iter();
        for ((order, _), decision) in orders.iter().zip(&decisions) {
            let decided = match decision {
                Decision::Decided(position) => {
                    let place = usize::try_from(position.leaf).unwrap();
                    Some(verdict(&block.leaves[place].outcome))
                }
                _ => None,
            };
            let expected = self.naive.judge(order, decided);
            let found = match decision {
                Decision::Refused(reason) => Answer::Refused(reason.code()),
                Decision::Replayed(position) => Answer::Again((position.height, position.leaf)),
                Decision::Decided(position) => {
                    let key = (order.signer.clone(), order.id);
                    assert!(self.verdicts.insert(key, *position).is_none(), "two verdicts");
                    let Answer::Decided(verdicts) = &expected else {
                        panic!("{order:?} was decided, not {expected:?}")
                    };
                    let own = leaves.by_ref().take(verdicts.len());
                    Answer::Decided(own.map(|leaf| verdict(&leaf.outcome)).collect())
                }
            };
            assert_eq!(found, expected, "{order:?}");
        }
        for leaf in leaves {
            assert_eq!(leaf.instruction, NO_INSTRUCTION, "a leaf that nobody ordered");
            assert_eq!(leaf.outcome.event, Event::DueWorkDone);
            assert!(!leaf.effects.is_empty(), "due work that did nothing");
        }
        checks::block(&self.chain, &block);
        checks::money(&self.chain.state, &self.naive);
        checks::signed_by_owners(&self.chain, &block);
        books::check(&self.chain, &self.naive);
        agreements::check(&self.chain, &self.naive);
    }

    fn same_after_restart(
        &mut self,
        proposal: &counterfoil_ledger::proposal::Proposal,
        history: &counterfoil_ledger::history::History,
        block: &Block,
        decisions: &[Decision],
    ) {
        let log = self.chain.log();
        let (applied, _) = execute(&mut self.restarted, history, proposal, log);
        let Applied::Block(again, decided) = applied else { panic!("void after a restart") };
        for (again, leaf) in again.leaves.iter().zip(&block.leaves) {
            let (again, leaf) = (effect::decode(&again.effects), effect::decode(&leaf.effects));
            assert_eq!(again, leaf, "what the restarted ledger did, and the other one");
        }
        assert_eq!(again.leaves, block.leaves);
        assert_eq!(again.header, block.header);
        assert_eq!(again.ids, block.ids);
        assert_eq!(again.movements, block.movements);
        assert_eq!(again.transfers, block.transfers);
        assert_eq!(again.touched, block.touched);
        assert_eq!(again.records, block.records);
        assert_eq!(decided, decisions);
        assert_eq!(self.restarted.core(), self.chain.state.core());
        assert_eq!(self.restarted.wants_flagged_block(), self.chain.state.wants_flagged_block());
    }

    fn void(&mut self, stamp_ms: u64) {
        let history = self.chain.history.clone();
        let before = (self.chain.state.height(), self.chain.state.header_hash());
        let mut proposal = self.chain.proposal(stamp_ms, Vec::new());
        // A leader that claims the last number of all must not be the last leader.
        proposal.header.sequence = u64::MAX;
        let proposal = support::chain::sign_proposal(
            &self.chain.consortium,
            proposal.header,
            proposal.instructions,
        );
        assert!(self.chain.commit(proposal.clone()).is_none());
        let log = self.chain.log();
        let (applied, _) = execute(&mut self.restarted, &history, &proposal, log);
        assert!(matches!(applied, Applied::Void));
        assert_eq!(before, (self.chain.state.height(), self.chain.state.header_hash()));
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
    match (outcome.state, outcome.reason) {
        (OutcomeState::Rejected, Some(reason)) => Verdict::Rejected(reason.code()),
        (OutcomeState::Settled, None) => Verdict::Settled,
        (OutcomeState::Recorded, None) => Verdict::Recorded,
        (OutcomeState::Itemised, None) => Verdict::Taken,
        other => panic!("no such outcome: {other:?}"),
    }
}

fn live(steps: &[Step]) -> World {
    let mut world = World::new();
    let keys = consortium();
    let mut sender = Sender { consortium: &keys, sent: Vec::new() };
    let mut now_ms = NOON_MS + 1_000;
    let prelude = sender.prelude(now_ms);
    world.block(now_ms, &prelude);
    let mut number = 0;
    for step in steps {
        match step {
            Step::Block(gap, draws) => {
                now_ms += gap;
                let orders: Vec<_> = draws
                    .iter()
                    .map(|draw| {
                        number += 1;
                        sender.order(number, draw, now_ms)
                    })
                    .collect();
                world.block(now_ms, &orders);
            }
            Step::Load(gap) => {
                now_ms += gap;
                number += 1;
                let order = sender.load(number, now_ms);
                world.block(now_ms, &[order]);
            }
            Step::Void => world.void(now_ms),
            Step::Restart => world.restarted = world.chain.restored(),
        }
    }
    world
}

proptest! {
    #![proptest_config(cases())]

    /// Every verdict and balance is the model's; after every block money is conserved, every debit is
    /// signed by the owner, every item of a book stands in one place, every root is the one of its
    /// definition; a ledger that was restored from storage at any point goes on with the same bytes.
    #[test]
    fn histories_agree_with_the_model(steps in random::history()) {
        let world = live(&steps);
        // The same history gives the same bytes, executed again by whoever stored it.
        let replay = world.chain.replay().unwrap();
        prop_assert_eq!(replay.state().core(), world.chain.state.core());
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases().cases / 8, ..cases() })]

    /// Whatever the ledger did can be proved, and nothing else.
    #[test]
    fn proofs_say_what_happened(steps in random::history(), seed in any::<u64>()) {
        let tried = proofs::check(live(&steps).chain, seed);
        prop_assert!(tried > 0);
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Whoever follows a history by its certified outcomes stands where those stand who decided it,
    /// and goes on from there with the same blocks.
    #[test]
    fn following_gives_what_deciding_gave(steps in random::history(), part in 0..=100usize) {
        following::check(&live(&steps).chain, part);
    }

    /// Facts that arrive in another order are paired in the same way and leave the same matches,
    /// proposals and breaks.
    #[test]
    fn findings_do_not_depend_on_the_order_of_arrival(facts in books::facts()) {
        let (facts, shuffled) = facts;
        prop_assert_eq!(books::outcome(&facts), books::outcome(&shuffled));
    }

    /// A path for each changed leaf and no more, whatever the size of the tree.
    #[test]
    fn trees_cost_a_path_for_each_leaf(
        size in 1..400usize,
        rounds in prop::collection::vec(prop::collection::btree_set(0..400usize, 1..12), 1..6),
    ) {
        let mut leaves: Vec<Hash> =
            (0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
        let mut tree = Tree::default();
        tree.set(leaves.iter().copied().enumerate());
        for (round, changed) in rounds.iter().enumerate() {
            let mut changes = BTreeMap::new();
            for index in changed {
                let index = (*index).min(leaves.len());
                let leaf = leaf_hash(&[round.to_be_bytes(), index.to_be_bytes()].concat());
                if index == leaves.len() { leaves.push(leaf) } else { leaves[index] = leaf }
                changes.insert(index, leaf);
            }
            let touched = u64::try_from(changes.len()).unwrap();
            let hashes = touched + tree.set(changes);
            prop_assert_eq!(tree.root(), root_by_definition(&leaves));
            prop_assert!(hashes <= touched * (u64::from(leaves.len().ilog2()) + 2));
        }
    }
}

/// The histories above are worth something only if they reach every rule.
#[test]
fn histories_reach_every_verdict() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..150 {
        let steps = random::history().new_tree(&mut runner).unwrap().current();
        let world = live(&steps);
        for leaf in world.chain.blocks.iter().flat_map(|block| &block.leaves) {
            *counts.entry(format!("{:?}", verdict(&leaf.outcome))).or_default() += 1;
        }
        for leaf in world.chain.blocks.iter().flat_map(|block| &block.leaves) {
            for (_, effects) in effect::decode(&leaf.effects).unwrap() {
                for effect in effects {
                    *counts.entry(format!("{:?}", effect.kind)).or_default() += 1;
                }
            }
        }
        let flagged = world.chain.blocks.iter().filter(|it| it.header.accounts_root.is_some());
        *counts.entry("flagged".to_owned()).or_default() += flagged.count();
        *counts.entry("blocks".to_owned()).or_default() += world.chain.blocks.len();
    }
    println!("{counts:#?}");
    assert!(counts["flagged"] < counts["blocks"], "some blocks are under load");
    // Those of single steps have scenarios; here it is enough that many steps are done.
    let modelled = Reason::ALL.iter().filter(|reason| (400..=820).contains(&reason.code()));
    let rejections = modelled.map(|reason| format!("Rejected({})", reason.code()));
    let kinds = [
        "Matched",
        "Unmatched",
        "Proposed",
        "ProposalClosed",
        "BreakOpened",
        "BreakChanged",
        "BreakHealed",
        "BreakWorked",
        "PositionSigned",
    ];
    for expected in rejections.chain(kinds.map(str::to_owned)) {
        assert!(counts.contains_key(&expected), "no history led to {expected}: {counts:#?}");
    }
}
