//! openraft's types ⇄ `counterfoil.peer.v1` and the log's own entries.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_proto::peer::v1;
use openraft::CommittedLeaderId;
use openraft::EmptyNode;
use openraft::EntryPayload;
use openraft::LogId;
use openraft::Membership;
use openraft::Vote;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use prost::Message;

use super::ProposalBytes;
use super::Types;
use crate::limits;
use crate::storage::log::LogEntry;
use crate::storage::log::LogPayload;

/// A message of a peer, or a stored record, that says nothing we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// A log id as a message.
pub fn log_id_to_message(id: &LogId<u64>) -> v1::LogId {
    let leader = v1::LeaderId { term: id.leader_id.term, node_id: id.leader_id.node_id };
    v1::LogId { leader: Some(leader), index: id.index }
}

/// A message as a log id.
pub fn log_id_of_message(id: &v1::LogId) -> Result<LogId<u64>, Malformed> {
    let leader = id.leader.as_ref().ok_or(Malformed("log id"))?;
    if leader.term > limits::TERM_MAX || id.index > limits::INDEX_MAX {
        return Err(Malformed("log id"));
    }
    Ok(LogId::new(CommittedLeaderId::new(leader.term, leader.node_id), id.index))
}

fn optional_log_id(id: Option<&v1::LogId>) -> Result<Option<LogId<u64>>, Malformed> {
    id.map(log_id_of_message).transpose()
}

/// A vote as a message.
pub fn vote_to_message(vote: &Vote<u64>) -> v1::Vote {
    let leader = v1::LeaderId { term: vote.leader_id.term, node_id: vote.leader_id.node_id };
    v1::Vote { leader: Some(leader), committed: vote.committed }
}

/// A message as a vote.
pub fn vote_of_message(vote: Option<&v1::Vote>) -> Result<Vote<u64>, Malformed> {
    let vote = vote.ok_or(Malformed("vote"))?;
    let leader = vote.leader.as_ref().ok_or(Malformed("vote"))?;
    if leader.term > limits::TERM_MAX {
        return Err(Malformed("term"));
    }
    Ok(if vote.committed {
        Vote::new_committed(leader.term, leader.node_id)
    } else {
        Vote::new(leader.term, leader.node_id)
    })
}

/// A membership as a message.
pub fn membership_to_message(membership: &Membership<u64, EmptyNode>) -> v1::Membership {
    let configs = membership
        .get_joint_config()
        .iter()
        .map(|voters| v1::VoterSet { voters: voters.iter().copied().collect() })
        .collect();
    v1::Membership { configs, nodes: membership.nodes().map(|(id, _)| *id).collect() }
}

/// A message as a membership.
pub fn membership_of_message(message: &v1::Membership) -> Membership<u64, EmptyNode> {
    let configs: Vec<BTreeSet<u64>> =
        message.configs.iter().map(|config| config.voters.iter().copied().collect()).collect();
    let nodes: BTreeMap<u64, EmptyNode> =
        message.nodes.iter().map(|id| (*id, EmptyNode::new())).collect();
    Membership::new(configs, nodes)
}

/// A Raft entry as the log stores it.
pub fn entry_to_log(entry: &openraft::Entry<Types>) -> LogEntry {
    let payload = match &entry.payload {
        EntryPayload::Blank => LogPayload::Blank,
        EntryPayload::Normal(proposal) => LogPayload::Proposal(proposal.0.clone()),
        EntryPayload::Membership(membership) => {
            LogPayload::Membership(membership_to_message(membership).encode_to_vec().into())
        }
    };
    LogEntry {
        index: entry.log_id.index,
        term: entry.log_id.leader_id.term,
        node: entry.log_id.leader_id.node_id,
        payload,
    }
}

