//! Unique end-to-end transaction references: UUIDv4, RFC 9562, lower case in text (CBPR+).

use std::fmt;

/// A UETR.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uetr([u8; 16]);

/// Why something is not a UETR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a UETR is a version 4 UUID in lower case with hyphens: xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx"
)]
pub struct UetrError;

impl Uetr {
    /// Takes 16 bytes whose version is 4 and whose variant is that of RFC 9562.
    pub fn from_bytes(bytes: &[u8]) -> Result<Uetr, UetrError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| UetrError)?;
        if bytes[6] >> 4 == 4 && bytes[8] >> 6 == 0b10 { Ok(Uetr(bytes)) } else { Err(UetrError) }
    }

    /// Makes a UETR of any 16 bytes by setting version and variant; for random or derived bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Uetr {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uetr(bytes)
    }

    /// Reads the text form, strictly: lower case, hyphens, nothing else.
    pub fn parse(text: &str) -> Result<Uetr, UetrError> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(UetrError);
        }
        let mut bytes = [0u8; 16];
        let mut digits = 0;
        for (place, character) in text.iter().enumerate() {
            if matches!(place, 8 | 13 | 18 | 23) {
                if *character != b'-' {
                    return Err(UetrError);
                }
                continue;
            }
            let value = match character {
                b'0'..=b'9' => character - b'0',
                b'a'..=b'f' => character - b'a' + 10,
                _ => return Err(UetrError),
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | value;
            digits += 1;
        }
        Uetr::from_bytes(&bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uetr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::id::write_uuid(f, &self.0)
    }
}

impl fmt::Debug for Uetr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_strict() {
        let text = "eb6305c9-1f7f-49de-aed0-16487c27b42d";
        assert_eq!(Uetr::parse(text).unwrap().to_string(), text);
        for bad in [
            "EB6305C9-1F7F-49DE-AED0-16487C27B42D",
            "eb6305c91f7f49deaed016487c27b42d",
            "{eb6305c9-1f7f-49de-aed0-16487c27b42d}",
            "eb6305c9-1f7f-19de-aed0-16487c27b42d",
            "eb6305c9-1f7f-49de-ced0-16487c27b42d",
            "eb6305c9-1f7f-49de-aed0-16487c27b42",
            "",
        ] {
            assert_eq!(Uetr::parse(bad), Err(UetrError), "{bad}");
        }
    }
}
