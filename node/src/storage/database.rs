//! One RocksDB instance as both stores use it: opened with its format checked, and closed to
//! writing for good by the first error.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::ops::Deref;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use rocksdb::ColumnFamily;
use rocksdb::ColumnFamilyDescriptor;
use rocksdb::DB;
use rocksdb::DBCompressionType;
use rocksdb::DBIteratorWithThreadMode;
use rocksdb::DBPinnableSlice;
use rocksdb::DBRecoveryMode;
use rocksdb::Direction;
use rocksdb::IteratorMode;
use rocksdb::LogLevel;
use rocksdb::Options;
use rocksdb::ReadOptions;
use rocksdb::SnapshotWithThreadMode;
use rocksdb::WriteOptions;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::BACKGROUND_ERRORS;

use super::StorageError;
use super::batch::Family;
use super::batch::WriteBatch;
use super::high_water::HighWater;
use super::manifest_mark::ManifestMark;
#[cfg(feature = "simulation")]
use super::simulated;

/// The family of single values, which every instance has: name → bytes.
pub(super) const META: &str = "meta";

/// In [`META`]: which layout the instance has.
const FORMAT: &[u8] = b"format";

/// Bytes of RocksDB's own log that are searched for an error.
const INFO_LOG_TAIL: u64 = 64 << 10;

/// Characters that are repeated of it.
const MESSAGE_LENGTH_MAX: usize = 500;

/// Whether a write waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It returns when the bytes would survive a power cut.
    Synced,
    /// It returns when the bytes would survive the end of the process.
    Buffered,
}

/// A key and its value.
pub(super) type Pair = (Box<[u8]>, Box<[u8]>);

/// A RocksDB instance.
pub(super) struct Database {
    engine: Engine,
    path: PathBuf,
    instance: &'static str,
    stopped: OnceLock<String>,
    /// Where synced writes are taken down, if they are.
    high_water: Option<HighWater>,
    /// None where the disk is simulated.
    manifest: Option<ManifestMark>,
}

/// What keeps the pairs.
enum Engine {
    Rocks(DB),
    #[cfg(feature = "simulation")]
    Simulated(simulated::Opened),
}

/// A family's pairs.
enum Pairs<'a> {
    Rocks(DBIteratorWithThreadMode<'a, DB>),
    #[cfg(feature = "simulation")]
    Simulated(simulated::Pairs),
}

/// A value that was read.
pub(super) enum Value<'a> {
    /// Where RocksDB has it.
    Rocks(DBPinnableSlice<'a>),
    /// From a simulated disk.
    #[cfg(feature = "simulation")]
    Simulated(bytes::Bytes),
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::Rocks(bytes) => bytes,
            #[cfg(feature = "simulation")]
            Value::Simulated(bytes) => bytes,
        }
    }
}

