//! Evidence: what convicts a node.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_proto::v1::{self, evidence::Kind};

use super::{Trust, Unproven, in_history, require, unproven};
use crate::{
    bic::Bic,
    header::Header,
    proposal::ProposalHeader,
    signature::{Label, key_id},
};

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// What was done.
    pub kind: Misbehaviour,
    /// The nodes that did it, each with its institution, by node id. None while a question is open.
    pub nodes: Vec<(u64, Bic)>,
    /// What was done, for people.
    pub what: String,
    /// What the ledger has to say before anybody is convicted.
    pub open: Option<Box<OpenQuestion>>,
}

/// Kinds of misbehaviour that can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// One node signed two headers that exclude each other.
    DoubleAttestation,
    /// Two quorums signed headers that exclude each other.
    ConflictingCertificates,
    /// One leader signed two proposals for one place.
    DoubleProposal,
    /// Somebody signed a header that does not follow from the blocks before it.
    WrongExecution,
    /// One node signed another digest of the state after a block than a quorum.
    FalseSnapshot,
}

/// Two headers of one proposal, of which at most one follows from the blocks before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenQuestion {
    /// The header that one node signed.
    pub attested: Header,
    /// That node.
    pub attesters: Vec<(u64, Bic)>,
    /// The header that a quorum signed.
    pub certified: Header,
    /// That quorum.
    pub signers: Vec<(u64, Bic)>,
}

impl Conviction {
    /// Institutions of the convicted nodes, each once.
    pub fn institutions(&self) -> BTreeSet<Bic> {
        self.nodes.iter().map(|(_, bic)| *bic).collect()
    }

    /// Answers the open question with the header that executing the ledger again gives at that height:
    /// whoever signed another one is convicted. What has no open question stays as it is.
    pub fn with_replayed(mut self, replayed: &Header) -> Result<Conviction, Unproven> {
        let Some(open) = self.open.take() else { return Ok(self) };
        let one_place = replayed.place() == open.certified.place();
        require(one_place, "replayed", "it is not the block that the two headers are about")?;
        let attesters = open.attesters.into_iter().filter(|_| *replayed != open.attested);
        let signers = open.signers.into_iter().filter(|_| *replayed != open.certified);
        self.nodes = attesters.chain(signers).collect::<BTreeSet<_>>().into_iter().collect();
        self.what = format!("signed a wrong result of block {}", replayed.height);
        Ok(self)
    }
}

/// Checks evidence.
pub fn evidence(trust: &Trust, evidence: &v1::Evidence) -> Result<Conviction, Unproven> {
    match evidence.kind.as_ref().ok_or(unproven("kind", "it is missing"))? {
        Kind::DoubleAttestation(it) => {
            let first = attested(trust, "first", it.first.as_ref())?;
            let second = attested(trust, "second", it.second.as_ref())?;
            excluding(Misbehaviour::DoubleAttestation, first, second, (&it.other, &it.history_path))
        }
        Kind::ConflictingCertificates(it) => {
            let first = certified(trust, "first", it.first.as_ref())?;
            let second = certified(trust, "second", it.second.as_ref())?;
            let kind = Misbehaviour::ConflictingCertificates;
            excluding(kind, first, second, (&it.other, &it.history_path))
        }
        Kind::DoubleProposal(it) => double_proposal(trust, it),
        Kind::WrongExecution(it) => wrong_execution(trust, it),
        Kind::FalseSnapshot(it) => crate::snapshot::convict(trust, it),
    }
}

/// A header and who signed it: nodes with their institutions.
type Signed = (Header, Vec<(u64, Bic)>);

/// Convicts whoever signed both headers, if no history has both.
fn excluding(
    kind: Misbehaviour,
    (first, by): Signed,
    (second, by_too): Signed,
    (other, path): (&Bytes, &[Bytes]),
) -> Result<Conviction, Unproven> {
    require(first.incarnation == second.incarnation, "second", "it is of another incarnation")?;
    if first.height == second.height {
        require(first != second, "second", "it is the same header")?;
        let none = other.is_empty() && path.is_empty();
        require(none, "other", "headers of one height need none")?;
    } else {
        require(first.height < second.height, "second", "it is the earlier one")?;
        let other = super::header("other", other, &first.chain_id)?;
        require(other.height == first.height, "other", "it is of another height than the first")?;
        require(other != first, "other", "it is the first: the two are one history")?;
        in_history(&other, path, &second)?;
    }
    let nodes: Vec<_> = by.into_iter().filter(|node| by_too.contains(node)).collect();
    require(!nodes.is_empty(), "second", "nobody signed both")?;
    let what = format!("signed two headers that exclude each other at height {}", first.height);
    Ok(Conviction { kind, nodes, what, open: None })
}

