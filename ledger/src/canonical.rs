//! Protobuf bytes that are signed and stored are taken only in the one form that encoding gives.

use bytes::Bytes;
use prost::Message;

/// Decodes a message whose encoding gives the same bytes again: no unknown field, no field twice,
/// no padded number, nothing out of order, and so nothing that could hide.
pub fn decode<M: Message + Default>(bytes: &Bytes) -> Result<M, NotCanonical> {
    let message = M::decode(bytes.clone()).map_err(|_| NotCanonical::Malformed)?;
    if message.encoded_len() != bytes.len() || message.encode_to_vec() != *bytes {
        return Err(NotCanonical::OtherBytes);
    }
    Ok(message)
}

/// Why bytes are not a canonical message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCanonical {
    /// Not the message at all.
    Malformed,
    /// The message in other words.
    OtherBytes,
}
