//! Receipts: assembled from stored blocks and certificates. A block is opened once for all receipts
//! of its leaves, and the way from its header to a certified one is looked for once.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::history::StoredBlock;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::prove;
use counterfoil_ledger::registry::Registry;
use counterfoil_proto::v1;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tonic::Status;

use super::reading;
use super::status;
use super::turns;
use super::visibility::Scope;
use crate::consensus::answer;
use crate::consensus::answer::Subject;
use crate::consensus::replica::Replica;
use crate::limits;

/// A block from which receipts are made.
type Prover = prove::Prover<Arc<StoredBlock>>;

/// Makes receipts.
pub(super) struct Receipts {
    replica: Arc<Replica>,
    /// Of every block: rule version 1 changes nothing in it.
    registry: Arc<Registry>,
    provers: Cache<u64, Arc<Prover>, ProverWeight>,
    seals: Cache<u64, Arc<Seal>>,
}

/// What makes a header final: a certificate, and the way from the header to the one in it.
pub(super) struct Seal {
    /// Empty if the header is the certified one.
    pub(super) history_path: Vec<Bytes>,
    /// Of that header or a later one.
    pub(super) certificate: v1::Certificate,
}

/// What is told of an instruction that was decided.
pub(super) struct Told {
    /// What became of it.
    pub(super) result: v1::InstructionResult,
    /// Why that is so.
    pub(super) receipt: v1::Receipt,
    /// And of its items, if it is a batch.
    pub(super) batch: Option<v1::BatchProof>,
}

#[derive(Clone)]
struct ProverWeight;

impl Weighter<u64, Arc<Prover>> for ProverWeight {
    fn weight(&self, _: &u64, prover: &Arc<Prover>) -> u64 {
        let block = prover.block();
        let instructions = block.proposal.instructions.iter().map(|bytes| bytes.len() + 256);
        // A leaf with its record, and two nodes of the tree.
        let leaves = block.leaves.iter().map(|leaf| leaf.effects.len() + 320);
        let bytes = instructions.sum::<usize>() + leaves.sum::<usize>() + 1024;
        u64::try_from(bytes).expect("a block is bounded in bytes")
    }
}

impl Receipts {
    /// Makes those of a node.
    pub(super) fn of(replica: Arc<Replica>) -> Receipts {
        let registry = Arc::new(replica.state().registry().clone());
        let bytes = limits::RECEIPT_BLOCKS_BYTES_MAX;
        Receipts {
            replica,
            registry,
            provers: Cache::with_weighter(limits::RECEIPT_SEALS_MAX, bytes, ProverWeight),
            seals: Cache::new(limits::RECEIPT_SEALS_MAX),
        }
    }

    /// What is told of an instruction whose own leaf is at a position that this node has executed.
    pub(super) async fn told(
        &self,
        subject: &Subject<'_>,
        position: Position,
        replayed: bool,
    ) -> Result<Told, Status> {
        let prover = self.prover(position.height).await?;
        let block = prover.block();
        let astray = || status::inconsistent("an instruction");
        let result = answer::result(subject, &block.header, &block.leaves, position, replayed);
        let mut result = result.ok_or_else(astray)?;
        let receipt = self.assemble(&prover, position).await?;
        result.finality = finality(&receipt).into();
        let batch = if result.items.is_empty() {
            None
        } else {
            Some(made(&prover, move |prover| prover.batch(position.leaf)).await?)
        };
        Ok(Told { result, receipt, batch })
    }

    /// The receipt of a leaf that this node has executed; final, if that can be proved by now.
    pub(super) async fn receipt(&self, position: Position) -> Result<v1::Receipt, Status> {
        let prover = self.prover(position.height).await?;
        self.assemble(&prover, position).await
    }

    /// The leaf of an instruction's item, from 1, or of the instruction itself, 0; none if it has no
    /// such item.
    pub(super) async fn leaf(
        &self,
        instruction: Position,
        item: u32,
    ) -> Result<Option<Position>, Status> {
        let prover = self.prover(instruction.height).await?;
        let record = |leaf: u32| prover.block().leaves.get(usize::try_from(leaf).ok()?);
        let own = record(instruction.leaf).ok_or_else(|| status::inconsistent("a leaf"))?;
        let leaf = instruction.leaf.checked_add(item);
        let leaf = leaf.filter(|leaf| {
            record(*leaf)
                .is_some_and(|found| found.item == item && found.instruction == own.instruction)
        });
        Ok(leaf.map(|leaf| Position { leaf, ..instruction }))
    }

