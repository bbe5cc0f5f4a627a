//! A run of certified blocks from another node, verified before anything of it is kept: its headers
//! follow each other up to one that a certified header has in its history, and everything else in it
//! is what those headers name.

use counterfoil_ledger::apply::proposal_signed;
use counterfoil_ledger::block::LeafRecord;
use counterfoil_ledger::block::decode_leaves;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::merkle::path::root_of_path;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::prove;
use counterfoil_ledger::registry::Registry;
use counterfoil_proto::peer::v1;
use openraft::EntryPayload;
use openraft::LogId;

use super::super::Types;
use super::super::firewall;
use super::super::wire;
use crate::limits;

/// Where a node stands that goes on from there.
#[derive(Clone, Debug)]
pub struct Place {
    /// The last header.
    pub header: Header,
    /// The last entry that was executed; none before the first. Entries that yield no block may stand
    /// between it and the header's.
    pub applied: Option<LogId<u64>>,
    /// Hash of the last proposal, void or not.
    pub proposal: Hash,
}

/// A run that holds.
pub struct Run {
    /// All entries of the log from behind the last header's on.
    pub entries: Vec<openraft::Entry<Types>>,
    /// What the entries come to that are not executed yet, in their order.
    pub steps: Vec<Step>,
}

/// What an entry comes to.
pub enum Step {
    /// A block.
    Block(Box<Told>),
    /// A proposal that does not fit its place.
    Void(Box<Proposal>),
}

/// A block as it is told.
pub struct Told {
    /// Certified.
    pub header: Header,
    /// The one that the header names, with its instructions.
    pub proposal: Proposal,
    /// They give the header's roots, or the block cannot be followed.
    pub leaves: Vec<LeafRecord>,
}

/// Why a run is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The node that sent it does not do as it must.
    Rule(&'static str),
    /// It is certified, and it is not the continuation of what this node has executed.
    Apart,
}

/// Checks a run of blocks that goes on after a place, below or up to a certified header.
pub fn verify(
    message: v1::ReadBlocksResponse,
    after: &Place,
    target: &Header,
    registry: &Registry,
) -> Result<Run, Refused> {
    let headers = headers(&message, after, target)?;
    let entries = entries(message.entries, after, &headers, registry)?;
    let mut blocks = headers.into_iter().zip(message.blocks).peekable();
    let mut steps = Vec::new();
    let mut proposal_before = after.proposal;
    for entry in &entries {
        let EntryPayload::Normal(bytes) = &entry.payload else { continue };
        let is_executed = after.applied.is_some_and(|it| entry.log_id.index <= it.index);
        if is_executed {
            continue;
        }
        // Bytes that are no proposal at all take no part in the chain of proposals.
        let Some(proposal) = Proposal::decode(&bytes.0) else { continue };
        if proposal.header.previous != proposal_before {
            return Err(Refused::Rule("a proposal does not follow the one before it"));
        }
        proposal_before = proposal.header.hash();
        match blocks.next_if(|(header, _)| header.raft_index == entry.log_id.index) {
            None => steps.push(Step::Void(Box::new(proposal))),
            Some((header, told)) => {
                let leaves = check_block(&header, entry, &proposal, &told, registry)?;
                steps.push(Step::Block(Box::new(Told { header, proposal, leaves })));
            }
        }
    }
    if blocks.next().is_some() {
        return Err(Refused::Rule("a header names an entry that is no proposal"));
    }
    Ok(Run { entries, steps })
}

fn headers(
    message: &v1::ReadBlocksResponse,
    after: &Place,
    target: &Header,
) -> Result<Vec<Header>, Refused> {
    let rule = |rule| Err(Refused::Rule(rule));
    let mut headers: Vec<Header> = Vec::with_capacity(message.blocks.len());
    for block in &message.blocks {
        let Some(header) = Header::decode(&block.header) else {
            return rule("a header does not decode");
        };
        let before = headers.last();
        let height = before.map_or(after.header.height, |before| before.height).checked_add(1);
        let follows = before.is_none_or(|before| header.previous == before.hash());
        if header.chain_id != target.chain_id || height != Some(header.height) || !follows {
            return rule("the headers do not follow each other");
        }
        let index = before.map_or(after.header.raft_index, |before| before.raft_index);
        if header.raft_index <= index {
            return rule("the headers' entries do not follow each other");
        }
        headers.push(header);
    }
    let Some(last) = headers.last() else { return rule("there is no block in it") };
    if last.height > target.height {
        return rule("it goes beyond what was asked for");
    }
    let is_certified = if last.height == target.height {
        last == target
    } else {
        let path: Option<Vec<Hash>> =
            message.history_path.iter().map(|hash| Hash::from_slice(hash)).collect();
        path.is_some_and(|path| {
            let leaf = prove::history_leaf(last);
            let (index, size) = (last.height, target.height);
            root_of_path(leaf, index, size, &path) == Some(target.history_root)
        })
    };
    if !is_certified {
        return rule("the last header is not in the history of the certified one");
    }
    if headers.first().is_some_and(|first| first.previous != after.header.hash()) {
        return Err(Refused::Apart);
    }
    Ok(headers)
}

/// The entries stand one behind the other, up to that of the last header.
fn entries(
    messages: Vec<v1::Entry>,
    after: &Place,
    headers: &[Header],
    registry: &Registry,
) -> Result<Vec<openraft::Entry<Types>>, Refused> {
    let rule = |rule| Err(Refused::Rule(rule));
    let mut entries = Vec::with_capacity(messages.len());
    let mut before = super::entry_of(&after.header);
    for message in messages {
        let entry =
            wire::entry_of_message(message).map_err(|_| Refused::Rule("an entry is malformed"))?;
        let index = before.map_or(0, |before| before.index + 1);
        if entry.log_id.index != index
            || before.is_some_and(|it| it.leader_id > entry.log_id.leader_id)
        {
            return rule("the entries do not follow each other");
        }
        if let Some(broken) = firewall::out_of_place(before, &entry) {
            return rule(broken);
        }
        match &entry.payload {
            EntryPayload::Normal(bytes) if bytes.0.len() > limits::BLOCK_BYTES_MAX => {
                return rule("a proposal is larger than a block");
            }
            EntryPayload::Membership(it) if !firewall::is_registered(it, registry) => {
                return rule("a membership is not the registry's");
            }
            _ => {}
        }
        before = Some(entry.log_id);
        entries.push(entry);
    }
    let last = headers.last().map(|header| header.raft_index);
    if last != before.map(|id| id.index) {
        return rule("the entries do not end with that of the last header");
    }
    Ok(entries)
}

fn check_block(
    header: &Header,
    entry: &openraft::Entry<Types>,
    proposal: &Proposal,
    told: &v1::FollowedBlock,
    registry: &Registry,
) -> Result<Vec<LeafRecord>, Refused> {
    let rule = |rule| Err(Refused::Rule(rule));
    if super::entry_of(header) != Some(entry.log_id) {
        return rule("a header is of another entry");
    }
    if proposal.header.hash() != header.proposal_hash {
        return rule("a header is of another proposal");
    }
    if !proposal_signed(proposal, registry, &header.chain_id) {
        return rule("a proposal is not signed by its proposer");
    }
    // What has no leaf leaves no trace in the header but this.
    if Proposal::instructions_root(&proposal.instructions) != proposal.header.instructions_root {
        return rule("a proposal has other instructions than it says");
    }
    let Some(leaves) = decode_leaves(&told.leaves) else {
        return rule("the leaves of a block do not decode");
    };
    Ok(leaves)
}
