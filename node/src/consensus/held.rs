//! The instructions that a node sees to: bounded in number and bytes, in all and for each
//! institution, so that nobody's requests crowd out another's.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::hash::Hash;

use super::admission::Admission;
use super::admission::Full;
use super::admission::Room;
use super::distrust::Leader;
use crate::limits;
use crate::telemetry::excess::Bound;

/// One of them.
pub struct Item {
    /// Checked.
    pub prepared: Prepared,
    /// Since when this node knows of it.
    pub since: Instant,
    /// The moment that this node has promised, if it was this node that was asked.
    pub promised_ms: Option<u64>,
    /// The promise was broken, and that was counted.
    pub broken: bool,
    /// How it stands with its leader.
    pub handing: Handing,
    /// Of what its institution may have held.
    pub room: Room,
}

/// An instruction on its way to a leader.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handing {
    /// To whom it is handed.
    pub leader: Option<Leader>,
    /// When that was tried last.
    pub tried: Option<Instant>,
    /// It is under way, or the leader has taken it.
    pub is_under_way: bool,
    /// The leader has said that it sees to it, or is this node.
    pub is_taken: bool,
    /// For how long this leader has had it, and could have brought something into a block.
    pub left_out: Duration,
    /// For how long this leader has brought in others' and not taken it.
    pub not_taken: Duration,
}

/// What a leader had of the time since the last look.
#[derive(Clone, Copy)]
pub struct Had {
    /// It could have brought something in.
    pub could: Duration,
    /// It did.
    pub brought: Duration,
}

impl Handing {
    /// Counts the time that this leader has had. A new one begins anew.
    pub fn count(&mut self, leader: Leader, had: Had) {
        if self.leader != Some(leader) {
            *self = Handing { leader: Some(leader), ..Handing::default() };
        } else if self.is_taken {
            self.left_out += had.could;
        } else if self.tried.is_some() {
            self.not_taken += had.brought;
        }
    }

    /// Whether its leader had time enough. One that has not taken it is not to blame for that: it may
    /// not have been reached, or have no room. But one that goes on with others' business all the time
    /// and takes nothing of it is no leader: who censors would else only have to refuse it.
    pub fn is_to_blame(&self) -> bool {
        if self.is_taken {
            self.left_out >= limits::INCLUSION_TIME / 2
        } else {
            self.not_taken >= limits::INCLUSION_TIME
        }
    }
}

/// All of them, by the number in which they came.
pub struct Held {
    items: BTreeMap<u64, Item>,
    numbers: BTreeMap<Hash, u64>,
    next: u64,
    admission: Admission,
}

impl Default for Held {
    fn default() -> Held {
        let admission = Admission::new(limits::HELD, Bound::Promises);
        Held { items: BTreeMap::new(), numbers: BTreeMap::new(), next: 0, admission }
    }
}

impl Held {
    /// One of them, by the hash of the instruction.
    pub fn get_mut(&mut self, hash: &Hash) -> Option<&mut Item> {
        self.items.get_mut(self.numbers.get(hash)?)
    }

    /// Takes one more, if there is room for it.
    pub fn insert(
        &mut self,
        prepared: Prepared,
        since: Instant,
        promised_ms: Option<u64>,
    ) -> Result<(), Full> {
        let room = self.admission.room(&prepared.instruction)?;
        self.numbers.insert(prepared.instruction.hash, self.next);
        let handing = Handing::default();
        let item = Item { prepared, since, promised_ms, broken: false, handing, room };
        self.items.insert(self.next, item);
        self.next += 1;
        Ok(())
    }

    /// Looks at each, the oldest first, and keeps those for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut Item) -> bool) {
        let numbers = &mut self.numbers;
        self.items.retain(|_, item| {
            let kept = keep(item);
            if !kept {
                numbers.remove(&item.prepared.instruction.hash);
            }
            kept
        });
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::id::InstructionId;
    use counterfoil_ledger::instruction::Draft;
    use counterfoil_ledger::registry::Registry;
    use counterfoil_ledger::signature::SoftwareSigner;
    use counterfoil_proto::v1;
    use prost::Message;

    use super::*;
    use crate::consensus::suite;

    fn prepared(number: usize) -> Prepared {
        let genesis = suite::genesis();
        let bic = Bic::parse("BANKCHZZXXX").unwrap();
        let open = v1::OpenAccount {
            servicer: bic.to_string(),
            owner: bic.to_string(),
            asset: "CHF".to_owned(),
            name: format!("{number}"),
        };
        let body = v1::instruction::Body::OpenAccount(open);
        let signer = SoftwareSigner::from_ed25519_seed(&[1; 32]);
        let draft = Draft::new(InstructionId::new(1, [1; 10]), &bic, 1, body);
        let signed = draft.sign(&signer, &genesis.chain_id()).unwrap();
        let registry = Registry::of(&genesis);
        Prepared::new(signed.encode_to_vec().into(), &registry, &genesis.chain_id()).unwrap()
    }

    #[test]
    fn an_institution_has_its_share_and_the_oldest_come_first() {
        let (mut held, now) = (Held::default(), Instant::now());
        let share = limits::HELD.most[0];
        for number in 0..share {
            held.insert(prepared(number), now, None).unwrap();
        }
        let more = prepared(share);
        assert!(held.insert(more.clone(), now, None).is_err());
        assert!(held.get_mut(&more.instruction.hash).is_none());
        let second = prepared(1).instruction.hash;
        assert!(held.get_mut(&second).is_some());
        let mut seen = Vec::new();
        held.retain(|item| {
            seen.push(item.prepared.instruction.hash);
            item.prepared.instruction.hash != second
        });
        let came: Vec<Hash> = (0..share).map(|number| prepared(number).instruction.hash).collect();
        assert_eq!(seen, came);
        assert!(held.get_mut(&second).is_none());
        held.insert(more, now, None).expect("there is room again");
        held.retain(|_| false);
        assert_eq!((held.len(), held.numbers.len()), (0, 0));
        assert!(held.admission.taken().is_empty());
    }

    #[test]
    fn a_leader_that_was_not_told_is_not_to_blame() {
        let (leader, second) = (Leader { node: 2, term: 7 }, Duration::from_secs(1));
        let next = Leader { node: 3, term: 8 };
        let idle = Had { could: second, brought: Duration::ZERO };
        let busy = Had { could: second, brought: second };
        let after = |handing: Handing, seconds: u64, had: Had| {
            let mut handing = handing;
            (0..seconds).for_each(|_| handing.count(leader, had));
            handing.is_to_blame()
        };
        let untried = Handing { leader: Some(leader), ..Handing::default() };
        assert!(!after(untried, 60, busy));
        let refused = Handing { tried: Some(Instant::now()), ..untried };
        assert!(!after(refused, 60, idle), "not reached, or without room");
        assert!(!after(refused, 4, busy));
        assert!(after(refused, 5, busy), "others' business has room");
        let taken = Handing { is_taken: true, ..refused };
        assert!(!after(taken, 2, idle));
        assert!(after(taken, 3, idle));
        let stopped = Had { could: Duration::ZERO, ..idle };
        assert!(!after(taken, 60, stopped), "nobody may bring anything in");
        let mut handing = Handing { left_out: second * 60, ..taken };
        handing.count(next, busy);
        assert!(!handing.is_to_blame() && !handing.is_taken && handing.leader == Some(next));
    }
}
