//! Damage to the files of a node that does not run: bits that flip, files that end early, blocks that
//! are gone. What is damaged is refused when it is opened, or noticed when it is read, or of no
//! consequence: every answer is what it was. Anything else is a fault of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::state::State;
use counterfoil_ledger::verify::Signers;
use counterfoil_node::consensus::executor::Executor;
use counterfoil_node::consensus::rebuild;
use counterfoil_node::exit::{ExitCode, Stop};
use counterfoil_node::storage::StorageError;
use counterfoil_node::storage::directory::DataDirectory;
use counterfoil_node::storage::log::LogStore;
use counterfoil_node::storage::snapshots::{Manifest, Snapshots};
use counterfoil_node::storage::state::StateStore;
use tempfile::TempDir;

/// Where a node builds a state while it catches up.
const BUILDING: &str = "state.building";

/// Numbers that look random and follow from a seed: SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next number below a bound, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What is done to a file.
#[derive(Clone, Debug)]
pub enum Damage {
    /// One bit is another one.
    Flip { at: u64, bit: u8 },
    /// A sector holds zeros.
    Zero { at: u64 },
    /// The file ends here.
    Cut { at: u64 },
    /// The file is gone.
    Delete,
}

/// A file, relative to the data directory, and what is done to it.
#[derive(Clone, Debug)]
pub struct Trial {
    pub file: PathBuf,
    pub damage: Damage,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The node would stop with this code.
    Detected(ExitCode),
    /// A snapshot is not offered any more, and all else is what it was.
    GivenUp,
    /// Every answer is what it was.
    Harmless,
    /// An answer is another one, or the node panics: how.
    Wrong(String),
}

/// A node's data as it should be, to be damaged again and again.
pub struct Template {
    data: TempDir,
    genesis: Genesis,
    node: u64,
    answers: Answers,
}

/// Everything that a node can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answers {
    /// Each of the log and the state: what was asked for, and the hash of the answer.
    told: Vec<(&'static str, Hash)>,
    /// Over each snapshot that it would hand on, by height.
    snapshots: BTreeSet<(u64, Hash)>,
}

impl Template {
    /// Of the data directory of a node that does not run. As if it were catching up, it has a state
    /// that is built aside, too: a copy of its own.
    pub fn of(data: &Path, genesis: Genesis, node: u64) -> Template {
        let [work, kept] = [(); 2].map(|()| tempfile::tempdir().expect("a directory can be made"));
        copy(data, work.path());
        let answers = examine_apart(work.path(), &genesis, node, false).expect("nothing panics");
        let answers = answers.expect("what is whole is read");
        assert!(!answers.snapshots.is_empty(), "there is a snapshot");
        copy(data, kept.path());
        copy(&data.join("state"), &kept.path().join(BUILDING));
        Template { data: kept, genesis, node, answers }
    }

    /// The kinds of files in it, and the files of each.
    pub fn classes(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut classes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in files(self.data.path()) {
            let file = path.strip_prefix(&self.data).expect("it is below").to_owned();
            if fs::metadata(&path).is_ok_and(|it| it.len() > 0) {
                classes.entry(class(&file)).or_default().push(file);
            }
        }
        classes
    }

    /// A trial on a file of a class.
    pub fn choose(&self, files: &[PathBuf], random: &mut Random) -> Trial {
        let place = random.below(files.len() as u64);
        let file = files[usize::try_from(place).expect("it is small")].clone();
        let length = fs::metadata(self.data.path().join(&file)).map_or(1, |it| it.len()).max(1);
        let at = random.below(length);
        let damage = match random.below(20) {
            0 => Damage::Delete,
            1..=3 => Damage::Cut { at },
            4..=6 => Damage::Zero { at: at - at % 512 },
            _ => Damage::Flip { at, bit: u8::try_from(random.below(8)).expect("below 8") },
        };
        Trial { file, damage }
    }

