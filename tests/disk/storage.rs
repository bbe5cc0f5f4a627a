//! The log alone, under enough writes that every kind of its files is written: a process of its own
//! appends until something fails. Whatever it said was durable is there afterwards.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_node::exit::Stop;
use counterfoil_node::storage::StorageError;
use counterfoil_node::storage::directory::DataDirectory;
use counterfoil_node::storage::log::{LogEntry, LogPayload, LogStore};

use crate::faults::{Fault, Faults, Times};

const CHAIN: Hash = Hash([7; 32]);

/// Bytes of an entry.
const ENTRY_LENGTH: usize = 1 << 20;

/// Entries after which the log has filled its memory, which goes to files then.
const ENTRIES: u64 = 80;

/// Names the directory in the process that appends.
const CHILD: &str = "COUNTERFOIL_TEST_DIRECTORY";

const WAL: &str = "*/log/*.log";
const TABLES: &str = "*/log/*.@(sst|blob)";
const MANIFEST: &str = "*/log/MANIFEST-*";

#[test]
fn a_failed_write_or_sync_of_the_log_ends_it_and_nothing_durable_is_lost() {
    let mut cases = Vec::new();
    for glob in [WAL, TABLES, MANIFEST] {
        for call in ["write", "fsync"] {
            for (error, times) in
                [("EIO", Times::Once), ("EIO", Times::Ever), ("ENOSPC", Times::Ever)]
            {
                cases.push(Fault { glob, call, error, times });
            }
        }
    }
    let mark = Fault { glob: "*/durable", call: "write", error: "EIO", times: Times::Once };
    cases.push(mark);
    for fault in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        drop(LogStore::open(&DataDirectory::init(&path, 1, &CHAIN).unwrap()).unwrap());
        let faults = Faults::none(directory.path());
        faults.set(&[fault]);
        // Opening writes files of its own; the fault is for what comes after.
        let (code, acknowledged, said) = append_until_it_fails(&path, &faults);
        assert_eq!(code, Some(fault.exit_code()), "{fault:?}: {said}");
        assert!(!faults.hits().is_empty(), "{fault:?} was met");
        faults.clear();
        let log = LogStore::open(&DataDirectory::open(&path, 1, &CHAIN).unwrap());
        let log = log.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let last = log.last().map_or(0, |last| last.index + 1);
        assert!(last >= acknowledged, "{fault:?}: {last} of {acknowledged}");
        for index in 0..last {
            assert_eq!(log.get(index).unwrap(), Some(entry(index)), "{fault:?}");
        }
    }
}

/// The exit code of a process that appends, how many entries it said were durable, and its last words.
fn append_until_it_fails(path: &Path, faults: &Faults) -> (Option<i32>, u64, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storage::appends", "--ignored", "--nocapture"])
        .env(CHILD, path)
        .envs(faults.variables())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut counts = said.lines().filter_map(|line| line.strip_prefix("durable ")?.parse().ok());
    let count = counts.next_back();
    let words = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), count.unwrap_or(0), words)
}

/// Not a test: what the other process does.
#[test]
#[ignore = "started by a test"]
fn appends() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let error = append(Path::new(&path)).expect_err("nothing has failed");
    let stop = Stop::from(error);
    println!("{}", stop.message);
    std::process::exit(i32::from(stop.code.number()));
}

fn append(path: &Path) -> Result<(), StorageError> {
    let log = LogStore::open(&DataDirectory::open(path, 1, &CHAIN)?)?;
    let mut out = std::io::stdout().lock();
    for index in 0..ENTRIES {
        log.append(&[entry(index)])?;
        writeln!(out, "durable {}", index + 1).unwrap();
        log.first_failure().map_or(Ok(()), Err)?;
    }
    // What goes on in the background has its time to fail.
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        log.first_failure().map_or(Ok(()), Err)?;
    }
    Ok(())
}

fn entry(index: u64) -> LogEntry {
    let byte = u8::try_from(index % 251).unwrap();
    let payload = LogPayload::Proposal(Bytes::from(vec![byte; ENTRY_LENGTH]));
    LogEntry { index, term: 1, node: 1, payload }
}
