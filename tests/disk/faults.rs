//! Calls on files that fail as a broken or a full disk makes them fail: a library that is loaded into
//! the process before the C library, and the file that tells it what fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How often a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Once,
    Ever,
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Paths, as fnmatch(3) has them with FNM_EXTMATCH; `*` matches slashes too.
    pub glob: &'static str,
    /// write, fsync, open, rename or read.
    pub call: &'static str,
    /// EIO or ENOSPC.
    pub error: &'static str,
    pub times: Times,
}

impl Fault {
    /// The exit code of a node that meets it.
    pub fn exit_code(&self) -> i32 {
        if self.error == "ENOSPC" { 74 } else { 70 }
    }

    fn line(&self) -> String {
        let times = if self.times == Times::Once { "once" } else { "ever" };
        format!("fail {} {} {} 1 {times}\n", self.glob, self.call, self.error)
    }
}

/// What fails in the processes that were started with it.
pub struct Faults {
    control: PathBuf,
}

impl Faults {
    /// Nothing yet; the control file goes into a directory.
    pub fn none(directory: &Path) -> Faults {
        let faults = Faults { control: directory.join("faults") };
        faults.clear();
        faults
    }

    /// The environment of a process that shall meet them.
    pub fn variables(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", library()), ("COUNTERFOIL_FAULTS", &self.control)]
    }

    /// From now on these fail; what has failed so far is forgotten.
    pub fn set(&self, faults: &[Fault]) {
        let _ = fs::remove_file(self.hits_path());
        self.write(&faults.iter().map(Fault::line).collect::<String>());
    }

    /// Nothing fails any more.
    pub fn clear(&self) {
        self.set(&[]);
    }

    /// The file system says that it has so many bytes left.
    pub fn set_free(&self, bytes: u64) {
        self.write(&format!("free {bytes}\n"));
    }

    /// What has failed: call, error and path of each.
    pub fn hits(&self) -> Vec<String> {
        let hits = fs::read_to_string(self.hits_path()).unwrap_or_default();
        hits.lines().map(str::to_owned).collect()
    }

    /// Waits until something has failed.
    pub fn await_hit(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.hits().is_empty() {
            assert!(Instant::now() < deadline, "nothing has met the fault within a minute");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn hits_path(&self) -> PathBuf {
        self.control.with_extension("hits")
    }

    /// Whole or not at all: it is read while it is replaced.
    fn write(&self, text: &str) {
        let draft = self.control.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, &self.control).unwrap();
    }
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("disk/shim/faults.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .args([&path, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler is there: RocksDB needs one too");
        assert!(compiled.success());
        (directory, path)
    });
    path
}