    /// Does a trial on a copy.
    pub fn run(&self, trial: &Trial) -> Outcome {
        let work = tempfile::tempdir().expect("a directory can be made");
        copy(self.data.path(), work.path());
        trial.apply(work.path());
        let is_aside = trial.file.starts_with(BUILDING);
        match examine_apart(work.path(), &self.genesis, self.node, is_aside) {
            Ok(Ok(answers)) => self.judge(&answers),
            Ok(Err(stop)) if is_right(stop.code) => Outcome::Detected(stop.code),
            Ok(Err(stop)) => Outcome::Wrong(format!("{:?}: {stop}", stop.code)),
            Err(_) => Outcome::Wrong("a panic".to_owned()),
        }
    }

    fn judge(&self, answers: &Answers) -> Outcome {
        if *answers == self.answers {
            Outcome::Harmless
        } else if answers.told != self.answers.told {
            let mut pairs = self.answers.told.iter().zip(&answers.told);
            let other = pairs.position(|(before, after)| before != after);
            let place = other.unwrap_or(self.answers.told.len().min(answers.told.len()));
            let what = self.answers.told.get(place).map_or("more than there was", |it| it.0);
            Outcome::Wrong(format!("another answer, number {place}: {what}"))
        } else if answers.snapshots.is_subset(&self.answers.snapshots) {
            Outcome::GivenUp
        } else {
            Outcome::Wrong("another snapshot".to_owned())
        }
    }
}

/// Damage is told as such, or as a disk that fails, or as a directory that is not this node's.
fn is_right(code: ExitCode) -> bool {
    matches!(code, ExitCode::Corrupt | ExitCode::Storage | ExitCode::DirectoryMismatch)
}

impl Trial {
    /// Damages a file below a directory.
    pub fn apply(&self, data: &Path) {
        let path = data.join(&self.file);
        let mut bytes = fs::read(&path).expect("it was listed");
        let place = |at: u64| usize::try_from(at).expect("a file fits memory");
        match self.damage {
            Damage::Flip { at, bit } => bytes[place(at)] ^= 1 << bit,
            Damage::Zero { at } => {
                let end = bytes.len().min(place(at) + 512);
                bytes[place(at)..end].fill(0);
            }
            Damage::Cut { at } => bytes.truncate(place(at)),
            Damage::Delete => return fs::remove_file(path).expect("it was there"),
        }
        fs::write(path, bytes).expect("it is written");
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.file.display(), self.damage)
    }
}

/// `log *.sst`, for example: where a file is, and of which kind. Snapshots have their heights for names.
fn class(file: &Path) -> String {
    let directory = match file.strip_prefix("snapshots") {
        Ok(_) => "snapshots",
        Err(_) => file.parent().and_then(Path::to_str).unwrap_or_default(),
    };
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kind = match (name.split_once('.'), name.split_once('-')) {
        (Some((name, ending)), _) if ending.starts_with("old") => format!("{name}.old"),
        (Some((_, ending)), _) => format!("*.{ending}"),
        (_, Some((kind, _))) => kind.to_owned(),
        _ => name.to_owned(),
    };
    format!("{directory} {kind}").trim_start().to_owned()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it is a directory").flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies everything in a directory.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("it is below"));
        fs::create_dir_all(target.parent().expect("it has one")).expect("it can be made");
        fs::copy(&file, target).expect("it is copied");
    }
}

/// Takes what was asked for, and the answer.
type Answer<'a> = dyn FnMut(&'static str, &dyn fmt::Debug) + 'a;

/// `examine` on a thread of its own; fails if it panics.
fn examine_apart(
    data: &Path,
    genesis: &Genesis,
    node: u64,
    is_aside: bool,
) -> std::thread::Result<Result<Answers, Stop>> {
    std::thread::scope(|scope| scope.spawn(|| examine(data, genesis, node, is_aside)).join())
}

