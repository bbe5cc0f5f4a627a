//! Whom a certificate can be believed: the trust anchor of each institution, and the nodes of the
//! registry.

use std::collections::BTreeMap;
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use rustls::CertificateError as TlsCertificateError;
use rustls::OtherError;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::identity::certificate::{self, CertificateError};
use crate::identity::tls::verifier::SIGNATURE_ALGORITHMS;
use crate::identity::{Identity, Role};
use crate::limits;

/// The anchors and nodes that certificates are judged by.
#[derive(Debug)]
pub struct Trust {
    consortium: String,
    anchors: BTreeMap<Bic, TrustAnchor<'static>>,
    nodes: BTreeMap<u64, (Bic, String)>,
}

/// Why anchors and nodes cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not a certificate.
    #[error("the trust anchor of {0} is not a DER certificate")]
    AnchorMalformed(Bic),
    /// One key for two: each could speak for the other.
    #[error("the trust anchors of {0} and {1} have the same key")]
    AnchorShared(Bic, Bic),
}

/// Whom one side of a connection expects at the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anybody of a member institution: on the listener for clients.
    Member,
    /// Any node of the registry: on the listener for nodes.
    AnyNode,
    /// One node: on a connection to it.
    Node(u64),
}

/// Why a certificate is not believed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// It names nobody of this consortium.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It names an institution that is no member.
    #[error("{identity} belongs to no member institution")]
    UnknownInstitution {
        /// Who it names.
        identity: Box<Identity>,
    },
    /// Its chain does not end at the anchor of the institution that it names, or is broken.
    #[error("the certificate of {identity} is not to be believed: {}", chain_words(error))]
    Chain {
        /// Who it names.
        identity: Box<Identity>,
        /// What is wrong with the chain.
        error: webpki::Error,
    },
    /// More certificates than any chain here has.
    #[error("a chain of {0} certificates, at most {max} are taken", max = limits::CERTIFICATE_CHAIN_MAX)]
    ChainTooLong(usize),
    /// Not a node, where only nodes are expected.
    #[error("{identity} is no node")]
    Role {
        /// Who it names.
        identity: Box<Identity>,
    },
    /// A node's role, but not a node of the registry.
    #[error("{identity} is not in the registry of nodes")]
    UnknownNode {
        /// Who it names.
        identity: Box<Identity>,
    },
    /// A node, but not the one that was called.
    #[error("node {expected} was called, {identity} answered")]
    OtherNode {
        /// Who it names.
        identity: Box<Identity>,
        /// Who was called.
        expected: u64,
    },
}

fn chain_words(error: &webpki::Error) -> String {
    use webpki::Error;
    match error {
        Error::CertExpired { not_after, .. } => {
            format!("it expired at {} (Unix seconds)", not_after.as_secs())
        }
        Error::CertNotValidYet { not_before, .. } => {
            format!("it holds only from {} (Unix seconds)", not_before.as_secs())
        }
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => {
            "it does not lead to the trust anchor of its institution".to_owned()
        }
        other => format!("its chain is broken: {other:?}"),
    }
}

impl Refusal {
    /// The broken rule in one word, for metrics.
    pub fn rule(&self) -> &'static str {
        match self {
            Refusal::Certificate(error) => error.rule(),
            Refusal::UnknownInstitution { .. } => "institution",
            Refusal::Chain { error: webpki::Error::CertExpired { .. }, .. } => "expired",
            Refusal::Chain { error: webpki::Error::CertNotValidYet { .. }, .. } => "not_yet_valid",
            Refusal::Chain { .. } | Refusal::ChainTooLong(_) => "chain",
            Refusal::Role { .. } => "role",
            Refusal::UnknownNode { .. } | Refusal::OtherNode { .. } => "node",
        }
    }
}

/// What the other side is told: no more than TLS has words for.
impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> rustls::Error {
        let error = match &refusal {
            Refusal::Certificate(CertificateError::Malformed) => TlsCertificateError::BadEncoding,
            Refusal::Chain { error: webpki::Error::CertExpired { time, not_after }, .. } => {
                TlsCertificateError::ExpiredContext { time: *time, not_after: *not_after }
            }
            Refusal::Chain {
                error: webpki::Error::CertNotValidYet { time, not_before }, ..
            } => TlsCertificateError::NotValidYetContext { time: *time, not_before: *not_before },
            Refusal::UnknownInstitution { .. } | Refusal::Chain { .. } => {
                TlsCertificateError::UnknownIssuer
            }
            Refusal::Role { .. } | Refusal::UnknownNode { .. } | Refusal::OtherNode { .. } => {
                TlsCertificateError::ApplicationVerificationFailure
            }
            _ => TlsCertificateError::Other(OtherError(std::sync::Arc::new(refusal))),
        };
        rustls::Error::InvalidCertificate(error)
    }
}