impl Database {
    /// Opens or creates an instance with these families and [`META`].
    pub(super) fn open(
        path: &Path,
        instance: &'static str,
        format: &str,
        options: &Options,
        families: Vec<(&'static str, Options)>,
    ) -> Result<Database, StorageError> {
        Database::open_marked(path, instance, format, options, families, None)
    }

    /// `open`, of an instance whose synced writes are taken down. Fails if some of them are gone.
    pub(super) fn open_marked(
        path: &Path,
        instance: &'static str,
        format: &str,
        options: &Options,
        families: Vec<(&'static str, Options)>,
        high_water: Option<HighWater>,
    ) -> Result<Database, StorageError> {
        let (engine, manifest) = Engine::open(path, instance, options, families)?;
        let (path, stopped) = (path.to_owned(), OnceLock::new());
        let database = Database { engine, path, instance, stopped, high_water, manifest };
        database.check_high_water()?;
        database.mark_manifest()?;
        match database.get(META, FORMAT)? {
            Some(found) if &*found == format.as_bytes() => {}
            Some(found) => {
                return Err(StorageError::Format {
                    instance,
                    found: String::from_utf8_lossy(&found).into_owned(),
                    expected: format.to_owned(),
                });
            }
            None => {
                let mut batch = WriteBatch::default();
                batch.put_cf(database.family(META), FORMAT, format);
                database.write(batch, Durability::Synced)?;
            }
        }
        Ok(database)
    }

    /// A family by name.
    pub(super) fn family(&self, name: &str) -> Family<'_> {
        match &self.engine {
            Engine::Rocks(db) => Family::Rocks(handle(db, name)),
            #[cfg(feature = "simulation")]
            Engine::Simulated(opened) => Family::Simulated(opened.family(name)),
        }
    }

    /// Writes a batch, all or nothing. An error is the last word: see [`Database::stop`].
    pub(super) fn write(
        &self,
        batch: WriteBatch,
        durability: Durability,
    ) -> Result<(), StorageError> {
        self.check_running()?;
        // Others may write between this line and the next: then the batch ends later than here.
        let end = self.engine.end().map(|end| end.saturating_add(batch.count()));
        let synced = durability == Durability::Synced;
        self.engine.write(batch, synced).map_err(|message| self.failure(message))?;
        match (&self.high_water, end) {
            (Some(high_water), Some(end)) if synced => {
                high_water.raise(end).inspect_err(|error| self.stop(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes everything written so far survive a power cut.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.check_running()?;
        let synced = match &self.engine {
            Engine::Rocks(db) => db.flush_wal(true).map_err(rocksdb::Error::into_string),
            #[cfg(feature = "simulation")]
            Engine::Simulated(_) => self.engine.write(WriteBatch::default(), true),
        };
        synced.map_err(|message| self.failure(message))
    }

    /// Takes down which tables there are: what is damaged of that later is noticed at the next start.
    pub(super) fn mark_manifest(&self) -> Result<(), StorageError> {
        let marked = self.manifest.as_ref().map_or(Ok(()), ManifestMark::renew);
        marked.inspect_err(|error| self.stop(error))
    }

    /// Refuses every later write.
    pub(super) fn stop(&self, cause: &StorageError) {
        // Only the first cause is kept; later ones follow from it.
        let _ = self.stopped.set(cause.to_string());
    }

    /// An error if the instance has stopped.
    pub(super) fn check_running(&self) -> Result<(), StorageError> {
        match self.stopped.get() {
            None => Ok(()),
            Some(cause) => {
                Err(StorageError::Stopped { instance: self.instance, cause: cause.clone() })
            }
        }
    }

    /// A value, without a copy.
    pub(super) fn get(&self, family: &str, key: &[u8]) -> Result<Option<Value<'_>>, StorageError> {
        match &self.engine {
            Engine::Rocks(db) => match db.get_pinned_cf(handle(db, family), key) {
                Ok(found) => Ok(found.map(Value::Rocks)),
                Err(error) => Err(self.failure(error.into_string())),
            },
            #[cfg(feature = "simulation")]
            Engine::Simulated(opened) => Ok(opened.get(family, key).map(Value::Simulated)),
        }
    }

    /// A family's pairs in key order, or backwards.
    pub(super) fn iterate(
        &self,
        family: &str,
        mode: IteratorMode<'_>,
    ) -> impl Iterator<Item = Result<Pair, StorageError>> + '_ {
        let mut pairs = match &self.engine {
            Engine::Rocks(db) => Pairs::Rocks(db.iterator_cf(handle(db, family), mode)),
            #[cfg(feature = "simulation")]
            Engine::Simulated(opened) => Pairs::Simulated(opened.iterate(family, mode)),
        };
        std::iter::from_fn(move || self.next(&mut pairs))
    }

    fn next(&self, pairs: &mut Pairs<'_>) -> Option<Result<Pair, StorageError>> {
        match pairs {
            Pairs::Rocks(pairs) => {
                let pair = pairs.next()?;
                Some(pair.map_err(|error| self.failure(error.into_string())))
            }
            #[cfg(feature = "simulation")]
            Pairs::Simulated(pairs) => pairs.next().map(Ok),
        }
    }

    /// The instance as it is now, whatever is written while the view is read.
    pub(super) fn view(&self) -> View<'_> {
        let moment = match &self.engine {
            Engine::Rocks(db) => Moment::Rocks(db, db.snapshot()),
            #[cfg(feature = "simulation")]
            Engine::Simulated(opened) => Moment::Simulated(opened.freeze()),
        };
        View { database: self, moment }
    }

    /// Makes a copy of the instance in a directory that does not exist; files that never change are
    /// shared with it. It is whole or not there.
    pub(super) fn copy_to(&self, path: &Path) -> Result<(), StorageError> {
        match &self.engine {
            Engine::Rocks(db) => {
                let copied = Checkpoint::new(db).and_then(|it| it.create_checkpoint(path));
                copied.map_err(|error| self.failure(error.into_string()))
            }
            #[cfg(feature = "simulation")]
            Engine::Simulated(opened) => {
                opened.copy_to(path).map_err(|error| self.failure(error.to_string()))
            }
        }
    }

    /// The first failure since the start, if there was one: of a write or a read, or of a flush or a
    /// compaction in the background, which RocksDB would go on trying by itself; this software does not
    /// let it.
    pub(super) fn first_failure(&self) -> Option<StorageError> {
        if self.stopped.get().is_none() {
            let counted = self.engine.background_errors();
            if counted == 0 {
                return None;
            }
            let words = self.background_words();
            let message = words.unwrap_or_else(|| format!("{counted} background errors"));
            self.stop(&StorageError::Database { instance: self.instance, message });
        }
        self.check_running().err()
    }

    /// What RocksDB's own log says last of an error: nobody else is told why something failed in the
    /// background.
    fn background_words(&self) -> Option<String> {
        let mut file = File::open(self.path.join("LOG")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(INFO_LOG_TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.take(INFO_LOG_TAIL).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let names_error =
            |line: &&str| line.contains("IO error: ") || line.contains("Corruption: ");
        let line = text.lines().rev().find(names_error)?;
        Some(line.chars().take(MESSAGE_LENGTH_MAX).collect())
    }

    /// Fails if the instance ends before what was promised to be durable.
    fn check_high_water(&self) -> Result<(), StorageError> {
        let (Some(high_water), Some(found)) = (&self.high_water, self.engine.end()) else {
            return Ok(());
        };
        let promised = high_water.mark();
        if found < promised {
            let place = format!(
                "it ends at write {found}, but write {promised} was durable; what is behind it is lost"
            );
            return Err(StorageError::corrupt("the log", place));
        }
        Ok(())
    }

    /// Whether time and disk are simulated: nothing goes on in threads of its own.
    #[cfg(feature = "simulation")]
    pub(super) fn is_simulated(&self) -> bool {
        matches!(self.engine, Engine::Simulated(_))
    }

    /// The error of an operation. None is tried again: the kernel may have dropped dirty pages and
    /// report success the second time, and what cannot be read once is not to be relied on.
    fn failure(&self, message: String) -> StorageError {
        let error = StorageError::Database { instance: self.instance, message };
        self.stop(&error);
        error
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.stopped.get().is_none() {
            // An older mark is as true as a newer one.
            let _ = self.mark_manifest();
        }
    }
}

impl Engine {
    /// The sequence number of the last write; a simulated disk counts none.
    fn end(&self) -> Option<u64> {
        match self {
            Engine::Rocks(db) => Some(db.latest_sequence_number()),
            #[cfg(feature = "simulation")]
            Engine::Simulated(_) => None,
        }
    }

    /// How many flushes and compactions failed since the start.
    fn background_errors(&self) -> u64 {
        match self {
            // A property that cannot be read counts as an error too: silence must not look like health.
            Engine::Rocks(db) => {
                db.property_int_value(BACKGROUND_ERRORS).ok().flatten().unwrap_or(1)
            }
            #[cfg(feature = "simulation")]
            Engine::Simulated(_) => 0,
        }
    }

    fn open(
        path: &Path,
        instance: &'static str,
        options: &Options,
        families: Vec<(&'static str, Options)>,
    ) -> Result<(Engine, Option<ManifestMark>), StorageError> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = path.parent().and_then(simulated::Disk::of) {
            let names = families.iter().map(|(name, _)| *name).chain([META]);
            let opened = disk.open(path, names);
            return opened
                .map(|opened| (Engine::Simulated(opened), None))
                .map_err(|error| StorageError::io("open", path, error));
        }
        let mut options = options.clone();
        options.create_if_missing(is_fresh(path)?);
        // RocksDB would go on from a manifest that has lost its end.
        let manifest = ManifestMark::open(path)?;
        let mut descriptors: Vec<_> = families
            .into_iter()
            .map(|(name, options)| ColumnFamilyDescriptor::new(name, options))
            .collect();
        descriptors.push(ColumnFamilyDescriptor::new(META, family_options(4 << 20)));
        DB::open_cf_descriptors(&options, path, descriptors)
            .map(|database| (Engine::Rocks(database), Some(manifest)))
            .map_err(|error| StorageError::Database { instance, message: error.into_string() })
    }

    fn write(&self, batch: WriteBatch, synced: bool) -> Result<(), String> {
        match self {
            Engine::Rocks(db) => {
                let mut options = WriteOptions::default();
                options.set_sync(synced);
                db.write_opt(batch.rocks, &options).map_err(rocksdb::Error::into_string)
            }
            #[cfg(feature = "simulation")]
            Engine::Simulated(opened) => {
                opened.write(batch.simulated, synced).map_err(str::to_owned)
            }
        }
    }
}

/// Whether a directory holds nothing of an instance, so that one may be made there. RocksDB takes a
/// missing `CURRENT` for that, and would delete everything else.
fn is_fresh(path: &Path) -> Result<bool, StorageError> {
    let files = match fs::read_dir(path) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(StorageError::io("read", path, error)),
    };
    for file in files {
        let file = file.map_err(|error| StorageError::io("read", path, error))?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if [".sst", ".blob", ".log"].iter().any(|kind| name.ends_with(kind)) || name == "CURRENT" {
            return Ok(false);
        }
    }
    Ok(true)
}

fn handle<'a>(db: &'a DB, family: &str) -> &'a ColumnFamily {
    db.cf_handle(family).expect("the family exists: open() creates each one that is named")
}

/// What is read so leaves the cache to who waits for answers.
fn past_the_cache() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options
}

