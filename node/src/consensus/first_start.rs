//! The first start of a node. A directory that has lost its data looks like one that never had any; a
//! node that came back in it could take back what it acknowledged, and vote twice in a term. So a node
//! without data draws an id for its directory and registers it with the voters before it takes part in
//! anything. Any two majorities of them have a node in common: a second directory of the same node is
//! found out, and refused.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tracing::info;

use super::network::Peers;
use crate::blocking;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::log::LogStore;

/// In the log's meta: the id of this directory.
const DIRECTORY: &str = "directory";

/// In the log's meta: the id was registered with enough others.
const REGISTERED: &str = "registered";

/// Length of a directory's id.
const DIRECTORY_LENGTH: usize = 16;

/// A directory in which a node has started for the first time, signed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    directory: [u8; DIRECTORY_LENGTH],
    signature: [u8; 64],
}

impl Start {
    /// Reads what a node says, sizes first. Whether it signed it is asked by [`Start::holds`].
    pub fn of_message(node: u64, message: Option<&peer::Start>) -> Option<Start> {
        let message = message?;
        let signature = message.signature.as_ref().filter(|signature| signature.node == node)?;
        Some(Start {
            directory: message.directory.as_ref().try_into().ok()?,
            signature: signature.value.as_ref().try_into().ok()?,
        })
    }

    /// As nodes tell it.
    pub fn to_message(&self, node: u64) -> peer::Start {
        let value = Bytes::copy_from_slice(&self.signature);
        peer::Start {
            directory: Bytes::copy_from_slice(&self.directory),
            signature: Some(v1::NodeSignature { node, value }),
        }
    }

    /// Whether the signature is the node's, a voter's or a learner's.
    pub fn holds(&self, node: u64, chain_id: &Hash, registry: &Registry) -> bool {
        let payload = signature::start_payload(node, &self.directory);
        let preimage = signature::preimage(Label::Start, chain_id, &payload);
        let key = registry.node(node).and_then(|node| registry.key(&node.attestation_key_id));
        key.is_some_and(|key| key.public_key.verify(&preimage, &self.signature))
    }

    /// As it is kept.
    pub fn encode(&self) -> Vec<u8> {
        [&self.directory[..], &self.signature].concat()
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Option<Start> {
        let (directory, signature) = bytes.split_first_chunk::<DIRECTORY_LENGTH>()?;
        Some(Start { directory: *directory, signature: signature.try_into().ok()? })
    }
}

/// A node that starts.
pub struct Starter {
    /// This node.
    pub node: u64,
    /// The consortium.
    pub chain_id: Hash,
    /// Its members.
    pub registry: Arc<Registry>,
    /// This node's attestation key.
    pub signer: Arc<dyn Signer>,
    /// Its log.
    pub log: LogStore,
    /// The other nodes.
    pub peers: Peers,
}

impl Starter {
    /// Returns when this node may take part: at once if it has data or was registered before, and else
    /// once a majority of the other voters have taken it down. Fails if one of them knows it from
    /// before.
    pub async fn register(&self) -> Result<(), Stop> {
        if self.has_data()? {
            return Ok(());
        }
        let start = self.start().await?;
        let others = self.registry.voters().map(|voter| voter.id);
        let others: Vec<u64> = others.filter(|id| *id != self.node).collect();
        let wanted = if others.is_empty() { 0 } else { others.len() / 2 + 1 };
        info!(wanted, "the first start of this node: it registers with the voters");
        let mut asked: FuturesUnordered<_> =
            others.into_iter().map(|other| self.ask(other, &start)).collect();
        for _ in 0..wanted {
            if let Some(known) = asked.next().await {
                known?;
            }
        }
        self.log.save_meta(REGISTERED, &[1])?;
        Ok(())
    }

    fn has_data(&self) -> Result<bool, StorageError> {
        let log = &self.log;
        Ok(log.last().is_some() || log.vote()?.is_some() || log.meta(REGISTERED)?.is_some())
    }