/// A stored entry as Raft's.
pub fn entry_of_log(entry: LogEntry) -> Result<openraft::Entry<Types>, Malformed> {
    let payload = match entry.payload {
        LogPayload::Blank => EntryPayload::Blank,
        LogPayload::Proposal(bytes) => EntryPayload::Normal(ProposalBytes(bytes)),
        LogPayload::Membership(bytes) => EntryPayload::Membership(membership_of_message(
            &v1::Membership::decode(bytes).map_err(|_| Malformed("membership entry"))?,
        )),
    };
    let log_id = LogId::new(CommittedLeaderId::new(entry.term, entry.node), entry.index);
    Ok(openraft::Entry { log_id, payload })
}

/// A Raft entry as a message.
pub fn entry_to_message(entry: openraft::Entry<Types>) -> v1::Entry {
    let payload = match entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(proposal) => Some(v1::entry::Payload::Proposal(proposal.0)),
        EntryPayload::Membership(membership) => {
            Some(v1::entry::Payload::Membership(membership_to_message(&membership)))
        }
    };
    v1::Entry { log_id: Some(log_id_to_message(&entry.log_id)), payload }
}

/// A message as a Raft entry.
pub fn entry_of_message(entry: v1::Entry) -> Result<openraft::Entry<Types>, Malformed> {
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(v1::entry::Payload::Proposal(bytes)) => EntryPayload::Normal(ProposalBytes(bytes)),
        Some(v1::entry::Payload::Membership(membership)) => {
            EntryPayload::Membership(membership_of_message(&membership))
        }
    };
    let log_id = log_id_of_message(entry.log_id.as_ref().ok_or(Malformed("entry"))?)?;
    Ok(openraft::Entry { log_id, payload })
}

/// AppendEntries as a message.
pub fn append_to_message(
    request: AppendEntriesRequest<Types>,
    chain_id: &Bytes,
) -> v1::AppendEntriesRequest {
    v1::AppendEntriesRequest {
        vote: Some(vote_to_message(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to_message),
        committed: request.leader_commit.as_ref().map(log_id_to_message),
        entries: request.entries.into_iter().map(entry_to_message).collect(),
        chain_id: chain_id.clone(),
    }
}

/// A message as AppendEntries.
pub fn append_of_message(
    message: v1::AppendEntriesRequest,
) -> Result<AppendEntriesRequest<Types>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: vote_of_message(message.vote.as_ref())?,
        prev_log_id: optional_log_id(message.previous.as_ref())?,
        leader_commit: optional_log_id(message.committed.as_ref())?,
        entries: message.entries.into_iter().map(entry_of_message).collect::<Result<_, _>>()?,
    })
}

/// AppendEntries' answer as a message.
pub fn appended_to_message(response: AppendEntriesResponse<u64>) -> v1::AppendEntriesResponse {
    use v1::append_entries_response::Conflict;
    use v1::append_entries_response::PartialSuccess;
    use v1::append_entries_response::Result;
    use v1::append_entries_response::Success;
    let result = match response {
        AppendEntriesResponse::Success => Result::Success(Success {}),
        AppendEntriesResponse::PartialSuccess(matching) => Result::PartialSuccess(PartialSuccess {
            matching: matching.as_ref().map(log_id_to_message),
        }),
        AppendEntriesResponse::Conflict => Result::Conflict(Conflict {}),
        AppendEntriesResponse::HigherVote(vote) => Result::HigherVote(vote_to_message(&vote)),
    };
    v1::AppendEntriesResponse { result: Some(result) }
}

/// A message as AppendEntries' answer.
pub fn appended_of_message(
    message: v1::AppendEntriesResponse,
) -> Result<AppendEntriesResponse<u64>, Malformed> {
    use v1::append_entries_response::Result as Message;
    Ok(match message.result.ok_or(Malformed("append response"))? {
        Message::Success(_) => AppendEntriesResponse::Success,
        Message::PartialSuccess(part) => {
            AppendEntriesResponse::PartialSuccess(optional_log_id(part.matching.as_ref())?)
        }
        Message::Conflict(_) => AppendEntriesResponse::Conflict,
        Message::HigherVote(vote) => {
            // It deposes; whom it elects, that leader has to say itself.
            let vote = v1::Vote { committed: false, ..vote };
            AppendEntriesResponse::HigherVote(vote_of_message(Some(&vote))?)
        }
    })
}

