//! Signatures: what is signed, by which keys, and how it is checked.
//!
//! Preimage: `"counterfoil" ‖ 00 ‖ label ‖ 00 ‖ chain id [32] ‖ length u64 ‖ payload`. Ed25519 signs
//! the preimage (RFC 8032, no cofactor, S < L, R compared as bytes, never in batches: verifiers
//! would disagree). ECDSA P-256 signs its SHA-256; the signature is r‖s with low s.

use ed25519_dalek::{Verifier, pkcs8::DecodePrivateKey};
use p256::ecdsa::signature::Signer as _;

use crate::{bic::Bic, hash::Hash, id::InstructionId};

/// What a signature is for; a signature under one label is worth nothing under another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// An instruction of an institution; the payload is its bytes.
    Instruction,
    /// A proposal of a leader; the payload is the hash of its header.
    Proposal,
    /// A header that a node has computed; the payload is its hash.
    Header,
    /// That an id was decided by no block up to a header.
    Absence,
    /// That an instruction will be in a block before a deadline.
    Promise,
    /// What the content of a state comes to after a header.
    Snapshot,
    /// That a node starts for the first time, in a data directory that is named.
    Start,
}

impl Label {
    /// The label's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Instruction => "instruction/1",
            Label::Proposal => "proposal/1",
            Label::Header => "header/1",
            Label::Absence => "absent/1",
            Label::Promise => "promise/1",
            Label::Snapshot => "snapshot/1",
            Label::Start => "start/1",
        }
    }
}

/// The bytes that are signed.
pub fn preimage(label: Label, chain_id: &Hash, payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).expect("a length fits 64 bits");
    let mut bytes = Vec::with_capacity(payload.len() + 80);
    bytes.extend(b"counterfoil\0");
    bytes.extend(label.as_str().as_bytes());
    bytes.push(0);
    bytes.extend(chain_id.as_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What is signed under `absent/1`: BIC [11] · id [16] · hash of the last header searched [32].
pub fn absence_payload(institution: &Bic, id: &InstructionId, searched: &Hash) -> Vec<u8> {
    [institution.as_str().as_bytes(), id.as_bytes(), searched.as_bytes()].concat()
}

/// What is signed under `promise/1`: instruction hash [32] · deadline u64, Unix milliseconds.
pub fn promise_payload(instruction_hash: &Hash, deadline_ms: u64) -> Vec<u8> {
    [&instruction_hash.as_bytes()[..], &deadline_ms.to_be_bytes()].concat()
}

/// What is signed under `snapshot/1`: header hash [32] · format u32 · digest [32].
pub fn snapshot_payload(header_hash: &Hash, format: u32, digest: &Hash) -> Vec<u8> {
    [&header_hash.as_bytes()[..], &format.to_be_bytes(), digest.as_bytes()].concat()
}

/// What is signed under `start/1`: node id u64 · id of its data directory [16].
pub fn start_payload(node: u64, directory: &[u8; 16]) -> Vec<u8> {
    [&node.to_be_bytes()[..], directory].concat()
}

/// DER of a SubjectPublicKeyInfo up to the 32 bytes of an Ed25519 key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];

/// DER of a SubjectPublicKeyInfo up to the 65 bytes of an uncompressed P-256 point (RFC 5480).
const P256_SPKI_PREFIX: [u8; 26] = [
    48, 89, 48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7, 3, 66, 0,
];

/// A public key that may be enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519.
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// ECDSA on P-256.
    P256(Box<p256::ecdsa::VerifyingKey>),
}

