//! What nodes have signed about their snapshots.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::snapshot_payload;
use counterfoil_ledger::snapshot::FORMAT;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::v1;

use crate::limits;

/// A digest that a node signed.
#[derive(Clone, Debug)]
pub struct Stated {
    /// Who signed it.
    pub node: u64,
    /// After which block.
    pub header: Header,
    /// What the state comes to.
    pub digest: Hash,
    /// As it was received.
    pub message: v1::SnapshotAttestation,
}

impl Stated {
    /// Reads what a node says; an error is the rule that it breaks. Its signature is not looked at.
    pub fn read(message: v1::SnapshotAttestation, chain_id: &Hash) -> Result<Stated, &'static str> {
        let header = Header::decode(&message.header)
            .filter(|header| header.chain_id == *chain_id)
            .ok_or("a snapshot's header is one of this chain")?;
        if message.format != FORMAT {
            return Err("a snapshot has format 1");
        }
        let digest = Hash::from_slice(&message.digest).ok_or("a digest has 32 bytes")?;
        let signature = message.signature.as_ref().ok_or("a statement is signed")?;
        Ok(Stated { node: signature.node, header, digest, message })
    }

    /// Whether the signature is the node's.
    pub fn holds(&self, signers: &Signers) -> bool {
        let payload = snapshot_payload(&self.header.hash(), FORMAT, &self.digest);
        let signature = self.message.signature.as_ref();
        signature.is_some_and(|it| signers.signed(Label::Snapshot, &payload, it))
    }

    /// What it is about, and what it says of it.
    fn says(&self) -> (Hash, Hash) {
        (self.header.hash(), self.digest)
    }
}

/// The newest statements of each node.
#[derive(Default)]
pub struct Heard {
    /// By node and height.
    stated: BTreeMap<u64, BTreeMap<u64, Stated>>,
    /// Since when each node's statements are counted, and how many there were.
    looked_at: BTreeMap<u64, (Option<Instant>, u32)>,
}

impl Heard {
    /// Whether exactly this is known.
    pub fn knows(&self, stated: &Stated) -> bool {
        let known = self.stated.get(&stated.node);
        let known = known.and_then(|known| known.get(&stated.header.height));
        known.is_some_and(|known| known.message == stated.message)
    }

    /// Whether one more statement of a node may be looked at.
    pub fn has_time_for(&mut self, node: u64) -> bool {
        let (since, count) = self.looked_at.entry(node).or_default();
        if since.is_none_or(|since| since.elapsed() >= Duration::from_secs(1)) {
            (*since, *count) = (Some(Instant::now()), 0);
        }
        *count += 1;
        *count <= limits::SNAPSHOT_STATEMENTS_PER_SECOND_MAX
    }

    /// Takes a statement whose signature holds. The first one of a height counts.
    pub fn take(&mut self, stated: Stated) {
        let of_node = self.stated.entry(stated.node).or_default();
        of_node.entry(stated.header.height).or_insert(stated);
        while of_node.len() > limits::SNAPSHOT_HEIGHTS_HELD_MAX {
            of_node.pop_first();
        }
    }

    /// The signatures under exactly this, by node.
    pub fn agreeing(&self, header: &Header, digest: &Hash) -> Vec<v1::NodeSignature> {
        let says = (header.hash(), *digest);
        let agree = self.of_height(header.height).filter(|stated| stated.says() == says);
        agree.filter_map(|stated| stated.message.signature.clone()).collect()
    }

    /// Statements about the same header with another digest, by node.
    pub fn differing(&self, header: &Header, digest: &Hash) -> Vec<Stated> {
        let hash = header.hash();
        let differs = |stated: &&Stated| stated.header.hash() == hash && stated.digest != *digest;
        self.of_height(header.height).filter(differs).cloned().collect()
    }

    /// Another digest of the same header that a quorum has signed, if there is one.
    pub fn contrary(
        &self,
        header: &Header,
        digest: &Hash,
        quorum: usize,
    ) -> Option<v1::SnapshotCertificate> {
        let mut by_digest: BTreeMap<Hash, Vec<v1::NodeSignature>> = BTreeMap::new();
        for stated in self.differing(header, digest) {
            by_digest.entry(stated.digest).or_default().extend(stated.message.signature);
        }
        let (digest, signatures) = by_digest.into_iter().find(|(_, by)| by.len() >= quorum)?;
        Some(certificate(header, &digest, signatures))
    }

    fn of_height(&self, height: u64) -> impl Iterator<Item = &Stated> {
        self.stated.values().filter_map(move |of_node| of_node.get(&height))
    }
}

/// What a quorum signed.
pub fn certificate(
    header: &Header,
    digest: &Hash,
    signatures: Vec<v1::NodeSignature>,
) -> v1::SnapshotCertificate {
    v1::SnapshotCertificate {
        header: header.encode().to_vec().into(),
        format: FORMAT,
        digest: digest.to_bytes(),
        signatures,
    }
}
