//! Checkpoints (C2SP *tlog-checkpoint*): how long the ledger is and what its headers hash to, in a
//! form that witnesses of other logs read and cosign too.

mod cosigners;
mod note;

pub use cosigners::{Cosigners, Signed};
pub use note::{NOTE_BYTES_MAX, Note, NoteSignature, NoteSignatureKind, key_hash};

use crate::{hash::Hash, verify::Unproven};
use note::malformed;

/// The latest time that a cosignature may carry (C2SP *tlog-cosignature*), Unix seconds.
pub const COSIGNATURE_TIME_MAX_S: u64 = (1 << 63) - 1;

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the consortium and the chain.
    pub origin: String,
    /// A height: so many headers are below it.
    pub size: u64,
    /// The header's `history_root`.
    pub root: Hash,
}

/// The name of a chain among logs.
pub fn origin(consortium: &str, chain_id: &Hash) -> String {
    format!("{consortium}/{chain_id}")
}

impl Checkpoint {
    /// The text that is signed: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, note::encode(self.root.as_bytes()))
    }

    /// Reads what [`text`](Checkpoint::text) writes, nothing else. Other logs may have lines behind the
    /// third; this one has none.
    pub fn parse(text: &str) -> Result<Checkpoint, Unproven> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines[..] else {
            return Err(malformed("its text is not of three lines"));
        };
        let size =
            size.parse().map_err(|_| malformed("its second line is not a height in decimal"))?;
        let root = note::decode(root)
            .and_then(|bytes| Hash::from_slice(&bytes))
            .ok_or(malformed("its third line is not 32 bytes in base64"))?;
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root };
        // A sign or a leading zero would be a second text of the same checkpoint.
        if origin.is_empty() || checkpoint.text() != text {
            return Err(malformed("its text is not in its one form"));
        }
        Ok(checkpoint)
    }

    /// What a cosignature of a moment signs.
    pub fn cosigned(&self, time_s: u64) -> Vec<u8> {
        format!("cosignature/v1\ntime {time_s}\n{}", self.text()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_checkpoint_has_one_form() {
        let root = Hash::of(b"root");
        let checkpoint =
            Checkpoint { origin: "example.com/log".to_owned(), size: 20_852_163, root };
        let text = checkpoint.text();
        assert_eq!(Checkpoint::parse(&text).as_ref(), Ok(&checkpoint));
        let root = note::encode(root.as_bytes());
        for text in [
            String::new(),
            text.trim_end().to_owned(),
            format!("{text}extension\n"),
            format!("{text}\n"),
            format!("\n7\n{root}\n"),
            format!("a\n\n{root}\n"),
            format!("a\n07\n{root}\n"),
            format!("a\n+7\n{root}\n"),
            format!("a\n-7\n{root}\n"),
            format!("a\n7 \n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n7\n{}\n", &root[..40]),
            format!("a\n7\n{}\n", root.trim_end_matches('=')),
            format!("a\n7\n{}\n", note::encode(&[7; 33])),
            "a\n7\n\n".to_owned(),
        ] {
            assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        }
        let empty = format!("a\n0\n{root}\n");
        assert_eq!(Checkpoint::parse(&empty).unwrap().size, 0);
    }

    /// C2SP tlog-cosignature, the example of a signed message.
    #[test]
    fn what_a_cosignature_signs() {
        let text = "example.com/behind-the-sofa\n20852163\n\
            CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let message = Checkpoint::parse(text).unwrap().cosigned(1_679_315_147);
        let expected = format!("cosignature/v1\ntime 1679315147\n{text}");
        assert_eq!(message, expected.as_bytes());
    }
}
