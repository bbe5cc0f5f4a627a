//! Signed notes (C2SP *signed-note*): a text, an empty line, and a line for each signature.

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::{hash::Hash, verify::Unproven};

/// Largest note that is read, in bytes: room for the signatures of a thousand nodes.
pub const NOTE_BYTES_MAX: usize = 256 << 10;

/// What every line of a signature begins with: an em dash and a space.
const LINE_START: &str = "\u{2014} ";

/// A kind of signature, with its number in *signed-note*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteSignatureKind {
    /// Ed25519 over the note's text.
    Ed25519 = 0x01,
    /// Ed25519 over a time and the note's text.
    Cosignature = 0x04,
}

/// The first four bytes of a hash over name, kind and key: which key a line is by.
pub fn key_hash(name: &str, kind: NoteSignatureKind, public_key: &[u8; 32]) -> [u8; 4] {
    let hash = Hash::of_parts(&[name.as_bytes(), &[b'\n', kind as u8], public_key]);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// One line of signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Whose it says it is.
    pub name: String,
    /// Which key it says it is by.
    pub key_hash: [u8; 4],
    /// What the kind of signature has there.
    pub value: Vec<u8>,
}

impl NoteSignature {
    fn parse(line: &str) -> Result<NoteSignature, Unproven> {
        let refused = malformed("a line of signature is not \"— name base64\"");
        let (name, encoded) =
            line.strip_prefix(LINE_START).and_then(|rest| rest.split_once(' ')).ok_or(refused)?;
        let bytes = decode(encoded).ok_or(refused)?;
        let (key_hash, value) = bytes.split_first_chunk().ok_or(refused)?;
        if !is_name(name) || value.is_empty() {
            return Err(refused);
        }
        Ok(NoteSignature { name: name.to_owned(), key_hash: *key_hash, value: value.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_hash[..], &self.value].concat();
        writeln!(f, "{LINE_START}{} {}", self.name, Base64::encode_string(&bytes))
    }
}

/// A text and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// With the newline at its end, without the empty line behind it.
    pub text: String,
    /// In the note's order; nobody has checked them.
    pub signatures: Vec<NoteSignature>,
}

impl Note {
    /// Reads a note. It vouches for nothing: its signatures are still to be checked.
    pub fn parse(bytes: &[u8]) -> Result<Note, Unproven> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(malformed("it is larger than any note of a consortium"));
        }
        let all = str::from_utf8(bytes).map_err(|_| malformed("it is not text in UTF-8"))?;
        if bytes.iter().any(|byte| *byte < b' ' && *byte != b'\n') {
            return Err(malformed("it has a control character"));
        }
        let end = all.rfind("\n\n").ok_or(malformed("no empty line ends its text"))?;
        let (text, lines) = (&all[..=end], &all[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(malformed("its last line does not end"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Ok(Note { text: text.to_owned(), signatures })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

/// Standard base64 (RFC 4648, 4) with its padding, in the one form that encoding gives.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = Base64::decode_vec(text).ok()?;
    (encode(&bytes) == text).then_some(bytes)
}

/// Standard base64 with its padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// A name that *signed-note* admits.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|it| it.is_whitespace() || it == '+')
}

pub(super) fn malformed(rule: &'static str) -> Unproven {
    Unproven { part: "checkpoint", rule }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{PublicKey, Signer, SoftwareSigner};

    /// The example of golang.org/x/mod/sumdb/note: seed and public key behind their kind, and the note.
    const SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const KEY: &str = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_note_of_the_first_implementation_reads_verifies_and_is_signed_alike() {
        let note = Note::parse(NOTE.as_bytes()).unwrap();
        assert_eq!(note.to_string(), NOTE);
        let [signature] = &note.signatures[..] else { panic!("one signature") };
        let key: [u8; 32] = decode(KEY).unwrap()[1..].try_into().unwrap();
        assert_eq!(signature.name, "PeterNeumann");
        assert_eq!(signature.key_hash, [0xc7, 0x4f, 0x20, 0xa3]);
        assert_eq!(key_hash("PeterNeumann", NoteSignatureKind::Ed25519, &key), signature.key_hash);
        let signer =
            SoftwareSigner::from_ed25519_seed(decode(SEED).unwrap()[1..].try_into().unwrap());
        assert_eq!(signer.spki()[12..], key);
        assert_eq!(signer.sign(note.text.as_bytes()).unwrap()[..], signature.value);
        let value: [u8; 64] = signature.value[..].try_into().unwrap();
        let key = PublicKey::from_spki(signer.spki()).unwrap();
        assert!(key.verify(note.text.as_bytes(), &value));
    }

    #[test]
    fn an_empty_line_in_the_text_is_text() {
        let text = "one\n\ntwo\n\n— a AAAAAAA=\n";
        let note = Note::parse(text.as_bytes()).unwrap();
        assert_eq!(note.text, "one\n\ntwo\n");
        assert_eq!(note.to_string(), text);
    }

    #[test]
    fn what_is_no_note() {
        for text in [
            "",
            "\n",
            "\n\n",
            "text\n",
            "text\n\n",
            "text\n\n\n",
            "text\n— a AAAAAAA=\n",
            "text\n\n— a AAAAAAA=",
            "text\n\n- a AAAAAAA=\n",
            "text\n\n—a AAAAAAA=\n",
            "text\n\n—  AAAAAAA=\n",
            "text\n\n— a\n",
            "text\n\n— a \n",
            "text\n\n— a AAAA\n",
            "text\n\n— a AAAAAAA\n",
            "text\n\n— a AAAAAAB=\n",
            "text\n\n— a AAAAAAA= \n",
            "text\n\n— a b AAAAAAA=\n",
            "text\n\n— a+b AAAAAAA=\n",
            "text\n\n— a\u{a0}b AAAAAAA=\n",
            "text\n\n— a AAAAAAA=\r\n",
            "te\txt\n\n— a AAAAAAA=\n",
            "te\0xt\n\n— a AAAAAAA=\n",
            "text\n\n— a AAAAAAA=\nmore\n",
        ] {
            assert!(Note::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Note::parse(b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAA=\n").is_err());
        let large = format!("{}\n\n— a AAAAAAA=\n", "x".repeat(NOTE_BYTES_MAX));
        assert!(Note::parse(large.as_bytes()).is_err());
    }
}
