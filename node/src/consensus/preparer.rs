//! The costly checks of proposals, done once a node and ahead of apply: on the leader when an
//! instruction is admitted, on a follower while the entry is being stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use counterfoil_ledger::apply;
use counterfoil_ledger::apply::Prepared;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::Body;
use counterfoil_ledger::merkle;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::registry::Registry;
use tokio::task::JoinHandle;

use super::checked::Checked;
use crate::blocking;
use crate::defect;
use crate::defect::Defect;
use crate::limits;

/// A proposal after the checks that need no state.
pub struct PreparedProposal {
    /// The proposal.
    pub proposal: Proposal,
    /// Its signature is its proposer's and its root is its instructions'.
    pub holds: bool,
    /// Its instructions, in order.
    pub instructions: Vec<Result<Prepared, Reason>>,
}

/// Prepares proposals and keeps the last few until apply takes them.
pub struct Preparer {
    registry: Arc<Registry>,
    chain_id: Hash,
    checked: Arc<Checked>,
    ready: Mutex<VecDeque<(Bytes, Slot)>>,
}

enum Slot {
    Ready(Box<PreparedProposal>),
    Underway(JoinHandle<PreparedProposal>),
}

impl Preparer {
    /// Prepares for one chain.
    pub fn new(registry: Arc<Registry>, chain_id: Hash) -> Preparer {
        Preparer { registry, chain_id, checked: Arc::default(), ready: Mutex::new(VecDeque::new()) }
    }

    /// Checks one instruction.
    pub fn instruction(&self, bytes: Bytes) -> Result<Prepared, Reason> {
        check_one(bytes, &self.registry, &self.chain_id)
    }

    /// Remembers an instruction that this node hands to the leader: it comes back in a proposal.
    pub fn remember(&self, prepared: &Prepared) {
        let leaf = merkle::leaf_hash(&prepared.instruction.bytes);
        self.checked.keep(leaf, prepared.clone());
    }

    /// Keeps a proposal that this node has built of instructions that it has checked.
    pub fn keep(&self, bytes: Bytes, prepared: PreparedProposal) {
        self.put(bytes, Slot::Ready(Box::new(prepared)));
    }

    /// Judges proposals that have just arrived. If each of them is one, and its proposer's, begins to
    /// check the instructions of the first of them.
    pub async fn begin(&self, arrived: Vec<Bytes>) -> bool {
        let unknown: Vec<Bytes> = arrived.into_iter().filter(|it| !self.has(it)).collect();
        if unknown.is_empty() {
            return true;
        }
        let (registry, chain_id) = (self.registry.clone(), self.chain_id);
        let judging = blocking::aside(move || {
            let judge = |bytes: Bytes| {
                let judged = Judged::of(&bytes, &registry, &chain_id)?;
                judged.holds.then_some((bytes, judged))
            };
            unknown.into_iter().map(judge).collect::<Option<Vec<_>>>()
        });
        let Ok(Some(judged)) = judging.await else { return false };
        // More than are kept would displace those that are executed first.
        for (bytes, judged) in judged.into_iter().take(limits::PREPARED_PROPOSALS_MAX) {
            let (registry, chain_id) = (self.registry.clone(), self.chain_id);
            let checked = self.checked.clone();
            let work = blocking::aside(move || judged.prepare(&registry, &chain_id, &checked));
            self.put(bytes, Slot::Underway(work));
        }
        true
    }

    /// The prepared proposal of an entry; none if its bytes are no proposal at all.
    pub async fn take(&self, bytes: &Bytes) -> Option<PreparedProposal> {
        match self.find(bytes) {
            Some(Slot::Ready(prepared)) => return Some(*prepared),
            Some(Slot::Underway(work)) => {
                if let Ok(prepared) = work.await {
                    return Some(prepared);
                }
            }
            None => {}
        }
        blocking::in_place(|| {
            let judged = Judged::of(bytes, &self.registry, &self.chain_id)?;
            Some(judged.prepare(&self.registry, &self.chain_id, &self.checked))
        })
        .await
    }

    fn put(&self, bytes: Bytes, slot: Slot) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        while ready.len() >= limits::PREPARED_PROPOSALS_MAX {
            ready.pop_front();
        }
        ready.push_back((bytes, slot));
    }

    fn has(&self, bytes: &Bytes) -> bool {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.iter().any(|(kept, _)| kept == bytes)
    }

    fn find(&self, bytes: &Bytes) -> Option<Slot> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        // The bytes themselves are compared: what was checked is what is executed.
        let place = ready.iter().position(|(kept, _)| kept == bytes)?;
        ready.remove(place).map(|(_, slot)| slot)
    }
}

