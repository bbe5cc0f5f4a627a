//! The sentinel: keeps what convicts a node that signed something else, and stops this node where a
//! quorum, or its own earlier signature, says that the liar is itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::verify;
use counterfoil_ledger::verify::Trust;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::peer::v1::peer_service_client::PeerServiceClient;
use counterfoil_proto::v1;
use counterfoil_proto::v1::evidence::Kind;
use prost::Message;
use tonic::transport::Channel;
use tracing::error;
use tracing::warn;

use super::Finality;
use super::attested::Attested;
use super::findings::Finding;
use super::sign_once::Contradiction;
use crate::blocking;
use crate::consensus::network::Peers;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;

/// Works on what was found, beside everything else.
pub struct Sentinel {
    finality: Arc<Finality>,
    peers: Peers,
    /// What differs and waits for the certificate of its height, by height and node.
    waiting: BTreeMap<(u64, u64), Attested>,
    /// When a node was last spoken of.
    warned: BTreeMap<u64, Instant>,
    /// When a node was last asked for a proposal.
    asked: BTreeMap<u64, Instant>,
}

impl Sentinel {
    /// Waits for findings.
    pub fn new(finality: Arc<Finality>, peers: Peers) -> Sentinel {
        let (waiting, warned, asked) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Sentinel { finality, peers, waiting, warned, asked }
    }

