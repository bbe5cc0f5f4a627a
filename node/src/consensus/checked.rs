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

#[cfg(test)]
mod tests {
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::id::InstructionId;
    use counterfoil_ledger::instruction::Draft;
    use counterfoil_ledger::merkle;
    use counterfoil_ledger::registry::Registry;
    use counterfoil_ledger::signature::SoftwareSigner;
    use counterfoil_proto::v1;
    use prost::Message;

    use super::*;
    use crate::consensus::suite;

    fn prepared(number: u8) -> (Hash, Prepared) {
        let genesis = suite::genesis();
        let bic = Bic::parse("BANKCHZZXXX").unwrap();
        let open = v1::OpenAccount {
            servicer: bic.to_string(),
            owner: bic.to_string(),
            asset: "CHF".to_owned(),
            name: format!("{number}"),
        };
        let body = v1::instruction::Body::OpenAccount(open);
        let id = InstructionId::new(1, [number; 10]);
        let signer = SoftwareSigner::from_ed25519_seed(&[1; 32]);
        let signed = Draft::new(id, &bic, 1, body).sign(&signer, &genesis.chain_id()).unwrap();
        let bytes: Bytes = signed.encode_to_vec().into();
        let registry = Registry::of(&genesis);
        let prepared = Prepared::new(bytes.clone(), &registry, &genesis.chain_id()).unwrap();
        assert!(prepared.signature_valid);
        (merkle::leaf_hash(&bytes), prepared)
    }

    #[test]
    fn comes_back_once_and_only_for_the_same_bytes() {
        let checked = Checked::default();
        let (leaf, one) = prepared(1);
        let (_, other) = prepared(2);
        checked.keep(leaf, one.clone());
        checked.keep(leaf, one.clone());
        assert!(checked.take(&leaf, &one.instruction.bytes).is_some());
        assert!(checked.take(&leaf, &one.instruction.bytes).is_none());
        checked.keep(leaf, one);
        assert!(checked.take(&leaf, &other.instruction.bytes).is_none());
        assert_eq!(checked.lock().bytes, 0);
    }

    #[test]
    fn the_oldest_are_forgotten_at_the_bound() {
        let checked = Checked::default();
        let (first_leaf, first) = prepared(1);
        checked.keep(first_leaf, first.clone());
        // Instructions of another leaf each, until the first no longer fits.
        let size = first.instruction.bytes.len();
        for number in 0..limits::CHECKED_BYTES_MAX / size {
            checked.keep(Hash::of(&number.to_be_bytes()), first.clone());
        }
        assert!(checked.lock().bytes <= limits::CHECKED_BYTES_MAX);
        assert!(checked.take(&first_leaf, &first.instruction.bytes).is_none());
    }
}
