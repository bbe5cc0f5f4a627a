//! What both campaigns stand on: their arguments, and namespaces of the kernel that take everything in
//! them along when they end: processes, mounts, network.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// How long to go on; the short form if it is not given.
    pub budget: Option<Duration>,
    /// The seed of the first round.
    pub seed: Option<u64>,
    /// The length of a round.
    pub round: Option<Duration>,
    /// A recorded history that is to be judged again.
    pub check: Option<PathBuf>,
    /// Names of tests to run; all if there is none.
    filters: Vec<String>,
    /// Only the names of the tests are asked for.
    pub list: bool,
}

impl Arguments {
    /// Reads the command line; says what is wrong with it.
    pub fn read() -> Result<Arguments, String> {
        Arguments::of(std::env::args().skip(1))
    }

    fn of(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--budget" => arguments.budget = Some(duration(&value()?)?),
                "--round" => arguments.round = Some(duration(&value()?)?),
                "--seed" => {
                    let seed = value()?;
                    let number = seed.parse().map_err(|_| format!("{seed} is not a seed"))?;
                    arguments.seed = Some(number);
                }
                "--check" => arguments.check = Some(value()?.into()),
                "--list" => arguments.list = true,
                // What the standard harness takes is not ours to refuse.
                "--test-threads" | "--format" | "--skip" => drop(value()?),
                flag if flag.starts_with('-') => {}
                _ => arguments.filters.push(word),
            }
        }
        Ok(arguments)
    }

    /// The seed of the first round: the one that was asked for, always the same in the short form, and
    /// of the moment otherwise.
    pub fn first_seed(&self) -> u64 {
        let moment = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        self.seed.unwrap_or_else(|| if self.budget.is_some() { moment() } else { 1 })
    }

    /// Whether a test of this name was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

/// A length of time: a number with s, m or h.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a length of time such as 90s, 10m or 2h");
    let (number, unit) = text.split_at_checked(text.len().wrapping_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(seconds) * number)
}

/// Set in a process that is inside.
const INSIDE: &str = "COUNTERFOIL_CAMPAIGN_INSIDE";

/// Whether this process has entered.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Why this process cannot enter and do there what a line of shell does, if it cannot.
pub fn why_not(then: &str) -> Option<String> {
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "sh", "-c", then])
        .stdin(Stdio::null())
        .output();
    match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => Some(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Runs this program again with its arguments, in namespaces of its own, and returns how it ended.
/// Whatever ends it or this process, its nodes are killed and its mounts and networks are gone.
pub fn enter() -> Result<ExitCode, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let unshare = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    // Names of network namespaces are files in a directory that others must not see.
    let then = "ip link set lo up && mkdir -p /run/netns && mount -t tmpfs none /run/netns && \
                exec \"$0\" \"$@\"";
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let _within = runtime.enter();
    // Ctrl-C goes to both: the other process says how far it has come, and this one waits for that.
    let _heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .map_err(|error| error.to_string())?;
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(unshare)
        .args(["--propagation", "private", "sh", "-c", then])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .map_err(|error| format!("setpriv: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::of(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments() {
        let asked = read("--budget 10m --seed 7 --round 90s --nocapture").unwrap();
        assert_eq!(asked.budget, Some(Duration::from_secs(600)));
        assert_eq!((asked.seed, asked.round), (Some(7), Some(Duration::from_secs(90))));
        assert!(asked.wants("chaos") && !read("other").unwrap().wants("chaos"));
        assert!(read("cha").unwrap().wants("chaos"));
        for wrong in ["--budget", "--budget 10", "--budget m", "--budget é", "--seed x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