/// Why a key cannot be enrolled or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither of the two encodings.
    #[error(
        "a public key is the DER SubjectPublicKeyInfo of an Ed25519 key or of an uncompressed P-256 key"
    )]
    Encoding,
    /// A point that is not on the curve, not canonical, or of small order.
    #[error("the public key is not a point that may sign")]
    Point,
    /// Not PKCS #8, or of another algorithm.
    #[error("a private key is an unencrypted PKCS #8 key, Ed25519 or P-256")]
    Private,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo in one of exactly two encodings.
    pub fn from_spki(spki: &[u8]) -> Result<PublicKey, KeyError> {
        if let Some(point) = spki.strip_prefix(&ED25519_SPKI_PREFIX) {
            let point: &[u8; 32] = point.try_into().map_err(|_| KeyError::Encoding)?;
            let key =
                ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| KeyError::Point)?;
            // A key of small order verifies what nobody signed; a second encoding of a point would
            // be a second identity of the same key.
            let canonical = key.to_edwards().compress().as_bytes() == point;
            return if key.is_weak() || !canonical {
                Err(KeyError::Point)
            } else {
                Ok(PublicKey::Ed25519(Box::new(key)))
            };
        }
        let point = spki.strip_prefix(&P256_SPKI_PREFIX).ok_or(KeyError::Encoding)?;
        if point.len() != 65 || point[0] != 4 {
            return Err(KeyError::Encoding);
        }
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Point)?;
        Ok(PublicKey::P256(Box::new(key)))
    }

    /// DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        match self {
            PublicKey::Ed25519(key) => [&ED25519_SPKI_PREFIX[..], key.as_bytes()].concat(),
            PublicKey::P256(key) => {
                [&P256_SPKI_PREFIX[..], key.to_sec1_point(false).as_bytes()].concat()
            }
        }
    }

    /// Whether a signature is by this key over a preimage.
    pub fn verify(&self, preimage: &[u8], signature: &[u8; 64]) -> bool {
        match self {
            PublicKey::Ed25519(key) => {
                key.verify(preimage, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
            }
            PublicKey::P256(key) => {
                let Ok(signature) = p256::ecdsa::Signature::from_slice(signature) else {
                    return false;
                };
                // With s and n − s both taken, a third party could change a signature's bytes.
                signature.normalize_s() == signature && key.verify(preimage, &signature).is_ok()
            }
        }
    }
}

/// The id of a key: SHA-256 of its SubjectPublicKeyInfo.
pub fn key_id(spki: &[u8]) -> Hash {
    Hash::of(spki)
}

/// Where private keys live; a file today, a PKCS #11 token tomorrow.
pub trait Signer: Send + Sync {
    /// DER SubjectPublicKeyInfo of the public key.
    fn spki(&self) -> &[u8];

    /// Signs a preimage: 64 bytes, as described at the top of this module.
    fn sign(&self, preimage: &[u8]) -> Result<[u8; 64], SignerError>;

    /// Whether signing may wait for a device; whoever must not wait then gives it a thread.
    fn may_wait(&self) -> bool {
        true
    }

    /// The key's id.
    fn key_id(&self) -> Hash {
        key_id(self.spki())
    }
}

/// A signer that did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signer failed: {0}")]
pub struct SignerError(pub String);

/// A private key in memory. Both algorithms sign deterministically (RFC 8032, RFC 6979).
pub struct SoftwareSigner {
    spki: Vec<u8>,
    key: SoftwareKey,
}

enum SoftwareKey {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<p256::ecdsa::SigningKey>),
}

impl SoftwareSigner {
    /// Reads an unencrypted PKCS #8 key in PEM.
    pub fn from_pkcs8_pem(pem: &str) -> Result<SoftwareSigner, KeyError> {
        let (label, der) = pkcs8::SecretDocument::from_pem(pem).map_err(|_| KeyError::Private)?;
        if label != "PRIVATE KEY" {
            return Err(KeyError::Private);
        }
        SoftwareSigner::from_pkcs8_der(der.as_bytes())
    }

