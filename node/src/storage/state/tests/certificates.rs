use super::*;

fn signatures(height: u64, nodes: std::ops::Range<u64>) -> Vec<v1::NodeSignature> {
    let value = |node: u64| Bytes::from(vec![u8::try_from(height + node).unwrap(); 64]);
    nodes.map(|node| v1::NodeSignature { node, value: value(node) }).collect()
}

/// What is expected of a store that has these certificates.
fn check(store: &StateStore, expected: &BTreeMap<u64, Vec<v1::NodeSignature>>, last: u64) {
    let certificate = |(height, signatures): (&u64, &Vec<v1::NodeSignature>)| v1::Certificate {
        header: Bytes::copy_from_slice(&store.header(*height).unwrap().unwrap().encode()),
        signatures: signatures.clone(),
    };
    for height in 0..last + 3 {
        let expected = expected.range(height..).next().map(certificate);
        assert_eq!(store.certificate_from(height).unwrap(), expected, "from {height}");
    }
    let expected = expected.last_key_value().map(certificate);
    assert_eq!(store.last_certificate().unwrap(), expected);
}

#[test]
fn certificates_are_found_before_during_and_after_a_flush() {
    let path = tempfile::tempdir().unwrap();
    let (mut log, mut store) = create(path.path());
    let mut chain = Chain::new(50);
    let mut saved = BTreeMap::new();
    for round in 0..60u64 {
        extend(&mut chain, &log, &store, 3);
        // Behind the blocks, with gaps, now and then an old one, now and then one again.
        for height in [round.saturating_sub(2), round / 2] {
            if height % 3 != 1 && chain.random.below(2) == 0 {
                let signatures = signatures(height, 1..4 + round % 2);
                store.save_certificate(height, &signatures).unwrap();
                saved.insert(height, signatures);
            }
        }
        check(&store, &saved, round);
        if round % 7 == 6 {
            let flush = store.begin_flush(b"", b"", std::iter::empty()).unwrap();
            check(&store, &saved, round);
            let again = signatures(round, 1..5);
            store.save_certificate(round, &again).unwrap();
            saved.insert(round, again);
            check(&store, &saved, round);
            flush.write().unwrap();
            check(&store, &saved, round);
        }
        if round % 20 == 19 {
            flush(&chain, &store);
            drop((log, store));
            (log, store) = open(path.path()).unwrap();
            // What was saved after the last block was taken into a flush is formed again.
            check(&store, &saved, round);
        }
    }
}

#[test]
fn a_certificate_is_of_a_block_that_was_executed() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    assert_eq!(store.certificate_from(0).unwrap(), None);
    assert_eq!(store.last_certificate().unwrap(), None);
    extend(&mut chain, &log, &store, 0);
    store.save_certificate(0, &signatures(0, 1..4)).unwrap();
    let early = store.save_certificate(1, &signatures(1, 1..4));
    assert!(matches!(early, Err(StorageError::OutOfOrder { .. })));
    let mut short = signatures(0, 1..4);
    short[1].value = Bytes::from_static(&[1; 63]);
    assert!(matches!(store.save_certificate(0, &short), Err(StorageError::Corrupt { .. })));
    assert_eq!(store.last_certificate().unwrap().unwrap().signatures, signatures(0, 1..4));
}