/// Opens everything as a node does when it starts, executes what the state lacks, and hashes every
/// answer that can be had of it; or of the state that is built aside.
fn examine(data: &Path, genesis: &Genesis, node: u64, is_aside: bool) -> Result<Answers, Stop> {
    let directory = DataDirectory::open(data, node, &genesis.chain_id())?;
    let log = LogStore::open(&directory)?;
    let open = if is_aside { StateStore::open_building } else { StateStore::open };
    let store = open(&directory, log.clone())?;
    let end = log.last().map_or(0, |last| last.index + 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("there are threads");
    let (following, founding) = (store.clone(), genesis.clone());
    let mut silent = |_, _| ();
    runtime.block_on(rebuild::rebuild(&log, end, following, founding, None, &mut silent))?;
    let (executor, _) = Executor::open(store.clone(), genesis.clone())?;
    let mut told = Vec::new();
    let mut answer = |what, value: &dyn fmt::Debug| {
        told.push((what, Hash::of(format!("{value:?}").as_bytes())));
    };
    of_log(&log, end, &mut answer)?;
    of_state(&store, &executor.state(), &mut answer)?;
    let snapshots = of_snapshots(&directory, genesis, &store)?;
    if let Some(failure) = log.first_failure().or_else(|| store.first_failure()) {
        return Err(failure.into());
    }
    Ok(Answers { told, snapshots })
}

fn of_log(log: &LogStore, end: u64, answer: &mut Answer<'_>) -> Result<(), StorageError> {
    answer("entries", &log.range(0, end, usize::MAX)?);
    answer("the vote", &log.vote()?);
    answer("what was signed", &log.meta("attested")?);
    answer("the purge marker", &log.purged()?);
    Ok(())
}

fn of_state(
    store: &StateStore,
    state: &State,
    answer: &mut Answer<'_>,
) -> Result<(), StorageError> {
    let height = state.height();
    answer("the state", &(height, state.header_hash(), state.accounts_root()));
    answer("recent ids", &store.recent_ids(0)?);
    answer("consistency of the history", &store.history_consistency(1, height)?);
    for at in 0..=height {
        let Some(block) = store.block(at)? else { continue };
        answer("a block", &(&block.header, &block.leaves));
        answer("a path in the history", &store.history_path(at, height)?);
        for leaf in 0..u32::try_from(block.leaves.len()).unwrap_or(u32::MAX) {
            let Some(fact) = block.settled(leaf) else { continue };
            answer("a UETR", &store.find_uetr(&fact.uetr)?);
        }
    }
    let view = store.view();
    answer("the core", &view.core()?);
    view.records().try_for_each(|record| record.map(|record| answer("a record", &record)))?;
    for account in state.accounts() {
        answer("an account", account);
        answer("movements", &store.movements(account.ordinal, None, height, usize::MAX)?);
        answer("a balance", &store.balance_at(account.ordinal, height)?);
        answer("a head", &store.head_at(account, height)?);
    }
    Ok(())
}

/// The snapshots that a node would hand on, and, before a quorum has signed them, sign. One that is
/// damaged is deleted.
fn of_snapshots(
    directory: &DataDirectory,
    genesis: &Genesis,
    store: &StateStore,
) -> Result<BTreeSet<(u64, Hash)>, StorageError> {
    let chain_id = genesis.chain_id();
    let signers = Signers::of(chain_id, &Registry::of(genesis));
    let snapshots = Snapshots::open(directory, &chain_id, &signers)?;
    let mut offered = BTreeSet::new();
    for manifest in [snapshots.newest(), snapshots.newest_certified()].into_iter().flatten() {
        let is_own = store.header(manifest.height())?.as_ref() == Some(manifest.header());
        if let Some(content) = content(&snapshots, &manifest)?
            && (is_own || !manifest.is_unsigned())
        {
            let told = (manifest.header(), manifest.digest(), content);
            offered.insert((manifest.height(), Hash::of(format!("{told:?}").as_bytes())));
        }
    }
    Ok(offered)
}

/// All chunks of a snapshot; none if one of them is damaged.
fn content(snapshots: &Snapshots, manifest: &Manifest) -> Result<Option<Hash>, StorageError> {
    let mut content = Vec::new();
    for number in 0..manifest.chunk_count() {
        match snapshots.read_chunk(manifest.height(), number) {
            Ok(Some(chunk)) => content.extend(chunk),
            Ok(None) | Err(StorageError::Corrupt { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Hash::of(&content)))
}
