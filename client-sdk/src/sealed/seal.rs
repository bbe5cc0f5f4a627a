//! Sealing a file to the two parties.

use std::io::{self, Read, Write};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::agreement::terms::SealingKeys;
use counterfoil_ledger::hash::Hash;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::header::{ContentKey, Header, Recipient};
use super::{About, CHUNK_LENGTH, chunk_count, length_of_chunk, nonce, sealed_length};
use crate::random;

/// Why a file was not sealed. What was written by then is of no use.
#[derive(Debug, thiserror::Error)]
pub enum NotSealed {
    /// More than a node keeps.
    #[error("the file has {0} bytes: sealed it would be larger than {max} bytes", max = super::SEALED_BYTES_MAX)]
    TooLarge(u64),
    /// It has another length or hash than was said: it changed while it was read.
    #[error("the file is not the one whose hash was named: it changed while it was read")]
    Changed,
    /// One of the agreement's sealing keys is no X25519 key.
    #[error("a sealing key of the agreement is not an X25519 key: nothing can be sealed to it")]
    KeyWeak,
    /// The file could not be read, or the sealed one not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is drawn for one file.
pub(super) struct Drawn {
    pub(super) content_key: ContentKey,
    /// What the ephemeral keys are made of, the servicer's first.
    pub(super) ephemeral: [Zeroizing<[u8; 32]>; 2],
}

/// Seals a file of `length` bytes to both parties, chunk by chunk, and gives the length of what was
/// written.
pub fn seal(
    plain: impl Read,
    length: u64,
    sealed: impl Write,
    about: &About,
    keys: &SealingKeys,
) -> Result<u64, NotSealed> {
    let drawn = || Zeroizing::new(random::bytes());
    let drawn = Drawn { content_key: drawn(), ephemeral: [drawn(), drawn()] };
    seal_with(plain, length, sealed, about, keys, drawn)
}

pub(super) fn seal_with(
    mut plain: impl Read,
    length: u64,
    mut sealed: impl Write,
    about: &About,
    keys: &SealingKeys,
    Drawn { content_key, ephemeral: [servicer, owner] }: Drawn,
) -> Result<u64, NotSealed> {
    let sealed_length = sealed_length(length).ok_or(NotSealed::TooLarge(length))?;
    let recipients = [
        Recipient { party: Party::Servicer, key: &keys.servicer, drawn: servicer },
        Recipient { party: Party::Owner, key: &keys.owner, drawn: owner },
    ];
    let header = Header::new(about, length, &content_key, recipients);
    let header = header.map_err(|_| NotSealed::KeyWeak)?;
    sealed.write_all(header.bytes())?;
    let bound = Hash::of(header.bytes());
    let cipher = ChaCha20Poly1305::new((&*content_key).into());
    let mut hash = Sha256::new();
    let mut buffer = Zeroizing::new(vec![0; CHUNK_LENGTH]);
    let count = chunk_count(length);
    for number in 0..count {
        let chunk = &mut buffer[..length_of_chunk(length, number)];
        plain.read_exact(chunk).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => NotSealed::Changed,
            _ => NotSealed::Io(error),
        })?;
        hash.update(&*chunk);
        let payload = Payload { msg: chunk, aad: bound.as_bytes() };
        let encrypted = cipher.encrypt(&nonce(number, number + 1 == count), payload);
        sealed.write_all(&encrypted.map_err(|_| io::Error::other("a chunk cannot be sealed"))?)?;
    }
    let is_at_end = plain.read(&mut buffer[..1])? == 0;
    if !is_at_end || hash.finalize()[..] != about.original.as_bytes()[..] {
        return Err(NotSealed::Changed);
    }
    sealed.flush()?;
    Ok(sealed_length)
}
