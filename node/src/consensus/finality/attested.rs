//! An attestation that was read: one node signs one header.

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::HEADER_LENGTH;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::verify::Signers;
use counterfoil_proto::v1;

/// A header that a node has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// Who.
    pub node: u64,
    /// What.
    pub header: Header,
    /// Its hash.
    pub hash: Hash,
    /// As it is sent.
    pub message: v1::Attestation,
}

impl Attested {
    /// Reads a message, sizes first. Whether the signature holds is asked by [`Attested::holds`].
    pub fn read(
        message: v1::Attestation,
        chain_id: &Hash,
        incarnation: u32,
    ) -> Result<Attested, &'static str> {
        if message.header.len() != HEADER_LENGTH {
            return Err("an attested header has 296 bytes");
        }
        let signature = message.signature.as_ref().ok_or("an attestation has a signature")?;
        if signature.value.len() != 64 {
            return Err("an attestation's signature has 64 bytes");
        }
        let node = signature.node;
        let header =
            Header::decode(&message.header).ok_or("the attested header does not decode")?;
        if header.chain_id != *chain_id {
            return Err("the attested header belongs to another chain");
        }
        if header.incarnation != incarnation {
            return Err("the attested header belongs to another incarnation");
        }
        let hash = header.hash();
        Ok(Attested { node, header, hash, message })
    }

    /// Whether the signature is the node's.
    pub fn holds(&self, signers: &Signers) -> bool {
        let signature = self.message.signature.as_ref();
        signature.is_some_and(|it| signers.signed(Label::Header, self.hash.as_bytes(), it))
    }

    /// Its height.
    pub fn height(&self) -> u64 {
        self.header.height
    }
}