impl Trust {
    /// What a genesis file founds.
    pub fn of(genesis: &Genesis) -> Result<Trust, TrustError> {
        let anchors = genesis.trust_anchors().map(|(bic, der)| (bic, der.to_vec())).collect();
        let nodes = Registry::of(genesis)
            .nodes()
            .map(|node| (node.id, node.institution, node.name.clone()))
            .collect();
        Trust::new(&genesis.message().consortium, anchors, nodes)
    }

    /// Anchors (DER certificates) by institution, and nodes by id with institution and name.
    ///
    /// The dates of an anchor are not looked at: it holds for as long as the registry has it.
    pub fn new(
        consortium: &str,
        anchors: Vec<(Bic, Vec<u8>)>,
        nodes: Vec<(u64, Bic, String)>,
    ) -> Result<Trust, TrustError> {
        let mut by_institution: BTreeMap<Bic, TrustAnchor<'static>> = BTreeMap::new();
        let mut by_key: BTreeMap<Hash, Bic> = BTreeMap::new();
        for (bic, der) in anchors {
            let der = CertificateDer::from(der);
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|_| TrustError::AnchorMalformed(bic))?
                .to_owned();
            let key = Hash::of(&anchor.subject_public_key_info);
            if let Some(other) = by_key.insert(key, bic) {
                return Err(TrustError::AnchorShared(other, bic));
            }
            by_institution.insert(bic, anchor);
        }
        let nodes = nodes.into_iter().map(|(id, bic, name)| (id, (bic, name))).collect();
        Ok(Trust { consortium: consortium.to_owned(), anchors: by_institution, nodes })
    }

    /// The trust domain.
    pub fn consortium(&self) -> &str {
        &self.consortium
    }

    /// Reads a certificate without judging it.
    pub fn identify(&self, leaf: &[u8]) -> Result<Identity, CertificateError> {
        certificate::identify(&self.consortium, leaf)
    }

    /// The node that an identity is, if the registry has it.
    pub fn node_id(&self, identity: &Identity) -> Option<u64> {
        let named = |(bic, name): &(Bic, String)| {
            *bic == identity.institution && *name == identity.name && identity.role == Role::Node
        };
        self.nodes.iter().find(|(_, node)| named(node)).map(|(id, _)| *id)
    }

    /// Judges a certificate that the other side sent, with what it sent beside it. The institution
    /// that it claims picks the one anchor at which its chain may end.
    pub fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        expected: Expected,
        now: UnixTime,
    ) -> Result<Identity, Refusal> {
        let length = intermediates.len() + 1;
        if length > limits::CERTIFICATE_CHAIN_MAX {
            return Err(Refusal::ChainTooLong(length));
        }
        let identity = self.identify(leaf)?;
        let Some(anchor) = self.anchors.get(&identity.institution) else {
            return Err(Refusal::UnknownInstitution { identity: Box::new(identity) });
        };
        let usage = match expected {
            Expected::Member | Expected::AnyNode => KeyUsage::client_auth(),
            Expected::Node(_) => KeyUsage::server_auth(),
        };
        let chain = EndEntityCert::try_from(leaf).and_then(|leaf| {
            let anchors = std::slice::from_ref(anchor);
            leaf.verify_for_usage(
                SIGNATURE_ALGORITHMS.all,
                anchors,
                intermediates,
                now,
                usage,
                None,
                None,
            )
            .map(|_| ())
        });
        if let Err(error) = chain {
            return Err(Refusal::Chain { identity: Box::new(identity), error });
        }
        self.check_expected(identity, expected)
    }

    fn check_expected(&self, identity: Identity, expected: Expected) -> Result<Identity, Refusal> {
        if expected == Expected::Member {
            return Ok(identity);
        }
        if identity.role != Role::Node {
            return Err(Refusal::Role { identity: Box::new(identity) });
        }
        match (self.node_id(&identity), expected) {
            (None, _) => Err(Refusal::UnknownNode { identity: Box::new(identity) }),
            (Some(id), Expected::Node(expected)) if id != expected => {
                Err(Refusal::OtherNode { identity: Box::new(identity), expected })
            }
            (Some(_), _) => Ok(identity),
        }
    }
}

