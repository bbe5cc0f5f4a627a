//! A disk in memory that loses what a real one may lose, for the simulation alone.
//!
//! An instance behaves as RocksDB's write-ahead log does: batches are whole or not there, a power cut
//! takes away a suffix of what was not synced, and a synced batch has everything before it on disk.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use rocksdb::Direction;
use rocksdb::IteratorMode;

/// In the directory of an instance: its number.
const NUMBER_FILE: &str = "simulated";

type Key = Box<[u8]>;
type Table = BTreeMap<Key, Bytes>;

/// Which disk is behind a data directory.
static MOUNTS: Mutex<BTreeMap<PathBuf, Disk>> = Mutex::new(BTreeMap::new());

/// What a write meets instead of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sync fails. What was written may be on the disk or not.
    SyncFails,
    /// The disk is full, and stays so until it is [freed](Disk::free).
    Full,
    /// The power goes before anything of the write is on the disk.
    PowerCut,
}

/// The disk of one machine. Clones share it.
#[derive(Clone, Default)]
pub struct Disk {
    machine: Arc<Mutex<Machine>>,
}

/// What a disk has done, and what was lost on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFigures {
    /// Synced writes.
    pub syncs: u64,
    /// Batches that a power cut took away.
    pub lost: u64,
}

#[derive(Default)]
struct Machine {
    /// By the number that stands in the directory of each: directories are renamed and deleted.
    instances: BTreeMap<u64, Instance>,
    /// Grows when the process ends: what an earlier one has opened writes nothing more.
    life: u64,
    created: u64,
    armed: Option<(Fault, u32)>,
    is_full: bool,
    is_dark: bool,
    figures: DiskFigures,
}

#[derive(Default)]
struct Instance {
    /// As the running process sees it.
    current: BTreeMap<&'static str, Arc<Table>>,
    /// What no power cut takes away.
    durable: BTreeMap<&'static str, Table>,
    /// What was written since, in order.
    pending: VecDeque<Changes>,
}

/// One instance as a process has opened it.
pub(super) struct Opened {
    disk: Disk,
    number: u64,
    life: u64,
}

/// An instance at one moment.
pub(super) struct Frozen(BTreeMap<&'static str, Arc<Table>>);

/// The changes of a batch.
#[derive(Clone, Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    bytes: usize,
}

