//! What must hold in the end: the chain is read again from its bytes, and what clients were told is
//! compared with it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::Body;
use counterfoil_ledger::instruction::Instruction;
use counterfoil_ledger::instruction::Transfer;
use counterfoil_ledger::outcome::Event;
use counterfoil_ledger::outcome::State;
use counterfoil_node::consensus::replica::Replica;

use crate::clients;
use crate::history::History;
use crate::history::Mode;
use crate::history::Told;
use crate::history::What;
use crate::host::Host;
use crate::observer::Observer;
use crate::observer::Violation;

type Key = (String, [u8; 16]);

/// What the bytes of the chain say, reckoned without the ledger's rules.
#[derive(Default)]
struct Chain {
    /// Where each id was decided.
    decided: BTreeMap<Key, (Hash, Position)>,
    /// Each account's balance after the heights at which it changed.
    balances: BTreeMap<AccountId, Vec<(u64, i128)>>,
    opened: BTreeMap<AccountId, u64>,
    uetrs: BTreeSet<([u8; 16], AccountId)>,
}

/// What a simulation came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Blocks beyond the genesis.
    pub blocks: u64,
    /// Transfers that settled.
    pub settled: u64,
    /// Orders that were reported final.
    pub reported: u64,
    /// Reads that were answered.
    pub reads: u64,
}

/// Checks everything, once all nodes stand at the same height.
pub fn check(hosts: &[Host], observer: &Observer, history: &History) -> Result<Totals, Violation> {
    let mut replicas = hosts.iter().filter_map(Host::replica);
    let first = replicas.next().ok_or("no node runs")?;
    let height = *first.height().borrow();
    let mut chain = Chain::default();
    for height in 1..=height {
        chain.read(&first, height)?;
    }
    for host in hosts {
        let replica = host.replica().ok_or("a node does not run")?;
        for height in 0..=height {
            let header = replica.store().header(height).ok().flatten();
            if header.map(|header| header.hash()).as_ref() != observer.hash(height) {
                return Err(format!("node {} has another header of height {height}", host.node));
            }
        }
        chain.check_accounts(host.node, &replica)?;
        chain.check_told(host.node, &replica, history)?;
    }
    chain.check_order(history)?;
    let reads = chain.check_reads(history)?;
    let told = history.asked.iter().filter_map(|asked| asked.answer());
    let reported = told.filter(|told| matches!(told, Told::Final(..))).count() as u64;
    let settled = chain.uetrs.len() as u64;
    Ok(Totals { blocks: height, settled, reported, reads })
}

