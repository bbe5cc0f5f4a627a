//! Checkpoints: who signed them is told from who did not, whatever was changed.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use counterfoil_ledger::{
    checkpoint::{COSIGNATURE_TIME_MAX_S, Checkpoint, Cosigners, Note, NoteSignature, Signed},
    hash::Hash,
    registry::Registry,
    verify::Unproven,
};
use support::{Consortium, consortium::ed25519};

const TIME_S: u64 = 1_795_435_200;

struct Scene {
    consortium: Consortium,
    cosigners: Cosigners,
    checkpoint: Checkpoint,
}

impl Scene {
    fn new() -> Scene {
        let consortium = Consortium::new(&["Alpha", "Beta", "Gamma", "Delta"], &[("EUR", 2)]);
        let cosigners = Cosigners::of(
            "test.counterfoil",
            &consortium.chain_id(),
            &Registry::of(&consortium.genesis),
        );
        let (origin, root) = (cosigners.origin().to_owned(), Hash::of(b"history"));
        Scene { consortium, cosigners, checkpoint: Checkpoint { origin, size: 4_711, root } }
    }

    fn sign(&self, node: u64) -> NoteSignature {
        let signer = &self.consortium.nodes[&node];
        self.cosigners.sign(node, signer, &self.checkpoint).unwrap().unwrap()
    }

    fn cosign(&self, node: u64, time_s: u64) -> NoteSignature {
        let signer = &self.consortium.nodes[&node];
        self.cosigners.cosign(node, signer, &self.checkpoint, time_s).unwrap().unwrap()
    }

    fn note(&self, signatures: Vec<NoteSignature>) -> Note {
        Note { text: self.checkpoint.text(), signatures }
    }

    /// Signed by the first node and cosigned by some.
    fn cosigned_by(&self, nodes: &[u64]) -> Note {
        let cosigned = nodes.iter().map(|node| self.cosign(*node, TIME_S + node));
        self.note(std::iter::once(self.sign(1)).chain(cosigned).collect())
    }

    /// Checks a note in the form in which it travels.
    fn verify(&self, note: &Note) -> Result<Signed, Unproven> {
        let bytes = note.to_string().into_bytes();
        let parsed = Note::parse(&bytes)?;
        assert_eq!(parsed, *note);
        self.cosigners.verify(&parsed)
    }
}

#[test]
fn a_quorum_is_told_from_less() {
    let scene = Scene::new();
    let all = scene.verify(&scene.cosigned_by(&[1, 2, 4])).unwrap();
    assert_eq!(all.checkpoint, scene.checkpoint);
    assert_eq!((all.signed, all.quorum), (vec![1], true));
    let times: Vec<_> = all.cosigned.into_iter().collect();
    assert_eq!(times, [1, 2, 4].map(|node| (node, TIME_S + node)));
    assert!(!scene.verify(&scene.cosigned_by(&[1, 2])).unwrap().quorum);
    // One node that cosigns three times is one node.
    let thrice = scene.verify(&scene.cosigned_by(&[2, 2, 2])).unwrap();
    assert_eq!((thrice.cosigned.len(), thrice.quorum), (1, false));
    assert_eq!(scene.cosigners.name(2).unwrap(), "test.counterfoil/BETACHZZXXX/node-2");
}

#[test]
fn signatures_of_strangers_are_ignored_and_alone_worth_nothing() {
    let scene = Scene::new();
    let mut note = scene.cosigned_by(&[1, 2, 3]);
    let stranger =
        NoteSignature { name: "witness.example/w1".to_owned(), ..scene.cosign(2, TIME_S) };
    note.signatures.insert(0, stranger.clone());
    assert!(scene.verify(&note).unwrap().quorum);
    let nobody = "no node of the chain signed it";
    assert_eq!(scene.verify(&scene.note(vec![stranger])).unwrap_err().rule, nobody);
    // A name alone is nothing, and neither is a hash alone.
    let other_hash = NoteSignature { key_hash: [0; 4], ..scene.cosign(2, TIME_S) };
    assert_eq!(scene.verify(&scene.note(vec![other_hash])).unwrap_err().rule, nobody);
}

#[test]
fn what_says_to_be_a_nodes_and_is_not_ends_it() {
    let scene = Scene::new();
    let forged = "a signature is not its node's";
    let refuse = |signature: NoteSignature| {
        let mut note = scene.cosigned_by(&[1, 2, 3]);
        note.signatures.push(signature);
        assert_eq!(scene.verify(&note).unwrap_err().rule, forged);
    };
    let impostor = ed25519("impostor");
    refuse(scene.cosigners.sign(4, &impostor, &scene.checkpoint).unwrap().unwrap());
    refuse(scene.cosigners.cosign(4, &impostor, &scene.checkpoint, 9).unwrap().unwrap());
    refuse(scene.cosign(4, COSIGNATURE_TIME_MAX_S + 1));
    // What one kind of signature is made of is worth nothing under the other.
    let (signed, cosigned) = (scene.sign(4), scene.cosign(4, TIME_S));
    refuse(NoteSignature { value: cosigned.value[8..].to_vec(), ..signed.clone() });
    refuse(NoteSignature {
        value: [&TIME_S.to_be_bytes()[..], &signed.value].concat(),
        ..cosigned.clone()
    });
    for signature in [signed, cosigned] {
        let mut longer = signature.clone();
        longer.value.push(0);
        refuse(longer);
        let mut shorter = signature;
        shorter.value.pop();
        refuse(shorter);
    }
    // Another root, another height, another chain under the same signatures.
    let others = [
        Checkpoint { root: Hash::of(b"rewritten"), ..scene.checkpoint.clone() },
        Checkpoint { size: 4_712, ..scene.checkpoint.clone() },
        Checkpoint { origin: "test.counterfoil/00".to_owned(), ..scene.checkpoint.clone() },
    ];
    for other in others {
        let note = Note { text: other.text(), ..scene.cosigned_by(&[1, 2, 3]) };
        assert!(scene.verify(&note).is_err());
    }
}

#[test]
fn no_changed_byte_passes_for_what_was_signed() {
    let scene = Scene::new();
    let note = scene.cosigned_by(&[1, 2, 3]);
    let good = note.to_string().into_bytes();
    for at in 0..good.len() {
        for change in [1, 0x20, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            let Ok(signed) =
                Note::parse(&bytes).and_then(|changed| scene.cosigners.verify(&changed))
            else {
                continue;
            };
            // A line that is no node's any longer was ignored; the text is what it was.
            assert_eq!(signed.checkpoint, scene.checkpoint);
            assert!(signed.signed.len() + signed.cosigned.len() < 4, "byte {at}");
        }
    }
    for end in 0..good.len() {
        let signed = Note::parse(&good[..end]).and_then(|cut| scene.cosigners.verify(&cut));
        assert!(!signed.is_ok_and(|signed| signed.quorum), "cut at {end}");
    }
}
