//! Who signs checkpoints: the nodes, each once for the log and once for itself.

use std::collections::BTreeMap;

use super::note::{encode, malformed};
use super::{
    COSIGNATURE_TIME_MAX_S, Checkpoint, Note, NoteSignature, NoteSignatureKind, key_hash, origin,
};
use crate::{
    hash::Hash,
    registry::Registry,
    signature::{PublicKey, Signer, SignerError},
    verify::Unproven,
};

/// The nodes that sign the checkpoints of a chain.
#[derive(Clone, Debug)]
pub struct Cosigners {
    origin: String,
    quorum: usize,
    nodes: BTreeMap<u64, Cosigner>,
}

/// A node whose attestation key is Ed25519.
#[derive(Clone, Debug)]
struct Cosigner {
    name: String,
    key: PublicKey,
    /// Of its signature in the log's name.
    signature_hash: [u8; 4],
    /// Of its cosignature.
    cosignature_hash: [u8; 4],
}

/// Who signed a checkpoint, as far as it is known who that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Nodes that signed it in the log's name, by id.
    pub signed: Vec<u64>,
    /// Nodes that cosigned it, by id, and when they did, Unix seconds.
    pub cosigned: BTreeMap<u64, u64>,
    /// Whether the cosigners are a quorum.
    pub quorum: bool,
}

impl Cosigners {
    /// The voters of a registry.
    pub fn of(consortium: &str, chain_id: &Hash, registry: &Registry) -> Cosigners {
        let origin = origin(consortium, chain_id);
        let nodes = registry.voters().filter_map(|node| {
            let key = registry.key(&node.attestation_key_id).expect("a node's key is registered");
            let PublicKey::Ed25519(point) = &key.public_key else { return None };
            let name = format!("{consortium}/{}/{}", node.institution, node.name);
            let hash = |name, kind| key_hash(name, kind, point.as_bytes());
            let cosigner = Cosigner {
                signature_hash: hash(&origin, NoteSignatureKind::Ed25519),
                cosignature_hash: hash(&name, NoteSignatureKind::Cosignature),
                key: key.public_key.clone(),
                name,
            };
            Some((node.id, cosigner))
        });
        let nodes = nodes.collect();
        Cosigners { origin, quorum: registry.policy().finality_quorum, nodes }
    }

