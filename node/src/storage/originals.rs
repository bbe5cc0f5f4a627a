//! Originals of statements, sealed: bytes that this node keeps for two institutions and cannot read.
//!
//! Each file is named by its key under `originals`. It grows as `<key>.partial`; when all bytes are
//! there and have the hash that was said at the beginning it is synced and becomes `<key>.sealed`. Its
//! head says who brought it, how long the sealed bytes are and what their hash is. Room is taken for
//! all of a file before its first byte is kept.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use sha2::Digest;
use sha2::Sha256;
use tracing::warn;

use super::StorageError;
use super::directory::DataDirectory;
use super::directory::sync_directory;

const WHOLE: &str = "sealed";
const PARTIAL: &str = "partial";

/// The last byte is the version.
const MAGIC: [u8; 8] = *b"cforig\x00\x01";

/// Magic, who brought it [11], length of the sealed bytes u64, their hash [32].
const HEAD_LENGTH: usize = 8 + 11 + 8 + 32;

/// Bytes that are hashed at once.
const BUFFER_LENGTH: usize = 64 << 10;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes that one institution has brought.
    pub own_bytes: u64,
    /// Bytes of all.
    pub all_bytes: u64,
    /// Files that one institution has brought.
    pub own_files: usize,
    /// Files of one institution that are not whole.
    pub unfinished: usize,
    /// A file that is not whole gives way after this time without a part.
    pub unfinished_age: Duration,
}

/// A sealed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Who brought it to this node.
    pub by: Bic,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of it.
    pub hash: Hash,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// So many bytes are there, and the next part begins behind them. The part was taken if that is
    /// where it ends.
    Received(u64),
    /// The whole file is kept, durably, or one that came before under this key.
    Whole(Sealed),
    /// All bytes came, and have another hash than was said: they are gone.
    Different,
    /// Another part of it is being written.
    Busy,
    /// Whoever brings it has all of its room.
    OwnRoom,
    /// All room is taken.
    AllRoom,
}

/// What became of a file that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It was there, or was not; now it is not.
    Gone,
    /// A part of it is being written.
    Busy,
}

/// A part of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub sealed: Sealed,
    /// Its bytes from the place that was asked for; none behind its end.
    pub bytes: Vec<u8>,
}

/// The originals of one node. Clones share them.
#[derive(Clone)]
pub struct Originals {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Holds the directory's lock as long as anything is written.
    _directory: DataDirectory,
    bounds: Bounds,
    kept: Mutex<BTreeMap<Hash, Kept>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    sealed: Sealed,
    received: u64,
    is_whole: bool,
    /// A thread writes to it.
    is_busy: bool,
    touched: Instant,
}

impl Originals {
    /// Opens what is there. What is no original, or is shorter than it says, is deleted: whoever needs
    /// it asks the other party's node.
    pub fn open(directory: &DataDirectory, bounds: Bounds) -> Result<Originals, StorageError> {
        let path = directory.path().join("originals");
        fs::create_dir_all(&path).map_err(|error| StorageError::io("create", &path, error))?;
        sync_directory(directory.path())?;
        let mut kept = BTreeMap::new();
        for entry in fs::read_dir(&path).map_err(|error| StorageError::io("read", &path, error))? {
            let file = entry.map_err(|error| StorageError::io("read", &path, error))?.path();
            match read_kept(&file).map_err(|error| StorageError::io("read", &file, error))? {
                Some((key, found)) => {
                    // One that was begun anew beside a whole one is of no use.
                    let other = kept.get(&key).copied();
                    match other {
                        Some(Kept { is_whole: true, .. }) => remove(&file)?,
                        Some(_) => {
                            remove(&path.join(format!("{key}.{PARTIAL}")))?;
                            kept.insert(key, found);
                        }
                        None => drop(kept.insert(key, found)),
                    }
                }
                None => {
                    warn!(file = %file.display(), "what is no original is deleted");
                    remove(&file)?;
                }
            }
        }
        let inner = Inner { path, _directory: directory.clone(), bounds, kept: Mutex::new(kept) };
        Ok(Originals { inner: Arc::new(inner) })
    }

