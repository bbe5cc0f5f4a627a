//! What a process has in memory, as the kernel counts it.

use std::fs;

/// Bytes of a process that are in memory now.
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

fn status(process: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}
