#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use super::*;

const CHAIN: Hash = Hash([7; 32]);

fn account(ordinal: u32, length: usize) -> Vec<u8> {
    let mut bytes = ordinal.to_be_bytes().to_vec();
    bytes.resize(length, 5);
    bytes
}

fn key(number: u8) -> Vec<u8> {
    let mut key = vec![1; KEY_LENGTH];
    key[KEY_LENGTH - 1] = number;
    key
}

/// The chunks of a snapshot with so many accounts and records.
fn snapshot(accounts: u32, records: u8) -> (Vec<Vec<u8>>, Written) {
    let mut chunks = Vec::new();
    let sink = |chunk: &[u8]| {
        chunks.push(chunk.to_vec());
        Ok::<(), Infallible>(())
    };
    let mut writer = Writer::new(&CHAIN, b"core", sink).unwrap();
    (0..accounts).for_each(|it| writer.account(&account(it, 4_000)).unwrap());
    (0..records).for_each(|it| writer.record(&key(it), b"value").unwrap());
    let written = writer.finish().unwrap();
    (chunks, written)
}

fn read(pieces: &[&[u8]]) -> Result<Vec<Item>, Malformed> {
    let mut reader = Reader::new(CHAIN);
    let mut items = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(item) = reader.take()? {
            items.push(item);
        }
    }
    reader.finish()?;
    Ok(items)
}

#[test]
fn what_was_written_is_read_in_pieces_of_any_size() {
    let (chunks, written) = snapshot(600, 3);
    assert_eq!(chunks.len(), 3, "600 accounts of 4,003 bytes");
    assert!(chunks[..2].iter().all(|chunk| chunk.len() == CHUNK_BYTES));
    let hashes: Vec<Hash> = chunks.iter().map(|chunk| chunk_hash(chunk)).collect();
    assert_eq!(written.chunks, hashes);
    let whole = chunks.concat();
    assert_eq!(usize::try_from(written.bytes), Ok(whole.len()));
    let mut expected = vec![Item::Core(b"core".to_vec())];
    expected.extend((0..600).map(|it| Item::Account(account(it, 4_000))));
    expected.extend((0..3).map(|it| Item::Record(key(it), b"value".to_vec())));
    for size in [1 << 20, 4_096, 977] {
        let pieces: Vec<&[u8]> = whole.chunks(size).collect();
        assert!(read(&pieces).unwrap() == expected, "in pieces of {size}");
    }
}

#[test]
fn nothing_else_is_read() {
    let (chunks, _) = snapshot(2, 2);
    let whole = chunks.concat();
    assert_eq!(read(&[&whole]).unwrap().len(), 5);
    for length in 0..whole.len() {
        assert!(read(&[&whole[..length]]).is_err(), "{length} bytes of it");
    }
    assert!(read(&[&whole, &[0]]).is_err());
    // Head, kinds, lengths, ordinals, keys and counts; what an item holds is the digest's to protect.
    let core = 36;
    let first = core + 7;
    let second = first + 4_003;
    let record = second + 4_003;
    let next = record + 3 + KEY_LENGTH + 5;
    let end = next + 3 + KEY_LENGTH + 5;
    assert_eq!(whole.len(), end + 13);
    let fixed =
        [0..core + 3, first..first + 7, second..second + 7, record..record + 3, next..next + 3]
            .into_iter()
            .flatten()
            .chain(end..end + 13);
    for at in fixed {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(read(&[&changed]).is_err(), "byte {at}");
    }
    let mut swapped = whole.clone();
    swapped[record..next].copy_from_slice(&whole[next..end]);
    swapped[next..end].copy_from_slice(&whole[record..next]);
    assert!(read(&[&swapped]).is_err(), "records out of order");
    let twice = [&whole[..first], &whole[core..]].concat();
    assert!(read(&[&twice]).is_err(), "two cores");
}

#[test]
fn an_item_that_cannot_be_is_refused_before_it_is_there() {
    let (chunks, _) = snapshot(0, 0);
    let mut endless = chunks[0][..43].to_vec();
    endless.extend([ACCOUNT, 0xff, 0xff]);
    assert_eq!(read(&[&endless]).unwrap_err().0, "an item is longer than any can be");
}
