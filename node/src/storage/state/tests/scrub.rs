use crate::storage::batch::WriteBatch;

use super::*;
use crate::storage::database::Durability;

/// A whole pass in small steps: how many steps and bytes, or the damage.
fn pass(store: &StateStore) -> Result<(u64, u64), StorageError> {
    let (mut place, mut steps, mut bytes) = (ScrubPlace::default(), 0, 0);
    loop {
        let step = store.scrub(&place, 2_000)?;
        (steps, bytes) = (steps + 1, bytes + step.bytes);
        match step.next {
            // What is kept over a restart is the place itself.
            Some(next) => place = ScrubPlace::decode(&next.encode()).unwrap(),
            None => return Ok((steps, bytes)),
        }
    }
}

#[test]
fn a_pass_reads_everything_and_finds_what_is_damaged() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    for _ in 0..4 {
        (0..5).for_each(|_| extend(&mut chain, &log, &store, 10));
        store.save_certificate(chain.height - 1, &[]).unwrap();
        flush(&chain, &store);
    }
    extend(&mut chain, &log, &store, 3);
    let (steps, bytes) = pass(&store).unwrap();
    assert!(steps > 12 && bytes > 40_000, "{steps} steps, {bytes} bytes");

    // Whole values that are not those that belong there: no checksum of RocksDB finds them.
    let of_block = |height: u64| height.to_be_bytes().to_vec();
    let header = |height: u64| {
        let mut header = store.header(height).unwrap().unwrap();
        header.block_time_ms += 1;
        header.encode().to_vec()
    };
    let first_of = |family: &str| {
        let pair = store.inner.database.iterate(family, IteratorMode::Start).next();
        let (key, value) = pair.unwrap().unwrap();
        (key.into_vec(), value.into_vec())
    };
    let (node, hash) = first_of(HISTORY);
    let (page, mut rows) = first_of("runs");
    let last = rows.len() - 3;
    rows.swap(0, last);
    for (family, key, value) in [
        (HEADERS, of_block(7), header(7)),
        (OUTCOMES, of_block(9), encode_leaves(&chain.blocks[8].leaves)),
        (HISTORY, node, hash.iter().rev().copied().collect()),
        (CERTIFICATES, of_block(3), vec![1; 71]),
        ("runs", page, rows),
    ] {
        let database = &store.inner.database;
        let put = |value: &[u8]| {
            let mut batch = WriteBatch::default();
            batch.put_cf(database.family(family), &key, value);
            database.write(batch, Durability::Buffered).unwrap();
        };
        let before = database.get(family, &key).unwrap().map(|value| value.to_vec());
        put(&value);
        let found = pass(&store).unwrap_err();
        assert!(matches!(found, StorageError::Corrupt { .. }), "{family}: {found}");
        put(&before.unwrap_or_default());
        pass(&store).unwrap();
    }
}
