//! The question that a node asks before it signs anything: what is the last header that I signed, as
//! you know? Its own record may be older than what has left it: a copy of its disk was put back.

use std::sync::Arc;

use counterfoil_proto::peer::v1 as peer;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tracing::info;
use tracing::warn;

use super::Finality;
use super::attested::Attested;
use super::pause;
use crate::consensus::network::Peers;
use crate::limits;

/// Asks all others, for ever, until so many have answered that together with this node they are a
/// quorum. Returns what they hold.
pub async fn ask(finality: &Arc<Finality>, peers: &Peers) -> Vec<Attested> {
    let mut answers: FuturesUnordered<_> = finality
        .signers
        .nodes()
        .filter(|node| *node != finality.node)
        .map(|node| ask_one(finality, peers, node))
        .collect();
    let wanted = finality.quorum().saturating_sub(1);
    let mut told = Vec::new();
    for _ in 0..wanted {
        let Some(answer) = answers.next().await else { break };
        told.extend(answer);
    }
    let floor = told.iter().map(Attested::height).max().unwrap_or(0);
    info!(answers = wanted, floor, "enough nodes have told what they hold of this one");
    told
}

/// Asks all others, for ever, until each of them has told what it recalls of this node.
pub async fn recall(finality: Arc<Finality>, peers: Peers) {
    let others = finality.signers.nodes().filter(|node| *node != finality.node);
    let mut answers: FuturesUnordered<_> =
        others.map(|node| ask_one(&finality, &peers, node)).collect();
    while let Some(answer) = answers.next().await {
        finality.recall.take(answer.as_ref());
    }
}

async fn ask_one(finality: &Finality, peers: &Peers, node: u64) -> Option<Attested> {
    let mut failures = 0;
    loop {
        let problem = match ask_once(finality, peers, node).await {
            Ok(answer) => return answer,
            Err(problem) => problem,
        };
        if failures == 0 {
            info!(node, problem, "waits for a node's word on what this one has signed");
        }
        tokio::time::sleep(pause(failures)).await;
        failures = failures.saturating_add(1);
    }
}

async fn ask_once(
    finality: &Finality,
    peers: &Peers,
    node: u64,
) -> Result<Option<Attested>, String> {
    let mut client = peers.client(node).ok_or("there is no connection to it")?;
    let mut request = tonic::Request::new(peer::GetLastAttestationRequest { node: finality.node });
    request.set_timeout(limits::PEER_STATUS_TIMEOUT);
    let asking = client.get_last_attestation(request);
    let answer = tokio::time::timeout(limits::PEER_STATUS_TIMEOUT, asking)
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|status| status.message().to_owned())?;
    let Some(message) = answer.into_inner().attestation else { return Ok(None) };
    let attested = Attested::read(message, &finality.chain_id, finality.incarnation);
    let attested =
        attested.ok().filter(|it| it.node == finality.node && it.holds(&finality.signers));
    attested.map(Some).ok_or_else(|| {
        warn!(node, "a node told of an attestation that this one has not signed");
        "its answer is not signed by this node".to_owned()
    })
}