#[derive(Clone)]
enum Change {
    Put(&'static str, Key, Bytes),
    Delete(&'static str, Key),
    DeleteRange(&'static str, Key, Key),
}

impl Disk {
    /// From now on what is opened in this data directory is on this disk.
    pub fn mount(&self, directory: &Path) {
        let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        mounts.insert(directory.to_owned(), self.clone());
    }

    /// The process ends: the system still has all that it wrote.
    pub fn kill(&self) {
        self.machine().life += 1;
    }

    /// The power goes: of the batches of each instance that were not synced, `kept` says how many are
    /// on the disk.
    pub fn cut_power(&self, mut kept: impl FnMut(usize) -> usize) {
        let mut machine = self.machine();
        machine.life += 1;
        machine.is_dark = false;
        machine.armed = None;
        let mut lost = 0;
        for instance in machine.instances.values_mut() {
            let keeps = kept(instance.pending.len()).min(instance.pending.len());
            let rest = instance.pending.split_off(keeps);
            lost += rest.len() as u64;
            instance.settle();
            let tables = instance.durable.iter();
            instance.current =
                tables.map(|(name, table)| (*name, Arc::new(table.clone()))).collect();
        }
        machine.figures.lost += lost;
    }

    /// The write after so many others meets a fault.
    pub fn arm(&self, fault: Fault, after: u32) {
        self.machine().armed = Some((fault, after));
    }

    /// There is room again, and no fault waits.
    pub fn free(&self) {
        let mut machine = self.machine();
        machine.is_full = false;
        machine.armed = None;
    }

    /// Whether a write has met [`Fault::PowerCut`].
    pub fn is_dark(&self) -> bool {
        self.machine().is_dark
    }

    /// What has happened on it.
    pub fn figures(&self) -> DiskFigures {
        self.machine().figures
    }

    /// The disk that a directory is on, if it is a simulated one.
    pub(super) fn of(directory: &Path) -> Option<Disk> {
        MOUNTS.lock().unwrap_or_else(PoisonError::into_inner).get(directory).cloned()
    }

    /// Opens or creates the instance of a directory, with at least these families.
    pub(super) fn open(
        self,
        directory: &Path,
        families: impl IntoIterator<Item = &'static str>,
    ) -> io::Result<Opened> {
        let file = directory.join(NUMBER_FILE);
        let number = match fs::read_to_string(&file) {
            Ok(text) => text.parse().map_err(io::Error::other)?,
            Err(_) => self.create(directory, Instance::default())?,
        };
        let life = {
            let mut machine = self.machine();
            let instance = machine.instances.entry(number).or_default();
            let families: BTreeSet<_> = families.into_iter().collect();
            for family in families {
                instance.current.entry(family).or_default();
                instance.durable.entry(family).or_default();
            }
            machine.life
        };
        Ok(Opened { disk: self, number, life })
    }

    fn create(&self, directory: &Path, instance: Instance) -> io::Result<u64> {
        let mut machine = self.machine();
        machine.created += 1;
        let number = machine.created;
        machine.instances.insert(number, instance);
        fs::create_dir_all(directory)?;
        fs::write(directory.join(NUMBER_FILE), number.to_string())?;
        Ok(number)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// What the next write meets.
    fn meet(&mut self) -> Option<Fault> {
        if self.is_full {
            return Some(Fault::Full);
        }
        let (fault, after) = self.armed?;
        self.armed = after.checked_sub(1).map(|after| (fault, after));
        if self.armed.is_some() {
            return None;
        }
        self.is_full |= fault == Fault::Full;
        self.is_dark |= fault == Fault::PowerCut;
        Some(fault)
    }
}

impl Instance {
    /// Everything written is on the disk.
    fn settle(&mut self) {
        for changes in self.pending.drain(..) {
            for change in changes.list {
                let name = change.family();
                change.apply(self.durable.entry(name).or_default());
            }
        }
    }
}

impl Opened {
    /// The family's own name.
    pub(super) fn family(&self, name: &str) -> &'static str {
        let machine = self.disk.machine();
        let tables = machine.instances.get(&self.number).map(|instance| &instance.current);
        let family = tables.and_then(|tables| tables.get_key_value(name));
        family.map(|(name, _)| *name).expect("open() creates each family that is named")
    }

    /// Writes a batch; an error is what the system would say.
    pub(super) fn write(&self, changes: Changes, synced: bool) -> Result<(), &'static str> {
        let mut machine = self.disk.machine();
        if machine.life != self.life || machine.is_dark {
            return Err("IO error: the power is gone");
        }
        let fault = machine.meet();
        machine.figures.syncs += u64::from(synced && fault.is_none());
        let instance = machine.instances.entry(self.number).or_default();
        match fault {
            None => {}
            Some(Fault::SyncFails) => {
                instance.pending.push_back(changes);
                return Err("IO error: While fsync: Input/output error");
            }
            Some(Fault::Full) => return Err("IO error: No space left on device"),
            Some(Fault::PowerCut) => return Err("IO error: the power is gone"),
        }
        for change in changes.list.clone() {
            let table = instance.current.entry(change.family()).or_default();
            change.apply(Arc::make_mut(table));
        }
        instance.pending.push_back(changes);
        if synced {
            instance.settle();
        }
        Ok(())
    }

    /// A value.
    pub(super) fn get(&self, family: &str, key: &[u8]) -> Option<Bytes> {
        let machine = self.disk.machine();
        machine.instances.get(&self.number)?.current.get(family)?.get(key).cloned()
    }

    /// The pairs of a family as it is now.
    pub(super) fn iterate(&self, family: &str, mode: IteratorMode<'_>) -> Pairs {
        self.freeze().iterate(family, mode)
    }

    /// Makes a durable copy in a directory that does not exist.
    pub(super) fn copy_to(&self, directory: &Path) -> io::Result<()> {
        let current = self.freeze().0;
        let durable = current.iter().map(|(name, table)| (*name, Table::clone(table))).collect();
        let copy = Instance { current, durable, pending: VecDeque::new() };
        self.disk.create(directory, copy).map(drop)
    }

    /// Everything as it is now.
    pub(super) fn freeze(&self) -> Frozen {
        let machine = self.disk.machine();
        let instance = machine.instances.get(&self.number);
        Frozen(instance.map(|instance| instance.current.clone()).unwrap_or_default())
    }
}

impl Frozen {
    /// A value.
    pub(super) fn get(&self, family: &str, key: &[u8]) -> Option<Bytes> {
        self.0.get(family)?.get(key).cloned()
    }

    /// The pairs of a family.
    pub(super) fn iterate(&self, family: &str, mode: IteratorMode<'_>) -> Pairs {
        let table = self.0.get(family).cloned().unwrap_or_default();
        let (direction, from) = match mode {
            IteratorMode::Start => (Direction::Forward, Bound::Unbounded),
            IteratorMode::End => (Direction::Reverse, Bound::Unbounded),
            IteratorMode::From(key, direction) => (direction, Bound::Included(key.into())),
        };
        Pairs { table, direction, from }
    }
}

impl Changes {
    /// A value under a key.
    pub(super) fn put(&mut self, family: &'static str, key: &[u8], value: &[u8]) {
        self.push(Change::Put(family, key.into(), Bytes::copy_from_slice(value)));
    }

    /// Nothing under a key.
    pub(super) fn delete(&mut self, family: &'static str, key: &[u8]) {
        self.push(Change::Delete(family, key.into()));
    }

    /// Nothing from one key to another.
    pub(super) fn delete_range(&mut self, family: &'static str, from: &[u8], to: &[u8]) {
        self.push(Change::DeleteRange(family, from.into(), to.into()));
    }

    /// About how many bytes it takes; 0 if there is nothing in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, change: Change) {
        self.bytes += 16
            + match &change {
                Change::Put(_, key, value) => key.len() + value.len(),
                Change::Delete(_, key) => key.len(),
                Change::DeleteRange(_, from, to) => from.len() + to.len(),
            };
        self.list.push(change);
    }
}

impl Change {
    fn family(&self) -> &'static str {
        match self {
            Change::Put(family, ..) | Change::Delete(family, _) => family,
            Change::DeleteRange(family, ..) => family,
        }
    }