    /// Takes a part of a file, at the place where the parts before it end. The whole file is `sealed`.
    pub fn put(
        &self,
        key: Hash,
        sealed: Sealed,
        offset: u64,
        part: &[u8],
    ) -> Result<Put, StorageError> {
        let received = match self.claim(key, sealed)? {
            Ok(received) => received,
            Err(answer) => return Ok(answer),
        };
        let end = u64::try_from(part.len()).ok().and_then(|length| offset.checked_add(length));
        let fits = end.filter(|end| offset == received && *end <= sealed.length);
        let written = match fits {
            Some(end) => self.write(key, sealed, offset, part).map(|()| end),
            None => return Ok(self.release(key, received)),
        };
        let end = written?;
        if end < sealed.length {
            return Ok(self.release(key, end));
        }
        if !self.finish(key, sealed)? {
            self.kept().remove(&key);
            return Ok(Put::Different);
        }
        if let Some(kept) = self.kept().get_mut(&key) {
            *kept = Kept { received: end, is_whole: true, is_busy: false, ..*kept };
        }
        Ok(Put::Whole(sealed))
    }

    /// Part of a whole file, of at most so many bytes; none if there is none.
    pub fn read(&self, key: Hash, offset: u64, most: usize) -> Result<Option<Part>, StorageError> {
        let Some(sealed) = self.whole(key) else { return Ok(None) };
        let path = self.path_of(key, WHOLE);
        let io = |error| StorageError::io("read", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Deleted in this moment, or by hand.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.kept().remove(&key);
                return Ok(None);
            }
            Err(error) => return Err(io(error)),
        };
        let left = sealed.length.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
        let read = file.read_exact_at(&mut bytes, offset.saturating_add(HEAD_LENGTH as u64));
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(StorageError::corrupt("an original", path.display()))
            }
            Err(error) => Err(io(error)),
            Ok(()) => Ok(Some(Part { sealed, bytes })),
        }
    }

    /// The file, if it is whole.
    pub fn whole(&self, key: Hash) -> Option<Sealed> {
        self.kept().get(&key).filter(|it| it.is_whole).map(|it| it.sealed)
    }

    /// Who brought a file, whole or not.
    pub fn brought_by(&self, key: Hash) -> Option<Bic> {
        self.kept().get(&key).map(|it| it.sealed.by)
    }

    /// Deletes a file, durably.
    pub fn remove(&self, key: Hash) -> Result<Removed, StorageError> {
        {
            let mut kept = self.kept();
            if kept.get(&key).is_some_and(|it| it.is_busy) {
                return Ok(Removed::Busy);
            }
            if kept.remove(&key).is_none() {
                return Ok(Removed::Gone);
            }
            // While nobody can begin it anew.
            remove(&self.path_of(key, PARTIAL))?;
            remove(&self.path_of(key, WHOLE))?;
        }
        sync_directory(&self.inner.path)?;
        Ok(Removed::Gone)
    }

    /// Makes a file busy, and says how much of it is there; or what else is to be answered.
    fn claim(&self, key: Hash, sealed: Sealed) -> Result<Result<u64, Put>, StorageError> {
        let now = Instant::now();
        let bounds = &self.inner.bounds;
        let is_idle = |it: &Kept| {
            !it.is_whole && !it.is_busy && now.duration_since(it.touched) >= bounds.unfinished_age
        };
        let mut kept = self.kept();
        match kept.get_mut(&key) {
            Some(found) if found.is_whole => return Ok(Err(Put::Whole(found.sealed))),
            Some(found) if found.is_busy => return Ok(Err(Put::Busy)),
            Some(found) if found.sealed == sealed => {
                (found.is_busy, found.touched) = (true, now);
                return Ok(Ok(found.received));
            }
            Some(found) if found.sealed.by != sealed.by && !is_idle(found) => {
                return Ok(Err(Put::Busy));
            }
            // It was sealed anew.
            _ => {}
        }
        let given_up: Vec<Hash> = kept
            .iter()
            .filter(|(other, it)| **other == key || is_idle(it))
            .map(|(it, _)| *it)
            .collect();
        for other in given_up {
            kept.remove(&other);
            remove(&self.path_of(other, PARTIAL))?;
        }
        if let Some(full) = no_room(bounds, &kept, &sealed) {
            return Ok(Err(full));
        }
        let found = Kept { sealed, received: 0, is_whole: false, is_busy: true, touched: now };
        kept.insert(key, found);
        drop(kept);
        let path = self.path_of(key, PARTIAL);
        let begun = File::create(&path).and_then(|file| file.write_all_at(&head(&sealed), 0));
        begun.map_err(|error| StorageError::io("create", &path, error))?;
        Ok(Ok(0))
    }

    fn release(&self, key: Hash, received: u64) -> Put {
        if let Some(kept) = self.kept().get_mut(&key) {
            (kept.received, kept.is_busy) = (received, false);
        }
        Put::Received(received)
    }

    fn write(
        &self,
        key: Hash,
        sealed: Sealed,
        offset: u64,
        part: &[u8],
    ) -> Result<(), StorageError> {
        debug_assert!(offset <= sealed.length);
        let path = self.path_of(key, PARTIAL);
        let place = offset.saturating_add(HEAD_LENGTH as u64);
        let written =
            File::options().write(true).open(&path).and_then(|file| file.write_all_at(part, place));
        written.map_err(|error| StorageError::io("write", &path, error))
    }

    /// Puts the file in its place, durably, if it is what was said at the beginning.
    fn finish(&self, key: Hash, sealed: Sealed) -> Result<bool, StorageError> {
        let (partial, whole) = (self.path_of(key, PARTIAL), self.path_of(key, WHOLE));
        let io = |action| move |error, path: &Path| StorageError::io(action, path, error);
        let mut file = File::open(&partial).map_err(|error| io("open")(error, &partial))?;
        let found = hash_of(&mut file).map_err(|error| io("read")(error, &partial))?;
        if found != sealed.hash {
            remove(&partial)?;
            return Ok(false);
        }
        file.sync_all().map_err(|error| io("sync")(error, &partial))?;
        fs::rename(&partial, &whole).map_err(|error| io("rename")(error, &partial))?;
        sync_directory(&self.inner.path)?;
        Ok(true)
    }

    fn path_of(&self, key: Hash, extension: &str) -> PathBuf {
        self.inner.path.join(format!("{key}.{extension}"))
    }

    // Nothing panics while it holds this lock half-way through a change.
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Hash, Kept>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a new file has no place, if it has none.
fn no_room(bounds: &Bounds, kept: &BTreeMap<Hash, Kept>, sealed: &Sealed) -> Option<Put> {
    let own = || kept.values().filter(|it| it.sealed.by == sealed.by);
    let bytes = |files: &mut dyn Iterator<Item = &Kept>| {
        files.fold(sealed.length, |sum, it| sum.saturating_add(it.sealed.length))
    };
    if own().count() >= bounds.own_files
        || own().filter(|it| !it.is_whole).count() >= bounds.unfinished
        || bytes(&mut own()) > bounds.own_bytes
    {
        return Some(Put::OwnRoom);
    }
    (bytes(&mut kept.values()) > bounds.all_bytes).then_some(Put::AllRoom)
}

