//! Bytes as a sequence of commands to the ledger: blocks of transfers, batches, book entries,
//! statements, decisions on what was found, accounts, repetitions and nonsense, by whoever signs them, with voids and restarts in
//! between. After every block what was promised is computed from scratch.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::apply::Applied;
use counterfoil_ledger::apply::Decision;
use counterfoil_ledger::block::Block;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::Draft;
use counterfoil_ledger::instruction::Instruction;
use counterfoil_ledger::merkle::leaf_hash;
use counterfoil_ledger::outcome::State as OutcomeState;
use counterfoil_ledger::state::State;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use counterfoil_proto::v1::instruction::Body;
use counterfoil_proto::v1::work_break::Action;

use crate::scene::DAY;
use crate::snapshots;
use crate::support::Chain;
use crate::support::Consortium;
use crate::support::NOON_MS;
use crate::support::build;
use crate::support::build::HOUR_MS;
use crate::support::build::id_of;
use crate::support::build::uetr_of;
use crate::support::chain::execute;
use crate::support::chain::root_by_definition;
use crate::support::consortium::bic_of;

const BANKS: [&str; 3] = ["Central", "Alpha", "Beta"];

/// One input makes no more blocks, and no more instructions, than this.
const BLOCKS_MAX: usize = 24;
const ORDERS_MAX: usize = 96;

/// The input, byte by byte; zeros behind its end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn below(&mut self, bound: u8) -> usize {
        usize::from(self.byte() % bound)
    }

    fn number(&mut self) -> u64 {
        u64::from(self.byte()) << 8 | u64::from(self.byte())
    }

    fn bank(&mut self) -> &'static str {
        BANKS[self.below(3)]
    }
}

/// A ledger, its twin that restarts, one that follows, and what is remembered of them.
struct Ledger {
    chain: Chain,
    twin: State,
    follower: State,
    now_ms: u64,
    /// Everything that was sent.
    sent: Vec<Bytes>,
    decided: BTreeMap<(String, [u8; 16]), Position>,
    settled: BTreeSet<(Uetr, AccountId)>,
}

/// Executes a sequence.
pub fn sequence(bytes: &[u8]) {
    let ledger = executed(bytes);
    let Ledger { chain, mut follower, .. } = ledger;
    let replay = chain.replay().unwrap();
    assert_eq!(replay.state().core(), chain.state.core());
    // Who followed, and takes the books over, has the state of who decided.
    follower.adopt_reconciliation(chain.records.clone()).unwrap();
    let (expected, _) = snapshots::written(&chain.state, &chain.records);
    let (found, _) = snapshots::written(&follower, &chain.records);
    assert!(found == expected, "a follower's snapshot is another one");
}

fn executed(bytes: &[u8]) -> Ledger {
    let mut choices = Choices(bytes);
    let mut ledger = Ledger::new();
    let mut orders = Vec::new();
    let (mut blocks, mut number) = (0, 0);
    while !choices.0.is_empty() && blocks < BLOCKS_MAX && number < ORDERS_MAX {
        match choices.below(16) {
            0 | 1 => {
                ledger.now_ms += match choices.below(8) {
                    0 => 0,
                    1 => 25 * HOUR_MS,
                    2 => 6 * HOUR_MS,
                    _ => 1 + choices.number(),
                };
                ledger.block(std::mem::take(&mut orders));
                blocks += 1;
            }
            2 => ledger.void(),
            3 => ledger.twin = ledger.chain.restored(),
            _ => {
                number += 1;
                let order = ledger.order(&mut choices, number);
                ledger.sent.push(order.clone());
                orders.push(order);
            }
        }
    }
    ledger.block(orders);
    ledger
}

/// Sequences that reach every kind of order.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut random = crate::random::Random::new(4);
    let mut noise = |length| (0..length).map(|_| random.byte()).collect::<Vec<u8>>();
    // Open Central's and Alpha's accounts, fund, pay, repeat, restart, and close the block again.
    let opened = [4u8, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 4, 4];
    let funded = [5u8, 0, 0, 0, 1, 4, 9, 9, 1, 0, 0, 0, 4, 4, 3];
    let mut seeds = vec![[&opened[..], &funded].concat()];
    for length in [40, 80, 160, 320, 640] {
        seeds.extend((0..4).map(|_| noise(length)));
        seeds.push([&opened[..], &funded, &noise(length)].concat());
    }
    seeds
}