/// RequestVote as a message.
pub fn vote_request_to_message(
    request: &VoteRequest<u64>,
    chain_id: &Bytes,
) -> v1::RequestVoteRequest {
    v1::RequestVoteRequest {
        vote: Some(vote_to_message(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id_to_message),
        chain_id: chain_id.clone(),
    }
}

/// A message as RequestVote.
pub fn vote_request_of_message(
    message: &v1::RequestVoteRequest,
) -> Result<VoteRequest<u64>, Malformed> {
    Ok(VoteRequest {
        vote: vote_of_message(message.vote.as_ref())?,
        last_log_id: optional_log_id(message.last_log_id.as_ref())?,
    })
}

/// RequestVote's answer as a message.
pub fn voted_to_message(response: &VoteResponse<u64>) -> v1::RequestVoteResponse {
    v1::RequestVoteResponse {
        vote: Some(vote_to_message(&response.vote)),
        vote_granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id_to_message),
    }
}

/// A message as RequestVote's answer.
pub fn voted_of_message(message: &v1::RequestVoteResponse) -> Result<VoteResponse<u64>, Malformed> {
    Ok(VoteResponse {
        vote: vote_of_message(message.vote.as_ref())?,
        vote_granted: message.vote_granted,
        last_log_id: optional_log_id(message.last_log_id.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(term: u64, committed: bool) -> v1::Vote {
        v1::Vote { leader: Some(v1::LeaderId { term, node_id: 2 }), committed }
    }

    fn higher(vote: v1::Vote) -> v1::AppendEntriesResponse {
        let result = Some(v1::append_entries_response::Result::HigherVote(vote));
        v1::AppendEntriesResponse { result }
    }

    #[test]
    fn an_answer_deposes_but_elects_nobody() {
        let answer = appended_of_message(higher(vote(7, true))).unwrap();
        assert_eq!(answer, AppendEntriesResponse::HigherVote(Vote::new(7, 2)));
    }

    #[test]
    fn a_term_near_the_end_of_numbers_is_malformed() {
        assert!(vote_of_message(Some(&vote(limits::TERM_MAX, false))).is_ok());
        for term in [limits::TERM_MAX + 1, u64::MAX] {
            assert!(vote_of_message(Some(&vote(term, false))).is_err());
            assert!(appended_of_message(higher(vote(term, false))).is_err());
        }
    }

    #[test]
    fn an_index_near_the_end_of_numbers_is_malformed() {
        let id = |term, index| v1::LogId { leader: Some(v1::LeaderId { term, node_id: 2 }), index };
        assert!(log_id_of_message(&id(limits::TERM_MAX, limits::INDEX_MAX)).is_ok());
        for wrong in [id(limits::TERM_MAX + 1, 0), id(1, limits::INDEX_MAX + 1), id(1, u64::MAX)] {
            assert!(log_id_of_message(&wrong).is_err());
            let partial = v1::append_entries_response::PartialSuccess { matching: Some(wrong) };
            let result = Some(v1::append_entries_response::Result::PartialSuccess(partial));
            assert!(appended_of_message(v1::AppendEntriesResponse { result }).is_err());
        }
    }

    #[test]
    fn what_the_log_stores_comes_back() {
        let log_id = LogId::new(CommittedLeaderId::new(3, 2), 9);
        let membership = Membership::new(vec![BTreeSet::from([1, 2])], BTreeSet::from([1, 2, 3]));
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(ProposalBytes(Bytes::from_static(b"proposal"))),
            EntryPayload::Membership(membership),
        ];
        for payload in payloads {
            let entry = openraft::Entry::<Types> { log_id, payload };
            assert_eq!(entry_of_log(entry_to_log(&entry)), Ok(entry.clone()));
            assert_eq!(entry_of_message(entry_to_message(entry.clone())), Ok(entry));
        }
    }
}
