//! The instructions that a node sees to: bounded in number and bytes, in all and for each
//! institution, so that nobody's requests crowd out another's.

use std::collections::BTreeMap;
use std::time::Instant;

use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;

use super::distrust::Leader;
use crate::limits;

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
    /// To whom it was handed last, and when.
    pub handed: Option<(Leader, Instant)>,
}

/// All of them, by the number in which they came.
#[derive(Default)]
pub struct Held {
    items: BTreeMap<u64, Item>,
    numbers: BTreeMap<Hash, u64>,
    next: u64,
    bytes: usize,
}

impl Held {
    /// One of them, by the hash of the instruction.
    pub fn get_mut(&mut self, hash: &Hash) -> Option<&mut Item> {
        self.items.get_mut(self.numbers.get(hash)?)
    }

    /// Takes one more. False if there is no room for it.
    pub fn insert(&mut self, prepared: Prepared, since: Instant, promised_ms: Option<u64>) -> bool {
        let institution = prepared.instruction.institution;
        let bytes = prepared.instruction.bytes.len();
        let (count, of_institution) = self.share(&institution);
        if self.items.len() >= limits::HELD_INSTRUCTIONS_MAX
            || count >= limits::HELD_INSTRUCTIONS_PER_INSTITUTION_MAX
            || self.bytes + bytes > limits::HELD_BYTES_MAX
            || of_institution + bytes > limits::HELD_BYTES_PER_INSTITUTION_MAX
        {
            return false;
        }
        self.numbers.insert(prepared.instruction.hash, self.next);
        let item = Item { prepared, since, promised_ms, broken: false, handed: None };
        self.items.insert(self.next, item);
        self.next += 1;
        self.bytes += bytes;
        true
    }

    /// Looks at each, the oldest first, and keeps those for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut Item) -> bool) {
        let (numbers, bytes) = (&mut self.numbers, &mut self.bytes);
        self.items.retain(|_, item| {
            let kept = keep(item);
            if !kept {
                numbers.remove(&item.prepared.instruction.hash);
                *bytes -= item.prepared.instruction.bytes.len();
            }
            kept
        });
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    fn share(&self, institution: &Bic) -> (usize, usize) {
        let own = self.items.values().map(|item| &item.prepared.instruction);
        own.filter(|own| own.institution == *institution)
            .fold((0, 0), |(count, bytes), own| (count + 1, bytes + own.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
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
        let share = limits::HELD_INSTRUCTIONS_PER_INSTITUTION_MAX;
        for number in 0..share {
            assert!(held.insert(prepared(number), now, None));
        }
        let more = prepared(share);
        assert!(!held.insert(more.clone(), now, None));
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
        assert!(held.insert(more, now, None), "there is room again");
        held.retain(|_| false);
        assert_eq!((held.len(), held.bytes, held.numbers.len()), (0, 0, 0));
    }
}
