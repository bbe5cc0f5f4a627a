//! The mark on a manifest: how long RocksDB's list of its tables was when it was last looked at, and
//! the checksum of that.
//!
//! A manifest that ends early looks whole where it ends between two records. RocksDB can only take up
//! an older list of tables then, with what is in its write-ahead log behind it: what lay between may be
//! missing without a word. Other damage makes RocksDB read in it for ever. So the mark is kept in a file
//! beside the manifest, and compared before RocksDB opens anything.
//!
//! What the mark names is synced first; the mark itself is not. After a power cut it may be an older
//! one, or torn, which is none: it never names what is not on the disk.
//!
//! The file has 24 bytes: number of the manifest u64 · length u64 · CRC-32 of so much of the manifest
//! u32 · CRC-32 of the 20 bytes before it u32, big-endian.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use crc32fast::Hasher;
use tracing::warn;

use super::StorageError;

const FILE: &str = "manifest.mark";
const LENGTH: usize = 24;
const BODY: usize = LENGTH - 4;

/// Bytes of a manifest that are read at once.
const READ_BYTES: usize = 64 << 10;

/// The mark of one database.
pub(super) struct ManifestMark {
    database: PathBuf,
    file: File,
    mark: Mutex<Option<Mark>>,
}

/// What is known of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    number: u64,
    length: u64,
    checksum: u32,
}

impl ManifestMark {
    /// Of a database that is about to be opened: see [`check`].
    pub(super) fn open(database: &Path) -> Result<ManifestMark, StorageError> {
        let mark = check(database)?;
        let path = database.join(FILE);
        let open = || {
            fs::create_dir_all(database)?;
            File::options().write(true).create(true).truncate(false).open(&path)
        };
        let file = open().map_err(|error| StorageError::io("open", &path, error))?;
        Ok(ManifestMark { database: database.to_owned(), file, mark: Mutex::new(mark) })
    }

    /// Takes down what the manifest has become.
    pub(super) fn renew(&self) -> Result<(), StorageError> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = Mark::of(&self.database, *mark).and_then(|found| {
            if let Some(found) = found.filter(|found| Some(*found) != *mark) {
                self.file.write_all_at(&found.encode(), 0)?;
                *mark = Some(found);
            }
            Ok(())
        });
        renewed.map_err(|error| StorageError::io("mark the manifest in", &self.database, error))
    }
}

/// Compares the manifest of a database that is not open with its mark, if both are there, and returns
/// the mark. Fails if the manifest is shorter than it was, or another one. RocksDB must not see such
/// a manifest at all: there are some in which it reads for ever.
pub(super) fn check(database: &Path) -> Result<Option<Mark>, StorageError> {
    let path = database.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("read", &path, error)),
    };
    let mark = bytes.first_chunk().and_then(Mark::decode);
    match &mark {
        Some(mark) => mark.check(database)?,
        None => warn!(path = %path.display(), "the mark on a manifest is damaged and set anew"),
    }
    Ok(mark)
}

impl Mark {
    /// Of the manifest that RocksDB writes now, going on from an older mark. None if there is another
    /// one in this moment.
    fn of(database: &Path, before: Option<Mark>) -> io::Result<Option<Mark>> {
        let Some(number) = current(database)? else { return Ok(None) };
        let mut file = match File::open(manifest(database, number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let before = before.filter(|before| before.number == number && before.length <= length);
        if before.is_some_and(|before| before.length == length) {
            return Ok(before);
        }
        file.sync_data()?;
        let (from, checksum) = before.map_or((0, 0), |before| (before.length, before.checksum));
        let checksum =
            checksum_of(&mut file, Hasher::new_with_initial_len(checksum, from), from, length)?;
        Ok(checksum.map(|checksum| Mark { number, length, checksum }))
    }

    /// Fails if what was marked is not there any more. Of another manifest nothing is known: RocksDB
    /// begins one whenever it likes.
    fn check(&self, database: &Path) -> Result<(), StorageError> {
        let path = manifest(database, self.number);
        let compare = || -> io::Result<bool> {
            if current(database)? != Some(self.number) {
                return Ok(true);
            }
            let mut file = File::open(&path)?;
            let found = checksum_of(&mut file, Hasher::new(), 0, self.length)?;
            Ok(found == Some(self.checksum))
        };
        match compare() {
            Ok(true) => Ok(()),
            Ok(false) => {
                let place = format!("the first {} bytes are not what they were", self.length);
                Err(StorageError::corrupt("a manifest", format!("{}: {place}", path.display())))
            }
            // RocksDB says so, too, and better.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("read", &path, error)),
        }
    }

    fn encode(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_be_bytes());
        bytes[16..BODY].copy_from_slice(&self.checksum.to_be_bytes());
        let checksum = crc32fast::hash(&bytes[..BODY]);
        bytes[BODY..].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; LENGTH]) -> Option<Mark> {
        let (body, checksum) = bytes.split_last_chunk()?;
        if crc32fast::hash(body).to_be_bytes() != *checksum {
            return None;
        }
        let (number, body) = body.split_first_chunk()?;
        let (length, checksum) = body.split_first_chunk()?;
        Some(Mark {
            number: u64::from_be_bytes(*number),
            length: u64::from_be_bytes(*length),
            checksum: u32::from_be_bytes(checksum.try_into().ok()?),
        })
    }
}

