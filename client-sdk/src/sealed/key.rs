//! A party's own sealing key: X25519, as a PKCS #8 file (RFC 8410), which OpenSSL reads and writes.

use std::path::Path;

use hpke::{Deserializable, Kem, Serializable};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::header::Dh;
use crate::error::Error;
use crate::{private_file, random};

/// DER of a PKCS #8 key up to the 32 bytes of an X25519 key.
const PRIVATE_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32];

/// DER of a SubjectPublicKeyInfo up to the 32 bytes of an X25519 key.
const PUBLIC_PREFIX: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 110, 3, 33, 0];

/// The private half of a sealing key.
pub struct SealingKey(pub(super) <Dh as Kem>::PrivateKey);

/// The text is no X25519 key in PKCS #8.
#[derive(Debug, thiserror::Error)]
#[error("not a private X25519 key in PEM (PKCS #8)")]
pub struct KeyMalformed;

impl SealingKey {
    /// A fresh one.
    pub fn generate() -> SealingKey {
        let drawn = Zeroizing::new(random::bytes::<32>());
        SealingKey::from_bytes(&drawn).expect("every 32 bytes are a private key")
    }

    /// The key with these 32 bytes.
    fn from_bytes(bytes: &[u8; 32]) -> Option<SealingKey> {
        <Dh as Kem>::PrivateKey::from_bytes(bytes).ok().map(SealingKey)
    }

    /// Reads a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<SealingKey, KeyMalformed> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyMalformed)?;
        let bytes = der.secret_pkcs8_der().strip_prefix(&PRIVATE_PREFIX).ok_or(KeyMalformed)?;
        let bytes = <&[u8; 32]>::try_from(bytes).map_err(|_| KeyMalformed)?;
        SealingKey::from_bytes(bytes).ok_or(KeyMalformed)
    }

    /// Reads a key file that is accessible to its owner alone.
    pub fn from_file(path: &Path) -> Result<SealingKey, Error> {
        let failed = |problem: String| Error::File { path: path.to_owned(), problem };
        let pem = private_file::read(path).map_err(|error| failed(error.to_string()))?;
        SealingKey::from_pem(&Zeroizing::new(pem)).map_err(|error| failed(error.to_string()))
    }

    /// The public half, as terms of an agreement have it.
    pub fn public(&self) -> [u8; 32] {
        <Dh as Kem>::sk_to_pk(&self.0).to_bytes().into()
    }

    /// PKCS #8, for a file that nobody else reads.
    pub fn pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&PRIVATE_PREFIX[..], &self.0.to_bytes()].concat())
    }

    /// The public half as a SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> Vec<u8> {
        [&PUBLIC_PREFIX[..], &self.public()].concat()
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey")
    }
}