/// An instance at one moment, read past the cache.
pub(super) struct View<'a> {
    database: &'a Database,
    moment: Moment<'a>,
}

enum Moment<'a> {
    Rocks(&'a DB, SnapshotWithThreadMode<'a, DB>),
    #[cfg(feature = "simulation")]
    Simulated(simulated::Frozen),
}

impl View<'_> {
    /// A value.
    pub(super) fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        match &self.moment {
            Moment::Rocks(db, snapshot) => snapshot
                .get_cf_opt(handle(db, family), key, past_the_cache())
                .map_err(|error| self.database.failure(error.into_string())),
            #[cfg(feature = "simulation")]
            Moment::Simulated(frozen) => Ok(frozen.get(family, key).map(|found| found.to_vec())),
        }
    }

    /// A family's pairs in key order.
    pub(super) fn iterate(
        &self,
        family: &str,
    ) -> impl Iterator<Item = Result<Pair, StorageError>> + '_ {
        self.iterate_from(family, &[])
    }

    /// A family's pairs in key order, from a key on.
    pub(super) fn iterate_from(
        &self,
        family: &str,
        from: &[u8],
    ) -> impl Iterator<Item = Result<Pair, StorageError>> + '_ {
        let mut pairs = match &self.moment {
            Moment::Rocks(db, snapshot) => {
                let (family, from) =
                    (handle(db, family), IteratorMode::From(from, Direction::Forward));
                Pairs::Rocks(snapshot.iterator_cf_opt(family, past_the_cache(), from))
            }
            #[cfg(feature = "simulation")]
            Moment::Simulated(frozen) => {
                let from = IteratorMode::From(from, Direction::Forward);
                Pairs::Simulated(frozen.iterate(family, from))
            }
        };
        std::iter::from_fn(move || self.database.next(&mut pairs))
    }
}

