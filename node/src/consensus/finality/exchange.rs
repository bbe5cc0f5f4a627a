//! Attestations between nodes: a stream to each of the others, and what comes in on theirs.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::header::HEADER_LENGTH;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use futures::Stream;
use futures::stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Finality;
use super::attested::Attested;
use super::pause;
use crate::consensus::network::Peers;
use crate::limits;
use crate::telemetry::metrics;

/// Sends this node's attestations to one other, for ever. A stream carries each one above the newest
/// certificate, since any of them may be at the height where the others have signed; without one the newest
/// at once; and all of them again each second while no certificate comes.
pub async fn send(finality: Arc<Finality>, peers: Peers, node: u64) {
    let Some(client) = peers.client(node) else { return };
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let sent = client.clone().attest(outgoing(finality.clone(), node)).await;
        let label = node.to_string();
        if sent.is_err() {
            metrics::PEER_FAILURES.increment(&[("peer", &label)]);
        }
        if sent.is_err() || began.elapsed() < limits::PEER_RETRY_INTERVAL_MAX {
            tokio::time::sleep(pause(failures)).await;
            failures = failures.saturating_add(1);
        } else {
            failures = 0;
        }
    }
}

struct Outgoing {
    finality: Arc<Finality>,
    own: watch::Receiver<Option<Attested>>,
    ends: Instant,
    /// The height of the last one that was said.
    said: u64,
}

/// What is said to one other node, until the stream has its age.
fn outgoing(
    finality: Arc<Finality>,
    #[cfg_attr(not(feature = "misbehaviour"), allow(unused_variables))] to: u64,
) -> impl Stream<Item = peer::AttestRequest> + Send + 'static {
    let own = finality.own.subscribe();
    let ends = Instant::now() + limits::ATTEST_STREAM_AGE_MAX;
    let said =
        stream::unfold(Outgoing { finality, own, ends, said: 0 }, |mut outgoing| async move {
            let attestation = Some(outgoing.next().await?.message);
            Some((peer::AttestRequest { attestation }, outgoing))
        });
    #[cfg(feature = "misbehaviour")]
    let said = futures::StreamExt::flat_map(said, move |said| {
        stream::iter(crate::misbehaviour::attestations(to, said))
    });
    said
}

impl Outgoing {
    async fn next(&mut self) -> Option<Attested> {
        loop {
            let newest = self.own.borrow_and_update().clone();
            let certified = *self.finality.certified.borrow();
            let above = self.said.max(certified);
            let next = self.finality.collector().after(self.finality.node, above).cloned();
            let unsaid = newest.filter(|newest| newest.height() > self.said);
            if let Some(next) = next.or(unsaid) {
                self.said = next.height();
                return Some(next);
            }
            tokio::select! {
                changed = self.own.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.ends.into()) => return None,
                () = tokio::time::sleep(limits::ATTESTATION_REPEAT_INTERVAL) => {
                    self.said = self.said.min(*self.finality.certified.borrow());
                }
            }
        }
    }
}

/// Why a node is not heard any longer.
#[derive(Debug)]
pub enum Unheard {
    /// The connection.
    Broken(tonic::Status),
    /// A rule that it broke.
    Rule(&'static str),
}

impl Finality {
    /// Takes what a node says, until its stream ends or its next one begins.
    pub async fn hear(
        self: &Arc<Self>,
        sender: u64,
        mut stream: tonic::Streaming<peer::AttestRequest>,
    ) -> Result<(), Unheard> {
        let replaced = CancellationToken::new();
        let before = self
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sender, replaced.clone());
        if let Some(before) = before {
            before.cancel();
        }
        let (mut second, mut taken) = (Instant::now(), 0);
        while let Some(next) = replaced.run_until_cancelled(stream.message()).await {
            let Some(message) = next.map_err(Unheard::Broken)? else { break };
            self.receive(sender, message.attestation).map_err(Unheard::Rule)?;
            taken += 1;
            if taken >= limits::ATTESTATIONS_PER_SECOND_MAX {
                tokio::time::sleep_until((second + Duration::from_secs(1)).into()).await;
            }
            if second.elapsed() >= Duration::from_secs(1) {
                (second, taken) = (Instant::now(), 0);
            }
        }
        Ok(())
    }

    /// Takes what a node says on its stream. An error is a rule that it breaks: the stream ends.
    pub fn receive(
        self: &Arc<Self>,
        sender: u64,
        message: Option<v1::Attestation>,
    ) -> Result<(), &'static str> {
        let message = message.ok_or("an attestation is required")?;
        let attested = Attested::read(message, &self.chain_id, self.incarnation)?;
        if attested.node != sender {
            return Err("a node attests for itself alone");
        }
        let executed = *self.executor.height().borrow();
        let furthest = executed.saturating_add(limits::ATTESTATION_AHEAD_MAX);
        // What is known costs no second check of its signature.
        if attested.height() > furthest || self.collector().holds(&attested) {
            return Ok(());
        }
        if !attested.holds(&self.signers) {
            return Err("the signature is not that of the node's attestation key");
        }
        self.take(attested);
        Ok(())
    }

    /// The newest attestation that is held of a node.
    pub fn last_attestation(&self, node: u64) -> Option<v1::Attestation> {
        self.collector().newest(node).map(|attested| attested.message.clone())
    }
}

/// Length of an attestation as it is kept: header, node, signature.
const HELD_LENGTH: usize = HEADER_LENGTH + 8 + 64;

/// Attestations as they are kept.
pub fn encode_held<'a>(held: impl Iterator<Item = &'a Attested>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for attested in held {
        let Some(signature) = &attested.message.signature else { continue };
        bytes.extend_from_slice(&attested.message.header);
        bytes.extend(signature.node.to_be_bytes());
        bytes.extend_from_slice(&signature.value);
    }
    bytes
}

/// Reads what `encode_held` wrote.
pub fn decode_held(bytes: &[u8]) -> Option<Vec<v1::Attestation>> {
    let (all, rest) = bytes.as_chunks::<HELD_LENGTH>();
    let read = |held: &[u8; HELD_LENGTH]| {
        let (header, signature) = held.split_at(HEADER_LENGTH);
        let (node, value) = signature.split_first_chunk::<8>()?;
        let signature =
            v1::NodeSignature { node: u64::from_be_bytes(*node), value: value.to_vec().into() };
        Some(v1::Attestation { header: header.to_vec().into(), signature: Some(signature) })
    };
    rest.is_empty().then(|| all.iter().map(read).collect()).flatten()
}
