//! Signs this node's headers: one at a time, each durable in the record before it leaves.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_proto::v1;
use prost::Message;
use tokio::sync::oneshot;
use tracing::debug;
use tracing::error;

use super::ATTESTED;
use super::Finality;
use super::attested::Attested;
use super::inquiry;
use super::round::Round;
use super::round::Turn;
use super::sign_once::Contradiction;
use super::sign_once::Refusal;
use super::sign_once::SignOnce;
use super::sleep_until;
use crate::blocking;
use crate::consensus::Raft;
use crate::consensus::network::Peers;
use crate::defect;
use crate::defect::Defect;
use crate::limits;

/// Signs for one node.
pub struct Attester {
    finality: Arc<Finality>,
    /// None: this node signs nothing.
    signer: Option<Arc<dyn Signer>>,
    sign_once: SignOnce,
}

/// Why signing has ended or pauses.
enum Halt {
    /// The key did not sign.
    Signer,
    /// For good: the node stops.
    Over,
}

impl Attester {
    /// Signs with a key, if it has one, what a record permits.
    pub fn new(
        finality: Arc<Finality>,
        signer: Option<Arc<dyn Signer>>,
        sign_once: SignOnce,
    ) -> Attester {
        Attester { finality, signer, sign_once }
    }

    /// Asks the others what they hold of this node, then signs, until the node stops.
    pub async fn run(mut self, raft: Raft, peers: Peers) {
        if let Err(contradiction) = self.settle(&peers).await {
            return self.finality.contradicts_itself(*contradiction);
        }
        let Some(signer) = self.signer.clone() else { return };
        let (mut height, mut certified) =
            (self.finality.executor.height(), self.finality.certified());
        let (mut executed, mut executed_at, mut is_busy) = (0, Instant::now(), false);
        let (mut signed_at, mut unsigned_since) = (None, None);
        let (mut last_final, mut uncertified_since) = (0, None);
        loop {
            let now = Instant::now();
            let newest = *height.borrow_and_update();
            if newest > executed {
                is_busy = now - executed_at < limits::BUSY_INTERVAL_MAX;
                (executed, executed_at) = (newest, now);
                unsigned_since.get_or_insert(now);
            }
            // Not in the call itself: what is borrowed there would be held while it locks.
            let final_to = *certified.borrow_and_update();
            if final_to > last_final || executed <= final_to {
                (last_final, uncertified_since) = (final_to, None);
            }
            if executed > final_to {
                uncertified_since.get_or_insert(now);
            }
            #[cfg(feature = "misbehaviour")]
            let uncertified_since = uncertified_since.filter(|_| !crate::misbehaviour::scatters());
            let round = self.round(&raft, executed, final_to);
            let round =
                Round { executed_at, signed_at, unsigned_since, uncertified_since, ..round };
            let due = match round.turn(now) {
                Turn::Sign(height) => match self.sign(&signer, height, is_busy).await {
                    Ok(true) => {
                        signed_at = Some(Instant::now());
                        unsigned_since = (executed > height).then(Instant::now);
                        continue;
                    }
                    Ok(false) => Some(now + limits::ROUND_TIMEOUT),
                    Err(Halt::Signer) => Some(now + limits::SIGNER_RETRY_INTERVAL),
                    Err(Halt::Over) => return,
                },
                Turn::Wait(due) => Some(due),
                Turn::Rest => None,
            };
            tokio::select! {
                changed = height.changed() => if changed.is_err() { return },
                _ = certified.changed() => {}
                () = self.finality.heard.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Returns when enough others have told what they hold of this node, and when it has executed
    /// again everything that it is known to have signed.
    async fn settle(&mut self, peers: &Peers) -> Result<(), Box<Contradiction>> {
        let finality = self.finality.clone();
        let mut height = finality.executor.height();
        let mut asking = pin!(inquiry::ask(&finality, peers));
        // Who signs nothing more has nothing to ask.
        let mut asked = self.signer.is_none();
        if defect::is(Defect::InquiryOff) {
            self.sign_once.told([])?;
            asked = true;
        }
        loop {
            height.borrow_and_update();
            self.sign_once.prove(|height| finality.own_hash(height))?;
            if asked && self.sign_once.is_proven() {
                return Ok(());
            }
            tokio::select! {
                told = &mut asking, if !asked => {
                    self.sign_once.told(told)?;
                    asked = true;
                }
                _ = height.changed() => {}
            }
        }
    }

    /// How things stand but for the times.
    fn round(&self, raft: &Raft, executed: u64, certified: u64) -> Round {
        let leader = raft.metrics().borrow().current_leader;
        let signed = self.sign_once.height();
        let leader_signed =
            leader.and_then(|leader| self.finality.collector().attested(leader, signed, executed));
        Round {
            executed,
            executed_at: Instant::now(),
            signed,
            signed_at: None,
            unsigned_since: None,
            uncertified_since: None,
            certified,
            leads: leader == Some(self.finality.node),
            leader_signed,
        }
    }

    /// Signs the header of a height, if it may. False if it may not yet.
    async fn sign(
        &mut self,
        signer: &Arc<dyn Signer>,
        height: u64,
        is_busy: bool,
    ) -> Result<bool, Halt> {
        let finality = self.finality.clone();
        if finality.is_diverged() {
            return Err(Halt::Over);
        }
        let Some(header) = finality.own_header(height) else { return Ok(false) };
        match self.sign_once.permit(&header, |height| finality.own_hash(height)) {
            Ok(()) => {}
            Err(Refusal::NotYet | Refusal::Signed) => return Ok(false),
            Err(Refusal::Contradiction(contradiction)) => {
                finality.contradicts_itself(*contradiction);
                return Err(Halt::Over);
            }
        }
        let attested = self.signature(signer.clone(), header).await?;
        self.sign_once.signed(attested.clone());
        self.record(&attested, is_busy).await?;
        debug!(height, "signed");
        finality.own.send_replace(Some(attested.clone()));
        finality.take(attested);
        Ok(true)
    }

    async fn signature(&self, signer: Arc<dyn Signer>, header: Header) -> Result<Attested, Halt> {
        let hash = header.hash();
        let preimage = signature::preimage(Label::Header, &self.finality.chain_id, hash.as_bytes());
        let signed = if signer.may_wait() {
            let signing = blocking::aside(move || signer.sign(&preimage));
            signing.await.map_err(|_| Halt::Over)?
        } else {
            signer.sign(&preimage)
        };
        let value = signed.map_err(|error| {
            error!(%error, "the attestation key did not sign a header");
            Halt::Signer
        })?;
        let node = self.finality.node;
        let signature = v1::NodeSignature { node, value: Bytes::copy_from_slice(&value) };
        let bytes = Bytes::copy_from_slice(&header.encode());
        let message = v1::Attestation { header: bytes, signature: Some(signature) };
        Ok(Attested { node, header, hash, message })
    }

    /// Makes the record durable: with the log's next append, if one is to be expected and comes soon.
    async fn record(&self, attested: &Attested, is_busy: bool) -> Result<(), Halt> {
        let (done, mut durable) = oneshot::channel();
        let log = self.finality.log.clone();
        log.defer_meta(ATTESTED, attested.message.encode_to_vec(), move || {
            let _ = done.send(());
        });
        if defect::is(Defect::SignsBeforeDurable) {
            return Ok(());
        }
        if is_busy {
            let ride = tokio::time::timeout(limits::RECORD_RIDE_MAX, &mut durable);
            if let Ok(written) = ride.await {
                return written.map_err(|_| Halt::Over);
            }
        }
        let flushed = blocking::aside(move || log.flush_deferred()).await;
        if let Ok(Err(error)) = flushed {
            error!(%error, "what this node signed last could not be recorded");
        }
        durable.await.map_err(|_| Halt::Over)
    }

    /// As if the others had told this.
    #[cfg(test)]
    pub fn told(&mut self, told: Vec<Attested>) {
        self.sign_once.told(told).unwrap();
    }

    /// Whether a header was signed.
    #[cfg(test)]
    pub async fn sign_for_test(&mut self, height: u64) -> bool {
        let signer = self.signer.clone().unwrap();
        matches!(self.sign(&signer, height, false).await, Ok(true))
    }
}
