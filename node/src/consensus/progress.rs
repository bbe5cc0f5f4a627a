//! How far a follower has come by its own answers. openraft believes an answer: one that goes back
//! behind what the same follower has acknowledged, or names an entry that it was not sent, ends the
//! leader that hears it.

use openraft::LogId;
use openraft::Vote;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;

use super::Types;

/// What one follower has acknowledged to this node in one term of its own.
#[derive(Default)]
pub struct Progress {
    term: Option<Vote<u64>>,
    acknowledged: Option<LogId<u64>>,
}

/// What has to be known of entries that were sent, to judge the answer.
pub struct Sent {
    vote: Vote<u64>,
    previous: Option<LogId<u64>>,
    entries: Vec<LogId<u64>>,
}

impl Sent {
    /// Of a request.
    pub fn of(request: &AppendEntriesRequest<Types>) -> Sent {
        let entries = request.entries.iter().map(|entry| entry.log_id).collect();
        Sent { vote: request.vote, previous: request.prev_log_id, entries }
    }

    fn last(&self) -> Option<LogId<u64>> {
        self.entries.last().copied().or(self.previous)
    }

    fn contains(&self, id: LogId<u64>) -> bool {
        self.previous == Some(id) || self.entries.contains(&id)
    }
}

impl Progress {
    /// Takes note of an answer; refuses one that no honest follower gives. A follower that has lost
    /// what it acknowledged gives one, too: it gets nothing more from this leader, which lives on.
    pub fn hear(
        &mut self,
        sent: &Sent,
        answer: &AppendEntriesResponse<u64>,
    ) -> Result<(), &'static str> {
        if self.term != Some(sent.vote) {
            *self = Progress { term: Some(sent.vote), acknowledged: None };
        }
        match answer {
            AppendEntriesResponse::Success => self.acknowledge(sent.last()),
            AppendEntriesResponse::PartialSuccess(Some(id)) if sent.contains(*id) => {
                if Some(*id) < self.acknowledged {
                    return Err("the answer goes back behind what was acknowledged");
                }
                self.acknowledge(Some(*id));
            }
            AppendEntriesResponse::PartialSuccess(_) => {
                return Err("the answer names an entry that was not sent");
            }
            // What is before the first entry is nothing, and nothing conflicts with nothing.
            AppendEntriesResponse::Conflict if sent.previous.is_none() => {
                return Err("the answer finds a conflict before the first entry");
            }
            AppendEntriesResponse::Conflict if sent.previous <= self.acknowledged => {
                return Err("the answer goes back behind what was acknowledged");
            }
            AppendEntriesResponse::Conflict => {}
            AppendEntriesResponse::HigherVote(vote) => {
                if vote.leader_id <= sent.vote.leader_id {
                    return Err("the answer names a higher vote that is none");
                }
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, id: Option<LogId<u64>>) {
        self.acknowledged = self.acknowledged.max(id);
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;
    use openraft::EntryPayload;

    use super::*;

    fn id(index: u64) -> LogId<u64> {
        LogId::new(CommittedLeaderId::new(3, 1), index)
    }

    /// Entries of the leader of a term, from one index up to another.
    fn sent(term: u64, from: u64, to: u64) -> Sent {
        let entry = |index| openraft::Entry { log_id: id(index), payload: EntryPayload::Blank };
        Sent::of(&AppendEntriesRequest {
            vote: Vote::new_committed(term, 1),
            prev_log_id: from.checked_sub(1).map(id),
            entries: (from..to).map(entry).collect(),
            leader_commit: None,
        })
    }

    fn partial(index: u64) -> AppendEntriesResponse<u64> {
        AppendEntriesResponse::PartialSuccess(Some(id(index)))
    }

    const BACK: Result<(), &str> = Err("the answer goes back behind what was acknowledged");

    #[test]
    fn a_follower_that_searches_is_heard() {
        let mut progress = Progress::default();
        let conflict = AppendEntriesResponse::Conflict;
        assert_eq!(progress.hear(&sent(3, 90, 95), &conflict), Ok(()));
        assert_eq!(progress.hear(&sent(3, 40, 95), &conflict), Ok(()));
        assert_eq!(progress.hear(&sent(3, 20, 40), &AppendEntriesResponse::Success), Ok(()));
        // The search goes on above what matches.
        assert_eq!(progress.hear(&sent(3, 41, 95), &conflict), Ok(()));
        assert_eq!(progress.hear(&sent(3, 40, 95), &partial(39)), Ok(()));
        assert_eq!(progress.hear(&sent(3, 40, 95), &partial(94)), Ok(()));
        assert_eq!(progress.hear(&sent(3, 95, 95), &AppendEntriesResponse::Success), Ok(()));
    }

    #[test]
    fn nobody_conflicts_with_nothing() {
        let mut progress = Progress::default();
        let conflict = AppendEntriesResponse::Conflict;
        assert!(progress.hear(&sent(3, 0, 5), &conflict).is_err());
        assert!(progress.hear(&sent(3, 0, 0), &conflict).is_err());
    }

    #[test]
    fn nobody_takes_back_what_it_acknowledged() {
        let mut progress = Progress::default();
        assert_eq!(progress.hear(&sent(3, 0, 10), &AppendEntriesResponse::Success), Ok(()));
        let conflict = AppendEntriesResponse::Conflict;
        for from in [1, 9, 10] {
            assert_eq!(progress.hear(&sent(3, from, 20), &conflict), BACK, "{from}");
        }
        // Neither in a heartbeat.
        assert_eq!(progress.hear(&sent(3, 10, 10), &conflict), BACK);
        assert_eq!(progress.hear(&sent(3, 5, 20), &partial(8)), BACK);
        assert_eq!(progress.hear(&sent(3, 10, 20), &partial(9)), Ok(()), "nothing of it yet");
        // The leader of another term starts anew.
        assert_eq!(progress.hear(&sent(4, 9, 20), &conflict), Ok(()));
    }

    #[test]
    fn nobody_acknowledges_what_was_not_sent() {
        let mut progress = Progress::default();
        let sent = sent(3, 10, 20);
        let other = LogId::new(CommittedLeaderId::new(2, 2), 15);
        for id in [None, Some(id(8)), Some(id(20)), Some(id(1 << 47)), Some(other)] {
            let answer = AppendEntriesResponse::PartialSuccess(id);
            assert!(progress.hear(&sent, &answer).is_err(), "{id:?}");
        }
        assert_eq!(progress.hear(&sent, &AppendEntriesResponse::Conflict), Ok(()));
    }

    #[test]
    fn a_higher_vote_is_higher() {
        let mut progress = Progress::default();
        for (term, node, heard) in [(3, 2, true), (4, 1, true), (3, 1, false), (2, 9, false)] {
            let answer = AppendEntriesResponse::HigherVote(Vote::new(term, node));
            assert_eq!(progress.hear(&sent(3, 10, 20), &answer).is_ok(), heard, "{term} {node}");
        }
    }
}
