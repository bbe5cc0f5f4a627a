use std::ops::Range;
use std::path::Path;

use counterfoil_ledger::hash::Hash;
use rocksdb::DB;
use rocksdb::Options;

use super::*;

const CHAIN: Hash = Hash([7; 32]);

fn entry(index: u64, term: u64, length: usize) -> LogEntry {
    let body: Bytes = (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect();
    let payload = match index % 3 {
        0 => LogPayload::Membership(body),
        1 => LogPayload::Proposal(body),
        _ => LogPayload::Blank,
    };
    LogEntry { index, term, node: term % 3 + 1, payload }
}

fn entries(range: Range<u64>, term: u64) -> Vec<LogEntry> {
    range.map(|index| entry(index, term, 10 + usize::try_from(index).unwrap() * 40)).collect()
}

fn create(path: &Path) -> LogStore {
    LogStore::open(&DataDirectory::init(path, 1, &CHAIN).unwrap()).unwrap()
}

fn reopen(path: &Path) -> Result<LogStore, StorageError> {
    LogStore::open(&DataDirectory::open(path, 1, &CHAIN).unwrap())
}

/// Opens the instance as a vandal would, and changes (or, with nothing, deletes) one value.
fn vandalise(path: &Path, family: &str, index: u64, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
    let families = [ENTRIES, BODIES, META];
    let db = DB::open_cf(&Options::default(), path.join("log"), families).unwrap();
    let (family, key) = (db.cf_handle(family).unwrap(), index.to_be_bytes());
    match change(db.get_cf(family, key).unwrap().unwrap()) {
        Some(value) => db.put_cf(family, key, value).unwrap(),
        None => db.delete_cf(family, key).unwrap(),
    }
}

fn flip_a_bit(mut value: Vec<u8>) -> Option<Vec<u8>> {
    value[10] ^= 4;
    Some(value)
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let path = tempfile::tempdir().unwrap();
    let check = |store: &LogStore| {
        assert_eq!(store.last(), Some(EntryId { index: 89, term: 3, node: 1 }));
        assert_eq!(store.get(90).unwrap(), None);
        assert_eq!(store.get(0).unwrap(), Some(entry(0, 0, 10)));
        assert_eq!(store.entry_id(7).unwrap(), Some(EntryId { index: 7, term: 3, node: 1 }));
        assert_eq!(store.range(1, 1000, usize::MAX).unwrap(), entries(1..90, 3));
        assert_eq!(store.range(1, 40, usize::MAX).unwrap(), entries(1..40, 3));
        assert_eq!(store.range(40, 40, usize::MAX).unwrap(), []);
        assert_eq!(store.vote().unwrap().unwrap(), b"vote");
        assert_eq!(store.committed().unwrap().unwrap(), b"committed");
        assert!(store.first_failure().is_none());
        assert!(store.disk_bytes().unwrap() > 0);
    };
    let store = create(path.path());
    assert_eq!(store.last(), None);
    assert_eq!(store.range(0, 9, 1).unwrap(), []);
    store.append(&[]).unwrap();
    store.append(&entries(0..1, 0)).unwrap();
    store.append(&entries(1..90, 3)).unwrap();
    store.save_vote(b"vote").unwrap();
    store.save_committed(b"committed").unwrap();
    check(&store);
    drop(store);
    check(&reopen(path.path()).unwrap());
}

#[test]
fn a_range_keeps_its_budget_yet_is_never_empty() {
    let path = tempfile::tempdir().unwrap();
    let store = create(path.path());
    store.append(&[entry(0, 1, 100), entry(1, 1, 100), entry(2, 1, 0), entry(3, 1, 100)]).unwrap();
    for (budget, count) in [(0, 1), (100, 1), (199, 1), (200, 3), (299, 3), (300, 4)] {
        assert_eq!(store.range(0, 4, budget).unwrap().len(), count, "{budget}");
    }
}

#[test]
fn gaps_and_steps_back_are_refused() {
    let path = tempfile::tempdir().unwrap();
    let store = create(path.path());
    store.append(&entries(0..5, 1)).unwrap();
    for index in [4, 6] {
        let refused = store.append(&entries(index..index + 1, 1)).unwrap_err();
        assert!(matches!(refused, StorageError::OutOfOrder { expected: 5, .. }), "{refused}");
    }
    assert!(store.append(&[entry(5, 1, 1), entry(7, 1, 1)]).is_err());
    assert_eq!(store.last().unwrap().index, 4);
}

#[test]
fn a_truncated_tail_can_be_written_anew() {
    let path = tempfile::tempdir().unwrap();
    let store = create(path.path());
    store.append(&entries(0..50, 1)).unwrap();
    store.truncate_from(50).unwrap();
    assert_eq!(store.last().unwrap().index, 49);
    store.truncate_from(20).unwrap();
    assert_eq!(store.last(), Some(EntryId { index: 19, term: 1, node: 2 }));
    assert_eq!(store.get(20).unwrap(), None);
    assert_eq!(store.range(10, 50, usize::MAX).unwrap(), entries(10..20, 1));
    store.append(&entries(20..30, 2)).unwrap();
    drop(store);
    let store = reopen(path.path()).unwrap();
    assert_eq!(store.last(), Some(EntryId { index: 29, term: 2, node: 3 }));
    assert_eq!(store.range(20, 50, usize::MAX).unwrap(), entries(20..30, 2));
    store.truncate_from(0).unwrap();
    assert_eq!(store.last(), None);
    drop(store);
    assert_eq!(reopen(path.path()).unwrap().last(), None);
}

#[test]
fn purging_moves_a_marker_and_keeps_the_blocks() {
    let path = tempfile::tempdir().unwrap();
    let store = create(path.path());
    store.append(&entries(0..10, 1)).unwrap();
    let marker = EntryId { index: 6, term: 1, node: 2 };
    store.set_purged(marker).unwrap();
    assert_eq!(store.purged().unwrap(), Some(marker));
    assert_eq!(store.get(3).unwrap(), Some(entry(3, 1, 130)));
    assert!(store.truncate_from(6).is_err());
    store.truncate_from(7).unwrap();

    // A snapshot from a peer leads past the end: the log goes on behind it.
    let ahead = EntryId { index: 99, term: 4, node: 2 };
    store.set_purged(ahead).unwrap();
    assert_eq!(store.last(), None);
    assert!(store.append(&entries(7..8, 4)).is_err());
    store.append(&entries(100..103, 4)).unwrap();
    drop(store);
    let store = reopen(path.path()).unwrap();
    assert_eq!(store.purged().unwrap(), Some(ahead));
    assert_eq!(store.last().unwrap().index, 102);
    assert_eq!(store.range(100, 103, usize::MAX).unwrap(), entries(100..103, 4));
    assert_eq!(store.get(3).unwrap(), Some(entry(3, 1, 130)));
}

#[test]
fn a_missing_entry_is_noticed_at_the_start() {
    for family in [ENTRIES, BODIES] {
        let path = tempfile::tempdir().unwrap();
        create(path.path()).append(&entries(0..100, 1)).unwrap();
        vandalise(path.path(), family, 40, |_| None);
        let refused = reopen(path.path()).err().unwrap();
        assert!(refused.to_string().contains("entry 40 is missing"), "{refused}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_among_the_latest_entries_at_the_start() {
    for family in [ENTRIES, BODIES] {
        let path = tempfile::tempdir().unwrap();
        create(path.path()).append(&entries(0..100, 1)).unwrap();
        vandalise(path.path(), family, 40, flip_a_bit);
        let refused = reopen(path.path()).err().unwrap();
        assert!(refused.to_string().contains("entry 40 differs"), "{refused}");
    }
}

#[test]
fn a_flipped_bit_of_long_ago_is_noticed_by_whoever_reads_it() {
    let path = tempfile::tempdir().unwrap();
    let old: Vec<LogEntry> = (0..2000).map(|index| entry(index, 1, 50)).collect();
    create(path.path()).append(&old).unwrap();
    vandalise(path.path(), ENTRIES, 40, flip_a_bit);
    vandalise(path.path(), BODIES, 52, flip_a_bit);
    let store = reopen(path.path()).unwrap();
    for index in [40, 52] {
        let refused = store.get(index).unwrap_err().to_string();
        assert!(refused.contains(&format!("entry {index} differs")), "{refused}");
    }
    assert!(store.range(30, 60, usize::MAX).is_err());
    assert_eq!(store.range(60, 2000, usize::MAX).unwrap(), old[60..]);
}

#[test]
fn a_deferred_value_rides_on_the_next_append_or_is_flushed() {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    let path = tempfile::tempdir().unwrap();
    let store = create(path.path());
    let durable = Arc::new(AtomicU32::new(0));
    let defer = |value: &[u8]| {
        let durable = durable.clone();
        store.defer_meta("attested", value.to_vec(), move || {
            durable.fetch_add(1, Ordering::SeqCst);
        });
    };
    defer(b"one");
    assert_eq!((store.meta("attested").unwrap(), durable.load(Ordering::SeqCst)), (None, 0));
    // An append that is refused takes nothing along.
    store.append(&[entry(0, 1, 1), entry(2, 1, 1)]).unwrap_err();
    assert_eq!(durable.load(Ordering::SeqCst), 0);
    store.append(&entries(0..2, 1)).unwrap();
    assert_eq!(durable.load(Ordering::SeqCst), 1);
    assert_eq!(store.meta("attested").unwrap().unwrap(), b"one");
    defer(b"two");
    defer(b"three");
    store.flush_deferred().unwrap();
    store.flush_deferred().unwrap();
    assert_eq!(durable.load(Ordering::SeqCst), 3);
    // A log that has stopped writing never says that a value is durable.
    defer(b"four");
    store.inner.database.stop(&StorageError::corrupt("a test", "here"));
    store.flush_deferred().unwrap_err();
    assert_eq!((durable.load(Ordering::SeqCst), Arc::strong_count(&durable)), (3, 1));
    drop(store);
    assert_eq!(reopen(path.path()).unwrap().meta("attested").unwrap().unwrap(), b"three");
}

#[test]
fn memory_for_recent_entries_is_bounded() {
    let mut recent = Recent::default();
    let body = Bytes::from(vec![0; 1 << 20]);
    for index in 0..200 {
        let payload = LogPayload::Proposal(body.clone());
        recent.push(LogEntry { index, term: 1, node: 1, payload });
    }
    let kept = (0..200).filter(|index| recent.get(*index).is_some()).count();
    assert_eq!(kept, recent::RECENT_BYTES_MAX / (1 << 20) - 1);
    assert_eq!(recent.get(199).unwrap().index, 199);
    recent.truncate(150, None);
    assert!(recent.get(150).is_none());
}

/// The files of the log whose name ends so.
fn files(path: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(path.join("log")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect()
}

#[test]
fn a_tail_that_was_durable_and_is_gone_is_noticed() {
    let path = tempfile::tempdir().unwrap();
    let store = create(path.path());
    store.append(&entries(0..20, 1)).unwrap();
    store.append(&entries(20..21, 1)).unwrap();
    store.save_vote(b"vote").unwrap();
    drop(store);
    let [wal] = &files(path.path(), ".log")[..] else { panic!("one write-ahead log") };
    let whole = std::fs::read(wal).unwrap();
    let length = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The vote alone, the last entry too, everything: as if the writes had been interrupted.
    for (cut, flip) in [(length - 3, false), (length - 60, false), (length / 2, true), (0, false)] {
        let mut damaged = whole.clone();
        if flip {
            damaged[cut] ^= 1;
        } else {
            damaged.truncate(cut);
        }
        let copy = tempfile::tempdir().unwrap();
        copy_directory(path.path(), copy.path());
        std::fs::write(copy.path().join("log").join(wal.file_name().unwrap()), damaged).unwrap();
        let refused = reopen(copy.path()).err().unwrap();
        assert_eq!(refused.failure(), Some(crate::storage::Failure::Corrupt), "{refused}");
    }
    // What had not been synced may be gone.
    assert_eq!(reopen(path.path()).unwrap().last().unwrap().index, 20);
}

#[test]
fn a_log_without_its_head_is_not_taken_for_a_new_one() {
    for missing in ["CURRENT", "MANIFEST"] {
        let path = tempfile::tempdir().unwrap();
        create(path.path()).append(&entries(0..20, 1)).unwrap();
        let files = std::fs::read_dir(path.path().join("log")).unwrap();
        for file in files.map(|file| file.unwrap()) {
            if file.file_name().to_str().unwrap().starts_with(missing) {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
        let refused = reopen(path.path()).err().unwrap();
        assert_eq!(refused.failure(), Some(crate::storage::Failure::Corrupt), "{refused}");
    }
    let path = tempfile::tempdir().unwrap();
    create(path.path()).append(&entries(0..20, 1)).unwrap();
    std::fs::remove_dir_all(path.path().join("log")).unwrap();
    let refused = reopen(path.path()).err().unwrap();
    assert!(refused.to_string().contains("was durable"), "{refused}");
}

fn copy_directory(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap()) {
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_directory(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

#[test]
fn a_value_that_was_durable_and_is_forgotten_is_noticed() {
    for (name, value) in [(VOTE, None), (VOTE, Some(b"older")), ("signed", None)] {
        let path = tempfile::tempdir().unwrap();
        let store = create(path.path());
        store.save_vote(b"older").unwrap();
        store.save_vote(b"vote").unwrap();
        store.save_meta("signed", b"header").unwrap();
        store.save_committed(b"committed").unwrap();
        store.append(&entries(0..20, 1)).unwrap();
        drop(store);
        // As if a table with the value were gone, and all that was written later there.
        let db = DB::open_cf(&Options::default(), path.path().join("log"), [ENTRIES, BODIES, META]);
        let db = db.unwrap();
        let family = db.cf_handle(META).unwrap();
        db.delete_cf(family, COMMITTED).unwrap();
        match value {
            Some(value) => db.put_cf(family, name, value).unwrap(),
            None => db.delete_cf(family, name).unwrap(),
        }
        drop(db);
        let refused = reopen(path.path()).err().unwrap().to_string();
        assert!(refused.contains("is not what was durable"), "{refused}");
    }
}
