//! Who signs headers in one epoch, and how many of them it takes.

use std::collections::BTreeMap;

use counterfoil_proto::v1;

use super::{Unproven, unproven};
use crate::{
    bic::Bic,
    hash::Hash,
    header::Header,
    registry::Registry,
    signature::{self, Label, PublicKey},
};

/// The signers of an epoch.
#[derive(Clone, Debug)]
pub struct Signers {
    chain_id: Hash,
    quorum: usize,
    nodes: BTreeMap<u64, (Bic, PublicKey)>,
}

impl Signers {
    /// Those of a set of nodes, one an institution.
    pub fn new(
        chain_id: Hash,
        quorum: usize,
        nodes: impl IntoIterator<Item = (u64, Bic, PublicKey)>,
    ) -> Signers {
        let nodes = nodes.into_iter().map(|(id, bic, key)| (id, (bic, key))).collect();
        Signers { chain_id, quorum, nodes }
    }

    /// Those of a registry: its voters.
    pub fn of(chain_id: Hash, registry: &Registry) -> Signers {
        let nodes = registry.voters().map(|node| {
            let key = registry.key(&node.attestation_key_id).expect("a node's key is registered");
            (node.id, node.institution, key.public_key.clone())
        });
        Signers::new(chain_id, registry.policy().finality_quorum, nodes)
    }

    /// Institutions that must sign.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Node ids, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        self.nodes.keys().copied()
    }

    /// Whose node it is.
    pub fn institution(&self, node: u64) -> Option<&Bic> {
        self.nodes.get(&node).map(|(bic, _)| bic)
    }

    /// The key of a node.
    pub fn key(&self, node: u64) -> Option<&PublicKey> {
        self.nodes.get(&node).map(|(_, key)| key)
    }

    /// Whether a signature is its node's.
    pub fn signed(&self, label: Label, payload: &[u8], by: &v1::NodeSignature) -> bool {
        let preimage = signature::preimage(label, &self.chain_id, payload);
        let value = <&[u8; 64]>::try_from(&by.value[..]);
        let key = self.key(by.node);
        key.zip(value.ok()).is_some_and(|(key, value)| key.verify(&preimage, value))
    }

    /// Checks that a quorum signed a payload, each once and in order of their ids, and nobody else.
    /// Returns who.
    pub fn quorum_signed(
        &self,
        label: Label,
        payload: &[u8],
        signatures: &[v1::NodeSignature],
    ) -> Result<Vec<u64>, Unproven> {
        let refuse = |rule| Err(unproven("signatures", rule));
        if signatures.len() < self.quorum {
            return refuse("fewer institutions signed than a quorum");
        }
        if signatures.windows(2).any(|pair| pair[0].node >= pair[1].node) {
            return refuse("they are not ordered by node, each once");
        }
        if signatures.iter().any(|it| !self.nodes.contains_key(&it.node)) {
            return refuse("one is by a node that does not sign in this epoch");
        }
        if !signatures.iter().all(|it| self.signed(label, payload, it)) {
            return refuse("one is not its node's");
        }
        Ok(signatures.iter().map(|it| it.node).collect())
    }

    /// Checks a certificate of this epoch; returns its header and who signed it.
    pub fn certified(&self, certificate: &v1::Certificate) -> Result<(Header, Vec<u64>), Unproven> {
        let header = super::header("certificate.header", &certificate.header, &self.chain_id)?;
        let signed = &certificate.signatures;
        let signers = self.quorum_signed(Label::Header, header.hash().as_bytes(), signed)?;
        Ok((header, signers))
    }
}