/// The clock's milliseconds as the type that chains are judged with.
pub(crate) fn unix_time(now_ms: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(now_ms))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::fixture::{Authority, CONSORTIUM, Leaf};

    /// 2026-11-22.
    const NOW_MS: u64 = 1_795_305_600_000;

    struct World {
        bank_a: Authority,
        bank_b: Authority,
        trust: Trust,
    }

    fn world() -> World {
        let bank_a = Authority::new("BANKAAAAXXX");
        let bank_b = Authority::new("BANKBBBBXXX");
        let node = |id, authority: &Authority| (id, authority.anchor().0, "one".to_owned());
        let nodes = vec![node(1, &bank_a), node(2, &bank_b)];
        let trust = Trust::new(CONSORTIUM, vec![bank_a.anchor(), bank_b.anchor()], nodes).unwrap();
        World { bank_a, bank_b, trust }
    }

    fn judge(trust: &Trust, leaf: &Leaf, expected: Expected) -> Result<String, &'static str> {
        trust
            .judge(&leaf.certificate, &leaf.intermediates, expected, unix_time(NOW_MS))
            .map(|identity| identity.to_string())
            .map_err(|refusal| refusal.rule())
    }

    #[test]
    fn believes_members_of_every_role() {
        let World { bank_a, trust, .. } = world();
        for role in Role::ALL {
            let leaf = bank_a.leaf(role, "one");
            let name = format!("BANKAAAAXXX/{role}/one");
            assert_eq!(judge(&trust, &leaf, Expected::Member), Ok(name));
        }
        let below = bank_a.intermediate().intermediate().leaf(Role::Client, "one");
        assert!(judge(&trust, &below, Expected::Member).is_ok());
        let too_long = bank_a.intermediate().intermediate().intermediate().intermediate();
        assert_eq!(
            judge(&trust, &too_long.leaf(Role::Client, "one"), Expected::Member),
            Err("chain")
        );
    }

    #[test]
    fn no_ca_speaks_for_another_institution() {
        let World { bank_a, bank_b, trust } = world();
        for expected in [Expected::Member, Expected::AnyNode, Expected::Node(2)] {
            let forged = bank_a.leaf_claiming("BANKBBBBXXX", Role::Node, "one");
            assert_eq!(judge(&trust, &forged, expected), Err("chain"));
            let below = bank_a.intermediate().leaf_claiming("BANKBBBBXXX", Role::Node, "one");
            assert_eq!(judge(&trust, &below, expected), Err("chain"));
        }
        // Nor does it help to send the victim's anchor along.
        let mut forged = bank_a.leaf_claiming("BANKBBBBXXX", Role::Client, "one");
        forged.intermediates = vec![bank_b.certificate.clone(), bank_a.certificate.clone()];
        assert_eq!(judge(&trust, &forged, Expected::Member), Err("chain"));
    }

    #[test]
    fn believes_no_stranger() {
        let World { bank_a, trust, .. } = world();
        let stranger = Authority::new("EVILEEEEXXX");
        let leaf = stranger.leaf(Role::Client, "one");
        assert_eq!(judge(&trust, &leaf, Expected::Member), Err("institution"));
        let impostor = Authority::new("BANKAAAAXXX").leaf(Role::Client, "one");
        assert_eq!(judge(&trust, &impostor, Expected::Member), Err("chain"));
        let expired = bank_a.expired_leaf(Role::Client, "one");
        assert_eq!(judge(&trust, &expired, Expected::Member), Err("expired"));
        let early = bank_a.leaf_with(Role::Client, |params| {
            params.not_before = rcgen::date_time_ymd(2090, 1, 1);
        });
        assert_eq!(judge(&trust, &early, Expected::Member), Err("not_yet_valid"));
        let missing_intermediate = {
            let mut leaf = bank_a.intermediate().leaf(Role::Client, "one");
            leaf.intermediates.clear();
            leaf
        };
        assert_eq!(judge(&trust, &missing_intermediate, Expected::Member), Err("chain"));
        // A CA's own certificate is no leaf.
        let ca = bank_a.leaf_with(Role::Client, |params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        });
        assert_eq!(judge(&trust, &ca, Expected::Member), Err("chain"));
        // A leaf is no CA.
        let World { bank_a, trust, .. } = world();
        assert_eq!(
            judge(&trust, &bank_a.leaf(Role::Client, "one"), Expected::AnyNode),
            Err("role")
        );
    }

    #[test]
    fn nodes_are_those_of_the_registry() {
        let World { bank_a, bank_b, trust } = world();
        let one = bank_a.leaf(Role::Node, "one");
        assert!(judge(&trust, &one, Expected::AnyNode).is_ok());
        assert!(judge(&trust, &one, Expected::Node(1)).is_ok());
        assert_eq!(judge(&trust, &one, Expected::Node(2)), Err("node"));
        assert_eq!(judge(&trust, &one, Expected::Node(9)), Err("node"));
        let other = bank_b.leaf(Role::Node, "two");
        assert_eq!(judge(&trust, &other, Expected::AnyNode), Err("node"));
        let operator = bank_a.leaf(Role::Operator, "one");
        assert_eq!(judge(&trust, &operator, Expected::AnyNode), Err("role"));
        let identity = trust.identify(&operator.certificate).unwrap();
        assert_eq!(trust.node_id(&identity), None);
    }

    #[test]
    fn anchors_are_certificates_of_different_keys() {
        let World { bank_a, bank_b, .. } = world();
        let (bic_a, bic_b) = (bank_a.anchor().0, bank_b.anchor().0);
        let shared = vec![bank_a.anchor(), (bic_b, bank_a.anchor().1)];
        assert_eq!(
            Trust::new(CONSORTIUM, shared, vec![]).unwrap_err(),
            TrustError::AnchorShared(bic_a, bic_b)
        );
        let garbage = vec![(bic_a, vec![0x30, 0x00])];
        assert_eq!(
            Trust::new(CONSORTIUM, garbage, vec![]).unwrap_err(),
            TrustError::AnchorMalformed(bic_a)
        );
    }
}
