//! Checkpoints: the newest final height, cosigned by a quorum of nodes.

use std::sync::Arc;
use std::sync::PoisonError;

use counterfoil_ledger::checkpoint::Checkpoint;
use counterfoil_ledger::checkpoint::Note;
use counterfoil_ledger::checkpoint::NoteSignature;
use counterfoil_ledger::header::Header;
use counterfoil_proto::peer::v1 as peer;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::NotGathered;
use super::NotStated;
use super::Statements;
use super::gathering::problem;
use crate::consensus::replica::Unavailable;
use crate::limits;

/// The last checkpoint. Whoever gathers holds it, so that many who ask cost the nodes one round.
pub type Cache = Mutex<Option<Cached>>;

/// What came of the last round.
pub struct Cached {
    height: u64,
    at: Instant,
    note: Result<Arc<Note>, NotGathered>,
}

impl Cached {
    /// Whether it still stands while a height is the newest that is final.
    fn stands(&self, certified: u64) -> bool {
        let is_newest = self.height == certified && self.note.is_ok();
        let age_max =
            if is_newest { limits::CHECKPOINT_AGE_MAX } else { limits::CHECKPOINT_INTERVAL };
        self.at.elapsed() < age_max
    }
}

impl Statements {
    /// The newest final height as a checkpoint, or one that was so a moment ago.
    pub async fn checkpoint(&self) -> Result<Arc<Note>, NotGathered> {
        let mut cache = self.checkpoint.lock().await;
        let height = *self.certified.borrow();
        if let Some(cached) = cache.as_ref().filter(|cached| cached.stands(height)) {
            return cached.note.clone();
        }
        let (height, note) = self.newest_checkpoint().await;
        let note = note.map(Arc::new);
        *cache = Some(Cached { height, at: Instant::now(), note: note.clone() });
        note
    }

    /// The checkpoint of the newest final height; of the next one where that comes to nothing, as it
    /// does if another node has had a newer one cosigned already.
    async fn newest_checkpoint(&self) -> (u64, Result<Note, NotGathered>) {
        let deadline = Instant::now() + limits::STATEMENTS_TIMEOUT;
        let mut certified = self.certified.clone();
        loop {
            let height = *certified.borrow_and_update();
            let note = self.gather_checkpoint(height, deadline).await;
            if note.is_ok() {
                return (height, note);
            }
            let next = tokio::time::timeout_at(deadline, certified.changed()).await;
            if !matches!(next, Ok(Ok(()))) {
                return (height, note);
            }
        }
    }

    async fn gather_checkpoint(&self, height: u64, deadline: Instant) -> Result<Note, NotGathered> {
        let header = self.replica.store().header(height).map_err(Unavailable::from)?;
        let header = header.ok_or(Unavailable::Stopping)?;
        let checkpoint = self.checkpoint_of(&header);
        let own = self.own_cosignature(checkpoint.clone()).await.map_err(|it| it.to_string());
        let needed = self.cosigners.quorum();
        let cosigned = self.gather(own, needed, deadline, async |node, mut client| {
            if self.cosigners.name(node).is_none() {
                return Err("its attestation key is not Ed25519".to_owned());
            }
            let history_root = header.history_root.to_bytes();
            let request = peer::SignCheckpointRequest { height, history_root };
            let answer = client.sign_checkpoint(request).await.map_err(|it| problem(&it))?;
            let value = answer.into_inner().cosignature;
            self.cosigners
                .cosignature(node, &value)
                .filter(|signature| {
                    self.cosigners.cosigned_at(node, &checkpoint, signature).is_some()
                })
                .ok_or_else(|| "its cosignature does not hold".to_owned())
        });
        let cosigned = cosigned.await?;
        let (node, cosigners) = (self.replica.node(), self.cosigners.clone());
        let signed = self.signed({
            let checkpoint = checkpoint.clone();
            move |signer| cosigners.sign(node, signer, &checkpoint)
        });
        // A node that cannot sign in the log's name still gives out what the others cosigned.
        let signed = signed.await.unwrap_or_default();
        let signatures = signed.into_iter().chain(cosigned.into_values()).collect();
        Ok(Note { text: checkpoint.text(), signatures })
    }

    /// This node's cosignature of a height, at another node's request.
    pub async fn cosign(
        &self,
        height: u64,
        history_root: &[u8],
    ) -> Result<NoteSignature, NotStated> {
        if history_root.len() != 32 {
            return Err(NotStated::Malformed("history_root: 32 bytes"));
        }
        let header = self.final_header(height, limits::STATEMENT_WAIT).await?;
        if header.history_root.as_bytes()[..] != *history_root {
            return Err(NotStated::Foreign("the checkpoint is not of this node's history"));
        }
        self.own_cosignature(self.checkpoint_of(&header)).await
    }

    /// A cosignature says of its time that this node had seen nothing newer: it goes back behind
    /// nothing that it has cosigned.
    async fn own_cosignature(&self, checkpoint: Checkpoint) -> Result<NoteSignature, NotStated> {
        {
            let mut cosigned = self.cosigned.lock().unwrap_or_else(PoisonError::into_inner);
            if checkpoint.size < *cosigned {
                return Err(NotStated::Older);
            }
            *cosigned = checkpoint.size;
        }
        let (node, cosigners) = (self.replica.node(), self.cosigners.clone());
        let now_s = self.replica.clock.now_s();
        let cosignature =
            self.signed(move |signer| cosigners.cosign(node, signer, &checkpoint, now_s));
        cosignature.await?.ok_or(NotStated::NoSignature)
    }

    fn checkpoint_of(&self, header: &Header) -> Checkpoint {
        let origin = self.cosigners.origin().to_owned();
        Checkpoint { origin, size: header.height, root: header.history_root }
    }
}