    /// The first line of every checkpoint of the chain.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many nodes have to cosign.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// The nodes that can sign, by id: those whose attestation key is Ed25519.
    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        self.nodes.keys().copied()
    }

    /// The name under which a node cosigns.
    pub fn name(&self, node: u64) -> Option<&str> {
        self.nodes.get(&node).map(|cosigner| cosigner.name.as_str())
    }

    /// What a witness is configured with: the nodes' keys in the log's name, as C2SP verifier keys, by
    /// node id.
    pub fn verifier_keys(&self) -> impl Iterator<Item = String> {
        self.nodes.values().filter_map(|cosigner| {
            let PublicKey::Ed25519(point) = &cosigner.key else { return None };
            let id = u32::from_be_bytes(cosigner.signature_hash);
            let key = [&[NoteSignatureKind::Ed25519 as u8], &point.as_bytes()[..]].concat();
            Some(format!("{}+{id:08x}+{}", self.origin, encode(&key)))
        })
    }

    /// Signs in the log's name. None where the node cannot.
    pub fn sign(
        &self,
        node: u64,
        signer: &dyn Signer,
        checkpoint: &Checkpoint,
    ) -> Result<Option<NoteSignature>, SignerError> {
        let Some(cosigner) = self.nodes.get(&node) else { return Ok(None) };
        let value = signer.sign(checkpoint.text().as_bytes())?.to_vec();
        let (name, key_hash) = (self.origin.clone(), cosigner.signature_hash);
        Ok(Some(NoteSignature { name, key_hash, value }))
    }

    /// Cosigns, at a moment. None where the node cannot.
    pub fn cosign(
        &self,
        node: u64,
        signer: &dyn Signer,
        checkpoint: &Checkpoint,
        time_s: u64,
    ) -> Result<Option<NoteSignature>, SignerError> {
        let Some(cosigner) = self.nodes.get(&node) else { return Ok(None) };
        let signature = signer.sign(&checkpoint.cosigned(time_s))?;
        let value = [&time_s.to_be_bytes()[..], &signature].concat();
        let (name, key_hash) = (cosigner.name.clone(), cosigner.cosignature_hash);
        Ok(Some(NoteSignature { name, key_hash, value }))
    }

    /// A node's cosignature, of which nothing but the value has travelled.
    pub fn cosignature(&self, node: u64, value: &[u8]) -> Option<NoteSignature> {
        let cosigner = self.nodes.get(&node)?;
        let (name, key_hash) = (cosigner.name.clone(), cosigner.cosignature_hash);
        Some(NoteSignature { name, key_hash, value: value.to_vec() })
    }

    /// The moment of a node's cosignature, if it is one of that node over the checkpoint.
    pub fn cosigned_at(
        &self,
        node: u64,
        checkpoint: &Checkpoint,
        signature: &NoteSignature,
    ) -> Option<u64> {
        let cosigner = self.nodes.get(&node)?;
        let named = (&signature.name, signature.key_hash);
        if named != (&cosigner.name, cosigner.cosignature_hash) {
            return None;
        }
        let (time_s, value) = signature.value.split_first_chunk()?;
        let time_s = u64::from_be_bytes(*time_s);
        let value = value.try_into().ok()?;
        let holds = time_s <= COSIGNATURE_TIME_MAX_S
            && cosigner.key.verify(&checkpoint.cosigned(time_s), value);
        holds.then_some(time_s)
    }

    fn is_signed(&self, node: u64, checkpoint: &Checkpoint, signature: &NoteSignature) -> bool {
        let Ok(value) = <&[u8; 64]>::try_from(&signature.value[..]) else { return false };
        let key = self.nodes.get(&node).map(|cosigner| &cosigner.key);
        key.is_some_and(|key| key.verify(checkpoint.text().as_bytes(), value))
    }

    /// Checks a checkpoint: it is of this chain, at least one node signed it, and what says to be a
    /// node's signature is. Signatures of others are ignored, as *signed-note* asks.
    pub fn verify(&self, note: &Note) -> Result<Signed, Unproven> {
        let checkpoint = Checkpoint::parse(&note.text)?;
        if checkpoint.origin != self.origin {
            return Err(malformed("it belongs to another chain"));
        }
        let (mut signed, mut cosigned) = (Vec::new(), BTreeMap::new());
        for line in &note.signatures {
            let in_the_logs_name = line.name == self.origin;
            // Two keys may have the same four bytes of hash.
            let mut candidates = self.nodes.iter().filter(|(_, cosigner)| {
                if in_the_logs_name {
                    line.key_hash == cosigner.signature_hash
                } else {
                    line.name == cosigner.name && line.key_hash == cosigner.cosignature_hash
                }
            });
            let mut is_known = false;
            let found = candidates.find_map(|(node, _)| {
                is_known = true;
                if in_the_logs_name {
                    self.is_signed(*node, &checkpoint, line).then_some((*node, None))
                } else {
                    Some((*node, Some(self.cosigned_at(*node, &checkpoint, line)?)))
                }
            });
            match found {
                Some((node, None)) => signed.push(node),
                Some((node, Some(time_s))) => {
                    let latest = cosigned.entry(node).or_insert(time_s);
                    *latest = time_s.max(*latest);
                }
                None if is_known => return Err(malformed("a signature is not its node's")),
                None => {}
            }
        }
        signed.sort_unstable();
        signed.dedup();
        if signed.is_empty() && cosigned.is_empty() {
            return Err(malformed("no node of the chain signed it"));
        }
        let quorum = cosigned.len() >= self.quorum;
        Ok(Signed { checkpoint, signed, cosigned, quorum })
    }
}