fn double_proposal(trust: &Trust, it: &v1::DoubleProposal) -> Result<Conviction, Unproven> {
    let (first, by) = proposed(trust, "first", it.first.as_ref())?;
    let (second, by_too) = proposed(trust, "second", it.second.as_ref())?;
    require(first != second, "second", "it is the same proposal")?;
    let place = |it: &ProposalHeader| (it.incarnation, it.proposer, it.term, it.sequence);
    require(place(&first) == place(&second) && by == by_too, "second", "it is for another place")?;
    let what = format!("signed two proposals {} in term {}", first.sequence, first.term);
    let nodes = vec![(first.proposer, by)];
    Ok(Conviction { kind: Misbehaviour::DoubleProposal, nodes, what, open: None })
}

fn wrong_execution(trust: &Trust, it: &v1::WrongExecution) -> Result<Conviction, Unproven> {
    let (certified, signers) = certified(trust, "certificate", it.certificate.as_ref())?;
    let (attested, attesters) = attested(trust, "attestation", it.attestation.as_ref())?;
    let one_place = attested.place() == certified.place();
    require(one_place, "attestation", "it is about another block than the certificate")?;
    require(attested != certified, "attestation", "it is the certified header")?;
    let what = format!("signed another result of block {} than a quorum", certified.height);
    let open = Some(Box::new(OpenQuestion { attested, attesters, certified, signers }));
    Ok(Conviction { kind: Misbehaviour::WrongExecution, nodes: Vec::new(), what, open })
}

/// A header and the one node that signed it, by its key of any epoch.
fn attested(
    trust: &Trust,
    part: &'static str,
    attestation: Option<&v1::Attestation>,
) -> Result<Signed, Unproven> {
    let attestation = attestation.ok_or(unproven(part, "it is missing"))?;
    let header = super::header(part, &attestation.header, &trust.chain_id())?;
    let hash = header.hash();
    let by = attestation.signature.as_ref();
    let by = by.and_then(|by| Some((by.node, trust.signer(Label::Header, hash.as_bytes(), by)?.0)));
    Ok((header, vec![by.ok_or(unproven(part, "its signature is not its node's"))?]))
}

/// A header and the quorum of its epoch that signed it, even where the epoch had ended.
fn certified(
    trust: &Trust,
    part: &'static str,
    certificate: Option<&v1::Certificate>,
) -> Result<Signed, Unproven> {
    let certificate = certificate.ok_or(unproven(part, "it is missing"))?;
    let header = super::header(part, &certificate.header, &trust.chain_id())?;
    let signers = trust.signers(header.epoch).ok_or(unproven(part, "its epoch is not known"))?;
    let (header, nodes) = signers.certified(certificate)?;
    let of = |node: u64| signers.institution(node).map(|bic| (node, *bic));
    Ok((header, nodes.into_iter().filter_map(of).collect()))
}

fn proposed(
    trust: &Trust,
    part: &'static str,
    proposal: Option<&v1::SignedProposal>,
) -> Result<(ProposalHeader, Bic), Unproven> {
    let proposal = proposal.ok_or(unproven(part, "it is missing"))?;
    let header = ProposalHeader::decode(&proposal.header)
        .ok_or(unproven(part, "it is not a proposal's header of 118 bytes"))?;
    let by = v1::NodeSignature { node: header.proposer, value: proposal.signature.clone() };
    let signer = trust.signer(Label::Proposal, header.hash().as_bytes(), &by);
    let named = signer.filter(|(_, key)| key_id(&key.spki()).as_bytes()[..] == proposal.key_id[..]);
    let (bic, _) = named.ok_or(unproven(part, "its signature is not by its proposer's key"))?;
    Ok((header, bic))
}
