//! The seal over the values that were kept durably: the checksum of each, written again with every
//! synced write. A table that a damaged manifest has forgotten takes old values with it, the vote
//! perhaps, while everything later is there; then a value is not the one that was sealed.

use std::collections::BTreeMap;

use super::StorageError;

/// In `meta`: the seal itself.
pub(super) const SEAL: &str = "seal";

/// Checksums by name.
#[derive(Default)]
pub(super) struct Seal(BTreeMap<String, u32>);

impl Seal {
    /// Takes a value that is being written.
    pub(super) fn take(&mut self, name: &str, value: &[u8]) {
        self.0.insert(name.to_owned(), crc32fast::hash(value));
    }

    /// For each value: length of the name u8 · name · CRC-32 u32.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, checksum) in &self.0 {
            bytes.push(u8::try_from(name.len()).expect("names are constants, and short"));
            bytes.extend(name.as_bytes());
            bytes.extend(checksum.to_be_bytes());
        }
        bytes
    }

    /// Reads what `encode` made; nothing else.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Seal> {
        let mut seal = Seal::default();
        while let Some((length, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (checksum, rest) = rest.split_first_chunk()?;
            let name = std::str::from_utf8(name).ok()?.to_owned();
            seal.0.insert(name, u32::from_be_bytes(*checksum));
            bytes = rest;
        }
        Some(seal)
    }

    /// Fails if a value is not the one that was sealed.
    pub(super) fn check(
        &self,
        get: impl Fn(&str) -> Result<Option<Vec<u8>>, StorageError>,
    ) -> Result<(), StorageError> {
        for (name, checksum) in &self.0 {
            if get(name)?.map(|value| crc32fast::hash(&value)) != Some(*checksum) {
                let place = format!("{name} is not what was durable");
                return Err(StorageError::corrupt("log meta", place));
            }
        }
        Ok(())
    }
}
