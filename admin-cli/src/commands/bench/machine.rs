//! This machine and its processes, as Linux tells of them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Failure;
use crate::files;

/// Ticks a second in /proc: USER_HZ, 100 on every architecture that Linux has kept.
const TICK: Duration = Duration::from_millis(10);

/// A process on this machine.
pub struct Process {
    stat: PathBuf,
    name: String,
}

impl Process {
    /// The process with an id.
    pub fn of(pid: u32) -> Result<Process, Failure> {
        let stat = PathBuf::from(format!("/proc/{pid}/stat"));
        let process = Process { stat, name: format!("process {pid}") };
        process.cpu_time()?;
        Ok(process)
    }

    /// This process.
    pub fn own() -> Result<Process, Failure> {
        Process::of(std::process::id())
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has spent, in user and in kernel mode, its threads included.
    pub fn cpu_time(&self) -> Result<Duration, Failure> {
        let text = fs::read_to_string(&self.stat)
            .map_err(|error| files::cannot("read", &self.stat, &error))?;
        let ticks = ticks(&text).ok_or_else(|| {
            Failure::usage("PROCESS_UNREADABLE", format!("{} is not Linux's", self.stat.display()))
        })?;
        Ok(TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }
}

/// Fields 14 and 15 of proc_pid_stat(5); the command, field 2, may hold anything in parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// `2 cores, Intel Xeon …, Linux 6.1`.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([':', '\t', ' ']);
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_and_spaces() {
        let stat = "42 (a) b (c)) S 1 1 1 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 4 0 1 1 1";
        assert_eq!(ticks(stat), Some(175));
        assert_eq!(ticks("42 (a) S 1"), None);
        assert!(Process::own().unwrap().cpu_time().is_ok());
    }
}