fn head(sealed: &Sealed) -> Vec<u8> {
    let by = sealed.by.as_str().as_bytes();
    [&MAGIC[..], by, &sealed.length.to_be_bytes(), sealed.hash.as_bytes()].concat()
}

/// What a file holds, if it is one of ours.
fn read_kept(path: &Path) -> io::Result<Option<(Hash, Kept)>> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let is_whole = match path.extension().and_then(|extension| extension.to_str()) {
        Some(WHOLE) => true,
        Some(PARTIAL) => false,
        _ => return Ok(None),
    };
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = [0; HEAD_LENGTH];
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let found = || {
        let key = key_of(stem?)?;
        let rest = head.strip_prefix(&MAGIC)?;
        let (by, rest) = rest.split_at_checked(11)?;
        let by = Bic::parse_canonical(std::str::from_utf8(by).ok()?).ok()?;
        let (sealed_length, hash) = rest.split_at_checked(8)?;
        let sealed = Sealed {
            by,
            length: u64::from_be_bytes(sealed_length.try_into().ok()?),
            hash: Hash::from_slice(hash)?,
        };
        let received = length - HEAD_LENGTH as u64;
        let fits = if is_whole { received == sealed.length } else { received < sealed.length };
        let touched = Instant::now();
        fits.then_some((key, Kept { sealed, received, is_whole, is_busy: false, touched }))
    };
    Ok(found())
}

