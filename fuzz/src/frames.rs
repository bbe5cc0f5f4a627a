//! Several runs of bytes in one input: each with its length before it, as four bytes, big-endian.

use bytes::Bytes;

/// Puts parts together.
pub fn joined<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

/// Takes an input apart; what a length claims and is not there is cut.
pub fn parts(bytes: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut parts = Vec::new();
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let mut part = rest.split_off(4);
        rest = part.split_off(length.min(part.len()));
        parts.push(part);
    }
    parts
}

/// One part, or nothing.
pub fn part(parts: &[Bytes], place: usize) -> Bytes {
    parts.get(place).cloned().unwrap_or_default()
}
