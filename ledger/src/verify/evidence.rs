//! Evidence: what convicts a node.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_proto::v1::{self, evidence::Kind};

use super::{Trust, Unproven, in_history, require, unproven};
use crate::{
    bic::Bic,
    hash::Hash,
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
}

/// Two headers of one proposal, of which at most one follows from the blocks before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenQuestion {
    /// The header that one node signed.
    pub attested: Header,
    /// That node.
    pub attester: (u64, Bic),
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
        let same_place = replayed.height == open.certified.height
            && replayed.chain_id == open.certified.chain_id
            && replayed.incarnation == open.certified.incarnation
            && replayed.previous == open.certified.previous
            && replayed.proposal_hash == open.certified.proposal_hash;
        require(same_place, "replayed", "it is not the block that the two headers are about")?;
        let mut nodes = BTreeSet::new();
        if *replayed != open.attested {
            nodes.insert(open.attester);
        }
        if *replayed != open.certified {
            nodes.extend(open.signers);
        }
        self.nodes = nodes.into_iter().collect();
        self.what = format!(
            "signed a header at height {} that is not what the blocks before it give",
            replayed.height
        );
        Ok(self)
    }
}

/// Checks evidence.
pub fn evidence(trust: &Trust, evidence: &v1::Evidence) -> Result<Conviction, Unproven> {
    match evidence.kind.as_ref().ok_or(unproven("kind", "it is missing"))? {
        Kind::DoubleAttestation(it) => double_attestation(trust, it),
        Kind::ConflictingCertificates(it) => conflicting_certificates(trust, it),
        Kind::DoubleProposal(it) => double_proposal(trust, it),
        Kind::WrongExecution(it) => wrong_execution(trust, it),
    }
}

fn double_attestation(trust: &Trust, it: &v1::DoubleAttestation) -> Result<Conviction, Unproven> {
    let (first, by) = attested(trust, "first", it.first.as_ref())?;
    let (second, by_too) = attested(trust, "second", it.second.as_ref())?;
    require(by == by_too, "second", "another node signed it")?;
    excluding(trust, &first, &second, &it.other, &it.history_path)?;
    let what = format!("signed two headers at height {} that exclude each other", first.height);
    Ok(convicted(Misbehaviour::DoubleAttestation, vec![by], what))
}

fn conflicting_certificates(
    trust: &Trust,
    it: &v1::ConflictingCertificates,
) -> Result<Conviction, Unproven> {
    let (first, by) = certified(trust, "first", it.first.as_ref())?;
    let (second, by_too) = certified(trust, "second", it.second.as_ref())?;
    excluding(trust, &first, &second, &it.other, &it.history_path)?;
    let both: Vec<_> = by.into_iter().filter(|node| by_too.contains(node)).collect();
    require(!both.is_empty(), "second", "nobody signed both")?;
    let what = format!(
        "was in two quorums for headers at height {} that exclude each other",
        first.height
    );
    Ok(convicted(Misbehaviour::ConflictingCertificates, both, what))
}

fn double_proposal(trust: &Trust, it: &v1::DoubleProposal) -> Result<Conviction, Unproven> {
    let (first, by) = proposed(trust, "first", it.first.as_ref())?;
    let (second, by_too) = proposed(trust, "second", it.second.as_ref())?;
    require(first != second, "second", "it is the same proposal")?;
    let place = |it: &ProposalHeader| (it.incarnation, it.proposer, it.term, it.sequence);
    require(place(&first) == place(&second) && by == by_too, "second", "it is for another place")?;
    let (term, sequence) = (first.term, first.sequence);
    let what = format!("signed two proposals of term {term} with sequence {sequence}");
    Ok(convicted(Misbehaviour::DoubleProposal, vec![(first.proposer, by)], what))
}

fn wrong_execution(trust: &Trust, it: &v1::WrongExecution) -> Result<Conviction, Unproven> {
    let (certified, signers) = certified(trust, "certificate", it.certificate.as_ref())?;
    let (attested, attester) = attested(trust, "attestation", it.attestation.as_ref())?;
    let place = |it: &Header| (it.height, it.incarnation, it.proposal_hash, it.previous);
    let one_place = place(&attested) == place(&certified);
    require(one_place, "attestation", "it is about another block than the certificate")?;
    require(attested != certified, "attestation", "it is the certified header")?;
    let height = certified.height;
    let what = format!(
        "one node and a quorum signed different results of block {height}: executing the ledger up to it says which is wrong"
    );
    let open = OpenQuestion { attested, attester, certified, signers };
    Ok(Conviction {
        open: Some(Box::new(open)),
        ..convicted(Misbehaviour::WrongExecution, Vec::new(), what)
    })
}

fn convicted(kind: Misbehaviour, nodes: Vec<(u64, Bic)>, what: String) -> Conviction {
    Conviction { kind, nodes, what, open: None }
}

/// A header and the node that signed it, by its key of any epoch.
fn attested(
    trust: &Trust,
    part: &'static str,
    attestation: Option<&v1::Attestation>,
) -> Result<(Header, (u64, Bic)), Unproven> {
    let attestation = attestation.ok_or(unproven(part, "it is missing"))?;
    let header = super::header(part, &attestation.header, &trust.chain_id())?;
    let signature =
        attestation.signature.as_ref().ok_or(unproven(part, "its signature is missing"))?;
    let (bic, _) = trust
        .signer(Label::Header, header.hash().as_bytes(), signature)
        .ok_or(unproven(part, "the signature is not its node's"))?;
    Ok((header, (signature.node, bic)))
}

/// A header and the quorum of its epoch that signed it, even where the epoch had ended.
fn certified(
    trust: &Trust,
    part: &'static str,
    certificate: Option<&v1::Certificate>,
) -> Result<(Header, Vec<(u64, Bic)>), Unproven> {
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
    let node = header.proposer;
    let signature = v1::NodeSignature { node, value: proposal.signature.clone() };
    let hash: Hash = header.hash();
    let (bic, key) = trust
        .signer(Label::Proposal, hash.as_bytes(), &signature)
        .ok_or(unproven(part, "the signature is not its proposer's"))?;
    let named = key_id(&key.spki()).as_bytes()[..] == proposal.key_id[..];
    require(named, part, "key_id is not that of the key that signed")?;
    Ok((header, bic))
}

/// Checks that no history has both headers.
fn excluding(
    trust: &Trust,
    first: &Header,
    second: &Header,
    other: &Bytes,
    path: &[Bytes],
) -> Result<(), Unproven> {
    require(first.incarnation == second.incarnation, "second", "it is of another incarnation")?;
    if first.height == second.height {
        require(first != second, "second", "it is the same header")?;
        return require(
            other.is_empty() && path.is_empty(),
            "other",
            "headers of one height need none",
        );
    }
    require(first.height < second.height, "second", "it is the earlier one")?;
    let other = super::header("other", other, &trust.chain_id())?;
    require(other.height == first.height, "other", "it is of another height than the first")?;
    require(other != *first, "other", "it is the first: the two are one history")?;
    in_history(&other, path, second)
}
