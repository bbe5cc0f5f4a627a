//! What a node takes of its machine.

use std::fs;
use std::path::Path;

use crate::consortium::Consortium;

/// Bytes of a process that are in memory now, as the kernel counts them.
pub fn resident(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

/// The most that there were since the process began, or since [`forget_peak`].
pub fn peak(process: u32) -> Option<u64> {
    status(process, "VmHWM:")
}

/// Begins to count the peak anew.
pub fn forget_peak(process: u32) {
    // Where it is not allowed, the peak is that of the whole run: no less than the truth.
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// Bytes of a node's log and state on its disk.
pub fn stored(consortium: &Consortium, node: usize) -> u64 {
    let data = consortium.node_home(node).join("data");
    ["log", "state"].iter().map(|part| files(&data.join(part))).sum()
}

fn files(directory: &Path) -> u64 {
    let Ok(files) = fs::read_dir(directory) else { return 0 };
    files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

fn status(process: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}
