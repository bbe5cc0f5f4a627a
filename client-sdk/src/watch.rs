//! Watches: what happens to an account, from a checkpoint on, each event once and none left out.
//!
//! Several events can stand at one position of the ledger (a statement decides many entries at
//! once), and nodes resume only between positions. A [`Checkpoint`] therefore counts the events
//! that were handled at a position which may have more of them.

use std::fmt;
use std::str::FromStr;

use counterfoil_proto::v1;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};

use crate::client::Client;
use crate::error::{Error, Failure};
use crate::feed::Feed;

/// A place in the ledger; they are ordered as the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Block height.
    pub height: u64,
    /// Leaf of the block's tx tree.
    pub leaf: u32,
}

impl From<v1::Position> for Position {
    fn from(position: v1::Position) -> Position {
        Position { height: position.height, leaf: position.leaf }
    }
}

impl From<Position> for v1::Position {
    fn from(position: Position) -> v1::Position {
        v1::Position { height: position.height, leaf: position.leaf }
    }
}

/// How far a watch was handled. Its text (`12.3`, `12.3/15.0+2`, or `start`) is made to be kept in
/// a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything to here, included.
    after: Option<Position>,
    /// And so many events at the position behind it that has any.
    beyond: Option<(Position, u32)>,
}

impl Checkpoint {
    /// Before everything.
    pub const START: Checkpoint = Checkpoint { after: None, beyond: None };

    /// After everything at a position.
    pub fn after(position: Position) -> Checkpoint {
        Checkpoint { after: Some(position), beyond: None }
    }

    /// How far the watch has come at least.
    pub fn position(&self) -> Option<Position> {
        self.beyond.map(|(position, _)| position).or(self.after)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "{}.{}", after.height, after.leaf)?,
            None => write!(f, "start")?,
        }
        match self.beyond {
            Some((at, count)) => write!(f, "/{}.{}+{count}", at.height, at.leaf),
            None => Ok(()),
        }
    }
}

/// Why a text is not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is `start` or height.leaf, and optionally /height.leaf+count")]
pub struct CheckpointError;

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Checkpoint, CheckpointError> {
        let (after, beyond) = match text.split_once('/') {
            Some((after, beyond)) => (after, Some(beyond)),
            None => (text, None),
        };
        let after = if after == "start" { None } else { Some(parse_position(after)?) };
        let beyond = match beyond {
            Some(beyond) => {
                let (at, count) = beyond.split_once('+').ok_or(CheckpointError)?;
                Some((parse_position(at)?, count.parse().map_err(|_| CheckpointError)?))
            }
            None => None,
        };
        let valid = beyond.is_none_or(|(at, count)| count > 0 && Some(at) > after);
        valid.then_some(Checkpoint { after, beyond }).ok_or(CheckpointError)
    }
}

fn parse_position(text: &str) -> Result<Position, CheckpointError> {
    let (height, leaf) = text.split_once('.').ok_or(CheckpointError)?;
    Ok(Position {
        height: height.parse().map_err(|_| CheckpointError)?,
        leaf: leaf.parse().map_err(|_| CheckpointError)?,
    })
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T> {
    /// Something happened.
    New(T),
    /// Nothing did, but the checkpoint may have advanced.
    Heartbeat,
}

/// What a node's stream says.
#[derive(Clone, Debug)]
pub(crate) enum Signal<T> {
    Item(Position, T),
    Heartbeat(Position),
}

/// A watch that survives its connections.
pub struct Watch<T> {
    feed: Feed<Option<Position>, Signal<T>>,
    progress: Progress,
    /// The number of the stream that `progress` follows.
    stream: u64,
}

/// A node's stream of signals.
type Signals<T> = BoxStream<'static, Result<Signal<T>, Failure>>;

impl<T: Send + 'static> Watch<T> {
    pub(crate) fn new(
        client: Client,
        from: Checkpoint,
        open: impl Fn(Client, Option<Position>) -> BoxFuture<'static, Result<Signals<T>, Error>>
        + Send
        + Sync
        + 'static,
    ) -> Watch<T> {
        let feed = Feed::new(client, Box::new(open));
        Watch { feed, progress: Progress::from(from), stream: 0 }
    }

    /// The next event. Connections that break are made again without an error, until that has failed
    /// for as long as a call may take; the watch can be asked again after any error.
    pub async fn next(&mut self) -> Result<Event<T>, Error> {
        loop {
            let Some(signal) = self.feed.next(self.progress.checkpoint.after).await? else {
                self.broke("the watch ended")?;
                continue;
            };
            if self.stream != self.feed.opened() {
                self.stream = self.feed.opened();
                self.progress.rewind();
            }
            let step = match &signal {
                Signal::Item(position, _) => self.progress.item(*position),
                Signal::Heartbeat(position) => self.progress.heartbeat(*position),
            };
            if step == Ok(true) {
                self.feed.progressed();
            }
            match (step, signal) {
                (Ok(true), Signal::Item(_, item)) => return Ok(Event::New(item)),
                (Ok(true), Signal::Heartbeat(_)) => return Ok(Event::Heartbeat),
                (Ok(false), _) => {}
                (Err(problem), _) => self.broke(problem)?,
            }
        }
    }

    /// How far everything that [`Watch::next`] has returned goes. Keep it when that is handled.
    pub fn checkpoint(&self) -> Checkpoint {
        self.progress.checkpoint
    }

    /// The events without the heartbeats, each with the checkpoint behind it. The stream ends after
    /// an error.
    pub fn events(self) -> BoxStream<'static, Result<(T, Checkpoint), Error>> {
        stream::try_unfold(self, |mut watch| async {
            loop {
                if let Event::New(item) = watch.next().await? {
                    let checkpoint = watch.checkpoint();
                    return Ok(Some(((item, checkpoint), watch)));
                }
            }
        })
        .boxed()
    }

    fn broke(&mut self, problem: &str) -> Result<(), Error> {
        self.feed.broke(Error::bad_answer(problem))
    }
}