/// What both instances have in common: they check all they can, and leave one of two cores to the
/// rest of the node.
pub(super) fn instance_options() -> Options {
    let mut options = Options::default();
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_track_and_verify_wals_in_manifest(true);
    // A torn tail is what an interrupted write leaves, and legitimate. The stores check that no
    // more than that is missing.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // Recycled WAL files would save the inode's update with each sync, but RocksDB's own source
    // names a hole in what this mode recovers from them.
    options.set_recycle_log_file_num(0);
    options.set_max_background_jobs(2);
    // Two instances and the sockets of a node have to fit the usual limit of 1,024 descriptors.
    options.set_max_open_files(300);
    // Table and blob files are pushed out as they are written, so that no sync of the log finds
    // hundreds of megabytes of them in its way.
    options.set_bytes_per_sync(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(8 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

/// What families have in common: `memory` is the size in bytes at which their writes go to a file.
pub(super) fn family_options(memory: usize) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(memory);
    options.set_compression_type(DBCompressionType::None);
    options
}

/// A family whose values of a kibibyte and more go to blob files: written once, while compaction
/// moves only their addresses.
pub(super) fn blob_family_options(memory: usize) -> Options {
    let mut options = family_options(memory);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(1024);
    options.set_blob_compression_type(DBCompressionType::None);
    options.set_blob_file_size(256 << 20);
    options
}