    fn apply(self, table: &mut Table) {
        match self {
            Change::Put(_, key, value) => drop(table.insert(key, value)),
            Change::Delete(_, key) => drop(table.remove(&key)),
            Change::DeleteRange(_, from, to) => table.retain(|key, _| *key < from || *key >= to),
        }
    }
}

/// The pairs of a family as it was at one moment.
pub(super) struct Pairs {
    table: Arc<Table>,
    direction: Direction,
    from: Bound<Key>,
}

impl Iterator for Pairs {
    type Item = (Key, Box<[u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.from.clone();
        let (key, value) = match self.direction {
            Direction::Forward => self.table.range((from, Bound::Unbounded)).next()?,
            Direction::Reverse => self.table.range((Bound::Unbounded, from)).next_back()?,
        };
        self.from = Bound::Excluded(key.clone());
        Some((key.clone(), value.as_ref().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8], value: &[u8]) -> Changes {
        let mut changes = Changes::default();
        changes.put("family", key, value);
        changes
    }

    /// The one instance of a disk.
    fn open(disk: &Disk) -> Opened {
        let path = tempfile::tempdir().unwrap();
        if !disk.machine().instances.is_empty() {
            fs::write(path.path().join(NUMBER_FILE), "1").unwrap();
        }
        disk.clone().open(path.path(), ["family"]).unwrap()
    }

    fn keys(opened: &Opened) -> Vec<Key> {
        opened.iterate("family", IteratorMode::Start).map(|(key, _)| key).collect()
    }

    #[test]
    fn a_power_cut_takes_a_suffix_of_what_was_not_synced() {
        for kept in 0..=3 {
            let disk = Disk::default();
            let opened = open(&disk);
            opened.write(put(b"a", b"1"), false).unwrap();
            opened.write(put(b"b", b"1"), true).unwrap();
            for key in [b"c", b"d", b"e"] {
                opened.write(put(key, b"1"), false).unwrap();
            }
            assert_eq!(keys(&opened).len(), 5);
            disk.cut_power(|_| kept);
            assert!(opened.write(put(b"f", b"1"), true).is_err(), "of the life before");
            let again = open(&disk);
            assert_eq!(keys(&again).len(), 2 + kept);
            assert_eq!(disk.figures().lost, 3 - kept as u64);
        }
    }

    #[test]
    fn a_process_that_ends_loses_nothing() {
        let disk = Disk::default();
        let opened = open(&disk);
        opened.write(put(b"a", b"1"), false).unwrap();
        disk.kill();
        assert_eq!(keys(&open(&disk)).len(), 1);
    }

    #[test]
    fn faults_come_when_they_are_due() {
        let disk = Disk::default();
        let opened = open(&disk);
        disk.arm(Fault::Full, 1);
        opened.write(put(b"a", b"1"), true).unwrap();
        for _ in 0..2 {
            let full = opened.write(put(b"b", b"1"), true).unwrap_err();
            assert!(full.contains("No space left on device"));
        }
        disk.free();
        opened.write(put(b"b", b"1"), true).unwrap();
        disk.arm(Fault::SyncFails, 0);
        assert!(opened.write(put(b"c", b"1"), true).is_err());
        assert_eq!(keys(&opened).len(), 2, "not seen by the process");
        disk.cut_power(|pending| pending);
        let opened = open(&disk);
        assert_eq!(keys(&opened).len(), 3, "yet it may be there");
        disk.arm(Fault::PowerCut, 0);
        assert!(opened.write(put(b"d", b"1"), true).is_err());
        assert!(disk.is_dark());
        disk.cut_power(|pending| pending);
        assert_eq!(keys(&open(&disk)).len(), 3);
    }

    #[test]
    fn pairs_are_those_of_one_moment_either_way() {
        let opened = open(&Disk::default());
        for key in [b"a", b"c", b"e"] {
            opened.write(put(key, b"1"), true).unwrap();
        }
        let from = |key, direction| {
            let pairs = opened.iterate("family", IteratorMode::From(key, direction));
            pairs.map(|(key, _)| key[0]).collect::<Vec<u8>>()
        };
        assert_eq!(from(b"b", Direction::Forward), b"ce");
        assert_eq!(from(b"c", Direction::Forward), b"ce");
        assert_eq!(from(b"d", Direction::Reverse), b"ca");
        let pairs = opened.iterate("family", IteratorMode::End);
        let mut changes = put(b"f", b"1");
        changes.delete_range("family", b"a", b"e");
        opened.write(changes, true).unwrap();
        assert_eq!(pairs.count(), 3);
        assert_eq!(keys(&opened).len(), 2);
    }
}
