use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::super::database::instance_options;
use super::*;

fn database(path: &Path) -> Arc<Database> {
    Arc::new(Database::open(path, "state", "test 1", &instance_options(), families()).unwrap())
}

impl RunStore {
    fn wait_until_idle(&self) {
        loop {
            let signal = *self.shared.lock_signal();
            if signal.idle && !signal.work {
                return;
            }
            self.shared.database.check_running().unwrap();
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// What a movement's row is made of, in the order of its bytes.
fn row(account: u32, height: u64, leaf: u32, date: u32) -> Vec<u8> {
    let mut row = account.to_be_bytes().to_vec();
    row.extend(height.to_be_bytes());
    row.extend(leaf.to_be_bytes());
    row.extend([0; 17]);
    row.extend(date.to_be_bytes());
    row.extend([0; 16]);
    row
}

/// Likewise a UETR's.
fn place_row(key: u128, height: u64, leaf: u32) -> Vec<u8> {
    let mut row = key.to_be_bytes().to_vec();
    row.extend(height.to_be_bytes());
    row.extend(leaf.to_be_bytes());
    row
}

fn found(view: &RunView, index: Index, range: &RowRange<'_>, direction: Direction) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    let visited = view.visit(index, range, direction, |row| {
        rows.push(row.to_vec());
        ControlFlow::Continue(())
    });
    assert!(visited.unwrap().is_continue());
    rows
}

/// The store beside a model of it: rows of two indices in maps.
struct Pair {
    store: RunStore,
    places: BTreeMap<(u128, u64, u32), Vec<u8>>,
    movements: BTreeMap<(u32, u64, u32), Vec<u8>>,
    height: u64,
}

impl Pair {
    /// Adds some blocks as one run an index.
    fn flush(&mut self, random: &mut Random, rows: u64) {
        let (first, last) = (self.height, self.height + random.below(4));
        let (mut places, mut movements) = (Vec::new(), Vec::new());
        for leaf in 0..u32::try_from(random.below(rows)).unwrap() {
            let height = first + random.below(last - first + 1);
            let (key, account) =
                (u128::from(random.below(300)), u32::try_from(random.below(20)).unwrap());
            let added = place_row(key, height, leaf);
            places.extend(&added);
            self.places.insert((key, height, leaf), added);
            let added = row(account, height, leaf, u32::try_from(height / 50).unwrap());
            movements.extend(&added);
            self.movements.insert((account, height, leaf), added);
        }
        let mut batch = WriteBatch::default();
        let runs = [(Index::Uetr, places), (Index::Movement, movements)];
        let build = |(index, rows): (Index, Vec<u8>)| {
            self.store.build(index, first, last, &rows, &mut batch)
        };
        let runs: Vec<NewRun> = runs.into_iter().filter_map(build).collect();
        self.store.shared.database.write(batch, Durability::Buffered).unwrap();
        self.store.publish(runs);
        self.height = last + 1;
    }

    fn check(&self, random: &mut Random) {
        let view = self.store.view();
        for _ in 0..40 {
            let key = u128::from(random.below(330));
            let range = self.places.range((key, 0, 0)..(key + 1, 0, 0));
            let expected: Vec<_> = range.map(|(_, row)| row.clone()).collect();
            let key = key.to_be_bytes();
            let range = RowRange::of_keys(&key, &key);
            assert_eq!(found(&view, Index::Uetr, &range, Direction::Forward), expected);

            let account = u32::try_from(random.below(22)).unwrap();
            let from = random.below(self.height + 2);
            let to = from + random.below(self.height + 2);
            let range = self.movements.range((account, from, 0)..=(account, to, u32::MAX));
            let mut expected: Vec<_> = range.map(|(_, row)| row.clone()).collect();
            let least = [&account.to_be_bytes()[..], &from.to_be_bytes(), &[0; 4]].concat();
            let greatest = [&account.to_be_bytes()[..], &to.to_be_bytes(), &[255; 4]].concat();
            let mut range = RowRange::of_keys(&least, &greatest);
            range.heights = from..=to;
            assert_eq!(found(&view, Index::Movement, &range, Direction::Forward), expected);
            // A zone passes over pages, never over rows that have it.
            let zone = from / 50;
            range.zones = zone..=zone;
            let in_zone = |row: &Vec<u8>| Index::Movement.zone(row) == zone;
            let mut zoned = found(&view, Index::Movement, &range, Direction::Forward);
            zoned.retain(in_zone);
            let mut expected_zoned = expected.clone();
            expected_zoned.retain(in_zone);
            assert_eq!(zoned, expected_zoned);
            range.zones = 0..=u64::MAX;
            expected.reverse();
            assert_eq!(found(&view, Index::Movement, &range, Direction::Reverse), expected);
        }
    }

