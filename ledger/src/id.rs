//! Instruction ids: UUIDv7 (RFC 9562), so that an id says when it was made.

use std::fmt;

/// The id of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstructionId([u8; 16]);

/// Why something is not an instruction id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instruction id is a version 7 UUID: 16 bytes, 48 of its bits the Unix time in ms")]
pub struct InstructionIdError;

impl InstructionId {
    /// Takes 16 bytes whose version is 7 and whose variant is that of RFC 9562.
    pub fn from_bytes(bytes: &[u8]) -> Result<InstructionId, InstructionIdError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| InstructionIdError)?;
        if bytes[6] >> 4 == 7 && bytes[8] >> 6 == 0b10 {
            Ok(InstructionId(bytes))
        } else {
            Err(InstructionIdError)
        }
    }

    /// Makes an id of a time in Unix milliseconds and 10 random bytes.
    pub fn new(time_ms: u64, random: [u8; 10]) -> InstructionId {
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        InstructionId(bytes)
    }

    /// Reads the text form, with hyphens, in either case.
    pub fn parse(text: &str) -> Result<InstructionId, InstructionIdError> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        if digits.len() != 32 || text.len() != 36 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InstructionIdError);
        }
        let mut bytes = [0u8; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InstructionIdError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InstructionIdError)?;
        }
        InstructionId::from_bytes(&bytes)
    }

    /// The time inside the id, Unix milliseconds.
    pub fn time_ms(&self) -> u64 {
        let mut time = [0u8; 8];
        time[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(time)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Writes 16 bytes as a UUID in lower case.
pub(crate) fn write_uuid(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            write!(f, "-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for InstructionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, &self.0)
    }
}

impl fmt::Debug for InstructionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_round_trips() {
        let id = InstructionId::new(1_795_400_000_123, [0xff; 10]);
        assert_eq!(id.time_ms(), 1_795_400_000_123);
        assert_eq!(InstructionId::parse(&id.to_string()), Ok(id));
        assert!(InstructionId::from_bytes(&[0x40; 16]).is_err());
        assert!(InstructionId::parse("+1234567-0000-7000-8000-000000000000").is_err());
    }
}