/// Tells new events from those that a stream repeats.
struct Progress {
    checkpoint: Checkpoint,
    /// Events of the position behind `after` that this stream has yet to repeat.
    to_skip: u32,
}

impl Progress {
    fn from(checkpoint: Checkpoint) -> Progress {
        let mut progress = Progress { checkpoint, to_skip: 0 };
        progress.rewind();
        progress
    }

    /// A new stream begins after the last position that is known to be complete.
    fn rewind(&mut self) {
        self.to_skip = self.checkpoint.beyond.map_or(0, |(_, count)| count);
    }

    /// Whether an item is new.
    fn item(&mut self, position: Position) -> Result<bool, &'static str> {
        let Checkpoint { after, beyond } = self.checkpoint;
        if Some(position) <= after {
            return Err("an event of a position that was complete");
        }
        match beyond {
            Some((at, _)) if self.to_skip > 0 => {
                if position != at {
                    return Err("an event that was there before is not there any more");
                }
                self.to_skip -= 1;
                return Ok(false);
            }
            Some((at, count)) if position == at => {
                self.checkpoint.beyond = Some((at, count.saturating_add(1)));
            }
            Some((at, _)) if position < at => return Err("events out of order"),
            Some((at, _)) => {
                self.checkpoint = Checkpoint { after: Some(at), beyond: Some((position, 1)) };
            }
            None => self.checkpoint.beyond = Some((position, 1)),
        }
        Ok(true)
    }

    /// Whether a heartbeat tells anything: a node that lags has yet to reach the checkpoint.
    fn heartbeat(&mut self, position: Position) -> Result<bool, &'static str> {
        if self.checkpoint.position().is_some_and(|reached| position < reached) {
            return Ok(true);
        }
        if self.to_skip > 0 {
            return Err("an event that was there before is not there any more");
        }
        self.checkpoint = Checkpoint::after(position);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(height: u64, leaf: u32) -> Position {
        Position { height, leaf }
    }

    #[test]
    fn checkpoints_as_text() {
        for text in ["start", "12.3", "start/4.0+1", "12.3/15.0+2"] {
            assert_eq!(text.parse::<Checkpoint>().unwrap().to_string(), text);
        }
        for bad in ["", "12", "12.3/12.3+1", "12.3/15.0+0", "12.3/15.0", "a.b", "1.2/", "-1.0"] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_broken_stream_repeats_only_what_was_handled() {
        let mut progress = Progress::from(Checkpoint::START);
        assert_eq!(progress.item(at(5, 1)), Ok(true));
        assert_eq!(progress.item(at(7, 2)), Ok(true));
        assert_eq!(progress.item(at(7, 2)), Ok(true));
        assert_eq!(progress.checkpoint.to_string(), "5.1/7.2+2");

        let mut resumed = Progress::from("5.1/7.2+2".parse().unwrap());
        assert_eq!(resumed.heartbeat(at(6, 0)), Ok(true), "the node lags");
        assert_eq!(resumed.item(at(7, 2)), Ok(false));
        assert_eq!(resumed.item(at(7, 2)), Ok(false));
        assert_eq!(resumed.item(at(7, 2)), Ok(true));
        assert_eq!(resumed.heartbeat(at(7, 2)), Ok(true));
        assert_eq!(resumed.checkpoint.to_string(), "7.2");
        assert_eq!(resumed.item(at(8, 0)), Ok(true));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let from = |text: &str| Progress::from(text.parse().unwrap());
        assert!(from("5.1").item(at(5, 1)).is_err());
        assert!(from("5.1").item(at(4, 9)).is_err());
        assert!(from("5.1/7.2+1").item(at(8, 0)).is_err(), "an event has vanished");
        assert!(from("5.1/7.2+1").heartbeat(at(7, 2)).is_err(), "an event has vanished");
        let mut progress = from("5.1");
        progress.item(at(7, 0)).unwrap();
        assert!(progress.item(at(6, 0)).is_err());
        assert_eq!(progress.heartbeat(at(3, 0)), Ok(true));
        assert_eq!(progress.checkpoint.to_string(), "5.1/7.0+1");
    }
}
