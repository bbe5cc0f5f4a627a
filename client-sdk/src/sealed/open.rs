//! Opening what was sealed to a party.

use std::io::{self, Read, Write};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::hash::Hash;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::header::{HEADER_LENGTH, Header};
use super::{
    About, CHUNK_LENGTH, SealingKey, TAG_LENGTH, chunk_count, length_of_chunk, nonce, sealed_length,
};

/// Why a sealed file was not opened. What was written by then is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// No sealed file of this version, or of a length that none has.
    #[error("it is not a sealed original of a version that this program knows")]
    NotSealed,
    /// It says of itself that it is another file.
    #[error("it is sealed for another agreement, account or file")]
    Another,
    /// The key does not open it.
    #[error("it is not sealed to this key, or what is sealed has been changed")]
    WrongKey,
    /// A chunk is damaged, missing, in another's place or of another file.
    #[error("chunk {chunk} is not what was sealed: it is damaged, missing or out of place")]
    Damaged {
        /// From 0.
        chunk: u64,
    },
    /// Bytes follow the last chunk.
    #[error("there are bytes behind the last chunk")]
    TooLong,
    /// What was sealed is not the file that the statement names.
    #[error("what was sealed is not the file whose hash the statement names")]
    WrongHash,
    /// The sealed file could not be read, or the file not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens what was sealed to a party, chunk by chunk, and gives the length of the file. Whoever calls
/// throws away what was written unless this succeeds: the hash is known at the end.
pub fn open(
    mut sealed: impl Read,
    mut plain: impl Write,
    about: &About,
    party: Party,
    key: &SealingKey,
) -> Result<u64, NotOpened> {
    let mut bytes = [0; HEADER_LENGTH];
    let damaged = |error: io::Error, otherwise| match error.kind() {
        io::ErrorKind::UnexpectedEof => otherwise,
        _ => NotOpened::Io(error),
    };
    sealed.read_exact(&mut bytes).map_err(|error| damaged(error, NotOpened::NotSealed))?;
    let header = Header::read(bytes).ok_or(NotOpened::NotSealed)?;
    if header.about != *about {
        return Err(NotOpened::Another);
    }
    sealed_length(header.length).ok_or(NotOpened::NotSealed)?;
    let content_key = header.content_key(party, &key.0).ok_or(NotOpened::WrongKey)?;
    let bound = Hash::of(header.bytes());
    let cipher = ChaCha20Poly1305::new((&*content_key).into());
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_LENGTH + TAG_LENGTH];
    let count = chunk_count(header.length);
    for number in 0..count {
        let chunk = &mut buffer[..length_of_chunk(header.length, number) + TAG_LENGTH];
        let missing = |error| damaged(error, NotOpened::Damaged { chunk: number });
        sealed.read_exact(chunk).map_err(missing)?;
        let payload = Payload { msg: chunk, aad: bound.as_bytes() };
        let opened = cipher.decrypt(&nonce(number, number + 1 == count), payload);
        let opened = opened.map_err(|_| NotOpened::Damaged { chunk: number })?;
        let opened = Zeroizing::new(opened);
        hash.update(&*opened);
        plain.write_all(&opened)?;
    }
    if sealed.read(&mut buffer[..1])? != 0 {
        return Err(NotOpened::TooLong);
    }
    if hash.finalize()[..] != about.original.as_bytes()[..] {
        return Err(NotOpened::WrongHash);
    }
    plain.flush()?;
    Ok(header.length)
}
