//! Originals of statements, sealed to the two parties of an agreement.
//!
//! A file is cut into chunks, each under ChaCha20-Poly1305 with a content key that is drawn for this
//! file alone. The content key is sealed with HPKE (RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! ChaCha20-Poly1305, base mode) to the sealing key of each party, which both have signed in the
//! agreement's terms. Base mode does not say who sealed: what is opened is believed because it has the
//! hash that a signed statement names. `docs/reference/format.md` has the bytes.

mod header;
mod key;
mod open;
mod seal;
#[cfg(test)]
mod tests;

use chacha20poly1305::Nonce;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::hash::Hash;

pub use self::key::{KeyMalformed, SealingKey};
pub use self::open::{NotOpened, open};
pub use self::seal::{NotSealed, seal};

use self::header::HEADER_LENGTH;

/// Largest sealed file in bytes. A statement of a million entries is about 200 MB; nodes keep no more.
pub const SEALED_BYTES_MAX: u64 = 256 << 20;

/// Bytes of the file in a chunk, but the last: little enough to hold, enough that its tag is nothing.
const CHUNK_LENGTH: usize = 64 << 10;

/// The tag of a chunk.
const TAG_LENGTH: usize = 16;

/// Which file it is: what a sealed file is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The agreement whose sealing keys are used.
    pub agreement: AgreementId,
    /// The account of the statement.
    pub account: AccountId,
    /// SHA-256 of the file, as the statement names it.
    pub original: Hash,
}

/// How long a file of `length` bytes is when it is sealed; none if that is more than may be.
pub fn sealed_length(length: u64) -> Option<u64> {
    let (header, tag) = (size(HEADER_LENGTH), size(TAG_LENGTH));
    let tags = chunk_count(length).checked_mul(tag)?;
    let sealed = length.checked_add(tags)?.checked_add(header)?;
    (sealed <= SEALED_BYTES_MAX).then_some(sealed)
}

/// An empty file has one chunk, too: it carries the mark of the last.
fn chunk_count(length: u64) -> u64 {
    length.div_ceil(size(CHUNK_LENGTH)).max(1)
}

/// How many bytes of the file a chunk has.
fn length_of_chunk(length: u64, chunk: u64) -> usize {
    let rest = length.saturating_sub(chunk.saturating_mul(size(CHUNK_LENGTH)));
    usize::try_from(rest).unwrap_or(CHUNK_LENGTH).min(CHUNK_LENGTH)
}

/// The chunk's number u64, zeros, and 1 in the last byte of the last chunk: no chunk stands in
/// another's place, and none that was cut off is missed.
fn nonce(chunk: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&chunk.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce.into()
}

fn size(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory fits 64 bits")
}