/// Terms of a small set, some of which take the place of others.
fn terms(number: u32) -> v1::AgreementTerms {
    let owner = if number.is_multiple_of(2) { "Alpha" } else { "Beta" };
    let (central, owner) = (bic_of("Central"), bic_of(owner));
    let account = AccountId::of(&central, &owner, "CHF", "main");
    let label = format!("terms {number}");
    let mut terms = build::terms(&label, (&central, &owner), &[account], DAY + number / 4);
    if let Some(before) = number.checked_sub(4) {
        let id = AgreementId::of(&self::terms(before));
        terms.supersedes = Bytes::copy_from_slice(id.as_bytes());
    }
    terms
}

/// An offer of such terms, or an answer to one.
fn agreement(choices: &mut Choices<'_>, label: &str, accept_until_ms: u64) -> Body {
    let terms = terms(u32::from(choices.byte() % 12));
    let answer = match choices.below(6) {
        0..3 => return build::offer(terms, accept_until_ms),
        3 => v1::AgreementAnswer::Withdraw,
        _ => v1::AgreementAnswer::Accept,
    };
    build::answer(label, &AgreementId::of(&terms), answer)
}

/// What people do with what was found: numbers are small, so that some of them exist.
fn decision(choices: &mut Choices<'_>, account: &AccountId, label: &str) -> Body {
    let account = Bytes::copy_from_slice(account.as_bytes());
    let salt = Bytes::copy_from_slice(&build::bytes_of(label));
    let numbers = |choices: &mut Choices<'_>| {
        let first = u64::from(choices.byte() % 8);
        let count = u64::from(choices.byte() % 3);
        (first..first + count).map(|number| v1::ItemNumber { number }).collect()
    };
    match choices.below(4) {
        0 => Body::RunMatching(v1::RunMatching { account, salt }),
        1 => Body::DecideMatch(v1::DecideMatch {
            account,
            comparison: i32::from(choices.byte() % 4),
            first: numbers(choices),
            second: numbers(choices),
            decision: i32::from(choices.byte() % 4),
            commitment: Bytes::new(),
            salt,
        }),
        2 => Body::WorkBreak(Box::new(v1::WorkBreak {
            number: u64::from(choices.byte() % 8),
            action: Some(step(choices, &account)),
            account,
            salt,
        })),
        _ => Body::SignPosition(v1::SignPosition {
            date: DAY + u32::from(choices.byte() % 2),
            credit_count: u64::from(choices.byte() % 2),
            digest: Bytes::copy_from_slice(leaf_hash(b"").as_bytes()),
            account,
            salt,
            ..v1::SignPosition::default()
        }),
    }
}

fn step(choices: &mut Choices<'_>, account: &Bytes) -> Action {
    let central = bic_of("Central");
    let central = AccountId::of(&central, &central, "CHF", "main");
    let kind = i32::from(choices.byte() % 8);
    let pays = [2, 3].contains(&kind);
    let named = |account: &[u8]| if pays { account.to_vec().into() } else { Bytes::new() };
    let offer = v1::ProposeResolution {
        kind,
        amount: if pays { choices.number() } else { 0 },
        debit_account: named(account),
        credit_account: named(central.as_bytes()),
        commitment: Bytes::new(),
    };
    match choices.below(6) {
        0 => Action::Assign(v1::AssignBreak { owner: i32::from(choices.byte() % 3) }),
        1 => Action::Say(v1::SayOfBreak { code: "IPAY".to_owned(), ..v1::SayOfBreak::default() }),
        2 => Action::Propose(offer),
        3 => Action::Agree(v1::AgreeResolution { offer: Some(offer), transfer: None }),
        4 => Action::Decline(v1::DeclineResolution::default()),
        _ => Action::Reopen(v1::ReopenBreak::default()),
    }
}