    /// Until the node stops.
    pub async fn run(mut self) {
        let mut certified = self.finality.certified();
        loop {
            for finding in self.finality.findings.take() {
                self.work_on(finding).await;
            }
            self.convict_of_execution().await;
            tokio::select! {
                () = self.finality.findings.news() => {}
                changed = certified.changed(), if !self.waiting.is_empty() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn work_on(&mut self, finding: Finding) {
        let (height, node) = finding.place();
        match finding {
            Finding::Double(first, second) => {
                self.warn(height, node, "a node signed two headers of one height");
                let double = v1::DoubleAttestation {
                    first: Some(first.message),
                    second: Some(second.message),
                    ..Default::default()
                };
                let kind = Kind::DoubleAttestation(double);
                self.finality.clone().keep("double-attestation", height, node, kind).await;
            }
            Finding::Differs(attested) => {
                self.warn(height, node, "a node signed a header that differs from this node's own");
                let Some(own) = self.finality.own_header(height) else { return };
                if attested.header.proposal_hash != own.proposal_hash {
                    self.look_for_double_proposal(&attested, own);
                } else if attested.header.place() == own.place()
                    && self.waiting.keys().filter(|(_, other)| *other == node).count()
                        < limits::FINDINGS_PER_NODE_MAX
                {
                    self.waiting.insert((height, node), *attested);
                }
            }
        }
    }

    fn warn(&mut self, height: u64, node: u64, what: &'static str) {
        let last = self.warned.insert(node, Instant::now());
        if last.is_none_or(|last| last.elapsed() >= limits::CONFLICT_LOG_INTERVAL) {
            let institution = self.finality.signers.institution(node);
            warn!(height, node, ?institution, "{what}");
        } else if let Some(last) = last {
            self.warned.insert(node, last);
        }
    }

    /// The node executed another proposal: then its proposer has signed two for one place. The node is
    /// asked for it, now and then: one that has nothing to show must not hold up what others have.
    fn look_for_double_proposal(&mut self, attested: &Attested, own: Header) {
        let node = attested.node;
        let Some(client) = self.peers.client(node) else { return };
        let now = Instant::now();
        let last = self.asked.get(&node);
        if last.is_some_and(|last| now - *last < limits::PROPOSAL_INQUIRY_INTERVAL) {
            return;
        }
        self.asked.insert(node, now);
        let inquiry = self.finality.clone().inquire(client, own);
        tokio::spawn(tokio::time::timeout(limits::PROPOSAL_INQUIRY_INTERVAL, inquiry));
    }

    /// A wrong header convicts beside the certificate of its height; what a later certificate covers
    /// alone waits for nothing any more.
    async fn convict_of_execution(&mut self) {
        let certified = *self.finality.certified.borrow();
        let later = self.waiting.split_off(&(certified.saturating_add(1), 0));
        for ((height, node), attested) in std::mem::replace(&mut self.waiting, later) {
            let Some(certificate) = self.finality.certificate_at(height) else { continue };
            let wrong = v1::WrongExecution {
                attestation: Some(attested.message),
                certificate: Some(certificate),
            };
            let kind = Kind::WrongExecution(wrong);
            self.finality.clone().keep("wrong-execution", height, node, kind).await;
        }
    }
}

impl Finality {
    /// Asks a node for the proposal that it executed in the place of this node's own.
    async fn inquire(self: Arc<Self>, mut client: PeerServiceClient<Channel>, own: Header) {
        let (height, proposer) = (own.height, own.proposer);
        let asking = client.get_signed_proposal(peer::GetSignedProposalRequest { height });
        let answer = tokio::time::timeout(limits::PEER_STATUS_TIMEOUT, asking).await;
        let theirs = answer.ok().and_then(Result::ok).and_then(|it| it.into_inner().proposal);
        let mine = self.signed_proposal(height).await;
        let (Some(theirs), Some(mine)) = (theirs, mine) else { return };
        let double = v1::DoubleProposal { first: Some(mine), second: Some(theirs) };
        let double = Kind::DoubleProposal(double);
        if !self.convicts(double.clone()) {
            return;
        }
        let institution = self.signers.institution(proposer);
        error!(height, proposer, ?institution, "a leader signed two proposals for one place");
        self.keep("double-proposal", height, proposer, double).await;
    }

    /// Keeps evidence against a node, unless there is much against it already: one that fills the
    /// directory must not leave the others no room.
    pub(in crate::consensus) async fn keep(
        self: Arc<Self>,
        kind: &'static str,
        height: u64,
        node: u64,
        evidence: Kind,
    ) {
        let bytes = v1::Evidence { kind: Some(evidence) }.encode_to_vec();
        let keeping = move || {
            let _one_after_another = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = std::fs::read_dir(self.directory.evidence()).into_iter().flatten().flatten();
            let against = format!("-{node}.evidence");
            let kept = kept.filter(|it| it.file_name().to_string_lossy().ends_with(&against));
            if kept.count() < limits::EVIDENCE_FILES_PER_NODE_MAX {
                let name = format!("{kind}-{height}-{node}.evidence");
                self.keep_file(&name, &bytes, limits::EVIDENCE_FILES_MAX);
            }
        };
        let _ = blocking::aside(keeping).await;
    }

    /// Keeps a file of evidence; says in the log where it is.
    fn keep_file(&self, name: &str, bytes: &[u8], files_max: usize) {
        let path = self.directory.evidence().join(name);
        match self.directory.keep_evidence(name, bytes, files_max) {
            Ok(true) => warn!(path = %path.display(), "evidence is kept"),
            Ok(false) => warn!(name, "there is too much evidence already; this is not kept"),
            Err(error) => error!(%error, "evidence could not be kept"),
        }
    }

    /// The proposal that this node executed at a height, without its instructions.
    pub async fn signed_proposal(&self, height: u64) -> Option<v1::SignedProposal> {
        let store = self.executor.store().clone();
        // The whole block is read for it.
        let reading = blocking::aside(move || store.block(height));
        let block = reading.await.ok()?.ok()?.filter(|_| height > 0)?;
        Some(v1::SignedProposal {
            header: Bytes::copy_from_slice(&block.proposal.header.encode()),
            key_id: block.proposal.key_id.to_bytes(),
            signature: Bytes::copy_from_slice(&block.proposal.signature),
        })
    }

    /// Whether evidence convicts, in the eyes of whoever verifies it.
    fn convicts(&self, evidence: Kind) -> bool {
        let trust = Trust::new(self.executor.state().genesis_file().clone());
        verify::evidence(&trust, &v1::Evidence { kind: Some(evidence) }).is_ok()
    }

    /// A quorum has certified another header than this node's own: the node stops, and never starts
    /// again on its data.
    pub(super) fn diverge_from(self: &Arc<Self>, contrary: &v1::Certificate) {
        let Some(header) = Header::decode(&contrary.header) else { return };
        let how = format!(
            "at height {} a quorum certified the header {}, and this node computed another",
            header.height,
            header.hash()
        );
        let own = self.own.borrow().clone().filter(|own| own.height() == header.height);
        let mut evidence = Vec::new();
        if let (Some(own), Some(mine)) = (own, self.own_header(header.height))
            && mine.place() == header.place()
        {
            evidence.push((
                "wrong-execution",
                Kind::WrongExecution(v1::WrongExecution {
                    attestation: Some(own.message),
                    certificate: Some(contrary.clone()),
                }),
            ));
        }
        if let Some(certificate) = self.certificate_at(header.height) {
            let both = v1::ConflictingCertificates {
                first: Some(certificate),
                second: Some(contrary.clone()),
                ..Default::default()
            };
            evidence.push(("conflicting-certificates", Kind::ConflictingCertificates(both)));
        }
        self.stop_for_ever(
            header.height,
            how,
            vec![("certificate", contrary.encode_to_vec())],
            evidence,
        );
    }

    /// A quorum has signed another digest of the state than this node's own: the node stops, and never
    /// starts again on its data.
    pub(in crate::consensus) fn diverge_from_snapshot(
        self: &Arc<Self>,
        own: Option<v1::SnapshotAttestation>,
        contrary: v1::SnapshotCertificate,
    ) {
        let Some(header) = Header::decode(&contrary.header) else { return };
        let how = format!(
            "a quorum signed another digest of the state after block {} than this node computed",
            header.height
        );
        let parts = vec![("snapshot", contrary.encode_to_vec())];
        let evidence = own.map(|own| {
            let lie = v1::FalseSnapshot { attestation: Some(own), certificate: Some(contrary) };
            ("false-snapshot", Kind::FalseSnapshot(lie))
        });
        self.stop_for_ever(header.height, how, parts, evidence.into_iter().collect());
    }

    /// This node's history lacks a header that it signed.
    pub(super) fn contradicts_itself(self: &Arc<Self>, contradiction: Contradiction) {
        let Contradiction { signed, second } = contradiction;
        let height = signed.height();
        let how = format!(
            "at height {height} this node once signed the header {}, and has another there now",
            signed.hash
        );
        let parts = vec![("attestation", signed.message.encode_to_vec())];
        let evidence = second.map(|second| {
            let double = v1::DoubleAttestation {
                first: Some(signed.message),
                second: Some(second.message),
                ..Default::default()
            };
            ("double-attestation", Kind::DoubleAttestation(double))
        });
        self.stop_for_ever(height, how, parts, evidence.into_iter().collect());
    }

    /// Keeps everything that shows how this node stands at a height, marks its data, and stops it.
    fn stop_for_ever(
        self: &Arc<Self>,
        height: u64,
        how: String,
        mut parts: Vec<(&'static str, Vec<u8>)>,
        evidence: Vec<(&'static str, Kind)>,
    ) {
        let node = self.node;
        let place = self.directory.evidence();
        let message = format!("{how}; the evidence is in {}", place.display());
        let stop = Stop { code: ExitCode::Diverged, message: message.clone() };
        let first = self.halted.swap(true, Ordering::SeqCst);
        if first {
            return;
        }
        error!("{message}");
        let finality = self.clone();
        tokio::spawn(async move {
            if let Some(header) = finality.own_header(height) {
                parts.push(("header", header.encode().to_vec()));
            }
            if let Some(proposal) = finality.signed_proposal(height).await {
                parts.push(("proposal", proposal.encode_to_vec()));
            }
            let keeper = finality.clone();
            // There is room for what ends this node, whatever was kept before.
            let room = limits::EVIDENCE_FILES_MAX + parts.len() + evidence.len();
            let _ = blocking::aside(move || {
                for (name, bytes) in parts {
                    keeper.keep_file(&format!("diverged-{height}-{node}.{name}"), &bytes, room);
                }
                for (kind, evidence) in evidence {
                    let bytes = v1::Evidence { kind: Some(evidence) }.encode_to_vec();
                    keeper.keep_file(&format!("{kind}-{height}-{node}.evidence"), &bytes, room);
                }
                if let Err(error) = keeper.directory.mark_diverged(&message) {
                    error!(%error, "the data directory could not be marked");
                }
            })
            .await;
            finality.diverged.send_replace(Some(stop));
        });
    }
}
