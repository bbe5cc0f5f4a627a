//! Signs this node's headers: one at a time, each durable in the record before it leaves.

use std::pin::pin;
use std::sync::Arc;

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
use super::boundary;
use super::inquiry;
use super::sign_once::Contradiction;
use super::sign_once::Refusal;
use super::sign_once::SignOnce;
use crate::blocking;
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
    pub async fn run(mut self, peers: Peers) {
        if let Err(contradiction) = self.settle(&peers).await {
            return self.finality.contradicts_itself(*contradiction);
        }
        let Some(signer) = self.signer.clone() else { return };
        let mut height = self.finality.executor.height();
        loop {
            let executed = *height.borrow_and_update();
            if executed <= self.sign_once.height() {
                match height.changed().await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
            let pause = match self.sign(&signer, self.next(executed)).await {
                Ok(true) => limits::SIGNATURE_INTERVAL_MIN,
                Ok(false) => limits::REFUSED_SIGNATURE_PAUSE,
                Err(Halt::Signer) => limits::SIGNER_RETRY_INTERVAL,
                Err(Halt::Over) => return,
            };
            tokio::time::sleep(pause).await;
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

    /// The height to sign next. What has a certificate needs no signature of this node's, but for the
    /// last block of all.
    fn next(&self, executed: u64) -> u64 {
        let certified = *self.finality.certified.borrow();
        let certified = if certified < executed { certified } else { 0 };
        boundary::next(self.sign_once.height().max(certified), executed, |height| {
            self.finality.own_header(height).map(|it| it.block_time_ms)
        })
    }

    /// Signs the header of a height, if it may. False if it may not now.
    async fn sign(&mut self, signer: &Arc<dyn Signer>, height: u64) -> Result<bool, Halt> {
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
        self.record(&attested).await?;
        debug!(height, "signed");
        finality.take(attested.clone());
        finality.own.send_replace(Some(attested));
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

    /// Makes the record durable: by itself, unless an append that comes just then takes it along.
    async fn record(&self, attested: &Attested) -> Result<(), Halt> {
        let (done, durable) = oneshot::channel();
        let log = self.finality.log.clone();
        log.defer_meta(ATTESTED, attested.message.encode_to_vec(), move || {
            let _ = done.send(());
        });
        if defect::is(Defect::SignsBeforeDurable) {
            return Ok(());
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
        matches!(self.sign(&signer, height).await, Ok(true))
    }
}