impl Ledger {
    fn new() -> Ledger {
        let mut chain = Chain::new(Consortium::new(&BANKS, &[("CHF", 2), ("JPY", 0)]));
        let central = bic_of("Central");
        let opening = BANKS.map(|bank| {
            let body = build::open(&central, &bic_of(bank), "CHF", "main");
            crate::scene::plain(&chain.consortium, &format!("open {bank}"), "Central", body)
        });
        chain.execute(NOON_MS + 1, opening.to_vec());
        for (number, owner) in [(0, "Alpha"), (1, "Beta")] {
            let id = AgreementId::of(&terms(number));
            let accept = v1::AgreementAnswer::Accept;
            let steps = [
                ("Central", build::offer(terms(number), NOON_MS + HOUR_MS)),
                (owner, build::answer("accepted", &id, accept)),
            ];
            let sign = |(signer, body)| {
                let label = format!("{signer} agrees on {number}");
                crate::scene::plain(&chain.consortium, &label, signer, body)
            };
            let steps = steps.map(sign);
            chain.execute(NOON_MS + 2 + u64::from(number), steps.to_vec());
        }
        let twin = chain.restored();
        let (mut follower, _) = State::genesis(chain.consortium.genesis.clone());
        chain.entries.iter().for_each(|entry| assert!(snapshots::follows(&mut follower, entry)));
        let now_ms = NOON_MS + 1_000;
        let (sent, decided, settled) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Ledger { chain, twin, follower, now_ms, sent, decided, settled }
    }

    fn account(&self, choices: &mut Choices<'_>) -> AccountId {
        let (servicer, owner) = match choices.below(8) {
            0 => ("Alpha", choices.bank()),
            _ => ("Central", choices.bank()),
        };
        let asset = if choices.below(8) == 0 { "JPY" } else { "CHF" };
        AccountId::of(&bic_of(servicer), &bic_of(owner), asset, "main")
    }

    /// A transfer, mostly between accounts that there are, and out of the signer's own.
    fn transfer(&self, choices: &mut Choices<'_>, signer: &str) -> v1::Transfer {
        let own = |bank: &str| AccountId::of(&bic_of("Central"), &bic_of(bank), "CHF", "main");
        let (debit, credit) = match choices.below(4) {
            0 => (self.account(choices), self.account(choices)),
            _ => (own(signer), own(choices.bank())),
        };
        let balance = self.chain.state.account(&debit).map_or(0, |account| account.balance);
        let balance = u64::try_from(balance).unwrap_or(0);
        let amount = match choices.below(8) {
            0 => balance,
            1 => balance.wrapping_add(1),
            2 => (1 << 63) - 1,
            3 => u64::MAX,
            4 => 1 << 62,
            _ => choices.number(),
        };
        let label = format!("transfer {}", choices.below(24));
        v1::Transfer {
            end_to_end_id: ["", "R1", "R2", "R3"][choices.below(4)].to_owned(),
            settlement_date: [0, 0, DAY, DAY + 1][choices.below(4)],
            ..build::transfer(&label, &debit, &credit, amount)
        }
    }

    fn entry(&self, choices: &mut Choices<'_>, account: &AccountId, label: &str) -> v1::BookEntry {
        let side = [v1::Side::Debit, v1::Side::Credit][choices.below(2)];
        let uetr = uetr_of(&format!("transfer {}", choices.below(24)));
        let named = choices.below(3) > 0;
        v1::BookEntry {
            uetr: if named { uetr.as_bytes().to_vec().into() } else { Bytes::new() },
            end_to_end_id: ["", "R1", "R2", "R3"][choices.below(4)].to_owned(),
            value_date: [0, DAY, DAY + 1][choices.below(3)],
            ..build::book_entry(label, account, side, choices.number(), DAY)
        }
    }