fn manifest(database: &Path, number: u64) -> PathBuf {
    database.join(format!("MANIFEST-{number:06}"))
}

/// The number in the file `CURRENT`; none if there is none, or it says something else.
fn current(database: &Path) -> io::Result<Option<u64>> {
    match fs::read(database.join("CURRENT")) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.trim_end().strip_prefix("MANIFEST-").and_then(|number| number.parse().ok()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Goes on with a checksum over the bytes of a file; none if it ends before.
fn checksum_of(file: &mut File, mut hasher: Hasher, from: u64, to: u64) -> io::Result<Option<u32>> {
    file.seek(SeekFrom::Start(from))?;
    let mut rest = to.saturating_sub(from);
    let mut buffer = vec![0; READ_BYTES];
    while rest > 0 {
        let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(READ_BYTES);
        let read = file.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Ok(None);
        }
        hasher.update(&buffer[..read]);
        rest -= read as u64;
    }
    Ok(Some(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::super::batch::WriteBatch;
    use super::super::database;
    use super::super::database::Database;
    use super::super::database::Durability;
    use super::*;

    const FAMILIES: [&str; 2] = ["left", "right"];

    fn open(path: &Path) -> Result<Database, StorageError> {
        let families = FAMILIES.map(|name| (name, database::family_options(1 << 20)));
        Database::open(path, "state", "1", &database::instance_options(), families.into())
    }

    /// Opens, writes, and is killed before anything else: the next start makes tables of it.
    fn work(path: &Path, value: &[u8]) {
        let database = open(path).unwrap();
        let mut batch = WriteBatch::default();
        for name in FAMILIES {
            batch.put_cf(database.family(name), value, value);
        }
        database.write(batch, Durability::Buffered).unwrap();
    }

    /// A database of several tables, and its manifest.
    fn worked() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        for value in [b"one", b"two", b"six"] {
            work(directory.path(), value);
        }
        let number = current(directory.path()).unwrap().unwrap();
        let path = manifest(directory.path(), number);
        (directory, path)
    }

    #[test]
    fn a_manifest_that_is_not_what_it_was_is_refused_wherever_it_is_damaged() {
        let (directory, path) = worked();
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 200, "there are several records");
        let refuse = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let error = open(directory.path()).err().expect("it is damaged");
            assert!(error.to_string().contains("MANIFEST"), "{error}");
        };
        (0..whole.len()).for_each(|length| refuse(&whole[..length]));
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            refuse(&bytes);
        }
        fs::write(&path, &whole).unwrap();
        let database = open(directory.path()).unwrap();
        for value in [b"one", b"two", b"six"] {
            assert!(FAMILIES.iter().all(|name| database.get(name, value).unwrap().is_some()));
        }
    }

    #[test]
    fn a_mark_that_is_damaged_torn_or_gone_is_none_and_set_anew() {
        let (directory, _) = worked();
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        let set_anew = || {
            let database = open(directory.path()).unwrap();
            drop(database);
            let found = current(directory.path()).unwrap().unwrap();
            let mark = Mark::decode(&fs::read(&path).unwrap().try_into().unwrap()).unwrap();
            assert_eq!(mark.number, found);
        };
        for bytes in [&whole[..0], &whole[..9], &[7; LENGTH]] {
            fs::write(&path, bytes).unwrap();
            set_anew();
        }
        fs::remove_file(&path).unwrap();
        set_anew();
    }

    #[test]
    fn a_manifest_may_grow_behind_its_mark_and_another_may_take_its_place() {
        let (directory, path) = worked();
        let mark = ManifestMark::open(directory.path()).unwrap();
        let before = mark.mark.lock().unwrap().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([1; 100_000]);
        fs::write(&path, &bytes).unwrap();
        before.check(directory.path()).unwrap();
        mark.renew().unwrap();
        let after = mark.mark.lock().unwrap().unwrap();
        assert_eq!(after.checksum, crc32fast::hash(&bytes));
        assert_eq!((after.number, after.length), (before.number, bytes.len() as u64));
        fs::write(directory.path().join("CURRENT"), "MANIFEST-999999\n").unwrap();
        after.check(directory.path()).unwrap();
    }
}