    /// Reads an unencrypted PKCS #8 key in DER.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<SoftwareSigner, KeyError> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_der(der) {
            return Ok(SoftwareSigner::ed25519(key));
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Private)?;
        let point = key.verifying_key().to_sec1_point(false);
        let spki = [&P256_SPKI_PREFIX, point.as_bytes()].concat();
        Ok(SoftwareSigner { spki, key: SoftwareKey::P256(Box::new(key)) })
    }

    /// An Ed25519 key of a 32-byte seed.
    pub fn from_ed25519_seed(seed: &[u8; 32]) -> SoftwareSigner {
        SoftwareSigner::ed25519(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    fn ed25519(key: ed25519_dalek::SigningKey) -> SoftwareSigner {
        let spki = [&ED25519_SPKI_PREFIX[..], key.verifying_key().as_bytes()].concat();
        SoftwareSigner { spki, key: SoftwareKey::Ed25519(Box::new(key)) }
    }
}

impl Signer for SoftwareSigner {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn may_wait(&self) -> bool {
        false
    }

    fn sign(&self, preimage: &[u8]) -> Result<[u8; 64], SignerError> {
        match &self.key {
            SoftwareKey::Ed25519(key) => Ok(key.sign(preimage).to_bytes()),
            SoftwareKey::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(preimage);
                Ok(signature.normalize_s().to_bytes().into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, test 1: the key of the all-zero-length message.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

    fn seed() -> [u8; 32] {
        let byte = |at: usize| u8::from_str_radix(&SEED[at * 2..at * 2 + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    fn p256() -> SoftwareSigner {
        let key = p256::ecdsa::SigningKey::from_slice(&seed()).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let spki = [&P256_SPKI_PREFIX, point.as_bytes()].concat();
        SoftwareSigner { spki, key: SoftwareKey::P256(Box::new(key)) }
    }

    #[test]
    fn both_algorithms_sign_and_every_flipped_bit_is_refused() {
        for signer in [SoftwareSigner::from_ed25519_seed(&seed()), p256()] {
            let key = PublicKey::from_spki(signer.spki()).unwrap();
            let payload = preimage(Label::Instruction, &Hash::of(b"chain"), b"payload");
            let signature = signer.sign(&payload).unwrap();
            assert_eq!(signature, signer.sign(&payload).unwrap());
            assert!(key.verify(&payload, &signature));
            for bit in 0..512 {
                let mut changed = signature;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.verify(&payload, &changed), "bit {bit}");
            }
            let other_label = preimage(Label::Proposal, &Hash::of(b"chain"), b"payload");
            let other_chain = preimage(Label::Instruction, &Hash::of(b"other"), b"payload");
            assert!(!key.verify(&other_label, &signature));
            assert!(!key.verify(&other_chain, &signature));
        }
    }

    #[test]
    fn high_s_is_refused() {
        let signer = p256();
        let key = PublicKey::from_spki(signer.spki()).unwrap();
        let low = p256::ecdsa::Signature::from_slice(&signer.sign(b"x").unwrap()).unwrap();
        let (r, s) = low.split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r, -*s).unwrap();
        assert!(!key.verify(b"x", &high.to_bytes().into()));
    }

    #[test]
    fn keys_that_may_not_be_enrolled() {
        let identity = {
            let mut point = [0; 32];
            point[0] = 1;
            [&ED25519_SPKI_PREFIX[..], &point].concat()
        };
        assert_eq!(PublicKey::from_spki(&identity), Err(KeyError::Point));
        // y = p + 1 is a second encoding of the identity.
        let mut point = [0xff; 32];
        point[0] = 0xee;
        point[31] = 0x7f;
        let non_canonical = [&ED25519_SPKI_PREFIX[..], &point].concat();
        assert_eq!(PublicKey::from_spki(&non_canonical), Err(KeyError::Point));
        assert_eq!(PublicKey::from_spki(&[]), Err(KeyError::Encoding));
        let mut trailing = SoftwareSigner::from_ed25519_seed(&seed()).spki().to_vec();
        trailing.push(0);
        assert_eq!(PublicKey::from_spki(&trailing), Err(KeyError::Encoding));
    }

    #[test]
    fn pkcs8_in_pem() {
        // openssl genpkey -algorithm ed25519, of the seed above.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
            -----END PRIVATE KEY-----\n";
        let signer = SoftwareSigner::from_pkcs8_pem(pem).unwrap();
        assert_eq!(signer.spki(), SoftwareSigner::from_ed25519_seed(&seed()).spki());
        assert_eq!(SoftwareSigner::from_pkcs8_pem("hello").err(), Some(KeyError::Private));
    }
}
