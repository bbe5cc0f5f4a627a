//! Private keys: made, read, written as PKCS #8 in PEM.

use counterfoil_ledger::signature::SoftwareSigner;
use pkcs8::{LineEnding, SecretDocument};
use rcgen::KeyPair;

use crate::error::Failure;
use crate::exit::Exit;
use crate::random;

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    /// ECDSA on P-256
    P256,
    /// Ed25519
    Ed25519,
}

/// A fresh key, PKCS #8 version 1: OpenSSL and Java read no later version.
pub fn generate(algorithm: Algorithm) -> Result<SecretDocument, Failure> {
    /// DER of a PKCS #8 key up to the 32 bytes of an Ed25519 seed (RFC 8410).
    const ED25519_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    let der = match algorithm {
        Algorithm::Ed25519 => [ED25519_PREFIX.as_slice(), &random::bytes::<32>()?].concat(),
        Algorithm::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| failed(&error))?
            .serialize_der(),
    };
    Ok(SecretDocument::try_from(der.as_slice()).expect("both are DER"))
}

/// The key in a PEM text, if it is one of ours.
pub fn from_pem(pem: &str) -> Option<SecretDocument> {
    SoftwareSigner::from_pkcs8_pem(pem).ok()?;
    SecretDocument::from_pem(pem).ok().map(|(_, key)| key)
}

/// What signs with it.
pub fn signer(key: &SecretDocument) -> SoftwareSigner {
    SoftwareSigner::from_pkcs8_der(key.as_bytes()).expect("keys are made here or were read as such")
}

/// What issues certificates with it.
pub fn key_pair(key: &SecretDocument) -> Result<KeyPair, Failure> {
    KeyPair::try_from(key.as_bytes()).map_err(|error| failed(&error))
}

/// The text for its file.
pub fn pem(key: &SecretDocument) -> impl std::ops::Deref<Target = String> + use<> {
    key.to_pem("PRIVATE KEY", LineEnding::LF).expect("the label is valid")
}

fn failed(error: &rcgen::Error) -> Failure {
    Failure::new(Exit::Unexpected, "KEY_FAILED", format!("cannot make the key: {error}"))
}