    /// The id of the directory, drawn once, and this node's word that it starts in it.
    async fn start(&self) -> Result<Start, Stop> {
        let fatal = |message: String| Stop { code: ExitCode::Fatal, message };
        let kept = self.log.meta(DIRECTORY)?;
        let directory = match kept.map(<[u8; DIRECTORY_LENGTH]>::try_from) {
            Some(Ok(directory)) => directory,
            Some(Err(_)) => return Err(StorageError::corrupt("log meta", DIRECTORY).into()),
            None => {
                let mut drawn = [0; DIRECTORY_LENGTH];
                getrandom::fill(&mut drawn)
                    .map_err(|error| fatal(format!("no randomness: {error}")))?;
                // Durable before anybody hears of it: after a crash it is the same directory.
                self.log.save_meta(DIRECTORY, &drawn)?;
                drawn
            }
        };
        let payload = signature::start_payload(self.node, &directory);
        let preimage = signature::preimage(Label::Start, &self.chain_id, &payload);
        let signer = self.signer.clone();
        let signed = blocking::aside(move || signer.sign(&preimage)).await;
        let signed = signed.map_err(|error| fatal(error.to_string()))?;
        let signature = signed.map_err(|error| Stop {
            code: ExitCode::Identity,
            message: format!("the attestation key did not sign: {error}"),
        })?;
        Ok(Start { directory, signature })
    }

    /// Asks one other until it has answered.
    async fn ask(&self, other: u64, start: &Start) -> Result<(), Stop> {
        let mut told = false;
        loop {
            match self.ask_once(other, start).await {
                Ok(answer) => return self.judge(other, start, &answer),
                Err(problem) if !told => {
                    told = true;
                    info!(node = other, problem, "waits for a voter's word on this node");
                }
                Err(_) => {}
            }
            tokio::time::sleep(limits::REGISTER_INTERVAL).await;
        }
    }

    async fn ask_once(
        &self,
        other: u64,
        start: &Start,
    ) -> Result<peer::RegisterStartResponse, String> {
        let mut client = self.peers.client(other).ok_or("there is no connection to it")?;
        let mut request = tonic::Request::new(peer::RegisterStartRequest {
            start: Some(start.to_message(self.node)),
            chain_id: self.peers.chain_id(),
        });
        request.set_timeout(limits::PEER_STATUS_TIMEOUT);
        let asking = client.register_start(request);
        let answer = tokio::time::timeout(limits::PEER_STATUS_TIMEOUT, asking).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned())?;
        let answer = answer.map_err(|status| status.message().to_owned())?.into_inner();
        // Only what this node has signed itself is held against it.
        let first = Start::of_message(self.node, answer.first.as_ref());
        if first.is_none_or(|first| !first.holds(self.node, &self.chain_id, &self.registry)) {
            return Err("it shows no start that this node has signed".to_owned());
        }
        Ok(answer)
    }

    fn judge(
        &self,
        other: u64,
        start: &Start,
        answer: &peer::RegisterStartResponse,
    ) -> Result<(), Stop> {
        let lost = |what: String| Stop {
            code: ExitCode::DirectoryMismatch,
            message: format!(
                "the data directory is empty, but {what}: the data of node {} is lost, and it must \
                 not come back under its id. Start one of the institution's spare node ids, a learner \
                 of the genesis file, in an empty directory instead",
                self.node
            ),
        };
        let first = Start::of_message(self.node, answer.first.as_ref());
        if first.is_some_and(|first| first.directory != start.directory) {
            return Err(lost(format!("node {other} knows that it started in another one before")));
        }
        let attested = answer.attestation.as_ref().and_then(|it| self.attested(it));
        if let Some(height) = attested {
            return Err(lost(format!("node {other} holds its signature of height {height}")));
        }
        Ok(())
    }

    /// The height that this node has signed, if it has.
    fn attested(&self, attestation: &v1::Attestation) -> Option<u64> {
        let signature = attestation.signature.as_ref().filter(|it| it.node == self.node)?;
        let header = Header::decode(&attestation.header)?;
        let signers = Signers::of(self.chain_id, &self.registry);
        let signed = signers.signed(Label::Header, header.hash().as_bytes(), signature);
        (header.chain_id == self.chain_id && signed).then_some(header.height)
    }
}