    fn run_counts(&self) -> [usize; Index::ALL.len()] {
        self.store.shared.set().by_index.each_ref().map(Vec::len)
    }
}

#[test]
fn runs_answer_as_a_sorted_map_does() {
    let path = tempfile::tempdir().unwrap();
    let mut random = Random(7);
    // Some runs are larger than a page, and full runs come about, too.
    let store = RunStore::open_with(database(path.path()), 6000).unwrap();
    let (places, movements) = (BTreeMap::new(), BTreeMap::new());
    let mut pair = Pair { store, places, movements, height: 0 };
    for round in 0..200 {
        let rows = if round % 17 == 0 { 3000 } else { 40 };
        pair.flush(&mut random, rows);
        if round % 20 == 0 {
            pair.check(&mut random);
        }
        if round % 67 == 66 {
            // At any moment, and so in the midst of merges.
            drop(pair.store);
            pair.store = RunStore::open_with(database(path.path()), 6000).unwrap();
            pair.check(&mut random);
        }
    }
    pair.store.wait_until_idle();
    pair.check(&mut random);
    let rows_max = |run: &Arc<Run>| run.rows <= 6000;
    let set = pair.store.shared.set();
    assert!(set.by_index.iter().flatten().all(rows_max));
    assert!(pair.run_counts().into_iter().all(|count| count < 40), "{:?}", pair.run_counts());
    assert_eq!(pair.store.last_height(), Some(pair.height - 1));
}

#[test]
fn a_view_outlives_the_merge_of_its_runs() {
    let path = tempfile::tempdir().unwrap();
    let store = RunStore::open(database(path.path())).unwrap();
    let mut random = Random(3);
    let (places, movements) = (BTreeMap::new(), BTreeMap::new());
    let mut pair = Pair { store, places, movements, height: 0 };
    for _ in 0..7 {
        pair.flush(&mut random, 100);
    }
    let view = pair.store.view();
    let all = RowRange::of_keys(&[0; 16], &[255; 16]);
    let before = found(&view, Index::Uetr, &all, Direction::Forward);
    for _ in 0..60 {
        pair.flush(&mut random, 100);
    }
    pair.store.wait_until_idle();
    pair.store.shared.pages.clear();
    assert_eq!(found(&view, Index::Uetr, &all, Direction::Forward), before);
    assert_eq!(pair.store.shared.retired.lock().unwrap().len(), 14);
    drop(view);
    thread::sleep(merge::RETIRED_INTERVAL + Duration::from_millis(300));
    assert_eq!(pair.store.shared.retired.lock().unwrap().len(), 0);
    pair.check(&mut random);
}

#[test]
fn pages_without_a_directory_are_deleted_at_the_start() {
    let path = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    let database_ = database(path.path());
    let store = RunStore::open(Arc::clone(&database_)).unwrap();
    let (places, movements) = (BTreeMap::new(), BTreeMap::new());
    let mut pair = Pair { store, places, movements, height: 10 };
    for _ in 0..5 {
        pair.flush(&mut random, 100);
    }
    pair.store.wait_until_idle();
    let pages = |database: &Database| database.iterate(RUNS, IteratorMode::Start).count();
    let before = pages(&database_);
    let mut batch = WriteBatch::default();
    for index in Index::ALL {
        for (first, last) in [(0, 9), (10, 500), (14, 14), (600, 700)] {
            let name = RunName { index, first, last };
            batch.put_cf(database_.family(RUNS), name.page_key(0), b"orphan");
            batch.put_cf(database_.family(RUNS), name.page_key(7), b"orphan");
        }
    }
    database_.write(batch, Durability::Buffered).unwrap();
    assert_eq!(pages(&database_), before + 8 * Index::ALL.len());
    drop((pair.store, database_));
    let database_ = database(path.path());
    pair.store = RunStore::open(Arc::clone(&database_)).unwrap();
    assert_eq!(pages(&database_), before);
    pair.check(&mut random);
}
