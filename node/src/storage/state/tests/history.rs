use counterfoil_ledger::merkle::path::is_consistent;
use counterfoil_ledger::merkle::path::root_of_path;

use super::*;
use crate::storage::batch::WriteBatch;

fn hashes(path: &[Bytes]) -> Vec<Hash> {
    path.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect()
}

/// Compares paths with a tree that is made of all headers at once.
fn check(chain: &mut Chain, store: &StateStore) {
    let leaves: Vec<Hash> =
        chain.blocks.iter().map(|block| merkle::leaf_hash(block.hash.as_bytes())).collect();
    let root =
        |size: u64| merkle::root_of(leaves.iter().take(usize::try_from(size).unwrap()).copied());
    for _ in 0..20 {
        let to = chain.random.below(chain.height);
        let from = chain.random.below(to + 1);
        let header = &chain.blocks[usize::try_from(to).unwrap()].header;
        assert_eq!(header.history_root, root(to));
        let path = hashes(&store.history_path(from, to).unwrap());
        if from == to {
            assert!(path.is_empty());
        } else {
            let leaf = leaves[usize::try_from(from).unwrap()];
            assert_eq!(root_of_path(leaf, from, to, &path), Some(root(to)), "{from} {to}");
        }
        let path = hashes(&store.history_consistency(from, to).unwrap());
        assert!(is_consistent((from, root(from)), (to, root(to)), &path), "{from} {to}");
    }
}

#[test]
fn paths_are_those_of_a_naive_tree_across_flushes_and_restarts() {
    let path = tempfile::tempdir().unwrap();
    let (mut log, mut store) = create(path.path());
    let mut chain = Chain::new(50);
    for round in 0..200u64 {
        extend(&mut chain, &log, &store, 1);
        check(&mut chain, &store);
        if chain.random.below(5) == 0 {
            let flush = store.begin_flush(b"", b"", std::iter::empty()).unwrap();
            extend(&mut chain, &log, &store, 1);
            check(&mut chain, &store);
            flush.write().unwrap();
            check(&mut chain, &store);
        }
        if round % 30 == 29 {
            flush(&chain, &store);
            drop((log, store));
            (log, store) = open(path.path()).unwrap();
            check(&mut chain, &store);
        }
    }
}

#[test]
fn there_is_no_path_from_what_is_not_there() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    (0..5).for_each(|_| extend(&mut chain, &log, &store, 1));
    for (from, to) in [(3, 2), (2, 5), (5, 5), (0, u64::MAX)] {
        for answer in [store.history_path(from, to), store.history_consistency(from, to)] {
            assert!(matches!(answer, Err(StorageError::OutOfOrder { .. })), "{from} {to}");
        }
    }
}

#[test]
fn a_history_that_is_not_that_of_the_headers_is_refused() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    (0..7).for_each(|_| extend(&mut chain, &log, &store, 1));
    flush(&chain, &store);
    let mut batch = WriteBatch::default();
    let node = [1, 0, 0, 0, 0, 0, 0, 0, 2];
    batch.put_cf(store.inner.database.family(HISTORY), node, [3; 32]);
    store.inner.database.write(batch, database::Durability::Synced).unwrap();
    drop((log, store));
    let refused = open(path.path()).err().unwrap().to_string();
    assert!(refused.contains("its root at height 6 is another one"), "{refused}");
}