/// 64 lower-case hexadecimal digits.
fn key_of(text: &str) -> Option<Hash> {
    let mut key = [0; 32];
    if !text.is_ascii() || text.len() != 64 {
        return None;
    }
    for (place, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(Hash(key)).filter(|key| key.to_string() == text)
}

/// The hash of what is behind the head.
fn hash_of(file: &mut File) -> io::Result<Hash> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_LENGTH];
    let mut head = [0; HEAD_LENGTH];
    file.read_exact(&mut head)?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Hash(hash.finalize().into())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: Hash = Hash([7; 32]);
    const KEY: Hash = Hash([1; 32]);
    const BOUNDS: Bounds = Bounds {
        own_bytes: 100,
        all_bytes: 150,
        own_files: 3,
        unfinished: 2,
        unfinished_age: Duration::from_secs(600),
    };

    fn bic(text: &str) -> Bic {
        Bic::parse(text).unwrap()
    }

    fn sealed(bytes: &[u8]) -> Sealed {
        Sealed { by: bic("BANKCHAA"), length: bytes.len() as u64, hash: Hash::of(bytes) }
    }

    fn opened(parent: &Path, bounds: Bounds) -> Originals {
        let directory = match DataDirectory::open(parent, 1, &CHAIN) {
            Ok(directory) => directory,
            Err(_) => DataDirectory::init(parent, 1, &CHAIN).unwrap(),
        };
        Originals::open(&directory, bounds).unwrap()
    }

    #[test]
    fn a_file_comes_in_parts_and_stays() {
        let parent = tempfile::tempdir().unwrap();
        let bytes = b"0123456789";
        let file = sealed(bytes);
        let originals = opened(parent.path(), BOUNDS);
        let put = |it: &Originals, offset, part: &[u8]| it.put(KEY, file, offset, part).unwrap();
        assert_eq!(put(&originals, 10, b""), Put::Received(0), "where to begin");
        assert_eq!(put(&originals, 0, b"0123"), Put::Received(4));
        assert_eq!(put(&originals, 0, b"0123"), Put::Received(4), "the same part again");
        assert_eq!(put(&originals, 5, b"5"), Put::Received(4), "a gap");
        assert_eq!(put(&originals, 4, b"4567890"), Put::Received(4), "more than was said");
        assert_eq!(originals.read(KEY, 0, 10).unwrap(), None, "it is not whole");
        assert_eq!(originals.brought_by(KEY), Some(file.by));
        drop(originals);
        let originals = opened(parent.path(), BOUNDS);
        assert_eq!(put(&originals, 4, b"456789"), Put::Whole(file));
        assert_eq!(put(&originals, 0, b"0"), Put::Whole(file), "again");
        let another = sealed(b"sealed anew");
        assert_eq!(
            originals.put(KEY, another, 0, b"s").unwrap(),
            Put::Whole(file),
            "the first stays"
        );
        drop(originals);
        let originals = opened(parent.path(), BOUNDS);
        let read = |offset, most| originals.read(KEY, offset, most).unwrap().unwrap().bytes;
        assert_eq!((read(0, 4), read(4, 100)), (b"0123".to_vec(), b"456789".to_vec()));
        assert_eq!((read(10, 4), read(u64::MAX, 4)), (vec![], vec![]));
        assert_eq!(originals.remove(KEY).unwrap(), Removed::Gone);
        assert_eq!(originals.read(KEY, 0, 4).unwrap(), None);
        assert_eq!(originals.remove(KEY).unwrap(), Removed::Gone);
        drop(originals);
        assert_eq!(opened(parent.path(), BOUNDS).whole(KEY), None);
    }

    #[test]
    fn other_bytes_than_were_said_are_not_kept() {
        let parent = tempfile::tempdir().unwrap();
        let originals = opened(parent.path(), BOUNDS);
        let file = sealed(b"0123");
        assert_eq!(originals.put(KEY, file, 0, b"4567").unwrap(), Put::Different);
        assert_eq!(originals.brought_by(KEY), None);
        assert_eq!(originals.put(KEY, file, 0, b"0123").unwrap(), Put::Whole(file));
        // Sealed anew before it was whole: the first try is forgotten.
        let key = Hash([2; 32]);
        assert_eq!(originals.put(key, file, 0, b"01").unwrap(), Put::Received(2));
        let anew = sealed(b"anew");
        assert_eq!(originals.put(key, anew, 0, b"an").unwrap(), Put::Received(2));
        // Not by somebody else.
        let other = Sealed { by: bic("BANKCHBB"), ..file };
        assert_eq!(originals.put(key, other, 0, b"01").unwrap(), Put::Busy);
        assert_eq!(originals.put(key, anew, 2, b"ew").unwrap(), Put::Whole(anew));
    }

    #[test]
    fn room_is_taken_before_the_first_byte() {
        let parent = tempfile::tempdir().unwrap();
        let originals = opened(parent.path(), BOUNDS);
        let file = |by, length| Sealed { by: bic(by), length, hash: Hash::ZERO };
        let begin = |key: u8, file| originals.put(Hash([key; 32]), file, 0, b"").unwrap();
        assert_eq!(begin(1, file("BANKCHAA", 101)), Put::OwnRoom);
        assert_eq!(begin(1, file("BANKCHAA", 60)), Put::Received(0));
        assert_eq!(begin(2, file("BANKCHAA", 41)), Put::OwnRoom);
        assert_eq!(begin(2, file("BANKCHAA", 1)), Put::Received(0));
        assert_eq!(begin(3, file("BANKCHAA", 1)), Put::OwnRoom, "two are not whole");
        assert_eq!(begin(3, file("BANKCHBB", 90)), Put::AllRoom);
        assert_eq!(begin(3, file("BANKCHBB", 89)), Put::Received(0));
        drop(originals);
        let patient = Bounds { unfinished_age: Duration::ZERO, ..BOUNDS };
        let originals = opened(parent.path(), patient);
        let begin = |key: u8, file| originals.put(Hash([key; 32]), file, 0, b"").unwrap();
        assert_eq!(begin(4, file("BANKCHBB", 100)), Put::Received(0), "what is idle gives way");
    }

    #[test]
    fn of_two_the_whole_one_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let originals = opened(parent.path(), BOUNDS);
        let file = sealed(b"0123");
        assert_eq!(originals.put(KEY, file, 0, b"0123").unwrap(), Put::Whole(file));
        let (whole, partial) = (originals.path_of(KEY, WHOLE), originals.path_of(KEY, PARTIAL));
        let bytes = fs::read(&whole).unwrap();
        drop(originals);
        fs::write(&partial, &bytes[..bytes.len() - 1]).unwrap();
        let originals = opened(parent.path(), BOUNDS);
        assert_eq!(originals.whole(KEY), Some(file));
        assert!(whole.exists() && !partial.exists());
    }

    #[test]
    fn what_is_damaged_is_not_opened() {
        let parent = tempfile::tempdir().unwrap();
        let originals = opened(parent.path(), BOUNDS);
        let file = sealed(b"0123");
        assert_eq!(originals.put(KEY, file, 0, b"0123").unwrap(), Put::Whole(file));
        let path = originals.path_of(KEY, WHOLE);
        let whole = fs::read(&path).unwrap();
        drop(originals);
        for damaged in [&whole[..whole.len() - 1], &whole[..10], b"", &[&whole[..], b"x"].concat()]
        {
            fs::write(&path, damaged).unwrap();
            let originals = opened(parent.path(), BOUNDS);
            assert_eq!(originals.whole(KEY), None);
            assert!(!path.exists());
        }
        fs::write(path.with_file_name("note.txt"), "x").unwrap();
        fs::write(path.with_file_name("zz.sealed"), &whole).unwrap();
        let originals = opened(parent.path(), BOUNDS);
        assert_eq!(fs::read_dir(&originals.inner.path).unwrap().count(), 0);
    }
}