    /// One instruction, by one of the banks, good or not.
    fn order(&self, choices: &mut Choices<'_>, number: usize) -> Bytes {
        let signer = choices.bank();
        let bic = bic_of(signer);
        let label = match choices.below(6) {
            0 => format!("id {}", choices.below(8)),
            _ => format!("number {number}"),
        };
        let id = id_of(&label, self.now_ms);
        let until = match choices.below(16) {
            0 => self.now_ms,
            1 => self.now_ms + 30 * HOUR_MS,
            _ => self.now_ms + HOUR_MS,
        };
        let consortium = &self.chain.consortium;
        let body = match choices.below(16) {
            8..12 => {
                let account = self.account(choices);
                decision(choices, &account, &label)
            }
            0 => {
                build::open(&bic, &bic_of(choices.bank()), ["CHF", "JPY"][choices.below(2)], "main")
            }
            1 => {
                let items: Vec<_> =
                    (0..=choices.below(5)).map(|_| self.transfer(choices, signer)).collect();
                let strict = choices.below(2) == 0;
                let draft = Draft::transfers(id, &bic, until, &items, strict);
                return consortium.sign(&bic, draft);
            }
            2 => {
                let account = self.account(choices);
                let entry = |item| self.entry(choices, &account, &format!("{label} {item}"));
                let items: Vec<_> = (0..3).map(entry).collect();
                return consortium.sign(&bic, Draft::book_entries(id, &bic, until, &items));
            }
            3 => {
                let account = self.account(choices);
                let to = DAY + u32::from(choices.byte() % 3);
                Body::Statement(build::statement(&label, &account, DAY, to))
            }
            4 => return self.again(choices),
            5 => agreement(choices, &label, self.now_ms + HOUR_MS),
            _ => Body::Transfer(self.transfer(choices, signer)),
        };
        let draft = Draft::new(id, &bic, until, body);
        let by = if choices.below(16) == 0 { bic_of(choices.bank()) } else { bic };
        consortium.sign(&by, draft)
    }