    /// What makes a height final; none yet.
    pub(super) async fn seal(&self, height: u64) -> Result<Option<Arc<Seal>>, Status> {
        if let Some(seal) = self.seals.get(&height) {
            return Ok(Some(seal));
        }
        let (replica, turn) = (self.replica.clone(), turns::next().await);
        // Others of every institution wait for the same: whoever reads it has had its turn before.
        let read = reading::in_turn(turn, move || Seal::read(&replica, height));
        let sealed = self.seals.get_or_insert_async(&height, async {
            // What is not there yet is not remembered.
            read.await.map_err(Some)?.map(Arc::new).ok_or(None)
        });
        match sealed.await {
            Ok(seal) => Ok(Some(seal)),
            Err(None) => Ok(None),
            Err(Some(status)) => Err(status),
        }
    }

    async fn assemble(
        &self,
        prover: &Arc<Prover>,
        position: Position,
    ) -> Result<v1::Receipt, Status> {
        let registry = self.registry.clone();
        let make = move |prover: &Prover| prover.receipt(position.leaf, &registry);
        let mut receipt = made(prover, make).await?;
        if let Some(seal) = self.seal(position.height).await? {
            receipt.history_path.clone_from(&seal.history_path);
            receipt.certificate = Some(seal.certificate.clone());
        }
        Ok(receipt)
    }

    async fn prover(&self, height: u64) -> Result<Arc<Prover>, Status> {
        if let Some(prover) = self.provers.get(&height) {
            return Ok(prover);
        }
        let (replica, turn) = (self.replica.clone(), turns::next().await);
        let open = move || {
            let missing = || status::inconsistent("a block");
            let block = replica.store().block(height).map_err(|error| status::storage(&error))?;
            Prover::of(block.ok_or_else(missing)?).map(Arc::new).ok_or_else(missing)
        };
        self.provers.get_or_insert_async(&height, reading::in_turn(turn, open)).await
    }
}

/// Makes something of a block; of a large one off the threads that serve.
async fn made<T: Send + 'static>(
    prover: &Arc<Prover>,
    make: impl FnOnce(&Prover) -> Option<T> + Send + 'static,
) -> Result<T, Status> {
    let astray = || status::inconsistent("a leaf");
    if prover.leaves().len() <= limits::INLINE_PROOF_LEAVES_MAX {
        return make(prover).ok_or_else(astray);
    }
    let prover = prover.clone();
    reading::off_thread(move || make(&prover).ok_or_else(astray)).await
}

impl Seal {
    fn read(replica: &Replica, height: u64) -> Result<Option<Seal>, Status> {
        let store = replica.store();
        let certificate =
            store.certificate_from(height).map_err(|error| status::storage(&error))?;
        certificate.map(|certificate| Seal::of(replica, height, certificate)).transpose()
    }

    /// The way from a height to a certificate of that height or a later one.
    pub(super) fn of(
        replica: &Replica,
        height: u64,
        certificate: v1::Certificate,
    ) -> Result<Seal, Status> {
        let header = Header::decode(&certificate.header);
        let header = header.ok_or_else(|| status::inconsistent("a certificate"))?;
        let history_path = replica
            .store()
            .history_path(height, header.height)
            .map_err(|error| status::storage(&error))?;
        Ok(Seal { history_path, certificate })
    }
}

/// How certain a receipt is.
pub(super) fn finality(receipt: &v1::Receipt) -> v1::Finality {
    match receipt.certificate {
        Some(_) => v1::Finality::Final,
        None => v1::Finality::Ordered,
    }
}

/// What an instruction is found by.
pub(super) struct Named {
    /// Its id.
    pub(super) id: InstructionId,
    /// SHA-256 of its bytes.
    pub(super) hash: Hash,
    institution: String,
}

impl Named {
    /// An instruction of a caller's institution.
    pub(super) fn of(scope: &Scope, id: InstructionId, hash: Hash) -> Named {
        Named { id, hash, institution: scope.institution.to_string() }
    }

    /// As it is told.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { id: &self.id, institution: &self.institution, hash: &self.hash }
    }
}
