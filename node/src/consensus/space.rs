//! The space that is left for the log and the state, and what a node does before there is none: it
//! warns, then takes nothing new and lets others lead, then stops in order. With space it goes on by
//! itself.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::replica::Unavailable;
use crate::config::Disk;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::limits;
use crate::storage::directory::DataDirectory;
use crate::storage::space;
use crate::telemetry::metrics;

/// How much is left, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Enough.
    Ample,
    /// The operator should know.
    Low,
    /// Nothing new is taken.
    Short,
    /// The node stops.
    Out,
}

/// Free bytes, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Free bytes.
    pub free: u64,
    /// What they mean.
    pub level: Level,
}

/// Watches the file system of the data directory.
pub struct Space {
    directory: DataDirectory,
    marks: Disk,
    left: watch::Sender<Left>,
}

impl Space {
    /// Looks for the first time. Fails if there is too little to run.
    pub fn open(directory: DataDirectory, marks: Disk) -> Result<Arc<Space>, Stop> {
        let left = watch::Sender::new(Left { free: u64::MAX, level: Level::Ample });
        let space = Arc::new(Space { directory, marks, left });
        space.look();
        if space.left().level == Level::Out { Err(space.out()) } else { Ok(space) }
    }

    /// How much is left.
    pub fn left(&self) -> Left {
        *self.left.borrow()
    }

    /// How much is left, as it changes.
    pub fn watch(&self) -> watch::Receiver<Left> {
        self.left.subscribe()
    }

    /// Whether this node takes anything new.
    pub fn admits(&self) -> Result<(), Unavailable> {
        let Left { free, level } = self.left();
        if level < Level::Short {
            return Ok(());
        }
        let missing = with_margin(self.marks.admit).saturating_sub(free);
        Err(Unavailable::DiskShort { free, missing })
    }

    /// Looks for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.look();
            tokio::time::sleep(limits::SPACE_INTERVAL).await;
        }
    }

    /// Waits until there is too little to go on.
    pub async fn ran_out(&self) -> Stop {
        let mut left = self.watch();
        // The sender is this one's own.
        let _ = left.wait_for(|left| left.level == Level::Out).await;
        self.out()
    }

    fn look(&self) {
        let path = self.directory.path();
        let free = match space::free_bytes(path) {
            Ok(free) => free,
            // What is written next says whether anything is wrong.
            Err(error) => return warn!(%error, "the free space is not known"),
        };
        let before = self.left().level;
        let level = judge(&self.marks, before, free);
        metrics::DISK_FREE_BYTES.set(free as f64);
        metrics::DISK_LEVEL.set(f64::from(level as u8));
        self.left.send_replace(Left { free, level });
        if level == before {
            return;
        }
        let path = path.display();
        match level {
            Level::Ample => info!(free, %path, "there is space enough again"),
            Level::Low => warn!(free, %path, "space runs low: free some, or add some"),
            Level::Short => {
                error!(free, %path, "space is short: this node takes nothing new and lets others lead");
            }
            Level::Out => error!(free, %path, "there is too little space to go on"),
        }
    }

    fn out(&self) -> Stop {
        let (free, stop) = (self.left().free, self.marks.stop);
        let path = self.directory.path().display();
        let message = format!(
            "{free} bytes are free on the file system of {path}; disk.stop_free_mib is {}",
            stop >> 20
        );
        Stop { code: ExitCode::DiskFull, message }
    }
}

/// The level with so much left, after another level: what is better than before has to be so by a
/// margin.
fn judge(marks: &Disk, before: Level, free: u64) -> Level {
    let steps = [(Level::Out, marks.stop), (Level::Short, marks.admit), (Level::Low, marks.warn)];
    for (level, mark) in steps {
        let mark = if level <= before { with_margin(mark) } else { mark };
        if free < mark {
            return level;
        }
    }
    Level::Ample
}

fn with_margin(mark: u64) -> u64 {
    mark.saturating_add(mark / limits::SPACE_MARGIN_DIVISOR)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MARKS: Disk =
        Disk { warn: 1_000, admit: 500, stop: 100, scrub: 0, scrub_pause: Duration::ZERO };

    #[test]
    fn levels_fall_at_their_marks_and_rise_above_them() {
        let mut level = Level::Ample;
        for (free, expected) in [
            (1_000, Level::Ample),
            (999, Level::Low),
            (1_000, Level::Low),
            (1_099, Level::Low),
            (1_100, Level::Ample),
            (499, Level::Short),
            (549, Level::Short),
            (550, Level::Low),
            (99, Level::Out),
            (109, Level::Out),
            (110, Level::Short),
            (5_000, Level::Ample),
        ] {
            level = judge(&MARKS, level, free);
            assert_eq!(level, expected, "{free}");
        }
    }

    #[test]
    fn marks_of_zero_are_never_passed() {
        let marks = Disk { warn: 0, admit: 0, stop: 0, ..MARKS };
        assert_eq!(judge(&marks, Level::Ample, 0), Level::Ample);
    }
}