    /// What was sent before, as it was or with a changed byte.
    fn again(&self, choices: &mut Choices<'_>) -> Bytes {
        let place = choices.below(64);
        let Some(sent) = self.sent.get(place % self.sent.len().max(1)) else { return Bytes::new() };
        if choices.below(2) == 0 {
            return sent.clone();
        }
        let mut changed = sent.to_vec();
        let at = usize::try_from(choices.number()).unwrap() % changed.len().max(1);
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= choices.byte();
        }
        changed.into()
    }

    fn void(&mut self) {
        let before = (self.chain.state.height(), self.chain.state.header_hash());
        let mut proposal = self.chain.proposal(self.now_ms, Vec::new());
        proposal.header.term = 2;
        let signed = crate::support::chain::sign_proposal(
            &self.chain.consortium,
            proposal.header,
            proposal.instructions,
        );
        let history = self.chain.history.clone();
        assert!(self.chain.commit(signed.clone()).is_none());
        let (applied, _) = execute(&mut self.twin, &history, &signed, self.chain.log());
        assert!(matches!(applied, Applied::Void));
        self.follower.follow(&signed.header);
        assert_eq!(before, (self.chain.state.height(), self.chain.state.header_hash()));
    }

    fn block(&mut self, orders: Vec<Bytes>) {
        let before = self.chain.blocks.last().unwrap().header.clone();
        let proposal = self.chain.proposal(self.now_ms, orders.clone());
        let history = self.chain.history.clone();
        let (block, decisions) = self.chain.commit(proposal.clone()).expect("it is in its place");
        let (applied, _) = execute(&mut self.twin, &history, &proposal, self.chain.log());
        let Applied::Block(twin, again) = applied else { panic!("void after a restart") };
        assert_eq!((&twin.header, &again), (&block.header, &decisions));
        assert_eq!(self.twin.core(), self.chain.state.core());
        assert!(snapshots::follows(&mut self.follower, self.chain.entries.last().unwrap()));
        assert_eq!(self.follower.core(), self.chain.state.core());
        let header = &block.header;
        assert_eq!((header.height, header.previous), (before.height + 1, before.hash()));
        assert!(header.block_time_ms > before.block_time_ms);
        self.once(&orders, &decisions);
        self.money(&block);
        self.roots(&block);
    }

    /// An id is decided once, and whoever sends it again is told where.
    fn once(&mut self, orders: &[Bytes], decisions: &[Decision]) {
        assert_eq!(orders.len(), decisions.len());
        for (bytes, decision) in orders.iter().zip(decisions) {
            let Ok(order) = Instruction::decode(bytes.clone()) else {
                assert!(matches!(decision, Decision::Refused(_)));
                continue;
            };
            let key = (order.institution.to_string(), *order.id.as_bytes());
            match decision {
                Decision::Decided(position) => {
                    let known = self.decided.insert(key, *position);
                    assert_eq!(known, None, "an id was decided twice");
                }
                Decision::Replayed(position) => {
                    assert_eq!(self.decided.get(&key), Some(position));
                }
                Decision::Refused(_) => {}
            }
        }
    }

    /// Money is conserved, nothing is overdrawn, and a UETR settles once for each debited account.
    fn money(&mut self, block: &Block) {
        let state = &self.chain.state;
        let mut sums: BTreeMap<_, i128> = BTreeMap::new();
        for account in state.accounts() {
            *sums.entry((account.servicer, account.asset.clone())).or_default() += account.balance;
            assert!(account.balance >= 0 || account.is_issuance(), "{account:?}");
        }
        assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
        for pair in block.movements.chunks(2) {
            let [debit, credit] = pair else { panic!("a posting without its counterpart") };
            assert_eq!((debit.side, credit.side), (Side::Debit, Side::Credit));
            assert_eq!((debit.amount, debit.position), (credit.amount, credit.position));
        }
        assert_eq!(block.transfers.len() * 2, block.movements.len());
        for (transfer, pair) in block.transfers.iter().zip(block.movements.chunks(2)) {
            let debited = state.account_at(pair[0].account).unwrap().id;
            assert!(self.settled.insert((transfer.uetr, debited)), "a UETR settled twice");
        }
        let settled = block.leaves.iter().filter(|it| it.outcome.state == OutcomeState::Settled);
        assert_eq!(settled.count(), block.transfers.len());
    }

    /// The roots are those of their definitions, and storage was told of every change.
    fn roots(&self, block: &Block) {
        let state = &self.chain.state;
        let earlier = &self.chain.blocks[..self.chain.blocks.len() - 1];
        let hashes: Vec<Hash> = earlier.iter().map(|it| leaf_hash(it.hash.as_bytes())).collect();
        assert_eq!(block.header.history_root, root_by_definition(&hashes));
        if let Some(root) = block.header.accounts_root {
            let leaves: Vec<Hash> =
                state.accounts().iter().map(|account| leaf_hash(&account.leaf())).collect();
            assert_eq!(root, root_by_definition(&leaves));
        }
        for account in state.accounts() {
            let stored = self.chain.accounts.get(&account.ordinal);
            assert_eq!(stored, Some(&account.encode()), "storage was not told of a change");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::mutator;
    use crate::random::Random;

    #[test]
    fn sequences_reach_every_kind_of_verdict() {
        let (seeds, mut random) = (seeds(), Random::new(7));
        let changed: Vec<_> = (0..60).map(|_| mutator::mutated(&mut random, &seeds)).collect();
        let mut reached: BTreeMap<String, usize> = BTreeMap::new();
        for bytes in seeds.iter().chain(&changed) {
            let chain = executed(bytes).chain;
            for leaf in chain.blocks.iter().flat_map(|block| &block.leaves) {
                let verdict = format!("{:?} {:?}", leaf.outcome.state, leaf.outcome.reason);
                *reached.entry(verdict).or_default() += 1;
            }
        }
        println!("{reached:#?}");
        assert!(reached.get("Settled None") > Some(&50), "{reached:#?}");
        for state in [
            "Settled",
            "Recorded",
            "Itemised",
            "InsufficientFunds",
            "AccountExists",
            "BreakUnknown",
            "NotReconciled",
        ] {
            assert!(reached.keys().any(|verdict| verdict.contains(state)), "{state}: {reached:#?}");
        }
    }
}
