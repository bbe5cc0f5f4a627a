//! Changes of proofs: none of them may verify as something else.

use bytes::Bytes;
use counterfoil_ledger::{outcome::effects_hash, proof::Proof, verify};
use counterfoil_proto::v1;

/// A list with one element gone, twice, or in its neighbour's place; never the list itself.
pub fn of_list<T: Clone + PartialEq>(list: &[T]) -> Vec<Vec<T>> {
    let mut lists = Vec::new();
    for place in 0..list.len() {
        let mut shorter = list.to_vec();
        shorter.remove(place);
        lists.push(shorter);
        let mut longer = list.to_vec();
        longer.insert(place, list[place].clone());
        lists.push(longer);
        if place > 0 && list[place] != list[place - 1] {
            let mut swapped = list.to_vec();
            swapped.swap(place - 1, place);
            lists.push(swapped);
        }
    }
    lists
}

macro_rules! lists {
    ($of:expr, $($field:ident $(. $part:tt)*),*) => {{
        let mut changed = Vec::new();
        $(for list in of_list(&$of.$field $(.$part)*) {
            let mut other = $of.clone();
            other.$field $(.$part)* = list;
            changed.push(other);
        })*
        changed
    }};
}

/// A certificate with other lists.
pub fn of_certificate(it: &Option<v1::Certificate>) -> Vec<Option<v1::Certificate>> {
    let Some(it) = it else { return Vec::new() };
    lists!(it, signatures).into_iter().map(Some).collect()
}

pub fn of_receipt(it: &v1::Receipt) -> Vec<v1::Receipt> {
    let mut changed = lists!(it, signatures, item_path, leaf_path, history_path, keys);
    for certificate in of_certificate(&it.certificate) {
        changed.push(v1::Receipt { certificate, ..it.clone() });
    }
    for path in of_list(&it.keys[0].path) {
        let keys = vec![v1::KeyProof { path, ..it.keys[0].clone() }];
        changed.push(v1::Receipt { keys, ..it.clone() });
    }
    changed
}

pub fn of_account(it: &v1::AccountProof) -> Vec<v1::AccountProof> {
    let mut changed = lists!(it, leaf_path, history_path, blocks);
    for certificate in of_certificate(&it.certificate) {
        changed.push(v1::AccountProof { certificate, ..it.clone() });
    }
    for place in 0..it.blocks.len() {
        for postings in of_list(&it.blocks[place].postings) {
            let mut other = it.clone();
            other.blocks[place].postings = postings;
            changed.push(other);
        }
    }
    changed
}

pub fn of_history(it: &v1::HistoryProof) -> Vec<v1::HistoryProof> {
    let mut changed = lists!(it, history_path, consistency_path);
    for certificate in of_certificate(&it.certificate) {
        changed.push(v1::HistoryProof { certificate, ..it.clone() });
    }
    changed
}

pub fn of_batch(it: &v1::BatchProof) -> Vec<v1::BatchProof> {
    let mut changed = lists!(it, effects, range_path);
    let hashes: Vec<&[u8]> = it.effects_hashes.chunks(32).collect();
    let mut others: Vec<Vec<u8>> = of_list(&hashes).iter().map(|list| list.concat()).collect();
    others.extend(
        [&[][..], &[0; 32], &[0; 64], &[&it.effects_hashes[..], &[0]].concat()].map(<[u8]>::to_vec),
    );
    others.push(vec![0; it.effects_hashes.len()]);
    others.retain(|other| other[..] != it.effects_hashes[..]);
    changed.extend(others.into_iter().map(|effects_hashes| v1::BatchProof {
        effects_hashes: effects_hashes.into(),
        ..it.clone()
    }));
    if !it.effects.is_empty() {
        // The hashes of what is given: beside it.
        let hashes = it.effects.iter().flat_map(|effects| effects_hash(effects).0);
        changed.push(v1::BatchProof { effects_hashes: hashes.collect(), ..it.clone() });
    }
    if !it.effects_hashes.is_empty() {
        let effects = vec![Bytes::new(); it.effects_hashes.len() / 32];
        changed.push(v1::BatchProof { effects, ..it.clone() });
    }
    changed
}

pub fn of_absence(it: &v1::Absence) -> Vec<v1::Absence> {
    lists!(it, signatures)
}

/// The proof as its bytes give it, which is the proof itself.
pub fn round_trip<M: Proof + PartialEq>(proof: &M) -> Bytes {
    let bytes = Bytes::from(proof.encode_to_vec());
    assert!(verify::read::<M>(&bytes).unwrap() == *proof);
    bytes
}

/// What the bytes decode to with one bit flipped in some of them, where they decode at all.
pub fn flipped<M: Proof>(bytes: &Bytes, places: impl IntoIterator<Item = usize>) -> Vec<M> {
    let mut found = Vec::new();
    for place in places.into_iter().filter(|place| *place < bytes.len()) {
        let mut other = bytes.to_vec();
        other[place] ^= 1 << (place % 8);
        found.extend(verify::read::<M>(&other.into()));
    }
    found
}