/// A proposal, and whether it is its proposer's.
struct Judged {
    proposal: Proposal,
    leaves: Vec<Hash>,
    holds: bool,
}

impl Judged {
    /// None if the bytes are no proposal at all.
    fn of(bytes: &Bytes, registry: &Registry, chain_id: &Hash) -> Option<Judged> {
        let proposal = Proposal::decode(bytes)?;
        let leaves: Vec<Hash> =
            proposal.instructions.iter().map(|bytes| merkle::leaf_hash(bytes)).collect();
        let holds = merkle::root_of(leaves.iter().copied()) == proposal.header.instructions_root
            && apply::proposal_signed(&proposal, registry, chain_id);
        Some(Judged { proposal, leaves, holds })
    }

    /// With its instructions checked.
    fn prepare(self, registry: &Registry, chain_id: &Hash, checked: &Checked) -> PreparedProposal {
        let Judged { proposal, leaves, holds } = self;
        let check = |leaf: &Hash, bytes: &Bytes| match checked.take(leaf, bytes) {
            Some(prepared) => Ok(prepared),
            None => check_one(bytes.clone(), registry, chain_id),
        };
        let instructions = prepare_all(&proposal.instructions, &leaves, &check);
        PreparedProposal { proposal, holds, instructions }
    }
}

/// An instruction after the checks that need no state.
fn check_one(bytes: Bytes, registry: &Registry, chain_id: &Hash) -> Result<Prepared, Reason> {
    let mut prepared = Prepared::new(bytes, registry, chain_id)?;
    if defect::is(Defect::UncheckedSignature) {
        prepared.signature_valid |= matches!(prepared.instruction.body, Body::OpenAccount(_));
    }
    Ok(prepared)
}

/// Instructions whose signatures are worth a thread of their own.
const INSTRUCTIONS_PER_THREAD: usize = 32;

fn prepare_all(
    instructions: &[Bytes],
    leaves: &[Hash],
    check: &(impl Fn(&Hash, &Bytes) -> Result<Prepared, Reason> + Sync),
) -> Vec<Result<Prepared, Reason>> {
    let check_part = |instructions: &[Bytes], leaves: &[Hash]| -> Vec<_> {
        leaves.iter().zip(instructions).map(|(leaf, bytes)| check(leaf, bytes)).collect()
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(instructions.len().div_ceil(INSTRUCTIONS_PER_THREAD));
    if threads <= 1 {
        return check_part(instructions, leaves);
    }
    let share = instructions.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts: Vec<_> = instructions
            .chunks(share)
            .zip(leaves.chunks(share))
            .map(|(instructions, leaves)| {
                let check_part = &check_part;
                scope.spawn(move || check_part(instructions, leaves))
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().expect("checking an instruction does not panic"))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::id::InstructionId;
    use counterfoil_ledger::instruction::Draft;
    use counterfoil_ledger::signature::SoftwareSigner;
    use counterfoil_proto::v1;
    use prost::Message;

    use super::*;
    use crate::consensus::suite;

    /// Whether a signature over this counts, as it is and with a flipped bit.
    fn counts(body: v1::instruction::Body) -> [bool; 2] {
        let genesis = suite::genesis();
        let chain_id = genesis.chain_id();
        let preparer = Preparer::new(Arc::new(Registry::of(&genesis)), chain_id);
        let bic = Bic::parse("BANKCHZZXXX").unwrap();
        let draft = Draft::new(InstructionId::new(1, [1; 10]), &bic, 1, body);
        let signer = SoftwareSigner::from_ed25519_seed(&[1; 32]);
        let good = draft.sign(&signer, &chain_id).unwrap();
        let mut bad = good.clone();
        let mut value = good.signatures[0].value.to_vec();
        value[40] ^= 1;
        bad.signatures[0].value = value.into();
        [good, bad].map(|signed| {
            preparer.instruction(signed.encode_to_vec().into()).unwrap().signature_valid
        })
    }

    #[test]
    fn a_signature_is_checked_whatever_is_signed() {
        let open = v1::OpenAccount {
            servicer: "BANKCHZZXXX".to_owned(),
            owner: "BANKCHZZXXX".to_owned(),
            asset: "CHF".to_owned(),
            name: "one".to_owned(),
        };
        assert_eq!(counts(v1::instruction::Body::OpenAccount(open)), [true, false]);
        let statement = v1::Statement {
            account: Bytes::from_static(&[1; 16]),
            statement_id: "S".to_owned(),
            from_date: 20_261_123,
            to_date: 20_261_123,
            salt: Bytes::from_static(&[2; 16]),
            ..v1::Statement::default()
        };
        assert_eq!(counts(v1::instruction::Body::Statement(statement)), [true, false]);
    }
}
