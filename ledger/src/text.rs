//! Texts in signed bytes: the SWIFT X character set, 35 characters at most.

/// Longest reference or name: ISO 20022 Max35Text.
pub const TEXT_LENGTH_MAX: usize = 35;

/// References that banks write where they have none; they match nothing.
pub const SENTINEL_REFERENCES: [&str; 3] = ["NOTPROVIDED", "NONREF", "NOREF"];

/// Whether a character belongs to the SWIFT X set.
pub fn is_x_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-?:().,'+ ".contains(&byte)
}

/// Whether a text may be a reference or a name: empty or up to 35 characters of the X set without
/// a space at either end.
pub fn is_max35(text: &str) -> bool {
    text.len() <= TEXT_LENGTH_MAX
        && text.bytes().all(is_x_character)
        && !text.starts_with(' ')
        && !text.ends_with(' ')
}

/// Whether a reference identifies anything.
pub fn identifies(reference: &str) -> bool {
    !reference.is_empty() && !SENTINEL_REFERENCES.contains(&reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max35() {
        for good in ["", "A", "INV 2026/11-23 (1)", &"x".repeat(35)] {
            assert!(is_max35(good), "{good}");
        }
        for bad in [" A", "A ", "a_b", "é", "a\nb", "a\0", &"x".repeat(36)] {
            assert!(!is_max35(bad), "{bad:?}");
        }
        assert!(!identifies("NOTPROVIDED") && !identifies("") && identifies("E2E-1"));
    }
}