impl Chain {
    fn read(&mut self, replica: &Replica, height: u64) -> Result<(), Violation> {
        let block = replica.store().block(height).ok().flatten();
        let block = block.ok_or_else(|| format!("block {height} cannot be read"))?;
        let mut numbered = (0..).zip(&block.leaves).peekable();
        while let Some((leaf, record)) = numbered.next() {
            let place = usize::try_from(record.instruction).expect("a place in a block");
            let bytes = block.proposal.instructions.get(place);
            let bytes = bytes.ok_or_else(|| format!("block {height} lacks instruction {place}"))?;
            let instruction = Instruction::decode(bytes.clone())
                .map_err(|_| format!("block {height} decided what is no instruction"))?;
            let key = (instruction.institution.as_str().to_owned(), *instruction.id.as_bytes());
            let position = Position { height, leaf };
            if self.decided.insert(key, (instruction.hash, position)).is_some() {
                return Err(format!("an id was decided again at height {height}"));
            }
            let settled =
                |state: State, event| state == State::Settled && event == Event::TransferPosted;
            match &instruction.body {
                Body::OpenAccount(open) if record.outcome.event == Event::AccountOpened => {
                    let asset = open.asset.as_str();
                    let id = AccountId::of(&open.servicer, &open.owner, asset, &open.name);
                    self.opened.insert(id, height);
                }
                Body::Transfer(transfer) if settled(record.outcome.state, record.outcome.event) => {
                    self.post(height, transfer)?;
                }
                Body::Transfers { items, .. } => {
                    let own = record.instruction;
                    while let Some((_, item)) = numbered.next_if(|(_, it)| it.instruction == own) {
                        let number = usize::try_from(item.item).expect("few items");
                        if settled(item.outcome.state, item.outcome.event) {
                            self.post(height, &items[number - 1].1)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn post(&mut self, height: u64, transfer: &Transfer) -> Result<(), Violation> {
        if !self.uetrs.insert((*transfer.uetr.as_bytes(), transfer.debit)) {
            return Err(format!("a UETR has settled twice at height {height}"));
        }
        let amount = i128::from(transfer.amount);
        for (account, change) in [(transfer.debit, -amount), (transfer.credit, amount)] {
            let balances = self.balances.entry(account).or_default();
            let before = balances.last().map_or(0, |(_, balance)| *balance);
            balances.push((height, before + change));
        }
        Ok(())
    }

    fn balance(&self, account: &AccountId, height: u64) -> Option<i128> {
        if self.opened.get(account).is_none_or(|opened| *opened > height) {
            return None;
        }
        let all = self.balances.get(account).map_or(&[][..], Vec::as_slice);
        let to = all.partition_point(|(changed, _)| *changed <= height);
        Some(to.checked_sub(1).map_or(0, |last| all[last].1))
    }

    /// Money is conserved, and is where the settled transfers have put it.
    fn check_accounts(&self, node: u64, replica: &Replica) -> Result<(), Violation> {
        let state = replica.state();
        let height = state.height();
        if state.accounts().len() != self.opened.len() {
            return Err(format!("node {node} has {} accounts", state.accounts().len()));
        }
        let mut sum = 0;
        for account in state.accounts() {
            sum += account.balance;
            if Some(account.balance) != self.balance(&account.id, height) {
                return Err(format!("node {node}: account {} has another balance", account.id));
            }
            if account.balance < 0 && !account.is_issuance() {
                return Err(format!("node {node}: account {} is overdrawn", account.id));
            }
        }
        if sum != 0 {
            return Err(format!("node {node}: the balances add up to {sum}"));
        }
        Ok(())
    }

    /// What was reported final stands on every node, and an id that was decided is found by every node.
    fn check_told(&self, node: u64, replica: &Replica, history: &History) -> Result<(), Violation> {
        for (place, issued) in history.issued.iter().enumerate() {
            let key = (issued.institution.as_str().to_owned(), *issued.id.as_bytes());
            let found = replica.find(&issued.institution, &issued.id);
            let found = found.map_err(|cause| format!("node {node}: {cause}"))?;
            if found != self.decided.get(&key).copied() {
                return Err(format!("node {node} finds instruction {place} at {found:?}"));
            }
        }
        for asked in &history.asked {
            let (What::Submit(place), Some(Told::Final(position, outcome))) =
                (&asked.what, asked.answer())
            else {
                continue;
            };
            let issued = &history.issued[*place];
            let found = replica.find(&issued.institution, &issued.id).ok().flatten();
            if found != Some((issued.hash, *position)) {
                return Err(format!(
                    "what node {} reported final at {position:?} is at {found:?} on node {node}",
                    asked.node
                ));
            }
            if clients::outcome(replica, *position).as_ref() != Some(outcome) {
                return Err(format!("node {node} has another outcome at {position:?}"));
            }
        }
        Ok(())
    }

    /// What was asked for after something else was final comes after it.
    fn check_order(&self, history: &History) -> Result<(), Violation> {
        let mut first_asked: BTreeMap<usize, u64> = BTreeMap::new();
        for asked in &history.asked {
            let What::Submit(place) = asked.what else { continue };
            first_asked.entry(place).or_insert(asked.final_before);
        }
        for (place, final_before) in first_asked {
            let issued = &history.issued[place];
            let key = (issued.institution.as_str().to_owned(), *issued.id.as_bytes());
            if let Some((_, position)) = self.decided.get(&key)
                && position.height <= final_before
            {
                return Err(format!(
                    "instruction {place} stands before what was final when it was sent"
                ));
            }
        }
        Ok(())
    }

    fn check_reads(&self, history: &History) -> Result<u64, Violation> {
        let mut reads = 0;
        for asked in &history.asked {
            let (What::Read(mode, account), Some(Told::Balance(height, balance))) =
                (&asked.what, asked.answer())
            else {
                continue;
            };
            reads += 1;
            if *balance != self.balance(account, *height) {
                return Err(format!(
                    "node {} read {balance:?} at height {height} ({mode:?}), and it is {:?}",
                    asked.node,
                    self.balance(account, *height)
                ));
            }
            debug_assert!(matches!(mode, Mode::Stale | Mode::Ordered | Mode::Final));
        }
        Ok(reads)
    }
}
